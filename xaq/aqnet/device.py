"""Where tensors live, and how many threads work on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from .._arguments import check_text
from ..errors import ModelError


def pick_device(device: str) -> str:
    """Return the name of the device to use; ``"auto"`` is CUDA where there is one, else the CPU.

    Raises
    ------
    ModelError
        The device cannot be used here, or is neither a CPU nor a CUDA device.
    """
    check_text(device, "device", "'auto', 'cpu' or 'cuda'", fix="device='auto'", error=ModelError)
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(
            f"device {device!r} cannot be used here, which has 'cpu' and {torch.cuda.device_count()} CUDA device(s); "
            "fix: device='auto'"
        ) from error
    if torch.device(device).type not in ("cpu", "cuda"):
        raise ModelError(f"device {device!r} is not supported, expected 'cpu' or 'cuda'; fix: device='auto'")
    return device


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch to the calling thread: blocks run in parallel, and no sum depends on how many threads share it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
