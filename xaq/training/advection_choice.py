"""Whether neighbours are advected: only where this gains at stations hidden in turn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from ..aqnet.recipe import Recipe, untrained_network
from ..interpolate.base import Observations
from ..interpolate.jackknife import cautious_scores
from .data import prepare_data
from .hidden import sums_by_place

#: Standard errors that the gain of advection must exceed. Pollution is advected everywhere, so that data need not prove it.
_ERRORS = 1.0


def choose_advection(
    observations: Observations, recipe: Recipe, fold_ratios: NDArray[np.float32] | None = None
) -> Recipe:
    """Return the recipe, without advection where it gains less than one standard error over places at hidden stations.

    Parameters
    ----------
    observations : Observations
        Visible stations, as ratios to the trend.
    recipe : Recipe
        From :func:`xaq.training.fit_classical.fit_classical`.
    fold_ratios : (fold, station), optional
        As :func:`xaq.training.folds.make_folds` takes them.

    Returns
    -------
    Recipe
    """
    if not recipe.config.advects:
        return recipe
    still = replace(recipe, config=replace(recipe.config, advection=False))
    sums = []
    for tried in (still, recipe):
        data = prepare_data(observations, tried, fold_ratios)
        with torch.random.fork_rng():
            torch.manual_seed(recipe.seed)
            network = untrained_network(tried)
        sums.append(sums_by_place([network] * len(data.validation), data, tried))
    return (still, recipe)[int(np.argmin(cautious_scores(np.stack(sums), errors=_ERRORS)))]
