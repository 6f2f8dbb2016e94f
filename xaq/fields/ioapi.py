"""CMAQ and what is beside it: files of the Models-3 I/O API, with times in ``TFLAG`` and the grid in attributes of the file.

The meaning of the attributes is that of the I/O API documentation (``cjcoats.github.io/ioapi/GRIDS.html``). It leaves the
earth open; CMAQ runs on the sphere of WRF.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from ..conventions import LAT, LON, ROLE_CF, TIME
from ..errors import SchemaError
from ..stations import schema
from .model_grid import SPHERE, crs_on_sphere, fitted_axes, lowest, method_of, on_projection

_SUBJECT = "I/O API file"
_GRID = {"GDTYP", "XORIG", "YORIG", "XCELL", "YCELL"}
_GRIDDED = 1


def recognise(ds: xr.Dataset) -> bool:
    """Whether a dataset has the attributes of the grid, and rows and columns."""
    return {*ds.attrs} >= _GRID and {"ROW", "COL"} <= {*ds.dims}


def normalise(ds: xr.Dataset) -> xr.Dataset:
    """Return the gridded variables with times in UTC, on the axes of their projection. Lazy.

    Of several layers the lowest is taken. A file whose attribute ``TSTEP`` is 0 is static.

    Raises
    ------
    SchemaError
        A file of boundaries or of another type, a projection that is not known here, times without a date, or a part of
        a file, to which the attributes no longer belong.
    """
    kind = int(ds.attrs.get("FTYPE", _GRIDDED))
    if kind != _GRIDDED:
        raise SchemaError(f"FTYPE is {kind}, expected {_GRIDDED}, gridded; fix: the file of the grid", subject=_SUBJECT)
    times = _times(ds)
    attrs = {k: v.strip() if isinstance(v, str) else v for k, v in ds.attrs.items()}
    ds = ds[[n for n, v in ds.data_vars.items() if {"ROW", "COL"} <= {*v.dims}]].assign_attrs(attrs)
    for variable in ds.variables.values():
        variable.attrs = {k: v.strip() if isinstance(v, str) else v for k, v in variable.attrs.items()}
    if "TSTEP" in ds.dims:
        ds = ds.isel(TSTEP=0, drop=True) if times is None else ds.rename(TSTEP=TIME).assign_coords({TIME: times})
    ds, notes = lowest(ds, "LAY")
    ds = ds.drop_vars([c for c in ds.coords if c != TIME]).rename(ROW="y", COL="x")
    ds, placed = _with_grid(ds)
    return schema.record(ds, "open_field", [*notes, placed])


# -- times ---------------------------------------------------------------------------------------------------------------


def _times(ds: xr.Dataset) -> NDArray[np.datetime64] | None:
    """Return the times of a file from ``TFLAG``, else from its first time and step; None of a static one.

    Times that a dataset has as its coordinate ``TSTEP`` go before both.
    """
    count, step = ds.sizes.get("TSTEP", 1), int(ds.attrs.get("TSTEP", 0))
    if "TSTEP" not in ds.dims or (step == 0 and count == 1):
        return None
    if "TSTEP" in ds.coords and ds["TSTEP"].dtype.kind == "M":
        return ds["TSTEP"].values.astype("datetime64[ns]")
    if "TFLAG" in ds.variables:
        flags = ds["TFLAG"].values[:, 0]
        dates, clocks = np.nan_to_num(flags).astype(np.int64).T
        if flags.dtype.kind == "f" or (clocks % 100 >= 60).any() or (clocks // 100 % 100 >= 60).any():
            raise SchemaError(
                f"TFLAG is {flags[0].tolist()} at the first of {count} times, expected whole numbers YYYYDDD and HHMMSS as in the "
                "file, not their means; fix: xaq.open_field(path).resample(time='1D').mean(), with the path of the file, or "
                "ds.assign(TFLAG=ds.TFLAG.astype(int)), if they are those of the file", subject=_SUBJECT,
            )  # fmt: skip
        return np.array([_date(d) + _duration(c) for d, c in zip(dates, clocks, strict=True)], "datetime64[ns]")
    missing = [name for name in ("SDATE", "STIME", "TSTEP") if name not in ds.attrs]
    if missing:
        raise SchemaError(
            f"no TFLAG, and no {', '.join(missing)} in the attributes; fix: {_own_times(count)}", subject=_SUBJECT
        )
    first = _date(int(ds.attrs["SDATE"])) + _duration(int(ds.attrs["STIME"]))
    if not _has_all_times(ds):
        raise SchemaError(
            f"no TFLAG, and {count} times that may be a selection of those that SDATE, STIME and TSTEP count from "
            f"{first.astype('datetime64[s]')}; fix: xaq.open_field(path), with the path of the file, and select then, or {_own_times(count)}",
            subject=_SUBJECT,
        )
    return first + np.arange(count) * _duration(step)


def _own_times(count: int) -> str:
    return f"ds.assign_coords(TSTEP=pd.date_range('2016-07-15T00:00', periods={count}, freq='h')), with its first time and its step"


def _has_all_times(ds: xr.Dataset) -> bool:
    """Whether a dataset has as many times as the file that it was read from; what does not say so may be a selection."""
    fields = [v for v in ds.data_vars.values() if {"TSTEP", "ROW", "COL"} <= {*v.dims}]
    return bool(fields) and all(v.encoding.get("original_shape", ())[:1] == (ds.sizes["TSTEP"],) for v in fields)


def _date(number: int) -> np.datetime64:
    """Return the date of a number YYYYDDD."""
    try:
        return pd.to_datetime(f"{number:07d}", format="%Y%j").to_datetime64()
    except ValueError:
        raise SchemaError(
            f"{number} is no date YYYYDDD; fix: ds.assign_attrs(TSTEP=0).isel(TSTEP=[0]), if the file is static, or correct TFLAG",
            subject=_SUBJECT,
        ) from None


def _duration(number: int) -> np.timedelta64:
    """Return the duration of a number HHMMSS, which may have more than 24 hours."""
    hours, rest = divmod(int(number), 10_000)
    minutes, seconds = divmod(rest, 100)
    return np.timedelta64(3600 * hours + 60 * minutes + seconds, "s").astype("timedelta64[ns]")


# -- grid ----------------------------------------------------------------------------------------------------------------


def _with_grid(ds: xr.Dataset) -> tuple[xr.Dataset, str]:
    """Return a dataset ``(y, x)`` with the axes of its attributes, and what to record of them."""
    a = ds.attrs
    own = {role: ds[name].squeeze() for role, name in ((LON, "LON"), (LAT, "LAT")) if name in ds.data_vars}
    has_places = len(own) == 2 and all(v.dims == ("y", "x") for v in own.values())
    cut = _cut(ds)
    if cut and not has_places:
        raise SchemaError(
            f"{cut}: the grid of the attributes is that of the whole file; fix: xaq.open_field(path), with the path of the file, "
            "and select then, or ds.assign_attrs(NCOLS=ds.sizes['COL'], NROWS=ds.sizes['ROW'], XORIG=..., YORIG=...), with the "
            "outer edges of its first cell, if the file itself was cut", subject=_SUBJECT,
        )  # fmt: skip
    axes = {axis: _centres(a, axis.upper(), ds.sizes[axis]) for axis in ("x", "y")}
    if int(a["GDTYP"]) == 1 and not cut:
        ds = ds.rename(x=LON, y=LAT)
        coords = {LON: (LON, axes["x"], ROLE_CF[LON]), LAT: (LAT, axes["y"], ROLE_CF[LAT])}
        return ds.assign_coords(coords), "longitude and latitude from the attributes of the file"
    if cut or (has_places and not _agrees(own, _crs(a), axes)):
        ds = ds.drop_vars(["LON", "LAT"]).assign_coords({k: (v.dims, v.values, ROLE_CF[k]) for k, v in own.items()})
        return ds, f"places from LON and LAT of the file, {cut or 'which are not those of its projection'}"
    crs = _crs(a)
    on_axes = on_projection(ds, crs, axes)
    return on_axes, f"axes of {method_of(crs)} on a sphere of {SPHERE / 1000:g} km from the attributes of the file"


def _cut(ds: xr.Dataset) -> str:
    """Return how a dataset ``(y, x)`` differs in size from its file; empty where it does not."""
    pairs = (("COL", "x", "NCOLS"), ("ROW", "y", "NROWS"))
    return " and ".join(
        f"{dim} has {ds.sizes[axis]} of {int(ds.attrs[attr])} cells"
        for dim, axis, attr in pairs
        if attr in ds.attrs and int(ds.attrs[attr]) != ds.sizes[axis]
    )


def _centres(attrs: dict[Any, Any], axis: str, count: int) -> NDArray[np.float64]:
    """Return the centres of cells along an axis, whose origin is the edge of the first one."""
    return np.asarray(float(attrs[f"{axis}ORIG"]) + (np.arange(count) + 0.5) * float(attrs[f"{axis}CELL"]), float)


def _agrees(own: dict[str, xr.DataArray], crs: CRS, axes: dict[str, NDArray[np.float64]]) -> bool:
    """Whether the file's own places lie on the axes of its attributes."""
    fitted = fitted_axes(own[LON].values, own[LAT].values, crs)
    if fitted is None:
        return False
    cell = axes["x"][1] - axes["x"][0]
    return all(np.abs(f - axes[n]).max() < 0.05 * abs(cell) for f, n in zip(fitted, "xy", strict=True))


def _crs(attrs: dict[Any, Any]) -> CRS:
    """Return the projection of the attributes, whose origin is at ``XCENT``, ``YCENT``."""
    kind = int(attrs["GDTYP"])
    alpha, beta, gamma, lon, lat = (float(attrs.get(n, 0.0)) for n in ("P_ALP", "P_BET", "P_GAM", "XCENT", "YCENT"))
    known: dict[int, dict[str, Any]] = {
        2: {"proj": "lcc", "lat_1": alpha, "lat_2": beta, "lat_0": lat, "lon_0": gamma},
        6: {"proj": "stere", "lat_0": 90.0 * np.sign(alpha), "lat_ts": beta, "lon_0": gamma},
        7: {"proj": "merc", "lat_ts": alpha, "lon_0": gamma},
        8: {"proj": "tmerc", "lat_0": lat, "k": beta, "lon_0": gamma},
        9: {"proj": "aea", "lat_1": alpha, "lat_2": beta, "lat_0": lat, "lon_0": gamma},
    }
    if kind not in known:
        expected = "1 (longitude, latitude), 2 (Lambert), 6 (polar stereographic), 7, 8 (Mercator) or 9 (Albers)"
        axes = ", ".join(
            f"{d}=ds.{n}ORIG + (np.arange(ds.sizes[{d!r}]) + 0.5) * ds.{n}CELL"
            for d, n in zip(("COL", "ROW"), "XY", strict=True)
        )
        raise SchemaError(
            f"GDTYP is {kind}, expected {expected}; fix: ds.assign_coords({axes}).rename(COL='x', ROW='y').rio.write_crs(its_crs)",
            subject=_SUBJECT,
        )
    crs = crs_on_sphere(**known[kind])
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    return crs if np.hypot(x, y) < 1.0 else crs_on_sphere(**known[kind], x_0=-x, y_0=-y)
