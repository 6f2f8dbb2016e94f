"""The command line: the verbs of ``ds.aq`` from a shell. Tables go to stdout, progress to stderr.

Exit codes: 0 done, 1 a problem with data, model or store (the message says what and how to fix it), 2 wrong usage,
130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from . import datasets
from .cube.grid import Grid
from .errors import SchemaError, StoreError, XaqError, XaqWarning
from .interpolate.classical import CLASSICAL
from .quality import check as audit
from .readers.dispatch import FORMATS, open_stations
from .stations import holdout

_DATA_HELP = "observations: a table, a file or folder of a network, netCDF, Zarr; or the name of a bundled network: germany, germany-1998-2009"
_TIME_HELP = "period START/END, either side may be left out, or one date, month, year or hour"

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
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            arguments.run(arguments)
    except XaqError as error:
        print(f"xaq: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("xaq: interrupted; what is written is kept, the same call resumes", file=sys.stderr)
        return 130
    return 0


def _show_warning(message: Any, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, XaqWarning):
        print(f"xaq: note: {message}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="xaq", description="Air-quality station networks to gridded reanalysis cubes."
    )
    parser.add_argument("--version", action="version", version=f"xaq {version('xaq')}")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="{check,train,verify,reanalyze,info,plot,demo}")

    check = _verb(verbs, "check", "report what is wrong, or worth a look, in station data", _check)
    _add_data(check)
    check.add_argument("--csv", help="write the table there as well")

    train = _verb(verbs, "train", "train AQ-Net on the visible stations", _train)
    _add_data(train)
    train.add_argument("--target", help="variable to estimate")
    train.add_argument("--task", choices=("analysis", "forecast"), default="analysis")
    train.add_argument("--covariates", default="", help="other variables the network reads, comma-separated")
    train.add_argument("--known", default="", help="covariates known over a forecast's horizon too, comma-separated")
    train.add_argument("--hide", help="station ids, comma-separated, or a fraction such as 0.15")
    train.add_argument("--time", help=f"training period: {_TIME_HELP}")
    train.add_argument(
        "--no-geography", action="store_true", help="read neither the people around places nor their altitude"
    )
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--max-epochs", type=int, default=20)
    train.add_argument("--device", default="auto")
    train.add_argument("--checkpoint", help="folder that makes the run resumable")
    train.add_argument("-o", "--output", required=True, help="model file to write")

    verify = _verb(verbs, "verify", "score a model at its hidden stations, beside classical methods", _verify)
    verify.add_argument("model", help="model file")
    _add_data(verify)
    verify.add_argument("--time", help=f"period to score: {_TIME_HELP}")
    verify.add_argument("--by-station", action="store_true", help="one row per station")
    verify.add_argument("--csv", help="write the table there as well")

    cube = _verb(verbs, "reanalyze", "write a cube to a Zarr store; the same call resumes", _reanalyze)
    cube.add_argument("model", help=f"model file, or one of {', '.join(CLASSICAL)}")
    _add_data(cube)
    cube.add_argument("--target", help="variable to estimate (methods without a model file)")
    cube.add_argument("--grid", type=float, default=0.1, help="spacing in degrees (default 0.1)")
    cube.add_argument("--bounds", help="west,south,east,north in degrees; around the stations by default")
    cube.add_argument("--time", help=f"period: {_TIME_HELP}")
    cube.add_argument("--init", help="forecast models: last time whose observations are used")
    cube.add_argument("--level", type=float, default=0.9, help="coverage of the interval (default 0.9)")
    cube.add_argument("--max-distance", type=float, help="km from a station beyond which a cell is unsupported")
    cube.add_argument("--overwrite", action="store_true", help="delete the cube that is there and start anew")
    cube.add_argument(
        "--update", action="store_true", help="append new steps, make anew what changed observations touch"
    )
    cube.add_argument(
        "--precision", type=float, help="round what is stored to within half of it, in the target's units"
    )
    cube.add_argument("--store", required=True, help="Zarr store to write")

    info = _verb(verbs, "info", "say what a cube is, how much of it is done, by which model, how accurate", _info)
    info.add_argument("cube", help="Zarr store")
    info.add_argument("--verify", action="store_true", help="read every block and compare its checksum")
    info.add_argument(
        "--forget", action="store_true", help="let the call that wrote the cube write damaged blocks anew"
    )

    plot = _verb(verbs, "plot", "draw a map of a cube, error bubbles of a model, or the series of a station", _plot)
    plot.add_argument("kind", choices=("map", "errors", "series"))
    plot.add_argument("what", help="cube (map, series) or model file (errors, series)")
    _add_data(plot)
    plot.add_argument("--model", help="model file whose hidden stations are marked on a map")
    plot.add_argument("--station", help="station of a series")
    plot.add_argument("--time", help=_TIME_HELP)
    plot.add_argument("-o", "--output", required=True, help="PNG, PDF or SVG to write")

    demo = _verb(verbs, "demo", "the whole job on the bundled German network", _demo)
    demo.add_argument("--out", default="demo", help="folder to write (default demo)")
    return parser


def _verb(verbs: Any, name: str, text: str, run: Any) -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=f"example:\n  {_EXAMPLES[name]}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.set_defaults(run=run)
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("stations")
    group.add_argument("table", help=_DATA_HELP)
    group.add_argument("--stations", help="station list with id, lon, lat")
    group.add_argument("--format", choices=tuple(FORMATS), help="what the observations are, where this is not found")
    group.add_argument("--timestamps", choices=("start", "end"), help="which end of its interval a timestamp labels")
    group.add_argument(
        "--columns",
        help="ROLE=COLUMN, comma-separated, such as time=timestamp,pm25=fine; a role twice for table and list",
    )
    group.add_argument("--tz", help="time zone of naive timestamps, such as Asia/Shanghai")
    group.add_argument(
        "--units", help="NAME=UNITS, comma-separated, such as no2=ppb,o3=ppb; or UNITS of the only pollutant"
    )


def _open(arguments: argparse.Namespace, model: Any = None) -> xr.Dataset:
    """Open the station data; stations that the model was told to hide are hidden again."""
    if arguments.table.startswith("germany") and not Path(arguments.table).exists():
        ds = datasets.load(arguments.table)
    else:
        units = _units(arguments.units) if arguments.units else None
        columns: dict[str, list[str]] = {}
        for pair in arguments.columns.split(",") if arguments.columns else []:
            role, name = pair.split("=", 1)
            columns.setdefault(role, []).append(name)
        ds = open_stations(
            arguments.table, stations=arguments.stations, format=arguments.format, tz=arguments.tz, timestamps=arguments.timestamps,
            units=units, columns=columns,
        )  # fmt: skip
    if model is None:
        return ds
    known = set(ds["station"].values.astype(str))
    hidden = [s for s in model.recipe.hidden if s in known]
    return holdout.hide(ds, hidden) if hidden else ds


def _units(text: str) -> str | dict[str, str]:
    """Return units by variable, or one string for the only pollutant."""
    return dict(pair.split("=", 1) for pair in text.split(",")) if "=" in text else text


def _fraction(text: str) -> float | None:
    """Return a share of stations, or None where the text names stations (whose ids may be numbers)."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < 1 else None


def _check_folder(path: str) -> None:
    """Refuse an output that could not be written, before any work is done for it."""
    if not Path(path).absolute().parent.is_dir():
        raise SchemaError(f"no such folder: {Path(path).absolute().parent}; fix: create it first", subject="usage")


def _load(path: str) -> Any:
    from .aqnet.model import load_model

    return load_model(path)


def _check(a: argparse.Namespace) -> None:
    if a.csv:
        _check_folder(a.csv)
    report = audit.check(_open(a))
    print(report)
    if a.csv:
        report.to_csv(a.csv, index=False)


def _train(a: argparse.Namespace) -> None:
    from .training.train import train

    ds = _open(a)
    _check_folder(a.output)
    if a.hide:
        fraction = _fraction(a.hide)
        ds = (
            holdout.hide(ds, a.hide.split(","))
            if fraction is None
            else holdout.hide(ds, fraction=fraction, seed=a.seed)
        )
    model = train(
        ds, a.target, task=a.task, time=a.time, covariates=[c for c in a.covariates.split(",") if c],
        known=[c for c in a.known.split(",") if c], geography=not a.no_geography, seed=a.seed,
        max_epochs=a.max_epochs, device=a.device, checkpoint=a.checkpoint,
    )  # fmt: skip
    model.save(a.output)
    print(model)


def _verify(a: argparse.Namespace) -> None:
    from .evaluate.verify import verify

    model = _load(a.model)
    if a.csv:
        _check_folder(a.csv)
    table = verify(_open(a, model), model, time=a.time, by="station" if a.by_station else None)
    _print_table(table)
    if a.csv:
        table.to_csv(a.csv)


def _print_table(table: pd.DataFrame) -> None:
    print(f"{table.attrs['target']} [{table.attrs['units']}], {table.attrs['period'][0]} .. {table.attrs['period'][1]}")
    print(table.to_string(float_format=lambda v: f"{v:.3f}", na_rep="-"))


def _reanalyze(a: argparse.Namespace) -> None:
    from .cube.reanalyze import reanalyze

    model = None if a.model in CLASSICAL else _load(a.model)
    ds = _open(a, model)
    grid: Grid | float = a.grid
    if a.bounds:
        try:
            west, south, east, north = (float(v) for v in a.bounds.split(","))
        except ValueError:
            raise SchemaError(f"--bounds is {a.bounds!r}, expected west,south,east,north", subject="usage") from None
        grid = Grid.regular(a.grid, bounds=(west, south, east, north))
    cube = reanalyze(
        ds, a.model if model is None else model, target=a.target, grid=grid, time=a.time, init=a.init,
        store=a.store, level=a.level, max_distance=a.max_distance, overwrite=a.overwrite, update=a.update,
        precision=a.precision,
    )  # fmt: skip
    sizes = ", ".join(f"{k} {v}" for k, v in cube.sizes.items() if k != "bnds")
    print(f"{a.store}: {cube.attrs['title']} ({sizes})")


def _info(a: argparse.Namespace) -> None:
    from .cube.info import cube_info

    info = cube_info(a.cube, verify=a.verify or a.forget, forget=a.forget)
    print(info)
    if info.damaged and not a.forget:
        raise StoreError(
            f"{len(info.damaged)} blocks are damaged; fix: xaq info {a.cube} --forget, then the call that wrote the cube"
        )


def _plot(a: argparse.Namespace) -> None:
    import matplotlib as mpl
    import matplotlib.figure

    mpl.use("Agg")
    from . import plot
    from .cube.store import open_cube

    _check_folder(a.output)
    formats = mpl.figure.Figure().canvas.get_supported_filetypes()
    if Path(a.output).suffix.lstrip(".") not in formats:
        raise SchemaError(f"{a.output} names no figure format, expected .png, .pdf or .svg", subject="usage")
    is_store = Path(a.what).is_dir()
    what = open_cube(a.what) if is_store else _load(a.what)
    model = what if not is_store else _load(a.model) if a.model else None
    ds = _open(a, model)
    if a.kind == "map":
        if not is_store:
            raise SchemaError(
                f"a map needs a cube, {a.what} is a model; fix: xaq reanalyze {a.what} ... --store cube.zarr",
                subject="usage",
            )
        axes = plot.map(ds, what, time=a.time)
    elif a.kind == "errors":
        if is_store:
            raise SchemaError(f"errors need a model file, {a.what} is a cube", subject="usage")
        axes = plot.errors(ds, what, time=a.time)
    else:
        if not a.station:
            raise SchemaError("a series needs --station ID", subject="usage")
        axes = plot.series(ds, what, a.station, time=a.time)
    axes.figure.savefig(a.output, dpi=150, bbox_inches="tight")
    print(a.output)


def _demo(a: argparse.Namespace) -> None:
    """Train on the bundled network, verify, write the cube of 2005 and draw it."""
    import matplotlib as mpl

    mpl.use("Agg")
    from . import plot
    from .cube.reanalyze import reanalyze
    from .evaluate.verify import verify
    from .training.train import train

    out = Path(a.out)
    out.mkdir(parents=True, exist_ok=True)
    ds = holdout.hide(datasets.load("germany"), fraction=0.15, seed=7)
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
