"""What the arguments of ``open_stations`` may be, checked before anything is read."""

from __future__ import annotations

import codecs
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from .._arguments import check_choice, check_integer, check_mapping, check_sequence, check_text, shown
from ..errors import SchemaError
from . import entries
from .zones import AMBIGUOUS

#: A header further down is that of no table.
_MOST_ROWS = 1_000_000


def check_arguments(
    *,
    stations: Any,
    named: Any,
    formats: Iterable[str],
    tz: Any,
    timestamps: Any,
    units: Any,
    columns: Any,
    pollutant: Any,
    encoding: Any,
    skiprows: Any,
    na_values: Any,
    censored: Any,
    valid: Any,
    ambiguous: Any,
) -> None:
    """Refuse arguments of other types than their own, and words that are none of the choices; None is a default.

    ``named`` is the argument ``format``, one of ``formats``.
    """
    if isinstance(stations, (xr.Dataset, xr.DataArray)):
        raise error(f"stations is {shown(stations)}, expected a table; fix: stations=list.to_dataframe().reset_index()")
    if named is not None:
        check_choice(named, "format", formats, error=error)
    if timestamps is not None:
        check_choice(timestamps, "timestamps", ("start", "end"), error=error)
    if censored is not None:
        check_choice(censored, "censored", entries.CENSORED, error=error)
    if ambiguous is not None:
        check_choice(ambiguous, "ambiguous", AMBIGUOUS, error=error)
    if skiprows is not None:
        check_integer(
            skiprows, "skiprows", "the number of rows above the header", fix="skiprows=4", valid=lambda n: 0 <= n <= _MOST_ROWS,
            error=error,
        )  # fmt: skip
    if na_values is not None:
        _check_na_values(na_values)
    if valid is not None:
        _check_valid(valid)
    if not (tz is None or isinstance(tz, str)):  # which names are time zones, the reader of timestamps knows
        check_text(tz, "tz", "the name of a time zone", fix="tz='UTC'", error=error)
    if pollutant is not None:
        check_text(pollutant, "pollutant", "a name", fix="pollutant='pm25'", error=error)
    if encoding is not None:
        _check_encodings(encoding)
    if units is not None and not isinstance(units, str):
        _check_units(units)
    if columns is not None:
        _check_columns(columns)


def error(text: str) -> SchemaError:
    """Return the error of an argument of ``open_stations``."""
    return SchemaError(text, subject="open_stations")


def _check_encodings(encoding: Any) -> None:
    if not isinstance(encoding, Mapping):
        _check_encoding(encoding)
        return
    fix = "encoding={'list.csv': 'cp1250'}"
    named = check_mapping(encoding, "encoding", "encodings by file", fix=fix, error=error)
    if not named:
        raise error(f"encoding is {shown(encoding)}, expected encodings by file; fix: {fix}")
    for pattern, name in named.items():
        check_text(pattern, "a file in encoding", "the name of a file", fix=fix, error=error)
        _check_encoding(name)


def _check_na_values(na_values: Any) -> None:
    groups = list(na_values.values()) if isinstance(na_values, Mapping) else [na_values]
    listed = [list(g) if isinstance(g, (list, tuple, set, frozenset)) else [g] for g in groups]
    if not listed or not all(group and all(map(_is_entry, group)) for group in listed):
        raise error(
            f"na_values is {shown(na_values)}, expected entries that stand for missing values; fix: na_values=[-999, 'LOD']"
        )


def _is_entry(entry: Any) -> bool:
    """Whether something is a text or a finite number."""
    if isinstance(entry, str):
        return bool(entry)
    try:
        return (
            not isinstance(entry, bool) and isinstance(entry, (int, float, np.number)) and math.isfinite(float(entry))
        )
    except OverflowError:
        return False


def _check_valid(valid: Any) -> None:
    expected, fix = "the statuses that count", "valid=['V', 'R']"
    if isinstance(valid, Mapping) and not valid:
        raise error(f"valid is {shown(valid)}, which lets no value count; fix: {fix}")
    for column, statuses in (valid if isinstance(valid, Mapping) else {"status": valid}).items():
        check_text(column, "a column in valid", "a text", fix="valid={'status': ['V', 'R']}", error=error)
        if not check_sequence(statuses, "valid", expected, fix=fix, error=error):
            raise error(f"valid is {shown(valid)}, which lets no value count; fix: {fix}")


def _check_encoding(encoding: Any) -> None:
    fix = "encoding='latin-1'"
    name = check_text(encoding, "encoding", "the name of an encoding", fix=fix, error=error)
    try:
        codecs.lookup(name)
    except (LookupError, ValueError):
        raise error(f"encoding is {shown(encoding)}, expected the name of an encoding; fix: {fix}") from None


def _check_units(units: Any) -> None:
    fix = "units={'pm25': 'ug m-3'}"
    for name, unit in check_mapping(units, "units", "a text, or units by pollutant", fix=fix, error=error).items():
        check_text(name, "a name in units", "a pollutant", fix=fix, error=error)
        check_text(unit, f"units[{name!r}]", "units", fix=fix, error=error)


def _check_columns(columns: Any) -> None:
    expected, fix = "names of columns by role", "columns={'station': 'Site', 'time': 'Date'}"
    given: Mapping[Any, Any] = check_mapping(columns, "columns", expected, fix=fix, error=error)
    for role, names in given.items():
        check_text(role, "a role in columns", "a text", fix=fix, error=error)
        for name in (
            [names]
            if isinstance(names, str)
            else check_sequence(names, f"columns[{role!r}]", "the name of a column", fix=fix, error=error)
        ):
            check_text(name, f"columns[{role!r}]", "the name of a column", fix=fix, error=error)
