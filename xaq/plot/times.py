"""The times of a cube: its steps, or the periods that it holds means of; which are chosen, and the phrases for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ..conventions import TIME
from ..cube.calendar import FREQUENCIES, TO_PERIOD, local_times
from ..cube.provenance import provenance
from ..errors import SchemaError
from ..stations import schema

_DAY = pd.Timedelta("1D")
#: Of each frequency: what a mean of one period is called, and how a period is written.
ADJECTIVE = {"D": "daily", "MS": "monthly", "QS": "quarterly", "YS": "annual"}
_WRITTEN = {"D": "%Y-%m-%d", "MS": "%Y-%m", "QS": "%Y Q{}", "YS": "%Y"}
_STATISTIC = {"mean": ("mean", "means"), "max": ("maximum", "maxima")}


@dataclass(frozen=True)
class Periods:
    """What a cube with ``freq=`` holds: the parameters of these names of :func:`xaq.reanalyze`."""

    freq: str
    tz: str | None
    statistic: str
    capture: float

    @classmethod
    def of(cls, cube: xr.Dataset) -> Self | None:
        """Return the periods of a cube; None for a cube of steps."""
        known = provenance(cube)
        if known.get("freq") not in FREQUENCIES:
            return None
        return cls(known["freq"], known["tz"], known["statistic"], known["capture"])

    @property
    def one(self) -> str:
        """What an estimate is: ``"monthly mean"``."""
        return f"{ADJECTIVE[self.freq]} {_STATISTIC[self.statistic][0]}"

    @property
    def many(self) -> str:
        """What estimates are: ``"monthly means"``."""
        return f"{ADJECTIVE[self.freq]} {_STATISTIC[self.statistic][1]}"

    def local(self, times: NDArray[np.datetime64]) -> pd.DatetimeIndex:
        """Return times by the clock of the periods' time zone."""
        return local_times(times, self.tz or "UTC")

    def edges(self, times: NDArray[np.datetime64]) -> tuple[pd.DatetimeIndex, pd.DatetimeIndex]:
        """Return the starts and the ends of the periods that hold times, by the same clock."""
        period = self.local(times).to_period(TO_PERIOD[self.freq])
        return period.start_time, (period + 1).start_time

    def written(self, time: np.datetime64) -> str:
        """Return the period that starts at a time: ``"2005-02"``."""
        local = self.local(np.atleast_1d(time))[0]
        return f"{local:{_WRITTEN[self.freq].format(local.quarter)}}"


def step_of(cube: xr.Dataset) -> pd.Timedelta | None:
    """Return the length of the first step from its bounds, else the time between two steps; None where there is neither."""
    if "time_bnds" in cube.variables:
        edges = cube["time_bnds"].values.reshape(-1, 2)[0]
        return pd.Timedelta(edges[1] - edges[0])
    times = np.atleast_1d(cube[TIME].values)
    return pd.Timedelta(np.diff(times).min()) if len(times) > 1 else None


def select_times(cube: xr.Dataset, time: schema.Period) -> tuple[xr.Dataset, str]:
    """Return the chosen steps of a cube, and a phrase for them; raise for a time that it does not have.

    Dates name periods of a cube by its own time zone: a month of ``tz="Europe/Berlin"`` starts in the month before in UTC.
    """
    if TIME not in cube.dims:
        cube = cube.expand_dims(TIME)
    periods = Periods.of(cube)
    try:
        if periods is not None and periods.tz is not None and _is_of_dates(time):
            local = xr.Dataset(coords={TIME: periods.local(cube[TIME].values)})
            chosen = schema.select_period(local, time)[TIME].values
            picked = cube.isel({TIME: np.flatnonzero(np.isin(local[TIME].values, chosen))})
        else:
            picked = schema.select_period(cube, time)
    except SchemaError as error:
        first, last = cube[TIME].values[[0, -1]].astype("datetime64[s]")
        fix = str(first) if periods is None else f"{periods.local(np.atleast_1d(first))[0]:%Y-%m-%d}"
        raise SchemaError(
            f"time={time!r} holds no step of the cube, which covers {first} to {last}; fix: time={fix!r}",
            subject="cube",
        ) from error
    return picked, period_text(picked)


def _is_of_dates(time: schema.Period) -> bool:
    """Return whether a time, or what bounds a period, is a date in words, without a time of day."""
    if isinstance(time, str):
        bounds: list[Any] = time.split("/")
    elif isinstance(time, slice):
        bounds = [time.start, time.stop]
    else:
        bounds = list(time) if isinstance(time, (tuple, list)) else [time]
    given = [bound for bound in bounds if bound is not None]
    return bool(given) and all(isinstance(bound, str) and not {"T", ":"} & {*bound} for bound in given)


def period_text(ds: xr.Dataset, *, mean: bool = True, of: xr.Dataset | None = None) -> str:
    """Return a phrase for the times of a dataset: one step, a daily mean, or (the mean of) a period ``of`` a record."""
    whole = ds if of is None else of
    times = ds[TIME].to_index()
    periods = Periods.of(whole)
    if periods is not None:
        return _periods_text(whole, times.values, periods, mean)
    step = step_of(whole)
    if len(times) == 1:
        return time_text(times[0], step)
    style, zone = _time_style(step)
    if mean and step is not None and len(times) * step == _DAY and times[0].normalize() == times[-1].normalize():
        return f"daily mean {times[0]:%Y-%m-%d} (UTC)"
    return f"{'mean of ' * mean}{len(times)} {_steps_text(step)}, {times[0]:{style}} to {times[-1]:{style}}{zone}"


def time_text(time: pd.Timestamp, step: pd.Timedelta | None) -> str:
    """Return a phrase for one step: its date where a step is a day or longer, else date and time."""
    style, zone = _time_style(step)
    return f"{time:{style}}{zone}"


def interval_text(cube: xr.Dataset, when: str, n: int) -> str:
    """Return what the intervals of n steps of a cube are of, and when: ``"interval of the annual mean 2005"``.

    Where n is larger than 1, intervals of single steps are meant, of which a figure shows the mean: the interval of their mean
    is narrower.
    """
    periods = Periods.of(cube)
    where = {"point": " at a point", "cell": " over a cell"}.get(provenance(cube).get("support", ""), "")
    if n == 1:
        return f"interval{where}, {when}" if periods is None else f"interval of the {when}{where}"
    single = _steps_text(step_of(cube)) if periods is None else periods.many
    return f"intervals of single {single}{where}, {when}"


def zone_text(cube: xr.Dataset) -> str:
    """Return the time zone of the periods of a cube; empty where its values are daily, of the days that a network reports."""
    periods = Periods.of(cube)
    if periods is None:
        return ""
    daily = any("interval: 24 hours" in str(v.attrs.get("cell_methods")) for v in cube.data_vars.values())
    return periods.tz or ("" if daily else "UTC")


def _periods_text(cube: xr.Dataset, times: NDArray[np.datetime64], periods: Periods, mean: bool) -> str:
    zone = zone_text(cube)
    where = f" ({zone})" if zone else ""
    if len(times) == 1:
        return f"{periods.one} {periods.written(times[0])}{where}"
    first, last = periods.written(times[0]), periods.written(times[-1])
    return f"{'mean of ' * mean}{len(times)} {periods.many}, {first} to {last}{where}"


def _steps_text(step: pd.Timedelta | None) -> str:
    return "days" if step == _DAY else "hours" if step == pd.Timedelta("1h") else "steps"


def _time_style(step: pd.Timedelta | None) -> tuple[str, str]:
    daily = step is not None and step >= _DAY
    return ("%Y-%m-%d", "") if daily else ("%Y-%m-%d %H:%M", " UTC")
