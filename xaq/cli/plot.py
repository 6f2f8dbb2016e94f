"""``xaq plot``: the figures of ``ds.aq.plot`` and ``xaq.plot`` as files."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ModelError, StoreError
from ..interpolate.classical import CLASSICAL
from . import grids, output, stations, text
from .verb import Verb

#: Options that maps have in common.
_LIMITS = ("vmin", "vmax", "cmap")
_MAP = ("time", "period_tz", "target", *_LIMITS, "no_stations", "unsupported", "lines")
#: Gridded fields, of figures that make the estimates themselves.
_FIELDS = tuple(name for name, *_ in grids.OPTIONS)
_METHODS = ", ".join(CLASSICAL)
#: What figures are made from: the name of the argument, and its help.
_SUBJECTS = {
    "cube": "cube: a Zarr store",
    "other": "cube to compare with",
    "model": "model file",
    "method": f"model file, or a classical method: {_METHODS}",
    "method or cube": f"model file, cube, or a classical method: {_METHODS}",
}


@dataclass(frozen=True)
class Figure:
    """A figure: what it shows, what it is made from beside the stations, its options, and the file that it becomes.

    Of the options, ``needs`` must be given; the example has these and those of ``example``.
    """

    text: str
    subjects: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    file: str = "figure.png"
    example: tuple[str, ...] = ()


FIGURES = {
    "map": Figure("a cube at one time, or its mean over a period, with the stations", ("cube",), _MAP),
    "panels": Figure("maps of a cube at several times", ("cube",), (*_MAP[1:], "per_row"), ("times",)),
    "compare": Figure("two cubes and their difference", ("cube", "other"), _MAP),
    "width": Figure(
        "the width of the interval of a cube", ("cube",),
        ("time", "period_tz", "target", "vmax", "cmap", "unsupported", "lines"),
    ),
    "stations": Figure("the stations by concentration", (), ("time", "target", "zoom", *_LIMITS, "lines")),
    "errors": Figure("errors at the hidden stations", ("method or cube",), ("time", "target", "lines", *_FIELDS)),
    "series": Figure(
        "observations and estimates at a station, or estimates at another place", ("method or cube",),
        ("station", "lon", "lat", "time", "target", "max_distance", *_FIELDS), example=("station",),
    ),
    "hours": Figure(
        "a station at hours of the day", ("method or cube",), ("time", "target", "slots", "period_tz", *_FIELDS), ("station",)
    ),
    "attention": Figure("the weights of the hours in the temporal module", ("model",), ("time", "station", "vmax", "cmap")),
    "reliability": Figure(
        "observed against nominal coverage of intervals", ("method",), ("time", "target", "baselines", "levels", *_FIELDS)
    ),
    "reliability_of_means": Figure(
        "observed against nominal coverage of intervals of means", ("method",), ("time", "target", "of", "levels", *_FIELDS)
    ),
    "error_covariance": Figure("how errors are correlated in space and time", ("method",), ("time", "target", *_FIELDS)),
    "explanation": Figure(
        "the neighbours and weights of an estimate", ("model",), (*_LIMITS, "lines", *_FIELDS), ("lon", "lat", "time")
    ),
    "animation": Figure(
        "the steps of a cube as a film", ("cube",), ("time", *_MAP[2:], "interval"), file="film.gif"
    ),
    "explore": Figure("a cube as a page with a time slider", ("cube",), ("time", *_MAP[2:], "dpi"), file="page.html"),
    "table": Figure("the scores at the hidden stations as a table", ("method",), ("time", "target", "metrics", "scored", *_FIELDS)),
    "skill": Figure(
        "the skill of a forecast by horizon", ("method",), ("time", "target", "reference", "metric", "scored")
    ),
}  # fmt: skip

#: The options of figures: how each is parsed, and its help. Those that are not given have the figure's own default.
_OPTIONS: dict[str, dict[str, Any]] = {
    "time": {"type": text.period, "metavar": "PERIOD", "help": f"period: {text.TIME_HELP}"},
    "times": {"type": text.periods, "metavar": "PERIODS", "help": "times or periods, comma-separated"},
    "target": {"metavar": "NAME", "help": "variable (default: that of the cube or model, or the only pollutant)"},
    "station": {"metavar": "ID", "help": "station"},
    "lon": {"type": float, "metavar": "DEGREES", "help": "longitude"},
    "lat": {"type": float, "metavar": "DEGREES", "help": "latitude"},
    "max_distance": {"type": float, "metavar": "KM", "help": "largest distance of a place from the nearest station"},
    "vmin": {"type": float, "metavar": "VALUE", "help": "lower limit of the colours"},
    "vmax": {"type": float, "metavar": "VALUE", "help": "upper limit of the colours"},
    "cmap": {"metavar": "NAME", "help": "colour map of matplotlib"},
    "no_stations": {"action": "store_true", "help": "do not draw the stations"},
    "unsupported": {"choices": ("hatched", "blank"), "help": "cells that are not supported (default hatched)"},
    "lines": {"metavar": "FILE", "help": "GeoJSON file with lines to draw in place of borders and coasts"},
    "per_row": {"type": int, "metavar": "N", "help": "maps beside each other (default 3)"},
    "zoom": {"metavar": "W,S,E,N", "help": "second map of this part: densest (default), none, or bounds in degrees"},
    "slots": {"metavar": "H-H,...", "help": "hours of the day (default 9-12,16-19)"},
    "period_tz": {"metavar": "ZONE", "help": "time zone of the times and hours (default UTC)"},
    "baselines": {"metavar": "NAMES", "help": "methods beside it, comma-separated (default kriging)"},
    "levels": {"metavar": "LEVELS", "help": "nominal coverages, comma-separated"},
    "of": {"metavar": "FREQS", "help": "means of D, MS, QS, YS, comma-separated (default D,MS,YS)"},
    "interval": {"type": float, "metavar": "MS", "help": "milliseconds between steps (default 200)"},
    "dpi": {"type": float, "metavar": "N", "help": "dots per inch (default 90)"},
    "metrics": {"metavar": "NAMES", "help": "columns, comma-separated (default mae,rmse)"},
    "metric": {"metavar": "NAME", "help": "score (default rmse)"},
    "scored": {"choices": ("hidden", "visible"), "help": "stations, of a forecast (default hidden)"},
    **{name: {"metavar": metavar, "help": what} for name, metavar, what in grids.OPTIONS},
    "reference": {"metavar": "NAME", "help": "method that the skill is relative to (default persistence)"},
}


def _add(parser: argparse.ArgumentParser) -> None:
    figures = parser.add_subparsers(title="figures", required=True, metavar="FIGURE", dest="figure")
    for name, figure in FIGURES.items():
        own = figures.add_parser(
            name, help=figure.text, description=f"{figure.text[0].upper()}{figure.text[1:]}.",
            epilog=f"example:\n  {_example(name, figure)}",
        )  # fmt: skip
        own.set_defaults(parser=own)
        for subject in figure.subjects:
            own.add_argument(subject.replace(" ", "_"), metavar=subject.upper(), help=_SUBJECTS[subject])
        stations.add(own, brief=True, optional="no_stations" in figure.options)
        group = own.add_argument_group("figure")
        for option in (*figure.needs, *figure.options):
            flag = f"--{option.replace('_', '-')}"
            group.add_argument(flag, required=option in figure.needs, **_OPTIONS[option])
        group.add_argument("-o", "--output", required=True, metavar="FILE", help=_file_help(figure))
        if {"cube", "method or cube"} & {*figure.subjects}:
            group.add_argument("--model", metavar="FILE", help="model file whose hidden stations are marked")
        stations.add_hide(own, "those of the model or cube")


#: What an example of each figure is made from, and its options.
_EXAMPLES = {
    "cube": "pm25.zarr", "other": "kriging.zarr", "model": "pm25.xaq", "method": "pm25.xaq", "method or cube": "pm25.xaq",
    "station": "--station dongsi", "times": "--times 2017-01-01,2017-01-02", "lon": "--lon 116.4", "lat": "--lat 39.9",
    "time": "--time 2017-01-01T08",
}  # fmt: skip


def _example(name: str, figure: Figure) -> str:
    """Return a command that draws a figure."""
    subjects, options = (
        " ".join(_EXAMPLES[of] for of in names) for names in (figure.subjects, (*figure.needs, *figure.example))
    )
    file = f"-o {name}{Path(figure.file).suffix}"
    return " ".join(filter(None, ["xaq plot", name, subjects, "clean.nc", options, file]))


def _file_help(figure: Figure) -> str:
    suffix = Path(figure.file).suffix
    return f"file to write: {'.png, .pdf or .svg' if suffix == '.png' else suffix}"


def _run(a: argparse.Namespace) -> None:
    output.draw_without_display()
    figure = FIGURES[a.figure]
    if figure.file == "figure.png":
        output.require_figure(a.output)
    else:
        output.require_suffix(a.output, (Path(figure.file).suffix,), figure.file)
    given = _given(a, figure)
    if not a.table and given.get("stations", True):
        raise output.usage(f"plot {a.figure} draws stations, and no table is given; fix: --no-stations")
    subjects = [_subject(a.figure, kind, getattr(a, kind.replace(" ", "_"))) for kind in figure.subjects]
    marked = getattr(a, "model", None)
    model = stations.load(marked) if isinstance(marked, str) else next(iter(subjects), None)
    ds = stations.open_data(a, model) if a.table else None
    drawn = _draw(a.figure, ds, subjects, given)
    with output.written(a.output, "-o"):
        _save(drawn, a.output)
    print(a.output)


def _subject(figure: str, kind: str, what: str) -> Any:
    """Open what a figure is made from."""
    from ..cube.store import open_cube

    is_folder = Path(what).is_dir()
    if kind in ("cube", "other"):
        if Path(what).is_file() or (what in CLASSICAL and not is_folder):
            by, is_what = (f"{what!r}", "a method") if what in CLASSICAL else ("model", "a file")
            raise StoreError(
                f"plot {figure} needs a cube, {what} is {is_what}; fix: ds.aq.reanalyze({by}, store='cube.zarr')"
            )
        return open_cube(what)
    if kind == "method or cube" and is_folder:
        return open_cube(what)
    if is_folder or (kind == "model" and what in CLASSICAL and not Path(what).exists()):
        is_what = "a folder" if is_folder else "a method"
        raise ModelError(f"plot {figure} needs a model file, {what} is {is_what}; fix: ds.aq.train(...)")
    return stations.load(what) if kind == "model" else stations.load_or_name(what)


def _given(a: argparse.Namespace, figure: Figure) -> dict[str, Any]:
    """Return the arguments of the figure's function that are given."""
    found = {name: getattr(a, name) for name in (*figure.needs, *figure.options)}
    given = {name: value for name, value in found.items() if value is not None}
    for name, read in _READ.items():
        if name in given:
            given[name] = read(given[name])
    if given.pop("no_stations", False):
        given["stations"] = False
    renamed = {"per_row": "columns", "period_tz": "tz", "scored": "stations"}
    return {renamed.get(name, name): value for name, value in given.items()}


def _draw(figure: str, ds: Any, subjects: list[Any], given: dict[str, Any]) -> Any:
    """Call the figure's function; figures of scores and of an explanation are made from what a verb returns."""
    from .. import plot
    from ..evaluate.explain import explain
    from ..evaluate.verify import verify

    draw: Callable[..., Any] = getattr(plot, figure)
    if figure == "explanation":
        where = {name: given.pop(name) for name in ("lon", "lat", "time", *_FIELDS) if name in given}
        return draw(ds, explain(ds, *subjects, **where), **given)
    if figure in ("table", "skill"):
        period = {name: given.pop(name) for name in ("time", "target", *_FIELDS) if name in given}
        return draw(verify(ds, *subjects, **period), **given)
    return draw(ds, *subjects, **given)


def _save(drawn: Any, path: str) -> None:
    """Write what a figure's function returned."""
    from matplotlib.animation import FuncAnimation

    from ..plot import Explorer

    if isinstance(drawn, Explorer):
        drawn.save(path)
    elif isinstance(drawn, FuncAnimation):
        drawn.save(path, writer="pillow")
    else:
        first = drawn.flat[0] if isinstance(drawn, np.ndarray) else drawn
        first.figure.savefig(path, dpi=150, bbox_inches="tight")


def _read_zoom(value: str) -> Any:
    return {"densest": "densest", "none": None}[value] if value in ("densest", "none") else text.bounds(value, "--zoom")


def _read_slots(value: str) -> list[tuple[int, int]]:
    try:
        return [(int(first), int(last)) for first, last in (part.split("-") for part in text.names(value))]
    except ValueError:
        raise output.usage(f"--slots is {value!r}, expected H-H,...; fix: --slots 9-12,16-19") from None


def _read_levels(value: str) -> list[float]:
    try:
        return [float(level) for level in text.names(value)]
    except ValueError:
        raise output.usage(f"--levels is {value!r}, expected numbers; fix: --levels 0.5,0.8,0.9") from None


#: Options whose text is no number or name.
_READ: dict[str, Callable[[str], Any]] = {
    "baselines": text.names, "of": text.names, "metrics": text.names, "levels": _read_levels,
    "slots": _read_slots, "zoom": _read_zoom, "background": grids.background, "rasters": grids.rasters,
    "fields": grids.fields,
}  # fmt: skip

VERB = Verb(
    "plot",
    "draw a figure of stations, a cube, a model or its scores",
    "xaq plot map pm25.zarr obs.parquet --stations stations.csv --tz Asia/Shanghai --model pm25.xaq --time 2017-01-01 -o map.png",
    _add,
    _run,
)
