"""The Chinese national network's daily files ``china_sites_YYYYMMDD.csv``: ``date, hour, type``, then a column per station.

Those of the city of Beijing from the same publisher, ``beijing_all_`` and ``beijing_extra_YYYYMMDD.csv``, have the same form: stations by
their Chinese names, particles in one file and gases in the other.

Timestamps are in Beijing time. The publisher does not state which end of the hour they label; xaq assumes the start,
and ``timestamps="end"`` changes that. CO is in mg m-3, the others in ug m-3. Only the hourly values of the six pollutants
are read: AQI and running means (``_24h``, ``_8h``) follow from them.

A folder of years is read file by file into arrays that are allocated once, so that memory holds the result and one file.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ..conventions import MASS_UNITS, STATION, TIME, match_key
from ..errors import SchemaError
from . import files
from .assembly import station_dataset
from .numbers import numeric
from .places import leave_out, places_of, station_text
from .source import Format, Request, Source
from .times import to_utc

_KEYS = ("date", "hour", "type")
_TYPES = {"pm2.5": "pm25", "pm10": "pm10", "so2": "so2", "no2": "no2", "o3": "o3", "co": "co"}
_UNITS = {**dict.fromkeys(_TYPES.values(), MASS_UNITS), "co": "mg m-3"}
_HOURS = 24


def _matches(header: Collection[str]) -> bool:
    return set(_KEYS) <= set(header)


def _read(source: Source, request: Request) -> xr.Dataset:
    if not source.paths:
        raise SchemaError("china_sites files are read from a folder, not from a frame; fix: pass the path")
    listed = request.places()
    if listed is None:
        raise SchemaError("the files have no coordinates; fix: stations='list.csv' with station, lon and lat")
    request.check_taken(listed)
    absent = [role for role in (STATION, "lon", "lat") if role not in listed.frame]
    if absent:
        raise SchemaError(
            f"the station list has no column for {', '.join(absent)}; fix: columns={{{absent[0]!r}: 'your column'}}"
        )
    places = places_of(listed.frame, listed.called, "station list").join(station_text(listed.frame))
    headers = _headers(source, request)
    reported = pd.Index(sorted({s for header in headers.values() for s in header.header[len(_KEYS) :]} - {""}))
    ids = leave_out(reported, places)
    days = {path: _day(path, dialect) for path, dialect in headers.items()}
    first, last = min(days.values()), max(days.values())
    times = pd.date_range(first, last + pd.Timedelta(hours=_HOURS - 1), freq="h", unit="s")
    values = {name: np.full((len(ids), len(times)), np.nan, np.float32) for name in _TYPES.values()}
    read: dict[tuple[pd.Timestamp, str], Path] = {}
    for path, day in days.items():
        start = int((day - first) / pd.Timedelta(hours=1))
        of_day = {name: array[:, start : start + _HOURS] for name, array in values.items()}
        for name in _fill(of_day, path, headers[path], day, ids, request):
            # Particles and gases of a day may be in two files.
            if (day, name) in read:
                raise SchemaError(
                    f"{read[day, name].name} and {path.name} both hold {name} of {day:%Y-%m-%d}; fix: keep one"
                )
            read[day, name] = path
    values = {name: values[name] for name in values if any(name == of for _, of in read)}
    if not values:
        raise SchemaError(f"the files have no row of {', '.join(_TYPES)}; fix: files with one of these types")
    utc = pd.DatetimeIndex(to_utc(pd.Series(times), request.tz, own="Asia/Shanghai"))
    variables = {n: ((STATION, TIME), array, {"units": _UNITS[n]}) for n, array in values.items()}
    return station_dataset(variables, ids, utc, places)


def _headers(source: Source, request: Request) -> dict[Path, files.Dialect]:
    """Return the first rows of the files; raise with all files that are none of this format."""
    found: dict[Path, files.Dialect] = {}
    problems: dict[str, str] = {}
    for path in source.paths:
        try:
            found[path] = _header(path, request)
        except SchemaError as error:
            if len(source.paths) == 1:
                raise
            problems[path.name] = error.problems[0]
    if problems:
        some = "; ".join(f"{name} {problem.split('; fix: ')[0]}" for name, problem in [*problems.items()][:5])
        raise SchemaError(
            f"{len(problems)} of {len(source.paths)} files cannot be read: {some}; fix: download them again, or pass the others, as "
            f"open_stations([p for p in paths if Path(p).name not in {[*problems]}], ...)"
        )
    return found


def _header(path: Path, request: Request) -> files.Dialect:
    dialect = files.sniff(path, request.encoding_of(path), request.skiprows)
    if tuple(dialect.header[: len(_KEYS)]) != _KEYS:
        raise SchemaError(
            f"begins with the columns {', '.join(dialect.header[:3])}, expected {', '.join(_KEYS)}; fix: format='long'",
            subject=str(path),
        )
    stations = [s for s in dialect.header[len(_KEYS) :] if s]
    if len(set(stations)) < len(stations):
        raise SchemaError("has several columns of one station; fix: keep one", subject=str(path))
    return dialect


def _day(path: Path, dialect: files.Dialect) -> pd.Timestamp:
    """Return the day of a file, from its first row."""
    rows = files.rows(path, dialect)
    next(rows, None)
    row = next((row for row in rows if row), None)
    if row is None:
        raise SchemaError("has a header and no rows; fix: leave it out", subject=str(path))
    day = pd.to_datetime(row[0], format="%Y%m%d", errors="coerce")
    if pd.isna(day):
        raise SchemaError(f"its date is {row[0]!r}, expected YYYYMMDD; fix: correct the first row", subject=str(path))
    return day


def _fill(
    arrays: dict[str, NDArray],
    path: Path,
    dialect: files.Dialect,
    day: pd.Timestamp,
    ids: pd.Index,
    request: Request,
) -> list[str]:
    """Write the values of one file into the arrays ``(station, hour)``, and return the names of its pollutants.

    Rows of another day or hour, and duplicates, are an error.
    """
    frame = request.cleaned(files.read_frame(path, identifiers=("date", "type"), dialect=dialect), _KEYS)
    keys = frame[list(_KEYS)].assign(type=frame["type"].map(match_key))
    hours = pd.to_numeric(keys["hour"], errors="coerce")
    strange = keys[(keys["date"] != f"{day:%Y%m%d}") | ~hours.isin(range(_HOURS))]
    if len(strange):
        raise SchemaError(
            f"{len(strange)} rows are not an hour 0..23 of {day:%Y-%m-%d}, first: date {strange['date'].iloc[0]}, "
            f"hour {strange['hour'].iloc[0]}; fix: correct or delete them",
            subject=str(path),
        )
    if keys[keys["type"].isin(_TYPES)].duplicated().any():
        raise SchemaError("has several rows of one hour and type; fix: keep one", subject=str(path))
    stations = frame.columns[len(_KEYS) :]
    stations = stations[stations.isin(ids)]
    text = stations[[not pd.api.types.is_numeric_dtype(t) for t in frame.dtypes[stations]]]
    frame = frame.assign(**{c: _numbers(frame[c], c, path) for c in text})
    # Converted to an array at once: selecting rows of a frame of 1,600 columns is slow.
    values, kinds = frame[stations].to_numpy(np.float32), keys["type"].to_numpy()
    values = np.where(np.isfinite(values), values, np.float32(np.nan))
    rows = ids.get_indexer(stations)
    there = {kind: name for kind, name in _TYPES.items() if kind in {*kinds}}
    for kind, name in there.items():
        here = kinds == kind
        arrays[name][np.ix_(rows, hours[here].to_numpy(int))] = values[here].T
    return list(there.values())


def _numbers(column: pd.Series, station: str, path: Path) -> NDArray:
    try:
        # Converted as a pollutant, so that entries that are not numbers are an error.
        return np.asarray(numeric(column, "pm25"))
    except SchemaError as error:
        raise SchemaError(error.problems[0].replace("'pm25'", repr(station)), subject=str(path)) from error


FORMAT = Format(
    "china_sites", "daily files of the Chinese national network", _read, matches=_matches,
    files=tuple(f"{name}_*.csv{end}" for name in ("china_sites", "*beijing_all", "*beijing_extra") for end in ("", ".gz")),
)  # fmt: skip
