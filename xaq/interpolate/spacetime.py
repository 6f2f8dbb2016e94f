"""Ordinary kriging in space and time with a separable covariance. NumPy only.

The covariance is ``C(d, t) = exp(-d / range) exp(-|t| / range in time)`` with sill 1, plus a nugget on the diagonal
(relative to the sill). Neighbours are the k nearest stations, each at a few lags around the hour: systems stay small
and are solved exactly, without the entries that are missing. Cressie & Wikle (2011), Statistics for Spatio-Temporal
Data, section 6.1.

Throughout, ``series`` is ``(n_lag, n_station, n_time)``: the values that lie each lag away from each time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import SchemaError
from . import kriging, leave_one_out
from .kriging import Covariance

#: Entries of the systems solved at once; 4 million in float64 are 32 MB.
_BATCH_ENTRIES = 4_000_000
#: An improvement of the squared error below this share is noise: the search stops there.
_GAIN = 1e-4


@dataclass(frozen=True)
class SpaceTimeCovariance:
    """Separable exponential covariance: ranges in km and in hours; ``nugget`` and ``sill`` as in ``Covariance``."""

    range_km: float
    range_hours: float
    nugget: float
    sill: float = 1.0


def default_lags(step_hours: float) -> tuple[float, ...]:
    """Return the lags in hours that serve as neighbours in time: a step before, none, a step after."""
    return (-step_hours, 0.0, step_hours)


def weights(
    place: NDArray[np.intp],
    missing: NDArray[np.bool_],
    d_target: NDArray,
    d_neighbours: NDArray,
    lags_hours: tuple[float, ...],
    covariance: SpaceTimeCovariance,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Solve one system per target and pattern of missing entries.

    Parameters
    ----------
    place : (n,) int
        Row of the distances that each system belongs to.
    missing : (n, n_lag * k) bool
        Entries without a value, lag by lag.
    d_target : (n_place, k) km
    d_neighbours : (n_place, k, k) km
    lags_hours : n_lag hours
        Relative to the time estimated.
    covariance : SpaceTimeCovariance

    Returns
    -------
    weights : (n, n_lag * k)
        They sum to one; zeros throughout where every entry is missing.
    variance : (n,)
        Kriging variance of a new observation, relative to the sill.
    """
    lags = np.asarray(lags_hours)
    in_time = np.exp(-np.abs(lags[:, None] - lags) / covariance.range_hours)
    to_time = np.exp(-np.abs(lags) / covariance.range_hours)
    in_space, to_space = np.exp(-d_neighbours / covariance.range_km), np.exp(-d_target / covariance.range_km)
    n, size = missing.shape
    solved, variance = np.zeros((n, size)), np.zeros(n)
    batch = max(1, _BATCH_ENTRIES // size**2)
    for start in range(0, n, batch):
        part = slice(start, start + batch)
        at, gone = place[part], missing[part]
        between = np.einsum("ab,nij->naibj", in_time, in_space[at]).reshape(-1, size, size)
        to_target = np.einsum("a,ni->nai", to_time, to_space[at]).reshape(-1, size)
        solved[part], variance[part] = kriging.solve_ordinary(between, to_target, covariance.nugget, gone)
    return solved, variance


def fit_covariance(
    series: NDArray,
    lon: NDArray,
    lat: NDArray,
    pairs: NDArray[np.intp],
    lags_hours: tuple[float, ...],
    start: Covariance,
    k: int,
) -> SpaceTimeCovariance:
    """Fit both ranges and the nugget by leave-one-station-out cross-validation, and the sill to the residuals.

    Parameters
    ----------
    series, lon, lat, pairs, lags_hours, k
        As for :func:`leave_one_out`; visible stations, training period; the truth at the pairs is in ``series``.
    start : Covariance
        Of kriging in space alone.

    Returns
    -------
    SpaceTimeCovariance
        The least squared error found: the best of a few ranges in time with ``start``, then one parameter after the
        other doubled or halved for as long as that helps.
    """
    if not len(pairs):
        raise SchemaError("no observation to fit a covariance to")
    truth = series[lags_hours.index(0.0)][pairs[:, 0], pairs[:, 1]].astype(np.float64)
    reach = max(lags_hours)
    ranges = leave_one_out.candidate_ranges(lon, lat)
    bounds = {
        "range_km": (ranges[0], ranges[-1]),
        "range_hours": (0.1 * reach, 1000 * reach),
        "nugget": (0.001, 3.0),
    }
    firsts = [SpaceTimeCovariance(start.range_km, x * reach, start.nugget) for x in (0.3, 3.0, 12.0, 48.0, 192.0)]
    tiny = float(np.finfo(float).tiny)
    # Which pairs have a neighbour at all does not depend on the covariance.
    seen = np.isfinite(predict_left_out(series, lon, lat, pairs, lags_hours, firsts[0], k)[0])
    if not seen.any():
        return replace(firsts[1], sill=max(float(truth.var()), tiny))
    pairs, truth = pairs[seen], truth[seen]

    def error(candidate: SpaceTimeCovariance) -> float:
        estimate, _ = predict_left_out(series, lon, lat, pairs, lags_hours, candidate, k)
        return float(np.mean((truth - estimate) ** 2))

    errors = [error(c) for c in firsts]
    best, best_error = firsts[int(np.argmin(errors))], min(errors)
    improving = True
    while improving:
        improving = False
        for name, (low, high) in bounds.items():
            for factor in (2.0, 0.5):
                candidate = replace(best, **{name: float(np.clip(getattr(best, name) * factor, low, high))})
                while candidate != best and (new := error(candidate)) < (1 - _GAIN) * best_error:
                    best, best_error, improving = candidate, new, True
                    candidate = replace(best, **{name: float(np.clip(getattr(best, name) * factor, low, high))})
    estimate, variance = predict_left_out(series, lon, lat, pairs, lags_hours, best, k)
    return replace(best, sill=max(float(np.mean((truth - estimate) ** 2 / variance)), tiny))


def predict_left_out(
    series: NDArray,
    lon: NDArray,
    lat: NDArray,
    pairs: NDArray[np.intp],
    lags_hours: tuple[float, ...],
    covariance: SpaceTimeCovariance,
    k: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Krige the named (station, time) pairs from the other stations; see :meth:`xaq.interpolate.leave_one_out.LeaveOneOut.predict`.

    The predicted station is no neighbour of itself at any lag, nor is a co-located one.
    """
    index, d_target, d_neighbours = leave_one_out.other_stations(lon, lat, k)
    station, time = pairs[:, 0], pairs[:, 1]
    near = series[:, index[station], time[:, None]].transpose(1, 0, 2).astype(np.float64)
    elsewhere = np.isfinite(d_target)
    missing = (~np.isfinite(near) | ~elsewhere[station][:, None, :]).reshape(len(pairs), -1)
    solved, variance = weights(
        station, missing, np.where(elsewhere, d_target, 0.0), d_neighbours, lags_hours, covariance
    )
    estimate = (solved * np.where(missing, 0.0, near.reshape(missing.shape))).sum(axis=1)
    return np.where(missing.all(axis=1), np.nan, estimate), variance
