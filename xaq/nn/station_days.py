"""Evidence on station-days beside the temporal features: summaries of each, and the state of the whole network."""

from __future__ import annotations

from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor

from ..arrays.transforms import N_CYCLIC
from .config import AQNetConfig
from .window import Window

#: Summaries of a station-day: departure from the network's mean, fraction observed, log residual-variance ratio.
_N_SUMMARY = 3
#: State of the network on a day: mean, spread, fraction observed, cyclic time; the means of the covariates follow.
_N_STATE = 3 + N_CYCLIC
#: Bound of the log residual-variance ratio.
_MAX_LOG_VARIANCE_RATIO = 4.0
#: Added to both variances of the ratio, in squared standard deviations of the log scale: it keeps the logarithm finite.
_SMALL_VARIANCE = 1e-3


class StationDays(NamedTuple):
    """Summaries of station-days and the state of the network on the target days.

    Attributes
    ----------
    summary : (window, station, day, 3)
        Departure from the network's mean in units of its spread, fraction observed, log residual-variance ratio q.
    state : (window, day, 9 + n_covariates)
        Mean, spread and fraction observed of the network, means of the covariates, cyclic time.
    """

    summary: Tensor
    state: Tensor

    def of_windows(self, position: Tensor) -> StationDays:
        """Return those of some windows, by their positions ``(window,)``."""
        return StationDays(self.summary[position], self.state[position])

    def to(self, device: torch.device) -> StationDays:
        """Return them on a device."""
        return StationDays(self.summary.to(device), self.state.to(device))

    @property
    def variance_ratio(self) -> Tensor:
        """Log residual-variance ratio q, ``(window, station, day)``."""
        return self.summary[..., -1]

    def evidence(self, features: Tensor | None) -> Tensor:
        """Return the features ``(window, station, day, hidden)`` if any, the summaries and the state of the network."""
        state = self.state[:, None].expand(-1, self.summary.shape[1], -1, -1)
        return torch.cat([*([] if features is None else [features]), self.summary, state], dim=-1)


def n_evidence(config: AQNetConfig) -> int:
    """Return the length of :meth:`StationDays.evidence`."""
    return (config.hidden if config.has_temporal else 0) + _N_SUMMARY + _N_STATE + config.n_covariates


def summarise(window: Window, z: Tensor, steps: slice, steps_per_day: int) -> StationDays:
    """Summarise the station-days of the target days, and the state of the network from its visible stations.

    Parameters
    ----------
    window : Window
    z : (window, station, target_step)
        On the target days: what was observed, or its forecast.
    steps : slice
        Steps of the window, whole days, whose residuals and covariates count for the target days: as many days, or one.
    steps_per_day : int
    """
    days = _by_day(z, steps_per_day)
    seen = torch.isfinite(days)
    count = seen.sum(dim=-1)
    fraction = count / steps_per_day
    station_mean = torch.where(seen, days, 0.0).sum(dim=-1) / count.clamp(min=1)
    # Over the visible stations that report on the day: (window, day).
    weight = (count > 0) * window.visible[None, :, None]
    total = weight.sum(dim=1).clamp(min=1)
    mean = (station_mean * weight).sum(dim=1) / total
    departure = torch.where(count > 0, station_mean - mean[:, None], 0.0)
    spread = ((departure.square() * weight).sum(dim=1) / total + 1e-2).sqrt()
    reporting = (fraction * window.visible[None, :, None]).sum(dim=1) / window.visible.sum().clamp(min=1)
    ratio = log_variance_ratio(_by_day(window.residual[..., steps], steps_per_day), window.residual_variance)
    covariates = _network_means(window.covariates[:, window.visible, steps], steps_per_day)
    summary = torch.stack([departure / spread[:, None], fraction, ratio.expand_as(fraction)], dim=-1)
    covariates = covariates.expand(-1, mean.shape[1], -1)
    state = torch.cat([torch.stack([mean, spread, reporting], dim=-1), covariates, window.cyclic_target], dim=-1)
    return StationDays(summary, state)


def analysis_days(window: Window, config: AQNetConfig) -> StationDays:
    """Summarise the target days of an analysis, which its windows hold: :func:`summarise` of what was observed there."""
    if not config.cyclic:
        window = window.without_calendar()
    target_days = slice(-config.input_offset, -config.input_offset + config.target_steps)
    return summarise(window, window.z[..., target_days], target_days, config.steps_per_day)


def log_variance_ratio(residual: Tensor, residual_variance: Tensor) -> Tensor:
    r"""Return the log ratio of a day's mean squared residual to its climatology, ``(window, station, day)``.

    .. math:: q_i = \log \frac{\overline{e_i^2}^{\,\mathrm{day}} + 10^{-3}}{\overline{e_i^2}^{\,\mathrm{training}} + 10^{-3}}

    It is bounded by +-4, and 0 on days without a residual.

    Parameters
    ----------
    residual : (window, station, day, step_of_day)
        Leave-one-out residuals e on the standardised log scale, NaN where unknown.
    residual_variance : (station,)
        Climatological residual variance.
    """
    seen = torch.isfinite(residual)
    count = seen.sum(dim=-1)
    mean_square = torch.where(seen, residual, 0.0).square().sum(dim=-1) / count.clamp(min=1)
    ratio = (mean_square + _SMALL_VARIANCE) / (residual_variance[None, :, None] + _SMALL_VARIANCE)
    bounded = ratio.log().clamp(-_MAX_LOG_VARIANCE_RATIO, _MAX_LOG_VARIANCE_RATIO)
    return torch.where(count > 0, bounded, 0.0)


def _network_means(covariates: Tensor, steps_per_day: int) -> Tensor:
    """Return daily means of covariates ``(window, station, step, channel)`` over all stations, ``(window, day, channel)``."""
    days = rearrange(covariates, "w s (d h) c -> w d (s h) c", h=steps_per_day)
    seen = torch.isfinite(days)
    return torch.where(seen, days, 0.0).sum(dim=2) / seen.sum(dim=2).clamp(min=1)


def _by_day(steps: Tensor, steps_per_day: int) -> Tensor:
    return rearrange(steps, "w s (d h) -> w s d h", h=steps_per_day)
