"""Files as the R package openair writes them: ``date, site, code``, a column per pollutant, wind and temperature.

Times are GMT and label the start of the hour (openair, issue 235: the flat files of UK-AIR label its end and need
``timestamps="end"``). Units are ug m-3, CO in mg m-3 (openair, importUKAQ). Any table may have these columns, so the format is
never assumed: it has to be said.
"""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd
import xarray as xr

from ..conventions import MASS_UNITS, POLLUTANTS, STATION, TIME
from ..errors import SchemaError
from .assembly import Rows, assemble
from .source import Format, Request, Source, gather
from .tables import long_rows

_UNITS = {**dict.fromkeys(POLLUTANTS, MASS_UNITS), "co": "mg m-3", "ws": "m s-1", "wd": "degree", "air_temp": "degC"}


def _looks(header: Collection[str]) -> bool:
    return {"date", "site", "code"} <= set(header)


def _read(source: Source, said: Request) -> xr.Dataset:
    rows = gather([_rows(frame, said) for frame in source.frames(said, identifiers=("code", "site"))])
    places = said.places(identifiers=("code", "site"))
    said.check_columns(rows, places)
    ds = assemble(rows, places, tz=said.tz or "UTC")
    for name, unit in _UNITS.items():
        if name in ds and not ds[name].attrs.get("units"):
            ds[name].attrs["units"] = unit
    return ds


def _rows(frame: pd.DataFrame, said: Request) -> Rows:
    lower = {str(c).strip().lower(): c for c in frame.columns}
    station = next((lower[c] for c in ("code", "site") if c in lower), None)
    if station is None or "date" not in lower:
        raise SchemaError(
            f"openair files have the columns date, site or code, and pollutants; it has {', '.join(map(str, frame.columns[:9]))}"
        )
    columns = {STATION: station, TIME: lower["date"], **said.columns_in(frame.columns)}
    drop = [lower[c] for c in ("code", "site") if c in lower and lower[c] != columns[STATION]]
    return long_rows(frame.drop(columns=drop), columns)


FORMAT = Format("openair", "UK files as openair writes them: GMT, ug m-3, CO in mg m-3", _read, looks=_looks)
