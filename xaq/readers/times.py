"""Timestamps of tables: text or dates -> UTC, the regular time axis that holds them, and the start of each interval.

Neither a time zone nor the order of day and month is guessed.
"""

from __future__ import annotations

import re
import warnings
from numbers import Number

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..arrays import timesteps
from ..conventions import TIME
from ..errors import SchemaError, warn
from ..stations.timestamps import UNIT_NAMES, calendar_unit, rows_on_days, whole_seconds
from .zones import localise, localise_ends, zone_of

#: An axis with more steps than the first number, of which less than the second fraction have rows, has a stray timestamp.
_SPARSE_STEPS, _SPARSE_FRACTION = 50_000, 0.02
#: An offset at the end of a time, as +01:00, +0100 or +01. A date alone ends in "-01-02", which is not an offset.
_OFFSET = r"[T ]\d{2}(?::?\d{2}(?::?\d{2}(?:\.\d+)?)?)?\s?(?:Z|[+-]\d{2}(?::?\d{2})?)$"
#: Timestamps that are no further than this from whole minutes, some before and some after, are those of a noisy clock.
_NOISE = np.timedelta64(5, "s")
#: The mark in a date such as 31.01.20, whose order cannot be known.
_SHORT_YEAR = r"^\s*\d{1,2}([/.-])\d{1,2}\1\d{2}(?!\d)"
#: Numbers below this, in 1979, are seconds since 1970 of no record of a network.
_FIRST_SECONDS = 3e8
#: A date such as 31/01/2020.
_DAY_MONTH_YEAR = re.compile(r"^\s*(\d{1,2})([/.-])(\d{1,2})\2(\d{4})")
#: An axis for stations of several steps has at most so many times the steps that have rows (two phases of an hour on an axis of
#: minutes: 30), and at most so many steps in all.
_LONGEST, _MOST_STEPS = 32, 500_000


def to_utc(
    timestamps: pd.Series,
    tz: str | None,
    *,
    own: str | None = None,
    ambiguous: str | None = None,
    series: pd.Series | None = None,
    ends: bool = False,
) -> pd.Series:
    """Return timestamps as naive UTC; daily timestamps are not shifted.

    Parameters
    ----------
    timestamps : pandas.Series
        Dates, or text that pandas parses as dates; with an offset or naive.
    tz : str or None
        Time zone of naive timestamps, as the caller says.
    own : str, optional
        The time zone that the format defines for them; that of the caller takes precedence, with a warning.
    ambiguous, series
        As in :func:`localise`.
    ends : bool
        Whether timestamps are the ends of their intervals, as the caller says.

    Raises
    ------
    SchemaError
        Numbers, text that is no date, missing timestamps, an ambiguous order of day and month, or naive timestamps
        shorter than a day without ``tz``.
    """
    if timestamps.dtype == object and timestamps.map(lambda t: isinstance(t, Number)).all():
        # pandas takes numbers among objects for nanoseconds since 1970.
        timestamps = pd.to_numeric(timestamps)
    if pd.api.types.is_numeric_dtype(timestamps):
        raise SchemaError(
            f"time is {timestamps.dtype}, such as {timestamps.iloc[0]}, expected dates; fix: {as_dates(timestamps)}"
        )
    times = parse(timestamps)
    if times.isna().any():
        raise SchemaError(f"{int(times.isna().sum())} rows have no time; fix: table = table.dropna(subset=['time'])")
    if times.dt.tz is not None:
        return _whole_seconds(times.dt.tz_convert("UTC").dt.tz_localize(None))
    times = _whole_seconds(times)
    if (times == times.dt.normalize()).all():
        return times
    if (tz := zone_of(tz, own)) is None:
        raise SchemaError(
            "timestamps have hours but no time zone, and xaq does not guess it; fix: tz='UTC' or tz='Asia/Shanghai'"
        )
    return (localise_ends if ends else localise)(times, tz, ambiguous=ambiguous, series=series)


def of_column(error: SchemaError, column: str) -> SchemaError:
    """Return an error of :func:`to_utc` whose fixes name the column of times as the user does."""
    return SchemaError([problem.replace("['time']", f"[{column!r}]") for problem in error.problems])


def _whole_seconds(times: pd.Series) -> pd.Series:
    """Return naive timestamps as whole seconds; warns where some were rounded."""
    rounded, note = whole_seconds(times.to_numpy(), of_table=True)
    if note is None:
        return times.dt.as_unit("s")
    warn(note)
    return pd.Series(rounded, times.index, name=times.name)


def regular_axis(timestamps: pd.Series, column: str = TIME, known: np.timedelta64 | None = None) -> pd.DatetimeIndex:
    """Return the regular axis that holds every timestamp.

    Its step is the ``known`` one of the format, where all timestamps are on it: those of hours of which every second is missing do not
    show it. Else it is the most frequent difference of distinct timestamps, or the longest that all differences are multiples of, where
    that is not much shorter. ``column`` is the user's name of the column, for messages.

    Raises
    ------
    SchemaError
        Timestamps of months, quarters or years, timestamps off the step, or a stray one that makes the axis nearly empty.
    """
    distinct = pd.DatetimeIndex(timestamps.unique()).sort_values()
    if len(distinct) < 2:
        return distinct.as_unit("s")
    step = pd.Series(np.diff(distinct)).mode().iloc[0]
    _check_no_noise(distinct, column)
    if known is not None and not ((distinct - distinct[0]) % pd.Timedelta(known)).any():
        step = pd.Timedelta(known)
    step_name = timesteps.step_name(step.to_timedelta64())
    off = (distinct - distinct[0]) % step != pd.Timedelta(0)
    if off.any() and (unit := calendar_unit(distinct.to_numpy())) is not None:
        raise SchemaError(
            f"time has the labels of {UNIT_NAMES[unit]}s ({distinct[0]:%Y-%m-%d}, {distinct[1]:%Y-%m-%d}, ...), which differ in length, "
            f"expected one regular step; as daily values, each on all days of its {UNIT_NAMES[unit]}; "
            f"fix: {rows_on_days(distinct.to_numpy(), column)}"
        )
    if off.any():
        step = _common_step(distinct) or step
        off = (distinct - distinct[0]) % step != pd.Timedelta(0)
    if off.any():
        raise SchemaError(
            f"{int(off.sum())} timestamps are off the step of {step_name}, first: {distinct[off][0]}; "
            f"fix: {put_on_step(step, distinct.to_numpy(), column)}"
        )
    step_name = timesteps.step_name(step.to_timedelta64())
    steps = int((distinct[-1] - distinct[0]) / step) + 1
    if steps > _SPARSE_STEPS and len(distinct) < _SPARSE_FRACTION * steps:
        raise SchemaError(
            f"time runs from {distinct[0]} to {distinct[-1]}: {len(distinct)} of {steps} steps of {step_name} have rows; "
            f"a stray timestamp? fix: table = table[table['time'] > '{distinct[len(distinct) // 2]:%Y}']"
        )
    timesteps.steps_per_day(step.to_timedelta64())
    return pd.date_range(distinct[0], distinct[-1], freq=step, unit="s")


def _check_no_noise(distinct: pd.DatetimeIndex, column: str) -> None:
    """Raise where timestamps are whole minutes but for a few seconds: their own step would be that of the noise."""
    past = (distinct - distinct.round("1min")).to_numpy()
    off = np.flatnonzero(past != np.timedelta64(0))
    noisy = len(np.unique(past)) > 1 and (abs(past) <= _NOISE).all()
    if noisy and np.diff(distinct).min() < np.timedelta64(60, "s"):
        raise SchemaError(
            f"{len(off)} timestamps are off whole minutes by up to {abs(past).max() / np.timedelta64(1, 's'):g} s, first: "
            f"{distinct[off[0]]}; fix: table[{column!r}] = pd.to_datetime(table[{column!r}]).dt.round('1min')"
        )


def put_on_step(step: pd.Timedelta, times: NDArray[np.datetime64], column: str = TIME) -> str:
    """Return the call that puts timestamps on a step; days of local time begin at two times of UTC, their dates are regular."""
    if step >= pd.Timedelta("1D"):
        return f"table[{column!r}] = pd.to_datetime(table[{column!r}].astype(str).str.slice(0, 10))"
    if (near := _nearby_step(times)) is not None:
        return f"table[{column!r}] = pd.to_datetime(table[{column!r}]).dt.round({near!r})"
    return (
        f"round or aggregate them, such as table[{column!r}] = pd.to_datetime(table[{column!r}]).dt.floor('h') followed by "
        "groupby.mean()"
    )


def _nearby_step(times: NDArray[np.datetime64]) -> str | None:
    """Return the longest step of less than a day whose multiples are all close to times, as the noise of a clock leaves them."""
    seconds = (times.astype("datetime64[s]") - np.datetime64(0, "s")).astype(np.int64)
    for step in (n for n in range(43200, 59, -60) if 86400 % n == 0):
        far = np.minimum(seconds % step, -seconds % step).max()
        if 0 < far <= step / 10:
            return timesteps.step_name(np.timedelta64(step, "s"))
    return None


def _common_step(distinct: pd.DatetimeIndex) -> pd.Timedelta | None:
    """Return the step of an axis that holds stations of several steps or phases; None where it would be nearly empty."""
    seconds = np.gcd.reduce(np.diff(distinct).astype("timedelta64[s]").astype(np.int64))
    step = pd.Timedelta(int(seconds), "s")
    return step if (distinct[-1] - distinct[0]) / step < min(_LONGEST * len(distinct), _MOST_STEPS) else None


# -- parsing -----------------------------------------------------------------------------------------------------------


def parse(timestamps: pd.Series) -> pd.Series:
    """Return timestamps as dates, in UTC where they carry an offset; 24:00 is the end of its day.

    Raises
    ------
    SchemaError
        Text that is no date, or may be two.
    """
    try:
        if pd.api.types.is_datetime64_any_dtype(timestamps):
            return timestamps
        if isinstance(timestamps.dtype, pd.PeriodDtype):
            raise SchemaError("time has periods, expected dates; fix: table['time'] = table['time'].dt.to_timestamp()")
        if hasattr(timestamps.iloc[0], "calendar"):
            raise SchemaError(
                f"time has the calendar {timestamps.iloc[0].calendar!r}, expected dates; "
                "fix: table['time'] = pd.to_datetime(table['time'].astype(str))"
            )
        late = hour_24(timestamps)
        if late.any():
            text = (
                timestamps.astype(str).str.replace(r"24:00((?::00)?)", r"00:00\1", regex=True).where(late, timestamps)
            )
            return parse(text) + pd.to_timedelta(late.astype(int), unit="D")
        if (
            _is_text(timestamps)
            and timestamps.dropna().astype(str).str.fullmatch(r"\s*\d{1,2}:\d{2}(:\d{2})?\s*").any()
        ):
            # pandas takes them for times of today.
            raise SchemaError(
                f"time such as {str(timestamps.iloc[0])!r} has no date; fix: columns={{'time': 'your column of dates'}}, "
                "with the hours in a column 'hour'"
            )
        if _has_offsets(timestamps):
            # Offsets say nothing about the order of day and month.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                return pd.to_datetime(timestamps, utc=True, dayfirst=_day_first(timestamps))
        with warnings.catch_warnings():
            # pandas warns where it would guess the format of each element.
            warnings.simplefilter("error", UserWarning)
            return pd.to_datetime(timestamps, dayfirst=_day_first(timestamps))
    except SchemaError:
        raise
    except (ValueError, TypeError, OverflowError, UserWarning) as error:
        raise SchemaError(_no_dates(timestamps)) from error


def as_dates(numbers: pd.Series, *, with_clock: bool = False) -> str:
    """Return the call that makes dates of numbers: dates written as numbers, days as Excel counts them, else since 1970.

    ``with_clock`` says that the hour is in another column, so that the numbers are days.
    """
    table, known = "table['time']", numbers.dropna()
    first, last = (abs(float(n)) for n in (known.min(), known.max())) if len(known) else (0.0, 0.0)
    if (how := _written(known, with_clock)) is not None:
        return f"table['time'] = pd.to_datetime({table}.astype('int64').astype(str), format={how!r})"
    if _with_hour_24(known):
        text = f"{table}.astype('int64').astype(str)"
        return (
            f"table['time'] = pd.to_datetime({text}.str[:8]) + pd.to_timedelta({text}.str[8:].astype(int), unit='h'), and "
            "timestamps='end', because the hour 24 is the end of a day"
        )
    if first > 20_000 and last < 80_000:
        return f"table['time'] = pd.to_datetime({table}, unit='D', origin='1899-12-30')"
    if last <= 2400:
        return "columns={'time': 'your column of dates'}, with the hours in a column 'hour'"
    if last < _FIRST_SECONDS:
        return f"table['time'] = pd.to_datetime({table}, unit='h', origin='1900-01-01'), with the unit and the origin of these numbers"
    unit = next(u for u, most in (("s", 1e11), ("ms", 1e14), ("us", 1e17), ("ns", np.inf)) if last < most)
    return f"table['time'] = pd.to_datetime({table}, unit={unit!r})"


def _with_hour_24(numbers: pd.Series) -> bool:
    """Whether numbers are dates with hours to 24, such as 2020013124."""
    if numbers.empty or (numbers % 1 != 0).any():
        return False
    days = pd.to_datetime((numbers // 100).astype("int64").astype(str), format="%Y%m%d", errors="coerce")
    return bool(days.dt.year.between(1900, 2100).all() and (numbers % 100).between(0, 24).all())


def _written(numbers: pd.Series, with_clock: bool) -> str | None:
    """Return the format of numbers such as 2020013123, which are dates of 1900 to 2100; None where they are none."""
    if numbers.empty or (numbers % 1 != 0).any():
        return None
    text = numbers.astype("int64").astype(str)
    formats = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
    if with_clock:
        formats = {6: "%y%m%d", 8: "%Y%m%d"}
    how = formats.get(len(text.iloc[0]))
    if how is None or text.str.len().nunique() > 1:
        return None
    dates = pd.to_datetime(text, format=how, errors="coerce")
    return how if dates.notna().all() and dates.dt.year.between(1900, 2100).all() else None


def _no_dates(timestamps: pd.Series) -> str:
    """Return what is wrong with timestamps that cannot be parsed together."""
    text = timestamps.dropna().drop_duplicates().astype(str)
    offset = text.str.contains(_OFFSET)
    if offset.any() and not offset.all():
        return (
            f"{int(offset.sum())} times have an offset from UTC and {int((~offset).sum())} have none, such as {text[offset].iloc[0]!r} and "
            f"{text[~offset].iloc[0]!r}; fix: table['time'] = [pd.Timestamp(t).tz_localize('UTC') if pd.Timestamp(t).tz is None "
            "else pd.Timestamp(t).tz_convert('UTC') for t in table['time']], where those without are in UTC"
        )
    numbers = pd.to_numeric(text, errors="coerce")
    if numbers.notna().all():
        fix = as_dates(numbers).replace("table['time'].astype('int64')", "table['time']")
        fix = fix.replace("(table['time'], unit", "(pd.to_numeric(table['time']), unit")
        return f"time is text of numbers, such as {text.iloc[0]!r}, expected dates; fix: {fix}"
    marks = text.str.extract(_SHORT_YEAR)[0].dropna()
    if len(marks) == len(text):
        colons = int(text.str.count(":").max())
        how = marks.iloc[0].join(("%d", "%m", "%y")) + ("", " %H:%M", " %H:%M:%S")[min(colons, 2)]
        return (
            f"time such as {text.iloc[0]!r} has a year of two digits, so that the order of day, month and year is not certain; "
            f"fix: table['time'] = pd.to_datetime(table['time'], format={how!r}), or in the order of these times"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        parsed = pd.to_datetime(text, errors="coerce", format="mixed", utc=True, dayfirst=_day_first(timestamps))
    if parsed.isna().all():
        return (
            f"time such as {text.iloc[0]!r} is no date that xaq can parse; fix: table['time'] = pd.to_datetime(table['time'], format='%Y%m%d%H'), "
            "with the format of these times"
        )
    if parsed.isna().any():
        return (
            f"{int(parsed.isna().sum())} times are no dates, such as {text[parsed.isna()].iloc[0]!r}; "
            "fix: table = table[pd.to_datetime(table['time'], errors='coerce', format='mixed').notna()]"
        )
    order = ", dayfirst=True" if _day_first(timestamps) else ""
    return (
        f"times are written in several ways, such as {text.iloc[0]!r} and {text.iloc[-1]!r}; "
        f"fix: table['time'] = pd.to_datetime(table['time'], format='mixed'{order})"
    )


def hour_24(timestamps: pd.Series) -> pd.Series:
    """Return which timestamps are text with the time 24:00."""
    if not _is_text(timestamps):
        return pd.Series(False, timestamps.index)
    found = timestamps.astype(str).str.contains(r"\d[T ]+24:00(?::00(?:\.0+)?)?\s*(?:Z|[+-]\d{2}(?::?\d{2})?)?\s*$")
    return found.fillna(False).astype(bool)


def _is_text(column: pd.Series) -> bool:
    return pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column)


def _has_offsets(timestamps: pd.Series) -> bool:
    """Whether the timestamps are text that all carry an offset from UTC, which may differ between summer and winter."""
    if not _is_text(timestamps):
        return False
    return bool(
        timestamps.dropna()
        .astype(str)
        .str.contains(r"[T ]\d{2}(?::?\d{2}(?::?\d{2}(?:\.\d+)?)?)?\s?(?:Z|[+-]\d{2}(?::?\d{2})?)$")
        .all()
    )


def _day_first(timestamps: pd.Series) -> bool:
    """Whether ``1/2/2020`` means 1 February; raise where no row shows which."""
    if not _is_text(timestamps):
        return False
    text = timestamps.dropna().astype(str)
    parts = text.str.extract(_DAY_MONTH_YEAR).dropna()
    if parts.empty:
        return False
    first, second = parts[0].astype(int), parts[2].astype(int)
    if first.max() > 12 or (parts[1] == ".").all():
        return True
    if second.max() <= 12:
        unclear = text[parts.index[first != second]] if (first != second).any() else text[parts.index]
        example = str(unclear.iloc[0]).strip()
        mark = parts[1].iloc[0]
        clock = ("", " %H:%M", " %H:%M:%S")[min(example.count(":"), 2)]
        raise SchemaError(
            f"time such as {example!r} may be day/month or month/day, and no row shows which; "
            f"fix: table['time'] = pd.to_datetime(table['time'], format='%d{mark}%m{mark}%Y{clock}'), "
            f"or '%m{mark}%d{mark}%Y{clock}'"
        )
    return False


def with_years_first(timestamps: pd.Series) -> pd.Series:
    """Return timestamps in which text such as ``13/01/2020 10:00`` is ``2020-01-13 10:00``; others as they are.

    Raises
    ------
    SchemaError
        No row shows which is the day and which the month.
    """
    if not _is_text(timestamps) or not timestamps.astype(str).str.match(_DAY_MONTH_YEAR).any():
        return timestamps
    day, month = (1, 3) if _day_first(timestamps) else (3, 1)
    return timestamps.str.replace(
        _DAY_MONTH_YEAR, lambda m: f"{m[4]}-{int(m[month]):02d}-{int(m[day]):02d}", regex=True
    )
