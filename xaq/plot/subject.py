"""The subject of a figure: its target and units, the phrases for them, and the values of a cube."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .._arguments import shown
from ..arrays import longitudes
from ..conventions import LAT, LON, MEMBER, POINT, POLLUTANTS, STATION, TIME, cf_attrs, common_units, label
from ..cube.provenance import method_text as of_provenance
from ..cube.provenance import provenance
from ..errors import GridError, ModelError, SchemaError
from ..interpolate.trained import TrainedMapper
from ..stations import schema
from .times import Periods

#: What a cube knows of its cells beside estimates.
NO_ESTIMATES = ("supported", "nearest_station", "dissimilarity")
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def refuse_forecast(mapper: Any, verb: str, fix: str) -> None:
    """Raise for a forecast model, whose estimates lie after the end of the record."""
    if isinstance(mapper, TrainedMapper) and mapper.task == "forecast":
        raise ModelError(f"plot.{verb} expects an analysis model, got a forecast model; {fix}")


def trained_on(mapper: Any) -> set[str]:
    """Return the identifiers of the stations that a model was trained on; none for a classical method."""
    return set(mapper.recipe.visible) if isinstance(mapper, TrainedMapper) else set()


def cube_target(cube: xr.Dataset, target: str | None) -> str:
    """Return the estimate of a cube: the one asked for, or its only one, which bounds and members are not."""
    if not isinstance(cube, xr.Dataset) or not {LAT, LON} <= set(cube.dims) or TIME not in cube.coords:
        raise SchemaError("expected a Dataset with time, lat and lon; fix: cube = ds.aq.reanalyze(...)", subject="cube")
    target = _variable(cube, target, [n for n in _fields(cube) if n not in NO_ESTIMATES])
    if (bound := bound_of(cube, target)) is not None:
        raise SchemaError(
            f"{target!r} is a bound of {bound[0]!r}, expected an estimate; fix: target={bound[0]!r}, or "
            f"ds.aq.plot.map(cube, target={target!r})",
            subject="cube",
        )
    return target


def point_target(points: xr.Dataset, target: str | None) -> str:
    """Return the variable of estimates at points: the one asked for, or the only one."""
    if TIME not in points.dims:
        raise SchemaError(
            "expected estimates with time; fix: ds.aq.estimate(model, lon=[...], lat=[...])", subject="estimate"
        )
    at_points = [str(name) for name in points.data_vars if {TIME, POINT} <= set(points[name].dims)]
    return _variable(points, target, [name for name in at_points if name not in NO_ESTIMATES])


def drawn_variable(cube: xr.Dataset | xr.DataArray, target: str | None) -> tuple[xr.Dataset, str]:
    """Return a cube and the variable of it that a map shows: any with lat and lon, also without time; of an array, the array.

    Raises
    ------
    SchemaError
        There is no such variable, or it has other dimensions too.
    """
    if isinstance(cube, xr.DataArray):
        cube, target = cube.to_dataset(name=cube.name or "value"), str(cube.name or "value")
    if not isinstance(cube, xr.Dataset) or not {LAT, LON} <= set(cube.dims):
        raise SchemaError("expected a Dataset with lat and lon; fix: cube = ds.aq.reanalyze(...)", subject="cube")
    target = _variable(cube, target, _fields(cube))
    if more := sorted(str(dim) for dim in {*cube[target].dims} - {TIME, LAT, LON}):
        raise SchemaError(f"{target!r} has the dimension {more[0]} too; fix: cube.isel({more[0]}=0)", subject="cube")
    return cube, target


def is_estimate(cube: xr.Dataset, target: str) -> bool:
    """Return whether a variable of a cube is what stations observe: no bound, and nothing that is known of cells."""
    return target in _estimates([n for n in _fields(cube) if n not in NO_ESTIMATES])


def is_of_user(ds: xr.Dataset, cube: xr.Dataset, target: str) -> bool:
    """Return whether a variable is a user's own: neither what stations observe, nor anything that xaq writes into cubes."""
    if not is_estimate(cube, target) or bound_of(cube, target) or _member_of(cube, target):
        return False
    observed = bool(ds.sizes[STATION]) and target in ds
    return not (observed or target in POLLUTANTS or target == provenance(cube).get("target"))


def user_label(cube: xr.Dataset, target: str) -> tuple[str, str]:
    """Return the title and the label of a user's own variable; by its name alone where its attributes are those of another."""
    attrs = cube[target].attrs
    others = [cube[name].attrs.get("long_name") for name in _fields(cube) if name != target]
    name = str(attrs.get("long_name", target))
    # xarray keeps the attributes of what a variable was computed from.
    if name != target and name in (*others, *(cf_attrs(known, None)["long_name"] for known in POLLUTANTS)):
        return target, target
    units = str(attrs.get("units", ""))
    text = name + f" [{units_text(units)}]" * (units not in ("", "1"))
    return (name if name == target else name[0].upper() + name[1:]), text


def bound_of(cube: xr.Dataset, target: str) -> tuple[str, str] | None:
    """Return ``("pm25", "upper bound")`` where a variable is a bound of an interval; None where it is none."""
    of, _, side = target.rpartition("_")
    if side not in ("lower", "upper"):
        return None
    # A bound that is passed alone has only its own name for what it is.
    described = str(cube[target].attrs.get("long_name", "")).startswith(f"{side} bound of ")
    return (of, f"{side} bound") if of in _fields(cube) or described else None


def _fields(cube: xr.Dataset) -> list[str]:
    return [str(name) for name in cube.data_vars if {LAT, LON} <= set(cube[name].dims)]


def _estimates(fields: list[str]) -> list[str]:
    """Return the fields that are no bound, or members, of another: a target may be called ``"heat_upper"``."""
    return [n for n in fields if re.sub("_(lower|upper|member)$", "", n) not in {*fields} - {n}]


def _variable(cube: xr.Dataset, target: str | None, fields: list[str]) -> str:
    """Return one of the fields of a cube: the one asked for, or its only estimate."""
    known = _estimates([n for n in fields if n not in NO_ESTIMATES])
    if target is None and len(known) == 1:
        return known[0]
    if not isinstance(target, str) or target not in fields:
        asked = "which variable?" if target is None else f"no variable {shown(target)};"
        listed = ", ".join(known if target is None else [*known, *(n for n in fields if n not in known)])
        raise SchemaError(
            f"{asked} the cube has {listed or 'none'}; fix: target={(known or fields or ['pm25'])[0]!r}", subject="cube"
        )
    return target


def method_text(cube: xr.Dataset) -> str:
    """Return the method, its fields and the number of stations from a cube's provenance; empty where it has none."""
    known = provenance(cube)
    return (
        f"{of_provenance(known)}, {known['visible_stations']} station{'s' * (known['visible_stations'] != 1)}"
        if {"method", "visible_stations"} <= set(known)
        else ""
    )


def units_text(units: str) -> str:
    """Return units as they are printed: ``"ug m-3"`` -> ``"µg m⁻³"``, ``"1e-9"`` -> ``"ppb"``."""
    text = re.sub(r"(?<=[A-Za-z])-?\d+", lambda found: found.group().translate(_SUPERSCRIPT), common_units(units))
    return re.sub(r"^u(?=[A-Za-z])", "µ", text)


def axis_label(target: str, units: str) -> str:
    """Return a label with units, ``"PM10 [µg m⁻³]"``, from ``units`` as :func:`units_text` gives them."""
    return f"{label(target)} [{units}]"


def cube_label(cube: xr.Dataset, target: str, units: str, *, several: bool = False) -> str:
    """Return a label with units and what the estimates of a cube are: ``"monthly mean of PM10 [µg m⁻³]"``."""
    periods = Periods.of(cube)
    if periods is None:
        return axis_label(target, units)
    return f"{periods.many if several else periods.one} of {axis_label(target, units)}"


def variable_label(cube: xr.Dataset, target: str) -> str:
    """Return what a variable of a cube is called in a title: the pollutant of an estimate or a member, else its ``long_name``."""
    if (of := _member_of(cube, target)) is not None:
        return f"{label(of)}, member {int(cube[target][MEMBER])}"
    name = _long_name(cube, target)
    return name if is_estimate(cube, target) else name[0].upper() + name[1:]


def own_label(cube: xr.Dataset, target: str) -> str:
    """Return the label of a variable with its units, if it has any: ``"distance to the nearest station [km]"``."""
    units = str(cube[target].attrs.get("units", ""))
    of = _member_of(cube, target)
    name = _long_name(cube, target) if of is None else label(of)
    return name + (f" [{units_text(units)}]" if units not in ("", "1") else "")


def _long_name(cube: xr.Dataset, target: str) -> str:
    return label(target) if is_estimate(cube, target) else str(cube[target].attrs.get("long_name", target))


def _member_of(cube: xr.Dataset, target: str) -> str | None:
    """Return the estimate of which a variable is one member; None where it is none."""
    of = target.removesuffix(f"_{MEMBER}")
    return of if of != target and MEMBER in cube[target].coords else None


def shared_units(ds: xr.Dataset, cube: xr.Dataset, target: str) -> str:
    """Return the common units of stations and cube, as printed; raise where they differ: they share one colour bar."""
    schema.require_target(ds, target)
    ours, theirs = (common_units(str(d[target].attrs.get("units", ""))) for d in (ds, cube))
    if ours != theirs:
        raise SchemaError(
            f"{target!r} is in {ours!r} at the stations and in {theirs!r} in the cube; "
            f"fix: ds.aq.convert_units({{{target!r}: {theirs!r}}})"
        )
    return units_text(ours)


def conformed(ds: xr.Dataset | None, cube: xr.Dataset, target: str, stations: bool) -> xr.Dataset:
    """Return the stations of a map, conformed; for None, where none are drawn, a dataset of no station in the cube's units."""
    if ds is not None:
        return schema.conform(ds)
    if stations:
        raise SchemaError(
            "ds is None, and the map shows stations; fix: stations=False, or a station dataset", subject="map"
        )
    nowhere = {name: (STATION, np.empty(0)) for name in (LON, LAT)}
    values = ((STATION, TIME), np.empty((0, 0)), {"units": cube[target].attrs.get("units", "")})
    return xr.Dataset({target: values}, nowhere)


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
    """Return a field of a cube, with NaN in cells that are not supported."""
    if "supported" not in cube:
        return field
    supported = cube["supported"]
    return field.where((supported.isel({TIME: 0}) if TIME in supported.dims else supported).astype(bool))


def mean_field(picked: xr.Dataset, target: str) -> tuple[NDArray[np.float64], xr.Dataset]:
    """Return the mean over the chosen steps, if there are any, ``(lat, lon)``, and those of them that have values. Computes.

    Of estimates it is NaN where unsupported. Where no step has a value, all steps are returned.
    """
    values, filled = picked[target], xr.DataArray(True)
    if TIME in values.dims:
        values, filled = values.mean(TIME), values.notnull().any([LAT, LON])
    values = values if target in NO_ESTIMATES else supported_cells(picked, values)
    made = xr.Dataset({"mean": values.transpose(LAT, LON), "filled": filled}, coords={}).compute()
    kept = (
        picked
        if not made["filled"].any() or TIME not in picked.dims
        else picked.isel({TIME: np.flatnonzero(made["filled"])})
    )
    return np.asarray(made["mean"].values, float), kept


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
