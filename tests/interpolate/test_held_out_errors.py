"""Normal scores of held-out errors: the probability transform, and nothing known of a station outside its fold."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from synthetic import scatter

from xaq.interpolate import held_out
from xaq.interpolate.base import Estimate, Observations
from xaq.interpolate.classical import OrdinaryKriging
from xaq.interpolate.held_out import (
    PROBABILITIES,
    deal_stations,
    held_out_scores,
    normal_scores,
    runs_of_steps,
    standard_quantiles,
    standardised,
)
from xaq.interpolate.kriging import Covariance
from xaq.interpolate.spacetime import SpaceTimeCovariance, SpaceTimeKriging

COVARIANCE = Covariance(60.0, 0.2, 9.0)


def observed(n_station=18, n_step=72, seed=0, step="h"):
    """Return a Gaussian field with the covariance at stations, some readings missing."""
    rng = np.random.default_rng(seed)
    lon, lat = scatter(n_station, seed=seed)
    distance = np.linalg.norm(
        111.2 * np.stack([(lon[:, None] - lon) * np.cos(np.radians(40)), lat[:, None] - lat]), axis=0
    )
    field = COVARIANCE.sill * (np.exp(-distance / COVARIANCE.range_km) + COVARIANCE.nugget * np.eye(n_station))
    values = 100 + np.linalg.cholesky(field) @ rng.normal(0, 1, (n_station, n_step))
    values[rng.random(values.shape) < 0.1] = np.nan
    times = np.datetime64("2021-01-01", step) + np.arange(n_step)
    return Observations(values.astype("f4"), lon, lat, times.astype("datetime64[s]"))


# -- scores --------------------------------------------------------------------------------------------------------


@given(st.integers(0, 10**6))
def test_a_score_is_the_normal_quantile_at_the_probability_of_the_error(seed):
    rng = np.random.default_rng(seed)
    quantiles = np.sort(rng.normal(rng.normal(), 2.0, len(PROBABILITIES)))
    np.testing.assert_allclose(normal_scores(quantiles, quantiles), norm.ppf(PROBABILITIES), atol=1e-5)
    error = np.sort(rng.normal(0, 5, 30))
    scores = normal_scores(error, quantiles)
    assert (np.diff(scores) >= 0).all()
    assert np.abs(scores).max() <= norm.ppf(0.995) + 1e-5


def test_scores_of_draws_from_the_distribution_are_standard_normal_and_missing_ones_stay_missing():
    quantiles = standard_quantiles(lambda p: -np.log(1 - p) - 1)
    error = np.random.default_rng(0).exponential(1.0, (100, 500)) - 1
    error[:, 0] = np.nan
    scores = normal_scores(error, quantiles)
    assert np.isnan(scores[:, 0]).all()
    assert np.isfinite(scores[:, 1:]).all()
    assert scores[:, 1:].mean() == pytest.approx(0, abs=0.02)
    assert scores[:, 1:].std() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("offset", [None, 5.0, np.array([[5.0, 2.0, 9.0]] * 2, "f4")])
@pytest.mark.parametrize("probability", [0.05, 0.5, 0.9])
def test_an_observation_at_a_quantile_of_the_estimate_has_the_standard_quantile(offset, probability):
    rng = np.random.default_rng(0)
    made = Estimate(rng.gamma(9, 3, (2, 3)).astype("f4"), rng.gamma(4, 0.1, (2, 3)).astype("f4"), norm.ppf, offset)
    np.testing.assert_allclose(standardised(made, made.quantile(probability)), norm.ppf(probability), atol=1e-4)


def test_a_negative_estimate_counts_as_zero():
    scale, seen = np.ones((1, 2), "f4"), np.array([[1.0, 2.0]])
    for offset in (None, 3.0):
        negative, zero = (Estimate(np.full((1, 2), v, "f4"), scale, norm.ppf, offset) for v in (-2.0, 0.0))
        np.testing.assert_array_equal(standardised(negative, seen), standardised(zero, seen))


# -- stations held out in turn -------------------------------------------------------------------------------------


def test_scores_are_those_of_estimates_from_the_stations_outside_the_fold():
    seen, mapper = observed(), OrdinaryKriging(COVARIANCE, 8)
    made = held_out_scores(mapper, seen, seed=4)
    np.testing.assert_array_equal(made.fold, deal_stations(seen.lon, seen.lat, 4))
    assert made.scores.shape == made.scale.shape == (1, *seen.values.shape)
    assert made.step_hours == 1.0
    for fold in np.unique(made.fold):
        own = made.fold == fold
        outside = Observations(seen.values[~own], seen.lon[~own], seen.lat[~own], seen.times)
        estimate = mapper.estimate(mapper.prepare(outside, seen.times), seen.lon[own], seen.lat[own])
        error = (seen.values[own] - estimate.value) / estimate.scale
        limit = norm.ppf(0.995)
        np.testing.assert_allclose(made.scores[0, own], np.clip(error, -limit, limit), atol=0.06)
        np.testing.assert_allclose(made.scale[0, own], estimate.scale)


def test_readings_of_a_fold_change_no_score_of_its_other_stations():
    seen, mapper = observed(), OrdinaryKriging(COVARIANCE, 8)
    before = held_out_scores(mapper, seen)
    changed = np.flatnonzero(before.fold == before.fold[0])
    assert len(changed) > 1, "no case: a fold of one station"
    values = seen.values.copy()
    values[changed[0]] += 50.0
    after = held_out_scores(mapper, replace(seen, values=values))
    np.testing.assert_array_equal(after.scores[:, changed[1:]], before.scores[:, changed[1:]])
    assert (after.scores[:, changed[0]] != before.scores[:, changed[0]]).any()


def test_scores_of_a_calibrated_mapper_are_standard_normal():
    """The field has the covariance that the mapper assumes."""
    made = held_out_scores(OrdinaryKriging(COVARIANCE), observed(30, 400, seed=2))
    assert np.nanmean(made.scores) == pytest.approx(0, abs=0.1)
    assert np.nanstd(made.scores) == pytest.approx(1, abs=0.05)


def test_a_log_mapper_is_scored_on_the_log_scale():
    seen = observed(12, 48)
    on_logs = held_out_scores(OrdinaryKriging.fit_log(seen, k=8), seen)
    assert np.nanmax(on_logs.scale) < 1.0
    assert np.nanstd(on_logs.scores) == pytest.approx(1, abs=0.3)


def test_runs_of_a_long_record_have_the_scores_of_the_whole_record(monkeypatch):
    """A mapper that reads days around those estimated does so in each run; nothing is scored between the runs."""
    seen = observed(10, 24 * 12)
    mapper = SpaceTimeKriging(SpaceTimeCovariance(60.0, 12.0, 0.2), (0.0, -12.0, 12.0, 24.0), k=6)
    assert mapper.margin_days != (0, 0)
    whole = held_out_scores(mapper, seen).scores
    monkeypatch.setattr(held_out, "RUN_DAYS", 2)
    monkeypatch.setattr(held_out, "MOST_SCORES", 24 * 6 * 10)
    thinned = held_out_scores(mapper, seen).scores
    scored = np.isfinite(thinned).any(axis=(0, 1))
    # Eight runs, though so many of two days would be more than are scored.
    assert scored.sum() == 24 * 6
    assert scored[:18].all()
    assert scored[-18:].all()
    np.testing.assert_allclose(thinned[..., scored], whole[..., scored], atol=1e-5)


def test_a_network_of_one_place_has_no_scores():
    seen = observed(2, 48)
    there = replace(seen, lon=np.full(2, 116.0), lat=np.full(2, 40.0))
    assert np.isnan(held_out_scores(OrdinaryKriging(COVARIANCE), there).scores).all()


@given(st.integers(1, 5000), st.integers(1, 800), st.integers(1, 6000))
def test_runs_are_consecutive_steps_spread_over_the_record(n_step, length, most):
    runs = runs_of_steps(n_step, length, most)
    steps = np.concatenate([np.arange(n_step)[run] for run in runs])
    assert len(steps) > 0
    assert (np.diff(steps) > 0).all()
    assert steps[0] == 0
    longest = max(1, min(length, most // 8))
    assert max(run.stop - run.start for run in runs) <= longest
    assert len(steps) <= max(most, longest)
    if n_step <= most // longest * longest:
        assert len(steps) == n_step
    if len(runs) > 1:
        assert steps[-1] == n_step - 1
