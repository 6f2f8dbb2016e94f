"""A model as bytes: a safetensors file with the recipe as JSON in its header. Reading one executes nothing."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from ..errors import ModelError
from ..nn.aqnet import Network
from .recipe import Recipe, untrained_network

_KEY = "xaq"


def to_bytes(network: Network, recipe: Recipe) -> bytes:
    """Return the file of a network and its recipe; the same model gives the same bytes."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    return save_tensors(tensors, metadata={_KEY: recipe.to_json()})


def from_bytes(data: bytes) -> tuple[Network, Recipe]:
    """Rebuild a network and its recipe.

    Raises
    ------
    ModelError
        The bytes are damaged, or of another format.
    """
    try:
        length = int.from_bytes(data[:8], "little")
        recipe = Recipe.from_json(json.loads(data[8 : 8 + length])["__metadata__"][_KEY])
        network = untrained_network(recipe)
        network.load_state_dict(load_tensors(data))
    except (RuntimeError, SafetensorError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"the model file is damaged: its recipe or its weights do not fit ({error}); fix: copy it again, or ds.aq.train(...)"
        ) from error
    return network, recipe


def read(path: Path) -> bytes:
    """Return the bytes of a model file.

    Raises
    ------
    ModelError
        There is no such file, or it is no model of xaq's.
    """
    if not path.is_file():
        raise ModelError(f"no model file at {path.absolute()}; fix: xaq.load_model('<the path given to model.save>')")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path} is no readable model file ({error}); fix: pass the path given to model.save"
        ) from error
    if _KEY not in metadata:
        raise ModelError(f"{path} is a safetensors file, but not one of xaq's; fix: pass the path given to model.save")
    return path.read_bytes()


def write(path: Path, data: bytes) -> None:
    """Write a model file under a temporary name and rename it, so that it is whole or absent.

    Raises
    ------
    ModelError
        There is no such folder.
    """
    if not path.parent.is_dir():
        raise ModelError(f"no such folder: {path.parent.absolute()}; fix: os.makedirs({str(path.parent)!r})")
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as part:
        part.write(data)
    Path(part.name).replace(path)
