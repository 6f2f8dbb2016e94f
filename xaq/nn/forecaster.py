"""The network's own forecast: an encoder over the history, a decoder over the horizon, attention between them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

from ..arrays.transforms import N_CYCLIC
from .config import AQNetConfig
from .temporal import TemporalModule
from .window import Window, with_mask


class OwnForecast(NamedTuple):
    """The network's own forecast at stations.

    Attributes
    ----------
    z : (window, station, target_step)
        Standardised log scale.
    features : (window, station, day, hidden)
        Those of the attention over the history.
    attention : (window, station, day, patch)
        Rows sum to one.
    """

    z: Tensor
    features: Tensor
    attention: Tensor


class Forecaster(nn.Module):
    """Forecast the anomalies of a station from its history and from what is known of its horizon.

    The encoder is a temporal module over the history. Its LSTM hands its state to the decoder, a second LSTM that runs over
    the horizon: climatology, known covariates and calendar. Attention looks back at the history once per target day; its
    query is the day's calendar and the decoder's output. The base forecast is not an input: it is more accurate on the days
    that it was fitted to than on later ones, and a network that sees it learns too little.

    Parameters
    ----------
    config : AQNetConfig
    """

    def __init__(self, config: AQNetConfig) -> None:
        super().__init__()
        self.patch, hidden = config.patch, config.hidden
        self.patches_per_day = config.steps_per_day // config.patch
        self.encoder = TemporalModule(config, n_channels=2 + 2 * config.n_covariates)
        self.embed = nn.Linear(config.patch * (1 + 2 * config.n_known + N_CYCLIC), hidden)
        self.decoder = nn.LSTM(hidden, hidden, num_layers=config.lstm_layers, batch_first=True)
        self.dropout = nn.Dropout(config.dropout)
        self.mix = nn.Linear(2 * hidden, hidden)
        self.head = nn.Linear(hidden, config.patch)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, window: Window) -> OwnForecast:
        """Return the forecast: climatology plus the anomalies of the network, which are zero before training."""
        n_window, n_station = window.z.shape[:2]
        history = torch.cat([with_mask(window.z[..., None]), with_mask(window.covariates)], dim=-1)
        cyclic, cyclic_target = (c.repeat_interleave(n_station, dim=0) for c in (window.cyclic, window.cyclic_target))
        # Encoder: (window * station, patch, hidden) of the history.
        memory, state = self.encoder.encode(self.encoder.patches(rearrange(history, "w s t c -> (w s) t c"), cyclic))
        # Decoder: (window * station, patch, hidden) of the horizon, and its mean by target day.
        patches = rearrange(_horizon(window), "w s (n p) c -> (w s) n (p c)", p=self.patch)
        ahead, _ = self.decoder(self.dropout(nn.functional.gelu(self.embed(patches))), state)
        by_day = rearrange(ahead, "b (d n) h -> b d n h", n=self.patches_per_day).mean(dim=2)
        # Attention: (window * station, day, hidden), repeated for the patches of the day.
        features, attention = self.encoder.attend(memory, cyclic_target, by_day)
        context = features.repeat_interleave(self.patches_per_day, dim=1)
        hidden = self.dropout(nn.functional.gelu(self.mix(torch.cat([ahead, context], dim=-1))))
        anomaly = rearrange(self.head(hidden), "(w s) n p -> w s (n p)", w=n_window)
        features, attention = (rearrange(t, "(w s) d c -> w s d c", w=n_window) for t in (features, attention))
        return OwnForecast(window.climatology_target[:, None] + anomaly, features, attention)


def _horizon(window: Window) -> Tensor:
    """Return the decoder's input ``(window, station, target_step, 2 n_known + 1 + 6)``: known and mask, climatology, calendar."""
    shared = torch.cat([window.climatology_target[..., None], window.cyclic_horizon], dim=-1)
    shared = shared[:, None].expand(-1, window.z.shape[1], -1, -1)
    return torch.cat([with_mask(window.known), shared], dim=-1)
