"""From weights to estimates: weights applied to station-days, and what each neighbour contributes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from .advection import Advected
from .log_scale import from_log, to_log
from .neural_knn import Weights

#: Least squared disagreement, in the target's units squared: far below the rounding of its terms.
_SMALL_SQUARE = 1e-12
#: Weighted sums of logs closer to zero than this are taken as zero.
_SMALL_LOG = 1e-6


class Applied(NamedTuple):
    """Estimates and what makes them uncertain, each ``(batch, step)``.

    Attributes
    ----------
    estimate
        In the target's units.
    disagreement
        Weighted standard deviation sigma of the neighbours' values, in the target's units.
    root_variance
        Square root of the kriging variance relative to the sill, filled neighbours included.
    """

    estimate: Tensor
    disagreement: Tensor
    root_variance: Tensor

    @property
    def spread_terms(self) -> tuple[Tensor, Tensor, Tensor]:
        """The three terms of the spread: see :func:`estimate_and_spread`."""
        root = self.root_variance
        return root, self.estimate.clamp(min=0.0) * root, self.disagreement * root


class Attribution(NamedTuple):
    """What an estimate is made of, neighbour by neighbour, each ``(batch, k, step)`` in the target's units.

    Attributes
    ----------
    value
        Value of each neighbour at the step, gaps filled.
    advected
        Its advected value; the value itself where neighbours are not advected.
    contribution
        Its contribution: contributions add up to the estimate.
    """

    value: Tensor
    advected: Tensor
    contribution: Tensor


def station_table(values: Tensor, variance: Tensor, offset: float, sill: float, *, advects: bool) -> Tensor:
    """Return the columns that weights are applied to, ``(row, 4 * step)``, or ``(row, 3 * step)`` with advection.

    Parameters
    ----------
    values : (row, step)
        Station-days in the target's units, gaps filled.
    variance : (row, step)
        Kriging variance of filled values relative to the sill; 0 where observed.
    offset : float
        Offset o of the log scale.
    sill : float
        In the target's units squared.
    advects : bool
        The estimate is made of advected values, so the table needs no logs.

    Returns
    -------
    Tensor
        Values, second moments, standard deviations of filled values and, without advection, logs of the values.
    """
    columns = [values, values.square() + variance * sill, variance.sqrt()]
    return torch.cat(columns if advects else [*columns, to_log(values, offset)], dim=1)


def both_scales(values: Tensor, offset: float) -> Tensor:
    """Return values and their logs side by side, ``(row, 2 * step)``."""
    return torch.cat([values, to_log(values, offset)], dim=-1)


def apply_weights(
    weights: Weights, rows: Tensor, table: Tensor, offset: float, advected: Advected | None = None
) -> Applied:
    r"""Apply weights to station-days: one sparse product for all the steps of a day.

    .. math::
        \hat y = (1 - \gamma) \, \hat y_{\mathrm{lin}} + \gamma \, o \, (e^{\hat y_{\log}} - 1), \qquad
        \hat y_{\mathrm{lin}} = \sum_i w_i \tilde y_i

    with the advected values :math:`\tilde y`, the values themselves where nothing is advected, and :math:`\hat y_{\log}`
    likewise from :math:`\log(1 + y^+ / o)`. The disagreement of the neighbours and the variance
    including filled neighbours are

    .. math::
        \sigma_w^2 = \sum_i w_i y_i^2 - \Big(\sum_i w_i y_i\Big)^2, \qquad
        v + \Big(\sum_i w_i \sqrt{u_i}\Big)^2,

    where :math:`u_i` is the kriging variance of a filled neighbour and zero where the neighbour reports. Errors of filled
    neighbours are taken to be fully correlated.

    Parameters
    ----------
    weights : Weights
    rows : (batch, k) int
        Row of each neighbour in the table.
    table : (row, column)
        From :func:`station_table`.
    offset : float
        Offset o of the log scale.
    advected : Advected, optional
        Advected neighbours.
    """
    applied = embedding_bag(rows, table, per_sample_weights=weights.kriging, mode="sum")
    mean, square, filled, *logs_at_step = applied.chunk(4 if advected is None else 3, dim=1)
    # The clamp is for speed, as roots of zeros are slow, and for gradients, as zero has none.
    disagreement = (square - mean.square()).clamp(min=_SMALL_SQUARE).sqrt()
    linear, logs = (mean, *logs_at_step) if advected is None else advected.apply(weights.kriging).chunk(2, dim=1)
    log_weight = weights.log_weight[:, None]
    # The weight multiplies the offset first: a product less over all targets and steps.
    estimate = torch.addcmul(from_log(logs, offset * log_weight), linear, 1.0 - log_weight)
    return Applied(estimate, disagreement, (weights.variance[:, None] + filled.square()).sqrt())


def estimate_and_spread(
    weights: Weights,
    rows: Tensor,
    table: Tensor,
    offset: float,
    advected: Advected | None,
    coefficients: tuple[float, float, float],
    factor: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    r"""Return the estimates of :func:`apply_weights` and their spread, each ``(batch, step)`` in the target's units.

    .. math:: (\zeta_0 + \zeta_1 \hat y^+ + \zeta_2 \sigma_w) \sqrt{v + \Big(\sum_i w_i \sqrt{u_i}\Big)^2}

    Parameters
    ----------
    weights, rows, table, offset, advected
        As for :func:`apply_weights`.
    coefficients : tuple of float
        The coefficients zeta of the three terms.
    factor : (batch, step or 1), optional
        Trend factor phi of each target; estimate and spread are multiplied by it.
    """
    estimate, disagreement, root_variance = apply_weights(weights, rows, table, offset, advected)
    # In place, as this runs over every cell and step: a new array of that size costs more than a product.
    spread = estimate.clamp(min=0.0).mul_(coefficients[1]).add_(coefficients[0])
    spread.add_(disagreement, alpha=coefficients[2]).mul_(root_variance)
    if factor is not None:
        estimate.mul_(factor)
        spread.mul_(factor)
    return estimate, spread


def attribute(
    weights: Weights, rows: Tensor, table: Tensor, offset: float, advected: Advected | None = None
) -> Attribution:
    """Attribute the estimates of :func:`apply_weights` to the neighbours.

    On the linear scale the estimate is a sum over neighbours. On the log scale, the fraction of the estimate that belongs to a
    neighbour is its fraction of the sum of logs: its integrated gradient from the baseline where all logs are zero
    (Sundararajan et al. 2017).

    Parameters
    ----------
    weights, rows, table, offset, advected
        As for :func:`apply_weights`.
    """
    value, _, _, *logs_at_step = table[rows].chunk(4 if advected is None else 3, dim=-1)
    by_neighbour = (value, *logs_at_step) if advected is None else advected.each(rows.shape[1]).chunk(2, dim=-1)
    linear, log = (weights.kriging[..., None] * part for part in by_neighbour)
    total = log.sum(dim=1, keepdim=True)
    small = total.abs() < _SMALL_LOG
    per_log = torch.where(small, offset, from_log(total, offset) / torch.where(small, 1.0, total))
    log_weight = weights.log_weight[:, None, None]
    mixed = (1.0 - log_weight) * linear + log_weight * per_log * log
    return Attribution(value, by_neighbour[0], mixed)
