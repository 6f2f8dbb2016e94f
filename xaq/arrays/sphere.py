"""Great-circle geometry on the sphere: distances, nearest neighbours, co-located stations. NumPy in, NumPy out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

EARTH_RADIUS_KM = 6371.0088
#: Stations closer than this are one place: hidden together, never used to verify each other.
COLOCATED_KM = 0.05


def unit_vectors(lon: ArrayLike, lat: ArrayLike) -> NDArray[np.float64]:
    """Return points on the unit sphere, shape ``(..., 3)``, from longitude and latitude in degrees."""
    lam, phi = np.radians(np.asarray(lon, float)), np.radians(np.asarray(lat, float))
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=-1)


def chord_to_km(chord: ArrayLike) -> NDArray[np.float64]:
    """Return great-circle distance in km from the straight chord between points of the unit sphere."""
    return 2.0 * EARTH_RADIUS_KM * np.arcsin(np.clip(np.asarray(chord, float) / 2.0, 0.0, 1.0))


def distance_km(lon_a: ArrayLike, lat_a: ArrayLike, lon_b: ArrayLike, lat_b: ArrayLike) -> NDArray[np.float64]:
    """Return great-circle distance in km; the arguments broadcast, degrees."""
    difference = unit_vectors(lon_a, lat_a) - unit_vectors(lon_b, lat_b)
    return chord_to_km(np.linalg.norm(difference, axis=-1))


def nearest(
    lon: ArrayLike, lat: ArrayLike, lon_target: ArrayLike, lat_target: ArrayLike, k: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Find the k nearest stations of each target.

    Parameters
    ----------
    lon, lat : (n_station,) degrees
    lon_target, lat_target : (n_target,) degrees
    k : int
        Neighbours; at most ``n_station`` are returned.

    Returns
    -------
    index : (n_target, k) int
    distance : (n_target, k) km, ascending
    """
    stations, targets = unit_vectors(lon, lat), unit_vectors(lon_target, lat_target)
    k = min(k, len(stations))
    chord, index = cKDTree(stations).query(targets, k=k)
    return index.reshape(len(targets), k), chord_to_km(chord.reshape(len(targets), k))


def spatial_order(lon: ArrayLike, lat: ArrayLike) -> NDArray[np.intp]:
    """Return the order of stations in which those that lie near each other mostly follow each other, ``(n_station,)``."""
    return cKDTree(unit_vectors(lon, lat)).indices


def pairwise_km(lon: ArrayLike, lat: ArrayLike, index: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return distances among each target's neighbours, shape ``(n_target, k, k)``, km; ``index`` is ``(n_target, k)``."""
    points = unit_vectors(lon, lat)[index]
    return chord_to_km(np.linalg.norm(points[:, :, None] - points[:, None, :], axis=-1))


def colocated_groups(lon: ArrayLike, lat: ArrayLike, within_km: float = COLOCATED_KM) -> NDArray[np.int32]:
    """Return a group label per station; stations chained by distances under ``within_km`` share a label."""
    points = unit_vectors(lon, lat)
    chord = 2.0 * np.sin(within_km / (2.0 * EARTH_RADIUS_KM))
    pairs = cKDTree(points).query_pairs(chord, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(points), len(points)))
    return connected_components(graph, directed=False)[1]


def centre(lon: ArrayLike, lat: ArrayLike) -> tuple[float, float]:
    """Return longitude and latitude, in degrees, of the mean direction of points."""
    x, y, z = unit_vectors(lon, lat).mean(axis=0)
    return float(np.degrees(np.arctan2(y, x))), float(np.degrees(np.arctan2(z, np.hypot(x, y))))


def on_tangent_plane(lon: ArrayLike, lat: ArrayLike, at: tuple[float, float]) -> NDArray[np.float64]:
    """Return km east and north, ``(..., 2)``, of points seen from above the point where a plane touches the sphere."""
    lam, phi = np.radians(at)
    east = np.array([-np.sin(lam), np.cos(lam), 0.0])
    north = np.array([-np.sin(phi) * np.cos(lam), -np.sin(phi) * np.sin(lam), np.cos(phi)])
    return EARTH_RADIUS_KM * (unit_vectors(lon, lat) @ np.stack([east, north], axis=-1))
