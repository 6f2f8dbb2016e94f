"""The covariance of errors: variances by the formula, and a fit that recovers what errors were simulated with."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from direct_formula import KRIGING, in_space, made_covariance
from hypothesis import given
from hypothesis import strategies as st
from synthetic import scatter

from xaq.errors import ModelError
from xaq.interpolate.error_covariance import (
    LEAST_VARIANCE,
    RANGES_KM,
    ErrorCovariance,
    fit_error_covariance,
    in_time,
    sub_points,
)
from xaq.interpolate.held_out import HeldOutScores, deal_stations
from xaq.simulation.field import ErrorField

HOUR = 3600
NOWHERE = np.empty(0)
#: What errors are simulated with: noise, hours near a place, days over a region, and a lasting part of a site.
TERMS = {(0.0, 0.0): 0.15, (3.0, 10.0): 0.3, (48.0, 0.0): 0.25, (48.0, 40.0): 0.1, (np.inf, 0.0): 0.2}


def simulated(errors, n_station=60, n_step=600, members=8, step=HOUR, seed=0):
    """Return normal scores with a known covariance at stations that are held out in turn; a window for each member."""
    lon, lat = scatter(n_station, seed=seed, width=3.0)
    fold = deal_stations(lon, lat, seed)
    times = np.datetime64("2021-01-01", "s") + np.arange(n_step) * np.timedelta64(step, "s")
    scores = np.empty((members, n_station, n_step), np.float32)
    for f in np.unique(fold):
        targets, others = np.flatnonzero(fold == f), np.flatnonzero(fold != f)
        field = ErrorField(errors, step, lon[others], lat[others], seed)
        places = field.places(lon[targets], lat[targets])
        for m in range(members):
            scores[m, targets] = (field.coefficients(m, places) @ field.basis(m, times).T).numpy()
    return HeldOutScores(scores, np.ones_like(scores), fold, lon, lat, step / HOUR)


def in_time_at_a_place(errors, lags, *at):
    """Return the correlation of the error of one place at some lags, ``(lag,)``."""
    variances = in_space(errors, [116.4], [39.9], *at)[:, 0, 0]
    by_time = np.array(errors.weights) @ variances
    return by_time @ in_time(errors.times_hours, lags) / by_time.sum()


# -- the fit -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stations", [KRIGING, None])
@pytest.mark.parametrize("step", [HOUR, 24 * HOUR])
def test_a_fit_recovers_the_covariance_that_errors_were_simulated_with(stations, step):
    """Terms alike share their weight, so correlations are compared, not weights."""
    truth = made_covariance(TERMS, stations=stations)
    held_out = simulated(truth, step=step)
    fitted = fit_error_covariance(held_out, stations)
    lags = np.array([1, 2, 6, 24, 72, 200]) * step / HOUR
    at = () if stations is None else (held_out.lon, held_out.lat)
    np.testing.assert_allclose(in_time_at_a_place(fitted, lags, *at), in_time_at_a_place(truth, lags, *at), atol=0.05)
    lon, lat = 116.4 + np.array([0.0, 0.12, 0.5]), np.full(3, 39.9)
    found, expected = (np.einsum("l,lij->ij", e.by_range, in_space(e, lon, lat, *at)) for e in (fitted, truth))
    for matrix in (found, expected):
        matrix /= np.sqrt(np.outer(np.diag(matrix), np.diag(matrix)))
    np.testing.assert_allclose(found, expected, atol=0.08)


@given(st.integers(0, 10**6), st.floats(0.0, 0.9), st.integers(3, 12))
def test_weights_are_never_negative_and_sum_to_one_whatever_the_scores(seed, missing, n_station):
    rng = np.random.default_rng(seed)
    lon, lat = scatter(n_station, seed=seed)
    scores = rng.normal(0, 1, (1, n_station, 300)).cumsum(axis=2) / 10 * rng.choice([-1, 1], (n_station, 1))
    scores[rng.random(scores.shape) < missing] = np.nan
    scale = rng.gamma(2.0, 1.0, scores.shape)
    held_out = HeldOutScores(
        scores.astype("f4"), scale.astype("f4"), deal_stations(lon, lat, 0), lon, lat, 1.0
    )  # fmt: skip
    try:
        fitted = fit_error_covariance(held_out, KRIGING)
    except ModelError:
        assert np.isfinite(scores).sum() < 200
        return
    weights = np.array(fitted.weights)
    assert weights.shape == (len(fitted.times_hours) + 1, len(fitted.ranges_km))
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1.0)
    assert np.isfinite(fitted.pairs).all()
    assert fitted.pairs[0][:4] == (0.0, 0.0, 1.0, 1.0)
    assert ErrorCovariance.from_json(json.loads(json.dumps(asdict(fitted)))) == fitted


@pytest.fixture(scope="module")
def held_out():
    return simulated(made_covariance(TERMS), n_station=40, n_step=300, members=2)


def test_missing_scores_do_not_count_and_only_the_ratio_of_scales_does(held_out):
    gaps = np.random.default_rng(0).random(held_out.scores.shape) < 0.3
    scores, scale = np.where(gaps, np.float32(np.nan), held_out.scores), held_out.scale
    expected = fit_error_covariance(replace(held_out, scores=scores), KRIGING)
    scale = np.where(gaps, np.float32(1e9), 4 * scale)
    found = fit_error_covariance(replace(held_out, scores=scores, scale=scale), KRIGING)
    np.testing.assert_allclose(found.weights, expected.weights, atol=1e-5)


def test_errors_weigh_by_their_scale(held_out):
    """In a half of the record errors are small and white noise: they say little of a mean."""
    quiet = np.arange(300) < 150
    noise = np.random.default_rng(0).normal(0, 1, held_out.scores.shape).astype("f4")
    scores = np.where(quiet, noise, held_out.scores)
    plain, weighted = (
        fit_error_covariance(replace(held_out, scores=scores, scale=np.where(quiet, s, held_out.scale)), KRIGING)
        for s in (np.float32(1.0), np.float32(1e-3))
    )
    loud = replace(held_out, scores=held_out.scores[..., 150:], scale=held_out.scale[..., 150:])
    day = np.array([24.0])
    at = held_out.lon, held_out.lat
    seen = [in_time_at_a_place(e, day, *at)[0] for e in (plain, weighted, fit_error_covariance(loud, KRIGING))]
    assert seen[0] < 0.7 * seen[1]
    assert seen[1] == pytest.approx(seen[2], abs=0.05)


def test_white_noise_hangs_together_in_nothing():
    lon, lat = scatter(40, seed=3)
    scores = np.random.default_rng(1).normal(0, 1, (1, 40, 1000)).astype("f4")
    fitted = fit_error_covariance(
        HeldOutScores(scores, np.ones_like(scores), deal_stations(lon, lat, 0), lon, lat, 1.0), None
    )
    assert np.sum(fitted.weights[0]) > 0.95


def test_times_longer_than_half_of_the_record_and_shorter_than_a_step_are_left_out():
    truth = made_covariance(TERMS)
    for step, n_step, expected in ((HOUR, 60, (0.0, 3.0, 12.0)), (24 * HOUR, 60, (0.0, 48.0, 192.0))):
        assert fit_error_covariance(simulated(truth, 20, n_step, 1, step), KRIGING).times_hours == expected


def test_ranges_of_which_kriging_leaves_no_error_are_left_out(held_out):
    """Stations 20 km apart: errors of the kriging of a field of 640 km are small."""
    fitted = fit_error_covariance(held_out, KRIGING)
    assert RANGES_KM[0] in fitted.ranges_km
    assert RANGES_KM[-1] not in fitted.ranges_km
    assert fit_error_covariance(held_out, None).ranges_km == RANGES_KM


def test_few_stations_make_lasting_errors_of_a_place_larger_not_smaller():
    """What few stations have in common is known badly: products of a place are raised by their standard error."""
    truth = made_covariance({(0.0, 0.0): 0.8, (np.inf, 0.0): 0.2}, stations=None)
    lasting = [
        np.sum(fit_error_covariance(simulated(truth, n, 300, 1, seed=seed), None).weights[-1])
        for n in (12, 60)
        for seed in range(6)
    ]
    assert np.mean(lasting[:6]) > np.mean(lasting[6:]) > 0.2


def test_too_few_errors_are_an_error_that_says_so(held_out):
    with pytest.raises(ModelError, match=r"120 errors at held-out stations are too few.*fix: "):
        fit_error_covariance(
            replace(held_out, scores=held_out.scores[:1, :, :3], scale=held_out.scale[:1, :, :3]), KRIGING
        )


# -- variances -----------------------------------------------------------------------------------------------------


@given(st.integers(0, 10**6), st.sampled_from([None, (0.1, 0.1), (1.0, 0.5)]), st.integers(1, 30))
def test_variances_are_those_of_the_formula(seed, cell, n_station):
    rng = np.random.default_rng(seed)
    # A weight for each of five times and four ranges.
    errors = replace(made_covariance({}), weights=tuple(map(tuple, rng.dirichlet(np.ones(20)).reshape(5, 4))))
    station_lon, station_lat = scatter(n_station, seed=seed)
    station_lon[-1], station_lat[-1] = station_lon[0], station_lat[0]
    lon, lat = scatter(5, seed=seed + 1, width=4.0)
    lon[0], lat[0] = station_lon[0], station_lat[0]
    near = errors.neighbours(station_lon, station_lat, lon, lat)
    found = errors.variance(near, station_lon, station_lat, lon, lat, cell)
    terms = in_space(errors, lon, lat, station_lon, station_lat, cell)
    np.testing.assert_allclose(found, np.einsum("l,lii->i", errors.by_range, terms), rtol=1e-4, atol=LEAST_VARIANCE)


def test_errors_that_are_conditioned_on_nothing_have_the_variance_of_the_field():
    errors, (lon, lat) = made_covariance(TERMS, stations=None), scatter(5)
    near = errors.neighbours(lon, lat, lon, lat)
    assert near.of.shape == (5, 0)
    np.testing.assert_array_equal(errors.variance(near, lon, lat, lon, lat), 1.0)
    of_cells = errors.variance(near, lon, lat, lon, lat, (0.1, 0.1))
    expected = np.einsum("l,lii->i", errors.by_range, in_space(errors, lon, lat, cell=(0.1, 0.1)))
    np.testing.assert_allclose(of_cells, expected, rtol=1e-4)


def test_a_site_of_its_own_part_only_has_no_error_in_the_mean_of_a_cell():
    errors, (lon, lat) = made_covariance({(0.0, 0.0): 1.0}, ranges=(0.0,), stations=None), scatter(5)
    near = errors.neighbours(lon, lat, lon, lat)
    np.testing.assert_array_equal(errors.variance(near, lon, lat, lon, lat, (0.1, 0.1)), LEAST_VARIANCE)


def test_errors_vanish_beside_a_station_without_noise_and_not_with_it():
    errors = made_covariance({(3.0, 40.0): 1.0}, stations=replace(KRIGING, nugget=0.0))
    lon, lat = scatter(10, seed=2)
    near = errors.neighbours(lon, lat, lon, lat)
    np.testing.assert_allclose(errors.variance(near, lon, lat, lon, lat), LEAST_VARIANCE)
    noisy = made_covariance({(3.0, 40.0): 0.7, (0.0, 0.0): 0.3})
    near = noisy.neighbours(lon, lat, lon, lat)
    assert (noisy.variance(near, lon, lat, lon, lat) > 0.3).all()


def test_the_points_of_a_cell_are_spread_over_it():
    x, y = sub_points(np.array([10.0, 20.0]), np.array([50.0, 60.0]), (0.5, 0.2))
    assert x.shape == y.shape == (2, 25)
    np.testing.assert_allclose(x.mean(axis=1), [10, 20])
    np.testing.assert_allclose(y.mean(axis=1), [50, 60])
    np.testing.assert_allclose([np.ptp(x[0]), np.ptp(y[0])], [0.4, 0.16])
    assert sub_points(np.array([10.0]), np.array([90.0]), (1.0, 1.0))[1].max() == 90.0


@given(st.floats(-1e4, 1e4))
def test_correlation_in_time_is_symmetric_and_decays(lag):
    times = (0.0, 3.0, 768.0)
    there, back, later = (in_time(times, np.array([x])) for x in (lag, -lag, abs(lag) + 1))
    np.testing.assert_array_equal(there, back)
    assert (later <= there).all()
    assert (there <= 1).all()
    assert (there[-1] == 1).all()
    assert in_time(times, np.array([0.0])).tolist() == [[1.0]] * 4


def test_a_station_that_reports_rarely_says_no_more_than_what_it_reported():
    """One station of ten, in a fold of its own, has errors that last; most of it is then left out."""
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((1, 10, 8000)).astype("f4")
    for step in range(1, 8000):
        scores[0, 0, step] = 0.995 * scores[0, 0, step - 1] + np.sqrt(1 - 0.995**2) * scores[0, 0, step]
    fold, lon = np.arange(10), np.linspace(5, 14, 10)

    def white(scores):
        made = fit_error_covariance(
            HeldOutScores(scores, np.ones_like(scores), fold, lon, np.full(10, 50.0), 1.0), KRIGING
        )
        return sum(made.weights[0])

    rarely = scores.copy()
    rarely[0, 0, 400:] = np.nan
    assert white(rarely) > white(scores) > 0.5


def test_a_network_of_one_place_says_that_it_needs_more_stations():
    scores = np.full((1, 2, 48), np.nan, "f4")
    one = HeldOutScores(scores, scores, np.zeros(2, int), np.full(2, 10.0), np.full(2, 50.0), 1.0)
    with pytest.raises(ModelError, match="fix: more stations"):
        fit_error_covariance(one, KRIGING)
