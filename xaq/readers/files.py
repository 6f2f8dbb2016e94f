"""Files to plain frames: text, Parquet, Excel.

Encoding, separator and decimal mark of a text file are detected from its first rows. It is read strictly: a row with
more or fewer fields than the header is an error with its line number. pandas would accept it (a row cut short, a second
separator) and so let silent mistakes into the record.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import os
import re
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import SchemaError

_SEPARATORS = (",", ";", "\t", "|")
_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_PARQUET, _EXCEL = (".parquet", ".pq"), (".xlsx", ".xlsm")
#: Suffixes of the files that :func:`read_frame` reads.
TABLES = (".csv", ".tsv", ".txt", ".dat", *_PARQUET, *_EXCEL)
_SAMPLE_ROWS, _SAMPLE_CHARACTERS = 200, 50_000
_READ_ERRORS = (ValueError, OSError, EOFError, zlib.error, lzma.LZMAError, csv.Error, pa.ArrowException, MemoryError)


@dataclass(frozen=True)
class Dialect:
    """Encoding, separator and decimal mark of a text file, and its first row, which need not be a header."""

    encoding: str
    separator: str
    decimal: str
    header: tuple[str, ...]


def kind(path: Path) -> str:
    """Return the suffix of a file, without that of its compression: ``a.csv.gz`` -> ``.csv``."""
    return Path(path.stem).suffix.lower() if path.suffix.lower() in _OPENERS else path.suffix.lower()


def read_frame(
    path: Path,
    *,
    identifiers: Collection[str] = (),
    names: Sequence[str] | None = None,
    encoding: str | None = None,
    dialect: Dialect | None = None,
) -> pd.DataFrame:
    """Return a file as a frame.

    Parameters
    ----------
    path : Path
        Text (may be compressed), Parquet or Excel.
    identifiers : collection of str
        Columns, in lower case, that are read as text: ``001001`` keeps its zeros.
    names : sequence of str, optional
        Column names of a text file without a header row.
    encoding : str, optional
        Of a text file; by default UTF-8, or as its byte order mark says.
    dialect : Dialect, optional
        Of a text file, where :func:`sniff` has been called before.

    Raises
    ------
    SchemaError
        The file is absent or empty, does not have the format of its suffix, or has a row that does not fit its header.
    """
    if not path.exists():
        raise SchemaError(f"no such file: {path.absolute()}; fix: the path of a file", subject=str(path))
    if path.is_dir():
        raise SchemaError("is a folder, expected a file; fix: the path of a file", subject=str(path))
    with _as_schema_errors(path):
        if kind(path) in _PARQUET:
            return pq.read_table(path, partitioning=None).to_pandas()
        if kind(path) in _EXCEL:
            return _read_excel(path, identifiers)
        return _read_text(path, identifiers, names, dialect or sniff(path, encoding))


def sniff(path: Path, encoding: str | None = None) -> Dialect:
    """Return encoding, separator and decimal mark of a text file, detected from its first rows.

    Raises
    ------
    SchemaError
        The file is empty or not text, has one column only, or mixes decimal commas and decimal points.
    """
    with _as_schema_errors(path):
        return _sniff(path, encoding or _encoding(path))


@contextmanager
def _as_schema_errors(path: Path) -> Iterator[None]:
    """Raise errors of reading a file as ``SchemaError`` with its name."""
    try:
        yield
    except SchemaError:
        raise
    except UnicodeDecodeError as error:
        raise _not_encoded(path, error) from error
    except _READ_ERRORS as error:
        raise _unreadable(path, error) from error


def _sniff(path: Path, encoding: str) -> Dialect:
    with _open(path, encoding) as lines:
        sample = _sample(lines)
    if not sample:
        raise SchemaError(
            "cannot be read as a table: the file is empty; fix: a file with a header and rows", subject=str(path)
        )
    if "\x00" in sample[0]:
        raise SchemaError(
            "cannot be read as a table: the first line has NUL bytes, so it is not text, or UTF-16 without a byte order mark; "
            "fix: encoding='utf-16-le'",
            subject=str(path),
        )
    rows = {s: [[f.strip() for f in row] for row in csv.reader(sample, delimiter=s)] for s in _SEPARATORS}
    # The separator that splits the header into the most fields; whether all rows agree is checked when they are read.
    separator = max(_SEPARATORS, key=lambda s: (_agree(rows[s]), len(rows[s][0])))
    if len(rows[separator][0]) < 2:
        raise SchemaError(
            f"cannot be read as a table: its first line has one column only, {sample[0].strip()[:60]!r}; "
            "fix: separate fields by comma, semicolon, tab or |",
            subject=str(path),
        )
    decimal = _decimal(rows[separator][1:], separator, path)
    return Dialect(encoding, separator, decimal, tuple(rows[separator][0]))


def rows(path: Path, dialect: Dialect) -> Iterator[list[str]]:
    """Yield the rows of a text file, the first included.

    Raises
    ------
    SchemaError
        At a row with more or fewer fields than the first, and at bytes that are invalid in the encoding.
    """
    width = len(dialect.header)
    with _as_schema_errors(path), _open(path, dialect.encoding) as lines:
        reader = csv.reader(lines, delimiter=dialect.separator)
        for row in reader:
            if row and len(row) != width:
                raise SchemaError(
                    f"line {reader.line_num} has {len(row)} fields where the first has {width} (separator "
                    f"{dialect.separator!r}, encoding {dialect.encoding}): a row cut short or written with another "
                    f"separator; it begins {dialect.separator.join(row)[:60]!r}; fix: correct or delete that line",
                    subject=str(path),
                )
            yield row


def header(path: Path, encoding: str | None = None) -> tuple[str, ...]:
    """Return the column names of a file, or the first row of a text file. Reads only the start of text and Parquet."""
    if not path.exists() or path.is_dir() or kind(path) in _EXCEL:
        return tuple(map(str, read_frame(path).columns))
    if kind(path) not in _PARQUET:
        return sniff(path, encoding).header
    with _as_schema_errors(path):
        return tuple(pq.read_schema(path).names)


def reading(path: Path, encoding: str | None = None) -> str:
    """Return the pandas call that reads a file as :func:`read_frame` does, as text."""
    if kind(path) in _PARQUET:
        return f"pd.read_parquet({str(path)!r})"
    if kind(path) in _EXCEL:
        return f"pd.read_excel({str(path)!r})"
    dialect = sniff(path, encoding)
    given = {"sep": dialect.separator, "decimal": dialect.decimal, "encoding": dialect.encoding}
    default = {"sep": ",", "decimal": ".", "encoding": "utf-8"}
    return ", ".join([f"pd.read_csv({str(path)!r}", *(f"{k}={v!r}" for k, v in given.items() if v != default[k])]) + ")"


def _sample(lines: IO[str]) -> list[str]:
    """Return the first lines that are not blank, up to a number of lines and of characters."""
    sample: list[str] = []
    for line in lines:
        if line.strip():
            sample.append(line)
        if len(sample) == _SAMPLE_ROWS or sum(map(len, sample)) > _SAMPLE_CHARACTERS:
            break
    return sample


def _agree(table: list[list[str]]) -> bool:
    return len(table[0]) > 1 and all(len(row) == len(table[0]) for row in table)


def _decimal(body: list[list[str]], separator: str, path: Path) -> str:
    """Return the decimal mark; raise where the file has both."""
    if separator == ",":
        return "."
    commas = [f for row in body for f in row if re.fullmatch(r"[+-]?\d+,\d+", f)]
    points = [f for row in body for f in row if re.fullmatch(r"[+-]?\d+\.\d+", f)]
    if not commas:
        return "."
    if points:
        raise SchemaError(
            f"has decimal commas ({commas[0]}) and decimal points ({points[0]}); fix: write all numbers one way",
            subject=str(path),
        )
    return ","


def _encoding(path: Path) -> str:
    with _OPENERS.get(path.suffix.lower(), open)(path, "rb") as raw:
        start = raw.read(4)
    if start.startswith(b"\xef\xbb\xbf"):
        return "utf-8-sig"
    return "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"


def _open(path: Path, encoding: str) -> IO[str]:
    try:
        raw: Any = _OPENERS.get(path.suffix.lower(), open)(path, "rb")
        return io.TextIOWrapper(raw, encoding=encoding, newline="")
    except LookupError as error:
        raise SchemaError(f"unknown encoding {encoding!r}; fix: one such as 'utf-8', 'cp1252', 'gb18030'") from error


def _not_encoded(path: Path, error: UnicodeDecodeError) -> SchemaError:
    byte = error.object[error.start]
    return SchemaError(
        f"is not {error.encoding} (byte 0x{byte:02x}, {error.reason}); fix: its encoding, such as encoding='cp1252' "
        "(western Europe) or 'gb18030' (Chinese)",
        subject=str(path),
    )


def _unreadable(path: Path, error: BaseException) -> SchemaError:
    return SchemaError(
        f"cannot be read as a table ({type(error).__name__}: {' '.join(str(error).split())[:160]}); "
        "fix: a file in CSV, Parquet or Excel",
        subject=str(path),
    )


def _read_text(path: Path, identifiers: Collection[str], names: Sequence[str] | None, dialect: Dialect) -> pd.DataFrame:
    if names is not None and len(names) != len(dialect.header):
        raise SchemaError(
            f"has {len(dialect.header)} fields in a row, expected {len(names)}; fix: a file with {', '.join(names)}",
            subject=str(path),
        )
    for _ in rows(path, dialect):
        pass  # checks the number of fields of every row, which pandas does not
    header = list(dialect.header if names is None else names)
    doubled = sorted(h for h, n in Counter(header).items() if h and n > 1)
    if doubled:
        raise SchemaError(f"has several columns {', '.join(map(repr, doubled))}; fix: rename them", subject=str(path))
    # Columns without a name are row numbers written by other tools.
    kept = [i for i, name in enumerate(header) if name]
    text = {header[i]: "str" for i in kept if header[i].lower() in identifiers}
    with _open(path, dialect.encoding) as lines:
        frame = pd.read_csv(
            lines, sep=dialect.separator, decimal=dialect.decimal, header=None if names else 0,
            names=[name or f"\x00{i}" for i, name in enumerate(header)], usecols=[header[i] for i in kept],
            dtype=text, low_memory=False, skipinitialspace=True, index_col=False,
        )  # fmt: skip
    if dialect.decimal == ",":
        # A column with a word among its numbers is text to pandas, which then keeps its decimal commas.
        for name in frame.columns[~frame.dtypes.map(pd.api.types.is_numeric_dtype)].difference([*text]):
            frame[name] = frame[name].str.replace(r"^([+-]?\d+),(\d+)$", r"\1.\2", regex=True)
    return frame


def _read_excel(path: Path, identifiers: Collection[str]) -> pd.DataFrame:
    try:
        import openpyxl
    except ImportError as error:
        raise SchemaError("Excel needs openpyxl; fix: pip install 'xaq[readers]'", subject=str(path)) from error
    try:
        book = openpyxl.load_workbook(path, read_only=True)
        sheets = list(book.sheetnames)
        book.close()
        if len(sheets) > 1:
            raise SchemaError(
                f"has the sheets {', '.join(sheets)}; fix: open_stations(pd.read_excel(path, sheet_name={sheets[0]!r}), ...)",
                subject=str(path),
            )
        frame = pd.read_excel(path, dtype=object, engine="openpyxl")
    except SchemaError:
        raise
    except Exception as error:  # zip, XML and type errors of a damaged workbook have no common base class
        raise _unreadable(path, error) from error
    frame.columns = [str(c) for c in frame.columns]
    frame = frame.drop(columns=[c for c in frame.columns if c.startswith("Unnamed: ")])
    text = [c for c in frame.columns if c.strip().lower() in identifiers]
    return frame.astype(dict.fromkeys(text, "str")).infer_objects()


def listing(folder: str | os.PathLike, patterns: Sequence[str]) -> list[Path]:
    """Return the files below a folder whose names match one of the patterns, in the order of their names."""
    return sorted({p for pattern in patterns for p in Path(folder).rglob(pattern) if p.is_file()})
