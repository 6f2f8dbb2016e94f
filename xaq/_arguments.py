"""Check the arguments of public functions before anything is computed, written or deleted.

NumPy's scalars and arrays without dimensions count as the numbers that they hold; a bool is no number.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np

from .errors import SchemaError, XaqError

T = TypeVar("T")


def argument_error(text: str) -> SchemaError:
    """Return the error of an argument that has no class of error of its own."""
    return SchemaError(text, subject="argument")


def check_number(
    value: Any,
    name: str,
    expected: str,
    *,
    fix: str,
    valid: Callable[[float], bool] = np.isfinite,
    error: Callable[[str], XaqError] = argument_error,
) -> float:
    """Return a number as a float, or raise: it is no number, or not ``valid``, which ``expected`` says in words."""
    if isinstance(value, (bool, np.bool_, str, bytes)) or np.ndim(value):
        raise _wrong(value, name, expected, fix, error)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise _wrong(value, name, expected, fix, error) from None
    if not valid(number):
        raise _wrong(value, name, expected, fix, error)
    return number


def check_integer(
    value: Any,
    name: str,
    expected: str,
    *,
    fix: str,
    valid: Callable[[int], bool],
    error: Callable[[str], XaqError] = argument_error,
) -> int:
    """Return an integer as an int, or raise: it is no integer, or not ``valid``, which ``expected`` says in words."""
    if isinstance(value, (bool, np.bool_)):
        raise _wrong(value, name, expected, fix, error)
    try:
        number = operator.index(value)
    except TypeError:
        raise _wrong(value, name, expected, fix, error) from None
    if not valid(number):
        raise _wrong(value, name, expected, fix, error)
    return number


def check_flag(value: Any, name: str, *, error: Callable[[str], XaqError] = argument_error) -> bool:
    """Return True or False, or raise: any other value would be taken for one of them."""
    if not isinstance(value, (bool, np.bool_)):
        raise _wrong(value, name, "True or False", f"{name}=True", error)
    return bool(value)


def check_choice(
    value: Any, name: str, choices: Iterable[T], *, error: Callable[[str], XaqError] = argument_error
) -> T:
    """Return the choice that a value names, or raise with all of them."""
    choices = list(choices)
    plain = value.item() if isinstance(value, np.generic) else value
    # Of the same type too: 3.0 == 3 and True == 1, and arrays compare entry by entry.
    for choice in choices:
        if type(plain) is type(choice) and plain == choice:
            return choice
    shown = ", ".join(map(repr, choices[:-1])) + f" or {choices[-1]!r}" if len(choices) > 1 else repr(choices[0])
    raise _wrong(value, name, shown, f"{name}={choices[0]!r}", error)


def _wrong(value: Any, name: str, expected: str, fix: str, error: Callable[[str], XaqError]) -> XaqError:
    return error(f"{name} is {shown(value)}, expected {expected}; fix: {fix}")


def shown(value: Any) -> str:
    """Return a value for a message: a number as a user writes it, anything long by its type."""
    text = repr(value.item()) if isinstance(value, np.generic) else repr(value)
    return text if len(text) <= 60 and "\n" not in text else f"of type {type(value).__name__}"
