"""Times of means and sums by their CF bounds: each labelled with the start of its interval."""

from __future__ import annotations

import re
from collections.abc import Hashable

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..conventions import TIME
from ..errors import SchemaError
from ..stations import schema
from .forecasts import LEAD, durations

#: An attribute of sums over the hour before their label, of which no bounds say so; :func:`xaq.fields.ecmwf.sums_at_start` removes it.
MARK = "_xaq_sum_before_label"
_SECOND = np.timedelta64(1, "s")


def without_bounds(ds: xr.Dataset) -> xr.Dataset:
    """Return a dataset without bounds of coordinates, which times that are moved would contradict."""
    ds = ds.drop_vars([n for n in names_of_bounds(ds) if n in ds.variables]).copy()
    for variable in ds.variables.values():
        variable.attrs = {k: v for k, v in variable.attrs.items() if k != "bounds"}
    return ds


def at_start(ds: xr.Dataset) -> xr.Dataset:
    """Return a dataset whose time is the lower bound of its interval, where it states bounds of time. Lazy.

    Instants (``cell_methods`` of ``time: point``) are left as they are, and so are bounds that are not those of steps: that
    overlap, as running means do, do not contain the time, or cover less than half of the step.

    Raises
    ------
    SchemaError
        Instants and means share times that would have to be moved.
    """
    time = schema.find_role(ds.coords.to_dataset().drop_vars(names_of_bounds(ds), errors="ignore"), TIME)
    if time not in ds.coords or ds[time].dtype.kind != "M":
        return ds
    if (bounds := _bounds_of(ds, ds[time])) is None:
        return ds
    starts = _starts(ds[time].values, bounds)
    instants = {
        str(n): _is_instant(v)
        for n, v in ds.data_vars.items()
        if {*ds[time].dims} < {*v.dims} and n not in names_of_bounds(ds)
    }
    if starts is None or all(instants.values()):
        return ds
    for name in instants:
        # The bounds say what the form would have to assume.
        ds[name].attrs.pop(MARK, None)
    late = ds[time].values - starts
    if (late < _SECOND).all():
        return ds
    if any(instants.values()):
        kinds = ([n for n, instant in instants.items() if instant == kind] for kind in (True, False))
        calls = (f"xaq.open_field(path, {(names if len(names) > 1 else names[0])!r})" for names in kinds)
        raise SchemaError(
            f"{', '.join(n for n in instants if not instants[n])} is of the interval before each time and "
            f"{', '.join(n for n in instants if instants[n])} of the instant (cell_methods), which one time axis cannot label; "
            f"fix: {' and '.join(calls)}",
            subject="gridded field",
        )
    where = "end" if (np.abs(bounds.max(axis=-1) - ds[time].values) < _SECOND).all() else "middle"
    moved = {time: (ds[time].dims, starts, ds[time].attrs)}
    if LEAD in ds.coords and ds[LEAD].dims == ds[time].dims:
        leads = durations(ds[LEAD]) - late.astype("timedelta64[s]")
        moved[LEAD] = (ds[LEAD].dims, leads, {"standard_name": LEAD})
    note = f"labelled with the start of the interval by the bounds of time (the file labels its {where})"
    return schema.record(ds.assign_coords(moved), "open_field", [note])


def names_of_bounds(ds: xr.Dataset) -> set[Hashable]:
    """Return the names of all bounds."""
    return {v.attrs.get("bounds", v.encoding.get("bounds")) for v in ds.variables.values()} - {None}


def _bounds_of(ds: xr.Dataset, time: xr.DataArray) -> NDArray[np.datetime64] | None:
    """Return the bounds of times, ``(..., 2) datetime64``; None where there are none. Loads them."""
    name = time.attrs.get("bounds", time.encoding.get("bounds"))
    if name not in ds.variables or ds[name].dtype.kind != "M" or ds[name].shape != (*time.shape, 2):
        return None
    values: NDArray[np.datetime64] = ds[name].values
    return values


def _starts(times: NDArray[np.datetime64], bounds: NDArray[np.datetime64]) -> NDArray[np.datetime64] | None:
    """Return the lower bounds of steps; None where the bounds are not those of steps that contain the times."""
    lower, upper = bounds.min(axis=-1), bounds.max(axis=-1)
    # A time that is missing is in no interval.
    if not ((times > lower - _SECOND) & (times < upper + _SECOND) & (lower < upper)).all():
        return None
    begin, first = np.unique(lower, return_index=True)
    step, width = np.diff(begin), (upper - lower).ravel()[first][:-1]
    # Bounds that cdo writes end with the last hour of the day, not with the day.
    is_steps = (width < step + _SECOND) & (2 * width > step - _SECOND)
    return lower if is_steps.all() else None


def _is_instant(array: xr.DataArray) -> bool:
    return re.search(r"\btime: point\b", str(array.attrs.get("cell_methods", ""))) is not None
