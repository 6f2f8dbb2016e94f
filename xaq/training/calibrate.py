"""The calibration of intervals on residuals at hidden stations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls
from torch import Tensor

from ..aqnet.recipe import Interval, Recipe
from ..errors import ModelError
from ..interpolate.error_covariance import ErrorCovariance, fit_error_covariance
from ..interpolate.held_out import MOST_SCORES, PROBABILITIES, RUN_DAYS, HeldOutScores, normal_scores, runs_of_steps
from ..nn.aqnet import Network
from .data import TrainingData
from .hidden import HiddenEstimates, hidden_estimates

#: Residuals used at most; least squares and quantiles need no more.
_MOST_RESIDUALS = 400_000
#: A lead day with no more residuals than this takes the quantiles of all lead days.
_LEAST_RESIDUALS = 50


@dataclass(frozen=True)
class Residuals:
    """Residuals at hidden stations where observed.

    Attributes
    ----------
    residual : (n,)
        Observation minus estimate, in the target's units.
    parts : (n, 3)
        What the spread of each estimate is made of, in the same units.
    day : (n,) int
        Lead day, from 0.
    fold : (n,) int
        The fold of its station.
    """

    residual: NDArray[np.float64]
    parts: NDArray[np.float64]
    day: NDArray[np.intp]
    fold: NDArray[np.intp]


def calibrate(members: Sequence[Network], data: TrainingData, recipe: Recipe) -> Interval:
    r"""Fit the distribution of residuals to stations hidden in turn.

    Each fold is estimated by the member that never learned from it; a forecast is calibrated on the validation windows.
    The quantiles are those of the ratio of residual to spread, as in cross-conformal prediction (Vovk 2015), without its
    guarantee:

    .. math:: \frac{y - \hat y}{(\zeta_0 + \zeta_1 \hat y^+ + \zeta_2 \sigma_w) \sqrt{v + (\sum_i w_i \sqrt{u_i})^2}}

    with the letters of :class:`xaq.aqnet.recipe.Interval`. They are widened by what they miss at stations that had no part in
    them (:func:`held_out_quantiles`).

    Parameters
    ----------
    members : sequence of Network
        One for each entry of ``data.validation``.
    data : TrainingData
    recipe : Recipe

    Returns
    -------
    Interval
    """
    residuals = hidden_residuals(members, data, recipe)
    coefficients = fit_spread(residuals)
    ratio = residuals.residual / np.maximum(residuals.parts @ coefficients, 1e-12)
    quantiles = quantiles_by_day(ratio, residuals.day, residuals.fold, recipe.config.target_days)
    return Interval(tuple(coefficients.tolist()), tuple(PROBABILITIES.tolist()), quantiles)


@torch.no_grad()
def hidden_residuals(members: Sequence[Network], data: TrainingData, recipe: Recipe) -> Residuals:
    """Return the residuals of the validation windows at stations hidden in turn; see :func:`calibrate`."""
    residuals, parts, days, folds = [], [], [], []
    for fold, _, batch in hidden_batches(members, data, recipe, data.validation_batches()):
        seen = torch.isfinite(batch.truth)
        residuals.append((batch.truth - batch.estimate.clamp(min=0.0))[seen])
        parts.append(torch.stack([part[seen] for part in batch.parts], dim=1))
        days.append(batch.samples.day[:, None].expand_as(batch.truth)[seen])
        folds.append(torch.full_like(days[-1], fold))
    residual, part, day, number = (torch.cat(x).cpu().numpy() for x in (residuals, parts, days, folds))
    thin = slice(None, None, max(1, len(residual) // _MOST_RESIDUALS))
    return Residuals(residual[thin].astype(float), part[thin].astype(float), day[thin], number[thin])


def hidden_batches(
    members: Sequence[Network], data: TrainingData, recipe: Recipe, batches: Sequence[Tensor]
) -> Iterator[tuple[int, Tensor, HiddenEstimates]]:
    """Yield fold, window starts and estimates of each fold by the member that never learned from it, some windows at a time."""
    for member, network in enumerate(members):
        network.eval()
        for fold in data.validation[member] if recipe.config.task == "analysis" else range(len(data.folds)):
            for starts in batches:
                yield fold, starts, hidden_estimates(network, data, data.folds[fold], starts, recipe)


@torch.no_grad()
def hidden_scores(
    members: Sequence[Network], data: TrainingData, recipe: Recipe, interval: Interval, lon: NDArray, lat: NDArray
) -> HeldOutScores:
    """Return the normal scores of errors at stations hidden in turn, to which the covariance of errors is fitted.

    Of an analysis, over the whole record, or runs of days spread over it where that is long; of a forecast, in the
    validation windows.

    Parameters
    ----------
    members : sequence of Network
        One for each entry of ``data.validation``.
    data : TrainingData
    recipe : Recipe
    interval : Interval
        As :func:`calibrate` returned it.
    lon, lat : (station,) degrees
        Of the stations.

    Returns
    -------
    HeldOutScores
    """
    config, n_station = recipe.config, len(lon)
    analysis, per_day = config.task == "analysis", config.steps_per_day
    starts = data.train_starts if analysis else data.validation_starts
    if analysis:
        runs = runs_of_steps(len(starts), RUN_DAYS, MOST_SCORES // (n_station * per_day))
        starts = torch.cat([starts[run] for run in runs])
    first = data.steps[starts].cpu().numpy()
    shape = (1, n_station, int(first.max()) + per_day) if analysis else (len(starts), n_station, config.target_steps)
    scores, scale = (np.full(shape, np.nan, np.float32) for _ in range(2))
    fold_of, quantiles = np.full(n_station, -1), np.array(interval.quantiles)
    for fold, some, batch in hidden_batches(members, data, recipe, data.batches(starts)):
        parts = [c * part for c, part in zip(interval.coefficients, batch.parts, strict=True)]
        spread = (parts[0] + parts[1] + parts[2]).clamp(min=1e-12)
        error = ((batch.truth - batch.estimate.clamp(min=0.0)) / spread).cpu().numpy()
        window = torch.searchsorted(starts, some)[batch.samples.window].cpu().numpy()
        station = data.folds[fold].targets[batch.samples.target].cpu().numpy()
        day = batch.samples.day.cpu().numpy()
        step = day[:, None] * per_day + np.arange(per_day) + (first[window, None] if analysis else 0)
        fold_of[station] = fold
        for d in np.unique(day):
            own = day == d
            row = np.zeros_like(window) if analysis else window
            at = row[own, None], station[own, None], step[own]
            scores[at], scale[at] = normal_scores(error[own], quantiles[d]), spread.cpu().numpy()[own]
    return HeldOutScores(scores, scale, fold_of, lon, lat, 24 / per_day)


def fit_errors(
    members: Sequence[Network], data: TrainingData, recipe: Recipe, interval: Interval, lon: NDArray, lat: NDArray
) -> ErrorCovariance | None:
    """Fit the covariance of errors at stations hidden in turn; None where there are too few of them.

    Parameters
    ----------
    members, data, recipe, interval, lon, lat
        As :func:`hidden_scores` takes them.

    Returns
    -------
    ErrorCovariance or None
    """
    held_out = hidden_scores(members, data, recipe, interval, lon, lat)
    try:
        # The errors of a forecast are those of the forecast at the stations too: it is conditioned on none.
        return fit_error_covariance(held_out, recipe.covariance if recipe.config.task == "analysis" else None)
    except ModelError:
        return None


def fit_spread(residuals: Residuals) -> NDArray[np.float64]:
    r"""Fit the coefficients of the spread to absolute residuals by non-negative least squares.

    .. math:: \min_{\zeta \ge 0} \sum \Big(|y - \hat y|
        - (\zeta_0 + \zeta_1 \hat y^+ + \zeta_2 \sigma_w) \sqrt{v + (\textstyle\sum_i w_i \sqrt{u_i})^2}\Big)^2

    Parameters
    ----------
    residuals : Residuals

    Returns
    -------
    (3,) float
        Where no part explains the residuals: their mean absolute value as that of the first part.
    """
    size = np.abs(residuals.residual)
    scale = residuals.parts.mean(axis=0) + 1e-12
    solution, _ = nnls(residuals.parts / scale, size)
    coefficients = solution / scale
    if not (coefficients > 0).any():
        return np.array([max(float(size.mean()), 1e-6), 0.0, 0.0])
    return coefficients


def quantiles_by_day(
    ratio: NDArray[np.float64], day: NDArray[np.intp], fold: NDArray[np.intp], n_days: int
) -> tuple[tuple[float, ...], ...]:
    """Return the quantiles of ``ratio (n,)`` for each lead day; those of all days where a day has few values.

    Parameters
    ----------
    ratio : (n,)
        Residual over spread.
    day, fold : (n,) int
        Lead day of each, from 0, and the fold of its station.
    n_days : int

    Returns
    -------
    tuple of tuple of float
        A row per lead day, a column per probability.
    """
    rows = []
    for d in range(n_days):
        own = day == d if np.count_nonzero(day == d) > _LEAST_RESIDUALS else np.ones_like(day, bool)
        rows.append(tuple(held_out_quantiles(ratio[own], fold[own]).tolist()))
    return tuple(rows)


def held_out_quantiles(ratio: NDArray[np.float64], fold: NDArray[np.intp]) -> NDArray[np.float64]:
    r"""Return quantiles that hold at stations which had no part in them, ``(probability,)``.

    The quantiles of a few stations are too narrow for another one, however many hours they are made of.

    Parameters
    ----------
    ratio : (n,)
    fold : (n,) int

    Notes
    -----
    With :math:`Q_{-f}(p)` the quantile of the ratios outside fold f, the fraction of ratios below that of their own fold is

    .. math:: g(p) = \frac1n \sum_f \#\{i \in f: r_i \le Q_{-f}(p)\} .

    The quantile at :math:`p` is that of all ratios at :math:`g^{-1}(p)`.
    """
    quantiles, below = np.quantile(ratio, PROBABILITIES), np.zeros(len(PROBABILITIES))
    folds = np.unique(fold)
    if len(folds) < 2:
        return quantiles
    for number in folds:
        own = np.sort(ratio[fold == number])
        below += np.searchsorted(own, np.quantile(ratio[fold != number], PROBABILITIES), side="right")
    held: NDArray[np.float64] = np.interp(PROBABILITIES, below / len(ratio), quantiles)
    return held
