"""Periods of means: local days, months, quarters and years, and which steps belong to each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._arguments import check_choice, check_text, shown
from ..arrays import timesteps
from ..errors import SchemaError

#: Frequencies, as pandas names those that begin a period, and what a period is called.
FREQUENCIES = {"D": "day", "MS": "month", "QS": "quarter", "YS": "year"}
#: The same as pandas names periods.
TO_PERIOD = {"D": "D", "MS": "M", "QS": "Q", "YS": "Y"}


def check_freq(freq: Any) -> str | None:
    """Return a frequency, or raise with all of them."""
    return None if freq is None else check_choice(freq, "freq", FREQUENCIES)


def check_zone(tz: Any) -> str | None:
    """Return the name of a time zone, None for UTC, or raise."""
    if tz is None:
        return None
    expected = "the name of a time zone, or None for UTC"
    name = check_text(tz, "tz", expected, fix="tz='Europe/Berlin'")
    try:
        key = ZoneInfo(name).key
    except Exception as error:  # a name may be that of a folder, too long, or hold what no file name can
        raise SchemaError(
            f"tz is {shown(tz)}, expected {expected}; fix: tz='Europe/Berlin'", subject="argument"
        ) from error
    return None if key == "UTC" else key


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
            # Of a network that names local midnight in UTC, a value is of the day that most of it is in.
            times = (times + np.timedelta64(12, "h")).astype("datetime64[D]").astype("datetime64[s]")
        zone = tz or "UTC"
        local = pd.DatetimeIndex(times).tz_localize("UTC").tz_convert(zone).tz_localize(None)
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
        return cls(start, end, index, ((end - start) / step).astype(np.int64))

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
        shape = len(self.start), values.shape[1]
        seen = np.isfinite(values)
        count, made = np.zeros(shape), np.zeros(shape)
        np.add.at(count, self.index, seen)
        if statistic == "mean":
            np.add.at(made, self.index, np.where(seen, values, 0.0))
            made /= np.maximum(count, 1)
        else:
            made[:] = -np.inf
            np.maximum.at(made, self.index, np.where(seen, values, -np.inf))
        return np.where((count > 0) & (count >= capture * self.expected[:, None]), made, np.nan)


def _as_utc(local: pd.DatetimeIndex, zone: str) -> NDArray[np.datetime64]:
    """Return local midnights in UTC; where a clock skips midnight the day begins after, where it repeats it, with the first."""
    aware = local.tz_localize(zone, ambiguous=np.ones(len(local), bool), nonexistent="shift_forward")
    return aware.tz_convert("UTC").tz_localize(None).values.astype("datetime64[s]")
