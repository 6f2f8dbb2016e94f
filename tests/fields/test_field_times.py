"""Times of a field as they come; the fix that a message names is applied, and the field is then sampled as it should be."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fixes import applied, fix_of

from xaq.errors import SchemaError, XaqWarning

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
