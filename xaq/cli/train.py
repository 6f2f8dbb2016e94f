"""``xaq train``: a model file from station data."""

from __future__ import annotations

import argparse

from . import grids, output, stations, text
from .verb import Verb


def _add(parser: argparse.ArgumentParser) -> None:
    stations.add(parser, brief=True)
    parser.add_argument("--target", metavar="NAME", help="variable to estimate (default: the only pollutant)")
    parser.add_argument(
        "--task", choices=("analysis", "forecast"), default="analysis", help="what to train (default analysis)"
    )
    parser.add_argument(
        "--covariates", default="", metavar="NAMES", help="other variables that the network reads, comma-separated"
    )
    parser.add_argument(
        "--known",
        default="",
        metavar="NAMES",
        help="covariates that are also known over the forecast horizon, comma-separated",
    )
    stations.add_hide(parser, "none")
    grids.add(parser)
    parser.add_argument("--time", type=text.period, metavar="PERIOD", help=f"training period: {text.TIME_HELP}")
    parser.add_argument(
        "--no-geography", action="store_true", help="do not use population density and altitude as predictors"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="random seed (default 0)")
    parser.add_argument("--max-epochs", type=int, default=20, metavar="N", help="largest number of epochs (default 20)")
    parser.add_argument(
        "--patience",
        type=int,
        default=5,
        metavar="N",
        help="epochs without improvement after which training stops (default 5)",
    )
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda or cuda:N (default auto)")
    parser.add_argument(
        "--precision",
        default="auto",
        metavar="NAME",
        help="of the arithmetic, such as 32-true or bf16-mixed (default auto)",
    )
    parser.add_argument(
        "--checkpoint", metavar="FOLDER", help="folder in which the run is saved, so that the same command resumes it"
    )
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="model file to write")


def _run(a: argparse.Namespace) -> None:
    from ..aqnet.file import require_place
    from ..training.train import train

    output.require_file(a.output, "-o", "model.xaq")
    require_place(a.output)
    model = train(
        stations.open_data(a), a.target, task=a.task, time=a.time, covariates=text.names(a.covariates),
        known=text.names(a.known), geography=not a.no_geography, seed=a.seed, max_epochs=a.max_epochs,
        patience=a.patience, device=a.device, precision=a.precision, checkpoint=a.checkpoint,
        **grids.opened(a),
    )  # fmt: skip
    model.save(a.output)
    print(model)


VERB = Verb(
    "train",
    "train AQ-Net on the visible stations",
    "xaq train obs.parquet --stations stations.csv --tz Asia/Shanghai --target pm25 --hide dongsi,huairou --time 2013/2016 -o pm25.xaq",
    _add,
    _run,
)
