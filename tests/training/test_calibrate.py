"""The calibration of intervals: coverage, spread, quantiles by lead day, and which member estimates which fold."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

import xaq
from xaq.interpolate.error_covariance import fit_error_covariance
from xaq.interpolate.held_out import FOLDS, PROBABILITIES, deal_stations, normal_scores
from xaq.nn.config import AQNetConfig
from xaq.stations import schema
from xaq.training import calibrate as module
from xaq.training import windows
from xaq.training.calibrate import calibrate, fit_errors, held_out_quantiles, hidden_scores
from xaq.training.data import TrainingData, prepare_data, validation_folds
from xaq.training.folds import MEMBERS
from xaq.training.hidden import HiddenEstimates, Samples, hidden_estimates

SMALL = AQNetConfig(hidden=8, heads=2, days_before=1, days_after=1, k=6)
FORECAST = AQNetConfig(task="forecast", days_before=3, days_after=0, target_days=2, hidden=8, heads=2, k=6)


def samples(day):
    """Return samples of one window and target on these lead days ``(sample,)``."""
    zero = torch.zeros_like(day)
    return Samples(window=zero, day=day, target=zero, kept=zero[:, None])


def calibrated(monkeypatch, residual, parts, day=None, config=SMALL, estimate=1e6):
    """Return the interval of given residuals ``(sample, step)`` and their parts ``(3, sample, step)``, without a network."""
    residual, parts = (torch.as_tensor(np.asarray(v, float)) for v in (residual, parts))
    day = torch.zeros(len(residual), dtype=torch.int64) if day is None else torch.as_tensor(day)
    guess = torch.full_like(residual, estimate)
    batch = HiddenEstimates(guess, guess.clamp(min=0.0) + residual, tuple(parts), samples(day))
    monkeypatch.setattr(module, "hidden_estimates", lambda *args: batch)
    data = SimpleNamespace(folds=[None], validation=((0,),), validation_batches=lambda: [None])
    return calibrate([SimpleNamespace(eval=lambda: None)], data, SimpleNamespace(config=config))


def gamma(seed, *shape):
    return np.random.default_rng(seed).gamma(2.0, 1.0, shape)


def spread(interval, parts):
    return np.einsum("p,pns->ns", interval.coefficients, parts)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.98])
def test_an_interval_covers_the_residuals_it_was_fitted_to_at_its_nominal_coverage(monkeypatch, level):
    """The spread is known: skewed residuals, in proportion to the first part and half the second."""
    parts = gamma(0, 3, 400, 24)
    residual = (parts[0] + 0.5 * parts[1]) * (gamma(1, 400, 24) - 1.5)
    interval = calibrated(monkeypatch, residual, parts)
    lower, upper = (interval.quantile(np.array([0]), p)[0] for p in ((1 - level) / 2, (1 + level) / 2))
    scale = spread(interval, parts)
    assert np.mean((residual >= lower * scale) & (residual <= upper * scale)) == pytest.approx(level, abs=2e-3)
    assert np.mean(residual < lower * scale) == pytest.approx((1 - level) / 2, abs=2e-3)


def test_coefficients_of_the_spread_are_those_that_residuals_were_made_with(monkeypatch):
    parts = gamma(0, 3, 100, 24) * np.array([1.0, 50.0, 1e-3])[:, None, None]
    sign = np.where(gamma(1, 100, 24) > 1.7, 1.0, -1.0)
    interval = calibrated(monkeypatch, sign * (2.0 * parts[0] + 0.25 * parts[2]), parts)
    np.testing.assert_allclose(interval.coefficients, [2.0, 0.0, 0.25], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose([interval.quantiles[0][0], interval.quantiles[0][-1]], [-1.0, 1.0], rtol=1e-5)


@given(st.integers(0, 1000), st.integers(1, 3))
def test_coefficients_are_never_negative_and_quantiles_never_decrease(seed, n_days):
    rng = np.random.default_rng(seed)
    parts = rng.gamma(2.0, 1.0, (3, 40, 6))
    # Least squares without bounds would give negative coefficients to parts that make residuals smaller.
    residual = rng.normal(0, 1, (40, 6)) * np.maximum(4.0 - parts[1] - rng.normal(0, 1) * parts[2], 0.1)
    config = AQNetConfig(task="forecast", days_after=0, target_days=n_days)
    with pytest.MonkeyPatch.context() as patch:
        interval = calibrated(patch, residual, parts, rng.integers(0, n_days, 40), config)
    assert min(interval.coefficients) >= 0 < max(interval.coefficients)
    assert len(interval.quantiles) == n_days
    assert (np.diff(interval.quantiles, axis=1) >= 0).all()
    assert (np.diff(interval.probabilities) > 0).all()


def test_each_lead_day_has_quantiles_of_its_own_where_it_has_enough_residuals(monkeypatch):
    parts = np.ones((3, 300, 1))
    parts[1:] = 0.0
    normal = np.random.default_rng(0).normal(0, 1, (300, 1))
    day = np.repeat([0, 1, 2], [140, 110, 50])
    residual = normal * np.array([1.0, 3.0, 9.0])[day][:, None]
    config = AQNetConfig(task="forecast", days_after=0, target_days=3)
    interval = calibrated(monkeypatch, residual, parts, day, config)
    ratio = (residual / spread(interval, parts))[:, 0]
    for row, some in zip(interval.quantiles, (day == 0, day == 1, day >= 0), strict=True):
        np.testing.assert_allclose(row, np.quantile(ratio[some], interval.probabilities), rtol=1e-6)


@pytest.mark.parametrize(("residual", "part", "constant"), [(-2.0, 0.0, 2.0), (0.0, 1.0, 1e-6), (0.0, 0.0, 1e-6)])
def test_the_spread_is_the_mean_residual_where_no_part_explains_one(monkeypatch, residual, part, constant):
    interval = calibrated(monkeypatch, np.full((4, 6), residual), np.full((3, 4, 6), part))
    assert interval.coefficients == (constant, 0.0, 0.0)
    assert np.isfinite(interval.quantiles).all()


def test_missing_observations_do_not_count_and_negative_estimates_count_as_zero(monkeypatch):
    residual, parts = np.ones((40, 6)), np.ones((3, 40, 6))
    expected = calibrated(monkeypatch, residual, parts, estimate=0.0)
    assert calibrated(monkeypatch, residual, parts, estimate=-30.0) == expected
    residual[::2] = np.nan
    parts[:, ::2] = 1e9
    assert calibrated(monkeypatch, residual, parts, estimate=0.0) == expected


@pytest.mark.parametrize("n_folds", [4, 7, FOLDS])
def test_a_fold_is_estimated_only_by_the_member_that_never_learned_from_it(monkeypatch, n_folds):
    members = [SimpleNamespace(eval=lambda: None, number=m) for m in range(min(MEMBERS, n_folds))]
    data = TrainingData(
        record=SimpleNamespace(config=SMALL), truth=torch.ones(8, 1), steps=torch.arange(1),
        begin=np.datetime64("2020-01-01", "s"), unit=torch.zeros(8, 3),
        place=torch.arange(8),
        folds=tuple(range(n_folds)), validation=validation_folds(n_folds, SMALL),
        train_starts=torch.arange(40), validation_starts=torch.arange(40),
    )  # fmt: skip
    asked = []

    def estimates(network, data, fold, starts, recipe):
        asked.extend((network.number, fold, int(s)) for s in starts)
        return HiddenEstimates(
            torch.ones(9, 6), torch.zeros(9, 6), (torch.ones(9, 6),) * 3, samples(torch.zeros(9, dtype=torch.int64))
        )

    monkeypatch.setattr(module, "hidden_estimates", estimates)
    calibrate(members, data, SimpleNamespace(config=SMALL))
    assert not any(fold in data.learned_folds(member) for member, fold, _ in asked)
    assert sorted((fold, start) for _, fold, start in asked) == [(f, s) for f in range(n_folds) for s in range(40)]


def test_a_forecast_is_calibrated_at_every_fold_in_the_validation_windows(monkeypatch):
    asked = []

    def estimates(network, data, fold, starts, recipe):
        asked.append(fold)
        return HiddenEstimates(
            torch.ones(9, 6), torch.zeros(9, 6), (torch.ones(9, 6),) * 3, samples(torch.zeros(9, dtype=torch.int64))
        )

    monkeypatch.setattr(module, "hidden_estimates", estimates)
    data = SimpleNamespace(folds=(0, 1, 2), validation=validation_folds(3, FORECAST), validation_batches=lambda: [None])
    calibrate([SimpleNamespace(eval=lambda: None)], data, SimpleNamespace(config=FORECAST))
    assert asked == [0, 1, 2]


def test_intervals_of_a_model_cover_hidden_stations_at_their_nominal_coverage(small_ds, small_model):
    """Every station is hidden in turn; residuals below a quantile times the spread are counted by hand."""
    recipe = small_model.recipe
    data = prepare_data(schema.observations(schema.conform(small_ds), "pm25"), recipe)
    assert calibrate([small_model.network] * len(data.validation), data, recipe) == recipe.interval
    below, count = np.zeros(3), 0
    quantiles = [recipe.interval.quantile(np.array([0]), p)[0] for p in (0.05, 0.5, 0.95)]
    with torch.no_grad():
        for fold in data.folds:
            batch = hidden_estimates(small_model.network, data, fold, data.validation_starts, recipe)
            scale = sum(c * part for c, part in zip(recipe.interval.coefficients, batch.parts, strict=True))
            residual = batch.truth - batch.estimate.clamp(min=0.0)
            below += [int((residual < q * scale).sum()) for q in quantiles]
            count += int(torch.isfinite(residual).sum())
    assert count > 2000
    # The quantiles of 14 stations are widened by what they miss at stations that had no part in them.
    low, middle, high = below / count
    assert low < 0.05 < 0.95 < high
    assert middle == pytest.approx(0.5, abs=0.01)


# -- normal scores of hidden stations ------------------------------------------------------------------------------


def scored(ds, model):
    """Return the scores of an untrained model, its observations and its training data."""
    seen = schema.observations(schema.conform(ds), "pm25")
    data = prepare_data(seen, model.recipe)
    networks, recipe = [model.network] * len(data.validation), model.recipe
    return hidden_scores(networks, data, recipe, recipe.interval, seen.lon, seen.lat), seen, data


def test_scores_are_those_of_the_errors_at_stations_hidden_in_turn(small_ds, small_model):
    made, seen, data = scored(small_ds, small_model)
    recipe = small_model.recipe
    np.testing.assert_array_equal(made.fold, deal_stations(seen.lon, seen.lat, recipe.seed))
    # The record begins a day before the first window.
    assert made.step_hours == 1.0
    assert made.scores.shape == made.scale.shape == (1, 14, 9 * 24)
    np.testing.assert_array_equal(np.isfinite(made.scores[0, :, 24:]), np.isfinite(seen.values))
    # Calibrated on the same errors: normal, with a smaller variance where the quantiles of few stations are widened.
    assert np.nanmean(made.scores) == pytest.approx(0, abs=0.02)
    assert 0.85 < np.nanstd(made.scores) < 1.02
    fold = data.folds[1]
    with torch.no_grad():
        batch = hidden_estimates(small_model.network, data, fold, data.train_starts[2:3], recipe)
    spread = sum(c * part for c, part in zip(recipe.interval.coefficients, batch.parts, strict=True))
    error = (batch.truth - batch.estimate.clamp(min=0)) / spread
    expected = normal_scores(error.numpy(), np.array(recipe.interval.quantiles[0]))
    at = fold.targets[batch.samples.target].numpy()
    np.testing.assert_allclose(made.scores[0, at, 72:96], expected, atol=1e-4)
    np.testing.assert_allclose(made.scale[0, at, 72:96], spread, rtol=1e-4)


def test_the_covariance_of_errors_is_fitted_to_these_scores(small_ds, small_model):
    made, seen, data = scored(small_ds, small_model)
    networks, recipe = [small_model.network] * len(data.validation), small_model.recipe
    assert fit_errors(networks, data, recipe, recipe.interval, seen.lon, seen.lat) == recipe.error_covariance
    assert fit_error_covariance(made, recipe.covariance) == recipe.error_covariance


def test_scores_keep_their_steps_where_the_record_is_thinned(small_ds, small_model, monkeypatch):
    """Lags are those between times, not between entries of a record that leaves days out."""
    whole, seen, _ = scored(small_ds, small_model)
    monkeypatch.setattr(windows, "_MAX_VALUES", 1)
    monkeypatch.setattr(windows, "_LEAST_WINDOWS", 2)
    made, _, data = scored(small_ds, small_model)
    assert data.truth.shape[1] < len(seen.times), "no case: all days are in the record"
    for day in range(8):
        steps = slice(24 * (day + 1), 24 * (day + 2))
        if day in (0, 7):
            np.testing.assert_array_equal(np.isfinite(made.scores[..., steps]), np.isfinite(whole.scores[..., steps]))
        else:
            assert np.isnan(made.scores[..., steps]).all()


def test_scores_of_a_forecast_have_a_window_for_each_init_time_and_the_quantiles_of_its_lead_day():
    ds = xaq.datasets.synthetic(n_stations=14, days=20, seed=3)
    model = ds.aq.train("pm25", task="forecast", config=FORECAST, max_epochs=0, progress=False)
    # Wide on the first lead day, narrow on the second.
    probabilities = model.recipe.interval.probabilities
    rows = tuple(tuple(s * x for x in norm.ppf(probabilities)) for s in (9.0, 0.5))
    model = xaq.Model(model.network, replace(model.recipe, interval=replace(model.recipe.interval, quantiles=rows)))
    made, _, data = scored(ds, model)
    truth = data.at_targets(data.truth, data.validation_starts).numpy()
    np.testing.assert_array_equal(np.isfinite(made.scores), np.isfinite(truth))
    first, second = (np.nanstd(made.scores[..., steps]) for steps in (slice(24), slice(24, 48)))
    assert second > 3 * first
    assert model.error_covariance.stations is None


def test_quantiles_of_few_stations_hold_at_stations_that_had_no_part_in_them():
    """Stations differ in their bias: the pooled quantiles of ten of them cover less of another one."""
    rng, levels, covered = np.random.default_rng(0), np.array([0.05, 0.25, 0.75, 0.95]), []
    for _ in range(300):
        ratio = rng.normal(size=(11, 1)) + 0.5 * rng.normal(size=(11, 60))
        seen, new, fold = ratio[:10].ravel(), ratio[10], np.repeat(np.arange(10), 60)
        pooled, held = np.quantile(seen, PROBABILITIES), held_out_quantiles(seen, fold)
        covered.append([(new[:, None] <= np.interp(levels, PROBABILITIES, q)).mean(axis=0) for q in (pooled, held)])
    pooled, held = np.mean(covered, axis=0)
    assert pooled[-1] - pooled[0] < 0.86
    assert held[-1] - held[0] > 0.875
    assert abs(held[2] - held[1] - 0.5) < 0.03
    assert np.array_equal(held_out_quantiles(seen, np.zeros_like(fold)), np.quantile(seen, PROBABILITIES))
