"""Forecasters: anything that gives the coming steps at the stations themselves. The simple ones; arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .base import Observations


@dataclass(frozen=True)
class Persistence:
    """The last value seen; the network's mean where a station has none."""

    name: str = "persistence"

    def forecast(self, past: Observations, times: NDArray[np.datetime64]) -> NDArray[np.float32]:
        """Repeat the last value."""
        seen = np.isfinite(past.values)
        last = past.values.shape[1] - 1 - seen[:, ::-1].argmax(axis=1)
        value = np.where(seen.any(axis=1), past.values[np.arange(len(last)), last], np.nanmean(past.values))
        return np.repeat(value[:, None], len(times), axis=1).astype(np.float32)


@dataclass(frozen=True)
class Climatology:
    """The median of each month and hour of the day over the network.

    ``table (12, 24)`` in the target's units, by UTC month and hour.
    """

    table: NDArray[np.float64]
    name: str = "climatology"

    @classmethod
    def fit(cls, observations: Observations) -> Climatology:
        """Fit to a training period; a month or hour it does not hold gets the median of the hour, or of everything."""
        month, hour = _month_and_hour(observations.times)
        table = np.full((12, 24), np.nanmedian(observations.values))
        for h in np.unique(hour):
            own = observations.values[:, hour == h]
            if np.isfinite(own).any():
                table[:, h] = np.nanmedian(own)
            for m in np.unique(month[hour == h]):
                cell = observations.values[:, (hour == h) & (month == m)]
                if np.isfinite(cell).any():
                    table[m, h] = np.nanmedian(cell)
        return cls(table)

    def forecast(self, past: Observations, times: NDArray[np.datetime64]) -> NDArray[np.float32]:
        """Return the normal of each time at every station."""
        return np.repeat(self.table[_month_and_hour(times)][None], len(past.lon), axis=0).astype(np.float32)


def _month_and_hour(times: NDArray[np.datetime64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    month = times.astype("datetime64[M]").astype(int) % 12
    hour = (times - times.astype("datetime64[D]")) // np.timedelta64(1, "h")
    return month, hour.astype(int)
