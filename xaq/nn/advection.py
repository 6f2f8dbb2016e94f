"""Neighbours advected: each is read at other hours, by the advection of the network (see :mod:`xaq.interpolate.advection`)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor
from torch.nn.functional import embedding_bag


class Advected(NamedTuple):
    """What a batch of targets reads of its neighbours in the place of what they report at the step.

    ``table (row, column)``; ``rows (batch, k * m)`` of it and their ``weights (batch, k * m)``, m for each neighbour, which
    sum to one.
    """

    table: Tensor
    rows: Tensor
    weights: Tensor

    def apply(self, weights: Tensor) -> Tensor:
        """Return the sum of the neighbours ``(batch, column)`` with weights ``(batch, k)``."""
        scaled = self.weights.unflatten(1, (weights.shape[1], -1)) * weights[..., None]
        return embedding_bag(self.rows, self.table, per_sample_weights=scaled.flatten(1), mode="sum")

    def each(self, k: int) -> Tensor:
        """Return what is read of each of k neighbours, ``(batch, k, column)``."""
        weights = self.weights[..., None] * self.table[self.rows]
        return rearrange(weights, "b (k m) c -> b k m c", k=k).sum(dim=2)


def advect(series: Tensor, weights: Tensor, lags: Tensor) -> Tensor:
    """Return what places around stations read of them.

    Parameters
    ----------
    series : (station, channel, step + 2 * reach)
        Gaps filled; a reach more than is asked for at either end.
    weights : (station, slowness, slot)
        Of each slowness, in slots of equal length.
    lags : (knot, slowness, 2 * reach + 1)
        Weight of each step around, for each displacement and slowness.

    Returns
    -------
    (station, knot, channel, step)
    """
    n_station, n_channel, _ = series.shape
    n_knot, _, width = lags.shape
    n_slot = weights.shape[2]
    kernels = torch.einsum("ncs,kcl->nskl", weights, lags)
    windows = rearrange(series.unfold(2, width, 1), "n c (s t) l -> (n s) l (c t)", s=n_slot)
    read = torch.bmm(kernels.reshape(-1, n_knot, width), windows)
    return rearrange(read, "(n s) k (c t) -> n k c (s t)", n=n_station, c=n_channel)
