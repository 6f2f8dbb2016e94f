"""Periods: local days with 23, 24 and 25 hours, days that have no midnight or do not exist, and steps of each size."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import xaq
from xaq.cube.calendar import FREQUENCIES, Calendar, check_freq, ends_of, settle_zone
from xaq.errors import SchemaError

HOUR, DAY = np.timedelta64(3600, "s"), np.timedelta64(86400, "s")


def hours(first, last, step=HOUR):
    return np.arange(np.datetime64(first, "s"), np.datetime64(last, "s"), step)


def local_names(times, zone, freq):
    """Return the local day, month, quarter or year of each time, without the code under test."""
    local = pd.DatetimeIndex(times).tz_localize("UTC").tz_convert(zone)
    name = {
        "D": lambda t: t.isoformat()[:10],
        "MS": lambda t: t.isoformat()[:7],
        "QS": lambda t: f"{t.year}q{(t.month - 1) // 3}",
        "YS": lambda t: str(t.year),
    }[freq]
    return [name(t) for t in local]


# Zone, a night in which its clock changes, and the hours of the local days around it.
CHANGES = {
    "spring": ("Europe/Berlin", "2020-03-28", [24, 23, 24]),
    "autumn": ("Europe/Berlin", "2020-10-24", [24, 25, 24]),
    "no midnight in Sao Paulo": ("America/Sao_Paulo", "2017-10-14", [24, 23, 24]),
    "23 to 24 h twice in Sao Paulo": ("America/Sao_Paulo", "2018-02-16", [24, 25, 24]),
    "no midnight in Beirut": ("Asia/Beirut", "2017-03-25", [24, 23, 24]),
    "midnight twice in Havana": ("America/Havana", "2017-11-04", [24, 25, 24]),
    "a day that Samoa left out": ("Pacific/Apia", "2011-12-28", [24, 24, 24]),
    "an offset": ("-05:00", "2020-03-28", [24, 24, 24]),
    "half an hour": ("Asia/Kolkata", "2020-01-01", [24, 24, 24]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_local_days_have_the_hours_that_the_clock_gives_them(name):
    zone, first, expected = CHANGES[name]
    times = hours(pd.Timestamp(first) - pd.Timedelta("3D"), pd.Timestamp(first) + pd.Timedelta("6D"))
    made = Calendar.of(times, HOUR, "D", zone)
    days = local_names(times, zone, "D")
    # Each day that has hours is a period, and no other day is one.
    assert len(made.start) == len(set(days))
    assert np.array_equal(made.index, pd.factorize(pd.Index(days))[0])
    at = days.index(first)
    begin = made.index[at]
    assert made.expected[begin : begin + 3].tolist() == expected
    assert np.bincount(made.index)[begin : begin + 3].tolist() == expected
    assert np.array_equal(made.end[:-1], made.start[1:])
    assert (made.start < made.end).all()


@pytest.mark.parametrize("freq", FREQUENCIES)
@given(
    zone=st.sampled_from(
        ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/Sao_Paulo", "Pacific/Apia", "Asia/Beirut"]
    ),
    first=st.integers(0, 24 * 365 * 12),
    n=st.integers(1, 3000),
    step=st.sampled_from([1, 3, 6]),
)
def test_a_step_belongs_to_the_local_period_in_which_it_starts(freq, zone, first, n, step):
    begin = np.datetime64("2008-01-01", "s") + first // step * step * HOUR
    times = begin + np.arange(n) * (step * HOUR)
    made = Calendar.of(times, step * HOUR, freq, zone)
    assert np.array_equal(made.index, pd.factorize(pd.Index(local_names(times, zone, freq)))[0])
    assert (made.start[made.index] <= times).all()
    assert (times < made.end[made.index]).all()


def test_periods_are_whole_where_the_record_is_not():
    times = hours("2020-01-15T05", "2020-03-02")
    made = Calendar.of(times, HOUR, "MS", None)
    assert made.start.astype("datetime64[D]").astype(str).tolist() == ["2020-01-01", "2020-02-01", "2020-03-01"]
    assert str(made.end[-1]) == "2020-04-01T00:00:00"
    assert made.expected.tolist() == [31 * 24, 29 * 24, 31 * 24]


def test_blocks_of_periods_take_all_steps_once():
    times = hours("2020-01-15T05", "2020-06-02")
    made = Calendar.of(times, HOUR, "MS", "Europe/Berlin")
    steps = []
    for first in range(0, len(made.start), 2):
        part, index = made.block(first, first + 2)
        steps.extend(range(part.start, part.stop))
        assert np.array_equal(index + first, made.index[part])
        assert index.min() == 0
    assert steps == list(range(len(times)))


def test_daily_values_have_no_zone_and_no_days_and_the_fix_works():
    times = hours("2020-01-15", "2020-03-02", DAY)
    with pytest.raises(SchemaError, match="fix: tz=None"):
        Calendar.of(times, DAY, "MS", "Europe/Berlin")
    with pytest.raises(SchemaError, match="fix: freq=None, or freq='MS'"):
        Calendar.of(times, DAY, "D", None)
    assert Calendar.of(times, DAY, "MS", None).expected.tolist() == [31, 29, 31]
    assert Calendar.of(times, DAY, "QS", None).expected.tolist() == [91]
    assert Calendar.of(times, DAY, "YS", None).expected.tolist() == [366]


def test_days_named_by_local_midnight_in_utc_are_of_their_own_month():
    """Midnight in Berlin on 1 January is 23:00 of 31 December in UTC."""
    times = np.arange("2019-12-31T23", "2020-02-29T23", np.timedelta64(24, "h"), "datetime64[h]").astype(
        "datetime64[s]"
    )
    made = Calendar.of(times, np.timedelta64(86400, "s"), "MS", None)
    assert made.start.astype(str).tolist() == ["2019-12-31T23:00:00", "2020-01-31T23:00:00"]
    assert np.bincount(made.index).tolist() == [31, 29]


def test_steps_longer_than_a_period_are_refused():
    times = np.arange("2020-01-01", "2021-01-01", np.timedelta64(45, "D"), "datetime64[D]").astype("datetime64[s]")
    with pytest.raises(SchemaError, match="fix: freq='YS'"):
        Calendar.of(times, np.timedelta64(45 * 86400, "s"), "MS", None)
    assert len(Calendar.of(times, np.timedelta64(45 * 86400, "s"), "YS", None).start) == 1


@pytest.mark.parametrize("midnight", ["2019-12-31T16", "2020-01-01T05"])
def test_periods_of_daily_values_begin_when_their_days_begin(midnight):
    times = np.datetime64(midnight, "s") + np.arange(91) * DAY
    made = Calendar.of(times, DAY, "MS", None)
    assert made.start[0] == times[0]
    # Each value begins and ends in the month that it is of.
    assert (made.start[made.index] <= times).all()
    assert (times + DAY <= made.end[made.index]).all()
    assert np.bincount(made.index).tolist() == made.expected.tolist() == [31, 29, 31]


@pytest.mark.parametrize("offset", [0, -8, 5])
@pytest.mark.parametrize("freq", ["MS", "QS", "YS"])
def test_ends_of_periods_are_those_of_the_calendar(offset, freq):
    times = np.datetime64("2019-01-01", "s") + np.arange(3 * 365) * DAY + np.timedelta64(offset, "h")
    made = Calendar.of(times, DAY, freq, None)
    np.testing.assert_array_equal(ends_of(made.start, freq, None), made.end)


@pytest.mark.parametrize(
    ("given", "meant"), [("A", "YS"), ("YE", "YS"), ("annual", "YS"), ("monthly", "MS"), ("daily", "D"), (3, "D")]
)
def test_other_names_of_a_frequency_are_refused_with_the_one_that_is_meant(given, meant):
    with pytest.raises(SchemaError, match=f"fix: freq='{meant}'"):
        check_freq(given)


@pytest.mark.parametrize(("tz", "settled"), [("-05:00", "-05:00"), ("+05:30", "+05:30"), ("+00:00", None)])
def test_offsets_are_time_zones_as_in_open_stations(tz, settled):
    assert settle_zone(tz) == settled


@pytest.mark.parametrize(("tz", "fix"), [("UTC-5", "-05:00"), ("+0530", "+05:30"), ("GMT+1", "+01:00")])
def test_other_spellings_of_offsets_are_refused_with_that_offset(tz, fix):
    with pytest.raises(SchemaError, match=rf"expected the name of a time zone.*fix: tz='{re.escape(fix)}'$"):
        settle_zone(tz)
    assert settle_zone(fix) == fix


def test_days_of_an_offset_are_those_of_its_zone():
    ds = xaq.datasets.synthetic(n_stations=6, days=4)
    days, same = (
        ds.aq.estimate("kriging", lon=10.0, lat=50.0, freq="D", tz=tz, time="2020-01-02").compute()
        for tz in ("-05:00", "Etc/GMT+5")
    )
    assert days.time.values.astype(str).tolist() == ["2020-01-02T05:00:00"]
    np.testing.assert_array_equal(days.pm25, same.pm25)
