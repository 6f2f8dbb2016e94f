"""What the command line writes: files whose place is settled before any work, and standard output, which may be gone."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import xarray as xr

from ..conventions import common_units
from ..errors import SchemaError, XaqError

#: What a shell reports of a command whose output nobody reads any more, as in ``xaq check ... | head``.
PIPE_CLOSED = 128 + signal.SIGPIPE
#: The exit code of wrong usage, as argparse has it.
WRONG_USAGE = 2
#: Arguments of files that commands read.
_INPUTS = ("table", "stations", "points", "other", "other_stations", "model", "cube", "method_or_cube")


class UsageError(SchemaError):
    """A command line that asks for what the command does not take."""


def usage(text: str) -> UsageError:
    """Return the error of an argument of the command line."""
    return UsageError(text, subject="usage")


def is_usage(error: XaqError) -> bool:
    """Return whether an error is one of arguments: of the command line's own, or of the function that gets them."""
    return isinstance(error, UsageError) or str(error).startswith("argument: ")


def require_file(path: str, option: str, default: str) -> None:
    """Raise where no file can be written at a path; ``default`` is a name for it."""
    if not path:
        raise usage(f"{option} is empty, expected the name of a file; fix: {option} {default}")
    target = Path(path).absolute()
    if target.is_dir():
        raise usage(f"{path} is a folder, expected the name of a file; fix: {option} {Path(path) / default}")
    if not target.parent.is_dir():
        raise usage(f"no folder {target.parent} for {target.name}; fix: mkdir -p {target.parent}")
    if not os.access(target if target.exists() else target.parent, os.W_OK):
        raise usage(f"{path} cannot be written; fix: {option} <a path in a folder that you may write to>")


def refuse_inputs(a: argparse.Namespace) -> None:
    """Raise where a command would write over a file that it reads."""
    given = [getattr(a, name, None) or [] for name in _INPUTS]
    inputs = {Path(path).resolve() for value in given for path in ([value] if isinstance(value, str) else value)}
    for option, path in (("-o", getattr(a, "output", None)), ("--csv", getattr(a, "csv", None))):
        if path and Path(path).resolve() in inputs:
            other = Path(path).with_stem(f"{Path(path).stem}-{a.verb}")
            raise usage(f"{path} is read by this command, and would be lost; fix: {option} {shlex.quote(str(other))}")


def require_figure(path: str) -> None:
    """Raise where no figure can be written at a path, or its format is unknown."""
    from matplotlib.figure import Figure

    require_file(path, "-o", "figure.png")
    # The suffix in any case, as matplotlib takes it.
    if Path(path).suffix.lstrip(".").lower() not in Figure().canvas.get_supported_filetypes():
        other = Path(path).with_name((Path(path).stem.strip(".") or "figure") + ".png")
        raise usage(f"{path} has no known figure format, expected .png, .pdf or .svg; fix: -o {other}")


def require_suffix(path: str, suffixes: Sequence[str], default: str) -> None:
    """Raise where no file can be written at a path, or its name does not say which of the formats is meant."""
    require_file(path, "-o", default)
    if Path(path).suffix.lower() not in suffixes:
        other = Path(path).with_name((Path(path).stem.strip(".") or "table") + Path(default).suffix)
        raise usage(f"{path} has no known format, expected {', '.join(suffixes)}; fix: -o {other}")


def opened(path: str, fix: str) -> xr.Dataset:
    """Open a netCDF file or a Zarr store lazily."""
    try:
        return xr.open_zarr(path) if Path(path).is_dir() else xr.open_dataset(path, chunks={})
    except (OSError, ValueError, LookupError, RuntimeError) as error:
        raise SchemaError(
            f"cannot be opened as netCDF or Zarr ({type(error).__name__}); fix: {fix}", subject=path
        ) from error


@contextmanager
def written(path: str, option: str) -> Iterator[None]:
    """Turn an error of the file system while a file is written into a message that says which file."""
    try:
        yield
    except XaqError:
        raise
    except OSError as error:
        raise SchemaError(
            f"cannot be written ({error.strerror}); fix: {option} <a path where there is room>", subject=path
        ) from error


def ended(code: int) -> int:
    """Return an exit code that stays the process's own where standard output can no longer be written."""
    try:
        sys.stdout.flush()
    except OSError:
        # At exit, Python would try once more, and end with a code of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def print_table(table: pd.DataFrame) -> None:
    """Print a table of scores, with what they are of."""
    print(
        f"{table.attrs['target']} [{common_units(table.attrs['units'])}], {table.attrs['period'][0]} .. {table.attrs['period'][1]}"
    )
    print(table.to_string(float_format=lambda v: f"{v:.3f}", na_rep="-"))


def draw_without_display() -> None:
    """Let matplotlib draw on a machine without a display."""
    import matplotlib as mpl

    mpl.use("Agg")
