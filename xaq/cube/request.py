"""The plan of an estimate: what, by what, from which stations, when. Metadata only; everything but the places."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from dask.base import tokenize
from numpy.typing import NDArray

from ..arrays import sphere, timesteps
from ..conventions import LAT, LON, STATION, TIME, canonical_units
from ..errors import GridError, ModelError, SchemaError, XaqWarning
from ..fields.background import BACKGROUND, Background, BackgroundAlone, OverBackground, settle_field
from ..fields.gridded import Gridded
from ..fields.rasters import RasterPredictors, rasters_by_name
from ..interpolate.base import Mapper
from ..interpolate.classical import CLASSICAL, classical
from ..interpolate.site_predictors import FEATURES
from ..stations import schema
from .grid import Grid


@dataclass(frozen=True)
class Plan:
    """What will be estimated, by what, from which stations: everything but the places.

    ``source`` holds the visible stations of the whole record; ``times`` are those to be estimated; a forecast has an
    ``init`` time, after which nothing is read but the covariates named in ``known``. ``probabilities`` are those of the
    quantiles that are computed beside the value: the two bounds of a cube's interval; none where the mapper has no
    distribution.
    """

    mapper: Mapper
    source: xr.Dataset
    target: str
    covariates: tuple[str, ...]
    known: tuple[str, ...]
    times: NDArray[np.datetime64]
    init: np.datetime64 | None
    probabilities: tuple[float, ...]
    max_distance: float
    provenance: dict[str, Any]


def make_plan(
    ds: xr.Dataset,
    mapper: Mapper | str,
    *,
    target: str | None = None,
    time: schema.Period = None,
    init: Any = None,
    level: float = 0.9,
    max_distance: float | None = None,
    background: xr.DataArray | xr.Dataset | None = None,
    rasters: Mapping[str, xr.DataArray] | None = None,
) -> Plan:
    """Settle what is to be estimated, or raise. Metadata only, except for fitting a method given by name."""
    ds = schema.conform(ds)
    recipe = getattr(mapper, "recipe", None)
    target = recipe.target if recipe is not None and target is None else schema.pick_target(ds, target)
    ds = schema.conform(ds, target)
    if not 0 < level <= 0.99:
        raise SchemaError(f"level is {level}, expected above 0 and at most 0.99, such as 0.9", subject="interval")
    source = ds.isel({STATION: np.flatnonzero(~schema.hidden_mask(ds))})
    if not source.sizes[STATION]:
        raise SchemaError("every station is hidden; fix: ds.aq.hide(fraction=0.15)")
    field = _settle_background(background, source, target)
    settled = _settle_mapper(mapper, source, target, field)
    if recipe is not None:
        check_model(settled, ds, target)
    times, last = _settle_times(settled, ds, time, init)
    given = rasters_by_name(rasters)
    if recipe is None and given:
        raise ModelError(f"rasters are read by a trained model, not by {settled.name!r}; fix: rasters=None")
    if recipe is not None and (predictors := RasterPredictors.of_model(given, recipe.rasters, source)) is not None:
        settled = settled.with_predictors(predictors)  # type: ignore[attr-defined]
    if recipe is not None and (over := Background.of_model(field, recipe.background)) is not None:
        settled = OverBackground(settled, over)
    _check_periods(settled, ds, times)
    # Those that are silent belong to the network too: a cube stays the same one when they begin to report.
    listed = schema.stations_hash(source)
    limit = _default_reach(source) if max_distance is None else float(max_distance)
    if source[target].chunks is None:
        silent = silent_stations(
            source[target].transpose(STATION, TIME).values[:, readable_steps(settled, source, last)]
        )
        source = schema.drop_silent(source, silent, target)
    covariates, known = (recipe.covariates, recipe.known) if recipe is not None else ((), ())
    if last is not None:
        check_horizon(recipe, ds, last)
    provenance = {
        "xaq_version": version("xaq"),
        "method": settled.name,
        "model_hash": getattr(settled, "hash", None) or tokenize(settled),
        "target": target,
        "units": str(ds[target].attrs["units"]),
        "stations_hash": listed,
        "visible_stations": int(source.sizes[STATION]),
        "hidden_stations": [str(s) for s in ds[STATION].values[schema.hidden_mask(ds)]],
        "observation_period": [str(t) for t in ds[TIME].values[[0, -1]].astype("datetime64[s]")],
        "estimated_period": [str(times[0]), str(times[-1])],
        "init_time": None if last is None else str(last),
        "interval_level": level,
        "max_distance_km": round(limit, 3),
        "seed": None if recipe is None else recipe.seed,
        "held_out_scores": [] if recipe is None else recipe.held_out_scores,
    }
    if isinstance(settled, OverBackground):
        provenance["background"] = settled.background.describe()
    if recipe is not None and recipe.geography is not None:
        provenance["geography"] = dict(zip(FEATURES, recipe.geography.slopes, strict=True))
    if recipe is not None and recipe.rasters:
        provenance["rasters"] = list(recipe.rasters)
    probabilities = interval_probabilities(level) if settled.has_interval else ()
    return Plan(settled, source, target, covariates, known, times, last, probabilities, limit, provenance)


def interval_probabilities(level: float) -> tuple[float, float]:
    """Return the probabilities of the two quantiles that bound the central interval of the given coverage."""
    return (1.0 - level) / 2.0, (1.0 + level) / 2.0


def _settle_background(background: xr.DataArray | xr.Dataset | None, source: xr.Dataset, target: str) -> Gridded | None:
    if background is None:
        return None
    field = settle_field(background, target, str(source[target].attrs["units"]))
    field.check_covers(source[LON].values, source[LAT].values, "stations", subject=BACKGROUND)
    field.check_step(timesteps.regular_step(source[TIME].values), subject=BACKGROUND)
    return field


def _settle_mapper(mapper: Mapper | str, source: xr.Dataset, target: str, field: Gridded | None) -> Mapper:
    """Return the mapper meant; one given by name is fitted, over the background where there is one."""
    if not isinstance(mapper, str):
        if not isinstance(mapper, Mapper):
            raise ModelError(f"got {type(mapper).__name__}, expected a trained model or one of {', '.join(CLASSICAL)}")
        if field is not None and not hasattr(mapper, "recipe"):
            raise ModelError(f"{mapper.name} was fitted without a background; fix: pass it by name, or background=None")
        return mapper
    if mapper == BACKGROUND and field is not None:
        return BackgroundAlone(field)
    if mapper not in CLASSICAL:
        raise ModelError(
            f"no method {mapper!r}; expected a trained model or one of {', '.join(CLASSICAL)}; a model file: xaq.load_model(...)"
        )
    observations = schema.observations(source, target)
    if field is None:
        return classical(mapper, observations)
    field.check_period(*observations.times[[0, -1]], subject=BACKGROUND)
    over = Background.fit(field, observations)
    return OverBackground(classical(mapper, over.remove(observations)), over)


def _check_periods(mapper: Mapper, ds: xr.Dataset, times: NDArray[np.datetime64]) -> None:
    """Refuse fields that do not cover what is read: the times, and the days of the record around them."""
    record = ds[TIME].values.astype("datetime64[s]")
    before, after = mapper.margin_days
    first = floor_day(times[0], record) - days_as_time(before, record)
    last = floor_day(times[-1], record) + days_as_time(after + 1, record)
    read = record[(record >= first) & (record < last)]
    for field in fields_of(mapper):
        field.check_period(*read[[0, -1]])


def fields_of(mapper: Mapper) -> tuple[Gridded, ...]:
    """Return the fields and rasters that a mapper's estimates are made of beside the stations."""
    fields: tuple[Gridded, ...] = getattr(mapper, "fields", ())
    return fields


def check_model(model: Any, ds: xr.Dataset, target: str) -> None:
    """Refuse a model trained for another target, unit or step, or covariates that the dataset lacks."""
    problems = []
    if model.target != target:
        problems.append(
            f"the model was trained for {model.target!r}, asked for {target!r}; fix: target={model.target!r}, or train another"
        )
    elif canonical_units(model.recipe.units) != canonical_units(str(ds[target].attrs["units"])):
        problems.append(
            f"the model is in {model.recipe.units!r}, the dataset's {target!r} in {ds[target].attrs['units']!r}; fix: convert the dataset"
        )
    step = timesteps.regular_step(ds[TIME].values)
    if step != model.step:
        problems.append(
            f"the model has a step of {timesteps.step_name(model.step)}, the dataset {timesteps.step_name(step)}; "
            "fix: ds.resample(...), or train another"
        )
    missing = [c for c in (*model.recipe.covariates, *model.recipe.known) if c not in ds.data_vars]
    if missing:
        problems.append(f"the model needs covariates that the dataset lacks: {', '.join(missing)}")
    if problems:
        raise ModelError("; ".join(problems))


def check_horizon(recipe: Any, ds: xr.Dataset, init: np.datetime64) -> None:
    """Refuse a forecast from a time after which the dataset lacks steps of what the model expects to be known."""
    step = np.timedelta64(recipe.step_seconds, "s")
    horizon = init + np.arange(1, recipe.config.target_steps + 1) * step
    absent = horizon[~np.isin(horizon, ds[TIME].values.astype("datetime64[s]"))]
    if recipe.known and len(absent):
        raise SchemaError(
            f"the forecast from {init} reads {', '.join(recipe.known)} over its horizon, and the dataset lacks "
            f"{len(absent)} of {len(horizon)} steps there, {absent[0]} .. {absent[-1]}; fix: an earlier init=, or append those "
            "steps with the weather and no observations"
        )


def _settle_times(
    mapper: Mapper, ds: xr.Dataset, time: schema.Period, init: Any
) -> tuple[NDArray[np.datetime64], np.datetime64 | None]:
    """Return the times to estimate, and the init time of a forecast."""
    record = ds[TIME].values.astype("datetime64[s]")
    if getattr(mapper, "task", "analysis") == "analysis":
        if init is not None:
            raise ModelError("init= is for forecast models; this one is an analysis; fix: time=")
        return schema.select_period(ds, time)[TIME].values.astype("datetime64[s]"), None
    try:
        last = record[-1] if init is None else np.datetime64(pd.Timestamp(init), "s")
    except (ValueError, TypeError) as error:
        raise SchemaError(f"init={init!r} is no time ({error}); fix: init='2017-01-01T00'") from error
    if last not in record:
        raise SchemaError(f"init={init!r} is no step of the dataset, which covers {record[0]} to {record[-1]}")
    recipe = mapper.recipe  # type: ignore[attr-defined]
    horizon = last + np.arange(1, recipe.config.target_steps + 1) * mapper.step  # type: ignore[attr-defined]
    empty = xr.Dataset(coords={TIME: horizon})
    try:
        return schema.select_period(empty, time)[TIME].values.astype("datetime64[s]"), last
    except SchemaError as error:
        raise SchemaError(
            f"time={time!r} lies outside the forecast from {last}, which covers {horizon[0]} to {horizon[-1]}; fix: init="
        ) from error


def _default_reach(source: xr.Dataset) -> float:
    """Return three times the 95th percentile of the distance between neighbouring places, km."""
    lon, lat = source[LON].values, source[LAT].values
    group = sphere.colocated_groups(lon, lat)
    _, first = np.unique(group, return_index=True)
    if len(first) < 2:
        return 50.0
    _, distance = sphere.nearest(lon[first], lat[first], lon[first], lat[first], 2)
    return 3.0 * float(np.percentile(distance[:, 1], 95))


def check_reach(grid: Grid, plan: Plan) -> None:
    """Refuse a grid on which no cell is near any station, or that a field does not cover."""
    lon, lat = plan.source[LON].values, plan.source[LAT].values
    # Longitudes may be counted from 0 or from -180: compare each station at its image nearest to the grid.
    centre = 0.5 * (grid.lon[0] + grid.lon[-1])
    lon = lon + 360.0 * np.round((centre - lon) / 360.0)
    x = np.clip(lon, grid.lon[0], grid.lon[-1])
    y = np.clip(lat, grid.lat[0], grid.lat[-1])
    closest = float(sphere.distance_km(lon, lat, x, y).min())
    if closest > plan.max_distance:
        raise GridError(
            f"the grid ({grid}) is {closest:.0f} km from the nearest of {len(lon)} stations "
            f"({lon.min():.2f}..{lon.max():.2f} E, {lat.min():.2f}..{lat.max():.2f} N), farther than max_distance="
            f"{plan.max_distance:.0f} km; fix: another grid, or max_distance="
        )
    for field in fields_of(plan.mapper):
        x, y = np.meshgrid(grid.lon, grid.lat)
        field.check_covers(x.ravel(), y.ravel(), "cells of the grid")


def check_points(lon: NDArray, lat: NDArray, plan: Plan) -> None:
    """Refuse points none of which is near any station, or that a field does not cover."""
    stations = plan.source[LON].values, plan.source[LAT].values
    closest = float(sphere.nearest(*stations, lon, lat, 1)[1].min())
    if closest > plan.max_distance:
        raise GridError(
            f"the nearest of {len(lon)} points is {closest:.0f} km from any station, farther than max_distance={plan.max_distance:.0f} km; "
            "fix: other points (are lon and lat swapped?), or max_distance="
        )
    for field in fields_of(plan.mapper):
        field.check_covers(lon, lat, "points")


def readable_steps(mapper: Mapper, source: xr.Dataset, init: np.datetime64 | None) -> slice:
    """Return the steps whose observations decide which stations take part: all, or a forecast's history."""
    if init is None:
        return slice(None)
    record = source[TIME].values.astype("datetime64[s]")
    low = np.searchsorted(record, init - days_as_time(mapper.margin_days[0], record), side="right")
    return slice(int(low), int(np.searchsorted(record, init, side="right")))


def silent_stations(values: NDArray) -> NDArray[np.bool_]:
    """Return which stations have no observation in ``values (station, time)``."""
    return ~np.isfinite(values).any(axis=1)


def days_as_time(n: int, record: NDArray[np.datetime64]) -> np.timedelta64:
    """Return n days, or n steps where a step is a day or longer."""
    step = timesteps.regular_step(record)
    return n * (step if timesteps.steps_per_day(step) == 1 else timesteps.DAY.astype("timedelta64[s]"))


def floor_day(time: np.datetime64, record: NDArray[np.datetime64]) -> np.datetime64:
    """Return the start of the UTC day of a time, or the time itself where a step is a day or longer."""
    if timesteps.steps_per_day(timesteps.regular_step(record)) == 1:
        return time
    return time.astype("datetime64[D]").astype("datetime64[s]")


def warn_if_silent(plan: Plan) -> None:
    """Say how many steps no visible station reports at; of data in memory only, nothing is computed for it."""
    values = plan.source[plan.target].sel({TIME: plan.times}) if plan.init is None else None
    if values is not None and values.chunks is None:
        silent = int((~values.notnull().any(STATION)).sum())
        if silent:
            text = f"no visible station reports at {silent} of {len(plan.times)} steps: the cube is NaN there"
            warnings.warn(text, XaqWarning, stacklevel=3)
