"""Two networks held against each other: by how much their clocks and their levels differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..arrays import sphere
from ..conventions import LAT, LON, TIME
from . import detectors, flags

#: Stations this near are taken for the same monitor; lists round coordinates to some hundred metres.
_SAME_MONITOR_KM = 1.0
#: Pairs compared, those with most values; networks of thousands need no more to tell the time.
_MOST_PAIRS = 60
#: Clocks are searched this far apart, hours: a day, and a step of doubt on either side.
_REACH_HOURS = 25
#: Below this a pair's best correlation says nothing of its clock.
_LEAST_CORRELATION = 0.5
#: Values in common needed to compare levels.
_LEAST_VALUES = 48


@dataclass(frozen=True)
class Pair:
    """What two networks say of each other."""

    #: Timestamps of the first minus timestamps of the second for the same air, hours.
    hours: float
    step_hours: float
    #: Series that were compared, those that give these hours, and what they are.
    n: int
    agree: int
    what: str
    #: Median correlation over series at these hours, and with timestamps as they are.
    best: float
    unshifted: float
    #: Median ratio of values of the first to the second by variable, and from how many values.
    ratios: dict[str, tuple[float, int]]


def pair_up(ds: xr.Dataset, other: xr.Dataset, names: list[str]) -> Pair | None:
    """Compare two networks on regular axes; None where they have no variable, step, period or variation in common.

    Stations within 1 km are compared one by one; without any, the means of the two networks are. Impossible
    values are left out.
    """
    step = np.diff(ds[TIME].values[:2].astype("datetime64[s]"))[0]
    if not names or step != np.diff(other[TIME].values[:2].astype("datetime64[s]"))[0]:
        return None
    mine, theirs, apart = _common_axis(ds, other, step)
    step_hours = step / np.timedelta64(3600, "s")
    reach = max(1, round(_REACH_HOURS / step_hours))
    lags = np.arange(-reach, reach + 1)
    here, there = _same_monitors(ds, other)
    series = {name: _series(ds, other, name, mine, theirs, here, there) for name in names}
    found = np.concatenate([detectors.correlations(*_log(a, b), lags) for a, b in series.values()])
    telling = np.nanmax(found, axis=1, initial=-1.0, where=np.isfinite(found)) >= _LEAST_CORRELATION
    if not telling.any():
        return None
    found = np.where(np.isfinite(found[telling]), found[telling], -1.0)
    best_of_each = lags[found.argmax(axis=1)]
    values, counts = np.unique(best_of_each, return_counts=True)
    lag = int(values[np.argmax(counts)])
    return Pair(
        hours=float(lag * step_hours + apart / np.timedelta64(3600, "s")),
        step_hours=float(step_hours),
        n=len(found),
        agree=int(counts.max()),
        what="pairs of series of the same monitors" if len(here) else "means of the networks",
        best=float(np.median(found[:, lags == lag])),
        unshifted=float(np.median(found[:, lags == 0])),
        ratios={n: r for n, (a, b) in series.items() if len(here) and (r := _ratio(a, b, lag)) is not None},
    )


def _common_axis(
    ds: xr.Dataset, other: xr.Dataset, step: np.timedelta64
) -> tuple[NDArray[np.intp], NDArray[np.intp], np.timedelta64]:
    """Return the position of each step of a common axis in both (-1 where absent), and what is left between the two."""
    a, b = ds[TIME].values.astype("datetime64[s]"), other[TIME].values.astype("datetime64[s]")
    offset = round((b[0] - a[0]) / step)
    steps = np.arange(min(0, offset), max(len(a), offset + len(b)))
    mine = np.where((steps >= 0) & (steps < len(a)), steps, -1)
    theirs = np.where((steps >= offset) & (steps < offset + len(b)), steps - offset, -1)
    return mine, theirs, a[0] + offset * step - b[0]


def _same_monitors(ds: xr.Dataset, other: xr.Dataset) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return positions of stations of both that lie within 1 km of each other, each used once."""
    lon, lat = ds[LON].values.astype(float), ds[LAT].values.astype(float)
    other_lon, other_lat = other[LON].values.astype(float), other[LAT].values.astype(float)
    a, b = np.flatnonzero(np.isfinite(lon + lat)), np.flatnonzero(np.isfinite(other_lon + other_lat))
    if not len(a) or not len(b):
        return a[:0], b[:0]
    index, km = sphere.nearest(other_lon[b], other_lat[b], lon[a], lat[a], 1)
    order = np.argsort(km[:, 0], kind="stable")
    order = order[km[order, 0] <= _SAME_MONITOR_KM]
    _, first = np.unique(index[order, 0], return_index=True)
    order = order[np.sort(first)]
    return a[order], b[index[order, 0]]


def _series(
    ds: xr.Dataset,
    other: xr.Dataset,
    name: str,
    mine: NDArray[np.intp],
    theirs: NDArray[np.intp],
    here: NDArray[np.intp],
    there: NDArray[np.intp],
) -> tuple[NDArray, NDArray]:
    """Return the paired series of both networks on the common axis, ``(n_pair, n_step)`` each."""
    a, b = _clean(ds, name), _clean(other, name)
    if len(here):
        seen = np.minimum(np.isfinite(a[here]).sum(axis=1), np.isfinite(b[there]).sum(axis=1))
        most = np.argsort(-seen, kind="stable")[:_MOST_PAIRS]
        a, b = a[here[most]], b[there[most]]
    else:
        a, b = _mean(a), _mean(b)
    return np.where(mine >= 0, a[:, mine], np.nan), np.where(theirs >= 0, b[:, theirs], np.nan)


def _clean(ds: xr.Dataset, name: str) -> NDArray:
    """Return a variable without impossible values; spikes and the like weigh little on logarithms and medians."""
    values = flags.values_of(ds, name)
    return np.where(flags.impossible(ds, name, values), np.nan, values)


def _mean(values: NDArray) -> NDArray:
    seen = np.isfinite(values)
    n = seen.sum(axis=0, keepdims=True)
    return np.where(n > 0, np.where(seen, values, 0).sum(axis=0, keepdims=True) / np.maximum(n, 1), np.nan)


def _log(a: NDArray, b: NDArray) -> tuple[NDArray, NDArray]:
    """Return logarithms: a network's hours are told by its whole record, not by its few worst days."""
    return tuple(np.log(np.where(x > 0, x, np.nan)) for x in (a, b))  # type: ignore[return-value]


def _ratio(a: NDArray, b: NDArray, lag: int) -> tuple[float, int] | None:
    left = a[:, max(lag, 0) : a.shape[1] + min(lag, 0)]
    right = b[:, max(-lag, 0) : b.shape[1] + min(-lag, 0)]
    both = (left > 0) & (right > 0)
    if both.sum() < _LEAST_VALUES:
        return None
    return float(np.median(left[both] / right[both])), int(both.sum())
