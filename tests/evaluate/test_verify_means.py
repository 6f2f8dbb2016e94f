"""Scores of means of periods at held-out stations."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xaq
from xaq.cube.ensemble import Ensemble
from xaq.cube.request import RequestOptions
from xaq.errors import ModelError, SchemaError, XaqWarning
from xaq.evaluate.verify import held_out_truth
from xaq.evaluate.verify_means import means_of_longer, period_means
from xaq.interpolate.kriging import Covariance


@pytest.fixture(scope="module")
def network():
    ds = xaq.datasets.synthetic(n_stations=20, days=12)
    ds.pm25[3, 30:90] = np.nan
    return ds.aq.hide(fraction=0.25, seed=1)


@pytest.fixture(scope="module")
def model(network):
    return network.aq.train("pm25", max_epochs=0, progress=False)


def flat_background(ds, value=20.0):
    lon, lat = np.arange(7.0, 13.1, 0.5), np.arange(47.0, 53.1, 0.5)
    field = np.full((ds.sizes["time"], len(lat), len(lon)), value, "f4")
    return xr.DataArray(
        field, {"time": ds.time.values, "lat": lat, "lon": lon}, ("time", "lat", "lon"), "bg", {"units": "ug m-3"}
    )


def test_means_are_scored_as_by_hand(network, model):
    table = network.aq.verify(model, of="D", baselines=["kriging", "idw"])
    assert list(table.index) == ["AQ-Net", "kriging", "idw"]
    hidden = network.aq.hidden
    made = network.aq.estimate(model, lon=hidden.lon, lat=hidden.lat).pm25.compute()
    truth = hidden.pm25.transpose("time", "station")
    seen = np.isfinite(truth.values)
    guess, real = (xr.where(seen, a.values, np.nan) for a in (made, truth))
    days = [pd.DataFrame(np.asarray(a), index=truth.time.values).resample("D") for a in (guess, real)]
    kept = days[1].count().to_numpy() >= 18
    error = (days[0].mean() - days[1].mean()).to_numpy()[kept]
    assert table.loc["AQ-Net", "n"] == kept.sum()
    assert table.loc["AQ-Net", "mae"] == pytest.approx(np.abs(error).mean(), rel=1e-4)
    assert table.loc["AQ-Net", "bias"] == pytest.approx(error.mean(), rel=1e-3, abs=1e-4)
    assert table.loc[["AQ-Net", "kriging"], ["crps", "coverage", "width"]].notna().all(axis=None)
    assert table.loc["idw", ["crps", "coverage", "width"]].isna().all()


def test_means_of_months_are_the_same_from_their_days_as_from_their_steps():
    """Gaps of single hours, of days and of half a month."""
    ds = xaq.datasets.synthetic(n_stations=12, days=70).aq.hide(fraction=0.25, seed=1)
    rng = np.random.default_rng(0)
    ds.pm25.values[rng.random(ds.pm25.shape) < 0.1] = np.nan
    ds.pm25[:, 100:160] = np.nan
    ds.pm25[6:, 740:1150] = np.nan
    truth = held_out_truth(ds, "pm25", None)
    mapper, options = xaq.OrdinaryKriging(Covariance(50.0, 0.1, 60.0)), RequestOptions()
    ensemble = Ensemble(members=4, freq="D", capture=1e-9)
    days = period_means(ds, mapper, truth, options, ensemble).compute()
    months = period_means(ds, mapper, truth, options, replace(ensemble, freq="MS", capture=0.75)).compute()
    xr.testing.assert_allclose(means_of_longer(days, truth, "D", "MS"), months, rtol=1e-5)
    assert 0 < np.isfinite(months.pm25).sum() < months.pm25.size


def test_only_steps_that_are_estimated_and_observed_are_averaged(network):
    """A background without values in the morning, when all stations have more: the rest of the day is compared."""
    busy = network.copy(deep=True)
    morning = np.isin(busy["time"].dt.hour, range(6, 10))
    busy.pm25[:, morning] += 40.0
    field = flat_background(busy)
    field[morning] = np.nan
    table = busy.aq.verify("kriging", of="D", baselines=[], background=field)
    hourly = busy.aq.verify("kriging", baselines=[], background=field)
    over = "kriging with background"
    assert abs(table.loc[over, "bias"] - hourly.loc[over, "bias"]) < 0.5


def test_hidden_stations_outside_a_background_have_no_scores(network):
    east = float(network.aq.hidden.lon.max())
    field = flat_background(network).sel(lon=slice(None, east - 0.6))
    some = network.isel(station=(network.lon < east - 0.7).values | network.hidden.values)
    with pytest.warns(XaqWarning, match="does not cover . of 5 hidden stations"):
        table = some.aq.verify("kriging", of="D", baselines=[], background=field)
    whole = some.aq.verify("kriging", of="D", baselines=[], background=flat_background(network))
    assert 0 < table.n.item() < whole.n.item()


def test_what_has_no_means_is_refused(network, model):
    with pytest.raises(SchemaError, match="fix: by=None"):
        network.aq.verify(model, of="D", by="station")
    with pytest.raises(SchemaError, match="no held-out station observes 75 % of any year"):
        network.aq.verify(model, of="YS")
    with pytest.raises(SchemaError, match="fix: of='D'"):
        network.aq.verify(model, tz="Europe/Berlin")


def test_a_model_keeps_the_scores_of_its_means_and_gives_them_to_cubes_like_them(network, model):
    (row,) = model.recipe.mean_scores
    assert (row["of"], row["method"], row["stations"]) == ("D", "AQ-Net", "5 hidden")

    def scores_of(**asked):
        cube = network.aq.reanalyze(model, grid=1.0, freq="D", **asked)
        return json.loads(cube.attrs["xaq_provenance"])["held_out_scores"]

    assert scores_of() == [row]
    for other in ({"statistic": "max"}, {"tz": "Asia/Tokyo"}, {"support": "cell"}, {"capture": 0.5}, {"level": 0.5}):
        assert scores_of(**other) == []


def test_lazy_stations_have_the_errors_of_those_in_memory(network):
    """Copies under other ids, out of order: the covariance of errors is fitted to the stations that take part."""
    copies = network.isel(station=[4, 2]).assign_coords(station=["a2", "a1"])
    more = xr.concat([network, copies], "station")
    mapper = xaq.OrdinaryKriging(Covariance(50.0, 0.1, 60.0))
    asked = {"lon": [10.0], "lat": [50.0], "members": 2, "target": "pm25"}
    memory = more.aq.estimate(mapper, **asked).compute()
    lazy = more.chunk(time=48).aq.estimate(mapper, **asked).compute()
    np.testing.assert_allclose(lazy.pm25_member, memory.pm25_member, rtol=1e-5)


def test_a_mean_of_medians_is_no_mean():
    """Estimates of kriging on the log scale are medians: the value of a period is the mean of its members."""
    ds = xaq.datasets.load("germany").isel(station=slice(0, 40), time=slice(0, 59))
    means = ds.aq.reanalyze("kriging-log", grid=1.0, freq="MS", members=50).compute()
    np.testing.assert_allclose(means.pm10, means.pm10_member.mean("member"), rtol=1e-4)
    cells = ds.aq.reanalyze("kriging-log", grid=1.0, freq="MS", members=50, support="cell").compute()
    assert float(cells.pm10.mean() / means.pm10.mean()) == pytest.approx(1, abs=0.01)


def test_a_forecast_has_no_scores_of_means():
    ds = xaq.datasets.synthetic(n_stations=16, days=60, step="6h").aq.hide(fraction=0.2)
    forecast = ds.aq.train("pm25", task="forecast", max_epochs=0, progress=False)
    with pytest.raises(ModelError, match="fix: of=None"):
        ds.aq.verify(forecast, of="D")
