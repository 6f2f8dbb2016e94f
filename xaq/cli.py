"""The command line: the verbs of ``ds.aq`` from a shell. Tables go to stdout, progress and messages to stderr.

Exit codes: 0 success, 1 an error in data, model or store (the message says what is wrong and how to fix it), 2 wrong
usage, 130 interrupted, 141 nobody reads its output, 143 terminated. Each verb has a function that declares its arguments,
and one that runs it.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import xarray as xr

from . import _cli_output, _cli_text, datasets
from ._signals import EXIT_CODE, Terminated, sigterm_raises
from ._version import __version__
from .cube.grid import Grid
from .errors import ModelError, SchemaError, StoreError, XaqError, XaqWarning
from .interpolate.classical import CLASSICAL
from .quality.check import check
from .readers.dispatch import FORMATS, open_stations
from .stations.holdout import hide

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .aqnet.model import Model

_TIME_HELP = "START/END with either side optional, or one date, month, year or hour"

_EXAMPLES = {
    "check": "xaq check obs.parquet --stations stations.csv --tz Asia/Shanghai",
    "train": "xaq train obs.parquet --stations stations.csv --tz Asia/Shanghai --target pm25 --hide dongsi,huairou --time 2013/2016 -o pm25.xaq",
    "verify": "xaq verify pm25.xaq obs.parquet --stations stations.csv --tz Asia/Shanghai",
    "reanalyze": "xaq reanalyze pm25.xaq obs.parquet --stations stations.csv --tz Asia/Shanghai --time 2017-01 --grid 0.02 --store pm25.zarr",
    "info": "xaq info pm25.zarr --verify",
    "plot": "xaq plot map pm25.zarr obs.parquet --stations stations.csv --tz Asia/Shanghai --model pm25.xaq --time 2017-01-01 -o map.png",
    "demo": "xaq demo --out demo",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = _parser().parse_args(argv)
    code = 0
    try:
        with warnings.catch_warnings(), sigterm_raises():
            warnings.showwarning = _show_warning
            arguments.run(arguments)
            sys.stdout.flush()
    except XaqError as error:
        print(f"xaq: {error}", file=sys.stderr)
        code = 1
    except (KeyboardInterrupt, Terminated) as stop:
        word, code = ("terminated", EXIT_CODE) if isinstance(stop, Terminated) else ("interrupted", 130)
        print(f"xaq: {word}; finished blocks and checkpoints are kept, the same command resumes", file=sys.stderr)
    except BrokenPipeError:
        code = _cli_output.PIPE_CLOSED
    except OSError as error:
        print(f"xaq: the output cannot be written ({error}); fix: write it where there is room", file=sys.stderr)
        code = 1
    return _cli_output.ended(code)


def _show_warning(message: Any, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, XaqWarning):
        print(f"xaq: note: {message}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="xaq", description="Air-quality station networks to gridded reanalysis cubes."
    )
    parser.add_argument("--version", action="version", version=f"xaq {__version__}")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="{check,train,verify,reanalyze,info,plot,demo}")
    _add_check(_verb(verbs, "check", "report the problems of station data, and how to fix them", _check))
    _add_train(_verb(verbs, "train", "train AQ-Net on the visible stations", _train))
    _add_verify(_verb(verbs, "verify", "score a model and classical methods at the hidden stations", _verify))
    _add_reanalyze(_verb(verbs, "reanalyze", "write a cube to a Zarr store; the same command resumes", _reanalyze))
    _add_info(_verb(verbs, "info", "describe a cube: contents, progress, model and accuracy", _info))
    _add_plot(_verb(verbs, "plot", "draw a map of a cube, the errors of a model, or the series of a station", _plot))
    _add_demo(_verb(verbs, "demo", "train, verify, reanalyze and plot the bundled German network", _demo))
    return parser


def _verb(verbs: Any, name: str, text: str, run: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=f"example:\n  {_EXAMPLES[name]}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.set_defaults(run=run)
    return parser


# -- check ---------------------------------------------------------------------------------------------------------


def _add_check(parser: argparse.ArgumentParser) -> None:
    _add_data(parser)
    parser.add_argument("--csv", help="also write the table to this file")


def _check(a: argparse.Namespace) -> None:
    if a.csv is not None:
        _cli_output.require_file(a.csv, "--csv", "report.csv")
    report = check(_open(a))
    print(report)
    if a.csv:
        with _cli_output.written(a.csv, "--csv"):
            report.to_csv(a.csv, index=False)


# -- train ---------------------------------------------------------------------------------------------------------


def _add_train(parser: argparse.ArgumentParser) -> None:
    _add_data(parser)
    parser.add_argument("--target", help="variable to estimate (default: the only pollutant)")
    parser.add_argument(
        "--task", choices=("analysis", "forecast"), default="analysis", help="what to train (default analysis)"
    )
    parser.add_argument("--covariates", default="", help="other variables that the network reads, comma-separated")
    parser.add_argument(
        "--known", default="", help="covariates that are also known over the forecast horizon, comma-separated"
    )
    parser.add_argument("--hide", help="station ids, comma-separated, or a fraction such as 0.15")
    parser.add_argument("--time", help=f"training period: {_TIME_HELP}")
    parser.add_argument(
        "--no-geography", action="store_true", help="do not use population density and altitude as predictors"
    )
    parser.add_argument("--seed", type=int, default=0, help="random seed (default 0)")
    parser.add_argument("--max-epochs", type=int, default=20, help="largest number of epochs (default 20)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")
    parser.add_argument("--checkpoint", help="folder in which the run is saved, so that the same command resumes it")
    parser.add_argument("-o", "--output", required=True, help="model file to write")


def _train(a: argparse.Namespace) -> None:
    from .aqnet.file import require_place
    from .training.train import train

    _cli_output.require_file(a.output, "-o", "model.xaq")
    require_place(a.output)
    hidden = _cli_text.hidden(a.hide)
    ds = _open(a)
    if isinstance(hidden, float):
        ds = hide(ds, fraction=hidden, seed=a.seed)
    elif hidden is not None:
        ds = hide(ds, hidden)
    model = train(
        ds, a.target, task=a.task, time=a.time, covariates=_cli_text.names(a.covariates), known=_cli_text.names(a.known),
        geography=not a.no_geography, seed=a.seed, max_epochs=a.max_epochs, device=a.device, checkpoint=a.checkpoint,
    )  # fmt: skip
    model.save(a.output)
    print(model)


# -- verify --------------------------------------------------------------------------------------------------------


def _add_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="model file")
    _add_data(parser)
    parser.add_argument("--time", help=f"period to score: {_TIME_HELP}")
    parser.add_argument("--by-station", action="store_true", help="one row per method and station")
    parser.add_argument("--csv", help="also write the table to this file")


def _verify(a: argparse.Namespace) -> None:
    from .evaluate.verify import verify

    if a.csv is not None:
        _cli_output.require_file(a.csv, "--csv", "scores.csv")
    model = _load(a.model)
    table = verify(_open(a, model), model, time=a.time, by="station" if a.by_station else None)
    _print_table(table)
    if a.csv:
        with _cli_output.written(a.csv, "--csv"):
            table.to_csv(a.csv)


def _print_table(table: pd.DataFrame) -> None:
    print(f"{table.attrs['target']} [{table.attrs['units']}], {table.attrs['period'][0]} .. {table.attrs['period'][1]}")
    print(table.to_string(float_format=lambda v: f"{v:.3f}", na_rep="-"))


# -- reanalyze -----------------------------------------------------------------------------------------------------


def _add_reanalyze(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help=f"model file, or a classical method: {', '.join(CLASSICAL)}")
    _add_data(parser)
    parser.add_argument("--target", help="variable to estimate, for a classical method")
    parser.add_argument("--grid", type=float, default=0.1, help="grid spacing in degrees (default 0.1)")
    parser.add_argument("--bounds", help="west,south,east,north in degrees (default: around the stations)")
    parser.add_argument("--time", help=f"period: {_TIME_HELP}")
    parser.add_argument("--init", help="for a forecast model: last time whose observations are used")
    parser.add_argument("--level", type=float, default=0.9, help="nominal coverage of the interval (default 0.9)")
    parser.add_argument(
        "--max-distance", type=float, help="distance to the nearest station in km above which cells are unsupported"
    )
    _add_means(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace an existing cube")
    parser.add_argument(
        "--update", action="store_true", help="append new steps, and rewrite blocks whose observations have changed"
    )
    parser.add_argument("--precision", type=float, help="round stored values to this step, in the target's units")
    parser.add_argument("--store", required=True, help="Zarr store to write")


def _add_means(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("means and members")
    group.add_argument(
        "--freq", choices=("D", "MS", "QS", "YS"), help="estimate days, months, quarters or years (default: each step)"
    )
    group.add_argument("--period-tz", help="time zone of these periods, such as Europe/Berlin (default UTC)")
    group.add_argument(
        "--statistic", choices=("mean", "max"), default="mean", help="of the steps of a period (default mean)"
    )
    group.add_argument(
        "--capture", type=float, default=0.75, help="fraction of a period's steps that must be estimated (default 0.75)"
    )
    group.add_argument("--members", type=int, help="also write so many members: equally likely truths")
    group.add_argument("--members-seed", type=int, default=0, help="random seed of the members (default 0)")
    group.add_argument(
        "--support", choices=("point", "cell"), default="point", help="what intervals are of (default point)"
    )


def _reanalyze(a: argparse.Namespace) -> None:
    from .cube.reanalyze import reanalyze

    model = a.model if a.model in CLASSICAL else _load(a.model, classical=True)
    ds = _open(a, None if a.model in CLASSICAL else model)
    cube = reanalyze(
        ds, model, target=a.target, grid=_grid(a.grid, a.bounds), time=a.time, init=a.init, store=a.store,
        level=a.level, max_distance=a.max_distance, overwrite=a.overwrite, update=a.update, precision=a.precision,
        freq=a.freq, tz=a.period_tz, statistic=a.statistic, capture=a.capture, members=a.members, seed=a.members_seed,
        support=a.support,
    )  # fmt: skip
    sizes = ", ".join(f"{k} {v}" for k, v in cube.sizes.items() if k != "bnds")
    print(f"{a.store}: {cube.attrs['title']} ({sizes})")


def _grid(spacing: float, bounds: str | None) -> Grid | float:
    """Return the grid of the bounds, or its spacing alone, for a grid around the stations."""
    if bounds is None:
        return spacing
    try:
        west, south, east, north = (float(v) for v in bounds.split(","))
    except ValueError:
        raise SchemaError(
            f"--bounds is {bounds!r}, expected west,south,east,north; fix: --bounds 5,47,16,55", subject="usage"
        ) from None
    return Grid.regular(spacing, bounds=(west, south, east, north))


# -- info ----------------------------------------------------------------------------------------------------------


def _add_info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cube", help="Zarr store")
    parser.add_argument("--verify", action="store_true", help="read every block and compare its checksum")
    parser.add_argument(
        "--forget",
        action="store_true",
        help="mark damaged blocks as not written, so that the command that wrote the cube rewrites them",
    )


def _info(a: argparse.Namespace) -> None:
    from .cube.info import cube_info

    info = cube_info(a.cube, verify=a.verify or a.forget, forget=a.forget)
    print(info)
    damage = [*(info.damaged or []), *(info.damaged_files or [])]
    if damage and not a.forget:
        raise StoreError(
            f"{len(damage)} blocks or files are damaged; fix: xaq info {a.cube} --forget, then the command that wrote the cube"
        )


# -- plot ----------------------------------------------------------------------------------------------------------


def _add_plot(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=("map", "errors", "series"))
    parser.add_argument("what", help="cube (map, series) or model file (errors, series)")
    _add_data(parser)
    parser.add_argument("--model", help="model file whose hidden stations are marked on a map")
    parser.add_argument("--station", help="station of the series")
    parser.add_argument("--time", help=f"period: {_TIME_HELP}")
    parser.add_argument("-o", "--output", required=True, help="PNG, PDF or SVG file to write")


def _plot(a: argparse.Namespace) -> None:
    from matplotlib.figure import Figure

    _draw_without_display()
    _cli_output.require_figure(a.output)
    figure = {"map": _plot_map, "errors": _plot_errors, "series": _plot_series}[a.kind](a).figure
    assert isinstance(figure, Figure)
    with _cli_output.written(a.output, "-o"):
        figure.savefig(a.output, dpi=150, bbox_inches="tight")
    print(a.output)


def _plot_map(a: argparse.Namespace) -> Axes:
    from . import plot
    from .cube.store import open_cube

    if Path(a.what).is_file():
        raise SchemaError(
            f"a map needs a cube, {a.what} is a file; fix: xaq reanalyze {a.what} ... --store cube.zarr",
            subject="usage",
        )
    cube = open_cube(a.what)
    return plot.map(_open(a, _load(a.model) if a.model else None), cube, time=a.time)


def _plot_errors(a: argparse.Namespace) -> Axes:
    from . import plot

    if _is_cube(a.what):
        raise SchemaError(
            f"errors need a model file, {a.what} is a cube; fix: xaq plot errors model.xaq ...", subject="usage"
        )
    model = _load(a.what)
    return plot.errors(_open(a, model), model, time=a.time)


def _plot_series(a: argparse.Namespace) -> Axes:
    from . import plot
    from .cube.store import open_cube

    if not a.station:
        raise SchemaError("no station for the series; fix: --station ID", subject="usage")
    if _is_cube(a.what):
        cube = open_cube(a.what)
        return plot.series(_open(a, _load(a.model) if a.model else None), cube, a.station, time=a.time)
    model = _load(a.what)
    return plot.series(_open(a, model), model, a.station, time=a.time)


def _is_cube(path: str) -> bool:
    return Path(path).is_dir()


def _draw_without_display() -> None:
    import matplotlib as mpl

    mpl.use("Agg")


# -- demo ----------------------------------------------------------------------------------------------------------


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", default="demo", help="folder to write (default demo)")


def _demo(a: argparse.Namespace) -> None:
    """Train on the bundled network, verify, write the cube of 2005 and draw it."""
    _draw_without_display()
    from . import plot
    from .cube.reanalyze import reanalyze
    from .evaluate.verify import verify
    from .training.train import train

    out = Path(a.out)
    out.mkdir(parents=True, exist_ok=True)
    ds = hide(datasets.load("germany"), fraction=0.15, seed=7)
    model = train(ds, "pm10")
    model.save(out / "pm10.xaq")
    print("Hidden stations, daily PM10 of 2005:")
    _print_table(verify(ds, model))
    cube = reanalyze(ds, model, grid=0.1, store=out / "pm10.zarr", overwrite=True)
    figures = {
        "map_2005-02-08.png": plot.map(ds, cube, time="2005-02-08"),
        "map_2005_mean.png": plot.map(ds, cube),
        "errors.png": plot.errors(ds, model),
        "series.png": plot.series(ds, model, model.recipe.hidden[0]),
    }
    for name, axes in figures.items():
        axes.figure.savefig(out / name, dpi=150, bbox_inches="tight")
    print(f"{out / 'pm10.zarr'}: {cube.attrs['title']}")
    print("figures: " + ", ".join(str(out / name) for name in figures))


# -- what verbs have in common -------------------------------------------------------------------------------------


def _add_data(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("stations")
    group.add_argument(
        "table",
        help="observations: a table, a file or folder of a network, netCDF or Zarr; or the name of a bundled network: "
        "germany, germany-1998-2009",
    )
    group.add_argument("--stations", help="station list with id, lon, lat")
    group.add_argument("--format", choices=tuple(FORMATS), help="format of the observations, if it is not recognised")
    group.add_argument(
        "--timestamps", choices=("start", "end"), help="whether a timestamp labels the start or the end of its interval"
    )
    group.add_argument(
        "--columns",
        help="ROLE=COLUMN, comma-separated, such as time=timestamp,pm25=fine; a role may occur twice, for the table and "
        "for the station list",
    )
    group.add_argument("--tz", help="time zone of naive timestamps, such as Asia/Shanghai")
    group.add_argument(
        "--units", help="NAME=UNITS, comma-separated, such as no2=ppb,o3=ppb; or UNITS of the only pollutant"
    )


def _open(arguments: argparse.Namespace, model: Model | None = None) -> xr.Dataset:
    """Open the station data; stations that were hidden when the model was trained are hidden again."""
    if arguments.table.startswith("germany") and not Path(arguments.table).exists():
        ds = datasets.load(arguments.table)
    else:
        ds = open_stations(
            arguments.table, stations=arguments.stations, format=arguments.format, tz=arguments.tz,
            timestamps=arguments.timestamps, units=_cli_text.units(arguments.units), columns=_cli_text.columns(arguments.columns),
        )  # fmt: skip
    if model is None:
        return ds
    known = set(ds["station"].values.astype(str))
    hidden = [s for s in model.recipe.hidden if s in known]
    return hide(ds, hidden) if hidden else ds


def _load(path: str, *, classical: bool = False) -> Model:
    """Load a model; ``classical`` where the name of a classical method could stand for it."""
    from .aqnet.model import load_model

    if classical and not Path(path).exists():
        raise ModelError(
            f"{path!r} is no model file, and none of the methods {', '.join(CLASSICAL)}; "
            f"fix: {_cli_text.nearest(path, CLASSICAL)}, or a model file"
        )
    return load_model(path)
