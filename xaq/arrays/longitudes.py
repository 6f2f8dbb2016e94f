"""Longitudes, which data count from -180, from 0, or with any number of turns of 360 degrees added.

:func:`unwrap` and :func:`axis_order` are the one place where longitudes of several conventions become comparable.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Longitudes of one place in two conventions differ by rounding; to so many digits (0.1 mm) they are the same.
_DIGITS = 9
#: Beyond ten turns a number is no longitude, and these are the marks of a missing one in station lists.
_LARGEST, _MISSING = 3600.0, (999.0, 999.9, 999.99)


def valid(lon: ArrayLike) -> NDArray[np.bool_]:
    """Return which numbers can be longitudes: finite, within ten turns, and no mark of a missing value such as -999."""
    size = np.abs(np.asarray(lon, float))
    return np.isfinite(size) & (size <= _LARGEST) & ~np.isin(size, _MISSING)


def canonical(lon: ArrayLike) -> NDArray[np.float64]:
    """Return longitudes within -180 .. 180, without 180; the same number for a place, however many turns were added."""
    lon = np.asarray(lon, float)
    with np.errstate(invalid="ignore"):  # infinity becomes NaN
        lon = np.round(lon - 360.0 * np.floor((lon + 180.0) / 360.0), _DIGITS)
    # Rounding can give 180 and -0.
    return np.where(lon >= 180.0, lon - 360.0, lon) + 0.0


def nearest_image(lon: ArrayLike, centre: float) -> NDArray[np.float64]:
    """Return longitudes, each at its image (plus or minus whole turns of 360 degrees) nearest to a central longitude."""
    lon = np.asarray(lon, float)
    return lon + 360.0 * np.round((centre - lon) / 360.0)


def unwrap(lon: ArrayLike) -> NDArray[np.float64]:
    """Return longitudes at their images on the shortest arc that holds them all, whichever convention each is in.

    They are returned as they are where they lie on that arc already, within -180 .. 360. Otherwise the arc begins within
    -180 .. 180.
    """
    lon = np.asarray(lon, float)
    if not lon.size:
        return lon
    places = canonical(lon)
    west, width = _shortest_arc(np.unique(places))
    on_arc = np.ptp(lon) <= width + 1e-6 and canonical(lon.min()) == west
    if on_arc and lon.min() >= -180.0 and lon.max() <= 360.0:
        return lon
    return np.where(places < west, places + 360.0, places)


def ascends_eastwards(lon: ArrayLike) -> bool:
    """Whether each longitude lies east of the one before, if turns are left out, and all within one turn."""
    eastwards = np.diff(np.asarray(lon, float)) % 360.0
    return bool(((eastwards > 0) & (eastwards <= 180)).all() and eastwards.sum() < 360.0)


def axis_order(lon: ArrayLike) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the order in which the longitudes ``(n,)`` of an axis ascend without a hole, and their values in it.

    An axis without a hole keeps its values. Any other one begins east of its widest gap, within -180 .. 180, so that
    345 .. 360, 0 .. 15 becomes -15 .. 15. Holes that are left are the caller's to refuse.
    """
    lon = np.asarray(lon, float)
    order = np.argsort(lon, kind="stable")
    if not len(lon) or not (len(holes(lon[order])) or (np.diff(lon[order]) > 180.0).any()):
        return order, lon[order]
    places = canonical(lon)
    west, _ = _shortest_arc(np.unique(places))
    places = np.where(places < west, places + 360.0, places)
    order = np.argsort(places, kind="stable")
    return order, places[order]


def _shortest_arc(places: NDArray[np.float64]) -> tuple[float, float]:
    """Return the western end and the width of the shortest arc that holds distinct canonical longitudes, ascending."""
    gaps = np.diff(places, append=places[0] + 360.0)
    widest = int(np.argmax(gaps))
    return float(places[(widest + 1) % len(places)]), 360.0 - float(gaps[widest])


def holes(centres: ArrayLike) -> NDArray[np.intp]:
    """Return after which centres of an ascending axis a hole follows: a gap wider than twice the spacing around it.

    The spacing around a gap is the median of it and two gaps on either side, the smaller one of two medians, so that it may
    change along an axis.
    """
    gaps = np.diff(np.asarray(centres, float))
    if not len(gaps):
        return np.empty(0, np.intp)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(gaps, 2, constant_values=np.nan), 5)
    spacing = np.nanquantile(around, 0.5, axis=1, method="lower")
    # Axes are often float32, whose gaps differ by rounding.
    return np.flatnonzero(gaps > 2.02 * spacing)


def longest_part(order: NDArray[np.intp], after: NDArray[np.intp]) -> str:
    """Return the index, as code, of the longest part of an axis between holes that follow positions ``after``.

    ``order`` is that in which the stored axis ascends; the index is one of the stored axis.
    """
    edges = np.concatenate([[0], np.asarray(after) + 1, [len(order)]])
    longest = int(np.argmax(np.diff(edges)))
    stored = np.sort(order[edges[longest] : edges[longest + 1]])
    pieces = np.split(stored, np.flatnonzero(np.diff(stored) > 1) + 1)
    if len(pieces) == 1:
        return f"slice({stored[0]}, {stored[-1] + 1})"
    return f"np.r_[{', '.join(f'{piece[0]}:{piece[-1] + 1}' for piece in pieces)}]"
