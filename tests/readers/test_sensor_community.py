"""Sensor.Community: files of the archive, readings every 2.5 minutes or so."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xaq.errors import SchemaError, XaqWarning
from xaq.readers.dispatch import open_stations


def readings(n=30, every=148, gap=0, **more):
    seconds = every * np.arange(n) + np.where(np.arange(n) >= n // 2, gap, 0)
    times = pd.Timestamp("2017-10-13 20:00:38") + pd.to_timedelta(seconds, unit="s")
    return pd.DataFrame({
        "sensor_id": 5331, "sensor_type": "SDS011", "location": 3121, "lat": 57.138, "lon": -2.077,
        "timestamp": times.map(lambda t: t.isoformat()), "P1": 21.4 + np.arange(n), "durP1": np.nan, "ratioP1": np.nan,
        "P2": 5.0 + np.arange(n), "durP2": np.nan, "ratioP2": np.nan, **more,
    })  # fmt: skip


def test_hours_of_readings(tmp_path):
    readings(60).to_csv(tmp_path / "2017-10-13_sds011_sensor_5331.csv", sep=";", index=False)
    ds = open_stations(tmp_path, step="1h")
    assert ds.station.values.tolist() == ["5331"]
    assert ds.instrument.values.tolist() == ["SDS011"]
    assert str(ds.time.values[0]) == "2017-10-13T19:00:00"
    assert {n: ds[n].attrs["units"] for n in ds.data_vars} == {"pm10": "ug m-3", "pm25": "ug m-3"}
    # Readings 1 to 24 end in the hour from 20:00; the 25th lies in it by 48 of its 148 seconds, the first by 38.
    weights = np.array([38, *[148] * 24, 10])
    assert weights.sum() == 3600
    expected = (weights * (5.0 + np.arange(26))).sum() / 3600
    assert ds.pm25.sel(time="2017-10-13T20").item() == pytest.approx(expected, rel=1e-6)
    assert ds.pm10.sel(time="2017-10-13T20").item() == pytest.approx(expected + 16.4, rel=1e-6)


def test_without_a_step_the_error_names_one_that_works():
    table = readings(gap=2000)
    with pytest.raises(
        SchemaError, match=r"values of 5331 begin 148s to 2111s after each other, most often 148s.*fix: step='5min'"
    ) as caught:
        open_stations(table)
    assert open_stations(table, step=str(caught.value).split("step='")[1].split("'")[0]).pm25.notnull().any()


def test_an_hour_of_which_less_than_three_quarters_is_observed_is_missing():
    ds = open_stations(readings(60, gap=1800), step="1h")
    assert ds.pm25.notnull().values[0].tolist()[:3] == [False, True, False]


def test_sensors_of_weather_and_a_file_of_neither():
    table = (
        readings(50)
        .drop(columns=["P1", "P2"])
        .assign(temperature=11.0, humidity=80.0, pressure=101000.0, sensor_type="BME280")
    )
    ds = open_stations(table, step="1h")
    assert ds.pressure.attrs["units"] == "Pa"
    assert ds.temperature.sel(time="2017-10-13T20").item() == 11.0
    with pytest.raises(SchemaError, match="no column of p1, p2"):
        open_stations(table.drop(columns=["temperature", "humidity", "pressure"]), step="1h")


@pytest.mark.parametrize("folder", [False, True])
def test_files_of_a_month_are_known_by_their_header_not_by_their_name(tmp_path, folder):
    path = tmp_path / "2017-10_sds011.csv"
    readings(60).to_csv(path, sep=";", index=False)
    assert "pm25" in open_stations(tmp_path if folder else path, step="1h")
    path.write_text("station,time,lon,lat,pm25\na,2020-01-01 00:00,10,50,1\na,2020-01-01 01:00,10,50,2\n")
    assert open_stations(tmp_path if folder else path, tz="UTC").pm25.values.tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize("compression", [None, "gzip", "zip"])
def test_a_folder_of_days_and_months_is_read_as_one_record(tmp_path, compression):
    whole, suffix = readings(120), {None: ".csv", "gzip": ".csv.gz", "zip": ".zip"}[compression]
    whole.iloc[60:].to_csv(tmp_path / "2017-10-13_sds011_sensor_5331.csv", sep=";", index=False)
    month = pd.concat([whole.iloc[:80], readings(60).assign(sensor_id=7, lat=57.2)])
    month.to_csv(tmp_path / f"2017-10_sds011{suffix}", sep=";", index=False, compression=compression)
    (tmp_path / "2017-10_notes.csv").write_text("a;b\n1;2\n")
    ds = open_stations(tmp_path, step="1h")
    assert ds.station.values.tolist() == ["5331", "7"]
    xr.testing.assert_equal(ds.sel(station=["5331"]), open_stations(whole, step="1h"))


def test_readings_that_are_no_numbers_are_said():
    table = readings(60)
    with pytest.warns(XaqWarning, match="60 of 60 readings of pm25 are no numbers, such as '5,0', and are missing"):
        ds = open_stations(table.assign(P2="5,0"), step="1h")
    assert np.isnan(ds.pm25).all()
    np.testing.assert_array_equal(ds.pm10, open_stations(table, step="1h").pm10)
