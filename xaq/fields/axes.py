"""Recognition of a user's array as a field: its variable, its axes or curvilinear grid, its CRS."""

from __future__ import annotations

import os
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import rioxarray  # noqa: F401 - registers the .rio accessor
import xarray as xr
from numpy.typing import NDArray
from pyproj import CRS
from rioxarray.exceptions import DimensionError, MissingSpatialDimensionError

from ..arrays import longitudes
from ..conventions import LAT, LON, TIME
from ..errors import SchemaError
from ..stations import schema, timestamps
from .curvilinear import Curvilinear
from .degrees import crs_of, in_degrees, is_geographic, is_radians, metres_of
from .model_grid import once
from .regrid import regrid_advice


@dataclass(frozen=True)
class Axes:
    """The dimensions of a field.

    Attributes
    ----------
    x, y : hashable
        Names of the horizontal axes; of a curvilinear grid, of its two dimensions.
    time : hashable or None
        Name of the time dimension; None of a static field.
    crs : str
        CRS of x and y as WKT; empty for longitude and latitude in degrees.
    cells : Curvilinear or None
        The centres of a curvilinear grid; None where x and y are axes.
    """

    x: Hashable
    y: Hashable
    time: Hashable | None
    crs: str
    cells: Curvilinear | None = None


def pick_variable(field: xr.DataArray | xr.Dataset, name: str | None, subject: str) -> xr.DataArray:
    """Return the variable of a field: the one of this name, or the only one.

    Raises
    ------
    SchemaError
        Not an xarray object, several variables without a name to choose, or a variable that is not numeric.
    """
    if isinstance(field, xr.DataArray):
        array = field
    elif isinstance(field, xr.Dataset):
        bounds = {v.attrs.get("bounds", v.encoding.get("bounds")) for v in field.variables.values()}
        candidates = [str(n) for n, v in field.data_vars.items() if v.ndim >= 2 and n not in bounds]
        if name in candidates:
            array = field[name]
        elif len(candidates) == 1:
            array = field[candidates[0]]
        else:
            raise SchemaError(
                f"which variable? the dataset has {', '.join(candidates) or 'no field'}; fix: pass one, such as "
                f"field[{(candidates or ['pm25'])[0]!r}]", subject=subject,
            )  # fmt: skip
    else:
        is_path = isinstance(field, (str, os.PathLike))
        path = os.fspath(field) if is_path else "field.nc"
        is_raster = path.lower().endswith((".tif", ".tiff"))
        call = f"rioxarray.open_rasterio({path!r}, mask_and_scale=True)" if is_raster else f"xaq.open_field({path!r})"
        got = f"the path {path!r}" if is_path else type(field).__name__
        raise SchemaError(f"got {got}, expected an xarray DataArray or Dataset; fix: {call}", subject=subject)
    if array.dtype.kind not in "iuf":
        raise SchemaError(
            f"{array.name!r} is {array.dtype}, expected numbers; fix: field.astype(float)", subject=subject
        )
    return array


def find_axes(array: xr.DataArray, subject: str) -> Axes:
    """Return the axes of an array: longitude and latitude by CF attributes or common names, else rioxarray's x and y.

    Without axes of a known CRS, two-dimensional longitudes and latitudes are the centres of a curvilinear grid.

    Raises
    ------
    SchemaError
        No such axes, points, axes that are not in degrees, x and y without a CRS, or a curvilinear grid without area.
    """
    coords = array.coords.to_dataset()
    time = schema.find_role(coords, TIME)
    time = time if time is not None and time in array.dims else None
    lon, lat = schema.find_role(coords, LON), schema.find_role(coords, LAT)
    given = lon in array.coords and lat in array.coords and array[lon].ndim > 0 and array[lat].ndim > 0
    if given and array[lon].ndim == array[lat].ndim == 1 and array[lon].dims != array[lat].dims:
        _check_degrees(array, lon, lat, subject)
        return Axes(lon, lat, time, "")
    try:
        x, y = array.rio.x_dim, array.rio.y_dim
    except (MissingSpatialDimensionError, DimensionError):
        x = y = None
    projected = x in array.coords and y in array.coords and array.rio.crs is not None
    if given and not projected:
        return _curvilinear(array, (lon, lat), time, subject)
    if x not in array.coords or y not in array.coords:
        fix = "name them lon and lat, or x and y with field.rio.write_crs(...)"
        if {*array.dims} & {
            "ROW",
            "south_north",
        }:  # of a model whose grid is in other variables or in attributes of the file
            fix = f"pass the dataset that it is from, or xaq.open_field(ds, {array.name!r})"
        _refuse_rotated(array, subject)
        raise SchemaError(
            f"no axes of longitude and latitude, or of x and y, in {', '.join(map(str, array.dims)) or 'a number'}; fix: {fix}",
            subject=subject,
        )
    if not projected:
        raise SchemaError(
            f"its axes are {x} and {y}, and it has no CRS; fix: field.rio.write_crs('EPSG:4326'), or the CRS that it has",
            subject=subject,
        )
    crs = CRS.from_user_input(array.rio.crs)
    if (metres := metres_of(array, x, y)) is not None:
        text = f"{x} and {y} are in kilometres, its CRS {crs.name} is in metres"
        raise SchemaError(f"{text}; fix: field.assign_coords({metres.format('field')})", subject=subject)
    return Axes(x, y, time, "" if crs.equals(CRS("EPSG:4326"), ignore_axis_order=True) else crs.to_wkt())


def _refuse_rotated(array: xr.DataArray, subject: str) -> None:
    """Raise where axes are degrees of a rotated pole, which are longitudes and latitudes of other places."""
    named = {str(c.attrs.get("standard_name")): str(n) for n, c in array.coords.items() if c.ndim == 1}
    x, y = named.get("grid_longitude", "rlon"), named.get("grid_latitude", "rlat")
    if {x, y} <= {*array.dims}:
        mapping = array.attrs.get("grid_mapping", array.encoding.get("grid_mapping", "rotated_pole"))
        raise SchemaError(
            f"{x} and {y} are degrees of a rotated pole, without its longitudes and latitudes in two dimensions or its CRS "
            f"(ds: the dataset of its grid mapping); fix: field.rename({x}='x', {y}='y').rio.write_crs("
            f"pyproj.CRS.from_cf(ds[{str(mapping)!r}].attrs))",
            subject=subject,
        )


def _curvilinear(array: xr.DataArray, names: tuple[Hashable, Hashable], time: Hashable | None, subject: str) -> Axes:
    """Return the axes of an array whose longitude and latitude are two-dimensional, or the same at all times."""
    lon, lat = xr.broadcast(*(once(array[name], time) for name in names))
    if lon.ndim != 2 or time in lon.dims or not lon.size:
        raise SchemaError(regrid_advice(array, *names), subject=subject)
    y, x = lon.dims
    _check_degrees(array, *names, subject)
    cells = Curvilinear(lon.values.astype(float), lat.values.astype(float))
    turned = Curvilinear(cells.lon.T, cells.lat.T)
    if turned.closes and not cells.closes:
        # Around the globe along its rows: which of both dimensions are rows does not matter.
        cells, (y, x) = turned, (x, y)
    if min(cells.shape) < 2 or not cells.has_area:
        raise SchemaError(
            f"{names[0]} and {names[1]} are two-dimensional ({y}: {cells.shape[0]}, {x}: {cells.shape[1]}), and no four neighbours "
            "span an area; fix: a field of at least 2 by 2 cells at different places", subject=subject,
        )  # fmt: skip
    beyond = np.abs(cells.lat) > 90.0 + 1e-3
    if beyond.any():
        known = f"field[{names[1]!r}].where(abs(field[{names[1]!r}]) <= 90)"
        raise SchemaError(
            f"{names[1]} lies outside -90 .. 90 in {int(beyond.sum())} of {beyond.size} cells, such as {cells.lat[beyond][0]:g}; "
            f"fix: field.assign_coords({{{names[1]!r}: {known}}}), if those are cells without a place", subject=subject,
        )  # fmt: skip
    return Axes(x, y, time, "", cells)


def _check_degrees(array: xr.DataArray, lon: Hashable, lat: Hashable, subject: str) -> None:
    """Raise where coordinates that are called longitude and latitude are not in degrees."""
    x, y = array[lon], array[lat]
    if is_radians(x) or is_radians(y):
        converted = ", ".join(f"{n}=np.degrees(field[{n!r}].drop_attrs())" for n in (lon, lat))
        raise SchemaError(
            f"{lon} and {lat} are in radians, expected degrees; fix: field.assign_coords({converted})", subject=subject
        )
    if not in_degrees(array, lon, lat):
        named = f"field.rename({{{lon!r}: 'x', {lat!r}: 'y'}})"
        crs = crs_of(array)
        fix = named if crs is not None else f"{named}.rio.write_crs(its_crs)"
        raise SchemaError(
            f"{lon} and {lat} are not in degrees, but in {'another unit' if crs is None else crs.name}; fix: {fix}",
            subject=subject,
        )


def with_axes(array: xr.DataArray, axes: Axes, subject: str) -> xr.DataArray:
    """Return an array as ``([time,] y, x)`` with ascending axes under these names, and no other coordinates.

    Longitudes that wrap, such as 345 .. 360, 0 .. 15, are unwrapped. Of a curvilinear grid the axes count rows and columns.

    Raises
    ------
    SchemaError
        Another dimension with more than one entry, or axes that are not sorted or have a hole.
    """
    dims = {n: array[n].dims[0] for n in (axes.x, axes.y)}
    array = array.swap_dims({dim: n for n, dim in dims.items() if dim != n})
    extra = [d for d in array.dims if d not in (axes.x, axes.y, axes.time)]
    long = [d for d in extra if array.sizes[d] > 1]
    if long:
        shown = ", ".join(f"{d} ({array.sizes[d]})" for d in long)
        raise SchemaError(
            f"it has the dimensions {shown} beside {axes.y} and {axes.x}; fix: field.isel({long[0]}=0)", subject=subject
        )
    names = ({axes.time: TIME} if axes.time is not None else {}) | {axes.y: "y", axes.x: "x"}
    array = array.isel(dict.fromkeys(extra, 0), drop=True).transpose(*names)
    array = array.drop_vars([c for c in array.coords if c not in names])
    array = array.rename({old: new for old, new in names.items() if old != new})
    if axes.cells is None:
        array = _in_order(array, axes, dims, subject)
    else:
        array = array.assign_coords({axis: np.arange(array.sizes[axis]) for axis in ("y", "x")})
    return array if axes.time is None else _with_time(array, axes.time, subject)


def _in_order(array: xr.DataArray, axes: Axes, dims: dict[Hashable, Hashable], subject: str) -> xr.DataArray:
    """Return an array with both axes ascending, or raise. ``dims`` are the dimensions of the axes in the user's array."""
    for axis, called in (("y", axes.y), ("x", axes.x)):
        array = _ascending(array, axis, (called, dims[called]), axis == "x" and counts_turns(axes.crs), subject)
    if counts_turns(axes.crs) and (not axes.crs or is_geographic(CRS(axes.crs))):
        _check_latitudes(array, axes, dims[axes.y], subject)
    return array


def _check_latitudes(array: xr.DataArray, axes: Axes, dim: Hashable, subject: str) -> None:
    """Raise where an axis of latitude reaches beyond a pole; rounding of the pole itself does not count."""
    x, y = array["x"].values.astype(float), array["y"].values.astype(float)
    if np.abs(y).max() <= 90.0 + 1e-3:
        return
    if np.abs(x).max() <= 90.0 and np.abs(y).max() <= 360.0:
        fix = f"field.rename({{{axes.x!r}: {axes.y!r}, {axes.y!r}: {axes.x!r}}}), if they are swapped"
    elif y[0] >= 0.0 and y[-1] <= 180.0 + 1e-3:
        fix = f"field.assign_coords({{{axes.y!r}: 90 - field[{axes.y!r}]}}), if it counts from the north pole"
    else:
        fix = f"field.isel({dim}=np.flatnonzero(np.abs(field[{axes.y!r}]) <= 90))"
    raise SchemaError(
        f"its {axes.y} axis reaches from {y[0]:g} to {y[-1]:g}, latitude lies within -90 .. 90; fix: {fix}",
        subject=subject,
    )


def counts_turns(crs: str) -> bool:
    """Whether the x axis of a CRS, as :class:`Axes` has it, is a longitude in degrees, the same after whole turns."""
    if not crs:
        return True
    known = CRS(crs)
    return known.is_geographic and known.axis_info[0].unit_name == "degree"


def _ascending(
    array: xr.DataArray, axis: str, names: tuple[Hashable, Hashable], turns: bool, subject: str
) -> xr.DataArray:
    """Return an array with an axis in ascending order, unwrapped where it is a longitude, or raise.

    ``names`` are those of the coordinate and its dimension in the user's array.
    """
    centres, (called, dim) = array[axis].values, names
    if not len(centres):
        raise SchemaError(f"its {called} axis is empty; fix: a field with at least one cell", subject=subject)
    if centres.dtype.kind not in "iuf":
        numbers = f"({dim!r}, np.asarray(field[{called!r}], float))"
        raise SchemaError(
            f"its {called} axis is {centres.dtype}, expected numbers; fix: field.assign_coords({{{called!r}: {numbers}}})",
            subject=subject,
        )
    finite = np.isfinite(centres)
    if not finite.all():
        raise SchemaError(
            f"its {called} axis has {np.sum(~finite)} of {len(finite)} values that are not finite; "
            f"fix: field.isel({dim}=np.flatnonzero(np.isfinite(field[{called!r}])))",
            subject=subject,
        )
    order = np.argsort(centres, kind="stable")
    ascending = centres[order]
    sorted_one_way = _one_way(order)
    if turns:
        order, ascending = longitudes.axis_order(centres)
    if (np.diff(ascending) <= 0).any():
        raise SchemaError(
            f"its {called} axis has a place more than once; "
            f"fix: field.isel({dim}=np.unique(field[{called!r}]{' % 360' if turns else ''}, return_index=True)[1])",
            subject=subject,
        )
    wrapped = turns and any(longitudes.ascends_eastwards(way) for way in (centres, centres[::-1]))
    if not (wrapped or sorted_one_way):
        raise SchemaError(
            f"its {called} axis is neither ascending nor descending ({centres[0]:g}, ... {centres[-1]:g}); "
            f"fix: field.sortby({called!r})",
            subject=subject,
        )
    after = longitudes.holes(ascending)
    if len(after):
        raise SchemaError(
            f"its {called} axis has a hole from {ascending[after[0]]:g} to {ascending[after[0] + 1]:g}, wider than twice the "
            f"spacing, and nothing is interpolated across it; fix: field.isel({dim}={longitudes.longest_part(order, after)})",
            subject=subject,
        )
    if _one_way(order):
        array = array if order[0] == 0 else array.isel({axis: slice(None, None, -1)})
    else:
        array = array.isel({axis: order})
    return array if np.array_equal(array[axis].values, ascending) else array.assign_coords({axis: ascending})


def _one_way(order: NDArray[np.intp]) -> bool:
    """Whether an order takes all from the first to the last, or from the last to the first."""
    return bool((np.diff(order) == 1).all() or (np.diff(order) == -1).all())


def _with_time(array: xr.DataArray, called: Hashable, subject: str) -> xr.DataArray:
    """Return an array with its times on whole seconds; raise where they are of another type, repeated or unsorted.

    ``called`` is the user's name of the time dimension, for messages.
    """
    if (problem := timestamps.type_problem(array.rename({TIME: called}), called, "field")) is not None:
        raise SchemaError(problem, subject=subject)
    array, _ = timestamps.rounded_coordinate(array, TIME)
    times = array[TIME].values
    if not len(times):
        raise SchemaError("it has no times; fix: a field of the period of the stations", subject=subject)
    repeated = len(times) - len(np.unique(times))
    unsorted = bool((np.diff(times) < np.timedelta64(0)).any())
    if repeated or unsorted:
        what = [f"{repeated} of its times are repeated"] * bool(repeated) + ["its times are not ascending"] * unsorted
        fix = f".sortby({called!r})" * unsorted + f".drop_duplicates({called!r})" * bool(repeated)
        raise SchemaError(f"{' and '.join(what)}; fix: field{fix}", subject=subject)
    return array
