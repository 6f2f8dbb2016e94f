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
    array = xr.DataArray(values, axes, (name, "lat", "lon"), "blh")
    array[name].attrs["standard_name"] = "time"
    return array


OTHER = {
    "repeated": lambda f: f.isel({f.dims[0]: [*range(48), 47]}),
    "reversed": lambda f: f.isel({f.dims[0]: slice(None, None, -1)}),
    "overlapping": lambda f: f.isel({f.dims[0]: [*range(30, 48), *range(40)]}),
    "noleap": lambda f: f.assign_coords({f.dims[0]: xr.date_range("2020-01-01", periods=48, freq="h", calendar="noleap", use_cftime=True)}),
    "360 days": lambda f: f.assign_coords({f.dims[0]: xr.date_range("2020-01-01", periods=48, freq="h", calendar="360_day", use_cftime=True)}),
    "time zone": lambda f: f.assign_coords({f.dims[0]: TIMES.tz_localize("UTC").tz_convert("Asia/Kolkata")}),
    "not decoded": lambda f: f.assign_coords({f.dims[0]: (f.dims[0], np.arange(48), {"units": "hours since 2020-01-01", "standard_name": "time"})}),
    "missing": lambda f: xr.concat([f, f.isel({f.dims[0]: [0]}).assign_coords({f.dims[0]: [np.datetime64("NaT", "ns")]})], f.dims[0], combine_attrs="override", coords="minimal", compat="override"),
}  # fmt: skip


@pytest.mark.parametrize("name", ["time", "valid_time"])
@pytest.mark.parametrize("kind", OTHER)
def test_times_that_are_refused_have_a_fix_that_works(stations, kind, name):
    bad = OTHER[kind](field(name=name))
    with pytest.raises(SchemaError, match="gridded field: .*fix: ") as caught:
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
