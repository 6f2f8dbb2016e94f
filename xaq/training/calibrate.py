"""Hiding stations, as data: the folds, the batches that training sees, and the calibration of intervals.

The visible stations are dealt into folds. A batch takes one as hidden, and estimates it from the rest. Several members
are trained side by side; each has folds of its own that are never its targets, so that together they validate, and
calibrate, at every visible station.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import nnls

from ..aqnet.recipe import Interval, Recipe
from ..nn.aqnet import AQNet
from .folds import TrainingData
from .hidden import hidden_estimates

_PROBABILITIES = tuple(np.round(np.concatenate([[0.005], np.linspace(0.01, 0.99, 99), [0.995]]), 4).tolist())


# -- calibration ---------------------------------------------------------------------------------------------------


@torch.no_grad()
def calibrate(members: Sequence[AQNet], data: TrainingData, recipe: Recipe) -> Interval:
    """Fit the interval to residuals at stations hidden in turn: conformal quantiles of residual / spread.

    Each fold is estimated by the member that never learned from it; a forecast is calibrated on the validation windows.
    """
    config = recipe.config
    residuals, parts, days = [], [], []
    for member, network in enumerate(members):
        network.eval()
        for fold in data.validation[member] if config.task == "analysis" else range(len(data.folds)):
            for starts in data.validation_batches():
                batch, _ = hidden_estimates(network, data, data.folds[fold], starts, recipe)
                seen = torch.isfinite(batch.truth)
                residuals.append((batch.truth - batch.estimate.clamp(min=0.0))[seen])
                parts.append(torch.stack([p[seen] for p in batch.parts], dim=1))
                days.append(batch.day[:, None].expand_as(batch.truth)[seen])
    residual, part, day = (torch.cat(x).cpu().numpy() for x in (residuals, parts, days))
    # Thinned to a bounded problem; the least squares and the quantiles need no more.
    thin = slice(None, None, max(1, len(residual) // 400_000))
    residual, part, day = residual[thin].astype(float), part[thin].astype(float), day[thin]
    scale = part.mean(axis=0) + 1e-12
    solution, _ = nnls(part / scale, np.abs(residual))
    coefficients = solution / scale
    if not (coefficients > 0).any():
        coefficients = np.array([max(float(np.abs(residual).mean()), 1e-6), 0.0, 0.0])
    ratio = residual / np.maximum(part @ coefficients, 1e-12)
    rows = []
    for d in range(config.target_days):
        own = ratio[day == d]
        rows.append(tuple(np.quantile(own if len(own) > 50 else ratio, _PROBABILITIES).tolist()))
    return Interval(tuple(coefficients.tolist()), _PROBABILITIES, tuple(rows))
