"""Advection: neighbours are shifted in time by how long a moving pattern takes from them to the target."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import xaq
from xaq import AQNetConfig
from xaq.arrays import sphere
from xaq.interpolate import advection
from xaq.interpolate.kriging import Covariance
from xaq.interpolate.leave_one_out import LeaveOneOut


@given(st.floats(-300, 300), st.floats(-300, 300), st.sampled_from([0.5, 1.0, 3.0]))
def test_weights_of_lags_and_knots_sum_to_one(east, north, step_hours):
    displacement = np.array([[east, north]])
    np.testing.assert_allclose(advection.lag_weights(displacement, step_hours).sum(axis=-1), 1.0, rtol=1e-5)
    index, weight = advection.knot_weights(displacement)
    assert weight.min() >= 0
    assert weight.sum() == pytest.approx(1.0, rel=1e-5)
    assert 0 <= index.min() <= index.max() < len(advection.knots())


def test_at_a_knot_only_the_knot_has_weight():
    index, weight = advection.knot_weights(advection.knots())
    per_knot = np.zeros((len(index), len(index)))
    np.add.at(per_knot, (np.arange(len(index))[:, None], index), weight)
    np.testing.assert_allclose(per_knot, np.eye(len(index)), atol=1e-5)


@given(st.floats(-120, 120), st.floats(-120, 120), st.floats(0, 2 * np.pi))
def test_knot_weights_are_continuous_in_space(east, north, towards):
    index, weight = advection.knot_weights(
        np.array([[east, north], [east + 0.01 * np.cos(towards), north + 0.01 * np.sin(towards)]])
    )
    per_knot = np.zeros((2, len(advection.knots())))
    np.add.at(per_knot, (np.arange(2)[:, None], index), weight)
    # A step of 10 m is a thousandth of the smallest distance between knots.
    np.testing.assert_allclose(per_knot[0], per_knot[1], atol=0.01)


def test_steps_without_a_report_are_interpolated_in_time():
    filled = np.array([[1.0, np.nan, np.nan, 4.0, np.nan], [3.0, np.nan, np.nan, 0.0, np.nan]], np.float32)
    expected = [[1.0, 2.0, 3.0, 4.0, 4.0], [3.0, 2.0, 1.0, 0.0, 0.0]]
    np.testing.assert_allclose(advection.interpolate_silent_steps(filled), expected, rtol=1e-5)


def moving(speed_east, n_station=40, days=4, seed=0):
    """Return values, lon and lat of stations under a pattern that moves eastwards."""
    rng = np.random.default_rng(seed)
    lon, lat = rng.uniform(9.5, 10.5, n_station), rng.uniform(49.5, 50.5, n_station)
    plane = sphere.on_tangent_plane(lon, lat, (10.0, 50.0))
    hours = np.arange(24 * days)
    # The pattern at x and t is a function of x - v t: a long and a short wave.
    phase = (plane[:, :1] - speed_east * hours) / 60
    values = 50 + 20 * np.sin(phase) + 10 * np.sin(2.7 * phase + plane[:, 1:] / 80)
    return values.astype(np.float32), lon, lat


@pytest.mark.parametrize("speed", [20.0, -20.0])
def test_the_slowness_of_a_moving_pattern_gets_the_largest_weight(speed):
    values, lon, lat = moving(speed)
    others = LeaveOneOut.of(lon, lat, Covariance(100.0, 0.05), 12)
    operators = advection.SlownessOperators.of(lon, lat, (10.0, 50.0), others.neighbours, others.complete.weights, 1.0)
    weights = advection.slowness_weights(values, np.isfinite(values), operators, 24)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-4)
    best = advection.slownesses()[weights.mean(axis=(0, 2)).argmax()]
    np.testing.assert_allclose(best, [1 / speed, 0.0], atol=1e-9)


@pytest.mark.parametrize("copies", [2, 3])
def test_evidence_grows_with_the_number_of_stations(copies):
    """Copies of every station, with the same neighbours, have the same errors: two copies square the odds, three cube them."""
    values, lon, lat = moving(20.0, n_station=8, days=2)
    values += np.random.default_rng(0).normal(0, 10, values.shape).astype("f4")
    others = LeaveOneOut.of(lon, lat, Covariance(100.0, 0.05), 6)

    def log_odds(n):
        places = np.tile(lon, n), np.tile(lat, n)
        weighted = np.tile(others.neighbours, (n, 1)), np.tile(others.complete.weights, (n, 1))
        operators = advection.SlownessOperators.of(*places, (10.0, 50.0), *weighted, 1.0)
        many = np.tile(values, (n, 1))
        weights = advection.slowness_weights(many, np.isfinite(many), operators, 24)[: len(lon)].astype(float)
        return np.log(weights[:, 1:] / weights[:, :1])

    once = log_odds(1)
    assert np.abs(once).max() > 0.3
    np.testing.assert_allclose(log_odds(copies), copies * once, rtol=1e-2, atol=1e-2)


def test_an_untrained_model_has_a_smaller_error_than_kriging_under_a_moving_pattern():
    values, lon, lat = moving(20.0)
    times = np.arange("2020-01-01", "2020-01-05", dtype="datetime64[h]").astype("datetime64[ns]")
    ds = xaq.datasets.synthetic(n_stations=len(lon), days=4).assign_coords(lon=("station", lon), lat=("station", lat))
    ds = ds.assign_coords(time=times)
    ds["pm25"] = (("station", "time"), values, ds.pm25.attrs)
    ds = ds.aq.hide(fraction=0.3, seed=0)
    model = ds.aq.train("pm25", max_epochs=0, progress=False)
    table = ds.aq.verify(model, baselines=["kriging"])
    assert table.loc["AQ-Net", "rmse"] < 0.8 * table.loc["kriging", "rmse"]


@pytest.mark.parametrize(
    "changes",
    [{"steps_per_day": 1, "patch": 1}, {"task": "forecast", "days_after": 0}, {"days_after": 0}, {"advection": False}],
    ids=str,
)
def test_no_advection_with_daily_steps_without_later_days_or_when_switched_off(changes):
    assert AQNetConfig().advects
    assert not AQNetConfig(**changes).advects
