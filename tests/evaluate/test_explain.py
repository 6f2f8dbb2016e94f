"""An explanation names the neighbours and weights that an estimate is made of, and agrees with the estimate."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xaq
from xaq.aqnet.model import Model
from xaq.aqnet.recipe import untrained_network
from xaq.arrays.sphere import distance_km
from xaq.errors import GridError, ModelError, SchemaError
from xaq.interpolate.classical import OrdinaryKriging
from xaq.interpolate.site_effect import SiteEffect
from xaq.interpolate.site_predictors import data_digest, site_predictors
from xaq.interpolate.trend import TrendRecord
from xaq.nn.config import AQNetConfig
from xaq.stations import schema

SPOT = {"lon": 10.05, "lat": 50.1}
WHEN = "2020-01-03T08"


@pytest.fixture(scope="module")
def network():
    return xaq.datasets.synthetic(n_stations=16, days=6, seed=1).aq.hide(fraction=0.2, seed=1)


@pytest.fixture(scope="module")
def untrained(network):
    config = AQNetConfig(hidden=8, heads=2, k=8)
    trained = network.aq.train("pm25", config=config, geography=False, max_epochs=0, progress=False)
    # Training leaves advection out, which gains nothing here.
    return restarted(trained, config=replace(trained.recipe.config, advection=True))


def restarted(model, **changes):
    recipe = replace(model.recipe, **changes)
    return Model(untrained_network(recipe), recipe)


@pytest.fixture(scope="module")
def model(untrained):
    """A model as if trained: both scales mixed, weights and noise moved from their initial values."""
    moved = restarted(untrained, log_weight=0.3)
    for name, value in (("range", 0.6), ("noise", 0.5), ("variance_ratio", 0.5), ("stretch", 1.0)):
        getattr(moved.network.knn, f"theta_{name}").fill_(value)
    return moved


@pytest.fixture(scope="module")
def why(network, model):
    return network.aq.explain(model, **SPOT, time=WHEN)


def test_the_estimate_is_the_estimate(network, model, why):
    there = network.aq.estimate(model, lon=[SPOT["lon"]], lat=[SPOT["lat"]], time=WHEN).compute()
    for ours, theirs in (("estimate", "pm25"), ("lower", "pm25_lower"), ("upper", "pm25_upper")):
        assert float(why[ours]) == float(there[theirs].squeeze())
    assert float(why.lower) < float(why.estimate) < float(why.upper)
    wider = network.aq.explain(model, **SPOT, time=WHEN, level=0.98)
    assert float(wider.upper) > float(why.upper)


def test_weights_sum_to_one_and_contributions_to_the_estimate(why):
    assert float(why.weight.sum()) == pytest.approx(1.0, abs=1e-4)
    assert not np.allclose(why.value, why.advected)
    assert 0 < float(why.log_weight) < 1
    assert why.factor.shape == (0,)
    assert float(why.contribution.sum()) == pytest.approx(float(why.estimate), rel=1e-4)


def test_the_factor_of_the_site_effect_is_relative_to_the_neighbours(network, model):
    """Stations that observe their site effect and nothing else: the estimate is their kriging times the factor."""
    places = schema.observations(network, "pm25")
    mean, std = (tuple(f(site_predictors(places.lon, places.lat), axis=0)) for f in (np.mean, np.std))
    effect = SiteEffect((0.0, 0.4, 0.0, 0.0), mean, std, (-1e9,) * 4, (1e9,) * 4, data_digest())
    over = Model(model.network, replace(model.recipe, trend=TrendRecord(site_effect=effect)))
    values = 20.0 * effect.factor(network.lon.values, network.lat.values)[:, None]
    flat = network.copy(
        data={**network.data_vars, "pm25": network.pm25.copy(data=np.broadcast_to(values, network.pm25.shape))}
    )
    why = flat.aq.explain(over, **SPOT, time=WHEN)
    assert why.term.values.tolist() == ["site effect"]
    assert float(why.kriging * why.factor[0]) == pytest.approx(float(why.estimate), rel=1e-4)
    assert float(why.factor[0]) != pytest.approx(1.0, abs=0.01)


def test_parts_are_kriging_of_the_observations_and_what_each_step_adds(network, model):
    full = network.copy(deep=True)
    full["pm25"] = full.pm25.interpolate_na("time", fill_value="extrapolate").assign_attrs(network.pm25.attrs)
    why = full.aq.explain(model, **SPOT, time=WHEN)
    kriging = OrdinaryKriging(model.recipe.covariance, model.recipe.config.k)
    there = full.aq.estimate(kriging, lon=[SPOT["lon"]], lat=[SPOT["lat"]], time=WHEN, target="pm25")
    expected = there.pm25.compute().item()
    assert float(why.kriging) == pytest.approx(expected, rel=1e-4)
    parts = [float(why[part]) for part in ("advection", "log_scale", "learned")]
    assert min(map(abs, parts)) > 1e-3
    assert sum(parts, float(why.kriging)) == pytest.approx(float(why.estimate), rel=1e-5)


def test_contributions_follow_from_weights_on_the_linear_scale(network, untrained):
    linear = restarted(untrained, log_weight=0.0)
    why = network.aq.explain(linear, **SPOT, time=WHEN)
    np.testing.assert_allclose(why.contribution, why.weight * why.advected, rtol=1e-3, atol=1e-4)


def test_an_untrained_model_has_learned_nothing(network, untrained, why):
    for weight in (1.0, 0.0, 0.3):
        nothing = network.aq.explain(restarted(untrained, log_weight=weight), **SPOT, time=WHEN)
        assert abs(float(nothing.learned)) < 1e-4
        # The weight of a day is that of the whole period only where that is 0 or 1.
        if weight in (0.0, 1.0):
            assert float(nothing.log_weight) == pytest.approx(weight, abs=1e-5)
        else:
            assert 0 < float(nothing.log_weight) < 1
    assert abs(float(why.learned)) > 0.02
    before = why.kriging + why.advection + why.log_scale
    assert float(before) == pytest.approx(float(nothing.estimate), rel=1e-5)


def test_neighbours_are_the_nearest_visible_stations(network, model, why):
    visible = network.aq.visible
    away = distance_km(visible.lon, visible.lat, SPOT["lon"], SPOT["lat"])
    order = np.argsort(away)[:8]
    assert list(why.station.values) == list(visible.station.values[order])
    np.testing.assert_allclose(why.distance, np.asarray(away)[order], rtol=1e-6)
    np.testing.assert_array_equal(why.lon, visible.lon.values[order])
    hidden = set(network.aq.hidden.station.values)
    for place in network.aq.hidden.station.values:
        spot = network.sel(station=place)
        there = network.aq.explain(model, lon=spot.lon, lat=spot.lat, time=WHEN)
        assert not hidden & set(there.station.values)


def test_a_value_is_the_observation_or_filled(network, model, why):
    seen = network.pm25.sel(station=why.station.values, time=WHEN).values.astype(float)
    observed = np.isfinite(seen)
    np.testing.assert_array_equal(why.observed, observed)
    np.testing.assert_array_equal(why.value[observed], seen[observed])
    assert observed[0]
    gap = network.copy(deep=True)
    gap.pm25.loc[{"station": why.station.values[0], "time": WHEN}] = np.nan
    other = gap.aq.explain(model, **SPOT, time=WHEN)
    np.testing.assert_array_equal(other.observed, observed & (np.arange(8) > 0))
    assert np.isfinite(other.value).all()
    assert float(other.value[0]) != float(why.value[0])
    assert float(other.contribution.sum()) == pytest.approx(float(other.estimate), rel=1e-4)


def test_lazy_data_and_silent_stations_give_the_same(network, model):
    silent = network.copy(deep=True)
    silent.pm25.loc[{"station": network.aq.visible.station.values[2]}] = np.nan
    with pytest.warns(xaq.errors.XaqWarning, match="never report"):
        eager = silent.aq.explain(model, **SPOT, time=WHEN)
    lazy = silent.chunk({"time": 24}).aq.explain(model, **SPOT, time=WHEN)
    xr.testing.assert_allclose(eager, lazy)
    assert not bool((lazy.station == network.aq.visible.station.values[2]).any())


def test_everything_has_units_and_a_long_name(why):
    assert all("long_name" in v.attrs for v in why.data_vars.values())
    assert all("units" in v.attrs for n, v in why.data_vars.items() if n != "observed")
    assert why.estimate.attrs["units"] == why.contribution.attrs["units"] == "ug m-3"
    assert why.distance.attrs["units"] == "km"
    assert why.station.attrs["cf_role"] == "timeseries_id"
    assert float(why.place_lon) == SPOT["lon"]
    assert why.time.values == np.datetime64(WHEN)


@pytest.mark.parametrize(
    "when",
    [pd.Timestamp(WHEN), np.datetime64(WHEN), pd.Timestamp("2020-01-03T09", tz="Europe/Berlin"), "2020-01-03 08:00"],
)
def test_any_way_to_write_a_time(network, model, why, when):
    xr.testing.assert_identical(network.aq.explain(model, **SPOT, time=when), why)


def test_a_step_of_the_record_itself(network, model, why):
    step = network.time.sel(time=WHEN)
    xr.testing.assert_identical(network.aq.explain(model, **SPOT, time=step), why)


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ("2020-01-03T08:20", "nearest, 2020-01-03T08:00:00 and 2020-01-03T09:00:00"),
        ("2021-01-01", "nearest, 2020-01-06T23:00:00$"),
        ("2019-01-01", "nearest, 2020-01-01T00:00:00$"),
        ("nonsense", "not one time"),
        (None, "not one time"),
        (slice("2020-01-03", "2020-01-04"), "not one time"),
        (["2020-01-03", "2020-01-04"], "not one time"),
    ],
)
def test_a_time_off_the_record_is_refused_with_the_nearest(network, model, when, says):
    with pytest.raises(SchemaError, match=says):
        network.aq.explain(model, **SPOT, time=when)


def test_one_place_near_the_stations(network, model):
    with pytest.raises(GridError, match="one place"):
        network.aq.explain(model, lon=[10.0, 10.1], lat=[50.0, 50.1], time=WHEN)
    with pytest.raises(GridError, match="lat is nan, expected one place"):
        network.aq.explain(model, lon=10.0, lat=float("nan"), time=WHEN)
    with pytest.raises(GridError, match="max_distance"):
        network.aq.explain(model, lon=-60.0, lat=10.0, time=WHEN)
    far = network.aq.explain(model, lon=13.0, lat=52.0, time=WHEN, max_distance=2000.0)
    assert np.isfinite(float(far.estimate))


def test_only_a_trained_analysis_is_explained(network, untrained):
    with pytest.raises(ModelError, match=r"kriging.*train"):
        network.aq.explain("kriging", **SPOT, time=WHEN)
    with pytest.raises(ModelError, match=r"Nearest.*train"):
        network.aq.explain(xaq.Nearest(), **SPOT, time=WHEN)
    config = AQNetConfig(task="forecast", days_before=1, days_after=0, hidden=8, heads=2)
    with pytest.raises(ModelError, match=r"forecast.*estimate.*init"):
        network.aq.explain(restarted(untrained, config=config), **SPOT, time=WHEN)


def test_a_step_at_which_no_station_reports_has_nothing_to_explain(network, model):
    gone = network.copy(deep=True)
    gone.pm25.loc[{"time": WHEN}] = np.nan
    with pytest.raises(SchemaError, match="no visible station reports"):
        gone.aq.explain(model, **SPOT, time=WHEN)
