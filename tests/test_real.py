"""The hourly case on real stations: twelve of them in Beijing, from the shell and in five lines of Python."""

import numpy as np
import pytest
import xarray as xr

import xaq
from xaq.cli import main

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def files(shared_data):
    folder = shared_data / "beijing12"
    return [str(folder / "obs.parquet"), "--stations", str(folder / "stations.csv"), "--tz", "Asia/Shanghai"]


def test_january_2017_from_the_shell_equals_python(files, shared_data, tmp_path):
    model, store = tmp_path / "pm25.xaq", tmp_path / "pm25.zarr"
    train = ["--target", "pm25", "--hide", "dongsi,huairou", "--time", "2013/2016", "-o", str(model)]
    assert main(["train", *files, *train]) == 0
    assert main(["reanalyze", str(model), *files, "--time", "2017-01", "--grid", "0.02", "--store", str(store)]) == 0
    for kind, what, extra in (
        ("map", store, ["--model", str(model), "--time", "2017-01-01"]),
        ("errors", model, ["--time", "2017-01"]),
    ):
        assert main(["plot", kind, str(what), *files, *extra, "-o", str(tmp_path / f"{kind}.png")]) == 0

    folder = shared_data / "beijing12"
    ds = xaq.open_stations(folder / "obs.parquet", stations=folder / "stations.csv", tz="Asia/Shanghai")
    ds = ds.aq.hide(["dongsi", "huairou"])
    trained = ds.aq.train("pm25", time=slice("2013", "2016"), progress=False)
    cube = ds.aq.reanalyze(trained, grid=0.02, time="2017-01")
    np.testing.assert_array_equal(xr.open_zarr(store).pm25, cube.pm25.compute())
    table = ds.aq.verify(trained, time="2017")
    assert table.mae["AQ-Net"] < table.mae["kriging"]


def test_forecast_of_a_week_at_visible_and_hidden_stations(shared_data):
    folder = shared_data / "beijing12"
    ds = xaq.open_stations(folder / "obs.parquet", stations=folder / "stations.csv", tz="Asia/Shanghai")
    ds = ds.aq.hide(["dongsi", "huairou"])
    model = ds.aq.train("pm25", task="forecast", time=slice(None, "2016-05"), max_epochs=4, progress=False)
    table = ds.aq.verify(model, time=slice("2016-06-17", None))
    for where in ("visible", "hidden"):
        for horizon in ("2 d", "4 d", "7 d"):
            rows = table.loc[(where, horizon)]
            assert rows.mae["AQ-Net"] < rows.mae["persistence"]
    cube = ds.aq.reanalyze(model, grid=0.1, init="2017-01-01T00")
    assert cube.sizes["time"] == 168
    assert np.isfinite(cube.pm25.compute()).all()
