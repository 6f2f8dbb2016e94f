"""From stations, a grid and any mapper to a lazy cube, or to a series at points. Labels and Dask; never torch.

The graph has one node per period for the station side, shared by the tiles that are computed together, and one per
block for the cell side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dask
import dask.array as da
import numpy as np
import rioxarray  # noqa: F401 - registers the .rio accessor
import xarray as xr
from numpy.typing import NDArray

from ..arrays import sphere, timesteps
from ..conventions import LAT, LON, STATION, TIME
from ..errors import SchemaError
from ..interpolate.base import Filling, Mapper, Observations
from .grid import Grid
from .labels import labelled, time_variable
from .request import Plan, days_as_time, fields_of, floor_day, readable_steps, silent_stations

#: Values of one variable in one block: 10 million float32 are 40 MB. Never more than 32 days: one map is quick to get.
BLOCK_VALUES, BLOCK_DAYS = 10_000_000, 32
#: Cells beyond which a map is cut into tiles, and the edge of a tile: its hourly blocks still are 16 days long, so that
#: the days around them, which the station side reads too, weigh little.
_TILED_CELLS, _TILE = 40_000, 160
#: Cells that a mapper estimates at once: what it makes of 16 days is 25 MB an array, memory that the next ones use again.
_PART = 16_384


# -- the graph -----------------------------------------------------------------------------------------------------


def delayed(function: Callable) -> Any:
    """Return a function as a node of a graph: pure, and its arguments as they are."""
    return dask.delayed(function, pure=True, traverse=False)


def n_fields(plan: Plan) -> int:
    """Return how many fields a plan estimates: the value and its quantiles."""
    return 1 + len(plan.probabilities)


def point_fields(plan: Plan, lon: NDArray, lat: NDArray, n_time: int) -> da.Array:
    """Return ``(field, time, point)``, in blocks of ``n_time`` steps."""
    rows: list[da.Array] = []
    mapper = dask.delayed(plan.mapper, pure=True, traverse=False)
    for times, prepared in _station_nodes(plan, mapper, max(1, n_time)):
        node = delayed(estimate_fields)(mapper, prepared, len(times), lon, lat, plan.probabilities)
        rows.append(da.from_delayed(node, (n_fields(plan), len(times), len(lon)), np.float32))
    return da.concatenate(rows, axis=1)


def prepare(plan: Plan) -> tuple[Any, xr.Dataset]:
    """Return the station side of all of a plan's times, and the stations that take part in it, in its order. Computes."""
    ((_, node),) = _station_nodes(plan, plan.mapper, len(plan.times))
    prepared, silent = dask.compute(node, silent_node(plan))
    return prepared, plan.source.isel({STATION: np.flatnonzero(~silent)})


@dataclass(frozen=True)
class _Period:
    """A part of a plan's times, and of the record what its estimates read: arrays ``(station, step)``, maybe lazy."""

    times: NDArray[np.datetime64]
    record: NDArray[np.datetime64]
    arrays: list[Any]


def _periods(plan: Plan, n_time: int) -> Iterator[_Period]:
    """Yield the plan in parts of ``n_time`` steps; each reads its own part of the record only."""
    source, mapper = plan.source, plan.mapper
    record = source[TIME].values.astype("datetime64[s]")
    before, after = mapper.margin_days
    for i in range(0, len(plan.times), n_time):
        times = plan.times[i : i + n_time]
        if plan.init is None:
            # Whole days around the period: weights belong to days, wherever a block begins.
            low = int(np.searchsorted(record, floor_day(times[0], record) - days_as_time(before, record)))
            high = int(np.searchsorted(record, floor_day(times[-1], record) + days_as_time(after + 1, record)))
        else:
            low = int(np.searchsorted(record, plan.init - days_as_time(before, record), side="right"))
            high = int(np.searchsorted(record, plan.init, side="right"))
        part = source.isel({TIME: slice(low, high)})
        arrays = [part[name].transpose(STATION, TIME).data for name in (plan.target, *plan.covariates)]
        if plan.known:
            # All of the horizon, whatever part of it is asked for: a forecast does not depend on that.
            ahead = high + mapper.recipe.config.target_steps  # type: ignore[attr-defined]
            horizon = source.isel({TIME: slice(low, ahead)})
            arrays += [horizon[name].transpose(STATION, TIME).data for name in plan.known]
        yield _Period(times, record[low:high], arrays)


def _station_nodes(plan: Plan, mapper: Any, n_time: int) -> list[tuple[NDArray[np.datetime64], Any]]:
    """Return (times, station side) for each period of the plan."""
    lon, lat = plan.source[LON].values.astype(float), plan.source[LAT].values.astype(float)
    silent = silent_node(plan)
    return [
        (p.times, delayed(_prepare)(mapper, lon, lat, p.record, p.times, silent, len(plan.known), *p.arrays))
        for p in _periods(plan, n_time)
    ]


def fingerprints(plan: Plan, n_time: int, grid: Grid) -> list[int]:
    """Return for each period a hash of all that its estimates read, never 0. Computes it, one period at a time."""
    (silent,) = dask.compute(silent_node(plan))
    stations = plan.source.isel({STATION: np.flatnonzero(~silent)})
    lon, lat = stations[LON].values, stations[LAT].values
    found = []
    for period in _periods(plan, n_time):
        digest = hashlib.blake2b(digest_size=8)
        for array in (lon, lat, period.times, period.record, *period.arrays):
            digest.update(np.ascontiguousarray(array).tobytes())
        for field in fields_of(plan.mapper):
            x, y = np.meshgrid(grid.lon, grid.lat)
            digest.update(field.digest(lon, lat, period.record))
            digest.update(field.digest(x.ravel(), y.ravel(), period.times))
        found.append(int.from_bytes(digest.digest(), "big") or 1)
    return found


def silent_node(plan: Plan) -> Any:
    """Return which stations never report, lazily for lazy data; those in memory are left out of the plan already."""
    variable = plan.source[plan.target].transpose(STATION, TIME)
    if variable.chunks is None:
        return np.zeros(variable.sizes[STATION], bool)
    return delayed(silent_stations)(variable.isel({TIME: readable_steps(plan.mapper, plan.source, plan.init)}).data)


def _prepare(
    mapper: Mapper,
    lon: NDArray,
    lat: NDArray,
    record: NDArray,
    times: NDArray,
    silent: NDArray,
    n_known: int,
    values: NDArray,
    *covariates: NDArray,
) -> Any:
    """Do the station side of the stations that report; the last ``n_known`` covariates reach beyond the record."""
    taking_part = np.flatnonzero(~silent)
    values = np.asarray(values, np.float32)[taking_part]
    values = np.where(np.isfinite(values), values, np.float32(np.nan))

    def stack(arrays: tuple[NDArray, ...]) -> NDArray:
        stacked = [np.asarray(a, np.float32)[taking_part] for a in arrays]
        return np.stack(stacked) if stacked else np.empty((0, *values.shape), np.float32)

    cut = len(covariates) - n_known
    observations = Observations(
        values, lon[taking_part], lat[taking_part], record, stack(covariates[:cut]), stack(covariates[cut:])
    )
    return mapper.prepare(observations, times)


def estimate_fields(
    mapper: Mapper, prepared: Any, n_time: int, lon: NDArray, lat: NDArray, probabilities: Sequence[float]
) -> NDArray[np.float32]:
    """Return the value and its quantiles at the ``n_time`` prepared times, ``(field, time, point)``.

    Negative estimates are physics that the weights do not know, and become 0.
    """
    fields = np.empty((1 + len(probabilities), n_time, len(lon)), np.float32)
    _fill(fields, mapper, prepared, lon, lat, probabilities)
    return fields


def _fill(
    fields: Sequence[NDArray[np.float32]] | NDArray[np.float32],
    mapper: Mapper,
    prepared: Any,
    lon: NDArray,
    lat: NDArray,
    probabilities: Sequence[float],
) -> None:
    """Write the value and its quantiles into arrays ``(time, point)``."""
    if isinstance(mapper, Filling):
        mapper.fill(fields, prepared, lon, lat, probabilities)
        return
    for part in _split(len(lon), _PART):
        made = mapper.estimate(prepared, lon[part], lat[part])
        # One quantile at a time: each lives only until it is in its place.
        np.maximum(made.value.T, 0, out=fields[0][:, part])
        for field, probability in zip(fields[1:], probabilities, strict=True):
            np.maximum(made.quantile(probability).T, 0, out=field[:, part])


def _estimate_tile(
    mapper: Mapper, prepared: Any, n_time: int, lon: NDArray, lat: NDArray, probabilities: Sequence[float]
) -> list[NDArray[np.float32]]:
    """Return the fields ``(time, lat, lon)`` of one tile: arrays of their own, which a graph hands on without a copy."""
    x, y = np.meshgrid(lon, lat)
    fields = [np.empty((n_time, x.size), np.float32) for _ in range(1 + len(probabilities))]
    _fill(fields, mapper, prepared, x.ravel(), y.ravel(), probabilities)
    return [field.reshape(n_time, len(lat), len(lon)) for field in fields]


def _nearest_tile(
    silent: NDArray, lon: NDArray, lat: NDArray, grid_lon: NDArray, grid_lat: NDArray
) -> NDArray[np.float32]:
    x, y = np.meshgrid(grid_lon, grid_lat)
    distance = nearest_points(silent, lon, lat, x.ravel(), y.ravel())
    return distance.reshape(x.shape).astype(np.float32)


def _missing_tile(mapper: Mapper, times: NDArray, grid_lon: NDArray, grid_lat: NDArray) -> NDArray[np.bool_]:
    x, y = np.meshgrid(grid_lon, grid_lat)
    return missing_points(mapper, times, x.ravel(), y.ravel()).reshape(x.shape)


def missing_points(mapper: Mapper, times: NDArray, x: NDArray, y: NDArray) -> NDArray[np.bool_]:
    """Return where a field or a raster that the mapper reads has no value at one of the times."""
    return np.any([field.missing(x, y, times) for field in fields_of(mapper)], axis=0)


def nearest_points(silent: NDArray, lon: NDArray, lat: NDArray, x: NDArray, y: NDArray) -> NDArray[np.float32]:
    """Return the distance in km from points to the nearest station that reports, ``(point,)``."""
    return sphere.nearest(lon[~silent], lat[~silent], x, y, 1)[1][:, 0].astype(np.float32)


def _split(n: int, size: int) -> list[slice]:
    return [slice(i, min(i + size, n)) for i in range(0, n, size)]


def block_sizes(plan: Plan, grid: Grid, chunks: dict[str, int] | None) -> tuple[int, int, int]:
    """Return steps, rows and columns of a block: whole maps where they fit, whole days where they do not."""
    unknown = set(chunks or {}) - {TIME, LAT, LON}
    if unknown:
        raise SchemaError(f"chunks names {', '.join(sorted(unknown))}, expected time, lat, lon", subject="chunks")
    for name, n in (chunks or {}).items():
        if not isinstance(n, int) or (n < 1 and n != -1):
            raise SchemaError(
                f"{name!r} is {n!r}, expected a number of cells or steps, or -1 for all", subject="chunks"
            )
    n_lat, n_lon = grid.shape
    tiled = n_lat * n_lon > _TILED_CELLS
    size = {LAT: min(n_lat, _TILE) if tiled else n_lat, LON: min(n_lon, _TILE) if tiled else n_lon}
    size.update({k: v for k, v in (chunks or {}).items() if k != TIME})
    per_day = timesteps.steps_per_day(timesteps.regular_step(plan.source[TIME].values))
    days = min(BLOCK_DAYS, max(1, BLOCK_VALUES // (abs(size[LAT] * size[LON]) * per_day)))
    n_time = (chunks or {}).get(TIME, days * per_day)
    wholes = (len(plan.times), n_lat, n_lon)
    sizes = [whole if n == -1 else n for n, whole in zip((n_time, size[LAT], size[LON]), wholes, strict=True)]
    return sizes[0], sizes[1], sizes[2]


def lazy_cube(plan: Plan, grid: Grid, sizes: tuple[int, int, int]) -> xr.Dataset:
    """Return the labelled cube of a plan on a grid, in blocks of ``sizes`` steps, rows and columns. Lazy."""
    n_time, n_lat, n_lon = sizes
    lon, lat = plan.source[LON].values, plan.source[LAT].values
    silent = silent_node(plan)
    rows, columns = _split(grid.shape[0], n_lat), _split(grid.shape[1], n_lon)
    blocks: list[list[list[list[da.Array]]]] = [[] for _ in range(n_fields(plan))]
    mapper = dask.delayed(plan.mapper, pure=True, traverse=False)
    for times, prepared in _station_nodes(plan, mapper, n_time):
        for period in blocks:
            period.append([[] for _ in rows])
        for i, row in enumerate(rows):
            for column in columns:
                x, y = grid.lon[column], grid.lat[row]
                node = delayed(_estimate_tile)(mapper, prepared, len(times), x, y, plan.probabilities)
                shape = (len(times), row.stop - row.start, column.stop - column.start)
                for field, period in enumerate(blocks):
                    period[-1][i].append(da.from_delayed(node[field], shape, np.float32))
    # da.block nests the last dimensions innermost; time, lat, lon are axes -3, -2, -1.
    fields = [da.block(field) for field in blocks]

    def tiles(function: Callable, *arguments: Any, dtype: type) -> da.Array:
        """Return ``(lat, lon)`` from what a function says of each tile."""
        nodes = [[delayed(function)(*arguments, grid.lon[c], grid.lat[r]) for c in columns] for r in rows]
        shape = [[(r.stop - r.start, c.stop - c.start) for c in columns] for r in rows]
        return da.block([
            [da.from_delayed(n, s, dtype) for n, s in zip(*pair, strict=True)] for pair in zip(nodes, shape, strict=True)
        ])  # fmt: skip

    near = tiles(_nearest_tile, silent, lon, lat, dtype=np.float32)
    missing = tiles(_missing_tile, mapper, plan.times, dtype=bool) if fields_of(plan.mapper) else None
    coords = {TIME: time_variable(plan), **grid.coords()}
    cube = labelled(plan, fields, (TIME, LAT, LON), coords, xr.Variable((LAT, LON), near), missing)
    cube = cube.assign_coords(grid.bounds()).rio.write_crs("EPSG:4326")
    for name in cube.data_vars:
        if {LAT, LON} <= set(cube[name].dims):
            # As an attribute, so that the store keeps it whatever its encoding.
            cube[name].encoding.pop("grid_mapping", None)
            cube[name].attrs["grid_mapping"] = "spatial_ref"
    return cube
