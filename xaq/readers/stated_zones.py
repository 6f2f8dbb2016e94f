"""Time zones that a table states, in the header of its times or in a column beside them: refused where ``tz=`` contradicts them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pandas as pd

from .._arguments import fixed_offset, offset_name
from ..conventions import TIME, match_key
from ..errors import SchemaError
from .assembly import Rows
from .times import parse
from .zones import offsets_of

#: Columns whose entries are offsets from UTC, in hours or in seconds, and names of time zones.
_OFFSETS, _SECONDS, _NAMES = (
    ("utc_offset", "utcoffset", "offset_utc"),
    ("utc_offset_seconds",),
    ("timezone", "time_zone", "tz"),
)
#: Abbreviations that mean one zone, with the offset of their standard time in hours; CST, IST and BST mean several.
_ABBREVIATIONS = {
    "CET": 1, "MEZ": 1, "EET": 2, "WET": 0, "GMT": 0, "EST": -5, "MST": -7, "PST": -8, "JST": 9, "KST": 9, "AEST": 10,
}  # fmt: skip


def check_stated_zone(rows: Rows, tz: str | None) -> None:
    """Raise where a table states another time zone than ``tz`` for naive timestamps with hours.

    A header such as ``time (UTC)`` counts, and so do columns ``utc_offset`` and ``timezone``. What xaq cannot read as a zone does not.
    """
    if tz is None or TIME not in rows.frame:
        return
    stated = [(where, text, zone) for where, text, zone in _stated(rows) if not _agrees(zone, tz)]
    if not stated or not _depends_on_zone(rows.frame[TIME]):
        return
    where, text, zone = stated[0]
    fix = f"tz={zone!r}" if isinstance(zone, str) else f"tz={(offset_name(zone[0]) if zone[0] else 'UTC')!r}"
    away = (
        ""
        if where == rows.called(TIME)
        else f" or, where the times are in {tz!r}, table = table.drop(columns={where!r})"
    )
    away = away or f" or, where that is wrong, table = table.rename(columns={{{where!r}: 'time'}})"
    raise SchemaError(f"column {where!r} states the time zone {text!r}, and the call says tz={tz!r}; fix: {fix},{away}")


def _stated(rows: Rows) -> Iterator[tuple[str, str, Any]]:
    """Yield columns, the zone that each states as text, and its name, or its possible offsets in hours."""
    header = rows.called(TIME)
    if (zone := _of_header(header)) is not None:
        yield header, *zone
    for column in rows.frame.columns:
        key = match_key(column)
        if key not in (*_OFFSETS, *_SECONDS, *_NAMES):
            continue
        for entry in rows.frame[column].dropna().unique():
            text = str(entry).strip()
            offset = _hours(text, 3600 if key in _SECONDS else 1) if key not in _NAMES else None
            if offset is not None:
                yield rows.called(str(column)), text, (offset, "any")
            elif key in _NAMES and offsets_of(text):
                yield rows.called(str(column)), text, text


def _of_header(header: str) -> tuple[str, Any] | None:
    """Return the zone that a header such as ``time (UTC+1)`` or ``utc_time`` states, as text and as in :func:`_stated`."""
    found = re.search(r"[(\[]([^()\[\]]+)[)\]]\s*$", header)
    text = found[1].strip() if found else "UTC" if re.search(r"(?:^|[_ ])utc(?:[_ ]|$)", header.lower()) else ""
    if (hours := fixed_offset(text)) is not None or text.upper() == "UTC":
        return text, (hours or 0.0, "all")
    if text.upper() in _ABBREVIATIONS:
        return text, (float(_ABBREVIATIONS[text.upper()]), "standard")
    return (text, text) if "/" in text and offsets_of(text) else None


def _hours(text: str, unit: int) -> float | None:
    """Return an offset from UTC in hours, of ``+01:00`` or of a number of hours or seconds."""
    try:
        return float(text) / unit
    except ValueError:
        return fixed_offset(text)


def _agrees(zone: Any, tz: str) -> bool:
    """Whether a stated zone may be ``tz``, by the offsets of both in winter and in summer; an unknown ``tz`` is named elsewhere."""
    known = offsets_of(tz)
    if not known:
        return True
    if isinstance(zone, str):
        return offsets_of(zone) == known
    hours, which = zone
    if which == "standard":
        return hours == min(known)
    return hours in known if which == "any" else set(known) == {hours}


def _depends_on_zone(timestamps: pd.Series) -> bool:
    """Whether timestamps have hours and no offset; those that cannot be read are named by the reader of timestamps."""
    try:
        times = parse(timestamps)
    except SchemaError:
        return False
    return (
        pd.api.types.is_datetime64_any_dtype(times)
        and times.dt.tz is None
        and bool((times != times.dt.normalize()).any())
    )
