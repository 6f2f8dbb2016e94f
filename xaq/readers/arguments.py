"""What the arguments of ``open_stations`` may be, checked before anything is read."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Mapping
from typing import Any

import xarray as xr

from .._arguments import check_choice, check_mapping, check_sequence, check_text, shown
from ..errors import SchemaError


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
    if not (tz is None or isinstance(tz, str)):  # which names are time zones, the reader of timestamps knows
        check_text(tz, "tz", "the name of a time zone", fix="tz='UTC'", error=error)
    if pollutant is not None:
        check_text(pollutant, "pollutant", "a name", fix="pollutant='pm25'", error=error)
    if encoding is not None:
        _check_encoding(encoding)
    if units is not None and not isinstance(units, str):
        _check_units(units)
    if columns is not None:
        _check_columns(columns)


def error(text: str) -> SchemaError:
    """Return the error of an argument of ``open_stations``."""
    return SchemaError(text, subject="open_stations")


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
