"""The times of a cube: its steps, or the periods that it holds means of; which are chosen, and the phrases for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from .._arguments import check_zone, shown
from ..conventions import TIME
from ..cube.calendar import FREQUENCIES, TO_PERIOD, local_times
from ..cube.provenance import provenance
from ..errors import SchemaError
from ..stations import schema, timestamps
from . import arguments

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
    """Return the length of the first step from its bounds, else the time between two steps, else as stated; None without any."""
    if "time_bnds" in cube.variables:
        edges = cube["time_bnds"].values.reshape(-1, 2)[0]
        return pd.Timedelta(edges[1] - edges[0])
    times = np.atleast_1d(cube[TIME].values)
    if len(times) > 1:
        return pd.Timedelta(np.diff(times).min())
    return pd.Timedelta(timestamps.step_of(cube[TIME])) if timestamps.STEP in cube[TIME].attrs else None


def select_times(cube: xr.Dataset, time: schema.Period, tz: str | None = None) -> tuple[xr.Dataset, str]:
    """Return the chosen steps of a cube, and the time zone that they are written in; raise for a time that it does not have.

    Dates name periods of a cube by its own time zone: a month of ``tz="Europe/Berlin"`` starts in the month before in UTC. Of a cube
    of steps, texts are in the zone ``tz``; by default, and for steps of a day or longer, in UTC.
    """
    if TIME not in cube.dims:
        cube = cube.expand_dims(TIME)
    periods = Periods.of(cube)
    tz = None if tz is None else _settled_zone(cube, periods, tz)
    try:
        if tz is not None:
            picked = _select_local(cube, time, tz)
        elif periods is not None and periods.tz is not None and _is_of_dates(time):
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
    return picked, tz or "UTC"


def _settled_zone(cube: xr.Dataset, periods: Periods | None, tz: str) -> str | None:
    """Return the time zone of the steps of a cube, None for steps of a day or longer; raise for a cube of periods."""
    tz = check_zone(tz, "tz", "the name of a time zone", fix="tz='Asia/Shanghai'", error=arguments.error)
    if periods is not None:
        raise arguments.error(
            f"the cube has {periods.many} by the clock of {periods.tz or 'UTC'}, which other time zones do not have; fix: tz=None, or "
            f"ds.aq.reanalyze(..., freq={periods.freq!r}, tz={tz!r})"
        )
    step = step_of(cube)
    return None if step is None or step >= _DAY else tz


def _select_local(cube: xr.Dataset, time: schema.Period, tz: str) -> xr.Dataset:
    """Return the steps of a period whose texts are in a time zone; other times are in UTC, as those of the cube."""
    key = schema.as_slice(time)
    schema.select_period(cube, slice(None, None, key.step))
    times = local_index(cube, tz)

    def zoned(bound: Any) -> Any:
        plain = timestamps.plain_time(bound)
        if plain is None or isinstance(plain, str):
            return plain
        return pd.Timestamp(plain).tz_localize("UTC").tz_convert(tz)

    try:
        steps = times.slice_indexer(zoned(key.start), zoned(key.stop))
    except (ValueError, TypeError, KeyError) as error:
        raise SchemaError(f"time={shown(time)} is not a period in {tz}; fix: time={str(times[0])[:10]!r}") from error
    if not len(times[steps]):
        raise SchemaError(f"time={shown(time)} holds no step; fix: time={str(times[0])[:10]!r}")
    return cube.isel({TIME: steps})


def local_index(ds: xr.Dataset, zone: str) -> pd.DatetimeIndex:
    """Return the times of a dataset, which are in UTC, in a time zone."""
    return pd.DatetimeIndex(ds[TIME].values).tz_localize("UTC").tz_convert(zone)


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


def period_text(ds: xr.Dataset, *, mean: bool = True, of: xr.Dataset | None = None, zone: str = "UTC") -> str:
    """Return a phrase for the times of a dataset: one step, a daily mean, or (the mean of) a period ``of`` a record.

    Times of steps shorter than a day are written in a time zone.
    """
    whole = ds if of is None else of
    times = pd.DatetimeIndex(ds[TIME].values)
    periods = Periods.of(whole)
    if periods is not None:
        return _periods_text(whole, times.values, periods, mean)
    step = step_of(whole)
    if zone != "UTC":
        times = local_index(ds, zone)
    if len(times) == 1:
        return f"{daily_text(whole)} ".lstrip() * mean + time_text(times[0], step, zone)
    if step is not None and _is_one_day(times, step):
        return f"{'daily mean ' * mean}{times[0]:%Y-%m-%d} ({zone})"
    style, where = _time_style(step, zone)
    return f"{'mean of ' * mean}{len(times)} {_steps_text(step)}, {times[0]:{style}} to {times[-1]:{style}}{where}"


def _is_one_day(times: pd.DatetimeIndex, step: pd.Timedelta) -> bool:
    """Return whether steps fill a day, which has 23 or 25 hours where a clock is changed."""
    start = times[0].normalize()
    filled = len(times) * step == times[-1] + step - times[0]
    return bool(step < _DAY and filled and times[0] == start and times[-1] + step == start + pd.DateOffset(days=1))


def time_text(time: pd.Timestamp, step: pd.Timedelta | None, zone: str = "UTC") -> str:
    """Return a phrase for one step: its date where a step is a day or longer, else date and time with the zone."""
    style, where = _time_style(step, zone)
    return f"{time:{style}}{where}"


def daily_text(ds: xr.Dataset) -> str:
    """Return what daily values are: means, or maxima where a variable says so; empty for other steps."""
    if step_of(ds) != _DAY:
        return ""
    largest = any("time: max" in str(variable.attrs.get("cell_methods")) for variable in ds.data_vars.values())
    return f"daily {_STATISTIC['max' if largest else 'mean'][0]}"


def percent_text(cube: xr.Dataset) -> str:
    """Return the nominal coverage of the intervals of a cube with a blank behind it, ``"90 % "``; empty where it is not known."""
    coverage = provenance(cube).get("interval_level")
    return "" if coverage is None else f"{100 * coverage:g} % "


def interval_text(cube: xr.Dataset, picked: xr.Dataset, zone: str, bound: str = "") -> str:
    """Return what the width of intervals, or a bound, is of, and when: ``"90 % interval of the annual mean 2005"``.

    Of several steps a figure shows the mean width of their intervals, and the text says so: the interval of their mean is narrower.

    Parameters
    ----------
    cube, picked : xarray.Dataset
        All of the cube, and the steps that are drawn.
    zone : str
        Time zone of times.
    bound : str
        ``"upper bound"`` or ``"lower bound"`` where that is drawn in place of the width.
    """
    n, when = picked.sizes[TIME], period_text(picked, mean=picked.sizes[TIME] == 1, zone=zone)
    periods, percent = Periods.of(cube), percent_text(cube)
    where = {"point": " at a point", "cell": " over a cell"}.get(provenance(cube).get("support", ""), "")
    if n == 1:
        of_mean = periods is not None or step_of(picked) == _DAY
        interval = f"{bound} of the " * bool(bound) + f"{percent}interval"
        return f"{interval} of the {when}{where}" if of_mean else f"{interval}{where}, {when}"
    single = _steps_text(step_of(cube)) if periods is None else periods.many
    return f"mean {bound or 'width'} of the {percent}intervals of single {single}{where}, {when}"


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


def values_text(ds: xr.Dataset, zone: str) -> str:
    """Return a phrase for the times of values of which is not known what they are of each period."""
    times, periods, step = ds[TIME].values, Periods.of(ds), step_of(ds)
    if periods is not None:
        texts, where = [periods.written(time) for time in times[[0, -1]]], zone_text(ds)
        where = f" ({where})" * bool(where)
    else:
        style, where = _time_style(step, zone)
        texts = [f"{time:{style}}" for time in local_index(ds, zone)[[0, -1]]]
    if len(times) == 1:
        return texts[0] + where
    return f"mean of {len(times)} values, {texts[0]} to {texts[1]}{where}"


def _steps_text(step: pd.Timedelta | None) -> str:
    return "days" if step == _DAY else "hours" if step == pd.Timedelta("1h") else "steps"


def _time_style(step: pd.Timedelta | None, zone: str) -> tuple[str, str]:
    daily = step is not None and step >= _DAY
    return ("%Y-%m-%d", "") if daily else ("%Y-%m-%d %H:%M", f" {zone}")
