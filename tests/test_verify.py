"""Scores as laws, and the table at hidden stations."""

import numpy as np
import pytest
import xarray as xr

import xaq
from xaq.errors import ModelError, SchemaError
from xaq.nn.aqnet import AQNetConfig
from xaq.verify import scores


def fields(truth, guess, lower=None, upper=None):
    dims = ("station", "time")
    made = xr.Dataset({"y": (dims, guess)})
    if lower is not None:
        made = made.assign(y_lower=(dims, lower), y_upper=(dims, upper))
    return made, xr.DataArray(truth, dims=dims, name="y")


def test_scores_as_laws():
    rng = np.random.default_rng(0)
    truth = rng.normal(10, 3, (4, 50))
    perfect = scores(*fields(truth, truth))
    assert (perfect["mae"], perfect["rmse"], perfect["bias"], perfect["r2"]) == (0, 0, 0, 1)
    shifted = scores(*fields(truth, truth + 2))
    assert shifted["mae"] == shifted["rmse"] == shifted["bias"] == pytest.approx(2)
    mean = scores(*fields(truth, np.full_like(truth, truth.mean())))
    assert mean["r2"] == pytest.approx(0, abs=1e-9)


def test_missing_observations_and_estimates_do_not_count():
    truth, guess = np.array([[1.0, np.nan, 3.0]]), np.array([[2.0, 5.0, np.nan]])
    got = scores(*fields(truth, guess))
    assert got["n"] == 1
    assert got["mae"] == 1
    assert scores(*fields(truth, guess * np.nan))["n"] == 0


def test_coverage_counts_observations_inside():
    truth = np.array([[1.0, 2.0, 3.0, np.nan]])
    assert scores(*fields(truth, truth, truth * 0 + 1.5, truth * 0 + 9))["coverage"] == pytest.approx(2 / 3)


@pytest.fixture(scope="module")
def network():
    return xaq.datasets.synthetic(n_stations=20, days=6, seed=1).aq.hide(fraction=0.2, seed=1)


def test_the_table_agrees_with_brute_force(network):
    table = network.aq.verify("idw", baselines=["nearest"])
    hidden = network.aq.hidden
    made = network.aq.estimate("idw", lon=hidden.lon, lat=hidden.lat).pm25.transpose("station", "time").values
    error = made - hidden.pm25.values
    assert table.loc["idw", "mae"] == pytest.approx(np.nanmean(np.abs(error)), rel=1e-6)
    assert table.loc["idw", "rmse"] == pytest.approx(np.sqrt(np.nanmean(error**2)), rel=1e-6)
    assert table.loc["idw", "n"] == np.isfinite(error).sum()
    assert np.isnan(table.loc["idw", "coverage"])
    assert table.attrs["units"] == "ug m-3"


def test_stations_pool_to_the_whole(network):
    whole = network.aq.verify("idw", baselines=[])
    by = network.aq.verify("idw", baselines=[], by="station")
    assert (by.mae * by.n).sum() / by.n.sum() == pytest.approx(whole.mae.iloc[0], rel=1e-6)
    assert list(by.index.names) == ["method", "station"]


def test_coverage_at_unseen_stations_is_near_its_promise():
    ds = xaq.datasets.synthetic(n_stations=60, days=20, seed=5).aq.hide(fraction=0.25, seed=2)
    model = ds.aq.train("pm25", config=AQNetConfig(hidden=8, heads=2), max_epochs=0, progress=False)
    assert 0.8 < ds.aq.verify(model, baselines=[]).coverage.iloc[0] < 0.98


def test_a_model_that_has_seen_the_hidden_stations_is_refused(network):
    model = network.aq.train("pm25", config=AQNetConfig(hidden=8, heads=2, k=8), max_epochs=0, progress=False)
    other = network.aq.hide([str(network.aq.visible.station.values[0])])
    with pytest.raises(ModelError, match="was trained on 1 of the stations"):
        other.aq.verify(model)


def test_nothing_hidden_is_an_error(network):
    with pytest.raises(SchemaError, match="no station is hidden"):
        network.drop_vars("hidden").aq.verify("idw")
    with pytest.raises(SchemaError, match="by='hour'"):
        network.aq.verify("idw", by="hour")
