"""What an estimate of the network was made of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ..arrays import sphere
from ..interpolate.explanation import Explanation
from ..nn.estimate import attribute
from .cell_side import CellSide, Prepared


class _Attributed(NamedTuple):
    """The neighbours of one estimate, ``(k,)`` each, and the variance and the mixture weight of the log scale."""

    near: NDArray[np.intp]
    weight: NDArray
    value: NDArray
    advected: NDArray
    contribution: NDArray
    variance: float
    log_weight: float


def explain(
    cells: CellSide, prepared: Prepared, untrained: CellSide, before: Prepared, lon: float, lat: float
) -> Explanation:
    """Explain the estimate at a place at the one prepared time.

    Parameters
    ----------
    cells, prepared
        Of the network.
    untrained, before
        Of the network before training.
    lon, lat : float, degrees
    """
    place = np.array([lon]), np.array([lat])
    made, first = _attributed(cells, prepared, *place), _attributed(untrained, before, *place)
    distance = sphere.distance_km(prepared.lon[made.near], prepared.lat[made.near], *place)
    order = np.argsort(distance, kind="stable")
    # Both networks have the same neighbours, in the same order.
    kriging, advected = (float(first.weight @ values) for values in (first.value, first.advected))
    first_guess, estimate = (float(a.contribution.sum()) for a in (first, made))
    return Explanation(
        index=made.near[order],
        distance=distance[order],
        weight=made.weight[order],
        value=made.value[order],
        advected=made.advected[order],
        contribution=made.contribution[order],
        kriging_weight=first.weight[order],
        kriging=kriging,
        factors=(),
        advection=advected - kriging,
        log_scale=first_guess - advected,
        learned=estimate - first_guess,
        log_weight=made.log_weight,
        variance=made.variance,
    )


def _attributed(cells: CellSide, prepared: Prepared, lon: NDArray, lat: NDArray) -> _Attributed:
    (select,), steps = prepared.select, cells.recipe.config.steps_per_day
    with torch.inference_mode():
        (block,) = cells.blocks(prepared, lon, lat, prepared.select // steps)
        parts = attribute(block.weights, block.rows, block.table, cells.recipe.scaler.offset, block.advected)
        # In double precision, so that the parts add up.
        value, advected, contribution = (part[0, :, select % steps].double().cpu().numpy() for part in parts)
        weights = block.weights
        weight = weights.kriging[0].double().cpu().numpy()
    index = block.rows[0].cpu().numpy()
    return _Attributed(
        index, weight, value, advected, contribution, float(weights.variance[0]), float(weights.log_weight[0])
    )
