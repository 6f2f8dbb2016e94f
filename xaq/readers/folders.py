"""The files of a folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from ..errors import SchemaError

#: A folder of which so many files were seen, and less than this fraction are data, is not a folder of data.
_SEEN, _FRACTION = 50_000, 0.01


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
