"""The fit of a base forecast: which windows and stations each regression is fitted to, and the choice among candidates."""

import dataclasses

import numpy as np
import pytest
import torch
from small_forecast import CONFIG, made_data, made_network

from xaq.nn.aqnet import build_network
from xaq.nn.config import AQNetConfig
from xaq.training import fit_base_forecast as fitting
from xaq.training.fit_base_forecast import Predictions, evenly, fit_base_forecast, fit_candidates
from xaq.training.time_blocks import TimeBlocks
from xaq.training.windows import embargo_steps


def fitted_coefficients(data, blocks):
    """Return the coefficients without each fold, then with all windows, of every ridge strength."""
    stations = torch.nonzero(data.learning_stations)[:, 0]
    candidates = fit_candidates(made_network().base_forecast, data, stations, blocks)
    return [*candidates.without, candidates.everything]


def test_windows_in_a_gap_teach_no_regression_that_is_tested_beside_them(monkeypatch):
    """Without a fold, regressions are fitted to all windows of the other blocks and to nothing else; at the end to everything."""
    monkeypatch.setattr(fitting, "_RIDGES", (0.1,))
    data = made_data()
    blocks = TimeBlocks.of(data, CONFIG)
    assert len(blocks.folds) == 5
    assert (blocks.number == -1).sum() >= 4 * embargo_steps(CONFIG)
    got = [coefficients for (coefficients,) in fitted_coefficients(data, blocks)]
    for fold in (0, 2, 4):
        others = (blocks.number != -1) & (blocks.number != fold)
        alone = TimeBlocks(blocks.starts[others], blocks.number[others], blocks.folds)
        torch.testing.assert_close(got[fold], fitted_coefficients(data, alone)[-1][0], rtol=1e-4, atol=1e-5)
    gapless = TimeBlocks(blocks.starts[blocks.number >= 0], blocks.number[blocks.number >= 0], blocks.folds)
    assert not torch.allclose(got[-1], fitted_coefficients(data, gapless)[-1][0], rtol=1e-2, atol=1e-3)


def test_absurd_values_that_only_windows_in_a_gap_reach_leave_the_folds_bit_identical():
    """Two blocks and a wide gap, the middle of which no window of the blocks reaches."""
    starts = torch.arange(8, 392)
    number = torch.full_like(starts, -1)
    number[:150], number[-150:] = 0, 1
    blocks = TimeBlocks(starts, number, (0, 1))
    between = slice(int(starts[149]) + CONFIG.target_steps, int(starts[-150]) + CONFIG.input_offset)

    def poison(z):
        z[:, between] = 1e9
        return z

    one, other = (fitted_coefficients(made_data(change=change), blocks) for change in (None, poison))
    for fold in (0, 1):
        assert all(torch.equal(a, b) for a, b in zip(one[fold], other[fold], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(one[-1], other[-1], strict=True))


def test_coefficients_do_not_depend_on_the_validation_period_until_the_end(monkeypatch):
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


def test_a_base_forecast_does_not_depend_on_the_validation_stations(monkeypatch):
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
    """Candidates predict 1, 2, 3, ...; the truth is what the second strength predicts on day 1 and the third on day 2."""
    network, data = made_network(), made_data()
    kept = {}

    def predictions(base_forecast, data, stations, blocks, candidates):
        kept["candidates"] = candidates
        tried = torch.arange(1.0, candidates.without.shape[1] + 1)[:, None, None, None, None].expand(-1, 2, 30, 4, 8)
        truth = torch.full((30, 4, 8), 2.0)
        truth[..., 4:] = 3.0
        return Predictions(torch.full((30, 4, 8), 50.0), tried, truth)

    monkeypatch.setattr(fitting, "predict_blocks", predictions)
    everything = fit_base_forecast(network, data).coefficients
    without, all_windows = kept["candidates"].without[-1], kept["candidates"].everything
    for best, leads in ((1, slice(0, 4)), (2, slice(4, 8))):
        assert torch.equal(network.base_forecast.coefficients[:, :, leads], without[best][:, :, leads])
        assert torch.equal(everything[:, :, leads], all_windows[best][:, :, leads])


def test_base_forecasts_are_kept_of_evenly_spread_learning_windows(monkeypatch):
    monkeypatch.setattr(fitting, "_KEPT_WINDOWS", 40)
    network, before = made_network(), made_data()
    data, _ = fit_base_forecast(network, before)
    assert len(data.train_starts) == 40
    assert (data.train_starts[0], data.train_starts[-1]) == (before.train_starts[0], before.train_starts[-1])
    assert torch.equal(data.validation_starts, before.validation_starts)
    window = data.record.window(data.train_starts, data.learning_stations)
    torch.testing.assert_close(data.base_forecasts, network.base_forecast(window))


def test_an_analysis_has_no_base_forecast_to_fit():
    config = AQNetConfig(steps_per_day=4, days_before=1, days_after=1, patch=2, hidden=8, heads=2)
    data = object()
    assert fit_base_forecast(build_network(config, range_km=50.0, nugget=0.1), data) == (data, None)


@pytest.mark.parametrize(("n", "most"), [(1, 1), (5, 9), (9, 9), (100, 7), (1000, 200)])
def test_positions_are_spread_evenly_from_the_first_to_the_last(n, most):
    kept = evenly(n, most)
    assert len(kept) == min(n, most)
    assert (int(kept[0]), int(kept[-1])) == (0, n - 1)
    gaps = torch.diff(kept)
    assert (gaps >= 1).all()
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1


def test_a_known_forecast_that_errs_by_station_and_hour_is_corrected():
    config = dataclasses.replace(CONFIG, days_before=8, n_covariates=1, n_known=1)
    data = made_data(config, n_step=1200)
    rng = np.random.default_rng(1)
    weather = rng.normal(0, 1, data.record.z.shape).astype("float32")
    hour = np.arange(weather.shape[1]) % config.steps_per_day
    bias = rng.normal(0, 1, (len(weather), config.steps_per_day)).astype("float32")[:, hour]
    data.record.z, data.record.covariates = torch.as_tensor(weather), torch.as_tensor(weather + bias)[..., None]
    network = made_network(config)
    fit_base_forecast(network, data)
    made = network.base_forecast(data.record.window(data.validation_starts, data.learning_stations))
    error = made - data.at_targets(data.record.z, data.validation_starts)
    assert error[:, data.learning_stations].square().mean().sqrt() < 0.14
