"""The steps before learning, each called alone: what is selected, the trend removed, what is classical fitted."""

from dataclasses import replace

import numpy as np
import pytest

import xaq
from xaq.errors import ModelError, SchemaError
from xaq.interpolate.site_effect import fit_with_folds
from xaq.interpolate.trend import Trend
from xaq.nn.config import AQNetConfig
from xaq.stations import schema
from xaq.training.calibrate import calibrate, fit_errors
from xaq.training.fit_classical import choose_first_guess, fit_classical, settle_config
from xaq.training.gain import errors_beside_kriging
from xaq.training.learn import learn
from xaq.training.select import remove_trend, select_observations

SMALL = AQNetConfig(hidden=8, heads=2, days_before=1, days_after=1, k=6)


@pytest.fixture(scope="module")
def network():
    ds = xaq.datasets.synthetic(n_stations=14, days=6, seed=3).aq.hide(fraction=0.2, seed=1)
    ds = ds.assign(wind=ds.pm25.copy(data=np.random.default_rng(0).normal(3, 1, ds.pm25.shape)))
    return schema.conform(ds)


def test_the_steps_called_one_by_one_are_training(network):
    selection, trend = remove_trend(select_observations(network, "pm25"), seed=2)
    recipe = fit_classical(selection, trend, config=SMALL, seed=2)
    learned = learn(selection.observations, recipe, max_epochs=1, progress=False)
    interval, seen = calibrate(learned.members, learned.data, recipe), selection.observations
    errors = fit_errors(learned.members, learned.data, recipe, interval, seen.lon, seen.lat)
    beside = errors_beside_kriging(learned.members, learned.data, recipe, replace(seen, values=selection.observed))
    fitted = replace(recipe, interval=interval, error_covariance=errors, training=learned.summary | beside)
    model = network.aq.train("pm25", config=SMALL, max_epochs=1, seed=2, progress=False)
    assert fitted == replace(model.recipe, held_out_scores=[], mean_scores=[])
    ours, theirs = learned.network.state_dict(), model.network.state_dict()
    assert all((ours[name] == theirs[name]).all() for name in theirs)


def test_a_selection_holds_visible_stations_of_the_period_and_each_variable_once(network):
    selection = select_observations(
        network, "pm25", task="forecast", time="2020-01-02", covariates=["wind"], known=["wind"]
    )
    assert selection.observations.values.shape == (11, 24)
    assert set(selection.visible.station.values).isdisjoint(network.station.values[schema.hidden_mask(network)])
    assert (selection.covariates, selection.known) == ((), ("wind",))
    assert select_observations(network, "pm25", covariates=["wind"], known=["wind"]).covariates == ("wind",)


def test_no_trend_is_removed_where_none_is_asked_for(network):
    selection = select_observations(network, "pm25")
    same, trend = remove_trend(selection, geography=False)
    assert trend == Trend()
    assert same is selection


def test_the_trend_is_removed_from_what_is_learned_from(network):
    selection = select_observations(network, "pm25")
    ratios, trend = remove_trend(selection)
    factor = trend.site_effect.factor(selection.observations.lon, selection.observations.lat)
    np.testing.assert_allclose(ratios.observations.values * factor[:, None], selection.observations.values, rtol=1e-5)


def test_a_forecast_reads_no_fields(network):
    selection = select_observations(network, "pm25", task="forecast")
    with pytest.raises(ModelError, match=r"no background; fix: ds.aq.sample"):
        remove_trend(selection, background=network.pm25)
    with pytest.raises(ModelError, match="fix: rasters=None"):
        remove_trend(selection, rasters={"elevation": network.pm25})


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"task": "nowcast"}, ModelError, "fix: task='forecast'"),
        ({"covariates": "wind"}, SchemaError, r"fix: covariates=\['wind'\]"),
        ({"covariates": ["pm25"]}, SchemaError, "candidates are wind"),
        ({"time": "1999"}, SchemaError, "holds no step"),
    ],
)
def test_what_cannot_be_selected_is_refused(network, options, error, message):
    with pytest.raises(error, match=message):
        select_observations(network, "pm25", **options)


def test_a_configuration_of_another_task_or_step_is_refused_with_the_one_that_fits(network):
    selection = select_observations(network, "pm25")
    with pytest.raises(ModelError, match="fix: task='forecast'"):
        settle_config(AQNetConfig.default("forecast", 24), selection)
    with pytest.raises(ModelError, match=r"fix: dataclasses.replace\(config, steps_per_day=24\)"):
        settle_config(AQNetConfig.default("analysis", 1), selection)


@pytest.mark.parametrize("multiplicative", [False, True])
def test_the_first_guess_is_on_the_scale_on_which_the_field_varies(multiplicative):
    from synthetic import scatter

    from xaq.arrays.transforms import Scaler

    lon, lat = scatter(30, seed=2)
    rng = np.random.default_rng(0)
    waves = np.sin(2 * lon[:, None] + rng.uniform(0, 7, 200)) + np.cos(2 * lat[:, None] + rng.uniform(0, 7, 200))
    values = 20 * np.exp(waves) if multiplicative else 60 + 10 * waves
    values = values.astype("f4")
    _, weight = choose_first_guess(values, Scaler.fit(values), lon, lat, k=8, seed=0)
    assert weight >= 0.5 if multiplicative else weight <= 0.25


def test_few_stations_or_one_among_many_do_not_choose_the_log_scale():
    from synthetic import scatter

    from xaq.arrays.transforms import Scaler

    def weight(values, lon, lat):
        values = values.astype("f4")
        return choose_first_guess(values, Scaler.fit(values), lon, lat, k=8, seed=0)[1]

    lon, lat = scatter(60, seed=2)
    rng = np.random.default_rng(0)
    waves = np.sin(2 * lon[:, None] + rng.uniform(0, 7, 200)) + np.cos(2 * lat[:, None] + rng.uniform(0, 7, 200))
    multiplicative = 20 * np.exp(waves)
    assert weight(multiplicative, lon, lat) > 0
    assert weight(multiplicative[:8], lon[:8], lat[:8]) == 0
    # The log scale would be better by what it spares at one station: eight times as high as the rest.
    additive = 60 + 10 * waves
    additive[7] *= 8
    assert weight(additive, lon, lat) == 0


def test_each_fold_is_calibrated_with_a_site_effect_that_it_had_no_part_in():
    ds = xaq.datasets.load("germany").isel(time=slice(0, 60))
    selection = select_observations(schema.conform(ds), "pm10")
    left, trend = remove_trend(selection, seed=3)
    lon, lat = left.observations.lon, left.observations.lat
    expected = fit_with_folds(selection.observations, seed=3)
    assert trend.site_effect == expected.effect
    for ratio, without in zip(left.fold_ratios, expected.without, strict=True):
        np.testing.assert_allclose(
            left.observations.values * ratio[:, None],
            selection.observations.values / without.factor(lon, lat)[:, None],
            rtol=1e-5,
        )
    assert np.ptp(left.fold_ratios, axis=0).max() > 0.01
    assert remove_trend(selection, geography=False)[0].fold_ratios is None
