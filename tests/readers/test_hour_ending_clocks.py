"""Local clocks that label the end of each hour, at both changes of the clock: the start of the hour and one more on the clock."""

import numpy as np
import pandas as pd
import pytest

import xaq
from xaq.errors import SchemaError

PLACES = pd.DataFrame({"station": ["a", "b"], "lon": [10.0, 10.5], "lat": [50.0, 50.2]})
SPRING, AUTUMN = (pd.date_range(day, periods=72, freq="h", tz="UTC") for day in ("2020-03-28", "2020-10-24"))


def table(labels):
    labels = labels.tz_localize(None)
    return pd.DataFrame({"station": np.repeat(["a", "b"], 72), "time": [*labels, *labels], "pm25": np.arange(144.0)})


def opened(rows, **options):
    return xaq.open_stations(rows, stations=PLACES, tz="Europe/Berlin", timestamps="end", **options)


@pytest.mark.parametrize("starts", [SPRING, AUTUMN], ids=["spring", "autumn"])
@pytest.mark.parametrize("kind", ["start and an hour", "clock at the end"])
def test_both_ways_to_label_the_end_of_an_hour(starts, kind):
    local = starts.tz_convert("Europe/Berlin")
    if kind == "start and an hour":
        labels = local.tz_localize(None) + pd.Timedelta("1h")  # 01, 02, 04 in spring; 03, 03 in autumn
    else:
        labels = (local + pd.Timedelta("1h")).tz_localize(None)
    ds = opened(table(labels), ambiguous="infer")
    np.testing.assert_array_equal(ds.time, starts.tz_localize(None))
    np.testing.assert_array_equal(ds.pm25[1], np.arange(72.0, 144.0))


def test_in_autumn_the_caller_says_how_to_tell_the_hours():
    labels = AUTUMN.tz_convert("Europe/Berlin").tz_localize(None) + pd.Timedelta("1h")
    with pytest.raises(SchemaError, match=r"occur twice.*ambiguous='infer'"):
        opened(table(labels))
