"""What a forecast learns beside its start: encoder over the history, decoder over the horizon, attention between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from einops import rearrange
from torch import Tensor, nn

from .temporal import N_CYCLIC, TemporalModule

if TYPE_CHECKING:
    from .config import AQNetConfig


class Forecaster(nn.Module):
    """Read a station's history, read on through its horizon, return a forecast of its own as anomalies.

    The encoder is the temporal module of the analysis. Its LSTM hands its state to a second one that reads the
    horizon: the climatology in the place of the target, what is known there, and the calendar. Attention reads the
    history once per target day; its query is the day's calendar and the decoder's state. The start is not read: on
    the days it was fitted to it is better than it will be, and a network that sees it learns to do too little.

    Parameters
    ----------
    config : AQNetConfig
    n_channels : int
        Channels per step of the history.
    """

    def __init__(self, config: AQNetConfig, *, n_channels: int) -> None:
        super().__init__()
        self.patch, hidden = config.patch, config.hidden
        self.patches_per_day = config.steps_per_day // config.patch
        self.encoder = TemporalModule(
            n_channels=n_channels, patch=config.patch, target_days=config.target_days, hidden=hidden,
            lstm_layers=config.lstm_layers, heads=config.heads, dropout=config.dropout,
        )  # fmt: skip
        self.embed = nn.Linear(config.patch * (1 + 2 * config.n_known + N_CYCLIC), hidden)
        self.decoder = nn.LSTM(hidden, hidden, num_layers=config.lstm_layers, batch_first=True)
        self.dropout = nn.Dropout(config.dropout)
        self.mix = nn.Linear(2 * hidden, hidden)
        self.head = nn.Linear(hidden, config.patch)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(
        self, channels: Tensor, cyclic: Tensor, cyclic_target: Tensor, horizon: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run the module.

        Parameters
        ----------
        channels, cyclic, cyclic_target
            As of :class:`TemporalModule`.
        horizon : (batch, target_step, 1 + 2 n_known + 6)
            Climatology in z, what is known and its mask, cyclic encoding.

        Returns
        -------
        anomaly : (batch, target_step)
            From the climatology, in z.
        features : (batch, day, hidden)
        attention : (batch, day, patch)
        """
        memory, state = self.encoder.read(channels, cyclic)
        patches = rearrange(horizon, "b (n p) c -> b n (p c)", p=self.patch)
        ahead, _ = self.decoder(self.dropout(nn.functional.gelu(self.embed(patches))), state)
        by_day = rearrange(ahead, "b (d n) h -> b d n h", n=self.patches_per_day).mean(dim=2)
        features, attention = self.encoder.attend(memory, cyclic_target, by_day)
        context = features.repeat_interleave(self.patches_per_day, dim=1)
        hidden = self.dropout(nn.functional.gelu(self.mix(torch.cat([ahead, context], dim=-1))))
        return rearrange(self.head(hidden), "b n p -> b (n p)"), features, attention
