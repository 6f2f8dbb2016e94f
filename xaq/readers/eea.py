"""European Environment Agency: Parquet of the download service, and the older CSV export (E1a, E2a, AirBase).

``Start`` and ``DatetimeBegin`` label the start of the interval. Hourly data are in UTC+1 all year (EEA, description of the
download service and table definition of AQ e-Reporting); daily data are local days. Rows with a ``Validity`` of 0 or less
are invalid and are left out. A dataset holds hours or days, never both.

The Parquet files name sampling points, one per pollutant. With EEA's metadata table as ``stations=``, the sampling points of
one station are joined: the table has a column for the sampling point and one for the station's EoI code, which becomes
the station's identifier. Several sampling points of one pollutant at a station stay apart (``readers.instruments``).
"""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd
import xarray as xr

from ..arrays import timesteps
from ..conventions import STATION, TIME, canonical_name
from ..errors import SchemaError, warn
from ..stations.schema import some
from .assembly import PARAMETER, UNITS, VALUE, Rows, assemble, lower_names
from .instruments import MONITOR, apart, recorded
from .source import Format, Request, Source, gather

#: The pollutants that xaq knows, by their codes in EEA's vocabulary: http://dd.eionet.europa.eu/vocabulary/aq/pollutant
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
#: Averaging times; others are known from the times of the data.
_STEPS = {"hour": timesteps.HOUR, "day": timesteps.DAY}
_POINT_NAMES = ("sampling point id", "samplingpoint", "sampling point", "samplingpointid", "assessmentmethodid")
_CODE_NAMES = (
    "air quality station eoi code", "airqualitystationeoicode", "air.quality.station.eoi.code", "eoi code", "eoicode",
)  # fmt: skip


def _matches(header: Collection[str]) -> bool:
    have = set(header)
    return {"samplingpoint", "start", "value"} <= have or {"airqualitystationeoicode", "datetimebegin"} <= have


def _read(source: Source, request: Request) -> xr.Dataset:
    rows = gather([_rows(frame) for frame in source.frames(request, identifiers=("samplingpoint", *_CODE_NAMES))])
    every = rows.frame["every"].dropna().unique()
    if len(every) > 1:
        raise SchemaError(f"holds averages over {', '.join(sorted(every))}; fix: open the files of one of them")
    times = rows.frame[TIME]
    if list(every) == ["day"]:
        # Only the date counts: the offset tells whose local day it is.
        text = times.astype(str)
        clock = text.str.extract(r"[T ](\d\d:\d\d)")[0]
        late = clock.notna() & (clock != "00:00")
        if late.any():
            warn(
                f"{int(late.sum())} values of days begin at {some(sorted(clock[late].unique()), 3)}, not at 00:00: each is taken for that of "
                "the date on which it begins; fix: table['Start'] in the local time of the network, if it is in UTC"
            )
        times = pd.to_datetime(text.str.slice(0, 10), format="%Y-%m-%d", errors="coerce")
    frame = rows.frame.drop(columns="every").assign(**{TIME: times})
    rows, places, notes = Rows(frame, rows.names), _places(request, frame[PARAMETER]), list[str]()
    request.check_taken(places)
    if places is not None and "point" in places.frame:
        frame, places = _by_station(frame, places)
        called = [rows.called(role) for role in (STATION, PARAMETER, TIME)]
        rows, places, notes = apart(Rows(frame, rows.names), places, called)
    step = _STEPS.get(str(every[0])) if len(every) else None
    return recorded(assemble(rows, places, tz=request.tz, own_tz="Etc/GMT-1", step=step), notes)


def _rows(frame: pd.DataFrame) -> Rows:
    lower = lower_names(frame.columns)
    columns = _PARQUET if "samplingpoint" in lower and "start" in lower else _CSV
    absent = [c for c in columns if c not in lower]
    if absent:
        raise SchemaError(
            f"no column {', '.join(absent)}; fix: files of the download service with Samplingpoint, Pollutant, Start, Value, Unit, "
            "AggType, Validity, or of the older export with AirQualityStationEoICode, AirPollutant, DatetimeBegin, Concentration, "
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
                f"pollutant {', '.join(map(str, unknown)) or 'is not a code'}: xaq knows the codes "
                f"{', '.join(f'{k} ({v})' for k, v in _POLLUTANTS.items())}; fix: leave the files of the others out"
            )
        rows = rows.assign(**{PARAMETER: codes.astype(int).map(_POLLUTANTS)})
        # "AT/SPO.02..." in the data is "SPO.02..." in the metadata.
        rows = rows.assign(**{STATION: rows[STATION].astype("str").str.replace(r"^[A-Z]{2}/", "", regex=True)})
    return Rows(rows, {role: str(lower[c]) for c, role in columns.items()})


def _places(request: Request, parameters: pd.Series) -> Rows | None:
    """Return the station list with EoI codes and, where it has them, sampling points in the column ``point``.

    EEA gives the type of a station by pollutant: where the list has rows of the pollutants in the data, the others are left out.
    """
    places = request.places(identifiers=(*_CODE_NAMES, *_POINT_NAMES))
    if places is None:
        return None
    frame = places.frame
    if "airpollutantcode" in frame and STATION in frame:
        code = pd.to_numeric(frame["airpollutantcode"].astype(str).str.rsplit("/", n=1).str[-1], errors="coerce")
        wanted = code.map(_POLLUTANTS).isin({canonical_name(str(name)) for name in parameters.unique()})
        frame = frame[wanted | ~frame[STATION].isin(frame[STATION][wanted])]
    point = next((c for c in frame.columns if str(c).replace("_", " ") in _POINT_NAMES), None)
    return Rows(frame if point is None else frame.rename(columns={point: "point"}), places.names, places.units)


def _by_station(frame: pd.DataFrame, places: Rows) -> tuple[pd.DataFrame, Rows]:
    """Return the rows under the EoI code of their station, where the list has their sampling point, which tells them apart.

    Of the list, only the rows of these sampling points are kept: other instruments of a station are not those of the data.
    """
    listed = places.frame.dropna(subset=["point", STATION])
    points = listed["point"].astype(str).str.replace(r"^[A-Z]{2}/", "", regex=True)
    code = dict(zip(points, listed[STATION].astype(str), strict=True))
    known = frame[STATION].map(lambda s: code.get(s, s))
    used = listed[points.isin(frame[STATION].unique())]
    listed = used if len(used) else listed
    return frame.assign(**{STATION: known, MONITOR: frame[STATION]}), Rows(
        listed.drop(columns="point"), places.names, places.units
    )


FORMAT = Format("eea", "EEA Parquet or CSV export", _read, matches=_matches)
