"""Rows of the same station, time and variable: an error, but for rows that complete each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from ..conventions import ELEVATION, LAT, LON, STATION, TIME, is_pollutant
from ..errors import SchemaError

#: An hour, or hours and minutes: 7, 24, 7:30, 0730, 07:30:00; as a float 7.0.
_HOUR = r"(?:[01]?\d|2[0-4])(?::?[0-5]\d(?::[0-5]\d)?)?(?:\.0)?"


def without_duplicates(frame: pd.DataFrame, keys: Sequence[str], called: Callable[[str], str]) -> pd.DataFrame:
    """Return a table with one row for each combination of its keys.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns ``station``, ``time`` and variables. Rows of one station and time are joined where no variable has two values:
        files with a pollutant each, or rows with a pollutant each.
    keys : sequence of str
        ``station``, ``time`` and, in a narrow table, ``parameter``, whose rows complete nothing.
    called : callable
        Returns the user's name of a column.

    Raises
    ------
    SchemaError
        Duplicate rows.
    """
    twice = frame.duplicated([*keys])
    if not twice.any():
        return frame
    if len(keys) == 2 and _complete_each_other(frame[frame.duplicated([*keys], keep=False)], keys):
        return frame.groupby([*keys], as_index=False, sort=False).first()
    first = frame.loc[twice, [*keys]].iloc[0]
    names = [called(c) for c in keys]
    what = "".join(f", {first[c]}" for c in keys[2:])
    if (hours := _hours(frame, keys)) is not None:
        raise SchemaError(
            f"{int(twice.sum())} rows have the station and the date of others, first: station {first[STATION]}, {first[TIME]:%Y-%m-%d}, and "
            f"column {called(hours)!r} seems to hold their hours; fix: columns={{'time': {called(TIME)!r}, 'hour': {called(hours)!r}}}"
        )
    if frame[TIME].between("1970-01-01", "1970-01-01 01:00").all():
        raise SchemaError(
            f"all {len(frame)} rows have times in the first hour of 1970, {int(twice.sum())} of them those of other rows: numbers since 1970 "
            f"seem to have been read as nanoseconds; fix: table[{called(TIME)!r}] = pd.to_datetime(numbers, unit='s', utc=True), where "
            "numbers are those of the source, or with unit='ms' of milliseconds"
        )
    raise SchemaError(
        f"{int(twice.sum())} duplicate rows, first: station {first[STATION]}, {first[TIME]} UTC{what}; "
        f"fix: table = table.drop_duplicates({names}), or table.groupby({names}, as_index=False).mean(numeric_only=True)"
    )


def _hours(frame: pd.DataFrame, keys: Sequence[str]) -> str | None:
    """Return the column that holds the hours of rows whose times are dates, or None."""
    if (frame[TIME] != frame[TIME].dt.normalize()).any():
        return None
    for column in frame.columns.difference([*keys], sort=False):
        texts = frame[column].dropna().astype(str).str.strip()
        if (
            not is_pollutant(str(column))
            and texts.str.fullmatch(_HOUR).all()
            and not frame.duplicated([*keys, column]).any()
        ):
            return str(column)
    return None


def _complete_each_other(again: pd.DataFrame, keys: Sequence[str]) -> bool:
    """Whether no variable has two values for the same keys, and what is not a variable is the same."""
    others = again.columns.difference([*keys], sort=False)
    numbers = [c for c in others if pd.api.types.is_numeric_dtype(again[c]) and c not in (LON, LAT, ELEVATION)]
    rows = again.groupby([*keys], sort=False)
    one_value = bool(numbers) and bool((rows[numbers].count() <= 1).all(axis=None))
    return one_value and bool((rows[[*others.difference(numbers)]].nunique() <= 1).all(axis=None))
