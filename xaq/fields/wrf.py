"""WRF, WRF-Chem and CHIMERE: times as characters, two-dimensional longitudes, staggered variables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from pyproj import CRS

from ..conventions import LAT, LON, ROLE_CF, TIME
from ..errors import SchemaError
from ..stations import schema
from .model_grid import SPHERE, crs_on_sphere, fitted_axes, lowest, method_of, on_projection, once

_SUBJECT = "model file"
_PLACES = (("XLONG", "XLAT"), ("lon", "lat"), ("nav_lon", "nav_lat"))
#: New names of attributes of variables; those without one are dropped.
_ATTRS = {"description": "long_name", "MemoryOrder": "", "stagger": "", "FieldType": "", "coordinates": ""}
_ROW, _COLUMN, _LEVEL = "south_north", "west_east", "bottom_top"


def recognise(ds: xr.Dataset) -> bool:
    """Whether a dataset has the dimensions of WRF, its longitudes and latitudes, and its times."""
    return {_ROW, _COLUMN} <= {*ds.dims} and _places(ds) is not None and {"Times", "XTIME"} & {*ds.variables} != set()


def normalise(ds: xr.Dataset) -> xr.Dataset:
    """Return the variables at centres of cells with times in UTC, on the axes of their projection where the file has one.

    Variables at edges of cells become means of the two edges. Of several levels the lowest is taken. Lazy; loads the places.

    Raises
    ------
    SchemaError
        Times that are not ``YYYY-MM-DD_HH:MM:SS``, or places that move.
    """
    times = _times(ds)
    lon, lat = (once(ds[name], "Time") for name in _places(ds) or ())
    if lon.dims != (_ROW, _COLUMN) or lat.dims != lon.dims:
        raise SchemaError(
            f"{lon.name} and {lat.name} are {lon.dims}, expected {(_ROW, _COLUMN)}, the same at all times; "
            "fix: ds.isel(Time=[0]), and each of the others by itself", subject=_SUBJECT,
        )  # fmt: skip
    named = {*ds.coords} | {name for pair in _PLACES for name in pair}
    ds = ds.drop_vars([n for n, v in ds.variables.items() if n in named or v.dtype.kind not in "iuf"])
    ds, notes = lowest(ds, _LEVEL)
    ds, moved = _at_centres(ds)
    ds = ds[[n for n, v in ds.data_vars.items() if {_ROW, _COLUMN} <= {*v.dims}]].copy()
    for variable in ds.variables.values():
        variable.attrs = {_ATTRS.get(k, k): v for k, v in variable.attrs.items() if _ATTRS.get(k, k)}
    if "Time" in ds.dims:
        ds = ds.rename(Time=TIME).assign_coords({TIME: times})
    ds = ds.rename({_ROW: "y", _COLUMN: "x"} if ds.data_vars else {})
    ds, placed = _placed(ds, lon, lat)
    return schema.record(ds, "open_field", [*notes, *moved, placed])


def _placed(ds: xr.Dataset, lon: xr.DataArray, lat: xr.DataArray) -> tuple[xr.Dataset, str]:
    """Return a dataset ``(y, x)`` on the axes of its projection, else with its places, and what to record of them."""
    crs = _crs(ds.attrs)
    axes = None if crs is None else fitted_axes(lon.values, lat.values, crs)
    if crs is None or axes is None:
        places = {LON: (("y", "x"), lon.values, ROLE_CF[LON]), LAT: (("y", "x"), lat.values, ROLE_CF[LAT])}
        return ds.assign_coords(places), f"places from {lon.name} and {lat.name}"
    axis = f"axes of {method_of(crs)} on a sphere of {SPHERE / 1000:g} km"
    return on_projection(ds, crs, {"x": axes[0], "y": axes[1]}), f"{axis}, which {lon.name} and {lat.name} lie on"


def _places(ds: xr.Dataset) -> tuple[str, str] | None:
    return next((pair for pair in _PLACES if {*pair} <= {*ds.variables}), None)


def _times(ds: xr.Dataset) -> NDArray[np.datetime64]:
    """Return the times of a file from its characters ``Times``, else from ``XTIME``."""
    if "Times" not in ds.variables:
        times = np.atleast_1d(ds["XTIME"].values)
        if np.issubdtype(times.dtype, np.datetime64):
            return times
        raise SchemaError(f"no Times, and XTIME has no date; fix: {_fix(len(times))}", subject=_SUBJECT)
    read = ds["Times"].values
    # One character per entry, or whole texts, as bytes or not.
    texts = [
        "".join(t.decode() if isinstance(t, bytes) else str(t) for t in np.atleast_1d(row)).strip() for row in read
    ]
    try:
        return pd.to_datetime(texts, format="%Y-%m-%d_%H:%M:%S").values.astype("datetime64[ns]")
    except ValueError:
        wrong = next(t for t in texts if pd.isna(pd.to_datetime(t, format="%Y-%m-%d_%H:%M:%S", errors="coerce")))
        raise SchemaError(
            f"Times has {wrong!r}, expected YYYY-MM-DD_HH:MM:SS; fix: {_fix(len(texts))}", subject=_SUBJECT
        ) from None


def _fix(count: int) -> str:
    """Return the call that gives a file its times."""
    times = f"pd.date_range('2020-01-01', periods={count}, freq='h').strftime('%Y-%m-%d_%H:%M:%S')"
    return f"ds.assign(Times=('Time', {times}))"


def _at_centres(ds: xr.Dataset) -> tuple[xr.Dataset, list[str]]:
    """Return a dataset with its staggered variables at centres of cells, and what to record of it. Lazy."""
    if f"{_LEVEL}_stag" in ds.dims:
        ds = ds.isel({f"{_LEVEL}_stag": slice(0, 2)})  # below and above the lowest level
    moved = []
    for dim in (_ROW, _COLUMN, _LEVEL):
        edges = f"{dim}_stag"
        for name in [str(n) for n, v in ds.data_vars.items() if edges in v.dims]:
            array = ds[name].chunk()  # so that the mean is lazy
            sides = [array.isel({edges: slice(*part)}) for part in ((None, -1), (1, None))]
            mean = (0.5 * (sides[0] + sides[1])).rename({edges: dim}).assign_attrs(array.attrs)
            ds = ds.drop_vars(name).assign({name: mean.isel({_LEVEL: 0}, drop=True) if dim == _LEVEL else mean})
            moved.append(name)
    named = ", ".join(dict.fromkeys(moved))
    return ds, [f"{named} from edges to centres of cells"] if moved else []


def _crs(attrs: dict[Any, Any]) -> CRS | None:
    """Return the projection of the attributes of WRF; None where there is none, or one of rotated longitudes."""
    if not {"MAP_PROJ", "TRUELAT1", "STAND_LON"} <= {*attrs}:
        return None
    kind, first, lon = int(attrs["MAP_PROJ"]), float(attrs["TRUELAT1"]), float(attrs["STAND_LON"])
    second = float(attrs.get("TRUELAT2", first))
    centre = float(attrs.get("MOAD_CEN_LAT", attrs.get("CEN_LAT", first)))
    known: dict[int, dict[str, Any]] = {
        1: {"proj": "lcc", "lat_1": first, "lat_2": second, "lat_0": centre, "lon_0": lon},
        2: {"proj": "stere", "lat_0": float(np.copysign(90.0, first)), "lat_ts": first, "lon_0": lon},
        3: {"proj": "merc", "lat_ts": first, "lon_0": lon},
    }
    return crs_on_sphere(**known[kind]) if kind in known else None
