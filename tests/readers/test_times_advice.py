"""Times that need advice: applying it, as written in the message, gives the right dataset."""

import re

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from xaq.errors import SchemaError, XaqWarning
from xaq.readers.dispatch import open_stations

PLACES = pd.DataFrame({"station": ["a", "b"], "lon": [116.3, 116.5], "lat": [39.9, 40.0]})
HOURS = pd.date_range("2020-01-02", periods=30, freq="h")


def table_of(times, other=None):
    other = times if other is None else other
    n = len(times)
    return pd.DataFrame({
        "station": np.repeat(["a", "b"], n), "time": [*times, *other], "PM2.5": np.arange(2 * n, dtype=float),
    })  # fmt: skip


def after_advice(table):
    with pytest.raises(SchemaError) as raised:
        open_stations(table, stations=PLACES, tz="UTC")
    text = str(raised.value)
    assert text.count("fix:") == 1
    made = {"table": table.copy(), "pd": pd}
    exec(re.split(r", (?:or|with) ", text.split("fix: ")[1])[0], made)
    return open_stations(made["table"], stations=PLACES, tz="UTC")


@pytest.mark.parametrize(
    ("how", "freq"),
    [("%Y%m%d%H", "h"), ("%Y%m%d%H%M", "h"), ("%Y%m%d%H%M%S", "h"), ("%Y%m%d", "D")],
)
@pytest.mark.parametrize("kind", [int, str, float])
def test_dates_written_as_numbers(how, freq, kind):
    times = pd.date_range("2020-01-02", periods=30, freq=freq)
    table = table_of([kind(int(t.strftime(how))) for t in times])
    if kind is str and how in ("%Y%m%d", "%Y%m%d%H%M", "%Y%m%d%H%M%S"):
        ds = open_stations(table, stations=PLACES, tz="UTC")  # pandas reads these by itself
    else:
        ds = after_advice(table)
    np.testing.assert_array_equal(ds["time"].values, times.values.astype("datetime64[s]"))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("kind", [int, str])
def test_times_since_1970(unit, kind):
    numbers = [kind(n) for n in HOURS.as_unit(unit).asi8]
    ds = after_advice(table_of(numbers))
    np.testing.assert_array_equal(ds["time"].values, HOURS.values.astype("datetime64[s]"))


@pytest.mark.filterwarnings("ignore::xaq.errors.XaqWarning")
def test_days_as_excel_counts_them():
    numbers = (HOURS - pd.Timestamp("1899-12-30")) / pd.Timedelta("1D")
    ds = after_advice(table_of(numbers))
    np.testing.assert_array_equal(ds["time"].values, HOURS.values.astype("datetime64[s]"))


@pytest.mark.parametrize("how", ["%d/%m/%y %H:%M", "%d.%m.%y %H:%M:%S", "%d-%m-%y"])
def test_years_of_two_digits_are_not_guessed(how):
    times = pd.date_range("2020-01-02", periods=12, freq="D")
    ds = after_advice(table_of(times.strftime(how)))
    np.testing.assert_array_equal(ds["time"].values, times.values.astype("datetime64[s]"))


def test_days_first_stay_first_where_times_are_written_in_several_ways():
    times = pd.date_range("2020-01-02", periods=20, freq="D")
    table = table_of([t.strftime("%d/%m/%Y %H:%M") if i % 2 else t.strftime("%d/%m/%Y") for i, t in enumerate(times)])
    ds = after_advice(table)
    np.testing.assert_array_equal(ds["time"].values, times.values.astype("datetime64[s]"))


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    most=st.sampled_from([3e-6, 4e-4, 0.1, 0.45]),
    freq=st.sampled_from(["h", "15min", "1D", "30s"]),
)
def test_stations_with_noise_of_their_own(seed, most, freq):
    rng = np.random.default_rng(seed)
    times = pd.date_range("2020-01-02", periods=30, freq=freq)
    noisy = [times + pd.to_timedelta(rng.uniform(-most, most, len(times)), "s") for _ in range(2)]
    with pytest.warns(XaqWarning, match="rounded"):
        ds = open_stations(table_of(*noisy), stations=PLACES, tz="UTC")
    np.testing.assert_array_equal(ds["time"].values, times.values.astype("datetime64[s]"))
    np.testing.assert_array_equal(ds["pm25"].values.ravel(), np.arange(60))


@pytest.mark.parametrize("bursts", [1, 5])
def test_steps_below_a_second_are_refused(bursts):
    times = pd.DatetimeIndex(
        [
            pd.Timestamp("2020-01-02") + pd.Timedelta(hours=h, milliseconds=100 * i)
            for h in range(bursts)
            for i in range(40)
        ]
    )
    with pytest.raises(SchemaError, match="at least a second"):
        open_stations(table_of(times), stations=PLACES, tz="UTC")


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), most=st.sampled_from([1, 2]), freq=st.sampled_from(["h", "2min", "15min"]))
def test_noise_of_seconds_is_refused_and_the_fix_rounds_it(seed, most, freq):
    rng = np.random.default_rng(seed)
    times = pd.date_range("2020-01-02", periods=200, freq=freq)
    noisy = [times + pd.to_timedelta(rng.integers(-most, most + 1, len(times)), "s") for _ in range(2)]
    ds = after_advice(table_of(*noisy))
    np.testing.assert_array_equal(ds["time"].values, times.values.astype("datetime64[s]"))
    np.testing.assert_array_equal(ds["pm25"].values.ravel(), np.arange(400))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), stations=st.sampled_from([1, 2]))
def test_noise_of_minutes_is_refused_and_the_fix_rounds_it(seed, stations):
    rng = np.random.default_rng(seed)
    times = pd.date_range("2020-01-02", periods=60, freq="h")
    noisy = [times + pd.to_timedelta(rng.integers(-2, 3, len(times)), "min") for _ in range(2)]
    table = table_of(*noisy)
    ds = after_advice(table if stations == 2 else table[table["station"] == "a"])
    np.testing.assert_array_equal(ds["time"].values, times.values.astype("datetime64[s]"))


def test_a_constant_offset_of_seconds_is_a_phase():
    ds = open_stations(table_of(HOURS + pd.Timedelta("3s")), stations=PLACES, tz="UTC")
    np.testing.assert_array_equal(ds["time"].values, (HOURS + pd.Timedelta("3s")).values.astype("datetime64[s]"))


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_networks_with_most_values_missing_are_opened(share):
    rng = np.random.default_rng(1)
    table = table_of(pd.date_range("2020-01-02", periods=400, freq="h"))
    table = table[rng.random(len(table)) < share]
    assert open_stations(table, stations=PLACES, tz="UTC")["pm25"].notnull().sum() == len(table)


def test_offsets_of_hours_only_leave_no_warning_of_pandas(recwarn):
    ds = open_stations(table_of(HOURS.strftime("%Y-%m-%dT%H+01")), stations=PLACES)
    assert ds["time"].values[0] == HOURS[0].to_datetime64() - np.timedelta64(1, "h")
    assert not len(recwarn)
