"""Advection: what a place has now, its neighbours upwind had hours ago, and those downwind will have. NumPy and SciPy only.

A pattern that moves with velocity v past a place at time t passes a station, at displacement x from the place, at time
t + x . s, with the slowness s = v / |v|^2. Which slownesses move the pattern is asked of the stations: each is predicted by
its neighbours, read as every slowness would have them, and those that predict better get larger weights. This is Bayesian
model averaging in spirit (Hoeting et al. 1999), with a fixed sharpness for each station in the place of a likelihood; standing
still is one of the slownesses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.sparse import csr_array

from ..arrays import sphere
from .pooling import PoolingNeighbourhood

#: Speeds in km/h and the number of directions that are tried, beside standing still.
_SPEEDS, _DIRECTIONS = (6.0, 20.0), 6
#: Neighbours are read at most so many hours before or after.
_REACH_HOURS = 4
#: Around each station, what is read of it is tabulated at these distances in km, in as many directions.
_RADII = (10.0, 30.0, 90.0)
#: Shares are made for so many slots of a day, from errors smoothed over this many hours.
SLOTS_PER_DAY = 8
_SMOOTHING_HOURS = 2.0
#: Shares go with the mean absolute error to the power of minus this, for each station whose errors count: more stations, more evidence.
_SHARPNESS = 1.5
#: Days whose series are laid out at every lag at once: nine times as much as they are.
_DAYS = 8
#: Keeps errors above zero, relative to their mean.
_SMALL_ERROR = 1e-3


def slownesses() -> NDArray[np.float64]:
    """Return the slownesses, ``(n, 2)`` hours per km to the east and north; the first is zero."""
    return np.concatenate([np.zeros((1, 2)), *(_circle() / speed for speed in _SPEEDS)])


def knots() -> NDArray[np.float64]:
    """Return the displacements at which what is read of a station is tabulated, ``(n, 2)`` km; the first is zero."""
    return np.concatenate([np.zeros((1, 2)), *(_circle() * radius for radius in _RADII)])


def _circle() -> NDArray[np.float64]:
    angle = np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS)
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def reach(step_hours: float) -> int:
    """Return how many steps before and after are read."""
    return int(_REACH_HOURS / step_hours)


def lag_weights(displacement: NDArray, step_hours: float) -> NDArray[np.float32]:
    """Return the weights of the steps around, linear in time.

    Parameters
    ----------
    displacement : (..., 2) km
        Of the station from the place.
    step_hours : float

    Returns
    -------
    (..., slowness, 2 * reach + 1) float32
        Each sums to one; displacements that would be read beyond the reach are read there.
    """
    most = reach(step_hours)
    lag = np.clip(displacement @ slownesses().T / step_hours, -most, most)
    return np.maximum(0.0, 1.0 - np.abs(lag[..., None] - np.arange(-most, most + 1))).astype(np.float32)


def corners(displacement: NDArray) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the knots around displacements ``(..., 2)`` in km, and their weights, linear in distance and direction.

    Returns
    -------
    index : (..., 4) int
    weight : (..., 4) float32
        They sum to one; beyond the outermost distance, all is as it is there.
    """
    rings = np.array([0.0, *_RADII])
    distance = np.hypot(displacement[..., 0], displacement[..., 1])
    turn = np.arctan2(displacement[..., 1], displacement[..., 0]) / (2 * np.pi) * _DIRECTIONS % _DIRECTIONS
    inner = np.clip(np.searchsorted(rings, distance, side="right") - 1, 0, len(_RADII) - 1)
    outward = np.clip((distance - rings[inner]) / (rings[inner + 1] - rings[inner]), 0.0, 1.0)
    direction = np.floor(turn).astype(int)
    onward = turn - direction
    ring = np.stack([inner, inner, inner + 1, inner + 1], axis=-1)
    spoke = np.stack([direction, direction + 1, direction, direction + 1], axis=-1) % _DIRECTIONS
    weight = np.stack(
        [(1 - outward) * (1 - onward), (1 - outward) * onward, outward * (1 - onward), outward * onward], axis=-1
    )
    return np.where(ring == 0, 0, 1 + (ring - 1) * _DIRECTIONS + spoke), weight.astype(np.float32)


def through_silence(filled: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return series ``(station, step)`` with the steps at which no station reports interpolated in time."""
    heard = np.flatnonzero(np.isfinite(filled).all(axis=0))
    if not len(heard):
        return np.zeros_like(filled)
    # Where each step lies among those heard: a whole number at these, between them in between, the ends beyond the ends.
    position = np.interp(np.arange(filled.shape[1]), heard, np.arange(len(heard)))
    left = position.astype(int)
    part = (position - left).astype(np.float32)
    right = np.minimum(left + 1, len(heard) - 1)
    # np.take, as an index in brackets would lay the stations side by side, and all that follows runs along the steps.
    return (1 - part) * filled.take(heard[left], axis=1) + part * filled.take(heard[right], axis=1)


def with_ends(series: NDArray, n_steps: int) -> NDArray:
    """Return series ``(..., step)`` with its first and last value repeated ``n_steps`` times at its ends."""
    return np.pad(series, [(0, 0)] * (series.ndim - 1) + [(n_steps, n_steps)], mode="edge")


@dataclass(frozen=True)
class SlownessOperators:
    """How each slowness predicts stations from those elsewhere.

    Attributes
    ----------
    order : (station,) int
        The stations as they lie in space: whoever is read together lies together in memory, which halves the time of thousands.
    products : list of (station, (2 * reach + 1) * station)
        One for each slowness: sparse products with the series at each lag, one below the other, in that order.
    around : PoolingNeighbourhood
        Of the stations in that order.
    """

    order: NDArray[np.intp]
    products: list[csr_array]
    around: PoolingNeighbourhood

    @classmethod
    def of(
        cls,
        lon: NDArray,
        lat: NDArray,
        centre: tuple[float, float],
        others: tuple[NDArray[np.intp], NDArray],
        step_hours: float,
    ) -> SlownessOperators:
        """Make the products.

        Parameters
        ----------
        lon, lat : (station,) degrees
        centre : (lon, lat) degrees
            Of the plane on which patterns move.
        others : ((station, k) int, (station, k))
            Neighbours among the stations elsewhere, and their kriging weights.
        step_hours : float
        """
        order = sphere.spatial_order(lon, lat)
        rank = np.argsort(order)
        lon, lat, index, weights = lon[order], lat[order], rank[others[0][order]], others[1][order]
        plane = sphere.on_tangent_plane(lon, lat, centre)
        per_lag = lag_weights(plane[index] - plane[:, None], step_hours) * weights[..., None, None].astype(np.float32)
        shape, products = (len(lon), per_lag.shape[3] * len(lon)), []
        for slowness in range(per_lag.shape[2]):
            # Of each neighbour, two lags at most are other than zero.
            station, neighbour, lag = np.nonzero(per_lag[:, :, slowness])
            entries = per_lag[station, neighbour, slowness, lag], (station, lag * len(lon) + index[station, neighbour])
            products.append(csr_array(entries, shape=shape))
        return cls(order, products, PoolingNeighbourhood.of(lon, lat))


def slowness_weights(
    filled: NDArray[np.float32], observed: NDArray[np.bool_], operators: SlownessOperators, steps_per_day: int
) -> NDArray[np.float32]:
    """Return the share of each slowness around each station.

    Parameters
    ----------
    filled : (station, step)
        Gaps filled (:func:`through_silence`); the first step is the first of a day.
    observed : (station, step) bool
        What the errors are taken at.
    operators : SlownessOperators
    steps_per_day : int

    Returns
    -------
    (station, slowness, slot) float32
        They sum to one over the slownesses.
    """
    order, products, around = operators.order, operators.products, operators.around
    filled, observed = filled[order], observed[order]
    most, size, lots = reach(24 / steps_per_day), _DAYS * steps_per_day, []
    padded = with_ends(filled, most)
    for first in range(0, filled.shape[1], size):
        truth, seen = (series[:, first : first + size] for series in (filled, observed))
        lagged = np.concatenate([padded[:, first + i : first + i + truth.shape[1]] for i in range(2 * most + 1)])
        errors = (np.abs(product @ lagged - truth) * seen for product in products)
        lots.append(np.stack([around.sums(error, steps_per_day // SLOTS_PER_DAY) for error in errors], axis=1))
    width = _SMOOTHING_HOURS * SLOTS_PER_DAY / 24
    mean = gaussian_filter1d(np.concatenate(lots, axis=-1), width, axis=-1, mode="nearest")
    floor = _SMALL_ERROR * mean.mean(axis=1, keepdims=True) + np.finfo(np.float32).tiny
    log = -_SHARPNESS * around.counts[:, None, None] * np.log(mean + floor)
    weight = np.exp(log - log.max(axis=1, keepdims=True))
    result = np.empty_like(weight)
    result[order] = weight / weight.sum(axis=1, keepdims=True)
    return result
