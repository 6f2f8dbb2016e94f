"""Rasters and gridded fields at points: sampled lazily, in any CRS, and never beyond what they cover.

A :class:`Gridded` is what a user's array becomes at the border: axes found and ascending, its CRS known, its missing cells NaN.
It is read in windows, so that a field of any size is only ever opened where something is asked of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from ..arrays import timesteps
from ..conventions import LAT, LON, POINT, STATION, TIME
from ..errors import SchemaError
from ..stations import schema
from .gridded import Gridded, Method

# -- verbs ---------------------------------------------------------------------------------------------------------


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
        Gridded, ``(time, lat, lon)`` in any order, or a static raster that rioxarray can read, in any CRS. A latitude may
        descend, longitudes may be counted from 0 or from -180. Missing cells are NaN, or the raster's nodata value.
    lon, lat : array_like, (n_point,) degrees
        Of the points.
    time : array_like, (n_time,) datetime64, UTC, optional
        Of a field in time; its own times unless given. Between two of them values are interpolated linearly.
    method : {"bilinear", "nearest"}
        In space. Beside a missing cell, bilinear has no value.

    Returns
    -------
    xarray.DataArray
        ``(point,)``, or ``(point, time)``, float32. Lazy where the field is a Dask array.

    Raises
    ------
    SchemaError
        The array is no field, or does not cover the points or the times. The outermost half cell has the value of its
        centre; beyond it, and beyond the first and the last time, nothing is made up.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from xaq.fields.sample import sample_points
    >>> field = xr.DataArray([[0.0, 1.0], [2.0, 3.0]], coords={"lat": [51.0, 50.0], "lon": [10.0, 11.0]}, dims=("lat", "lon"))
    >>> sample_points(field, [10.5], [50.5]).values
    array([1.5], dtype=float32)
    """
    gridded = Gridded.of(field, method=method)
    x, y = np.atleast_1d(np.asarray(lon, float)), np.atleast_1d(np.asarray(lat, float))
    if x.ndim != 1 or x.shape != y.shape:
        raise SchemaError(
            f"lon has shape {x.shape}, lat {y.shape}; expected one dimension and equal length", subject="points"
        )
    gridded.check_covers(x, y, "points")
    coords: dict[str, Any] = {LON: (POINT, x), LAT: (POINT, y)}
    if gridded.is_static and time is None:
        return xr.DataArray(gridded.lazy(x, y), coords, (POINT,), gridded.name, _attrs(field, gridded))
    times = (
        gridded.times
        if time is None
        else pd.DatetimeIndex(np.atleast_1d(np.asarray(time))).values.astype("datetime64[s]")
    )
    if not gridded.is_static:
        gridded.check_period(times.min(), times.max())
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
        As for :func:`xaq.fields.sample.sample_points`: weather of a reanalysis, a chemical transport model, a digital elevation model. Its
        steps may be longer than the stations', and are then interpolated linearly; a shorter one is refused.
    name : str, optional
        Of the new variable, and of the one to take from a dataset of several; the field's own by default.
    method : {"bilinear", "nearest"}
        In space.

    Returns
    -------
    xarray.Dataset
        With ``<name>(station, time)``, to be used in ``covariates=`` or ``known=``; of a static field, a coordinate
        ``<name>(station)``. Where it comes from is in its attributes and in ``history``. Lazy where the field is.

    Raises
    ------
    SchemaError
        The array is no field, does not cover the stations or the period, or the name is taken.

    Notes
    -----
    Timestamps are compared as they are: those of stations label the start of their interval, those of a model are often instants.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xaq
    >>> ds = xaq.datasets.synthetic(n_stations=8, days=2)
    >>> axes = {"time": ds.time.values[::3], "lat": [48.0, 52.0], "lon": [8.0, 12.0]}
    >>> wind = xr.DataArray(np.ones((16, 2, 2)), axes, ("time", "lat", "lon"), "wind", {"units": "m s-1"})
    >>> ds.isel(time=slice(0, 46)).aq.sample(wind).wind.shape
    (8, 46)
    """
    ds = schema.conform(ds)
    gridded = Gridded.of(field, name, method=method)
    if gridded.name in ds.variables:
        raise SchemaError(
            f"there is a variable {gridded.name!r} already; fix: name='another', or ds.drop_vars({gridded.name!r})",
            subject="sample",
        )
    lon, lat = ds[LON].values.astype(float), ds[LAT].values.astype(float)
    gridded.check_covers(lon, lat, "stations")
    attrs = _attrs(field, gridded)
    if gridded.is_static:
        made = ds.assign_coords({gridded.name: ((STATION,), gridded.lazy(lon, lat), attrs)})
    else:
        times = ds[TIME].values.astype("datetime64[s]")
        gridded.check_period(times[0], times[-1])
        gridded.check_step(timesteps.regular_step(times))
        made = ds.assign({gridded.name: ((STATION, TIME), gridded.lazy(lon, lat, times), attrs)})
    return schema.record(made, "sample", [f"{gridded.name} {attrs['source']}"])


def _attrs(field: xr.DataArray | xr.Dataset, gridded: Gridded) -> dict[str, str]:
    """Return units and names as the field has them, and where it comes from."""
    kept = {k: str(v) for k, v in gridded.data.attrs.items() if k in ("units", "standard_name", "long_name")}
    origin = (
        field.encoding.get("source") or field.attrs.get("title") or field.attrs.get("source") or "an array in memory"
    )
    return {**kept, "source": f"sampled {gridded.method} from {gridded.data.name or gridded.name!r} of {origin}"}
