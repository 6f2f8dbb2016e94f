"""Which steps of the record an estimate depends on: whole days with their margins, or the history of a forecast."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..arrays import timesteps


def record_slice(
    record: NDArray[np.datetime64],
    margin_days: tuple[int, int],
    times: NDArray[np.datetime64],
    init: np.datetime64 | None,
) -> slice:
    """Return the steps of the record that estimates at times depend on.

    Parameters
    ----------
    record : (n_record,) datetime64, UTC
        All times of the dataset, on a regular step.
    margin_days : (before, after)
        Of the mapper.
    times : (n_time,) datetime64, UTC
        Times to estimate. An analysis reads the whole days that hold them, and its margins: weights belong to days,
        wherever a block begins.
    init : datetime64, optional
        Of a forecast, which reads the days before that end with this step, whatever times are asked for.
    """
    if len(record) == 1:
        return slice(0, 1)
    before, after = margin_days
    if init is not None:
        return history_slice(record, before, init)
    first = floor_day(times[0], record) - days_as_time(before, record)
    end = floor_day(times[-1], record) + days_as_time(after + 1, record)
    return slice(int(np.searchsorted(record, first)), int(np.searchsorted(record, end)))


def history_slice(record: NDArray[np.datetime64], days: int, init: np.datetime64) -> slice:
    """Return the steps of the record that a forecast reads: the days that end with its init time, which is the last."""
    first = init - days_as_time(days, record)
    return slice(int(np.searchsorted(record, first, side="right")), int(np.searchsorted(record, init, side="right")))


def days_as_time(n: int, record: NDArray[np.datetime64]) -> np.timedelta64:
    """Return n days, or n steps where a step is a day or longer."""
    step = _step(record)
    return n * (step if timesteps.steps_per_day(step) == 1 else timesteps.DAY.astype("timedelta64[s]"))


def floor_day(time: np.datetime64, record: NDArray[np.datetime64]) -> np.datetime64:
    """Return the start of the UTC day of a time, or the time itself where a step is a day or longer."""
    if timesteps.steps_per_day(_step(record)) == 1:
        return time
    return time.astype("datetime64[D]").astype("datetime64[s]")


def _step(record: NDArray[np.datetime64]) -> np.timedelta64:
    """Return the step of a record, whose steps were found equal before: the whole of it is not read for every block."""
    return timesteps.regular_step(record[:2])
