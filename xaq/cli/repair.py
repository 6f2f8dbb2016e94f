"""``xaq repair``: fix the problems of station data that are named, and write the data to a file."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import xarray as xr

from ..errors import SchemaError
from ..quality.check import check
from ..quality.repair import repair
from ..quality.repair_options import OPTIONS, POSITIONS
from ..stations.units import convert_units
from . import output, remedies, stations, text
from .calls import Command
from .check import with_commands
from .tables import SUFFIXES, write_stations
from .verb import Verb

#: What each option does, as in ``xaq.repair``.
_HELP = {
    "off_step": "move timestamps off the step to the nearest step, or to the one before",
    "duplicate_times": "merge repeated timestamps",
    "irregular": "sort timestamps and insert missing ones",
    "duplicate_stations": "merge stations with the same id",
    "swapped": "exchange longitude and latitude of swapped stations",
    "unplaced": "leave out stations without valid coordinates, or place them",
    "far": "leave out stations far from their network, or place them",
    "sea": "leave out stations in the sea, or place them",
    "impossible": "make impossible values missing",
    "negative": "make negative values missing, or zero",
    "stuck": "make values missing that do not change for suspiciously long",
    "level": "make series missing that lie far above or below those of neighbouring stations",
    "spikes": "make single high values missing",
    "identical": "make series missing that are copies of another station's",
    "colocated": "merge stations within 50 m of each other",
    "silent": "leave out stations without data",
}


def _add(parser: argparse.ArgumentParser) -> None:
    stations.add(parser, brief=True)
    group = parser.add_argument_group("repairs, by the names that xaq check reports")
    for name, text_of in _HELP.items():
        option, choices = f"--{name.replace('_', '-')}", OPTIONS[name]
        if name in POSITIONS:
            group.add_argument(option, metavar="drop|STATION=LON/LAT,...", help=text_of)
        else:
            group.add_argument(option, choices=choices, help=text_of)
    group.add_argument("--shift-hours", type=float, metavar="HOURS", help="move all timestamps; negative is earlier")
    group.add_argument(
        "--correct-units", metavar="NAME=UNITS,...",
        help="units that the values have, where the stated ones are wrong; NAME:STATION=UNITS for one station, whose "
        "values are converted",
    )  # fmt: skip
    group.add_argument(
        "--convert-units", metavar="NAME=UNITS,...", help="convert values to these units, after all repairs"
    )
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help=f"file to write: {', '.join(SUFFIXES)}")


def _run(a: argparse.Namespace) -> None:
    output.require_suffix(a.output, SUFFIXES, "repaired.nc")
    asked = _asked(a)
    new_units = text.units(a.convert_units)
    # Data that other commands refuse are opened to be repaired, and not to be written again as they are.
    ds = stations.open_unchecked(a) if asked else stations.open_data(a)
    before = ds.attrs.get("history", "")
    if asked:
        ds = _named(repair, "correct_units", ds, **asked)
    if new_units is not None:
        ds = _named(convert_units, "convert_units", ds, new_units)
    write_stations(ds, a.output)
    if asked or new_units is not None:
        _print_changes(before, ds)
    print(with_commands(check(ds), Command.of(a, table=a.output)))
    print(f"{a.output}: {ds.sizes['station']} stations, {ds.sizes['time']} steps")


def _named(change: Callable[..., xr.Dataset], option: str, *args: Any, **asked: Any) -> xr.Dataset:
    """Call a function of which ``units`` is another option than that of the observations."""
    try:
        return change(*args, **asked)
    except SchemaError as error:
        raise remedies.with_names(error, {"units": option}) from error


def _asked(a: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of ``xaq.repair`` that are given."""
    asked = {name: getattr(a, name) for name in _HELP if getattr(a, name) is not None}
    for name in POSITIONS:
        if name in asked and asked[name] != "drop":
            asked[name] = text.places(asked[name], f"--{name}")
    if a.shift_hours is not None:
        asked["shift_hours"] = a.shift_hours
    if a.correct_units is not None:
        asked["units"] = text.units_by_station(a.correct_units)
    return asked


def _print_changes(before: str, ds: xr.Dataset) -> None:
    """Print the lines that repairs added to the history."""
    lines = ds.attrs.get("history", "").removeprefix(before).strip()
    print(lines or "nothing to repair")


VERB = Verb(
    "repair",
    "fix the problems that are named, and write the data; without any, convert tables to netCDF, Zarr, Parquet or CSV",
    "xaq repair obs.parquet --stations stations.csv --tz Asia/Shanghai --impossible missing --stuck missing -o repaired.nc",
    _add,
    _run,
)
