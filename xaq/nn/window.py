"""AQ-Net: the temporal module on the station side, neural kNN on the cell side.

The station side runs over stations and windows and may be heavy; the cell side runs over targets and days and is a
small solve and a sparse product. Nothing here knows of labels, files or units.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .config import AQNetConfig


class Window(NamedTuple):
    """A batch of windows over all stations. Missing entries are NaN.

    ``z (window, station, input_step)`` standardised log scale; ``residual``, of the same shape and scale, what the
    stations around do not explain of it; ``residual_variance (station,)`` its mean square in the training period,
    ``redundancy (station,)`` how well they can predict the station, from 0 to 1; ``log_weight (window, station, day)`` of the log scale
    around each;
    ``covariates (window, station, input_step, channel)``;
    ``cyclic (window, input_step, 6)``; ``cyclic_target (window, day, 6)``; ``climatology (window, input_step)`` and
    ``climatology_target (window, target_step)`` in z; ``visible (station,) bool``: whose data make the network's state;
    of a forecast, ``cyclic_horizon (window, target_step, 6)`` and ``known (window, station, target_step, n_known)``: what
    is known after the init time.
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


def with_mask(values: Tensor) -> Tensor:
    """Return values with NaN as zero, followed by the mask that says where they were observed."""
    seen = torch.isfinite(values)
    return torch.cat([torch.where(seen, values, 0.0), seen.to(values.dtype)], dim=-1)


class Record(nn.Module):
    """A padded record: every window that will be asked for lies inside it.

    Parameters
    ----------
    config : AQNetConfig
    z : (station, step)
        Standardised log scale, NaN where missing.
    covariates : (station, step, channel)
        Standardised, NaN where missing; of a forecast's horizon only the last ``config.n_known`` are read.
    cyclic : (step, 6)
    climatology : (step,)
        In z.
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
        """Gather windows.

        Parameters
        ----------
        start : (window,) int
            Step of this record at which each window's target begins.
        visible : (station,) bool
            Stations that make the network's state.
        residual : (station, step), optional
            On this record's steps: what the visible stations around do not explain, in z; NaN where nothing is known. Read
            by an analysis only.
        residual_variance : (station,), optional
            Its mean square in the training period.
        redundancy : (station,), optional
            How well the stations around can predict each, from 0 to 1.
        log_weight : (station, day), optional
            weight of the log scale around each on the days of this record, which begins with one. Read by an analysis only.
        """
        config, device = self.config, self.z.device
        steps = start[:, None] + config.input_offset + torch.arange(config.input_steps, device=device)
        targets = start[:, None] + torch.arange(config.target_steps, device=device)
        day = torch.arange(config.target_days, device=device) * config.steps_per_day + config.steps_per_day // 2
        residual = torch.full_like(self.z, torch.nan) if residual is None else residual
        if log_weight is None:
            by_day = self.z.new_zeros(len(start), len(self.z), config.target_days)
        else:
            days = torch.div(start, config.steps_per_day, rounding_mode="floor")[:, None]
            by_day = log_weight[:, days + torch.arange(config.target_days, device=device)].transpose(0, 1)
        return Window(
            z=self.z[:, steps].transpose(0, 1),
            residual=residual[:, steps].transpose(0, 1),
            residual_variance=torch.ones_like(self.z[:, 0]) if residual_variance is None else residual_variance,
            redundancy=torch.ones_like(self.z[:, 0]) if redundancy is None else redundancy,
            log_weight=by_day,
            covariates=self.covariates[:, steps].transpose(0, 1),
            cyclic=self.cyclic[steps],
            cyclic_target=self.cyclic[start[:, None] + day],
            climatology=self.climatology[steps],
            climatology_target=self.climatology[targets],
            visible=visible,
            cyclic_horizon=self.cyclic[targets],
            known=self.covariates[:, targets, self.covariates.shape[-1] - config.n_known :].transpose(0, 1),
        )
