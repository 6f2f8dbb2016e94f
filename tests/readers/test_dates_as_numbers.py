"""Dates and clocks written as numbers: the fix gives the right times, or says what is missing."""

import re

import numpy as np
import pandas as pd
import pytest

import xaq
from xaq.errors import SchemaError

PLACES = pd.DataFrame({"station": ["a"], "lon": [10.0], "lat": [50.0]})
HOURS = pd.date_range("2020-01-13", periods=48, freq="h")
OPTIONS = {"stations": PLACES, "tz": "UTC"}


def table(**columns):
    return pd.DataFrame({"station": "a", "pm25": np.arange(48.0), **columns})


def after_advice(rows, **options):
    with pytest.raises(SchemaError) as raised:
        xaq.open_stations(rows, **OPTIONS)
    made = {"table": rows.copy(), "pd": pd}
    exec(re.split(r", (?:or|with|and) ", str(raised.value).split("fix: ")[1])[0], made)
    return xaq.open_stations(made["table"], **OPTIONS, **options)


@pytest.mark.parametrize("how", ["%Y%m%d", "%y%m%d"])
@pytest.mark.parametrize("clock", ["time", "hour"])
@pytest.mark.parametrize("freq", ["h", "15min"])
def test_dates_as_numbers_beside_a_clock(how, clock, freq):
    times = pd.date_range("2020-01-12", periods=48, freq=freq)
    rows = table(**{"date": times.strftime(how).astype(int), clock: times.hour * 100 + times.minute})
    np.testing.assert_array_equal(after_advice(rows).time, times)


def test_the_first_of_a_month_with_a_year_of_two_digits():
    times = pd.date_range("2020-01-01", periods=48, freq="h")
    rows = table(date=times.strftime("%y%m%d").astype(int), hour=times.hour)
    np.testing.assert_array_equal(after_advice(rows).time, times)


def test_hours_to_24_in_one_number():
    starts = HOURS.strftime("%Y%m%d").astype(int) * 100 + HOURS.hour + 1
    np.testing.assert_array_equal(after_advice(table(time=starts), timestamps="end").time, HOURS)
    np.testing.assert_array_equal(after_advice(table(time=starts.astype(str)), timestamps="end").time, HOURS)


@pytest.mark.parametrize("numbers", [HOURS.hour * 100, np.arange(48), np.arange(48) + 1_000_000])
def test_numbers_that_are_no_seconds_since_1970(numbers):
    with pytest.raises(SchemaError) as raised:
        xaq.open_stations(table(time=numbers), **OPTIONS)
    assert "unit='s'" not in str(raised.value)
    assert "fix: " in str(raised.value)
