"""Functions of a station dataset as methods of an accessor: one typed helper, so that no signature is written twice."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import xarray as xr

P = ParamSpec("P")
R = TypeVar("R")

#: How an argument is passed, and what other packages call it.
_OTHER_NAMES = {
    "grid=xaq.Grid.regular(0.1, bounds=(5, 47, 16, 55))": ("bounds", "bbox", "extent", "region", "domain"),
    "grid=0.1": ("resolution", "res", "spacing", "cell_size"),
    "target='pm25'": ("pollutant", "variable", "var", "param", "parameter", "species", "column"),
    "time=slice('2017-01-01', '2017-01-31')": ("when", "date", "dates", "period", "start", "end", "times"),
    "fraction=0.15": ("n", "frac", "test_size", "percent", "share"),
    "stations=['a', 'b']": ("ids", "station", "station_ids", "names"),
    "store='pm25.zarr'": ("path", "file", "filename", "output", "out"),
    "max_distance=50": ("radius", "max_dist", "cutoff"),
    "freq='D'": ("frequency", "resample", "period_freq", "averaging"),
    "tz='Europe/Warsaw'": ("timezone", "time_zone", "zone"),
    "max_epochs=10": ("epochs", "n_epochs", "num_epochs"),
    "members=50": ("n_members", "ensemble", "realizations", "n_samples"),
    "cmap='viridis'": ("colormap", "colors", "colours", "palette"),
    "lines='rivers.geojson'": ("borders", "basemap", "coastline", "coastlines", "shapefile"),
}

#: In a numpydoc section: the dataset as a parameter with a description of its own, and as the first name of several.
_ALONE = re.compile(r"^ds : .*\n(?: .*\n|\n(?= ))*", re.MULTILINE)
_FIRST = re.compile(r"^ds, ", re.MULTILINE)


def method(function: Callable[Concatenate[xr.Dataset, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Return a function of a dataset as a method of an accessor, which holds the dataset as ``_ds``.

    Users, tab completion, Sphinx and type checkers see the function's own parameters and docstring, without the dataset.
    """
    signature = inspect.signature(function)
    dataset, *others = signature.parameters.values()
    names = [parameter.name for parameter in others]
    positional = [parameter.name for parameter in others if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]

    def forward(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if unknown := [name for name in kwargs if name not in names]:
            raise TypeError(_unknown(function.__name__, unknown[0], names))
        if len(args) > len(positional):
            raise TypeError(_too_many(function.__name__, len(args), positional, names))
        return function(self._ds, *args, **kwargs)

    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    forward.__annotations__ = {name: of for name, of in function.__annotations__.items() if name != dataset.name}
    forward.__doc__ = without_dataset(inspect.getdoc(function) or "") + "\n"
    # The wrapped function is for readers of the source, and for the names that annotations refer to.
    forward.__dict__.update(__signature__=signature.replace(parameters=[itself, *others]), __wrapped__=function)
    return cast(Callable[Concatenate[Any, P], R], _Unnamed(forward))


def _unknown(function: str, given: str, names: Sequence[str]) -> str:
    """Return the message for an argument that a method does not have, with the argument that was meant."""
    meant = next((fix for fix, others in _OTHER_NAMES.items() if given.lower() in others), "")
    if meant.partition("=")[0] not in names:
        close = difflib.get_close_matches(given, names, n=1)
        meant = f"{close[0]}=" if close else f"one of {', '.join(names)}"
    return f"{function}() got an unexpected keyword argument {given!r}; fix: {meant}"


def _too_many(function: str, given: int, positional: Sequence[str], names: Sequence[str]) -> str:
    """Return the message for arguments without a name beyond those that a method takes, with names of others."""
    others = [f"{name}=" for name in names if name not in positional]
    number = f"{len(positional)} argument{'s' * (len(positional) > 1)}" if positional else "no argument"
    listed = f" ({', '.join(positional)})" if positional else ""
    fix = (
        f"a name before each other one, of {', '.join(others[:4])}{', ...' * (len(others) > 4)}" if others else "fewer"
    )
    return f"{function}() takes {number} without a name{listed}, got {given}; fix: {fix}"


def without_dataset(docstring: str) -> str:
    """Return a function's docstring without its parameter ``ds``."""
    return _FIRST.sub("", _ALONE.sub("", docstring, count=1), count=1)


class _Unnamed:
    """A method until its class exists, which then holds the plain function under the name that it was assigned to."""

    def __init__(self, forward: Callable) -> None:
        self.forward = forward

    def __set_name__(self, owner: type, name: str) -> None:
        self.forward.__name__, self.forward.__module__ = name, owner.__module__
        self.forward.__qualname__ = f"{owner.__qualname__}.{name}"
        setattr(owner, name, self.forward)
