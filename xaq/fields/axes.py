"""Recognition of a user's array as a field: its variable, its axes, its CRS."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import rioxarray  # noqa: F401 - registers the .rio accessor
import xarray as xr
from pyproj import CRS
from rioxarray.exceptions import DimensionError, MissingSpatialDimensionError

from ..conventions import LAT, LON, TIME
from ..errors import SchemaError
from ..stations import schema, timestamps


@dataclass(frozen=True)
class Axes:
    """The dimensions of a field.

    Attributes
    ----------
    x, y : hashable
        Names of the horizontal dimensions.
    time : hashable or None
        Name of the time dimension; None of a static field.
    crs : str
        CRS of x and y as WKT; empty for longitude and latitude in degrees.
    """

    x: Hashable
    y: Hashable
    time: Hashable | None
    crs: str


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
        candidates = [str(n) for n, v in field.data_vars.items() if v.ndim >= 2]
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
        raise SchemaError(
            f"got {type(field).__name__}, expected an xarray DataArray or Dataset; fix: xr.open_dataset(...), or "
            "rioxarray.open_rasterio(...)", subject=subject,
        )  # fmt: skip
    if not np.issubdtype(array.dtype, np.number):
        raise SchemaError(
            f"{array.name!r} is {array.dtype}, expected numbers; fix: field.astype(float)", subject=subject
        )
    return array


def find_axes(array: xr.DataArray, subject: str) -> Axes:
    """Return the axes of an array: longitude and latitude by CF attributes or common names, else rioxarray's x and y.

    Raises
    ------
    SchemaError
        No such axes, two-dimensional coordinates, or x and y without a CRS.
    """
    coords = array.coords.to_dataset()
    time = schema.find_role(coords, TIME)
    time = time if time is not None and time in array.dims else None
    lon, lat = schema.find_role(coords, LON), schema.find_role(coords, LAT)
    if lon is not None and lat is not None and array[lon].dims == (lon,) and array[lat].dims == (lat,):
        return Axes(lon, lat, time, "")
    try:
        x, y = array.rio.x_dim, array.rio.y_dim
    except (MissingSpatialDimensionError, DimensionError):
        x = y = None
    if x is None or x not in array.coords or y not in array.coords:
        fix = (
            f"{lon} and {lat} are two-dimensional; fix: regrid it, or give it x and y and field.rio.write_crs(...)"
            if lon is not None and lat is not None
            else "fix: name them lon and lat, or x and y with field.rio.write_crs(...)"
        )
        raise SchemaError(
            f"no axes of longitude and latitude, or of x and y, in {', '.join(map(str, array.dims)) or 'a number'}; {fix}",
            subject=subject,
        )
    if array.rio.crs is None:
        raise SchemaError(
            f"its axes are {x} and {y}, and it has no CRS; fix: field.rio.write_crs('EPSG:4326'), or the CRS that it has",
            subject=subject,
        )
    crs = CRS.from_user_input(array.rio.crs)
    return Axes(x, y, time, "" if crs.equals(CRS("EPSG:4326"), ignore_axis_order=True) else crs.to_wkt())


def with_axes(array: xr.DataArray, axes: Axes, subject: str) -> xr.DataArray:
    """Return an array as ``([time,] y, x)`` with ascending axes under these names, and no other coordinates.

    Raises
    ------
    SchemaError
        Another dimension with more than one entry, or axes that are not sorted.
    """
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
    for axis in ("y", "x"):
        array = _ascending(array, axis, subject)
    if axes.time is not None:
        return _with_time(array, axes.time, subject)
    return array


def _ascending(array: xr.DataArray, axis: str, subject: str) -> xr.DataArray:
    centres = array[axis].values
    if not np.issubdtype(centres.dtype, np.number) or not np.isfinite(centres.astype(float)).all() or not len(centres):
        raise SchemaError(
            f"its {axis} axis does not consist of finite numbers; fix: field.assign_coords(...)", subject=subject
        )
    if len(centres) > 1 and (np.diff(centres) < 0).all():
        return array.isel({axis: slice(None, None, -1)})
    if (np.diff(centres) <= 0).any():
        raise SchemaError(
            f"its {axis} axis is neither ascending nor descending ({centres[0]:g}, ... {centres[-1]:g}); fix: field.sortby(...)",
            subject=subject,
        )
    return array


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
