"""Lightning checkpoints without pickle: safetensors for tensors, JSON for everything else."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import CheckpointIO
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor


class SafetensorsCheckpoint(CheckpointIO):
    """Lightning checkpoints as safetensors and JSON: loading one executes nothing."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint; a file at ``path`` is replaced only once the new one is complete.

        Parameters
        ----------
        checkpoint : dict
            Nested dicts, lists and tuples of tensors and of values that JSON knows.
        path : path
            Its folder is made if needed.
        storage_options
            Not used.
        """
        tensors: dict[str, Tensor] = {}
        tree = json.dumps(_to_tree(checkpoint, tensors))
        part = Path(path).with_suffix(".part")
        part.parent.mkdir(parents=True, exist_ok=True)
        # A file of safetensors needs a tensor.
        tensors = tensors or {"0": torch.zeros(1)}
        save_file(tensors, part, metadata={"tree": tree, "sha256": _digest(tree, tensors)})
        part.replace(path)

    def load_checkpoint(self, path: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the checkpoint, with its tensors on the CPU.

        Raises
        ------
        ValueError
            The file is not as it was written.
        """
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
                metadata = file.metadata()
            if _digest(metadata["tree"], tensors) != metadata["sha256"]:
                raise ValueError("its SHA-256 differs")
            return _from_tree(json.loads(metadata["tree"]), tensors)
        except (SafetensorError, KeyError, TypeError, RuntimeError) as error:
            raise ValueError(str(error)) from error

    def remove_checkpoint(self, path: Any) -> None:
        """Delete a checkpoint, if there is one."""
        Path(path).unlink(missing_ok=True)


def _digest(tree: str, tensors: dict[str, Tensor]) -> str:
    """Return the SHA-256 of a checkpoint's contents."""
    digest = hashlib.sha256(tree.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _to_tree(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return a nested checkpoint as a JSON tree; its tensors are copied into ``tensors``, which names them by number.

    Each node is a dict with one key, its kind. Dicts are lists of pairs, as their keys need not be text.
    """
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[_to_tree(k, tensors), _to_tree(v, tensors)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        # A named tuple becomes a list: its class is not saved.
        return {type(value).__name__ if type(value) in (list, tuple) else "list": [_to_tree(v, tensors) for v in value]}
    return {"value": str(value) if isinstance(value, Path) else value}


def _from_tree(tree: Any, tensors: dict[str, Tensor]) -> Any:
    """Return the nested checkpoint that :func:`_to_tree` made a JSON tree of."""
    ((kind, content),) = tree.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {_from_tree(k, tensors): _from_tree(v, tensors) for k, v in content}
    if kind in ("list", "tuple"):
        items = [_from_tree(v, tensors) for v in content]
        return tuple(items) if kind == "tuple" else items
    return content
