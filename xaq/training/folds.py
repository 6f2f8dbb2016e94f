"""Hiding stations, as data: the folds, the batches that training sees, and the calibration of intervals.

The visible stations are dealt into folds. A batch takes one as hidden, and estimates it from the rest. Several members
are trained side by side; each has folds of its own that are never its targets, so that together they validate, and
calibrate, at every visible station.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..aqnet.recipe import Recipe
from ..aqnet.station_side import (
    StationGeometry,
    StationSeries,
    advected_days,
    displacements,
    knot_lags,
    make_record,
    residual_variance_of,
    station_series,
)
from ..arrays import sphere, timesteps
from ..errors import SchemaError
from ..interpolate import advection
from ..interpolate.base import Observations
from ..nn.advection import advect
from ..nn.config import AQNetConfig
from ..nn.window import Record

#: The visible stations are dealt into this many folds; each member of a training run never learns from two of them.
FOLDS, MEMBERS = 10, 5
#: The fold that validates a forecast in space.
VALIDATION = 0
#: Station-steps held once per fold: 20 MB for each of three arrays, and up to five times that for what is advected.
_MAX_VALUES = 5_000_000
#: Days of all neighbours of a fold whose advection is made at once: some 50 MB.
_ADVECTED_DAYS = 8_000
_LEAST_WINDOWS = 60
#: Days on which the members are validated, and at least so many steps: a day of daily data says less than one of hourly data.
_VALIDATION_WINDOWS, _VALIDATION_STEPS = 64, 512
#: Steps of the validation windows that are estimated at once, but of no more windows times stations.
_BATCH_STEPS, _STATION_WINDOWS = 384, 20_000
#: Share of a forecast's training period that is learned from; the rest, after an embargo, validates and calibrates.
LEARNING_FRACTION = 0.85


@dataclass(frozen=True)
class Fold:
    """One way of hiding: ``targets (n,)`` are estimated from ``neighbours (n, k + spare)``, nearest first.

    ``values (station, step)`` are the observations with gaps filled from stations outside the fold, on the record's
    steps; ``variance`` that of what was filled; ``residual`` what the other stations do not explain, in
    z, and ``residual_variance (station,)`` its mean square, ``redundancy (station,)`` how well they can predict it,
    ``log_weight (station, day)`` of the log scale around it, None in a forecast;
    ``visible (station,)`` says who makes the network's state; ``advecting (target, neighbour, window, 2 step)`` is what each
    target reads of its neighbours advected, on both scales, None where nothing is advected.
    """

    targets: Tensor
    neighbours: Tensor
    values: Tensor
    variance: Tensor
    residual: Tensor
    residual_variance: Tensor
    redundancy: Tensor
    visible: Tensor
    log_weight: Tensor | None = None
    advecting: Tensor | None = None

    def to(self, device: torch.device) -> Fold:
        """Return the fold on a device."""
        held = {name: value for name, value in vars(self).items() if value is not None}
        return replace(self, **{name: value.to(device) for name, value in held.items()})


@dataclass(frozen=True)
class TrainingData:
    """All that a training run reads: the record, the truth and the folds.

    ``validation`` names each member's folds: those whose stations are no target of it. ``starts (window, station, step)``
    in z is where the forecasts of ``train_starts`` start, once that is fitted; ``predictors (station, raster)`` holds the
    standardised rasters, NaN where unknown.
    """

    record: Record
    truth: Tensor
    unit: Tensor
    folds: tuple[Fold, ...]
    validation: tuple[tuple[int, ...], ...]
    train_starts: Tensor
    validation_starts: Tensor
    base_forecasts: Tensor | None = None
    predictors: Tensor | None = None

    def __deepcopy__(self, memo: dict) -> TrainingData:
        """Share the tensors, which nothing changes, with the copy that weight averaging makes of the module."""
        return self

    def to(self, device: torch.device) -> TrainingData:
        """Return the data on a device."""
        return replace(
            self,
            record=self.record.to(device),
            truth=self.truth.to(device),
            unit=self.unit.to(device),
            folds=tuple(f.to(device) for f in self.folds),
            train_starts=self.train_starts.to(device),
            validation_starts=self.validation_starts.to(device),
            base_forecasts=None if self.base_forecasts is None else self.base_forecasts.to(device),
            predictors=None if self.predictors is None else self.predictors.to(device),
        )

    def targets(self, starts: Tensor, steps: int) -> Tensor:
        """Return the steps of the record that windows estimate, ``(window, step)``."""
        return starts[:, None] + torch.arange(steps, device=starts.device)

    def validation_batches(self) -> tuple[Tensor, ...]:
        """Return the validation windows, as many at a time as make good use of a call."""
        steps = self.record.config.steps_per_day
        return self.validation_starts.split(max(16, min(_BATCH_STEPS // steps, _STATION_WINDOWS // len(self.truth))))

    def learned_folds(self, member: int) -> list[int]:
        """Return the folds that a member learns from."""
        return [f for f in range(len(self.folds)) if f not in self.validation[member]]


def prepare_data(
    observations: Observations, recipe: Recipe, predictors: NDArray[np.float32] | None = None
) -> TrainingData:
    """Return the tensors of a training run: record, truth, folds and the stations' rasters, on the CPU."""
    config, step = recipe.config, np.timedelta64(recipe.step_seconds, "s")
    times = observations.times
    if config.task == "analysis":
        starts = timesteps.day_starts(times[0], times[-1], step)
    else:
        history, horizon = -config.input_offset, config.target_steps
        # A forecast may start at any hour.
        first = timesteps.forecast_starts(len(times), history, horizon, 1)
        least = (config.days_before + config.target_days + 10) * config.steps_per_day
        if len(first) < least:
            raise SchemaError(
                f"{len(times)} steps hold {len(first)} windows of {history} + {horizon} steps, at least {least} are needed; "
                "fix: a longer period, or AQNetConfig(days_before=..., target_days=...)"
            )
        starts = times[first]
    if config.task == "analysis":
        starts = _thinned(starts, len(observations.lon) * config.input_steps)
    record, first_step, record_times = make_record(recipe, observations, starts)
    train_starts, validation_starts = _split_windows(first_step, config)
    folds = tuple(_make_folds(observations, recipe, record_times, first_step))
    return TrainingData(
        record=record,
        truth=torch.as_tensor(observations.at(record_times)),
        unit=torch.as_tensor(sphere.unit_vectors(observations.lon, observations.lat).astype(np.float32)),
        folds=folds,
        validation=_validation_folds(len(folds), config),
        train_starts=torch.as_tensor(train_starts),
        validation_starts=torch.as_tensor(validation_starts),
        predictors=None if predictors is None else torch.as_tensor(predictors),
    )


def _validation_folds(n_folds: int, config: AQNetConfig) -> tuple[tuple[int, ...], ...]:
    """Return each member's folds; a forecast, validated in later windows, has one member."""
    if config.task == "forecast":
        return ((VALIDATION,),)
    return tuple(tuple(range(member, n_folds, MEMBERS)) for member in range(min(MEMBERS, n_folds)))


def _thinned(starts: NDArray[np.datetime64], values_per_window: int) -> NDArray[np.datetime64]:
    """Return windows spread evenly over the period, no more than fit in memory once per fold."""
    most = max(_LEAST_WINDOWS, _MAX_VALUES // values_per_window)
    return starts[np.unique(np.linspace(0, len(starts) - 1, min(most, len(starts))).astype(int))]


def _split_windows(starts: NDArray[np.int64], config: AQNetConfig) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return window starts for learning and for validation: the same days of an analysis, later ones of a forecast."""
    if config.task == "analysis":
        n_windows = max(_VALIDATION_WINDOWS, -(-_VALIDATION_STEPS // config.steps_per_day))
        return starts, starts[np.unique(np.linspace(0, len(starts) - 1, n_windows).astype(int))]
    embargo = (config.days_before + config.target_days) * config.steps_per_day
    cut = int(LEARNING_FRACTION * len(starts))
    learn, later = starts[: max(5, cut - embargo)], starts[cut:]
    return learn, later[np.unique(np.linspace(0, len(later) - 1, 96).astype(int))]


def _make_folds(
    observations: Observations, recipe: Recipe, times: NDArray[np.datetime64], starts: NDArray[np.int64]
) -> Iterator[Fold]:
    """Deal places into folds; co-located stations share one."""
    lon, lat, k = observations.lon, observations.lat, recipe.config.k
    group = sphere.colocated_groups(lon, lat)
    places = np.random.default_rng([recipe.seed, 3]).permutation(np.unique(group))
    n_folds = min(FOLDS, len(places))
    number = np.empty(group.max() + 1, int)
    number[places] = np.arange(len(places)) % n_folds
    fold_of = number[group]
    seen = observations.at(times)
    for fold in range(n_folds):
        inside = fold_of == fold
        targets, others = np.flatnonzero(inside), np.flatnonzero(~inside)
        index, _ = sphere.nearest(lon[others], lat[others], lon[targets], lat[targets], k + max(2, k // 2))
        # A forecast brings its own series; it takes no room here.
        blank = torch.full((1, 1), torch.nan).expand(seen.shape)
        parts, residual_variance, redundancy = [blank] * 3, torch.ones(len(lon)), torch.ones(len(lon))
        log_weight, advecting = None, None
        if recipe.config.task == "analysis":
            series = station_series(recipe, seen[others], StationGeometry.of(recipe, lon[others], lat[others]))
            placed = np.full((3, *seen.shape), np.nan, np.float32)
            placed[:, others] = series[:3]
            parts, residual_variance = (
                [torch.as_tensor(v) for v in placed],
                torch.as_tensor(residual_variance_of(placed[1])),
            )
            redundancy[others] = torch.as_tensor(series.redundancy)
            log_weight = torch.zeros(len(lon), series.log_weight.shape[1])
            log_weight[others] = torch.as_tensor(series.log_weight)
            if series.slowness_weights is not None:
                moved = displacements(recipe, (lon[others], lat[others]), (lon[targets], lat[targets]), index)
                advecting = _advected(series, index, moved, starts, recipe)
        values, residual, variance = parts
        yield Fold(
            targets=torch.as_tensor(targets),
            neighbours=torch.as_tensor(others[index]),
            values=values,
            variance=torch.nan_to_num(variance),
            residual=residual,
            residual_variance=residual_variance,
            redundancy=redundancy,
            visible=torch.as_tensor(~inside),
            log_weight=log_weight,
            advecting=advecting,
        )


def _advected(
    series: StationSeries, near: NDArray[np.intp], displacement: NDArray, starts: NDArray[np.int64], recipe: Recipe
) -> Tensor:
    """Return what targets read of their neighbours advected, ``(target, neighbour, window, 2 step)``."""
    knots, weights = (torch.as_tensor(a) for a in advection.corners(displacement))
    some, position = np.unique(near, return_inverse=True)
    rows = torch.as_tensor(position.reshape(near.shape))[..., None] * len(advection.knots()) + knots
    lags, made = knot_lags(recipe), []
    per_batch = max(1, _ADVECTED_DAYS // len(some))
    for first in range(0, len(starts), per_batch):
        days, of_day = advected_days(series, starts[first : first + per_batch], recipe)
        read = advect(days[:, some].flatten(0, 1), of_day[:, some].flatten(0, 1), lags)
        table = read.unflatten(0, (len(days), -1)).flatten(1, 2).flatten(2)
        made.append(sum(table[:, rows[..., c]] * weights[..., c, None] for c in range(rows.shape[-1])))
    return torch.cat(made).permute(1, 2, 0, 3).contiguous()
