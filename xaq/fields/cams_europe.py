"""CAMS European air quality: analyses, reanalyses and forecasts on longitudes 335 .. 360, 0 .. 45.

``time`` counts float hours; the date is in its ``long_name`` ("FORECAST time from 20200101") or in the attribute
``FORECAST`` or ``ANALYSIS`` of the file ("Europe, 20200101+[0H_96H]").
"""

from __future__ import annotations

import re

import pandas as pd
import xarray as xr

from ..conventions import TIME
from .forecasts import LEAD, durations

_FROM = re.compile(r"(\w+) time from (\d{8})(\d{2})?\b", re.IGNORECASE)
_KINDS = ("FORECAST", "ANALYSIS", "REANALYSIS")


def recognise(ds: xr.Dataset) -> bool:
    """Whether time counts from a date in an attribute."""
    return TIME in ds.coords and ds[TIME].dtype.kind in "mfiu" and _origin(ds) is not None


def normalise(ds: xr.Dataset) -> xr.Dataset:
    """Return the dataset with times in UTC; those of a forecast with the coordinate ``forecast_period``. Lazy."""
    kind, origin = _origin(ds) or ("", pd.NaT)
    after = durations(ds[TIME])
    dims = ds[TIME].dims
    ds = ds.assign_coords({TIME: (dims, origin.to_datetime64() + after, {"standard_name": "time"})})
    return ds.assign_coords({LEAD: (dims, after)}) if kind == "FORECAST" else ds


def _origin(ds: xr.Dataset) -> tuple[str, pd.Timestamp] | None:
    """Return the kind of product and the date that its hours count from."""
    found = _FROM.search(str(ds[TIME].attrs.get("long_name", "")))
    if found is not None:
        return found[1].upper(), pd.Timestamp(f"{found[2]}T{found[3] or '00'}")
    for kind in _KINDS:
        found = re.search(r"\b(\d{8})(\d{2})?\+?\[?", str(ds.attrs.get(kind, "")))
        if found is not None:
            return kind, pd.Timestamp(f"{found[1]}T{found[2] or '00'}")
    return None
