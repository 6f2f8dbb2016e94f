"""``xaq verify``: scores at hidden stations."""

from __future__ import annotations

import argparse

from ..interpolate.classical import CLASSICAL
from . import grids, output, stations, text
from .verb import Verb


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help=f"model file, or a classical method: {', '.join(CLASSICAL)}")
    stations.add(parser, brief=True)
    parser.add_argument(
        "--target", metavar="NAME", help="variable to score (default: the model's, or the only pollutant)"
    )
    stations.add_hide(parser, "those of the model")
    grids.add(parser)
    parser.add_argument("--time", type=text.period, metavar="PERIOD", help=f"period to score: {text.TIME_HELP}")
    parser.add_argument(
        "--baselines", metavar="NAMES",
        help="methods to score beside it, comma-separated (default: kriging, idw, nearest; of a forecast persistence, climatology)",
    )  # fmt: skip
    parser.add_argument(
        "--level", type=float, default=0.9, metavar="FRACTION", help="nominal coverage of the interval (default 0.9)"
    )
    parser.add_argument(
        "--of",
        choices=("D", "MS", "QS", "YS"),
        help="score means of days, months, quarters or years (default: each step)",
    )
    parser.add_argument(
        "--period-tz",
        metavar="ZONE",
        help="time zone of these periods and of --time, such as Europe/Berlin (default UTC)",
    )
    parser.add_argument("--by-station", action="store_true", help="one row per method and station")
    parser.add_argument("--csv", metavar="FILE", help="also write the table to this file")


def _run(a: argparse.Namespace) -> None:
    from ..evaluate.verify import verify

    if a.csv is not None:
        output.require_file(a.csv, "--csv", "scores.csv")
    model = stations.load_or_name(a.model)
    table = verify(
        stations.open_data(a, model), model, target=a.target, time=a.time, level=a.level, of=a.of, tz=a.period_tz,
        baselines=None if a.baselines is None else text.names(a.baselines), by="station" if a.by_station else None,
        **grids.opened(a),
    )  # fmt: skip
    output.print_table(table)
    if a.csv:
        with output.written(a.csv, "--csv"):
            table.to_csv(a.csv)


VERB = Verb(
    "verify",
    "score a model and classical methods at the hidden stations",
    "xaq verify pm25.xaq obs.parquet --stations stations.csv --tz Asia/Shanghai",
    _add,
    _run,
)
