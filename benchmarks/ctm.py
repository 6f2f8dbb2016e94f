"""The forecast of a chemical transport model (CTM) as a forecaster: as it is, and corrected in two ways.

The CTM is a known covariate of the observations. Corrections are fitted to the training period, and to each station.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xaq.interpolate.base import Observations

#: Days of errors that a running correction is a mean of.
_DAYS = (3, 7, 14, 30, 60)
#: Least variance of the CTM that a slope is fitted to, relative to that of all its values.
_LEAST = 1e-3


@dataclass(frozen=True)
class CtmForecast:
    """The CTM as it is.

    Attributes
    ----------
    index : int
        Of the CTM among the known covariates.
    """

    index: int
    name: str = "CTM"

    def forecast(self, past: Observations, times: NDArray[np.datetime64]) -> NDArray[np.float32]:
        """Return the values of the CTM at later times, ``(station, time)``."""
        step = past.times[-1] - past.times[-2]
        lead = ((times - past.times[-1]) / step).astype(int) - 1
        ahead: NDArray[np.float32] = past.known[self.index][:, len(past.times) + lead]
        return ahead


@dataclass(frozen=True)
class RunningCorrection(CtmForecast):
    """The CTM less its mean error of the last days, at each station and hour of the day.

    Attributes
    ----------
    days : int
        How many days; of those tried, with the least absolute error two days ahead in the training period.
    """

    days: int = 14
    name: str = "CTM, running correction"

    @classmethod
    def fit(cls, index: int, training: Observations) -> RunningCorrection:
        """Choose the number of days by the observations of visible stations in the training period."""
        errors = _errors(index, training)
        whole = len(training.times) // 24 * 24
        daily = errors[:, :whole].reshape(len(errors), -1, 24)

        def left(days: int) -> float:
            ends = range(max(_DAYS), daily.shape[1] - 2)
            return float(np.nanmean([np.abs(daily[:, e + 1] - _mean(daily[:, e - days : e], axis=1)) for e in ends]))

        return cls(index, days=min(_DAYS, key=left))

    def forecast(self, past: Observations, times: NDArray[np.datetime64]) -> NDArray[np.float32]:
        """Return corrected values of the CTM at later times, ``(station, time)``."""
        last = past.times > past.times[-1] - np.timedelta64(self.days, "D")
        error = _by_hour(_errors(self.index, past)[:, last], past.times[last])
        return CtmForecast.forecast(self, past, times) - error[:, _hours(times)]


@dataclass(frozen=True)
class LinearCorrection(CtmForecast):
    """A line through the observations over the CTM, for each station and hour of the day.

    Attributes
    ----------
    intercept, slope : (station, 24)
    """

    intercept: Any = 0.0
    slope: Any = 1.0
    name: str = "CTM, linear correction"

    @classmethod
    def fit(cls, index: int, training: Observations) -> LinearCorrection:
        """Fit the lines to the observations of visible stations in the training period."""
        ctm, times = training.known[index][:, : len(training.times)], training.times
        ctm = np.where(np.isfinite(training.values), ctm, np.nan)
        seen = np.where(np.isfinite(ctm), training.values, np.nan)
        x, y, hour = _by_hour(ctm, times), _by_hour(seen, times), _hours(times)
        dx, dy = ctm - x[:, hour], seen - y[:, hour]
        variance = np.maximum(_by_hour(dx**2, times), _LEAST * float(np.nanvar(ctm)))
        slope = _by_hour(dx * dy, times) / variance
        return cls(index, intercept=y - slope * x, slope=slope)

    def forecast(self, past: Observations, times: NDArray[np.datetime64]) -> NDArray[np.float32]:
        """Return corrected values of the CTM at later times, ``(station, time)``."""
        hour = _hours(times)
        corrected = self.intercept[:, hour] + self.slope[:, hour] * CtmForecast.forecast(self, past, times)
        return np.asarray(corrected, np.float32)


def _errors(index: int, observations: Observations) -> NDArray[np.float32]:
    """Return the CTM minus the observations, ``(station, time)``; NaN where not observed."""
    errors: NDArray[np.float32] = observations.known[index][:, : len(observations.times)] - observations.values
    return errors


def _hours(times: NDArray[np.datetime64]) -> NDArray[np.intp]:
    """Return the hour of the day, UTC, of each time."""
    return (times.astype("datetime64[h]").astype(np.int64) % 24).astype(np.intp)


def _by_hour(values: NDArray, times: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """Return the mean of ``(station, time)`` for each hour of the day, ``(station, 24)``; 0 where there is no value."""
    return np.stack([_mean(values[:, _hours(times) == h], axis=1) for h in range(24)], axis=1)


def _mean(values: NDArray, axis: int) -> NDArray[np.float64]:
    """Return the mean of what is not NaN; 0 where all is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of means of nothing
        return np.nan_to_num(np.nanmean(values, axis=axis, dtype=float))
