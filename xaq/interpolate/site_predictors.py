"""Predictors of a place's site effect, from public data inside the package: population density and altitude.

Population: settlements of GeoNames, each at its centre. Altitude: a map of 1/12 of a degree.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..arrays import longitudes, sphere

_FILE = Path(__file__).parents[1] / "data" / "geography.npz"
#: Standard deviations of the Gaussian kernels of population density, km.
KERNELS_KM = (2.0, 6.0, 25.0)
#: Names of the predictors, in the order of the columns of :func:`site_predictors`.
SITE_PREDICTORS = (*(f"population density ({kernel:g} km)" for kernel in KERNELS_KM), "altitude")
#: Densities are computed on a lattice of so many nodes per degree and are bilinear in between, so that the density at a
#: place does not depend on the other places of a call.
_NODES_PER_DEGREE = (128, 40, 10)
#: Kernels end after so many standard deviations.
_REACH = 4.0
#: Added to the density before the logarithm, people per km2: below this, differences count little.
_FEW_PEOPLE = 10.0
#: Nodes whose settlements are looked up at once: 50 MB for the widest kernel in the densest country.
_NODES = 2_000


class _World(NamedTuple):
    """Settlements on the unit sphere, their population, and altitude in m on a map whose rows run from north to south."""

    settlements: cKDTree
    people: NDArray[np.float64]
    altitude: NDArray[np.float32]


@lru_cache(maxsize=1)
def data_digest() -> str:
    """Return the digest of the data file; a model names the one it was trained with."""
    return blake2b(_FILE.read_bytes(), digest_size=8).hexdigest()


@lru_cache(maxsize=1)
def _world() -> _World:
    with np.load(_FILE) as file:
        lon, lat = file["lon"] / 180.0 - 180.0, file["lat"] / 360.0 - 90.0
        altitude = file["altitude"].astype(np.float32) * 28.0 - 450.0
        return _World(cKDTree(sphere.unit_vectors(lon, lat)), file["people"].astype(float), altitude)


def site_predictors(lon: NDArray, lat: NDArray) -> NDArray[np.float64]:
    r"""Return the predictors of places, one column for each name in ``SITE_PREDICTORS``.

    Parameters
    ----------
    lon, lat : (n,) degrees

    Returns
    -------
    (n, 4)
        Log population densities for the three kernels, and the altitude in m.

    Notes
    -----
    With the population :math:`P_h` of settlement h, its distance :math:`d_{*h}` and the kernel width :math:`\eta`,

    .. math:: \log\Big(10 + \sum_h \frac{P_h}{2 \text{π} \eta^2} \exp\frac{-d_{*h}^2}{2 \eta^2}\Big).
    """
    lon, lat = longitudes.canonical(lon), np.asarray(lat, float)
    densities = [_log_density(lon, lat, *kernel) for kernel in zip(KERNELS_KM, _NODES_PER_DEGREE, strict=True)]
    return np.stack([*densities, _altitude(lon, lat)], axis=1)


def _log_density(lon: NDArray, lat: NDArray, kernel_km: float, per_degree: int) -> NDArray[np.float64]:
    corners, weights = _bilinear(lat * per_degree, lon * per_degree)
    # One number for each node: faster than np.unique along an axis.
    columns = 1 + 720 * per_degree
    key, which = np.unique(corners[..., 0] * columns + corners[..., 1] + columns // 2, return_inverse=True)
    node = np.stack([key // columns, key % columns - columns // 2], axis=1)
    lots = (node[first : first + _NODES] / per_degree for first in range(0, max(len(node), 1), _NODES))
    density = np.concatenate([_density(lot, kernel_km) for lot in lots])
    return (np.log(_FEW_PEOPLE + density)[which.reshape(weights.shape)] * weights).sum(axis=1)


def _density(node: NDArray, kernel_km: float) -> NDArray[np.float64]:
    """Return the people per km2 around nodes ``(n, 2)`` of latitude and longitude."""
    world, radius = _world(), sphere.EARTH_RADIUS_KM
    there = cKDTree(sphere.unit_vectors(node[:, 1], node[:, 0]))
    pairs = there.sparse_distance_matrix(world.settlements, _REACH * kernel_km / radius, output_type="ndarray")
    weight = np.exp(-0.5 * (pairs["v"] * radius / kernel_km) ** 2) / (2 * np.pi * kernel_km**2)
    density: NDArray[np.float64] = np.bincount(pairs["i"], weight * world.people[pairs["j"]], len(node)).astype(float)
    return density


def _altitude(lon: NDArray, lat: NDArray) -> NDArray[np.float64]:
    altitude = _world().altitude
    rows, columns = altitude.shape
    # Centres of cells; the first is half a cell south of the pole and east of 180 W.
    corners, weights = _bilinear((90 - lat) / 180 * rows - 0.5, (lon + 180) / 360 * columns - 0.5)
    row, column = np.clip(corners[..., 0], 0, rows - 1), corners[..., 1] % columns
    return (altitude[row, column] * weights).sum(axis=1)


def _bilinear(row: NDArray, column: NDArray) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the four nodes ``(n, 4, 2)`` around positions on a lattice, and their weights ``(n, 4)``."""
    low = np.floor(np.stack([row, column], axis=-1))
    weight = np.stack([row, column], axis=-1) - low
    step = np.array([(0, 0), (0, 1), (1, 0), (1, 1)])
    weights = np.where(step == 1, weight[:, None], 1 - weight[:, None]).prod(axis=-1)
    return low[:, None].astype(np.intp) + step, weights
