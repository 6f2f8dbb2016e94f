"""What is chosen per group of leads, by the error of predictions: ridge strength, mixture weights."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from ..nn.base_forecast import LINEAR
from .scores import daily_means, mae_and_rmse, relative_score

#: Weights are chosen in steps of a tenth.
WEIGHT_STEPS = 10


def lead_groups(steps_per_day: int, n_lead: int) -> list[slice]:
    """Return the leads that share their weights: quarters of the first half day, its second half, whole days."""
    edges = [0, *(e for e in (steps_per_day // 4, steps_per_day // 2) if e)]
    edges += range(steps_per_day, n_lead + 1, steps_per_day)
    return [slice(a, b) for a, b in itertools.pairwise(sorted(set(edges)))]


def as_scored(estimates: Tensor, truth: Tensor, steps_per_day: int) -> tuple[Tensor, Tensor]:
    """Return estimates and observations as they are scored: by their daily mean where the leads are a whole day.

    Parameters
    ----------
    estimates : (candidate, window, station, lead)
    truth : (window, station, lead)
        NaN where not observed.
    steps_per_day : int

    Returns
    -------
    estimates : (candidate, n)
    truth : (n,)
        Only what is observed.
    """
    if truth.shape[-1] == steps_per_day:
        estimates, truth = daily_means(estimates, truth, steps_per_day)
    seen = torch.isfinite(truth)
    return estimates[:, seen], truth[seen]


def best_ridge(estimates: Tensor, truth: Tensor, steps_per_day: int) -> int:
    """Return the position of the ridge strength with the least sum of MAE and RMSE.

    Parameters
    ----------
    estimates : (ridge, window, station, lead)
        From the weakest to the strongest.
    truth : (window, station, lead)
        NaN where not observed.
    steps_per_day : int

    Returns
    -------
    int
        The last where nothing is observed: without evidence, the strongest ridge stays closest to climatology.
    """
    errors = [_mae_plus_rmse(candidate, truth, steps_per_day) for candidate in estimates]
    least = min(errors)
    return errors.index(least) if math.isfinite(least) else len(errors) - 1


def _mae_plus_rmse(estimate: Tensor, truth: Tensor, steps_per_day: int) -> float:
    """Return MAE plus RMSE as scored, infinite where nothing is observed."""
    (guess,), seen = as_scored(estimate[None], truth, steps_per_day)
    return float(mae_and_rmse(guess - seen).sum()) if len(seen) else math.inf


def best_mixture_weights(parts: Tensor, truth: Tensor, steps_per_day: int) -> Tensor:
    r"""Return the mixture weights with the least MAE and RMSE, both relative to those of the linear regression.

    .. math:: \pi = \arg\min_{\pi \ge 0,\, \sum_m \pi_m = 1} \;
        \frac{\text{MAE}(\pi)}{\text{MAE}_\text{lin}} + \frac{\text{RMSE}(\pi)}{\text{RMSE}_\text{lin}}

    Parameters
    ----------
    parts : (3, window, station, lead)
        Persistence, linear regression, log regression.
    truth : (window, station, lead)
        NaN where not observed.
    steps_per_day : int

    Returns
    -------
    Tensor, (3,)
        In steps of 0.1; the linear regression alone where nothing is observed.
    """
    parts, truth = as_scored(parts, truth, steps_per_day)
    best, least = torch.eye(3)[LINEAR], math.inf
    if not len(truth):
        return best.to(parts.device)
    reference = mae_and_rmse(parts[LINEAR] - truth)
    for i, j in itertools.product(range(WEIGHT_STEPS + 1), repeat=2):
        if i + j > WEIGHT_STEPS:
            continue
        weights = torch.tensor([i, j, WEIGHT_STEPS - i - j]) / WEIGHT_STEPS
        mixture = torch.einsum("m,mn->n", weights.to(parts.device), parts)
        score = float(relative_score(mae_and_rmse(mixture - truth), reference))
        if score < least:
            best, least = weights, score
    return best.to(parts.device)
