"""Axes of an opened field: ``time``, ``lat`` and ``lon`` under these names, ascending, and no dimension of one entry beside them."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import xarray as xr

from ..arrays import longitudes
from ..conventions import LAT, LON, ROLE_CF, TIME
from ..errors import SchemaError
from ..stations import schema, timestamps
from .bounds import at_start, without_bounds
from .forecasts import LEAD, durations
from .levels import with_marks

#: Coordinates of one entry that say nothing of a level: the member of an ensemble, and levels without a value.
_NO_LEVELS = ("number", "surface", "meanSea")


def settle_axes(ds: xr.Dataset) -> xr.Dataset:
    """Return the variables of a dataset that are fields, on settled axes. Lazy; loads coordinates only.

    Longitudes that wrap, such as 335 .. 360, 0 .. 45, are unwrapped. Axes of a projection and two-dimensional longitudes
    are left as they are. Times of means become the start of their interval where bounds of time say it.

    Raises
    ------
    SchemaError
        Times that are not in UTC, or have no date; points in place of a grid.
    """
    ds = _named(without_bounds(at_start(ds)))
    axes = [dim for name in (LON, LAT) if name in ds.coords for dim in ds[name].dims]
    fields = [n for n, v in ds.data_vars.items() if v.dtype.kind in "iuf" and v.ndim >= 2 and {*axes} <= {*v.dims}]
    mappings = {str(v.encoding.get("grid_mapping", v.attrs.get("grid_mapping"))) for v in ds.data_vars.values()}
    ds = ds.set_coords([n for n in mappings if n in ds.data_vars])
    ds = ds.drop_vars([n for n in ds.data_vars if n not in fields])
    ds = _without_single_entries(ds, {*axes, TIME}, mappings)
    for axis in (LAT, LON):
        if axis in ds.dims and np.isfinite(ds[axis].values).all():
            ds = _ascending(ds, axis)
    ds = with_times(ds) if TIME in ds.dims else ds
    return ds.transpose(TIME, ..., LAT, LON, missing_dims="ignore") if LON in ds.dims else ds


def _named(ds: xr.Dataset) -> xr.Dataset:
    """Return a dataset with its coordinates of place and time under xaq's names, as dimensions where they have one.

    Raises
    ------
    SchemaError
        The coordinates are those of points.
    """
    coords = ds.coords.to_dataset()
    names = {role: schema.find_role(coords, role) for role in (TIME, LON, LAT)}
    lon, lat = names[LON], names[LAT]
    if lon in ds.coords and lat in ds.coords and ds[lon].ndim == 1 and ds[lon].dims == ds[lat].dims:
        raise SchemaError(
            f"{lon} and {lat} are those of points along {ds[lon].dims[0]}, expected a grid; fix: xaq.open_stations(ds), if "
            "they are stations",
            subject="gridded field",
        )
    for role, called in names.items():
        if called is None or called not in ds.coords:
            continue
        if ds[called].ndim == 1 and ds[called].dims != (called,):
            (dim,) = ds[called].dims
            ds = ds.drop_vars([dim] if dim in ds.coords else []).swap_dims({dim: called})
        if called != role:
            ds = ds.drop_vars([role] if role in ds.coords else []).rename({called: role})
        if role != TIME:
            ds[role].attrs.update(ROLE_CF[role])
    return ds


def _without_single_entries(ds: xr.Dataset, axes: set[Hashable], mappings: set[str]) -> xr.Dataset:
    """Return a dataset without dimensions of one entry, such as a level, and without single values of coordinates."""
    single = [dim for dim in ds.dims if ds.sizes[dim] == 1 and dim not in axes and dim not in (LAT, LON)]
    at = {str(n): ds[n] for n in single if n in ds.coords and n not in _NO_LEVELS and ds[n].dtype.kind in "iuf"}
    notes = [f"{n} {float(c.values[0]):g} {c.attrs.get('units', '')}".strip() for n, c in at.items()]
    ds = with_marks(ds)
    # Another CRS or another place is not on the way to a field; a scalar time says of which time a field is.
    kept = {*mappings, "spatial_ref", LAT, LON, TIME, LEAD}
    ds = ds.isel(dict.fromkeys(single, 0), drop=True)
    scalars = [n for n, c in ds.coords.items() if not c.ndim and n not in kept]
    return schema.record(ds.drop_vars(scalars), "open_field", [f"at {', '.join(notes)}"] if notes else [])


def _ascending(ds: xr.Dataset, axis: str) -> xr.Dataset:
    """Return a dataset with an axis in ascending order, unwrapped where it is a longitude."""
    centres = ds[axis].values
    order, values = np.argsort(centres, kind="stable"), np.sort(centres)
    if axis == LON:
        order, values = longitudes.axis_order(centres)
    if (np.diff(order) == -1).all() and len(order) > 1:
        ds = ds.isel({axis: slice(None, None, -1)})
    elif not (np.diff(order) == 1).all():
        ds = ds.isel({axis: order})
    if np.array_equal(ds[axis].values, values):
        return ds
    return ds.assign_coords({axis: (axis, values, ds[axis].attrs)})


def with_times(ds: xr.Dataset) -> xr.Dataset:
    """Return a dataset with times on whole seconds, or raise where they are not in UTC."""
    if ds[TIME].dtype.kind == "m":
        raise SchemaError(
            "time counts from a date that the file does not state; "
            "fix: ds.assign_coords(time=np.datetime64('2020-01-01T00', 'ns') + ds.time.values), with its date",
            subject="gridded field",
        )
    if (problem := timestamps.type_problem(ds, TIME, "ds")) is not None:
        raise SchemaError(problem, subject="gridded field")
    ds, _ = timestamps.rounded_coordinate(ds, TIME)
    ds[TIME].attrs.update(ROLE_CF[TIME])
    if LEAD not in ds.coords:
        return ds
    if ds[LEAD].dims != (TIME,):
        return ds.drop_vars(LEAD)
    if ds[LEAD].dtype.kind == "m":
        return ds
    return ds.assign_coords({LEAD: (TIME, durations(ds[LEAD]), {"standard_name": LEAD})})  # as files count it
