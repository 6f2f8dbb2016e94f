"""Times of a field as they come; the fix that a message names is applied, and the field is then sampled as it should be."""

import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fixes import applied, fix_of

import xaq
from xaq.errors import SchemaError, XaqWarning
from xaq.fields.sample import sample_points

TIMES = pd.date_range("2020-01-01", periods=48, freq="h")


def field(times=TIMES, name="time"):
    """Return a field whose value is the number of its hour."""
    values = np.broadcast_to(np.arange(len(times), dtype="f4")[:, None, None], (len(times), 9, 9))
    axes = {name: times, "lat": np.arange(36.0, 45.0), "lon": np.arange(112.0, 121.0)}
    return xr.DataArray(values, axes, (name, "lat", "lon"), "blh")


def at(array, times, **attrs):
    """Return the field with other times."""
    name = array.dims[0]
    return array.assign_coords({name: xr.Variable(name, times, attrs)})


def of_calendar(calendar):
    times = xr.date_range("2020-01-01", periods=48, freq="h", calendar=calendar, use_cftime=True)
    return lambda array: at(array, times)


def with_nat(array):
    times = np.append(TIMES.to_numpy(), np.datetime64("NaT", "ns"))
    return at(array.isel({array.dims[0]: [*range(48), 0]}), times)


OTHER = {
    "repeated": lambda array: array.isel({array.dims[0]: [*range(48), 47]}),
    "reversed": lambda array: array.isel({array.dims[0]: slice(None, None, -1)}),
    "overlapping": lambda array: array.isel({array.dims[0]: [*range(30, 48), *range(40)]}),
    "noleap": of_calendar("noleap"),
    "360 days": of_calendar("360_day"),
    "time zone": lambda array: at(array, TIMES.tz_localize("UTC").tz_convert("Asia/Kolkata")),
    "not decoded": lambda array: at(array, np.arange(48), units="hours since 2020-01-01"),
    "missing": with_nat,
}


@pytest.mark.parametrize("name", ["time", "valid_time"])
@pytest.mark.parametrize("kind", OTHER)
def test_times_that_are_refused_have_a_fix_that_works(stations, kind, name):
    bad = OTHER[kind](field(name=name))
    with pytest.raises(SchemaError, match=r"gridded field: .*time.*fix: ") as caught:
        stations.aq.sample(bad)
    made = stations.aq.sample(applied(caught.value, field=bad))
    name = "field" if "field" in made else "blh"
    np.testing.assert_allclose(made[name], np.broadcast_to(np.arange(48), (10, 48)), rtol=1e-5)


def test_the_fix_of_repeated_times_is_no_sort(stations):
    with pytest.raises(SchemaError, match="repeated") as caught:
        stations.aq.sample(OTHER["repeated"](field()))
    assert "sortby" not in fix_of(caught.value)


def test_times_off_whole_seconds_are_rounded(stations):
    late = field(TIMES - pd.Timedelta(13, "us"))
    with pytest.warns(XaqWarning, match="48 timestamps off whole seconds"):
        made = stations.aq.sample(late)
    np.testing.assert_allclose(made.blh, stations.aq.sample(field()).blh, rtol=1e-5)


# -- gaps -----------------------------------------------------------------------------------------------------------


def field_with_a_gap(times):
    """A field that is lost for half a day; its value is the hour of the record."""
    kept = np.r_[0:20, 32 : len(times)]
    values = np.broadcast_to(kept[:, None, None].astype("f4"), (len(kept), 8, 8))
    axes = {"time": times[kept], "lat": np.linspace(46, 54, 8), "lon": np.linspace(6, 14, 8)}
    return xr.DataArray(values.copy() + 1.0, axes, tuple(axes), "pm25", {"units": "ug m-3"})


def test_a_gap_of_a_field_is_missing_where_it_is_sampled():
    ds = xaq.datasets.synthetic(n_stations=6, days=3)
    sampled = ds.aq.sample(field_with_a_gap(ds.time.values), name="cams").cams.transpose("station", "time").values
    hours = np.arange(72)
    inside = (hours > 19) & (hours < 32)
    assert np.isnan(sampled[:, inside]).all()
    np.testing.assert_allclose(sampled[:, ~inside], np.broadcast_to(hours[~inside] + 1.0, (6, 60)), rtol=1e-6)


def test_a_background_with_a_gap_is_refused_unless_the_gap_is_filled_or_outside_the_period():
    ds = xaq.datasets.synthetic(n_stations=12, days=3)
    field = field_with_a_gap(ds.time.values)
    places = {"lon": [10.0], "lat": [50.0], "background": field}
    with pytest.raises(SchemaError, match="1 gap in the period, the first from 2020-01-01T19:00:00") as caught:
        ds.aq.estimate("kriging", **places)
    advice = re.search(r"field\.resample\(.*\)", str(caught.value)).group()
    filled = eval(advice, {"field": field})
    assert np.isfinite(ds.aq.estimate("kriging", **places | {"background": filled}).pm25).all()
    later = ds.isel(time=slice(32, None))
    assert np.isfinite(later.aq.estimate("kriging", **places).pm25).all()


def test_months_have_no_gaps():
    months = pd.date_range("2020-01-01", periods=12, freq="MS")
    axes = {"time": months, "lat": [0.0, 1.0, 2.0], "lon": [0.0, 1.0, 2.0]}
    monthly = xr.DataArray(np.zeros((12, 3, 3)), axes, tuple(axes), "x")
    days = pd.date_range("2020-01-05", "2020-11-05", freq="D")
    assert np.isfinite(sample_points(monthly, [1.0], [1.0], time=days)).all()
