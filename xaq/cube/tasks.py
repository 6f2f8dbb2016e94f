"""What the nodes of a cube's graph compute: the station side of a period, and the cell side of a tile. Arrays in, arrays out.

Estimates are stacked as layers: the value first, then a quantile for each probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import sphere
from ..interpolate.base import Field, Filling, Mapper, Observations
from ..interpolate.dissimilarity import Dissimilarity, HasTrend
from ..interpolate.filling import fill_by_estimates
from ..interpolate.reach import default_reach
from ..interpolate.trend import PreparedRatios, Trend
from ..stations.schema import canonical
from ..stations.taking_part import TakingPart


def prepare_stations(
    mapper: Mapper,
    lon: NDArray,
    lat: NDArray,
    record: NDArray,
    times: NDArray,
    part: TakingPart,
    n_known: int,
    values: NDArray,
    *covariates: NDArray,
) -> Any:
    """Do the station side of the stations that take part; the last ``n_known`` covariates reach beyond the record."""
    seen = part.take(canonical(values))

    def stack(arrays: tuple[NDArray, ...]) -> NDArray[np.float32]:
        stacked = [part.take(canonical(a)) for a in arrays]
        return np.stack(stacked) if stacked else np.empty((0, *seen.shape), np.float32)

    cut = len(covariates) - n_known
    observations = Observations(
        seen, lon[part.kept], lat[part.kept], record, stack(covariates[:cut]), stack(covariates[cut:])
    )
    prepared = mapper.prepare(observations, times)
    if isinstance(prepared, PreparedRatios) and isinstance(mapper, HasTrend) and mapper.trend.drift is not None:
        # Here, because another pass over a lazy field would cost as much as the estimate.
        mapper.trend.drift.predictors.warn_of_unknown(times, prepared.centres)
    return prepared


def count_reporting(part: TakingPart, values: NDArray) -> NDArray[np.int32]:
    """Return how many of the stations that take part report at each step of ``values (station, time)``."""
    return np.isfinite(part.take(values)).sum(axis=0, dtype=np.int32)


def distance_of(range_km: float | None, part: TakingPart, lon: NDArray, lat: NDArray) -> NDArray:
    """Return the default distance of the stations that take part, km."""
    return np.array(default_reach(range_km, lon[part.kept], lat[part.kept]).km, np.float32)


def estimate_points(
    mapper: Mapper, prepared: Any, n_time: int, lon: NDArray, lat: NDArray, probabilities: Sequence[float]
) -> NDArray[np.float32]:
    """Return the layers at points for the ``n_time`` prepared times, ``(layer, time, point)``; negative estimates become 0."""
    layers = np.empty((1 + len(probabilities), n_time, len(lon)), np.float32)
    _fill(layers, mapper, prepared, lon, lat, probabilities)
    return layers


def estimate_tile(
    mapper: Mapper,
    prepared: Any,
    n_time: int,
    lon: NDArray,
    lat: NDArray,
    shape: tuple[int, ...],
    probabilities: Sequence[float],
) -> list[NDArray[np.float32]]:
    """Return the layers ``(time, *shape)`` of a tile's cells: arrays of their own, which a graph passes on without a copy."""
    layers = [np.empty((n_time, lon.size), np.float32) for _ in range(1 + len(probabilities))]
    _fill(layers, mapper, prepared, lon, lat, probabilities)
    return [layer.reshape(n_time, *shape) for layer in layers]


def _fill(
    layers: Sequence[NDArray[np.float32]] | NDArray[np.float32],
    mapper: Mapper,
    prepared: Any,
    lon: NDArray,
    lat: NDArray,
    probabilities: Sequence[float],
) -> None:
    """Write the layers, each ``(time, point)``, in place; concentrations are not negative."""
    if isinstance(mapper, Filling):
        mapper.fill(layers, prepared, lon, lat, probabilities)
    else:
        fill_by_estimates(mapper, layers, prepared, lon, lat, probabilities)


def nearest_at_points(part: TakingPart, lon: NDArray, lat: NDArray, x: NDArray, y: NDArray) -> NDArray[np.float32]:
    """Return the distance from points to the nearest station that reports, ``(point,)`` km."""
    return sphere.nearest(lon[part.kept], lat[part.kept], x, y, 1)[1][:, 0].astype(np.float32)


def nearest_in_tile(part: TakingPart, lon: NDArray, lat: NDArray, x: NDArray, y: NDArray) -> NDArray[np.float32]:
    """Return the distance from the cells of a tile to the nearest station that reports, ``(lat, lon)`` km."""
    return nearest_at_points(part, lon, lat, *cells_of(x, y)).reshape(len(y), len(x))


def missing_at_points(
    fields: Sequence[Field], times: NDArray[np.datetime64], x: NDArray, y: NDArray
) -> NDArray[np.bool_]:
    """Return at which points a field or a raster has no value at one of the times, ``(point,)``."""
    return np.any([field.missing(x, y, times) for field in fields], axis=0)


def missing_in_tile(
    fields: Sequence[Field], times: NDArray[np.datetime64], x: NDArray, y: NDArray
) -> NDArray[np.bool_]:
    """Return in which cells of a tile a field or a raster has no value at one of the times, ``(lat, lon)``."""
    return missing_at_points(fields, times, *cells_of(x, y)).reshape(len(y), len(x))


def dissimilarity_from(trend: Trend, part: TakingPart, lon: NDArray, lat: NDArray) -> Dissimilarity:
    """Return the dissimilarity from the stations that take part."""
    return Dissimilarity.of(trend, lon[part.kept], lat[part.kept])


def dissimilarity_threshold(found: Dissimilarity) -> NDArray[np.float32]:
    """Return the threshold as an array of no dimension."""
    return np.array(found.threshold, np.float32)


def dissimilarity_at_points(found: Dissimilarity, x: NDArray, y: NDArray) -> NDArray[np.float32]:
    """Return the dissimilarity of points, ``(point,)``."""
    return found.at(x, y)


def dissimilarity_in_tile(found: Dissimilarity, x: NDArray, y: NDArray) -> NDArray[np.float32]:
    """Return the dissimilarity of the cells of a tile, ``(lat, lon)``."""
    return found.at(*cells_of(x, y)).reshape(len(y), len(x))


def cells_of(lon: NDArray, lat: NDArray) -> tuple[NDArray, NDArray]:
    """Return longitude and latitude of each cell of a tile, row by row."""
    x, y = np.meshgrid(lon, lat)
    return x.ravel(), y.ravel()
