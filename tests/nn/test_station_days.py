"""Summaries of station-days and the state of the network, by brute force."""

from dataclasses import replace

import numpy as np
import torch
from windows import make_window

from xaq.nn.config import AQNetConfig
from xaq.nn.station_days import log_variance_ratio, n_evidence, summarise

CONFIG = AQNetConfig(steps_per_day=4, patch=4, n_covariates=2, target_days=2, temporal=True)
TARGET_DAYS = slice(-CONFIG.input_offset, -CONFIG.input_offset + CONFIG.target_steps)


def made_window():
    window = make_window(CONFIG)
    # A day without a report, a hidden station.
    z = window.z.clone()
    z[0, 2, TARGET_DAYS] = torch.nan
    generator = torch.Generator().manual_seed(1)
    covariates = torch.randn(window.covariates.shape, generator=generator)
    covariates[:, 1, ::3] = torch.nan
    visible = torch.tensor([True, True, True, True, True, False])
    return window._replace(z=z, residual=0.3 * z, covariates=covariates, visible=visible)


def test_summaries_and_state_are_those_of_a_loop():
    window = made_window()
    days = summarise(window, window.z[..., TARGET_DAYS], TARGET_DAYS, 4)
    values, residual = (
        a[..., TARGET_DAYS].numpy().reshape(2, 6, 2, 4) for a in (window.z, window.residual)
    )  # fmt: skip
    covariates = window.covariates[:, :5, TARGET_DAYS].numpy().reshape(2, 5, 2, 4, 2)
    for w, d in np.ndindex(2, 2):
        seen = [s for s in range(6) if np.isfinite(values[w, s, d]).any()]
        means = {s: np.nanmean(values[w, s, d]) for s in seen}
        mean = np.mean([means[s] for s in seen if s < 5])
        spread = np.sqrt(np.mean([(means[s] - mean) ** 2 for s in seen if s < 5]) + 0.01)
        fraction = np.isfinite(values[w, :, d]).mean(axis=-1)
        state = [mean, spread, fraction[:5].mean(), *np.nanmean(covariates[w, :, d], axis=(0, 1))]
        np.testing.assert_allclose(days.state[w, d, :5], state, rtol=1e-4, atol=1e-6)
        assert torch.equal(days.state[w, d, 5:], window.cyclic_target[w, d])
        for s in range(6):
            departure = (means[s] - mean) / spread if s in seen else 0.0
            ratio = np.log((np.nanmean(residual[w, s, d] ** 2) + 1e-3) / 0.091) if s in seen else 0.0
            expected = [departure, fraction[s], np.clip(ratio, -4, 4)]
            np.testing.assert_allclose(days.summary[w, s, d], expected, rtol=1e-4, atol=1e-5)


def test_one_day_of_residuals_and_covariates_counts_for_all_target_days():
    window, last_day = made_window(), slice(-4, None)
    days = summarise(window, window.z[..., TARGET_DAYS], last_day, 4)
    assert torch.equal(days.variance_ratio[..., 0], days.variance_ratio[..., 1])
    assert torch.equal(days.state[:, 0, 3:5], days.state[:, 1, 3:5])


def test_evidence_is_features_then_summaries_then_state():
    window = made_window()
    days = summarise(window, window.z[..., TARGET_DAYS], TARGET_DAYS, 4)
    features = torch.randn(2, 6, 2, CONFIG.hidden)
    evidence = days.evidence(features)
    assert evidence.shape == (2, 6, 2, n_evidence(CONFIG))
    assert torch.equal(evidence[..., : CONFIG.hidden], features)
    assert torch.equal(evidence[..., CONFIG.hidden : CONFIG.hidden + 3], days.summary)
    assert torch.equal(evidence[:, 4, :, CONFIG.hidden + 3 :], days.state)
    without = replace(CONFIG, temporal=False)
    assert torch.equal(days.evidence(None), evidence[..., CONFIG.hidden :])
    assert n_evidence(without) == n_evidence(CONFIG) - CONFIG.hidden


def test_the_variance_ratio_is_bounded_and_zero_without_residuals():
    residual = torch.tensor([1e3, 0.0, torch.nan, 0.5])[None, :, None, None]
    got = log_variance_ratio(residual, torch.tensor([0.1, 10.0, 1.0, 0.25]))
    torch.testing.assert_close(got[0, :, 0], torch.tensor([4.0, -4.0, 0.0, 0.0]))
