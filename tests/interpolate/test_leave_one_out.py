"""Leave-one-out: the draw of observations, prediction from the other stations, errors and scores relative to a reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import scatter

from xaq.arrays import sphere
from xaq.errors import SchemaError
from xaq.interpolate.kriging import Covariance, ordinary_weights, solve_ordinary
from xaq.interpolate.leave_one_out import (
    Errors,
    LeaveOneOut,
    distinct_rows,
    draw_pairs,
    fit_covariance,
    mae_and_rmse,
    relative_score,
)

seeds = st.integers(0, 10_000)


def sparse_values(shape=(6, 50)):
    rng = np.random.default_rng(0)
    return np.where(rng.random(shape) < 0.3, np.nan, rng.gamma(2.0, 20.0, shape))


def test_pairs_are_observations_each_drawn_once():
    values = sparse_values()
    pairs = draw_pairs(values, 40, seed=1)
    assert len(np.unique(pairs, axis=0)) == len(pairs) == 40
    assert np.isfinite(values[tuple(pairs.T)]).all()
    np.testing.assert_array_equal(pairs, draw_pairs(values, 40, seed=1))
    assert (pairs != draw_pairs(values, 40, seed=[1, 2])).any()


def test_asking_for_more_pairs_than_there_are_draws_every_observation():
    values = sparse_values()
    pairs = draw_pairs(values, 10_000, seed=0)
    np.testing.assert_array_equal(np.unique(pairs, axis=0), np.argwhere(np.isfinite(values)))


def test_a_draw_from_nothing_says_so():
    with pytest.raises(SchemaError, match="no observation"):
        draw_pairs(np.full((2, 3), np.nan), 5, seed=0)


def test_errors_ignore_missing_values():
    assert mae_and_rmse(np.array([3.0, np.nan, -4.0])) == pytest.approx((3.5, 12.5**0.5))
    assert mae_and_rmse(np.array([np.nan])) == (0.0, 0.0)
    assert mae_and_rmse(np.array([1.0, np.inf])).mae == np.inf


@pytest.mark.parametrize("unit", [1.0, 1e-9, 1e9])
def test_mae_and_rmse_count_alike_in_any_unit(unit):
    reference = Errors(2.0 * unit, 5.0 * unit)
    assert relative_score(reference, reference) == 2.0
    assert relative_score(Errors(1.0 * unit, 5.0 * unit), reference) == pytest.approx(1.5)
    assert relative_score(Errors(2.0 * unit, 2.5 * unit), reference) == pytest.approx(1.5)


def test_a_reference_without_error_is_never_worse_than_another():
    perfect = Errors(0.0, 0.0)
    assert relative_score(perfect, perfect) == 0.0
    assert relative_score(Errors(1e-15, 1e-15), perfect) > 0.0


def simulated(range_km, n=50, steps=60, seed=0):
    lon, lat = scatter(n, seed, width=3.0)
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky(
        np.exp(-sphere.distance_km(lon, lat, lon[:, None], lat[:, None]) / range_km) + 0.05 * np.eye(n)
    )
    return 50 + 10 * root @ rng.normal(size=(n, steps)), lon, lat


def test_a_fit_finds_the_order_of_ranges_and_the_sill():
    fits = [fit_covariance(*simulated(r), k=8, n_pairs=1500) for r in (15.0, 150.0)]
    assert fits[0].range_km < 60 < fits[1].range_km
    # A long range with a large sill is the same local model as a short one with a small sill: only their ratio is well known.
    assert 100 / 150 / 3 < fits[1].sill / fits[1].range_km < 100 / 150 * 3
    assert fits[0].sill == pytest.approx(100, rel=0.4)


def test_a_fit_is_seeded_and_does_not_depend_on_the_order_of_stations():
    values, lon, lat = simulated(80.0, n=20, steps=20)
    values[values < 40] = np.nan
    fit = fit_covariance(values, lon, lat, k=8, n_pairs=300, seed=4)
    assert fit == fit_covariance(values, lon, lat, k=8, n_pairs=300, seed=4)
    order = np.random.default_rng(0).permutation(20)
    # Every observation is predicted, so that the order in which they are drawn has no effect.
    a = fit_covariance(values, lon, lat, k=8, n_pairs=10_000)
    b = fit_covariance(values[order], lon[order], lat[order], k=8, n_pairs=10_000)
    assert (a.range_km, a.nugget, a.sill) == pytest.approx((b.range_km, b.nugget, b.sill))


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_stations_can_be_fitted(n):
    lon, lat = scatter(n)
    fit = fit_covariance(np.full((n, 5), 30.0) + np.arange(5), lon, lat, n_pairs=100)
    assert fit.range_km > 0
    assert fit.nugget > 0
    assert fit.sill > 0


def test_a_station_is_not_predicted_from_itself_or_a_colocated_one():
    lon, lat = scatter(10)
    lon[1], lat[1] = lon[0], lat[0] + 0.0001  # 11 m
    values = np.random.default_rng(0).gamma(4, 10, (10, 3))
    pairs, covariance = np.array([[0, 1], [1, 2]]), Covariance(50.0, 0.1)
    before = LeaveOneOut.of(lon, lat, covariance, 5).predict(values, pairs)
    values[:2] = 1e9
    np.testing.assert_array_equal(LeaveOneOut.of(lon, lat, covariance, 5).predict(values, pairs), before)


@given(seeds, st.integers(2, 12), st.floats(0.0, 1.0), st.floats(1, 1000), st.floats(0.001, 3))
def test_prediction_is_kriging_from_the_other_stations_that_report(seed, n, gaps, range_km, nugget):
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


def test_prediction_without_a_reporting_neighbour_is_nan():
    lon, lat = scatter(4)
    values = np.full((4, 2), np.nan)
    values[0] = 10.0
    values[1, 1] = 20.0
    estimate, _ = LeaveOneOut.of(lon, lat, Covariance(50.0, 0.1), 3).predict(values, np.array([[0, 0], [0, 1]]))
    np.testing.assert_allclose(estimate, [np.nan, 20.0])


@given(seeds, st.floats(5, 500), st.floats(0.01, 2))
def test_kriging_with_a_filled_neighbour_equals_kriging_without_it(seed, range_km, nugget):
    (lon, lat), (to_lon, to_lat) = scatter(6, seed), scatter(5, seed + 1)
    d = sphere.distance_km(lon, lat, to_lon[:, None], to_lat[:, None])
    between = np.broadcast_to(sphere.distance_km(lon, lat, lon[:, None], lat[:, None]), (5, 6, 6))
    covariance, values = Covariance(range_km, nugget), np.random.default_rng(seed).gamma(4, 10, 6)
    missing = np.zeros(d.shape, bool)
    missing[:, 0] = True
    without = solve_ordinary(np.exp(-between / range_km), np.exp(-d / range_km), nugget, missing)[0] @ np.where(
        missing[0], 0, values
    )
    gappy = np.where(missing[0], np.nan, values)[:, None]
    filled = LeaveOneOut.of(lon, lat, covariance, 6).fill(gappy)[0][:, 0]
    np.testing.assert_allclose(ordinary_weights(d, between, covariance)[0] @ filled, without, rtol=1e-7)
    np.testing.assert_array_equal(filled[1:], values[1:])


def test_only_steps_without_a_report_stay_empty_after_filling():
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


def test_a_station_far_from_the_others_has_little_redundancy():
    rng = np.random.default_rng(0)
    lon, lat = np.append(rng.uniform(6, 8, 20), 12.0), np.append(rng.uniform(47, 49, 20), 48.0)
    found = LeaveOneOut.of(lon, lat, Covariance(80.0, 0.1), 12).redundancy()
    assert found.argmin() == 20
    assert found[20] < 0.5 < np.median(found[:20])
    assert found.max() == 1.0
    assert (LeaveOneOut.of(lon[:1], lat[:1], Covariance(80.0, 0.1), 12).redundancy() == 1.0).all()


def test_distinct_rows_rebuild_the_table():
    table = np.random.default_rng(0).integers(0, 3, (200, 4))
    rows, first, which = distinct_rows(table)
    np.testing.assert_array_equal(rows[which], table)
    np.testing.assert_array_equal(table[first], rows)
    assert len(rows) == len(np.unique(table, axis=0)) < len(table)
