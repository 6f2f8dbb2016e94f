"""Hiding stations, as data: the folds, the batches that training sees, and the calibration of intervals.

The visible stations are dealt into folds. A batch takes one as hidden, and estimates it from the rest. Several members
are trained side by side; each has folds of its own that are never its targets, so that together they validate, and
calibrate, at every visible station.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

from ..aqnet.recipe import Recipe
from ..aqnet.station_side import in_units
from ..arrays import timesteps
from ..nn.advection import Advected
from ..nn.aqnet import AQNet, StationSide
from ..nn.estimate import apply_weights, predictor_difference, station_table
from .folds import Fold, TrainingData

# -- one batch -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Batch:
    """Estimates at hidden targets beside the truth, each ``(sample, step)``; ``day (sample,)`` is the lead day."""

    estimate: Tensor
    truth: Tensor
    parts: tuple[Tensor, Tensor, Tensor]
    day: Tensor


def hidden_estimates(
    network: AQNet,
    data: TrainingData,
    fold: Fold,
    starts: Tensor,
    recipe: Recipe,
    *,
    generator: torch.Generator | None = None,
    max_samples: int | None = None,
    start: Tensor | None = None,
) -> tuple[Batch, StationSide]:
    """Estimate a fold's targets over windows from the stations outside the fold.

    With a generator, neighbours are dropped at random and samples drawn, as in training. ``start`` is where the
    forecasts of the windows start; the network's own unless given.
    """
    config, device = network.config, data.truth.device
    window = data.record.window(
        starts, fold.visible, fold.residual, fold.residual_variance, fold.redundancy, fold.log_weight
    )
    side = network.station_side(window, start)
    n_window, n_target = len(starts), len(fold.targets)
    sample = torch.arange(n_window * config.target_days * n_target, device=device)
    if max_samples is not None and len(sample) > max_samples:
        sample = torch.randperm(len(sample), generator=generator)[:max_samples].to(device)
    which, rest = sample // (config.target_days * n_target), sample % (config.target_days * n_target)
    day, slot = rest // n_target, rest % n_target
    kept = _kept_neighbours(fold.neighbours[slot], config.k, generator)
    neighbours = fold.neighbours[slot].gather(1, kept)
    geometry = network.knn.geometry(data.unit[fold.targets[slot]], data.unit[neighbours])
    predictors = None
    if data.predictors is not None:
        predictors = predictor_difference(data.predictors[fold.targets[slot]], data.predictors[neighbours])
    weights, rows = network.cell_side(side, which * config.target_days + day, neighbours, geometry, predictors)
    steps = data.targets(starts, config.target_steps)
    table = _fold_table(side, fold, steps, recipe)
    advected = None
    if fold.advecting is not None:
        window_of = torch.searchsorted(data.train_starts, starts)[which]
        read = fold.advecting[slot[:, None], kept, window_of[:, None]].flatten(0, 1)
        advected = Advected(
            read, torch.arange(len(read), device=device).view_as(kept), torch.ones_like(weights.kriging)
        )
    estimate, parts = apply_weights(weights, rows, table, recipe.scaler.offset, advected)
    at = steps.reshape(n_window, config.target_days, -1)[which, day]
    truth = data.truth[fold.targets[slot][:, None], at]
    # Steps at which no neighbour says anything have no estimate; the table holds zeros there.
    silent = (
        ~torch.isfinite(fold.values[neighbours[:, :1], at])
        if side.z_hat is None
        else torch.zeros_like(at, dtype=torch.bool)
    )
    truth = torch.where(silent, torch.nan, truth)
    return Batch(estimate, truth, parts, day), side


def _fold_table(side: StationSide, fold: Fold, steps: Tensor, recipe: Recipe) -> Tensor:
    """Return the station-days of a batch of windows, rows ordered (window, day, station); zeros where there is nothing."""
    scaler, config = recipe.scaler, recipe.config
    if side.z_hat is None:
        values, variance = (v[:, steps].transpose(0, 1) for v in (fold.values, fold.variance))
    else:
        values = in_units(side.z_hat, scaler)
        variance = torch.zeros_like(values)
    pattern = "w n (d h) -> (w d n) h"
    values, variance = (rearrange(torch.nan_to_num(v), pattern, h=config.steps_per_day) for v in (values, variance))
    return station_table(values, variance, scaler.offset, recipe.covariance.sill, advects=config.advects)


def daily_means(forecast: Tensor, truth: Tensor, steps_per_day: int) -> tuple[Tensor, Tensor]:
    """Return daily means ``(window, station, day)`` of a forecast and of observations; NaN where too few are observed."""
    days, forecast = (rearrange(v, "w s (d h) -> w s d h", h=steps_per_day) for v in (truth, forecast))
    enough = torch.isfinite(days).sum(dim=-1) >= timesteps.DATA_CAPTURE * steps_per_day
    return forecast.mean(dim=-1), torch.where(enough, days.nanmean(dim=-1), torch.nan)


def _kept_neighbours(neighbours: Tensor, k: int, generator: torch.Generator | None) -> Tensor:
    """Return which k of each sample's neighbours are kept: the nearest; in training, each is missing with probability 0.1."""
    n, spare = neighbours.shape
    k = min(k, spare)
    if generator is None:
        return torch.arange(k, device=neighbours.device).expand(n, k)
    dropped = torch.rand(neighbours.shape, generator=generator).to(neighbours.device) < 0.1
    return torch.argsort(dropped.to(torch.int8), dim=1, stable=True)[:, :k].sort(dim=1).values
