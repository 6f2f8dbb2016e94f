"""Hiding as data: the calibration of intervals, who predicts whom, and the windows that are learned from."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import xaq
from xaq.aqnet.recipe import Interval
from xaq.nn.config import AQNetConfig
from xaq.stations import schema
from xaq.training import calibrate as calibration
from xaq.training.calibrate import calibrate
from xaq.training.folds import (
    FOLDS,
    LEARNING_FRACTION,
    MEMBERS,
    TrainingData,
    _split_windows,
    _validation_folds,
    prepare_data,
)
from xaq.training.hidden import Batch, _kept_neighbours, daily_means, hidden_estimates

SMALL = AQNetConfig(hidden=8, heads=2, days_before=1, days_after=1, k=6)
FORECAST = AQNetConfig(task="forecast", days_before=3, days_after=0, target_days=2, hidden=8, heads=2, k=6)


def calibrated(monkeypatch, residual, parts, day=None, config=SMALL, estimate=1e6):
    """Return the interval of residuals ``(sample, step)`` and their parts ``(3, sample, step)``, made by nobody."""
    residual, parts = (torch.as_tensor(np.asarray(v, float)) for v in (residual, parts))
    day = torch.zeros(len(residual), dtype=torch.int64) if day is None else torch.as_tensor(day)
    given = torch.full_like(residual, estimate)
    batch = Batch(given, given.clamp(min=0.0) + residual, tuple(parts), day)
    monkeypatch.setattr(calibration, "hidden_estimates", lambda *args: (batch, None))
    data = SimpleNamespace(folds=[None], validation=((0,),), validation_batches=lambda: [None])
    return calibrate([SimpleNamespace(eval=lambda: None)], data, SimpleNamespace(config=config))


def gamma(seed, *shape):
    return np.random.default_rng(seed).gamma(2.0, 1.0, shape)


def spread(interval, parts):
    return np.einsum("p,pns->ns", interval.coefficients, parts)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.98])
def test_an_interval_covers_the_residuals_that_made_it_as_often_as_it_says(monkeypatch, level):
    """The scale is known: skewed residuals, in proportion to 1 + half the second part."""
    parts = gamma(0, 3, 400, 24)
    residual = (parts[0] + 0.5 * parts[1]) * (gamma(1, 400, 24) - 1.5)
    interval = calibrated(monkeypatch, residual, parts)
    lower, upper = (interval.quantile(np.array([0]), p)[0] for p in ((1 - level) / 2, (1 + level) / 2))
    scale = spread(interval, parts)
    assert np.mean((residual >= lower * scale) & (residual <= upper * scale)) == pytest.approx(level, abs=2e-3)
    assert np.mean(residual < lower * scale) == pytest.approx((1 - level) / 2, abs=2e-3)


def test_the_spread_is_in_proportion_to_the_parts_that_make_residuals_large(monkeypatch):
    parts = gamma(0, 3, 100, 24) * np.array([1.0, 50.0, 1e-3])[:, None, None]
    sign = np.where(gamma(1, 100, 24) > 1.7, 1.0, -1.0)
    interval = calibrated(monkeypatch, sign * (2.0 * parts[0] + 0.25 * parts[2]), parts)
    np.testing.assert_allclose(interval.coefficients, [2.0, 0.0, 0.25], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose([interval.quantiles[0][0], interval.quantiles[0][-1]], [-1.0, 1.0], rtol=1e-5)


@given(st.integers(0, 1000), st.integers(1, 3))
def test_coefficients_are_never_negative_and_quantiles_never_fall(seed, n_days):
    rng = np.random.default_rng(seed)
    parts = rng.gamma(2.0, 1.0, (3, 40, 6))
    # Least squares without bounds would subtract what makes residuals smaller.
    residual = rng.normal(0, 1, (40, 6)) * np.maximum(4.0 - parts[1] - rng.normal(0, 1) * parts[2], 0.1)
    config = AQNetConfig(task="forecast", days_after=0, target_days=n_days)
    with pytest.MonkeyPatch.context() as patch:
        interval = calibrated(patch, residual, parts, rng.integers(0, n_days, 40), config)
    assert min(interval.coefficients) >= 0 < max(interval.coefficients)
    assert len(interval.quantiles) == n_days
    assert (np.diff(interval.quantiles, axis=1) >= 0).all()
    assert (np.diff(interval.probabilities) > 0).all()


def test_each_lead_day_has_quantiles_of_its_own_where_it_says_enough(monkeypatch):
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
def test_a_constant_spread_stands_in_where_no_part_explains_a_residual(monkeypatch, residual, part, constant):
    interval = calibrated(monkeypatch, np.full((4, 6), residual), np.full((3, 4, 6), part))
    assert interval.coefficients == (constant, 0.0, 0.0)
    assert np.isfinite(interval.quantiles).all()


def test_what_is_not_observed_does_not_count_and_no_estimate_is_negative(monkeypatch):
    residual, parts = np.ones((40, 6)), np.ones((3, 40, 6))
    expected = calibrated(monkeypatch, residual, parts, estimate=0.0)
    assert calibrated(monkeypatch, residual, parts, estimate=-30.0) == expected
    residual[::2] = np.nan
    parts[:, ::2] = 1e9
    assert calibrated(monkeypatch, residual, parts, estimate=0.0) == expected


@pytest.mark.parametrize("n_folds", [4, 7, FOLDS])
def test_a_fold_is_predicted_only_by_the_member_that_never_learned_from_it(monkeypatch, n_folds):
    members = [SimpleNamespace(eval=lambda: None, number=m) for m in range(min(MEMBERS, n_folds))]
    data = TrainingData(
        record=SimpleNamespace(config=SMALL), truth=torch.ones(8, 1), unit=torch.zeros(8, 3),
        folds=tuple(range(n_folds)), validation=_validation_folds(n_folds, SMALL),
        train_starts=torch.arange(40), validation_starts=torch.arange(40),
    )  # fmt: skip
    asked = []

    def estimates(network, data, fold, starts, recipe):
        asked.extend((network.number, fold, int(s)) for s in starts)
        return Batch(
            torch.ones(9, 6), torch.zeros(9, 6), (torch.ones(9, 6),) * 3, torch.zeros(9, dtype=torch.int64)
        ), None

    monkeypatch.setattr(calibration, "hidden_estimates", estimates)
    calibrate(members, data, SimpleNamespace(config=SMALL))
    assert not any(fold in data.learned_folds(member) for member, fold, _ in asked)
    assert sorted((fold, start) for _, fold, start in asked) == [(f, s) for f in range(n_folds) for s in range(40)]


def test_a_forecast_is_calibrated_at_every_fold_in_the_windows_that_validate(monkeypatch):
    asked = []

    def estimates(network, data, fold, starts, recipe):
        asked.append(fold)
        return Batch(
            torch.ones(9, 6), torch.zeros(9, 6), (torch.ones(9, 6),) * 3, torch.zeros(9, dtype=torch.int64)
        ), None

    monkeypatch.setattr(calibration, "hidden_estimates", estimates)
    data = SimpleNamespace(
        folds=(0, 1, 2), validation=_validation_folds(3, FORECAST), validation_batches=lambda: [None]
    )
    calibrate([SimpleNamespace(eval=lambda: None)], data, SimpleNamespace(config=FORECAST))
    assert asked == [0, 1, 2]


@given(st.integers(2, FOLDS))
def test_every_fold_of_an_analysis_is_validated_by_one_member_and_a_forecast_has_one(n_folds):
    own = _validation_folds(n_folds, SMALL)
    assert len(own) == min(MEMBERS, n_folds)
    assert sorted(f for member in own for f in member) == list(range(n_folds))
    assert max(map(len, own)) - min(map(len, own)) <= 1
    assert _validation_folds(n_folds, FORECAST) == ((0,),)


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=9, unique=True), st.floats(0, 1), st.floats(0, 1))
def test_quantiles_between_probabilities_are_on_a_line_and_rise(values, one, other):
    probabilities = np.linspace(0.1, 0.9, len(values))
    interval = Interval((1.0, 0.0, 0.0), tuple(probabilities), (tuple(sorted(values)),))
    low, high = (interval.quantile(np.array([0]), p)[0] for p in sorted((one, other)))
    assert low <= high
    got = interval.quantile(np.array([0]), float(probabilities[:2].mean()))
    np.testing.assert_allclose(got, np.mean(sorted(values)[:2]), atol=1e-12)
    for p, value in zip(probabilities, sorted(values), strict=True):
        assert interval.quantile(np.array([0]), p)[0] == pytest.approx(value)


# -- windows, neighbours, days --------------------------------------------------------------------------------------


@given(st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 4, 24]), st.integers(0, 500), st.integers(0, 50))
def test_no_step_is_read_by_windows_of_a_forecast_that_learn_and_by_those_that_validate(
    before, ahead, per_day, more, at
):
    config = AQNetConfig(
        task="forecast", steps_per_day=per_day, days_before=before, days_after=0, target_days=ahead, patch=1
    )
    embargo = (before + ahead) * per_day
    starts = at + np.arange(embargo + 10 * per_day + 30 + more)
    learned, later = _split_windows(starts, config)
    assert learned[-1] + config.target_steps <= later[0] + config.input_offset
    assert learned[0] == starts[0]
    assert later[-1] == starts[-1]
    assert len(learned) == int(LEARNING_FRACTION * len(starts)) - embargo
    assert (np.diff(learned) == 1).all()
    assert (np.diff(later) > 0).all()
    assert len(later) <= 96


@pytest.mark.parametrize(("per_day", "n_window"), [(24, 64), (8, 64), (1, 512)])
def test_an_analysis_validates_on_days_that_it_learns_from_spread_over_the_period(per_day, n_window):
    config = AQNetConfig(steps_per_day=per_day, patch=1)
    for n in (10, 2000):
        starts = np.arange(n) * per_day
        learned, validated = _split_windows(starts, config)
        np.testing.assert_array_equal(learned, starts)
        assert set(validated) <= set(starts)
        assert len(set(validated)) == len(validated) == min(n, n_window)
        assert (validated[0], validated[-1]) == (starts[0], starts[-1])


def test_the_nearest_neighbours_are_kept_where_nothing_is_drawn():
    neighbours = torch.arange(40).reshape(5, 8)
    np.testing.assert_array_equal(_kept_neighbours(neighbours, 6, None), np.tile(np.arange(6), (5, 1)))
    assert _kept_neighbours(neighbours, 20, None).shape == (5, 8)


def test_in_training_a_tenth_of_the_neighbours_is_missing_and_the_next_ones_stand_in():
    neighbours = torch.zeros(20_000, 9, dtype=torch.int64)
    kept = _kept_neighbours(neighbours, 6, torch.Generator().manual_seed(0))
    assert kept.shape == (20_000, 6)
    assert (torch.diff(kept, dim=1) > 0).all()
    present = torch.stack([(kept == i).any(dim=1) for i in range(9)]).double().mean(dim=1)
    # A seventh is needed where one of six is missing; where more than the spare ones are, some come back.
    np.testing.assert_allclose(present[:6], 0.9, atol=0.01)
    assert present[6] == pytest.approx(0.9 * (1 - 0.9**6), abs=0.01)
    again = _kept_neighbours(neighbours, 6, torch.Generator().manual_seed(0))
    assert torch.equal(kept, again)


def test_a_daily_mean_counts_with_three_quarters_of_its_hours_observed():
    rng = np.random.default_rng(0)
    truth = rng.gamma(4.0, 10.0, (2, 3, 48))
    truth[0, 0, :6], truth[0, 1, :7], truth[1, 2, 24:] = np.nan, np.nan, np.nan
    forecast = rng.gamma(4.0, 10.0, (2, 3, 48))
    said, observed = daily_means(torch.as_tensor(forecast), torch.as_tensor(truth), 24)
    assert said.shape == observed.shape == (2, 3, 2)
    for place in np.ndindex(2, 3, 2):
        hours = (*place[:2], slice(24 * place[2], 24 * place[2] + 24))
        assert float(said[place]) == pytest.approx(forecast[hours].mean())
        few = np.isfinite(truth[hours]).sum() < 18
        expected = np.nan if few else np.nanmean(truth[hours])
        assert float(observed[place]) == pytest.approx(expected, nan_ok=True)
    assert torch.isnan(observed).nonzero().tolist() == [[0, 1, 0], [1, 2, 1]]


# -- a real run -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ds():
    return xaq.datasets.synthetic(n_stations=14, days=8, seed=3)


@pytest.fixture(scope="module")
def model(ds):
    return ds.aq.train("pm25", config=SMALL, max_epochs=0, progress=False, geography=False)


def test_intervals_of_a_model_cover_hidden_stations_as_often_as_they_say(ds, model):
    """Every station is hidden in turn; residuals below a quantile of the spread are counted by hand."""
    recipe = model.recipe
    data = prepare_data(schema.observations(schema.conform(ds), "pm25"), recipe)
    assert calibrate([model.network] * len(data.validation), data, recipe) == recipe.interval
    below, count = np.zeros(3), 0
    quantiles = [recipe.interval.quantile(np.array([0]), p)[0] for p in (0.05, 0.5, 0.95)]
    with torch.no_grad():
        for fold in data.folds:
            batch, _ = hidden_estimates(model.network, data, fold, data.validation_starts, recipe)
            scale = sum(c * part for c, part in zip(recipe.interval.coefficients, batch.parts, strict=True))
            residual = batch.truth - batch.estimate.clamp(min=0.0)
            below += [int((residual < q * scale).sum()) for q in quantiles]
            count += int(torch.isfinite(residual).sum())
    assert count > 2000
    np.testing.assert_allclose(below / count, [0.05, 0.5, 0.95], atol=2e-3)


def test_what_hidden_targets_report_has_no_influence_on_their_estimates(ds, model):
    honest = schema.observations(schema.conform(ds), "pm25")
    data = prepare_data(honest, model.recipe)
    fold = data.folds[0]
    poisoned = honest.values.copy()
    poisoned[fold.targets.numpy()] = 1e9
    other = prepare_data(
        schema.observations(schema.conform(ds.assign(pm25=(ds.pm25.dims, poisoned, ds.pm25.attrs))), "pm25"),
        model.recipe,
    )
    with torch.no_grad():
        (one, _), (two, _) = (
            hidden_estimates(model.network, d, d.folds[0], d.train_starts, model.recipe) for d in (data, other)
        )
    assert torch.equal(one.estimate, two.estimate)
    assert all(torch.equal(a, b) for a, b in zip(one.parts, two.parts, strict=True))
    assert (two.truth[torch.isfinite(two.truth)] == 1e9).all()


def test_an_hour_at_which_only_the_hidden_stations_report_is_not_scored(ds, model):
    data = prepare_data(schema.observations(schema.conform(ds), "pm25"), model.recipe)
    targets = data.folds[0].targets.numpy()
    silent = ds.copy(deep=True)
    silent.pm25[:, 24 * 4 + 5] = np.nan
    silent.pm25[targets, 24 * 4 + 5] = 40.0
    data = prepare_data(schema.observations(schema.conform(silent), "pm25"), model.recipe)
    with torch.no_grad():
        batch, _ = hidden_estimates(model.network, data, data.folds[0], data.train_starts[4:5], model.recipe)
    assert torch.isnan(batch.truth[:, 5]).all()
    assert torch.isfinite(batch.truth[:, [4, 6]]).any()
    assert torch.isfinite(batch.estimate).all()
