"""``xaq check``: the report of the problems of station data."""

from __future__ import annotations

import argparse

import pandas as pd
import xarray as xr

from ..errors import SchemaError, warn
from ..quality.check import check
from ..quality.report import Report
from ..readers.dispatch import FORMATS, open_stations
from . import output, remedies, stations
from .calls import Command
from .verb import Verb


def _add(parser: argparse.ArgumentParser) -> None:
    stations.add(parser)
    group = parser.add_argument_group("another network of the region and period, to compare timestamps and units with")
    group.add_argument("--other", metavar="TABLE", help="its observations")
    group.add_argument("--other-stations", metavar="FILE", help="its station list")
    group.add_argument("--other-tz", metavar="ZONE", help="its time zone")
    group.add_argument(
        "--other-format", choices=tuple(FORMATS), metavar="FORMAT", help="its format, if it is not recognised"
    )
    parser.add_argument("--csv", metavar="FILE", help="also write the report to this file")


def _run(a: argparse.Namespace) -> None:
    if a.csv is not None:
        output.require_file(a.csv, "--csv", "report.csv")
    report = with_commands(check(stations.open_unchecked(a), _other(a)), Command.of(a))
    print(report)
    if sum(str(fix).startswith("xaq repair ") for fix in report["fix"]) > 1:
        warn(
            "each xaq repair above reads the same data and writes a file; fix: give the options of several in one command"
        )
    if a.csv:
        with output.written(a.csv, "--csv"):
            report.to_csv(a.csv, index=False)


def _other(a: argparse.Namespace) -> xr.Dataset | None:
    """Open the other network, whose options have names of their own."""
    if a.other is None:
        return None
    try:
        return open_stations(a.other, stations=a.other_stations, tz=a.other_tz, format=a.other_format)
    except SchemaError as error:
        names = {name: f"other_{name}" for name in ("tz", "stations", "format")}
        raise remedies.with_names(error, names) from error


def with_commands(report: pd.DataFrame, command: Command) -> Report:
    """Return a report whose fixes are commands."""
    return Report(report.assign(fix=[fix and remedies.as_command(fix, command) for fix in report["fix"]]))


VERB = Verb(
    "check",
    "report the problems of station data, and how to fix them",
    "xaq check obs.parquet --stations stations.csv --tz Asia/Shanghai",
    _add,
    _run,
)
