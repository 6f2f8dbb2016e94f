"""Errors at stations that are held out in turn, as normal scores: what the covariance of errors is fitted to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from ..arrays import sphere
from ..arrays.transforms import to_log
from .base import Estimate, Mapper, Observations

#: Folds that stations are dealt into.
FOLDS = 10
#: Probabilities at which a distribution is inverted; normal scores lie between those of the first and the last.
PROBABILITIES = np.round(np.concatenate([[0.005], np.linspace(0.01, 0.99, 99), [0.995]]), 4)
#: Station-steps that a mapper estimates at most, in runs of so many days; of a large network, in shorter ones, but so many of them.
MOST_SCORES, RUN_DAYS, _RUNS = 600_000, 32, 8


@dataclass(frozen=True)
class HeldOutScores:
    """Normal scores of errors at stations that are held out in turn.

    Attributes
    ----------
    scores : (window, station, step) float32
        Standard normal where the distributions are calibrated; NaN where there is no error. Steps of a window are
        consecutive; an analysis has one window, a forecast one for each init time.
    scale : (window, station, step) float32
        Scale of the distributions, on the scale of their errors: an error weighs in a mean by it. Of any unit.
    fold : (station,) int
        The fold of each station: those of a fold were held out together.
    lon, lat : (station,) degrees
    step_hours : float
    """

    scores: NDArray[np.float32]
    scale: NDArray[np.float32]
    fold: NDArray[np.intp]
    lon: NDArray
    lat: NDArray
    step_hours: float


def deal_stations(lon: NDArray, lat: NDArray, seed: int) -> NDArray[np.intp]:
    """Deal stations into at most :data:`FOLDS` folds of nearly equal size; co-located stations share one.

    Parameters
    ----------
    lon, lat : (station,) degrees
    seed : int

    Returns
    -------
    (station,) int
        The fold of each.
    """
    group = sphere.colocated_groups(lon, lat)
    places = np.random.default_rng([seed, 3]).permutation(np.unique(group))
    fold_of_place = np.empty(group.max() + 1, int)
    fold_of_place[places] = np.arange(len(places)) % min(FOLDS, len(places))
    return fold_of_place[group]


def normal_scores(error: NDArray, quantiles: NDArray) -> NDArray[np.float32]:
    """Return standard normal quantiles at the probabilities of standardised errors.

    Parameters
    ----------
    error : (...)
        (Observation - estimate) / scale; NaN where missing.
    quantiles : (probability,)
        Of the distribution of such errors at :data:`PROBABILITIES`, ascending.
    """
    seen = np.isfinite(error)
    scores = np.full(error.shape, np.nan, np.float32)
    scores[seen] = ndtri(np.interp(error[seen], quantiles, PROBABILITIES))
    return scores


def standard_quantiles(standard_quantile: Callable[[float], ArrayLike]) -> NDArray[np.float64]:
    """Return the quantiles of a standardised error at :data:`PROBABILITIES`, ``(probability,)`` or ``(time, probability)``."""
    return np.stack([np.asarray(standard_quantile(p), float) for p in PROBABILITIES], axis=-1)


def standardised(made: Estimate, observed: NDArray) -> NDArray:
    """Return (observation - estimate) / scale, on the scale of the estimate's errors; an estimate is at least 0."""
    assert made.scale is not None
    value = np.maximum(made.value, 0.0)
    if made.offset is None:
        error = observed - value
    else:
        error = to_log(np.maximum(observed, 0.0), made.offset) - to_log(value, made.offset)
    return error / np.maximum(made.scale, 1e-12)


def held_out_scores(mapper: Mapper, observations: Observations, *, seed: int = 0) -> HeldOutScores:
    """Hold stations out in turn, and estimate them with a mapper of an analysis from the others.

    Parameters
    ----------
    mapper : Mapper
        Fitted, with a distribution.
    observations : Observations
        Of the visible stations.
    seed : int
        Of the deal of stations into folds.

    Returns
    -------
    HeldOutScores
        Over the whole record; where that is long, over runs of days spread over it, missing elsewhere.
    """
    lon, lat, times = observations.lon, observations.lat, observations.times
    fold_of = deal_stations(lon, lat, seed)
    step = times[1] - times[0] if len(times) > 1 else np.timedelta64(1, "h")
    hours = float(step / np.timedelta64(1, "h"))
    scores, scale = (np.full((1, len(lon), len(times)), np.nan, np.float32) for _ in range(2))
    for run in runs_of_steps(len(times), max(1, round(RUN_DAYS * 24 / hours)), MOST_SCORES // len(lon)):
        for fold in range(fold_of.max() + 1):
            targets, others = np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)
            if not len(others):
                continue
            made = _estimate(mapper, observations, others, targets, times[run], hours)
            quantiles = standard_quantiles(made.standard_quantile)
            error = standardised(made, observations.values[targets, run])
            by_time = np.broadcast_to(quantiles, (error.shape[1], quantiles.shape[-1]))
            scores[0, targets, run] = np.stack(
                [normal_scores(e, q) for e, q in zip(error.T, by_time, strict=True)], axis=1
            )
            scale[0, targets, run] = made.scale
    return HeldOutScores(scores, scale, fold_of, lon, lat, hours)


def runs_of_steps(n_step: int, length: int, most: int) -> list[slice]:
    """Return runs of consecutive steps, evenly spread, that hold at most about ``most`` steps; all steps where they fit.

    They have ``length`` steps, or fewer where there would be less than eight of them: seasons are to be among them.
    """
    length = max(1, min(length, most // _RUNS))
    n_run = -(-n_step // length)
    kept = np.unique(np.linspace(0, n_run - 1, min(n_run, max(1, most // length))).astype(int))
    return [slice(int(i) * length, min((int(i) + 1) * length, n_step)) for i in kept]


def _estimate(
    mapper: Mapper,
    observations: Observations,
    others: NDArray[np.intp],
    targets: NDArray[np.intp],
    times: NDArray[np.datetime64],
    hours: float,
) -> Estimate:
    """Estimate ``targets`` from the ``others`` at some consecutive times, whose margins the mapper reads too."""
    day = max(1, round(24 / hours))
    before, after = (days * day for days in mapper.margin_days)
    first, last = np.searchsorted(observations.times, times[[0, -1]])
    read = slice(max(0, first - before), last + 1 + after)
    seen = Observations(
        observations.values[others, read], observations.lon[others], observations.lat[others], observations.times[read],
        observations.covariates[:, others, read] if len(observations.covariates) else observations.covariates,
    )  # fmt: skip
    return mapper.estimate(mapper.prepare(seen, times), observations.lon[targets], observations.lat[targets])
