"""``xaq reanalyze``: a cube in a Zarr store."""

from __future__ import annotations

import argparse
from pathlib import Path

import xarray as xr

from ..cube.grid import Grid
from ..cube.size import MAX_SIZE
from ..errors import GridError
from . import estimates, output, stations, text
from .verb import Verb


def _add(parser: argparse.ArgumentParser) -> None:
    estimates.add(parser)
    parser.add_argument(
        "--grid", default="0.1", metavar="DEGREES|FILE",
        help="grid spacing in degrees, or a file or store with the grid's lon and lat (default 0.1)",
    )  # fmt: skip
    parser.add_argument("--bounds", metavar="W,S,E,N", help="in degrees (default: around the stations)")
    group = estimates.add_means(parser)
    group.add_argument(
        "--support", choices=("point", "cell"), default="point", help="what intervals are of (default point)"
    )
    group = parser.add_argument_group("store")
    group.add_argument("--store", required=True, metavar="STORE", help="Zarr store to write: a folder or a URL")
    group.add_argument("--overwrite", action="store_true", help="replace an existing cube")
    group.add_argument(
        "--update", action="store_true", help="append new steps, and rewrite blocks whose observations have changed"
    )
    group.add_argument(
        "--precision", type=float, metavar="STEP", help="round stored values to this step, in the target's units"
    )
    group.add_argument(
        "--max-size", type=float, default=MAX_SIZE, metavar="GB",
        help=f"refuse a cube that is larger before compression (default {MAX_SIZE:g})",
    )  # fmt: skip
    group.add_argument("--zarr-format", type=int, choices=(2, 3), default=3, help="of the store (default 3)")
    group.add_argument("--chunks", metavar="DIM=SIZE,...", help="block sizes, such as time=240,lat=200,lon=200")
    group.add_argument("--no-consolidated", action="store_true", help="do not consolidate the store's metadata")


def _run(a: argparse.Namespace) -> None:
    from ..cube.reanalyze import reanalyze

    grid, chunks = _grid(a.grid, a.bounds), text.sizes(a.chunks)
    model = stations.load_or_name(a.model)
    cube = reanalyze(
        stations.open_data(a, model), model, grid=grid, store=a.store, support=a.support, overwrite=a.overwrite,
        update=a.update, precision=a.precision, zarr_format=a.zarr_format, chunks=chunks,
        consolidated=not a.no_consolidated, max_size=a.max_size, **estimates.options(a),
    )  # fmt: skip
    sizes = ", ".join(f"{k} {v}" for k, v in cube.sizes.items() if k != "bnds")
    print(f"{a.store}: {cube.attrs['title']} ({sizes})")


def _grid(grid: str, bounds: str | None) -> Grid | float | xr.Dataset:
    """Return a spacing for a grid around the stations, the grid of the bounds, or the grid of a file."""
    try:
        spacing = float(grid)
    except ValueError:
        if bounds is not None or not Path(grid).exists():
            what = "a spacing in degrees" + ("" if bounds is not None else ", or a file with lon and lat")
            raise output.usage(f"--grid is {grid!r}, expected {what}; fix: --grid 0.1") from None
        return output.opened(grid, "--grid 0.1")
    if not 0 < spacing <= 360:
        raise output.usage(f"--grid is {grid}, expected a spacing in degrees above 0; fix: --grid 0.1")
    if bounds is None:
        return spacing
    try:
        return Grid.regular(spacing, bounds=text.bounds(bounds))
    except GridError as error:
        raise output.usage(str(error)) from error


VERB = Verb(
    "reanalyze",
    "write a cube to a Zarr store; the same command resumes",
    "xaq reanalyze pm25.xaq obs.parquet --stations stations.csv --tz Asia/Shanghai --time 2017-01 --grid 0.02 --store pm25.zarr",
    _add,
    _run,
)
