"""From stations, a grid and any mapper to a lazy cube, or to a series at points. Labels and Dask; never torch.

The graph has one node per period for the station side, shared by the tiles that are computed together, and one per
block for the cell side.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import dask
import dask.array as da
import numpy as np
import pandas as pd
import rioxarray  # noqa: F401 - registers the .rio accessor
import xarray as xr
from dask.base import tokenize
from numpy.typing import ArrayLike, NDArray

from . import sphere, windows
from . import stations as border
from . import store as cube_store
from .errors import GridError, SchemaError
from .grid import Grid
from .mappers import Filling, Mapper, Observations
from .plan import (
    Plan,
    check_points,
    check_reach,
    days_as_time,
    fields_of,
    floor_day,
    make_plan,
    readable_steps,
    silent_stations,
    warn_if_silent,
)
from .store import StoreLike
from .vocabulary import LAT, LON, POINT, QUANTILE, STATION, TIME, cf_attrs, label

#: Values of one variable in one block: 10 million float32 are 40 MB. Never more than 32 days: one map is quick to get.
_BLOCK_VALUES, _BLOCK_DAYS = 10_000_000, 32
#: Cells beyond which a map is cut into tiles, and the edge of a tile: its hourly blocks still are 16 days long, so that
#: the days around them, which the station side reads too, weigh little.
_TILED_CELLS, _TILE = 40_000, 160
#: Cells that a mapper estimates at once: what it makes of 16 days is 25 MB an array, memory that the next ones use again.
_PART = 16_384


def reanalyze(
    ds: xr.Dataset,
    mapper: Mapper | str,
    *,
    target: str | None = None,
    grid: Grid | float | xr.Dataset | xr.DataArray = 0.1,
    time: border.Period = None,
    init: str | np.datetime64 | pd.Timestamp | None = None,
    store: StoreLike | None = None,
    level: float = 0.9,
    max_distance: float | None = None,
    background: xr.DataArray | xr.Dataset | None = None,
    rasters: Mapping[str, xr.DataArray] | None = None,
    chunks: dict[str, int] | None = None,
    overwrite: bool = False,
    update: bool = False,
    precision: float | None = None,
    zarr_format: Literal[2, 3] = 3,
    consolidated: bool = True,
    progress: bool = True,
) -> xr.Dataset:
    """Estimate the target everywhere on a grid.

    Parameters
    ----------
    ds : xarray.Dataset
        A station dataset; hidden stations are not used.
    mapper : Model or {"kriging", "kriging-log", "kriging-spacetime", "idw", "nearest"}
        A trained model, or the name of a classical method (fitted on the visible stations).
    target : str, optional
        Variable; the model's, or the only pollutant.
    grid : float, Grid, or a Dataset/DataArray with lon and lat
        Spacing in degrees around the stations, a grid, or another dataset's coordinates.
    time : slice, (start, end) or one time, optional
        Times to estimate; all of the record by default. For a forecast: within the horizon after ``init``.
    init : time, optional
        Forecast models only: the last time whose observations are used; the record's last by default.
    store : path, URL or zarr.abc.store.Store, optional
        Write the cube to this Zarr store, block by block, and return it reopened: a folder, a URL that fsspec knows, or a
        store object. A store that is partly written by the same call is completed; one that holds another cube is
        refused. Blocks are written side by side by Dask's threads, or by the workers of an active
        ``dask.distributed`` client; their number does not change a byte.
    level : float
        Coverage of the interval.
    max_distance : float, optional, km
        Cells farther from every station are marked unsupported. Default: three times the 95th percentile of the
        distance between neighbouring stations.
    background : xarray.DataArray or Dataset, optional
        A field of the target, ``(time, lat, lon)`` in the stations' units: CAMS, CMAQ. The estimate is this background, bias-corrected at
        the visible stations, and an increment. A model takes the one it was trained on, over any period.
    rasters : mapping of str to xarray.DataArray, optional
        Those that the model was trained on. In cells without data the estimate does without their term, and is marked unsupported.
    chunks : dict, optional
        Block size by dimension, such as ``{"time": 240, "lat": 200, "lon": 200}``; -1 for all. Does not change values
        beyond the rounding of float32.
    overwrite : bool
        Delete the cube at ``store``, with everything in its folder, and start anew.
    update : bool
        Bring the cube at ``store`` up to date: steps after its end are appended, blocks that read observations which
        have changed since are computed anew, and all others are left alone. The period must begin where the cube
        begins. Where there is no cube yet, it is made.
    precision : float, optional
        In the target's units: round what is stored to within half of it, which makes a cube much smaller.
    zarr_format : 3 or 2
        Of the store. Zarr 2 has no shards: more files.
    consolidated : bool
        Gather the store's metadata in one place when it is finished.
    progress : bool
        Show a progress bar on stderr while writing.

    Returns
    -------
    xarray.Dataset
        ``<target>(time, lat, lon)`` float32 in the dataset's units, never negative; ``<target>_lower``, ``_upper``
        where the mapper has an interval; ``nearest_station(lat, lon)`` in km; ``supported(lat, lon)``;
        ``stations_reporting(time)``. Lazy without ``store``: nothing is computed, except that a method given by name
        is fitted.

    Raises
    ------
    SchemaError
        The dataset, target, period, chunks, background or rasters are not usable.
    ModelError
        There is no such method, or the model does not fit: another target, step, units, background or rasters.
    GridError
        The grid is none, or all of it lies farther than ``max_distance`` from every station.
    StoreError
        The store holds another cube, is being written by another process, or cannot be written.

    Notes
    -----
    Steps at which no visible station reports are NaN; ``stations_reporting`` is 0 there.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
    >>> cube = ds.aq.reanalyze("idw", grid=0.5)
    >>> dict(cube.pm25.sizes)
    {'time': 48, 'lat': 6, 'lon': 8}
    """
    plan = make_plan(
        ds,
        mapper,
        target=target,
        time=time,
        init=init,
        level=level,
        max_distance=max_distance,
        background=background,
        rasters=rasters,
    )
    # Round hidden stations too: a map that leaves them out could not show what they say.
    everywhere = border.conform(ds)
    grid = Grid.of(grid, everywhere[LON].values, everywhere[LAT].values)
    check_reach(grid, plan)
    warn_if_silent(plan)
    sizes = _block_sizes(plan, grid, chunks)
    cube = _lazy_cube(plan, grid, sizes)
    if store is None:
        return cube
    lasting = (
        "method",
        "model_hash",
        "target",
        "units",
        "stations_hash",
        "init_time",
        "interval_level",
        "max_distance_km",
        "background",
        "rasters",
    )
    identity = {
        **{name: plan.provenance[name] for name in lasting if name in plan.provenance},
        "grid": tokenize(grid.lon, grid.lat, grid.spacing),
    }
    return cube_store.write_cube(
        cube, store, identity=identity, block=sizes, inputs=_fingerprints(plan, sizes[0], grid),
        options=cube_store.StoreOptions(precision, zarr_format, consolidated),
        overwrite=overwrite, update=update, progress=progress,
    )  # fmt: skip


def estimate(
    ds: xr.Dataset,
    mapper: Mapper | str,
    *,
    lon: ArrayLike,
    lat: ArrayLike,
    target: str | None = None,
    time: border.Period = None,
    init: str | np.datetime64 | pd.Timestamp | None = None,
    level: float = 0.9,
    max_distance: float | None = None,
    background: xr.DataArray | xr.Dataset | None = None,
    rasters: Mapping[str, xr.DataArray] | None = None,
) -> xr.Dataset:
    """Estimate the target at points: addresses, cohorts, another instrument.

    Parameters
    ----------
    ds : xarray.Dataset
        A station dataset; hidden stations are not used.
    mapper : Model or name of a classical method
        As for :func:`reanalyze`.
    lon, lat : array_like, (n_point,) degrees
        A DataArray's own dimension and coordinate are kept; otherwise the dimension is ``point``.
    target, time, init, level, max_distance, background, rasters : optional
        As for :func:`reanalyze`.

    Returns
    -------
    xarray.Dataset
        ``<target>(time, point)`` and its bounds, as :func:`reanalyze` gives them in the cell centred there. Lazy.

    Raises
    ------
    SchemaError, ModelError
        As for :func:`reanalyze`.
    GridError
        There are no points, they have no coordinates, or all lie farther than ``max_distance`` from every station.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
    >>> ds.aq.estimate("idw", lon=[10.0, 10.2], lat=[50.0, 50.1]).pm25.shape
    (48, 2)
    """
    plan = make_plan(
        ds,
        mapper,
        target=target,
        time=time,
        init=init,
        level=level,
        max_distance=max_distance,
        background=background,
        rasters=rasters,
    )
    dim, coords = _point_coords(lon, lat)
    x, y = coords[LON].values, coords[LAT].values
    if not len(x):
        raise GridError("no points: lon and lat are empty")
    if not (np.isfinite(x) & np.isfinite(y)).all():
        raise GridError(f"{int((~np.isfinite(x + y)).sum())} of {len(x)} points have no coordinates; mend: drop them")
    if np.abs(y).max() > 90:
        raise GridError(f"lat reaches {y[np.abs(y).argmax()]:g}, expected -90..90; are lon and lat swapped?")
    check_points(x, y, plan)
    fields = _point_fields(plan, x, y, _BLOCK_VALUES // len(x))
    node = _delayed(_nearest_points)(_silent_node(plan), plan.source[LON].values, plan.source[LAT].values, x, y)
    near = xr.Variable((dim,), da.from_delayed(node, (len(x),), np.float32))
    missing = None
    if fields_of(plan.mapper):
        missing = da.from_delayed(_delayed(_missing_points)(plan.mapper, plan.times, x, y), (len(x),), bool)
    return _dress(plan, fields, (TIME, dim), {**coords, TIME: _time_variable(plan)}, near, missing)


def estimate_quantiles(
    ds: xr.Dataset,
    mapper: Mapper | str,
    probabilities: Sequence[float],
    *,
    lon: xr.DataArray,
    lat: xr.DataArray,
    target: str,
    time: border.Period = None,
    background: xr.DataArray | xr.Dataset | None = None,
    rasters: Mapping[str, xr.DataArray] | None = None,
) -> xr.Dataset:
    """Estimate the target and the quantiles of its distribution at points: what scores are made from.

    Returns
    -------
    xarray.Dataset
        ``<target>(time, point)`` and, where the mapper has a distribution, ``<target>_quantile(quantile, time, point)``
        in the order of ``probabilities``. Lazy, in blocks of bounded size however many quantiles there are.
    """
    plan = make_plan(ds, mapper, target=target, time=time, background=background, rasters=rasters)
    for field in fields_of(plan.mapper):
        field.check_covers(lon.values, lat.values, "hidden stations")
    if plan.probabilities:
        plan = replace(plan, probabilities=tuple(probabilities))
    dim, coords = _point_coords(lon, lat)
    x, y = coords[LON].values, coords[LAT].values
    fields = _point_fields(plan, x, y, _BLOCK_VALUES // (_n_fields(plan) * len(x)))
    data: dict[str, Any] = {target: ((TIME, dim), fields[0])}
    if plan.probabilities:
        data[f"{target}_quantile"] = ((QUANTILE, TIME, dim), fields[1:])
        coords[QUANTILE] = xr.Variable((QUANTILE,), np.array(plan.probabilities))
    return xr.Dataset(data, {**coords, TIME: _time_variable(plan)})


# -- the graph -----------------------------------------------------------------------------------------------------


def _delayed(function: Callable) -> Any:
    return dask.delayed(function, pure=True, traverse=False)


def _n_fields(plan: Plan) -> int:
    return 1 + len(plan.probabilities)


def _point_fields(plan: Plan, lon: NDArray, lat: NDArray, n_time: int) -> da.Array:
    """Return ``(field, time, point)``, in blocks of ``n_time`` steps."""
    rows: list[da.Array] = []
    mapper = dask.delayed(plan.mapper, pure=True, traverse=False)
    for times, prepared in _station_nodes(plan, mapper, max(1, n_time)):
        node = _delayed(estimate_fields)(mapper, prepared, len(times), lon, lat, plan.probabilities)
        rows.append(da.from_delayed(node, (_n_fields(plan), len(times), len(lon)), np.float32))
    return da.concatenate(rows, axis=1)


def prepare(plan: Plan) -> tuple[Any, xr.Dataset]:
    """Return the station side of all of a plan's times, and the stations that take part in it, in its order. Computes."""
    ((_, node),) = _station_nodes(plan, plan.mapper, len(plan.times))
    prepared, silent = dask.compute(node, _silent_node(plan))
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
    silent = _silent_node(plan)
    return [
        (p.times, _delayed(_prepare)(mapper, lon, lat, p.record, p.times, silent, len(plan.known), *p.arrays))
        for p in _periods(plan, n_time)
    ]


def _fingerprints(plan: Plan, n_time: int, grid: Grid) -> list[int]:
    """Return for each period a hash of all that its estimates read, never 0. Computes it, one period at a time."""
    (silent,) = dask.compute(_silent_node(plan))
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


def _silent_node(plan: Plan) -> Any:
    """Return which stations never report, lazily for lazy data; those in memory are left out of the plan already."""
    variable = plan.source[plan.target].transpose(STATION, TIME)
    if variable.chunks is None:
        return np.zeros(variable.sizes[STATION], bool)
    return _delayed(silent_stations)(variable.isel({TIME: readable_steps(plan.mapper, plan.source, plan.init)}).data)


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
    distance = _nearest_points(silent, lon, lat, x.ravel(), y.ravel())
    return distance.reshape(x.shape).astype(np.float32)


def _missing_tile(mapper: Mapper, times: NDArray, grid_lon: NDArray, grid_lat: NDArray) -> NDArray[np.bool_]:
    x, y = np.meshgrid(grid_lon, grid_lat)
    return _missing_points(mapper, times, x.ravel(), y.ravel()).reshape(x.shape)


def _missing_points(mapper: Mapper, times: NDArray, x: NDArray, y: NDArray) -> NDArray[np.bool_]:
    """Return where a field or a raster that the mapper reads has no value at one of the times."""
    return np.any([field.missing(x, y, times) for field in fields_of(mapper)], axis=0)


def _nearest_points(silent: NDArray, lon: NDArray, lat: NDArray, x: NDArray, y: NDArray) -> NDArray[np.float32]:
    return sphere.nearest(lon[~silent], lat[~silent], x, y, 1)[1][:, 0].astype(np.float32)


def _split(n: int, size: int) -> list[slice]:
    return [slice(i, min(i + size, n)) for i in range(0, n, size)]


def _block_sizes(plan: Plan, grid: Grid, chunks: dict[str, int] | None) -> tuple[int, int, int]:
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
    per_day = windows.steps_per_day(windows.regular_step(plan.source[TIME].values))
    days = min(_BLOCK_DAYS, max(1, _BLOCK_VALUES // (abs(size[LAT] * size[LON]) * per_day)))
    n_time = (chunks or {}).get(TIME, days * per_day)
    wholes = (len(plan.times), n_lat, n_lon)
    sizes = [whole if n == -1 else n for n, whole in zip((n_time, size[LAT], size[LON]), wholes, strict=True)]
    return sizes[0], sizes[1], sizes[2]


def _lazy_cube(plan: Plan, grid: Grid, sizes: tuple[int, int, int]) -> xr.Dataset:
    n_time, n_lat, n_lon = sizes
    lon, lat = plan.source[LON].values, plan.source[LAT].values
    silent = _silent_node(plan)
    rows, columns = _split(grid.shape[0], n_lat), _split(grid.shape[1], n_lon)
    blocks: list[list[list[list[da.Array]]]] = [[] for _ in range(_n_fields(plan))]
    mapper = dask.delayed(plan.mapper, pure=True, traverse=False)
    for times, prepared in _station_nodes(plan, mapper, n_time):
        for period in blocks:
            period.append([[] for _ in rows])
        for i, row in enumerate(rows):
            for column in columns:
                x, y = grid.lon[column], grid.lat[row]
                node = _delayed(_estimate_tile)(mapper, prepared, len(times), x, y, plan.probabilities)
                shape = (len(times), row.stop - row.start, column.stop - column.start)
                for field, period in enumerate(blocks):
                    period[-1][i].append(da.from_delayed(node[field], shape, np.float32))
    # da.block nests the last dimensions innermost; time, lat, lon are axes -3, -2, -1.
    fields = [da.block(field) for field in blocks]

    def tiles(function: Callable, *arguments: Any, dtype: type) -> da.Array:
        """Return ``(lat, lon)`` from what a function says of each tile."""
        nodes = [[_delayed(function)(*arguments, grid.lon[c], grid.lat[r]) for c in columns] for r in rows]
        shape = [[(r.stop - r.start, c.stop - c.start) for c in columns] for r in rows]
        return da.block([
            [da.from_delayed(n, s, dtype) for n, s in zip(*pair, strict=True)] for pair in zip(nodes, shape, strict=True)
        ])  # fmt: skip

    near = tiles(_nearest_tile, silent, lon, lat, dtype=np.float32)
    missing = tiles(_missing_tile, mapper, plan.times, dtype=bool) if fields_of(plan.mapper) else None
    coords = {TIME: _time_variable(plan), **grid.coords()}
    cube = _dress(plan, fields, (TIME, LAT, LON), coords, xr.Variable((LAT, LON), near), missing)
    cube = cube.assign_coords(grid.bounds()).rio.write_crs("EPSG:4326")
    for name in cube.data_vars:
        if {LAT, LON} <= set(cube[name].dims):
            # As an attribute, so that the store keeps it whatever its encoding.
            cube[name].encoding.pop("grid_mapping", None)
            cube[name].attrs["grid_mapping"] = "spatial_ref"
    return cube


# -- labels --------------------------------------------------------------------------------------------------------


def _time_variable(plan: Plan) -> xr.Variable:
    return xr.Variable(
        (TIME,),
        plan.times,
        {"standard_name": "time", "axis": "T", "long_name": "start of the interval (UTC)", "bounds": "time_bnds"},
    )


def _point_coords(lon: ArrayLike, lat: ArrayLike) -> tuple[str, dict[str, xr.Variable]]:
    dim = str(lon.dims[0]) if isinstance(lon, xr.DataArray) and lon.ndim == 1 else POINT
    x, y = (np.atleast_1d(np.asarray(v, float)) for v in (lon, lat))
    if x.ndim != 1 or x.shape != y.shape:
        raise GridError(f"lon has shape {x.shape}, lat {y.shape}; expected one dimension and equal length")
    coords = {LON: xr.Variable((dim,), x), LAT: xr.Variable((dim,), y)}
    if isinstance(lon, xr.DataArray) and dim in lon.coords:
        coords[dim] = lon[dim].variable
    return dim, coords


def _field_names(plan: Plan) -> str:
    return " and ".join(repr(field.name) for field in fields_of(plan.mapper))


def _dress(
    plan: Plan,
    fields: da.Array | list[da.Array],
    dims: tuple[str, ...],
    coords: dict[str, xr.Variable],
    near: xr.Variable,
    missing: da.Array | None,
) -> xr.Dataset:
    """Return the dataset with CF names, units, bounds, provenance and the accuracy certificate.

    ``missing`` says where a field or a raster that the mapper reads has no value; None where it reads none.
    """
    target, units = plan.target, str(plan.source[plan.target].attrs["units"])
    percent = f"{100 * plan.provenance['interval_level']:g} %"
    space = dims[1:]
    attrs = {**cf_attrs(target, units), "cell_methods": "time: mean", "ancillary_variables": "supported"}
    attrs.setdefault("long_name", label(target))
    data: dict[str, Any] = {target: (dims, fields[0], attrs)}
    if plan.probabilities:
        for i, side in enumerate(("lower", "upper"), 1):
            text = f"{side} bound of the {percent} interval of {attrs['long_name']}"
            data[f"{target}_{side}"] = (dims, fields[i], {"units": units, "long_name": text})
        attrs["ancillary_variables"] += f" {target}_lower {target}_upper"
    data["nearest_station"] = (
        space,
        near.data,
        {"units": "km", "long_name": "great-circle distance to the nearest visible station"},
    )
    supported, meaning = (
        near.data <= np.float32(plan.max_distance),
        f"a visible station lies within {plan.max_distance:.6g} km",
    )
    if missing is not None:
        supported, meaning = supported & ~missing, f"{meaning}, and {_field_names(plan)} are there at every step"
    data["supported"] = (
        space,
        supported,
        {
            "long_name": meaning,
            "flag_values": np.array([0, 1], "i1"),
            "flag_meanings": "unsupported supported",
        },
    )
    if plan.init is None:
        reporting = plan.source[plan.target].sel({TIME: plan.times}).notnull().sum(STATION).astype(np.int32)
        if reporting.chunks is not None:
            reporting = reporting.chunk({TIME: fields[0].chunks[0]})
        data["stations_reporting"] = (
            (TIME,),
            reporting.data,
            {"units": "1", "long_name": "visible stations that report at the step"},
        )
    ds = xr.Dataset(data, coords=coords)
    step = windows.regular_step(plan.source[TIME].values)
    edges = np.stack([plan.times, plan.times + step], axis=1)
    ds = ds.assign_coords(time_bnds=((TIME, "bnds"), edges))
    for name in ("time", "time_bnds"):
        ds[name].encoding.update(units="seconds since 1970-01-01", dtype="int64", calendar="proleptic_gregorian")
    identifier = plan.provenance["model_hash"][:12]
    kind = "analysis" if plan.init is None else f"forecast from {plan.init}"
    return ds.assign_attrs(
        Conventions="CF-1.11",
        title=f"{label(target)} {kind}, {plan.provenance['method']} from {plan.provenance['visible_stations']} stations",
        source=f"station observations, {plan.provenance['method']} {identifier}",
        history=f"xaq {plan.provenance['xaq_version']}: {kind} of {target} with {plan.provenance['method']} {identifier}",
        references="Kheder et al., SCIA 2025, arXiv 2502.11941",
        xaq_provenance=json.dumps(plan.provenance, sort_keys=True),
    )
