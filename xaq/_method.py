"""Functions of a station dataset as methods of an accessor: one typed helper, so that no signature is written twice."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import xarray as xr

P = ParamSpec("P")
R = TypeVar("R")

#: In a numpydoc section: the dataset as a parameter with a description of its own, and as the first name of several.
_ALONE = re.compile(r"^ds : .*\n(?: .*\n|\n(?= ))*", re.MULTILINE)
_FIRST = re.compile(r"^ds, ", re.MULTILINE)


def method(function: Callable[Concatenate[xr.Dataset, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Return a function of a dataset as a method of an accessor, which holds the dataset as ``_ds``.

    Users, tab completion, Sphinx and type checkers see the function's own parameters and docstring, without the dataset.
    """

    def forward(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return function(self._ds, *args, **kwargs)

    signature = inspect.signature(function)
    dataset, *others = signature.parameters.values()
    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    forward.__annotations__ = {name: of for name, of in function.__annotations__.items() if name != dataset.name}
    forward.__doc__ = without_dataset(inspect.getdoc(function) or "") + "\n"
    # The wrapped function is for readers of the source, and for the names that annotations refer to.
    forward.__dict__.update(__signature__=signature.replace(parameters=[itself, *others]), __wrapped__=function)
    return cast(Callable[Concatenate[Any, P], R], _Unnamed(forward))


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
