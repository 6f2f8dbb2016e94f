"""Advected neighbours on tensors: values of other hours, by the advection that :mod:`xaq.interpolate.advection` estimates."""

from __future__ import annotations

from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor
from torch.nn.functional import embedding_bag


class Advected(NamedTuple):
    """Advected values of the neighbours of a batch of targets, interpolated between rows of a table.

    Attributes
    ----------
    table : (row, column)
        Advected values around stations.
    rows : (batch, k * m) int
        Rows of the table, m for each of k neighbours.
    weights : (batch, k * m)
        Interpolation weights of the rows; the m of a neighbour sum to one.
    """

    table: Tensor
    rows: Tensor
    weights: Tensor

    def apply(self, weights: Tensor) -> Tensor:
        """Return the sum of the advected values ``(batch, column)`` over neighbours with weights ``(batch, k)``."""
        scaled = self.weights.unflatten(1, (weights.shape[1], -1)) * weights[..., None]
        return embedding_bag(self.rows, self.table, per_sample_weights=scaled.flatten(1), mode="sum")

    def each(self, k: int) -> Tensor:
        """Return the advected values of each of k neighbours, ``(batch, k, column)``."""
        weighted = self.weights[..., None] * self.table[self.rows]
        return rearrange(weighted, "b (k m) c -> b k m c", k=k).sum(dim=2)


def advect_pairs(series: Tensor, weights: Tensor, lags: Tensor) -> Tensor:
    """Return the values of stations advected to one target each, ``(pair, day, channel * step)``: :func:`advect` for pairs.

    Parameters
    ----------
    series : (day, pair, channel, step + 2 * reach)
        Of the station of each pair.
    weights : (day, pair, slowness, slot)
    lags : (pair, slowness, 2 * reach + 1)
        Weight of each lag, at the displacement of each pair.
    """
    n_day, _, n_channel, padded = series.shape
    width = lags.shape[2]
    n_step = padded - width + 1
    # Kernels (pair, lag, day, 1, step), then a product for each lag: far fewer operations than a table of knots.
    kernels = lags.transpose(1, 2) @ rearrange(weights, "d p c s -> p c (d s)")
    kernels = rearrange(kernels, "p l (d s) -> p l d 1 s", d=n_day)
    kernels = kernels.repeat_interleave(n_step // kernels.shape[-1], dim=-1)
    series = series.transpose(0, 1).contiguous()
    advected = series.new_zeros(len(lags), n_day, n_channel, n_step)
    for lag in range(width):
        advected.addcmul_(kernels[:, lag], series[..., lag : lag + n_step])
    return advected.flatten(2)


def advect(series: Tensor, weights: Tensor, lags: Tensor) -> Tensor:
    r"""Return the advected values of stations at displacements from them, ``(station, knot, channel, step)``.

    .. math:: \tilde y_i(\Delta, t) = \sum_c p_{ci}(t) \, y_i(t + \Delta \cdot s_c)

    with the weight :math:`p_{ci}` of slowness :math:`s_c` around station i, and linear interpolation between steps.

    Parameters
    ----------
    series : (station, channel, step + 2 * reach)
        Gaps filled, with ``reach`` more steps at either end.
    weights : (station, slowness, slot)
        Weight of each slowness around each station, in slots of equal length.
    lags : (knot, slowness, 2 * reach + 1)
        Weight of each lag, for each displacement and slowness.
    """
    n_station, n_channel, _ = series.shape
    n_knot, _, width = lags.shape
    n_slot = weights.shape[2]
    kernels = torch.einsum("ncs,kcl->nskl", weights, lags)
    windows = rearrange(series.unfold(2, width, 1), "n c (s t) l -> (n s) l (c t)", s=n_slot)
    advected = torch.bmm(kernels.reshape(-1, n_knot, width), windows)
    return rearrange(advected, "(n s) k (c t) -> n k c (s t)", n=n_station, c=n_channel)
