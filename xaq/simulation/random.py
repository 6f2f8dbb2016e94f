"""Random numbers by counter: each is a function of its key alone, so that any block is made alone and in any order.

The hash is the finaliser of SplitMix64 (Steele, Lea and Flood 2014, OOPSLA; Stafford's variant 13), on 64-bit integers that
wrap; normals are made from it by Box and Muller's transform (1958).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: The constants of the hash, as signed integers of 64 bits.
_STEP, _FIRST, _SECOND = (c - 2**64 for c in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_HALF = 2**32
#: Degrees are told apart to a millionth, 0.1 m, at an irrational part of it: no coordinate of few decimals lies on an edge.
_PER_DEGREE, _EDGE = 1_000_000, 5**0.5 - 2


def key(*parts: int) -> int:
    """Return a key of 64 bits, as a signed integer, from integers such as seed, member and kind of number."""
    mixed = torch.zeros((), dtype=torch.int64)
    for part in parts:
        # One more, as the hash of 0 is 0: leading zeros would not count.
        mixed = _hash((mixed + 1) * _STEP + part)
    return int(mixed)


def place_keys(lon: NDArray, lat: NDArray) -> NDArray[np.int64]:
    """Return a key for each place, ``(place,)``: the same for all longitudes of a place, and in a map as at a point."""
    x = np.floor(np.mod(lon, 360.0) * _PER_DEGREE + _EDGE).astype(np.int64) % (360 * _PER_DEGREE)
    y = np.floor((np.asarray(lat) + 90.0) * _PER_DEGREE + _EDGE).astype(np.int64)
    return y * (360 * _PER_DEGREE) + x


def normals(key: int | Tensor, counters: Tensor) -> tuple[Tensor, Tensor]:
    """Return two independent standard normals for each counter.

    Parameters
    ----------
    key : int or int64 tensor that broadcasts to the counters
        From :func:`key`.
    counters : (...) int64

    Returns
    -------
    tuple of (...) float32
    """
    bits = _hash(counters * _STEP + key)
    # Never 0, whose logarithm is infinite.
    radius = (_high(bits).float() + 0.5).div_(_HALF).log_().mul_(-2.0).sqrt_()
    angle = (bits & (_HALF - 1)).float().mul_(2.0 * np.pi / _HALF)
    return radius * angle.cos(), radius * angle.sin()


def uniforms(key: int, n: int) -> NDArray[np.float64]:
    """Return n numbers between 0 and 1."""
    bits = _hash(torch.arange(n) * _STEP + key)
    return (_high(bits).numpy() + 0.5) / _HALF


def _hash(x: Tensor) -> Tensor:
    x = (x ^ _shifted(x, 30)) * _FIRST
    x = (x ^ _shifted(x, 27)) * _SECOND
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, n: int) -> Tensor:
    """Return x shifted to the right by n bits, zeros coming in."""
    return (x >> n) & ((1 << (64 - n)) - 1)


def _high(bits: Tensor) -> Tensor:
    return _shifted(bits, 32)
