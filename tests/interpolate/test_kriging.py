import numpy as np
import pytest
from conftest import scatter
from hypothesis import given
from hypothesis import strategies as st

from xaq.arrays import sphere
from xaq.interpolate import leave_one_out
from xaq.interpolate.kriging import Covariance, ordinary_weights
from xaq.interpolate.leave_one_out import LeaveOneOut, fit_covariance

seeds = st.integers(0, 10_000)
KM_PER_DEGREE = np.pi * sphere.EARTH_RADIUS_KM / 180


def system(n=7, n_target=5, seed=0):
    """Return lon, lat, distances to targets and among stations; every station is a neighbour, in order."""
    lon, lat = scatter(n, seed)
    to_lon, to_lat = scatter(n_target, seed + 1)
    d = sphere.distance_km(lon, lat, to_lon[:, None], to_lat[:, None])
    between = np.broadcast_to(sphere.distance_km(lon, lat, lon[:, None], lat[:, None]), (n_target, n, n))
    return lon, lat, d, between


@given(seeds, st.integers(1, 9), st.floats(1, 1000), st.floats(0.001, 3))
def test_weights_sum_to_one_and_missing_weigh_nothing(seed, n, range_km, nugget):
    _, _, d, between = system(n, seed=seed)
    missing = np.random.default_rng(seed).random(d.shape) < 0.4
    weights, variance = ordinary_weights(d, between, Covariance(range_km, nugget), missing)
    assert (weights[missing] == 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), (~missing).any(axis=1), atol=1e-8)
    assert (variance > 0).all()
    assert np.isfinite(variance).all()


@given(seeds)
def test_a_missing_neighbour_is_as_if_it_were_not_there(seed):
    _, _, d, between = system(6, seed=seed)
    missing = np.zeros(d.shape, bool)
    missing[:, 2] = True
    covariance = Covariance(50.0, 0.1)
    weights, variance = ordinary_weights(d, between, covariance, missing)
    others = np.array([0, 1, 3, 4, 5])
    alone, variance_alone = ordinary_weights(d[:, others], between[:, others][:, :, others], covariance)
    np.testing.assert_allclose(weights[:, others], alone, atol=1e-10)
    np.testing.assert_allclose(variance, variance_alone, atol=1e-10)
    values = np.full(6, 20.0)
    values[2] = 1e9
    np.testing.assert_allclose(weights @ values, 20.0)


@pytest.mark.parametrize("k", [1, 4])
def test_a_target_on_a_station_returns_it(k):
    lon, lat = scatter(8)
    index, d = sphere.nearest(lon, lat, lon, lat, k)
    weights, variance = ordinary_weights(d, sphere.pairwise_km(lon, lat, index), Covariance(80.0, 1e-9))
    np.testing.assert_allclose(weights[:, 0], 1, atol=1e-6)
    np.testing.assert_allclose(variance, 0, atol=1e-6)


@given(seeds, st.floats(5, 500), st.floats(0.01, 2))
def test_filling_a_gap_by_kriging_changes_nothing(seed, range_km, nugget):
    """An estimate in the place of a missing neighbour gives the estimate without that neighbour."""
    lon, lat, d, between = system(6, seed=seed)
    covariance, values = Covariance(range_km, nugget), np.random.default_rng(seed).gamma(4, 10, 6)
    missing = np.zeros(d.shape, bool)
    missing[:, 0] = True
    without = ordinary_weights(d, between, covariance, missing)[0] @ np.where(missing[0], 0, values)
    holed = np.where(missing[0], np.nan, values)[:, None]
    filled = LeaveOneOut.of(lon, lat, covariance, 6).fill(holed)[0][:, 0]
    np.testing.assert_allclose(ordinary_weights(d, between, covariance)[0] @ filled, without, rtol=1e-7)
    np.testing.assert_array_equal(filled[1:], values[1:])


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


def simulated(range_km, n=50, steps=60, seed=0):
    lon, lat = scatter(n, seed, width=3.0)
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky(
        np.exp(-sphere.distance_km(lon, lat, lon[:, None], lat[:, None]) / range_km) + 0.05 * np.eye(n)
    )
    return 50 + 10 * root @ rng.normal(size=(n, steps)), lon, lat


def test_fit_finds_the_order_of_ranges_and_the_sill():
    fits = [fit_covariance(*simulated(r), k=8, n_pairs=1500) for r in (15.0, 150.0)]
    assert fits[0].range_km < 60 < fits[1].range_km
    # A longer range with a smaller sill, or the reverse, is the same local model: only the slope at zero is well known.
    assert 100 / 150 / 3 < fits[1].sill / fits[1].range_km < 100 / 150 * 3
    assert fits[0].sill == pytest.approx(100, rel=0.4)


def test_fit_is_seeded_and_blind_to_station_order():
    values, lon, lat = simulated(80.0, n=20, steps=20)
    values[values < 40] = np.nan
    fit = fit_covariance(values, lon, lat, k=8, n_pairs=300, seed=4)
    assert fit == fit_covariance(values, lon, lat, k=8, n_pairs=300, seed=4)
    order = np.random.default_rng(0).permutation(20)
    # With every pair predicted nothing is drawn, so the order may not matter.
    a = fit_covariance(values, lon, lat, k=8, n_pairs=10_000)
    b = fit_covariance(values[order], lon[order], lat[order], k=8, n_pairs=10_000)
    assert (a.range_km, a.nugget, a.sill) == pytest.approx((b.range_km, b.nugget, b.sill))


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("n", [1, 2])
def test_fit_on_hardly_any_station(n):
    lon, lat = scatter(n)
    fit = fit_covariance(np.full((n, 5), 30.0) + np.arange(5), lon, lat, n_pairs=100)
    assert fit.range_km > 0
    assert fit.nugget > 0
    assert fit.sill > 0


def test_others_predict_never_sees_itself_or_a_colocated_station():
    lon, lat = scatter(10)
    lon[1], lat[1] = lon[0], lat[0] + 0.0001  # 11 m
    values = np.random.default_rng(0).gamma(4, 10, (10, 3))
    pairs, covariance = np.array([[0, 1], [1, 2]]), Covariance(50.0, 0.1)
    before = LeaveOneOut.of(lon, lat, covariance, 5).predict(values, pairs)
    values[:2] = 1e9
    np.testing.assert_array_equal(LeaveOneOut.of(lon, lat, covariance, 5).predict(values, pairs), before)


@given(seeds, st.integers(2, 12), st.floats(0.0, 1.0), st.floats(1, 1000), st.floats(0.001, 3))
def test_others_predict_is_kriging_from_the_others_that_report(seed, n, gaps, range_km, nugget):
    rng, covariance = np.random.default_rng(seed), Covariance(range_km, nugget)
    lon, lat = scatter(n, seed)
    values = np.where(rng.random((n, 6)) < gaps, np.nan, rng.gamma(4, 10, (n, 6)))
    pairs = np.argwhere(np.ones(values.shape, bool))
    estimate, variance = LeaveOneOut.of(lon, lat, covariance, n).predict(values, pairs)
    for (station, time), made, relative in zip(pairs, estimate, variance, strict=True):
        others = np.flatnonzero(np.isfinite(values[:, time]) & (np.arange(n) != station))
        if not len(others):
            assert np.isnan(made)
            continue
        there = lon[others], lat[others]
        d = sphere.distance_km(*there, lon[station], lat[station])[None]
        between = sphere.distance_km(*there, there[0][:, None], there[1][:, None])[None]
        weights, expected = ordinary_weights(d, between, covariance)
        np.testing.assert_allclose(made, weights[0] @ values[others, time], rtol=1e-6)
        np.testing.assert_allclose(relative, expected[0], rtol=1e-6)


def test_others_predict_without_a_reporting_neighbour_is_nan():
    lon, lat = scatter(4)
    values = np.full((4, 2), np.nan)
    values[0] = 10.0
    values[1, 1] = 20.0
    estimate, _ = LeaveOneOut.of(lon, lat, Covariance(50.0, 0.1), 3).predict(values, np.array([[0, 0], [0, 1]]))
    np.testing.assert_allclose(estimate, [np.nan, 20.0])


def test_filling_leaves_only_empty_steps_empty():
    lon, lat = scatter(9)
    values = np.random.default_rng(0).gamma(4, 10, (9, 4)).astype("float32")
    values[:, 1] = np.nan
    values[:8, 2] = np.nan
    values[3, 3] = np.nan
    kept = values.copy()
    filled, variance = LeaveOneOut.of(lon, lat, Covariance(50.0, 0.1), 2).fill(values)
    np.testing.assert_array_equal(values, kept)
    np.testing.assert_array_equal(filled[np.isfinite(values)], values[np.isfinite(values)])
    assert np.isnan(filled[:, 1]).all()
    np.testing.assert_allclose(filled[:, 2], values[8, 2], rtol=1e-6)
    assert (variance[np.isfinite(values)] == 0).all()
    assert variance[3, 3] > 0
    assert np.isfinite(filled[3, 3])
    assert filled.dtype == values.dtype


def test_distinct_rows_rebuild_the_table():
    table = np.random.default_rng(0).integers(0, 3, (200, 4))
    rows, first, which = leave_one_out.distinct_rows(table)
    np.testing.assert_array_equal(rows[which], table)
    np.testing.assert_array_equal(table[first], rows)
    assert len(rows) == len(np.unique(table, axis=0)) < len(table)


def test_a_station_that_stands_alone_cannot_be_predicted_by_the_others():
    rng = np.random.default_rng(0)
    lon, lat = np.append(rng.uniform(6, 8, 20), 12.0), np.append(rng.uniform(47, 49, 20), 48.0)
    found = LeaveOneOut.of(lon, lat, Covariance(80.0, 0.1), 12).redundancy()
    assert found.argmin() == 20
    assert found[20] < 0.5 < np.median(found[:20])
    assert found.max() == 1.0
    assert (LeaveOneOut.of(lon[:1], lat[:1], Covariance(80.0, 0.1), 12).redundancy() == 1.0).all()
