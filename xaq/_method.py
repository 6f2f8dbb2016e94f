"""Docstrings of accessor methods: those of the functions they call, less the dataset, which a method is called on."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import TypeVar

Method = TypeVar("Method", bound=Callable)

#: The dataset as a parameter with a description of its own, and as the first name of several.
_ALONE = re.compile(r"^ds : .*\n(?: .*\n|\n(?= ))*", re.MULTILINE)
_FIRST = re.compile(r"^ds, ", re.MULTILINE)


def without_dataset(docstring: str) -> str:
    """Return a function's docstring without its parameter ``ds``."""
    return _FIRST.sub("", _ALONE.sub("", docstring, count=1), count=1)


def documented_by(function: Callable) -> Callable[[Method], Method]:
    """Give a method the docstring of the function that it calls."""

    def decorate(method: Method) -> Method:
        method.__doc__ = without_dataset(inspect.getdoc(function) or "") + "\n"
        return method

    return decorate
