"""Ordinary kriging systems: what they must equal and what missing neighbours may not change."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import scatter

from xaq.arrays import sphere
from xaq.interpolate.kriging import Covariance, ordinary_weights, solve_ordinary

seeds = st.integers(0, 10_000)
KM_PER_DEGREE = np.pi * sphere.EARTH_RADIUS_KM / 180


def system(n=7, n_target=5, seed=0):
    """Return distances from targets to stations and among stations; every station is a neighbour, in order."""
    lon, lat = scatter(n, seed)
    to_lon, to_lat = scatter(n_target, seed + 1)
    d = sphere.distance_km(lon, lat, to_lon[:, None], to_lat[:, None])
    between = np.broadcast_to(sphere.distance_km(lon, lat, lon[:, None], lat[:, None]), (n_target, n, n))
    return d, between


@given(seeds, st.integers(1, 9), st.floats(1, 1000), st.floats(0.001, 3))
def test_weights_sum_to_one_and_missing_neighbours_have_none(seed, n, range_km, nugget):
    d, between = system(n, seed=seed)
    missing = np.random.default_rng(seed).random(d.shape) < 0.4
    weights, variance = solve_ordinary(np.exp(-between / range_km), np.exp(-d / range_km), nugget, missing)
    assert (weights[missing] == 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), (~missing).any(axis=1), atol=1e-8)
    assert (variance > 0).all()
    assert np.isfinite(variance).all()


@given(seeds)
def test_a_missing_neighbour_is_left_out_of_the_system(seed):
    d, between = system(6, seed=seed)
    missing = np.zeros(d.shape, bool)
    missing[:, 2] = True
    covariance = Covariance(50.0, 0.1)
    weights, variance = solve_ordinary(np.exp(-between / 50.0), np.exp(-d / 50.0), 0.1, missing)
    others = np.array([0, 1, 3, 4, 5])
    alone, variance_alone = ordinary_weights(d[:, others], between[:, others][:, :, others], covariance)
    np.testing.assert_allclose(weights[:, others], alone, atol=1e-10)
    np.testing.assert_allclose(variance, variance_alone, atol=1e-10)
    values = np.full(6, 20.0)
    values[2] = 1e9
    np.testing.assert_allclose(weights @ values, 20.0)


@pytest.mark.parametrize("k", [1, 4])
def test_a_target_on_a_station_without_nugget_has_its_value(k):
    lon, lat = scatter(8)
    index, d = sphere.nearest(lon, lat, lon, lat, k)
    weights, variance = ordinary_weights(d, sphere.pairwise_km(lon, lat, index), Covariance(80.0, 1e-9))
    np.testing.assert_allclose(weights[:, 0], 1, atol=1e-6)
    np.testing.assert_allclose(variance, 0, atol=1e-6)


@pytest.mark.parametrize(("range_km", "nugget"), [(10.0, 0.2), (30.0, 0.05), (100.0, 1.0)])
def test_agrees_with_pykrige(range_km, nugget):
    pykrige = pytest.importorskip("pykrige.ok", reason="pykrige is in the test extra")
    rng = np.random.default_rng(5)
    x, y = rng.uniform(-25, 25, (2, 12))  # km, flat: at the equator a degree is a degree
    to_x, to_y = np.append(rng.uniform(-25, 25, (2, 9)), [[x[0]], [y[0]]], axis=1)  # the last target on a station
    values = rng.gamma(4, 10, 12)
    # PyKrige's exponential "range" is practical, 1 - exp(-3 d / range); its nugget counts at distance 0, unless exact.
    peer = pykrige.OrdinaryKriging(
        x, y, values, variogram_model="exponential", exact_values=False,
        variogram_parameters={"psill": 1.0, "range": 3 * range_km, "nugget": nugget},
    )  # fmt: skip
    expected, expected_variance = peer.execute("points", to_x, to_y)
    lon, lat, to_lon, to_lat = (a / KM_PER_DEGREE for a in (x, y, to_x, to_y))
    index, d = sphere.nearest(lon, lat, to_lon, to_lat, 12)
    weights, variance = ordinary_weights(d, sphere.pairwise_km(lon, lat, index), Covariance(range_km, nugget))
    np.testing.assert_allclose((weights * values[index]).sum(axis=1), expected, rtol=1e-4)
    np.testing.assert_allclose(variance, expected_variance, rtol=1e-4)
