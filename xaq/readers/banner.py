"""Rows above the header of a table: how many there are."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

SEPARATORS = (",", ";", "\t", "|")
#: The attribute of a frame with the number of rows that stood above its header.
ROWS_ABOVE = "rows above the header"
#: A header further down is not looked for.
_MOST_ROWS = 40
_NUMBER = re.compile(r"[+-]?[\d.,]*\d[\d.,]*(e[+-]?\d+)?", re.IGNORECASE)
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}")


def lines_above(lines: Sequence[str]) -> int:
    """Return how many of the first lines of a text stand above its header; 0 where that is not certain."""
    tables = [[fields(line, separator) for line in lines[: _MOST_ROWS + 3]] for separator in SEPARATORS]
    if any(_of_one_width(table) for table in tables):
        return 0
    return max(map(rows_above, tables), default=0)


def rows_above(table: Sequence[Sequence[str]]) -> int:
    """Return how many rows stand above the header; 0 where that is not certain.

    Certain is a first row of words only that is wider than all above and as wide as the two rows below, of which one has a number.
    A header that was cut short has rows of numbers below and no other row of words. Rows of numbers above are those of another table.
    """
    widths = [len(row) for row in table]
    for i in range(1, min(len(table) - 1, _MOST_ROWS)):
        below = slice(i + 1, i + 3)
        if (
            widths[i] > max(1, *widths[:i])
            and set(widths[below]) == {widths[i]}
            and not _has_numbers(table[i])
            and any(map(_has_numbers, table[below]))
        ):
            return 0 if _has_data(table[:i]) else i
    return 0


def fields(line: str, separator: str) -> list[str]:
    """Return the fields of a line, or the line where csv finds one of them too long."""
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return [line]


def _of_one_width(table: Sequence[Sequence[str]]) -> bool:
    return len({len(row) for row in table}) == 1 < len(table[0])


def _has_data(above: Sequence[Sequence[str]]) -> bool:
    """Whether rows hold a table: one with a number or a date is as wide as the row before it, and no pair such as ``Latitude,51.5``."""
    for before, row in pairwise(above):
        cells = row if len(row) > 2 else row[:1]
        if len(row) == len(before) > 1 and _has_numbers(cells):
            return True
    return False


def _has_numbers(row: Iterable[str]) -> bool:
    """Whether a cell of a row is a number or begins with a date."""
    cells = [cell.strip() for cell in row]
    return any(_NUMBER.fullmatch(cell) or _DATE.match(cell) for cell in cells)
