"""Forecasts end to end: the base forecast, known covariates, baselines, and no use of what comes after the init time."""

import dataclasses

import numpy as np
import pytest
import torch
import xarray as xr

import xaq
from xaq.errors import ModelError, SchemaError
from xaq.interpolate.base import Observations
from xaq.interpolate.forecast_baselines import Climatology, Persistence
from xaq.nn.aqnet import build_network
from xaq.nn.base_forecast import LOG, PERSISTENCE
from xaq.nn.baselines import PatchTSTBaseline
from xaq.nn.config import AQNetConfig
from xaq.stations import schema
from xaq.training.baselines import fit_baseline

CONFIG = AQNetConfig(task="forecast", days_before=3, days_after=0, target_days=2, hidden=16, k=8)


def windy(days=50, seed=2):
    """Return a network whose values are halved or doubled within hours by a known wind."""
    ds = xaq.datasets.synthetic(n_stations=12, days=days, seed=seed)
    rng = np.random.default_rng(seed)
    wind = np.convolve(rng.normal(0, 1, ds.sizes["time"] + 23), np.ones(24) / np.sqrt(24), "valid")
    field = wind + 0.1 * rng.normal(0, 1, (ds.sizes["station"], len(wind)))
    ds["wind"] = (("station", "time"), field.astype("float32"))
    ds["pm25"] = (ds.pm25 * np.exp(-0.7 * ds.wind)).assign_attrs(ds.pm25.attrs)
    return ds.aq.hide(fraction=0.2, seed=0)


def train(ds, **options):
    defaults = {"task": "forecast", "config": CONFIG, "max_epochs": 0, "progress": False}
    return ds.aq.train("pm25", **{**defaults, "time": slice(None, "2020-02-08"), **options})


@pytest.fixture(scope="module")
def ds():
    return windy()


@pytest.fixture(scope="module")
def model(ds):
    return train(ds, known=["wind"], max_epochs=1)


AFTER = slice("2020-02-11", None)


def test_a_covariate_known_over_the_horizon_lowers_the_error(ds, model):
    blind = train(ds, covariates=["wind"])
    errors = [ds.aq.verify(m, time=AFTER, baselines=[]).mae for m in (model, blind)]
    for stations in ("visible", "hidden"):
        assert errors[0][stations, "2 d"].iloc[0] < 0.85 * errors[1][stations, "2 d"].iloc[0]


def test_a_forecast_reads_nothing_after_its_init_time_but_known_covariates(ds, model):
    init = ds.time.values[24 * 44]
    spot = {"lon": [10.0], "lat": [50.0], "init": init}
    expected = ds.aq.estimate(model, **spot).compute()
    later = np.arange(ds.sizes["time"])
    poisoned = ds.copy(deep=True)
    poisoned.pm25[:, later > 24 * 44] = 1e9
    poisoned.wind[:, later > 24 * 44 + CONFIG.target_steps] = 1e9
    poisoned.wind[schema.hidden_mask(ds)] = 1e9
    xr.testing.assert_equal(poisoned.aq.estimate(model, **spot).compute().drop_attrs(), expected.drop_attrs())
    poisoned.wind[:, 24 * 44 + 20] = 3.0
    assert not poisoned.aq.estimate(model, **spot).pm25.equals(expected.pm25)


def test_covariates_that_are_not_known_are_not_read_after_the_init_time(ds):
    model = train(ds, covariates=["wind"])
    init = ds.time.values[24 * 44]
    future = ds.copy(deep=True)
    future.wind[:, 24 * 44 + 1 :] = 1e9
    one, other = (d.aq.estimate(model, lon=[10.0], lat=[50.0], init=init).pm25 for d in (ds, future))
    np.testing.assert_array_equal(one, other)


def test_training_depends_on_neither_hidden_stations_nor_the_test_period(ds, model):
    poisoned = ds.copy(deep=True)
    for name in ("pm25", "wind"):
        poisoned[name][schema.hidden_mask(ds)] = 1e9
        poisoned[name][:, ds.time.values > np.datetime64("2020-02-09")] = 1e9
    other = train(poisoned, known=["wind"], max_epochs=1)
    assert other.recipe.scaler == model.recipe.scaler
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor, other.network.state_dict()[name]), name


def test_missing_values_of_known_covariates_are_masked_and_missing_steps_are_an_error(ds, model):
    gaps = ds.copy(deep=True)
    gaps.wind[:, -30:] = np.nan
    init = ds.time.values[-1 - CONFIG.target_steps]
    assert np.isfinite(gaps.aq.estimate(model, lon=[10.0], lat=[50.0], init=init).pm25).all()
    with pytest.raises(SchemaError, match=r"reads wind over its horizon.*lacks 48 of 48 steps"):
        ds.aq.reanalyze(model, grid=0.5)
    with pytest.raises(SchemaError, match="lacks 1 of 48 steps"):
        ds.isel(time=slice(None, -1)).aq.estimate(model, lon=[10.0], lat=[50.0], init=init)
    with pytest.raises(ModelError, match="wind"):
        ds.drop_vars("wind").aq.verify(model)


def test_known_variables_are_checked_and_named(ds, model):
    assert (model.recipe.covariates, model.recipe.known) == ((), ("wind",))
    assert "known over the horizon: wind" in repr(model)
    with pytest.raises(SchemaError, match=r"known is 'wind', expected a list of names"):
        train(ds, known="wind")
    with pytest.raises(SchemaError, match="'rain'"):
        train(ds, known=["rain"])
    analysis = ds.aq.train("pm25", known=["wind"], covariates=["wind"], max_epochs=0, progress=False)
    assert (analysis.recipe.covariates, analysis.recipe.known) == (("wind",), ())


def test_a_saved_model_makes_the_same_forecast(ds, model, tmp_path):
    spot = {"lon": [10.0], "lat": [50.0], "init": ds.time.values[24 * 44]}
    loaded = xaq.load_model(model.save(tmp_path / "f.xaq"))
    assert loaded.recipe == model.recipe
    xr.testing.assert_equal(ds.aq.estimate(loaded, **spot), ds.aq.estimate(model, **spot))


def test_an_untrained_forecast_is_its_base_forecast(ds):
    untrained = train(ds, known=["wind"])
    observations = schema.observations(ds, "pm25", known=["wind"]).until(24 * 44, CONFIG.target_steps)
    times = ds.time.values[24 * 44 : 24 * 44 + CONFIG.target_steps].astype("datetime64[s]")
    base_forecast = fit_baseline(ds, untrained, "base forecast")
    np.testing.assert_allclose(
        untrained.forecast(observations, times), base_forecast.forecast(observations, times), rtol=1e-5, atol=1e-4
    )


def test_attention_rows_sum_to_one(ds, model):
    observations = schema.observations(ds, "pm25", known=["wind"]).until(24 * 44, CONFIG.target_steps)
    attention = model.attention(observations, ds.time.values[24 * 44])
    assert attention.shape == (ds.aq.visible.sizes["station"], CONFIG.target_days, CONFIG.days_before)
    np.testing.assert_allclose(attention.sum(axis=-1), 1, rtol=1e-5)


def test_a_base_forecast_is_the_part_that_has_all_the_weight():
    torch.manual_seed(0)
    network = build_network(CONFIG, range_km=50, nugget=0.1, log_mean=1.0, log_std=0.5)
    base_forecast = network.base_forecast
    window = _window(CONFIG)
    base_forecast.weights.zero_()
    base_forecast.weights[PERSISTENCE] = 1.0
    last = window.z[..., -1:].expand(-1, -1, CONFIG.target_steps)
    torch.testing.assert_close(base_forecast(window), last, rtol=1e-4, atol=1e-4)
    base_forecast.weights.zero_()
    base_forecast.weights[LOG] = 1.0
    normal = window.climatology_target[:, None].expand_as(last)
    torch.testing.assert_close(base_forecast(window), normal, rtol=1e-4, atol=1e-4)


def test_a_regression_predicts_no_more_than_was_ever_observed(ds, model):
    base_forecast = model.network.base_forecast
    visible = ds.pm25.where(~ds.hidden, drop=True).sel(time=slice(None, "2020-02-08"))
    most = model.recipe.scaler.transform(visible.values[np.isfinite(visible.values)]).max()
    assert base_forecast.extremes[1] <= most + 1e-5
    window = _window(base_forecast.config)
    predicted = base_forecast.regressions(window, torch.full_like(base_forecast.coefficients, 1e3))[LOG - 1]
    assert predicted.max() <= base_forecast.linear(base_forecast.extremes[1]) * (1 + 1e-5)


def test_the_final_coefficients_are_fitted_to_the_validation_period_too(ds, model):
    other = ds.copy(deep=True)
    late = (other.time > other.time[int(0.75 * other.sizes["time"])]) & (other.time < np.datetime64("2020-02-09"))
    other["pm25"] = other.pm25.where(~late, 1.5 * other.pm25).assign_attrs(other.pm25.attrs)
    one, two = (train(d, known=["wind"]).network.base_forecast.coefficients for d in (ds, other))
    assert not torch.equal(one, two)


def _window(config):
    from windows import make_window

    window = make_window(config, n_station=4)
    return window._replace(z=torch.nan_to_num(window.z))


def test_init_hours_are_grouped_by_three():
    network = build_network(CONFIG, range_km=50, nugget=0.1)
    times = np.datetime64("2020-03-01T23", "s") + np.arange(48) * np.timedelta64(3600, "s")
    cyclic = torch.as_tensor(xaq.arrays.transforms.cyclic_encoding(times))
    window = _window(CONFIG)._replace(cyclic=cyclic[:, None].expand(-1, 2, -1))
    expected = (np.arange(48) - 1) % 24 // 3
    np.testing.assert_array_equal(network.base_forecast.group(window), expected)


@pytest.mark.parametrize("method", ["regression", "regression, log scale", "LSTM", "PatchTST"])
def test_fitted_baselines_are_not_far_worse_than_climatology(ds, model, method):
    if method == "PatchTST":
        pytest.importorskip("transformers")
    fitted = fit_baseline(ds, model, method, max_steps=40)
    table = ds.aq.verify(model, time=slice("2020-02-14", None), baselines=[fitted, "climatology"])
    assert set(table.index.get_level_values("method")) == {"AQ-Net", method, "climatology"}
    mae = table.mae["visible", "6 h"]
    assert mae[method] < 1.3 * mae["climatology"]


@pytest.mark.parametrize("steps_per_day", [1, 4, 24])
def test_patchtst_takes_any_step(steps_per_day):
    """A fortnight of daily values is shorter than a patch of 24 steps."""
    pytest.importorskip("transformers")
    config = AQNetConfig.default("forecast", steps_per_day)
    made = PatchTSTBaseline(config)(_window(config))
    assert made.shape[1:] == (4, 7 * steps_per_day)
    assert torch.isfinite(made).all()


def test_unknown_baselines_are_named(ds, model):
    with pytest.raises(ModelError, match="no forecaster 'arima'"):
        ds.aq.verify(model, time=AFTER, baselines=["arima"])
    with pytest.raises(ModelError, match="no baseline 'arima'"):
        fit_baseline(ds, model, "arima")
    with pytest.raises(ModelError, match="baselines of an analysis"):
        ds.aq.verify("idw", baselines=[Persistence()])


def test_persistence_repeats_the_last_value_and_climatology_the_median_of_the_hour():
    times = np.datetime64("2020-01-31T00", "s") + np.arange(48) * np.timedelta64(3600, "s")
    values = np.stack([np.arange(48.0), np.full(48, np.nan)]).astype("float32")
    values[0, -1] = np.nan
    past = Observations(values, np.zeros(2), np.zeros(2), times)
    ahead = times[-1] + np.arange(1, 4) * np.timedelta64(3600, "s")
    np.testing.assert_array_equal(Persistence().forecast(past, ahead), [[46] * 3, [23] * 3])
    climatology = Climatology.fit(past).forecast(past, times[[0, 5, 24]])
    np.testing.assert_array_equal(climatology, [[0, 5, 24]] * 2)
    other_season = Climatology.fit(past).forecast(past, np.array(["2020-07-01T05"], "datetime64[s]"))
    assert other_season[0, 0] == np.median([5, 29])


def test_impossible_numbers_of_known_covariates_are_refused():
    for changes in ({"n_known": 1}, {"n_known": 1, "n_covariates": 1, "task": "analysis"}, {"dropout": 1.0}):
        with pytest.raises(ValueError, match=r"known|dropout"):
            dataclasses.replace(CONFIG, **changes)
