"""CF station files with bounds of time: they say where each interval begins, and are no variable."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xaq
from xaq.errors import XaqWarning

STARTS = pd.date_range("2020-01-13", periods=24, freq="h").values.astype("datetime64[s]")
HOUR = np.timedelta64(3600, "s")


def network(label, lower=STARTS, upper=STARTS + HOUR):
    """Return a station dataset whose time is at this part of each interval."""
    time = lower + (upper - lower) * label // 2
    return xr.Dataset(
        {
            "pm25": (("station", "time"), np.arange(48.0).reshape(2, 24), {"units": "ug m-3", "cell_methods": "time: mean"}),
            "time_bnds": (("time", "nv"), np.stack([lower, upper], 1)),
        },
        {
            "station": ["a", "b"], "time": ("time", time, {"bounds": "time_bnds"}), "lon": ("station", [10.0, 11.0]),
            "lat": ("station", [50.0, 51.0]),
        },
    )  # fmt: skip


@pytest.mark.parametrize("label", [0, 1, 2], ids=["start", "middle", "end"])
@pytest.mark.parametrize("decode", [True, "all"])
def test_times_are_the_starts_that_the_bounds_state(tmp_path, label, decode):
    network(label).to_netcdf(tmp_path / "a.nc")
    with xr.open_dataset(tmp_path / "a.nc", decode_coords=decode) as given:
        ds = xaq.open_stations(given)
        np.testing.assert_array_equal(ds.time, STARTS)
        assert set(ds.variables) == {"pm25", "station", "time", "lon", "lat"}
        assert set(ds.dims) == {"station", "time"}
        assert ("start of its bounds" in ds.attrs.get("history", "")) == (label > 0)
        ds.to_netcdf(tmp_path / "b.nc")
    xr.testing.assert_equal(xaq.open_stations(tmp_path / "b.nc").load(), ds)


def test_the_caller_comes_first():
    ends = xaq.open_stations(network(2), timestamps="end")
    np.testing.assert_array_equal(ends.time, STARTS)
    np.testing.assert_array_equal(xaq.open_stations(network(2), timestamps="start").time, STARTS + HOUR)


def test_running_means_keep_their_times():
    with pytest.warns(XaqWarning, match="bounds of time overlap or differ in length"):
        ds = xaq.open_stations(network(2, STARTS - 7 * HOUR, STARTS + HOUR))
    np.testing.assert_array_equal(ds.time, STARTS + HOUR)
    assert "time_bnds" not in ds.variables
