"""Formats whose values are hours or days by definition: times that are missing everywhere do not change their step."""

import numpy as np
import pandas as pd
import pytest

import xaq
from tests.made import MAKERS, STARTS
from xaq.errors import SchemaError
from xaq.stations.timestamps import step_of


@pytest.fixture(params=["airnow_sites", "aqs_hourly", "eea_csv"])
def hours(request, tmp_path):
    """Return the table of an hourly format with its column of times, of which all rows of an hour have the same."""
    made = MAKERS[request.param](tmp_path)
    paths = sorted(made.source.glob("*")) if made.source.is_dir() else [made.source]
    table = pd.concat([pd.read_csv(path, dtype={"AQSID": str}) for path in paths], ignore_index=True)
    column = {
        "airnow_sites": ["ValidDate", "ValidTime"],
        "aqs_hourly": ["Date GMT", "Time GMT"],
        "eea_csv": ["DatetimeBegin"],
    }[request.param]
    times = pd.to_datetime(table[column].agg(" ".join, axis=1))
    return table, times.rank(method="dense").astype(int) - 1, made.options


@pytest.mark.parametrize("kept", [[0, 2, 4, 6], [3, 5], [5]])
def test_hours_that_nobody_reports_leave_values_of_one_hour(hours, kept):
    table, number, options = hours
    ds = xaq.open_stations(table[number.isin(kept)], **options)
    assert step_of(ds.time) == np.timedelta64(1, "h")
    first, last = STARTS[kept[0]], STARTS[kept[-1]]
    assert (
        ds.time.values.astype("datetime64[s]").tolist() == pd.date_range(first, last, freq="h").to_pydatetime().tolist()
    )
    seen = ds.time.values[np.isfinite(ds.pm25.values).any(axis=0)]
    assert seen.astype("datetime64[s]").tolist() == [STARTS[k].to_pydatetime() for k in kept]


def test_labels_at_the_end_move_by_the_hour_of_the_format_not_by_the_gap(tmp_path):
    rows = "2024-01-01,21:00:00,50.5,V ugm-3\n2024-01-02,21:00:00,7,P ugm-3\n"
    path = tmp_path / "AirQualityDataHourly.csv"
    path.write_text('Date,Time,"Nitrogen dioxide",Status\n' + rows)
    ds = xaq.open_stations(path, stations=pd.DataFrame({"station": ["MY1"], "lon": [-0.155], "lat": [51.523]}))
    assert ds.time.values[[0, -1]].astype("datetime64[h]").astype(str).tolist() == ["2024-01-01T20", "2024-01-02T20"]
    assert ds.sizes["time"] == 25


def test_numbers_among_objects_are_no_dates():
    table = pd.DataFrame(
        {
            "station": "a",
            "time": pd.Series([20200101000000, 20200101010000], dtype=object),
            "lon": 10.0,
            "lat": 50.0,
            "pm25": 1.0,
        }
    )
    with pytest.raises(SchemaError, match=r"time is int64, such as 20200101000000, expected dates; fix: "):
        xaq.open_stations(table, tz="UTC")
