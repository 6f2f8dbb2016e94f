"""The station data of a command: its arguments, and what they open; models and methods."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import xarray as xr

from .. import datasets
from .._arguments import nearest
from ..conventions import LAT, LON, ROLE_NAMES, TIME, is_pollutant, match_key
from ..cube.provenance import not_seen
from ..errors import ModelError, SchemaError
from ..interpolate.classical import CLASSICAL
from ..quality.flags import prepare
from ..readers.cf import is_zarr
from ..readers.dispatch import FORMATS, open_stations
from ..stations.holdout import hide
from . import output, text

if TYPE_CHECKING:
    from ..aqnet.model import Model

#: The bundled networks.
_BUNDLED = ("germany", "germany-1998-2009")
#: Title of the group of these arguments in a command's help.
_GROUP = "stations"
#: Of these arguments, those that the help of every command shows, and the command whose help shows all.
_OFTEN, _FULL_HELP = ("table", "stations", "tz", "columns", "units"), "xaq check --help"


def add(parser: argparse.ArgumentParser, *, brief: bool = False, optional: bool = False) -> None:
    """Declare the arguments of station data: those of ``xaq.open_stations``.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Of a command.
    brief : bool
        The help shows only those most used.
    optional : bool
        The command may do without stations.
    """
    group = parser.add_argument_group(_GROUP, f"All options of reading: {_FULL_HELP}" if brief else None)
    group.add_argument(
        "table", nargs="*" if optional else "+",
        help="observations: a table or several that belong together, a file or folder of a network, netCDF or Zarr; or the "
        f"name of a bundled network: {', '.join(_BUNDLED)}",
    )  # fmt: skip
    group.add_argument("--stations", metavar="FILE", help="station list with id, lon, lat")
    group.add_argument("--tz", metavar="ZONE", help="time zone of naive timestamps, such as Asia/Shanghai")
    group.add_argument(
        "--format", choices=tuple(FORMATS), metavar="FORMAT",
        help=f"format of the observations, if it is not recognised: {', '.join(FORMATS)}",
    )  # fmt: skip
    group.add_argument(
        "--columns", metavar="ROLE=COLUMN,...",
        help="such as time=timestamp,pm25=fine; a role may occur twice, for the table and for the station list",
    )  # fmt: skip
    group.add_argument(
        "--units", metavar="NAME=UNITS,...", help="such as no2=ppb,o3=ppb; or UNITS of the only pollutant"
    )
    group.add_argument(
        "--pollutant", metavar="NAME", help="pollutant of a wide table whose columns are named by station"
    )
    group.add_argument(
        "--timestamps", choices=("start", "end"), help="whether a timestamp labels the start or the end of its interval"
    )
    group.add_argument("--step", metavar="STEP", help="bring all stations to this step by means: 1h, 1D")
    group.add_argument(
        "--encoding", metavar="NAME|FILE=NAME,...",
        help="encoding of text files that are not UTF-8, such as cp1252; by file where they differ",
    )  # fmt: skip
    group.add_argument("--skiprows", type=int, metavar="N", help="rows above the header, if they are not recognised")
    group.add_argument(
        "--na-values",
        metavar="ENTRIES",
        help="entries for missing values, such as -999,LOD; COLUMN=ENTRY,... by column",
    )
    group.add_argument(
        "--censored",
        choices=("half", "zero", "missing"),
        help="what values below a detection limit become, such as <0.5",
    )
    group.add_argument(
        "--valid", metavar="STATUSES", help="statuses that count, such as V,R; COLUMN=STATUS,... by column"
    )
    group.add_argument(
        "--ambiguous", choices=("infer", "first", "second"),
        help="which hour is meant by one that occurs twice, when a clock is set back",
    )  # fmt: skip
    if brief:
        for action in group._group_actions:
            if action.dest not in _OFTEN:
                action.help = argparse.SUPPRESS


def add_hide(parser: argparse.ArgumentParser, default: str) -> None:
    """Declare the options that hide stations; ``default`` says which are hidden without them."""
    parser.add_argument(
        "--hide", metavar="IDS|FRACTION",
        help=f"stations to hide: ids, comma-separated, or a fraction such as 0.15 (default: {default})",
    )  # fmt: skip
    parser.add_argument("--hide-seed", type=int, default=0, metavar="N", help="random seed of the draw (default 0)")


def open_data(arguments: argparse.Namespace, model: Model | xr.Dataset | str | None = None) -> xr.Dataset:
    """Open the station data; stations that ``--hide`` names, or that were hidden when the model or cube was made, are hidden."""
    hidden = text.hidden(getattr(arguments, "hide", None))
    ds = _opened(arguments)
    if isinstance(hidden, float):
        return hide(ds, fraction=hidden, seed=arguments.hide_seed)
    if hidden is None and model is not None and not isinstance(model, str):
        known = set(ds["station"].values.astype(str))
        unseen = not_seen(model) if isinstance(model, xr.Dataset) else model.recipe.hidden
        hidden = [s for s in unseen if s in known]
    return hide(ds, hidden) if hidden else ds


def open_unchecked(a: argparse.Namespace) -> xr.Dataset:
    """Open the station data for ``check`` and ``repair``, which take datasets that other verbs refuse: repeated ids, irregular times."""
    try:
        return open_data(a)
    except SchemaError:
        source = Path(a.table[0])
        if len(a.table) > 1 or _given(a) or not _is_lazy(source):
            raise
        ds = output.opened(str(source), "another file")
        if prepare(ds)[1]:
            raise
        return ds


def _given(a: argparse.Namespace) -> bool:
    """Return whether an option of reading is given."""
    return any(getattr(a, x.dest) != x.default for x in _group(a.parser)._group_actions if x.dest != "table")


def _is_lazy(path: Path) -> bool:
    """Return whether a path is netCDF or Zarr, which are opened lazily."""
    return path.suffix in (".nc", ".nc4") or is_zarr(path)


def _opened(a: argparse.Namespace) -> xr.Dataset:
    source: Any = a.table[0] if len(a.table) == 1 else a.table
    if isinstance(source, str) and source.startswith("germany") and not Path(source).exists():
        source = datasets.load(source)
        if not _given(a):
            return source
    if a.step is not None and isinstance(source, str) and _is_lazy(Path(source)):
        # Means over steps are those of data in memory.
        return open_stations(_read(a, source, None).compute(), step=a.step)
    return _read(a, source, a.step)


def _read(a: argparse.Namespace, source: Any, step: str | None) -> xr.Dataset:
    """Open station data with the options of reading."""
    for path in a.table[1:] if a.stations is None else []:
        if _is_station_list(path):
            raise output.usage(
                f"{path} looks like a station list, with coordinates and no time; fix: --stations {shlex.quote(path)}"
            )
    return open_stations(
        source, stations=a.stations, format=a.format, tz=a.tz, timestamps=a.timestamps, step=step,
        units=text.units(a.units), columns=text.columns(a.columns), pollutant=a.pollutant,
        encoding=text.encodings(a.encoding), skiprows=a.skiprows, na_values=text.entries(a.na_values, "--na-values"),
        censored=a.censored, valid=text.entries(a.valid, "--valid"), ambiguous=a.ambiguous,
    )  # fmt: skip


def _is_station_list(path: str) -> bool:
    """Return whether a file is a CSV whose header has coordinates, and neither a time nor a pollutant."""
    if Path(path).suffix.lower() != ".csv" or not Path(path).is_file():
        return False
    try:
        header = pd.read_csv(path, nrows=0, sep=None, engine="python")
    except (ValueError, OSError):
        return False  # the reader says what is wrong
    names = [match_key(name) for name in header.columns]
    found = {role: any(name in names for name in ROLE_NAMES[role]) for role in (LON, LAT, TIME)}
    return found[LON] and found[LAT] and not found[TIME] and not any(is_pollutant(name) for name in names)


def load(path: str) -> Model:
    """Load a model file."""
    from ..aqnet.model import load_model

    return load_model(path)


def load_or_name(what: str) -> Model | str:
    """Return the name of a classical method, or load a model file."""
    if what in CLASSICAL:
        return what
    if not Path(what).exists() and Path(what).suffix:
        raise ModelError(f"no model file at {what}; fix: ds.aq.train(...), or kriging")
    if not Path(what).exists():
        raise ModelError(
            f"{what!r} is no model file, and none of the methods {', '.join(CLASSICAL)}; "
            f"fix: {nearest(what, CLASSICAL)}, or a model file"
        )
    return load(what)


def as_typed(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> str:
    """Return the arguments of station data as a shell takes them, for commands that messages propose."""
    words: list[str] = []
    for action in _group(parser)._group_actions:
        value = getattr(arguments, action.dest)
        if isinstance(value, list):
            words += value
        elif value != action.default:
            words += option_words(action.option_strings[-1], str(value))
    return shlex.join(words)


def option_words(option: str, value: str) -> list[str]:
    """Return an option and its value as words of a shell; a value that begins like an option is joined to it."""
    return [f"{option}={value}"] if value.startswith("-") else [option, value]


def _group(parser: argparse.ArgumentParser) -> Any:
    """Return the group of these arguments."""
    return next(group for group in parser._action_groups if group.title == _GROUP)
