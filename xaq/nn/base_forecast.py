"""The base forecast: a mixture of persistence, a regression on the linear scale and a regression on the log scale."""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor, nn

from .config import AQNetConfig
from .log_scale import from_log, to_log
from .window import Window

#: Groups of init hours, each with coefficients of its own: eight groups of three hours.
_GROUPS = 8
#: Anomalies on the linear scale are in units of this many offsets, which is about the network's mean.
_OFFSETS_PER_MEAN = 20.0
#: Last days of a covariate, and of the target on the linear scale, whose daily means are regressors.
_COVARIATE_DAYS = 3
#: Last days whose mean at the hour of a lead is a regressor of it, beside that of the whole window.
_HOURLY_DAYS = 3
#: Bound of an unfitted regression on the log scale, in standard deviations.
_EXTREME = 4.0
#: Rows of the mixture weights; the regressions follow persistence.
PERSISTENCE, LINEAR, LOG = range(3)


class BaseForecast(nn.Module):
    r"""Persistence and two linear regressions of the anomalies ahead, mixed by weights that depend on the lead alone.

    .. math::
        B_\ell = \Big[\pi^{\mathrm{pers}}_\ell \, y_{\mathrm{last}}
            + \pi^{\mathrm{lin}}_\ell \, \big(z^{-1}(m) + D_\ell \cdot \chi_\ell\big)
            + \pi^{\mathrm{log}}_\ell \, z^{-1}\big(m + A_\ell \cdot \chi_\ell\big)\Big]^+,
        \qquad \pi^{\mathrm{pers}}_\ell + \pi^{\mathrm{lin}}_\ell + \pi^{\mathrm{log}}_\ell = 1, \quad \pi \ge 0

    with the regressors :math:`\chi_\ell` at lead :math:`\ell` and the climatology m.

    Anomalies are departures from the climatology. One regression predicts the anomaly on the linear scale: its mean keeps the
    squared error low. The other predicts the anomaly on the log scale: its median keeps the absolute error low. Both have the
    same regressors. All leads have in common: the last day step by step, daily means and the last value, on both scales; the
    anomaly of the network's mean; recent values of the covariates; the season. Each lead adds the means of the last days at its
    hour, of the target and of the known covariates, and what is known of it: the known covariates, their means over the hours
    before, and products of their daily means in pairs. The coefficients are fitted in closed form, per group of init hours,
    and training does not change them.

    Parameters
    ----------
    config : AQNetConfig
    log_mean, log_std : float
        Mean and standard deviation of the log scale: ``log1p(y / offset) = log_mean + log_std * z``.
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
        self.hourly_days = sorted({min(_HOURLY_DAYS, days), days})
        self.n_per_lead = k * (len(self.spans) + 1) + k * (k + 1) // 2 + k + (2 + k) * len(self.hourly_days)
        shape = (2, self.n_groups, config.target_steps, self.n_common + self.n_per_lead)
        self.register_buffer("coefficients", torch.zeros(shape))
        # Extremes of each regressor in the data that the regressions were fitted to: inputs beyond them are clamped.
        limits = torch.tensor([-torch.inf, torch.inf])[:, None].repeat(1, self.n_common + self.n_per_lead)
        self.register_buffer("limits", limits)
        # Extremes of the observations, in z: forecasts on the log scale are clamped to them before they are transformed back.
        self.register_buffer("extremes", torch.tensor([-_EXTREME, _EXTREME]))
        weights = torch.zeros(3, config.target_steps)
        weights[LOG] = 1.0
        self.register_buffer("weights", weights)

    def linear(self, z: Tensor) -> Tensor:
        """Return values on the linear scale, in units of the offset, from z-scores."""
        return from_log(z * self.log_std + self.log_mean, 1.0)

    def z_scores(self, values: Tensor) -> Tensor:
        """Return z-scores from values in units of the offset: the inverse of :meth:`linear`."""
        return (to_log(values, 1.0) - self.log_mean) / self.log_std

    def group(self, window: Window) -> Tensor:
        """Return the group of init hours of each window, ``(window,)`` int, from the cyclic encoding of its last step."""
        encoded = window.cyclic[:, -1]
        phase = torch.atan2(encoded[:, 0], encoded[:, 3]) / (2 * torch.pi) % 1.0
        step = (phase * self.config.steps_per_day).round().long() % self.config.steps_per_day
        return step * self.n_groups // self.config.steps_per_day

    def common_inputs(self, window: Window) -> Tensor:
        """Return the regressors common to all leads, ``(window, station, n_common)``; zero where missing."""
        per_day, quarter = self.config.steps_per_day, self.quarter
        climatology = window.climatology[:, None]
        log = window.z - climatology
        linear = (self.linear(window.z) - self.linear(climatology)) / _OFFSETS_PER_MEAN
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
        """Return the regressors of each lead, ``(window, station, target_step, n_per_lead)``; zero where missing."""
        inputs = torch.cat([self._known_inputs(window), self._hourly_inputs(window)], dim=-1)
        return torch.clamp(inputs, *self.limits[:, self.n_common :])

    def _hourly_inputs(self, window: Window) -> Tensor:
        """Return the means of the last days at the hour of each lead: of the target on both scales, of the known covariates.

        Those of the covariates are over the times at which the target is observed too. Together they tell how far a covariate
        that forecasts the target has been wrong at this station and hour.
        """
        per_day, climatology = self.config.steps_per_day, window.climatology[:, None]
        log = window.z - climatology
        linear = (self.linear(window.z) - self.linear(climatology)) / _OFFSETS_PER_MEAN
        known = window.covariates[..., window.covariates.shape[-1] - self.config.n_known :]
        known = torch.where(torch.isfinite(window.z)[..., None], known, torch.nan)
        series = torch.stack([log, linear, *known.unbind(dim=-1)], dim=-1)
        by_day = rearrange(series, "w s (d h) c -> w s d h c", h=per_day)
        means = torch.cat([_mean(by_day[:, :, -days:], dim=2) for days in self.hourly_days], dim=-1)
        return means.repeat(1, 1, self.config.target_days, 1)

    def _known_inputs(self, window: Window) -> Tensor:
        """Return the known covariates at each lead, their means before it, and products of their daily means."""
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
        return torch.cat([*means.values(), mean_from(init), products, quarter.square()], dim=-1)

    def regressions(self, window: Window, coefficients: Tensor) -> Tensor:
        """Return both regressions in units of the offset, ``(2, window, station, target_step)``.

        Parameters
        ----------
        window : Window
        coefficients : (2, group, target_step, n_common + n_per_lead)
            Of the linear and of the log scale.
        """
        common, lead = self.common_inputs(window), self.lead_inputs(window)
        group, anomaly = self.group(window), []
        for scale in coefficients:
            # A product per group of init hours: gathering the coefficients per window would copy them all.
            out = torch.empty(*common.shape[:2], scale.shape[1], device=common.device)
            for g in group.unique():
                at = group == g
                out[at] = torch.einsum("wsp,fp->wsf", common[at], scale[g, :, : self.n_common])
                out[at] += torch.einsum("wsfp,fp->wsf", lead[at], scale[g, :, self.n_common :])
            anomaly.append(out)
        climatology = window.climatology_target[:, None]
        log = torch.clamp(climatology + anomaly[1], *self.extremes)
        return torch.stack([self.linear(climatology) + _OFFSETS_PER_MEAN * anomaly[0], self.linear(log)])

    def persistence(self, window: Window) -> Tensor:
        """Return the last observation in the window in units of the offset, ``(window, station, target_step)``.

        A station without observations in the window gets the climatology.
        """
        seen = torch.isfinite(window.z)
        last = _last(window.z, window.z.shape[-1])
        climatology = window.climatology_target[:, None].expand(-1, window.z.shape[1], -1)
        return self.linear(torch.where(seen.any(dim=-1, keepdim=True), last, climatology))

    def targets(self, window: Window, z: Tensor) -> Tensor:
        """Return the anomalies that the regressions predict, ``(2, window, station, target_step)``: linear and log scale."""
        climatology = window.climatology_target[:, None]
        return torch.stack([(self.linear(z) - self.linear(climatology)) / _OFFSETS_PER_MEAN, z - climatology])

    def mix(self, persistence: Tensor, regressions: Tensor, weights: Tensor) -> Tensor:
        """Return the mixture with ``weights (3, target_step)`` in units of the offset; negative values become zero."""
        parts = torch.cat([persistence[None], regressions])
        return (weights[:, None, None] * parts).sum(dim=0).clamp(min=0.0)

    def forward(self, window: Window) -> Tensor:
        """Return the base forecast ``(window, station, target_step)`` in z, computed in float32."""
        with torch.autocast(window.z.device.type, enabled=False):
            mixed = self.mix(self.persistence(window), self.regressions(window, self.coefficients), self.weights)
            return self.z_scores(mixed)


def _zero_filled(values: Tensor) -> Tensor:
    return torch.where(torch.isfinite(values), values, 0.0)


def _mean(values: Tensor, dim: int, *, keepdim: bool = False) -> Tensor:
    """Return the mean of the observed anomalies along a dimension; zero, the climatology, where nothing is observed."""
    count = torch.isfinite(values).sum(dim=dim, keepdim=keepdim).clamp(min=1)
    return _zero_filled(values).sum(dim=dim, keepdim=keepdim) / count


def _block_means(values: Tensor, steps: int) -> Tensor:
    return _mean(rearrange(values, "w s (b h) -> w s b h", h=steps), dim=-1)


def _last(values: Tensor, steps: int) -> Tensor:
    """Return the last observation within the last ``steps``, ``(window, station, 1)``; zero where there is none."""
    recent = values[..., -steps:]
    seen = torch.isfinite(recent)
    index = torch.where(seen, torch.arange(steps, device=values.device), -1).amax(dim=-1, keepdim=True)
    return torch.where(index >= 0, _zero_filled(recent).gather(-1, index.clamp(min=0)), 0.0)
