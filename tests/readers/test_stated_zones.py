"""Time zones that a file states beside ``tz=``, and names of zones that mislead."""

import numpy as np
import pandas as pd
import pytest

import xaq
from xaq.errors import SchemaError, XaqWarning

PLACES = pd.DataFrame({"station": ["a", "b"], "lon": [10.0, 10.5], "lat": [50.0, 50.2]})
WINTER, SUMMER = pd.date_range("2020-01-13", periods=30, freq="h"), pd.date_range("2020-07-13", periods=30, freq="h")


def table(times=SUMMER, name="time", **more):
    return pd.DataFrame(
        {
            "station": np.repeat(["a", "b"], len(times)),
            name: [*times, *times],
            "pm25": np.arange(2.0 * len(times)),
            **more,
        }
    )


def first(source, tz):
    return xaq.open_stations(source, stations=PLACES, tz=tz).time.values[0]


@pytest.mark.parametrize("tz", ["UTC+1", "GMT+1", "utc+01", "UTC +1"])
def test_offsets_from_utc_get_a_fix_that_is_right_in_summer(tz):
    with pytest.raises(SchemaError, match=r"fix: tz='\+01:00'"):
        first(table(), tz)
    assert first(table(), "+01:00") == np.datetime64("2020-07-12T23:00")


def test_half_hours_west():
    with pytest.raises(SchemaError, match=r"fix: tz='-03:30'"):
        first(table(), "UTC-3:30")


@pytest.mark.parametrize(("tz", "offset"), [("CET", 1), ("MET", 1), ("EET", 2), ("WET", 0)])
def test_zones_with_summer_time_that_are_called_like_standard_time(tz, offset):
    with pytest.warns(XaqWarning, match=rf"tz='{tz}' has summer time.*fix: tz='\+0{offset}:00'.*or tz='Europe/"):
        assert first(table(), tz) == SUMMER[0] - pd.Timedelta(hours=offset + 1)


def test_no_warning_where_both_are_the_same(recwarn):
    assert first(table(WINTER), "CET") == WINTER[0] - pd.Timedelta("1h")
    assert first(table(), "Europe/Berlin") == SUMMER[0] - pd.Timedelta("2h")
    assert not len(recwarn)


CONTRADICTIONS = [
    ({"name": "time (UTC)"}, "Europe/Berlin", "UTC"),
    ({"name": "Time (CET)"}, "UTC", "CET"),
    ({"name": "time [UTC+1]"}, "Europe/Berlin", r"UTC\+1"),
    ({"name": "utc_time"}, "Asia/Shanghai", "UTC"),
    ({"utc_offset": "+01:00"}, "UTC", r"\+01:00"),
    ({"utc_offset": 1}, "Asia/Shanghai", "1"),
    ({"utc_offset_seconds": 3600}, "UTC", "3600"),
    ({"timezone": "Europe/Berlin"}, "UTC", "Europe/Berlin"),
]


@pytest.mark.parametrize(("stated", "tz", "text"), CONTRADICTIONS)
def test_a_zone_in_the_file_that_contradicts_tz_is_refused(stated, tz, text):
    with pytest.raises(SchemaError, match=rf"states the time zone '{text}'.*tz='{tz}'.*fix: tz="):
        first(table(**stated), tz)


AGREEMENTS = [
    ({"name": "time (UTC)"}, "UTC", 0),
    ({"name": "time (UTC+1)"}, "Etc/GMT-1", 1),
    ({"name": "time (CET)"}, "Europe/Berlin", 2),
    ({"name": "time (local)"}, "Europe/Berlin", 2),
    ({"utc_offset": ["+02:00"] * 60}, "Europe/Berlin", 2),
    ({"timezone": "Europe/Paris"}, "Europe/Berlin", 2),
    ({"timezone": "unknown"}, "UTC", 0),
]


@pytest.mark.parametrize(("stated", "tz", "offset"), AGREEMENTS)
def test_a_zone_in_the_file_that_agrees_or_says_nothing(stated, tz, offset):
    assert first(table(**stated), tz) == SUMMER[0] - pd.Timedelta(hours=offset)


def test_dates_and_offsets_do_not_depend_on_tz():
    days = pd.date_range("2020-07-01", periods=10)
    assert first(table(days, timezone="Europe/Berlin"), "UTC") == days[0]
    assert first(table(SUMMER.strftime("%Y-%m-%dT%H:%M+02:00"), utc_offset="+02:00"), "UTC") == SUMMER[
        0
    ] - pd.Timedelta("2h")
