"""Neighbours as they drift past: each is read at other hours, as far as the network drifts (see :mod:`xaq.interpolate.advection`)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor
from torch.nn.functional import embedding_bag


class Drifted(NamedTuple):
    """What a batch of targets reads of its neighbours in the place of what they report at the step.

    ``table (row, column)``; ``rows (batch, k * m)`` of it and their ``shares (batch, k * m)``, m for each neighbour, which
    sum to one.
    """

    table: Tensor
    rows: Tensor
    shares: Tensor

    def apply(self, weights: Tensor) -> Tensor:
        """Return the sum of the neighbours ``(batch, column)`` with weights ``(batch, k)``."""
        scaled = self.shares.unflatten(1, (weights.shape[1], -1)) * weights[..., None]
        return embedding_bag(self.rows, self.table, per_sample_weights=scaled.flatten(1), mode="sum")

    def each(self, k: int) -> Tensor:
        """Return what is read of each of k neighbours, ``(batch, k, column)``."""
        shares = self.shares[..., None] * self.table[self.rows]
        return rearrange(shares, "b (k m) c -> b k m c", k=k).sum(dim=2)


def advect(series: Tensor, shares: Tensor, lags: Tensor) -> Tensor:
    """Return what places around stations read of them.

    Parameters
    ----------
    series : (station, channel, step + 2 * reach)
        Gaps filled; a reach more than is asked for at either end.
    shares : (station, slowness, slot)
        Of each slowness, in slots of equal length.
    lags : (knot, slowness, 2 * reach + 1)
        Weight of each step around, for each displacement and slowness.

    Returns
    -------
    (station, knot, channel, step)
    """
    n_station, n_channel, _ = series.shape
    n_knot, _, width = lags.shape
    n_slot = shares.shape[2]
    kernels = torch.einsum("ncs,kcl->nskl", shares, lags)
    windows = rearrange(series.unfold(2, width, 1), "n c (s t) l -> (n s) l (c t)", s=n_slot)
    read = torch.bmm(kernels.reshape(-1, n_knot, width), windows)
    return rearrange(read, "(n s) k (c t) -> n k c (s t)", n=n_station, c=n_channel)
