"""weight of the log scale by day: whichever scale predicts the stations around better. NumPy and SciPy only.

Pollutants mix by factors on some days and by amounts on others. Each station is predicted by its neighbours on both scales;
the one with the smaller errors gets the larger share that day, in odds to those of the whole period: Bayesian model
averaging in spirit (Hoeting et al. 1999), with a fixed sharpness in the place of a likelihood.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from .pooling import PoolingNeighbourhood

#: Odds go with the product of mean absolute and root-mean-square error to the power of minus this.
_SHARPNESS = 20.0
#: Keeps errors above zero, relative to their mean.
_SMALL_ERROR = 1e-3


def by_day(
    linear: NDArray[np.float32],
    log: NDArray[np.float32],
    around: PoolingNeighbourhood,
    steps_per_day: int,
    prior: float,
) -> NDArray[np.float32]:
    """Return the weight of the log scale around each station, ``(station, day)``.

    Parameters
    ----------
    linear, log : (station, step) float32
        Errors of what the neighbours predict on either scale, in the target's units; 0 where not observed. The first step
        is the first of a day.
    around : PoolingNeighbourhood
        Whose errors count.
    steps_per_day : int
    prior : float
        Share over the whole period: on a day on which both scales err alike, and, where it is 0 or 1, on every day.
    """
    absolute, squared = (
        _log_ratio(*(around.sums(power(errors), steps_per_day) for errors in (linear, log)))
        for power in (np.abs, np.square)
    )
    return expit(_SHARPNESS * (absolute + 0.5 * squared) + logit(prior)).astype(np.float32)


def _log_ratio(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return log(a / b) of sums of errors; 0 where there are none."""
    floor = _SMALL_ERROR * (a + b).mean() + np.finfo(np.float32).tiny
    return np.log((a + floor) / (b + floor))
