"""Timestamps of tables: text or dates -> UTC, the regular time axis that holds them, and the start of each interval.

Neither a time zone nor the order of day and month is guessed.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import xarray as xr

from ..arrays import timesteps
from ..conventions import TIME
from ..errors import SchemaError
from ..stations import schema

#: An axis with more steps than the first number, of which less than the second fraction have rows, has a stray timestamp.
_SPARSE_STEPS, _SPARSE_FRACTION = 50_000, 0.02
#: An offset at the end of a time, as +01:00, +0100 or +01. A date alone ends in "-01-02", which is not an offset.
_OFFSET = r"[T ]\d{2}(?::?\d{2}(?::?\d{2}(?:\.\d+)?)?)?\s?(?:Z|[+-]\d{2}(?::?\d{2})?)$"


def to_utc(timestamps: pd.Series, tz: str | None) -> pd.Series:
    """Return timestamps as naive UTC; daily timestamps are not shifted.

    Parameters
    ----------
    timestamps : pandas.Series
        Dates, or text that pandas parses as dates; with an offset or naive.
    tz : str or None
        Time zone of naive timestamps.

    Raises
    ------
    SchemaError
        Numbers, text that is no date, missing timestamps, an ambiguous order of day and month, or naive timestamps
        shorter than a day without ``tz``.
    """
    if pd.api.types.is_numeric_dtype(timestamps):
        raise SchemaError(
            f"time is {timestamps.dtype}, such as {timestamps.iloc[0]}, expected dates; fix: {_as_dates(timestamps)}"
        )
    times = _parse(timestamps)
    if times.isna().any():
        raise SchemaError(f"{int(times.isna().sum())} rows have no time; fix: table = table.dropna(subset=['time'])")
    if times.dt.tz is not None:
        return times.dt.tz_convert("UTC").dt.tz_localize(None).dt.as_unit("s")
    if (times == times.dt.normalize()).all():
        return times.dt.as_unit("s")
    if tz is None:
        raise SchemaError(
            "timestamps have hours but no time zone, and xaq does not guess it; fix: tz='UTC' or tz='Asia/Shanghai'"
        )
    return localise(times, tz)


def localise(times: pd.Series, tz: str) -> pd.Series:
    """Return naive local timestamps as naive UTC timestamps."""
    try:
        return times.dt.tz_localize(tz).dt.tz_convert("UTC").dt.tz_localize(None).dt.as_unit("s")
    except (KeyError, ValueError, IndexError, TypeError, OSError, AttributeError) as error:
        if any(word in str(error).lower() for word in ("ambiguous", "nonexistent", "cannot infer")):
            raise SchemaError(
                f"a change to or from daylight saving time makes some local timestamps in {tz!r} ambiguous, or skips them; "
                "fix: tz='Etc/GMT-1' (that is UTC+1) if the network keeps standard time all year"
            ) from error
        raise SchemaError(f"unknown time zone {tz!r}; fix: an IANA name such as tz='Europe/Berlin'") from error


def regular_axis(timestamps: pd.Series) -> pd.DatetimeIndex:
    """Return the regular axis that holds every timestamp; its step is the most frequent difference of distinct timestamps.

    Raises
    ------
    SchemaError
        Fewer than two distinct timestamps, timestamps off the step, or a stray one that makes the axis nearly empty.
    """
    distinct = pd.DatetimeIndex(timestamps.unique()).sort_values()
    if len(distinct) < 2:
        raise SchemaError(
            f"the table has one time only ({distinct[0]}), expected at least 2 to know the step; "
            "fix: open all files of the record together"
        )
    step = pd.Series(np.diff(distinct)).mode().iloc[0]
    step_name = timesteps.step_name(step.to_timedelta64())
    off = (distinct - distinct[0]) % step != pd.Timedelta(0)
    if off.any():
        raise SchemaError(
            f"{int(off.sum())} timestamps are off the step of {step_name}, first: {distinct[off][0]}; "
            "fix: round or aggregate them, such as table['time'] = table['time'].dt.floor('h') followed by groupby.mean()"
        )
    steps = int((distinct[-1] - distinct[0]) / step) + 1
    if steps > _SPARSE_STEPS and len(distinct) < _SPARSE_FRACTION * steps:
        raise SchemaError(
            f"time runs from {distinct[0]} to {distinct[-1]}: {len(distinct)} of {steps} steps of {step_name} have rows; "
            f"a stray timestamp? fix: table = table[table['time'] > '{distinct[len(distinct) // 2]:%Y}']"
        )
    timesteps.steps_per_day(step.to_timedelta64())
    return pd.date_range(distinct[0], distinct[-1], freq=step, unit="s")


def label_starts(ds: xr.Dataset, timestamps: str) -> xr.Dataset:
    """Return the dataset with each timestamp at the start of its interval.

    ``timestamps`` says which end of its interval each timestamp labels: ``"start"`` or ``"end"``.
    """
    if timestamps == "start":
        return ds
    step = timesteps.regular_step(ds[TIME].values)
    moved = ds[TIME].copy(data=ds[TIME].values - step)
    note = f"timestamps moved from the end to the start of each interval (-{timesteps.step_name(step)})"
    return schema.record(ds.assign_coords({TIME: moved}), "open_stations", [note])


# -- parsing -----------------------------------------------------------------------------------------------------------


def _parse(timestamps: pd.Series) -> pd.Series:
    try:
        if _has_offsets(timestamps):
            # Offsets say nothing about the order of day and month.
            return pd.to_datetime(timestamps, utc=True, dayfirst=_day_first(timestamps))
        if pd.api.types.is_datetime64_any_dtype(timestamps):
            return timestamps
        with warnings.catch_warnings():
            # pandas warns where it would guess the format of each element.
            warnings.simplefilter("error", UserWarning)
            return pd.to_datetime(timestamps, dayfirst=_day_first(timestamps))
    except SchemaError:
        raise
    except (ValueError, TypeError, OverflowError, UserWarning) as error:
        raise SchemaError(_no_dates(timestamps)) from error


def _as_dates(numbers: pd.Series) -> str:
    """Return the call that makes dates of numbers: days as 20200131, else seconds or milliseconds since 1970."""
    first = abs(float(numbers.iloc[0]))
    how = "format='%Y%m%d'" if 1.8e7 < first < 2.2e7 else "unit='ms'" if first > 1e11 else "unit='s'"
    return f"table['time'] = pd.to_datetime(table['time'], {how})"


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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        parsed = pd.to_datetime(text, errors="coerce", format="mixed", utc=True)
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
    return (
        f"times are written in several ways, such as {text.iloc[0]!r} and {text.iloc[-1]!r}; "
        "fix: table['time'] = pd.to_datetime(table['time'], format='mixed')"
    )


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
    parts = timestamps.dropna().astype(str).str.extract(r"^\s*(\d{1,2})([/.-])(\d{1,2})\2\d{4}").dropna()
    if parts.empty:
        return False
    first, second = parts[0].astype(int).max(), parts[2].astype(int).max()
    if first > 12 or (parts[1] == ".").all():
        return True
    if second <= 12:
        raise SchemaError(
            f"time such as {timestamps.iloc[0]!r} may be day/month or month/day, and no row shows which; "
            "fix: table['time'] = pd.to_datetime(table['time'], format='%d/%m/%Y %H:%M')"
        )
    return False
