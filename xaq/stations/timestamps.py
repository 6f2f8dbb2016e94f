"""Timestamps that cannot be steps as they are: of another type, off whole seconds, or in steps of the calendar.

Station datasets, fields and tables share these rules, so that the same timestamps have the same fix everywhere.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ..arrays import timesteps
from ..conventions import TIME
from ..errors import SchemaError, warn

#: The attribute of a time coordinate with a single time that states its step, as ``"1D"``.
STEP = "step"
_SECOND, _MINUTE, _DAY = (np.timedelta64(n, "s") for n in (1, 60, 86400))
#: Periods of the calendar as pandas names them: their months, the fewest and the most days between labels.
_CALENDAR = {"M": (1, 26, 34), "Q": (3, 85, 96), "Y": (12, 360, 371)}
_YEAR_LAST = re.compile(r"\s*(\d{1,2})[./-](\d{1,2})[./-](\d{4})(?!\d)")
#: The call that brings rows to minutes.
_MINUTES_OF_TABLE = (
    "table.groupby(['station', pd.to_datetime(table['time']).dt.floor('1min')]).mean(numeric_only=True).reset_index()"
)
UNIT_NAMES = {"M": "month", "Q": "quarter", "Y": "year"}


# -- steps -------------------------------------------------------------------------------------------------------------


def step_of(time: xr.DataArray) -> np.timedelta64:
    """Return the step of a time coordinate, in seconds: its differences, or what its attribute states where it has one time.

    Raises
    ------
    SchemaError
        Irregular times; a single time without the attribute, or with one that is no time.
    """
    stated = time.attrs.get(STEP)
    if time.size != 1 or stated is None:
        return timesteps.regular_step(np.atleast_1d(time.values))
    try:
        seconds = pd.Timedelta(str(stated)).total_seconds()
    except ValueError:
        seconds = 0.0
    if not seconds >= 1 or seconds % 1:
        raise SchemaError(
            f"the attribute {STEP!r} of time is {stated!r}, expected the time from one step to the next; "
            "fix: ds.assign_coords(time=ds.time.assign_attrs(step='1D'))"
        )
    return np.timedelta64(int(seconds), "s")


def with_step(ds: xr.Dataset, step: np.timedelta64 | None, time: Any = TIME) -> xr.Dataset:
    """Return the dataset with its step stated, where it has a single time, which cannot show it, and states none."""
    if step is None or time not in ds.coords or ds[time].size != 1 or STEP in ds[time].attrs:
        return ds
    return ds.assign_coords({time: ds[time].assign_attrs({STEP: timesteps.step_name(step)})})


# -- types -------------------------------------------------------------------------------------------------------------


def type_problem(obj: xr.Dataset | xr.DataArray, time: Any, called: str) -> str | None:
    """Return what is wrong with the type of a time coordinate, and the call that changes it; None for datetime64.

    Parameters
    ----------
    obj : xarray.Dataset or xarray.DataArray
        Has the coordinate.
    time : hashable
        The name of the coordinate.
    called : str
        What the fix calls the object: ``"ds"`` or ``"field"``.
    """
    index = obj.indexes.get(time)
    if isinstance(index, pd.DatetimeIndex) and index.tz is not None:
        new = f"{called}.indexes[{time!r}].tz_convert('UTC').tz_localize(None)"
        return f"time is in the time zone {index.tz}, expected datetime64 in UTC; fix: {called}.assign_coords({{{time!r}: {new}}})"
    times = obj[time].values
    if np.issubdtype(times.dtype, np.datetime64):
        missing = int(np.isnat(times).sum())
        fix = f"{called}.sel({{{time!r}: {called}[{time!r}].notnull()}})"
        return f"{missing} timestamp(s) are missing; fix: {fix}" if missing else None
    if isinstance(index, xr.CFTimeIndex):
        align = ", align_on='year'" if index.calendar == "360_day" else ""
        fix = f"{called}.convert_calendar('standard', dim={time!r}, use_cftime=False{align})"
        return f"time has the calendar {index.calendar!r}, expected datetime64 in UTC; fix: {fix}"
    if isinstance(index, pd.PeriodIndex):
        new, kind = f"{called}.indexes[{time!r}].to_timestamp()", "periods"
    elif np.issubdtype(times.dtype, np.number):
        attrs = "{'units': 'hours since 2020-01-01'}"
        fix = f"xr.decode_cf({called}.assign_coords({time}=({time!r}, {called}[{time!r}].values, {attrs})))"
        if "since" in str(obj[time].attrs.get("units", "")):
            fix = f"xr.decode_cf({called})" if called == "ds" else f"xr.decode_cf({called}.to_dataset(name='field'))"
        return f"time is {times.dtype}, expected datetime64 in UTC; fix: {fix}"
    else:
        kind = str(times.dtype)
        new = f"pd.to_datetime({called}.indexes[{time!r}], utc=True).tz_localize(None)"
    return f"time is {kind}, expected datetime64 in UTC; fix: {called}.assign_coords({{{time!r}: {new}}})"


# -- whole seconds -----------------------------------------------------------------------------------------------------


def whole_seconds(
    times: NDArray[np.datetime64], *, of_table: bool = False
) -> tuple[NDArray[np.datetime64], str | None]:
    """Return times as whole seconds, and a note of what was rounded; None where nothing was. ``of_table`` is for the fixes.

    A time less than a second from a whole minute moves to the minute, where steps are 10 s or longer; any other to the
    nearest second. Times of several stations, each with noise of its own, may be less than a second apart.

    Raises
    ------
    SchemaError
        Most times are less than a second apart, and they go on so for a second or longer. Times of 1970 that were numbers of
        seconds, milliseconds or microseconds.
    """
    seconds = times.astype("datetime64[s]")
    past = times - seconds
    off = past != np.timedelta64(0)
    if not off.any():
        return times, None
    if (unit := _unit_of_numbers(times)) is not None:
        how = f"unit={unit!r}"
        fix = f"ds.assign_coords(time=pd.to_datetime(ds.indexes['time'].as_unit('ns').asi8, {how}))"
        if of_table:
            read = "pd.to_datetime(table['time']).dt.as_unit('ns').astype('int64')"
            fix = f"table['time'] = pd.to_datetime({read}, {how}, utc=True)"
        raise SchemaError(
            f"all times are in January 1970, from {times.min()}: they seem to be numbers since 1970 that were read in a unit that is too "
            f"fine, such as nanoseconds; fix: {fix}, where they are"
        )
    step = _typical_step(np.unique(times))
    if step < 0.9:
        fix = _MINUTES_OF_TABLE if of_table else "ds.resample(time='1min').mean(keep_attrs=True)"
        raise SchemaError(f"time has steps of {step:.3g} s, expected at least a second; fix: {fix}")
    rounded = seconds + (2 * past >= _SECOND).astype(int) * _SECOND
    if step >= 10:
        minute = (rounded + _MINUTE / 2).astype("datetime64[m]").astype("datetime64[s]")
        rounded = np.where(abs(times - minute) < _SECOND, minute, rounded)
    moved = times != rounded
    most = abs(times - rounded).max() / np.timedelta64(1, "ns") / 1e9
    return rounded, f"{int(moved.sum())} timestamps off whole seconds or minutes are rounded, by up to {most:.3g} s"


def _unit_of_numbers(times: NDArray[np.datetime64]) -> str | None:
    """Return the unit of numbers since 1970 that were taken for finer ones, where times of January 1970 show them; else None."""
    first, last = times.min(), times.max()
    if not (first >= np.datetime64("1970-01-01") and last < np.datetime64("1970-02-01")):
        return None
    # As nanoseconds, 100 s are seconds to the year 5138, and a day is milliseconds to 4707.
    return "s" if last < np.datetime64(100, "s") else "ms" if last < np.datetime64("1970-01-02") else "us"


def _typical_step(distinct: NDArray[np.datetime64]) -> float:
    """Return the median step of sorted times in seconds; times less than a second from the first of a group count as one."""
    seconds = (distinct - distinct[:1]) / np.timedelta64(1, "s")
    apart = np.diff(seconds)
    if not len(apart):
        return np.inf
    group = np.concatenate([[0], np.cumsum(apart >= 0.9)])
    first = seconds[np.unique(group, return_index=True)[1]]
    past: NDArray[np.float64] = seconds - first[group]
    return float(np.median(np.diff(first) if len(first) > 1 and past.max() < 1 else apart))


def rounded_coordinate(obj: Any, time: Any) -> tuple[Any, str | None]:
    """Return a dataset or array with whole seconds as times, and the note; warns where something was rounded."""
    times, note = whole_seconds(obj[time].values)
    if note is None:
        return obj, None
    warn(note)
    return obj.assign_coords({time: (time, times, obj[time].attrs)}), note


# -- steps of the calendar ---------------------------------------------------------------------------------------------


def calendar_unit(times: NDArray[np.datetime64]) -> str | None:
    """Return ``"M"``, ``"Q"`` or ``"Y"`` where times label months, quarters or years, one each; else None.

    Labels of quarters and years must be first or last days of months; those of months may be any.
    """
    index = pd.DatetimeIndex(np.unique(times))
    if len(index) < 3:
        return None
    days = np.median(np.diff(index) / _DAY)
    unit = next((u for u, (_, least, most) in _CALENDAR.items() if least <= days <= most), None)
    if unit is None or not index.to_period("M").is_unique:
        return None
    if unit != "M" and not (_starts(index) or index.is_month_end.all()):
        return None
    return unit


def calendar_problem(times: NDArray[np.datetime64]) -> str | None:
    """Return what is wrong with times in steps of the calendar, or irregular and longer than a day; None for any others.

    The fix puts them on days.
    """
    index = pd.DatetimeIndex(np.unique(times))
    steps, counts = np.unique(np.diff(index), return_counts=True)
    if len(index) < 3 or not (steps % (step := steps[np.argmax(counts)])).any() or step <= _DAY:
        return None
    shown = ", ".join(f"{t:%Y-%m-%d}" for t in index[:3])
    if (unit := calendar_unit(times)) is not None:
        word = UNIT_NAMES[unit]
        return (
            f"time has steps of one {word} ({shown}, ...), which differ in length, expected one regular step; as daily values, "
            f"the mean of each {word} on all of its days; fix: {_on_days(index, unit)}"
        )
    return (
        f"time has irregular steps longer than a day ({shown}, ...), expected one regular step; as daily values, each on "
        "its own day, with no value on the days between; fix: ds.resample(time='1D').mean(keep_attrs=True)"
    )


def rows_on_days(times: NDArray[np.datetime64], column: str) -> str:
    """Return the call that puts each row of a table, whose times are labels of the calendar, on all days of its period."""
    index = pd.DatetimeIndex(np.unique(times))
    unit = calendar_unit(times)
    period = f"'{unit}'" if unit == "M" else f"'{_period(index, str(unit))}'"
    return (
        f"table = table.assign({column}=[pd.date_range(p.start_time, p.end_time) for p in "
        f"pd.to_datetime(table[{column!r}]).dt.to_period({period})]).explode({column!r})"
    )


def _period(index: pd.DatetimeIndex, unit: str) -> str:
    """Return the frequency of quarters or years that begin, or end, where the labels lie."""
    last = (index[0] - pd.Timedelta("1D") if _starts(index) else index[0]).strftime("%b").upper()
    return f"{unit}-{last}"


def _starts(index: pd.DatetimeIndex) -> bool:
    return bool((index.is_month_start & (index == index.normalize())).all())


def _on_days(index: pd.DatetimeIndex, unit: str) -> str:
    """Return the call that gives every day of a period the value of the period."""
    months = _CALENDAR[unit][0]
    call, every = "ds.sortby('time')", f"{months}MS"
    first, last, method = index[0], index[-1] + pd.DateOffset(months=months) - _DAY, "ffill"
    if unit == "M" and not _starts(index):
        call += ".assign_coords(time=ds.sortby('time').indexes['time'].to_period('M').start_time)"
        first, last = index[0].to_period("M").start_time, index[-1].to_period("M").end_time
    elif not _starts(index):
        every, method = f"{months}ME", "bfill"
        first, last = (index[0] + _DAY - pd.DateOffset(months=months)).normalize(), index[-1]
    numbers = index.year * 12 + index.month
    if (np.diff(numbers) != months).any():
        call += f".resample(time='{every}').asfreq()"
    return f"{call}.reindex(time=pd.date_range('{first:%Y-%m-%d}', '{last:%Y-%m-%d}'), method='{method}')"


def plain_time(time: Any) -> Any:
    """Return a time as the axis of a dataset has it: of an array without dimensions its entry; in UTC, without a zone.

    What is no such time is returned as it is: text such as "2020-01" names a period, and whoever selects judges it.

    Raises
    ------
    SchemaError
        A date with its year last: 08.01.2018 is two days, by who writes it.
    """
    if isinstance(time, str) and (found := _YEAR_LAST.match(time)):
        first, second, year = found.groups()
        raise SchemaError(
            f"time {time!r} has its year last, so that the order of day and month is not known; fix: '{year}-{int(second):02d}-"
            f"{int(first):02d}', if the day comes first"
        )
    if isinstance(time, (xr.DataArray, np.ndarray)) and time.ndim == 0:
        time = np.asarray(time)[()]
    try:
        zoned = pd.Timestamp(time) if isinstance(time, (str, datetime)) else None
    except (ValueError, OverflowError):
        return time
    if zoned is None or zoned is pd.NaT or zoned.tzinfo is None:
        return time
    return zoned.tz_convert("UTC").tz_localize(None)
