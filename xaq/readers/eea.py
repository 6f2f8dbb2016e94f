"""European Environment Agency: Parquet of the download service, and the older CSV export (E1a, E2a, AirBase).

``Start`` and ``DatetimeBegin`` are beginnings; hourly data are in UTC+1 all year (EEA, description of the download service and
table definition of AQ e-Reporting), daily data are days. Rows whose ``Validity`` is 0 or less are not valid and are not
read. Hours and days do not mix in one dataset.

The Parquet files name sampling points, one per pollutant. EEA's metadata table as ``stations=`` joins those of one station: it
has a column for the sampling point and one for the station's EoI code, which becomes the station's identifier.
"""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd
import xarray as xr

from ..conventions import STATION, TIME
from ..errors import SchemaError
from .assembly import PARAMETER, UNITS, VALUE, Rows, assemble
from .source import Format, Request, Source, gather

#: EEA's vocabulary of pollutants, those that xaq knows: http://dd.eionet.europa.eu/vocabulary/aq/pollutant
_POLLUTANTS = {
    1: "so2", 5: "pm10", 7: "o3", 8: "no2", 10: "co", 38: "no", 6001: "pm25", 6002: "pm1",
}  # fmt: skip
_PARQUET = {
    "samplingpoint": STATION, "pollutant": PARAMETER, "start": TIME, "value": VALUE, "unit": UNITS, "aggtype": "every",
    "validity": "validity",
}  # fmt: skip
_CSV = {
    "airqualitystationeoicode": STATION, "airpollutant": PARAMETER, "datetimebegin": TIME, "concentration": VALUE,
    "unitofmeasurement": UNITS, "averagingtime": "every", "validity": "validity",
}  # fmt: skip
_POINT_NAMES = ("sampling point id", "samplingpoint", "sampling point", "samplingpointid", "assessmentmethodid")
_CODE_NAMES = ("air quality station eoi code", "airqualitystationeoicode", "eoi code", "eoicode")


def _looks(header: Collection[str]) -> bool:
    have = set(header)
    return {"samplingpoint", "start", "value"} <= have or {"airqualitystationeoicode", "datetimebegin"} <= have


def _read(source: Source, said: Request) -> xr.Dataset:
    rows = gather([_rows(frame) for frame in source.frames(said, identifiers=("samplingpoint", *_CODE_NAMES))])
    every = rows.frame["every"].dropna().unique()
    if len(every) > 1:
        raise SchemaError(
            f"holds averages over {', '.join(sorted(every))}; fix: open one kind at a time, from the files of that kind"
        )
    times = rows.frame[TIME]
    if list(every) == ["day"]:
        # Days are days: the offset only says whose.
        times = pd.to_datetime(times.astype(str).str.slice(0, 10), format="%Y-%m-%d", errors="coerce")
    frame = rows.frame.drop(columns="every").assign(**{TIME: times})
    places = _places(said)
    if places is not None and "point" in places.frame:
        frame, places = _by_station(frame, places)
    return assemble(Rows(frame, rows.names), places, tz=said.tz or "Etc/GMT-1")


def _rows(frame: pd.DataFrame) -> Rows:
    lower = {str(c).strip().lower(): c for c in frame.columns}
    columns = _PARQUET if "samplingpoint" in lower and "start" in lower else _CSV
    absent = [c for c in columns if c not in lower]
    if absent:
        raise SchemaError(
            f"no column {', '.join(absent)}; the download service gives Samplingpoint, Pollutant, Start, Value, Unit, AggType, "
            "Validity, the older export AirQualityStationEoICode, AirPollutant, DatetimeBegin, Concentration, "
            "UnitOfMeasurement, AveragingTime, Validity"
        )
    rows = frame[[lower[c] for c in columns]].rename(columns={lower[c]: role for c, role in columns.items()})
    rows = rows[pd.to_numeric(rows.pop("validity"), errors="coerce") > 0]
    rows = rows.assign(every=rows["every"].astype(str).str.strip().str.lower())
    if columns is _PARQUET:
        codes = pd.to_numeric(rows[PARAMETER], errors="coerce")
        unknown = sorted(set(codes.dropna().astype(int)) - set(_POLLUTANTS)) if len(codes) else []
        if unknown or codes.isna().any():
            raise SchemaError(
                f"pollutant {', '.join(map(str, unknown)) or 'is no code'}: xaq knows the codes "
                f"{', '.join(f'{k} ({v})' for k, v in _POLLUTANTS.items())}; fix: leave the files of the others out"
            )
        rows = rows.assign(**{PARAMETER: codes.astype(int).map(_POLLUTANTS)})
        # "AT/SPO.02..." in the data is "SPO.02..." in the metadata.
        rows = rows.assign(**{STATION: rows[STATION].astype("str").str.replace(r"^[A-Z]{2}/", "", regex=True)})
    return Rows(rows, {role: str(lower[c]) for c, role in columns.items()})


def _places(said: Request) -> Rows | None:
    """Return the station list: with EoI codes and, where it has them, sampling points as ``point``."""
    places = said.places(identifiers=(*_CODE_NAMES, *_POINT_NAMES))
    if places is None:
        return None
    point = next((c for c in places.frame.columns if str(c).replace("_", " ") in _POINT_NAMES), None)
    return places if point is None else Rows(places.frame.rename(columns={point: "point"}), places.names, places.units)


def _by_station(frame: pd.DataFrame, places: Rows) -> tuple[pd.DataFrame, Rows]:
    """Return rows under the code of their station, where the list knows their sampling point."""
    listed = places.frame.dropna(subset=["point", STATION])
    points = listed["point"].astype(str).str.replace(r"^[A-Z]{2}/", "", regex=True)
    code = dict(zip(points, listed[STATION].astype(str), strict=True))
    known = frame[STATION].map(lambda s: code.get(s, s))
    return frame.assign(**{STATION: known}), Rows(listed.drop(columns="point"), places.names, places.units)


FORMAT = Format("eea", "EEA Parquet or CSV export", _read, looks=_looks)
