"""The tensors of a training run: record, observations, folds and windows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..aqnet.recipe import Recipe
from ..aqnet.station_side import make_record
from ..arrays import sphere
from ..interpolate.base import Observations
from ..nn.config import AQNetConfig
from ..nn.window import Record
from .folds import MEMBERS, Fold, make_folds
from .windows import select_windows, split_windows

#: The fold that validates a forecast in space.
_FORECAST_FOLD = 0
#: Steps of the validation windows that are estimated at once, but of no more windows times stations.
_BATCH_STEPS, _STATION_WINDOWS = 384, 20_000


@dataclass(frozen=True)
class TrainingData:
    """All that a training run reads.

    Attributes
    ----------
    record : Record
        Of the visible stations.
    truth : (station, step)
        Observations on the record's steps, in the target's units; NaN where missing.
    steps : (step,) int
        The record's steps, counted from its first: some may be missing between windows.
    begin : datetime64
        Time of the record's first step.
    unit : (station, 3)
        Unit vectors of the stations.
    place : (station,) int
        Co-located stations share one.
    folds : tuple of Fold
    validation : tuple of tuple of int
        The folds that validate each member: their stations are never its targets.
    train_starts, validation_starts : (window,) int
        Steps of the record at which the targets of windows begin.
    base_forecasts : (window, station, step), optional
        In z, of the windows in ``train_starts``, once a base forecast is fitted.
    """

    record: Record
    truth: Tensor
    steps: Tensor
    begin: np.datetime64
    unit: Tensor
    place: Tensor
    folds: tuple[Fold, ...]
    validation: tuple[tuple[int, ...], ...]
    train_starts: Tensor
    validation_starts: Tensor
    base_forecasts: Tensor | None = None

    def __deepcopy__(self, memo: dict) -> TrainingData:
        """Share the tensors, which nothing changes, with the copy that weight averaging makes of the module."""
        return self

    def to(self, device: torch.device) -> TrainingData:
        """Return the data on a device."""
        return replace(
            self,
            record=self.record.to(device),
            truth=self.truth.to(device),
            steps=self.steps.to(device),
            unit=self.unit.to(device),
            place=self.place.to(device),
            folds=tuple(fold.to(device) for fold in self.folds),
            train_starts=self.train_starts.to(device),
            validation_starts=self.validation_starts.to(device),
            base_forecasts=None if self.base_forecasts is None else self.base_forecasts.to(device),
        )

    @property
    def learning_stations(self) -> Tensor:
        """The stations that a forecast is learned at, ``(station,)`` bool: those outside the fold that validates it."""
        return self.folds[_FORECAST_FOLD].visible

    def target_steps(self, starts: Tensor) -> Tensor:
        """Return the steps of the record that windows estimate, ``(window, step)``."""
        return starts[:, None] + torch.arange(self.record.config.target_steps, device=starts.device)

    def positions(self, starts: Tensor) -> Tensor:
        """Return the positions of windows of an analysis among ``train_starts``, ``(window,)``."""
        return torch.searchsorted(self.train_starts, starts)

    def at_targets(self, values: Tensor, starts: Tensor) -> Tensor:
        """Return values ``(station, step)`` at the target steps of windows, ``(window, station, step)``."""
        return values[:, self.target_steps(starts)].transpose(0, 1)

    def validation_batches(self) -> tuple[Tensor, ...]:
        """Return the validation windows, as many at a time as make good use of a call."""
        return self.batches(self.validation_starts)

    def batches(self, starts: Tensor) -> tuple[Tensor, ...]:
        """Return windows, as many at a time as make good use of a call."""
        steps = self.record.config.steps_per_day
        return starts.split(max(16, min(_BATCH_STEPS // steps, _STATION_WINDOWS // len(self.truth))))

    def learned_folds(self, member: int) -> list[int]:
        """Return the folds that a member learns from."""
        return [f for f in range(len(self.folds)) if f not in self.validation[member]]


def prepare_data(
    observations: Observations, recipe: Recipe, fold_ratios: NDArray[np.float32] | None = None
) -> TrainingData:
    """Return the tensors of a training run, on the CPU.

    Parameters
    ----------
    observations : Observations
        Of the visible stations in the training period.
    recipe : Recipe
        With all that is fitted before learning.
    fold_ratios : (fold, station), optional
        As :func:`make_folds` takes them.

    Returns
    -------
    TrainingData

    Raises
    ------
    SchemaError
        The record is too short for a forecast.
    """
    first_times = select_windows(observations.times, recipe.config, len(observations.lon))
    record, starts, times = make_record(recipe, observations, first_times)
    split = split_windows(starts, recipe.config)
    learning = torch.as_tensor(split.learning)
    made = make_folds(observations, recipe, times, split.learning, fold_ratios)
    folds = tuple(fold.with_evidence(record, learning) for fold in made)
    return TrainingData(
        record=record,
        truth=torch.as_tensor(observations.at(times)),
        steps=torch.as_tensor(((times - times[0]) / np.timedelta64(recipe.step_seconds, "s")).astype(np.int64)),
        begin=times[0],
        unit=torch.as_tensor(sphere.unit_vectors(observations.lon, observations.lat).astype(np.float32)),
        place=torch.as_tensor(sphere.colocated_groups(observations.lon, observations.lat)),
        folds=folds,
        validation=validation_folds(len(folds), recipe.config),
        train_starts=learning,
        validation_starts=torch.as_tensor(split.validation),
    )


def validation_folds(n_folds: int, config: AQNetConfig) -> tuple[tuple[int, ...], ...]:
    """Return the folds that validate each member; a forecast, validated in later windows, has one member."""
    if config.task == "forecast":
        return ((_FORECAST_FOLD,),)
    return tuple(tuple(range(member, n_folds, MEMBERS)) for member in range(min(MEMBERS, n_folds)))
