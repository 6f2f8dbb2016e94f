"""Time axes that are not regular: timestamps off the step, repeated, out of order or missing; found, and made regular."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ..arrays import timesteps
from ..conventions import TIME
from ..errors import SchemaError
from .timestamps import step_of

#: A regular axis that would be this many times longer than the list of timestamps means that some of them are wrong.
_LONGEST = 20


@dataclass(frozen=True)
class TimeAxis:
    """The step of most timestamps, and the timestamps that depart from it.

    Attributes
    ----------
    step : numpy.timedelta64
        The most frequent difference of distinct timestamps.
    phase : numpy.timedelta64
        The most frequent remainder of a timestamp divided by the step.
    off_step : (n_time,) bool
        Timestamps with another remainder.
    repeated : (n_time,) bool
        Timestamps that occurred before.
    unsorted : bool
        Whether timestamps are out of order.
    missing : int
        How many steps between the first and the last timestamp have none.
    """

    step: np.timedelta64
    phase: np.timedelta64
    off_step: NDArray[np.bool_]
    repeated: NDArray[np.bool_]
    unsorted: bool
    missing: int

    @property
    def of_calendar(self) -> bool:
        """Whether steps are longer than a day and differ: months, quarters, years. Such timestamps cannot be moved to a step."""
        return bool(self.step > timesteps.DAY and self.off_step.any())

    @classmethod
    def of(cls, ds: xr.Dataset) -> TimeAxis:
        """Return the time axis of a dataset, as its timestamps show it.

        Raises
        ------
        SchemaError
            A single timestamp without a stated step, or timestamps so far apart that a regular axis would be nearly empty.
        """
        timestamps = ds[TIME].values.astype("datetime64[s]")
        distinct = np.unique(timestamps)
        if len(distinct) < 2:
            step = step_of(ds[TIME][:1])
            phase = (distinct[0] - np.datetime64(0, "s")) % step
        else:
            step, phase = _step_and_phase(distinct)
        residue = (timestamps - np.datetime64(0, "s")) % step
        axis = np.unique(_rounded(timestamps, step, phase, "nearest"))
        length = int((axis[-1] - axis[0]) // step) + 1
        if length > _LONGEST * len(timestamps):
            raise SchemaError(
                f"{len(timestamps)} timestamps of a step of {timesteps.step_name(step)} lie between {axis[0]} and {axis[-1]}: "
                "some must be wrong; fix: ds.sel(time=slice(first, last))"
            )
        return cls(
            step=step,
            phase=phase,
            off_step=residue != phase,
            repeated=pd.Index(timestamps).duplicated(),
            unsorted=bool((np.diff(timestamps) < np.timedelta64(0)).any()),
            missing=length - len(axis),
        )

    @property
    def regular(self) -> bool:
        """Whether the timestamps are sorted, distinct and on every step."""
        return not (self.off_step.any() or self.repeated.any() or self.unsorted or self.missing)


def _step_and_phase(distinct: NDArray) -> tuple[np.timedelta64, np.timedelta64]:
    """Return the most frequent difference of sorted timestamps, and remainder; of noisy ones, the nearest round numbers."""
    steps, times = np.unique(np.diff(distinct), return_counts=True)
    step, seconds = steps[np.argmax(times)], (distinct - np.datetime64(0, "s")).astype(np.int64)
    median = float(np.median(np.diff(seconds)))
    if 2 * times.max() <= len(distinct) - 1 and 60 <= median < 86400 * 1.05:
        # Where no difference is that of most, timestamps are noisy: the step is the nearest that divides a day.
        divisors = np.array([n for n in range(60, 86401) if 86400 % n == 0])
        nearest = int(divisors[np.argmin(abs(np.log(divisors / median)))])
        if abs(nearest / median - 1) < 0.05:
            # Remainders are angles: their mean direction is the phase.
            angle = np.angle(np.exp(2j * np.pi * seconds / nearest).mean())
            phase = round(angle / (2 * np.pi) * nearest / 60) * 60 % nearest
            return np.timedelta64(nearest, "s"), np.timedelta64(phase, "s")
    residues, times = np.unique((distinct - np.datetime64(0, "s")) % step, return_counts=True)
    return step, residues[np.argmax(times)]


def _rounded(timestamps: NDArray, step: np.timedelta64, phase: np.timedelta64, how: str) -> NDArray:
    """Return timestamps moved to a step: the nearest, or the one before (``"floor"``)."""
    half = step // 2 if how == "nearest" else np.timedelta64(0, "s")
    return timestamps - (timestamps - np.datetime64(0, "s") - phase + half) % step + half


def moved_to_step(ds: xr.Dataset, how: str = "nearest") -> NDArray[np.datetime64]:
    """Return the timestamps, those off the step moved to it; none moves to another month, whose mean it would change."""
    axis = TimeAxis.of(ds)
    timestamps = ds[TIME].values.astype("datetime64[s]")
    if axis.of_calendar:
        return timestamps
    moved = np.where(axis.off_step, _rounded(timestamps, axis.step, axis.phase, how), timestamps)
    if axis.step < timesteps.DAY:
        return moved
    # An hour is the most by which a clock's noise moves the midnight of a day.
    far = abs(moved - timestamps) > np.timedelta64(3600, "s")
    elsewhere = moved.astype("datetime64[M]") != timestamps.astype("datetime64[M]")
    return np.where(far & elsewhere, timestamps, moved)


def on_step(ds: xr.Dataset, how: str = "nearest") -> xr.Dataset:
    """Return the dataset sorted, with timestamps that are off the step moved to it; two may then be equal."""
    axis, moved = TimeAxis.of(ds), moved_to_step(ds, how)
    # Of two equal timestamps, the one that was on the step comes first, so that a merge prefers its values.
    order = np.lexsort((axis.off_step, moved))
    return ds.assign_coords({TIME: (TIME, moved, ds[TIME].attrs)}).isel({TIME: order})


def merge(ds: xr.Dataset, dim: str, group: NDArray) -> xr.Dataset:
    """Return the dataset with one entry per group along a dimension: the first value of the group that is not missing. Lazy."""
    first, kinds = np.sort(np.unique(group, return_index=True)[1]), pd.Index(group)
    rank = pd.Series(group).groupby(group).cumcount().to_numpy()
    merged = ds.isel({dim: first})
    position = pd.Index(group[first])
    for nth in range(1, int(rank.max()) + 1):
        later = np.flatnonzero(rank == nth)
        source = np.full(len(first), later[0])
        source[position.get_indexer(kinds[later])] = later
        has = xr.DataArray(np.isin(group[first], group[later]), dims=dim)
        for name in merged.data_vars:
            if dim in ds[name].dims and np.issubdtype(ds[name].dtype, np.floating):
                extra = ds[name].variable.isel({dim: source})
                filled = merged[name].variable.where(merged[name].variable.notnull() | ~has.variable, extra)
                merged[name] = merged[name].copy(data=filled.transpose(*merged[name].dims).data)
    return merged


def fill_axis(ds: xr.Dataset) -> xr.Dataset:
    """Return the dataset sorted, on every step from its first to its last timestamp. Lazy."""
    step = TimeAxis.of(ds).step
    ds = ds.sortby(TIME)
    timestamps = ds[TIME].values.astype("datetime64[s]")
    axis = np.arange(timestamps[0], timestamps[-1] + step, step)
    attrs, kinds = ds[TIME].attrs, {n: v.dtype for n, v in ds.data_vars.items()}
    if len(axis) == len(timestamps):
        return ds
    ds = ds.reindex({TIME: axis}).assign_coords({TIME: (TIME, axis, attrs)})
    return ds.assign({n: ds[n].astype(kind) for n, kind in kinds.items() if np.issubdtype(kind, np.floating)})


def regularised(ds: xr.Dataset) -> xr.Dataset:
    """Return the dataset on a regular axis, with timestamps rounded, merged and filled as needed. Lazy.

    Timestamps that cannot be moved to a step are sorted and merged only.
    """
    if TimeAxis.of(ds).regular:
        return ds
    ds = on_step(ds)
    ds = merge(ds, TIME, ds[TIME].values)
    return ds if TimeAxis.of(ds).off_step.any() else fill_axis(ds)
