"""The form that a dataset must have before its roles are looked for: a Dataset, without MultiIndex and repeated dimensions."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pandas as pd
import xarray as xr

from ..conventions import ELEVATION, LAT, LON, ROLE_NAMES, STATION, TIME
from ..errors import SchemaError


def require_dataset(ds: Any) -> None:
    """Raise at anything but a Dataset, with the call that makes one."""
    if isinstance(ds, xr.Dataset):
        return
    if isinstance(ds, xr.DataArray):
        name = "pm25" if ds.name is None else ds.name
        fix = f"array.to_dataset(name={name!r})"
    elif isinstance(ds, pd.DataFrame):
        fix = "xaq.open_stations(table, stations=...)"
    else:
        fix = "xaq.open_stations(...)"
    raise SchemaError(f"got {type(ds).__name__}, expected an xarray.Dataset; fix: {fix}")


def form_problems(ds: xr.Dataset) -> list[str]:
    """Return the problems of a dataset's form, each with the call that fixes it. Metadata only."""
    problems = [
        f"{name!r} has a dimension twice, {variable.dims}; fix: ds.drop_vars({name!r})"
        for name, variable in ds.variables.items()
        if len(set(variable.dims)) < len(variable.dims)
    ]
    return problems + [
        _multiindex_problem(ds, dim, index)
        for dim, index in ds.xindexes.to_pandas_indexes().items()
        if isinstance(index, pd.MultiIndex) and dim == index.name
    ]


def _multiindex_problem(ds: xr.Dataset, dim: Hashable, index: pd.MultiIndex) -> str:
    levels = [str(level) for level in index.names]
    text = f"{dim!r} is a MultiIndex of {', '.join(levels)}"
    lowered = {level.lower() for level in levels}
    if lowered & {*ROLE_NAMES[STATION]} and lowered & {*ROLE_NAMES[TIME]}:
        # Coordinates of stations were stacked along with the values; unstacked, they repeat over time.
        time = next(level for level in levels if level.lower() in ROLE_NAMES[TIME])
        stacked = [n for role in (LON, LAT, ELEVATION) for n in ds.coords if str(n).lower() in ROLE_NAMES[role]]
        repeated = ", ".join(f"{n}=d[{n!r}].max({time!r})" for n in stacked if dim in ds[n].dims)
        fix = f"ds.unstack({dim!r}).pipe(lambda d: d.assign_coords({repeated}))"
        return f"{text}, expected stations and times as dimensions; fix: {fix}"
    ids = f"['_'.join(map(str, levels)) for levels in ds[{dim!r}].values]"
    return f"{text}, expected one id per station; fix: ds.reset_index({dim!r}).assign_coords({{{dim!r}: ({dim!r}, {ids})}})"


def series_problems(ds: xr.Dataset, name: str) -> list[str]:
    """Return what keeps a variable of a conformed dataset from being numbers on ``(station, time)``. Metadata only."""
    problems, variable = [], ds[name]
    others = [str(n) for n, v in ds.data_vars.items() if n != name and {STATION, TIME} == set(v.dims)]
    if set(variable.dims) != {STATION, TIME}:
        extra = {str(dim): 0 for dim in variable.dims if dim not in (STATION, TIME)}
        fix = f"target={others[0]!r}" if others else "xaq.open_stations(...) with a table of observations"
        if {STATION, TIME} < set(variable.dims):
            fix = f"ds.isel({', '.join(f'{dim}=0' for dim in extra)})"
        problems.append(f"{name!r} has dimensions {variable.dims}, expected (station, time); fix: {fix}")
    if variable.dtype.kind not in "iuf":
        problems.append(
            f"{name!r} has dtype {variable.dtype}, expected numbers; fix: {_as_numbers(name, variable.dtype.kind)}"
        )
    return problems


def _as_numbers(name: str, kind: str) -> str:
    """Return the call that makes a variable of a kind of dtype one of numbers."""
    if kind == "c":
        return f"ds.assign({{{name!r}: ds[{name!r}].real}})"
    if kind == "m":
        return f"ds.assign({{{name!r}: (ds[{name!r}] / np.timedelta64(1, 'h')).assign_attrs(units='h')}})"
    if kind == "M":
        return "target=, another variable than one of dates"
    return f"ds.assign({{{name!r}: ds[{name!r}].astype(float)}})"
