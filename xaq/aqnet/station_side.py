"""The trained thing: a network, and the recipe that says what it was trained on. Saved as safetensors + JSON."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..arrays import sphere, timesteps
from ..arrays.transforms import Scaler, climatology_design, cyclic_encoding
from ..interpolate import advection, scale_mixture
from ..interpolate.base import Observations
from ..interpolate.leave_one_out import LeaveOneOut
from ..interpolate.pooling import PoolingNeighbourhood
from ..nn.advection import advect
from ..nn.estimate import both_scales
from ..nn.window import Record
from .recipe import Recipe

#: Standard deviations beyond which a covariate counts as this extreme: a cloudburst is no ten storms.
_EXTREME = 4.0


class AdvectedDays(NamedTuple):
    """What advects, by window-day.

    ``series (day, station, 2, step + 2 * reach)``, values and logs through silence; ``slowness_weights (day, station, slowness, slot)``;
    ``silent (day, step)``, where no station reports.
    """

    series: Tensor
    slowness_weights: Tensor
    silent: Tensor

    def table(self, day: int, stations: Tensor, lags: Tensor) -> Tensor:
        """Return what is read around stations on a day, ``(station * knot, 2 * step)``; NaN at silent steps."""
        read = advect(self.series[day, stations], self.slowness_weights[day, stations], lags)
        if self.silent[day].any():
            read.masked_fill_(self.silent[day], torch.nan)
        return read.flatten(0, 1).flatten(1)


def make_record(
    recipe: Recipe, observations: Observations, starts: NDArray[np.datetime64]
) -> tuple[Record, NDArray[np.int64], NDArray[np.datetime64]]:
    """Return the record that holds every window, the step at which each window's target begins, and the record's times.

    The record is the union of the windows: contiguous within each of them, with nothing in it that no window reads.
    """
    config, step = recipe.config, np.timedelta64(recipe.step_seconds, "s")
    before, after = -config.input_offset, max(config.input_steps + config.input_offset, config.target_steps)
    begin = ((starts - starts.min()) / step).astype(np.int64)
    steps = np.unique(begin[:, None] + np.arange(-before, after))
    times = starts.min() + steps * step
    z = recipe.scaler.transform(observations.at(times))
    covariates = np.empty((*z.shape, 0), np.float32)
    channels = [c for c in (observations.covariates, observations.known) if len(c)]
    if channels:
        position = ((times - observations.times[0]) / step).astype(np.int64)
        gathered = np.concatenate([timesteps.gather_steps(c, position) for c in channels])
        scaled = np.clip(recipe.scaler.transform_covariates(gathered), -_EXTREME, _EXTREME)
        covariates = np.moveaxis(scaled, 0, -1)
    record = Record(
        config,
        z=torch.as_tensor(z),
        covariates=torch.as_tensor(covariates),
        cyclic=torch.as_tensor(cyclic_encoding(times)),
        climatology=torch.as_tensor((climatology_design(times) @ np.array(recipe.climatology)).astype(np.float32)),
    )
    return record, np.searchsorted(steps, begin), times


class Unexplained(NamedTuple):
    """What the stations elsewhere leave unexplained of each, ``(station, step)``.

    ``values`` with gaps filled from the stations that report at the step, the ``variance`` of what was filled; ``residual`` in
    z and ``linear, log``, the errors in the target's units of what they predict on either scale: NaN where not observed.
    """

    values: NDArray[np.float32]
    variance: NDArray[np.float32]
    residual: NDArray[np.float32]
    linear: NDArray[np.float32]
    log: NDArray[np.float32]


def unexplained(recipe: Recipe, values: NDArray, others: LeaveOneOut) -> Unexplained:
    """Fill gaps, and predict each station from those elsewhere, step by step."""
    scaler = recipe.scaler
    # Whatever the order in the dataset: all that follows runs along the steps of a station.
    values = np.ascontiguousarray(values)
    filled, variance = others.fill(values)
    logs = scaler.log(filled)
    on_log = others.residuals(logs)
    errors = on_log / scaler.std, others.residuals(filled), filled - scaler.exp(logs - on_log)
    seen = np.isfinite(values)
    parts = (filled, variance, *(np.where(seen, error, np.nan) for error in errors))
    return Unexplained(*(part.astype(np.float32) for part in parts))


class StationSeries(NamedTuple):
    """What the station side makes of observations before any network; of stations ``(n,)`` and steps.

    ``values``, ``residual`` and ``variance`` as of :class:`Unexplained`; ``redundancy (station,)``, how well the others can
    predict each, from 0 to 1; ``log_weight (station, day)`` of the log scale around each. Where neighbours are advected
    (:mod:`xaq.interpolate.advection`), ``advecting (station, step)`` are the values through silence, and
    ``slowness_weights (station, slowness, slot)`` those of each slowness.
    """

    values: NDArray[np.float32]
    residual: NDArray[np.float32]
    variance: NDArray[np.float32]
    redundancy: NDArray[np.float32]
    log_weight: NDArray[np.float32]
    advecting: NDArray[np.float32] | None
    slowness_weights: NDArray[np.float32] | None


class StationGeometry(NamedTuple):
    """What the places of stations alone decide: whom each is predicted by, and whose errors count around it.

    ``operators`` where neighbours are advected.
    """

    others: LeaveOneOut
    around: PoolingNeighbourhood
    operators: advection.SlownessOperators | None

    @classmethod
    def of(cls, recipe: Recipe, lon: NDArray, lat: NDArray) -> StationGeometry:
        """Find the neighbours of stations and solve their systems."""
        config, others = recipe.config, LeaveOneOut.of(lon, lat, recipe.covariance, recipe.config.k)
        operators = None
        if config.advects:
            weighted = others.near, others.always[0]
            operators = advection.SlownessOperators.of(lon, lat, recipe.centre, weighted, 24 / config.steps_per_day)
        return cls(others, PoolingNeighbourhood.of(lon, lat), operators)


def station_series(recipe: Recipe, values: NDArray, geometry: StationGeometry) -> StationSeries:
    """Fill gaps, and ask of the stations how well they predict each other; the steps are whole days."""
    (others, around, operators), steps_per_day = geometry, recipe.config.steps_per_day
    made = unexplained(recipe, values, others)
    linear, log = (np.nan_to_num(errors) for errors in (made.linear, made.log))
    log_weight = scale_mixture.by_day(linear, log, around, steps_per_day, recipe.log_weight)
    advecting, slowness_weights = None, None
    if operators is not None:
        advecting = advection.through_silence(made.values)
        slowness_weights = advection.slowness_weights(advecting, np.isfinite(made.linear), operators, steps_per_day)
    return StationSeries(
        made.values, made.residual, made.variance, others.redundancy(), log_weight, advecting, slowness_weights
    )


def displacements(
    recipe: Recipe, stations: tuple[NDArray, NDArray], targets: tuple[NDArray, NDArray], near: NDArray
) -> NDArray[np.float64]:
    """Return where the neighbours ``(target, k)`` lie, seen from targets, ``(target, k, 2)`` km to the east and north."""
    there, here = (sphere.on_tangent_plane(*places, recipe.centre) for places in (stations, targets))
    return there[near] - here[:, None]


def advected_days(series: StationSeries, first: NDArray[np.intp], recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Return series ``(day, station, 2, step + 2 * reach)`` and slowness_weights ``(day, station, slowness, slot)`` of days that begin at steps."""
    steps = recipe.config.steps_per_day
    reach = advection.reach(24 / steps)
    through = advection.with_ends(series.advecting, reach)  # type: ignore[arg-type]
    days = torch.as_tensor(through[:, first[:, None] + np.arange(steps + 2 * reach)]).transpose(0, 1)
    slots = first[:, None] // (steps // advection.SLOTS_PER_DAY) + np.arange(advection.SLOTS_PER_DAY)
    slowness_weights = torch.as_tensor(series.slowness_weights[:, :, slots]).permute(2, 0, 1, 3)  # type: ignore[index]
    return both_scales(days, recipe.scaler.offset).unflatten(-1, (2, -1)), slowness_weights


def knot_lags(recipe: Recipe) -> Tensor:
    """Return the weight of each step around at each knot, ``(knot, slowness, 2 * reach + 1)``."""
    return torch.as_tensor(advection.lag_weights(advection.knots(), 24 / recipe.config.steps_per_day))


def residual_variance_of(residual: NDArray) -> NDArray[np.float32]:
    """Return the mean square of each station's residuals, kept away from zero; of the network where there are none.

    Parameters
    ----------
    residual : (station, step), NaN where not observed
    """
    seen = np.isfinite(residual)
    total, count = np.where(seen, residual, 0.0).astype(float) ** 2, seen.sum(axis=1)
    network = float(total.sum() / max(seen.sum(), 1))
    own = np.where(count > 0, total.sum(axis=1) / np.maximum(count, 1), network)
    return np.maximum(own, 0.02 * network).astype(np.float32)


def in_units(z: Tensor, scaler: Scaler) -> Tensor:
    """Return z-scores in the target's units."""
    return scaler.offset * torch.expm1((z * scaler.std + scaler.mean).clamp(max=20.0))
