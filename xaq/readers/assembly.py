"""Rows of observations -> one station dataset, for every table: long, narrow or wide.

A reader returns :class:`Rows`: station, time and either one column per variable or the three columns ``parameter``,
``value``, ``units``. :func:`assemble` puts them on ``(station, time)``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ..conventions import (
    ELEVATION,
    LAT,
    LON,
    ROLE_NAMES,
    STATION,
    STATION_TEXT,
    TIME,
    canonical_name,
    canonical_units,
    common_units,
    is_pollutant,
    is_units,
    match_key,
    split_header,
)
from ..errors import SchemaError, warn
from ..stations import schema
from ..stations.timestamps import with_step
from .duplicates import without_duplicates
from .frames import take_units_row
from .numbers import numeric
from .places import as_ids, check_placed, leave_out, places_of, station_text, warn_of_two_meanings
from .times import of_column, regular_axis, to_utc

_ROLES = (STATION, TIME, LON, LAT, ELEVATION)
PARAMETER, VALUE, UNITS = "parameter", "value", "units"


@dataclass(frozen=True)
class Rows:
    """Observations by row, under the names of the roles.

    Attributes
    ----------
    frame : pandas.DataFrame
        Columns ``station``, ``time``, ``lon``, ``lat``, ``elevation`` where known, and variables.
    names : mapping
        The user's name of a column, by xaq's.
    units : mapping
        Units by variable, where the headers state them.
    columns : mapping
        The columns of each station in a wide table.
    """

    frame: pd.DataFrame
    names: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def narrow(self) -> bool:
        """Whether each row holds one variable, named in the column ``parameter``."""
        return {PARAMETER, VALUE} <= set(self.frame.columns)

    @property
    def header(self) -> list[str]:
        """The columns under the user's names."""
        return [self.called(str(c)) for c in self.frame.columns]

    def called(self, role: str) -> str:
        """Return the user's name of a column."""
        return self.names.get(role, role)


# -- columns -----------------------------------------------------------------------------------------------------------


def name_columns(
    frame: pd.DataFrame, columns: Mapping[str, str] | None, subject: str, units_row: Mapping[Any, str] | None = None
) -> Rows:
    """Return the table with roles and pollutants under xaq's names.

    The names in ``columns`` come first, then the common names of each role in their order. ``units_row`` has the units of a row that
    was taken from under the header before.
    """
    frame, stated = take_units_row(frame) if not units_row else (frame, units_row)
    explicit = {column: role for role, column in (columns or {}).items() if column in frame}
    by_name = lower_names(c for c in frame.columns if c not in explicit)
    names = dict(explicit)
    for role in _ROLES:
        if role not in explicit.values():
            found = first_column(by_name, ROLE_NAMES[role])
            if found is not None and found not in names:
                names[found] = role
    units = {}
    for column in frame.columns:
        unit = None
        if column not in names:
            names[column], unit = split_header(str(column))
        unit = unit or stated.get(column)
        if unit is not None and names[column] not in _ROLES:
            units[names[column]] = unit
    renamed = frame.rename(columns=names)
    repeated = renamed.columns[renamed.columns.duplicated()].unique()
    if len(repeated):
        raise _of_one_meaning({r: [c for c in frame.columns if names[c] == r] for r in repeated}, explicit, subject)
    return Rows(renamed, {new: str(old) for old, new in names.items()}, units)


def _of_one_meaning(clash: Mapping[Any, list[Any]], explicit: Mapping[Any, str], subject: str) -> SchemaError:
    """Return the error of several columns of one role or variable; the fix keeps those that the caller named."""
    kept = {role: next((c for c in columns if c in explicit), columns[0]) for role, columns in clash.items()}
    rest = {role: [c for c in columns if c != kept[role]] for role, columns in clash.items()}
    drop = f".drop(columns={[c for columns in rest.values() for c in columns]})"
    text = f"several columns have the same meaning: {dict(clash)}; fix: "
    if subject != "table":
        return SchemaError(f"{text}places = places{drop}", subject=subject)
    # A name that nothing else has makes a variable of its own of each of the others.
    named = {role: column for column, role in explicit.items()} | kept
    named |= {f"{role}_{n}": column for role, columns in rest.items() for n, column in enumerate(columns, 2)}
    return SchemaError(f"{text}columns={named}, or table = table{drop}")


def lower_names(columns: Iterable[Any]) -> dict[str, Any]:
    """Return columns by their names in plain characters and lower case, without spaces around them."""
    return {match_key(c): c for c in columns}


def first_column(by_name: Mapping[str, Any], names: Iterable[str]) -> Any:
    """Return the column of the first name that is there, or None."""
    return next((by_name[name] for name in names if name in by_name), None)


def check_columns(named: Sequence[tuple[str, str]], known: Collection[Any]) -> None:
    """Raise where ``columns=`` names a column that does not exist; ``named`` are its (role, column) pairs."""
    by_name = lower_names(known)
    absent = [f"{column!r} (for {role})" for role, column in named if match_key(column) not in by_name]
    if absent:
        raise SchemaError(
            f"columns= names {', '.join(absent)}, which does not exist; fix: "
            + (f"one of {', '.join(map(str, known))}" if known else "leave columns= out, the format names its own")
        )


def no_column(role: str, subject: str, header: Sequence[Any]) -> str:
    """Return the message about a role without a column, with the call that fixes it."""
    hint, column = "", "'your column'"
    if role == STATION and subject == "station list":
        # The table may have another name for the ids.
        column = "['column of the table', 'column of the list']"
    if role in (LON, LAT) and subject == "table":
        hint = " or stations='list.csv'"
    elif role == STATION and subject == "table":
        hint = " or, where each column is a station, format='wide', or, where all rows are of one, a list of that station in stations="
    return (
        f"the {subject} has no column for {role} (looked for {', '.join(ROLE_NAMES[role][:5])}, ...); "
        f"it has {', '.join(map(str, header[:12]))}; fix: columns={{{role!r}: {column}}}{hint}"
    )


# -- assembly ----------------------------------------------------------------------------------------------------------


def assemble(
    rows: Rows,
    places: Rows | None,
    *,
    tz: str | None,
    own_tz: str | None = None,
    ambiguous: str | None = None,
    ends: bool = False,
    whole_network: bool = False,
    step: np.timedelta64 | None = None,
) -> xr.Dataset:
    """Return rows as a dataset on ``(station, time)``.

    Parameters
    ----------
    rows : Rows
        The observations.
    places : Rows, optional
        The station list; its coordinates take precedence over those in the rows.
    tz : str, optional
        Time zone of naive timestamps, as the caller says.
    own_tz : str, optional
        The time zone that the format defines for them.
    ambiguous : {"infer", "first", "second"}, optional
        Which hour a local timestamp means that occurs twice.
    ends : bool
        Whether timestamps are the ends of their intervals, as the caller says.
    whole_network : bool
        Whether to leave out, with a warning, stations that the list lacks; otherwise they are an error.
    step : numpy.timedelta64, optional
        The step of the values, where the format states it; by default, and where times are off it, found from the times.

    Returns
    -------
    xarray.Dataset
        float32 variables ``(station, time)`` with ``lon``, ``lat`` and, where known, ``elevation``; NaN where the rows
        have no value; text coordinates such as ``kind`` where the rows or the list have them. In memory.

    Raises
    ------
    SchemaError
        Columns, coordinates or times missing; duplicate rows; irregular timestamps.
    """
    if STATION not in rows.frame and (station := only_station(places)) is not None:
        rows = replace(rows, frame=rows.frame.assign(**{STATION: station}))
    problems = [no_column(role, "table", rows.header) for role in (STATION, TIME) if role not in rows.frame]
    where, subject = (rows, "table") if places is None else (places, "station list")
    problems += [no_column(role, subject, where.header) for role in (STATION, LON, LAT) if role not in where.frame]
    if problems:
        raise SchemaError(list(dict.fromkeys(problems)))
    if rows.frame.empty:
        raise SchemaError("the table has no rows; fix: a table with observations")
    if rows.frame[STATION].isna().any():
        raise SchemaError(
            f"{int(rows.frame[STATION].isna().sum())} rows have no station; "
            f"fix: table = table.dropna(subset=[{rows.called(STATION)!r}])"
        )
    rows = replace(
        rows,
        frame=rows.frame.assign(
            **{TIME: _times(rows, tz, own_tz, ambiguous, ends), STATION: as_ids(rows.frame[STATION])}
        ),
    )
    frame = where.frame if places is None else _relevant(places.frame, rows.frame[STATION])
    listed = places_of(frame, where.called, "station dataset" if places is None else subject)
    listed = listed.join(_text_of(rows, None if places is None else frame))
    if whole_network:
        kept = leave_out(pd.Index(rows.frame[STATION].unique()), listed)
        rows = replace(rows, frame=rows.frame[rows.frame[STATION].isin(kept)])
    return with_step(_on_station_and_time(rows, listed, step), step)


def _relevant(listed: pd.DataFrame, stations: pd.Series) -> pd.DataFrame:
    """Return a station list with one row of each station that has no observations: what contradicts it does not matter."""
    ids = as_ids(listed[STATION])
    return listed[~ids.duplicated() | ids.isin(stations.unique())]


def _text_of(rows: Rows, listed: pd.DataFrame | None) -> pd.DataFrame:
    """Return the text coordinates of stations; those of the station list take precedence over those of the rows."""
    of_rows = station_text(rows.frame)
    return of_rows if listed is None else station_text(listed).replace("", None).combine_first(of_rows)


def only_station(places: Rows | None) -> str | None:
    """Return the station of a list of one, which is that of rows that name none; None where there is no such list."""
    if places is None or STATION not in places.frame or places.frame[STATION].nunique() != 1:
        return None
    return str(as_ids(places.frame[STATION].dropna()).iloc[0])


def _times(rows: Rows, tz: str | None, own_tz: str | None, ambiguous: str | None, ends: bool) -> pd.Series:
    """Return the times in UTC; errors name the column as the user does."""
    series = rows.frame[STATION].astype(str)
    if rows.narrow:
        series = series + ", " + rows.frame[PARAMETER].astype(str)
    try:
        return to_utc(
            rows.frame[TIME],
            tz,
            own=own_tz,
            ambiguous=ambiguous,
            series=series if ambiguous or ends else None,
            ends=ends,
        )
    except SchemaError as error:
        raise of_column(error, rows.called(TIME)) from error


def _on_station_and_time(rows: Rows, places: pd.DataFrame, step: np.timedelta64 | None) -> xr.Dataset:
    frame, keys = rows.frame, [STATION, TIME]
    if rows.narrow:
        frame, keys = _with_known_parameters(frame), [*keys, PARAMETER]
    frame = without_duplicates(frame, keys, rows.called)
    ids = pd.Index(frame[STATION].unique()).sort_values()
    check_placed(ids, places, rows.called(STATION), rows.columns)
    times = regular_axis(frame[TIME], rows.called(TIME), step)
    at = (ids.get_indexer(pd.Index(frame[STATION])), times.get_indexer(pd.Index(frame[TIME])))
    units = {**rows.units}
    if rows.narrow and VALUE in units and UNITS not in frame:
        frame = frame.assign(**{UNITS: units[VALUE]})
    if rows.narrow:
        columns, units = _by_parameter(frame, at, rows)
    else:
        columns = {str(c): (frame[c], at) for c in sorted(frame.columns.difference([*_ROLES]), key=str)}
    variables, notes = {}, []
    for name, (column, (i, j)) in columns.items():
        if name in places:
            warn_of_two_meanings(column, name)
        elif (numbers := numeric(column, name)) is not None:
            grid = np.full((len(ids), len(times)), np.nan, np.float32)
            grid[i, j] = numbers
            if lost := int((column.notna().to_numpy() & np.isnan(numbers)).sum()):
                notes.append(f"{lost} values of {name} are infinite or beyond the range of float32, and are missing")
            variables[name] = ((STATION, TIME), grid, {"units": units[name]} if name in units else {})
    if not variables:
        raise SchemaError(
            f"no column of numbers beside station, time and coordinates; the table has {', '.join(rows.header)}; "
            "fix: columns={'pm25': 'your column'}"
        )
    return schema.record(station_dataset(variables, ids, times, places), "open_stations", notes)


def station_dataset(
    variables: Mapping[str, Any], ids: pd.Index, times: pd.DatetimeIndex, places: pd.DataFrame
) -> xr.Dataset:
    """Return variables on ``(station, time)`` with the coordinates of their stations."""
    where = places.loc[ids]
    coords: dict[str, Any] = {
        STATION: np.asarray(ids, dtype=object).astype(str),
        TIME: times.values.astype("datetime64[s]"),
    }
    for column in where.columns:
        text = column in STATION_TEXT
        coords[column] = (STATION, where[column].fillna("").to_numpy(str) if text else where[column].to_numpy(float))
    return xr.Dataset(variables, coords=coords)


def _with_known_parameters(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a narrow table with variables under xaq's names, and the units that stand in a name such as ``PM2.5 (mg/m3)``."""
    texts = frame[PARAMETER].astype(str)
    split = {text: split_header(text) for text in texts.unique()}
    stated = {text: unit for text, (name, unit) in split.items() if unit and is_pollutant(name) and is_units(unit)}
    names = {text: split[text][0] if text in stated else canonical_name(text) for text in split}
    if stated:
        units = texts.map(stated)
        frame = frame.assign(**{UNITS: units if UNITS not in frame else frame[UNITS].fillna(units)})
    return frame.assign(**{PARAMETER: texts.map(names)})


def _by_parameter(
    frame: pd.DataFrame, at: tuple[NDArray, NDArray], rows: Rows
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values of a narrow table by variable, with their positions, and the units of each variable."""
    columns: dict[str, Any] = {}
    name = _parameters(frame)
    for parameter in sorted(name.unique()):
        here = (name == parameter).to_numpy()
        columns[parameter] = (frame[VALUE][here], (at[0][here], at[1][here]))
    return columns, one_unit_each(frame, rows)


def one_unit_each(frame: pd.DataFrame, rows: Rows | None = None) -> dict[str, str]:
    """Return the units of each variable of a narrow table, where it states them; ``rows`` have its names and entries as they were.

    Raises
    ------
    SchemaError
        Several units of one variable.
    """
    units: dict[str, str] = {}
    if UNITS not in frame:
        return units
    name = _parameters(frame)
    for parameter in sorted(name.unique()):
        stated = frame[UNITS][name == parameter].dropna().drop_duplicates().astype(str).map(canonical_units).unique()
        silent = int((frame[VALUE].notna() & frame[UNITS].isna() & (name == parameter)).sum())
        if len(stated) == 1 and silent:
            warn(
                f"{silent} rows of {parameter} state no units; they are taken for {common_units(stated[0])}, which the other rows state"
            )
        if len(stated) > 1:
            raise SchemaError(
                f"{parameter} comes in several units: {', '.join(map(common_units, stated))}; fix: open one of them at a time, such as "
                f"table = {_of_one_unit(rows or Rows(frame), parameter, stated[0])}"
            )
        if len(stated):
            units[parameter] = str(stated[0])
    return units


def _of_one_unit(rows: Rows, parameter: str, unit: str) -> str:
    """Return the call that leaves out the values of a variable in other units than one."""
    if rows.columns:
        return "table[['time', 'the columns in one unit']]"
    texts = rows.frame[PARAMETER].astype(str)
    here = texts[_parameters(rows.frame) == parameter]
    if UNITS not in rows.frame:
        others = [t for t in texts.unique() if split_header(t)[0] == parameter and split_header(t)[1] != unit]
        return f"table[~table[{rows.called(PARAMETER)!r}].isin({others})]"
    stated = rows.frame[UNITS][here.index].dropna().unique()
    others = [u for u in stated if canonical_units(str(u)) != unit]
    return f"table[~(table[{rows.called(PARAMETER)!r}].isin({here.unique().tolist()}) & table[{rows.called(UNITS)!r}].isin({others}))]"


def _parameters(frame: pd.DataFrame) -> pd.Series:
    """Return the variable of each row of a narrow table, under xaq's name."""
    name = frame[PARAMETER].astype(str)
    return name.map({text: canonical_name(text) for text in name.unique()})
