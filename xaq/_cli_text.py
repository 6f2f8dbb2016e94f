"""Values of the command line's options that argparse does not parse: names, hidden stations, units and columns."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from ._cli_output import usage


def names(text: str) -> list[str]:
    """Return the names in a comma-separated text, without blanks around them."""
    return [name.strip() for name in text.split(",") if name.strip()]


def hidden(text: str | None) -> float | list[str] | None:
    """Return a fraction of stations, or the stations that are named, whose ids may be numbers; None without the option."""
    if text is None:
        return None
    found = names(text)
    if not found:
        # A variable of the shell that is not set: nothing would be hidden, in silence.
        raise usage(f"--hide is {text!r}, expected station ids or a fraction; fix: --hide 0.15")
    try:
        value = float(text)
    except ValueError:
        return found
    return value if 0 < value < 1 else found


def units(text: str | None) -> str | dict[str, str] | None:
    """Return units by variable, or one string for the only pollutant."""
    if not text:
        return None
    return dict(_pairs(text, "--units", "pm25=ug m-3,no2=ppb")) if "=" in text else text


def columns(text: str | None) -> dict[str, list[str]]:
    """Return columns by role."""
    by_role: dict[str, list[str]] = {}
    for role, name in _pairs(text or "", "--columns", "time=timestamp,pm25=fine"):
        by_role.setdefault(role, []).append(name)
    return by_role


def nearest(name: str, choices: Iterable[str]) -> str:
    """Return the choice whose spelling is nearest to a name."""
    choices = list(choices)
    return next(iter(difflib.get_close_matches(name, choices, n=1, cutoff=0.0)), choices[0])


def _pairs(text: str, option: str, example: str) -> Iterator[tuple[str, str]]:
    """Yield the pairs of a comma-separated text of NAME=VALUE."""
    for pair in text.split(",") if text else []:
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not (name and equals and value):
            raise usage(f"{option} holds {pair!r}, expected NAME=VALUE; fix: {option} '{example}'")
        yield name, value
