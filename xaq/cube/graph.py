"""The Dask graph of a request: one node per period for the station side, one per block for the cell side."""

from __future__ import annotations

from collections.abc import Mapping

import dask.array as da
import numpy as np
import rioxarray  # noqa: F401 - registers the .rio accessor
import xarray as xr
from numpy.typing import NDArray

from .._arguments import argument_error, check_integer, check_mapping
from ..arrays import timesteps
from ..conventions import LAT, LON, TIME
from ..stations import schema
from .ensemble import Ensemble, Joint
from .ensemble_graph import PERIODS_PER_BLOCK, cell_layers, distributions, member_layer, period_layers
from .grid import Grid
from .labels import Layers, Support, labelled, steps_axis
from .nodes import dissimilarity_node, stations_node, task, threshold_of, whole
from .request import Request
from .station_side import station_nodes
from .tasks import (
    dissimilarity_at_points,
    dissimilarity_in_tile,
    estimate_points,
    estimate_tile,
    missing_at_points,
    missing_in_tile,
    nearest_at_points,
    nearest_in_tile,
)
from .tiles import PointTargets, Targets, Tiles, split

#: Values of one variable in one block: 10 million float32 are 40 MB. At most 32 days, so that one map is quick to get.
BLOCK_VALUES, _BLOCK_DAYS = 10_000_000, 32
#: Cells beyond which a map is cut into tiles, and the edge of a tile. Its hourly blocks still are 16 days long, so that
#: the margins around them, which the station side reads too, cost little.
_TILED_CELLS, _TILE = 40_000, 160
#: The edge of a tile where members are kept, whose blocks hold this many times more values.
_MEMBER_TILE, _MEMBER_BLOCKS = 64, 4
#: Larger blocks than this along one dimension are no part of any grid or record.
_LARGEST = 1_000_000
_FIX = "chunks={'time': 240, 'lat': 200, 'lon': 200}"


# -- cubes ---------------------------------------------------------------------------------------------------------


def block_sizes(joint: Joint, grid: Grid, chunks: Mapping[str, int], *, stored: bool) -> tuple[int, int, int]:
    """Return steps or periods, rows and columns of a block: whole maps where they fit, whole days where they do not.

    All members of a place and time are in one block of a store, and those of a period are made together; members of steps
    that are not ``stored`` are made one by one, in blocks as large as the estimates'.
    """
    (n_lat, n_lon), request, ensemble = grid.shape, joint.request, joint.ensemble
    together = stored or ensemble.freq is not None
    kept = (ensemble.members or 1) if together else 1
    edge = _TILE if kept == 1 else _MEMBER_TILE
    tiled = n_lat * n_lon > (_TILED_CELLS if kept == 1 else edge**2)
    size = {LAT: min(n_lat, edge) if tiled else n_lat, LON: min(n_lon, edge) if tiled else n_lon}
    size.update({k: v for k, v in chunks.items() if k != TIME})
    fit = BLOCK_VALUES * (1 if kept == 1 else _MEMBER_BLOCKS) // (abs(size[LAT] * size[LON]) * kept)
    if ensemble.freq is None:
        per_day, n_step = timesteps.steps_per_day(request.step), len(request.times)
        n_time = chunks.get(TIME, min(_BLOCK_DAYS, max(1, fit // per_day)) * per_day)
    else:
        n_step = len(joint.calendar.start)
        n_time = chunks.get(TIME, max(1, min(PERIODS_PER_BLOCK[ensemble.freq], fit)))
    wholes = (n_step, n_lat, n_lon)
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


def lazy_cube(joint: Joint, grid: Grid, sizes: tuple[int, int, int]) -> xr.Dataset:
    """Return the labelled cube of a request on a grid, in blocks of ``sizes`` steps or periods, rows and columns. Lazy."""
    request, ensemble = joint.request, joint.ensemble
    tiles = Tiles.of(grid, sizes[1:])
    if ensemble.freq is not None:
        layers, axis = period_layers(joint, tiles, sizes[0])
    else:
        layers = _step_layers(joint, tiles, sizes[0])
        axis = steps_axis(request, layers.values[0].chunks[0])
    cube = labelled(request, layers, axis, (LAT, LON), grid.coords(), _support(request, tiles), ensemble)
    cube = cube.assign_coords(grid.bounds()).rio.write_crs("EPSG:4326")
    cube["spatial_ref"].attrs["long_name"] = "coordinate reference system, WGS 84"
    for name in cube.data_vars:
        if {LAT, LON} <= set(cube[name].dims):
            # As an attribute, so that the store keeps it whatever its encoding.
            cube[name].encoding.pop("grid_mapping", None)
            cube[name].attrs["grid_mapping"] = "spatial_ref"
    return cube


def _support(request: Request, tiles: Tiles) -> Support:
    near = tiles.map(nearest_in_tile, stations_node(request), request.lon, request.lat, dtype=np.float32)
    missing = tiles.map(missing_in_tile, whole(request.fields), request.times, dtype=bool) if request.fields else None
    node = dissimilarity_node(request)
    if node is None:
        return Support(near, missing, None, None)
    return Support(near, missing, tiles.map(dissimilarity_in_tile, node, dtype=np.float32), threshold_of(node))


def _step_layers(joint: Joint, targets: Targets, n_time: int) -> Layers:
    """Return the layers of steps, and their members where they are asked for, in blocks of ``n_time`` steps and one tile."""
    request, ensemble = joint.request, joint.ensemble
    blocks = distributions(joint, targets, n_time) if ensemble.is_asked and joint.covariance is not None else []
    values = cell_layers(joint, targets, blocks) if ensemble.support == "cell" else estimates(request, targets, n_time)
    return Layers(values, member_layer(ensemble.members, targets, blocks) if ensemble.members else None)


def estimates(request: Request, targets: Targets, n_time: int) -> list[da.Array]:
    """Return the value and the bounds of its interval, each ``(time, *shape)``, in blocks of ``n_time`` steps and one tile."""
    blocks: list[list[da.Array]] = [[] for _ in range(request.n_layers)]
    mapper = whole(request.mapper)
    for times, prepared in station_nodes(request, mapper, split(len(request.times), n_time)):
        nodes = [
            (task(estimate_tile)(mapper, prepared, len(times), *tile, request.probabilities), tile.shape)
            for tile in targets.tiles
        ]
        for layer, block in enumerate(blocks):
            block.append(
                targets.join([da.from_delayed(node[layer], (len(times), *shape), np.float32) for node, shape in nodes])
            )
    return [da.concatenate(block) for block in blocks]


# -- points --------------------------------------------------------------------------------------------------------


def lazy_points(
    request: Request, lon: NDArray, lat: NDArray, dim: str, coords: dict[str, xr.Variable], ensemble: Ensemble
) -> xr.Dataset:
    """Return the labelled estimates of a request at points. Lazy."""
    n_time, points, joint = max(1, BLOCK_VALUES // len(lon)), PointTargets(lon, lat), Joint(request, ensemble)
    if ensemble.freq is not None:
        layers, axis = period_layers(joint, points, PERIODS_PER_BLOCK[ensemble.freq])
    else:
        layers = _step_layers(joint, points, n_time)
        axis = steps_axis(request, layers.values[0].chunks[0])
    return labelled(request, layers, axis, (dim,), coords, _point_support(request, lon, lat), ensemble)


def point_layers(request: Request, lon: NDArray, lat: NDArray, n_time: int) -> da.Array:
    """Return the layers at points, ``(layer, time, point)``, in blocks of ``n_time`` steps."""
    rows: list[da.Array] = []
    mapper = whole(request.mapper)
    for times, prepared in station_nodes(request, mapper, split(len(request.times), max(1, n_time))):
        node = task(estimate_points)(mapper, prepared, len(times), lon, lat, request.probabilities)
        rows.append(da.from_delayed(node, (request.n_layers, len(times), len(lon)), np.float32))
    return da.concatenate(rows, axis=1)


def _point_support(request: Request, lon: NDArray, lat: NDArray) -> Support:
    shape = (len(lon),)
    near = task(nearest_at_points)(stations_node(request), request.lon, request.lat, lon, lat)
    near, missing, node = da.from_delayed(near, shape, np.float32), None, dissimilarity_node(request)
    if request.fields:
        gone = task(missing_at_points)(whole(request.fields), request.times, lon, lat)
        missing = da.from_delayed(gone, shape, bool)
    if node is None:
        return Support(near, missing, None, None)
    unlike = da.from_delayed(task(dissimilarity_at_points)(node, lon, lat), shape, np.float32)
    return Support(near, missing, unlike, threshold_of(node))
