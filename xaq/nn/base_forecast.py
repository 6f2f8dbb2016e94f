"""Where a forecast starts: the better of persistence and regression at each lead, on both scales."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from einops import rearrange
from torch import Tensor, nn

if TYPE_CHECKING:
    from .config import AQNetConfig
    from .window import Window


#: Init times that are at most this many groups of hours share their coefficients: eight groups of three hours.
_GROUPS = 8
#: Linear values are divided by this many offsets of the log scale, that is by about the network's mean.
_LEVEL = 20.0
#: Days of a covariate that the regression reads as daily means; days of linear values likewise.
_COVARIATE_DAYS = 3
#: Until it is fitted, a regression says no more than this many standard deviations of the log scale.
_EXTREME = 4.0
PERSISTENCE, LINEAR, LOG = range(3)


class BaseForecast(nn.Module):
    """Persistence and two linear regressions of the coming anomalies, mixed by fixed weights per lead.

    Anomalies are departures from the climatology. Both regressions read the same inputs: the last day step by step,
    daily means and the last value, on both scales; the anomaly of the network's mean; recent values of the
    covariates; the season; and, at each lead, what is known there (the value, means over the hours before it, and
    their products in pairs, for weather acts by its combinations). One estimates the anomaly on the linear scale,
    whose mean keeps the squared error low, one on the log scale, whose median keeps the absolute error low.
    Coefficients are fitted in closed form, per group of init hours, and not trained further.

    Parameters
    ----------
    config : AQNetConfig
    log_mean, log_std : float
        Of the scaler: ``log1p(y / offset) = log_mean + log_std * z``.
    """

    coefficients: Tensor
    weights: Tensor
    limits: Tensor
    extremes: Tensor

    def __init__(self, config: AQNetConfig, *, log_mean: float, log_std: float) -> None:
        super().__init__()
        self.config = config
        self.log_mean, self.log_std = log_mean, log_std
        self.quarter = max(1, config.steps_per_day // 4)
        self.n_groups = math.gcd(_GROUPS, config.steps_per_day)
        per_day, days = config.steps_per_day, config.days_before
        self._covariate_days = min(_COVARIATE_DAYS, days)
        common = per_day + days + 1 + per_day + self._covariate_days + 1
        network = days + per_day // self.quarter
        self.n_common = common + network + config.n_covariates * (self._covariate_days + 2) + 5
        k = config.n_known
        self.spans = sorted({1, self.quarter, per_day, min(3, days) * per_day})
        self.n_per_lead = k * (len(self.spans) + 1) + k * (k + 1) // 2 + k
        shape = (2, self.n_groups, config.target_steps, self.n_common + self.n_per_lead)
        self.register_buffer("coefficients", torch.zeros(shape))
        # The least and the most of each input in what was fitted: the square of a cloudburst is far outside, and counts as that.
        limits = torch.tensor([-torch.inf, torch.inf])[:, None].repeat(1, self.n_common + self.n_per_lead)
        self.register_buffer("limits", limits)
        # The least and the most that was observed, in z: the inverse of more would be no concentration.
        self.register_buffer("extremes", torch.tensor([-_EXTREME, _EXTREME]))
        weights = torch.zeros(3, config.target_steps)
        weights[LOG] = 1.0
        self.register_buffer("weights", weights)

    def linear(self, z: Tensor) -> Tensor:
        """Return values on the linear scale, in offsets, from z-scores."""
        return torch.expm1((z * self.log_std + self.log_mean).clamp(max=20.0))

    def group(self, window: Window) -> Tensor:
        """Return the group of init hours that each window belongs to, ``(window,)`` int."""
        encoded = window.cyclic[:, -1]
        phase = torch.atan2(encoded[:, 0], encoded[:, 3]) / (2 * torch.pi) % 1.0
        step = (phase * self.config.steps_per_day).round().long() % self.config.steps_per_day
        return step * self.n_groups // self.config.steps_per_day

    def common_inputs(self, window: Window) -> Tensor:
        """Return the regressors that all leads share, ``(window, station, n_common)``; what is missing counts as zero."""
        per_day, quarter = self.config.steps_per_day, self.quarter
        climatology = window.climatology[:, None]
        log = window.z - climatology
        linear = (self.linear(window.z) - self.linear(climatology)) / _LEVEL
        visible = window.visible[None, :, None]
        network = _mean(torch.where(visible, log, torch.nan), dim=1, keepdim=True).expand_as(log)
        recent = slice(-self._covariate_days * per_day, None)
        parts = [
            *(_zero_filled(log[..., -per_day:]), _block_means(log, per_day), _last(log, per_day)),
            *(_zero_filled(linear[..., -per_day:]), _block_means(linear[..., recent], per_day), _last(linear, per_day)),
            *(_block_means(network, per_day), _block_means(network[..., -per_day:], quarter)),
        ]
        for channel in window.covariates.unbind(dim=-1):
            parts += [_block_means(channel[..., recent], per_day), _last(channel, per_day)]
            parts.append(_mean(channel[..., -quarter:], dim=-1, keepdim=True))
        season = window.cyclic[:, None, -1, [1, 2, 4, 5]].expand(-1, log.shape[1], -1)
        inputs = torch.cat([*parts, season, torch.ones_like(season[..., :1])], dim=-1)
        return torch.clamp(inputs, *self.limits[:, : self.n_common])

    def lead_inputs(self, window: Window) -> Tensor:
        """Return the regressors that each lead has of its own, ``(window, station, target_step, n_per_lead)``."""
        n_known, n_target = self.config.n_known, self.config.target_steps
        if not n_known:
            return window.known
        series = torch.cat([window.covariates[..., -n_known:], window.known], dim=2)
        seen = torch.isfinite(series)
        zero = series.new_zeros(*series.shape[:2], 1, n_known)
        total = torch.cat([zero, torch.where(seen, series, 0.0).cumsum(dim=2)], dim=2)
        count = torch.cat([zero, seen.to(series.dtype).cumsum(dim=2)], dim=2)
        end = torch.arange(series.shape[2] - n_target, series.shape[2], device=series.device) + 1
        init = torch.full_like(end, series.shape[2] - n_target)

        def mean_from(begin: Tensor) -> Tensor:
            n = (count[:, :, end] - count[:, :, begin]).clamp(min=1)
            return (total[:, :, end] - total[:, :, begin]) / n

        means = {span: mean_from((end - span).clamp(min=0)) for span in self.spans}
        first, second = torch.triu_indices(n_known, n_known, device=series.device)
        day, quarter = means[self.config.steps_per_day], means[self.quarter]
        products = day[..., first] * day[..., second]
        inputs = torch.cat([*means.values(), mean_from(init), products, quarter.square()], dim=-1)
        return torch.clamp(inputs, *self.limits[:, self.n_common :])

    def regressions(self, window: Window, coefficients: Tensor) -> Tensor:
        """Return what both regressions say, in offsets on the linear scale: ``(2, window, station, target_step)``.

        ``coefficients`` are shaped as those of the module.
        """
        common, lead = self.common_inputs(window), self.lead_inputs(window)
        group, anomaly = self.group(window), []
        for scale in coefficients:
            # One product per group that occurs: gathering coefficients per window would copy them all.
            out = torch.empty(*common.shape[:2], scale.shape[1], device=common.device)
            for g in group.unique():
                at = group == g
                out[at] = torch.einsum("wsp,fp->wsf", common[at], scale[g, :, : self.n_common])
                if self.n_per_lead:
                    out[at] += torch.einsum("wsfp,fp->wsf", lead[at], scale[g, :, self.n_common :])
            anomaly.append(out)
        climatology = window.climatology_target[:, None]
        log = torch.clamp(climatology + anomaly[1], *self.extremes)
        return torch.stack([self.linear(climatology) + _LEVEL * anomaly[0], self.linear(log)])

    def persistence(self, window: Window) -> Tensor:
        """Return the last value seen in the window, in offsets, ``(window, station, target_step)``; else climatology."""
        seen = torch.isfinite(window.z)
        last = _last(window.z, window.z.shape[-1])
        normal = window.climatology_target[:, None].expand(-1, window.z.shape[1], -1)
        return self.linear(torch.where(seen.any(dim=-1, keepdim=True), last, normal))

    def targets(self, window: Window, z: Tensor) -> Tensor:
        """Return the anomalies that the regressions are fitted to, ``(2, window, station, target_step)``."""
        climatology = window.climatology_target[:, None]
        return torch.stack([(self.linear(z) - self.linear(climatology)) / _LEVEL, z - climatology])

    def mix(self, persistence: Tensor, regressions: Tensor, weights: Tensor) -> Tensor:
        """Return the mixture of the three by ``weights (3, target_step)``, in offsets, never negative."""
        parts = torch.cat([persistence[None], regressions])
        return (weights[:, None, None] * parts).sum(dim=0).clamp(min=0.0)

    def forward(self, window: Window) -> Tensor:
        """Return the forecast ``(window, station, target_step)`` in z; in float32 even under half precision."""
        with torch.autocast(window.z.device.type, enabled=False):
            mixed = self.mix(self.persistence(window), self.regressions(window, self.coefficients), self.weights)
            return (torch.log1p(mixed) - self.log_mean) / self.log_std


def _zero_filled(values: Tensor) -> Tensor:
    return torch.where(torch.isfinite(values), values, 0.0)


def _mean(values: Tensor, dim: int, *, keepdim: bool = False) -> Tensor:
    """Return the mean over what is observed; zero, that is the normal, where nothing is."""
    count = torch.isfinite(values).sum(dim=dim, keepdim=keepdim).clamp(min=1)
    return _zero_filled(values).sum(dim=dim, keepdim=keepdim) / count


def _block_means(values: Tensor, steps: int) -> Tensor:
    return _mean(rearrange(values, "w s (b h) -> w s b h", h=steps), dim=-1)


def _last(values: Tensor, steps: int) -> Tensor:
    """Return the last value observed within the last ``steps``, ``(window, station, 1)``; zero where there is none."""
    recent = values[..., -steps:]
    seen = torch.isfinite(recent)
    index = torch.where(seen, torch.arange(steps, device=values.device), -1).amax(dim=-1, keepdim=True)
    return torch.where(index >= 0, _zero_filled(recent).gather(-1, index.clamp(min=0)), 0.0)
