"""What an estimate of the network was made of."""

from __future__ import annotations

import numpy as np
import torch

from ..arrays import sphere
from ..interpolate.base import Explanation
from ..nn.estimate import attribute
from .cell_side import CellSide, Prepared


def explain(cells: CellSide, prepared: Prepared, lon: float, lat: float, first_guess: float) -> Explanation:
    """Explain the estimate at a place at the one prepared time; ``first_guess`` is that of the untrained network."""
    (select,), steps = prepared.select, cells.recipe.config.steps_per_day
    place = np.array([lon]), np.array([lat])
    with torch.inference_mode():
        (block,) = cells.blocks(prepared, *place, prepared.select // steps)
        parts = attribute(block.weights, block.rows, block.table, cells.recipe.scaler.offset, block.advected)
        value, advected, contribution = (part[0, :, select % steps].cpu().numpy() for part in parts)
        weights = block.weights
        weight = weights.kriging[0].cpu().numpy()
    index = block.rows[0].cpu().numpy()
    distance = sphere.distance_km(prepared.lon[index], prepared.lat[index], *place)
    order = np.argsort(distance, kind="stable")
    return Explanation(
        index=index[order],
        distance=distance[order],
        weight=weight[order],
        value=value[order],
        advected=advected[order],
        contribution=contribution[order],
        kriging=first_guess,
        correction=float(torch.exp(weights.correction)[0]),
        log_weight=float(weights.log_weight[0]),
        variance=float(weights.variance[0]),
    )
