"""Kriging in space and time: what it must equal, and what it must not depend on."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import scatter

from xaq.arrays import sphere
from xaq.interpolate import kriging, leave_one_out, spacetime
from xaq.interpolate.base import Observations
from xaq.interpolate.classical import OrdinaryKriging
from xaq.interpolate.kriging import Covariance
from xaq.interpolate.spacetime import SpaceTimeCovariance, SpaceTimeKriging

LAGS = (-1.0, 0.0, 1.0)
TARGETS = scatter(5, seed=9)


def network(n=8, n_time=12, seed=0, missing=0.2):
    rng = np.random.default_rng(seed)
    lon, lat = scatter(n, seed)
    values = rng.gamma(4.0, 10.0, (n, n_time))
    values[1:][rng.random((n - 1, n_time)) < missing] = np.nan  # the first station always reports
    times = np.datetime64("2020-01-01T00", "s") + np.arange(n_time) * np.timedelta64(3600, "s")
    return Observations(values, lon, lat, times)


def mapper(range_km=60.0, range_hours=3.0, nugget=0.1, k=8):
    return SpaceTimeKriging(SpaceTimeCovariance(range_km, range_hours, nugget, 100.0), LAGS, k)


def estimate(mapper, observations, lon=TARGETS[0], lat=TARGETS[1]):
    return mapper.estimate(mapper.prepare(observations, observations.times), lon, lat)


@given(st.integers(0, 1000), st.floats(1, 500), st.floats(0.1, 500), st.floats(0.001, 2), st.floats(-50, 500))
def test_adding_a_constant_shifts_the_field(seed, range_km, range_hours, nugget, constant):
    observations, kriged = network(seed=seed), mapper(range_km, range_hours, nugget)
    shifted = replace(observations, values=observations.values + constant)
    np.testing.assert_allclose(
        estimate(kriged, shifted).value, estimate(kriged, observations).value + constant, rtol=1e-4, atol=1e-3
    )


def test_equals_the_dense_system_of_the_entries_present():
    """One dense system over stations and hours, bordered by the constraint, as in the textbook."""
    observations = network(n=6)
    lon, lat, t, c = observations.lon, observations.lat, 5, SpaceTimeCovariance(60.0, 3.0, 0.1)
    station, hour = np.nonzero(np.isfinite(observations.values[:, t - 1 : t + 2]))
    hour = hour + t - 1
    d = sphere.distance_km(lon[station], lat[station], lon[station][:, None], lat[station][:, None])
    between = np.exp(-d / c.range_km - np.abs(hour[:, None] - hour) / c.range_hours) + c.nugget * np.eye(len(hour))
    to_target = np.exp(
        -sphere.distance_km(lon[station], lat[station], TARGETS[0][0], TARGETS[1][0]) / c.range_km
        - np.abs(hour - t) / c.range_hours
    )
    bordered = np.block([[between, np.ones((len(hour), 1))], [np.ones(len(hour)), np.zeros(1)]])
    solved = np.linalg.solve(bordered, np.append(to_target, 1.0))
    expected = solved[:-1] @ observations.values[station, hour]
    variance = 1 + c.nugget - solved[:-1] @ to_target - solved[-1]
    got = estimate(mapper(k=6), observations)
    assert got.value[0, t] == pytest.approx(expected, rel=1e-5)
    assert got.scale[0, t] == pytest.approx(np.sqrt(100 * variance), rel=1e-3)


def distances(observations):
    index, d = sphere.nearest(observations.lon, observations.lat, TARGETS[0], TARGETS[1], 8)
    return d, sphere.pairwise_km(observations.lon, observations.lat, index)


def test_without_lags_or_values_at_them_it_is_ordinary_kriging():
    observations = network()
    in_space = OrdinaryKriging(Covariance(60.0, 0.1, 100.0), k=8)
    alone = replace(mapper(), lags_hours=(0.0,))
    for a, b in zip(estimates(alone, observations), estimates(in_space, observations), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    missing = np.array([[True] * 8 + [False] * 8 + [True] * 8])
    weights, _ = spacetime.space_time_weights(
        np.array([2]), missing, *distances(observations), LAGS, mapper().covariance
    )
    expected, _ = kriging.ordinary_weights(*distances(observations), in_space.covariance)
    np.testing.assert_allclose(weights[0, 8:16], expected[2], atol=1e-10)
    assert (weights[0, missing[0]] == 0).all()


def test_with_a_range_in_time_of_zero_other_hours_change_the_mean_only():
    """Kriging is a mean and a response to departures from it; other hours do not change the response."""
    observations = network(missing=0)
    d, between = distances(observations)
    c = SpaceTimeCovariance(60.0, 1e-6, 0.1)
    weights, _ = spacetime.space_time_weights(np.arange(5), np.zeros((5, 24), bool), d, between, LAGS, c)
    in_space, _ = kriging.ordinary_weights(d, between, Covariance(60.0, 0.1))
    # These departures have a generalised least squares mean of zero.
    system = np.exp(-between / 60.0) + 0.1 * np.eye(8)
    gls = np.linalg.solve(system, np.ones((5, 8, 1)))[..., 0]
    departure = np.random.default_rng(0).normal(size=(5, 8))
    departure -= (gls * departure).sum(axis=1, keepdims=True) / gls.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        (weights[:, 8:16] * departure).sum(axis=1), (in_space * departure).sum(axis=1), atol=1e-9
    )
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)


def estimates(mapper, observations):
    made = estimate(mapper, observations)
    return [made.value, made.quantile(0.05), made.quantile(0.95)]


def test_a_missing_entry_is_left_out_of_the_system():
    observations = network()
    values = observations.values.copy()
    values[np.ix_([3], np.flatnonzero(np.arange(12) != 6))] = np.nan  # station 3 reports at one hour only
    once = replace(observations, values=values)
    without = replace(observations, values=np.delete(values, 3, 0), lon=np.delete(observations.lon, 3),
                      lat=np.delete(observations.lat, 3))  # fmt: skip
    a, b = estimate(mapper(), once).value, estimate(mapper(), without).value
    far = np.abs(np.arange(12) - 6) > 1
    np.testing.assert_allclose(a[:, far], b[:, far], rtol=1e-5)
    assert not np.allclose(a[:, 5:8], b[:, 5:8])


def test_a_left_out_station_is_a_neighbour_at_no_lag_nor_is_a_colocated_one():
    observations = network(n=10)
    lon, lat = observations.lon.copy(), observations.lat.copy()
    lon[1], lat[1] = lon[0], lat[0] + 0.0001  # 11 m
    pairs, neighbours = np.array([[0, 4], [1, 5], [0, 6]]), leave_one_out.other_stations(lon, lat, 5)

    def guess(values):
        series = np.stack([np.roll(values, -lag, axis=1) for lag in (-1, 0, 1)])
        return spacetime.predict_left_out(series, neighbours, pairs, LAGS, mapper().covariance)

    before, values = guess(observations.values), observations.values.copy()
    values[:2] = 1e9
    np.testing.assert_array_equal(guess(values), before)


def test_estimates_depend_on_the_days_of_the_margin_only():
    daily = replace(mapper(), lags_hours=spacetime.default_lags(24.0))
    assert (daily.margin_days, mapper().margin_days) == ((1, 1), (1, 1))
    observations = network(n_time=96)
    times = observations.times[48:72]
    days = slice(24, 96)
    part = replace(observations, values=observations.values[:, days], times=observations.times[days])
    a, b = (mapper().estimate(mapper().prepare(o, times), *TARGETS).value for o in (observations, part))
    np.testing.assert_array_equal(a, b)


def simulated(range_hours, n=25, n_time=150, seed=0):
    """Return noisy observations of a separable field: autoregressive in time, correlated in space."""
    rng = np.random.default_rng(seed)
    lon, lat = scatter(n, seed)
    root = np.linalg.cholesky(np.exp(-sphere.distance_km(lon, lat, lon[:, None], lat[:, None]) / 60.0))
    field, memory = [root @ rng.normal(size=n)], np.exp(-1 / range_hours)
    for _ in range(n_time - 1):
        field.append(memory * field[-1] + np.sqrt(1 - memory**2) * root @ rng.normal(size=n))
    values = 50 + 10 * np.array(field).T + 7 * rng.normal(size=(n, n_time))
    times = np.datetime64("2020-01-01T00", "s") + np.arange(n_time) * np.timedelta64(3600, "s")
    return Observations(values, lon, lat, times)


def test_a_field_that_lasts_is_fitted_a_longer_range_in_time():
    fits = []
    for range_hours in (30.0, 0.3):
        o = simulated(range_hours)
        series = np.stack([np.roll(o.values, -lag, axis=1) for lag in (-1, 0, 1)])
        pairs = np.argwhere(np.isfinite(o.values))[::2]
        fits.append(spacetime.fit_covariance(series, o.lon, o.lat, pairs, LAGS, Covariance(60.0, 0.4), 6))
    assert 3 * fits[1].range_hours < fits[0].range_hours


def test_lags_lower_the_error_where_the_field_lasts_and_reports_are_noisy():
    observations = simulated(20.0, n=30)
    seen = replace(observations, values=observations.values[5:], lon=observations.lon[5:], lat=observations.lat[5:])
    at = observations.lon[:5], observations.lat[:5]
    errors = [
        np.mean((estimate(m, seen, *at).value - observations.values[:5]) ** 2)
        for m in (SpaceTimeKriging.fit(seen, k=6, n_pairs=500), OrdinaryKriging.fit(seen, k=6))
    ]
    assert errors[0] < 0.97 * errors[1]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_scale_on_which_the_field_varies_is_kept(seed):
    """A normal field is kriged on the linear scale, a lognormal one on the log scale."""
    field = simulated(10.0, n=16, n_time=48, seed=seed)
    normal, lognormal = (replace(field, values=v) for v in (field.values - 20, np.exp((field.values - 50) / 8)))
    assert SpaceTimeKriging.fit(normal, k=6, n_pairs=400).scaler is None
    assert SpaceTimeKriging.fit(lognormal, k=6, n_pairs=400).scaler is not None


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_stations_can_be_fitted(n):
    observations = network(n=n)
    fit = SpaceTimeKriging.fit(observations)
    assert fit.covariance.sill > 0
    assert np.isfinite(estimate(fit, observations).value).all()
