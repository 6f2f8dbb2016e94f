"""Calls of Python as commands of a shell: the part of :mod:`xaq.cli.remedies` that knows verbs and values."""

from __future__ import annotations

import argparse
import ast
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import stations
from .plot import FIGURES

#: What a proposed command cannot do without, beside the station data.
_REST = {
    "repair": ("-o repaired.nc",), "train": ("-o model.xaq",), "reanalyze": ("--store cube.zarr",),
    "estimate": ("--points points.csv", "-o estimates.csv"),
}  # fmt: skip
#: Verbs whose first argument is a model or a method.
_OF_MODEL = ("verify", "reanalyze", "estimate")
#: Options of commands that arguments of Python become where their names differ.
_OTHER_NAMES = {
    "seed": ("seed", "members_seed", "hide_seed"), "fraction": ("hide",), "by": ("by_station",),
    "geography": ("no_geography",), "consolidated": ("no_consolidated",),
}  # fmt: skip
#: Arguments without an option: objects of Python.
_OBJECTS = ("config", "lon", "lat")
#: Arguments that say where stations are.
_PLACES = ("unplaced", "far", "sea")


@dataclass(frozen=True)
class Command:
    """What a fix refers to: the command that was given.

    Attributes
    ----------
    verb : str
    options : dict of str to str
        The options of the command by the names of their values.
    data : str
        Its arguments of station data, as typed.
    model : str
        Its model or method.
    values : dict
        Its parsed arguments.
    """

    verb: str
    options: dict[str, str]
    data: str
    model: str
    values: dict[str, Any]

    @classmethod
    def of(cls, a: argparse.Namespace, *, table: str | None = None) -> Command:
        """Return the command of parsed arguments; ``table``: the check of that file, which the command has written."""
        options = {x.dest: x.option_strings[-1] for x in a.parser._actions if x.option_strings}
        data = (
            shlex.quote(table) if table else stations.as_typed(a.parser, a) if hasattr(a, "table") else "OBSERVATIONS"
        )
        model = getattr(a, "model", None) or "model.xaq"
        return cls("check" if table else a.verb, options, data, shlex.quote(model), vars(a))

    def option(self, argument: str) -> str | None:
        """Return the option of an argument of Python; None where the command has none."""
        names = _OTHER_NAMES.get(argument, (argument,))
        return next((self.options[name] for name in names if name in self.options), None)


def rendered(option: str, argument: str, value: ast.expr) -> str | None:
    """Return an option with a value of Python as a shell takes it; None where the value has no such form."""
    if isinstance(value, ast.Constant) and (value.value is None or isinstance(value.value, bool)):
        negative = option.startswith("--no-")
        return option if bool(value.value) != negative else f"no {option}"
    text = _places(value) if argument in _PLACES and isinstance(value, ast.Dict) else _text(value)
    return None if text is None else shlex.join(stations.option_words(option, text))


def _text(value: ast.expr) -> str | None:
    """Return a value as the text of an option: lists and mappings with commas, a period with a stroke."""
    match value:
        case ast.Constant(str() | int() | float()):
            return str(value.value)
        case ast.Name():
            return value.id.upper()
        case ast.UnaryOp(ast.USub(), ast.Constant()):
            return f"-{_text(value.operand)}"
        case ast.List() | ast.Tuple():
            return _joined([_text(item) for item in value.elts], ",")
        case ast.Call(ast.Name("slice")):
            sides = [a.value for a in value.args if isinstance(a, ast.Constant)]
            return "/".join("" if side is None else str(side) for side in sides) if len(sides) == 2 else None
        case ast.Dict():
            return _joined(
                [_pair(key, of) for key, of in zip(value.keys, value.values, strict=True) if key is not None], ","
            )
    return None


def _pair(key: ast.expr, value: ast.expr) -> str | None:
    """Return an item of a mapping: NAME=VALUE, and NAME:STATION=VALUE of a mapping in it."""
    name = _text(key)
    if isinstance(value, ast.Dict):
        inner = [(_text(k), _text(v)) for k, v in zip(value.keys, value.values, strict=True) if k is not None]
        return _joined([_joined([f"{name}:{station}", of], "=") for station, of in inner], ",")
    if isinstance(value, ast.List):
        return _joined([_joined([name, _text(item)], "=") for item in value.elts], ",")
    return _joined([name, _text(value)], "=")


def _places(value: ast.Dict) -> str | None:
    places = []
    for key, place in zip(value.keys, value.values, strict=True):
        if key is None or not isinstance(place, ast.Tuple):
            return None
        places.append(_joined([_text(key), _joined([_text(degrees) for degrees in place.elts], "/")], "="))
    return _joined(places, ",")


def _joined(texts: list[str | None], separator: str) -> str | None:
    known = [text for text in texts if text is not None]
    return separator.join(known) if len(known) == len(texts) else None


#: Names of options of commands by those of the arguments of verbs.
_ARGUMENTS: Mapping[str, Mapping[str, str]] = {
    "repair": {"units": "--correct-units"},
    "hide": {"fraction": "--hide", "seed": "--hide-seed"},
    "Grid.regular": {"bounds": "--bounds"},
    "reanalyze": {"tz": "--period-tz", "seed": "--members-seed"},
    "estimate": {"tz": "--period-tz", "seed": "--members-seed"},
    "verify": {"tz": "--period-tz"},
    "open_stations": {},
    "train": {},
    "convert_units": {},
    "check": {},
}


def command_of_call(call: ast.Call, command: Command) -> str | None:
    """Return the command, or the options, that do what a call of a verb does; None where there are none."""
    name = ast.unparse(call.func)
    if name in FIGURES:
        return _of_figure(name, call, command)
    if name not in _ARGUMENTS:
        return None
    words = _options(name, call)
    if words is None:
        return None
    if name in ("Grid.regular", "open_stations"):
        # These have no command of their own: they are options of the one that is given.
        known = all(word.split()[0] in command.options.values() for word in words)
        return " ".join(words) if words and known else None
    if name == "convert_units":
        name = "repair"
    if name == "hide":
        if command.option("fraction"):
            return " ".join(words)
        name = "train"
    if name == command.verb and words:
        return " ".join(words)
    first = [_model_of(call, command)] if name in _OF_MODEL else []
    rest = [word for word in _REST.get(name, ()) if word.split()[0] not in words]
    if any(word.startswith("--store ") for word in words):
        rest = []
    elif name == "reanalyze" and (name == command.verb or any(k.arg == "store" for k in call.keywords)):
        rest = [f"--store {shlex.quote(command.values.get('store') or command.values.get('cube') or 'cube.zarr')}"]
    return " ".join(["xaq", name, *first, command.data, *words, *rest])


def _of_figure(name: str, call: ast.Call, command: Command) -> str | None:
    """Return the command that draws a figure: of what the call names by a text, else of what the command is given."""
    figure = FIGURES[name]
    words = ["xaq", "plot", name]
    for kind, value in zip(figure.subjects, [*call.args, *[None] * len(figure.subjects)], strict=False):
        text = value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None
        given = command.values.get(kind.replace(" ", "_")) or command.values.get("method_or_cube")
        words.append(shlex.quote(text or given or ("cube.zarr" if "cube" in kind else command.model)))
    named = zip(figure.needs or figure.example, call.args[len(figure.subjects) :], strict=False)
    options = [rendered(f"--{option}", option, value) for option, value in named]
    return None if None in options else " ".join([*words, command.data, *map(str, options), f"-o {figure.file}"])


def _options(name: str, call: ast.Call) -> list[str] | None:
    """Return the arguments of a call as options; None where one has no such form."""
    names, words = _ARGUMENTS[name], []
    for keyword in call.keywords:
        if keyword.arg is None or keyword.arg in _OBJECTS:
            return None
        if isinstance(keyword.value, ast.Constant) and keyword.value.value is Ellipsis:
            continue
        option = names.get(keyword.arg, f"--{keyword.arg.replace('_', '-')}")
        word = rendered(option, keyword.arg, keyword.value)
        if word is None:
            return None
        words.append(word)
    given = [x for x in call.args if not (isinstance(x, ast.Constant) and x.value is Ellipsis)]
    first = {"Grid.regular": "--grid", "hide": "--hide", "train": "--target", "convert_units": "--convert-units"}
    if given and name in first:
        word = rendered(first[name], "", given[0])
        if word is None:
            return None
        words.insert(0, word)
    return words


def _model_of(call: ast.Call, command: Command) -> str:
    """Return the model or method of a proposed command: the call's method, else that of the command given."""
    if call.args and isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str):
        return shlex.quote(call.args[0].value)
    return command.model
