"""Geometry on the sphere: great-circle distances, nearest neighbours, co-located stations, a tangent plane."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from .longitudes import canonical

EARTH_RADIUS_KM = 6371.0088
#: Stations closer than this are co-located: hidden together, and never neighbours of each other in leave-one-out.
COLOCATED_KM = 0.05


def unit_vectors(lon: ArrayLike, lat: ArrayLike) -> NDArray[np.float64]:
    """Return points ``(..., 3)`` on the unit sphere from longitude and latitude in degrees.

    They are the same to the last bit for all longitudes of a place, so that the neighbours at equal distances are, too.
    """
    lam, phi = np.radians(canonical(lon)), np.radians(np.asarray(lat, float))
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=-1)


def chord_to_km(chord: ArrayLike) -> NDArray[np.float64]:
    """Return great-circle distances in km from the lengths of chords of the unit sphere."""
    return 2.0 * EARTH_RADIUS_KM * np.arcsin(np.clip(np.asarray(chord, float) / 2.0, 0.0, 1.0))


def distance_km(lon_a: ArrayLike, lat_a: ArrayLike, lon_b: ArrayLike, lat_b: ArrayLike) -> NDArray[np.float64]:
    """Return great-circle distances in km between points in degrees; the arguments broadcast."""
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
        Neighbours, cut to the number of stations.

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
    """Return an order ``(n_station,)`` of stations in which neighbours in space mostly follow each other."""
    return cKDTree(unit_vectors(lon, lat)).indices


def pairwise_km(lon: ArrayLike, lat: ArrayLike, index: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return distances in km ``(n_target, k, k)`` among the neighbours ``index (n_target, k)`` of each target."""
    # A coordinate at a time: an array of differences in three dimensions takes four times as long.
    square = sum((x[:, :, None] - x[:, None, :]) ** 2 for x in unit_vectors(lon, lat).T[:, index])
    return chord_to_km(np.sqrt(square))


def colocated_groups(lon: ArrayLike, lat: ArrayLike, within_km: float = COLOCATED_KM) -> NDArray[np.int32]:
    """Return a label per station; stations linked by a chain of distances under ``within_km`` have the same label."""
    points = unit_vectors(lon, lat)
    chord = 2.0 * np.sin(within_km / (2.0 * EARTH_RADIUS_KM))
    pairs = cKDTree(points).query_pairs(chord, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(points), len(points)))
    return connected_components(graph, directed=False)[1]


def centre(lon: ArrayLike, lat: ArrayLike) -> tuple[float, float]:
    """Return longitude and latitude, in degrees, of the mean of points on the unit sphere."""
    x, y, z = unit_vectors(lon, lat).mean(axis=0)
    return float(np.degrees(np.arctan2(y, x))), float(np.degrees(np.arctan2(z, np.hypot(x, y))))


def on_tangent_plane(lon: ArrayLike, lat: ArrayLike, at: tuple[float, float]) -> NDArray[np.float64]:
    """Return km ``(..., 2)`` to the east and north of a point ``at``, in the orthographic projection centred there."""
    lam, phi = np.radians(at)
    east = np.array([-np.sin(lam), np.cos(lam), 0.0])
    north = np.array([-np.sin(phi) * np.cos(lam), -np.sin(phi) * np.sin(lam), np.cos(phi)])
    return EARTH_RADIUS_KM * (unit_vectors(lon, lat) @ np.stack([east, north], axis=-1))
