"""Classical interpolation on the sphere: local ordinary kriging, inverse distance, nearest. NumPy and SciPy only.

The covariance is exponential, ``C(d) = exp(-d / range)`` with sill 1, plus a nugget on the diagonal (relative to the
sill). Missing neighbours are handled exactly: each system is solved without them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Covariance:
    """Exponential covariance: ``range_km``, ``nugget`` relative to the sill, ``sill`` in the target's units squared."""

    range_km: float
    nugget: float
    sill: float = 1.0


def ordinary_weights(
    d_target: NDArray, d_neighbours: NDArray, covariance: Covariance, missing: NDArray | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Solve the ordinary kriging system of each target.

    Parameters
    ----------
    d_target : (n, k) km
        Distance from target to neighbour.
    d_neighbours : (n, k, k) km
        Distances among neighbours.
    covariance : Covariance
    missing : (n, k) bool, optional
        Neighbours without a value: they get weight zero, and the system is solved as if they were not there.

    Returns
    -------
    weights : (n, k)
        They sum to one; zeros throughout where every neighbour is missing.
    variance : (n,)
        Kriging variance of a new *observation* at the target (nugget included), relative to the sill.

    Notes
    -----
    Cressie (1993), Statistics for Spatial Data, section 3.2, with the Lagrange multiplier eliminated.
    """
    between = np.exp(-d_neighbours / covariance.range_km)
    return solve_ordinary(between, np.exp(-d_target / covariance.range_km), covariance.nugget, missing)


def solve_ordinary(
    between: NDArray, to_target: NDArray, nugget: float, missing: NDArray | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Solve ordinary kriging systems given by their covariances, sill 1.

    Parameters
    ----------
    between : (n, k, k)
        Covariances among neighbours, without the nugget.
    to_target : (n, k)
        Covariances of neighbours and target.
    nugget : float
        Relative to the sill.
    missing : (n, k) bool, optional
        As for :func:`ordinary_weights`, as is what returns.
    """
    k = to_target.shape[1]
    present = np.ones(to_target.shape) if missing is None else (~missing).astype(float)
    system = between * (present[:, :, None] * present[:, None, :])
    diagonal = np.arange(k)
    system[:, diagonal, diagonal] = 1.0 + nugget
    right = to_target * present
    solved = np.linalg.solve(system, np.stack([right, present], axis=-1))
    a, b = solved[..., 0], solved[..., 1]
    total = (b * present).sum(axis=1)
    some = total > 0
    multiplier = np.where(some, (1.0 - (a * present).sum(axis=1)) / np.where(some, total, 1.0), 0.0)
    weights = a + multiplier[:, None] * b
    variance = 1.0 + nugget - (weights * right).sum(axis=1) + multiplier
    return weights, np.where(some, variance, 2.0 * (1.0 + nugget))
