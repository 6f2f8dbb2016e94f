"""Gridded fields and rasters in any CRS, sampled lazily at points and never extrapolated.

:class:`Gridded` is a user's array with known axes, CRS and missing values. It is read in windows, so that of a field of any
size only the parts around the points are loaded.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, get_args

import dask
import dask.array as da
import numpy as np
import rioxarray  # noqa: F401 - registers the .rio accessor
import xarray as xr
from dask.base import tokenize
from numpy.typing import ArrayLike, NDArray
from pyproj import CRS, Transformer
from scipy.sparse import csr_array

from .._arguments import check_choice
from ..arrays import longitudes, timesteps
from ..conventions import TIME
from ..errors import SchemaError, warn
from .axes import counts_turns, find_axes, pick_variable, with_axes
from .curvilinear import Curvilinear
from .field_units import check_unpacked
from .forms import find_variable, readable
from .interpolation import bracket, compress, corner_matrix, interpolate, masked, weight_matrix
from .model_grid import method_of

Method = Literal["bilinear", "nearest"]
#: Values in one chunk of a lazily sampled station variable.
_CHUNK_VALUES = 10_000_000
#: Steps that are searched at once for missing cells.
_STEPS = 240
_SUBJECT = "gridded field"


@dataclass(frozen=True)
class _Window:
    """The part of a field that points need, and the weights of its cells ``(point, cell)`` and times ``(time, step)``."""

    data: xr.DataArray
    space: csr_array
    time: csr_array | None


@dataclass(frozen=True, eq=False)
class Gridded:
    """A field on a regular or a curvilinear grid, static or in time.

    Attributes
    ----------
    name, units : str
        Units are empty where the array states none.
    data : xarray.DataArray, ``(y, x)`` or ``(time, y, x)``
        Both axes ascending; lazy where the user's array is. Of a curvilinear grid the axes count rows and columns.
    crs : str
        CRS of the axes; empty for longitude and latitude in degrees.
    cells : Curvilinear or None
        The centres of the cells of a curvilinear grid; None where x and y are axes.
    nodata : float
        Marks missing cells, beside NaN; NaN where the field has no such number.
    method : {"bilinear", "nearest"}
        Interpolation in space. Bilinear interpolation with a missing cell gives NaN.
    """

    name: str
    units: str
    data: xr.DataArray
    crs: str
    nodata: float
    method: Method
    cells: Curvilinear | None = None
    every_step: ClassVar[bool] = True

    @classmethod
    def of(
        cls,
        field: xr.DataArray | xr.Dataset,
        name: str | None = None,
        *,
        method: Method = "bilinear",
        subject: str = _SUBJECT,
    ) -> Gridded:
        """Return an array as a field, or raise where it is not one. Loads its axes only.

        ``name`` chooses a variable of a Dataset, and names the field; ``subject`` begins messages. Arrays in a form of
        :mod:`xaq.fields.forms` are normalised first.
        """
        method = check_choice(method, "method", get_args(Method), error=lambda text: SchemaError(text, subject=subject))
        field = readable(field, name)
        called = find_variable(field, name) if name is not None and isinstance(field, xr.Dataset) else None
        array = pick_variable(field, called or name, subject)
        check_unpacked(array, subject)
        axes = find_axes(array, subject)
        nodata = array.rio.nodata if array.rio.nodata is not None else np.nan
        array = with_axes(array, axes, subject)
        units = str(array.attrs.get("units", ""))
        return cls(str(name or array.name or "field"), units, array, axes.crs, float(nodata), method, axes.cells)

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
        """Hash of grid, units, CRS and method; of a static field also of its values, which are computed."""
        digest = hashlib.blake2b(f"{self.units}|{self.crs}|{self.method}".encode(), digest_size=8)
        if self.cells is not None:
            cells = self.cells.order()
            for centre in (longitudes.canonical(self.cells.lon), self.cells.lat):
                digest.update(np.round(centre.ravel()[cells], 6).tobytes())
            if self.is_static:
                digest.update(_load(self.data).ravel()[cells].tobytes())
            return digest.hexdigest()
        # The same in each convention of longitude, wherever in it a field around the globe begins.
        x = self.data["x"].values.astype(float)
        east = longitudes.canonical(x) if self._turns else x
        order = np.argsort(east, kind="stable")
        for axis in (self.data["y"].values.astype(float), east[order]):
            digest.update(np.round(axis, 6).tobytes())
        if self.is_static:
            digest.update(_load(self.data)[:, order].tobytes())
        return digest.hexdigest()

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return "xaq.Gridded", self.name, self.units, self.crs, str(self.nodata), self.method, self._token

    @cached_property
    def _token(self) -> str:
        centres = () if self.cells is None else (self.cells.lon, self.cells.lat)
        return tokenize(self.data, *centres)

    # -- coverage ----------------------------------------------------------------------------------------------

    @cached_property
    def _turns(self) -> bool:
        """Whether the x axis is a longitude in degrees."""
        return self.cells is None and counts_turns(self.crs)

    @cached_property
    def _periodic(self) -> bool:
        """Whether the field covers all longitudes, so that its last column neighbours its first."""
        if self.cells is not None:
            return self.cells.closes
        x = self.data["x"].values.astype(float)
        if not self._turns or len(x) < 3 or x[-1] >= x[0] + 360.0:
            return False
        low, high = self._limits("x")
        return high - low > 360.0 - 0.01 * (x[1] - x[0])

    def _project(self, lon: ArrayLike, lat: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return points in the field's own coordinates; of a curvilinear grid, their columns and rows."""
        if self.cells is not None:
            return self.cells.position(lon, lat)
        x, y = longitudes.canonical(lon), np.asarray(lat, float)
        if self.crs:
            x, y = Transformer.from_crs("EPSG:4326", self.crs, always_xy=True).transform(x, y)
            x, y = np.asarray(x, float), np.asarray(y, float)
        if self._turns:
            axis = self.data["x"].values.astype(float)
            x = longitudes.nearest_image(x, 0.5 * (axis[0] + axis[-1]))
        return x, y

    def outside(self, lon: ArrayLike, lat: ArrayLike) -> NDArray[np.bool_]:
        """Return which points lie in no cell of the field."""
        return self._beyond(*self._project(lon, lat))

    def _beyond(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which points, in the field's own coordinates, lie in no cell."""
        beyond = np.zeros(x.shape, bool)
        for name, points in (("x", x), ("y", y)):
            low, high = self._limits(name)
            if name == "y" or not self._periodic:
                # A NaN compares as False, so that points that cannot be projected are outside.
                beyond |= ~((points >= low - 1e-6) & (points <= high + 1e-6))
        return beyond

    def _limits(self, axis: str) -> tuple[float, float]:
        """Return the outer edges of the outermost cells along an axis; a single cell has no width."""
        centres = self.data[axis].values.astype(float)
        if len(centres) < 2:
            return centres[0], centres[0]
        return centres[0] - (centres[1] - centres[0]) / 2, centres[-1] + (centres[-1] - centres[-2]) / 2

    def check_covers(self, lon: ArrayLike, lat: ArrayLike, what: str, *, subject: str = _SUBJECT) -> None:
        """Raise where points lie in no cell of the field; ``what`` names the points."""
        self._refuse(self.outside(lon, lat), lon, lat, what, subject, f"a larger field, or fewer {what}")

    def check_overlaps(self, lon: ArrayLike, lat: ArrayLike, what: str, *, subject: str = _SUBJECT) -> int:
        """Return how many points lie in no cell of the field; raise where all do. ``what`` names the points."""
        beyond = self.outside(lon, lat)
        if beyond.all():
            self._refuse(beyond, lon, lat, what, subject, f"a field of that region, or other {what}")
        return int(beyond.sum())

    def _refuse(
        self, beyond: NDArray[np.bool_], lon: ArrayLike, lat: ArrayLike, what: str, subject: str, fix: str
    ) -> None:
        """Raise where points are beyond the field."""
        if beyond.any():
            (west, east), (south, north), here = self._extent()
            x, y = (np.asarray(v, float)[beyond][0] for v in np.broadcast_arrays(lon, lat))
            raise SchemaError(
                f"{self.name!r} does not cover {int(beyond.sum())} of {beyond.size} {what}, such as {x:.4g} E, {y:.4g} N; it "
                f"covers {west:.6g} to {east:.6g} and {south:.6g} to {north:.6g} in {here}; fix: {fix}",
                subject=subject,
            )  # fmt: skip

    def _extent(self) -> tuple[tuple[float, float], tuple[float, float], str]:
        """Return the limits of the field in x and y, and in what they are, for messages."""
        if self.cells is not None:
            placed = np.isfinite(self.cells.lon) & np.isfinite(self.cells.lat)
            x, y = longitudes.unwrap(self.cells.lon[placed]), self.cells.lat[placed]
            return (x.min(), x.max()), (y.min(), y.max()), "degrees on its curvilinear grid"
        here = "degrees"
        if self.crs:
            crs = CRS(self.crs)
            named = method_of(crs) if crs.name == "unknown" else crs.name
            here = f"its own coordinates ({named})"
        return self._limits("x"), self._limits("y"), here

    def check_period(
        self, first: np.datetime64, last: np.datetime64, *, subject: str = _SUBJECT, gaps: bool = False
    ) -> None:
        """Raise where a period is not inside that of the field, or has a gap of it unless ``gaps``; a static field covers any."""
        if self.is_static:
            return
        begin, end = self.times[0], self.times[-1]
        if first < begin or last > end:
            low, high = max(begin, first), min(end, last)
            fix = "a field of that period" if low > high else "a longer field"
            if low < high:
                fix += f", or a shorter record: ds.sel(time=slice('{low}', '{high}'))"
            raise SchemaError(
                f"{self.name!r} covers {begin} to {end}, needed is {first} to {last}, and it is never extrapolated; fix: {fix}",
                subject=subject,
            )
        within = [] if gaps else [(a, b) for a, b in self.times[self.gaps[:, None] + [0, 1]] if a < last and b > first]
        if within:
            before, after = within[0]
            typical = timesteps.step_name(np.median(np.diff(self.times)).astype("timedelta64[s]"))
            raise SchemaError(
                f"{self.name!r} has {len(within)} gap{'s' * (len(within) > 1)} in the period, the first from {before} to {after} with "
                f"a step of {typical} elsewhere, and gaps are not interpolated; fix: the files that are missing, or "
                f"field.resample(time={typical!r}).interpolate('linear'), if that is good enough", subject=subject,
            )  # fmt: skip

    @cached_property
    def gaps(self) -> NDArray[np.intp]:
        """The own times after which the next is more than twice as far away as usual, ``(gap,)`` int."""
        steps = np.diff(self.times).astype("timedelta64[s]").astype(np.int64)
        return np.flatnonzero(steps > 2 * np.median(steps)) if len(steps) else np.empty(0, np.intp)

    def check_step(self, step: np.timedelta64, start: np.datetime64, *, subject: str = _SUBJECT) -> None:
        """Raise where the field has a shorter step than stations; warn where values are interpolated that means do not have."""
        if self.is_static or len(self.times) < 2:
            return
        own, name = np.diff(self.times).min(), timesteps.step_name(step)
        if own < step:
            raise SchemaError(
                f"{self.name!r} has a step of {timesteps.step_name(own)}, the stations {name}: its value at the start of each step "
                f"is not the mean over it; fix: field.resample(time={name!r}).mean()", subject=subject,
            )  # fmt: skip
        late = (self.times[0] - start) % step
        if own == step and late:
            warn(
                f"{subject}: {self.name!r} has its times {timesteps.step_name(late)} after those of the stations, at the same step of "
                f"{name}, and is interpolated between them; fix: field.assign_coords(time=field.time - {_code_of(late)}), "
                "if its values are means over that step"
            )
        if own > step and _labels_starts(self.data, own):
            half = _code_of((own - step) / 2)
            warn(
                f"{subject}: {self.name!r} has means over {timesteps.step_name(own)}, which are interpolated at the stations' step of {name} "
                f"as if they were of the start of their interval; fix: field.assign_coords(time=field.time + {half}), "
                "of a field that begins a step earlier"
            )

    # -- values --------------------------------------------------------------------------------------------------

    def at(self, lon: ArrayLike, lat: ArrayLike, times: NDArray[np.datetime64] | None = None) -> NDArray[np.float32]:
        """Return values at points, ``(point,)`` or ``(point, time)``; NaN where the field has none. Computes a window."""
        window = self._window(lon, lat, times)
        return interpolate(_load(window.data), self.nodata, window.space, window.time)

    def lazy(self, lon: ArrayLike, lat: ArrayLike, times: NDArray[np.datetime64] | None = None) -> Any:
        """Return the values of :meth:`at`: as a Dask array in chunks of time where the field is lazy, computed otherwise."""
        if self.data.chunks is None:
            return self.at(lon, lat, times)
        n = np.asarray(lon).size
        whole = [None] if times is None else np.array_split(times, max(1, -(-len(times) * n // _CHUNK_VALUES)))
        parts = []
        for part in whole:
            window = self._window(lon, lat, part)
            node = dask.delayed(interpolate, pure=True)(window.data.data, self.nodata, window.space, window.time)
            parts.append(da.from_delayed(node, (n,) if part is None else (n, len(part)), np.float32))
        return parts[0] if times is None else da.concatenate(parts, axis=1)

    def missing(self, lon: ArrayLike, lat: ArrayLike, times: NDArray[np.datetime64]) -> NDArray[np.bool_]:
        """Return which points have no value at one of the times, ``(point,)`` bool; times do not matter to a static field."""
        if self.is_static:
            return ~np.isfinite(self.at(lon, lat))
        gone = np.zeros(np.asarray(lon).size, bool)
        # In parts, because a year of a field need not fit in memory. A missing value makes the mean over time missing.
        for part in np.array_split(times, -(-len(times) // _STEPS)):
            window = self._window(lon, lat, part)
            mean = masked(_load(window.data), self.nodata).mean(axis=0)
            gone |= ~np.isfinite(window.space @ mean.reshape(-1))
        return gone

    def digest(self, lon: ArrayLike, lat: ArrayLike, times: NDArray[np.datetime64]) -> bytes:
        """Return a hash of the part of the field that points and times need. Computes it."""
        window = self._window(lon, lat, None if self.is_static else times)
        return hashlib.blake2b(_load(window.data).tobytes(), digest_size=8).digest()

    def _window(self, lon: ArrayLike, lat: ArrayLike, times: NDArray[np.datetime64] | None) -> _Window:
        """Return the part of the field that points and times need, with their weights."""
        x, y = self._project(lon, lat)
        beyond = self._beyond(x, y)
        # A weight that is missing makes a value so, whatever the cell holds; a point that cannot be projected has no cell.
        x, y = np.where(beyond, self.data["x"].values[0], x), np.where(beyond, self.data["y"].values[0], y)
        rows, row_weight = bracket(self.data["y"].values, y, self.method)
        period = None if not self._periodic else 360.0 if self.cells is None else float(self.data.sizes["x"])
        columns, column_weight = bracket(self.data["x"].values, x, self.method, period=period)
        row_weight = np.where(beyond[:, None], np.nan, row_weight)
        row_key, rows = compress(rows)
        column_key, columns = compress(columns)
        data = self.data.isel(y=row_key, x=column_key)
        space = corner_matrix(rows, row_weight, columns, column_weight, (data.sizes["y"], data.sizes["x"]))
        if times is None:
            return _Window(data, space, None)
        if self.is_static:
            raise SchemaError(f"{self.name!r} has no time; fix: leave time out", subject=_SUBJECT)
        steps, step_weight = _steps(self.times, self.gaps, times)
        step_key, steps = compress(steps)
        data = data.isel({TIME: step_key})
        return _Window(data, space, weight_matrix(steps, step_weight, data.sizes[TIME]))


def in_gap(field: Gridded, times: NDArray[np.datetime64]) -> NDArray[np.bool_]:
    """Return which times lie between two of a field's own that are farther apart than usual, ``(time,)``."""
    return np.isnan(_steps(field.times, field.gaps, times)[1][:, 0])


def _steps(
    own: NDArray[np.datetime64], gaps: NDArray[np.intp], times: NDArray[np.datetime64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the own steps between which times lie, and their weights, ``(time, 2)`` each; weights in a gap are NaN."""
    places, points = (t.astype("datetime64[s]").astype(np.int64).astype(float) for t in (own, times))
    steps, weight = bracket(places, points, "bilinear")
    between = np.isin(steps[:, 0], gaps) & (weight[:, 0] < 1.0) & (weight[:, 1] < 1.0)
    return steps, np.where(between[:, None], np.nan, weight)


def _load(array: xr.DataArray) -> NDArray:
    """Return the values; a chunk that is computed inside a Dask task is computed in its thread."""
    return np.asarray(array.data.compute(scheduler="synchronous") if array.chunks is not None else array.values)


def _labels_starts(field: xr.DataArray, own: np.timedelta64) -> bool:
    """Whether values are known to be means or sums at the start of their interval; those of days are, unless said otherwise."""
    methods, history = (str(field.attrs.get(key, "")) for key in ("cell_methods", "history"))
    known = re.search(r"\btime: (?!point)", methods) is not None or "labelled with the start" in history
    is_days = bool(own >= timesteps.DAY) and "time: point" not in methods
    after = int(field[TIME].values[0].astype("datetime64[s]").astype(np.int64)) % int(own / np.timedelta64(1, "s"))
    return (known or is_days) and after == 0


def _code_of(duration: np.timedelta64) -> str:
    """Return the Python of a duration, in hours where they are whole."""
    hours = duration / np.timedelta64(1, "h")
    return f"np.timedelta64({hours:.0f}, 'h')" if hours % 1 == 0 else f"np.timedelta64({3600 * hours:.0f}, 's')"
