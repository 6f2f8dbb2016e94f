"""A model over gridded predictors: its cube is made where the network writes, in parts of days and of targets."""

import numpy as np
import pytest
import xarray as xr

import xaq
from xaq.errors import ModelError
from xaq.fields.predictor_field import settle_fields
from xaq.fields.trend import trend_of_model
from xaq.interpolate import filling
from xaq.nn.config import AQNetConfig

GRID = xaq.Grid.regular(0.25, bounds=(9.0, 49.5, 11.0, 50.5))


@pytest.fixture(scope="module")
def network():
    return xaq.datasets.synthetic(n_stations=40, days=4, missing=0.05)


@pytest.fixture(scope="module")
def wind(network):
    lat, lon = np.arange(47.5, 52.6, 0.1), np.arange(7.5, 12.6, 0.1)
    hour = np.arange(network.sizes["time"])[:, None, None]
    phase = np.random.default_rng(0).uniform(0, 2 * np.pi, (len(lat), len(lon)))
    axes = {"time": network.time.values, "lat": lat, "lon": lon}
    values = (280 + 10 * np.cos(phase + hour / 6.0)).astype("f4")
    return xr.DataArray(values, axes, tuple(axes), "wind", {"units": "m s-1"})


@pytest.fixture(scope="module")
def windy(network, wind):
    """Return the network thinned out where the wind blows, so that the wind has a slope."""
    there = settle_fields([wind], network)[0].at(network.lon.values, network.lat.values, network.time.values)
    values = (network.pm25 * np.exp(-(there - 280) / 25)).astype("f4")
    return network.assign(pm25=values.assign_attrs(network.pm25.attrs))


@pytest.fixture(scope="module")
def model(windy, wind):
    config = AQNetConfig(hidden=8, heads=2, k=8, days_before=1, days_after=1)
    return windy.aq.train("pm25", fields=[wind], config=config, max_epochs=0, progress=False)


def test_a_cube_is_the_estimates_of_ratios_times_the_factor(windy, wind, model, monkeypatch):
    monkeypatch.setattr(filling, "_TARGETS", 13)
    # Neither the first nor the last day is whole.
    period = slice(windy.time[7], windy.time[60])
    made = windy.aq.reanalyze(model, grid=GRID, time=period, fields=[wind]).load()
    given = model.with_trend(trend_of_model(model.recipe.trend, None, {}, windy, settle_fields([wind], windy)))
    assert given.trend.drift.slopes[0] < -0.05
    observations = xaq.stations.schema.observations(windy, "pm25")
    times = windy.time.values[7:61].astype("datetime64[s]")
    lon, lat = (axis.ravel() for axis in np.meshgrid(GRID.lon, GRID.lat))
    expected = given.estimate(given.prepare(observations, times), lon, lat)
    for name, values in (("pm25", expected.value), ("pm25_upper", expected.quantile(0.95))):
        np.testing.assert_allclose(made[name].values.reshape(54, -1), values.T, rtol=2e-4)
    assert made.pm25.std() > 0


def test_a_model_needs_its_fields_again(windy, wind, model):
    where = {"lon": [10.0], "lat": [50.0]}
    with pytest.raises(ModelError, match=r"fix: fields=\{'wind': field\} in this call"):
        windy.aq.estimate(model, **where)
    with pytest.raises(ModelError, match="not the field that the model was trained on"):
        windy.aq.estimate(model, fields=[wind[:, ::2]], **where)
    plain = windy.aq.train("pm25", config=model.recipe.config, max_epochs=0, progress=False)
    with pytest.raises(ModelError, match="without the fields wind; fix: fields=None"):
        windy.aq.estimate(plain, fields=[wind], **where)
