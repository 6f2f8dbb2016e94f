"""What is estimated, by what, from which stations and when: everything but the places.

A verb makes one :class:`Request` for each mapper from its conformed dataset; what follows reads the request and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from dask.base import tokenize
from numpy.typing import NDArray

from .._arguments import check_number, shown
from .._version import __version__
from ..arrays import longitudes, sphere
from ..conventions import LAT, LON, STATION, TIME
from ..errors import GridError, ModelError, SchemaError, warn
from ..fields.predictor_field import Fields, warn_of_lack
from ..fields.trend import provenance_of
from ..interpolate.base import Field, Hashed, Mapper
from ..interpolate.classical import DRIFT
from ..interpolate.dissimilarity import Dissimilarity, trend_of
from ..interpolate.reach import Reach, default_reach, fitted_range
from ..interpolate.trained import TrainedMapper
from ..interpolate.trend import OverTrend, Trend
from ..stations import schema, taking_part, timestamps
from .grid import Grid
from .mapper import check_model, fields_of, settle_mapper
from .periods import history_slice, record_slice


@dataclass(frozen=True, kw_only=True)
class RequestOptions:
    """What users may say about an estimate, by any verb: the parameters of these names of :func:`xaq.reanalyze`."""

    target: str | None = None
    time: schema.Period = None
    init: str | np.datetime64 | pd.Timestamp | None = None
    level: float = 0.9
    max_distance: float | None = None
    background: xr.DataArray | xr.Dataset | None = None
    rasters: Mapping[str, xr.DataArray] | None = None
    fields: Fields | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "level", check_level(self.level))
        if self.max_distance is not None:
            distance = check_number(
                self.max_distance,
                "max_distance",
                "km above 0, or None",
                fix="max_distance=50",
                valid=lambda km: 0 < km < np.inf,
            )
            object.__setattr__(self, "max_distance", distance)

    def of_baseline(self, method: str) -> RequestOptions:
        """Return the options of a classical method beside a model: kriging with external drift alone reads rasters and fields."""
        return self if method == DRIFT else replace(self, rasters=None, fields=None)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is estimated: everything but the places.

    Attributes
    ----------
    mapper : Mapper
        Fitted, with the fields that it reads.
    trained : TrainedMapper, optional
        The trained mapper that was asked for; None for any other.
    source : xarray.Dataset, (station, time)
        The visible stations over the whole record. Where the data are in memory: those that take part
        (:mod:`xaq.stations.taking_part`).
    target : str
        The variable.
    times : (n_time,) datetime64[s], UTC
        To estimate.
    init : datetime64, optional
        Of a forecast: the last time whose observations are read. None for an analysis.
    level : float
        Nominal coverage of the interval.
    probabilities : tuple of float
        Of the quantiles that are computed beside the value: the two bounds of the interval; none where the mapper has no
        distribution.
    given_distance : float or None, km
        Beyond it from every station, estimates are marked unsupported; None for the default, :attr:`max_distance`.
    range_km : float, optional
        Range of the covariance that the mapper was fitted with.
    network_distance : float, km
        The default distance of all visible stations, silent ones too: it identifies a cube as the list of stations does.
    stations_hash : str
        Of all visible stations, silent ones too: a cube stays the same one when they begin to report.
    hidden : tuple of str
        Hidden stations.
    """

    mapper: Mapper
    trained: TrainedMapper | None
    source: xr.Dataset
    target: str
    times: NDArray[np.datetime64]
    init: np.datetime64 | None
    level: float
    probabilities: tuple[float, ...]
    given_distance: float | None
    range_km: float | None
    network_distance: float
    stations_hash: str
    hidden: tuple[str, ...]

    @property
    def lon(self) -> NDArray[np.float64]:
        """Longitudes of the stations, ``(station,)`` degrees, in one convention: a cube does not depend on the dataset's."""
        return longitudes.canonical(self.source[LON].values)

    @property
    def lat(self) -> NDArray[np.float64]:
        """Latitudes of the stations, ``(station,)`` degrees."""
        return self.source[LAT].values.astype(float)

    @property
    def values(self) -> xr.DataArray:
        """The target at the stations, ``(station, time)``; lazy where the dataset is."""
        return self.source[self.target].transpose(STATION, TIME)

    @property
    def units(self) -> str:
        """Of the target."""
        return str(self.source[self.target].attrs["units"])

    @property
    def is_lazy(self) -> bool:
        """Whether it is known only when something is computed which stations take part."""
        return self.values.chunks is not None

    @cached_property
    def reach(self) -> Reach | None:
        """The distance that was asked for, else the default one of the stations; None where these are not known yet."""
        if self.given_distance is not None:
            return Reach(self.given_distance, "given")
        return None if self.is_lazy else default_reach(self.range_km, self.lon, self.lat)

    @property
    def max_distance(self) -> float:
        """The distance of the reach, km; of lazy data, the default one of all visible stations."""
        return self.network_distance if self.reach is None else self.reach.km

    @cached_property
    def trend(self) -> Trend | None:
        """The trend whose static predictors places are compared in; None where it has none."""
        return trend_of(self.mapper, self.lon, self.lat)

    @cached_property
    def dissimilarity(self) -> Dissimilarity | None:
        """How unlike the stations places are; None without predictors, and where it is not known yet which stations report."""
        return None if self.trend is None or self.is_lazy else Dissimilarity.of(self.trend, self.lon, self.lat)

    @cached_property
    def record(self) -> NDArray[np.datetime64]:
        """All times of the dataset, ``(n_record,) datetime64[s]``."""
        return _record(self.source)

    @property
    def step(self) -> np.timedelta64:
        """The step of the record."""
        return timestamps.step_of(self.source[TIME])

    @property
    def fields(self) -> tuple[Field, ...]:
        """The background, rasters and gridded fields that estimates depend on."""
        return fields_of(self.mapper)

    @property
    def covariates(self) -> tuple[str, ...]:
        """Station variables that the mapper reads beside the target."""
        return () if self.trained is None else self.trained.recipe.covariates

    @property
    def known(self) -> tuple[str, ...]:
        """Those that it reads over a forecast's horizon too."""
        return () if self.trained is None else self.trained.recipe.known

    @property
    def variables(self) -> tuple[str, ...]:
        """The station variables that estimates are made from."""
        return (self.target, *self.covariates, *self.known)

    @property
    def horizon_steps(self) -> int:
        """Steps of a forecast's horizon, whatever part of it is asked for; 0 for an analysis."""
        return 0 if self.trained is None or self.init is None else self.trained.recipe.config.target_steps

    @property
    def n_layers(self) -> int:
        """How many numbers are computed at each place and time: the value and its quantiles."""
        return 1 + len(self.probabilities)

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Where the estimate comes from, ready for JSON."""
        recipe = None if self.trained is None else self.trained.recipe
        provenance = {
            "xaq_version": __version__,
            "method": self.mapper.name,
            "model_hash": _identity(self.mapper),
            "target": self.target,
            "units": self.units,
            "stations_hash": self.stations_hash,
            "visible_stations": int(self.source.sizes[STATION]),
            "hidden_stations": list(self.hidden),
            "observation_period": [str(t) for t in self.record[[0, -1]]],
            "estimated_period": [str(t) for t in self.times[[0, -1]]],
            "step_seconds": int(self.step / np.timedelta64(1, "s")),
            "init_time": None if self.init is None else str(self.init),
            "interval_level": self.level,
            "max_distance_km": None if self.reach is None else round(self.reach.km, 3),
            "max_distance_rule": None if self.reach is None else self.reach.rule,
            "seed": None if recipe is None else recipe.seed,
            "held_out_scores": [] if recipe is None else recipe.held_out_scores,
        }
        if recipe is not None:
            return provenance | {"learned": recipe.learned} | recipe.trend.provenance()
        return provenance | (provenance_of(self.mapper.trend) if isinstance(self.mapper, OverTrend) else {})


def make_request(ds: xr.Dataset, mapper: Mapper | str, options: RequestOptions) -> Request:
    """Settle what a conformed dataset, a mapper and a user's options ask for, or raise with what is wrong.

    Reads metadata; computes the target where a method given by name has something to fit.
    """
    target = settle_target(ds, mapper, options.target)
    visible = _visible_stations(ds)
    trained = mapper if isinstance(mapper, TrainedMapper) else None
    if trained is not None:
        check_model(trained, ds, target)
    times, init = _settle_times(ds, trained, options)
    source = visible
    if visible[target].chunks is None:
        others = () if trained is None else (*trained.recipe.covariates, *trained.recipe.known)
        steps = reporting_slice(trained, _record(ds), init)
        source = taking_part.reporting(visible, target, others=others, steps=steps)
    settled = settle_mapper(mapper, source, target, options.background, options.rasters, options.fields)
    range_km = fitted_range(settled)
    _check_fields_cover(settled, _record(ds), times, init)
    return Request(
        mapper=settled,
        trained=trained,
        source=source,
        target=target,
        times=times,
        init=init,
        level=options.level,
        probabilities=interval_probabilities(options.level) if settled.has_interval else (),
        given_distance=options.max_distance,
        range_km=range_km,
        network_distance=default_reach(range_km, *schema.positions(visible)).km,
        stations_hash=schema.stations_hash(visible),
        hidden=tuple(sorted(str(s) for s in ds[STATION].values[schema.hidden_mask(ds)])),
    )


# -- the target and the stations -----------------------------------------------------------------------------------


def settle_target(ds: xr.Dataset, mapper: Mapper | str | None, target: str | None) -> str:
    """Return the target asked for, else that of a trained mapper, else the only pollutant; a conformed dataset must have it."""
    if target is None and isinstance(mapper, TrainedMapper):
        target = mapper.target
    target = schema.pick_target(ds, target)
    schema.require_target(ds, target)
    return target


def check_level(level: float) -> float:
    """Return a nominal coverage as a float, or raise: the quantiles beyond 0.5 and 99.5 % are not calibrated."""
    return check_number(
        level, "level", "above 0 and at most 0.99", fix="level=0.9", valid=lambda nominal: 0 < nominal <= 0.99
    )


def interval_probabilities(level: float) -> tuple[float, float]:
    """Return the probabilities of the two quantiles that bound the central interval of a nominal coverage."""
    return (1.0 - level) / 2.0, (1.0 + level) / 2.0


def _visible_stations(ds: xr.Dataset) -> xr.Dataset:
    visible = ds.isel({STATION: np.flatnonzero(~schema.hidden_mask(ds))})
    if not visible.sizes[STATION]:
        raise SchemaError("every station is hidden; fix: ds.aq.hide(fraction=0.15)")
    return visible


def reporting_slice(forecaster: Mapper | None, record: NDArray[np.datetime64], init: np.datetime64 | None) -> slice:
    """Return the steps in which a station must report to take part: all of the record, or a forecast's history."""
    return slice(None) if forecaster is None or init is None else history_slice(record, forecaster.margin_days[0], init)


def _identity(mapper: Mapper) -> str:
    """Return the hash that a cube records; of a mapper over a trend, that of the mapper inside.

    The terms of the trend are recorded beside it, and values of fields belong to periods.
    """
    inner = mapper.mapper if isinstance(mapper, OverTrend) else mapper
    return inner.hash if isinstance(inner, Hashed) else str(tokenize(inner))


def _record(ds: xr.Dataset | xr.DataArray) -> NDArray[np.datetime64]:
    return ds[TIME].values.astype("datetime64[s]")


# -- times ---------------------------------------------------------------------------------------------------------


def _settle_times(
    ds: xr.Dataset, trained: TrainedMapper | None, options: RequestOptions
) -> tuple[NDArray[np.datetime64], np.datetime64 | None]:
    """Return the times to estimate, and the init time of a forecast."""
    if trained is not None and trained.task == "forecast":
        init = _init_time(_record(ds), options.init)
        check_horizon(trained, ds, init)
        return _forecast_times(trained, init, options.time), init
    if options.init is not None:
        raise ModelError(f"init= is for forecast models; this one is an analysis; fix: time={str(options.init)!r}")
    return _record(schema.select_period(ds, options.time)), None


def _init_time(record: NDArray[np.datetime64], init: Any) -> np.datetime64:
    """Return the last time whose observations a forecast reads; the last of the record by default."""
    try:
        last = record[-1] if init is None else np.datetime64(pd.Timestamp(timestamps.plain_time(init)), "s")
    except (ValueError, TypeError) as error:
        raise SchemaError(f"init={shown(init)} is no time; fix: init='{record[-1]}'") from error
    if last not in record:
        raise SchemaError(
            f"init={shown(init)} is no step of the dataset, which covers {record[0]} to {record[-1]}; fix: init='{record[-1]}'"
        )
    return last


def _forecast_times(trained: TrainedMapper, init: np.datetime64, time: schema.Period) -> NDArray[np.datetime64]:
    """Return the part of a forecast's horizon that is asked for."""
    horizon = _horizon(trained, init)
    try:
        return _record(schema.select_period(xr.Dataset(coords={TIME: horizon}), time))
    except SchemaError as error:
        raise SchemaError(
            f"time={time!r} lies outside the forecast from {init}, which covers {horizon[0]} to {horizon[-1]}; "
            f"fix: time=slice('{horizon[0]}', '{horizon[-1]}'), or another init="
        ) from error


def _horizon(trained: TrainedMapper, init: np.datetime64) -> NDArray[np.datetime64]:
    return init + np.arange(1, trained.recipe.config.target_steps + 1) * trained.step


def check_horizon(trained: TrainedMapper, ds: xr.Dataset, init: np.datetime64) -> None:
    """Refuse a forecast from a time after which the dataset lacks steps of the covariates known ahead."""
    horizon, known = _horizon(trained, init), trained.recipe.known
    absent = horizon[~np.isin(horizon, _record(ds))]
    if known and len(absent):
        raise SchemaError(
            f"the forecast from {init} reads {', '.join(known)} over its horizon, and the dataset lacks "
            f"{len(absent)} of {len(horizon)} steps there, {absent[0]} .. {absent[-1]}; fix: an earlier init=, or append those "
            "steps with the weather and no observations"
        )


# -- what is covered -----------------------------------------------------------------------------------------------


def _check_fields_cover(
    mapper: Mapper, record: NDArray[np.datetime64], times: NDArray[np.datetime64], init: np.datetime64 | None
) -> None:
    """Refuse fields that do not cover the steps of the record that are read, and the times estimated."""
    read = record[record_slice(record, mapper.margin_days, times, init)]
    first, last = read[0], max(read[-1], times[-1])
    for field in fields_of(mapper):
        try:
            field.check_period(first, last)
        except SchemaError as error:
            inside = times[(times >= field.times[0]) & (times <= field.times[-1])]
            if init is not None or len(inside) in (0, len(times)):
                raise
            only = f"time=slice('{inside[0]}', '{inside[-1]}')"
            raise SchemaError([f"{p}, or {only}" for p in error.problems], subject="gridded field") from error
    warn_of_lack(fields_of(mapper), times, read)


def check_grid(request: Request, grid: Grid) -> None:
    """Refuse a grid on which no cell is near any station, or all of which lies outside a field."""
    lon, lat = longitudes.nearest_image(request.lon, 0.5 * (grid.lon[0] + grid.lon[-1])), request.lat
    x = np.clip(lon, grid.lon[0], grid.lon[-1])
    y = np.clip(lat, grid.lat[0], grid.lat[-1])
    closest = float(sphere.distance_km(lon, lat, x, y).min())
    if closest > request.max_distance:
        raise GridError(
            f"the grid ({grid}) is {closest:.0f} km from the nearest of {len(lon)} stations "
            f"({lon.min():.2f}..{lon.max():.2f} E, {lat.min():.2f}..{lat.max():.2f} N), farther than max_distance="
            f"{request.max_distance:.0f} km; fix: grid=0.1 for a grid around the stations, or max_distance={np.ceil(closest):.0f}"
        )
    if request.fields:
        x, y = np.meshgrid(grid.lon, grid.lat)
        check_fields_reach(request, x.ravel(), y.ravel(), "cells of the grid")


def check_points(request: Request, lon: NDArray, lat: NDArray) -> None:
    """Refuse points none of which is near any station, or all of which lie outside a field."""
    closest = float(sphere.nearest(request.lon, request.lat, lon, lat, 1)[1].min())
    if closest > request.max_distance:
        raise GridError(
            f"the nearest of {len(lon)} points is {closest:.0f} km from any station, farther than max_distance="
            f"{request.max_distance:.0f} km; fix: other points (are lon and lat swapped?), or max_distance={np.ceil(closest):.0f}"
        )
    check_fields_reach(request, lon, lat, "points")


def check_fields_reach(request: Request, lon: NDArray, lat: NDArray, what: str) -> None:
    """Refuse places all of which lie outside a field, and warn of some; ``what`` is the plural noun for them.

    Outside a field there is no value, as where it has a missing one.
    """
    beyond = [(repr(field.name), field.check_overlaps(lon, lat, what)) for field in request.fields]
    for n in sorted({found for _, found in beyond if found}):
        names = [name for name, found in beyond if found == n]
        do, have = ("does", "it has") if len(names) == 1 else ("do", "they have")
        warn(f"{', '.join(names)} {do} not cover {n} of {len(lon)} {what}: {have} no value there")


def estimated_steps(request: Request) -> NDArray[np.bool_]:
    """Return which times are estimated, ``(n_time,)``: all of a forecast and of lazy data, else those at which a visible station reports."""
    if request.init is not None or request.is_lazy:
        return np.ones(len(request.times), bool)
    return np.isfinite(request.values.sel({TIME: request.times}).values).any(axis=0)


def warn_if_silent(request: Request) -> None:
    """Warn of steps at which no visible station reports; for lazy data nothing is computed and nothing said."""
    silent = int((~estimated_steps(request)).sum())
    if silent:
        text = f"no visible station reports at {silent} of {len(request.times)} steps: the cube is NaN there"
        warn(text)
