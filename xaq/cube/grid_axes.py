"""The axes of a grid: ascending and without holes, from numbers or from another dataset's coordinates."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..arrays import longitudes, sphere
from ..conventions import LAT, LON
from ..errors import GridError
from ..fields.degrees import crs_of, in_degrees, is_radians, metres_of
from ..stations import schema

#: Length of a degree of latitude.
_KM_PER_DEGREE = 111.2


def settle_axis(axis: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """Return an axis of a grid, ascending; longitudes that wrap, such as 350 .. 360, 0 .. 10, are unwrapped.

    Raises
    ------
    GridError
        It is neither ascending nor wrapped, not finite, or it has a hole or covers longitudes twice.
    """
    if not np.isfinite(axis).all():
        raise GridError(
            f"grid {name} must be finite and ascending, {np.sum(~np.isfinite(axis))} of {len(axis)} are not finite; "
            f"fix: {name}={name}[np.isfinite({name})]"
        )
    steps = np.diff(axis)
    if (steps <= 0).any() and not (name == LON and longitudes.ascends_eastwards(axis)):
        raise GridError(f"grid {name} must be finite and ascending; fix: {name}=np.unique({name})")
    order = np.arange(len(axis))
    if name == LON:
        order, axis = longitudes.axis_order(axis)
        if np.ptp(axis) > 360.0 + 1e-6:
            raise GridError(
                f"grid lon reaches from {axis[0]:g} to {axis[-1]:g}, more than once around the globe; "
                f"fix: lon=lon[:{np.searchsorted(axis, axis[0] + 360.0 - 1e-6)}]"
            )
    after = longitudes.holes(axis)
    if len(after):
        raise GridError(
            f"grid {name} has a hole from {axis[after[0]]:g} to {axis[after[0] + 1]:g}, wider than twice the spacing; "
            f"fix: {name}={name}[{longitudes.longest_part(order, after)}]"
        )
    return axis


def settle_edges(west: float, east: float, south: float, north: float) -> tuple[float, float]:
    """Return western and eastern bounds, the eastern one a turn later where they reach across the seam of a convention.

    They do where west is the larger number, and east lies within half a turn east of it.

    Raises
    ------
    GridError
        They reach more than once around the globe.
    """
    if west > east and 0.0 < (east - west) % 360.0 <= 180.0:
        return west, west + (east - west) % 360.0
    if east - west > 360.0 + 1e-6:
        raise GridError(
            f"bounds reach from {west:g} to {east:g} degrees east, more than once around the globe; "
            f"fix: bounds=({west:g}, {south:g}, {west + 360:g}, {north:g})"
        )
    return west, east


def axes_of(ds: xr.Dataset | xr.DataArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the longitudes and latitudes of another dataset's axes, ascending. Loads coordinates.

    Raises
    ------
    GridError
        It has no such axes: none at all, points, curvilinear or projected coordinates, or an axis with a hole.
    """
    lon, lat = _names(ds)
    x, y = ds[lon], ds[lat]
    if {x.ndim, y.ndim} != {1} or x.dims == y.dims:
        raise _no_axes(x, y)
    for axis in (x, y):
        _check_numbers(axis)
    if not in_degrees(ds, lon, lat) or not longitudes.valid(x.values).all() or np.abs(y.values).max(initial=0.0) > 90:
        raise _no_degrees(ds, x, y)
    order, east = longitudes.axis_order(x.values)
    upwards = np.argsort(y.values, kind="stable")
    for axis, sequence, values in ((x, order, east), (y, upwards, y.values[upwards].astype(float))):
        after = longitudes.holes(values)
        if len(after):
            raise GridError(
                f"{axis.name!r} has a hole from {values[after[0]]:g} to {values[after[0] + 1]:g}, wider than twice the spacing; "
                f"fix: grid=grid.isel({axis.dims[0]}={longitudes.longest_part(sequence, after)})"
            )
    return east, y.values[upwards].astype(float)


def _check_numbers(axis: xr.DataArray) -> None:
    """Raise where an axis of another dataset is not numbers, all of them finite and each once."""
    name, dim = axis.name, axis.dims[0]
    if axis.dtype.kind not in "iuf":
        raise GridError(
            f"{name!r} is {axis.dtype}, expected degrees as numbers; fix: grid=grid.assign_coords({name}=grid[{name!r}].astype(float))"
        )
    finite = np.isfinite(axis.values)
    if not finite.all():
        raise GridError(
            f"{name!r} has {np.sum(~finite)} of {len(finite)} values that are not finite; "
            f"fix: grid=grid.isel({dim}=np.flatnonzero(np.isfinite(grid[{name!r}])))"
        )
    if len(np.unique(axis.values)) < len(finite):
        raise GridError(
            f"{name!r} has values more than once; fix: grid=grid.isel({dim}=np.unique(grid[{name!r}], return_index=True)[1])"
        )


def _names(ds: xr.Dataset | xr.DataArray) -> tuple[Hashable, Hashable]:
    """Return the coordinates of longitude and latitude, by CF attributes or usual names, else x and y."""
    coords = ds.coords.to_dataset()
    for lon, lat in ((schema.find_role(coords, LON), schema.find_role(coords, LAT)), ("x", "y")):
        if lon in ds.coords and lat in ds.coords:
            return lon, lat
    raise GridError(
        f"no lon/lat coordinates to take a grid from; the dataset has {', '.join(map(str, ds.coords)) or 'none'}; "
        "fix: ds.rename({'your_x': 'lon', 'your_y': 'lat'})"
    )


def _no_axes(x: xr.DataArray, y: xr.DataArray) -> GridError:
    """Return the error of coordinates that are points, of stations, an unstructured or a curvilinear grid."""
    dims = f"{x.name!r} has dimensions {x.dims}, {y.name!r} {y.dims}; expected axes of one dimension each"
    if x.ndim == y.ndim == 0:
        return GridError(f"{dims}; fix: ds.aq.estimate(..., lon=[{float(x):g}], lat=[{float(y):g}])")
    if x.ndim == 1 and x.dims == y.dims:
        return GridError(
            f"{dims}, these are points; fix: ds.aq.estimate(..., lon=grid[{x.name!r}], lat=grid[{y.name!r}])"
        )
    at = f"lon=np.ravel(grid[{x.name!r}]), lat=np.ravel(grid[{y.name!r}])"
    around = _grid_around(x, y)
    return GridError(f"{dims}, these are curvilinear; fix: {around}ds.aq.estimate(..., {at})")


def _grid_around(x: xr.DataArray, y: xr.DataArray) -> str:
    """Return the grid, as code, that covers curvilinear cells by cells of about their size; empty where they have none."""
    lon, lat = (v.values.astype(float) for v in xr.broadcast(x, y))
    placed = np.isfinite(lon) & np.isfinite(lat)
    if lon.ndim != 2 or lon.shape[1] < 2 or not placed.any():
        return ""
    km = sphere.distance_km(lon[:, 1:], lat[:, 1:], lon[:, :-1], lat[:, :-1])
    degrees = float(np.nanmedian(km)) / _KM_PER_DEGREE
    if not degrees > 0.0:
        return ""
    spacing = float(f"{degrees:.1g}")
    east = longitudes.unwrap(lon[placed])
    edges = [(float(v.min()) - spacing / 2, float(v.max()) + spacing / 2) for v in (east, lat[placed])]
    (west, east_edge), (south, north) = (
        (np.floor(low / spacing) * spacing, np.ceil(high / spacing) * spacing) for low, high in edges
    )
    if east_edge - west >= 360.0:
        west, east_edge = -180.0, 180.0
    bounds = ", ".join(f"{edge:.6g}" for edge in (west, max(south, -90.0), east_edge, min(north, 90.0)))
    return f"grid=xaq.Grid.regular({spacing:g}, bounds=({bounds})), which covers them, or at them "


def _no_degrees(ds: xr.Dataset | xr.DataArray, x: xr.DataArray, y: xr.DataArray) -> GridError:
    """Return the error of axes that are not longitude and latitude in degrees."""
    where = f"{x.name} {float(x.min()):g} .. {float(x.max()):g}, {y.name} {float(y.min()):g} .. {float(y.max()):g}"
    if is_radians(x) or is_radians(y):
        fix = f"grid.assign_coords({x.name}=np.degrees(grid[{x.name!r}].drop_attrs()), {y.name}=np.degrees(grid[{y.name!r}].drop_attrs()))"
        return GridError(f"the grid is in radians ({where}), expected degrees; fix: grid={fix}")
    crs = crs_of(ds)
    if crs is None and np.abs(x.values).max() <= 90 < np.abs(y.values).max() <= 360:
        swap = f"grid.rename({{{x.name!r}: {y.name!r}, {y.name!r}: {x.name!r}}})"
        return GridError(f"{where}: latitude is outside -90 .. 90, they look swapped; fix: grid={swap}")
    raster = "grid" if (x.name, y.name) == ("x", "y") else f"grid.rename({{{x.name!r}: 'x', {y.name!r}: 'y'}})"
    if crs is None:
        text = f"the grid is not in degrees ({where}) and has no CRS"
        return GridError(f"{text}; fix: {raster}.rio.write_crs(its_crs).rio.reproject('EPSG:4326')")
    if (metres := metres_of(ds, x.name, y.name)) is not None:
        text = f"the grid is in kilometres ({where}), its CRS {crs.name} in metres"
        return GridError(f"{text}; fix: grid=grid.assign_coords({metres.format('grid')})")
    if isinstance(ds, xr.Dataset) and not any({*x.dims, *y.dims} <= set(v.dims) for v in ds.data_vars.values()):
        raster = f"({raster}.y * {raster}.x).rio.write_crs({raster}.rio.crs)"
    text = f"the grid is in {crs.name} ({where}), expected longitude and latitude in degrees"
    return GridError(f"{text}; fix: grid={raster}.rio.reproject('EPSG:4326')")
