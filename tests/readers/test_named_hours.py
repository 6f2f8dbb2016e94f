"""Columns of hours under names that xaq does not know: named by the caller, and by the error of duplicate rows."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xaq
from xaq.errors import SchemaError

PLACES = pd.DataFrame({"station": list("ab"), "lon": [10.0, 10.5], "lat": [50.0, 50.2]})
HOURS = pd.Series([*pd.date_range("2024-01-30", periods=48, freq="h")] * 2)
REST = pd.DataFrame({"station": np.repeat(["a", "b"], 48), "pm25": np.arange(96.0)})
OPTIONS = {"stations": PLACES, "tz": "UTC"}
WHOLE = xaq.open_stations(REST.assign(time=HOURS), **OPTIONS)


@pytest.mark.parametrize("name", ["Zeit", "hour ending", "hour (UTC+1)", "time"])
@pytest.mark.parametrize("clock", [HOURS.dt.hour, HOURS.dt.strftime("%H:%M")], ids=["number", "text"])
def test_the_caller_names_the_hour_and_the_error_says_how(name, clock):
    table = REST.assign(Datum=HOURS.dt.strftime("%Y-%m-%d"), **{name: clock})
    columns = {"time": "Datum", "hour": name}
    if name != "time":  # a column of this name is the hour beside a date
        with pytest.raises(SchemaError) as raised:
            xaq.open_stations(table, columns={"time": "Datum"}, **OPTIONS)
        assert f"fix: columns={columns!r}" in str(raised.value)
    xr.testing.assert_equal(xaq.open_stations(table, columns=columns, **OPTIONS), WHOLE)


def test_a_column_of_hours_that_does_not_exist():
    table = REST.assign(Datum=HOURS.dt.strftime("%Y-%m-%d"), Zeit=HOURS.dt.hour)
    with pytest.raises(SchemaError, match=r"'Uhr' \(for hour\), which does not exist"):
        xaq.open_stations(table, columns={"time": "Datum", "hour": "Uhr"}, **OPTIONS)


def test_other_duplicates_get_the_old_advice():
    table = REST.assign(date=HOURS.dt.strftime("%Y-%m-%d"), rain=0.5)
    with pytest.raises(SchemaError, match=r"duplicate rows.*fix: table = table.drop_duplicates"):
        xaq.open_stations(table, **OPTIONS)
