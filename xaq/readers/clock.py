"""Times of tables in several columns (a date and an hour, year, month, day, hour), and hour 24, the end of a day."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from .._arguments import shown
from ..conventions import ROLE_NAMES, TIME
from ..errors import SchemaError
from .assembly import check_columns, first_column, lower_names
from .source import Request
from .times import as_dates, hour_24, parse

#: The role of a column of hours that the caller names.
HOUR = "hour"
_DATES = ("date", *ROLE_NAMES[TIME])
_HOURS = ("hour", "hours", "hr", "hour_of_day", "time", "clock", "time_of_day")
_CALENDAR = ("year", "month", "day")
#: Hours and minutes as text: 7:30, 07:30, 07:30:00, 0730.
_CLOCK = r"(\d{1,2}):?(\d{2})(?::(\d{2}))?"


def with_time(frame: pd.DataFrame, request: Request) -> pd.DataFrame:
    """Return a table with date and hour in one column, which has the name of the date's column; others as they are.

    Raises
    ------
    SchemaError
        Hours that are none of a day; hour 24 where the caller does not say which end of an interval timestamps label.
    """
    by_name = lower_names(frame.columns)
    named = request.columns_in(frame.columns)
    free = {name: column for name, column in by_name.items() if column not in named.values()}
    if HOUR not in named:
        check_columns([(role, name) for role, name in request.column_names if role == HOUR], list(frame.columns))
    dates = named.get(TIME, first_column(free, _DATES))
    if dates is None and all(name in free for name in _CALENDAR):
        parts = frame[[free[name] for name in _CALENDAR]].apply(pd.to_numeric, errors="coerce")
        frame = frame.drop(columns=[free[name] for name in _CALENDAR])
        frame[TIME] = pd.to_datetime(parts.set_axis(_CALENDAR, axis=1), errors="coerce")
        dates = TIME
    if dates is None:
        return frame
    clock = named.get(HOUR) or _clock_of(frame, dates, free)
    if clock is None:
        if hour_24(frame[dates]).any():
            _check_end(str(dates), request)
        return frame
    if pd.api.types.is_numeric_dtype(frame[dates]):
        fix = as_dates(frame[dates], with_clock=True).replace("['time']", f"[{str(dates)!r}]")
        raise SchemaError(
            f"column {str(dates)!r} is {frame[dates].dtype}, such as {frame[dates].iloc[0]}, expected dates beside the hours of column "
            f"{str(clock)!r}; fix: {fix}"
        )
    if (
        hour_24(frame[dates]).any()
        or (day := parse(frame[dates])).dt.tz is not None
        or (day != day.dt.normalize()).any()
    ):
        return frame
    time = _time_of_day(frame[clock], str(clock))
    if (time == pd.Timedelta("1D")).any():
        _check_end(str(clock), request)
    return frame.drop(columns=clock).assign(**{str(dates): day + time})


def _clock_of(frame: pd.DataFrame, dates: Any, free: dict[str, Any]) -> Any:
    """Return the column of the hour beside that of the date, or None; a column ``time`` may hold whole timestamps."""
    for name in _HOURS:
        column = free.get(name)
        if column is None or column == dates:
            continue
        if name not in ("time", "clock") or _are_clocks(frame[column].dropna()):
            return column
    return None


def _are_clocks(column: pd.Series) -> bool:
    """Whether a column has hours and minutes, as text or as whole numbers such as 0, 100 and 2330."""
    if pd.api.types.is_numeric_dtype(column):
        return bool(column.between(0, 2400).all() and (column % 1 == 0).all() and not column.empty)
    return bool(column.astype(str).str.strip().str.fullmatch(_CLOCK).all())


def _time_of_day(column: pd.Series, called: str) -> pd.Series:
    """Return hours, or hours and minutes, as the time since midnight."""
    text = column.astype(str).str.strip()
    if pd.api.types.is_numeric_dtype(column) and column.max() > 25 and (column % 1 == 0).all():
        # 15 is a quarter past midnight where 2330 stands beside it.
        text = column.astype(np.int64).astype(str).str.zfill(4).where(column >= 0, text)
    parts = text.str.extract(f"^{_CLOCK}$").astype(float)
    whole = pd.to_numeric(text, errors="coerce").mask(text.str.fullmatch(r"\d{4}"))
    hours = whole.where(whole <= 24, parts[0])
    minutes, seconds = (parts[i].where(whole.isna() | (whole > 24), 0.0).fillna(0.0) for i in (1, 2))
    time = 3600 * hours + 60 * minutes + seconds
    wrong = ~((hours >= 0) & (minutes < 60) & (seconds < 60) & (time <= 86400) & (time % 1 == 0))
    if wrong.any():
        raise SchemaError(
            f"column {called!r} has {int(wrong.sum())} entries that are no hour of a day, such as {shown(column[wrong].iloc[0])}, "
            "expected 0 to 23, 1 to 24 or HH:MM; fix: correct them, or leave these rows out: "
            f"table = table[pd.to_numeric(table[{called!r}], errors='coerce').between(0, 24)]"
        )
    return pd.to_timedelta(time.astype(np.int64), unit="s")


def _check_end(called: str, request: Request) -> None:
    if request.timestamps is None:
        raise SchemaError(
            f"column {called!r} has the hour 24:00, the end of a day: its timestamps seem to label the end of each hour; "
            "fix: timestamps='end', or timestamps='start' if 24:00 begins an hour"
        )
