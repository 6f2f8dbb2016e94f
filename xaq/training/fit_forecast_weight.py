"""The fit of the weight that a network's own forecast has beside the base forecast."""

from __future__ import annotations

import torch
from torch import Tensor

from ..nn.aqnet import ForecastNetwork
from .data import TrainingData
from .lead_groups import WEIGHT_STEPS, as_scored, lead_groups
from .scores import mae_and_rmse, relative_score


@torch.no_grad()
def fit_forecast_weight(network: ForecastNetwork, data: TrainingData) -> None:
    r"""Fit the weight of the network's own forecast per group of leads, in place.

    .. math:: \hat z_\ell = z(B_\ell) + 3\, \alpha_\ell \tanh\!\big((n_\ell - z(B_\ell)) / 3\big)

    with the base forecast :math:`B_\ell`, the network's own forecast :math:`n_\ell` and the weight :math:`\alpha_\ell`, in
    steps of 0.1, that has the least MAE and RMSE on the validation windows, both relative to those of the base forecast.
    Leads without an observation there keep the base forecast, :math:`\alpha_\ell = 0`.

    Parameters
    ----------
    network : ForecastNetwork
        Trained.
    data : TrainingData
    """
    config, learning = network.config, data.learning_stations
    truth = network.base_forecast.linear(data.at_targets(data.record.z, data.validation_starts)[:, learning])
    candidates = torch.stack([_forecasts(network, data, step / WEIGHT_STEPS) for step in range(WEIGHT_STEPS + 1)])
    network.forecast_weight.zero_()
    for leads in lead_groups(config.steps_per_day, config.target_steps):
        guesses, seen = as_scored(candidates[..., leads], truth[..., leads], config.steps_per_day)
        if len(seen):
            errors = mae_and_rmse(guesses - seen)
            network.forecast_weight[leads] = relative_score(errors, errors[:, :1]).argmin() / WEIGHT_STEPS


def _forecasts(network: ForecastNetwork, data: TrainingData, weight: float) -> Tensor:
    """Return the forecasts of the validation windows with one weight at all leads, in offsets, ``(window, station, lead)``."""
    network.eval()
    network.forecast_weight.fill_(weight)
    learning = data.learning_stations
    windows = (data.record.window(starts, learning) for starts in data.validation_starts.split(32))
    z_hats = [z_hat for w in windows if (z_hat := network.station_side(w).z_hat) is not None]
    return network.base_forecast.linear(torch.cat(z_hats)[:, learning]).clamp(min=0.0)
