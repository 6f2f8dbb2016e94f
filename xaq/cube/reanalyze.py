"""Estimates of a target on a grid, with or without a store, and at points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from dask.base import tokenize
from numpy.typing import ArrayLike, NDArray

from .._arguments import check_flag
from ..arrays import sphere
from ..conventions import LAT, LON, QUANTILE, TIME
from ..errors import StoreError, warn
from ..fields.predictor_field import Fields
from ..interpolate.base import Mapper
from ..stations import limits, schema
from . import store as cube_store
from .calendar import period_in_utc
from .ensemble import Ensemble, Joint, warn_if_incomplete
from .graph import BLOCK_VALUES, block_sizes, check_chunks, lazy_cube, lazy_points, point_layers
from .grid import Grid
from .labels import point_coords, steps_axis
from .layout import StoreOptions
from .location import StoreLike
from .request import (
    Request,
    RequestOptions,
    check_fields_reach,
    check_grid,
    check_points,
    make_request,
    warn_if_silent,
)
from .size import MAX_SIZE, check_limit, check_size
from .station_side import fingerprints
from .tiles import split

#: What of the provenance must agree between a stored cube and a call that completes or extends it.
_IDENTITY = (
    "method", "model_hash", "target", "units", "stations_hash", "init_time", "interval_level", "max_distance_km",
    "background", "rasters", "fields", "drift", "site_effect",
)  # fmt: skip


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
    fields: Fields | None = None,
    members: int | None = None,
    freq: Literal["D", "MS", "QS", "YS"] | None = None,
    tz: str | None = None,
    statistic: Literal["mean", "max"] = "mean",
    capture: float = 0.75,
    support: Literal["point", "cell"] = "point",
    seed: int = 0,
    chunks: Mapping[str, int] | None = None,
    overwrite: bool = False,
    update: bool = False,
    precision: float | None = None,
    zarr_format: Literal[2, 3] = 3,
    consolidated: bool = True,
    max_size: float = MAX_SIZE,
    progress: bool = True,
) -> xr.Dataset:
    """Estimate the target everywhere on a grid.

    Parameters
    ----------
    ds : xarray.Dataset
        A station dataset; hidden stations are not used.
    mapper : Model or {"kriging", "kriging-log", "kriging-spacetime", "kriging-drift", "idw", "nearest"}
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
        refused. Dask's threads write blocks in parallel, or the workers of an active ``dask.distributed`` client; their
        number does not change a byte.
    level : float
        Nominal coverage of the interval.
    max_distance : float, optional, km
        Cells farther from every station are marked unsupported, as are cells unlike all stations in the predictors of the
        trend. Default: the distance at which one station explains a third of the variance about the mean of the network,
        by the mapper's covariance, and at least the 95th percentile of the distance between neighbouring stations.
    background : xarray.DataArray or Dataset, optional
        A field of the target, ``(time, lat, lon)`` in the stations' units: CAMS, CMAQ. The estimate is this background,
        bias-corrected at the visible stations, and an increment. A model takes the background that it was trained on,
        over any period. Cells outside it, or where it is missing, are NaN and unsupported; stations there are left out.
    rasters : mapping of str to xarray.DataArray, optional
        The rasters that the model was trained on, or predictors of ``"kriging-drift"``. In cells without data, or outside,
        the estimate omits their term, and is marked unsupported.
    fields : sequence of xarray.DataArray or Dataset, or mapping of str to xarray.DataArray, optional
        Predictors of ``"kriging-drift"``, or those that the model was trained on: weather, satellite columns, another
        pollutant, ``(time, lat, lon)`` in any units; every variable of a Dataset is one. Where and when a field has no
        value it counts as the mean of the stations; cells outside it, or where it never has one, are marked unsupported.
    members : int, optional
        Make so many members: equally likely truths, whose errors hang together in space and time as errors at held-out
        stations do. Whatever is computed of each member - a mean over a district, days above a limit - has their spread as
        its uncertainty. A mapper without a distribution of errors has none.
    freq : {"D", "MS", "QS", "YS"}, optional
        Estimate days, months, quarters or years in place of steps; the interval is that of their mean. It is made from
        ``members``, at least 50 and as many as ``level`` needs; where they are not given, from 50, at points
        (:func:`estimate`) 200. The standard error of a bound is a fifth of half the width with 50, a tenth with 200
        (docs/means.md). Members are returned only where ``members`` is given. The value is the mean of the estimates; of a
        maximum, and where estimates are medians, it is that of the members.
    tz : str, optional
        Time zone of the periods, such as ``"Europe/Berlin"``, and of texts in ``time``; UTC by default. Of daily values, the
        days that the network reports.
    statistic : {"mean", "max"}
        Of the steps of a period.
    capture : float
        Data capture: a period of which a smaller fraction of the steps is estimated is NaN; where all are, a warning says so.
    support : {"point", "cell"}
        What the interval is of: an instrument somewhere in the cell, at its centre, or the mean of the cell, in which what
        only a site has averages out. The estimate of a step is the same.
    seed : int
        Of the members. Each is the same whatever their number, block sizes and workers.
    chunks : dict, optional
        Block size by dimension, ``time`` in steps or in periods, such as ``{"time": 240, "lat": 200, "lon": 200}``; -1 for
        all. Does not change values beyond the rounding of float32.
    overwrite : bool
        Replace the cube at ``store``. In a folder the new cube is written beside it, gets its name when it is complete,
        and only then is the old one deleted; a store that cannot rename loses the old cube first. A place that holds
        anything but a cube of xaq's is refused. Excludes ``update``.
    update : bool
        Bring the cube at ``store`` up to date: steps after its end are appended, blocks whose inputs have changed are
        computed again, and all others stay as they are. The period must begin where the cube begins. A cube that does
        not exist yet is written.
    precision : float, optional
        In the target's units: stored values are rounded to within half of it, which makes a cube much smaller.
    zarr_format : 3 or 2
        Of the store. Zarr 2 has no shards, so that there are more files.
    consolidated : bool
        Consolidate the store's metadata when it is complete.
    max_size : float, GB
        A larger cube is not written: the grid or the period may be mistyped. Its size is that before compression. Does not
        hold for a cube that ``update`` extends.
    progress : bool
        Show a progress bar on stderr while writing.

    Returns
    -------
    xarray.Dataset
        ``<target>(time, lat, lon)`` float32 in the dataset's units, never negative; ``<target>_lower``, ``_upper``
        where the mapper has an interval; ``<target>_member(member, time, lat, lon)`` where ``members`` is given;
        ``nearest_station(lat, lon)`` in km; ``supported(lat, lon)``; ``dissimilarity(lat, lon)`` from the stations, where the
        trend has static predictors;
        ``stations_reporting(time)``. Lazy without ``store``: nothing is computed, except that a method given by name
        is fitted.

    Raises
    ------
    SchemaError
        The dataset, target, period, chunks, background, rasters or fields are not usable.
    ModelError
        There is no such method, or the model does not fit: another target, step, units, background, rasters or fields.
    GridError
        The grid is not valid, or all of it lies farther than ``max_distance`` from every station.
    StoreError
        The store holds another cube, is being written by another process, or cannot be written; the cube is larger than
        ``max_size``.

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
    # All that a user says is checked before anything is fitted, computed or deleted.
    ensemble = Ensemble(
        members=members, freq=freq, tz=tz, statistic=statistic, capture=capture, support=support, seed=seed
    )  # fmt: skip
    options = RequestOptions(
        target=target, time=period_in_utc(time, ensemble.tz), init=init, level=level, max_distance=max_distance,
        background=background, rasters=rasters, fields=fields,
    )  # fmt: skip
    storing = StoreOptions(precision, zarr_format, consolidated)
    flags = {"overwrite": overwrite, "update": update, "progress": progress}
    flags = {name: check_flag(flag, name, error=StoreError) for name, flag in flags.items()}
    chunks, max_size = check_chunks(chunks), check_limit(max_size)
    cube_store.check_place(store, flags["overwrite"], flags["update"])
    ds = schema.conform(ds)
    # Around hidden stations too: only a map that covers them can be compared with what they observe.
    settled = Grid.of(grid, ds[LON].values, ds[LAT].values)
    request = make_request(ds, mapper, options)
    check_grid(request, settled)
    warn_if_silent(request)
    limits.warn_if_impossible(ds, request.variables)
    joint = Joint(request, ensemble)
    warn_if_incomplete(joint)
    if store is not None:
        check_size(joint, settled, store, max_size=max_size, update=flags["update"])
    sizes = block_sizes(joint, settled, chunks, stored=store is not None)
    cube = lazy_cube(joint, settled, sizes)
    if store is None:
        return cube
    lon, lat = (axis.ravel() for axis in np.meshgrid(settled.lon, settled.lat))
    return cube_store.write_cube(
        cube, store, identity=_identity(request, settled, ensemble), block=sizes,
        inputs=fingerprints(request, _cuts(joint, sizes[0]), lon, lat, joint.fitted),
        options=storing, **flags,
    )  # fmt: skip


def _cuts(joint: Joint, n_time: int) -> list[slice]:
    """Return the steps of each block of so many steps or periods."""
    if joint.ensemble.freq is None:
        return split(len(joint.request.times), n_time)
    calendar = joint.calendar
    return [calendar.block(part.start, part.stop)[0] for part in split(len(calendar.start), n_time)]


def _identity(request: Request, grid: Grid, ensemble: Ensemble) -> dict[str, Any]:
    """Return what makes a cube this cube, however long it is."""
    provenance = {name: request.provenance[name] for name in _IDENTITY if name in request.provenance}
    # The default distance is that of all visible stations here, as the list of stations is: a silent one may report later.
    given = request.given_distance
    provenance["max_distance_km"] = round(request.network_distance if given is None else given, 3)
    return {**provenance, **ensemble.provenance(request), "grid": tokenize(grid.lon, grid.lat, grid.spacing)}


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
    fields: Fields | None = None,
    members: int | None = None,
    freq: Literal["D", "MS", "QS", "YS"] | None = None,
    tz: str | None = None,
    statistic: Literal["mean", "max"] = "mean",
    capture: float = 0.75,
    seed: int = 0,
) -> xr.Dataset:
    """Estimate the target at points: addresses, cohorts, another instrument.

    Parameters
    ----------
    ds : xarray.Dataset
        A station dataset; hidden stations are not used.
    mapper : Model or name of a classical method
        As for :func:`reanalyze`.
    lon, lat : array_like, (n_point,) degrees
        DataArrays, and Series, pair by their labels, and must be along one dimension; their own dimension and coordinate
        are kept. Otherwise they pair by position, and the dimension is ``point``. One number goes with all of the other's.
    target, time, init, level, max_distance, background, rasters, fields : optional
        As for :func:`reanalyze`.
    members, freq, tz, statistic, capture, seed : optional
        As for :func:`reanalyze`.

    Returns
    -------
    xarray.Dataset
        ``<target>(time, point)``, its bounds and members, equal to those of :func:`reanalyze` in a cell centred there (with
        ``freq``, from as many members). Lazy.

    Raises
    ------
    SchemaError, ModelError
        As for :func:`reanalyze`.
    GridError
        There are no points, some have no coordinates, their labels or dimensions differ, or all lie farther than
        ``max_distance`` from every station.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
    >>> ds.aq.estimate("idw", lon=[10.0, 10.2], lat=[50.0, 50.1]).pm25.shape
    (48, 2)
    """
    ensemble = Ensemble(
        members=members, freq=freq, tz=tz, statistic=statistic, capture=capture, seed=seed, at_points=True
    )
    options = RequestOptions(
        target=target, time=period_in_utc(time, ensemble.tz), init=init, level=level, max_distance=max_distance,
        background=background, rasters=rasters, fields=fields,
    )  # fmt: skip
    ds = schema.conform(ds)
    request = make_request(ds, mapper, options)
    limits.warn_if_impossible(ds, request.variables)
    warn_if_incomplete(Joint(request, ensemble))
    found = estimate_at(request, lon=lon, lat=lat, ensemble=ensemble)
    _warn_of_far_points(request, found[LON].values, found[LAT].values)
    return found


def _warn_of_far_points(request: Request, lon: NDArray, lat: NDArray) -> None:
    """Warn of points beyond the reach of the stations: their estimates are numbers like any other."""
    distance = sphere.nearest(request.lon, request.lat, lon, lat, 1)[1][:, 0]
    far = int((distance > request.max_distance).sum())
    if far:
        at = int(distance.argmax())
        warn(
            f"{far} of {len(lon)} points are farther than max_distance={request.max_distance:.0f} km from any station, and their estimates "
            f"are not supported; the farthest (lon={lon[at]:g}, lat={lat[at]:g}) is {distance[at]:.0f} km away; "
            f"fix: found[{request.target!r}].where(found['supported']), of found = ds.aq.estimate(...)"
        )


def estimate_at(
    request: Request,
    *,
    lon: ArrayLike,
    lat: ArrayLike,
    ensemble: Ensemble | None = None,
    of_stations: bool = False,
) -> xr.Dataset:
    """Estimate the target of a request at points, as :func:`xaq.estimate` returns it, or at stations, however far away. Lazy."""
    dim, coords = point_coords(request, lon, lat)
    x, y = coords[LON].values, coords[LAT].values
    if of_stations:
        check_fields_reach(request, x, y, "stations")
    else:
        check_points(request, x, y)
    return lazy_points(request, x, y, dim, coords, ensemble or Ensemble())


def estimate_quantiles(
    request: Request, probabilities: Sequence[float], *, lon: xr.DataArray, lat: xr.DataArray
) -> xr.Dataset:
    """Estimate the target and the quantiles of its distribution at hidden stations: what scores are made from.

    Parameters
    ----------
    request : Request
        What is estimated; its own probabilities do not matter.
    probabilities : sequence of float
        Of the quantiles.
    lon, lat : xarray.DataArray, (point,) degrees
        Of the hidden stations; their dimension is kept.

    Returns
    -------
    xarray.Dataset
        ``<target>(time, point)`` and, where the mapper has a distribution, ``<target>_quantile(quantile, time, point)``
        in the order of ``probabilities``. Lazy, in blocks of bounded size however many quantiles there are.
    """
    check_fields_reach(request, lon.values, lat.values, "hidden stations")
    if request.probabilities:
        request = replace(request, probabilities=tuple(probabilities))
    dim, coords = point_coords(request, lon, lat)
    x, y = coords[LON].values, coords[LAT].values
    layers = point_layers(request, x, y, BLOCK_VALUES // (request.n_layers * len(x)))
    data: dict[str, Any] = {request.target: ((TIME, dim), layers[0])}
    if request.probabilities:
        data[f"{request.target}_quantile"] = ((QUANTILE, TIME, dim), layers[1:])
        coords[QUANTILE] = xr.Variable((QUANTILE,), np.array(request.probabilities))
    return xr.Dataset(data, {**coords, TIME: steps_axis(request).variable})
