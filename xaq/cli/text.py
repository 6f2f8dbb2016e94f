"""Values of the command line's options that argparse does not parse: names, hidden stations, units and columns."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from .output import usage

#: A date, with the year first; one of its parts may be the last.
_DATE = re.compile(r"\d{4}(-?\d{2}(-?\d{2}([T ]\d{2}(:?\d{2}(:?\d{2}(\.\d+)?)?)?(Z|[+-]\d{2}:?\d{2})?)?)?)?")
#: What ``--time`` takes.
TIME_HELP = "START/END with either side optional, or one date, month, year or hour"


def period(text: str) -> str:
    """Return a period as it is written, or raise: a date is written with the year first, since 08.01.2018 is two days."""
    start, _, end = (side.strip() for side in text.partition("/"))
    if not all(_DATE.fullmatch(side) for side in (start, end) if side) or not (start or end):
        expected = "a date with the year first, such as 2018-01-08, 2018-01 or 2018-01-08T06, or START/END"
        raise argparse.ArgumentTypeError(f"{text!r}, expected {expected}")
    return text


def periods(text: str) -> list[str]:
    """Return the periods in a comma-separated text."""
    return [period(part) for part in names(text)]


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
    return dict(pairs(text, "--units", "pm25=ug m-3,no2=ppb")) if "=" in text else text


def columns(
    text: str | None, option: str = "--columns", example: str = "time=timestamp,pm25=fine"
) -> dict[str, list[str]]:
    """Return columns by role."""
    by_role: dict[str, list[str]] = {}
    for role, name in pairs(text or "", option, example):
        by_role.setdefault(role, []).append(name)
    return by_role


def units_by_station(text: str) -> dict[str, str | dict[str, str]]:
    """Return units by variable, or by variable and station where these are written as NAME:STATION."""
    by_name: dict[str, str | dict[str, str]] = {}
    for key, unit in pairs(text, "--correct-units", "co=mg m-3,no2:s07=ppb"):
        name, colon, station = key.partition(":")
        of_stations = by_name.setdefault(name, {} if colon else unit)
        if isinstance(of_stations, str) == bool(colon):
            raise usage(
                f"--correct-units gives units of {name} and of one of its stations; fix: --correct-units '{name}={unit}', "
                "and a second call for the station"
            )
        if isinstance(of_stations, dict):
            of_stations[station] = unit
    return by_name


def encodings(text: str | None) -> str | dict[str, str] | None:
    """Return one encoding, or encodings by file."""
    if text is None or "=" not in text:
        return text
    return dict(pairs(text, "--encoding", "list.csv=cp1250"))


def entries(text: str | None, option: str) -> list[str | float] | dict[str, list[str | float]] | None:
    """Return entries of a table, or entries by column; what reads as a number is one."""
    if text is None:
        return None
    if "=" not in text:
        return [_entry(entry) for entry in names(text)]
    by_column: dict[str, list[str | float]] = {}
    for column, entry in pairs(text, option, "pm25=-999"):
        by_column.setdefault(column, []).append(_entry(entry))
    return by_column


def _entry(text: str) -> str | float:
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def sizes(text: str | None) -> dict[str, int] | None:
    """Return block sizes by dimension."""
    if text is None:
        return None
    example = "time=240,lat=200,lon=200"
    try:
        return {dim: int(size) for dim, size in pairs(text, "--chunks", example)}
    except ValueError:
        raise usage(f"--chunks is {text!r}, expected DIM=SIZE with whole numbers; fix: --chunks {example}") from None


def attributes(text: str | None) -> dict[str, str] | None:
    """Return global attributes by name."""
    return None if text is None else dict(pairs(text, "--attrs", "institution=University of Somewhere"))


def places(text: str, option: str) -> dict[str, tuple[float, float]]:
    """Return longitude and latitude by station."""
    example = "s07=10.1/50.2"
    by_station = {}
    for station, place in pairs(text, option, example):
        try:
            lon, lat = (float(degrees) for degrees in place.split("/"))
        except ValueError:
            raise usage(f"{option} places {station} at {place!r}, expected LON/LAT; fix: {option} {example}") from None
        by_station[station] = (lon, lat)
    return by_station


def bounds(text: str, option: str = "--bounds") -> tuple[float, float, float, float]:
    """Return west, south, east and north."""
    try:
        west, south, east, north = (float(v) for v in text.split(","))
    except ValueError:
        raise usage(f"{option} is {text!r}, expected west,south,east,north; fix: {option} 5,47,16,55") from None
    return west, south, east, north


def pairs(text: str, option: str, example: str) -> Iterator[tuple[str, str]]:
    """Yield the pairs of a comma-separated text of NAME=VALUE."""
    for pair in text.split(",") if text else []:
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not (name and equals and value):
            raise usage(f"{option} holds {pair!r}, expected NAME=VALUE; fix: {option} '{example}'")
        yield name, value
