"""UK-AIR: hourly CSV of the data selector and the flat files: ``Date, Time``, then value and status, or value, status and unit.

Times are GMT and label the end of the hour, ``24:00:00`` that of the day (in the files: "All Data GMT hour ending"). Several sites stand
side by side, their names in the row above the header; a file of one site may name it and its place in the lines above the header.
Statuses are R (ratified), V (verified), P (provisional), P* (as supplied), N (not verified) and S (suspect). By default R, V and P count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from ..arrays import timesteps
from ..conventions import LAT, LON, NAME, STATION, TIME, canonical_name, match_key
from ..errors import SchemaError
from . import files
from .assembly import PARAMETER, UNITS, VALUE, Rows, assemble, only_station
from .banner import fields
from .clock import with_time
from .places import as_ids, station_text
from .source import Format, Request, Source, gather

_COUNTING = ("R", "V", "P")
_NAMES = {
    "nitrogen dioxide": "no2", "nitric oxide": "no", "nitrogen oxides as nitrogen dioxide": "nox", "ozone": "o3",
    "sulphur dioxide": "so2", "carbon monoxide": "co", "modelled wind direction": "wd", "modelled wind speed": "ws",
    "modelled temperature": "temp",
}  # fmt: skip
_MISSING = ("No data", "no data", "n/a")
#: The status of a value, its units and, for particles, its instrument: "V ugm-3 (FIDAS)".
_STATUS = re.compile(r"\s*(?P<status>[A-Z]\*?)(?:\s+(?P<units>\S+))?(?:\s+\(.*\))?\s*")
_BESIDE = ("status", "unit")


def _begins(lines: Sequence[str]) -> bool:
    at = _header_at(lines)
    if at is None:
        return False
    header = [match_key(cell) for cell in _cells(lines[at])]
    if "unit" in header:
        return any("gmt hour ending" in line.lower() for line in lines[:at])
    rows = [cells for cells in map(_cells, lines[at + 1 :]) if len(cells) == len(header)]
    found = [_STATUS.fullmatch(row[i]) for row in rows for i, name in enumerate(header) if name == "status"]
    return any(match is not None and match["units"] for match in found)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in fields(line, ",")]


def _header_at(lines: Sequence[str]) -> int | None:
    """Return the number of the line with the header, which begins with date, time, a pollutant and its status."""
    for i, line in enumerate(lines):
        cells = [match_key(cell) for cell in _cells(line)]
        if cells[:2] == ["date", "time"] and cells[3:4] == ["status"]:
            return i
    return None


def _read(source: Source, request: Request) -> xr.Dataset:
    if not source.paths:
        raise SchemaError("UK-AIR is read from files, not from a frame; fix: pass the path")
    request = replace(request, timestamps=request.timestamps or "end")
    places = request.places()
    request.check_taken(places)
    rows = gather([_rows(path, request, places) for path in source.paths])
    rows = replace(rows, frame=rows.frame.assign(**{STATION: _ids(rows.frame[NAME], places)}))
    return assemble(rows, places, tz=request.tz, own_tz="UTC", step=timesteps.HOUR, ambiguous=request.ambiguous)


def _ids(sites: pd.Series, places: Rows | None) -> pd.Series:
    """Return the ids of sites, which the files name; a list may have ids beside these names."""
    if places is None or STATION not in places.frame:
        return sites
    names = station_text(places.frame).get(NAME, pd.Series(dtype=object))
    known, by_name = {*as_ids(places.frame[STATION])}, {match_key(name): str(i) for i, name in names.items() if name}
    return sites.map({site: site if site in known else by_name.get(match_key(site), site) for site in sites.unique()})


def _rows(path: Path, request: Request, places: Rows | None) -> Rows:
    """Return the values of a file that count, a row for each."""
    lines = files.first_lines(path, request.encoding_of(path))
    at = _header_at(lines)
    if at is None:
        raise SchemaError(
            "has no line that begins with Date, Time, a pollutant and Status; fix: format='long'", subject=str(path)
        )
    header = _cells(lines[at])
    dialect = files.Dialect(files.sniff(path, request.encoding_of(path), at).encoding, ",", ".", tuple(header), at + 1)
    frame = files.read_frame(path, names=[str(i) for i in range(len(header))], dialect=dialect)
    frame = with_time(frame.rename(columns={"0": "date", "1": "time"}).assign(date=lambda f: _days(f["date"])), request)
    about = {match_key(cells[0]): cells[1] for cells in map(_cells, lines[:at]) if len(cells) == 2}
    above = _cells(lines[at - 1]) if at else []
    sites = above if len(above) == len(header) and not any(above[:2]) else [about.get("site name", "")] * len(header)
    site, parts, seen = "", [], dict[tuple[str, str], str]()
    for i, beside in _columns(header):
        site = sites[i] or site or _only_site(path, places)
        key = site, _variable(header[i])
        if key in seen:
            raise SchemaError(
                f"columns {seen[key]!r} and {header[i]!r} are both {key[1]} of {site}, expected one; fix: leave one of them, with the columns of its "
                "status and unit, out of the file",
                subject=str(path),
            )
        seen[key] = header[i]
        parts.append(_values(frame, header[i], str(i), beside, site, request))
    rows = pd.concat(parts, ignore_index=True)
    if rows[VALUE].isna().all():
        raise SchemaError("has no value whose status counts; fix: valid=['R', 'V', 'P', 'N', 'S']", subject=str(path))
    if {"latitude", "longitude"} <= set(about):
        rows = rows.assign(**{LAT: about["latitude"], LON: about["longitude"]})
    return Rows(request.cleaned(rows, (NAME, TIME, PARAMETER, UNITS)))


def _days(dates: pd.Series) -> pd.Series:
    """Return dates; UK-AIR writes the day first where it does not write the year first."""
    british = dates.astype(str).str.fullmatch(r"\s*\d{1,2}[-/]\d{1,2}[-/]\d{4}\s*")
    return pd.to_datetime(dates, dayfirst=True, format="mixed") if british.all() else dates


def _columns(header: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the number of each column of values, with the columns of its status and its unit."""
    for i in range(2, len(header)):
        if match_key(header[i]) in _BESIDE:
            continue
        beside: dict[str, str] = {}
        for j in range(i + 1, min(i + 1 + len(_BESIDE), len(header))):
            if match_key(header[j]) not in _BESIDE:
                break
            beside[match_key(header[j])] = str(j)
        yield i, beside


def _only_site(path: Path, places: Rows | None) -> str:
    """Return the station of a file that names none: the only one of the list."""
    station = only_station(places)
    if station is None:
        raise SchemaError(
            "does not say which site it is of; fix: stations=pd.DataFrame({'station': ['MY1'], 'lon': [-0.155], 'lat': [51.523]}), "
            "with the code and the place of the site",
            subject=str(path),
        )
    return station


def _values(
    frame: pd.DataFrame, name: str, column: str, beside: Mapping[str, str], site: str, request: Request
) -> pd.DataFrame:
    """Return the values of a column as a narrow table; those that do not count are missing."""
    values = frame[column].where(~frame[column].isin(_MISSING))
    if "status" not in beside:
        raise SchemaError(f"column {name!r} has no column Status beside it; fix: format='long'")
    parts = frame[beside["status"]].astype("str").str.extract(_STATUS)
    units = frame[beside["unit"]] if "unit" in beside else parts["units"]
    kept = _counting(parts["status"], values.notna(), request)
    made = {
        NAME: site,
        TIME: frame["date"],
        PARAMETER: _variable(name),
        VALUE: values.where(kept),
        UNITS: units.astype("str").str.replace(r"\s*\(.*\)", "", regex=True),
    }
    return pd.DataFrame(made)


def _counting(statuses: pd.Series, there: pd.Series, request: Request) -> pd.Series:
    """Return where values have a status that counts, and note how many of those that are there have which."""
    unread = int((there & statuses.isna()).sum())
    if unread:
        request.changes["values are missing because no status that xaq reads, such as V, stands beside them"] += unread
    statuses = statuses.where(there)
    valid: Any = request.valid if request.valid is not None else _COUNTING
    rules = list(valid.values()) if isinstance(valid, Mapping) else [valid]
    wanted = {str(status) for rule in rules for status in rule}
    for status, count in statuses.value_counts().items():
        request.changes[f"values have the status {status}"] += int(count)
    lost = statuses.notna() & ~statuses.isin(wanted)
    if lost.any():
        request.changes[f"values are missing because their status is none of {', '.join(sorted(wanted))}"] += int(
            lost.sum()
        )
    return statuses.isin(wanted)


def _variable(name: str) -> str:
    """Return xaq's name of a pollutant as UK-AIR writes it, such as ``PM<sub>2.5</sub> particulate matter (Hourly measured)``."""
    plain = re.sub(r"<[^>]*>|\(.*\)|particulate matter", "", name).strip()
    return _NAMES.get(match_key(plain), canonical_name(plain))


FORMAT = Format(
    "uk_air", "UK-AIR hourly files: GMT, hour ending, a status beside each value", _read, files=("AirQualityDataHourly*.csv",),
    timestamps="end", begins=_begins, statuses=True,
)  # fmt: skip
