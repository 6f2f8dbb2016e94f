"""Advice on fields without axes of longitude and latitude, and without a grid of them: how to regrid them."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import xarray as xr

from ..arrays import longitudes


def regrid_advice(array: xr.DataArray, lon: Hashable, lat: Hashable) -> str:
    """Return what is wrong with coordinates of points, or with places that move, and the code that leads to a field."""
    x, y = xr.broadcast(array[lon], array[lat])
    if not x.size:
        return f"{lon} and {lat} are empty, expected axes; fix: a field with at least one cell"
    dim = x.dims[0]
    if x.ndim > 1:
        return f"{lon} and {lat} change along {dim}, expected axes; fix: field.isel({dim}=0), and each of the others by itself"
    kind, others = f"the coordinates of points ({dim})", [d for d in array.dims if d != dim]
    if not (np.isfinite(x.values).all() and np.isfinite(y.values).all()):
        placed = f"lambda f: np.isfinite(f[{lon!r}]) & np.isfinite(f[{lat!r}])"
        return (
            f"{lon} and {lat} are {kind}, some without a number, expected axes; fix: field.where({placed}, drop=True)"
        )
    east = longitudes.unwrap(x.values)
    spacing = float(f"{max(np.ptp(east) * np.ptp(y.values) / x.size, 1e-4) ** 0.5:.1g}")
    points = f"field[{lon!r}].values"
    if not np.array_equal(east, x.values):
        points = f"({points} - {np.floor(east.min()):g}) % 360 + {np.floor(east.min()):g}"
    order = ", ".join(map(repr, [dim, *others]))
    sizes = "".join(f", field.sizes[{d!r}]" for d in others)
    coords = "".join(f", {d!r}: field[{d!r}]" for d in others)
    return (
        f"{lon} and {lat} are {kind}, expected axes; fix: "
        f"grid = xaq.Grid.around(field[{lon!r}], field[{lat!r}], {spacing:g}); "
        f"values = scipy.interpolate.griddata(({points}, field[{lat!r}].values), "
        f"field.transpose({order}).values.reshape({x.size}, -1), tuple(np.meshgrid(grid.lon, grid.lat))); "
        f"field = xr.DataArray(values.reshape(*grid.shape{sizes}), {{**grid.coords(){coords}}}, "
        f"{('lat', 'lon', *map(str, others))}, field.name, field.attrs)"
    )
