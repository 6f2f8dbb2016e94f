"""Check the arguments of public functions before anything is computed, written or deleted.

NumPy's scalars and arrays without dimensions count as the numbers that they hold; a bool is no number.
"""

from __future__ import annotations

import difflib
import operator
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

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
    try:
        array = np.asarray(value)
        # Times, texts and complex numbers can be made floats, too, and mean something else.
        if array.ndim or array.dtype.kind not in "iufO":
            raise TypeError(value)
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
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError(value)
        array = value if isinstance(value, int) else np.asarray(value)
        number = operator.index(array[()] if isinstance(array, np.ndarray) else array)
    except (TypeError, ValueError):
        raise _wrong(value, name, expected, fix, error) from None
    if not valid(number):
        raise _wrong(value, name, expected, fix, error)
    return number


def check_seed(value: Any, *, error: Callable[[str], XaqError] = argument_error) -> int:
    """Return a seed as an int that NumPy and torch both take, or raise."""
    return check_integer(
        value, "seed", "an integer from 0 to 2**63 - 1", fix="seed=0", valid=lambda n: 0 <= n < 2**63, error=error
    )


def check_count(
    value: Any, name: str, default: int, *, least: int = 1, error: Callable[[str], XaqError] = argument_error
) -> int:
    """Return a number of things as an int, at least ``least`` and below two billion, or raise."""
    expected = f"an integer of {least} or more, below 2**31"
    return check_integer(
        value, name, expected, fix=f"{name}={default}", valid=lambda n: least <= n < 2**31, error=error
    )


def check_flag(value: Any, name: str, *, error: Callable[[str], XaqError] = argument_error) -> bool:
    """Return True or False, or raise: any other value would be taken for one of them."""
    if not isinstance(value, (bool, np.bool_)):
        raise _wrong(value, name, "True or False", f"{name}=True", error)
    return bool(value)


def check_choice(
    value: Any,
    name: str,
    choices: Iterable[T],
    *,
    meant: T | None = None,
    error: Callable[[str], XaqError] = argument_error,
) -> T:
    """Return the choice that a value names, or raise with all of them.

    The fix is the choice that is ``meant``, by default the one whose spelling is nearest.
    """
    choices = list(choices)
    plain = value.item() if isinstance(value, np.generic) else value
    # Of the same type too: 3.0 == 3 and True == 1, and arrays compare entry by entry.
    for choice in choices:
        if type(plain) is type(choice) and plain == choice:
            return choice
    shown = ", ".join(map(repr, choices[:-1])) + f" or {choices[-1]!r}" if len(choices) > 1 else repr(choices[0])
    by_text = {str(choice): choice for choice in choices}
    if meant is None:
        meant = by_text[nearest(plain, by_text)] if isinstance(plain, str) else choices[0]
    raise _wrong(value, name, shown, f"{name}={meant!r}", error)


def nearest(name: str, choices: Iterable[str]) -> str:
    """Return the choice whose spelling is nearest to a name in any case; the first where none is near."""
    by_key = {choice.lower(): choice for choice in choices}
    close = difflib.get_close_matches(name.lower(), by_key, n=1, cutoff=0.25)
    return next((by_key[key] for key in close), next(iter(by_key.values())))


def check_text(
    value: Any,
    name: str,
    expected: str,
    *,
    fix: str,
    error: Callable[[str], XaqError] = argument_error,
) -> str:
    """Return a text that is not empty, or raise with what was ``expected``."""
    if not isinstance(value, str) or not value:
        raise _wrong(value, name, expected, fix, error)
    return str(value)


def check_path(
    value: Any, name: str, *, fix: str, error: Callable[[str], XaqError] = argument_error
) -> str | os.PathLike[str]:
    """Return a path that is not empty, or raise. Says nothing of what lies there."""
    if not isinstance(value, (str, os.PathLike)) or not (text := os.fspath(value)) or "\0" in str(text):
        raise _wrong(value, name, "a path", fix, error)
    return value


def check_sequence(
    value: Any,
    name: str,
    expected: str,
    *,
    fix: str,
    error: Callable[[str], XaqError] = argument_error,
) -> list[Any]:
    """Return the items of a list, a tuple, an array or an index of one dimension, or raise: a text is one item, a set has no order."""
    if isinstance(value, str) or not (
        isinstance(value, Sequence) or (hasattr(value, "__array__") and _ndim(value) == 1)
    ):
        raise _wrong(value, name, expected, fix, error)
    return list(value) if isinstance(value, Sequence) else list(np.asarray(value))


def check_names(value: Any, name: str, *, fix: str, error: Callable[[str], XaqError] = argument_error) -> list[str]:
    """Return the texts of a sequence, or raise: it is one text, or holds something else."""
    items = check_sequence(value, name, "a list of names", fix=fix, error=error)
    return [check_text(item, f"{name}[{i}]", "a name", fix=fix, error=error) for i, item in enumerate(items)]


def check_mapping(
    value: Any,
    name: str,
    expected: str,
    *,
    fix: str,
    error: Callable[[str], XaqError] = argument_error,
) -> dict[Any, Any]:
    """Return a mapping as a dict, or raise with what was ``expected``."""
    # A Dataset is a mapping too, of variables.
    if not isinstance(value, Mapping) or hasattr(value, "dims"):
        raise _wrong(value, name, expected, fix, error)
    return dict(value)


def check_array(
    value: Any,
    name: str,
    expected: str,
    *,
    fix: str,
    error: Callable[[str], XaqError] = argument_error,
) -> NDArray[np.float64]:
    """Return numbers as an array of floats, or raise: texts, times, complex numbers and objects are no numbers."""
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "iufO":
            raise TypeError(value)
        return array.astype(float)
    except (TypeError, ValueError, OverflowError):
        raise _wrong(value, name, expected, fix, error) from None


def check_zone(
    value: Any, name: str, expected: str, *, fix: str, error: Callable[[str], XaqError] = argument_error
) -> str:
    """Return the name of a time zone, or an offset such as ``-05:00``; raise where it is neither."""
    zone = check_text(value, name, expected, fix=fix, error=error)
    if (hours := fixed_offset(zone)) is not None and abs(hours) < 24:
        if zone == offset_name(hours):
            return zone if hours else "UTC"
        raise _wrong(value, name, expected, f"{name}={offset_name(hours)!r}", error)
    try:
        return ZoneInfo(zone).key
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        raise _wrong(value, name, expected, fix, error) from None


def fixed_offset(text: str) -> float | None:
    """Return the hours of an offset such as ``UTC+1``, ``GMT-03:30`` or ``+01:00``, None of another text."""
    found = re.fullmatch(r"(?:UTC|GMT)?\s*([+-])\s*(\d{1,2})(?::?(\d{2}))?", text.strip(), re.IGNORECASE)
    if found is None:
        return None
    return (-1 if found[1] == "-" else 1) * (int(found[2]) + int(found[3] or 0) / 60)


def offset_name(hours: float) -> str:
    """Return the name of the time zone of an offset from UTC, such as ``+01:00``."""
    minutes = round(abs(hours) * 60)
    return f"{'-' if hours < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"


def _ndim(value: Any) -> int:
    return int(getattr(value, "ndim", 0))


def _wrong(value: Any, name: str, expected: str, fix: str, error: Callable[[str], XaqError]) -> XaqError:
    return error(f"{name} is {shown(value)}, expected {expected}; fix: {fix}")


def shown(value: Any) -> str:
    """Return a value for a message: a number as a user writes it, anything long by its type."""
    try:
        number = isinstance(value, np.generic) and value.dtype.kind not in "mM"
        text = repr(value.item()) if number else repr(value)
    except Exception:  # a repr of somebody else's, and integers of more than 4300 digits, may raise anything
        return f"of type {type(value).__name__}"
    return text if len(text) <= 60 and "\n" not in text else f"of type {type(value).__name__}"
