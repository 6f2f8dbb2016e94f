"""Sampling of fields: values at points (``sample_points``), or as a variable of a station dataset (``sample``)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from .._arguments import check_text, shown
from ..conventions import LAT, LON, POINT, STATION, TIME
from ..errors import SchemaError
from ..stations import schema
from ..stations.points import pair_points
from ..stations.timestamps import step_of
from .gridded import Gridded, Method


def sample_points(
    field: xr.DataArray | xr.Dataset,
    lon: ArrayLike,
    lat: ArrayLike,
    time: ArrayLike | None = None,
    *,
    method: Method = "bilinear",
) -> xr.DataArray:
    """Return a field's values at points.

    Parameters
    ----------
    field : xarray.DataArray or Dataset
        A field ``(time, lat, lon)``, in any order of dimensions, or a static raster in any CRS that rioxarray knows, or on a
        curvilinear grid of two-dimensional longitudes and latitudes.
        Latitude may ascend or descend; longitude may be in any convention, and may wrap, as 345..360, 0..15. Missing cells
        are NaN, or the raster's nodata value.
    lon, lat : array_like, (n_point,) degrees
        Positions of the points, as for :func:`xaq.estimate`; longitudes in any convention.
    time : array_like, (n_time,) datetime64, UTC, optional
        Times of the values, interpolated linearly between the field's own. Default: the field's own times.
    method : {"bilinear", "nearest"}
        Interpolation in space. Bilinear interpolation with a missing cell gives NaN.

    Returns
    -------
    xarray.DataArray
        ``(point,)``, or ``(point, time)``, float32. Lazy where the field is a Dask array.

    Raises
    ------
    SchemaError
        The array is not a field, or does not cover the points or the times. In the outermost half cell values are those
        of its centre; there is no extrapolation beyond it, nor beyond the first and the last time. Its axes have a hole
        wider than twice the spacing, or it has no grid: points.
    GridError
        The points are not one for one, or have no coordinates.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from xaq.fields.sample import sample_points
    >>> field = xr.DataArray([[0.0, 1.0], [2.0, 3.0]], coords={"lat": [51.0, 50.0], "lon": [10.0, 11.0]}, dims=("lat", "lon"))
    >>> sample_points(field, [10.5], [50.5]).values
    array([1.5], dtype=float32)
    """
    gridded = Gridded.of(field, method=method)
    points = pair_points(lon, lat)
    x, y = points.lon, points.lat
    gridded.check_covers(x, y, "points")
    coords: dict[str, Any] = {LON: (POINT, x), LAT: (POINT, y)}
    if gridded.is_static and time is None:
        return xr.DataArray(gridded.lazy(x, y), coords, (POINT,), gridded.name, _attrs(field, gridded))
    times = gridded.times if time is None else _times(time)
    if not gridded.is_static:
        gridded.check_period(times.min(), times.max(), gaps=True)
    values = gridded.lazy(x, y, times)
    return xr.DataArray(values, {**coords, TIME: times}, (POINT, TIME), gridded.name, _attrs(field, gridded))


def sample(
    ds: xr.Dataset, field: xr.DataArray | xr.Dataset, *, name: str | None = None, method: Method = "bilinear"
) -> xr.Dataset:
    """Add a gridded field, or a static raster, to a station dataset as a variable at its stations.

    Parameters
    ----------
    ds : xarray.Dataset
        A station dataset.
    field : xarray.DataArray or Dataset
        As for :func:`xaq.fields.sample.sample_points`: weather of a reanalysis, a chemical transport model, a digital
        elevation model. A step longer than that of the stations is interpolated linearly, with a
        warning where its values are means; a shorter one is an error.
    name : str, optional
        Name of the new variable, and of the one to take from a dataset of several. Default: the field's own name.
    method : {"bilinear", "nearest"}
        Interpolation in space.

    Returns
    -------
    xarray.Dataset
        With the variable ``<name>(station, time)``, for ``covariates=`` or ``known=``; of a static field, with the
        coordinate ``<name>(station)``. Its attributes and ``history`` record the source. Lazy where the field is.

    Raises
    ------
    SchemaError
        The array is not a field, does not cover the stations or the period, or its name exists in the dataset.

    Notes
    -----
    Timestamps are compared without a shift: those of stations label the start of their interval, those of models often
    label instants. Forms that :func:`xaq.open_field` knows are normalised first, which moves means and sums to the start
    of their interval.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xaq
    >>> ds = xaq.datasets.synthetic(n_stations=8, days=2)
    >>> axes = {"time": ds.time.values[::3], "lat": [48.0, 52.0], "lon": [8.0, 12.0]}
    >>> wind = xr.DataArray(np.ones((16, 2, 2)), axes, ("time", "lat", "lon"), "wind", {"units": "m s-1"})
    >>> ds.isel(time=slice(0, 46)).aq.sample(wind).wind.shape
    (8, 46)
    """
    if name is not None:
        name = check_text(name, "name", "the name of a variable, or None", fix="name='field'")
    ds = schema.conform(ds)
    gridded = Gridded.of(field, name, method=method)
    if gridded.name in ds.variables:
        raise SchemaError(
            f"the dataset already has {gridded.name!r}; fix: name='another', or ds.drop_vars({gridded.name!r})",
            subject="sample",
        )
    lon, lat = schema.positions(ds)
    gridded.check_covers(lon, lat, "stations")
    attrs = _attrs(field, gridded)
    if gridded.is_static:
        made = ds.assign_coords({gridded.name: ((STATION,), gridded.lazy(lon, lat), attrs)})
    else:
        times = ds[TIME].values.astype("datetime64[s]")
        gridded.check_period(times[0], times[-1], gaps=True)
        gridded.check_step(step_of(ds[TIME]), times[0])
        made = ds.assign({gridded.name: ((STATION, TIME), gridded.lazy(lon, lat, times), attrs)})
    return schema.record(made, "sample", [f"{gridded.name} {attrs['source']}"])


def _times(time: ArrayLike) -> NDArray[np.datetime64]:
    try:
        times = pd.DatetimeIndex(np.atleast_1d(np.asarray(time))).values.astype("datetime64[s]")
    except (ValueError, TypeError, OverflowError):
        times = np.array(["NaT"], "datetime64[s]")
    if not len(times) or np.isnat(times).any():
        raise SchemaError(
            f"time is {shown(time)}, expected times in UTC; fix: time=np.array(['2020-01-01T00'], 'datetime64[s]')",
            subject="gridded field",
        )
    return times


def _attrs(field: xr.DataArray | xr.Dataset, gridded: Gridded) -> dict[str, str]:
    """Return units and names of the field, and its source."""
    kept = {k: str(v) for k, v in gridded.data.attrs.items() if k in ("units", "standard_name", "long_name")}
    origin = (
        field.encoding.get("source") or field.attrs.get("title") or field.attrs.get("source") or "an array in memory"
    )
    return {**kept, "source": f"sampled {gridded.method} from {gridded.data.name or gridded.name!r} of {origin}"}
