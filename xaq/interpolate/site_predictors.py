"""What a place is, from public data inside the package: the people around it, and its altitude. NumPy and SciPy only.

Stations at a place that is busier, or higher, than its neighbours' have other levels than these let expect, lastingly. As in
land-use regression, few numbers say by how much: a ridge regression on the stations' lasting errors. What a mapper then
sees is the ratio of observation to that level.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..arrays import sphere

_FILE = Path(__file__).parents[1] / "data" / "geography.npz"
#: People are counted around a place with Gaussian weights of these standard deviations, in km.
SCALES_KM = (2.0, 6.0, 25.0)
#: What is known of a place, in the order of the features.
FEATURES = (*(f"population density ({scale:g} km)" for scale in SCALES_KM), "altitude")
#: Densities are made on a lattice of so many nodes per degree and are linear between them: the same whatever else is asked.
_NODES_PER_DEGREE = (128, 40, 10)
#: Weights end after so many standard deviations.
_REACH = 4.0
#: People per km2 that make no difference.
_FEW_PEOPLE = 10.0
#: Nodes whose surroundings are looked up at once; of the widest scale, in the densest country, 50 MB.
_NODES = 2_000


# -- what is known of places ---------------------------------------------------------------------------------------


class _World(NamedTuple):
    """Settlements on the unit sphere, how many people live in them, and a map of altitude in m, rows from north to south."""

    settlements: cKDTree
    people: NDArray[np.float64]
    altitude: NDArray[np.float32]


@lru_cache(maxsize=1)
def table() -> str:
    """Return the digest of the data that places are known from."""
    return blake2b(_FILE.read_bytes(), digest_size=8).hexdigest()


@lru_cache(maxsize=1)
def _world() -> _World:
    with np.load(_FILE) as file:
        lon, lat = file["lon"] / 180.0 - 180.0, file["lat"] / 360.0 - 90.0
        altitude = file["altitude"].astype(np.float32) * 28.0 - 450.0
        return _World(cKDTree(sphere.unit_vectors(lon, lat)), file["people"].astype(float), altitude)


def features(lon: NDArray, lat: NDArray) -> NDArray[np.float64]:
    """Return what is known of places.

    Parameters
    ----------
    lon, lat : (n,) degrees

    Returns
    -------
    (n, 4)
        Logs of the people per km2 around, at the scales of ``SCALES_KM``, of settlements each at its centre; the altitude in m
        on a map of 1/12 of a degree.
    """
    lon, lat = np.asarray(lon, float), np.asarray(lat, float)
    around = [_log_density(lon, lat, *scale) for scale in zip(SCALES_KM, _NODES_PER_DEGREE, strict=True)]
    return np.stack([*around, _altitude(lon, lat)], axis=1)


def _log_density(lon: NDArray, lat: NDArray, scale_km: float, per_degree: int) -> NDArray[np.float64]:
    corners, weights = _bilinear(lat * per_degree, lon * per_degree)
    # One number for each node: faster than np.unique along an axis.
    columns = 1 + 720 * per_degree
    key, which = np.unique(corners[..., 0] * columns + corners[..., 1] + columns // 2, return_inverse=True)
    node = np.stack([key // columns, key % columns - columns // 2], axis=1)
    lots = (node[first : first + _NODES] / per_degree for first in range(0, max(len(node), 1), _NODES))
    density = np.concatenate([_density(lot, scale_km) for lot in lots])
    return (np.log(_FEW_PEOPLE + density)[which.reshape(weights.shape)] * weights).sum(axis=1)


def _density(node: NDArray, scale_km: float) -> NDArray[np.float64]:
    """Return the people per km2 around nodes ``(n, 2)`` of latitude and longitude."""
    world, radius = _world(), sphere.EARTH_RADIUS_KM
    there = cKDTree(sphere.unit_vectors(node[:, 1], node[:, 0]))
    pairs = there.sparse_distance_matrix(world.settlements, _REACH * scale_km / radius, output_type="ndarray")
    weight = np.exp(-0.5 * (pairs["v"] * radius / scale_km) ** 2) / (2 * np.pi * scale_km**2)
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
