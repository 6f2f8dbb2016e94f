"""Scores as laws, and the table at hidden stations."""

import json

import numpy as np
import pytest
import xarray as xr
import xskillscore as xs
from scipy.stats import norm

import xaq
from xaq.cube.reanalyze import estimate_quantiles
from xaq.cube.request import RequestOptions, make_request
from xaq.errors import ModelError, SchemaError, XaqWarning
from xaq.evaluate.scores import score_probabilities, scores, with_crps
from xaq.evaluate.verify import score_held_out
from xaq.interpolate.classical import Nearest
from xaq.nn.config import AQNetConfig


def fields(truth, guess, quantiles=None):
    """Return the arguments of scores; quantiles are those at the bounds of the 0.9 interval and of the ensemble."""
    dims = ("station", "time")
    made, truth = xr.Dataset({"y": (dims, guess)}), xr.DataArray(truth, dims=dims, name="y")
    if quantiles is not None:
        made = made.assign(y_quantile=(("quantile", *dims), quantiles))
    return with_crps(made, truth), truth


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
    bounds_then_ensemble = np.array([1.5, 9.0, *np.linspace(2, 8, 20)])[:, None, None]
    got = scores(*fields(truth, truth, np.broadcast_to(bounds_then_ensemble, (22, 1, 4))))
    assert got["coverage"] == pytest.approx(2 / 3)
    assert got["width"] == pytest.approx(7.5)


def test_a_perfectly_sharp_and_correct_forecast_has_no_crps_and_a_sharp_wrong_one_its_error():
    truth = np.random.default_rng(0).normal(10, 3, (4, 50))
    truth[0, :9] = np.nan
    perfect = scores(*fields(truth, truth, np.stack([truth] * 22)))
    assert (perfect["crps"], perfect["coverage"], perfect["width"]) == (0, 1, 0)
    shifted = scores(*fields(truth, truth + 2, np.stack([truth + 2] * 22)))
    assert shifted["crps"] == pytest.approx(shifted["mae"]) == pytest.approx(2)


def test_crps_is_that_of_the_quantiles_as_an_ensemble():
    rng = np.random.default_rng(1)
    truth, ensemble = rng.normal(10, 3, (4, 50)), np.sort(rng.normal(10, 3, (20, 4, 50)), axis=0)
    made, observed = fields(truth, truth, np.concatenate([ensemble[[0, -1]], ensemble]))
    expected = xs.crps_ensemble(observed, xr.DataArray(ensemble, dims=("member", *observed.dims)))
    assert scores(made, observed)["crps"] == pytest.approx(float(expected), rel=1e-6)


def gaussian_crps(truth, mean, sd):
    """Gneiting & Raftery 2007, equation 21, but negatively oriented."""
    z = (truth - mean) / sd
    return sd * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))


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


def test_crps_of_kriging_is_that_of_a_gaussian(network):
    # Far above zero, where no quantile is cut off.
    high = network.assign(pm25=(network.pm25 + 1000).assign_attrs(network.pm25.attrs))
    table = high.aq.verify("kriging", baselines=["idw"], level=0.5)
    hidden = high.aq.hidden
    made = high.aq.estimate("kriging", lon=hidden.lon, lat=hidden.lat, level=0.5).compute()
    width = made.pm25_upper - made.pm25_lower
    expected = gaussian_crps(hidden.pm25, made.pm25, width / (2 * norm.ppf(0.75)))
    assert table.crps["kriging"] == pytest.approx(float(expected.mean()), rel=0.01)
    assert table.width["kriging"] == pytest.approx(float(width.where(hidden.pm25.notnull()).mean()), rel=1e-5)
    assert np.isnan(table.loc["idw", ["crps", "coverage", "width"]]).all()
    assert list(table.columns) == ["mae", "rmse", "r2", "bias", "crps", "coverage", "width", "n"]


def test_quantiles_are_one_computation_in_order_in_any_blocks(network, monkeypatch):
    hidden, asked = network.aq.hidden, score_probabilities(0.9)
    request = make_request(network, "kriging", RequestOptions())
    made = estimate_quantiles(request, asked, lon=hidden.lon, lat=hidden.lat)
    assert made.pm25_quantile.dims == ("quantile", "time", "station")
    assert made.pm25_quantile.chunks is not None
    np.testing.assert_array_equal(made["quantile"], asked)
    whole = made.compute()
    assert (whole.pm25_quantile.sortby("quantile").diff("quantile") >= 0).all()
    bounds = network.aq.estimate("kriging", lon=hidden.lon, lat=hidden.lat).compute()
    np.testing.assert_array_equal(whole.pm25_quantile[0], bounds.pm25_lower)
    np.testing.assert_array_equal(whole.pm25_quantile[1], bounds.pm25_upper)
    monkeypatch.setattr("xaq.cube.reanalyze.BLOCK_VALUES", 700)
    small = estimate_quantiles(request, asked, lon=hidden.lon, lat=hidden.lat)
    assert len(small.pm25_quantile.chunks[1]) > 10
    xr.testing.assert_allclose(small.compute(), whole, rtol=1e-5)


def test_stations_pool_to_the_whole(network):
    whole = network.aq.verify("idw", baselines=[])
    by = network.aq.verify("idw", baselines=[], by="station")
    assert (by.mae * by.n).sum() / by.n.sum() == pytest.approx(whole.mae.iloc[0], rel=1e-6)
    assert list(by.index.names) == ["method", "station"]
    whole = network.aq.verify("kriging", baselines=[])
    by = network.aq.verify("kriging", baselines=[], by="station")
    for column in ("crps", "coverage", "width"):
        assert (by[column] * by.n).sum() / by.n.sum() == pytest.approx(whole[column].iloc[0], rel=1e-5)


def test_held_out_scores_include_those_of_the_distribution_as_strict_json(network):
    rows = {row["method"]: row for row in score_held_out(network, Nearest())}
    assert rows["kriging"]["crps"] > 0
    assert rows["kriging"]["width"] > 0
    assert rows["nearest"]["crps"] is rows["nearest"]["width"] is None
    json.dumps(list(rows.values()), allow_nan=False)


def test_coverage_at_hidden_stations_is_near_the_nominal():
    ds = xaq.datasets.synthetic(n_stations=60, days=20, seed=5).aq.hide(fraction=0.25, seed=2)
    model = ds.aq.train("pm25", config=AQNetConfig(hidden=8, heads=2), max_epochs=0, progress=False)
    assert 0.8 < ds.aq.verify(model, baselines=[]).coverage.iloc[0] < 0.98


def test_a_model_that_has_seen_the_hidden_stations_is_refused(network):
    model = network.aq.train("pm25", config=AQNetConfig(hidden=8, heads=2, k=8), max_epochs=0, progress=False)
    other = network.aq.hide([str(network.aq.visible.station.values[0])])
    with pytest.raises(ModelError, match="was trained on 1 of the stations"):
        other.aq.verify(model)


def test_a_baseline_as_a_text_is_refused_with_its_list(network):
    with pytest.raises(SchemaError, match=r"baselines is 'idw', expected a list of methods; fix: baselines=\['idw'\]$"):
        network.aq.verify("kriging", baselines="idw")


def test_nothing_hidden_is_an_error(network):
    with pytest.raises(SchemaError, match="no station is hidden"):
        network.drop_vars("hidden").aq.verify("idw")
    with pytest.raises(SchemaError, match="by is 'hour', expected 'station'"):
        network.aq.verify("idw", by="hour")


def test_hidden_stations_that_cannot_be_scored_give_no_held_out_scores_and_a_warning(network):
    silent = network.assign(pm25=network.pm25.where(~network.hidden))
    with pytest.warns(XaqWarning, match="no held-out scores: "):
        assert score_held_out(silent, Nearest()) == []
