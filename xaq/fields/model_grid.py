"""Grids of regional models: the axes of their projection, places that are there once per time, the level at the ground."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import rioxarray  # noqa: F401 - registers the .rio accessor
import xarray as xr
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from ..conventions import LAT, LON, ROLE_CF
from ..errors import SchemaError
from ..stations import schema

#: The sphere, in m, on which WRF and the models that it drives project.
SPHERE = 6_370_000.0
#: How far the file's own longitudes and latitudes may lie from the axes of its projection, in cells.
_AGREES = 0.05


def crs_on_sphere(**parameters: Any) -> CRS:
    """Return a CRS in m on the models' sphere, from parameters as PROJ names them."""
    return CRS.from_dict({**parameters, "R": SPHERE, "units": "m", "no_defs": True})


def method_of(crs: CRS) -> str:
    """Return the name of a projection, such as ``"Lambert Conic Conformal (2SP)"``."""
    return "" if crs.coordinate_operation is None else crs.coordinate_operation.method_name


def is_two_dimensional(ds: xr.Dataset) -> bool:
    """Whether a dataset has two-dimensional longitudes and latitudes among its variables instead of its coordinates."""
    try:
        names = schema.find_role(ds, LON), schema.find_role(ds, LAT)
    except SchemaError:  # several by their attributes
        return False
    return all(name in ds.data_vars and ds[name].ndim == 2 for name in names)


def places_as_coordinates(ds: xr.Dataset) -> xr.Dataset:
    """Return a dataset with its longitudes and latitudes as coordinates. Lazy."""
    return ds.set_coords([n for role in (LON, LAT) if (n := schema.find_role(ds, role)) is not None])


def once(coordinate: xr.DataArray, dim: Hashable | None) -> xr.DataArray:
    """Return a coordinate without a dimension along which it only repeats itself; as it is where it changes. Loads it."""
    if dim not in coordinate.dims or not coordinate.sizes[dim]:
        return coordinate
    first = coordinate.isel({dim: 0}, drop=True)
    # Missing places are the same as missing ones, which `==` denies.
    repeated = bool(((coordinate == first) | (coordinate.isnull() & first.isnull())).all())
    return first if repeated else coordinate


def lowest(ds: xr.Dataset, dim: str) -> tuple[xr.Dataset, list[str]]:
    """Return a dataset at the level next to the ground, the first one, and what to record of it. Lazy."""
    if dim not in ds.dims:
        return ds, []
    note = [f"the lowest of {ds.sizes[dim]} levels ({dim}=0)"] if ds.sizes[dim] > 1 else []
    return ds.isel({dim: 0}, drop=True), note


def fitted_axes(lon: NDArray, lat: NDArray, crs: CRS) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the axes x and y of centres ``(y, x)`` in a projection; None where they do not lie on such axes.

    Parameters
    ----------
    lon, lat : (y, x) degrees
        The centres as the file has them, often rounded to float32.
    crs : pyproj.CRS
        The projection that the file states.
    """
    if min(lon.shape) < 2 or not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        return None
    projected = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon.astype(float), lat.astype(float))
    axes = []
    for values in (projected[0], projected[1].T):
        count = np.arange(values.shape[1])
        step, first = np.polyfit(count, values.mean(axis=0), 1)
        if not np.abs(values - (first + step * count)).max() < _AGREES * abs(step):
            return None
        axes.append(first + step * count)
    return axes[0], axes[1]


def on_projection(ds: xr.Dataset, crs: CRS, axes: Mapping[str, NDArray[np.float64]]) -> xr.Dataset:
    """Return a dataset with a CRS, the coordinates of its axes ``x`` and ``y``, and its longitudes and latitudes. Lazy."""
    ds = ds.copy()
    for variable in ds.data_vars.values():
        variable.attrs.pop("grid_mapping", None)
    ds = ds.assign_coords({name: (name, values) for name, values in axes.items()})
    ds = ds.rio.write_crs(crs).rio.write_coordinate_system()
    lon, lat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(*np.meshgrid(axes["x"], axes["y"]))
    return ds.assign_coords({LON: (("y", "x"), lon, ROLE_CF[LON]), LAT: (("y", "x"), lat, ROLE_CF[LAT])})
