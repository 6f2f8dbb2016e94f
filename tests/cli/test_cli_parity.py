"""What the library says, the command line says: each parameter has an option, each figure a command."""

import argparse
import inspect
import re
import shlex
from pathlib import Path

import pytest

import xaq
from xaq.cli.command import VERBS, _parser
from xaq.cli.plot import FIGURES
from xaq.plot.accessor import PlotAccessor

#: Parameters that are objects of Python, or that a command settles itself.
OBJECTS = {"ds", "source", "progress", "config", "temperature", "pressure"}
#: Options whose names differ from those of their parameters.
OTHER = {
    "check": {"other": "--other"},
    "repair": {"units": "--correct-units"},
    "train": {"geography": "--no-geography"},
    "verify": {"tz": "--period-tz", "by": "--by-station", "model": "model"},
    "reanalyze": {
        "tz": "--period-tz",
        "seed": "--members-seed",
        "mapper": "model",
        "consolidated": "--no-consolidated",
    },
    "estimate": {
        "tz": "--period-tz",
        "seed": "--members-seed",
        "mapper": "model",
        "lon": "--points",
        "lat": "--points",
    },
}


def actions(*names):
    """The arguments of a command."""
    parser = _parser()
    for name in names:
        (choices,) = (a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction))
        parser = choices[name]
    return {text for a in parser._actions for text in (a.option_strings or [a.dest])}


@pytest.mark.parametrize("verb", OTHER)
def test_every_parameter_of_a_verb_is_an_argument_of_its_command(verb):
    known = actions(verb)
    for name in inspect.signature(getattr(xaq, verb)).parameters:
        if name not in OBJECTS:
            assert OTHER[verb].get(name, f"--{name.replace('_', '-')}") in known, name


@pytest.mark.parametrize("verb", [*OTHER, "plot"])
def test_every_parameter_of_open_stations_is_an_option(verb):
    known = actions(verb, *(["map"] if verb == "plot" else []))
    for name in inspect.signature(xaq.open_stations).parameters:
        if name != "source":
            assert f"--{name.replace('_', '-')}" in known, name


def test_every_figure_has_a_command():
    assert {name for name in dir(PlotAccessor) if not name.startswith("_")} | {"table", "skill"} == FIGURES.keys()


#: Of figures: what is an argument by position, an axes to draw on, or has another option.
OF_FIGURES = {"scores", "explained", "ax", "axes", "mapper_or_cube", "mapper", "cube", "model", "other"}
RENAMED = {"stations": {"--no-stations", "--scored"}, "tz": {"--period-tz"}, "columns": {"--per-row"}}


@pytest.mark.parametrize("name", FIGURES)
def test_every_parameter_of_a_figure_is_an_option(name):
    known = actions("plot", name)
    for parameter in inspect.signature(getattr(xaq.plot, name)).parameters:
        if parameter not in OF_FIGURES | OBJECTS:
            assert RENAMED.get(parameter, {f"--{parameter.replace('_', '-')}"}) & known, parameter


def test_the_commands_of_the_page_are_commands():
    root = Path(__file__).parents[2]
    pages = [root / "docs" / "cli.md", root / "README.md"]
    commands = [
        line for page in pages for line in re.findall(r"^xaq .*", page.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert len(commands) > 12
    for command in commands:
        assert _parser().parse_args(shlex.split(command)[1:]).verb
    named = {
        word
        for page in pages
        for word in re.findall(r"^\| `xaq (\w+)` ", page.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert named == {verb.name for verb in VERBS}
