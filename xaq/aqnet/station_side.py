"""The station side: what a period's observations become before any target is known.

Gaps are filled, stations are predicted from the others (leave one out), and the network reads the windows. Functions of a
recipe and arrays; :mod:`xaq.training` uses them as :class:`xaq.aqnet.network_mapper.NetworkMapper` does.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from ..arrays import sphere, timesteps
from ..arrays.transforms import Scaler, climatology_design, cyclic_encoding
from ..interpolate import advection, scale_mixture
from ..interpolate.base import Observations
from ..interpolate.leave_one_out import LeaveOneOut
from ..interpolate.pooling import PoolingNeighbourhood
from ..nn.advection import advect
from ..nn.aqnet import AnalysisNetwork, Network, StationSide
from ..nn.estimate import both_scales, station_table
from ..nn.log_scale import from_log
from ..nn.window import Record
from .recipe import Recipe

#: Covariates are clipped to this many standard deviations: a cloudburst must not count as ten storms.
_EXTREME = 4.0
#: Stations times windows that the network reads at once: a national network over a year would not fit.
_STATION_WINDOWS = 20_000


class AdvectedDays(NamedTuple):
    """The stations' series and their slowness weights, by window-day: what advected neighbours are made from.

    ``series (day, station, 2, step + 2 * reach)`` holds values and logs, interpolated where no station reports;
    ``slowness_weights (day, station, slowness, slot)``; ``silent (day, step)`` marks steps without any report, in the
    memory of the CPU: asking a GPU about each day would wait for it.
    """

    series: Tensor
    slowness_weights: Tensor
    silent: Tensor

    def table(self, day: int, stations: Tensor, lags: Tensor) -> Tensor:
        """Return the advected values of stations at the knots, ``(station * knot, 2 * step)``; NaN at silent steps."""
        read = advect(self.series[day, stations], self.slowness_weights[day, stations], lags)
        if self.silent[day].any():
            read.masked_fill_(self.silent[day].to(read.device), torch.nan)
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
    """Stations beside their predictions from the other stations, ``(station, step)``.

    ``values`` with gaps filled from the stations that report at the step, and the ``variance`` of filled values, 0 where
    observed; the leave-one-out ``residual`` in z, and the errors of the predictions on the ``linear`` and the ``log``
    scale in the target's units, NaN where not observed.
    """

    values: NDArray[np.float32]
    variance: NDArray[np.float32]
    residual: NDArray[np.float32]
    linear: NDArray[np.float32]
    log: NDArray[np.float32]


def unexplained(recipe: Recipe, values: NDArray, others: LeaveOneOut) -> Unexplained:
    """Fill gaps, and predict each station from the others, step by step."""
    scaler = recipe.scaler
    # Contiguous, whatever the order in the dataset: all that follows runs along the steps of a station.
    values = np.ascontiguousarray(values)
    filled, variance = others.fill(values)
    logs = scaler.log(filled)
    on_log = others.residuals(logs)
    errors = on_log / scaler.std, others.residuals(filled), filled - scaler.exp(logs - on_log)
    seen = np.isfinite(values)
    parts = (filled, variance, *(np.where(seen, error, np.nan) for error in errors))
    return Unexplained(*(part.astype(np.float32) for part in parts))


class AdvectedSeries(NamedTuple):
    """What advected neighbours are made from.

    ``values (station, step)``, interpolated where no station reports; ``slowness_weights (station, slowness, slot)``.
    """

    values: NDArray[np.float32]
    slowness_weights: NDArray[np.float32]


class StationSeries(NamedTuple):
    """What is computed of stations before the network.

    ``values``, ``residual`` and ``variance`` as of :class:`Unexplained`; ``redundancy (station,)``, how well the others
    predict each, from 0 to 1; ``log_weight (station, day)``, mixture weight of the log scale around each;
    ``advected``, None where neighbours are not advected.
    """

    values: NDArray[np.float32]
    residual: NDArray[np.float32]
    variance: NDArray[np.float32]
    redundancy: NDArray[np.float32]
    log_weight: NDArray[np.float32]
    advected: AdvectedSeries | None


class StationGeometry(NamedTuple):
    """What depends on the places of stations alone: their leave-one-out kriging and pooling.

    ``operators`` of the slownesses where neighbours are advected, else None.
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
            operators = advection.SlownessOperators.of(
                lon, lat, recipe.centre, others.neighbours, others.complete.weights, 24 / config.steps_per_day
            )
        return cls(others, PoolingNeighbourhood.of(lon, lat), operators)


def station_series(recipe: Recipe, values: NDArray, geometry: StationGeometry) -> StationSeries:
    """Fill gaps, and weigh scales and slownesses by how well the stations predict each other; steps are whole days."""
    (others, around, operators), steps_per_day = geometry, recipe.config.steps_per_day
    made = unexplained(recipe, values, others)
    linear, log = (np.nan_to_num(errors) for errors in (made.linear, made.log))
    log_weight = scale_mixture.daily_log_weight(linear, log, around, steps_per_day, recipe.log_weight)
    advected = None
    if operators is not None:
        through = advection.interpolate_silent_steps(made.values)
        slowness_weights = advection.slowness_weights(through, np.isfinite(made.linear), operators, steps_per_day)
        advected = AdvectedSeries(through, slowness_weights)
    return StationSeries(made.values, made.residual, made.variance, others.redundancy(), log_weight, advected)


def displacements(
    recipe: Recipe, stations: tuple[NDArray, NDArray], targets: tuple[NDArray, NDArray], near: NDArray
) -> NDArray[np.float64]:
    """Return where the neighbours ``(target, k)`` lie, seen from targets, ``(target, k, 2)`` km to the east and north."""
    there, here = (sphere.on_tangent_plane(*places, recipe.centre) for places in (stations, targets))
    return there[near] - here[:, None]


def advected_days(advected: AdvectedSeries, first: NDArray[np.intp], recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Return the series and slowness weights of :class:`AdvectedDays` of days that begin at the steps ``first``."""
    steps = recipe.config.steps_per_day
    reach = advection.reach(24 / steps)
    through = advection.pad_ends(advected.values, reach)
    days = torch.as_tensor(through[:, first[:, None] + np.arange(steps + 2 * reach)]).transpose(0, 1)
    slots = first[:, None] // (steps // advection.SLOTS_PER_DAY) + np.arange(advection.SLOTS_PER_DAY)
    slowness_weights = torch.as_tensor(advected.slowness_weights[:, :, slots]).permute(2, 0, 1, 3)
    return both_scales(days, recipe.scaler.offset).unflatten(-1, (2, -1)), slowness_weights


def knot_lags(recipe: Recipe) -> Tensor:
    """Return the weights of the steps before and after at each knot, ``(knot, slowness, 2 * reach + 1)``."""
    return torch.as_tensor(advection.lag_weights(advection.knots(), 24 / recipe.config.steps_per_day))


def residual_variance_of(residual: NDArray) -> NDArray[np.float32]:
    """Return the climatological residual variance of each station; the network's where a station has no residual.

    Parameters
    ----------
    residual : (station, step), NaN where not observed
    """
    seen = np.isfinite(residual)
    known, count = np.where(seen, residual, 0.0), seen.sum(axis=1)
    total = np.einsum("st,st->s", known, known, dtype=float)
    network = float(total.sum() / max(count.sum(), 1))
    own = np.where(count > 0, total / np.maximum(count, 1), network)
    return np.maximum(own, 0.02 * network).astype(np.float32)


def in_units(z: Tensor, scaler: Scaler) -> Tensor:
    """Return z-scores in the target's units."""
    return from_log(z * scaler.std + scaler.mean, scaler.offset)


class StationSideOfPeriod(NamedTuple):
    """The station side of a period's windows, the series that it was made from (None of a forecast), and their times."""

    side: StationSide
    series: StationSeries | None
    times: NDArray[np.datetime64]


def run_station_side(
    network: Network,
    recipe: Recipe,
    observations: Observations,
    starts: NDArray[np.datetime64],
    geometry: StationGeometry | None,
    device: torch.device,
) -> StationSideOfPeriod:
    """Run the station side of windows that begin at ``starts``; ``geometry`` is None of a forecast.

    A few windows at a time: those of a national network over a year would not fit in memory at once.
    """
    record, first, times = make_record(recipe, observations, starts)
    record = record.to(device)
    lon, lat = observations.lon, observations.lat
    visible = torch.ones(len(lon), dtype=torch.bool, device=device)
    n_windows = max(1, _STATION_WINDOWS // max(1, len(lon)))
    series, patches, inputs = None, None, {}
    if isinstance(network, AnalysisNetwork) and geometry is not None:
        series = station_series(recipe, observations.at(times), geometry)
        given = {
            "residual": series.residual,
            "residual_variance": _residual_variance_at(recipe, lon, lat),
            "redundancy": series.redundancy,
            "log_weight": series.log_weight,
        }
        inputs = {name: torch.as_tensor(value, device=device) for name, value in given.items()}
        if network.temporal is not None:
            patches = _all_patches(network, recipe, record, inputs["residual"], n_windows)
    parts = []
    for start in torch.as_tensor(first, device=device).split(n_windows):
        window = record.window(start, visible, **inputs)
        parts.append(network.station_side(window, _patches_of(recipe, patches, start)))
    return StationSideOfPeriod(_joined(parts), series, times)


def _joined(parts: list[StationSide]) -> StationSide:
    """Return the station sides of consecutive windows as one."""
    noise, log_weight = (torch.cat(column) for column in zip(*(part[:2] for part in parts), strict=True))
    attention, forecast = (
        torch.cat([tensor for tensor in column if tensor is not None]) if column[0] is not None else None
        for column in zip(*(part[2:] for part in parts), strict=True)
    )
    return StationSide(noise, log_weight, attention, forecast)


def _all_patches(network: AnalysisNetwork, recipe: Recipe, record: Record, residual: Tensor, n_days: int) -> Tensor:
    """Return the patches of an analysis's record, ``(station, patch, hidden)``: each belongs to many windows."""
    size = n_days * recipe.config.steps_per_day
    series = (record.z, record.covariates, residual, record.cyclic[None])
    lots = zip(*(tensor.split(size, dim=1) for tensor in series), strict=True)
    return torch.cat([network.patches(*lot) for lot in lots], dim=1)


def _patches_of(recipe: Recipe, patches: Tensor | None, start: Tensor) -> Tensor | None:
    """Return the patches of windows, ``(window, station, patch, hidden)``; windows begin with days, as the record does."""
    if patches is None:
        return None
    config = recipe.config
    begin = torch.div(start + config.input_offset, config.patch, rounding_mode="floor")
    position = begin[:, None] + torch.arange(config.input_steps // config.patch, device=start.device)
    return patches[:, position].swapaxes(0, 1)


def _residual_variance_at(recipe: Recipe, lon: NDArray, lat: NDArray) -> NDArray[np.float32]:
    """Return the climatological residual variance of stations by their places; the median where unknown in training."""
    known_lon, known_lat, variance = np.array(recipe.residual_variance, np.float32).reshape(-1, 3).T
    index, distance = sphere.nearest(known_lon, known_lat, lon, lat, 1)
    known = distance[:, 0] < sphere.COLOCATED_KM
    return np.where(known, variance[index[:, 0]], np.median(variance)).astype(np.float32)


def station_days(
    recipe: Recipe, made: StationSideOfPeriod, at: NDArray[np.intp], device: torch.device
) -> tuple[Tensor, AdvectedDays | None]:
    """Return the station-days that weights are applied to, and those of advected neighbours.

    Parameters
    ----------
    recipe : Recipe
    made : StationSideOfPeriod
    at : (window * target_step,) int
        Steps of the series that the windows estimate.
    device : torch.device

    Returns
    -------
    table : (window-day * station, column)
        From :func:`xaq.nn.estimate.station_table`; gaps are filled wherever any station reports.
    advected : AdvectedDays, optional
        None where neighbours are not advected.
    """
    config, series = recipe.config, made.series
    if series is None:
        z_hat = cast(Tensor, made.side.z_hat)  # a forecast has one
        values = in_units(z_hat.swapaxes(0, 1).flatten(1), recipe.scaler)
        variance = torch.zeros_like(values)
    else:
        values, variance = (torch.as_tensor(a[:, at], device=device) for a in (series.values, series.variance))
    values, variance = (rearrange(a, "n (d h) -> (d n) h", h=config.steps_per_day) for a in (values, variance))
    table = station_table(values, variance, recipe.scaler.offset, recipe.covariance.sill, advects=config.advects)
    if series is None or series.advected is None:
        return table, None
    days = at.reshape(-1, config.steps_per_day)
    values_of_days, weights = advected_days(series.advected, days[:, 0], recipe)
    silent = torch.as_tensor(~np.isfinite(series.values[:, at]).any(axis=0).reshape(days.shape))
    return table, AdvectedDays(values_of_days.to(device), weights.to(device), silent)
