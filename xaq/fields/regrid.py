"""Advice on fields without axes of longitude and latitude: how to regrid them."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import xarray as xr

from ..arrays import longitudes


def regrid_advice(array: xr.DataArray, lon: Hashable, lat: Hashable) -> str:
    """Return what is wrong with curvilinear coordinates, or with points, and the code that interpolates to axes."""
    x, y = array[lon], array[lat]
    kind = "two-dimensional" if x.ndim == 2 else "the coordinates of points"
    dims = [*x.dims] if x.ndim >= y.ndim else [*y.dims]
    others = [d for d in array.dims if d not in dims]
    if not x.size:
        return f"{lon} and {lat} are empty, expected axes; fix: a field with at least one cell"
    if x.ndim == 3 and x.dims == y.dims:  # as WRF writes its grid, once per time
        time = dims[0]
        if all(np.array_equal(v.values, np.broadcast_to(v.values[:1], v.shape), equal_nan=True) for v in (x, y)):
            once = ", ".join(f"{n}=field[{n!r}].isel({time}=0, drop=True)" for n in (lon, lat))
            return f"{lon} and {lat} are there once per {time}, expected axes; fix: field.assign_coords({once})"
        return f"{lon} and {lat} change along {time}, expected axes; fix: field.isel({time}=0), and each of the others by itself"
    if not (np.isfinite(x.values).all() and np.isfinite(y.values).all()):
        stacked = f".stack(cell={tuple(dims)}).reset_index('cell')" if len(dims) > 1 else ""
        placed = f"lambda f: np.isfinite(f[{lon!r}]) & np.isfinite(f[{lat!r}])"
        return f"{lon} and {lat} are {kind}, some without a number, expected axes; fix: field{stacked}.where({placed}, drop=True)"
    east = longitudes.unwrap(x.values)
    spacing = float(f"{max(np.ptp(east) * np.ptp(y.values) / x.size, 1e-4) ** 0.5:.1g}")
    points = f"field[{lon!r}].values.ravel()"
    if not np.array_equal(east, x.values):
        points = f"({points} - {np.floor(east.min()):g}) % 360 + {np.floor(east.min()):g}"
    order = ", ".join(map(repr, [*dims, *others]))
    sizes = "".join(f", field.sizes[{d!r}]" for d in others)
    coords = "".join(f", {d!r}: field[{d!r}]" for d in others)
    return (
        f"{lon} and {lat} are {kind} ({', '.join(map(str, x.dims))}), expected axes; fix: "
        f"grid = xaq.Grid.around(field[{lon!r}], field[{lat!r}], {spacing:g}); "
        f"values = scipy.interpolate.griddata(({points}, field[{lat!r}].values.ravel()), "
        f"field.transpose({order}).values.reshape({x.size}, -1), tuple(np.meshgrid(grid.lon, grid.lat))); "
        f"field = xr.DataArray(values.reshape(*grid.shape{sizes}), {{**grid.coords(){coords}}}, "
        f"{('lat', 'lon', *map(str, others))}, field.name, field.attrs)"
    )
