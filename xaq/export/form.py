"""What a dataset must be to be written for other programs: complete, on a grid or at points, axes in order, times decoded."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr

from .._arguments import shown
from ..conventions import LAT, LON, TIME
from ..cube.contents import COMPLETE, STATUS
from ..errors import SchemaError

#: A grid, or points as time series.
Place = Literal["grid", "points"]
_FIX = "fix: xaq.to_netcdf(ds.aq.reanalyze(model, grid=0.1), 'pm25.nc')"


def check_complete(cube: xr.Dataset) -> None:
    """Raise where a dataset is of a store that is not finished: what is missing there would be missing for good."""
    if (status := cube.attrs.get(STATUS, COMPLETE)) != COMPLETE:
        raise SchemaError(
            f"its status is {status!r}, expected a complete cube; fix: call reanalyze(..., store=...) again to resume",
            subject="cube",
        )


def check_form(cube: Any) -> Place:
    """Return whether a dataset is on a grid or at points, or raise: it is neither, incomplete, or its axes are out of order."""
    if not isinstance(cube, xr.Dataset):
        field = isinstance(cube, xr.DataArray) and cube.name is not None
        fix = f"fix: xaq.to_netcdf(cube[[{cube.name!r}]], 'pm25.nc')" if field else _FIX
        raise SchemaError(
            f"it is {shown(cube)}, expected a Dataset of xaq.reanalyze or xaq.estimate; {fix}", subject="cube"
        )
    check_complete(cube)
    absent = [name for name in (LAT, LON) if name not in cube.variables]
    if absent or not cube.data_vars:
        what = f"has no {' and no '.join(absent)}" if absent else "has no variables"
        fix = "fix: cube = xaq.open_cube('pm25.zarr'), or cube.to_netcdf(path) for what has left the grid"
        raise SchemaError(f"{what}, expected a cube or estimates at points; {fix}", subject="cube")
    if empty := [str(dim) for dim, n in cube.sizes.items() if not n]:
        raise SchemaError(
            f"it has nothing along {' and '.join(empty)}, expected at least one value; fix: a selection that holds some, such as "
            "cube.sel(time='2017-01')",
            subject="cube",
        )
    place = _place(cube)
    _check_times(cube)
    for name in (TIME, LAT, LON):
        if name in cube.variables and cube[name].dims == (name,):
            _check_order(cube[name])
    return place


def _place(cube: xr.Dataset) -> Place:
    lat, lon = cube[LAT], cube[LON]
    if lat.dims in ((LAT,), ()) and lon.dims in ((LON,), ()) and lat.ndim + lon.ndim:
        return "grid"
    if lat.ndim <= 1 and lon.dims == lat.dims:
        return "points"
    raise SchemaError(
        f"lat is along {lat.dims}, lon along {lon.dims}, expected lat(lat) and lon(lon), or points along one dimension; "
        "fix: cube.to_netcdf(path), as xaq wrote no such grid",
        subject="cube",
    )


def _check_times(cube: xr.Dataset) -> None:
    """Raise where times are numbers that xarray has not decoded, or of a calendar that has other days."""
    if TIME not in cube.variables or cube[TIME].dtype.kind == "M":
        return
    first = cube[TIME].values.ravel()[0]
    if cube[TIME].dtype.kind != "O":
        what, fix = "numbers", "cube = xr.decode_cf(cube)"
    else:
        what, fix = type(first).__name__, "cube = cube.convert_calendar('standard', use_cftime=False)"
    raise SchemaError(f"time holds {what}, expected datetime64 in UTC; fix: {fix}", subject="cube")


def _check_order(axis: xr.DataArray) -> None:
    """Raise where the values of an axis do not all rise or all fall: other programs search them by halving."""
    name = axis.name
    if n := int(axis.isnull().sum()):
        what = f"is missing at {n} of {axis.size}, expected a value for each"
        fix = f"cube.isel({name}=cube.{name}.notnull().values)"
    elif n := axis.size - len(np.unique(axis.values)):
        what, fix = f"has {n} value(s) twice, expected each once", f"cube.drop_duplicates({name!r})"
    else:
        steps = np.diff(axis.values)
        zero = np.zeros((), steps.dtype)
        if (steps > zero).all() or (steps < zero).all():
            return
        what, fix = "is not in order, expected rising or falling values", f"cube.sortby({name!r})"
    raise SchemaError(f"{name} {what}; fix: cube = {fix}", subject="cube")
