"""OpenAQ: CSV downloads, and the archive on S3, ``locationid=*/year=*/month=*/location-*.csv.gz``.

Timestamps carry their offset and label the end of the averaging period (openaq-fetch: "date should be the end of the averaging
period"; files of a day in the archive run from 01:00 to 00:00). Coordinates and units are in the rows. A location may have
several sensors for one pollutant, told apart by ``sensors_id``.
"""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd
import xarray as xr

from ..conventions import LAT, LON, NAME, STATION, TIME
from ..errors import SchemaError
from .assembly import PARAMETER, UNITS, VALUE, Rows, assemble, first_column, lower_names
from .instruments import MONITOR, apart, recorded
from .source import Format, Request, Source, gather

#: The archive's names first, then those of the downloads.
_COLUMNS: dict[str, tuple[str, ...]] = {
    STATION: ("location_id", "locationid"),
    NAME: ("location",),
    MONITOR: ("sensors_id", "sensor_id", "sensorsid"),
    TIME: ("datetime", "utc", "datetimeutc", "datetime_utc"),
    LAT: ("lat", "latitude"),
    LON: ("lon", "longitude"),
    PARAMETER: ("parameter",),
    UNITS: ("units", "unit"),
    VALUE: ("value",),
}


def _matches(header: Collection[str]) -> bool:
    have = set(header)
    return {"parameter", "value"} <= have and bool({"location_id", "locationid"} & have)


def _read(source: Source, request: Request) -> xr.Dataset:
    text = (*_COLUMNS[STATION], *_COLUMNS[MONITOR])
    rows = gather([_rows(frame) for frame in source.frames(request, identifiers=text)])
    places, notes = request.places(identifiers=_COLUMNS[STATION]), list[str]()
    request.check_taken(places)
    if MONITOR in rows.frame:
        called = [rows.called(role) for role in (STATION, MONITOR, TIME, PARAMETER)]
        rows, places, notes = apart(rows, places, called)
    return recorded(assemble(rows, places, tz=request.tz), notes)


def _rows(frame: pd.DataFrame) -> Rows:
    lower = lower_names(frame.columns)
    found = {role: first_column(lower, names) for role, names in _COLUMNS.items()}
    absent = [
        _COLUMNS[role][0] for role, column in found.items() if column is None and role not in (LAT, LON, NAME, MONITOR)
    ]
    if absent:
        raise SchemaError(
            f"no column {', '.join(absent)}; it has {', '.join(map(str, frame.columns[:9]))}; "
            "fix: files with location_id, datetime, lat, lon, parameter, units, value"
        )
    named = {column: role for role, column in found.items() if column is not None}
    return Rows(frame[list(named)].rename(columns=named), {role: str(c) for c, role in named.items()})


FORMAT = Format(
    "openaq",
    "OpenAQ CSV or archive",
    _read,
    files=("location-*.csv.gz", "location-*.csv"),
    matches=_matches,
    timestamps="end",
)
