"""PurpleAir: histories of sensors, as the API and the download tool write them.

``time_stamp`` is in seconds since 1970 or text with a zone, and rows are in no order. Coordinates are not in the files. A sensor has two
channels; ``pm25`` is the mean of ``pm2.5_cf_1_a`` and ``pm2.5_cf_1_b`` where they agree, to 5 ug m-3 or to 70 % of their mean, as US
EPA does in its map of fire and smoke (Barkjohn et al. 2022, Sensors 22, 9669). In clean air a dead channel, which reads 0 or any other constant,
passes that test: such readings are found by their constancy. Indoor sensors are left out. No correction is applied.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ..conventions import LAT, LON, MASS_UNITS, STATION, TIME
from ..errors import SchemaError, warn
from ..stations.schema import some
from .assembly import PARAMETER, UNITS, VALUE, Rows, assemble, first_column, lower_names
from .entries import readings_as_numbers
from .folders import reading
from .instruments import recorded
from .intervals import on_steps, readings
from .places import as_ids
from .source import Format, Request, Source
from .times import of_column, to_utc

_IDS = ("sensor_index", "id", "sensor_id")
#: PurpleAir's names of the sizes of particles.
_SIZES = {"pm1": "pm1.0", "pm25": "pm2.5", "pm10": "pm10.0"}
_OTHERS = {"temperature": "degF", "humidity": "%", "pressure": "hPa"}
#: The column that says where a sensor hangs, in PurpleAir's present and former names, and its entries for indoors.
_LOCATION, _INDOORS = ("location_type", "device_locationtype"), ("1", "1.0", "inside", "indoor", "indoors", "true")
#: Two channels agree within one of these: ug m-3, and a fraction of their mean.
_APART, _FRACTION = 5.0, 0.7
#: A channel is stuck while at least so many readings are equal, over a day (from the first to the last of its hours), in which the
#: other varies by more than the sensor's resolution in ug m-3. In clean air both may read 0.
_EQUAL, _DAY, _RESOLUTION = 3, pd.Timedelta("23h"), 1.0
#: Why readings are left out.
_LEFT_OUT = (
    "whose two channels disagree",
    "with a value of one channel only",
    "of which one channel is constant for a day or longer",
)
#: Seconds since 1970 are below this, which is the year 5138; milliseconds since 1973 are above.
_LAST_SECOND = 1e11


class _Fault(NamedTuple):
    """One channel of a sensor without use: the variable, the sensor, what is wrong, the column of the channel and the other one."""

    variable: str
    sensor: str
    what: str
    column: str
    other: str


def _matches(header: Collection[str]) -> bool:
    return "time_stamp" in header and any(re.match(r"pm(1\.0|2\.5|10\.0)(_|$)", name) for name in header)


def _read(source: Source, request: Request) -> xr.Dataset:
    pieces, counts, header, faults = [], np.zeros(len(_LEFT_OUT), int), dict[Any, None](), list[_Fault]()
    places = request.places(identifiers=_IDS)
    indoors = _Indoors.of(places)
    for table in source.frames(request, identifiers=_IDS):
        rows, count, found = _rows(indoors.without(table, _station_column(table.columns, request)), request)
        pieces.append(rows)
        counts += count
        faults += found
        header |= dict.fromkeys(table.columns)
    frame = pd.concat(pieces, ignore_index=True)
    if places is None:
        raise SchemaError(_no_places(frame))
    request.check_taken(places, STATION, *_SIZES)
    request.check_named(header, places)
    notes = indoors.notes(frame[STATION].unique(), source, request)
    _check_channels(frame, faults)
    frame = readings(frame, request.timestamps or "start")
    names = {STATION: _station_column(list(header), request), TIME: lower_names(header)["time_stamp"]}
    made, step, of_steps = on_steps(Rows(frame, names), request.step)
    left_out = [f"{n} reading(s) {why} are left out" for n, why in zip(counts, _LEFT_OUT, strict=True) if n]
    return recorded(assemble(made, places, tz="UTC", step=step), [*notes, *left_out, *of_steps])


@dataclass
class _Indoors:
    """The sensors that the station list places indoors, and those that are left out of the tables."""

    listed: set[str]
    column: str | None
    found: dict[str, None] = field(default_factory=dict)
    in_tables: str | None = None

    @classmethod
    def of(cls, places: Rows | None) -> _Indoors:
        """Return those of a station list."""
        column = None if places is None else first_column(lower_names(places.frame.columns), _LOCATION)
        if places is None or column is None or STATION not in places.frame:
            return cls(set(), None)
        return cls(set(as_ids(places.frame[STATION])[_are_indoors(places.frame[column])]), places.called(column))

    def without(self, table: pd.DataFrame, station: Any) -> pd.DataFrame:
        """Return a table without the rows of indoor sensors."""
        column = first_column(lower_names(table.columns), _LOCATION)
        if station is None or not (self.listed or column):
            return table
        ids = as_ids(table[station])
        here = ids.isin(self.listed)
        if column is not None and (inside := _are_indoors(table[column])).any():
            here |= inside
            self.in_tables = str(column)
        self.found |= dict.fromkeys(ids[here])
        return table[~here]

    def notes(self, kept: NDArray, source: Source, request: Request) -> list[str]:
        """Return what is left out, for the history, with a warning; raise where nothing is kept."""
        if not self.found:
            return []
        sensors, n = some(self.found, 10), len(self.found)
        fix = "..."
        if self.listed & set(self.found):
            listed = _as_frame(Source.of(request.stations), request.of_list, "places")
            fix = f"stations={listed}.drop(columns={self.column!r})"
        if self.in_tables is not None:
            fix = f"open_stations({_as_frame(source, request, 'table')}.drop(columns={self.in_tables!r}), {fix})"
        column = self.in_tables or self.column
        if not len(kept):
            raise SchemaError(
                f"all {n} sensor(s) are indoors ({column}): {sensors}, expected outdoor air; fix: {fix}, to read them"
            )
        warn(
            f"{n} of {n + len(kept)} sensor(s) are indoors ({column}) and are left out: {sensors}; fix: {fix}, to keep them"
        )
        return [f"{n} indoor sensor(s) are left out: {sensors}"]


def _are_indoors(locations: pd.Series) -> pd.Series:
    return locations.astype(str).str.strip().str.lower().isin(_INDOORS)


def _as_frame(source: Source, request: Request, name: str) -> str:
    """Return the call that reads a source as a frame, or the name of a frame."""
    call = reading(source.paths, request.encoding_of, request.identifiers, request.skiprows) if source.paths else None
    return call or name


def _rows(frame: pd.DataFrame, request: Request) -> tuple[pd.DataFrame, NDArray, list[_Fault]]:
    """Return the rows of one table, the numbers of readings that are left out by reason, and the channels without use."""
    frame = frame.reset_index(drop=True)
    lower = lower_names(frame.columns)
    station = _station_column(frame.columns, request)
    if station is None or "time_stamp" not in lower:
        raise SchemaError(
            f"no column {'time_stamp' if station else 'of the sensor'}; it has {', '.join(map(str, frame.columns[:8]))}; fix: histories with "
            "id (or sensor_index) and time_stamp, or columns={'station': 'your column'}"
        )
    times = _times(frame[lower["time_stamp"]], lower["time_stamp"], request)
    base: Any = pd.DataFrame({STATION: as_ids(frame[station]), TIME: times.dt.as_unit("s")})
    parts, counts, faults = [], np.zeros(len(_LEFT_OUT), int), list[_Fault]()
    for name, column in {**_particles(lower, request), **{n: (lower[n],) for n in _OTHERS if n in lower}}.items():
        channels = [readings_as_numbers(frame[c], c) for c in column]
        values = channels[0]
        if len(channels) == 2:
            mean, apart = (channels[0] + channels[1]) / 2, (channels[0] - channels[1]).abs()
            agree = (apart <= _APART) | (apart <= _FRACTION * mean)
            stuck = [_stuck(base, one, other) for one, other in (channels, channels[::-1])]
            values = mean.where(agree & ~stuck[0] & ~stuck[1])
            faults += _of_one_channel(base[STATION], channels, name, column)
            faults += _of_stuck_channels(base[STATION], stuck, name, column)
            there, useless = [channel.notna() for channel in channels], stuck[0] | stuck[1]
            counts += [
                (mean.notna() & ~agree & ~useless).sum(),
                (there[0] ^ there[1]).sum(),
                (mean.notna() & useless).sum(),
            ]
        parts.append(base.assign(**{PARAMETER: name, UNITS: _OTHERS.get(name, MASS_UNITS), VALUE: values}))
    if not parts:
        raise SchemaError(
            f"no column of a pollutant; it has {', '.join(map(str, frame.columns[:12]))}; fix: fields=pm2.5_cf_1_a,pm2.5_cf_1_b in the query"
        )
    return pd.concat(parts, ignore_index=True), counts, faults


def _station_column(columns: Collection[Any], request: Request) -> Any:
    """Return the column of the ids of sensors, or None."""
    return request.columns_in(columns).get(STATION) or first_column(lower_names(columns), _IDS)


def _times(timestamps: pd.Series, column: str, request: Request) -> pd.Series:
    """Return times, of dates, of text or of seconds since 1970."""
    if timestamps.empty:
        return pd.to_datetime(timestamps)
    # Dates are numbers, too, for to_numeric.
    of_dates = pd.api.types.is_datetime64_any_dtype(timestamps)
    numbers = pd.to_numeric(timestamps, errors="coerce")
    if pd.api.types.is_numeric_dtype(timestamps) and numbers.isna().any():
        raise SchemaError(
            f"{int(numbers.isna().sum())} rows have no {column}; fix: table = table.dropna(subset=[{column!r}])"
        )
    if of_dates or not numbers.notna().all():
        try:
            # Text without a zone is not of PurpleAir, which writes Z or an offset: a user's program may have made it local.
            return to_utc(timestamps, request.tz, own="UTC" if of_dates else None)
        except SchemaError as error:
            raise of_column(error, column) from error
    request.check_zone_unused(f"{column} is in seconds since 1970 in UTC")
    last = float(numbers.max())
    if last >= _LAST_SECOND:
        factor = next(f for f in (10**3, 10**6, 10**9) if last / f < _LAST_SECOND or f == 10**9)
        raise SchemaError(
            f"{column} reaches {last:.0f}, expected seconds since 1970, such as 1656716400; fix: table[{column!r}] = "
            f"table[{column!r}] // {factor}, if it is finer by that factor"
        )
    return pd.to_datetime(numbers, unit="s")


def _stuck(base: pd.DataFrame, one: pd.Series, other: pd.Series) -> pd.Series:
    """Return which readings of one channel are of a day or longer in which it is constant and the other varies."""
    rows = base.assign(one=one, other=other).dropna(subset=["one"]).sort_values([STATION, TIME], kind="stable")
    begins = (rows[STATION] != rows[STATION].shift()) | (rows["one"] != rows["one"].shift())
    runs = rows.groupby(begins.cumsum())
    lasts = runs[TIME].transform("max") - runs[TIME].transform("min")
    varies = runs["other"].transform("max") - runs["other"].transform("min")
    stuck = (runs["one"].transform("size") >= _EQUAL) & (lasts >= _DAY) & (varies > _RESOLUTION)
    return stuck.reindex(base.index, fill_value=False)


def _of_one_channel(ids: pd.Series, channels: list[pd.Series], name: str, columns: tuple[str, ...]) -> list[_Fault]:
    """Return the sensors of which one channel has no value."""
    counts = pd.DataFrame({c: n.notna().groupby(ids).sum() for c, n in zip(columns, channels, strict=True)})
    alone = counts[(counts.min(axis=1) == 0) & (counts.max(axis=1) > 0)]
    return [_Fault(name, str(i), "has no values", str(c.idxmin()), str(c.idxmax())) for i, c in alone.iterrows()]


def _of_stuck_channels(ids: pd.Series, stuck: list[pd.Series], name: str, columns: tuple[str, ...]) -> list[_Fault]:
    """Return the sensors of which one channel is stuck."""
    what = "is constant for a day or longer, while the other channel varies,"
    pairs = zip(stuck, columns, columns[::-1], strict=True)
    return [_Fault(name, str(i), what, c, other) for here, c, other in pairs for i in ids[here].unique()]


def _check_channels(frame: pd.DataFrame, faults: list[_Fault]) -> None:
    """Raise where no sensor has values of two channels of a variable, and warn where some sensors have not."""
    for kind in dict.fromkeys((f.variable, f.what, f.column, f.other) for f in faults):
        name, what, column, other = kind
        sensors = list(dict.fromkeys(f.sensor for f in faults if (f.variable, f.what, f.column, f.other) == kind))
        problem = f"column {column!r} {what} at {len(sensors)} sensor(s): {some(sensors, 10)}"
        fix = f"fix: columns={{{name!r}: {other!r}}}"
        if frame[VALUE][frame[PARAMETER] == name].isna().all():
            raise SchemaError(f"{problem}, expected both channels of {name}; {fix}")
        warn(f"{problem}; these readings of {name} are left out; {fix} to read the other channel of all sensors")


def _particles(lower: dict[str, str], request: Request) -> dict[str, tuple[str, ...]]:
    """Return the columns of each size of particles: the caller's, both channels of cf_1, or the only one."""
    given = request.columns_in(lower.values())
    found: dict[str, tuple[str, ...]] = {}
    for name, prefix in _SIZES.items():
        there = [c for low, c in lower.items() if re.match(rf"{re.escape(prefix)}(_|$)", low)]
        both = [lower.get(f"{prefix}_cf_1_{channel}") for channel in "ab"]
        if name in given:
            found[name] = (given[name],)
        elif all(both):
            found[name] = tuple(map(str, both))
        elif len(there) == 1:
            found[name] = (there[0],)
        elif there:
            raise SchemaError(
                f"several columns may be {name}: {', '.join(there)}, and the two channels {prefix}_cf_1_a and {prefix}_cf_1_b are not both "
                f"there; fix: columns={{{name!r}: {there[0]!r}}}"
            )
    return found


def _no_places(frame: pd.DataFrame) -> str:
    ids = sorted(frame[STATION].unique())
    shown = f"{ids[:3]}" + ("" if len(ids) <= 3 else f" and {len(ids) - 3} more")
    return (
        f"PurpleAir's histories have no coordinates of the sensors {shown}; fix: stations=pd.DataFrame({{'id': {ids[:3]}, "
        f"{LON!r}: [...], {LAT!r}: [...]}})"
    )


FORMAT = Format("purpleair", "PurpleAir history", _read, matches=_matches, intervals=True)
