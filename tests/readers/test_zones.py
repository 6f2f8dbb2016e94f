"""A time zone that the caller names for files whose format defines one: which of them is used, and that it is said."""

import warnings

import numpy as np
import pandas as pd
import pytest

import xaq
from tests.made import MAKERS, STARTS
from xaq.errors import SchemaError, XaqWarning

OWN = {
    "prsa": "Asia/Shanghai",
    "china_sites": "Asia/Shanghai",
    "airnow_monitors": "UTC",
    "airnow_sites": "UTC",
    "eea_parquet": "Etc/GMT-1",
    "openair": "UTC",
    "sensor_community": "UTC",
}
#: Formats whose timestamps are in UTC by name or by number.
CERTAIN = ("aqs_hourly", "purpleair", "ebas")


@pytest.mark.parametrize("name", OWN)
def test_the_zone_of_the_caller_is_used_and_that_the_format_has_another_is_said(name, tmp_path):
    made = MAKERS[name](tmp_path)
    with pytest.warns(
        XaqWarning, match=rf"tz='Etc/GMT\+5' is used.*defines its timestamps in '{OWN[name]}'.*fix: leave tz= out"
    ):
        ds = xaq.open_stations(made.source, tz="Etc/GMT+5", **made.options)
    own = pd.Timestamp("2020-01-01", tz=OWN[name]).utcoffset()
    assert ds.time.values[0] == np.datetime64(STARTS[0] + own + pd.Timedelta("5h"))


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("zone", ["same", "its offset"])
def test_the_own_zone_of_a_format_under_any_name_gives_no_warning(name, zone, tmp_path):
    made = MAKERS[name](tmp_path)
    zone = OWN[name] if zone == "same" else {"Asia/Shanghai": "Etc/GMT-8", "UTC": "GMT"}.get(OWN[name], "Etc/GMT-1")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "tz=")
        ds = xaq.open_stations(made.source, tz=zone, **made.options)
    assert ds.time.values[0] == np.datetime64(STARTS[0])


@pytest.mark.parametrize("name", CERTAIN)
def test_a_zone_for_timestamps_that_are_certain_is_not_used_and_said(name, tmp_path):
    made = MAKERS[name](tmp_path)
    with pytest.warns(XaqWarning, match="tz='America/New_York' is not used: .*(GMT|UTC).*; fix: leave tz= out"):
        ds = xaq.open_stations(made.source, tz="America/New_York", **made.options)
    assert ds.time.values[0] == np.datetime64(STARTS[0])


def test_a_zone_beside_offsets_or_days_changes_nothing_and_says_nothing(tmp_path):
    made = MAKERS["eea_csv"](tmp_path)
    plain = xaq.open_stations(made.source, **made.options)
    table = pd.read_csv(made.source)
    days = table.assign(
        DatetimeBegin=[f"2020-01-{1 + i % 24:02d} 00:00:00 +01:00" for i in range(len(table))], AveragingTime="day"
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "tz=")
        assert table["DatetimeBegin"].str.contains("[+]").all()
        assert xaq.open_stations(made.source, tz="UTC", **made.options).identical(plain)
        assert str(xaq.open_stations(days, tz="Asia/Tokyo", **made.options).time.values[0])[:13] == "2020-01-01T00"


def test_an_unknown_zone_is_named_without_a_warning(tmp_path):
    made = MAKERS["prsa"](tmp_path)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "tz=")
        with pytest.raises(SchemaError, match="unknown time zone 'Beijing'"):
            xaq.open_stations(made.source, tz="Beijing", **made.options)
