"""Files to plain frames: text, Parquet, Excel.

Encoding, separator and decimal mark of a text file are detected from its first rows. It is read strictly: a row with
more or fewer fields than the header is an error with its line number. pandas would accept it (a row cut short, a second
separator) and so let silent mistakes into the record.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import IO

import pandas as pd
import pyarrow as pa

from ..conventions import LAT, LON, ROLE_NAMES, STATION, match_key
from ..errors import SchemaError
from . import binary
from .banner import ROWS_ABOVE, SEPARATORS, lines_above
from .compressed import READ_ERRORS, SUFFIXES, check_size, only_member, open_bytes
from .entries import named_statuses

#: Suffixes of the files that :func:`read_frame` reads.
TABLES = (".csv", ".tsv", ".txt", ".dat", *binary.SUFFIXES)
#: How much of a file is looked at: rows, and characters after the first row.
_SAMPLE_ROWS, _SAMPLE_CHARACTERS = 200, 50_000
_LONGEST_LINE = 8 * 2**20
_READ_ERRORS = (ValueError, OSError, csv.Error, pa.ArrowException, MemoryError, *READ_ERRORS)
#: Encodings of text that is not UTF-8, with where they are used, and how much of a file is tried with them.
_OTHER_ENCODINGS = {
    "cp1252": "western Europe", "cp1250": "central Europe", "cp852": "central Europe, from DOS", "gb18030": "Chinese",
}  # fmt: skip
_SAMPLE_BYTES = 2**20
#: Byte order marks with the encoding that leaves them out; that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
#: The first bytes of what may be behind the name of a text file.
_NOT_TEXT = {
    b"PK\x03\x04": "an archive or a workbook (.zip or .xlsx)", b"\x1f\x8b": "a file of gzip (.gz)", b"PAR1": "Parquet (.parquet)",
    b"ARROW1": "Feather (.feather)", b"CDF": "netCDF (.nc)", b"\x89HDF": "netCDF (.nc)",
}  # fmt: skip


@dataclass(frozen=True)
class Dialect:
    """Encoding, separator and decimal mark of a text file, its first row, which need not be a header, and the lines above."""

    encoding: str
    separator: str
    decimal: str
    header: tuple[str, ...]
    skip: int = 0


def kind(path: Path) -> str:
    """Return the suffix of a file, without that of its compression: ``a.csv.gz`` -> ``.csv``; of an archive, that of its file."""
    suffix = path.suffix.lower()
    if suffix == ".zip":
        with _as_schema_errors(path):
            inside = Path(only_member(path)).suffix.lower()
        # The only file of an archive is sometimes named as the archive.
        return ".csv" if inside in SUFFIXES else inside
    return Path(path.stem).suffix.lower() if suffix in SUFFIXES else suffix


def read_frame(
    path: Path,
    *,
    identifiers: Collection[str] = (),
    names: Sequence[str] | None = None,
    encoding: str | None = None,
    skiprows: int | None = None,
    sheet: str | None = None,
    dialect: Dialect | None = None,
) -> pd.DataFrame:
    """Return a file as a frame.

    Parameters
    ----------
    path : Path
        Text, Parquet, Feather or Excel; may be compressed.
    identifiers : collection of str
        Columns, in plain lower case, that are read as text: ``001001`` keeps its zeros, and ``NA`` is an identifier.
    names : sequence of str, optional
        Column names of a text file without a header row.
    encoding : str, optional
        Of a text file without a byte order mark; by default UTF-8.
    skiprows : int, optional
        Rows above the header of text and Excel; by default found where that is certain.
    sheet : str, optional
        The sheet of a workbook with several of them, where it has one of this name.
    dialect : Dialect, optional
        Of a text file, where :func:`sniff` has been called before.

    Returns
    -------
    pandas.DataFrame
        With the number of rows above its header under ``banner.ROWS_ABOVE`` in its attributes.

    Raises
    ------
    SchemaError
        The file is absent or empty, does not have the format of its suffix, or has a row that does not fit its header.
    """
    if path.is_dir():
        raise SchemaError("is a folder, expected a file; fix: the path of a file", subject=str(path))
    with _as_schema_errors(path):
        if kind(path) in binary.SUFFIXES:
            if skiprows and kind(path) not in binary.EXCEL:
                raise SchemaError(
                    f"skiprows={skiprows} is for text and Excel; fix: leave skiprows= out", subject=str(path)
                )
            return binary.read(path, kind(path), identifiers, skiprows=skiprows, sheet=sheet)
        if names is not None and skiprows is None:
            skiprows = 0  # every row is data
        return _read_text(path, identifiers, names, dialect or sniff(path, encoding, skiprows))


def sniff(path: Path, encoding: str | None = None, skiprows: int | None = None) -> Dialect:
    """Return encoding, separator and decimal mark of a text file, detected from its first rows.

    ``skiprows`` is the number of lines above the header; by default found where that is certain.

    Raises
    ------
    SchemaError
        The file is empty or not text, has one column only, or mixes decimal commas and decimal points.
    """
    with _as_schema_errors(path):
        return _sniff(path, _encoding(path, encoding), skiprows)


def first_lines(path: Path, encoding: str | None = None) -> list[str]:
    """Return the first lines of a text file; none of a folder and of files that are not text."""
    if path.is_dir() or kind(path) in binary.SUFFIXES:
        return []
    with _as_schema_errors(path), _open(path, _encoding(path, encoding)) as text:
        return [line.rstrip("\r\n") for line in islice(_lines(text, path), _SAMPLE_ROWS)]


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


def _sniff(path: Path, encoding: str, skiprows: int | None) -> Dialect:
    with _open(path, encoding, skiprows or 0) as text:
        numbers, sample = _sample(_lines(text, path))
    if skiprows is None and (above := lines_above(sample)):
        skip, sample = numbers[above], sample[above:]
    else:
        skip = skiprows or 0
    if not sample:
        what = "the file is empty" if not skip else f"it has no line below the {skip} of skiprows={skip}"
        raise SchemaError(f"cannot be read as a table: {what}; fix: a file with a header and rows", subject=str(path))
    if "\x00" in sample[0]:
        raise SchemaError(
            "cannot be read as a table: the first line has NUL bytes, so it is not text, or UTF-16 without a byte order mark; "
            "fix: encoding='utf-16-le'",
            subject=str(path),
        )
    rows = {s: split for s in SEPARATORS if (split := _split(sample, s))}
    # The separator that splits the header into the most fields; whether all rows agree is checked when they are read.
    separator = max(rows, key=lambda s: (_agree(rows[s]), len(rows[s][0])), default="")
    if not separator or len(rows[separator][0]) < 2:
        raise SchemaError(
            f"cannot be read as a table: its first line has one column only, {sample[0].strip()[:60]!r}; "
            "fix: separate fields by comma, semicolon, tab or |, or skiprows=1 for a header in the second line",
            subject=str(path),
        )
    decimal = _decimal(rows[separator], separator, path)
    header = named_statuses([f.strip("\ufeff") for f in rows[separator][0]], str(path))
    dialect = Dialect(encoding, separator, decimal, tuple(header), skip)
    if not decimal:
        raise _unclear_comma(path, dialect, rows[separator])
    return dialect


def rows(path: Path, dialect: Dialect) -> Iterator[list[str]]:
    """Yield the rows of a text file, the first included.

    Raises
    ------
    SchemaError
        At a row with more or fewer fields than the first, and at bytes that are invalid in the encoding.
    """
    width = len(dialect.header)
    with _as_schema_errors(path), _open(path, dialect.encoding, dialect.skip) as text:
        reader = csv.reader(_lines(text, path), delimiter=dialect.separator)
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise SchemaError(
                    f"line {dialect.skip + reader.line_num} cannot be split into fields: a quote that is not closed, or a field of over "
                    f"{csv.field_size_limit():,} characters; fix: correct or delete that line",
                    subject=str(path),
                ) from error
            if row and len(row) != width:
                raise SchemaError(
                    f"line {dialect.skip + reader.line_num} has {len(row)} fields where the first has {width} (separator "
                    f"{dialect.separator!r}, encoding {dialect.encoding}): a row cut short or written with another "
                    f"separator; it begins {dialect.separator.join(row)[:60]!r}; fix: correct or delete that line"
                    + ", or skiprows= the lines above the header"
                    * (len(row) > width),
                    subject=str(path),
                )
            yield row


def header(path: Path, encoding: str | None = None, skiprows: int | None = None) -> tuple[str, ...]:
    """Return the column names of a file, or the first row of a text file. Reads only the start of text and Parquet."""
    if path.is_dir() or kind(path) in binary.EXCEL:
        return tuple(map(str, read_frame(path, skiprows=skiprows).columns))
    if kind(path) not in binary.SUFFIXES:
        return sniff(path, encoding, skiprows).header
    with _as_schema_errors(path):
        return tuple(binary.names(path, kind(path)))


def reading(
    path: Path, encoding: str | None = None, identifiers: Collection[str] = (), skiprows: int | None = None
) -> str:
    """Return the pandas call that reads a file as :func:`read_frame` does, as text."""
    if kind(path) not in binary.SUFFIXES:
        return _reading_text(path, sniff(path, encoding, skiprows), identifiers)
    text = ""
    if kind(path) in binary.EXCEL:
        above = binary.rows_above_header(path) if skiprows is None else skiprows
        text = f", skiprows={above}" * bool(above) + _as_text(header(path, skiprows=skiprows), identifiers)
    return f"pd.{binary.SUFFIXES[kind(path)]}({str(path)!r}{text})"


def _reading_text(path: Path, dialect: Dialect, identifiers: Collection[str]) -> str:
    given = {
        "sep": dialect.separator,
        "decimal": dialect.decimal,
        "encoding": dialect.encoding,
        "skiprows": dialect.skip,
    }
    default = {"sep": ",", "decimal": ".", "encoding": "utf-8", "skiprows": 0}
    options = [f"pd.read_csv({str(path)!r}", *(f"{k}={v!r}" for k, v in given.items() if v != default[k])]
    return ", ".join(options) + _as_text(dialect.header, identifiers) + ")"


def _as_text(header: Sequence[str], identifiers: Collection[str]) -> str:
    """Return the option of pandas that reads columns of identifiers as text, or nothing."""
    columns = ", ".join(f"{name!r}: str" for name in dict.fromkeys(header) if match_key(name) in identifiers)
    return f", dtype={{{columns}}}" if columns else ""


def _lines(text: IO[str], path: Path) -> Iterator[str]:
    """Yield the lines of a text; raise at one so long that it is no row of a table."""
    while line := text.readline(_LONGEST_LINE + 1):
        if len(line) > _LONGEST_LINE:
            raise SchemaError(
                f"cannot be read as a table: a line has over {_LONGEST_LINE:,} characters; fix: a file with a line per row",
                subject=str(path),
            )
        yield line


def _sample(lines: Iterator[str]) -> tuple[list[int], list[str]]:
    """Return the first lines that are not blank and their numbers from 0, up to a number of lines and, after the first, of characters."""
    numbers: list[int] = []
    sample: list[str] = []
    for at, line in enumerate(lines):
        if line.strip():
            numbers.append(at)
            sample.append(line)
        if len(sample) == _SAMPLE_ROWS or sum(map(len, sample[1:])) > _SAMPLE_CHARACTERS:
            break
    return numbers, sample


def _split(sample: list[str], separator: str) -> list[list[str]]:
    """Return the fields of each line, or nothing where the separator does not occur or leaves fields that csv finds too long."""
    if separator not in sample[0]:
        return []
    try:
        return [[f.strip() for f in row] for row in csv.reader(sample, delimiter=separator)]
    except csv.Error:
        return []


def _agree(table: list[list[str]]) -> bool:
    return len(table[0]) > 1 and all(len(row) == len(table[0]) for row in table)


def _decimal(table: list[list[str]], separator: str, path: Path) -> str:
    """Return the decimal mark of rows below a header; raise where the file has both, or a comma may be of thousands."""
    if separator == ",":
        return "."
    places = [match_key(name) in (*ROLE_NAMES[LON], *ROLE_NAMES[LAT]) for name in table[0]]
    commas = [
        (f, place)
        for row in table[1:]
        for f, place in zip(row, places, strict=False)
        if re.fullmatch(r"[+-]?\d+,\d+", f)
    ]
    points = [f for row in table[1:] for f in row if re.fullmatch(r"[+-]?\d+\.\d+", f)]
    if not commas:
        return "."
    if points:
        raise SchemaError(
            f"has decimal commas ({commas[0][0]}) and decimal points ({points[0]}); fix: write all numbers one way",
            subject=str(path),
        )
    # Coordinates have no thousands.
    if all(re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", f) and not place for f, place in commas):
        return ""
    return ","


def _unclear_comma(path: Path, dialect: Dialect, rows: list[list[str]]) -> SchemaError:
    """Return the error of numbers such as ``1,200``, where no other number shows what the comma is."""
    example = next(f for row in rows[1:] for f in row if re.fullmatch(r"[+-]?\d+,\d+", f))
    call = _reading_text(path, replace(dialect, decimal=","), ROLE_NAMES[STATION])
    return SchemaError(
        f"has numbers such as {example!r}, whose comma may be of thousands or decimal, and no number shows which; fix: table = {call}, "
        "where it is decimal, or with thousands=',' in place of decimal=','; then open_stations(table, ...)",
        subject=str(path),
    )


def _encoding(path: Path, given: str | None) -> str:
    """Return the encoding: as the byte order mark says, which is more certain than what was given, else as given, else UTF-8."""
    with open_bytes(path) as raw:
        start = raw.read(8)
    for sign, what in _NOT_TEXT.items():
        if start.startswith(sign):
            raise SchemaError(
                f"holds {what}, which its name does not say; fix: rename the file, unpacked where it is packed twice",
                subject=str(path),
            )
    return next((name for mark, name in _MARKS if start.startswith(mark)), given or "utf-8")


def _open(path: Path, encoding: str, skip: int = 0) -> IO[str]:
    """Open a text file at the line after those to skip."""
    try:
        codecs.lookup(encoding)
    except (LookupError, TypeError, ValueError) as error:
        raise SchemaError(
            f"unknown encoding {encoding!r}; fix: encoding='utf-8', or the file's own, such as 'cp1252' or 'gb18030'",
            subject="open_stations",
        ) from error
    text = io.TextIOWrapper(open_bytes(path), encoding=encoding, newline="")
    for _ in islice(_lines(text, path), skip):
        pass
    return text


def _not_encoded(path: Path, error: UnicodeDecodeError) -> SchemaError:
    name = "in the encoding that was given" if error.encoding == "charmap" else error.encoding
    possible = [n for n in _OTHER_ENCODINGS if _decodes(path, n)]
    fix = "save it as UTF-8"
    if possible:
        listed = " or ".join(f"{n!r} ({_OTHER_ENCODINGS[n]})" for n in possible)
        fix = f"its encoding, such as encoding={listed}; of this file only, encoding={{{path.name!r}: {possible[0]!r}}}"
    return SchemaError(
        f"is not {name} (byte 0x{error.object[error.start]:02x}, {error.reason}); fix: {fix}", subject=str(path)
    )


def _decodes(path: Path, encoding: str) -> bool:
    """Whether the start of a file may be in this encoding."""
    with open_bytes(path) as raw:
        try:
            codecs.getincrementaldecoder(encoding)().decode(raw.read(_SAMPLE_BYTES))
        except UnicodeDecodeError:
            return False
    return True


def _unreadable(path: Path, error: BaseException) -> SchemaError:
    if isinstance(error, OSError) and error.strerror:
        return SchemaError(f"cannot be read: {error.strerror}; fix: a file that you may read", subject=str(path))
    return SchemaError(
        f"cannot be read as a table: it is damaged, or not what its name says ({type(error).__name__}); "
        "fix: a file in CSV, Parquet, Feather or Excel, named so",
        subject=str(path),
    )


def _strip(frame: pd.DataFrame, missing: Mapping[str, Collection[str]]) -> None:
    """Remove spaces around texts, in place; pandas does so before them only. What then stands for a missing value is missing."""
    for name in frame.columns[frame.dtypes.map(pd.api.types.is_string_dtype)]:
        padded = {t: t.strip() for t in frame[name].dropna().unique() if t != t.strip()}
        if padded:
            known = {t: None if bare in missing[name] else bare for t, bare in padded.items()}
            at = frame[name].isin(known)
            frame[name] = frame[name].where(~at, frame[name].map(known))


def _read_text(path: Path, identifiers: Collection[str], names: Sequence[str] | None, dialect: Dialect) -> pd.DataFrame:
    if names is not None and len(names) != len(dialect.header):
        raise SchemaError(
            f"has {len(dialect.header)} fields in a row, expected {len(names)}; fix: a file with {', '.join(names)}",
            subject=str(path),
        )
    check_size(path)
    for _ in rows(path, dialect):
        pass  # checks the number of fields of every row, which pandas does not
    header = list(dialect.header if names is None else names)
    doubled = sorted(h for h, n in Counter(header).items() if h and n > 1)
    if doubled:
        raise binary.several_columns(doubled, header, path, _reading_text(path, dialect, identifiers))
    # Columns without a name are row numbers written by other tools.
    kept = [i for i, name in enumerate(header) if name]
    text = {header[i]: "str" for i in kept if match_key(header[i]) in identifiers}
    missing = {header[i]: [""] if header[i] in text else [*binary.MISSING] for i in kept}
    with _open(path, dialect.encoding, dialect.skip) as lines:
        frame = pd.read_csv(
            lines, sep=dialect.separator, decimal=dialect.decimal, header=None if names else 0,
            names=[name or f"\x00{i}" for i, name in enumerate(header)], usecols=[header[i] for i in kept],
            dtype=text, low_memory=False, skipinitialspace=True, index_col=False, keep_default_na=False, na_values=missing,
        )  # fmt: skip
    _strip(frame, missing)
    if dialect.decimal == ",":
        # A column with a word among its numbers is text to pandas, which then keeps its decimal commas.
        for name in frame.columns[~frame.dtypes.map(pd.api.types.is_numeric_dtype)].difference([*text]):
            frame[name] = frame[name].str.replace(r"^([+-]?\d+),(\d+)$", r"\1.\2", regex=True)
    frame.attrs[ROWS_ABOVE] = dialect.skip
    return frame
