"""A model as bytes: a safetensors file with the recipe as JSON in its header. Reading one executes nothing.

The header holds the SHA-256 of the whole file, in which zeros stand for the digest itself.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from ..errors import ModelError
from ..nn.aqnet import Network
from .header import HeaderError, recipe_of
from .recipe import Recipe, untrained_network

_KEY, _DIGEST = "xaq", "sha256"
#: The digest in the header: JSON inside a JSON text. Quotes in a user's names are escaped once more, and do not match.
_DIGEST_PLACE = re.compile(rb'\\"sha256\\": \\"([0-9a-f]{64})\\"')
#: Longest header that safetensors reads.
_LONGEST_HEADER = 100_000_000
_ANOTHER_COPY = "copy it again, or ds.aq.train(...)"


def to_bytes(network: Network, recipe: Recipe) -> bytes:
    """Return the file of a network and its recipe; the same model gives the same bytes."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    text = json.dumps({**json.loads(recipe.to_json()), _DIGEST: "0" * 64}, sort_keys=True)
    # One entry, as safetensors writes several in any order.
    data = save_tensors(tensors, metadata={_KEY: text})
    start, stop = _digest_place(data)
    return data[:start] + hashlib.sha256(data).hexdigest().encode() + data[stop:]


def from_bytes(data: bytes) -> tuple[Network, Recipe]:
    """Rebuild a network and its recipe.

    Raises
    ------
    ModelError
        The bytes are damaged, or of another format.
    """
    return _from_stream(io.BytesIO(data), len(data), "the model")


def read(path: str | os.PathLike) -> tuple[Network, Recipe]:
    """Rebuild a network and its recipe from a file. No more is read or allocated than what a model of its header has.

    Raises
    ------
    ModelError
        There is no such file, or it is no model of xaq's, damaged, or of another format.
    """
    path = _as_path(path, "xaq.load_model('pm25.xaq')")
    try:
        # Opening a pipe waits until somebody writes to it, and a device may never end.
        if not path.is_file():
            what = f"{path} is a folder or a device" if path.exists() else f"no model file at {path.absolute()}"
            raise ModelError(f"{what}; fix: xaq.load_model('<the path given to model.save>')")
        with path.open("rb") as stream:
            return _from_stream(stream, os.fstat(stream.fileno()).st_size, str(path))
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}); fix: chmod u+r {path}, or another copy") from error


def write(path: str | os.PathLike, data: bytes) -> Path:
    """Write a model file under a temporary name and rename it, so that it is whole or absent; return its path.

    A link is followed: the file that it names is replaced.

    Raises
    ------
    ModelError
        There is no such folder, it cannot be written to, or what is at the path is no file.
    """
    from_bytes(data)
    target = require_place(path)
    path = Path(path)
    part = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        try:
            # Mode 0o666 less the umask, as for any other new file.
            with part.open("xb") as stream:
                stream.write(data)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise _no_place(path, error) from error
    return path


def require_place(path: str | os.PathLike) -> Path:
    """Return where a path leads, or raise: no file can be made there, for whatever reason can be known before."""
    target = Path(os.path.realpath(_as_path(path, "model.save('pm25.xaq')")))
    try:
        if not target.parent.is_dir():
            raise ModelError(f"no such folder: {target.parent}; fix: os.makedirs({str(target.parent)!r})")
        if target.exists() and not target.is_file():
            what, name = ("a folder", target / "model.xaq") if target.is_dir() else ("a device or a pipe", "model.xaq")
            raise ModelError(f"{target} is {what}, expected the name of a file; fix: model.save({str(name)!r})")
    except OSError as error:
        raise _no_place(path, error) from error
    return target


def _no_place(path: str | os.PathLike, error: OSError) -> ModelError:
    fix = "model.save('<a path in a folder that can be written to>')"
    return ModelError(f"{path} cannot be written ({error.strerror}); fix: {fix}")


# -- reading -------------------------------------------------------------------------------------------------------


def _from_stream(stream: BinaryIO, size: int, name: str) -> tuple[Network, Recipe]:
    """Rebuild a model: first from its header, which costs nothing, then with its weights."""
    start = stream.read(8)
    length = int.from_bytes(start, "little")
    if not 2 <= length <= min(size - 8, _LONGEST_HEADER):
        _refuse(name)
    header = stream.read(length)
    try:
        table = json.loads(header)
        metadata = table.get("__metadata__", {})
        ours = _KEY in metadata
    except (ValueError, TypeError, AttributeError, RecursionError):
        _refuse(name)
    if not ours:
        raise ModelError(f"{name} is a safetensors file, but not one of xaq's; fix: pass the path given to model.save")
    try:
        recipe = recipe_of(_without_digest(json.loads(metadata[_KEY])))
        network = _empty_network(recipe, n_tensors=len(table) - 1)
        expected = 8 + length + sum(tensor.nbytes for tensor in network.state_dict().values())
        if size != expected:
            raise HeaderError(f"{size:,} bytes, expected {expected:,}")
        data = start + header + stream.read(size - 8 - length)
        _check_digest(data)
        tensors = load_tensors(data)
        _check_tensors(tensors, network)
    except (HeaderError, SafetensorError, RuntimeError, TypeError, ValueError, OverflowError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{name} is damaged or was changed ({error}); fix: {_ANOTHER_COPY}") from error
    network = network.to_empty(device="cpu")
    network.load_state_dict(tensors)
    return network, recipe


def _without_digest(data: Any) -> Any:
    return {name: value for name, value in data.items() if name != _DIGEST} if isinstance(data, dict) else data


def _refuse(name: str) -> NoReturn:
    raise ModelError(f"{name} is no readable model file; fix: pass the path given to model.save")


def _empty_network(recipe: Recipe, *, n_tensors: int) -> Network:
    """Return the network of a recipe with the names and shapes of its weights, for which nothing is allocated."""
    if recipe.config.lstm_layers > n_tensors:
        raise HeaderError(f"config.lstm_layers is {recipe.config.lstm_layers}, and there are {n_tensors} tensors")
    with torch.device("meta"):
        return untrained_network(recipe)


def _check_digest(data: bytes) -> None:
    start, stop = _digest_place(data)
    found = hashlib.sha256(data[:start] + b"0" * 64 + data[stop:]).hexdigest()
    if found.encode() != data[start:stop]:
        raise HeaderError(f"its SHA-256 is {found[:12]}..., expected {data[start:stop].decode()[:12]}...")


def _digest_place(data: bytes) -> tuple[int, int]:
    """Return where the digest begins and ends in a file."""
    found = _DIGEST_PLACE.search(data, 0, 8 + int.from_bytes(data[:8], "little"))
    if found is None:
        raise HeaderError("no SHA-256 in the header")
    return found.span(1)


def _check_tensors(tensors: dict[str, Tensor], network: Network) -> None:
    """Raise unless tensors are the weights of a network by name, type and shape, and are numbers."""
    expected = network.state_dict()
    if tensors.keys() != expected.keys():
        raise HeaderError(f"weights are missing or unknown: {', '.join(sorted(tensors.keys() ^ expected.keys()))}")
    for name, tensor in tensors.items():
        kind = (tensor.dtype, tensor.shape)
        if kind != (expected[name].dtype, expected[name].shape):
            raise HeaderError(
                f"{name} is {tensor.dtype} {list(tensor.shape)}, expected {expected[name].dtype} {list(expected[name].shape)}"
            )
        # A regressor that was never fitted has no limits.
        if tensor.isnan().any() or (tensor.isinf().any() and not name.endswith(".limits")):
            raise HeaderError(f"{name} has entries that are not finite")


# -- paths ---------------------------------------------------------------------------------------------------------


def _as_path(path: str | os.PathLike, fix: str) -> Path:
    text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    # An empty text would be the working folder.
    if not isinstance(text, str) or not text or "\0" in text:
        raise ModelError(f"path is {path!r}, expected the name of a file; fix: {fix}")
    return Path(path)
