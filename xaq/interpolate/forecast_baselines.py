"""Baselines of a forecast at the stations: persistence and climatology. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .base import Observations


@runtime_checkable
class Forecaster(Protocol):
    """The contract of a forecaster at the stations: a name and a forecast."""

    @property
    def name(self) -> str:
        """Name in tables."""

    def forecast(self, past: Observations, times: NDArray[np.datetime64]) -> NDArray[np.float32]:
        """Return the forecast ``(n_station, n_time)`` in the target's units.

        Parameters
        ----------
        past : Observations
            Up to the init time, its last, with the known covariates after it. A forecast may use nothing else.
        times : (n_time,) datetime64, UTC
            From one step after the init time on.
        """


@dataclass(frozen=True)
class Persistence:
    """The last observation of each station; the network's mean where a station has none."""

    name: str = "persistence"

    def forecast(self, past: Observations, times: NDArray[np.datetime64]) -> NDArray[np.float32]:
        """Repeat the last observation over the times, ``(n_station, n_time)``."""
        seen = np.isfinite(past.values)
        last = past.values.shape[1] - 1 - seen[:, ::-1].argmax(axis=1)
        value = np.where(seen.any(axis=1), past.values[np.arange(len(last)), last], np.nanmean(past.values))
        return np.repeat(value[:, None], len(times), axis=1).astype(np.float32)


@dataclass(frozen=True)
class Climatology:
    """The network's median of each month and hour of the day.

    Attributes
    ----------
    table : (12, 24), the target's units
        By UTC month and hour.
    name : str
        Name in tables.
    """

    table: NDArray[np.float64]
    name: str = "climatology"

    @classmethod
    def fit(cls, observations: Observations) -> Climatology:
        """Take medians over a training period; months without data get the median of the hour, hours without data that of all."""
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
        """Return the climatology of each time at every station, ``(n_station, n_time)``."""
        return np.repeat(self.table[_month_and_hour(times)][None], len(past.lon), axis=0).astype(np.float32)


def _month_and_hour(times: NDArray[np.datetime64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    month = times.astype("datetime64[M]").astype(int) % 12
    hour = (times - times.astype("datetime64[D]")) // np.timedelta64(1, "h")
    return month, hour.astype(int)
