"""UCI 501, "Beijing Multi-Site Air-Quality Data": one ``PRSA_Data_<Station>_*.csv`` per station.

The description gives units (CO in ug m-3, too) but does not say what timestamps label; xaq assumes the start of the hour in
Beijing time. The data set has no coordinates. Some copies have ``lat`` and ``long`` columns that lie in other provinces,
are zero or empty: they are reported and never used.
"""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd
import xarray as xr

from ..arrays import timesteps
from ..conventions import MASS_UNITS, ROLE_NAMES, STATION, TIME, match_key
from ..errors import SchemaError, warn
from .assembly import Rows, assemble, name_columns
from .source import Format, Request, Source, gather

_CLOCK = ("year", "month", "day", "hour")
_UNITS = {
    **dict.fromkeys(("pm25", "pm10", "so2", "no2", "co", "o3"), MASS_UNITS),
    "temp": "degC", "pres": "hPa", "dewp": "degC", "rain": "mm", "wspm": "m s-1",
}  # fmt: skip
_COORDINATES = {*ROLE_NAMES["lon"], *ROLE_NAMES["lat"]}


def _matches(header: Collection[str]) -> bool:
    return {*_CLOCK, "station", "wspm"} <= set(header)


def _read(source: Source, request: Request) -> xr.Dataset:
    places = request.places()
    if places is None:
        raise SchemaError(
            "the UCI files have no reliable coordinates; fix: stations='list.csv' with station, lon and lat"
        )
    rows, found = [], []
    for frame in source.frames(request):
        frame.columns = [str(c).strip() for c in frame.columns]
        found += _coordinates_in(frame)
        rows.append(_rows(frame, request))
    if found:
        warn(
            f"the coordinates in the UCI files ({'; '.join(found[:4])}) are not those of the stations and are not used; "
            "coordinates are taken from stations="
        )
    gathered = gather(rows)
    request.check_columns(gathered, places)
    return assemble(
        _as_listed(gathered, places),
        places,
        tz=request.tz,
        own_tz="Asia/Shanghai",
        step=timesteps.HOUR,
        ambiguous=request.ambiguous,
    )


def _rows(frame: pd.DataFrame, request: Request) -> Rows:
    absent = [c for c in (*_CLOCK, "station") if c not in frame]
    if absent:
        raise SchemaError(
            f"no column {', '.join(absent)}; expected No, year, month, day, hour, ..., station; it has "
            f"{', '.join(map(str, frame.columns[:8]))}; fix: format='long'"
        )
    clock = frame[list(_CLOCK)].apply(pd.to_numeric, errors="coerce")
    times = pd.to_datetime(clock, errors="coerce")
    drop = [*_CLOCK, "No", *(c for c in frame.columns if match_key(c) in _COORDINATES)]
    named = name_columns(
        frame.drop(columns=drop, errors="ignore").assign(**{TIME: times}), request.columns_in(frame.columns), "table"
    )
    units = {name: unit for name, unit in _UNITS.items() if name in named.frame}
    return Rows(named.frame, named.names, {**units, **named.units})


def _coordinates_in(frame: pd.DataFrame) -> list[str]:
    columns = [c for c in frame.columns if match_key(c) in _COORDINATES]
    if not columns or frame.empty:
        return []
    first = frame.iloc[0]
    return [f"{first.get('station', '?')}: {', '.join(f'{c}={first[c]}' for c in columns)}"]


def _as_listed(rows: Rows, places: Rows) -> Rows:
    """Return the rows with station names as the list spells them; upper and lower case do not matter."""
    if STATION not in places.frame:
        return rows
    spelling = {str(s).casefold(): str(s) for s in places.frame[STATION]}
    known = rows.frame[STATION].map(lambda s: spelling.get(str(s).casefold(), s))
    return Rows(rows.frame.assign(**{STATION: known}), rows.names, rows.units)


FORMAT = Format(
    "prsa",
    "UCI Beijing files",
    _read,
    files=("PRSA_Data_*.csv", "PRSA_Data_*.csv.gz"),
    matches=_matches,
)
