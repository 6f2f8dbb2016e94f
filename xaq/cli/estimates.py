"""What ``xaq reanalyze`` and ``xaq estimate`` have in common: the options of an estimate, of periods and of members."""

from __future__ import annotations

import argparse
from typing import Any

from ..interpolate.classical import CLASSICAL
from . import grids, stations, text


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options of an estimate."""
    parser.add_argument("model", help=f"model file, or a classical method: {', '.join(CLASSICAL)}")
    stations.add(parser, brief=True)
    group = parser.add_argument_group("estimate")
    group.add_argument(
        "--target", metavar="NAME", help="variable to estimate (default: the model's, or the only pollutant)"
    )
    group.add_argument("--time", type=text.period, metavar="PERIOD", help=f"period: {text.TIME_HELP}")
    group.add_argument(
        "--init", type=text.period, metavar="TIME", help="for a forecast model: last time whose observations are used"
    )
    group.add_argument(
        "--level", type=float, default=0.9, metavar="FRACTION", help="nominal coverage of the interval (default 0.9)"
    )
    group.add_argument(
        "--max-distance", type=float, metavar="KM",
        help="distance to the nearest station above which estimates are unsupported",
    )  # fmt: skip
    stations.add_hide(parser, "those of the model")
    grids.add(parser)


def add_means(parser: argparse.ArgumentParser) -> Any:
    """Declare the options of periods and members, and return their group."""
    group = parser.add_argument_group("means and members")
    group.add_argument(
        "--freq", choices=("D", "MS", "QS", "YS"), help="estimate days, months, quarters or years (default: each step)"
    )
    group.add_argument(
        "--period-tz",
        metavar="ZONE",
        help="time zone of these periods and of --time, such as Europe/Berlin (default UTC)",
    )
    group.add_argument(
        "--statistic", choices=("mean", "max"), default="mean", help="of the steps of a period (default mean)"
    )
    group.add_argument(
        "--capture",
        type=float,
        default=0.75,
        metavar="FRACTION",
        help="fraction of a period's steps that must be estimated (default 0.75)",
    )
    group.add_argument("--members", type=int, metavar="N", help="also write N members: equally likely truths")
    group.add_argument(
        "--members-seed", type=int, default=0, metavar="N", help="random seed of the members (default 0)"
    )
    return group


def options(a: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments that ``xaq.reanalyze`` and ``xaq.estimate`` share."""
    return {
        "target": a.target, "time": a.time, "init": a.init, "level": a.level, "max_distance": a.max_distance,
        "freq": a.freq, "tz": a.period_tz, "statistic": a.statistic, "capture": a.capture, "members": a.members,
        "seed": a.members_seed, **grids.opened(a),
    }  # fmt: skip
