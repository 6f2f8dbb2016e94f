"""Coordinates in NAD27, the North American datum of 1927, up to 200 m away from those of satellite navigation."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pyproj import Transformer

from .source import Request

_NAD27, _WGS84 = "EPSG:4267", "EPSG:4326"


def from_nad27(table: pd.DataFrame, request: Request, what: str) -> pd.DataFrame:
    """Return a table with longitudes and latitudes in WGS84 where its column ``datum`` says NAD27; ``request`` counts these rows.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns ``longitude`` and ``latitude``, degrees, and perhaps ``datum``. NAD83 and WGS84, which differ by a metre or two, stay.
    request : Request
    what : str
        What a row is, for ``history``: "rows" or "sites of the list".
    """
    if "datum" not in table:
        return table
    old = table["datum"].astype(str).str.replace(r"\W", "", regex=True).str.upper() == "NAD27"
    lon, lat = (
        pd.to_numeric(table[name], errors="coerce").to_numpy(float, copy=True) for name in ("longitude", "latitude")
    )
    moved = (old & np.isfinite(lon) & np.isfinite(lat)).to_numpy()
    if not moved.any():
        return table
    lon[moved], lat[moved] = Transformer.from_crs(_NAD27, _WGS84, always_xy=True).transform(lon[moved], lat[moved])
    request.changes[f"{what} have coordinates in NAD27, which are converted to WGS84"] += int(moved.sum())
    return table.assign(
        longitude=table["longitude"].where(~moved, pd.Series(lon, table.index)),
        latitude=table["latitude"].where(~moved, pd.Series(lat, table.index)),
    )
