"""Attributes by which a file is found and understood, after the Attribute Convention for Data Discovery (ACDD-1.3)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..conventions import LAT, LON, MEMBER, REFERENCE_TIME, TIME, label
from ..cube.calendar import DURATIONS
from ..cube.provenance import method_text, provenance
from .cf import Place


def discovery_attrs(ds: xr.Dataset, place: Place) -> dict[str, Any]:
    """Return the discovery attributes of a dataset in CF's form. Reads coordinates only."""
    known = provenance(ds)
    names = [str(n) for n in ds.data_vars if "standard_name" in ds[n].attrs and not _is_flag_or_count(ds[n])]
    what = ", ".join(dict.fromkeys(label(name.removesuffix("_member")) for name in names)) or "air quality"
    return {
        "Conventions": "CF-1.11, ACDD-1.3",
        "title": ds.attrs.get("title", f"{what} estimated from stations"),
        "summary": _summary(ds, place, what, known),
        "keywords": f"air quality, {what}",
        "date_created": _written(pd.Timestamp.now("UTC").to_datetime64()),
        **_extent(ds),
        **_coverage(ds, known.get("freq")),
    }


def _is_flag_or_count(variable: xr.DataArray) -> bool:
    return variable.attrs["standard_name"] in ("status_flag", "number_of_observations")


def _summary(ds: xr.Dataset, place: Place, what: str, known: dict[str, Any]) -> str:
    """Return one paragraph: what was estimated, where, from what, and how sure it is."""
    where = (
        f"on a grid of {ds[LAT].size} x {ds[LON].size} cells"
        if place == "grid"
        else f"at {ds[LON].size} point{'s' * (ds[LON].size != 1)}"
    )
    parts = [f"{what} {where}"]
    if "method" in known:
        parts.append(f"estimated by {method_text(known)} from {known.get('visible_stations')} stations")
    if REFERENCE_TIME in ds.variables:
        parts.append(f"forecast from {_written(ds[REFERENCE_TIME].values)}")
    if any(str(name).endswith("_lower") for name in ds.data_vars) and "interval_level" in known:
        parts.append(f"with the bounds of its {100 * known['interval_level']:g} % interval")
    if MEMBER in ds.dims:
        parts.append(f"with {ds.sizes[MEMBER]} equally likely members")
    return f"{', '.join(parts)}."


def _extent(ds: xr.Dataset) -> dict[str, Any]:
    """Return the edges of the grid, or the extremes of the points."""
    found: dict[str, Any] = {}
    for name, units in ((LAT, "degrees_north"), (LON, "degrees_east")):
        edges = ds[f"{name}_bnds" if f"{name}_bnds" in ds.variables else name].values
        extremes = {"min": float(edges.min()), "max": float(edges.max()), "units": units}
        found |= {f"geospatial_{name}_{part}": value for part, value in extremes.items()}
    return found


def _coverage(ds: xr.Dataset, freq: str | None) -> dict[str, str]:
    """Return first and last time, length and step; nothing for a dataset without times."""
    if TIME not in ds.variables:
        return {}
    starts = np.atleast_1d(ds[TIME].values)
    edges = ds["time_bnds"].values.reshape(-1, 2) if "time_bnds" in ds.variables else np.stack([starts, starts], axis=1)
    first, last = edges.min(), edges.max()
    attrs = {
        "time_coverage_start": _written(first),
        "time_coverage_end": _written(last),
        "time_coverage_duration": _length(last - first),
    }
    lengths = np.unique(edges[:, 1] - edges[:, 0])
    if freq in DURATIONS:
        attrs["time_coverage_resolution"] = DURATIONS[freq]
    elif len(lengths) == 1 and lengths[0] > np.timedelta64(0):
        attrs["time_coverage_resolution"] = _length(lengths[0])
    return attrs


def _written(time: Any) -> str:
    """Return a time in UTC after ISO 8601."""
    return f"{np.datetime_as_string(np.asarray(time).astype('datetime64[s]'))}Z"


def _length(delta: np.timedelta64) -> str:
    """Return a length of time after ISO 8601, in the longest unit that divides it: ``"P31D"``, ``"PT1H"``."""
    seconds = int(delta / np.timedelta64(1, "s"))
    for start, unit, n in (("P", "D", 86_400), ("PT", "H", 3_600), ("PT", "M", 60)):
        if not seconds % n:
            return f"{start}{seconds // n}{unit}"
    return f"PT{seconds}S"
