"""US AirNow: ``HourlyData_YYYYMMDDHH.dat`` (a row per monitor, no header) and ``HourlyAQObs_YYYYMMDDHH.dat`` (per site).

Columns as in the fact sheets of the AirNow API (HourlyData, HourlyAQObs, Monitoring Site). Times are GMT and label the
start of the averaging period (US EPA, RETIGO's reader of AirNow). ``-999`` and blanks are missing values.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import pandas as pd
import xarray as xr

from ..arrays import timesteps
from ..conventions import ELEVATION, LAT, LON, NAME, STATION, TIME, match_key
from ..errors import SchemaError, warn
from .assembly import PARAMETER, UNITS, VALUE, Rows, assemble, lower_names
from .source import Format, Request, Source, gather
from .times import hour_24

_HOURLY = ("date", "clock", STATION, "sitename", "gmtoffset", PARAMETER, UNITS, VALUE, "source")
_AQOBS = ("OZONE", "PM25", "PM10", "NO2", "CO", "SO2")
_SITES_V1 = (
    "aqsid", "parameter", "sitecode", "sitename", "status", "agencyid", "agencyname", "eparegion", "latitude", "longitude",
    "elevation", "gmtoffset", "country", "cmsa", "cmsaname", "msa", "msaname", "statecode", "statename", "countycode",
    "countyname", "citycode", "cityname",
)  # fmt: skip
_MISSING = -999.0


def _matches(header: Collection[str]) -> bool:
    return {"aqsid", "validdate", "validtime"} <= set(header) or (
        len({h.lower() for h in header}) >= 8 and any(re.fullmatch(r"\d\d/\d\d/\d\d", h) for h in header)
    )


def _read(source: Source, request: Request) -> xr.Dataset:
    if _has_header(source.header(request)):
        pieces = [_of_sites(frame) for frame in source.frames(request, identifiers=("aqsid",))]
    elif source.frame is not None:
        raise SchemaError("HourlyData is read from files, not from a frame; fix: pass the path")
    else:
        pieces = [_of_monitors(frame) for frame in source.frames(request, identifiers=(STATION,), names=_HOURLY)]
    rows = gather(pieces)
    places = _places(request)
    request.check_taken(places)
    return assemble(rows, places, tz=request.tz, own_tz="UTC", step=timesteps.HOUR, whole_network=places is not None)


def _has_header(header: Collection[str]) -> bool:
    return any(match_key(h) in ("aqsid", "validdate") for h in header)


def _of_monitors(frame: pd.DataFrame) -> Rows:
    times = _timestamps(frame["date"], frame["clock"])
    keep = frame[[STATION, PARAMETER, UNITS, VALUE]].assign(**{NAME: frame["sitename"], TIME: times})
    return Rows(_present(keep), {STATION: "AQSID"})


def _of_sites(frame: pd.DataFrame) -> Rows:
    columns = lower_names(frame.columns)
    absent = [c for c in ("aqsid", "validdate", "validtime", "latitude", "longitude") if c not in columns]
    if absent:
        raise SchemaError(
            f"no column {', '.join(absent)}; fix: files with AQSID, Latitude, Longitude, ValidDate, ValidTime"
        )
    frame = frame.rename(columns={c: low for low, c in columns.items()})
    places = {STATION: frame["aqsid"], LAT: frame["latitude"], LON: frame["longitude"]}
    if "elevation" in frame:
        places[ELEVATION] = frame["elevation"]
    if "sitename" in frame:
        places[NAME] = frame["sitename"]
    times = _timestamps(frame["validdate"], frame["validtime"])
    parts = [
        pd.DataFrame({
            **places, TIME: times, PARAMETER: name, VALUE: frame[name.lower()], UNITS: frame.get(f"{name.lower()}_unit"),
        })
        for name in _AQOBS
        if name.lower() in frame
    ]  # fmt: skip
    if not parts:
        raise SchemaError(f"no column of a pollutant; fix: files with one of {', '.join(_AQOBS)}")
    return Rows(_present(pd.concat(parts, ignore_index=True)), {STATION: "AQSID"})


def _timestamps(date: pd.Series, clock: pd.Series) -> pd.Series:
    text = date.astype(str).str.strip() + " " + clock.astype(str).str.strip()
    late = hour_24(text)
    if late.any():
        warn(
            f"{int(late.sum())} timestamps of 24:00 are read as 00:00 of the next day, the start of an hour; "
            "fix: timestamps='end' if they label the end"
        )
    text = text.mask(late, text.str.replace(r"24:00$", "00:00", regex=True))
    long = text.str.match(r"\d\d/\d\d/\d{4} ")
    times = pd.to_datetime(text.where(long), format="%m/%d/%Y %H:%M", errors="coerce")
    times = times.fillna(pd.to_datetime(text.where(~long), format="%m/%d/%y %H:%M", errors="coerce"))
    return times + pd.to_timedelta(late.astype(int), unit="D")


def _present(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with a value: blank and -999 stand for a variable that is not measured or missing."""
    return frame[frame[VALUE].notna() & (pd.to_numeric(frame[VALUE], errors="coerce") != _MISSING)]


def _places(request: Request) -> Rows | None:
    """Return the station list: any table, or AirNow's own with a header (V2) or without (V1)."""
    if request.stations is None:
        return None
    if not isinstance(request.stations, pd.DataFrame):
        header = Source.of(request.stations).header(request.of_list)
        if len(header) == len(_SITES_V1) and not _has_header(header):
            return request.places(identifiers=("aqsid",), names=_SITES_V1)
    return request.places(identifiers=("aqsid",))


FORMAT = Format(
    "airnow", "US AirNow hourly files", _read, matches=_matches,
    files=("HourlyData_*.dat", "HourlyData_*.dat.gz", "HourlyAQObs_*.dat", "HourlyAQObs_*.dat.gz", "HourlyAQObs_*.csv"),
)  # fmt: skip
