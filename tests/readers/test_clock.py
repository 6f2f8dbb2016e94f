"""Dates and hours in columns of their own, and hour 24: the same dataset as with one column of timestamps."""

import datetime

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from made import assert_same

import xaq
from xaq.errors import SchemaError, XaqWarning

PLACES = pd.DataFrame({"station": list("ab"), "lon": [10.0, 10.5], "lat": [50.0, 50.2]})
HOURS = pd.date_range("2024-01-30", periods=48, freq="h")
TABLE = pd.DataFrame({"station": np.repeat(["a", "b"], 48), "time": [*HOURS, *HOURS], "pm25": np.arange(96.0)})
OPTIONS = {"stations": PLACES, "tz": "Asia/Shanghai"}
WHOLE = xaq.open_stations(TABLE, **OPTIONS)
T, REST = TABLE.time, TABLE.drop(columns="time")

#: A table with the hours 0 to 23, and options.
SPLIT = {
    "date and hour": (REST.assign(date=T.dt.strftime("%Y-%m-%d"), hour=T.dt.hour), {}),
    "dates of pandas": (REST.assign(Date=T.dt.normalize(), Hour=T.dt.hour.astype("int8")), {}),
    "day first": (REST.assign(date=T.dt.strftime("%d/%m/%Y"), hour=T.dt.hour), {}),
    "hour as text": (REST.assign(date=T.dt.strftime("%Y-%m-%d"), HR=T.dt.strftime("%H")), {}),
    "hour as float": (REST.assign(date=T.dt.strftime("%Y-%m-%d"), hour=T.dt.hour.astype(float)), {}),
    "hours and minutes": (REST.assign(date=T.dt.strftime("%Y-%m-%d"), hour=T.dt.strftime("%H:%M")), {}),
    "four digits": (REST.assign(date=T.dt.strftime("%Y-%m-%d"), hour=T.dt.strftime("%H%M")), {}),
    "date and time": (REST.assign(date=T.dt.strftime("%Y-%m-%d"), time=T.dt.strftime("%H:%M:%S")), {}),
    "time of day": (REST.assign(date=T.dt.strftime("%Y-%m-%d"), time=[datetime.time(t.hour) for t in T]), {}),
    "named date": (REST.assign(Datum=T.dt.strftime("%Y-%m-%d"), hour=T.dt.hour), {"columns": {"time": "Datum"}}),
    "year, month, day, hour": (REST.assign(year=T.dt.year, month=T.dt.month, day=T.dt.day, hour=T.dt.hour), {}),
}


@pytest.mark.parametrize("kind", SPLIT)
def test_date_and_hour_are_one_time(kind):
    table, options = SPLIT[kind]
    ds = xaq.open_stations(table, **OPTIONS, **options)
    xr.testing.assert_identical(ds, WHOLE)


def test_date_and_hour_in_files_and_wide_tables(tmp_path):
    table = SPLIT["date and hour"][0]
    table.to_csv(tmp_path / "long.csv", index=False)
    assert_same(xaq.open_stations(tmp_path / "long.csv", **OPTIONS), WHOLE)
    wide = table.pivot(index=["date", "hour"], columns="station", values="pm25").reset_index()
    wide.to_csv(tmp_path / "wide.csv", index=False)
    xr.testing.assert_equal(xaq.open_stations(tmp_path / "wide.csv", pollutant="pm25", **OPTIONS), WHOLE)


ENDS = T + pd.Timedelta("1h")
DAY_OF_END = (ENDS - pd.Timedelta("1min")).dt.strftime("%Y-%m-%d")
#: The same record with the ends of the hours, 1 to 24.
TO_24 = {
    "date and hour": REST.assign(date=DAY_OF_END, hour=T.dt.hour + 1),
    "date and time": REST.assign(date=DAY_OF_END, time=(T.dt.hour + 1).map("{:02d}:00".format)),
    "hhmm": REST.assign(date=DAY_OF_END, hour=(T.dt.hour + 1) * 100),
    "text": REST.assign(time=DAY_OF_END + (T.dt.hour + 1).map(" {:02d}:00".format)),
    "iso": REST.assign(time=DAY_OF_END + (T.dt.hour + 1).map("T{:02d}:00:00".format)),
    "offset": REST.assign(time=DAY_OF_END + (T.dt.hour + 1).map("T{:02d}:00:00+08:00".format)),
}


@pytest.mark.parametrize("kind", TO_24)
def test_hour_24_is_the_end_of_the_day(kind):
    with pytest.raises(SchemaError, match=r"24:00.*fix: timestamps='end'") as caught:
        xaq.open_stations(TO_24[kind], **OPTIONS)
    assert "drop" not in str(caught.value)
    ds = xaq.open_stations(TO_24[kind], timestamps="end", **OPTIONS)
    xr.testing.assert_equal(ds, WHOLE)


def test_hour_24_of_airnow(tmp_path):
    lines = [f"01/31/24|{h:02d}:00|A{s}|Site|-5|PM2.5|UG/M3|{h}.0|X" for s in range(2) for h in range(1, 25)]
    (tmp_path / "HourlyData_2024013100.dat").write_text("\n".join(lines) + "\n")
    sites = pd.DataFrame({"AQSID": ["A0", "A1"], "Latitude": [45, 45.1], "Longitude": [-70, -70.1]})
    with pytest.warns(XaqWarning, match="2 timestamps of 24:00 are read as 00:00 of the next day"):
        ds = xaq.open_stations(tmp_path / "HourlyData_2024013100.dat", stations=sites)
    assert ds.time.values[-1] == np.datetime64("2024-02-01T00:00")
    np.testing.assert_array_equal(ds.pm25[0], np.arange(1.0, 25.0))


@pytest.mark.parametrize(
    ("hours", "says"),
    [
        (T.dt.hour + 2, "no hour of a day, such as 25"),
        (T.dt.hour - 1, "such as -1"),
        (T.dt.hour.astype(str) + " o'clock", "such as"),
    ],
)
def test_hours_that_are_none_are_refused(hours, says):
    table = REST.assign(date=T.dt.strftime("%Y-%m-%d"), hour=hours)
    with pytest.raises(SchemaError, match=says):
        xaq.open_stations(table, **OPTIONS)


def test_a_column_of_hours_beside_whole_timestamps_is_a_variable():
    ds = xaq.open_stations(TABLE.assign(hour=T.dt.hour), **OPTIONS)
    np.testing.assert_array_equal(ds.time, WHOLE.time)
    np.testing.assert_array_equal(ds.pm25, WHOLE.pm25)


def test_times_of_day_without_a_date_are_not_times_of_today():
    for times in (T.dt.strftime("%H:%M"), T.dt.strftime("%H:%M:%S")):
        with pytest.raises(SchemaError, match="has no date"):
            xaq.open_stations(REST.assign(time=times), **OPTIONS)
