"""Long tables of observations and a station list -> one station dataset."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .. import stations as border
from .. import windows
from ..errors import SchemaError, XaqWarning
from ..vocabulary import (
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

Table = str | os.PathLike | pd.DataFrame
_ROLES = (STATION, TIME, LON, LAT, ELEVATION)


def open_stations(
    table: Table | xr.Dataset,
    *,
    stations: Table | None = None,
    tz: str | None = None,
    units: str | Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
) -> xr.Dataset:
    """Open a long table of observations as a station dataset.

    Parameters
    ----------
    table : path (CSV, Parquet), pandas.DataFrame or xarray.Dataset
        One row per station and time: a station column, a time column, one column per pollutant or covariate. A
        Dataset is taken as a station dataset and brought into xaq's form.
    stations : path or pandas.DataFrame, optional
        Station list with identifier, longitude, latitude and, if known, elevation. Not needed when the table itself
        has coordinates.
    tz : str, optional
        IANA name of the time zone of naive stamps, such as ``"Asia/Shanghai"`` or ``"UTC"``. Required for steps
        shorter than a day; daily stamps are days and are not shifted.
    units : str or mapping, optional
        Units by variable, or one string for the only pollutant. Particles without units are taken to be ug m-3, and
        the repr says so; gases need units.
    columns : mapping, optional
        Column of a role or variable where the usual names do not find it: ``{"station": "code", "pm25": "PM (fine)"}``.

    Returns
    -------
    xarray.Dataset
        Dimensions ``(station, time)``, float32 variables, CF attributes; UTC times on a regular step, each stamp
        labelling the start of its interval; hours that the table lacks are NaN. In memory.

    Raises
    ------
    SchemaError
        Missing columns or coordinates, unknown time zone, duplicate rows, irregular stamps, units missing.

    Examples
    --------
    >>> import pandas as pd, xaq
    >>> table = pd.DataFrame({
    ...     "station": ["a", "a", "b", "b"],
    ...     "time": pd.to_datetime(["2020-01-01 08:00", "2020-01-01 09:00"] * 2),
    ...     "PM2.5": [10.0, 12.0, 20.0, 18.0],
    ... })
    >>> places = pd.DataFrame({"station": ["a", "b"], "lon": [116.3, 116.5], "lat": [39.9, 40.0]})
    >>> ds = xaq.open_stations(table, stations=places, tz="Asia/Shanghai")
    >>> ds.time.values[0]
    np.datetime64('2020-01-01T00:00:00')
    """
    if isinstance(table, xr.Dataset):
        if stations is not None or tz is not None:
            raise SchemaError("a Dataset brings its own coordinates and UTC times; mend: leave out stations= and tz=")
        return _from_dataset(table, units, columns)
    frame = _read(table, columns)
    places = None if stations is None else _read(stations, columns)
    known = [*frame.columns, *([] if places is None else places.columns)]
    frame = _rename(frame, columns, "table")
    places = None if places is None else _rename(places, columns, "station list")
    _check_columns(columns, known)
    problems = [_no_column(role, "table", frame) for role in (STATION, TIME) if role not in frame]
    where = frame if places is None else places
    subject = "table" if places is None else "station list"
    problems += [_no_column(role, subject, where) for role in (STATION, LON, LAT) if role not in where]
    if problems:
        raise SchemaError(list(dict.fromkeys(problems)), subject=_name(table))
    if frame.empty:
        raise SchemaError("the table has no rows", subject=_name(table))
    frame[TIME] = _to_utc(frame[TIME], tz)
    _check_not_swapped(where)
    ds = _pivot(frame, _places(where))
    for name, unit in frame.attrs["units"].items():
        if name in ds:
            ds[name].attrs["units"] = unit
    return border.conform(border.describe_as_cf(_with_units(ds, units)))


def _from_dataset(
    ds: xr.Dataset, units: str | Mapping[str, str] | None, columns: Mapping[str, str] | None
) -> xr.Dataset:
    _check_columns(columns, [*ds.variables, *ds.dims])
    names = {v: k for k, v in (columns or {}).items()}
    known = {str(n): canonical_name(str(n)) for n in ds.data_vars if canonical_name(str(n)) in POLLUTANTS}
    names = {**known, **names}
    ds = border.conform(ds.rename({a: b for a, b in names.items() if a != b}))
    return border.describe_as_cf(border.normalise_units(_with_units(ds, units)))


def _check_columns(columns: Mapping[str, str] | None, known: list) -> None:
    absent = [f"{column!r} (for {role})" for role, column in (columns or {}).items() if column not in known]
    if absent:
        raise SchemaError(
            f"columns= names {', '.join(absent)}, which is nowhere; there are {', '.join(map(str, known))}"
        )


def _name(table: Any) -> str:
    return str(table) if isinstance(table, (str, os.PathLike)) else "table"


def _read(table: Table, columns: Mapping[str, str] | None) -> pd.DataFrame:
    """Read a file, with identifiers as text so that ``001001`` keeps its zeros."""
    if isinstance(table, pd.DataFrame):
        return table.copy()
    path = Path(table)
    if not path.exists():
        raise SchemaError(f"no such file: {path.absolute()}", subject=str(table))
    try:
        if path.suffix in (".parquet", ".pq"):
            return pd.read_parquet(path)
        header = pd.read_csv(path, nrows=0, encoding="utf-8-sig").columns
        identifiers = [
            c for c in header if c == (columns or {}).get(STATION) or c.strip().lower() in ROLE_NAMES[STATION]
        ]
        return pd.read_csv(path, dtype=dict.fromkeys(identifiers, "str"), encoding="utf-8-sig", low_memory=False)
    except (ValueError, OSError, pd.errors.ParserError) as error:
        raise SchemaError(
            f"cannot be read as a table ({error}); expected CSV or Parquet", subject=str(table)
        ) from error


def _rename(frame: pd.DataFrame, columns: Mapping[str, str] | None, subject: str) -> pd.DataFrame:
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
    # What the user calls them, for messages, and units that headers state.
    renamed.attrs = {"names": {new: old for old, new in names.items()}, "units": units}
    repeated = renamed.columns[renamed.columns.duplicated()].unique()
    if len(repeated):
        clash = {r: [c for c, n in names.items() if n == r] for r in repeated}
        raise SchemaError(
            f"several columns mean the same: {clash}; mend: drop one, or say which with columns=", subject=subject
        )
    return renamed


def _no_column(role: str, subject: str, frame: pd.DataFrame) -> str:
    return (
        f"the {subject} has no column for {role} (looked for {', '.join(ROLE_NAMES[role][:5])}, ...); "
        f"it has {', '.join(map(str, frame.columns[:12]))}; mend: columns={{{role!r}: 'your column'}}"
        + (" or stations='list.csv'" if role in (LON, LAT) and subject == "table" else "")
    )


def _aware_text(stamps: pd.Series) -> bool:
    """Return whether the stamps are text that all carry an offset (which may change with the clocks)."""
    if not (pd.api.types.is_object_dtype(stamps) or pd.api.types.is_string_dtype(stamps)):
        return False
    return bool(stamps.dropna().astype(str).str.contains(r"(?:Z|[+-]\d{2}:?\d{2})$").all())


def _to_utc(stamps: pd.Series, tz: str | None) -> pd.Series:
    """Return naive UTC stamps; refuse to guess a time zone."""
    if pd.api.types.is_numeric_dtype(stamps):
        raise SchemaError(
            f"time is {stamps.dtype}, such as {stamps.iloc[0]}, expected dates; "
            "mend: pd.to_datetime(table['time'], format='%Y%m%d') or unit='s'"
        )
    try:
        times = pd.to_datetime(stamps, utc=True) if _aware_text(stamps) else pd.to_datetime(stamps)
    except (ValueError, TypeError) as error:
        raise SchemaError(f"time cannot be read as dates: {error}") from error
    if times.isna().any():
        raise SchemaError(f"{int(times.isna().sum())} rows have no time; mend: table.dropna(subset=['time'])")
    if times.dt.tz is not None:
        return times.dt.tz_convert("UTC").dt.tz_localize(None).dt.as_unit("s")
    if (times == times.dt.normalize()).all():
        return times.dt.as_unit("s")
    if tz is None:
        raise SchemaError(
            "time stamps are naive and hourly, so their time zone must be said; mend: tz='UTC' or tz='Asia/Shanghai'"
        )
    try:
        return times.dt.tz_localize(tz).dt.tz_convert("UTC").dt.tz_localize(None).dt.as_unit("s")
    except (KeyError, ValueError, IndexError) as error:
        if (
            "ambiguous" in str(error).lower()
            or "nonexistent" in str(error).lower()
            or "cannot infer" in str(error).lower()
        ):
            raise SchemaError(
                f"{error}: stamps around a change of clocks cannot be placed; mend: if the network keeps standard time all "
                "year, tz='Etc/GMT-1' (that is UTC+1)"
            ) from error
        raise SchemaError(f"unknown time zone {tz!r}; mend: an IANA name such as 'Europe/Berlin'") from error


def _check_not_swapped(frame: pd.DataFrame) -> None:
    lon, lat = (pd.to_numeric(frame[c], errors="coerce").abs().max() for c in (LON, LAT))
    if lat > 90 >= lon:
        names = frame.attrs["names"]
        raise SchemaError(
            f"latitudes reach {lat:g} and longitudes only {lon:g}: they look swapped; "
            f"mend: columns={{'lon': {names[LAT]!r}, 'lat': {names[LON]!r}}}",
            subject="station list",
        )


def _places(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row of coordinates per station id."""
    wanted = [c for c in (STATION, LON, LAT, ELEVATION) if c in frame]
    places = frame[wanted].drop_duplicates()
    places[STATION] = places[STATION].astype(str)
    for column in wanted[1:]:
        places[column] = pd.to_numeric(places[column], errors="coerce")
    twice = places[STATION][places[STATION].duplicated()].unique()
    if len(twice):
        raise SchemaError(
            f"duplicate station ids with different coordinates: {', '.join(twice[:5])}", subject="station list"
        )
    return places.set_index(STATION)


def _pivot(frame: pd.DataFrame, places: pd.DataFrame) -> xr.Dataset:
    if frame[STATION].isna().any():
        raise SchemaError(
            f"{int(frame[STATION].isna().sum())} rows have no station; mend: table.dropna(subset=['station'])"
        )
    frame[STATION] = frame[STATION].astype(str)
    twice = frame.duplicated([STATION, TIME])
    if twice.any():
        first = frame.loc[twice, [STATION, TIME]].iloc[0]
        keys = [frame.attrs["names"][c] for c in (STATION, TIME)]
        raise SchemaError(
            f"{int(twice.sum())} duplicate rows, first: station {first[STATION]}, {first[TIME]} UTC; "
            f"mend: table.drop_duplicates({keys}), or table.groupby({keys}, as_index=False).mean(numeric_only=True)"
        )
    ids = pd.Index(frame[STATION].unique()).sort_values()
    unplaced = ids.difference(places.index[places[[LON, LAT]].notna().all(axis=1)])
    if len(unplaced):
        raise SchemaError(
            f"{len(unplaced)} of {len(ids)} stations have no coordinates: {', '.join(unplaced[:5])} "
            f"(the list has {', '.join(places.index[:3])}, ...); mend: add them to the list, or leave them out: "
            f"table[~table[{frame.attrs['names'][STATION]!r}].astype(str).isin({unplaced[:5].tolist()})]"
        )
    times = _regular_axis(frame[TIME])
    variables = {}
    for column in frame.columns.difference([*_ROLES]):
        if (numbers := _numeric(frame[column], str(column))) is not None:
            grid = np.full((len(ids), len(times)), np.nan, np.float32)
            grid[ids.get_indexer(pd.Index(frame[STATION])), times.get_indexer(pd.Index(frame[TIME]))] = numbers
            variables[str(column)] = ((STATION, TIME), grid)
    if not variables:
        raise SchemaError(f"no column of numbers beside the roles; the table has {', '.join(map(str, frame.columns))}")
    placed = places.loc[ids]
    coords = {STATION: np.asarray(ids, dtype=object).astype(str), TIME: times.values.astype("datetime64[s]")}
    at_station = {c: (STATION, placed[c].to_numpy(float)) for c in placed.columns}
    return xr.Dataset(variables, coords={**coords, **at_station})


def _numeric(column: pd.Series, name: str) -> np.ndarray | None:
    """Return the column as float32 with infinities as NaN; None for text that is no pollutant (wind direction, say)."""
    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
        return None
    if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
        numbers = pd.to_numeric(column, errors="coerce")
        lost = column.notna() & numbers.isna()
        if name not in POLLUTANTS:
            return None if lost.any() or pd.api.types.is_bool_dtype(column) else numbers.to_numpy(np.float32)
        if lost.any():
            examples = ", ".join(map(repr, column[lost].unique()[:3]))
            raise SchemaError(f"column {name!r} has {int(lost.sum())} entries that are no numbers, such as {examples}")
        column = numbers
    array = column.to_numpy(np.float32, na_value=np.nan)
    return np.where(np.isfinite(array), array, np.float32(np.nan))


def _regular_axis(stamps: pd.Series) -> pd.DatetimeIndex:
    """Return the regular axis that holds every stamp; the step is the usual distance of distinct stamps."""
    distinct = pd.DatetimeIndex(stamps.unique()).sort_values()
    if len(distinct) < 2:
        raise SchemaError(f"the table has one time only ({distinct[0]}), at least 2 are needed to know the step")
    step = pd.Series(np.diff(distinct)).mode().iloc[0]
    off = (distinct - distinct[0]) % step != pd.Timedelta(0)
    if off.any():
        raise SchemaError(
            f"{int(off.sum())} stamps are off the step of {windows.step_name(step.to_timedelta64())}, first: {distinct[off][0]}; "
            "mend: round or aggregate them, such as table['time'] = table['time'].dt.floor('h') followed by groupby.mean()"
        )
    axis = pd.date_range(distinct[0], distinct[-1], freq=step, unit="s")
    windows.steps_per_day(step.to_timedelta64())
    return axis


def _with_units(ds: xr.Dataset, units: str | Mapping[str, str] | None) -> xr.Dataset:
    """Attach units: as given, as already there, ug m-3 for particles; a gas without units is an error."""
    names = [str(n) for n in ds.data_vars]
    if isinstance(units, str):
        known = border.pollutants(ds)
        if len(known) != 1:
            raise SchemaError(
                f"units={units!r} for {len(known)} pollutants ({', '.join(known)}); mend: units={{'pm25': {units!r}, ...}}"
            )
        units = {known[0]: units}
    given = {canonical_name(name): canonical_units(text) for name, text in (units or {}).items()}
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise SchemaError(f"units= names {', '.join(unknown)}, not in the table; it has {', '.join(names)}")
    gases = []
    odd = [f"{u!r} of {n}" for n, u in given.items() if n in POLLUTANTS and not is_concentration(u, n)]
    if odd:
        raise SchemaError(
            f"units {', '.join(odd)}: no concentration that xaq knows; such as 'ug m-3', 'mg m-3', gases also 'ppb', 'ppm'"
        )
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
            f"mend: units={{{gases[0]!r}: '{MASS_UNITS}'}} or 'ppb'",
            XaqWarning,
            stacklevel=3,
        )
    return ds
