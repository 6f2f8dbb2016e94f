"""The steps of single series: stations whose values come less often than the axis has steps are told apart.

An axis holds the timestamps of all stations. A daily mean at 00:00 of an hourly axis, or a network of 15 minutes beside one of
hours, fits on it, and would be taken for values of the axis' own step.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ..arrays import timesteps
from ..conventions import STATION, TIME
from .schema import pollutants, some
from .timestamps import step_of

#: Equal differences between values that tell a series of a longer step from one with missing values; of days, one is enough.
_LEAST_EQUAL = 3
#: Values, and steps of the axis between them, from which on differences close to the most frequent one are noise, not chance.
_LEAST_NOISY = 10


@dataclass(frozen=True)
class Series:
    """The steps of series on one axis, in steps of the axis.

    Attributes
    ----------
    every : (n_series,) int
        Steps of the axis from one value to the next.
    phase : (n_series,) int
        The first step of the axis, modulo ``every``.
    irregular : (n_series,) bool
        Most values are ``every`` apart, and some lie between.
    """

    every: NDArray[np.intp]
    phase: NDArray[np.intp]
    irregular: NDArray[np.bool_]

    @classmethod
    def of(cls, seen: NDArray[np.bool_], step: np.timedelta64) -> Series:
        """Return the steps of series with values where ``seen (series, time)``, on an axis of this step."""
        n = len(seen)
        every, phase, irregular = np.ones(n, np.intp), np.zeros(n, np.intp), np.zeros(n, bool)
        total = seen.sum(axis=1)
        dense = (total > 1) & (2 * (seen[:, 1:] & seen[:, :-1]).sum(axis=1) >= total - 1)
        known = dense.copy()
        for i in np.flatnonzero(~dense & (total > 1)):
            at = np.flatnonzero(seen[i])
            values, counts = np.unique(np.diff(at), return_counts=True)
            most, equal = int(values[np.argmax(counts)]), int(counts.max())
            long_enough = equal >= _LEAST_EQUAL or most * step == timesteps.DAY
            between = bool((values % most).any())
            regular = 2 * equal >= len(at) - 1 and long_enough
            # Differences close to a long one are the noise of a clock; those of missing values are short, or of any length.
            close = abs(np.median(np.diff(at)) / most - 1) < 0.2
            noisy = between and close and most >= _LEAST_NOISY <= len(at) and step < timesteps.DAY
            if most > 1 and (regular or noisy):
                irregular[i] = between
                every[i], phase[i], known[i] = most, at[0] % most, not irregular[i]
        _settle_unknown(seen, every, phase, known, base=bool(dense.any()))
        if dense.any():
            # The axis' own step is that of other series: this one may have missing values.
            every[irregular], phase[irregular], irregular = 1, 0, np.zeros(n, bool)
        return cls(every, phase, irregular)


def _settle_unknown(seen: NDArray, every: NDArray, phase: NDArray, known: NDArray, *, base: bool) -> None:
    """Give series of few values the step of other series that has room for them, the axis' own where any has it."""
    if base or not known.any():
        return
    steps = dict.fromkeys(zip(every[known].tolist(), phase[known].tolist(), strict=True))
    for i in np.flatnonzero(~known & (every == 1)):
        at = np.flatnonzero(seen[i])
        every[i], phase[i] = next(((e, p) for e, p in steps if (at % e == p).all()), (1, 0))


def series_of(ds: xr.Dataset) -> dict[str, NDArray[np.bool_]]:
    """Return where each pollutant has values, ``(station, time)`` bool; of a dataset without pollutants, each variable."""
    names = pollutants(ds) or [str(n) for n in ds.data_vars]
    return {n: np.isfinite(ds[n].values) for n in names if ds[n].dims == (STATION, TIME) and ds[n].dtype.kind == "f"}


@dataclass(frozen=True)
class Group:
    """Series of one step: the step, the first of its steps after 1970-01-01T00 UTC, and their stations."""

    step: np.timedelta64
    begins: np.timedelta64
    stations: tuple[str, ...]

    def __str__(self) -> str:
        past = self.begins % timesteps.DAY
        begins = f" from {pd.Timestamp(0) + pd.Timedelta(past):%H:%M}" if past else ""
        return f"{timesteps.step_name(self.step)}{begins} at {len(self.stations)} station(s) ({some(self.stations, 3)})"


def groups(ds: xr.Dataset, series: Iterable[Series]) -> list[Group]:
    """Return the series of a dataset by their step and phase, shortest steps first; series without a value belong to any."""
    times = ds[TIME].values.astype("datetime64[s]")
    step = step_of(ds[TIME])
    ids = ds[STATION].values.astype(str).tolist()
    found: dict[tuple[np.timedelta64, np.timedelta64], dict[str, None]] = {}
    for one in series:
        for i, (every, phase) in enumerate(zip(one.every, one.phase, strict=True)):
            own = int(every) * step
            begins = (times[0] + int(phase) * step - np.datetime64(0, "s")) % own
            found.setdefault((own, begins), {})[ids[i]] = None
    return [Group(own, begins, tuple(names)) for (own, begins), names in sorted(found.items())]


def common_step(found: Iterable[Group]) -> np.timedelta64:
    """Return the shortest step that all groups can be brought to: one that divides a day, or whole days."""
    seconds = int(np.lcm.reduce([int(group.step / np.timedelta64(1, "s")) for group in found]))
    return np.timedelta64(seconds if 86400 % seconds == 0 else 86400 * -(-seconds // 86400), "s")
