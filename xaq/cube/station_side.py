"""The station side of a request: which part of the record each part of the times reads, and a node for each.

Tiles of one period that are computed together share its station side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dask
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..conventions import STATION, TIME
from ..interpolate.error_covariance import ErrorCovariance
from ..stations import schema
from .nodes import stations_node, task, whole
from .periods import record_slice
from .request import Request
from .tasks import prepare_stations


def prepare(request: Request) -> tuple[Any, xr.Dataset]:
    """Return the station side of all times of a request, and the stations that take part in it, in its order. Computes."""
    ((_, node),) = station_nodes(request, whole(request.mapper), [slice(None)])
    prepared, part = dask.compute(node, stations_node(request))
    return prepared, part.of_dataset(request.source, [request.target])


def fingerprints(
    request: Request, cuts: Sequence[slice], lon: NDArray, lat: NDArray, covariance: ErrorCovariance | None = None
) -> list[int]:
    """Return for each part of the times a hash of all that its estimates at ``(place,)`` read, never 0. Computes, part by part.

    ``covariance`` is that of errors where it was fitted to the observations, and where members are made.
    """
    fitted = b"" if covariance is None else repr(covariance).encode()
    (part,) = dask.compute(stations_node(request))
    station_lon, station_lat = request.lon[part.kept], request.lat[part.kept]
    found = []
    for period in _parts(request, cuts):
        digest = hashlib.blake2b(fitted, digest_size=8)
        for array in (station_lon, station_lat, period.times, period.record):
            digest.update(array.tobytes())
        for array in period.arrays:
            digest.update(part.take(schema.canonical(array)).tobytes())
        for field in request.fields:
            digest.update(field.digest(station_lon, station_lat, period.record))
            digest.update(field.digest(lon, lat, period.times))
        found.append(int.from_bytes(digest.digest(), "big") or 1)
    return found


def station_nodes(request: Request, mapper: Any, cuts: Sequence[slice]) -> list[tuple[NDArray[np.datetime64], Any]]:
    """Return (times, station side) for each part of the times of a request."""
    lon, lat, part, n_known = request.lon, request.lat, stations_node(request), len(request.known)
    return [
        (p.times, task(prepare_stations)(mapper, lon, lat, p.record, p.times, part, n_known, *p.arrays))
        for p in _parts(request, cuts)
    ]


@dataclass(frozen=True)
class Part:
    """A part of the times, and the part of the record that its estimates read: arrays ``(station, step)``, maybe lazy."""

    times: NDArray[np.datetime64]
    record: NDArray[np.datetime64]
    arrays: list[Any]


def _parts(request: Request, cuts: Sequence[slice]) -> Iterator[Part]:
    """Yield the request in parts; each reads its own part of the record only."""

    def arrays(names: tuple[str, ...], steps: slice) -> list[Any]:
        part = request.source.isel({TIME: steps})
        return [part[name].transpose(STATION, TIME).data for name in names]

    for cut in cuts:
        times = request.times[cut]
        read = record_slice(request.record, request.mapper.margin_days, times, request.init)
        # All of the horizon, whatever part of it is asked for: a forecast does not depend on that.
        ahead = slice(read.start, read.stop + request.horizon_steps)
        parts = arrays((request.target, *request.covariates), read) + arrays(request.known, ahead)
        yield Part(times, request.record[read], parts)
