"""The windows of a training run: which are selected, which are learned from, which validate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays import timesteps
from ..errors import SchemaError
from ..nn.config import AQNetConfig

#: Fraction of a forecast's training period that is learned from; the rest, after an embargo, validates and calibrates.
LEARNING_FRACTION = 0.85
#: Station-steps held once per fold of an analysis: 20 MB for each of three arrays, up to five times that for advected values.
_MAX_VALUES = 5_000_000
#: Windows of an analysis that are kept however many stations there are.
_LEAST_WINDOWS = 60
#: An analysis is validated on so many days, and on at least so many steps: a day of daily data holds less than one of hourly data.
_VALIDATION_DAYS, _VALIDATION_STEPS = 64, 512
#: Windows that validate a forecast, at most.
_FORECAST_VALIDATION_WINDOWS = 96
#: Days of init times beyond the embargo that a forecast needs, and days of them that it must be able to learn from.
_LEAST_DAYS, _LEAST_LEARNING_DAYS = 10, 5


@dataclass(frozen=True)
class WindowSplit:
    """Windows for learning and for validation: the steps ``(window,)`` at which their targets begin."""

    learning: NDArray[np.int64]
    validation: NDArray[np.int64]


def select_windows(times: NDArray[np.datetime64], config: AQNetConfig, n_station: int) -> NDArray[np.datetime64]:
    """Return the windows of a training period.

    Parameters
    ----------
    times : (time,)
        Of the record, regular.
    config : AQNetConfig
    n_station : int
        An analysis holds every window once per fold; a long record of many stations is thinned.

    Returns
    -------
    (window,) datetime64
        The first target time of each: days of an analysis, any step of a forecast.

    Raises
    ------
    SchemaError
        The record is too short for a forecast.
    """
    if config.task == "forecast":
        return _forecast_windows(times, config)
    days = timesteps.day_starts(times[0], times[-1], times[1] - times[0])
    return _thinned(days, n_station * config.input_steps)


def _forecast_windows(times: NDArray[np.datetime64], config: AQNetConfig) -> NDArray[np.datetime64]:
    history, horizon = -config.input_offset, config.target_steps
    # A forecast may start at any step of the day.
    first = timesteps.forecast_starts(len(times), history, horizon, 1)
    least = least_forecast_windows(config)
    if len(first) < least:
        raise SchemaError(
            f"{len(times)} steps hold {len(first)} windows of {history} + {horizon} steps, at least {least} are needed; "
            f"fix: a period of {least + history + horizon - 1} steps or more, "
            "or config=AQNetConfig(task='forecast', days_after=0, days_before=..., target_days=...) with fewer days"
        )
    return times[first]


def _thinned(starts: NDArray[np.datetime64], values_per_window: int) -> NDArray[np.datetime64]:
    """Return windows spread evenly over the period, no more than fit in memory once per fold."""
    most = max(_LEAST_WINDOWS, _MAX_VALUES // values_per_window)
    return starts[_evenly(len(starts), most)]


def embargo_steps(config: AQNetConfig) -> int:
    """Return how many windows, one per step, must lie between two groups of windows that share no step."""
    return (config.days_before + config.target_days) * config.steps_per_day


def least_forecast_windows(config: AQNetConfig) -> int:
    """Return how many windows a forecast needs so that days remain to learn from before the embargo."""
    embargo = embargo_steps(config)
    learning = math.ceil((embargo + _LEAST_LEARNING_DAYS * config.steps_per_day) / LEARNING_FRACTION)
    return max(embargo + _LEAST_DAYS * config.steps_per_day, learning)


def split_windows(starts: NDArray[np.int64], config: AQNetConfig) -> WindowSplit:
    """Split windows into those that are learned from and those that validate.

    Parameters
    ----------
    starts : (window,) int
        Step at which the target of each begins, ascending; of a forecast, consecutive steps and at least
        :func:`least_forecast_windows` of them.
    config : AQNetConfig

    Returns
    -------
    WindowSplit
        Of an analysis: all windows, and days among them spread over the period, as held-out stations validate it. Of a
        forecast: earlier and later windows, with an embargo between them, so that no step is part of both.
    """
    if config.task == "analysis":
        n_days = max(_VALIDATION_DAYS, -(-_VALIDATION_STEPS // config.steps_per_day))
        return WindowSplit(starts, starts[_evenly(len(starts), n_days)])
    cut = int(LEARNING_FRACTION * len(starts))
    later = starts[cut:]
    return WindowSplit(
        starts[: max(cut - embargo_steps(config), 0)], later[_evenly(len(later), _FORECAST_VALIDATION_WINDOWS)]
    )


def _evenly(n: int, most: int) -> NDArray[np.intp]:
    """Return at most ``most`` of n positions, evenly spread from the first to the last."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(int))
