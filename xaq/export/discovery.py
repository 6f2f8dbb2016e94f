"""Attributes by which a file is found and understood, after the Attribute Convention for Data Discovery (ACDD-1.3)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ..conventions import LAT, LON, MEMBER, POLLUTANTS, REFERENCE_TIME, TIME, label
from ..cube.calendar import DURATIONS
from ..cube.provenance import method_text, provenance
from .form import Place

#: What xaq computes here; values from an earlier file are of what that file held.
_OF_EXTENT = ("time_coverage_", "geospatial_lat", "geospatial_lon", "geospatial_bounds")
#: What xaq says of an estimate of one pollutant.
_OF_ONE = ("history", "source", "xaq_provenance")


def global_attrs(ds: xr.Dataset, place: Place) -> dict[str, Any]:
    """Return the global attributes of a dataset in CF's form: its own that are true of it, and those of discovery.

    Reads coordinates only.
    """
    known, freq = provenance(ds), provenance(ds).get("freq")
    own = {name: value for name, value in ds.attrs.items() if not str(name).startswith(_OF_EXTENT)}
    target = known.get("target")
    written_by_xaq = str(own.get("title")).startswith(
        tuple(f"{label(str(target))} {s}" for s in ("analysis", "forecast from"))
    )
    if is_merged := target is not None and not _pollutants(ds) <= {target}:
        # xarray keeps what the first of merged datasets says.
        own, known = {name: value for name, value in own.items() if name not in _OF_ONE}, {}
    if written_by_xaq and (is_merged or _starts(ds).size > 1):
        del own["title"]
    names = [str(n) for n in ds.data_vars if "standard_name" in ds[n].attrs and not _is_flag_or_count(ds[n])]
    what = ", ".join(dict.fromkeys(label(name.removesuffix("_member")) for name in names)) or "air quality"
    return {
        **own,
        "Conventions": "CF-1.11, ACDD-1.3",
        "title": own.get("title", f"{what} estimated from stations"),
        "summary": _summary(ds, place, what, known),
        "keywords": f"air quality, {what}",
        "date_created": _written(pd.Timestamp.now("UTC").to_datetime64()),
        **_extent(ds),
        **_coverage(ds, freq),
    }


def _pollutants(ds: xr.Dataset) -> set[str]:
    """Return the pollutants that a dataset holds by standard name, whatever its variables are called."""
    said = [str(variable.attrs.get("standard_name")) for variable in ds.data_vars.values()]
    return {name for name, p in POLLUTANTS.items() if any(s.endswith(f"_of_{p.species}_in_air") for s in said)}


def _starts(ds: xr.Dataset) -> NDArray[np.datetime64]:
    """Return the times from which forecasts start, each once."""
    return np.unique(ds[REFERENCE_TIME].values) if REFERENCE_TIME in ds.variables else np.array([], "datetime64[s]")


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
    if len(starts := _starts(ds)) == 1:
        parts.append(f"forecast from {_written(starts[0])}")
    elif starts.size:
        parts.append(f"forecasts from {_written(starts.min())} to {_written(starts.max())}")
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
        least, most = _smallest_arc(edges) if name == LON else (edges.min(), edges.max())
        extremes = {"min": float(least), "max": float(most), "units": units}
        found |= {f"geospatial_{name}_{part}": value for part, value in extremes.items()}
    return found


def _smallest_arc(edges: NDArray) -> tuple[float, float]:
    """Return west and east of the smallest arc that holds longitudes, points or ``(cell, 2)``, degrees; east >= west.

    The numbers are those given, unless these lie on both sides of a seam, such as 179.5 and -179.5.
    """
    low, high = (edges.min(axis=1), edges.max(axis=1)) if edges.ndim > 1 else (edges.ravel(), edges.ravel())
    order = np.argsort(low % 360.0)
    start = (low % 360.0)[order]
    reach = np.maximum.accumulate(start + (high - low)[order])
    gaps = np.append(start[1:], start[0] + 360.0) - reach
    after = (widest := int(np.argmax(gaps))) + 1
    length = 360.0 - gaps[widest]
    if high.max() - low.min() <= length + 1e-9:
        return low.min(), high.max()
    west = (start[after % len(start)] + 180.0) % 360.0 - 180.0
    return round(west, 12), round(west + length, 12)


def _coverage(ds: xr.Dataset, freq: str | None) -> dict[str, str]:
    """Return the first time, and by the bounds of times the end, length and step; nothing for a dataset without times.

    Without bounds the end is not known: of means, attributes say what the steps were.
    """
    if TIME not in ds.variables or ds[TIME].dtype.kind != "M":
        return {}
    if "time_bnds" not in ds.variables:
        return {"time_coverage_start": _written(ds[TIME].values.min())}
    edges = np.sort(ds["time_bnds"].values.reshape(-1, 2), axis=1)
    first, last = edges.min(), edges.max()
    attrs = {
        "time_coverage_start": _written(first),
        "time_coverage_end": _written(last),
        "time_coverage_duration": _length(last - first),
    }
    lengths = np.unique(edges[:, 1] - edges[:, 0])
    if freq in DURATIONS:
        attrs["time_coverage_resolution"] = DURATIONS[freq]
    elif len(lengths) == 1:
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
