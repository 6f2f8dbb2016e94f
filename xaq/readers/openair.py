"""Files of the R package openair: ``date, site, code``, a column per pollutant, wind and temperature.

Times are GMT and label the start of the hour (openair, issue 235: the flat files of UK-AIR label its end and need
``timestamps="end"``). Units are ug m-3, CO in mg m-3 (openair, importUKAQ). Any table may have these columns, so the format
is never assumed: ``format="openair"`` is required.
"""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd
import xarray as xr

from ..conventions import MASS_UNITS, NAME, POLLUTANTS, STATION, TIME
from ..errors import SchemaError
from .assembly import Rows, assemble, first_column, lower_names
from .source import Format, Request, Source, gather
from .tables import long_rows

_UNITS = {**dict.fromkeys(POLLUTANTS, MASS_UNITS), "co": "mg m-3", "ws": "m s-1", "wd": "degree", "air_temp": "degC"}


def _matches(header: Collection[str]) -> bool:
    return {"date", "site", "code"} <= set(header)


def _read(source: Source, request: Request) -> xr.Dataset:
    rows = gather([_rows(frame, request) for frame in source.frames(request, identifiers=("code", "site"))])
    places = request.places(identifiers=("code", "site"))
    request.check_columns(rows, places)
    ds = assemble(rows, places, tz=request.tz, own_tz="UTC", ambiguous=request.ambiguous)
    for name, unit in _UNITS.items():
        if name in ds and not ds[name].attrs.get("units"):
            ds[name].attrs["units"] = unit
    return ds


def _rows(frame: pd.DataFrame, request: Request) -> Rows:
    lower = lower_names(frame.columns)
    station = first_column(lower, ("code", "site"))
    if "date" not in lower:
        raise SchemaError(
            f"openair files have the columns date, site or code, and pollutants; it has {', '.join(map(str, frame.columns[:9]))}; "
            "fix: format='long'"
        )
    # A file of one site may leave its name out.
    of = {} if station is None else {STATION: station}
    columns = {**of, TIME: lower["date"], **request.columns_in(frame.columns)}
    used = {*columns.values()}
    named = {lower["site"]: NAME} if "site" in lower and lower["site"] not in used else {}
    unused = [lower["code"]] if "code" in lower and lower["code"] not in used else []
    return long_rows(frame.drop(columns=unused).rename(columns=named), columns)


FORMAT = Format("openair", "UK files as openair writes them: GMT, ug m-3, CO in mg m-3", _read, matches=_matches)
