"""Estimates at hidden stations: one batch of a fold's targets, estimated from the stations outside the fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from ..aqnet.recipe import Recipe
from ..aqnet.station_side import in_units
from ..nn.advection import Advected
from ..nn.aqnet import AnalysisNetwork, Network, StationSide
from ..nn.config import AQNetConfig
from ..nn.estimate import apply_weights, station_table
from .data import TrainingData
from .folds import Fold, FoldSeries

#: Probability with which a neighbour is missing from a sample in training.
_DROPPED = 0.1


@dataclass(frozen=True)
class HiddenEstimates:
    """Estimates at hidden targets beside the observations there.

    Attributes
    ----------
    estimate, truth : (sample, step)
        A day of each sample, in the target's units; ``truth`` is NaN where there is nothing to compare.
    parts : tuple of (sample, step)
        What the spread of an estimate is made of, from :func:`xaq.nn.estimate.apply_weights`.
    samples : Samples
        Which days of which targets these are.
    z_hat : (window, station, step), optional
        The forecast at the stations, in z; None in an analysis.
    """

    estimate: Tensor
    truth: Tensor
    parts: tuple[Tensor, Tensor, Tensor]
    samples: Samples
    z_hat: Tensor | None = None


@dataclass(frozen=True)
class Samples:
    """Which days of which targets a batch estimates, and from which neighbours.

    Attributes
    ----------
    window : (sample,) int
        Position of the window in the batch.
    day : (sample,) int
        Target day of the window.
    target : (sample,) int
        Position of the target in the fold.
    kept : (sample, k) int
        Positions of its neighbours among those of the fold.
    """

    window: Tensor
    day: Tensor
    target: Tensor
    kept: Tensor

    def neighbours(self, fold: Fold) -> Tensor:
        """Return the neighbours as stations, ``(sample, k)``."""
        return fold.neighbours[self.target].gather(1, self.kept)


def hidden_estimates(
    network: Network,
    data: TrainingData,
    fold: Fold,
    starts: Tensor,
    recipe: Recipe,
    *,
    generator: torch.Generator | None = None,
    max_samples: int | None = None,
    base_forecast: Tensor | None = None,
) -> HiddenEstimates:
    """Estimate a fold's targets from the stations outside the fold.

    Parameters
    ----------
    network : Network
    data : TrainingData
    fold : Fold
        Its series are made for ``data.train_starts``.
    starts : (window,) int
        Steps of the record at which the targets of the windows begin.
    recipe : Recipe
    generator : torch.Generator, optional
        Draws the neighbours that are dropped and the samples, as training does. By default the nearest neighbours are kept.
    max_samples : int, optional
        Samples at most, drawn at random; all targets and days by default.
    base_forecast : (window, station, step), optional
        Of the windows, in z; the network makes its own by default.

    Returns
    -------
    HiddenEstimates
    """
    side = _station_side(network, data, fold, starts, base_forecast)
    samples = draw_samples(network.config, fold, len(starts), generator=generator, max_samples=max_samples)
    neighbours, targets = samples.neighbours(fold), fold.targets[samples.target]
    geometry = network.knn.geometry_among(data.unit, targets, neighbours)
    window_day = samples.window * network.config.target_days + samples.day
    weights, rows = network.cell_side(side, window_day, neighbours, geometry)
    if fold.series is None:
        table, advected = _forecast_table(side, recipe), None
    else:
        day = data.positions(starts)[samples.window] * network.config.target_days + samples.day
        rows = day[:, None] * len(data.unit) + neighbours
        table, advected = fold.series.table.flatten(0, 1), _advected_samples(fold.series, data, starts, samples)
    applied = apply_weights(weights, rows, table, recipe.scaler.offset, advected)
    truth = _truth(data, fold, starts, samples)
    return HiddenEstimates(applied.estimate, truth, applied.spread_terms, samples, side.z_hat)


@torch.no_grad()
def sums_by_place(networks: Sequence[Network], data: TrainingData, recipe: Recipe) -> NDArray[np.float64]:
    """Return the number of errors at the stations of validation, the sum of their sizes and of their squares.

    Parameters
    ----------
    networks : sequence of Network
        One for each entry of ``data.validation``: each estimates stations that it never learned from.
    data : TrainingData
    recipe : Recipe

    Returns
    -------
    (3, place)
        In the target's units; of the places with any error.
    """
    sums = torch.zeros(3, int(data.place.max()) + 1, dtype=torch.float64, device=data.place.device)
    for network, numbers in zip(networks, data.validation, strict=True):
        network.eval()
        for fold in (data.folds[number] for number in numbers):
            for starts in data.validation_batches():
                batch = hidden_estimates(network, data, fold, starts, recipe)
                seen = torch.isfinite(batch.truth)
                error = torch.where(seen, batch.estimate.clamp(min=0.0) - batch.truth, 0.0).double()
                parts = torch.stack([part.sum(dim=1) for part in (seen.double(), error.abs(), error.square())])
                sums.index_add_(1, data.place[fold.targets[batch.samples.target]], parts)
    made: NDArray[np.float64] = sums[:, sums[0] > 0].cpu().numpy()
    return made


def draw_samples(
    config: AQNetConfig,
    fold: Fold,
    n_window: int,
    *,
    generator: torch.Generator | None = None,
    max_samples: int | None = None,
) -> Samples:
    """Draw days of a fold's targets in a batch of windows, and the neighbours of each; see :func:`hidden_estimates`."""
    n_target, device = len(fold.targets), fold.targets.device
    sample = torch.arange(n_window * config.target_days * n_target, device=device)
    if max_samples is not None and len(sample) > max_samples:
        sample = torch.randperm(len(sample), generator=generator)[:max_samples].to(device)
    window_day, target = sample // n_target, sample % n_target
    return Samples(
        window=window_day // config.target_days,
        day=window_day % config.target_days,
        target=target,
        kept=kept_neighbours(fold.neighbours[target], config.k, generator),
    )


def kept_neighbours(neighbours: Tensor, k: int, generator: torch.Generator | None) -> Tensor:
    """Return which k of each sample's neighbours are kept: the nearest of those that are not dropped.

    Parameters
    ----------
    neighbours : (sample, k + spare)
        Nearest first.
    k : int
    generator : torch.Generator or None
        Drops each neighbour with a probability of 0.1; None drops none.

    Returns
    -------
    (sample, k) int
        Positions, ascending; dropped neighbours return where more are dropped than there are spare ones.
    """
    n, spare = neighbours.shape
    k = min(k, spare)
    if generator is None:
        return torch.arange(k, device=neighbours.device).expand(n, k)
    dropped = torch.rand(neighbours.shape, generator=generator).to(neighbours.device) < _DROPPED
    return torch.argsort(dropped.to(torch.int8), dim=1, stable=True)[:, :k].sort(dim=1).values


def _station_side(
    network: Network, data: TrainingData, fold: Fold, starts: Tensor, base_forecast: Tensor | None
) -> StationSide:
    """Run the station side of windows, from the evidence that is at hand where no module reads the windows themselves."""
    series = fold.series
    if series is None or series.days is None or not isinstance(network, AnalysisNetwork):
        return network.station_side(fold.window(data.record, starts), base_forecast)
    log_weight = data.record.on_target_days(starts, series.log_weight)
    return network.side_of_days(
        series.days.of_windows(data.positions(starts)), series.redundancy * fold.visible, log_weight
    )


def _forecast_table(side: StationSide, recipe: Recipe) -> Tensor:
    """Return the forecast of each station-day, rows ordered (window, day, station)."""
    config = recipe.config
    assert side.z_hat is not None
    values = rearrange(in_units(side.z_hat, recipe.scaler), "w n (d h) -> (w d n) h", h=config.steps_per_day)
    values = torch.nan_to_num(values)
    return station_table(
        values, torch.zeros_like(values), recipe.scaler.offset, recipe.covariance.sill, advects=config.advects
    )


def _advected_samples(series: FoldSeries, data: TrainingData, starts: Tensor, samples: Samples) -> Advected | None:
    """Return the advected neighbours of each sample, None where nothing is advected."""
    if series.advected is None:
        return None
    window = data.positions(starts)[samples.window]
    values = series.advected[samples.target[:, None], samples.kept, window[:, None]].flatten(0, 1)
    rows = torch.arange(len(values), device=values.device).view_as(samples.kept)
    return Advected(values, rows, torch.ones_like(rows, dtype=values.dtype))


def _truth(data: TrainingData, fold: Fold, starts: Tensor, samples: Samples) -> Tensor:
    """Return the observations at each sample, ``(sample, step)``; NaN where there is no estimate to compare them with."""
    days = rearrange(data.target_steps(starts), "w (d h) -> w d h", h=data.record.config.steps_per_day)
    steps = days[samples.window, samples.day]
    targets = fold.targets[samples.target]
    truth = data.truth[targets[:, None], steps] * fold.ratio[targets, None]
    if fold.series is None:
        return truth
    # There is no estimate at steps at which no station outside the fold reports; the table holds zeros there.
    silent = fold.series.silent.unflatten(1, (-1, data.record.config.steps_per_day))
    return truth.masked_fill(silent[data.positions(starts)[samples.window], samples.day], torch.nan)
