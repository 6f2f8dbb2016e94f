"""Codes for missing values, such as -999, never become a part of means over a step."""

import numpy as np
import pandas as pd
import pytest

import xaq
from xaq.errors import SchemaError


def table(code, name="pm25"):
    """Return quarter hours of three stations at 40, where one has a code in every eighth."""
    places = {"a": (10.0, 50.0), "b": (10.1, 50.0), "c": (10.0, 50.1)}
    times = pd.date_range("2020-01-01", periods=96, freq="15min")
    frames = []
    for station, (lon, lat) in places.items():
        values = np.full(96, 40.0)
        if station == "a":
            values[::8] = code
        frames.append(pd.DataFrame({"time": times, "station": station, "lon": lon, "lat": lat, name: values}))
    return pd.concat(frames)


@pytest.mark.parametrize("code", [-999.0, -99.9, 9999.0])
def test_a_table_with_codes_is_refused_and_the_fix_leaves_them_out(code):
    with pytest.raises(SchemaError, match=rf"12 values of {code:g}, .*; fix: na_values=\[{code:g}\]"):
        xaq.open_stations(table(code), tz="UTC", units={"pm25": "ug m-3"}, step="1h")
    ds = xaq.open_stations(table(code), tz="UTC", units={"pm25": "ug m-3"}, step="1h", na_values=[code])
    np.testing.assert_array_equal(ds.pm25.values[np.isfinite(ds.pm25.values)], 40.0)


def test_a_dataset_with_codes_is_refused_and_the_fix_leaves_them_out():
    ds = xaq.open_stations(table(-999.0), tz="UTC", units={"pm25": "ug m-3"})
    with pytest.raises(SchemaError) as refused:
        xaq.open_stations(ds, step="1h")
    exec(str(refused.value).rpartition(" of a dataset ")[2], {}, {"ds": ds})
    made = xaq.open_stations(ds, step="1h").pm25.values
    np.testing.assert_array_equal(made[np.isfinite(made)], 40.0)


def test_other_variables_may_have_such_values():
    ds = xaq.open_stations(table(-99.0, "charge").assign(pm25=8.0), tz="UTC", units={"pm25": "ug m-3"}, step="1h")
    assert float(ds.charge.min()) == pytest.approx((3 * 40 - 99) / 4)


@pytest.mark.parametrize("name", ["humidity", "temperature"])
def test_codes_of_weather_are_refused_too(name):
    """A humidity of -999 would change the PM2.5 of a sensor that is corrected with it."""
    frame = table(-999.0, name).assign(pm25=8.0)
    with pytest.raises(SchemaError, match=rf"'{name}' has 12 values of -999, .*; fix: na_values=\[-999\]"):
        xaq.open_stations(frame, tz="UTC", units={"pm25": "ug m-3"}, step="1h")
    ds = xaq.open_stations(frame, tz="UTC", units={"pm25": "ug m-3"}, step="1h", na_values=[-999])
    np.testing.assert_array_equal(ds[name].values[np.isfinite(ds[name].values)], 40.0)


def test_readings_of_purpleair_with_codes_are_refused(tmp_path):
    times = pd.date_range("2024-07-01", periods=720, freq="2min").strftime("%Y-%m-%dT%H:%M:%SZ")
    values = np.where(np.arange(720) % 30 == 7, -999.0, 39.0)
    frame = pd.DataFrame({"time_stamp": times, "sensor_index": 17, "pm2.5_cf_1_a": values, "pm2.5_cf_1_b": values})
    frame.to_csv(tmp_path / "17.csv", index=False)
    places = pd.DataFrame({"sensor_index": [17], "latitude": [38.5], "longitude": [-121.5]})
    with pytest.raises(SchemaError, match=r"24 values of -999, .*; fix: na_values=\[-999\]"):
        xaq.open_stations(tmp_path / "17.csv", stations=places, step="1h")
    ds = xaq.open_stations(tmp_path / "17.csv", stations=places, step="1h", na_values=[-999])
    np.testing.assert_array_equal(ds.pm25.values[np.isfinite(ds.pm25.values)], 39.0)
