"""What a trained analysis gains over kriging, trend included, at the stations hidden in turn that validate it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..aqnet.recipe import Recipe
from ..interpolate.base import Observations
from ..interpolate.classical import OrdinaryKriging
from ..interpolate.leave_one_out import mae_and_rmse
from ..nn.aqnet import Network
from .calibrate import hidden_batches
from .data import TrainingData


class _Residuals(NamedTuple):
    """Observation less estimate ``(n,)``, and the ``station`` and the ``step`` of the record of each."""

    residual: NDArray[np.float64]
    station: NDArray[np.intp]
    step: NDArray[np.intp]


def errors_beside_kriging(
    members: Sequence[Network], data: TrainingData, recipe: Recipe, observed: Observations
) -> dict[str, float]:
    r"""Return the errors of an analysis and of tuned kriging at the same observations of stations hidden in turn.

    The residuals of training are those of ratios to a trend. The trend at an observation is what it is divided by,
    :math:`\varphi = y / y'`, so that

    .. math:: y - \hat y = \varphi\,(y' - \hat y').

    Observations of zero do not show the trend and are left out, for both methods.

    Parameters
    ----------
    members : sequence of Network
        One for each entry of ``data.validation``.
    data : TrainingData
        Ratios.
    recipe : Recipe
    observed : Observations
        The same stations before the trend was removed, in the target's units.

    Returns
    -------
    dict of str to float
        ``analysis_mae``, ``analysis_rmse``, ``kriging_mae`` and ``kriging_rmse`` in the target's units; empty where nothing
        can be compared.
    """
    found = _validation_residuals(members, data, recipe)
    times = data.begin + data.steps.cpu().numpy() * np.timedelta64(recipe.step_seconds, "s")
    values, ratios = observed.at(times), data.truth.cpu().numpy()
    hidden_ratio = np.ones(len(values))
    for fold in data.folds:
        targets = fold.targets.cpu().numpy()
        hidden_ratio[targets] = fold.ratio.cpu().numpy()[targets]
    own = found.station, found.step
    with np.errstate(divide="ignore", invalid="ignore"):
        residual = found.residual * values[own] / (ratios[own] * hidden_ratio[found.station])
    steps, position = np.unique(found.step, return_inverse=True)
    kriged = _kriging_residuals(observed, times[steps], data, seed=recipe.seed)[found.station, position]
    both = np.isfinite(residual) & np.isfinite(kriged)
    if not both.any():
        return {}
    errors = {"analysis": mae_and_rmse(residual[both]), "kriging": mae_and_rmse(kriged[both])}
    return {f"{name}_{score}": value for name, pair in errors.items() for score, value in pair._asdict().items()}


@torch.no_grad()
def _validation_residuals(members: Sequence[Network], data: TrainingData, recipe: Recipe) -> _Residuals:
    """Return the residuals of the validation windows; each fold is estimated by the member that never learned from it."""
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for fold, starts, batch in hidden_batches(members, data, recipe, data.validation_batches()):
        seen, samples = torch.isfinite(batch.truth), batch.samples
        first = starts[samples.window] + samples.day * recipe.config.steps_per_day
        step = first[:, None] + torch.arange(seen.shape[1], device=first.device)
        station = data.folds[fold].targets[samples.target][:, None].expand_as(seen)
        found.append(((batch.truth - batch.estimate.clamp(min=0.0))[seen], station[seen], step[seen]))
    pooled = [torch.cat(each).cpu().numpy() for each in zip(*found, strict=True)]
    return _Residuals(pooled[0].astype(float), pooled[1], pooled[2])


def _kriging_residuals(
    observed: Observations, times: NDArray[np.datetime64], data: TrainingData, *, seed: int
) -> NDArray[np.float64]:
    """Return observation less kriging ``(station, time)``, each station estimated without those of its fold."""
    kriging = OrdinaryKriging.fit(observed, seed=seed)
    values, lon, lat = observed.at(times), observed.lon, observed.lat
    residual = np.full(values.shape, np.nan)
    for fold in data.folds:
        targets, others = fold.targets.cpu().numpy(), np.flatnonzero(fold.visible.cpu().numpy())
        seen = Observations(observed.values[others], lon[others], lat[others], observed.times)
        made = kriging.estimate(kriging.prepare(seen, times), lon[targets], lat[targets])
        residual[targets] = values[targets] - np.maximum(made.value, 0.0)
    return residual
