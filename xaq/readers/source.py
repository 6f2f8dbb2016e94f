"""What a reader is (:class:`Format`), and what it gets: where the observations are, and the options of the call."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..conventions import ROLE_NAMES, STATION, TIME, canonical_units, common_units, is_pollutant, match_key
from ..errors import SchemaError, warn
from . import entries, files
from .assembly import Rows, check_columns, first_column, lower_names, name_columns
from .banner import ROWS_ABOVE
from .compressed import check_regular
from .frames import frame_of, take_units_row
from .zones import same_zone

Table = str | os.PathLike | pd.DataFrame


@dataclass(frozen=True)
class Source:
    """Where the observations are: files in their order, or one frame, or one Dataset."""

    paths: tuple[Path, ...] = ()
    frame: pd.DataFrame | None = None
    dataset: xr.Dataset | None = None

    @classmethod
    def of(cls, thing: Any) -> Source:
        """Return a source from what the caller passed; a folder stays one path."""
        if isinstance(thing, xr.Dataset):
            return cls(dataset=thing)
        if isinstance(thing, (str, os.PathLike)):
            return cls(paths=_paths(thing))
        if (frame := frame_of(thing)) is not None:
            return cls(frame=frame)
        if isinstance(thing, Sequence) and thing and all(isinstance(t, (str, os.PathLike)) for t in thing):
            return cls(paths=tuple(path for t in thing for path in _paths(t)))
        raise SchemaError(
            f"got {type(thing).__name__}, expected a path, a list of paths, a folder, a frame or an xarray.Dataset; "
            "fix: xaq.open_stations('observations.csv', ...)",
            subject="open_stations",
        )

    @property
    def name(self) -> str:
        """The name of the source in messages."""
        if not self.paths:
            return "table" if self.dataset is None else "station dataset"
        return str(self.paths[0]) + (f" and {len(self.paths) - 1} more" if len(self.paths) > 1 else "")

    def frames(self, request: Request, *, identifiers: Collection[str] = (), **options: Any) -> Iterator[pd.DataFrame]:
        """Yield the tables one by one. ``identifiers`` are columns, in lower case, that are read as text."""
        text = {*identifiers, *request.identifiers}
        if self.frame is not None:
            yield request.cleaned(self.frame, text)
        for path in self.paths:
            frame = files.read_frame(
                path, identifiers=text, encoding=request.encoding_of(path), skiprows=request.skiprows, **options
            )
            if above := frame.attrs.pop(ROWS_ABOVE, 0):
                request.changes["rows above the header are skipped"] += above
            yield request.cleaned(frame, text)

    def header(self, request: Request) -> tuple[Any, ...]:
        """Return the columns of the first table."""
        if self.frame is not None:
            return tuple(self.frame.columns)
        return files.header(self.paths[0], request.encoding_of(self.paths[0]), request.skiprows)

    def first_lines(self, request: Request) -> list[str]:
        """Return the first lines of the first file; none of a frame, and of files that are not text."""
        return files.first_lines(self.paths[0], request.encoding_of(self.paths[0])) if self.paths else []


@dataclass(frozen=True)
class Request:
    """The options of the call beside the source, as in ``open_stations``, and the changes that they made, for the history."""

    stations: Table | None = None
    tz: str | None = None
    columns: Mapping[str, str | Sequence[str]] | None = None
    pollutant: str | None = None
    encoding: str | Mapping[str, str] | None = None
    timestamps: str | None = None
    step: np.timedelta64 | None = None
    ambiguous: str | None = None
    skiprows: int | None = None
    na_values: Any = None
    censored: str | None = None
    valid: Any = None
    changes: Counter[str] = field(default_factory=Counter)

    @property
    def column_names(self) -> list[tuple[str, str]]:
        """The columns that the caller named, as (role, column) pairs; a role may have one in the table and one in the list."""
        named = (self.columns or {}).items()
        return [(role, name) for role, names in named for name in ([names] if isinstance(names, str) else names)]

    @property
    def identifiers(self) -> set[str]:
        """The columns, in plain lower case, that are read as text: the common names of stations and those of the caller."""
        return {*ROLE_NAMES[STATION], *(match_key(name) for role, name in self.column_names if role == STATION)}

    @property
    def of_list(self) -> Request:
        """The request for the station list, which has a header, missing values and changes of its own."""
        return replace(self, skiprows=None, na_values=None, censored=None, changes=Counter())

    def check_zone_unused(self, why: str) -> None:
        """Warn where the caller names a time zone and the timestamps of the format are certain, for the reason ``why``."""
        if self.tz is not None and not same_zone(self.tz, "UTC"):
            warn(f"tz={self.tz!r} is not used: {why}; fix: leave tz= out")

    def encoding_of(self, path: Path) -> str | None:
        """Return the encoding of a file that the caller named, by its name or its path."""
        if isinstance(self.encoding, Mapping):
            return next((name for pattern, name in self.encoding.items() if path.match(pattern)), None)
        return self.encoding

    def cleaned(self, frame: pd.DataFrame, ids: Collection[str]) -> pd.DataFrame:
        """Return a table with missing values and values below a detection limit as the caller asked for; ``ids`` are left as they are."""
        ids = {*ids, *ROLE_NAMES[STATION], *ROLE_NAMES[TIME]}
        if self.na_values is None and self.censored is None:
            return frame
        body, units = take_units_row(frame)
        if units:
            return pd.concat([frame.iloc[:1], self.cleaned(body, ids)], ignore_index=True)
        if self.na_values is not None:
            frame = entries.without_missing(frame, self.na_values, ids, self.changes)
        if self.censored is not None:
            frame = entries.with_censored(frame, self.censored, ids, self.changes)
        return frame

    def valid_in(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a table with the values whose status counts, where the caller said which."""
        if self.valid is None:
            return frame
        return entries.valid_only(frame, self.valid, self.columns_in(frame.columns), self.changes)

    @property
    def history(self) -> list[str]:
        """What the options changed, with counts."""
        return [f"{count} {change}" for change, count in self.changes.items()]

    def columns_in(self, header: Collection[Any]) -> dict[str, str]:
        """Return the columns of a table that the caller named, by role; the header may write them with other characters."""
        by_name = lower_names(header)
        named = [(role, name if name in header else by_name.get(match_key(name))) for role, name in self.column_names]
        return {role: name for role, name in reversed(named) if name is not None}

    def places(
        self, *, identifiers: Sequence[str] = (), names: Sequence[str] | None = None, sheet: str | None = None
    ) -> Rows | None:
        """Return the station list, or None; ``identifiers`` are the network's own names for the column of ids, in lower case."""
        if self.stations is None:
            return None
        frame = frame_of(self.stations)
        if frame is None:
            of_list = self.of_list
            frame = next(Source.of(self.stations).frames(of_list, identifiers=identifiers, names=names, sheet=sheet))
            # The list is read more than once; its rows are counted once.
            for what, count in of_list.changes.items():
                self.changes[f"{what} (station list)"] = count
        columns = self.columns_in(frame.columns)
        own = first_column(lower_names(frame.columns), identifiers)
        if STATION not in columns and own is not None:
            columns[STATION] = own
            frame = frame.drop(columns=[c for c in frame.columns if c != own and match_key(c) == STATION])
        return name_columns(frame, columns, "station list")

    def check_columns(self, rows: Rows, places: Rows | None, *taken: str) -> None:
        """Raise where ``columns=`` names a column that neither the table nor the station list has; roles ``taken`` are used before."""
        used = [name for role, name in self.column_names if role in taken]
        self.check_named([*rows.names.values(), *used], places)

    def check_taken(self, places: Rows | None, *roles: str) -> None:
        """Raise where ``columns=`` names a column that a reader with columns of its own does not use.

        Such a reader takes the ``roles``, and any column of the station list.
        """
        listed = set() if places is None else {match_key(column) for column in places.names.values()}
        unused = dict(self.column_names[::-1])
        for role, column in self.column_names:
            if role in roles or match_key(column) in listed:
                unused.pop(role, None)
        if unused:
            names = ", ".join(f"{column!r} (for {role})" for role, column in unused.items())
            taken = f"a column for {' or '.join(roles)}, or " if roles else ""
            raise SchemaError(
                f"columns= names {names}, which is not used: the format has columns of its own, and takes {taken}columns of the station list "
                f"only; fix: leave {', '.join(unused)} out of columns=, or format='long' for a table of another form"
            )

    def check_named(self, header: Iterable[Any], places: Rows | None) -> None:
        """Raise where ``columns=`` names a column that is neither in this header nor in the station list."""
        check_columns(
            self.column_names, [*dict.fromkeys([*header, *([] if places is None else places.names.values())])]
        )


@dataclass(frozen=True)
class Format:
    """One format in which observations are published, and its reader.

    Attributes
    ----------
    name, what : str
        The value of ``format=``, and a description for messages.
    read : callable
        Returns the station dataset of a source.
    files : tuple of str
        Patterns of the file names of this format.
    also : tuple of str
        Patterns that files of other kinds have too: such a file in a folder is read where its columns are those of this format.
    matches : callable
        Whether a table with these column names, in lower case and as written, has this format.
    timestamps : {"start", "end"}
        Which end of its interval a timestamp labels, by the format's own description.
    daily : {"start", "end"}, optional
        The same for daily values, where it differs.
    intervals : bool
        Whether the reader knows the interval of each value: then it brings them to the step that the caller asks for, with each
        timestamp at the start.
    begins : callable
        Whether a text file with these first lines has this format, for formats whose header is not their first row.
    statuses : bool
        Whether the reader takes ``valid=``; others know the statuses of their format.
    """

    name: str
    what: str
    read: Callable[[Source, Request], xr.Dataset]
    files: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    matches: Callable[[Collection[str]], bool] = lambda header: False
    timestamps: str = "start"
    daily: str | None = None
    intervals: bool = False
    begins: Callable[[Sequence[str]], bool] = lambda lines: False
    statuses: bool = False


def _paths(given: str | os.PathLike) -> tuple[Path, ...]:
    """Return a file or folder that exists, or the files that match a pattern, in the order of their names."""
    text = os.fspath(given)
    if not glob.has_magic(text) or "://" in text or "\0" in text or Path(text).exists():
        return (_existing(given),)
    found = [path for path in map(Path, sorted(glob.glob(text, recursive=True))) if path.is_file()]  # noqa: PTH207 - may be absolute
    if not found:
        raise SchemaError("no file matches the pattern; fix: a pattern such as 'folder/*.csv'", subject=text)
    return tuple(_existing(path) for path in found)


def _existing(path: str | os.PathLike) -> Path:
    """Return the path of a file or folder that exists."""
    if not os.fspath(path):
        # Path("") is the working folder.
        raise SchemaError(
            "an empty text is no path; fix: xaq.open_stations('observations.csv', ...)", subject="open_stations"
        )
    try:
        check_regular(Path(path))
    except SchemaError:
        raise
    except (OSError, ValueError) as error:
        if "://" in str(path):
            raise SchemaError(
                f"is an address, expected a path; fix: open_stations(pd.read_csv({str(path)!r}), ...)",
                subject=str(path),
            ) from error
        # Text with NUL, which no path has, is a ValueError.
        reason = "" if isinstance(error, (FileNotFoundError, ValueError)) else f" ({error.strerror})"
        raise SchemaError(
            f"no such file: {Path(path).absolute()}{reason}; fix: the path of a file or folder", subject=str(path)
        ) from error
    return Path(path)


def gather(pieces: Sequence[Rows]) -> Rows:
    """Return the rows of all tables as one; of names and units, the first table's take precedence.

    Raises
    ------
    SchemaError
        Headers that state several units of one variable.
    """
    if len(pieces) == 1:
        return pieces[0]
    names = {k: v for piece in reversed(pieces) for k, v in piece.names.items()}
    units = {k: v for piece in reversed(pieces) for k, v in piece.units.items()}
    others = {
        k: v for piece in pieces for k, v in piece.units.items() if canonical_units(v) != canonical_units(units[k])
    }
    for name, other in others.items():
        ours = common_units(units[name])
        raise SchemaError(
            f"{name} comes in several units: {ours} and {common_units(other)} in the headers of the files; fix: "
            f"xr.concat([ds, others.aq.convert_units({{{name!r}: {ours!r}}})], 'time'), where ds and others are opened one by one"
        )
    for name, unit in units.items():
        silent = sum(name in piece.frame and name not in piece.units for piece in pieces)
        if silent and is_pollutant(name):
            warn(
                f"{silent} of {len(pieces)} files state no units of {name}; they are taken for {common_units(unit)}, which the others "
                "state; fix: open them one by one with units=, if theirs are others"
            )
    columns = {station: names for piece in pieces for station, names in piece.columns.items()}
    return Rows(pd.concat([piece.frame for piece in pieces], ignore_index=True), names, units, columns)
