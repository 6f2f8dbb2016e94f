"""Windows are cut from the record at the steps that the configuration says."""

import pytest
import torch

from xaq.nn.config import AQNetConfig
from xaq.nn.window import Record, with_mask

CONFIGS = [AQNetConfig(steps_per_day=2, patch=2, days_before=2, days_after=1), AQNetConfig(
    task="forecast", steps_per_day=2, patch=2, days_before=3, days_after=0, target_days=2, n_covariates=3, n_known=2
)]  # fmt: skip
N_STEP, START = 24, torch.tensor([8, 10])


def made_record(config):
    """Every tensor holds the number of its step, stations and channels a thousand and a million apart."""
    step = torch.arange(float(N_STEP))
    z = step + 1e3 * torch.arange(3.0)[:, None]
    return Record(
        config, z=z, covariates=z[..., None] + 1e6 * torch.arange(config.n_covariates),
        cyclic=step[:, None].expand(-1, 6), climatology=-step,
    )  # fmt: skip


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.task)
def test_windows_hold_the_steps_before_in_and_after_the_target(config):
    record = made_record(config)
    window = record.window(START, torch.ones(3, dtype=torch.bool))
    for i, start in enumerate(START.tolist()):
        steps = torch.arange(start + config.input_offset, start + config.input_offset + config.input_steps).float()
        target = torch.arange(start, start + config.target_steps).float()
        assert torch.equal(window.z[i, 1], steps + 1e3)
        assert torch.equal(window.cyclic[i, :, 0], steps)
        assert torch.equal(window.climatology[i], -steps)
        assert torch.equal(window.climatology_target[i], -target)
        assert torch.equal(window.cyclic_horizon[i, :, 0], target)
        assert torch.equal(window.cyclic_target[i, :, 0], target[1::2])
        for channel in range(config.n_covariates):
            assert torch.equal(window.covariates[i, 2, :, channel], steps + 2e3 + 1e6 * channel)
        # The last covariates are those known ahead.
        for known in range(config.n_known):
            channel = config.n_covariates - config.n_known + known
            assert torch.equal(window.known[i, 2, :, known], target + 2e3 + 1e6 * channel)
    if config.task == "forecast":
        assert window.z[:, 0].max() < START.max()


def test_residuals_and_log_weights_are_those_of_the_window_and_unknown_by_default():
    config = CONFIGS[0]
    record, visible = made_record(config), torch.tensor([True, True, False])
    by_day = torch.arange(12.0) + 100.0 * torch.arange(3.0)[:, None]
    given = {"residual": -record.z, "log_weight": by_day, "redundancy": torch.tensor([0.1, 0.2, 0.3])}
    window, blank = record.window(START, visible, **given), record.window(START, visible)
    assert torch.equal(window.residual, -window.z)
    assert torch.equal(window.log_weight[:, 1, 0], 100.0 + START / config.steps_per_day)
    assert torch.equal(window.redundancy, given["redundancy"])
    assert torch.equal(window.visible, visible)
    assert torch.isnan(blank.residual).all()
    assert (blank.log_weight == 0).all()
    assert (blank.residual_variance == 1).all()
    assert (blank.redundancy == 1).all()


def test_without_the_calendar_only_the_calendar_is_zero():
    window = made_record(CONFIGS[1]).window(START, torch.ones(3, dtype=torch.bool))
    for name, got in window.without_calendar()._asdict().items():
        expected = getattr(window, name)
        expected = torch.zeros_like(expected) if name.startswith("cyclic") else expected
        torch.testing.assert_close(got, expected, rtol=0, atol=0, equal_nan=True, msg=name)


def test_the_mask_says_what_was_observed():
    got = with_mask(torch.tensor([[2.0, torch.nan], [0.0, 1.0]]))
    assert torch.equal(got, torch.tensor([[2.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0, 1.0]]))
