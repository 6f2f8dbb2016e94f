"""Columns of a table -> numbers: entries of pollutants that are none are an error, with the call that reads them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..conventions import POLLUTANTS
from ..errors import SchemaError, warn
from .entries import below_limit, reading_options, refuse_censored

#: A number with the minus sign, or with the spaces between thousands, of typography: "\u22121.5", "1\u202f200".
_NOT_ASCII = r"(?=.*[\u2212\u00a0\u202f])[+\u2212-]?\d+(?:[\u00a0\u202f]\d{3})*(?:[.,]\d*)?"


def numeric(column: pd.Series, name: str) -> NDArray | None:
    """Return the column as float32 with infinities as NaN, or None for dates, and for text that is not a pollutant.

    Raises
    ------
    SchemaError
        A pollutant with entries that are not numbers.
    """
    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
        return None
    if pd.api.types.is_bool_dtype(column) and name in POLLUTANTS:
        raise SchemaError(
            f"column {name!r} has {len(column)} entries that are True or False, expected numbers; fix: columns={{{name!r}: 'your column of "
            "values'}"
        )
    if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
        try:
            numbers = pd.to_numeric(column, errors="coerce")
        except (TypeError, ValueError, OverflowError):
            numbers = pd.Series(np.nan, column.index)
        lost = column.notna() & numbers.isna()
        if name in POLLUTANTS and (below := below_limit(column)).any():
            raise refuse_censored(column[below], name, column[lost & ~below].map(str).unique().tolist())
        examples = ", ".join(map(repr, column[lost].map(str).unique()[:3]))
        if name not in POLLUTANTS:
            if 0 < lost.sum() < 0.5 * column.notna().sum():
                warn(
                    f"column {name!r} is left out: {int(lost.sum())} entries are not numbers, such as {examples}; "
                    "fix: make them numbers or missing"
                )
            return None if lost.any() or pd.api.types.is_bool_dtype(column) else _finite(numbers)
        if lost.any():
            raise SchemaError(
                f"column {name!r} has {int(lost.sum())} entries that are not numbers, such as {examples}; "
                f"fix: {_as_numbers(column[lost], name)}"
            )
        column = numbers
    return _finite(column)


def _finite(column: pd.Series) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        array = column.to_numpy(np.float32, na_value=np.nan)
    return np.where(np.isfinite(array), array, np.float32(np.nan))


def _as_numbers(entries: pd.Series, name: str) -> str:
    """Return the call that turns entries of a column into numbers or, where they are none, missing values."""
    texts = entries.map(str)
    if texts.str.fullmatch(_NOT_ASCII).all():
        # pd.read_csv takes marks of ASCII only.
        swaps = {"\u2212": "-", "\u00a0": "", "\u202f": "", ",": "."}
        found = {mark: plain for mark, plain in swaps.items() if texts.str.contains(mark).any()}
        replaced = "".join(f".str.replace({mark!a}, {plain!r})" for mark, plain in found.items())
        return f"table[{name!r}] = pd.to_numeric(table[{name!r}].astype(str){replaced})"
    options = reading_options(entries)
    call = f"table = pd.read_csv(..., {options})" + ", which makes these missing" * ("na_values" in options)
    return call + ", or decimal=',' where commas are decimal marks" * ("thousands=','" in options)
