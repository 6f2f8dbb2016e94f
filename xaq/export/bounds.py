"""Bounds that a selection has lost, made again of what the provenance says of times and cells; none where it is not certain."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..conventions import LAT, LON, TIME
from ..cube.calendar import FREQUENCIES, ends_of
from ..cube.provenance import provenance


def with_time_bounds(ds: xr.Dataset) -> xr.Dataset:
    """Return a dataset with the bounds of its times where they are known: its own, the ends of its periods, or steps."""
    if TIME not in ds.dims or "time_bnds" in ds.variables or ds[TIME].dtype.kind != "M":
        return ds
    times = ds[TIME].values
    ends = ds["period_end"].values if "period_end" in ds.coords else _ends(times, provenance(ds))
    if ends is None:
        return ds
    edges = np.stack([times, ends], axis=1)
    return ds.assign_coords(time_bnds=((TIME, "bnds"), edges)).drop_vars("period_end", errors="ignore")


def _ends(times: NDArray[np.datetime64], known: dict[str, Any]) -> NDArray[np.datetime64] | None:
    """Return the ends of the steps or periods that start at some times; None where that is not certain.

    It is where two follow each other, or where one period holds all that was estimated. Times further apart are either some
    of the steps or periods, or means of several, which keep the attributes.
    """
    if known.get("freq") in FREQUENCIES:
        ends = ends_of(times, known["freq"], known.get("tz"))
        first, last = (np.datetime64(t) for t in known.get("estimated_period", ["NaT", "NaT"]))
        if len(times) == 1 and times[0] <= first and last < ends[0]:
            return ends
    elif isinstance(known.get("step_seconds"), int):
        ends = times + np.timedelta64(known["step_seconds"], "s")
    else:
        return None
    return ends if np.isin(ends, times).any() else None


def with_cell_bounds(ds: xr.Dataset) -> xr.Dataset:
    """Return a grid with the bounds of its cells where two centres are as far apart as the provenance says of the grid."""
    limits = {LAT: 90.0, LON: np.inf}
    sizes = provenance(ds).get("cell_degrees")
    if not isinstance(sizes, dict):
        return ds
    for name, limit in limits.items():
        size = sizes.get(name)
        if name not in ds.dims or f"{name}_bnds" in ds.variables or not isinstance(size, float):
            continue
        centres = ds[name].values.astype(float)
        if np.isclose(np.abs(np.diff(centres)), size, rtol=1e-4).any():
            edges = np.round(np.stack([centres - size / 2, centres + size / 2], axis=1), 12)
            ds = ds.assign_coords({f"{name}_bnds": ((name, "bnds"), np.clip(edges, -limit, limit))})
    return ds
