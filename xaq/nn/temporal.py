"""The temporal module: patches, LSTM, and multi-head attention with one query per target day."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn

from ..arrays.transforms import N_CYCLIC
from .config import AQNetConfig


class TemporalModule(nn.Module):
    """Turn the window of a station into one feature vector per target day. Stations are independent of each other.

    The steps are: :meth:`patches`, :meth:`encode`, :meth:`attend`.

    Parameters
    ----------
    config : AQNetConfig
    n_channels : int
        Channels per step: the target and its mask, covariates and their masks.
    """

    def __init__(self, config: AQNetConfig, *, n_channels: int) -> None:
        super().__init__()
        hidden = config.hidden
        self.patch = config.patch
        self.dropout = nn.Dropout(config.dropout)
        self.embed = nn.Linear(config.patch * (n_channels + N_CYCLIC), hidden)
        self.lstm = nn.LSTM(hidden, hidden, num_layers=config.lstm_layers, batch_first=True)
        self.query = nn.Linear(N_CYCLIC, hidden)
        self.lead = nn.Parameter(0.02 * torch.randn(config.target_days, hidden))
        self.attention = nn.MultiheadAttention(hidden, config.heads, batch_first=True)
        self.norm = nn.LayerNorm(hidden)

    def patches(self, channels: Tensor, cyclic: Tensor) -> Tensor:
        """Return the embedded patches, ``(..., patch, hidden)``.

        Parameters
        ----------
        channels : (..., step, channel)
            Missing entries are zero, and zero in their mask channel.
        cyclic : (..., step, 6)
            Cyclic time encoding of the steps.
        """
        steps = torch.cat([channels, cyclic], dim=-1)
        patches = rearrange(steps, "... (n p) c -> ... n (p c)", p=self.patch)
        return torch.nn.functional.gelu(self.embed(patches))

    def encode(self, patches: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the outputs ``(batch, patch, hidden)`` of the LSTM over embedded patches, and its last state."""
        return self.lstm(self.dropout(patches))

    def attend(self, memory: Tensor, cyclic_target: Tensor, extra: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return features ``(batch, day, hidden)``, and the attention ``(batch, day, patch)`` that made them.

        Rows of the attention sum to one; it is averaged over heads.

        Parameters
        ----------
        memory : (batch, patch, hidden)
            From :meth:`encode`.
        cyclic_target : (batch, day, 6)
            Cyclic time encoding of the middle of each target day: the query.
        extra : (batch, day, hidden), optional
            Added to the queries.
        """
        query = self.query(cyclic_target) + self.lead
        if extra is not None:
            query = query + extra
        context, attention = self.attention(query, memory, memory, need_weights=True)
        return self.norm(query + context), attention
