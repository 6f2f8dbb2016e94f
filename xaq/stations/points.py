"""The points that a user passes as ``lon`` and ``lat``: numbers, in pairs, with the labels that they have."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from .._arguments import shown
from ..arrays import longitudes
from ..conventions import LAT, LON, POINT
from ..errors import GridError

_FIX = "fix: lon=[10.0, 10.2], lat=[50.0, 50.1]"


@dataclass(frozen=True)
class Points:
    """Points in pairs.

    Attributes
    ----------
    dim : str
        Their dimension: that of a DataArray, the name of a Series' index, else ``point``.
    lon, lat : (n_point,) float64 degrees
        At least one, all of them places.
    label : xarray.Variable or None
        The coordinate of the dimension, where it has one.
    others : dict of str to xarray.Variable
        Other coordinates along the dimension, such as ids, and the levels of an index that has several.
    """

    dim: str
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    label: xr.Variable | None
    others: dict[str, xr.Variable]


@dataclass(frozen=True)
class _Side:
    """One of the two arguments: its numbers, NaN where missing, and its dimension, labels and other coordinates if any."""

    values: NDArray[np.float64]
    dim: str | None = None
    index: pd.Index | None = None
    label: xr.Variable | None = None
    others: dict[str, xr.Variable] = field(default_factory=dict)


def pair_points(lon: Any, lat: Any) -> Points:
    """Return points from longitudes and latitudes as users have them.

    DataArrays and Series pair by their labels, in the order of ``lon``; all else pairs by position. One number goes with
    all of the other's.

    Raises
    ------
    GridError
        They are not numbers, not one for one, have other labels or dimensions, or some are missing or no places.
    """
    x, y = _side(lon, LON), _side(lat, LAT)
    if x.values.ndim > 1 or y.values.ndim > 1:
        ravelled = x.values.shape == y.values.shape
        fix = "fix: lon=np.ravel(lon), lat=np.ravel(lat)" if ravelled else _FIX
        raise GridError(f"lon has shape {x.values.shape}, lat {y.values.shape}, expected one dimension each; {fix}")
    first, second = _broadcast(x, y), _broadcast(y, x)
    if first.dim is not None and second.dim is not None and first.dim != second.dim:
        raise GridError(
            f"lon is along {first.dim!r}, lat along {second.dim!r}: these are axes, and points have one dimension; "
            "fix: ds.aq.reanalyze(..., grid=xaq.Grid(lon, lat))"
        )
    second = _in_order_of(first, second)
    if len(first.values) != len(second.values):
        raise GridError(
            f"there are {len(first.values)} longitudes and {len(second.values)} latitudes, expected as many of each; {_FIX}"
        )
    _check_places(first.values, second.values, lon, lat)
    dim = first.dim or second.dim or POINT
    # The coordinate of a dimension called lon or lat is that of the points.
    label = None if dim in (LON, LAT) else first.label if first.label is not None else second.label
    # The index of a Series without a name takes the dimension of the other argument.
    label = None if label is None else xr.Variable((dim,), label.to_index(), label.attrs)
    own = {LON, LAT, dim, *(str(a.name) for a in (lon, lat) if isinstance(a, xr.DataArray))}
    others = {
        n: xr.Variable((dim,), v.values, v.attrs) for n, v in (second.others | first.others).items() if n not in own
    }
    return Points(dim, first.values, second.values, label, others)


def _side(values: Any, name: str) -> _Side:
    if isinstance(values, xr.DataArray) and values.ndim == 1:
        dim = str(values.dims[0])
        index = values.indexes.get(values.dims[0])
        # Labels of several levels pair; in a result, which files can hold, each level is a coordinate.
        kept = None if index is None or isinstance(index, pd.MultiIndex) else values[values.dims[0]].variable
        others = {
            str(n): c.variable for n, c in values.coords.items() if c.dims == values.dims and n not in values.dims
        }
        return _Side(_numbers(values.values, name), dim, index, kept, others)
    if isinstance(values, pd.Series):
        index = values.index
        named = None if index.name is None else str(index.name)
        # The default index of a table only counts its rows.
        counts = named is None and index.equals(pd.RangeIndex(len(index)))
        if isinstance(index, pd.MultiIndex):
            levels = {
                str(n): xr.Variable((POINT,), index.get_level_values(i)) for i, n in enumerate(_level_names(index))
            }
            return _Side(_numbers(values, name), named, index, others=levels)
        kept = None if counts else xr.Variable((named or POINT,), index)
        return _Side(_numbers(values, name), named, index, kept)
    return _Side(_numbers(values.values if isinstance(values, xr.DataArray) else values, name))


def _level_names(index: pd.MultiIndex) -> list[Any]:
    """Return the names of the levels of an index, numbered where they have none, as pandas names columns."""
    return [f"level_{i}" if name is None else name for i, name in enumerate(index.names)]


def _numbers(values: Any, name: str) -> NDArray[np.float64]:
    """Return numbers as float64, NaN where they are masked or missing."""
    wrong = f"{name} is {shown(values)}, expected degrees as numbers"
    if isinstance(values, (xr.Dataset, pd.DataFrame, dict, set)) or values is None:
        raise GridError(f"{wrong}; {_FIX}")
    try:
        array = values if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
    except (TypeError, ValueError):
        raise GridError(f"{wrong}; {_FIX}") from None
    if array.dtype.kind == "O":
        numbers = [_number(v) for v in array.ravel()]
        if not any(number is None for number in numbers):
            array = np.array(numbers, float).reshape(array.shape)
    if array.dtype.kind not in "iuf":
        raise GridError(f"{wrong}; {_fix_of_text(array, name)}")
    return np.ma.filled(array.astype(float), np.nan)


def _number(value: Any) -> float | None:
    """Return an object as a number, NaN where it is missing, None where it is neither."""
    if isinstance(value, (str, bytes, bool, np.bool_)) or np.ndim(value):
        return None
    if pd.isna(value):
        return float("nan")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _fix_of_text(array: NDArray, name: str) -> str:
    """Return the fix of text: its conversion, where all of it reads as numbers."""
    if not array.size or not all(isinstance(text, str) for text in array.ravel()):
        return _FIX
    try:
        array.astype(float)
    except ValueError:
        return _FIX
    return f"fix: {name}=np.asarray({name}, float)"


def _broadcast(side: _Side, other: _Side) -> _Side:
    """Return one number as often as the other argument has numbers, along its dimension."""
    if side.values.ndim:
        return side
    n = len(other.values) if other.values.ndim else 1
    return _Side(np.full(n, side.values), other.dim, other.index, other.label, other.others)


def _in_order_of(first: _Side, second: _Side) -> _Side:
    """Return the second argument in the order of the labels of the first, where both have labels."""
    if first.index is None or second.index is None or first.index.equals(second.index):
        return second
    along = f" along {first.dim!r}" if first.dim is not None else ""
    absent = first.index.symmetric_difference(second.index, sort=False)
    if len(absent):
        fix = "lon, lat = xr.align(xr.DataArray(lon), xr.DataArray(lat), join='inner')"
        if not len(first.index.intersection(second.index)):
            fix = "lon=np.asarray(lon), lat=np.asarray(lat), if they pair by position"
        raise GridError(
            f"lon and lat have other labels{along}: {len(absent)} belong to one of them only, such as {absent[0]!r}; "
            f"fix: {fix}"
        )
    if not (first.index.is_unique and second.index.is_unique):
        raise GridError(
            f"lon and lat have labels{along} more than once, in another order, so that they do not pair; "
            "fix: lon=np.asarray(lon), lat=np.asarray(lat), if they pair by position"
        )
    order = second.index.get_indexer(first.index)
    others = {name: variable[order] for name, variable in second.others.items()}
    return replace(second, values=second.values[order], index=first.index, label=None, others=others)


def _check_places(x: NDArray[np.float64], y: NDArray[np.float64], lon: Any, lat: Any) -> None:
    """Raise where there are no points, or some are missing or no places on the globe."""
    if not len(x):
        raise GridError("no points: lon and lat are empty; fix: lon=[10.0], lat=[50.0]")
    missing = np.isnan(x) | np.isnan(y)
    if missing.any():
        raise GridError(
            f"{missing.sum()} of {len(x)} points have no coordinates, the first of them at position "
            f"{np.flatnonzero(missing)[0]}; fix: {_fix_of_missing(lon, lat)}"
        )
    beyond = np.abs(y) > 90
    if beyond.any():
        swapped = longitudes.valid(y).all() and np.abs(x).max() <= 90
        fix = "lon=lat, lat=lon, they look swapped" if swapped else _keeping("np.abs(lat) <= 90")
        raise GridError(f"lat reaches {y[np.abs(y).argmax()]:g}, expected -90..90; fix: {fix}")
    wrong = ~longitudes.valid(x)
    if wrong.any():
        fix = _keeping("(np.abs(lon) <= 3600) & ~np.isin(np.abs(lon), (999, 999.9, 999.99))")
        raise GridError(
            f"lon is {x[wrong][0]:g} at {wrong.sum()} of {len(x)} points, outside ten turns or a mark of a missing value; fix: {fix}"
        )


def _keeping(condition: str) -> str:
    return f"keep = {condition}; lon=np.asarray(lon)[keep], lat=np.asarray(lat)[keep]"


def _fix_of_missing(lon: Any, lat: Any) -> str:
    """Return the code that keeps the points with coordinates, for what users pass."""
    if isinstance(lon, xr.DataArray) and isinstance(lat, xr.DataArray):
        return "keep = lon.notnull() & lat.notnull(); lon=lon.where(keep, drop=True), lat=lat.where(keep, drop=True)"
    if isinstance(lon, pd.Series) and isinstance(lat, pd.Series):
        return "keep = lon.notna() & lat.notna(); lon=lon[keep.loc[lon.index]], lat=lat[keep.loc[lat.index]]"
    if isinstance(lon, np.ma.MaskedArray) or isinstance(lat, np.ma.MaskedArray):
        return _keeping("~(np.ma.getmaskarray(lon) | np.ma.getmaskarray(lat))")
    return _keeping("pd.notna(lon) & pd.notna(lat)")
