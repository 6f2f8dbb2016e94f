"""Observations and estimates at one place: a station, or any point."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from .._arguments import check_number
from ..arrays import longitudes, sphere
from ..conventions import LAT, LON, POINT, STATION, label
from ..cube.provenance import not_seen, provenance
from ..cube.reanalyze import estimate_at
from ..cube.request import RequestOptions, make_request, settle_target
from ..errors import GridError, SchemaError
from ..stations import holdout, schema
from . import arguments
from .arguments import check_of_cube
from .observed import check_comparable, observed_over
from .seen import used_for
from .subject import (
    cells_at,
    cube_target,
    point_target,
    refuse_forecast,
    shared_units,
    trained_on,
    units_text,
)
from .times import Periods, daily_text, period_text, select_times


@dataclass(frozen=True)
class Place:
    """A station by its identifier, or a point by its degrees; all None for the only point of an estimate."""

    station: Any = None
    lon: Any = None
    lat: Any = None


@dataclass(frozen=True)
class Subject:
    """Estimates at a place, and observations where it is a station, ``(time,)`` and computed, with the text of the title."""

    observed: xr.DataArray | None
    estimated: xr.Dataset
    target: str
    units: str
    head: str
    note: str


@dataclass(frozen=True)
class _Spot:
    """A place that has been found: its position among the stations, None for a point; and its degrees."""

    position: int | None
    lon: float
    lat: float
    text: str


def at_place(ds: xr.Dataset, source: Any, place: Place, options: RequestOptions) -> Subject:
    """Return what is observed at a place, and what a mapper, a cube or an estimate says of it.

    Parameters
    ----------
    ds : xarray.Dataset, dims (station, time)
        A conformed station dataset.
    source : Mapper, name of a method, or xarray.Dataset
        A dataset is a cube, or estimates at points.
    place : Place
    options : RequestOptions
        Target and time; fields of a mapper.

    Raises
    ------
    SchemaError, ModelError, GridError
        As :func:`xaq.plot.series`.
    """
    if isinstance(source, xr.Dataset):
        check_of_cube(options)
        at_points = POINT in source.dims
        target = (point_target if at_points else cube_target)(source, options.target)
        units = shared_units(ds, source, target)
        spot = _find(ds, place, source if at_points else None)
        picked = select_times(source, options.time)[0]
        if spot.position is not None:
            check_comparable(ds, source)
        estimated, where = (_point if at_points else _cell)(picked, spot, target)
        note = "; ".join(filter(None, [_whether_used(ds, source, spot, "estimate" if at_points else "cube"), where]))
    else:
        refuse_forecast(source, "series", "fix: pass the cube, ds.aq.reanalyze(model, init=...)")
        target = settle_target(ds, source, options.target)
        units = units_text(str(ds[target].attrs["units"]))
        spot = _find(ds, place, None)
        estimated, note = _estimated(ds, source, spot, replace(options, target=target))
    observed = None
    if spot.position is not None:
        observed = observed_over(ds.isel({STATION: [spot.position]}), estimated, target).isel({STATION: 0})
    values = [estimated[target].values] + ([] if observed is None else [observed.values])
    if not any(np.isfinite(v).any() for v in values):
        raise SchemaError(
            f"neither an observation nor an estimate of {target!r} at {spot.text}, {period_text(estimated, mean=False)}; fix: another time=..."
        )
    periods = Periods.of(estimated)
    one = daily_text(ds[[target]]) if periods is None else periods.one
    what = f"{one.capitalize()} of {label(target)}" if one else label(target)
    head = [f"{what} at {spot.text}", provenance(estimated).get("method")]
    return Subject(observed, estimated, target, units, ", ".join(filter(None, head)), note)


def _find(ds: xr.Dataset, place: Place, points: xr.Dataset | None) -> _Spot:
    """Return where a place is; the only point of estimates, where none is named."""
    if place.station is not None:
        if place.lon is not None or place.lat is not None:
            raise arguments.error("station= and lon=, lat= both name a place; fix: pass one of them")
        ids = [str(s) for s in ds[STATION].values]
        if str(place.station) not in ids:
            raise SchemaError(
                f"no station {str(place.station)!r}; known are {schema.some(ids)}; fix: station={ids[0]!r}"
            )
        at = ids.index(str(place.station))
        lon, lat = (float(ds[name].values[at]) for name in (LON, LAT))
        return _Spot(at, lon, lat, f"station {ds[STATION].values[at]}")
    if place.lon is None and place.lat is None:
        if points is not None and points.sizes[POINT] == 1:
            return _spot(float(points[LON].values[0]), float(points[LAT].values[0]))
        first = ds[STATION].values[0]
        raise arguments.error(f"no place is named; fix: station={str(first)!r}, or lon=... and lat=... in degrees")
    lon = check_number(place.lon, LON, "degrees, with lat", fix="lon=10.0, lat=50.0", error=arguments.error)
    lat = check_number(
        place.lat, LAT, "degrees from -90 to 90, with lon", fix="lon=10.0, lat=50.0", valid=lambda d: abs(d) <= 90,
        error=arguments.error,
    )  # fmt: skip
    return _spot(lon, lat)


def _spot(lon: float, lat: float) -> _Spot:
    return _Spot(None, lon, lat, _degrees_text(lon, lat))


def _degrees_text(lon: float, lat: float) -> str:
    """Return a place in words: ``"10.5°E, 40°S"``."""
    lon = float(longitudes.canonical(lon))
    return f"{abs(lon):.6g}°{'W' if lon < 0 else 'E'}, {abs(lat):.6g}°{'S' if lat < 0 else 'N'}"


def _cell(cube: xr.Dataset, spot: _Spot, target: str) -> tuple[xr.Dataset, str]:
    """Return the cell that contains a place, computed, and its centre in words."""
    cell = cells_at(cube, np.array([spot.lon]), np.array([spot.lat]), STATION).isel({STATION: 0})
    return _computed(cell, target), f"cell at {_degrees_text(float(cell[LON]), float(cell[LAT]))}"


def _point(points: xr.Dataset, spot: _Spot, target: str) -> tuple[xr.Dataset, str]:
    """Return the estimates at the point where a place is, computed."""
    km = sphere.distance_km(points[LON].values, points[LAT].values, spot.lon, spot.lat)
    near = int(np.argmin(km))
    if km[near] > sphere.COLOCATED_KM:
        raise GridError(
            f"no point of the estimate lies at {spot.text}, the nearest one {km[near]:.3g} km away; fix: "
            f"lon={float(points[LON].values[near]):.6g}, lat={float(points[LAT].values[near]):.6g}"
        )
    return _computed(points.isel({POINT: near}), target), ""


def _computed(at: xr.Dataset, target: str) -> xr.Dataset:
    return at[[n for n in (target, f"{target}_lower", f"{target}_upper", "time_bnds") if n in at]].compute()


def _whether_used(ds: xr.Dataset, source: xr.Dataset, spot: _Spot, what: str) -> str:
    """Return a note on whether estimates were made from a station; empty for another place."""
    if spot.position is None:
        return ""
    name = str(ds[STATION].values[spot.position])
    if not schema.hidden_mask(ds)[spot.position]:
        unseen = name in not_seen(source)
        return f"visible station, {'but hidden when' if unseen else 'used for'} the {what}{' was made' * unseen}"
    if name in used_for(ds, source):
        return f"hidden station, but visible when the {what} was made"
    return f"hidden station, not used for the {what}"


def _estimated(ds: xr.Dataset, mapper: Any, spot: _Spot, options: RequestOptions) -> tuple[xr.Dataset, str]:
    """Return estimates at a place, at a station made without it, computed; and a note on how it was left out."""
    note = ""
    if spot.position is not None:
        hidden = schema.hidden_mask(ds)
        note = "hidden station, not used here"
        if not hidden[spot.position]:
            ds = holdout.with_hidden(ds, np.append(np.flatnonzero(hidden), spot.position))
            note = "visible station, left out here"
        if str(ds[STATION].values[spot.position]) in trained_on(mapper):
            note += " as a neighbour, but the model was trained on it"
    request = make_request(ds, mapper, options)
    # A station is drawn as it is scored: at any distance.
    made = estimate_at(request, lon=[spot.lon], lat=[spot.lat], of_stations=spot.position is not None)
    return made.isel({POINT: 0}).compute(), note
