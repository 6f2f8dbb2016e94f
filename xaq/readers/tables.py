"""General tables: long (a row per station and time), narrow (and per variable), wide (a column per station)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import xarray as xr

from ..conventions import ROLE_NAMES, STATION, TIME, canonical_name, canonical_units, is_pollutant, is_units, match_key
from ..errors import SchemaError
from .assembly import (
    PARAMETER,
    UNITS,
    VALUE,
    Rows,
    assemble,
    first_column,
    lower_names,
    name_columns,
    no_column,
    only_station,
)
from .clock import HOUR, with_time
from .entries import statuses_beside, warn_of_statuses
from .frames import take_units_row
from .source import Format, Request, Source, gather
from .stated_zones import check_stated_zone
from .times import with_years_first

#: Names of the three columns of a narrow table, one row per station, time and variable.
NARROW_NAMES: dict[str, tuple[str, ...]] = {
    PARAMETER: ("parameter", "pollutant", "variable", "species", "component"),
    VALUE: ("value", "concentration", "conc", "measurement"),
    UNITS: ("units", "unit", "unitofmeasurement", "unit_of_measurement"),
}


def narrow_columns(frame: pd.DataFrame) -> dict[Any, str]:
    """Return the columns of parameter, value and units, by their common names; empty where the table is not narrow."""
    by_name = lower_names(frame.columns)
    found = {role: first_column(by_name, names) for role, names in NARROW_NAMES.items()}
    if found[PARAMETER] is None or found[VALUE] is None:
        return {}
    return {column: role for role, column in found.items() if column is not None}


def long_rows(
    frame: pd.DataFrame, columns: Mapping[str, str] | None, units_row: Mapping[Any, str] | None = None
) -> Rows:
    """Return the rows of a long or narrow table; ``units_row`` as in ``assembly.name_columns``."""
    taken: dict[Any, str] = {}
    if narrow := narrow_columns(frame):
        taken = {c: r for c, r in narrow.items() if r not in (columns or {})}
        clash = [r for r in taken.values() if r in frame.columns and r not in taken]
        frame = frame.drop(columns=clash).rename(columns=taken)
    rows = name_columns(frame, columns, "table", units_row)
    return replace(rows, names={**rows.names, **{role: str(column) for column, role in taken.items()}})


def wide_rows(
    frame: pd.DataFrame,
    columns: Mapping[str, str] | None,
    places: Rows | None,
    pollutant: str | None,
    units_row: Mapping[Any, str] | None = None,
) -> Rows:
    """Return the rows of a wide table: a time column and one column per station, or per station and pollutant."""
    known = set() if places is None or STATION not in places.frame else set(places.frame[STATION].astype(str))
    stated = {**{c: unit for c in frame.columns if (unit := split_units(c)[1])}, **(units_row or {})}
    time = _time_column(frame, columns)
    # Where the caller does not say which statuses count, every value does.
    statuses = {c for c, values in statuses_beside(list(frame.columns), columns or {}).items() if values is not None}
    cells = {c: station_and_variable(c, known) for c in frame.columns if c != time and c not in statuses}
    bare = [c for c, (_, variable) in cells.items() if variable is None]
    if bare and pollutant is None:
        raise SchemaError(
            f"the columns of a wide table do not name their pollutant (such as {', '.join(map(str, bare[:3]))}); "
            "fix: pollutant='pm25', or columns named 'station_pollutant'"
        )
    values = frame.drop(columns=[time])
    parts = [
        pd.DataFrame({
            STATION: station,
            TIME: frame[time].to_numpy(),
            PARAMETER: canonical_name(pollutant or "") if variable is None else variable,
            VALUE: values[column].to_numpy(),
            **({UNITS: stated.get(column)} if stated else {}),
        })
        for column, (station, variable) in cells.items()
    ]  # fmt: skip
    if not parts:
        raise SchemaError(f"the wide table has no columns beside {time!r}; fix: a column per station")
    of_station: dict[str, list[Any]] = {}
    for column, (station, _) in cells.items():
        of_station.setdefault(station, []).append(column)
    return Rows(pd.concat(parts, ignore_index=True), {TIME: str(time)}, columns=of_station)


def station_and_variable(column: Any, known: Collection[str]) -> tuple[str, str | None]:
    """Return the station and, where the header names it, the variable of a wide table's column.

    ``"1001A"`` -> ``("1001A", None)``; ``"1001A_PM2.5"`` and ``("PM2.5", "1001A")`` -> ``("1001A", "pm25")``.
    """
    if not isinstance(column, tuple):
        text = str(column).strip()
        if text in known:
            return text, None
        text = split_units(column)[0]
        cuts = [(text[: m.start()].strip(), text[m.end() :].strip()) for m in re.finditer(r"[_\s/:|.-]", text)]
    else:
        text, cuts = " ".join(map(str, column)), [(str(column[0]), str(column[-1]))]
    named = [
        (station, canonical_name(variable))
        for left, right in cuts
        for station, variable in ((left, right), (right, left))
        if station and is_pollutant(variable)
    ]
    # "PM2.5_a" is also cut at the full stop; the longest name of a pollutant is the right one.
    named.sort(key=lambda pair: (pair[0] not in known, len(pair[0])))
    return named[0] if named else (text, None)


def split_units(column: Any) -> tuple[str, str | None]:
    """Return the name of a wide table's column and the units in brackets behind it: ``"A1_NO2 (ppb)"`` -> ``("A1_NO2", "1e-9")``."""
    found = re.fullmatch(r"(.+?)\s*[(\[]([^()\[\]]+)[)\]]", str(column).strip())
    if isinstance(column, tuple) or found is None or not is_units(found[2]):
        return str(column).strip(), None
    return found[1], canonical_units(found[2])


def _time_column(frame: pd.DataFrame, columns: Mapping[str, str] | None) -> Any:
    if columns and TIME in columns:
        return columns[TIME]
    by_name = {match_key(c[0] if isinstance(c, tuple) else c): c for c in frame.columns}
    found = first_column(by_name, ROLE_NAMES[TIME])
    if found is None:
        raise SchemaError(no_column(TIME, "table", list(frame.columns)))
    return found


def _tables(source: Source, request: Request) -> Iterator[tuple[pd.DataFrame, dict[Any, str]]]:
    """Yield the tables of a source with the values that count and their time in one column, and the units of a row under the header."""
    tables = [take_units_row(table) for table in source.frames(request)]
    if request.valid is None:
        warn_of_statuses([frame for frame, _ in tables], request.columns_in(tables[0][0].columns))
    for frame, units in tables:
        yield with_time(request.valid_in(frame), request), units


def _gathered(pieces: Sequence[Rows], source: Source, request: Request) -> Rows:
    """Return the rows of several files as one; each has its own order of day and month, and may state its time zone."""
    for rows in pieces:
        check_stated_zone(rows, request.tz)
    if len(pieces) > 1:
        pieces = [_with_years_first(rows, path.name) for rows, path in zip(pieces, source.paths, strict=True)]
    return gather(pieces)


def _with_years_first(rows: Rows, name: str) -> Rows:
    if TIME not in rows.frame:
        return rows
    try:
        return replace(rows, frame=rows.frame.assign(**{TIME: with_years_first(rows.frame[TIME])}))
    except SchemaError as error:
        called = f"[{rows.called(TIME)!r}]"
        raise SchemaError([f"in {name}, " + p.replace("['time']", called) for p in error.problems]) from error


def _read_long(source: Source, request: Request) -> xr.Dataset:
    rows = _gathered(
        [long_rows(frame, request.columns_in(frame.columns), units) for frame, units in _tables(source, request)],
        source,
        request,
    )
    places = request.places()
    request.check_columns(rows, places, HOUR)
    if STATION not in rows.frame and only_station(places) is not None and not _of_one_station(rows, request):
        raise SchemaError(no_column(STATION, "table", rows.header))
    return assemble(rows, places, tz=request.tz, ambiguous=request.ambiguous, ends=request.timestamps == "end")


def _of_one_station(rows: Rows, request: Request) -> bool:
    """Whether the columns of a table without stations are variables; else they may be stations that the list lacks."""
    named = {role for role, _ in request.column_names} - {*ROLE_NAMES}
    variables = [str(c) for c in rows.frame.columns]
    return request.pollutant is None and (rows.narrow or any(is_pollutant(v) or v in named for v in variables))


def _read_wide(source: Source, request: Request) -> xr.Dataset:
    places = request.places()
    rows = _gathered(
        [
            wide_rows(frame, request.columns_in(frame.columns), places, request.pollutant, units)
            for frame, units in _tables(source, request)
        ],
        source,
        request,
    )
    request.check_columns(rows, places, HOUR)
    return assemble(rows, places, tz=request.tz, ambiguous=request.ambiguous, ends=request.timestamps == "end")


LONG = Format("long", "a table with a row per station and time", _read_long, statuses=True)
WIDE = Format("wide", "a table with a column per station", _read_wide, statuses=True)
