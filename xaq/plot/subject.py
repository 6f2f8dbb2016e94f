"""The subject of a figure: its target, steps and units, the phrases for them, and the values of a cube."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from .._arguments import shown
from ..arrays import longitudes
from ..conventions import LAT, LON, TIME, canonical_units, label
from ..errors import GridError, ModelError, SchemaError
from ..interpolate.trained import TrainedMapper
from ..stations import schema

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def refuse_forecast(mapper: Any, verb: str, fix: str) -> None:
    """Raise for a forecast model, whose estimates lie after the end of the record."""
    if isinstance(mapper, TrainedMapper) and mapper.task == "forecast":
        raise ModelError(f"plot.{verb} expects an analysis model, got a forecast model; {fix}")


def trained_on(mapper: Any) -> set[str]:
    """Return the identifiers of the stations that a model was trained on; none for a classical method."""
    return set(mapper.recipe.visible) if isinstance(mapper, TrainedMapper) else set()


def cube_target(cube: xr.Dataset, target: str | None) -> str:
    """Return the variable of a cube: the one asked for, or its only estimate, which bounds are not."""
    if not isinstance(cube, xr.Dataset) or not {LAT, LON} <= set(cube.dims) or TIME not in cube.coords:
        raise SchemaError("expected a Dataset with time, lat and lon; fix: cube = ds.aq.reanalyze(...)", subject="cube")
    fields = [
        str(n) for n in cube.data_vars if {LAT, LON} <= set(cube[n].dims) and n not in ("supported", "nearest_station")
    ]
    # A bound is that of another variable: a target may be called "heat_upper".
    known = [n for n in fields if re.sub("_(lower|upper)$", "", n) not in {*fields} - {n}]
    if target is None and len(known) == 1:
        return known[0]
    if not isinstance(target, str) or target not in fields:
        asked = "which variable?" if target is None else f"no variable {shown(target)};"
        raise SchemaError(
            f"{asked} the cube has {', '.join(known) or 'none'}; fix: target={(known or ['pm25'])[0]!r}", subject="cube"
        )
    return target


def select_times(cube: xr.Dataset, time: schema.Period) -> tuple[xr.Dataset, str]:
    """Return the chosen steps of a cube, and a phrase for them; raise for a time that it does not have."""
    if TIME not in cube.dims:
        cube = cube.expand_dims(TIME)
    try:
        picked = schema.select_period(cube, time)
    except SchemaError as error:
        first, last = cube[TIME].values[[0, -1]].astype("datetime64[s]")
        raise SchemaError(
            f"time={time!r} holds no step of the cube, which covers {first} to {last}; fix: time={str(first)!r}",
            subject="cube",
        ) from error
    return picked, period_text(picked)


def period_text(ds: xr.Dataset, *, mean: bool = True, of: xr.Dataset | None = None) -> str:
    """Return a phrase for the times of a dataset: one step, a daily mean, or (the mean of) a period ``of`` a record."""
    times = ds[TIME].to_index()
    step = _step(ds if of is None else of)
    if len(times) == 1:
        return time_text(times[0], step)
    style, zone = _time_style(step)
    if (
        mean
        and step is not None
        and len(times) * step == pd.Timedelta("1D")
        and times[0].normalize() == times[-1].normalize()
    ):
        return f"daily mean {times[0]:%Y-%m-%d} (UTC)"
    unit = "days" if step == pd.Timedelta("1D") else "hours" if step == pd.Timedelta("1h") else "steps"
    return f"{'mean of ' * mean}{len(times)} {unit}, {times[0]:{style}} to {times[-1]:{style}}{zone}"


def time_text(time: pd.Timestamp, step: pd.Timedelta | None) -> str:
    """Return a phrase for one step: its date where a step is a day or longer, else date and time."""
    style, zone = _time_style(step)
    return f"{time:{style}}{zone}"


def _time_style(step: pd.Timedelta | None) -> tuple[str, str]:
    daily = step is not None and step >= pd.Timedelta("1D")
    return ("%Y-%m-%d", "") if daily else ("%Y-%m-%d %H:%M", " UTC")


def _step(ds: xr.Dataset) -> pd.Timedelta | None:
    if "time_bnds" in ds.variables and ds["time_bnds"].ndim == 2:
        edges = ds["time_bnds"].values[0]
        return pd.Timedelta(edges[1] - edges[0])
    times = ds[TIME].to_index()
    return pd.Timedelta(times[1] - times[0]) if len(times) > 1 else None


def method_text(cube: xr.Dataset) -> str:
    """Return the method and the number of stations from a cube's provenance; empty where it has none."""
    known = provenance(cube)
    return (
        f"{known['method']}, {known['visible_stations']} stations"
        if {"method", "visible_stations"} <= set(known)
        else ""
    )


def provenance(cube: xr.Dataset) -> dict[str, Any]:
    """Return the provenance that xaq wrote into a cube; empty for any other cube."""
    try:
        known = json.loads(cube.attrs.get("xaq_provenance", "{}"))
    except (TypeError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def units_text(units: str) -> str:
    """Return units as they are printed: ``"ug m-3"`` -> ``"µg m⁻³"``, ``"1e-9"`` -> ``"ppb"``."""
    units = canonical_units(units)
    if units in ("1e-9", "1e-6"):
        return "ppb" if units == "1e-9" else "ppm"
    text = re.sub(r"(?<=[A-Za-z])-?\d+", lambda found: found.group().translate(_SUPERSCRIPT), units)
    return re.sub(r"^u(?=[A-Za-z])", "µ", text)


def axis_label(target: str, units: str) -> str:
    """Return a label with units, ``"PM10 [µg m⁻³]"``, from ``units`` as :func:`units_text` gives them."""
    return f"{label(target)} [{units}]"


def shared_units(ds: xr.Dataset, cube: xr.Dataset, target: str) -> str:
    """Return the common units of stations and cube, as printed; raise where they differ: they share one colour bar."""
    schema.require_target(ds, target)
    ours, theirs = (canonical_units(str(d[target].attrs.get("units", ""))) for d in (ds, cube))
    if ours != theirs:
        raise SchemaError(
            f"{target!r} is in {ours!r} at the stations and in {theirs!r} in the cube; "
            f"fix: ds.aq.convert_units({{{target!r}: {theirs!r}}})"
        )
    return units_text(ours)


# -- values --------------------------------------------------------------------------------------------------------------


def cells_at(cube: xr.Dataset, lon: NDArray, lat: NDArray, dim: str) -> xr.Dataset:
    """Return the cells of a cube that contain points, ``(dim,)``; longitudes may differ by whole turns of 360 degrees.

    Raises
    ------
    GridError
        A point lies outside the cube.
    """
    x, y = cell_edges(cube, LON), cell_edges(cube, LAT)
    lon = longitudes.nearest_image(lon, 0.5 * (x[0] + x[-1]))
    outside = np.flatnonzero((lon < x[0]) | (lon > x[-1]) | (lat < y[0]) | (lat > y[-1]))
    if len(outside):
        first = outside[0]
        raise GridError(
            f"{len(outside)} station(s) lie outside the cube ({x[0]:g}..{x[-1]:g} E, {y[0]:g}..{y[-1]:g} N), such as "
            f"{lon[first]:g} E, {lat[first]:g} N; fix: ds.aq.reanalyze(..., grid=...) over the whole network"
        )
    return cube.sel({LON: xr.DataArray(lon, dims=dim), LAT: xr.DataArray(lat, dims=dim)}, method="nearest")


def supported_cells(cube: xr.Dataset, field: xr.DataArray) -> xr.DataArray:
    """Return a field of a cube, with NaN in cells that no station supports."""
    if "supported" not in cube:
        return field
    supported = cube["supported"]
    return field.where((supported.isel({TIME: 0}) if TIME in supported.dims else supported).astype(bool))


def mean_field(picked: xr.Dataset, target: str) -> NDArray[np.float64]:
    """Return the mean over the chosen steps, ``(lat, lon)``, NaN where unsupported. Computes."""
    mean = supported_cells(picked, picked[target].mean(TIME))
    return np.asarray(mean.transpose(LAT, LON).values, float)


def mean_observed(ds: xr.Dataset, target: str, times: NDArray) -> NDArray[np.float64]:
    """Return each station's mean over the given times, ``(station,)``, NaN where it has no observation. Computes."""
    steps = np.flatnonzero(np.isin(ds[TIME].values.astype("datetime64[s]"), times.astype("datetime64[s]")))
    values = ds[target].isel({TIME: steps}).astype(float)
    return np.asarray(values.where(np.isfinite(values)).mean(TIME).values, float)


def cell_edges(cube: xr.Dataset, name: str) -> NDArray[np.float64]:
    """Return cell edges, ``(n + 1,)`` degrees: from the cube's bounds, or half-way between centres."""
    bounds = f"{name}_bnds"
    if bounds in cube.variables and cube[bounds].shape == (cube.sizes[name], 2):
        pairs = np.asarray(cube[bounds].values, float)
        return np.append(pairs[:, 0], pairs[-1, 1])
    centres = np.asarray(cube[name].values, float)
    half = np.diff(centres) / 2 if len(centres) > 1 else np.array([0.05])
    return np.concatenate(
        [centres[:1] - half[:1], centres[:-1] + half if len(centres) > 1 else [], centres[-1:] + half[-1:]]
    )


def station_bounds(ds: xr.Dataset) -> tuple[float, float, float, float]:
    """Return bounds around all stations with a margin of 8 % of their extent, in any convention of longitude."""
    lon, lat = longitudes.unwrap(ds[LON].values), np.asarray(ds[LAT].values, float)
    margin = max(0.08 * max(float(np.ptp(lon)), float(np.ptp(lat))), 0.02)
    return (
        float(lon.min()) - margin,
        max(float(lat.min()) - margin, -90.0),
        float(lon.max()) + margin,
        min(float(lat.max()) + margin, 90.0),
    )
