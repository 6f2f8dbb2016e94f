"""The contract of a mapper, held by every classical one, and what each of them computes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from synthetic import scatter

from xaq.arrays import sphere
from xaq.arrays.transforms import Scaler
from xaq.errors import XaqError
from xaq.interpolate.base import Estimate, Mapper
from xaq.interpolate.classical import CLASSICAL, InverseDistance, Nearest, OrdinaryKriging, classical
from xaq.interpolate.kriging import Covariance
from xaq.interpolate.spacetime import SpaceTimeCovariance, SpaceTimeKriging

MAPPERS = [
    Nearest(),
    InverseDistance(),
    OrdinaryKriging(Covariance(60.0, 0.1, 100.0)),
    OrdinaryKriging(Covariance(60.0, 0.1, 0.3), name="kriging-log", scaler=Scaler(2.0, 0.0, 1.0)),
    SpaceTimeKriging(SpaceTimeCovariance(60.0, 2.0, 0.1, 100.0), (-1.0, 0.0, 1.0)),
]
TARGETS = scatter(30, seed=9, width=3.0)
each = pytest.mark.parametrize("mapper", MAPPERS, ids=lambda m: m.name)


def estimate(mapper, observations, lon=TARGETS[0], lat=TARGETS[1]):
    return mapper.estimate(mapper.prepare(observations, observations.times), lon, lat)


@each
def test_honours_the_contract(mapper, observations):
    assert isinstance(mapper, Mapper)
    got = estimate(mapper, observations)
    assert got.value.shape == (30, 6)
    assert got.value.dtype == np.float32
    assert np.isfinite(got.value).all()
    assert (got.scale is not None) == mapper.has_interval
    if mapper.has_interval:
        assert got.quantile(0.9).shape == (30, 6)
        assert got.quantile(0.9).dtype == np.float32
    else:
        with pytest.raises(XaqError, match="no quantiles"):
            got.quantile(0.9)


@each
def test_a_constant_network_gives_a_constant_field(mapper, observations):
    constant = np.where(np.isfinite(observations.values), np.float32(17), np.float32(np.nan))
    np.testing.assert_allclose(estimate(mapper, replace(observations, values=constant)).value, 17, rtol=1e-5)


@each
def test_a_step_without_a_report_is_nan_and_changes_no_other(mapper, observations):
    full = estimate(mapper, observations).value
    values = observations.values.copy()
    values[:, 2] = np.nan
    got = estimate(mapper, replace(observations, values=values)).value
    assert np.isnan(got[:, 2]).all()
    others = (
        [0, 4, 5] if isinstance(mapper, SpaceTimeKriging) else [0, 1, 3, 4, 5]
    )  # steps whose lags do not reach step 2
    np.testing.assert_array_equal(got[:, others], full[:, others])


@each
def test_a_station_without_a_report_has_no_influence(mapper, observations):
    values = observations.values.copy()
    values[4] = np.nan
    with_it = replace(observations, values=values)
    keep = np.delete(np.arange(12), 4)
    mapper = mapper if mapper.name == "nearest" else replace(mapper, k=12)
    without = replace(observations, values=values[keep], lon=observations.lon[keep], lat=observations.lat[keep])
    np.testing.assert_allclose(estimate(mapper, with_it).value, estimate(mapper, without).value, rtol=1e-5)


@each
def test_an_estimate_without_reporting_neighbours_uses_the_stations_that_report(mapper, observations):
    values = np.full_like(observations.values, np.nan)
    far = int(np.argmax(sphere.distance_km(observations.lon, observations.lat, 115.4, 38.9)))
    values[far] = 33.0
    mapper = mapper if mapper.name == "nearest" else replace(mapper, k=3)
    np.testing.assert_allclose(estimate(mapper, replace(observations, values=values)).value, 33.0, rtol=1e-5)


@pytest.mark.parametrize("mapper", MAPPERS[:4], ids=lambda m: m.name)
def test_a_step_is_estimated_as_if_the_stations_that_do_not_report_did_not_exist(mapper, observations):
    """Else a place takes one neighbour and the next all, and maps of networks that report every third day have cliffs."""
    values = np.where(np.random.default_rng(1).random(observations.values.shape) < 0.5, np.nan, observations.values)
    mapper = mapper if mapper.name == "nearest" else replace(mapper, k=4)
    got = estimate(mapper, replace(observations, values=values))
    for t in range(values.shape[1]):
        seen = np.isfinite(values[:, t])
        alone = replace(
            observations, values=values[seen, t : t + 1], lon=observations.lon[seen], lat=observations.lat[seen],
            times=observations.times[t : t + 1],
        )  # fmt: skip
        expected = estimate(mapper, alone)
        np.testing.assert_allclose(got.value[:, t], expected.value[:, 0], rtol=1e-5)
        if mapper.has_interval:
            np.testing.assert_allclose(got.scale[:, t], expected.scale[:, 0], rtol=1e-5)


@each
def test_station_order_does_not_matter(mapper, observations):
    order = np.random.default_rng(0).permutation(12)
    other = replace(
        observations, values=observations.values[order], lon=observations.lon[order], lat=observations.lat[order]
    )
    np.testing.assert_allclose(estimate(mapper, other).value, estimate(mapper, observations).value, rtol=1e-5)


@each
def test_whole_turns_of_longitude_do_not_matter(mapper, observations):
    turned = replace(observations, lon=observations.lon - 360)
    np.testing.assert_allclose(estimate(mapper, turned).value, estimate(mapper, observations).value, rtol=1e-4)


@each
def test_targets_are_independent_of_each_other(mapper, observations):
    together = estimate(mapper, observations).value
    alone = estimate(mapper, observations, TARGETS[0][7:8], TARGETS[1][7:8]).value
    np.testing.assert_allclose(together[7:8], alone, rtol=1e-5)


@each
def test_a_target_on_a_station_that_reports(mapper, observations):
    if isinstance(mapper, (OrdinaryKriging, SpaceTimeKriging)):
        mapper = replace(mapper, covariance=replace(mapper.covariance, nugget=1e-8))
    got = estimate(mapper, observations, observations.lon, observations.lat).value
    seen = np.isfinite(observations.values)
    np.testing.assert_allclose(got[seen], observations.values[seen], rtol=1e-3)


def test_nearest_is_the_nearest_station_that_reports(observations):
    got = estimate(Nearest(), observations).value
    distance = sphere.distance_km(observations.lon, observations.lat, TARGETS[0][:, None], TARGETS[1][:, None])
    for t in range(6):
        reach = np.where(np.isfinite(observations.values[:, t]), distance, np.inf)
        np.testing.assert_array_equal(got[:, t], observations.values[reach.argmin(axis=1), t])


@pytest.mark.parametrize(("power", "k"), [(2.0, 8), (1.0, 3), (3.0, 99), (2.0, 1)])
def test_idw_equals_the_renormalised_formula(power, k, observations):
    got = estimate(InverseDistance(power, k), observations).value
    distance = sphere.distance_km(observations.lon, observations.lat, TARGETS[0][:, None], TARGETS[1][:, None])
    for i, row in enumerate(distance):
        for t in range(6):
            seen = np.isfinite(observations.values[:, t])
            near = np.flatnonzero(seen)[np.argsort(row[seen])[:k]]
            weights = row[near] ** -power
            assert got[i, t] == pytest.approx((weights * observations.values[near, t]).sum() / weights.sum(), rel=1e-4)


def test_kriging_quantiles_are_normal_and_spread_with_distance(observations):
    mapper = MAPPERS[2]
    got = estimate(mapper, observations)
    quantiles = np.stack([got.quantile(p) for p in (0.01, 0.25, 0.5, 0.75, 0.99)])
    assert (np.diff(quantiles, axis=0) > 0).all()
    np.testing.assert_array_equal(quantiles[2], got.value)
    np.testing.assert_allclose((quantiles[0] + quantiles[4]) / 2, got.value, rtol=1e-3)
    np.testing.assert_allclose(got.quantile(norm.cdf(1.0)), got.value + got.scale, rtol=1e-5)
    near_far = estimate(mapper, observations, observations.lon[0] + np.array([0.001, 8.0]), observations.lat[[0, 0]])
    assert (np.diff(near_far.scale, axis=0) > 0).all()


@given(st.lists(st.floats(0.005, 0.995), min_size=2, max_size=5))
def test_quantiles_never_cross(probabilities):
    value, scale = np.random.default_rng(0).gamma(2.0, 20.0, (2, 5, 7)).astype(np.float32)
    made = Estimate(value, scale)
    quantiles = np.stack([made.quantile(p) for p in sorted(probabilities)])
    assert (np.diff(quantiles, axis=0) >= 0).all()


def test_standard_quantiles_may_differ_between_times():
    value, scale = np.full((2, 3), 10, np.float32), np.full((2, 3), 2, np.float32)
    made = Estimate(value, scale, lambda p: p * np.array([0.0, 1.0, 2.0]))
    np.testing.assert_array_equal(made.quantile(0.5), [[10, 11, 12]] * 2)


def test_log_kriging_is_kriging_of_logs(observations):
    """Scaling value + offset scales estimate + offset and the quantiles with it."""
    mapper = MAPPERS[3]
    got = estimate(mapper, observations)
    scaled = estimate(mapper, replace(observations, values=3 * (observations.values + 2) - 2))
    for p in (0.05, 0.5, 0.95):
        np.testing.assert_allclose(scaled.quantile(p) + 2, 3 * (got.quantile(p) + 2), rtol=1e-4)
    assert ((got.quantile(0.05) < got.value) & (got.value < got.quantile(0.95))).all()
    logs = replace(observations, values=np.log1p(observations.values / 2))
    plain = estimate(replace(mapper, scaler=None), logs)
    np.testing.assert_allclose(np.log1p(got.value / 2), plain.value, rtol=1e-4)


def test_observations_at_times_keep_their_order_and_are_nan_outside_the_record(observations):
    hour = np.timedelta64(3600, "s")
    times = observations.times[[0, 5, 2]]
    np.testing.assert_array_equal(observations.at(times), observations.values[:, [0, 5, 2]])
    outside = observations.times[[0, 5]] + np.array([-1, 1]) * hour
    assert np.isnan(observations.at(outside)).all()
    assert np.isnan(observations.at(observations.times[:2] + hour // 2)).all()
    np.testing.assert_array_equal(observations.at(times.astype("datetime64[ns]")), observations.at(times))


@pytest.mark.parametrize("name", CLASSICAL)
def test_classical_by_name(name, observations):
    mapper = classical(name, observations)
    assert mapper.name == name
    assert isinstance(mapper, Mapper)


def test_an_unknown_name_is_refused(observations):
    with pytest.raises(XaqError, match="kirging"):
        classical("kirging", observations)


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_fit_does_not_depend_on_stations_without_data(name, observations):
    values = np.concatenate([observations.values[:3], np.full((1, 6), np.nan, np.float32), observations.values[3:]])
    lon, lat = (np.insert(axis, 3, axis[:2].mean()) for axis in (observations.lon, observations.lat))
    beside = replace(observations, values=values, lon=lon, lat=lat)
    assert classical(name, beside) == classical(name, observations)
