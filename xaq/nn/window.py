"""Windows: what the network reads of all stations around its target days, cut from one padded record."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .config import AQNetConfig


class Window(NamedTuple):
    """A batch of windows over all stations. Missing entries are NaN.

    Attributes
    ----------
    z : (window, station, input_step)
        Observations on the standardised log scale.
    residual : (window, station, input_step)
        Leave-one-out residuals e of kriging, on the scale of ``z``.
    residual_variance : (station,)
        Climatological residual variance: the mean of e squared in the training period.
    redundancy : (station,)
        Redundancy a of each station, 0 to 1: how well the other stations predict it.
    log_weight : (window, station, day)
        Weight gamma of the log scale around each station. Only an analysis reads it.
    covariates : (window, station, input_step, channel)
        Standardised.
    cyclic : (window, input_step, 6)
        Cyclic time encoding.
    cyclic_target : (window, day, 6)
        That of the middle of each target day.
    climatology : (window, input_step)
        On the scale of ``z``.
    climatology_target : (window, target_step)
        On the scale of ``z``.
    visible : (station,) bool
        Stations that the state of the network is computed from.
    cyclic_horizon : (window, target_step, 6)
        Cyclic time encoding of the target steps. Only a forecast reads it.
    known : (window, station, target_step, n_known)
        Covariates that are known after the init time. Only a forecast reads them.
    """

    z: Tensor
    residual: Tensor
    residual_variance: Tensor
    redundancy: Tensor
    log_weight: Tensor
    covariates: Tensor
    cyclic: Tensor
    cyclic_target: Tensor
    climatology: Tensor
    climatology_target: Tensor
    visible: Tensor
    cyclic_horizon: Tensor
    known: Tensor

    def without_calendar(self) -> Window:
        """Return these windows with zeros for the cyclic time encoding."""
        return self._replace(
            cyclic=torch.zeros_like(self.cyclic),
            cyclic_target=torch.zeros_like(self.cyclic_target),
            cyclic_horizon=torch.zeros_like(self.cyclic_horizon),
        )


def with_mask(values: Tensor) -> Tensor:
    """Return values with zero for NaN, followed along the last dimension by the mask of what was observed."""
    seen = torch.isfinite(values)
    return torch.cat([torch.where(seen, values, 0.0), seen.to(values.dtype)], dim=-1)


class Record(nn.Module):
    """A padded record that windows are cut from: it holds every step of every window.

    Parameters
    ----------
    config : AQNetConfig
    z : (station, step)
        Observations on the standardised log scale, NaN where missing.
    covariates : (station, step, channel)
        Standardised, NaN where missing. Of a forecast's horizon only the last ``config.n_known`` channels are read.
    cyclic : (step, 6)
        Cyclic time encoding.
    climatology : (step,)
        On the scale of ``z``.
    """

    z: Tensor
    covariates: Tensor
    cyclic: Tensor
    climatology: Tensor

    def __init__(
        self,
        config: AQNetConfig,
        *,
        z: Tensor,
        covariates: Tensor,
        cyclic: Tensor,
        climatology: Tensor,
    ) -> None:
        super().__init__()
        self.config = config
        tensors = {"z": z, "covariates": covariates, "cyclic": cyclic, "climatology": climatology}
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor, persistent=False)

    def window(
        self,
        start: Tensor,
        visible: Tensor,
        residual: Tensor | None = None,
        residual_variance: Tensor | None = None,
        redundancy: Tensor | None = None,
        log_weight: Tensor | None = None,
    ) -> Window:
        """Cut windows from the record.

        Parameters
        ----------
        start : (window,) int
            Step of this record at which the target of each window begins.
        visible : (station,) bool
            Stations that the state of the network is computed from.
        residual : (station, step), optional
            Leave-one-out residuals e on the steps of this record, NaN where unknown. Only an analysis reads them.
        residual_variance : (station,), optional
            Climatological residual variance; 1 by default.
        redundancy : (station,), optional
            Redundancy a, 0 to 1; 1 by default.
        log_weight : (station, day), optional
            Weight gamma of the log scale around each station on the days of this record, which begins at the start of a
            day. Only an analysis reads it.
        """
        config, device = self.config, self.z.device
        steps = start[:, None] + config.input_offset + torch.arange(config.input_steps, device=device)
        targets = start[:, None] + torch.arange(config.target_steps, device=device)
        midday = torch.arange(config.target_days, device=device) * config.steps_per_day + config.steps_per_day // 2
        residual = torch.full_like(self.z, torch.nan) if residual is None else residual
        one = torch.ones_like(self.z[:, 0])
        return Window(
            z=self.z[:, steps].transpose(0, 1),
            residual=residual[:, steps].transpose(0, 1),
            residual_variance=one if residual_variance is None else residual_variance,
            redundancy=one if redundancy is None else redundancy,
            log_weight=self.on_target_days(start, log_weight),
            covariates=self.covariates[:, steps].transpose(0, 1),
            cyclic=self.cyclic[steps],
            cyclic_target=self.cyclic[start[:, None] + midday],
            climatology=self.climatology[steps],
            climatology_target=self.climatology[targets],
            visible=visible,
            cyclic_horizon=self.cyclic[targets],
            known=self.covariates[:, targets, self.covariates.shape[-1] - config.n_known :].transpose(0, 1),
        )

    def on_target_days(self, start: Tensor, by_day: Tensor | None) -> Tensor:
        """Return values ``(station, day)`` of this record on target days, ``(window, station, day)``; 0 by default."""
        config = self.config
        if by_day is None:
            return self.z.new_zeros(len(start), len(self.z), config.target_days)
        first = torch.div(start, config.steps_per_day, rounding_mode="floor")[:, None]
        return by_day[:, first + torch.arange(config.target_days, device=start.device)].transpose(0, 1)
