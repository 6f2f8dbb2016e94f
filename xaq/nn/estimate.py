"""AQ-Net: the temporal module on the station side, neural kNN on the cell side.

The station side runs over stations and windows and may be heavy; the cell side runs over targets and days and is a
small solve and a sparse product. Nothing here knows of labels, files or units.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from .advection import Advected
from .neural_knn import Weights

#: Least square of a disagreement, in the target's units squared: far below the rounding of its terms.
_SMALL_SQUARE = 1e-12


def predictor_difference(targets: Tensor, neighbours: Tensor) -> Tensor:
    """Return standardised rasters of targets ``(batch, raster)`` less those of their neighbours ``(batch, k, raster)``.

    0 where either is NaN: what is not known moves nothing.
    """
    return torch.nan_to_num(targets[:, None] - neighbours)


def station_table(values: Tensor, variance: Tensor, offset: float, sill: float, *, advects: bool) -> Tensor:
    """Return the columns that weights are applied to, ``(row, 4 steps)``, or ``(row, 3 steps)`` where neighbours are advected.

    Parameters
    ----------
    values : (row, step)
        Station-days, gaps filled.
    variance : (row, step)
        Of what was filled, relative to the sill; 0 where observed.
    offset : float
        Of the log scale.
    sill : float
        In the target's units squared.
    advects : bool
        The estimate is made of what is advected, not of this.

    Returns
    -------
    Tensor
        Values, second moments, standard deviations of what was filled; the values' logs where nothing is advected.
    """
    moments = [values, values.square() + variance * sill, variance.sqrt()]
    return torch.cat(moments if advects else [*moments, _log_scale(values, offset)], dim=1)


def both_scales(values: Tensor, offset: float) -> Tensor:
    """Return values and their logs side by side, ``(row, 2 steps)``."""
    return torch.cat([values, _log_scale(values, offset)], dim=-1)


def _log_scale(values: Tensor, offset: float) -> Tensor:
    return torch.log1p(values.clamp(min=0) / offset)


def apply_weights(
    weights: Weights, rows: Tensor, table: Tensor, offset: float, advected: Advected | None = None
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """Apply weights to station-days: a sparse product for all the steps of a day.

    Parameters
    ----------
    weights : Weights
    rows : (batch, k) int
        Row of each neighbour in the table.
    table : (row, column)
        From :func:`station_table`.
    offset : float
        Of the log scale, ``log1p(y / offset)``.
    advected : Advected, optional
        The neighbours advected: what the estimate is made of in the place of what they report at the step.

    Returns
    -------
    estimate : (batch, step)
        Both scales mixed by their weights, corrected in level.
    parts : tuple of (batch, step)
        What makes an estimate uncertain: a constant, the level, the disagreement of the neighbours; each times the root
        of the kriging variance, to which filled neighbours add (their errors taken to be fully correlated).
    """
    estimate, disagreement, root = _applied(weights, rows, table, offset, advected)
    return estimate, (root, estimate.clamp(min=0.0) * root, disagreement * root)


def estimate_and_spread(
    weights: Weights,
    rows: Tensor,
    table: Tensor,
    offset: float,
    advected: Advected | None,
    coefficients: tuple[float, float, float],
    factor: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the estimate of :func:`apply_weights`, and the sum of its parts times their coefficients.

    Parameters
    ----------
    weights, rows, table, offset, advected
        As for :func:`apply_weights`.
    coefficients : tuple of float
        Of the parts.
    factor : (batch,), optional
        Level of each target: both are multiplied by it.
    """
    estimate, disagreement, root = _applied(weights, rows, table, offset, advected)
    # In place: this runs over every cell and step, and a new array of that size costs more than a product.
    spread = estimate.clamp(min=0.0).mul_(coefficients[1]).add_(coefficients[0])
    spread.add_(disagreement, alpha=coefficients[2]).mul_(root)
    if factor is not None:
        estimate.mul_(factor[:, None])
        spread.mul_(factor[:, None])
    return estimate, spread


def _applied(
    weights: Weights, rows: Tensor, table: Tensor, offset: float, advected: Advected | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the estimate, the disagreement of the neighbours and the root of the kriging variance."""
    applied = embedding_bag(rows, table, per_sample_weights=weights.kriging, mode="sum")
    mean, square, filled, *rest = applied.chunk(4 if advected is None else 3, dim=1)
    # Roots of zeros are slow, and gradients have none.
    disagreement = (square - mean.square()).clamp(min=_SMALL_SQUARE).sqrt()
    mean, logs = (mean, rest[0]) if advected is None else advected.apply(weights.kriging).chunk(2, dim=1)
    log_weight, level = weights.log_weight[:, None], torch.exp(weights.correction)[:, None]
    from_log = torch.expm1(logs.clamp(max=20.0))
    estimate = torch.addcmul(offset * log_weight * level * from_log, mean, (1.0 - log_weight) * level)
    return estimate, disagreement, (weights.variance[:, None] + filled.square()).sqrt()


def attribute(
    weights: Weights, rows: Tensor, table: Tensor, offset: float, advected: Advected | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Say what each neighbour adds to the estimates of :func:`apply_weights`.

    The linear scale is a sum already. On the log scale a neighbour has the share of the estimate that it has of the sum
    of logs: its integrated gradient from zero, where all the logs and the estimate are 0 (Sundararajan et al. 2017).

    Parameters
    ----------
    weights, rows, table, offset, advected
        As for :func:`apply_weights`.

    Returns
    -------
    value : (batch, k, step)
        Of each neighbour, gaps filled.
    read : (batch, k, step)
        As it drifts past; the value itself where nothing is advected.
    contribution : (batch, k, step)
        In the same units; the sum over the neighbours is the estimate.
    """
    value, _, _, *rest = table[rows].chunk(4 if advected is None else 3, dim=-1)
    read, logs = (value, rest[0]) if advected is None else advected.each(rows.shape[1]).chunk(2, dim=-1)
    linear, log = (weights.kriging[..., None] * part for part in (read, logs))
    total = log.sum(dim=1, keepdim=True)
    small = total.abs() < 1e-6
    per_log = torch.where(small, offset, offset * torch.expm1(total.clamp(max=20.0)) / torch.where(small, 1.0, total))
    log_weight = weights.log_weight[:, None, None]
    both = (1.0 - log_weight) * linear + log_weight * per_log * log
    return value, read, both * torch.exp(weights.correction)[:, None, None]
