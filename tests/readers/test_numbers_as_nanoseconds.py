"""Numbers since 1970 that pandas took for nanoseconds: times of 1970, in which no network measured."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xaq
from xaq.errors import SchemaError
from xaq.readers.dispatch import open_stations

N = 48
PLACES = pd.DataFrame({"station": ["a"], "lon": [-73.7], "lat": [42.7]})
FACTORS = {"s": 1, "ms": 10**3, "us": 10**6}


def numbers(unit, every=3600):
    return (1656720000 + every * np.arange(N)) * FACTORS[unit]


def table_of(times):
    return pd.DataFrame({"station": "a", "time": times, "pm25": 1.0 + np.arange(N)})


def fix_of(error):
    return str(error).split("fix: ")[1].split(", where")[0]


@pytest.mark.parametrize("unit", FACTORS)
@pytest.mark.parametrize("every", [60, 3600, 86400])
@pytest.mark.parametrize("as_text", [False, True])
def test_the_error_names_the_unit_and_its_fix_works(unit, every, as_text):
    times = pd.to_datetime(numbers(unit, every))
    names = {"table": table_of(times.astype(str) if as_text else times), "pd": pd}
    with pytest.raises(SchemaError, match=r"times are in January 1970, .* nanoseconds; fix: ") as raised:
        open_stations(names["table"], stations=PLACES, tz="Asia/Shanghai")
    exec(fix_of(raised.value), names)
    ds = open_stations(names["table"], stations=PLACES, tz="Asia/Shanghai")
    assert ds.time.values.astype("datetime64[s]").astype(int).tolist() == numbers("s", every).tolist()


@pytest.mark.parametrize("unit", FACTORS)
def test_a_dataset_of_such_times(unit):
    ds = xr.Dataset(
        {"pm25": (("station", "time"), np.ones((1, N)), {"units": "ug m-3"})},
        {"station": ["a"], "lon": ("station", [1.0]), "lat": ("station", [2.0]), "time": pd.to_datetime(numbers(unit))},
    )
    with pytest.raises(SchemaError, match=r"times are in January 1970, .*fix: ds\.assign_coords") as raised:
        open_stations(ds)
    fixed = open_stations(eval(fix_of(raised.value), {"ds": ds, "pd": pd}))
    assert fixed.time.values.astype("datetime64[s]").astype(int).tolist() == numbers("s").tolist()


@pytest.mark.parametrize(("unit", "floor"), [("s", "1s"), ("s", "1min"), ("ms", "h"), ("ms", "D")])
def test_times_that_are_equal_since_they_were_rounded(unit, floor):
    times = pd.to_datetime(numbers(unit, 60)).floor(floor)
    names = {"table": table_of(times), "pd": pd, "numbers": numbers(unit, 60)}
    with pytest.raises(
        SchemaError, match=r"rows have times in the first hour of 1970, .*nanoseconds.*; fix: "
    ) as raised:
        open_stations(names["table"], stations=PLACES, tz="UTC")
    exec(fix_of(raised.value).replace("unit='s'", f"unit={unit!r}"), names)
    ds = open_stations(names["table"], stations=PLACES)
    assert ds.time.values.astype("datetime64[s]").astype(int).tolist() == numbers("s", 60).tolist()


def test_records_of_1970_and_times_with_noise_are_read():
    for start in ("1970-01-01", "1970-01-05 07:00"):
        times = pd.date_range(start, periods=N, freq="h")
        assert open_stations(table_of(times), stations=PLACES, tz="UTC").sizes["time"] == N
    for start in ("1969-12-01", "1970-03-01", "2020-01-01"):
        noisy = pd.date_range(start, periods=N, freq="h") + pd.to_timedelta(np.arange(N) % 2 * 0.2, unit="s")
        with pytest.warns(xaq.errors.XaqWarning, match="are rounded"):
            open_stations(table_of(noisy), stations=PLACES, tz="UTC")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_histories_of_purpleair_with_dates_in_place_of_seconds(unit):
    times = pd.to_datetime(numbers("s"), unit="s")
    table = pd.DataFrame({"id": "a", "time_stamp": times.as_unit(unit), "pm2.5_cf_1_a": 1.0, "pm2.5_cf_1_b": 1.0})
    places = PLACES.rename(columns={"station": "id"})
    for made in (table, table.assign(time_stamp=table.time_stamp.dt.tz_localize("UTC"))):
        np.testing.assert_array_equal(open_stations(made, stations=places).time, times)
    names = {"table": table.assign(time_stamp=pd.to_datetime(numbers("ms"))), "pd": pd}
    with pytest.raises(SchemaError, match=r"times are in January 1970, ") as raised:
        open_stations(names["table"], stations=places)
    exec(fix_of(raised.value), names)
    np.testing.assert_array_equal(open_stations(names["table"], stations=places).time, times)
