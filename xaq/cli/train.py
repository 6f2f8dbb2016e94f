"""``xaq train``: a model file from station data."""

from __future__ import annotations

import argparse

from . import output, stations, text
from .verb import Verb


def _add(parser: argparse.ArgumentParser) -> None:
    stations.add(parser)
    parser.add_argument("--target", help="variable to estimate (default: the only pollutant)")
    parser.add_argument(
        "--task", choices=("analysis", "forecast"), default="analysis", help="what to train (default analysis)"
    )
    parser.add_argument("--covariates", default="", help="other variables that the network reads, comma-separated")
    parser.add_argument(
        "--known", default="", help="covariates that are also known over the forecast horizon, comma-separated"
    )
    stations.add_hide(parser, "none")
    parser.add_argument("--time", help=f"training period: {text.TIME_HELP}")
    parser.add_argument(
        "--no-geography", action="store_true", help="do not use population density and altitude as predictors"
    )
    parser.add_argument("--seed", type=int, default=0, help="random seed (default 0)")
    parser.add_argument("--max-epochs", type=int, default=20, help="largest number of epochs (default 20)")
    parser.add_argument(
        "--patience", type=int, default=5, help="epochs without improvement after which training stops (default 5)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")
    parser.add_argument(
        "--precision", default="auto", help="of the arithmetic, such as 32-true or bf16-mixed (default auto)"
    )
    parser.add_argument("--checkpoint", help="folder in which the run is saved, so that the same command resumes it")
    parser.add_argument("-o", "--output", required=True, help="model file to write")


def _run(a: argparse.Namespace) -> None:
    from ..aqnet.file import require_place
    from ..training.train import train

    output.require_file(a.output, "-o", "model.xaq")
    require_place(a.output)
    model = train(
        stations.open_data(a), a.target, task=a.task, time=a.time, covariates=text.names(a.covariates),
        known=text.names(a.known), geography=not a.no_geography, seed=a.seed, max_epochs=a.max_epochs,
        patience=a.patience, device=a.device, precision=a.precision, checkpoint=a.checkpoint,
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
