"""Rows of observations -> one station dataset: the way that every table takes, long, narrow or wide.

A reader hands on :class:`Rows`: station, time and either one column per variable or the three columns ``parameter``,
``value``, ``units``. :func:`assemble` puts them on ``(station, time)``.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ..arrays import timesteps
from ..conventions import (
    ELEVATION,
    LAT,
    LON,
    MASS_UNITS,
    POLLUTANTS,
    ROLE_NAMES,
    STATION,
    TIME,
    canonical_name,
    canonical_units,
    is_concentration,
    split_header,
)
from ..errors import SchemaError, XaqWarning
from ..stations import schema

_ROLES = (STATION, TIME, LON, LAT, ELEVATION)
PARAMETER, VALUE, UNITS = "parameter", "value", "units"
#: A record with more steps than this, nearly all of them without a row, is a stray timestamp rather than a record.
_SPARSE_STEPS, _SPARSE_FRACTION = 50_000, 0.02


@dataclass(frozen=True)
class Rows:
    """Observations by row, under the names of the roles; what the user calls each column, and known units."""

    frame: pd.DataFrame
    names: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)

    @property
    def narrow(self) -> bool:
        """Whether there is a row per variable, too."""
        return {PARAMETER, VALUE} <= set(self.frame.columns)

    @property
    def header(self) -> list[str]:
        """What the user calls the columns."""
        return [self.called(str(c)) for c in self.frame.columns]

    def called(self, role: str) -> str:
        """Return what the user calls a column."""
        return self.names.get(role, role)


# -- columns -----------------------------------------------------------------------------------------------------------


def name_columns(frame: pd.DataFrame, columns: Mapping[str, str] | None, subject: str) -> Rows:
    """Give roles and pollutants their names; explicit names first, then the usual ones in their order."""
    explicit = {column: role for role, column in (columns or {}).items() if column in frame}
    by_name = {str(c).strip().lower(): c for c in frame.columns if c not in explicit}
    names = dict(explicit)
    for role in _ROLES:
        if role not in explicit.values():
            found = next((by_name[n] for n in ROLE_NAMES[role] if n in by_name), None)
            if found is not None and found not in names:
                names[found] = role
    units = {}
    for column in frame.columns:
        if column not in names:
            names[column], unit = split_header(str(column))
            if unit is not None:
                units[names[column]] = unit
    renamed = frame.rename(columns=names)
    repeated = renamed.columns[renamed.columns.duplicated()].unique()
    if len(repeated):
        clash = {str(r): [str(c) for c in frame.columns if names[c] == r] for r in repeated}
        raise SchemaError(
            f"several columns mean the same: {clash}; fix: drop one, or say which with columns=", subject=subject
        )
    return Rows(renamed, {new: str(old) for old, new in names.items()}, units)


def check_columns(said: Sequence[tuple[str, str]], known: Collection[Any]) -> None:
    """Raise where ``columns=`` names a column that is nowhere."""
    absent = [f"{column!r} (for {role})" for role, column in said if column not in known]
    if absent:
        raise SchemaError(
            f"columns= names {', '.join(absent)}, which is nowhere; there are {', '.join(map(str, known))}"
        )


def no_column(role: str, subject: str, header: Sequence[Any]) -> str:
    """Return the problem of a role without a column, and the call that fixes it."""
    hint, column = "", "'your column'"
    if role == STATION and subject == "station list":
        # Its ids may have another name in the table.
        column = "['column of the table', 'column of the list']"
    if role in (LON, LAT) and subject == "table":
        hint = " or stations='list.csv'"
    elif role == STATION and subject == "table":
        hint = " or, where each column is a station, format='wide'"
    return (
        f"the {subject} has no column for {role} (looked for {', '.join(ROLE_NAMES[role][:5])}, ...); "
        f"it has {', '.join(map(str, header[:12]))}; fix: columns={{{role!r}: {column}}}{hint}"
    )


# -- time --------------------------------------------------------------------------------------------------------------


def to_utc(timestamps: pd.Series, tz: str | None) -> pd.Series:
    """Return naive UTC timestamps; refuse to guess a time zone or the order of day and month. Days stay days."""
    if pd.api.types.is_numeric_dtype(timestamps):
        raise SchemaError(
            f"time is {timestamps.dtype}, such as {timestamps.iloc[0]}, expected dates; "
            "fix: pd.to_datetime(table['time'], format='%Y%m%d') or unit='s'"
        )
    times = _parse(timestamps)
    if times.isna().any():
        raise SchemaError(f"{int(times.isna().sum())} rows have no time; fix: table.dropna(subset=['time'])")
    if times.dt.tz is not None:
        return times.dt.tz_convert("UTC").dt.tz_localize(None).dt.as_unit("s")
    if (times == times.dt.normalize()).all():
        return times.dt.as_unit("s")
    if tz is None:
        raise SchemaError(
            "time timestamps are naive and hourly, so their time zone must be said; fix: tz='UTC' or tz='Asia/Shanghai'"
        )
    return localise(times, tz)


def localise(times: pd.Series, tz: str) -> pd.Series:
    """Return naive local timestamps as naive UTC timestamps."""
    try:
        return times.dt.tz_localize(tz).dt.tz_convert("UTC").dt.tz_localize(None).dt.as_unit("s")
    except (KeyError, ValueError, IndexError, TypeError, OSError, AttributeError) as error:
        if any(word in str(error).lower() for word in ("ambiguous", "nonexistent", "cannot infer")):
            raise SchemaError(
                f"{error}: timestamps around a change of clocks cannot be placed; fix: if the network keeps standard time all "
                "year, tz='Etc/GMT-1' (that is UTC+1)"
            ) from error
        raise SchemaError(f"unknown time zone {tz!r}; fix: an IANA name such as 'Europe/Berlin'") from error


def _parse(timestamps: pd.Series) -> pd.Series:
    try:
        if _aware_text(timestamps):
            return pd.to_datetime(timestamps, utc=True)
        if pd.api.types.is_datetime64_any_dtype(timestamps):
            return timestamps
        with warnings.catch_warnings():
            # pandas warns where it would guess element by element.
            warnings.simplefilter("error", UserWarning)
            return pd.to_datetime(timestamps, dayfirst=_day_first(timestamps))
    except (ValueError, TypeError, OverflowError, UserWarning) as error:
        raise SchemaError(
            f"time such as {str(timestamps.iloc[0])!r} cannot be read as dates: {str(error).splitlines()[0]}; "
            "fix: pd.to_datetime(table['time'], format='...') before open_stations"
        ) from error


def _is_text(column: pd.Series) -> bool:
    return pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column)


def _aware_text(timestamps: pd.Series) -> bool:
    """Return whether the timestamps are text that all carry an offset (which may change with the clocks)."""
    if not _is_text(timestamps):
        return False
    # A date alone ends in "-01-02", which is no offset.
    return bool(timestamps.dropna().astype(str).str.contains(r":\d{2}(?:\.\d+)?\s?(?:Z|[+-]\d{2}:?\d{2})$").all())


def _day_first(timestamps: pd.Series) -> bool:
    """Return whether ``1/2/2020`` is the first of February; raise where the record does not show it."""
    if not _is_text(timestamps):
        return False
    parts = timestamps.dropna().astype(str).str.extract(r"^\s*(\d{1,2})([/.-])(\d{1,2})\2\d{4}").dropna()
    if parts.empty:
        return False
    first, second = parts[0].astype(int).max(), parts[2].astype(int).max()
    if first > 12 or (parts[1] == ".").all():
        return True
    if second <= 12:
        raise SchemaError(
            f"time such as {timestamps.iloc[0]!r} may be day/month or month/day, and no row shows which; "
            "fix: pd.to_datetime(table['time'], format='%d/%m/%Y %H:%M') before open_stations"
        )
    return False


def _regular_axis(timestamps: pd.Series) -> pd.DatetimeIndex:
    """Return the regular axis that holds every timestamp; the step is the usual distance of distinct timestamps."""
    distinct = pd.DatetimeIndex(timestamps.unique()).sort_values()
    if len(distinct) < 2:
        raise SchemaError(f"the table has one time only ({distinct[0]}), at least 2 are needed to know the step")
    step = pd.Series(np.diff(distinct)).mode().iloc[0]
    off = (distinct - distinct[0]) % step != pd.Timedelta(0)
    if off.any():
        raise SchemaError(
            f"{int(off.sum())} timestamps are off the step of {timesteps.step_name(step.to_timedelta64())}, first: {distinct[off][0]}; "
            "fix: round or aggregate them, such as table['time'] = table['time'].dt.floor('h') followed by groupby.mean()"
        )
    steps = int((distinct[-1] - distinct[0]) / step) + 1
    if steps > _SPARSE_STEPS and len(distinct) < _SPARSE_FRACTION * steps:
        raise SchemaError(
            f"time runs from {distinct[0]} to {distinct[-1]}, {steps} steps of {timesteps.step_name(step.to_timedelta64())}, of which "
            f"{len(distinct)} have rows; a stray timestamp? fix: table = table[table['time'] > '{distinct[len(distinct) // 2]:%Y}']"
        )
    timesteps.steps_per_day(step.to_timedelta64())
    return pd.date_range(distinct[0], distinct[-1], freq=step, unit="s")


def label_starts(ds: xr.Dataset, timestamps: str) -> xr.Dataset:
    """Return the dataset with each timestamp at the start of its interval; ``timestamps`` says where they are."""
    if timestamps == "start":
        return ds
    step = timesteps.regular_step(ds[TIME].values)
    note = f"timestamps moved from the end to the start of each interval (-{timesteps.step_name(step)})"
    history = "\n".join(filter(None, [str(ds.attrs.get("history", "")), note]))
    moved = ds[TIME].copy(data=ds[TIME].values - step)
    return ds.assign_coords({TIME: moved}).assign_attrs(history=history)


# -- places ------------------------------------------------------------------------------------------------------------


def _check_not_swapped(rows: Rows) -> None:
    lon, lat = (pd.to_numeric(rows.frame[c], errors="coerce").abs().max() for c in (LON, LAT))
    if lat > 90 >= lon:
        raise SchemaError(
            f"latitudes reach {lat:g} and longitudes only {lon:g}: they look swapped; "
            f"fix: columns={{'lon': {rows.called(LAT)!r}, 'lat': {rows.called(LON)!r}}}",
            subject="station list",
        )


def places_of(rows: Rows) -> pd.DataFrame:
    """Return one row of coordinates per station id."""
    _check_not_swapped(rows)
    wanted = [c for c in (STATION, LON, LAT, ELEVATION) if c in rows.frame]
    places = rows.frame[wanted].drop_duplicates()
    places = places[places[STATION].notna()].astype({STATION: "str"})
    for column in wanted[1:]:
        places[column] = pd.to_numeric(places[column], errors="coerce").astype(float)
    places = places.drop_duplicates()
    twice = places[STATION][places[STATION].duplicated()].unique()
    if len(twice):
        raise SchemaError(
            f"duplicate station ids with different coordinates: {', '.join(twice[:5])}", subject="station list"
        )
    return places.set_index(STATION)


def placed(places: pd.DataFrame) -> pd.Index:
    """Return the ids of the stations that have coordinates."""
    return places.index[places[[LON, LAT]].notna().all(axis=1)]


def leave_out(ids: pd.Index, places: pd.DataFrame) -> pd.Index:
    """Return the stations of a whole network that the list places, and say which are left out."""
    kept = ids.intersection(placed(places))
    absent = ids.difference(kept)
    if kept.empty:
        raise SchemaError(
            f"none of the {len(ids)} stations ({', '.join(ids[:3])}, ...) is in the station list "
            f"({', '.join(map(str, places.index[:3]))}, ...)"
        )
    if len(absent):
        warnings.warn(
            f"{len(absent)} of {len(ids)} stations are not in the station list and left out: {', '.join(absent[:5])}"
            + (", ..." if len(absent) > 5 else ""),
            XaqWarning,
            stacklevel=4,
        )
    return kept


# -- assembly ----------------------------------------------------------------------------------------------------------


def assemble(rows: Rows, places: Rows | None, *, tz: str | None, whole_network: bool = False) -> xr.Dataset:
    """Return rows as a dataset on ``(station, time)``.

    Parameters
    ----------
    rows : Rows
    places : Rows, optional
        The station list; outranks coordinates among the rows.
    tz : str, optional
        Time zone of naive timestamps.
    whole_network : bool
        Stations that the list lacks are left out with a warning; otherwise they are an error.

    Raises
    ------
    SchemaError
        Columns, coordinates or times missing; duplicate rows; irregular timestamps.
    """
    problems = [no_column(role, "table", rows.header) for role in (STATION, TIME) if role not in rows.frame]
    where, subject = (rows, "table") if places is None else (places, "station list")
    problems += [no_column(role, subject, where.header) for role in (STATION, LON, LAT) if role not in where.frame]
    if problems:
        raise SchemaError(list(dict.fromkeys(problems)))
    if rows.frame.empty:
        raise SchemaError("the table has no rows")
    if rows.frame[STATION].isna().any():
        raise SchemaError(
            f"{int(rows.frame[STATION].isna().sum())} rows have no station; fix: table.dropna(subset=['station'])"
        )
    rows = replace(
        rows, frame=rows.frame.assign(**{TIME: to_utc(rows.frame[TIME], tz), STATION: rows.frame[STATION].astype(str)})
    )
    listed = places_of(where)
    if whole_network:
        kept = leave_out(pd.Index(rows.frame[STATION].unique()), listed)
        rows = replace(rows, frame=rows.frame[rows.frame[STATION].isin(kept)])
    return _on_station_and_time(rows, listed)


def _on_station_and_time(rows: Rows, places: pd.DataFrame) -> xr.Dataset:
    frame = rows.frame
    _check_no_duplicates(rows)
    ids = pd.Index(frame[STATION].unique()).sort_values()
    unplaced = ids.difference(placed(places))
    if len(unplaced):
        raise SchemaError(
            f"{len(unplaced)} of {len(ids)} stations have no coordinates: {', '.join(unplaced[:5])} "
            f"(the list has {', '.join(map(str, places.index[:3]))}, ...); fix: add them to the list, or leave them out: "
            f"table[~table[{rows.called(STATION)!r}].astype(str).isin({unplaced[:5].tolist()})]"
        )
    times = _regular_axis(frame[TIME])
    at = (ids.get_indexer(pd.Index(frame[STATION])), times.get_indexer(pd.Index(frame[TIME])))
    units = {**rows.units}
    if rows.narrow:
        columns, units = _by_parameter(frame, at)
    else:
        columns = {str(c): (frame[c], at) for c in sorted(frame.columns.difference([*_ROLES]), key=str)}
    variables = {}
    for name, (column, (i, j)) in columns.items():
        if (numbers := numeric(column, name)) is not None:
            grid = np.full((len(ids), len(times)), np.nan, np.float32)
            grid[i, j] = numbers
            variables[name] = ((STATION, TIME), grid, {"units": units[name]} if name in units else {})
    if not variables:
        raise SchemaError(f"no column of numbers beside the roles; the table has {', '.join(rows.header)}")
    return station_dataset(variables, ids, times, places)


def station_dataset(
    variables: Mapping[str, Any], ids: pd.Index, times: pd.DatetimeIndex, places: pd.DataFrame
) -> xr.Dataset:
    """Return variables on ``(station, time)`` with the coordinates of their stations."""
    where = places.loc[ids]
    coords = {STATION: np.asarray(ids, dtype=object).astype(str), TIME: times.values.astype("datetime64[s]")}
    return xr.Dataset(variables, coords={**coords, **{c: (STATION, where[c].to_numpy(float)) for c in where.columns}})


def _check_no_duplicates(rows: Rows) -> None:
    keys = [STATION, TIME, *([PARAMETER] if rows.narrow else [])]
    twice = rows.frame.duplicated(keys)
    if twice.any():
        first = rows.frame.loc[twice, keys].iloc[0]
        called = [rows.called(c) for c in keys]
        what = f", {first[PARAMETER]}" if rows.narrow else ""
        raise SchemaError(
            f"{int(twice.sum())} duplicate rows, first: station {first[STATION]}, {first[TIME]} UTC{what}; "
            f"fix: table.drop_duplicates({called}), or table.groupby({called}, as_index=False).mean(numeric_only=True)"
        )


def _by_parameter(frame: pd.DataFrame, at: tuple[NDArray, NDArray]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values of a narrow table by variable, with their places, and the units of each."""
    columns: dict[str, Any] = {}
    units: dict[str, str] = {}
    name = frame[PARAMETER].astype(str).map(canonical_name)
    for parameter in sorted(name.unique()):
        here = (name == parameter).to_numpy()
        columns[parameter] = (frame[VALUE][here], (at[0][here], at[1][here]))
        if UNITS in frame:
            said = frame[UNITS][here].dropna().astype(str).map(canonical_units).unique()
            if len(said) > 1:
                raise SchemaError(
                    f"{parameter} comes in several units: {', '.join(said)}; fix: one of them at a time, such as "
                    f"table[~((table.parameter == {parameter!r}) & (table.units != {said[0]!r}))]"
                )
            if len(said):
                units[parameter] = str(said[0])
    return columns, units


def numeric(column: pd.Series, name: str) -> NDArray | None:
    """Return the column as float32 with infinities as NaN; None for text that is no pollutant (wind direction, say)."""
    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
        return None
    if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
        try:
            numbers = pd.to_numeric(column, errors="coerce")
        except (TypeError, ValueError, OverflowError):
            numbers = pd.Series(np.nan, column.index)
        lost = column.notna() & numbers.isna()
        examples = ", ".join(map(repr, column[lost].map(str).unique()[:3]))
        if name not in POLLUTANTS:
            if 0 < lost.sum() < 0.5 * column.notna().sum():
                warnings.warn(
                    f"column {name!r} is left out: {int(lost.sum())} entries are no numbers, such as {examples}",
                    XaqWarning,
                    stacklevel=6,
                )
            return None if lost.any() or pd.api.types.is_bool_dtype(column) else _finite(numbers)
        if lost.any():
            raise SchemaError(
                f"column {name!r} has {int(lost.sum())} entries that are no numbers, such as {examples}; "
                f"fix: table = pd.read_csv(..., {_as_numbers(column[lost])})"
            )
        column = numbers
    return _finite(column)


def _as_numbers(entries: pd.Series) -> str:
    """Return the options of ``pd.read_csv`` that make numbers of entries that are none."""
    texts = pd.Series(entries.map(str).unique())
    commas = texts.str.fullmatch(r"[+-]?\d+,\d+")
    words = texts[~commas].tolist()[:5]
    return ", ".join(["decimal=','"] * bool(commas.any()) + [f"na_values={words}"] * bool(words))


def _finite(column: pd.Series) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        array = column.to_numpy(np.float32, na_value=np.nan)
    return np.where(np.isfinite(array), array, np.float32(np.nan))


# -- units -------------------------------------------------------------------------------------------------------------


def with_units(ds: xr.Dataset, units: str | Mapping[str, str] | None) -> xr.Dataset:
    """Attach units: as given, as already there, ug m-3 for particles; a gas without units is a warning."""
    names = [str(n) for n in ds.data_vars]
    if isinstance(units, str):
        known = schema.pollutants(ds)
        if len(known) != 1:
            raise SchemaError(
                f"units={units!r} for {len(known)} pollutants ({', '.join(known)}); fix: units={{'pm25': {units!r}, ...}}"
            )
        units = {known[0]: units}
    given = {canonical_name(name): canonical_units(text) for name, text in (units or {}).items()}
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise SchemaError(f"units= names {', '.join(unknown)}, not in the table; it has {', '.join(names)}")
    odd = [f"{u!r} of {n}" for n, u in given.items() if n in POLLUTANTS and not is_concentration(u, n)]
    if odd:
        raise SchemaError(
            f"units {', '.join(odd)}: no concentration that xaq knows; such as 'ug m-3', 'mg m-3', gases also 'ppb', 'ppm'"
        )
    gases = []
    for name in names:
        attrs = ds[name].attrs
        if name in given:
            attrs["units"] = given[name]
        elif not attrs.get("units") and name in POLLUTANTS:
            if POLLUTANTS[name].particle:
                attrs.update(units=MASS_UNITS, units_note="assumed: none given")
            else:
                gases.append(name)
    if gases:
        warnings.warn(
            f"no units for {', '.join(gases)}: usable as covariates, not as targets; "
            f"fix: units={{{gases[0]!r}: '{MASS_UNITS}'}} or 'ppb'",
            XaqWarning,
            stacklevel=3,
        )
    return ds
