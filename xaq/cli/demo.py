"""``xaq demo``: the workflow on the bundled network."""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import datasets
from ..stations.holdout import hide
from . import output
from .verb import Verb


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", default="demo", help="folder to write (default demo)")


def _run(a: argparse.Namespace) -> None:
    """Train on the bundled network, verify, write the cube of 2005 and draw it."""
    output.draw_without_display()
    from .. import plot
    from ..cube.reanalyze import reanalyze
    from ..evaluate.verify import verify
    from ..training.train import train

    out = Path(a.out)
    out.mkdir(parents=True, exist_ok=True)
    ds = hide(datasets.load("germany"), fraction=0.15, seed=7)
    model = train(ds, "pm10")
    model.save(out / "pm10.xaq")
    print("Hidden stations, daily PM10 of 2005:")
    output.print_table(verify(ds, model))
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


VERB = Verb(
    "demo",
    "train, verify, reanalyze and plot the bundled German network",
    "xaq demo --out demo",
    _add,
    _run,
)
