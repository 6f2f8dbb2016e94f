"""Files that are not text: Parquet, Feather, workbooks of Excel."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from pyarrow import feather

from ..conventions import match_key
from ..errors import SchemaError
from . import compressed
from .banner import ROWS_ABOVE, rows_above
from .entries import named_statuses
from .frames import plain_frame

EXCEL = (".xlsx", ".xlsm")
_PARQUET = (".parquet", ".pq")
#: Suffixes of the files that :func:`read` reads, with the function of pandas that reads them.
SUFFIXES = {
    **dict.fromkeys(_PARQUET, "read_parquet"), ".feather": "read_feather", ".ftr": "read_feather", **dict.fromkeys(EXCEL, "read_excel"),
}  # fmt: skip
#: The words for a missing value that pandas knows. In a column of identifiers they are identifiers.
MISSING = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN",
    "None", "n/a", "nan", "null",
)  # fmt: skip
#: Rows of a sheet as Excel allows them, and the most cells that are read, which fit into half a GiB.
_SHEET_ROWS, _SHEET_CELLS = 1_048_576, 10_000_000
#: The largest part of a workbook beside its sheets and texts, such as styles, which are held in memory as a tree.
_LARGEST_PART = 8 * 2**20
_LARGEST_TABLE = 2**28
#: The header of a sheet is looked for in so many rows.
_FIRST_ROWS = 50


def read(
    path: Path, suffix: str, identifiers: Collection[str], *, skiprows: int | None = None, sheet: str | None = None
) -> pd.DataFrame:
    """Return a file of one of :data:`SUFFIXES` as a frame; options as in ``files.read_frame``."""
    source = _source(path)
    if suffix in EXCEL:
        return _read_excel(path, identifiers, skiprows, sheet)
    if suffix in _PARQUET:
        _check_rows(source, path)
        return plain_frame(pq.read_table(source, partitioning=None).to_pandas())
    return plain_frame(feather.read_table(source).to_pandas())


def names(path: Path, suffix: str) -> list[str]:
    """Return the names of the columns of a Parquet or Feather file, from its schema."""
    source = _source(path)
    return pq.read_schema(source).names if suffix in _PARQUET else feather.read_table(source).schema.names


def _source(path: Path) -> Any:
    """Return what a library reads: the path, or the decompressed bytes of a compressed file."""
    if path.suffix.lower() not in compressed.SUFFIXES:
        return path
    with compressed.open_bytes(path) as raw:
        return io.BytesIO(raw.read())


def _check_rows(source: Any, path: Path) -> None:
    """Raise where a Parquet file of repeated values has far more rows than its size lets expect."""
    found = pq.read_metadata(source)
    cells = found.num_rows * found.num_columns
    if 8 * cells > max(_LARGEST_TABLE, 100 * path.stat().st_size):
        raise SchemaError(
            f"is {path.stat().st_size:,} bytes and holds {found.num_rows:,} rows of {found.num_columns} columns, more than a table "
            f"plausibly does; fix: if you trust it, table = pd.read_parquet({str(path)!r}), then open_stations(table, ...)",
            subject=str(path),
        )


# -- Excel -------------------------------------------------------------------------------------------------------------


def rows_above_header(path: Path) -> int:
    """Return how many rows of a sheet stand above its header; 0 where that is not certain."""
    return _above(*_sheet(path, None))


def _above(numbers: list[int], rows: list[tuple[Any, ...]]) -> int:
    return numbers[rows_above([["" if cell is None else str(cell) for cell in row] for row in rows[:_FIRST_ROWS]])]


def _sheet(path: Path, name: str | None) -> tuple[list[int], list[tuple[Any, ...]]]:
    """Return the numbers from 0 and the cells of the rows of a sheet that are not empty."""
    try:
        import openpyxl
    except ImportError as error:
        raise SchemaError("Excel needs openpyxl; fix: pip install openpyxl", subject=str(path)) from error
    source = _source(path)
    try:
        _check_parts(source, path)
        book = openpyxl.load_workbook(source, read_only=True, data_only=True)
        try:
            rows = list(_rows(book, path, name))
        finally:
            book.close()
    except SchemaError:
        raise
    except Exception as error:  # zip, XML and type errors of a damaged workbook have no common base class
        raise SchemaError(
            f"is not a workbook of Excel, or a damaged one ({type(error).__name__}); fix: save it again as .xlsx, or as CSV",
            subject=str(path),
        ) from error
    if not rows:
        raise SchemaError(
            "cannot be read as a table: the sheet is empty; fix: a sheet with a header and rows", subject=str(path)
        )
    return [at for at, _ in rows], [row for _, row in rows]


def _read_excel(path: Path, identifiers: Collection[str], skiprows: int | None, sheet: str | None) -> pd.DataFrame:
    numbers, rows = _sheet(path, sheet)
    from openpyxl.cell.cell import ERROR_CODES

    above = _above(numbers, rows) if skiprows is None else skiprows
    rows = [row for at, row in zip(numbers, rows, strict=True) if at >= above]
    if not rows:
        raise SchemaError(
            f"the sheet has no row below the {above} of skiprows={above}; fix: fewer of them", subject=str(path)
        )
    header = named_statuses(["" if name is None else str(name).strip() for name in rows[0]], str(path))
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        text = ", ".join(f"{name!r}: str" for name in dict.fromkeys(header) if match_key(name) in identifiers)
        raise several_columns(twice, header, path, f"pd.read_excel({str(path)!r}, dtype={{{text}}})")
    width = max(map(len, rows))
    body = pd.DataFrame([(*row, *[None] * (width - len(row))) for row in rows[1:]], columns=range(width), dtype=object)
    # Columns without a name are row numbers written by other tools.
    kept = [i for i, name in enumerate(header) if name]
    columns = []
    for i in kept:
        if match_key(header[i]) in identifiers:
            columns.append(body[i].map(_identifier).astype("str"))
        else:
            absent = body[i].isna() | body[i].isin([*MISSING, *ERROR_CODES])
            columns.append(body[i].mask(absent, np.nan).infer_objects())
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=body.index)
    frame = frame.set_axis([header[i] for i in kept], axis=1)
    frame.attrs[ROWS_ABOVE] = above
    return frame


def several_columns(twice: list[str], header: Sequence[str], path: Path, call: str) -> SchemaError:
    """Return the error of a file with several columns of one name; pandas, by ``call``, numbers all but the first."""
    numbered = [f"{name}.{i}" for name in twice for i in range(1, list(header).count(name))]
    return SchemaError(
        f"has several columns {', '.join(map(repr, twice))}; fix: table = {call}.drop(columns={numbered}), "
        "where the first of each is right; then open_stations(table, ...)",
        subject=str(path),
    )


def _identifier(cell: Any) -> Any:
    """Return an identifier as text; Excel may hold the number 1001 as 1001.0."""
    if cell is None or cell == "":
        return np.nan
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _check_parts(source: Any, path: Path) -> None:
    """Raise where the parts of a workbook, which are compressed, are larger than those of a table."""
    with zipfile.ZipFile(source) as archive:
        for part in archive.infolist():
            sheet = "worksheets/" in part.filename or "sharedStrings" in part.filename
            largest = compressed.limit(path) if sheet else _LARGEST_PART
            if part.file_size > largest and part.filename.endswith((".xml", ".rels")):
                raise SchemaError(
                    f"is {path.stat().st_size:,} bytes and its part {part.filename} holds {part.file_size:,}, more than "
                    "a table plausibly does; fix: save the sheet as CSV, and pass that file",
                    subject=str(path),
                )


def _rows(book: Any, path: Path, name: str | None) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Yield the rows that are not empty, with their numbers and without the empty cells at their ends.

    They are those of the sheet of this name, where there is one, else of the only sheet.
    """
    sheets = list(book.sheetnames)
    if name in sheets:
        sheets = [str(name)]
    if len(sheets) > 1:
        raise SchemaError(
            f"has the sheets {', '.join(sheets)}; fix: open_stations(pd.read_excel({str(path)!r}, sheet_name={sheets[0]!r}), ...)",
            subject=str(path),
        )
    sheet = book[sheets[0]]
    # The size that a sheet states may be wrong.
    sheet.reset_dimensions()
    width = n = 0
    for at, row in enumerate(sheet.iter_rows(values_only=True)):
        filled = len(row)
        while filled and row[filled - 1] is None:
            filled -= 1
        width, n = max(width, filled), n + bool(filled)
        if at >= _SHEET_ROWS or width * n > _SHEET_CELLS:
            raise SchemaError(
                f"its sheet has more than {_SHEET_ROWS:,} rows or {_SHEET_CELLS:,} cells; fix: save it as CSV, and pass that file",
                subject=str(path),
            )
        if filled:
            yield at, row[:filled]
