"""Bounds of times and cells: those that a dataset carries where they are true, else made of its provenance where it is certain."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..conventions import LAT, LON, TIME
from ..cube.calendar import FREQUENCIES, ends_of
from ..cube.provenance import provenance

BOUNDS = "bnds"
#: By which edges of neighbours may differ, as a fraction of the smallest interval.
_TOLERANCE = 1e-4
_POLES = {LAT: 90.0, LON: np.inf}
_PERIOD_END = "period_end"


def with_time_bounds(ds: xr.Dataset) -> xr.Dataset:
    """Return a dataset with the bounds of its times where they are certain, and without others.

    They are its own, the ends of its periods, or made of steps or periods.
    """
    carried = _carried(ds, TIME)
    if carried is None and _PERIOD_END in ds.variables and TIME in ds.variables:
        ends = np.atleast_1d(ds[_PERIOD_END].values)
        carried = _if_true(ds, TIME, np.stack([np.atleast_1d(ds[TIME].values), ends], axis=1))
    return _with(ds.drop_vars(_PERIOD_END, errors="ignore"), TIME, _made_times(ds) if carried is None else carried)


def with_cell_bounds(ds: xr.Dataset) -> xr.Dataset:
    """Return a grid with the bounds of its rows and columns where they are certain, and without others."""
    for name in (LAT, LON):
        carried = _carried(ds, name)
        ds = _with(ds, name, _made_cells(ds, name) if carried is None else carried)
    return ds


def _with(ds: xr.Dataset, name: str, edges: NDArray | None) -> xr.Dataset:
    """Return a dataset with these bounds of an axis, ``(axis, 2)``, in the direction of the axis as CF has it; None for none."""
    ds = ds.drop_vars(f"{name}_bnds", errors="ignore")
    if edges is None:
        return ds
    axis, edges = np.atleast_1d(ds[name].values), np.sort(edges, axis=1)
    if len(axis) > 1 and axis[0] > axis[-1]:
        edges = edges[:, ::-1]
    dims = (*ds[name].dims, BOUNDS)
    return ds.assign_coords({f"{name}_bnds": (dims, edges if ds[name].ndim else edges[0])})


def _carried(ds: xr.Dataset, name: str) -> NDArray | None:
    """Return the bounds that a dataset has of an axis, ``(axis, 2)``; None where it has none, or others than of this axis.

    xarray keeps bounds when it rewrites, averages or interpolates an axis.
    """
    key = f"{name}_bnds"
    if key not in ds.variables or name not in ds.variables or ds[name].ndim > 1:
        return None
    edges = ds[key].values
    # Of one value that has become an axis again: its bounds have not.
    if ds[key].dims == (BOUNDS,) and ds[name].size == 1:
        edges = edges.reshape(1, -1)
    elif ds[key].dims != (*ds[name].dims, BOUNDS):
        return None
    return _if_true(ds, name, edges) if edges.shape[1] == 2 else None


def _if_true(ds: xr.Dataset, name: str, edges: NDArray) -> NDArray | None:
    """Return bounds of an axis, ``(axis, 2)``, if they can be its own, else None.

    Each holds its value, no two overlap, and where there are several some meet. Averaged bounds never meet, nor do those of
    every second step: which of the two they are cannot be told, as means keep the attributes.
    """
    axis = _numbers(np.atleast_1d(ds[name].values))
    order = np.argsort(axis)
    low, high = np.sort(_numbers(edges), axis=1)[order].T
    if not (high > low).all():
        return None
    tolerance = _TOLERANCE * (high - low).min()
    held = (low - tolerance <= axis[order]) & (axis[order] <= high + tolerance)
    gaps = low[1:] - high[:-1]
    apart = gaps >= -tolerance
    return edges if held.all() and apart.all() and (not gaps.size or (gaps <= tolerance).any()) else None


def _numbers(values: NDArray) -> NDArray[np.float64]:
    """Return values as numbers, times as seconds; NaN where there is none."""
    if values.dtype.kind != "M":
        return values.astype(float)
    return np.where(np.isnat(values), np.nan, values.astype("datetime64[s]").astype(float))


def _made_times(ds: xr.Dataset) -> NDArray | None:
    """Return the bounds of steps or periods that start at some times; None where that is not certain.

    It is where two follow each other, or where one period holds all that was estimated. Times further apart are either some
    of the steps or periods, or means of several, which keep the attributes.
    """
    if TIME not in ds.variables or ds[TIME].ndim > 1 or ds[TIME].dtype.kind != "M":
        return None
    times: NDArray[np.datetime64] = np.atleast_1d(ds[TIME].values)
    known, whole = provenance(ds), False
    if known.get("freq") in FREQUENCIES:
        ends = ends_of(times, known["freq"], known.get("tz"))
        first, last = (np.datetime64(t) for t in known.get("estimated_period", ["NaT", "NaT"]))
        whole = len(times) == 1 and bool(times[0] <= first and last < ends[0])
    elif isinstance(known.get("step_seconds"), int):
        ends = times + np.timedelta64(known["step_seconds"], "s")
    else:
        return None
    return _if_true(ds, TIME, np.stack([times, ends], axis=1)) if whole or len(times) > 1 else None


def _made_cells(ds: xr.Dataset, name: str) -> NDArray | None:
    """Return the bounds of rows or columns as large as the provenance says; None where no two are as far apart."""
    sizes: Any = provenance(ds).get("cell_degrees")
    size = sizes.get(name) if isinstance(sizes, dict) else None
    if not isinstance(size, float) or name not in ds.dims or name not in ds.variables or ds.sizes[name] == 1:
        return None
    centres = ds[name].values.astype(float)
    edges = np.round(np.stack([centres - size / 2, centres + size / 2], axis=1), 12)
    return _if_true(ds, name, np.clip(edges, -_POLES[name], _POLES[name]))
