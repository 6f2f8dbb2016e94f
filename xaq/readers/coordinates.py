"""Coordinates and elevations that are text -> numbers, where the text can be read in one way only."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from ..conventions import ELEVATION, LAT, LON
from ..errors import SchemaError
from ..stations.schema import some
from .binary import MISSING

_NUMBER = r"\d+(?:[.,]\d+)?|[.,]\d+"
_DECIMAL = re.compile(rf"({_NUMBER})\s*(?:°|deg(?:rees?)?)?")
#: Degrees, minutes and perhaps seconds. "s" is no sign of seconds: it may be the south.
_SEXAGESIMAL = re.compile(
    rf"(\d+)\s*(?:°|deg|d|:|\s)\s*(?:({_NUMBER})\s*(?:'|min|m)?|(\d+)\s*(?:'(?!')|min|m|:|\s)\s*({_NUMBER})\s*(?:\"|''|sec)?)"
)
_HEMISPHERE = re.compile(r"(?:(north|south|east|west|[nsew])[\s_]*)?(.*?)(?:[\s_]*(north|south|east|west|[nsew]))?")
_HEIGHT = re.compile(rf"([+-]?)\s*({_NUMBER})\s*(?:m|met(?:er|re)s?)?\s*(?:a\.?\s?[sm]\.?\s?[ls]\.?)?")
#: Characters that stand for the signs of degrees, minutes and seconds, and for a minus.
_SIGNS = str.maketrans({
    "\u00ba": "°", "\u02da": "°", "\u2032": "'", "\u2019": "'", "\u2018": "'", "\u00b4": "'", "`": "'", "\u02b9": "'",
    "\u2033": '"', "\u201d": '"', "\u201c": '"', "\u02ba": '"', "\u2212": "-", "\u2013": "-", "\u00a0": " ", "\u202f": " ",
})  # fmt: skip
_HEMISPHERES = {LON: "ew", LAT: "ns"}
_EXPECTED = {
    LON: "degrees such as 10.5, '10,5', '10.5 E' or 10°30'00\"E",
    LAT: "degrees such as 50.25, '50,25', '50.25 N' or 50°15'00\"N",
    ELEVATION: "metres such as 120 or '120 m'",
}


def as_numbers(
    column: pd.Series, role: str, stations: pd.Series, called: str, station_called: str, subject: str
) -> pd.Series:
    """Return the longitudes, latitudes or elevations of a column as float, missing ones as NaN.

    Parameters
    ----------
    column : pandas.Series
        Numbers, or text with a decimal comma, degrees, minutes and seconds, a letter of the hemisphere, or metres.
    role : {"lon", "lat", "elevation"}
        What the column holds.
    stations : pandas.Series
        The station of each entry, for messages.
    called, station_called : str
        The user's names of the column and of that of the stations.
    subject : str
        "station list", or any other for a table, for messages.

    Raises
    ------
    SchemaError
        Text that is no such number, or that can be read in several ways.
    """
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    numbers = numbers.where(np.isfinite(numbers))
    left = column.notna() & numbers.isna()
    if not left.any():
        return numbers
    texts = column[left].map(str)
    read = texts.map({text: _number(text, role) for text in texts.unique()})
    bad = texts[read.isna() & ~texts.str.strip().isin([*MISSING, "-"])]
    if len(bad):
        where = stations[bad.index].astype(str)
        named = some((f"{station} {text!r}" for station, text in zip(where, bad, strict=True)), 3)
        frame = "places" if subject == "station list" else "table"
        out = f"{frame} = {frame}[~{frame}[{station_called!r}].astype(str).isin({where.unique().tolist()})]"
        fix = f"write them so, or leave them out: {out}"
        if role == ELEVATION:
            fix = f"{frame}[{called!r}] = pd.to_numeric({frame}[{called!r}], errors='coerce'), which leaves them empty"
        raise SchemaError(f"{called} is no number at {named}, expected {_EXPECTED[role]}; fix: {fix}", subject=subject)
    return numbers.where(~left, read.reindex(numbers.index).astype(float))


def _number(text: str, role: str) -> float:
    """Return what a text says, NaN where that is nothing or not certain."""
    plain = text.translate(_SIGNS).strip().lower()
    if role == ELEVATION:
        # "1,234 m" may be 1234 m.
        found = None if re.search(r"\d,\d{3}(?!\d)", plain) else _HEIGHT.fullmatch(plain)
        return _float(found[2]) * (-1 if found[1] == "-" else 1) if found else np.nan
    magnitude = _degrees(plain.lstrip("+-").lstrip(), signed=False)
    if np.isfinite(magnitude) and not plain.startswith(("--", "++", "+-", "-+")):
        return -magnitude if plain.startswith("-") else magnitude
    # A minus beside the letter of a hemisphere may mean the other one, so that it is not read.
    found = _HEMISPHERE.fullmatch(plain)
    letter = (found[1] or found[3] or "")[:1] if found else ""
    if not found or bool(found[1]) == bool(found[3]) or letter not in _HEMISPHERES[role]:
        return np.nan
    magnitude = _degrees(found[2].removeprefix("+").strip(), signed=True)
    return -magnitude if letter == _HEMISPHERES[role][1] else magnitude


def _degrees(text: str, *, signed: bool) -> float:
    """Return the degrees of a text without sign and hemisphere; three bare numbers are an angle only where a hemisphere was given."""
    if found := _DECIMAL.fullmatch(text):
        return _float(found[1])
    found = _SEXAGESIMAL.fullmatch(text)
    if found is None or not (signed or re.search("[°:dg'\"]", text)):
        return np.nan
    minutes, seconds = (_float(part or "0") for part in (found[2] or found[3], found[4]))
    return float(found[1]) + minutes / 60 + seconds / 3600 if max(minutes, seconds) < 60 else np.nan


def _float(text: str) -> float:
    return float(text.replace(",", "."))
