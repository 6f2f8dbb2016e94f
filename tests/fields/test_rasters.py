"""Static rasters of a model: they help where they matter, are needed, checked and never filled."""

import json
import pickle

import numpy as np
import pytest
import rioxarray  # noqa: F401 - registers the .rio accessor
import torch
import xarray as xr
from dask.base import tokenize

import xaq
from xaq.errors import ModelError, SchemaError, StoreError
from xaq.fields.rasters import RasterPredictors
from xaq.fields.sample import sample_points
from xaq.fields.trend import trend_of_model
from xaq.nn.config import AQNetConfig
from xaq.stations import schema

SMALL = AQNetConfig(hidden=16, days_before=1, days_after=1, k=8)
HOLE = (9.6, 10.0, 49.6, 50.0)


def hills(nodata=False):
    """Return 200 to 1000 m in hills of some 20 km, whose valleys are not seen from the stations around."""
    lat, lon = np.arange(52.0, 48.0, -0.02), np.arange(8.0, 12.0, 0.02)
    y, x = np.meshgrid(lat, lon, indexing="ij")
    values = (600.0 + 400.0 * np.sin(9 * x) * np.cos(11 * y)).astype("float32")
    if nodata:
        west, east, south, north = HOLE
        values[(x > west) & (x < east) & (y > south) & (y < north)] = -9999.0
    raster = xr.DataArray(values, {"y": lat, "x": lon}, ("y", "x"), attrs={"units": "m"})
    return raster.rio.write_crs("EPSG:4326").rio.write_nodata(-9999.0)


@pytest.fixture(scope="module")
def network():
    """Return plumes that thin out with height."""
    ds = xaq.datasets.synthetic(n_stations=40, days=3, missing=0.0).drop_vars("elevation")
    height = sample_points(hills(), ds.lon, ds.lat).values[:, None]
    values = (ds.pm25 * np.exp(-(height - 600.0) / 700.0)).astype("float32").assign_attrs(ds.pm25.attrs)
    return ds.assign(pm25=values).aq.hide(fraction=0.25, seed=1)


def train(ds, rasters=None, **options):
    # The hills are made up: what the earth is like there says nothing of them.
    settled = {"rasters": rasters, "geography": False, "config": SMALL, "max_epochs": 4, "progress": False}
    return ds.aq.train("pm25", **{**settled, **options})


@pytest.fixture(scope="module")
def plain(network):
    """Return an untrained model, scored by nothing."""
    return train(network.drop_vars("hidden"), max_epochs=0)


@pytest.fixture(scope="module")
def model(network):
    return train(network, {"elevation": hills()})


def test_elevation_is_used_and_helps_at_hidden_stations(network, model):
    rasters = {"elevation": hills()}
    (elevation,) = model.recipe.trend.drift
    # The plumes thin out with height, by a factor of e in 700 m.
    assert -1.2 / 700 < elevation["slope"] / elevation["std"] < -0.3 / 700
    table = network.aq.verify(model, rasters=rasters, baselines=["kriging"])
    without = network.aq.verify(train(network), baselines=[])
    for score in ("mae", "rmse"):
        assert table.loc["AQ-Net", score] < 0.9 * table.loc["kriging", score]
        assert table.loc["AQ-Net", score] < 0.9 * without[score].item()
    assert model.recipe.held_out_scores[0]["mae"] == pytest.approx(table.loc["AQ-Net", "mae"], rel=1e-3)


def test_the_drift_of_a_model_is_that_of_kriging_with_drift(network, plain):
    network, rasters = network.drop_vars("hidden"), {"elevation": hills()}
    over = train(network, rasters, max_epochs=0)
    grid = {"grid": xaq.Grid.regular(1.0, bounds=(9, 49, 11, 51)), "time": "2020-01-02"}
    found = network.aq.reanalyze("kriging-drift", rasters=rasters, **grid).attrs["xaq_provenance"]
    assert json.loads(found)["drift"] == list(over.recipe.trend.drift)
    assert plain.recipe.trend.drift == ()
    assert "rasters" not in json.loads(network.aq.reanalyze(plain, **grid).attrs["xaq_provenance"])


def test_cells_without_data_are_estimated_without_it_and_marked(network):
    holed = {"elevation": hills(nodata=True)}
    model = train(network.drop_vars("hidden"), holed, max_epochs=2)
    network = network.drop_vars("hidden")
    grid = xaq.Grid.regular(0.1, bounds=(9, 49, 11, 51))
    cube = network.aq.reanalyze(model, rasters=holed, grid=grid, time="2020-01-03").load()
    assert np.isfinite(cube.pm25).all()
    west, east, south, north = HOLE
    inside = (cube.lon > west) & (cube.lon < east) & (cube.lat > south) & (cube.lat < north)
    assert not cube.supported.where(inside.T, 0).any()
    assert cube.supported.where(~inside.T, cube.nearest_station < 20).sum() > 200
    assert "elevation" in cube.supported.attrs["long_name"]
    at = network.aq.estimate(model, rasters=holed, lon=[9.8], lat=[49.8], time="2020-01-03")
    assert not at.supported.any()


def test_a_station_says_itself_what_the_raster_does_not(network):
    visible = network.aq.visible
    west, east, south, north = HOLE
    inside = ((visible.lon > west) & (visible.lon < east) & (visible.lat > south) & (visible.lat < north)).values
    assert inside.any()
    raster = {"elevation": hills(nodata=True)}
    lon, lat = visible.lon.values, visible.lat.values
    silent = RasterPredictors.of(raster, visible)
    told = RasterPredictors.of(
        raster, visible.assign_coords(elevation=("station", np.linspace(100.0, 1100.0, len(lon))))
    )
    np.testing.assert_array_equal(np.isnan(silent.at_stations(lon, lat)[:, 0]), np.isnan(silent.at(lon, lat)[:, 0]))
    assert np.isfinite(told.at_stations(lon, lat)).all()
    seen = np.isfinite(silent.at(lon, lat)[:, 0])
    np.testing.assert_array_equal(told.at_stations(lon, lat)[seen], silent.at(lon, lat)[seen])


def test_hidden_stations_leave_no_trace(network, model):
    poisoned = network.copy(deep=True)
    poisoned.pm25[schema.hidden_mask(network)] = 1e9
    other = train(poisoned, {"elevation": hills()})
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor, other.network.state_dict()[name]), name
    assert other.recipe.trend.drift == model.recipe.trend.drift
    assert other.recipe.interval == model.recipe.interval


def test_a_model_keeps_its_rasters_in_its_file_and_travels_with_them(network, model, tmp_path):
    again = xaq.load_model(model.save(tmp_path / "m.xaq"))
    assert again.hash == model.hash
    assert again.recipe.trend.drift == model.recipe.trend.drift
    assert set(again.recipe.trend.drift[0]) == {"kind", "name", "units", "hash", "low", "high", "std", "slope"}
    assert "external drift: log factor per standard deviation of elevation -" in repr(again)
    bound = again.with_trend(trend_of_model(again.recipe.trend, None, {"elevation": hills()}, network.aq.visible))
    there = pickle.loads(pickle.dumps(bound))
    assert [f.hash for f in there.fields] == [f.hash for f in bound.fields]
    assert tokenize(bound) != tokenize(again)


def test_another_raster_or_none_is_refused_with_the_call_that_fixes_it(network, model, plain):
    good = hills()
    where = {"lon": [10.0], "lat": [50.0]}
    cases = [
        (model, None, ModelError, r"fix: rasters=\{'elevation': raster\}"),
        (model, {"height": good}, ModelError, "not given.*without the rasters height"),
        (model, {"elevation": good + 1.0}, ModelError, "not the raster"),
        (model, {"elevation": good[10:]}, ModelError, "not the raster"),
        (plain, {"elevation": good}, ModelError, "without the rasters elevation"),
        ("kriging", {"elevation": good}, ModelError, "rasters=None"),
        (model, {"elevation": good.assign_coords(y=good.y + 9.0)}, SchemaError, "does not cover"),
    ]
    for mapper, rasters, error, message in cases:
        with pytest.raises(error, match=message):
            network.aq.estimate(mapper, rasters=rasters, target="pm25", **where)
    for rasters, message in (
        (good, r"rasters=\{'elevation': raster\}"),
        ({"elevation": good * 0 + 5.0}, "leave it out"),
        ({"elevation": good.expand_dims(time=network.time.values[:2])}, "has a time"),
    ):
        with pytest.raises(SchemaError, match=message):
            network.aq.train("pm25", rasters=rasters)
    with pytest.raises(ModelError, match="forecast"):
        network.aq.train("pm25", rasters={"elevation": good}, task="forecast")


def test_a_store_knows_its_rasters(network, model, plain, tmp_path):
    options = {
        "store": tmp_path / "c.zarr",
        "grid": xaq.Grid.regular(0.5, bounds=(9, 49, 11, 51)),
        "time": "2020-01-03",
    }
    made = network.aq.reanalyze(model, rasters={"elevation": hills()}, progress=False, **options)
    (described,) = json.loads(made.attrs["xaq_provenance"])["rasters"]
    assert described["hash"] == model.recipe.trend.drift[0]["hash"]
    with pytest.raises(StoreError, match="another cube"):
        network.aq.reanalyze(plain, progress=False, **options)
