"""Rasters and gridded fields at points: sampled lazily, in any CRS, and never beyond what they cover.

A :class:`Gridded` is what a user's array becomes at the border: axes found and ascending, its CRS known, its missing cells NaN.
It is read in windows, so that a field of any size is only ever opened where something is asked of it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import dask
import dask.array as da
import numpy as np
import rioxarray  # noqa: F401 - registers the .rio accessor
import xarray as xr
from dask.base import tokenize
from numpy.typing import ArrayLike, NDArray
from pyproj import CRS, Transformer
from rioxarray.exceptions import DimensionError, MissingSpatialDimensionError
from scipy.sparse import csr_array

from ..arrays import timesteps
from ..conventions import LAT, LON, TIME
from ..errors import SchemaError
from ..stations import schema

Method = Literal["bilinear", "nearest"]
#: A point this close to a centre, in cells, is at it: axes are often float32.
_SAME = 1e-4
#: Values of one block of a lazily sampled station variable.
_BLOCK_VALUES = 10_000_000
#: Steps of a field that are looked at at once for missing cells.
_STEPS = 240


_SUBJECT = "gridded field"


@dataclass(frozen=True, eq=False)
class Gridded:
    """A field on a regular grid, static or in time.

    Attributes
    ----------
    name, units : str
        Units are empty where the array names none.
    data : xarray.DataArray, ``(y, x)`` or ``(time, y, x)``
        Both axes ascending; lazy where the user's was.
    crs : str
        Of the axes; empty for longitude and latitude in degrees.
    nodata : float
        Marks missing cells, beside NaN; NaN where there is no such number.
    method : {"bilinear", "nearest"}
        How points between the centres of cells are given a value. Beside a missing cell, bilinear gives none.
    """

    name: str
    units: str
    data: xr.DataArray
    crs: str
    nodata: float
    method: Method

    @classmethod
    def of(
        cls,
        field: xr.DataArray | xr.Dataset,
        name: str | None = None,
        *,
        method: Method = "bilinear",
        subject: str = _SUBJECT,
    ) -> Gridded:
        """Return the field that an array is, or raise with what keeps it from being one. Loads its axes only."""
        if method not in get_args(Method):
            raise SchemaError(f"method is {method!r}, expected 'bilinear' or 'nearest'", subject=subject)
        array = _pick_variable(field, name, subject)
        x, y, time, crs = _axes(array, subject)
        extra = [d for d in array.dims if d not in (x, y, time)]
        long = [f"{d} ({array.sizes[d]})" for d in extra if array.sizes[d] > 1]
        if long:
            first = long[0].split(" ")[0]
            raise SchemaError(
                f"it has the dimensions {', '.join(long)} beside {y} and {x}; fix: field.isel({first}=0)",
                subject=subject,
            )
        nodata = array.rio.nodata if array.rio.nodata is not None else np.nan
        array = array.isel(dict.fromkeys(extra, 0), drop=True)
        array = array.transpose(*([time] if time is not None else []), y, x)
        renames = {y: "y", x: "x"} | ({time: TIME} if time is not None else {})
        array = array.drop_vars([c for c in array.coords if c not in renames]).rename(
            {old: new for old, new in renames.items() if old != new}
        )
        for axis in ("y", "x"):
            array = _ascending(array, axis, subject)
        if time is not None:
            _check_time(array, subject)
        return cls(
            str(name or array.name or "field"), str(array.attrs.get("units", "")), array, crs, float(nodata), method
        )

    @property
    def is_static(self) -> bool:
        """Whether the field has no time."""
        return TIME not in self.data.dims

    @cached_property
    def times(self) -> NDArray[np.datetime64]:
        """The field's own times, ``(n,) datetime64[s]``."""
        return self.data[TIME].values.astype("datetime64[s]")

    @cached_property
    def hash(self) -> str:
        """What the field is: grid, units and CRS; of a static one its values too, which are computed."""
        digest = hashlib.blake2b(f"{self.units}|{self.crs}|{self.method}".encode(), digest_size=8)
        for axis in ("y", "x"):
            digest.update(np.round(self.data[axis].values.astype(float), 6).tobytes())
        if self.is_static:
            digest.update(_load(self.data).tobytes())
        return digest.hexdigest()

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return "xaq.Gridded", self.name, self.units, self.crs, str(self.nodata), self.method, self._token

    @cached_property
    def _token(self) -> str:
        return tokenize(self.data)

    # -- what it covers ------------------------------------------------------------------------------------------

    @cached_property
    def _periodic(self) -> bool:
        """Whether the field goes round the globe, so that its last column neighbours its first."""
        x = self.data["x"].values
        return not self.crs and len(x) > 2 and abs((x[-1] - x[0]) + (x[-1] - x[0]) / (len(x) - 1) - 360.0) < 1e-3

    def _project(self, lon: ArrayLike, lat: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return points in the field's own coordinates."""
        lon, lat = np.asarray(lon, float), np.asarray(lat, float)
        if self.crs:
            x, y = Transformer.from_crs("EPSG:4326", self.crs, always_xy=True).transform(lon, lat)
            return np.asarray(x, float), np.asarray(y, float)
        axis = self.data["x"].values
        centre = 0.5 * (axis[0] + axis[-1])
        # Longitudes may be counted from 0 or from -180: take the image of the point that is nearest to the field.
        return lon + 360.0 * np.round((centre - lon) / 360.0), lat

    def outside(self, lon: ArrayLike, lat: ArrayLike) -> NDArray[np.bool_]:
        """Return which points lie in no cell of the field."""
        x, y = self._project(lon, lat)
        beyond = np.zeros(x.shape, bool)
        for name, points in (("x", x), ("y", y)):
            low, high = self._limits(name)
            if name == "y" or not self._periodic:
                # A NaN compares as False: what cannot be projected is outside.
                beyond |= ~((points >= low - 1e-6) & (points <= high + 1e-6))
        return beyond

    def _limits(self, axis: str) -> tuple[float, float]:
        """Return the outer edges of the outermost cells; a single cell has no width."""
        centres = self.data[axis].values.astype(float)
        if len(centres) < 2:
            return centres[0], centres[0]
        return centres[0] - (centres[1] - centres[0]) / 2, centres[-1] + (centres[-1] - centres[-2]) / 2

    def check_covers(self, lon: ArrayLike, lat: ArrayLike, what: str, *, subject: str = _SUBJECT) -> None:
        """Refuse points that lie in no cell of the field; ``what`` says whose they are."""
        beyond = self.outside(lon, lat)
        if beyond.any():
            (west, east), (south, north) = self._limits("x"), self._limits("y")
            here = "degrees" if not self.crs else f"its own coordinates ({_crs_name(self.crs)})"
            x, y = (np.asarray(v, float)[beyond][0] for v in np.broadcast_arrays(lon, lat))
            raise SchemaError(
                f"{self.name!r} does not cover {int(beyond.sum())} of {beyond.size} {what}, such as {x:.4g} E, {y:.4g} N; it "
                f"reaches from {west:.6g} to {east:.6g} and from {south:.6g} to {north:.6g} in {here}; fix: a larger field, or "
                f"fewer {what}", subject=subject,
            )  # fmt: skip

    def check_period(self, first: np.datetime64, last: np.datetime64, *, subject: str = _SUBJECT) -> None:
        """Refuse a period that reaches beyond the field's first or last time; a static field has none."""
        if self.is_static:
            return
        begin, end = self.times[0], self.times[-1]
        if first < begin or last > end:
            raise SchemaError(
                f"{self.name!r} covers {begin} to {end}, and {first} to {last} is read; it is never carried beyond its ends; "
                f"fix: a longer field, or a shorter record: ds.sel(time=slice('{max(begin, first)}', '{min(end, last)}'))",
                subject=subject,
            )

    def check_step(self, step: np.timedelta64, *, subject: str = _SUBJECT) -> None:
        """Refuse a field of finer steps than the stations': picking single hours of it would pass for means."""
        if self.is_static or len(self.times) < 2:
            return
        own = np.diff(self.times).min()
        if own < step:
            name = timesteps.step_name(step)
            raise SchemaError(
                f"{self.name!r} has a step of {timesteps.step_name(own)}, the stations {name}: a value at the start of each step "
                f"is no mean over it; fix: field.resample(time={name!r}).mean()", subject=subject,
            )  # fmt: skip

    # -- values --------------------------------------------------------------------------------------------------

    def at(self, lon: ArrayLike, lat: ArrayLike, times: NDArray[np.datetime64] | None = None) -> NDArray[np.float32]:
        """Return values at points, ``(point,)`` or ``(point, time)``; NaN where the field has none. Computes a window of it."""
        window, space, time = self._window(lon, lat, times)
        return _interpolate(_load(window), self.nodata, space, time)

    def lazy(self, lon: ArrayLike, lat: ArrayLike, times: NDArray[np.datetime64] | None = None) -> Any:
        """Return what :meth:`at` does, as a Dask array in blocks of time where the field is one, computed otherwise."""
        if self.data.chunks is None:
            return self.at(lon, lat, times)
        n = np.asarray(lon).size
        whole = [None] if times is None else np.array_split(times, max(1, -(-len(times) * n // _BLOCK_VALUES)))
        parts = []
        for part in whole:
            window, space, time = self._window(lon, lat, part)
            node = dask.delayed(_interpolate, pure=True)(window.data, self.nodata, space, time)
            parts.append(da.from_delayed(node, (n,) if part is None else (n, len(part)), np.float32))
        return parts[0] if times is None else da.concatenate(parts, axis=1)

    def missing(self, lon: ArrayLike, lat: ArrayLike, times: NDArray[np.datetime64]) -> NDArray[np.bool_]:
        """Return which points have no value at one of the times, or at all where the field is static."""
        if self.is_static:
            return ~np.isfinite(self.at(lon, lat))
        gone = np.zeros(np.asarray(lon).size, bool)
        # A part at a time: a year of a field need not fit in memory. A missing cell makes its mean over time missing.
        for part in np.array_split(times, -(-len(times) // _STEPS)):
            window, space, _ = self._window(lon, lat, part)
            gone |= ~np.isfinite(space @ _masked(_load(window), self.nodata).mean(axis=0).reshape(-1))
        return gone

    def digest(self, lon: ArrayLike, lat: ArrayLike, times: NDArray[np.datetime64]) -> bytes:
        """Return a hash of the window of the field that points and times read."""
        window, _, _ = self._window(lon, lat, None if self.is_static else times)
        return hashlib.blake2b(_load(window).tobytes(), digest_size=8).digest()

    def _window(
        self, lon: ArrayLike, lat: ArrayLike, times: NDArray[np.datetime64] | None
    ) -> tuple[xr.DataArray, csr_array, csr_array | None]:
        """Return the part of the field that is read, and what turns it into values at points and at times."""
        x, y = self._project(lon, lat)
        rows, row_weight = _bracket(self.data["y"].values, y, self.method)
        columns, column_weight = _bracket(self.data["x"].values, x, self.method, periodic=self._periodic)
        row_key, rows = _compress(rows)
        column_key, columns = _compress(columns)
        window = self.data.isel(y=row_key, x=column_key)
        shape = window.sizes["y"], window.sizes["x"]
        # Corners of each point: two rows by two columns.
        corner = rows[:, :, None] * shape[1] + columns[:, None, :]
        space = _sparse(
            corner.reshape(len(x), 4), (row_weight[:, :, None] * column_weight[:, None, :]).reshape(len(x), 4), shape
        )
        if times is None:
            return window, space, None
        if self.is_static:
            raise SchemaError(f"{self.name!r} has no time; fix: leave time out", subject=_SUBJECT)
        seconds, own = (t.astype("datetime64[s]").astype(np.int64).astype(float) for t in (times, self.times))
        steps, step_weight = _bracket(own, seconds, "bilinear")
        step_key, steps = _compress(steps)
        window = window.isel({TIME: step_key})
        return window, space, _sparse(steps, step_weight, (window.sizes[TIME],))


# -- from a user's array to a field --------------------------------------------------------------------------------


def _pick_variable(field: xr.DataArray | xr.Dataset, name: str | None, subject: str) -> xr.DataArray:
    if isinstance(field, xr.DataArray):
        array = field
    elif isinstance(field, xr.Dataset):
        candidates = [str(n) for n, v in field.data_vars.items() if v.ndim >= 2]
        if name in candidates:
            array = field[name]
        elif len(candidates) == 1:
            array = field[candidates[0]]
        else:
            raise SchemaError(
                f"which variable? the dataset has {', '.join(candidates) or 'no field'}; fix: pass one, such as "
                f"field[{(candidates or ['pm25'])[0]!r}]", subject=subject,
            )  # fmt: skip
    else:
        raise SchemaError(
            f"got {type(field).__name__}, expected an xarray DataArray or Dataset; fix: xr.open_dataset(...), or "
            "rioxarray.open_rasterio(...)", subject=subject,
        )  # fmt: skip
    if not np.issubdtype(array.dtype, np.number):
        raise SchemaError(f"{array.name!r} is {array.dtype}, expected numbers", subject=subject)
    return array


def _axes(array: xr.DataArray, subject: str) -> tuple[Any, Any, Any, str]:
    """Return the dimensions x, y and time (None of a static field), and the CRS; empty for degrees."""
    coords = array.coords.to_dataset()
    time = schema.find_role(coords, TIME)
    time = time if time is not None and time in array.dims else None
    lon, lat = schema.find_role(coords, LON), schema.find_role(coords, LAT)
    if lon is not None and lat is not None and array[lon].dims == (lon,) and array[lat].dims == (lat,):
        return lon, lat, time, ""
    try:
        x, y = array.rio.x_dim, array.rio.y_dim
    except (MissingSpatialDimensionError, DimensionError):
        x = y = None
    if x is None or x not in array.coords or y not in array.coords:
        hint = (
            f"{lon} and {lat} are two-dimensional; fix: regrid it, or give it x and y and field.rio.write_crs(...)"
            if lon is not None and lat is not None
            else "fix: name them lon and lat, or x and y with field.rio.write_crs(...)"
        )
        raise SchemaError(
            f"no axes of longitude and latitude, or of x and y, in {', '.join(map(str, array.dims)) or 'a number'}; {hint}",
            subject=subject,
        )
    if array.rio.crs is None:
        raise SchemaError(
            f"its axes are {x} and {y}, and it has no CRS; fix: field.rio.write_crs('EPSG:4326'), or the one it is in",
            subject=subject,
        )
    crs = CRS.from_user_input(array.rio.crs)
    return x, y, time, "" if crs.equals(CRS("EPSG:4326"), ignore_axis_order=True) else crs.to_wkt()


def _crs_name(crs: str) -> str:
    return str(CRS(crs).name)


def _ascending(array: xr.DataArray, axis: str, subject: str) -> xr.DataArray:
    centres = array[axis].values
    if not np.issubdtype(centres.dtype, np.number) or not np.isfinite(centres.astype(float)).all() or not len(centres):
        raise SchemaError(f"its {axis} axis is no list of numbers", subject=subject)
    if len(centres) > 1 and (np.diff(centres) < 0).all():
        return array.isel({axis: slice(None, None, -1)})
    if (np.diff(centres) <= 0).any():
        raise SchemaError(
            f"its {axis} axis is neither ascending nor descending ({centres[0]:g}, ... {centres[-1]:g}); fix: field.sortby(...)",
            subject=subject,
        )
    return array


def _check_time(array: xr.DataArray, subject: str) -> None:
    times = array[TIME].values
    if not np.issubdtype(times.dtype, np.datetime64):
        raise SchemaError(
            f"its times are {times.dtype}, expected datetime64 in UTC; fix: xr.decode_cf(field)", subject=subject
        )
    if not len(times) or (np.diff(times) <= np.timedelta64(0)).any():
        raise SchemaError("its times are not ascending; fix: field.sortby('time')", subject=subject)


# -- the arithmetic ------------------------------------------------------------------------------------------------


def _load(array: xr.DataArray) -> NDArray:
    """Return the values; a block that is computed inside a task is computed there, in its thread."""
    return np.asarray(array.data.compute(scheduler="synchronous") if array.chunks is not None else array.values)


def _bracket(
    axis: NDArray, points: NDArray[np.float64], method: str, *, periodic: bool = False
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the two cells ``(point, 2)`` between whose centres each point lies, and the weight of each.

    The outermost half cell has the value of its centre.
    """
    n = len(axis)
    extended = np.append(axis, axis[0] + 360.0) if periodic else axis
    if periodic:
        points = axis[0] + (points - axis[0]) % 360.0
    position = np.interp(points, extended.astype(float), np.arange(len(extended), dtype=float))
    nearest = np.rint(position)
    position = np.where((np.abs(position - nearest) < _SAME) | (method == "nearest"), nearest, position)
    low = np.clip(np.floor(position).astype(np.intp), 0, max(len(extended) - 2, 0))
    weight = position - low
    pair = np.stack([low, np.minimum(low + 1, len(extended) - 1)], axis=1) % n
    return pair, np.stack([1.0 - weight, weight], axis=1)


def _compress(index: NDArray[np.intp]) -> tuple[Any, NDArray[np.intp]]:
    """Return what to read of an axis, and the positions in it; contiguous unless that would read much for little."""
    need = np.unique(index)
    if need[-1] - need[0] < 4 * len(need):
        return slice(int(need[0]), int(need[-1]) + 1), index - need[0]
    return need, np.searchsorted(need, index)


def _sparse(index: NDArray[np.intp], weight: NDArray[np.float64], shape: tuple[int, ...]) -> csr_array:
    """Return ``(point, cell)``; a cell without a weight is not in it, so that it cannot make a value missing."""
    n, per_point = index.shape
    rows = np.arange(0, n * per_point + 1, per_point)
    matrix = csr_array((weight.ravel().astype(np.float32), index.ravel(), rows), shape=(n, int(np.prod(shape))))
    matrix.eliminate_zeros()
    return matrix


def _masked(values: NDArray, nodata: float) -> NDArray[np.float32]:
    return np.where(values == nodata, np.nan, values).astype(np.float32)


def _interpolate(values: NDArray, nodata: float, space: csr_array, time: csr_array | None) -> NDArray[np.float32]:
    """Return values at points, ``(point,)`` or ``(point, time)``, from a window ``([time,] y, x)``."""
    values = _masked(values, nodata)
    if time is None:
        return (space @ values.reshape(-1)).astype(np.float32)
    at_points = space @ values.reshape(len(values), -1).T
    return np.ascontiguousarray((time @ at_points.T).T, np.float32)
