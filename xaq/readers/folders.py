"""The files of a folder, and the call that reads several files as one frame."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from fnmatch import fnmatch
from pathlib import Path

from ..errors import SchemaError
from . import files

#: A folder of which so many files were seen, and less than this fraction are data, is not a folder of data.
_SEEN, _FRACTION = 50_000, 0.01
#: So many files are named in a call, more by a pattern where they are all of their kind in a folder.
_NAMED = 3


def listing(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """Return the files below a folder whose names match one of the patterns, in the order of their names.

    Raises
    ------
    SchemaError
        The folder is the root of a file system, or holds many files of which hardly any matches.
    """
    if folder.resolve() == Path(folder.resolve().anchor):
        raise SchemaError("is the root of a file system; fix: the folder of the data", subject=str(folder))
    found: list[Path] = []
    seen = 0
    for below, _, names in os.walk(folder):
        seen += len(names)
        found += [Path(below, n) for n in names if any(fnmatch(n, p) for p in patterns)]
        if seen > _SEEN and len(found) < _FRACTION * seen:
            raise SchemaError(
                f"holds over {_SEEN:,} files, of which {len(found)} are data of this kind; fix: the folder of the data",
                subject=str(folder),
            )
    return sorted(p for p in found if p.is_file())


def reading(
    paths: Sequence[Path],
    encoding_of: Callable[[Path], str | None],
    identifiers: Collection[str],
    skiprows: int | None = None,
) -> str | None:
    """Return the pandas call that reads files as one frame, as text; None where they are no tables of the same form."""
    try:
        calls = [files.reading(path, encoding_of(path), identifiers, skiprows) for path in paths]
    except SchemaError:
        return None
    if len(paths) == 1:
        return calls[0]
    forms = {call.replace(repr(str(path)), "path", 1) for call, path in zip(calls, paths, strict=True)}
    if len(forms) > 1:
        return None
    first = paths[0]
    there = f"[{', '.join(repr(str(path)) for path in paths)}]"
    if len(paths) > _NAMED and sorted(first.parent.glob(f"*{first.suffix}")) == sorted(paths):
        there = f"pathlib.Path({str(first.parent)!r}).glob('*{first.suffix}')"
    return f"pd.concat([{forms.pop()} for path in {there}], ignore_index=True)"
