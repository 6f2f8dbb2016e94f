"""Time as steps: the regular time axis, the days on it, and windows of steps.

A window is a run of consecutive steps. Steps outside the record, or without an observation, are masked and never skipped,
so that a window has no jump in time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import SchemaError

HOUR, DAY = np.timedelta64(1, "h"), np.timedelta64(1, "D")
#: Data capture: the least fraction of a day's steps that must be observed for a daily mean, 18 of 24 hours.
DATA_CAPTURE = 0.75


def regular_step(times: NDArray[np.datetime64]) -> np.timedelta64:
    """Return the constant step of a time axis, in seconds.

    Raises
    ------
    SchemaError
        There are fewer than two times, or they are unsorted, repeated or irregular.
    """
    if len(times) < 2:
        raise SchemaError(
            f"time has {len(times)} value(s), expected at least 2, which give the step, or a stated step; fix: a longer record, or, of "
            "daily values, ds.assign_coords(time=ds.time.assign_attrs(step='1D'))"
        )
    seconds = np.diff(times.astype("datetime64[s]")).astype(np.int64)
    step = int(np.median(seconds))
    bad = np.flatnonzero(seconds != step)
    if step <= 0 or len(bad):
        i = int(bad[0]) if len(bad) else 0
        kind = "repeated or unsorted" if seconds[i] <= 0 else "irregular"
        raise SchemaError(
            f"time is {kind} at {times[i]} -> {times[i + 1]} ({len(bad)} such step(s)), expected one regular step; "
            "fix: ds.aq.repair(off_step='nearest', duplicate_times='merge', irregular='fill')"
        )
    return np.timedelta64(step, "s")


def steps_per_day(step: np.timedelta64) -> int:
    """Return the number of steps in a day, 1 where a step is a day or longer. Such a day shares one set of weights.

    Raises
    ------
    SchemaError
        The step neither divides a day nor is a whole number of days.
    """
    seconds = int(step / np.timedelta64(1, "s"))
    if seconds <= 86400 and 86400 % seconds == 0:
        return 86400 // seconds
    if seconds % 86400 == 0:
        return 1
    raise SchemaError(
        f"a step of {seconds} s neither divides a day nor is a whole number of days; fix: ds.resample(time='1h').mean(keep_attrs=True)"
    )


def step_name(step: np.timedelta64) -> str:
    """Return the step in its largest whole unit, such as ``1h``, ``3h``, ``1D``, ``15min`` or ``45s``."""
    seconds = int(step / np.timedelta64(1, "s"))
    for size, unit in ((86400, "D"), (3600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def day_starts(first: np.datetime64, last: np.datetime64, step: np.timedelta64) -> NDArray[np.datetime64]:
    """Return the first time of every UTC day that a period touches; every time where a step is a day or longer."""
    if steps_per_day(step) == 1:
        return np.arange(first, last + step, step)
    # Times need not fall on midnight UTC (zones of half an hour, 3 h steps of a local day): a day begins with its first.
    phase = (first - first.astype("datetime64[D]")) % step
    days = np.arange((first - phase).astype("datetime64[D]"), (last - phase).astype("datetime64[D]") + DAY, DAY)
    return days.astype(first.dtype) + phase


def gather_steps(values: NDArray, steps: NDArray[np.intp], fill: float = np.nan) -> NDArray:
    """Return ``values[..., steps]``, with ``fill`` where a step lies outside the record."""
    n = values.shape[-1]
    inside = (steps >= 0) & (steps < n)
    taken = values[..., np.clip(steps, 0, n - 1)]
    return np.where(inside, taken, np.asarray(fill, values.dtype))


def forecast_starts(n_time: int, history: int, horizon: int, stride: int) -> NDArray[np.intp]:
    """Return the first target steps of forecast windows whose history and horizon both lie inside the record.

    Parameters
    ----------
    n_time : int
        Steps of the record.
    history, horizon : int
        Steps before the first target step, the last of them the init time, and target steps from it on.
    stride : int
        Steps between one window and the next.
    """
    return np.arange(history, n_time - horizon + 1, stride, dtype=np.intp)
