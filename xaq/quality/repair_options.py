"""What the arguments of ``repair`` may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._arguments import check_mapping, check_number, check_sequence, check_text, shown
from ..arrays import longitudes
from ..errors import SchemaError

#: What arguments take; those of positions take a mapping, too.
OPTIONS: dict[str, tuple[str, ...]] = {
    "off_step": ("nearest", "floor"), "duplicate_times": ("merge",), "irregular": ("fill",),
    "duplicate_stations": ("merge",), "swapped": ("swap",), "unplaced": ("drop",), "far": ("drop",), "sea": ("drop",),
    "impossible": ("missing",), "negative": ("missing", "zero"), "stuck": ("missing",), "level": ("missing",), "spikes": ("missing",),
    "identical": ("missing",), "colocated": ("merge",), "silent": ("drop",),
}  # fmt: skip
POSITIONS = ("unplaced", "far", "sea")
#: A hundred years: a longer shift is in other units than hours.
_LONGEST_SHIFT = 876_600.0


def check_options(requested: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that are given, with numbers as floats, or raise with all words that are none of those they take."""
    wrong = [
        f"{name}={shown(how)}, expected {' or '.join(map(repr, OPTIONS[name]))}; fix: {name}={OPTIONS[name][0]!r}"
        for name, how in requested.items()
        if name in OPTIONS and not _is_option(name, how)
    ]
    if wrong:
        raise SchemaError(wrong, subject="repair")
    settled = dict(requested)
    for name in {*POSITIONS} & settled.keys():
        if not isinstance(settled[name], str):
            settled[name] = {str(station): _place(at, name, str(station)) for station, at in settled[name].items()}
    if "shift_hours" in settled:
        settled["shift_hours"] = check_number(
            settled["shift_hours"], "shift_hours", f"a number of hours within {_LONGEST_SHIFT:,.0f}", fix="shift_hours=-1",
            valid=lambda hours: abs(hours) <= _LONGEST_SHIFT, error=_error,
        )  # fmt: skip
    if "units" in settled:
        settled["units"] = _units(settled["units"])
    return settled


def _is_option(name: str, how: Any) -> bool:
    return (isinstance(how, str) and how in OPTIONS[name]) or (name in POSITIONS and isinstance(how, dict))


def _place(at: Any, problem: str, station: str) -> tuple[float, float]:
    name, expected, fix = f"{problem}[{station!r}]", "(lon, lat) in degrees", f"{problem}={{{station!r}: (10.0, 50.0)}}"
    pair = check_sequence(at, name, expected, fix=fix, error=_error)
    if len(pair) != 2:
        raise _error(f"{name} is {shown(at)}, expected {expected}; fix: {fix}")
    lon, lat = (
        check_number(number, name, expected, fix=fix, valid=lambda x, fits=fits: bool(fits(x)), error=_error)  # type: ignore[misc]
        for number, fits in zip(pair, (longitudes.valid, _is_latitude), strict=True)
    )
    return lon, lat


def _is_latitude(number: float) -> bool:
    return abs(number) <= 90.0


def _units(units: Any) -> dict[str, str | dict[str, str]]:
    """Return units by variable, or by variable and station."""
    expected, fix = "units by variable", "units={'co': 'mg m-3'}"
    settled: dict[str, str | dict[str, str]] = {}
    for name, of in check_mapping(units, "units", expected, fix=fix, error=_error).items():
        check_text(name, "a name in units", "a variable", fix=fix, error=_error)
        if isinstance(of, Mapping):
            settled[name] = {
                str(station): check_text(unit, f"units[{name!r}][{station!r}]", "units", fix=fix, error=_error)
                for station, unit in of.items()
            }
        else:
            settled[name] = check_text(of, f"units[{name!r}]", "units, or units by station", fix=fix, error=_error)
    return settled


def _error(text: str) -> SchemaError:
    return SchemaError(text, subject="repair")
