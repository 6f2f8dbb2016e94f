"""Weight of the log scale by day: more for the scale that predicts the stations better. NumPy and SciPy only.

Concentrations vary by factors on some days and by amounts on others. Each station is kriged from the others on the linear and
on the log scale, and errors of both decide the weight of the log scale around it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from .pooling import PoolingNeighbourhood

#: Odds are the product of mean absolute and root-mean-square error to the power of minus this.
_SHARPNESS = 20.0
#: Added to the errors to keep them above zero, relative to their mean.
_SMALL_ERROR = 1e-3


def daily_log_weight(
    linear: NDArray[np.float32],
    log: NDArray[np.float32],
    pooling: PoolingNeighbourhood,
    steps_per_day: int,
    prior: float,
) -> NDArray[np.float32]:
    r"""Return the mixture weight of the log scale around each station, ``(station, day)``.

    Parameters
    ----------
    linear, log : (station, step) float32
        Leave-one-out errors on either scale, in the target's units; 0 where not observed. The first step is the first of a
        day.
    pooling : PoolingNeighbourhood
        The stations whose errors count.
    steps_per_day : int
    prior : float
        The weight over the whole period: the result on days on which both scales have the same errors, and on every day where
        it is 0 or 1.

    Notes
    -----
    With :math:`\mathrm{MAE}` and :math:`\mathrm{RMSE}` of either scale over a day and the stations pooled around station i, and
    the prior :math:`\gamma_0`,

    .. math:: \frac{\gamma_i}{1 - \gamma_i} = \frac{\gamma_0}{1 - \gamma_0}
        \left(\frac{\mathrm{MAE_{lin}}\, \mathrm{RMSE_{lin}}}{\mathrm{MAE_{log}}\, \mathrm{RMSE_{log}}}\right)^{20} .

    This is Bayesian model averaging in spirit (Hoeting et al. 1999), with a fixed sharpness in place of a likelihood.
    """
    absolute, squared = (
        _log_ratio(*(pooling.sums(power(errors), steps_per_day) for errors in (linear, log)))
        for power in (np.abs, np.square)
    )
    return expit(_SHARPNESS * (absolute + 0.5 * squared) + logit(prior)).astype(np.float32)


def _log_ratio(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return log(a / b) of sums of errors; 0 where both are 0."""
    floor = _SMALL_ERROR * (a + b).mean() + np.finfo(np.float32).tiny
    return np.log((a + floor) / (b + floor))
