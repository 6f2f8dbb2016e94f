r"""Advection: neighbours are shifted in time, by how long a moving pattern takes from them to the target. NumPy and SciPy only.

The hypothesis is that of a frozen field (Taylor): a pattern that moves without changing, and is at the target at time
:math:`t`, is at a station at displacement :math:`\Delta` from the target at time :math:`t + \Delta \cdot s`. Its slowness
:math:`s` is its velocity over its squared speed. Several slownesses, no motion among them, are weighted by
how well they predict the stations from each other. No wind is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.sparse import csr_array

from ..arrays import sphere
from .pooling import PoolingNeighbourhood

#: Speeds in km/h and number of directions of the slownesses that are tried, in addition to no motion.
_SPEEDS, _DIRECTIONS = (6.0, 20.0), 6
#: The largest time by which a neighbour is shifted, in hours.
_REACH_HOURS = 4
#: Distances in km at which advected values are tabulated around each station, in as many directions.
_RADII = (10.0, 30.0, 90.0)
#: Slots of a day with slowness weights of their own, and the standard deviation that smooths their errors in time, in hours.
SLOTS_PER_DAY = 8
_SMOOTHING_HOURS = 2.0
#: A slowness weight is the mean absolute error to the power of minus this times the number of pooled stations: more stations
#: are more evidence.
_SHARPNESS = 1.5
#: Days predicted at once: at hourly steps, their series at every lag take nine times the memory of the series.
_DAYS = 8
#: Added to the mean absolute errors to keep them above zero, relative to their mean over the slownesses.
_SMALL_ERROR = 1e-3


def slownesses() -> NDArray[np.float64]:
    """Return the slownesses ``(n, 2)`` in hours per km to the east and north; the first is zero, no motion."""
    return np.concatenate([np.zeros((1, 2)), *(_circle() / speed for speed in _SPEEDS)])


def knots() -> NDArray[np.float64]:
    """Return the displacements ``(n, 2)`` of a station, in km, at which its advected values are tabulated; the first is zero."""
    return np.concatenate([np.zeros((1, 2)), *(_circle() * radius for radius in _RADII)])


def _circle() -> NDArray[np.float64]:
    angle = np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS)
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def reach(step_hours: float) -> int:
    """Return the largest number of steps by which a neighbour is shifted, before or after."""
    return int(_REACH_HOURS / step_hours)


def lag_weights(displacement: NDArray, step_hours: float) -> NDArray[np.float32]:
    r"""Return the weight of each lag in the value of a station at time :math:`t + \Delta \cdot s`, linear between steps.

    Parameters
    ----------
    displacement : (..., 2) km
        :math:`\Delta`, of the station from the target.
    step_hours : float

    Returns
    -------
    (..., slowness, 2 * reach + 1) float32
        They sum to one over the lags; shifts beyond the reach are cut to it.
    """
    most = reach(step_hours)
    lag = np.clip(displacement @ slownesses().T / step_hours, -most, most)
    return np.maximum(0.0, 1.0 - np.abs(lag[..., None] - np.arange(-most, most + 1))).astype(np.float32)


def knot_weights(displacement: NDArray) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the four knots around displacements and their interpolation weights, linear in distance and direction.

    Parameters
    ----------
    displacement : (..., 2) km

    Returns
    -------
    index : (..., 4) int
        Of the knot.
    weight : (..., 4) float32
        They sum to one; beyond the largest distance of the knots, weights are those at it.
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


def interpolate_silent_steps(filled: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return series ``(station, step)`` with steps that are NaN at any station interpolated in time at all of them.

    Series whose gaps are filled in space are NaN only at steps at which no station reports. Beyond the first and the last step
    with values, these are repeated; zeros where no step has values.
    """
    known = np.flatnonzero(np.isfinite(filled).all(axis=0))
    if not len(known):
        return np.zeros_like(filled)
    # The position of each step among the known ones: a whole number at these, a fraction between two of them.
    position = np.interp(np.arange(filled.shape[1]), known, np.arange(len(known)))
    left = position.astype(int)
    part = (position - left).astype(np.float32)
    right = np.minimum(left + 1, len(known) - 1)
    # take() keeps the steps of a station contiguous in memory, an index in brackets does not; later work runs along the steps.
    return (1 - part) * filled.take(known[left], axis=1) + part * filled.take(known[right], axis=1)


def pad_ends(series: NDArray, n_steps: int) -> NDArray:
    """Return series ``(..., step)`` with its first and last values repeated ``n_steps`` times."""
    return np.pad(series, [(0, 0)] * (series.ndim - 1) + [(n_steps, n_steps)], mode="edge")


@dataclass(frozen=True)
class SlownessOperators:
    """Sparse operators that predict each station from those elsewhere, advected with each slowness.

    Attributes
    ----------
    order : (station,) int
        An order in which neighbours in space are neighbours in memory, which halves the time with thousands of stations.
    products : list of (station, (2 * reach + 1) * station) sparse
        One per slowness, to multiply the series at each lag, one below the other; rows and columns in that order.
    pooling : PoolingNeighbourhood
        Of the stations in that order.
    """

    order: NDArray[np.intp]
    products: list[csr_array]
    pooling: PoolingNeighbourhood

    @classmethod
    def of(
        cls,
        lon: NDArray,
        lat: NDArray,
        centre: tuple[float, float],
        neighbours: NDArray[np.intp],
        weights: NDArray,
        step_hours: float,
    ) -> SlownessOperators:
        """Build the operators.

        Parameters
        ----------
        lon, lat : (station,) degrees
        centre : (lon, lat) degrees
            Where the plane of displacements touches the sphere.
        neighbours : (station, k) int
            Of each station, among the stations elsewhere.
        weights : (station, k)
            Their kriging weights.
        step_hours : float
        """
        order = sphere.spatial_order(lon, lat)
        rank = np.argsort(order)
        lon, lat, index, weights = lon[order], lat[order], rank[neighbours[order]], weights[order]
        plane = sphere.on_tangent_plane(lon, lat, centre)
        per_lag = lag_weights(plane[index] - plane[:, None], step_hours) * weights[..., None, None].astype(np.float32)
        shape, products = (len(lon), per_lag.shape[3] * len(lon)), []
        for slowness in range(per_lag.shape[2]):
            # At most two lags of a neighbour have a weight.
            station, neighbour, lag = np.nonzero(per_lag[:, :, slowness])
            entries = per_lag[station, neighbour, slowness, lag], (station, lag * len(lon) + index[station, neighbour])
            products.append(csr_array(entries, shape=shape))
        return cls(order, products, PoolingNeighbourhood.of(lon, lat))


def slowness_weights(
    filled: NDArray[np.float32], observed: NDArray[np.bool_], operators: SlownessOperators, steps_per_day: int
) -> NDArray[np.float32]:
    r"""Return the weight of each slowness around each station, slot by slot of the days.

    Parameters
    ----------
    filled : (station, step)
        Without gaps (:func:`interpolate_silent_steps`); the first step is the first of a day.
    observed : (station, step) bool
        Where errors count.
    operators : SlownessOperators
    steps_per_day : int

    Returns
    -------
    (station, slowness, slot) float32
        They sum to one over the slownesses.

    Notes
    -----
    With :math:`\epsilon_{ci}` the mean absolute error of predicting the :math:`M` stations pooled around station i when
    neighbours are advected with slowness :math:`s_c`, smoothed in time,

    .. math:: p_{ci} = \frac{\epsilon_{ci}^{-1.5 M}}{\sum_{c'} \epsilon_{c'i}^{-1.5 M}} .

    This is Bayesian model averaging in spirit (Hoeting et al. 1999), with a fixed sharpness per station in place of a
    likelihood.
    """
    order, products, pooling = operators.order, operators.products, operators.pooling
    filled, observed = filled[order], observed[order]
    most, size, parts = reach(24 / steps_per_day), _DAYS * steps_per_day, []
    padded = pad_ends(filled, most)
    for first in range(0, filled.shape[1], size):
        truth, seen = (series[:, first : first + size] for series in (filled, observed))
        lagged = np.concatenate([padded[:, first + i : first + i + truth.shape[1]] for i in range(2 * most + 1)])
        errors = (np.abs(product @ lagged - truth) * seen for product in products)
        parts.append(np.stack([pooling.sums(error, steps_per_day // SLOTS_PER_DAY) for error in errors], axis=1))
    width = _SMOOTHING_HOURS * SLOTS_PER_DAY / 24
    # Sums in place of means: the number of observations is the same for every slowness, so that weights are the same.
    total = gaussian_filter1d(np.concatenate(parts, axis=-1), width, axis=-1, mode="nearest")
    floor = _SMALL_ERROR * total.mean(axis=1, keepdims=True) + np.finfo(np.float32).tiny
    log = -_SHARPNESS * pooling.counts[:, None, None] * np.log(total + floor)
    weight = np.exp(log - log.max(axis=1, keepdims=True))
    result = np.empty_like(weight)
    result[order] = weight / weight.sum(axis=1, keepdims=True)
    return result
