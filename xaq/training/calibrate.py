"""The calibration of intervals on residuals at hidden stations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls

from ..aqnet.recipe import Interval, Recipe
from ..nn.aqnet import Network
from .data import TrainingData
from .hidden import hidden_estimates

_PROBABILITIES = tuple(np.round(np.concatenate([[0.005], np.linspace(0.01, 0.99, 99), [0.995]]), 4).tolist())
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
    """

    residual: NDArray[np.float64]
    parts: NDArray[np.float64]
    day: NDArray[np.intp]


def calibrate(members: Sequence[Network], data: TrainingData, recipe: Recipe) -> Interval:
    r"""Fit the distribution of residuals to stations hidden in turn.

    Each fold is estimated by the member that never learned from it; a forecast is calibrated on the validation windows.
    The quantiles are those of the ratio of residual to spread, as in cross-conformal prediction (Vovk 2015), without its
    guarantee:

    .. math:: \frac{y - \hat y}{(\zeta_0 + \zeta_1 \hat y^+ + \zeta_2 \sigma_w) \sqrt{v + (\sum_i w_i \sqrt{u_i})^2}}

    with the letters of :class:`xaq.aqnet.recipe.Interval`.

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
    quantiles = quantiles_by_day(ratio, residuals.day, recipe.config.target_days)
    return Interval(tuple(coefficients.tolist()), _PROBABILITIES, quantiles)


@torch.no_grad()
def hidden_residuals(members: Sequence[Network], data: TrainingData, recipe: Recipe) -> Residuals:
    """Return the residuals of the validation windows at stations hidden in turn; see :func:`calibrate`."""
    residuals, parts, days = [], [], []
    for member, network in enumerate(members):
        network.eval()
        for fold in data.validation[member] if recipe.config.task == "analysis" else range(len(data.folds)):
            for starts in data.validation_batches():
                batch = hidden_estimates(network, data, data.folds[fold], starts, recipe)
                seen = torch.isfinite(batch.truth)
                residuals.append((batch.truth - batch.estimate.clamp(min=0.0))[seen])
                parts.append(torch.stack([part[seen] for part in batch.parts], dim=1))
                days.append(batch.day[:, None].expand_as(batch.truth)[seen])
    residual, part, day = (torch.cat(x).cpu().numpy() for x in (residuals, parts, days))
    thin = slice(None, None, max(1, len(residual) // _MOST_RESIDUALS))
    return Residuals(residual[thin].astype(float), part[thin].astype(float), day[thin])


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


def quantiles_by_day(ratio: NDArray[np.float64], day: NDArray[np.intp], n_days: int) -> tuple[tuple[float, ...], ...]:
    """Return the quantiles of ``ratio (n,)`` for each lead day; those of all days where a day has few values.

    Parameters
    ----------
    ratio : (n,)
        Residual over spread.
    day : (n,) int
        Lead day of each, from 0.
    n_days : int

    Returns
    -------
    tuple of tuple of float
        A row per lead day, a column per probability.
    """
    rows = []
    for d in range(n_days):
        own = ratio[day == d]
        chosen = own if len(own) > _LEAST_RESIDUALS else ratio
        rows.append(tuple(np.quantile(chosen, _PROBABILITIES).tolist()))
    return tuple(rows)
