"""Forecasts on their valid time: start and lead become one time, and of several leads for a time one is taken."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ..conventions import TIME
from ..errors import SchemaError

#: CF's name of the lead, the time from the start of a forecast to the time that it is for.
LEAD = "forecast_period"
_LEAD_ATTRS = {"standard_name": LEAD, "long_name": "time since the start of the forecast"}


def durations(coordinate: xr.DataArray) -> NDArray[np.timedelta64]:
    """Return a coordinate that counts time, such as float hours, as ``timedelta64[s]``.

    Raises
    ------
    SchemaError
        It is neither ``timedelta64`` nor a number with units of time, or it has no value somewhere.
    """
    gone = int(coordinate.isnull().sum())
    if gone:
        dims = ", ".join(f"{dim}=ds[{coordinate.name!r}].notnull().values" for dim in coordinate.dims)
        raise SchemaError(
            f"{coordinate.name} is missing at {gone} of {coordinate.size} times; fix: "
            + (f"ds.isel({dims})" if coordinate.ndim == 1 else f"ds.drop_vars({coordinate.name!r})"),
            subject="gridded field",
        )
    if coordinate.dtype.kind == "m":
        return coordinate.values.astype("timedelta64[s]")
    units = str(coordinate.attrs.get("units", coordinate.encoding.get("units", "")))
    try:
        seconds = pd.Timedelta(f"1 {units.strip() or '?'}").total_seconds()
        counted = np.asarray(coordinate.values, float) * seconds
    except (ValueError, TypeError) as error:
        raise SchemaError(
            f"{coordinate.name} counts time in {units or 'no units'!r}; "
            f"fix: ds[{coordinate.name!r}].attrs['units'] = 'hours', if that is what it counts",
            subject="gridded field",
        ) from error
    # Float hours are off by rounding.
    return np.round(counted).astype("timedelta64[s]")


def on_valid_time(ds: xr.Dataset, start: Hashable, lead: Hashable) -> xr.Dataset:
    """Return forecasts with one dimension ``time``, the valid time, and the coordinate ``forecast_period(time)``. Lazy.

    ``start`` and ``lead`` are the names of the start and the lead of the forecasts, of which one may be a single value. A
    valid time may occur several times; :func:`take_lead` takes one of each. Without a dimension the dataset has one time,
    and both coordinates are single values. What is on its valid time already stays there.
    """
    if (valid := _valid_dim(ds, start, lead)) is not None:
        return _kept(ds, valid, start, lead)
    dims = [name for name in (start, lead) if name in ds.dims]
    begin, after = ds[start], durations(ds[lead])
    ds = ds.drop_vars([name for name in ("valid_time", start, lead) if name in ds.coords])
    if not dims:
        return ds.assign_coords(
            {TIME: ((), begin.values + after, {"standard_name": "time"}), LEAD: ((), after, _LEAD_ATTRS)}
        )
    if len(dims) == 1:
        dim = dims[0]
        starts = np.broadcast_to(begin.values, ds.sizes[dim])
        leads = np.broadcast_to(after, ds.sizes[dim])
        ds = ds if dim == TIME else ds.rename_dims({dim: TIME})
    else:
        starts = np.repeat(begin.values, ds.sizes[lead])
        leads = np.tile(after, ds.sizes[start])
        # Another name first: the start of a forecast is called time in GRIB.
        ds = ds.rename_dims({start: "_start", lead: "_lead"})
        ds = ds.stack({TIME: ("_start", "_lead")}, create_index=False)
    coords = {TIME: (TIME, starts + leads, {"standard_name": "time"}), LEAD: (TIME, leads, _LEAD_ATTRS)}
    return ds.assign_coords(coords)


def _valid_dim(ds: xr.Dataset, start: Hashable, lead: Hashable) -> Hashable | None:
    """Return the dimension that is the valid time, beside a start and a lead that are at most coordinates along it."""
    if "valid_time" in ds.dims:
        return "valid_time"
    if TIME not in ds.dims or lead in ds.dims:
        return None
    if start != TIME:
        return None if start in ds.dims else TIME
    # In GRIB time is the start of a forecast, but a user may have called the valid time so.
    if "valid_time" in ds.coords and ds["valid_time"].dims == (TIME,):
        return TIME if (ds["valid_time"].values == ds[TIME].values).all() else None
    return None if ds[TIME].attrs.get("standard_name") == "forecast_reference_time" else TIME


def _kept(ds: xr.Dataset, valid: Hashable, start: Hashable, lead: Hashable) -> xr.Dataset:
    """Return a dataset on its valid time, with the leads where it states them."""
    leads = None
    if lead in ds.variables and ds[lead].dims in ((), (valid,)):
        one_start = start != valid and start in ds.variables and not ds[start].ndim
        if ds[lead].ndim or ds.sizes[valid] == 1 or not one_start:  # else one start and one lead, of several times
            leads = np.broadcast_to(durations(ds[lead]), ds.sizes[valid])
    ds = ds.drop_vars([name for name in {"valid_time", TIME, start, lead} - {valid} if name in ds.variables])
    ds = ds.rename({valid: TIME}) if valid != TIME else ds
    return ds if leads is None else ds.assign_coords({LEAD: (TIME, leads, _LEAD_ATTRS)})


def take_lead(ds: xr.Dataset, least: pd.Timedelta | None) -> xr.Dataset:
    """Return a dataset with each time once, in ascending order: of several leads the shortest one from ``least`` on.

    Raises
    ------
    SchemaError
        A time occurs several times without leads to choose by, a lead is asked of what has none, or no lead is as long.
    """
    if TIME not in ds.dims:
        return ds
    if LEAD in ds.coords and not np.any(ds[LEAD].values):
        ds = ds.drop_vars(LEAD)  # an analysis
    has_leads = LEAD in ds.coords and ds[LEAD].dims == (TIME,)
    times = ds[TIME].values
    if not has_leads:
        repeated = len(times) - len(np.unique(times))
        if repeated:
            raise SchemaError(
                f"{repeated} of {len(times)} times occur more than once, the first of them "
                f"{pd.Index(times)[pd.Index(times).duplicated()][0]:%Y-%m-%dT%H:%M}; fix: files that do not overlap",
                subject="gridded field",
            )
        if least is not None:
            raise SchemaError(
                "lead is given, but this is no forecast with several leads; fix: lead=None", subject="gridded field"
            )
        order = np.argsort(times, kind="stable")
    else:
        leads = ds[LEAD].values
        long = np.arange(len(leads)) if least is None else np.flatnonzero(leads >= least.to_timedelta64())
        if not len(long):
            longest = pd.Timedelta(leads.max()) / pd.Timedelta("1h")
            raise SchemaError(
                f"lead is {least}, the longest lead is {longest:g} h; fix: lead='{longest:g}h'", subject="gridded field"
            )
        sorted_ = long[np.lexsort((leads[long], times[long]))]
        order = sorted_[np.unique(times[sorted_], return_index=True)[1]]
    return ds if np.array_equal(order, np.arange(len(times))) else ds.isel({TIME: order})
