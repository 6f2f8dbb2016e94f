"""Ordinary kriging systems with an exponential covariance, and the distribution that kriging gives. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays.transforms import Scaler
from .base import Estimate


@dataclass(frozen=True)
class Covariance:
    r"""Exponential covariance with a nugget.

    .. math:: \sigma^2 \big(e^{-d / \rho} + \nu\, \delta\big)

    with :math:`\delta` 1 for an observation and itself and 0 for any two observations.

    Attributes
    ----------
    range_km : float
        The range :math:`\rho`.
    nugget : float
        :math:`\nu`, relative to the sill.
    sill : float, the target's units squared
        :math:`\sigma^2`.
    """

    range_km: float
    nugget: float
    sill: float = 1.0


class KrigingWeights(NamedTuple):
    """Weights ``(n, k)`` of the neighbours, and kriging variance ``(n,)`` of a new observation relative to the sill."""

    weights: NDArray[np.float64]
    variance: NDArray[np.float64]


def ordinary_weights(d_target: NDArray, d_neighbours: NDArray, covariance: Covariance) -> KrigingWeights:
    """Solve the ordinary kriging system of each target.

    Parameters
    ----------
    d_target : (n, k) km
        Distances from target to neighbour.
    d_neighbours : (n, k, k) km
        Distances among neighbours.
    covariance : Covariance

    Returns
    -------
    KrigingWeights
        As :func:`solve_ordinary` returns them.
    """
    between = np.exp(-d_neighbours / covariance.range_km)
    return solve_ordinary(between, np.exp(-d_target / covariance.range_km), covariance.nugget)


def solve_ordinary(
    between: NDArray, to_target: NDArray, nugget: float, missing: NDArray | None = None
) -> KrigingWeights:
    r"""Solve ordinary kriging systems given by their covariances.

    Parameters
    ----------
    between : (n, k, k)
        Covariances among neighbours relative to the sill, without the nugget.
    to_target : (n, k)
        Covariances of neighbours and target, relative to the sill.
    nugget : float
        Relative to the sill.
    missing : (n, k) bool, optional
        Neighbours without a value: they get weight zero, and the system is solved without them.

    Returns
    -------
    KrigingWeights
        The weights of a target sum to one; zeros, with variance :math:`2 (1 + \nu)`, where every neighbour is missing.

    Notes
    -----
    With :math:`C` the covariances among neighbours, the nugget on the diagonal, and :math:`c_*` those to the target,

    .. math:: w = C^{-1} (c_* + \mu \mathbf 1), \qquad
        \mu = \frac{1 - \mathbf 1^\top C^{-1} c_*}{\mathbf 1^\top C^{-1} \mathbf 1}, \qquad
        v = 1 + \nu - c_*^\top w + \mu ,

    where the Lagrange multiplier :math:`\mu` makes the weights sum to one, and :math:`v` is the variance of a new
    observation, nugget included. Cressie (1993), Statistics for Spatial Data, section 3.2.
    """
    k = to_target.shape[1]
    present = np.ones(to_target.shape) if missing is None else (~missing).astype(float)
    system = between * (present[:, :, None] * present[:, None, :])
    diagonal = np.arange(k)
    system[:, diagonal, diagonal] = 1.0 + nugget
    right = to_target * present
    solved = np.linalg.solve(system, np.stack([right, present], axis=-1))
    by_covariance, by_ones = solved[..., 0], solved[..., 1]
    total = (by_ones * present).sum(axis=1)
    some = total > 0
    multiplier = np.where(some, (1.0 - (by_covariance * present).sum(axis=1)) / np.where(some, total, 1.0), 0.0)
    weights = by_covariance + multiplier[:, None] * by_ones
    variance = 1.0 + nugget - (weights * right).sum(axis=1) + multiplier
    return KrigingWeights(weights, np.where(some, variance, 2.0 * (1.0 + nugget)))


def on_scale(values: NDArray, scaler: Scaler | None) -> NDArray:
    """Return values on the scale of a covariance: the scaler's log scale, or the linear scale where it is None."""
    return values if scaler is None else scaler.log(values)


def normal_estimate(mean: NDArray, std: NDArray, scaler: Scaler | None) -> Estimate:
    """Return the estimate with normal errors on the scale of :func:`on_scale`; on the log scale its value is the median."""
    mean, std = mean.astype(np.float32), std.astype(np.float32)
    return Estimate(mean, std) if scaler is None else Estimate(scaler.exp(mean), std, offset=scaler.offset)
