"""Values of the command line's options that argparse does not parse: names, fractions, units and columns."""

from __future__ import annotations


def names(text: str) -> list[str]:
    """Return the names in a comma-separated text."""
    return [name for name in text.split(",") if name]


def fraction(text: str) -> float | None:
    """Return a fraction of stations, or None where the text names stations, whose ids may be numbers."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < 1 else None


def units(text: str | None) -> str | dict[str, str] | None:
    """Return units by variable, or one string for the only pollutant."""
    if not text:
        return None
    return dict(pair.split("=", 1) for pair in text.split(",")) if "=" in text else text


def columns(text: str | None) -> dict[str, list[str]]:
    """Return columns by role."""
    by_role: dict[str, list[str]] = {}
    for pair in text.split(",") if text else []:
        role, name = pair.split("=", 1)
        by_role.setdefault(role, []).append(name)
    return by_role
