"""Comparison of two networks: the time shift between them, and the ratio of their concentrations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..arrays import sphere
from ..conventions import TIME
from ..stations import limits, schema
from ..stations.timestamps import step_of
from . import detectors, flags

#: Stations within this distance are taken as the same monitor; lists round coordinates to some hundred metres.
_SAME_MONITOR_KM = 1.0
#: Number of pairs that are compared, those with most values: enough to find a time shift.
_MOST_PAIRS = 60
#: Time shifts are searched up to this, hours: a day, and an hour between start and end of an interval.
_REACH_HOURS = 25
#: A pair whose best correlation is lower does not show a time shift.
_LEAST_CORRELATION = 0.5
#: Common values needed for a ratio of concentrations.
_LEAST_VALUES = 48


@dataclass(frozen=True)
class Pair:
    """The result of a comparison.

    Attributes
    ----------
    hours : float
        Timestamps of the first network minus those of the second for the same event.
    step_hours : float
        The step of both networks.
    n, agree : int
        How many pairs of series were compared, and how many of them give these hours.
    what : str
        What the series are.
    best, unshifted : float
        Median correlation over the pairs with this time shift, and without one.
    ratios : dict
        By variable, the median ratio of values of the first network to those of the second, and the number of values.
    """

    hours: float
    step_hours: float
    n: int
    agree: int
    what: str
    best: float
    unshifted: float
    ratios: dict[str, tuple[float, int]]


def pair_up(ds: xr.Dataset, other: xr.Dataset, names: list[str]) -> Pair | None:
    """Compare two networks on regular axes; None where they have no variable, step, period or variation in common.

    Stations within 1 km of each other are compared one by one; without any, the means of the two networks are compared.
    Impossible values are left out. Computes the variables.
    """
    step = step_of(ds[TIME])
    if not names or step != step_of(other[TIME]):
        return None
    mine, theirs, apart = _common_axis(ds, other, step)
    step_hours = step / np.timedelta64(3600, "s")
    reach = max(1, round(_REACH_HOURS / step_hours))
    lags = np.arange(-reach, reach + 1)
    here, there = _same_monitors(ds, other)
    series = {name: _series(ds, other, name, mine, theirs, here, there) for name in names}
    found = np.concatenate([detectors.correlations(_log(a), _log(b), lags) for a, b in series.values()])
    correlated = np.nanmax(found, axis=1, initial=-1.0, where=np.isfinite(found)) >= _LEAST_CORRELATION
    if not correlated.any():
        return None
    found = np.where(np.isfinite(found[correlated]), found[correlated], -1.0)
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
    """Return the index of each step of a common axis in both (-1 where absent), and the remaining offset between the two."""
    a, b = ds[TIME].values.astype("datetime64[s]"), other[TIME].values.astype("datetime64[s]")
    offset = round((b[0] - a[0]) / step)
    steps = np.arange(min(0, offset), max(len(a), offset + len(b)))
    mine = np.where((steps >= 0) & (steps < len(a)), steps, -1)
    theirs = np.where((steps >= offset) & (steps < offset + len(b)), steps - offset, -1)
    return mine, theirs, a[0] + offset * step - b[0]


def _same_monitors(ds: xr.Dataset, other: xr.Dataset) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the indices of stations of both that lie within 1 km of each other, each used once."""
    lon, lat = schema.positions(ds)
    other_lon, other_lat = schema.positions(other)
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
    """Return a variable without impossible values; other problems hardly affect logarithms and medians. Computes it."""
    values = flags.values_of(ds, name)
    return np.where(limits.impossible(name, values, limits.units_of(ds, name)), np.nan, values)


def _mean(values: NDArray) -> NDArray:
    """Return the mean of a network at each step, ``(1, n_step)``; NaN without any value."""
    seen = np.isfinite(values)
    n = seen.sum(axis=0, keepdims=True)
    return np.where(n > 0, np.where(seen, values, 0).sum(axis=0, keepdims=True) / np.maximum(n, 1), np.nan)


def _log(values: NDArray) -> NDArray:
    """Return logarithms, so that a few episodes do not dominate the correlation; NaN where not positive."""
    return np.log(np.where(values > 0, values, np.nan))


def _ratio(a: NDArray, b: NDArray, lag: int) -> tuple[float, int] | None:
    """Return the median ratio of positive values at a lag and their number, or None with fewer than 48."""
    left, right = detectors.lagged(a, b, lag)
    both = (left > 0) & (right > 0)
    if both.sum() < _LEAST_VALUES:
        return None
    return float(np.median(left[both] / right[both])), int(both.sum())
