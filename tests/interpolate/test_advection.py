"""Advection: neighbours are read at the hours at which what they had is here."""

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
def test_lags_and_corners_are_means(east, north, step_hours):
    displacement = np.array([[east, north]])
    np.testing.assert_allclose(advection.lag_weights(displacement, step_hours).sum(axis=-1), 1.0, rtol=1e-5)
    index, share = advection.corners(displacement)
    assert share.min() >= 0
    assert share.sum() == pytest.approx(1.0, rel=1e-5)
    assert 0 <= index.min() <= index.max() < len(advection.knots())


def test_at_a_knot_only_the_knot_is_read():
    index, share = advection.corners(advection.knots())
    read = np.zeros((len(index), len(index)))
    np.add.at(read, (np.arange(len(index))[:, None], index), share)
    np.testing.assert_allclose(read, np.eye(len(index)), atol=1e-5)


@given(st.floats(-120, 120), st.floats(-120, 120), st.floats(0, 2 * np.pi))
def test_what_is_read_changes_gradually_with_the_place(east, north, towards):
    index, share = advection.corners(
        np.array([[east, north], [east + 0.01 * np.cos(towards), north + 0.01 * np.sin(towards)]])
    )
    read = np.zeros((2, len(advection.knots())))
    np.add.at(read, (np.arange(2)[:, None], index), share)
    # The innermost ring lies at 10 km, and near the centre all directions are one.
    np.testing.assert_allclose(read[0, 1:], read[1, 1:], atol=0.01)


def test_silent_steps_are_interpolated_for_all_stations_at_once():
    filled = np.array([[1.0, np.nan, np.nan, 4.0, np.nan], [3.0, np.nan, np.nan, 0.0, np.nan]], np.float32)
    expected = [[1.0, 2.0, 3.0, 4.0, 4.0], [3.0, 2.0, 1.0, 0.0, 0.0]]
    np.testing.assert_allclose(advection.through_silence(filled), expected, rtol=1e-5)


def moving(speed_east, n_station=40, days=4, seed=0):
    """Stations under a pattern that moves eastwards: ``(values, lon, lat)``."""
    rng = np.random.default_rng(seed)
    lon, lat = rng.uniform(9.5, 10.5, n_station), rng.uniform(49.5, 50.5, n_station)
    plane = sphere.on_tangent_plane(lon, lat, (10.0, 50.0))
    hours = np.arange(24 * days)
    # The pattern at x and t is a function of x - v t: a long and a short wave.
    phase = (plane[:, :1] - speed_east * hours) / 60
    values = 50 + 20 * np.sin(phase) + 10 * np.sin(2.7 * phase + plane[:, 1:] / 80)
    return values.astype(np.float32), lon, lat


@pytest.mark.parametrize("speed", [20.0, -20.0])
def test_the_slowness_of_a_moving_pattern_gets_the_largest_share(speed):
    values, lon, lat = moving(speed)
    others = LeaveOneOut.of(lon, lat, Covariance(100.0, 0.05), 12)
    operators = advection.SlownessOperators.of(lon, lat, (10.0, 50.0), (others.near, others.always[0]), 1.0)
    weights = advection.slowness_weights(values, np.isfinite(values), operators, 24)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-4)
    best = advection.slownesses()[weights.mean(axis=(0, 2)).argmax()]
    np.testing.assert_allclose(best, [1 / speed, 0.0], atol=1e-9)


@pytest.mark.parametrize("copies", [2, 3])
def test_evidence_grows_with_the_stations_that_give_it(copies):
    """Every station once more at its place, with the same neighbours, errs alike: the odds are squared, then cubed."""
    values, lon, lat = moving(20.0, n_station=8, days=2)
    values += np.random.default_rng(0).normal(0, 10, values.shape).astype("f4")
    others = LeaveOneOut.of(lon, lat, Covariance(100.0, 0.05), 6)

    def log_odds(n):
        places = np.tile(lon, n), np.tile(lat, n)
        weighted = np.tile(others.near, (n, 1)), np.tile(others.always[0], (n, 1))
        operators = advection.SlownessOperators.of(*places, (10.0, 50.0), weighted, 1.0)
        many = np.tile(values, (n, 1))
        weights = advection.slowness_weights(many, np.isfinite(many), operators, 24)[: len(lon)].astype(float)
        return np.log(weights[:, 1:] / weights[:, :1])

    once = log_odds(1)
    assert np.abs(once).max() > 0.3
    np.testing.assert_allclose(log_odds(copies), copies * once, rtol=1e-2, atol=1e-2)


def test_an_untrained_model_reads_a_moving_pattern_better_than_kriging_does():
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
def test_nothing_is_advected_where_a_step_or_a_record_cannot_tell(changes):
    assert AQNetConfig().advects
    assert not AQNetConfig(**changes).advects
