"""The Dask graph of a request: one node per period for the station side, one per block for the cell side.

Tiles of one period that are computed together share its station side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dask
import dask.array as da
import numpy as np
import rioxarray  # noqa: F401 - registers the .rio accessor
import xarray as xr
from numpy.typing import NDArray

from .._arguments import argument_error, check_integer, check_mapping
from ..arrays import timesteps
from ..conventions import LAT, LON, STATION, TIME
from ..stations import schema
from .grid import Grid
from .labels import labelled, time_variable
from .nodes import stations_node, task, whole
from .periods import record_slice
from .request import Request
from .tasks import (
    estimate_points,
    estimate_tile,
    missing_at_points,
    missing_in_tile,
    nearest_at_points,
    nearest_in_tile,
    prepare_stations,
)

#: Values of one variable in one block: 10 million float32 are 40 MB. At most 32 days, so that one map is quick to get.
BLOCK_VALUES, _BLOCK_DAYS = 10_000_000, 32
#: Cells beyond which a map is cut into tiles, and the edge of a tile. Its hourly blocks still are 16 days long, so that
#: the margins around them, which the station side reads too, cost little.
_TILED_CELLS, _TILE = 40_000, 160
#: Larger blocks than this along one dimension are no part of any grid or record.
_LARGEST = 1_000_000
_FIX = "chunks={'time': 240, 'lat': 200, 'lon': 200}"


# -- cubes ---------------------------------------------------------------------------------------------------------


def block_sizes(request: Request, grid: Grid, chunks: Mapping[str, int]) -> tuple[int, int, int]:
    """Return steps, rows and columns of a block: whole maps where they fit, whole days where they do not."""
    n_lat, n_lon = grid.shape
    tiled = n_lat * n_lon > _TILED_CELLS
    size = {LAT: min(n_lat, _TILE) if tiled else n_lat, LON: min(n_lon, _TILE) if tiled else n_lon}
    size.update({k: v for k, v in chunks.items() if k != TIME})
    per_day = timesteps.steps_per_day(request.step)
    days = min(_BLOCK_DAYS, max(1, BLOCK_VALUES // (abs(size[LAT] * size[LON]) * per_day)))
    n_time = chunks.get(TIME, days * per_day)
    wholes = (len(request.times), n_lat, n_lon)
    sizes = [whole if n == -1 else n for n, whole in zip((n_time, size[LAT], size[LON]), wholes, strict=True)]
    return sizes[0], sizes[1], sizes[2]


def check_chunks(chunks: Mapping[str, int] | None) -> dict[str, int]:
    """Return the sizes of blocks that a user gives, as ints."""
    given = {} if chunks is None else check_mapping(chunks, "chunks", "sizes of blocks by dimension, or None", fix=_FIX)
    unknown = [name for name in given if name not in (TIME, LAT, LON)]
    if unknown:
        raise argument_error(f"chunks names {schema.some(unknown)}, expected time, lat, lon; fix: {_FIX}")
    expected = f"a number of steps or cells, at most {_LARGEST:,}, or -1 for all"
    return {
        name: check_integer(
            n, f"chunks[{name!r}]", expected, fix=_FIX, valid=lambda size: size == -1 or 0 < size <= _LARGEST
        )
        for name, n in given.items()
    }


def lazy_cube(request: Request, grid: Grid, sizes: tuple[int, int, int]) -> xr.Dataset:
    """Return the labelled cube of a request on a grid, in blocks of ``sizes`` steps, rows and columns. Lazy."""
    tiles = _Tiles.of(grid, sizes[1:])
    near = tiles.map(nearest_in_tile, stations_node(request), request.lon, request.lat, dtype=np.float32)
    missing = tiles.map(missing_in_tile, whole(request.fields), request.times, dtype=bool) if request.fields else None
    coords = {TIME: time_variable(request), **grid.coords()}
    layers = _cube_layers(request, tiles, sizes[0])
    cube = labelled(request, layers, (TIME, LAT, LON), coords, near, missing)
    cube = cube.assign_coords(grid.bounds()).rio.write_crs("EPSG:4326")
    for name in cube.data_vars:
        if {LAT, LON} <= set(cube[name].dims):
            # As an attribute, so that the store keeps it whatever its encoding.
            cube[name].encoding.pop("grid_mapping", None)
            cube[name].attrs["grid_mapping"] = "spatial_ref"
    return cube


@dataclass(frozen=True)
class _Tiles:
    """A grid cut into rectangles: the same rows and columns for all that a cube holds."""

    grid: Grid
    rows: list[slice]
    columns: list[slice]

    @classmethod
    def of(cls, grid: Grid, sizes: tuple[int, int]) -> _Tiles:
        (n_lat, n_lon), (rows, columns) = grid.shape, sizes
        return cls(grid, _split(n_lat, rows), _split(n_lon, columns))

    def map(self, function: Callable, *arguments: Any, dtype: type) -> da.Array:
        """Return ``(lat, lon)`` from what a function of arguments and a tile's axes returns for each tile."""
        return da.block([
            [
                da.from_delayed(
                    task(function)(*arguments, self.grid.lon[c], self.grid.lat[r]), (_length(r), _length(c)), dtype
                )
                for c in self.columns
            ]
            for r in self.rows
        ])  # fmt: skip


def _split(n: int, size: int) -> list[slice]:
    return [slice(i, min(i + size, n)) for i in range(0, n, size)]


def _length(part: slice) -> int:
    return int(part.stop - part.start)


def _cube_layers(request: Request, tiles: _Tiles, n_time: int) -> list[da.Array]:
    """Return the layers of a cube, each ``(time, lat, lon)``, in blocks of ``n_time`` steps and one tile."""
    blocks: list[list[list[list[da.Array]]]] = [[] for _ in range(request.n_layers)]
    mapper = whole(request.mapper)
    for times, prepared in _station_nodes(request, mapper, n_time):
        for period in blocks:
            period.append([[] for _ in tiles.rows])
        for i, row in enumerate(tiles.rows):
            for column in tiles.columns:
                x, y = tiles.grid.lon[column], tiles.grid.lat[row]
                node = task(estimate_tile)(mapper, prepared, len(times), x, y, request.probabilities)
                shape = (len(times), _length(row), _length(column))
                for layer, period in enumerate(blocks):
                    period[-1][i].append(da.from_delayed(node[layer], shape, np.float32))
    # da.block nests the last dimensions innermost; time, lat, lon are axes -3, -2, -1.
    return [da.block(layer) for layer in blocks]


# -- points --------------------------------------------------------------------------------------------------------


def point_layers(request: Request, lon: NDArray, lat: NDArray, n_time: int) -> da.Array:
    """Return the layers at points, ``(layer, time, point)``, in blocks of ``n_time`` steps."""
    rows: list[da.Array] = []
    mapper = whole(request.mapper)
    for times, prepared in _station_nodes(request, mapper, max(1, n_time)):
        node = task(estimate_points)(mapper, prepared, len(times), lon, lat, request.probabilities)
        rows.append(da.from_delayed(node, (request.n_layers, len(times), len(lon)), np.float32))
    return da.concatenate(rows, axis=1)


def point_distance(request: Request, lon: NDArray, lat: NDArray) -> da.Array:
    """Return the distance from points to the nearest station that reports, ``(point,)`` km. Lazy."""
    node = task(nearest_at_points)(stations_node(request), request.lon, request.lat, lon, lat)
    return da.from_delayed(node, (len(lon),), np.float32)


def point_missing(request: Request, lon: NDArray, lat: NDArray) -> da.Array | None:
    """Return at which points a field has no value at one of the times, ``(point,)``; None where none is read. Lazy."""
    if not request.fields:
        return None
    node = task(missing_at_points)(whole(request.fields), request.times, lon, lat)
    return da.from_delayed(node, (len(lon),), bool)


# -- the station side ----------------------------------------------------------------------------------------------


def prepare(request: Request) -> tuple[Any, xr.Dataset]:
    """Return the station side of all times of a request, and the stations that take part in it, in its order. Computes."""
    ((_, node),) = _station_nodes(request, whole(request.mapper), len(request.times))
    prepared, part = dask.compute(node, stations_node(request))
    return prepared, part.of_dataset(request.source, [request.target])


def fingerprints(request: Request, n_time: int, grid: Grid) -> list[int]:
    """Return for each period a hash of all that its estimates read, never 0. Computes it, one period at a time."""
    (part,) = dask.compute(stations_node(request))
    lon, lat = request.lon[part.kept], request.lat[part.kept]
    x, y = (axis.ravel() for axis in np.meshgrid(grid.lon, grid.lat))
    found = []
    for period in _periods(request, n_time):
        digest = hashlib.blake2b(digest_size=8)
        for array in (lon, lat, period.times, period.record):
            digest.update(array.tobytes())
        for array in period.arrays:
            digest.update(part.take(schema.canonical(array)).tobytes())
        for field in request.fields:
            digest.update(field.digest(lon, lat, period.record))
            digest.update(field.digest(x, y, period.times))
        found.append(int.from_bytes(digest.digest(), "big") or 1)
    return found


def _station_nodes(request: Request, mapper: Any, n_time: int) -> list[tuple[NDArray[np.datetime64], Any]]:
    """Return (times, station side) for each period of the request."""
    lon, lat, part, n_known = request.lon, request.lat, stations_node(request), len(request.known)
    return [
        (p.times, task(prepare_stations)(mapper, lon, lat, p.record, p.times, part, n_known, *p.arrays))
        for p in _periods(request, n_time)
    ]


@dataclass(frozen=True)
class _Period:
    """A part of the times, and the part of the record that its estimates read: arrays ``(station, step)``, maybe lazy."""

    times: NDArray[np.datetime64]
    record: NDArray[np.datetime64]
    arrays: list[Any]


def _periods(request: Request, n_time: int) -> Iterator[_Period]:
    """Yield the request in parts of ``n_time`` steps; each reads its own part of the record only."""

    def arrays(names: tuple[str, ...], steps: slice) -> list[Any]:
        part = request.source.isel({TIME: steps})
        return [part[name].transpose(STATION, TIME).data for name in names]

    for i in range(0, len(request.times), n_time):
        times = request.times[i : i + n_time]
        read = record_slice(request.record, request.mapper.margin_days, times, request.init)
        # All of the horizon, whatever part of it is asked for: a forecast does not depend on that.
        ahead = slice(read.start, read.stop + request.horizon_steps)
        parts = arrays((request.target, *request.covariates), read) + arrays(request.known, ahead)
        yield _Period(times, request.record[read], parts)
