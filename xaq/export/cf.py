"""The form that a cube or estimates at points take in a netCDF file: coordinates, bounds, flags, times and encoding after CF."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import rioxarray  # noqa: F401 - registers the .rio accessor
import xarray as xr

from ..conventions import LAT, LON, MEMBER, TIME
from ..cube.contents import STATUS
from ..cube.geozarr import without_geozarr
from ..cube.layout import flags_as_bytes
from ..errors import SchemaError
from .attributes import check_names, settle_ancillary, settled
from .bounds import BOUNDS, with_cell_bounds, with_time_bounds
from .form import Place

_CRS = "spatial_ref"
#: NetCDF's own value for missing floats. NaN would make every mean of NCO missing.
_FILL = 9.969209968386869e36
#: Longest edges of a chunk, as in a store: a map of 25,000 cells is one chunk for each day of hours.
_CHUNKS = {TIME: 24, LAT: 160, LON: 160, MEMBER: 1}


def as_cf(cube: xr.Dataset, place: Place) -> xr.Dataset:
    """Return a dataset as it is written: labels settled, bounds and grid mapping as plain variables. Lazy."""
    check_names(cube)
    ds = without_geozarr(cube).drop_encoding()
    # Bounds of a selected row or column say nothing of an axis.
    ds = ds.drop_vars([f"{name}_bnds" for name in (LAT, LON) if name not in ds.dims], errors="ignore")
    ds = _with_crs(ds) if place == "grid" else _with_series(ds)
    ds = flags_as_bytes(ds)
    ds = ds.assign({name: _plain(variable) for name, variable in ds.variables.items() if _is_object(variable)})
    for name in ds.variables:
        _settle_attrs(ds[name], ds)
    # Named by attributes of their own, and so not as coordinates.
    ds = ds.reset_coords([name for name in ds.coords if name == _CRS or BOUNDS in ds[name].dims])
    for name in ds.data_vars:
        if name == _CRS or BOUNDS in ds[name].dims:
            # They belong to a variable and have no coordinates of their own, of which CDO warns.
            ds[name].encoding["coordinates"] = None
    ds.attrs.pop(STATUS, None)
    ds.attrs = settled(ds.attrs)
    return ds


def _is_object(variable: xr.Variable) -> bool:
    return not isinstance(variable.dtype, np.dtype) or variable.dtype == object or _is_without_times(variable)


def _is_without_times(variable: xr.Variable) -> bool:
    """Return whether a variable has no time but NaT, which xarray cannot encode."""
    of_times = isinstance(variable.dtype, np.dtype) and variable.dtype.kind == "M"
    return of_times and variable.size > 0 and bool(np.isnat(variable.values).all())


def _plain(variable: xr.Variable) -> xr.Variable:
    """Return a variable of objects, or of a type of pandas, as numbers or times, or else as texts, empty where there is none."""
    if _is_without_times(variable):
        units = {"units": "days since 1970-01-01", "calendar": "standard"}
        return xr.Variable(variable.dims, np.full(variable.shape, np.nan), {**variable.attrs, **units})
    if isinstance(variable.dtype, pd.DatetimeTZDtype):
        return xr.Variable(variable.dims, pd.DatetimeIndex(variable.to_index()).tz_convert(None), variable.attrs)
    values = np.asarray(variable.values)
    missing = np.asarray(pd.isna(values))
    if values.dtype == object and pd.api.types.is_numeric_dtype(variable.dtype):
        values = np.where(missing, np.nan, values).astype(float) if missing.any() else np.array(values.tolist())
    elif values.dtype == object:
        texts = ["" if absent else str(value) for value, absent in zip(values.flat, missing.flat, strict=True)]
        values = np.array(texts, dtype=str).reshape(values.shape)
    return xr.Variable(variable.dims, values, variable.attrs)


def _with_crs(ds: xr.Dataset) -> xr.Dataset:
    """Return a grid with its coordinate reference system and its bounds, dimensions in CF's order."""
    ds = with_cell_bounds(with_time_bounds(ds))
    if _CRS not in ds.variables:
        ds = ds.rio.write_crs("EPSG:4326")
    ds[_CRS] = ds[_CRS].astype("i4").assign_attrs(long_name="coordinate reference system, WGS 84")
    for name in ds.data_vars:
        if {LAT, LON} & set(ds[name].dims):
            ds[name].encoding.pop("grid_mapping", None)
            ds[name].attrs["grid_mapping"] = _CRS
    return ds.transpose(MEMBER, TIME, LAT, LON, ..., missing_dims="ignore")


def _with_series(ds: xr.Dataset) -> xr.Dataset:
    """Return points as time series: an identifier for each, dimensions in CF's order, and the bounds of time."""
    ds = with_time_bounds(ds).assign_attrs(featureType="timeSeries").drop_vars(_CRS, errors="ignore")
    for dim in ds[LON].dims:
        name = "point_id" if dim in (LON, LAT) else dim
        if name not in ds.coords:
            ds = ds.assign_coords({name: (dim, np.arange(ds.sizes[dim], dtype="i4"))})
        _check_identifiers(ds[name])
        ds[name].attrs = {"long_name": "identifier of the point", **ds[name].attrs, "cf_role": "timeseries_id"}
    return ds.transpose(MEMBER, *ds[LON].dims, TIME, ..., missing_dims="ignore")


def _check_identifiers(ids: xr.DataArray) -> None:
    """Raise where points have no identifier, which a text would hide."""
    if n := int(ids.isnull().sum()):
        some = f"isel({{{ids.dims[0]!r}: cube[{ids.name!r}].notnull().values}})"
        fix = f"cube = cube.{some if n < ids.size else f'drop_vars({ids.name!r})'}"
        raise SchemaError(
            f"{ids.name} is missing at {n} of {ids.size} points, expected an identifier of each; fix: {fix}",
            subject="cube",
        )


def _settle_attrs(variable: xr.DataArray, ds: xr.Dataset) -> None:
    """Make the attributes of a variable true of the dataset that it is in."""
    attrs = variable.attrs
    for name in ("bounds", "grid_mapping"):
        if attrs.get(name) not in ds.variables:
            attrs.pop(name, None)
    if f"{variable.name}_bnds" in ds.variables:
        attrs["bounds"] = f"{variable.name}_bnds"
    if variable.name == TIME:
        # A day of xarray has 86400 s.
        attrs["units_metadata"] = "leap_seconds: none"
    settle_ancillary(attrs, ds.variables)
    if "flag_values" in attrs:
        # Zarr keeps attributes as JSON, which has one type of integers.
        attrs["flag_values"] = np.asarray(attrs["flag_values"], variable.dtype)
    attrs.pop("coordinates", None)
    variable.attrs = settled(attrs)


# -- encoding --------------------------------------------------------------------------------------------------------


def encoding_of(ds: xr.Dataset) -> dict[Any, dict[str, Any]]:
    """Return how each variable of a dataset in CF's form is written."""
    times = _time_units(ds)
    return {name: _encoding(variable, times, name in ds.coords) for name, variable in ds.variables.items()}


def _encoding(variable: xr.Variable, times: dict[str, Any], is_coord: bool) -> dict[str, Any]:
    kind = variable.dtype.kind
    if kind == "M":
        return {**times, "_FillValue": _FILL if np.isnat(variable.values).any() else None}
    if kind == "m":
        return {"units": "hours", "dtype": "float64", "_FillValue": None}
    if kind in "OUS":
        # Characters: older programs know no strings.
        return {"dtype": "S1"}
    if is_coord or BOUNDS in variable.dims:
        return {"_FillValue": None}
    fill = {"_FillValue": variable.dtype.type(_FILL) if kind == "f" else None}
    if not variable.dims:
        return fill
    chunks = tuple(min(n, _CHUNKS.get(str(d), n)) for d, n in zip(variable.dims, variable.shape, strict=True))
    return {**fill, "zlib": True, "complevel": 1, "shuffle": True, "chunksizes": chunks}


def _time_units(ds: xr.Dataset) -> dict[str, Any]:
    """Return the encoding of all times: counted from the midnight before the first, in the longest unit that divides them."""
    times = [v.values.ravel().astype("datetime64[s]") for v in ds.variables.values() if v.dtype.kind == "M" and v.size]
    if not times:
        return {}
    known = np.concatenate(times)
    known = known[~np.isnat(known)]
    start = known.min().astype("datetime64[D]")
    seconds = (known - start.astype("datetime64[s]")).astype("i8")
    unit = next(
        u for u, n in (("days", 86400), ("hours", 3600), ("minutes", 60), ("seconds", 1)) if not (seconds % n).any()
    )
    # Doubles hold whole numbers of any size, and all programs read them.
    return {
        "units": f"{unit} since {start}", "calendar": "standard", "dtype": "float64"
    }  # fmt: skip
