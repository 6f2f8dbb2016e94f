"""Fitting a forecast's start: who teaches whom, what counts as an error, and the choice among candidates."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from xaq.arrays.transforms import cyclic_encoding
from xaq.nn.aqnet import AQNet
from xaq.nn.base_forecast import LINEAR
from xaq.nn.config import AQNetConfig
from xaq.nn.window import Record
from xaq.training import fit_base_forecast as fitting
from xaq.training.fit_base_forecast import (
    _as_scored,
    _best_weights,
    _Blocks,
    _coefficients,
    _error,
    _lead_blocks,
    _learning,
    _thinned,
    fit_base_forecast,
    fit_forecast_weight,
)
from xaq.training.folds import TrainingData, _split_windows

CONFIG = AQNetConfig(
    task="forecast", steps_per_day=4, days_before=2, days_after=0, target_days=2, patch=2, hidden=8, heads=2
)
GAP = (CONFIG.days_before + CONFIG.target_days) * CONFIG.steps_per_day


def made_data(config=CONFIG, n_station=6, n_step=400, seed=0, change=None):
    """Return training data of a small random record; the last two stations belong to the fold that validates."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1, (n_station, n_step)).cumsum(axis=1)
    z = (z - z.mean()) / z.std() + rng.normal(0, 0.3, z.shape)
    z[rng.random(z.shape) < 0.1] = np.nan
    if change is not None:
        z = change(z)
    times = np.datetime64("2020-01-01", "s") + np.arange(n_step) * np.timedelta64(86400 // config.steps_per_day, "s")
    record = Record(
        config,
        z=torch.as_tensor(z.astype("float32")),
        covariates=torch.zeros(n_station, n_step, 0),
        cyclic=torch.as_tensor(cyclic_encoding(times)),
        climatology=torch.zeros(n_step),
    )
    starts = np.arange(-config.input_offset, n_step - config.target_steps + 1)
    learned, later = (torch.as_tensor(s) for s in _split_windows(starts, config))
    fold = SimpleNamespace(targets=torch.tensor([n_station - 2, n_station - 1]))
    return TrainingData(record, record.z, torch.zeros(n_station, 3), (fold,), ((0,),), learned, later)


def made_network(config=CONFIG):
    torch.manual_seed(0)
    return AQNet(config, range_km=50.0, nugget=0.1, log_mean=1.0, log_std=0.5)


def fitted_coefficients(data, blocks):
    """Return the coefficients without each fold, then with all windows, of every ridge strength."""
    learning = _learning(data)
    return _coefficients(made_network().base_forecast, data, learning, torch.nonzero(learning)[:, 0], blocks)


def test_windows_in_a_gap_teach_no_regression_that_is_tested_beside_them(monkeypatch):
    """Without a fold: what all windows of the other blocks teach, and nothing else; the last ones learn from everything."""
    monkeypatch.setattr(fitting, "_RIDGES", (0.1,))
    data = made_data()
    blocks = _Blocks.of(data, CONFIG)
    assert len(blocks.folds) == 5
    assert (blocks.number == -1).sum() >= 4 * GAP
    got = [coefficients for (coefficients,) in fitted_coefficients(data, blocks)]
    for fold in (0, 2, 4):
        others = (blocks.number != -1) & (blocks.number != fold)
        alone = _Blocks(blocks.starts[others], blocks.number[others], blocks.folds)
        torch.testing.assert_close(got[fold], fitted_coefficients(data, alone)[-1][0], rtol=1e-4, atol=1e-5)
    gapless = _Blocks(blocks.starts[blocks.number >= 0], blocks.number[blocks.number >= 0], blocks.folds)
    assert not torch.allclose(got[-1], fitted_coefficients(data, gapless)[-1][0], rtol=1e-2, atol=1e-3)


def test_absurd_values_that_only_windows_in_a_gap_reach_leave_the_folds_bit_identical():
    """Two blocks, a wide gap: its middle is out of the blocks' reach."""
    starts = torch.arange(8, 392)
    number = torch.full_like(starts, -1)
    number[:150], number[-150:] = 0, 1
    blocks = _Blocks(starts, number, (0, 1))
    between = slice(int(starts[149]) + CONFIG.target_steps, int(starts[-150]) + CONFIG.input_offset)

    def poison(z):
        z[:, between] = 1e9
        return z

    one, other = (fitted_coefficients(made_data(change=change), blocks) for change in (None, poison))
    for fold in (0, 1):
        assert all(torch.equal(a, b) for a, b in zip(one[fold], other[fold], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(one[-1], other[-1], strict=True))


def test_coefficients_know_nothing_of_the_period_that_validates_until_the_end(monkeypatch):
    monkeypatch.setattr(fitting, "_RIDGES", (1.0,))
    first_read = int(made_data().validation_starts[0]) + CONFIG.input_offset

    def later(z):
        z[:, first_read:] = 3.0 * z[:, first_read:] + 1.0
        return z

    networks, ends = [made_network(), made_network()], []
    for network, change in zip(networks, (None, later), strict=True):
        ends.append(fit_base_forecast(network, made_data(change=change))[1])
    assert torch.equal(networks[0].base_forecast.coefficients, networks[1].base_forecast.coefficients)
    assert not torch.equal(*ends)
    assert not torch.equal(ends[0], networks[0].base_forecast.coefficients)


def test_stations_that_validate_teach_nothing_about_a_start(monkeypatch):
    monkeypatch.setattr(fitting, "_RIDGES", (0.1, 1.0))

    def poison(z):
        z[-2:] = 1e9
        return z

    networks, ends = [made_network(), made_network()], []
    for network, change in zip(networks, (None, poison), strict=True):
        ends.append(fit_base_forecast(network, made_data(change=change))[1])
    assert torch.equal(*ends)
    for name, tensor in networks[0].base_forecast.state_dict().items():
        assert torch.equal(tensor, networks[1].base_forecast.state_dict()[name]), name


def test_each_lead_takes_the_ridge_strength_with_the_least_error(monkeypatch):
    """Every candidate is judged alone: the truth is what the second strength says of day 1, and the third of day 2."""
    network, data = made_network(), made_data()
    kept = {}

    def judged(start, data, learning, stations, blocks, fitted):
        kept["fitted"] = fitted
        tried = torch.arange(1.0, len(fitted[0]) + 1)[:, None, None, None, None].expand(-1, 2, 30, 4, 8)
        truth = torch.full((30, 4, 8), 2.0)
        truth[..., 4:] = 3.0
        return torch.full((30, 4, 8), 50.0), tried, truth

    monkeypatch.setattr(fitting, "_predicted", judged)
    _, everything = fit_base_forecast(network, data)
    for best, leads in ((1, slice(0, 4)), (2, slice(4, 8))):
        assert torch.equal(network.base_forecast.coefficients[:, :, leads], kept["fitted"][-2][best][:, :, leads])
        assert torch.equal(everything[:, :, leads], kept["fitted"][-1][best][:, :, leads])


def test_starts_are_kept_of_evenly_spread_learning_windows(monkeypatch):
    monkeypatch.setattr(fitting, "_KEPT_WINDOWS", 40)
    network, before = made_network(), made_data()
    data, _ = fit_base_forecast(network, before)
    assert len(data.train_starts) == 40
    assert (data.train_starts[0], data.train_starts[-1]) == (before.train_starts[0], before.train_starts[-1])
    assert torch.equal(data.validation_starts, before.validation_starts)
    window = data.record.window(data.train_starts, _learning(data))
    torch.testing.assert_close(data.base_forecasts, network.base_forecast(window))


def test_an_analysis_has_no_start_to_fit():
    config = AQNetConfig(steps_per_day=4, days_before=1, days_after=1, patch=2, hidden=8, heads=2)
    data = object()
    assert fit_base_forecast(AQNet(config, range_km=50.0, nugget=0.1), data) == (data, None)


def test_the_fraction_of_the_own_forecast_is_the_best_one_lead_by_lead():
    """The network's own forecast is perfect at first, half of it is right on the second half day, none on day 2."""
    data = made_data()
    start = made_network().base_forecast
    wrong = torch.tensor([0.2, 0.1, 0.5, 0.5, 0.4, 0.3, 0.4, 0.3])
    best = torch.tensor([1.0, 1.0, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0])
    weight = torch.zeros(CONFIG.target_steps)
    truth = data.record.z[:, data.targets(data.validation_starts, CONFIG.target_steps)].transpose(0, 1)
    position = {int(s): i for i, s in enumerate(data.validation_starts)}

    def own_forecast(window):
        at = [position[int(s)] for s in window]
        return SimpleNamespace(z_hat=torch.nan_to_num(truth[at]) + wrong * (weight - best))

    record = SimpleNamespace(z=data.record.z, window=lambda part, visible: part)
    network = SimpleNamespace(
        config=CONFIG, base_forecast=start, forecast_weight=weight, eval=lambda: None, station_side=own_forecast
    )
    fit_forecast_weight(network, dataclasses.replace(data, record=record))
    torch.testing.assert_close(weight, best)


@pytest.mark.parametrize(("n", "most"), [(1, 1), (5, 9), (9, 9), (100, 7), (1000, 200)])
def test_thinned_positions_are_spread_evenly_from_the_first_to_the_last(n, most):
    kept = _thinned(n, most)
    assert len(kept) == min(n, most)
    assert (int(kept[0]), int(kept[-1])) == (0, n - 1)
    gaps = torch.diff(kept)
    assert (gaps >= 1).all()
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1


def test_leads_are_fitted_together_by_quarter_half_day_and_day():
    assert _lead_blocks(24, 72) == [slice(0, 6), slice(6, 12), slice(12, 24), slice(24, 48), slice(48, 72)]
    assert _lead_blocks(8, 16) == [slice(0, 2), slice(2, 4), slice(4, 8), slice(8, 16)]
    assert _lead_blocks(2, 4) == [slice(0, 1), slice(1, 2), slice(2, 4)]
    assert _lead_blocks(1, 3) == [slice(0, 1), slice(1, 2), slice(2, 3)]


@pytest.mark.parametrize("per_day", [1, 2, 3, 4, 8, 24, 96])
@pytest.mark.parametrize("days", [1, 2, 7])
def test_every_lead_belongs_to_one_block(per_day, days):
    leads = [lead for block in _lead_blocks(per_day, per_day * days) for lead in range(per_day * days)[block]]
    assert leads == list(range(per_day * days))


def test_a_whole_day_is_scored_by_its_mean_where_three_quarters_are_observed():
    rng = np.random.default_rng(0)
    truth = torch.as_tensor(rng.gamma(4.0, 10.0, (2, 3, 24)))
    truth[0, 0, :6], truth[0, 1, :7], truth[1, 2] = torch.nan, torch.nan, torch.nan
    parts = torch.as_tensor(rng.gamma(4.0, 10.0, (3, 2, 3, 24)))
    made, seen = _as_scored(parts, truth, 24)
    places = [(0, 0), (0, 2), (1, 0), (1, 1)]
    np.testing.assert_allclose(seen, [np.nanmean(truth[place]) for place in places])
    np.testing.assert_allclose(made, [[part[place].mean() for place in places] for part in parts])


@pytest.mark.parametrize(("per_day", "n_lead"), [(24, 6), (24, 12), (1, 1)])
def test_other_leads_are_scored_step_by_step_where_they_are_observed(per_day, n_lead):
    rng = np.random.default_rng(0)
    truth = rng.gamma(4.0, 10.0, (5, 3, n_lead))
    truth[rng.random(truth.shape) < 0.5] = np.nan
    parts = rng.gamma(4.0, 10.0, (2, *truth.shape))
    made, seen = _as_scored(torch.as_tensor(parts), torch.as_tensor(truth), per_day)
    np.testing.assert_array_equal(seen, truth[np.isfinite(truth)])
    np.testing.assert_array_equal(made, parts[:, np.isfinite(truth)])


def test_the_error_is_mae_plus_rmse_of_what_is_scored():
    rng = np.random.default_rng(1)
    truth, made = rng.gamma(4.0, 10.0, (2, 5, 3, 24))
    truth[0, 0, :12] = np.nan
    error = (made - truth)[..., :6]
    expected = np.nanmean(np.abs(error)) + np.sqrt(np.nanmean(error**2))
    assert _error(torch.as_tensor(made[..., :6]), torch.as_tensor(truth[..., :6]), 24) == pytest.approx(expected)
    daily = (made.mean(axis=-1) - truth.mean(axis=-1))[np.isfinite(truth).all(axis=-1)]
    expected = np.abs(daily).mean() + np.sqrt((daily**2).mean())
    assert _error(torch.as_tensor(made), torch.as_tensor(truth), 24) == pytest.approx(expected)
    assert _error(torch.ones(2, 3, 6), torch.full((2, 3, 6), torch.nan), 24) == 0.0


@pytest.mark.parametrize("weights", [(0.0, 0.0, 1.0), (0.3, 0.5, 0.2), (0.9, 0.1, 0.0), (0.1, 0.0, 0.9)])
@pytest.mark.parametrize("n_lead", [6, 24])
def test_a_mixture_that_is_the_truth_is_found(weights, n_lead):
    parts = torch.as_tensor(np.random.default_rng(2).gamma(4.0, 10.0, (3, 20, 4, n_lead)).astype("float32"))
    truth = torch.einsum("m,mwsl->wsl", torch.tensor(weights), parts)
    truth[0] = torch.nan
    best = _best_weights(parts, truth, 24)
    torch.testing.assert_close(best, torch.tensor(weights))
    assert float(best.sum()) == pytest.approx(1.0)


def test_leads_without_an_observation_go_to_the_linear_regression():
    best = _best_weights(torch.rand(3, 4, 2, 6), torch.full((4, 2, 6), torch.nan), 24)
    assert best.tolist() == [float(part == LINEAR) for part in range(3)]


def test_windows_of_a_block_are_named_by_their_starts():
    blocks = _Blocks(torch.arange(10, 18), torch.tensor([0, 0, 0, -1, -1, 1, 1, 1]), (0, 1))
    some = torch.tensor([0, 2, 3, 5, 7])
    assert [blocks.of_number(b, some).tolist() for b in (-1, 0, 1)] == [[13], [10, 12], [15, 17]]
