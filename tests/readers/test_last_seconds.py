"""Labels such as 00:59:59: the last second of an interval."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xaq
from xaq.errors import SchemaError

PLACES = pd.DataFrame({"station": ["a", "b"], "lon": [10.0, 10.5], "lat": [50.0, 50.2]})
OPTIONS = {"stations": PLACES, "tz": "Asia/Shanghai"}


def table(freq, past):
    times = pd.date_range("2024-01-30", periods=48, freq=freq) + pd.Timedelta(past)
    return pd.DataFrame({"station": np.repeat(["a", "b"], 48), "time": [*times, *times], "pm25": np.arange(96.0)})


@pytest.mark.parametrize("freq", ["h", "15min", "D"])
def test_the_last_second_is_the_end_where_the_caller_says_so(freq):
    last = table(freq, pd.Timedelta({"h": "1h", "15min": "15min", "D": "1D"}[freq]) - pd.Timedelta("1s"))
    with pytest.raises(SchemaError, match=r":59, the last second .*fix: timestamps='end'"):
        xaq.open_stations(last, **OPTIONS)
    ds = xaq.open_stations(last, timestamps="end", **OPTIONS)
    whole = xaq.open_stations(table(freq, "0s"), **OPTIONS)
    if freq == "D":  # dates alone are not shifted, times are
        whole = whole.assign_coords(time=whole.time - np.timedelta64(8, "h"))
    xr.testing.assert_equal(ds, whole)


def test_the_caller_may_call_it_a_start():
    ds = xaq.open_stations(table("h", "3599s"), timestamps="start", **{**OPTIONS, "tz": "UTC"})
    assert ds.time.values[0] == np.datetime64("2024-01-30T00:59:59")
