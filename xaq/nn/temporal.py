"""The temporal module: patches -> LSTM -> multi-head attention with target-day queries. One station at a time."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn

N_CYCLIC = 6


class TemporalModule(nn.Module):
    """Read a station's window, return one feature vector per target day and the attention that made it.

    Parameters
    ----------
    n_channels : int
        Channels per step: target and its mask, covariates and masks.
    patch : int
        Steps per patch; 1 reads step by step, as the paper does.
    target_days : int
        Queries: the days to be estimated.
    hidden, lstm_layers, heads : int
        Width, depth and attention heads.
    dropout : float
        Share of the embedded patches' entries dropped in training.
    """

    def __init__(
        self,
        *,
        n_channels: int,
        patch: int,
        target_days: int,
        hidden: int,
        lstm_layers: int,
        heads: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.patch = patch
        self.dropout = nn.Dropout(dropout)
        self.embed = nn.Linear(patch * (n_channels + N_CYCLIC), hidden)
        self.lstm = nn.LSTM(hidden, hidden, num_layers=lstm_layers, batch_first=True)
        self.query = nn.Linear(N_CYCLIC, hidden)
        self.lead = nn.Parameter(0.02 * torch.randn(target_days, hidden))
        self.attention = nn.MultiheadAttention(hidden, heads, batch_first=True)
        self.norm = nn.LayerNorm(hidden)

    def forward(self, channels: Tensor, cyclic: Tensor, cyclic_target: Tensor) -> tuple[Tensor, Tensor]:
        """Run the module.

        Parameters
        ----------
        channels : (batch, step, channel)
            Missing entries are zero and say so in their mask channel.
        cyclic : (batch, step, 6)
            Cyclic encoding of the window's steps.
        cyclic_target : (batch, day, 6)
            Cyclic encoding of the middle of each target day.

        Returns
        -------
        features : (batch, day, hidden)
        attention : (batch, day, patch)
            Rows sum to one; averaged over heads.
        """
        memory, _ = self.read(channels, cyclic)
        return self.attend(memory, cyclic_target)

    def read(self, channels: Tensor, cyclic: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the LSTM's outputs ``(batch, patch, hidden)`` over the window, and its last state."""
        return self.remember(self.patches(channels, cyclic))

    def patches(self, channels: Tensor, cyclic: Tensor) -> Tensor:
        """Return what each patch is to the LSTM, ``(..., patch, hidden)``."""
        steps = torch.cat([channels, cyclic], dim=-1)
        patches = rearrange(steps, "... (n p) c -> ... n (p c)", p=self.patch)
        return torch.nn.functional.gelu(self.embed(patches))

    def remember(self, patches: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the LSTM's outputs ``(batch, patch, hidden)`` over patches, and its last state."""
        return self.lstm(self.dropout(patches))

    def attend(self, memory: Tensor, cyclic_target: Tensor, extra: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return features and attention of one query per target day; ``extra (batch, day, hidden)`` adds to the queries."""
        query = self.query(cyclic_target) + self.lead
        if extra is not None:
            query = query + extra
        read, attention = self.attention(query, memory, memory, need_weights=True)
        return self.norm(query + read), attention
