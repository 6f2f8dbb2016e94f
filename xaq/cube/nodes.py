"""Nodes of a request's graph that more than estimates depend on: which stations take part, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import dask
import dask.array as da
import numpy as np
from numpy.typing import NDArray

from ..conventions import STATION, TIME
from ..stations.taking_part import TakingPart, taking_part
from .request import Request, reporting_slice
from .tasks import count_reporting, dissimilarity_from, dissimilarity_threshold, distance_of


def task(function: Callable) -> Any:
    """Return a function as a node of a graph: pure, and its arguments as they are."""
    return dask.delayed(function, pure=True, traverse=False)


def whole(thing: Any) -> Any:
    """Return a mapper or fields as one node, however many tasks read it; lazy arrays inside stay lazy."""
    return dask.delayed(thing, pure=True, traverse=False)


def stations_node(request: Request) -> Any:
    """Return which stations take part, lazily for lazy data; of data in memory, the request holds no others."""
    values, ids = request.values, request.source[STATION].values
    if not request.is_lazy:
        return TakingPart(np.arange(len(ids)), np.empty((0, 2), np.intp))
    steps = reporting_slice(request.trained, request.record, request.init)
    return task(taking_part)(ids, request.lon, request.lat, request.target, values.isel({TIME: steps}).data)


def distance_node(request: Request) -> Any:
    """Return the distance beyond which estimates are unsupported, km; lazy where it depends on which stations report."""
    if request.reach is not None:
        return np.float32(request.reach.km)
    node = task(distance_of)(request.range_km, stations_node(request), request.lon, request.lat)
    return da.from_delayed(node, (), np.float32)


def dissimilarity_node(request: Request) -> Any:
    """Return what places are compared with in the predictors of the trend, as a node; None without any."""
    if request.trend is None:
        return None
    if request.dissimilarity is not None:
        return whole(request.dissimilarity)
    return task(dissimilarity_from)(whole(request.trend), stations_node(request), request.lon, request.lat)


def threshold_of(node: Any) -> da.Array:
    """Return the dissimilarity above which estimates are unsupported, of a node; lazy."""
    return da.from_delayed(task(dissimilarity_threshold)(node), (), np.float32)


def reporting_count(request: Request, chunks: tuple[int, ...]) -> Any:
    """Return how many of the stations that take part report at each step, ``(time,)``; lazy in these chunks where the data are."""
    values = request.values.sel({TIME: request.times})
    node, ends = stations_node(request), np.cumsum(chunks)
    if not request.is_lazy:
        return count_reporting(node, values.values)
    parts = [values.isel({TIME: slice(end - n, end)}).data for n, end in zip(chunks, ends, strict=True)]
    return da.concatenate([
        da.from_delayed(task(count_reporting)(node, part), (n,), np.int32) for n, part in zip(chunks, parts, strict=True)
    ])  # fmt: skip


def period_reporting(count: Any, index: NDArray[np.int64], edges: Sequence[int]) -> Any:
    """Return the mean over each period of the stations that report at its steps, ``(period,)``; lazy where ``count`` is."""
    n_period = edges[-1]
    if not isinstance(count, da.Array):
        return _mean_by_period(count, index, n_period)
    mean = task(_mean_by_period)(count, index, n_period)
    return da.from_delayed(mean, (n_period,), np.float32).rechunk((tuple(np.diff(edges).tolist()),))


def _mean_by_period(count: NDArray, index: NDArray[np.int64], n_period: int) -> NDArray[np.float32]:
    return (np.bincount(index, count, n_period) / np.bincount(index, minlength=n_period)).astype(np.float32)
