"""From stations, a grid and any mapper to a lazy cube, or to a series at points. Labels and Dask; never torch.

The graph has one node per period for the station side, shared by the tiles that are computed together, and one per
block for the cell side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr
from dask.base import tokenize
from numpy.typing import ArrayLike

from ..conventions import LAT, LON, QUANTILE, TIME
from ..errors import GridError
from ..interpolate.base import Mapper
from ..stations import schema
from . import layout
from . import store as cube_store
from .graph import (
    BLOCK_VALUES,
    block_sizes,
    delayed,
    fingerprints,
    lazy_cube,
    missing_points,
    n_fields,
    nearest_points,
    point_fields,
    silent_node,
)
from .grid import Grid
from .labels import labelled, point_coords, time_variable
from .location import StoreLike
from .request import check_points, check_reach, fields_of, make_plan, warn_if_silent


def reanalyze(
    ds: xr.Dataset,
    mapper: Mapper | str,
    *,
    target: str | None = None,
    grid: Grid | float | xr.Dataset | xr.DataArray = 0.1,
    time: schema.Period = None,
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
    everywhere = schema.conform(ds)
    grid = Grid.of(grid, everywhere[LON].values, everywhere[LAT].values)
    check_reach(grid, plan)
    warn_if_silent(plan)
    sizes = block_sizes(plan, grid, chunks)
    cube = lazy_cube(plan, grid, sizes)
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
        cube, store, identity=identity, block=sizes, inputs=fingerprints(plan, sizes[0], grid),
        options=layout.StoreOptions(precision, zarr_format, consolidated),
        overwrite=overwrite, update=update, progress=progress,
    )  # fmt: skip


def estimate(
    ds: xr.Dataset,
    mapper: Mapper | str,
    *,
    lon: ArrayLike,
    lat: ArrayLike,
    target: str | None = None,
    time: schema.Period = None,
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
    dim, coords = point_coords(lon, lat)
    x, y = coords[LON].values, coords[LAT].values
    if not len(x):
        raise GridError("no points: lon and lat are empty")
    if not (np.isfinite(x) & np.isfinite(y)).all():
        raise GridError(f"{int((~np.isfinite(x + y)).sum())} of {len(x)} points have no coordinates; fix: drop them")
    if np.abs(y).max() > 90:
        raise GridError(f"lat reaches {y[np.abs(y).argmax()]:g}, expected -90..90; are lon and lat swapped?")
    check_points(x, y, plan)
    fields = point_fields(plan, x, y, BLOCK_VALUES // len(x))
    node = delayed(nearest_points)(silent_node(plan), plan.source[LON].values, plan.source[LAT].values, x, y)
    near = xr.Variable((dim,), da.from_delayed(node, (len(x),), np.float32))
    missing = None
    if fields_of(plan.mapper):
        missing = da.from_delayed(delayed(missing_points)(plan.mapper, plan.times, x, y), (len(x),), bool)
    return labelled(plan, fields, (TIME, dim), {**coords, TIME: time_variable(plan)}, near, missing)


def estimate_quantiles(
    ds: xr.Dataset,
    mapper: Mapper | str,
    probabilities: Sequence[float],
    *,
    lon: xr.DataArray,
    lat: xr.DataArray,
    target: str,
    time: schema.Period = None,
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
    dim, coords = point_coords(lon, lat)
    x, y = coords[LON].values, coords[LAT].values
    fields = point_fields(plan, x, y, BLOCK_VALUES // (n_fields(plan) * len(x)))
    data: dict[str, Any] = {target: ((TIME, dim), fields[0])}
    if plan.probabilities:
        data[f"{target}_quantile"] = ((QUANTILE, TIME, dim), fields[1:])
        coords[QUANTILE] = xr.Variable((QUANTILE,), np.array(plan.probabilities))
    return xr.Dataset(data, {**coords, TIME: time_variable(plan)})
