"""Sensor.Community (luftdaten.info): the archive, ``2017-10-13_sds011_sensor_5331.csv``.

Times are UTC. A sensor measures at the end of a cycle of about 2.5 minutes and reports at once, so that its times label the
end. A station is a sensor.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pandas as pd
import xarray as xr

from ..conventions import INSTRUMENT, LAT, LON, MASS_UNITS, STATION, TIME
from ..errors import SchemaError
from .assembly import PARAMETER, UNITS, VALUE, Rows, assemble, lower_names
from .entries import readings_as_numbers
from .instruments import recorded
from .intervals import check_rows, on_steps, readings
from .source import Format, Request, Source, gather
from .times import to_utc

#: Variables and units by column.
_VARIABLES = {
    "p1": ("pm10", MASS_UNITS), "p2": ("pm25", MASS_UNITS), "p0": ("pm1", MASS_UNITS), "temperature": ("temperature", "degC"),
    "humidity": ("humidity", "%"), "pressure": ("pressure", "Pa"),
}  # fmt: skip
_NEEDED = ("sensor_id", "sensor_type", "lat", "lon", "timestamp")


def _matches(header: Collection[str]) -> bool:
    return set(_NEEDED) <= set(header)


def _read(source: Source, request: Request) -> xr.Dataset:
    places = request.places(identifiers=("sensor_id",))
    request.check_taken(places)
    pieces = [_rows(frame) for frame in source.frames(request, identifiers=("sensor_id",))]
    rows = gather(pieces)
    check_rows(rows.frame)
    frame = rows.frame.assign(**{TIME: to_utc(rows.frame[TIME], request.tz, own="UTC")})
    frame = readings(frame, request.timestamps or "end")
    made, step, notes = on_steps(Rows(frame, rows.names), request.step)
    return recorded(assemble(made, places, tz="UTC", step=step), notes)


def _rows(frame: pd.DataFrame) -> Rows:
    columns = lower_names(frame.columns)
    absent = [c for c in _NEEDED if c not in columns]
    measured = [c for c in _VARIABLES if c in columns]
    if absent or not measured:
        raise SchemaError(
            f"no column {', '.join(absent) or 'of ' + ', '.join(_VARIABLES)}; fix: files of the archive, with sensor_id, sensor_type, "
            "lat, lon, timestamp, P1, P2"
        )
    table = frame.rename(columns={c: low for low, c in columns.items()})
    named = {"sensor_id": STATION, "sensor_type": INSTRUMENT, "lat": LAT, "lon": LON, "timestamp": TIME}
    base: Any = table[list(named)].rename(columns=named)
    parts = [
        base.assign(**{PARAMETER: name, UNITS: units, VALUE: readings_as_numbers(table[column], name)})
        for column, (name, units) in _VARIABLES.items()
        if column in measured
    ]
    return Rows(pd.concat(parts, ignore_index=True), {new: str(columns[old]) for old, new in named.items()})


FORMAT = Format(
    "sensor_community",
    "Sensor.Community archive",
    _read,
    files=("????-??-??_*_sensor_*.csv", "????-??-??_*_sensor_*.csv.gz"),
    also=("????-??_*.csv", "????-??_*.csv.gz", "????-??_*.zip"),  # a month of all sensors of a type
    matches=_matches,
    timestamps="end",
    intervals=True,
)
