"""Periods of means: local days, months, quarters and years, and which steps belong to each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._arguments import check_choice, check_zone
from ..arrays import timesteps
from ..errors import SchemaError
from ..stations import schema, timestamps

#: Frequencies, as pandas names those that begin a period, and what a period is called.
FREQUENCIES = {"D": "day", "MS": "month", "QS": "quarter", "YS": "year"}
#: The same as pandas names periods.
TO_PERIOD = {"D": "D", "MS": "M", "QS": "Q", "YS": "Y"}
#: The same as ISO 8601 writes durations.
DURATIONS = {"D": "P1D", "MS": "P1M", "QS": "P3M", "YS": "P1Y"}
#: What other names mean by their first letter: pandas' "A" and "YE", "annual", "monthly".
_BY_LETTER = {"A": "YS", "Y": "YS", "Q": "QS", "M": "MS", "D": "D"}


def local_times(times: NDArray[np.datetime64], zone: str) -> pd.DatetimeIndex:
    """Return times in UTC by the clock of a time zone."""
    return pd.DatetimeIndex(times).tz_localize("UTC").tz_convert(zone).tz_localize(None)


def check_freq(freq: Any) -> str | None:
    """Return a frequency, or raise with all of them."""
    if freq is None:
        return None
    return check_choice(freq, "freq", FREQUENCIES, meant=_BY_LETTER.get(str(freq)[:1].upper()))


def settle_zone(tz: Any) -> str | None:
    """Return the name of a time zone, None for UTC, or raise."""
    if tz is None:
        return None
    zone = check_zone(tz, "tz", "the name of a time zone, or None for UTC", fix="tz='Europe/Berlin'")
    return None if zone == "UTC" else zone


def period_in_utc(time: schema.Period, tz: str | None) -> schema.Period:
    """Return a period whose texts are dates and times by the clock of a zone, with its bounds in UTC; None is UTC.

    Times that are no text, or have a zone, are in UTC already. What is no period is returned as it is: whoever selects says so.
    """
    if tz is None or time is None:
        return time
    key = schema.as_slice(time)
    start, stop = _bound_in_utc(key.start, tz, "start_time"), _bound_in_utc(key.stop, tz, "end_time")
    return time if start is key.start and stop is key.stop else slice(start, stop, key.step)


def _bound_in_utc(text: Any, tz: str, end: Literal["start_time", "end_time"]) -> Any:
    """Return the start or the end of the day, month, year or hour that a text names."""
    if not isinstance(text, str) or not isinstance(timestamps.plain_time(text), str):
        return text
    try:
        local = getattr(pd.Period(text), end)
    except ValueError:
        return text
    first = end == "start_time"
    aware = local.tz_localize(tz, ambiguous=first, nonexistent="shift_forward" if first else "shift_backward")
    return str(aware.tz_convert("UTC").tz_localize(None).floor("s"))


@dataclass(frozen=True)
class Calendar:
    """Consecutive periods, and the steps in them.

    Attributes
    ----------
    start, end : (period,) datetime64[s], UTC
        The end of each is the start of the next.
    index : (step,) int
        Period of each step, ascending.
    expected : (period,) int
        Steps that each has, estimated or not.
    """

    start: NDArray[np.datetime64]
    end: NDArray[np.datetime64]
    index: NDArray[np.int64]
    expected: NDArray[np.int64]

    @classmethod
    def of(cls, times: NDArray[np.datetime64], step: np.timedelta64, freq: str, tz: str | None) -> Calendar:
        """Return the periods that hold consecutive times; a step belongs to the period in which it starts."""
        offset = np.timedelta64(0, "s")
        if timesteps.steps_per_day(step) == 1:
            if tz is not None:
                raise SchemaError(
                    f"tz={tz!r} has no meaning for daily values, which are of the days that the network reports; fix: tz=None",
                    subject="argument",
                )
            if freq == "D":
                raise SchemaError(
                    "freq='D' has no meaning for daily values; fix: freq=None, or freq='MS'", subject="argument"
                )
            midnights = _nearest_midnights(times)
            times, offset = midnights, times[0] - midnights[0]
        zone = tz or "UTC"
        local = local_times(times, zone)
        period = local.to_period(TO_PERIOD[freq])
        edges = _as_utc(pd.period_range(period[0], period[-1] + 1, freq=period.freq).start_time, zone)
        # A day that a clock leaves out ends where it begins, and is no period: 30 December 2011 in Samoa.
        edges = np.unique(np.minimum.accumulate(edges[::-1]))
        start, end = edges[:-1], edges[1:]
        index = np.searchsorted(start, times, side="right") - 1
        if len(np.unique(index)) < len(start):
            raise SchemaError(
                f"steps of {step / timesteps.DAY:g} days leave out some of the periods of freq={freq!r}; fix: freq='YS'",
                subject="argument",
            )
        return cls(start + offset, end + offset, index, ((end - start) / step).astype(np.int64))

    def block(self, first: int, last: int) -> tuple[slice, NDArray[np.int64]]:
        """Return the steps of some periods, and the period of each, counted from the first of them."""
        steps = slice(*(int(i) for i in np.searchsorted(self.index, [first, last])))
        return steps, self.index[steps] - first

    def summary(self, values: NDArray, statistic: str, capture: float) -> NDArray[np.float64]:
        """Return the mean or the maximum of observations over each period.

        Parameters
        ----------
        values : (step, place)
            NaN where there is none.
        statistic : {"mean", "max"}
        capture : float
            Data capture: NaN where a smaller fraction of the steps of a period has a value.

        Returns
        -------
        (period, place)
        """
        made, count = of_periods(values, self.index, len(self.start), statistic)
        return np.where((count > 0) & (count >= capture * self.expected[:, None]), made, np.nan)


def of_periods(
    values: NDArray, index: NDArray[np.int64], n: int, statistic: str
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the mean or the maximum of the values of n periods, and how many these are, each ``(period, place)``.

    Parameters
    ----------
    values : (step, place)
        NaN where there is none.
    index : (step,) int
        Period of each step, ascending.
    n : int
    statistic : {"mean", "max"}
    """
    seen = np.isfinite(values)
    made = np.full((n, values.shape[1]), 0.0 if statistic == "mean" else -np.inf)
    count = np.zeros(made.shape, np.int64)
    # The steps of a period follow each other.
    periods, first = np.unique(index, return_index=True)
    count[periods] = np.add.reduceat(seen, first, dtype=np.int64)
    if statistic == "mean":
        made[periods] = np.add.reduceat(np.where(seen, values, 0.0), first, dtype=float) / np.maximum(count[periods], 1)
    else:
        made[periods] = np.maximum.reduceat(np.where(seen, values, -np.inf), first)
    return made, count


def ends_of(starts: NDArray[np.datetime64], freq: str, tz: str | None) -> NDArray[np.datetime64]:
    """Return the ends of the periods that begin at some times, ``(period,)`` UTC.

    Months and longer ones in UTC may be of daily values with an offset; days are not made of them.
    """
    zone, begin = tz or "UTC", starts
    if tz is None and freq != "D":
        begin = _nearest_midnights(starts)
    ends = _as_utc((local_times(begin, zone).to_period(TO_PERIOD[freq]) + 1).start_time, zone)
    return ends + (starts - begin)


def _nearest_midnights(times: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """Return midnights of the days that most of daily values is in: of a network that names local midnight in UTC, its days."""
    return (times + np.timedelta64(12, "h")).astype("datetime64[D]").astype("datetime64[s]")


def _as_utc(local: pd.DatetimeIndex, zone: str) -> NDArray[np.datetime64]:
    """Return local midnights in UTC; where a clock skips midnight the day begins after, where it repeats it, with the first."""
    aware = local.tz_localize(zone, ambiguous=np.ones(len(local), bool), nonexistent="shift_forward")
    return aware.tz_convert("UTC").tz_localize(None).values.astype("datetime64[s]")
