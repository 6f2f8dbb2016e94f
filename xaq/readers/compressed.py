"""The bytes of a file, decompressed in pieces.

A small compressed file may hold gigabytes of nothing. A file whose content is many times larger than itself is refused as
soon as that shows, before anything is parsed. First bytes, not suffixes, decide how a file is read: downloads are often
named wrongly.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from ..errors import SchemaError

#: Suffixes that a file may have after that of its format.
SUFFIXES = (".gz", ".bz2", ".xz", ".zip")
READ_ERRORS = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError)
_DECOMPRESSORS: dict[bytes, tuple[str, Callable[..., Any]]] = {
    b"\x1f\x8b": ("gzip", gzip.open), b"BZh": ("bz2", bz2.open), b"\xfd7zXZ\x00": ("lzma", lzma.open),
}  # fmt: skip
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
#: What is no table, by its first bytes, and what to do.
_FOREIGN = {
    b"\x28\xb5\x2f\xfd": ("compressed by Zstandard", "unpack it with zstd -d, and pass the unpacked file"),
    b"7z\xbc\xaf": ("a 7-Zip archive", "unpack it, and pass the unpacked file"),
    b"Rar!": ("a RAR archive", "unpack it, and pass the unpacked file"),
    b"\xd0\xcf\x11\xe0": ("a workbook of Excel 97 (.xls)", "save it as .xlsx, and pass that file"),
    b"<!doctype": ("a web page", "download the data again"),
    b"<html": ("a web page", "download the data again"),
}
_FLOOR, _RATIO = 32 * 2**20, 50


def limit(path: Path) -> int:
    """Return the most bytes that a compressed file may hold: tables are hardly ever compressed to a fiftieth."""
    return max(_FLOOR, _RATIO * path.stat().st_size)


def check_regular(path: Path) -> None:
    """Raise where a path is neither a file nor a folder: reading a pipe or a device may never end."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        kinds = {stat.S_IFIFO: "a pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket"}
        what = kinds.get(stat.S_IFMT(mode), "a special file")
        raise SchemaError(f"is {what}, expected a file or a folder; fix: the path of a file", subject=str(path))


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file for reading, decompressed where it is compressed by gzip, bzip2, xz, or is a zip archive of one file.

    Raises
    ------
    SchemaError
        The file is of a format that is no table, an archive of several files, or, while it is read, holds more than
        :func:`limit` allows.
    """
    check_regular(path)
    with path.open("rb") as raw:
        start = raw.read(16)
    for sign, (what, fix) in _FOREIGN.items():
        if start.lower().startswith(sign.lower()):
            raise SchemaError(f"cannot be read as a table: it is {what}; fix: {fix}", subject=str(path))
    for sign, (module, opener) in _DECOMPRESSORS.items():
        if start.startswith(sign):
            unpack = f"shutil.copyfileobj({module}.open({str(path)!r}), open({_unpacked(path)!r}, 'wb')), then the path {_unpacked(path)!r}"
            return io.BufferedReader(_Bounded(opener(path, "rb"), path, unpack))
    if start.startswith(_ZIP):
        member = only_member(path)
        unpack = _unpack_archive(path, member)
        return io.BufferedReader(_Bounded(zipfile.ZipFile(path).open(member), path, unpack))
    return path.open("rb")


def check_size(path: Path) -> None:
    """Raise where a file holds more than :func:`limit` allows. This is faster than to find it while the rows are parsed."""
    with open_bytes(path) as raw:
        while isinstance(raw, io.BufferedReader) and isinstance(raw.raw, _Bounded) and raw.read(2**20):
            pass


def only_member(path: Path) -> str:
    """Return the name of the only file in a zip archive; raise where there are several or none."""
    with zipfile.ZipFile(path) as archive:
        # macOS and Windows add files of their own.
        names = [
            n
            for n in archive.namelist()
            if not n.endswith("/") and not Path(n).name.startswith(".") and "__MACOSX" not in n
        ]
    if not names:
        raise SchemaError("is a zip archive without a file; fix: download it again", subject=str(path))
    if len(names) > 1:
        shown = ", ".join(names[:5]) + (f", ... ({len(names)} in all)" if len(names) > 5 else "")
        raise SchemaError(
            f"is a zip archive of several files: {shown}; fix: {_unpack_archive(path, names[0])}",
            subject=str(path),
        )
    return names[0]


def _unpacked(path: Path) -> str:
    """Return a name for what a file holds that is not the name of the file."""
    return str(path.with_suffix("")) if path.suffix.lower() in SUFFIXES else f"{path}.unpacked"


def _unpack_archive(path: Path, member: str) -> str:
    # With the format given, the name of the archive need not end in .zip.
    folder = _unpacked(path)
    return f"shutil.unpack_archive({str(path)!r}, {folder!r}, 'zip'), then the path {str(Path(folder) / member)!r}"


class _Bounded(io.RawIOBase):
    """A decompressed file that raises where it grows beyond the limit of its path."""

    def __init__(self, raw: IO[bytes], path: Path, unpack: str) -> None:
        self._raw, self._path, self._unpack, self._left = raw, path, unpack, limit(path)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._raw.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise SchemaError(
                f"is {self._path.stat().st_size:,} bytes and holds over {limit(self._path):,}, more than a compressed table "
                f"plausibly does; fix: if you trust it, {self._unpack}",
                subject=str(self._path),
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._raw.close()
        super().close()
