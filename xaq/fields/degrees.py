"""Whether the coordinates of an array are longitude and latitude in degrees, by their units and by its CRS."""

from __future__ import annotations

from collections.abc import Hashable

import rioxarray  # noqa: F401 - registers the .rio accessor
import xarray as xr
from pyproj import CRS

_KILOMETRES = {"km", "kilometre", "kilometer", "kilometres", "kilometers", "1000 m"}
_LENGTHS = {"m", "metre", "meter", "metres", "meters"} | _KILOMETRES


def crs_of(array: xr.DataArray | xr.Dataset) -> CRS | None:
    """Return the CRS that an array states; None where it states none."""
    return None if array.rio.crs is None else CRS.from_user_input(array.rio.crs)


def is_geographic(crs: CRS) -> bool:
    """Whether a CRS has longitude from Greenwich and latitude in degrees, which a rotated pole has not."""
    greenwich = crs.prime_meridian is not None and crs.prime_meridian.longitude == 0
    return crs.is_geographic and not crs.is_derived and greenwich and crs.axis_info[0].unit_name == "degree"


def is_length(coordinate: xr.DataArray) -> bool:
    """Whether a coordinate is in metres or kilometres, by its units or its CF name."""
    units, name = (str(coordinate.attrs.get(key, "")).strip().lower() for key in ("units", "standard_name"))
    return units in _LENGTHS or name.startswith("projection_")


def metres_of(array: xr.DataArray | xr.Dataset, x: Hashable, y: Hashable) -> str | None:
    """Return the arguments, as code with ``{}`` for the array, that convert axes in kilometres where the CRS is in metres."""
    crs = crs_of(array)
    said = [str(array[name].attrs.get("units", "")).strip().lower() for name in (x, y)]
    if crs is None or not crs.is_projected or crs.axis_info[0].unit_name != "metre" or not set(said) <= _KILOMETRES:
        return None
    return ", ".join(f"{name}=({array[name].dims[0]!r}, 1000 * {{0}}[{name!r}].values)" for name in (x, y))


def is_radians(coordinate: xr.DataArray) -> bool:
    """Whether a coordinate is in radians, by its units."""
    return str(coordinate.attrs.get("units", "")).strip().lower() in ("rad", "radian", "radians")


def says_degrees(coordinate: xr.DataArray) -> bool:
    """Whether a coordinate says by CF attributes that it is a longitude or a latitude in degrees."""
    attrs = {key: str(coordinate.attrs.get(key, "")).lower() for key in ("units", "standard_name")}
    return attrs["units"].startswith("deg") or attrs["standard_name"] in ("longitude", "latitude")


def in_degrees(array: xr.DataArray | xr.Dataset, x: Hashable, y: Hashable) -> bool:
    """Whether axes are longitude and latitude in degrees: they say so, or neither their units nor the CRS says otherwise."""
    axes = array[x], array[y]
    if any(is_length(axis) or is_radians(axis) or _is_rotated(axis) for axis in axes):
        return False
    if all(says_degrees(axis) for axis in axes):
        return True
    if any(axis.dims != (name,) for axis, name in zip(axes, (x, y), strict=True)):
        return True  # beside the axes of the CRS, which have other names
    crs = crs_of(array)
    return crs is None or is_geographic(crs)


def _is_rotated(coordinate: xr.DataArray) -> bool:
    """Whether a coordinate is a longitude or latitude of a rotated pole, by its CF name."""
    return str(coordinate.attrs.get("standard_name", "")).lower() in ("grid_longitude", "grid_latitude")
