"""Estimates written into the arrays of a cube, some targets at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import Mapper

#: Targets estimated at once: 25 MB for each array of 16 days of hours, memory that the next ones use again.
_TARGETS = 16_384


def fill_by_estimates(
    mapper: Mapper,
    fields: Sequence[NDArray] | NDArray,
    prepared: Any,
    lon: NDArray,
    lat: NDArray,
    probabilities: Sequence[float],
    factor: NDArray[np.float32] | None = None,
) -> None:
    """Do what :meth:`Filling.fill` does for any mapper, some targets at a time."""
    for part in parts(len(lon)):
        made = mapper.estimate(prepared, lon[part], lat[part])
        scale = None if factor is None else factor[part]
        _write(made.value, fields[0][:, part], scale)
        # One quantile at a time: each is freed before the next is made.
        for quantile, probability in zip(fields[1:], probabilities, strict=True):
            _write(made.quantile(probability), quantile[:, part], scale)


def parts(n_target: int) -> Iterator[slice]:
    """Yield the targets in parts that are filled one after the other."""
    for first in range(0, n_target, _TARGETS):
        yield slice(first, first + _TARGETS)


def _write(values: NDArray[np.float32], field: NDArray[np.float32], factor: NDArray[np.float32] | None) -> None:
    """Write values ``(target, time)`` into a field ``(time, target)``; concentrations are never negative."""
    np.maximum(values.T, 0, out=field)
    if factor is not None:
        field *= factor.T
