"""US EPA AQS: the hourly and daily files of AirData, ``hourly_88101_2010.zip`` and ``daily_44201_2016.zip``.

Hourly values are read at their GMT columns, which label the time at which sampling began; the dates of daily values are local
days. A site is ``SS-CCC-NNNN`` (state, county, site). Each parameter of a site may be measured by several instruments, told
apart by their POC (parameter occurrence code).

A daily file has several rows for one instrument and day. Of these the daily value is read: the 24-hour mean before the mean
of the hours, with exceptional events included, by the newest standard. Of ozone it is the daily maximum of the means over
8 hours, of all else the arithmetic mean.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import pandas as pd
import xarray as xr

from ..arrays import timesteps
from ..conventions import (
    AREA,
    ELEVATION,
    INSTRUMENT,
    LAT,
    LON,
    MASS_UNITS,
    NAME,
    STATION,
    TIME,
    is_pollutant,
    match_key,
)
from ..errors import SchemaError, warn
from ..stations.schema import some
from .assembly import PARAMETER, UNITS, VALUE, Rows, assemble, lower_names, name_columns
from .datums import from_nad27
from .frames import frame_of
from .instruments import MONITOR, apart, recorded
from .source import Format, Request, Source, gather

_CODES = ("state code", "county code", "site num", "site number")
_NEEDED = (
    "state code",
    "county code",
    "site num",
    "parameter code",
    "poc",
    "latitude",
    "longitude",
    "units of measure",
)
#: Variables by AQS parameter code; of several codes for one, the instruments of the first come first.
_PARAMETERS = {
    "88101": "pm25", "88502": "pm25", "81102": "pm10", "85101": "pm10", "44201": "o3", "42602": "no2", "42601": "no", "42401": "so2",
    "42101": "co", "62101": "temperature", "62201": "humidity", "61103": "wind_speed", "61104": "wind_direction", "64101": "pressure",
}  # fmt: skip
_UNIT_NAMES = {
    "micrograms/cubic meter (lc)": MASS_UNITS, "micrograms/cubic meter (25 c)": MASS_UNITS, "parts per million": "1e-6",
    "parts per billion": "1e-9", "degrees fahrenheit": "degF", "percent relative humidity": "%", "knots": "kt",
    "degrees compass": "degree", "millibars": "hPa",
}  # fmt: skip
#: Which duration is the daily value, the first that a day has.
_OF_24_HOURS = ("24-HR BLK AVG", "24 HOUR")
_DURATIONS = (*_OF_24_HOURS, "1 HOUR", "8-HR RUN AVG BEGIN HOUR", "8-HR RUN AVG END HOUR")
_KEYS = ("State Code", "County Code", "Site Num", "Parameter Code", "POC")
_DAY, _HOUR = ("Date Local",), ("Date GMT", "Time GMT")
#: The monitors of a site may be so many degrees apart, 1 to 2 km.
_ONE_SITE = 0.02
_MEAN, _MAXIMUM = "arithmetic mean", "1st max value"
_HOURLY = "sample measurement"


def _matches(header: Collection[str]) -> bool:
    return {"state code", "county code", "site num", "parameter code", "poc"} <= set(header)


def _read(source: Source, request: Request) -> xr.Dataset:
    text = (*_CODES, "parameter code", "poc")
    frames = source.frames(request, identifiers=text)
    tables = [from_nad27(_named(frame), request, "rows") for frame in frames]
    hourly = {_HOURLY in table for table in tables}
    if len(hourly) > 1:
        raise SchemaError("holds hourly and daily files; fix: open the files of one of them")
    daily = not hourly.pop()
    if not daily:
        request.check_zone_unused("hours are read at their columns Date GMT and Time GMT")
    places, moved = _places(request), list[str]()
    value = _value_column(tables, request, places)
    read = _daily if daily else _hourly
    rows = gather([Rows(read(table, value), {STATION: "Site Num"}) for table in tables])
    if places is None:
        rows, moved = _at_one_place(rows)
    rows, places, notes = apart(rows, places, _KEYS + (_DAY if daily else _HOUR))
    notes += moved
    # Every third day is a common schedule, and the others are missing.
    step = timesteps.DAY if daily else timesteps.HOUR
    ds = recorded(assemble(rows, places, tz="UTC", step=step), notes)
    if daily:
        _say_what_is_daily(ds, value)
    return ds


def _say_what_is_daily(ds: xr.Dataset, value: str | None) -> None:
    """State in place of which values a daily one is the mean or the maximum; ``value`` is the caller's column of it."""
    for name in filter(is_pollutant, map(str, ds.data_vars)):
        ozone = name == "o3"
        maximum = value == _MAXIMUM or (value is None and ozone)
        of_8_hours = " (comment: of the means over 8 hours)" if ozone else ""
        ds[name].attrs["cell_methods"] = f"time: {'maximum' if maximum else 'mean'}{of_8_hours}"
        if ozone and maximum:
            ds[name].attrs["comment"] = "daily maximum of the means over 8 hours"


def _value_column(tables: list[pd.DataFrame], request: Request, places: Rows | None) -> str | None:
    """Return the column of values that the caller asks for, in lower case."""
    request.check_taken(places, VALUE)
    request.check_named(tables[0].columns, places)
    value = request.columns_in(tables[0].columns).get(VALUE)
    if value is not None and match_key(value) == "aqi":
        raise SchemaError(
            "columns= asks for the AQI, an index without the units of the rows, expected a column of concentrations; "
            "fix: columns={'value': 'Arithmetic Mean'}, or leave columns= out"
        )
    daily = _HOURLY not in tables[0]
    if value is not None and daily and match_key(value) not in (_MEAN, _MAXIMUM):
        raise SchemaError(
            f"columns= names {value!r}, which is neither a mean nor a maximum of the day, expected 'Arithmetic Mean' or '1st Max Value'; "
            f"fix: open_stations(table.assign(**{{'Arithmetic Mean': table[{value!r}]}}), columns={{'value': 'Arithmetic Mean'}}), where "
            "table is the file in pandas"
        )
    return None if value is None else match_key(value)


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table with its columns in lower case."""
    columns = lower_names(frame.columns)
    absent = [c for c in _NEEDED if c not in columns]
    when = ["date gmt", "time gmt"] if _HOURLY in columns else ["date local", "sample duration", _MEAN]
    absent += [c for c in when if c not in columns]
    if absent:
        raise SchemaError(
            f"no column {', '.join(absent)}; fix: files of hourly or daily summaries of AirData, as hourly_88101_2010.zip"
        )
    table = frame.rename(columns={c: low for low, c in columns.items()}).reset_index(drop=True)
    codes = [columns[c] for c in _NEEDED[:5]]
    empty = table[[*_NEEDED[:5]]].apply(lambda c: c.isna() | (c.astype(str).str.strip() == "")).any(axis=1)
    if empty.any():
        raise SchemaError(
            f"{int(empty.sum())} rows lack one of {', '.join(codes)}, first: row {int(empty.argmax())} of the table; "
            f"fix: table = table.dropna(subset={codes})"
        )
    return table


def _hourly(table: pd.DataFrame, value: str | None) -> pd.DataFrame:
    times = table["date gmt"].astype(str) + " " + table["time gmt"].astype(str)
    return _rows(table, table[value or _HOURLY]).assign(
        **{TIME: pd.to_datetime(times, format="%Y-%m-%d %H:%M", errors="coerce")}
    )


def _daily(table: pd.DataFrame, value: str | None) -> pd.DataFrame:
    """Return the daily value of each instrument and day; ``value`` is the caller's column of it."""
    table = _of_8_hours(table)
    if value == _MAXIMUM:
        table = _with_maxima(table)
    keys = [*_NEEDED[:5], "date local"]
    duration = table["sample duration"].astype(str).str.strip()
    order = duration.map({name: at for at, name in enumerate(_DURATIONS)}).fillna(len(_DURATIONS))
    event = table["event type"].astype(str) if "event type" in table else pd.Series("", table.index)
    standard = table["pollutant standard"].astype(str) if "pollutant standard" in table else pd.Series("", table.index)
    year = pd.to_numeric(standard.str.extract(r"(\d{4})$")[0]).fillna(0)
    ranked = table.assign(order=order, excluded=event.str.contains("Excluded"), older=-year)
    ranks = ["order", "excluded", "older"]
    if "method name" in table:
        # The row of a mean over 24 hours does not name the method, that of its hours does.
        method = table["method name"].where(table["method name"].astype(str).str.strip() != "-")
        table = table.assign(**{"method name": method.groupby([table[c] for c in _NEEDED[:5]]).transform("first")})
    best = ranked.sort_values([*keys, *ranks]).groupby(keys, sort=False)[ranks].transform("first").sort_index()
    table = table[(ranked[ranks] == best).all(axis=1)]
    if "observation percent" in table:
        percent = pd.to_numeric(table["observation percent"], errors="coerce")
        few = int((percent < 100 * timesteps.DATA_CAPTURE).sum())
        if few:
            warn(
                f"{few} of {len(table)} daily values rest on less than {timesteps.DATA_CAPTURE:.0%} of the day; fix: "
                "open_stations(table[table['Observation Percent'] >= 75]), where table is the file in pandas"
            )
    ozone = _is_ozone(table)
    if ozone.any() and value is None and _MAXIMUM not in table:
        raise SchemaError(
            "no column '1st Max Value', which is the daily value of ozone; fix: a file with it, or "
            "columns={'value': 'Arithmetic Mean'} for the mean over the day"
        )
    number = table[value] if value else table[_MEAN].mask(ozone, table.get(_MAXIMUM))
    dates = pd.to_datetime(table["date local"].astype(str).str.slice(0, 10), format="%Y-%m-%d", errors="coerce")
    return _rows(table, number).assign(**{TIME: dates})


def _is_ozone(table: pd.DataFrame) -> pd.Series:
    return table["parameter code"].map(_code) == "44201"


def _of_8_hours(table: pd.DataFrame) -> pd.DataFrame:
    """Return a daily table without the rows of ozone of single hours, whose maxima are another quantity."""
    other = _is_ozone(table) & (table["sample duration"].astype(str).str.strip() == "1 HOUR")
    if not other.any():
        return table
    left_out = f"{int(other.sum())} rows of ozone are of 1 HOUR, not of means over 8 hours"
    if other.all():
        raise SchemaError(
            f"{left_out}, and the file has no others; fix: files daily_44201_*.zip of AirData, or the hourly ones"
        )
    warn(f"{left_out}, and are left out")
    return table[~other].reset_index(drop=True)


def _with_maxima(table: pd.DataFrame) -> pd.DataFrame:
    """Return a daily table without the rows of one value over 24 hours, whose maximum is their mean."""
    single = ~_is_ozone(table) & table["sample duration"].astype(str).str.strip().isin(_OF_24_HOURS)
    if not single.any():
        return table
    left_out = f"{int(single.sum())} rows of one value over 24 hours have no maximum of hours"
    if single.all():
        raise SchemaError(f"{left_out}, and the file has no others; fix: columns={{'value': 'Arithmetic Mean'}}")
    warn(f"{left_out}, and are left out")
    return table[~single].reset_index(drop=True)


def _rows(table: pd.DataFrame, values: pd.Series) -> pd.DataFrame:
    """Return the columns that hourly and daily files share, narrow, with the instruments of each site told apart."""
    codes = table["parameter code"].map(_code)
    named = table["parameter name"].astype(str) if "parameter name" in table else codes
    name = codes.map(_PARAMETERS).fillna(named.map(lambda text: re.sub(r"\W+", "_", text).strip("_").lower()))
    firsts = {variable: code for code, variable in reversed(_PARAMETERS.items())}
    first = codes == name.map(firsts).fillna(codes)
    poc = table["poc"].map(_code)
    made = {
        STATION: _site_ids(table, "site num"), PARAMETER: name, MONITOR: poc.where(first, codes + "-" + poc), VALUE: values,
        UNITS: table["units of measure"].map(lambda text: _UNIT_NAMES.get(str(text).strip().lower(), text)),
        LON: table["longitude"], LAT: table["latitude"],
    }  # fmt: skip
    if "method name" in table:
        made[INSTRUMENT] = table["method name"]
    if "local site name" in table:
        made[NAME] = table["local site name"]
    return pd.DataFrame(made, index=table.index)


def _at_one_place(rows: Rows) -> tuple[Rows, list[str]]:
    """Return the rows with one place per site, that of its first row: files give the monitors of a site places of their own.

    Raises
    ------
    SchemaError
        Places of one site that are no corrections of each other.
    """
    first = rows.frame.groupby(STATION)[[LON, LAT]].transform("first")
    # What is no number, is found with its row where the places are read.
    numbers, firsts = (frame[[LON, LAT]].apply(pd.to_numeric, errors="coerce") for frame in (rows.frame, first))
    apart_by = (numbers - firsts).abs().max(axis=1)
    far = rows.frame[STATION][apart_by > _ONE_SITE].unique()
    if len(far):
        raise SchemaError(
            f"{len(far)} site(s) have several places, up to {apart_by.max():.2g} degrees apart: {some(far, 3)}; expected at most "
            f"{_ONE_SITE:g}; fix: stations='aqs_sites.csv', AQS's table of sites, or any list with the place of each"
        )
    moved = rows.frame[STATION][apart_by > 0].unique()
    note = f"rows of {len(moved)} site(s) differ in their places, by {apart_by.max():.2g} degrees at most; the first are used: {some(moved, 3)}"
    return Rows(rows.frame.assign(**{LON: first[LON], LAT: first[LAT]}), rows.names, rows.units), [note] if len(
        moved
    ) else []


def _code(cell: object) -> str:
    """Return a code as text without decimals and zeros before it, as frames and files have it in several ways."""
    return str(cell).strip().removesuffix(".0").lstrip("0") or "0"


def _site_ids(table: pd.DataFrame, site: str) -> pd.Series:
    """Return the ids ``SS-CCC-NNNN`` of the rows of a table; Canada's state code is ``CC``."""
    parts = [("state code", 2), ("county code", 3), (site, 4)]
    texts = {c: {cell: _code(cell).zfill(width) for cell in table[c].unique()} for c, width in parts}
    state, county, number = (table[c].map(texts[c]) for c, _ in parts)
    return state + "-" + county + "-" + number


def _places(request: Request) -> Rows | None:
    """Return the station list: AQS's own of sites (``aqs_sites.csv``), or any other with ids as ``01-033-1002``."""
    if request.stations is None:
        return None
    frame = frame_of(request.stations)
    if frame is None:
        frame = next(Source.of(request.stations).frames(request.of_list, identifiers=_CODES))
    lower = lower_names(frame.columns)
    site = next((c for c in ("site number", "site num") if c in lower), None)
    if site is None or not {"state code", "county code"} <= set(lower):
        return request.places()
    table = from_nad27(frame.rename(columns={c: low for low, c in lower.items()}), request, "sites of the list")
    wanted = {
        "latitude": LAT,
        "longitude": LON,
        "elevation": ELEVATION,
        "location setting": AREA,
        "local site name": NAME,
    }
    kept = table[[c for c in wanted if c in table]].rename(columns=wanted)
    return name_columns(kept.assign(**{STATION: _site_ids(table, site)}), None, "station list")


FORMAT = Format("aqs", "US EPA AQS hourly or daily files of AirData", _read, matches=_matches)
