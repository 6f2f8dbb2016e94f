"""Poland's national archive (GIOS, "bank danych pomiarowych"): a workbook per year, pollutant and averaging time.

A column per station; above the values stand rows for the station's code (``Kod stacji``), the pollutant (``Wskaźnik``), the averaging time
(``Czas uśredniania``), the units (``Jednostka``) and others, in an order that differs between years. Hours label their end, in UTC+1
all year; daily values (``24g``) carry their date. With GIOS's table of stations as ``stations=``, stations under an old code get the present one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pandas as pd
import xarray as xr

from ..arrays import timesteps
from ..conventions import LAT, LON, STATION, TIME, canonical_name, match_key
from ..errors import SchemaError
from ..stations.names import some
from .assembly import PARAMETER, UNITS, VALUE, Rows, assemble
from .source import Format, Request, Source, gather

_CODE, _POLLUTANT, _EVERY, _UNITS = "kod stacji", "wskaźnik", "czas uśredniania", "jednostka"
_OLD = "stary_kod_stacji"
#: Averaging times; others are known from the times of the data.
_STEPS = {"1g": timesteps.HOUR, "24g": timesteps.DAY}
_SHEET = "STACJE"


def _matches(header: Collection[str]) -> bool:
    """Whether the first row of a table is that of the numbers of stations, or of their codes."""
    numbered = {"nr", "1"} <= set(header) and all(h.isdigit() or match_key(h) == "nr" for h in header)
    return numbered or (_CODE in header and not {"kod stanowiska", "nazwa stacji"} & set(header))


def _read(source: Source, request: Request) -> xr.Dataset:
    places = _places(request)
    if places is None:
        raise SchemaError(
            "the files have no coordinates; fix: stations='Metadane oraz kody stacji i stanowisk pomiarowych.xlsx', GIOS's table, "
            "or another with station, lon and lat"
        )
    request.check_taken(places)
    pieces = [_rows(frame, request) for frame in source.frames(request)]
    every = sorted({e for _, e in pieces})
    if len(every) > 1:
        raise SchemaError(f"holds averages over {', '.join(every)}; fix: open the files of one of them")
    rows = gather([rows for rows, _ in pieces])
    rows = replace(rows, frame=rows.frame.assign(**{STATION: _present_codes(rows.frame[STATION], places, request)}))
    return assemble(
        rows, places, tz=request.tz, own_tz="Etc/GMT-1", ambiguous=request.ambiguous, whole_network=True, step=_STEPS.get(every[0]),
    )  # fmt: skip


def _rows(frame: pd.DataFrame, request: Request) -> tuple[Rows, str]:
    """Return the values of a file, a row for each, and its averaging time."""
    table = pd.concat([pd.DataFrame([frame.columns.map(str)]), frame.set_axis(range(frame.shape[1]), axis=1)])
    labels = table[0].map(lambda cell: match_key(cell) if isinstance(cell, str) else "")
    above = labels.where(~labels.str.match(r"\d")).replace("", pd.NA).notna().to_numpy()
    heads = table[above].set_axis(labels[above]).drop(columns=0)
    absent = [label for label in (_CODE, _POLLUTANT, _EVERY) if label not in heads.index]
    if absent:
        raise SchemaError(
            f"no row {', '.join(absent)} above the values; it has {', '.join(heads.index[:8])}; "
            "fix: files of the archive as GIOS publishes them"
        )
    every = sorted(heads.loc[_EVERY].dropna().astype(str).str.strip().unique())
    if len(every) != 1:
        raise SchemaError(f"holds averages over {', '.join(every) or 'no time'}; fix: open one of them at a time")
    values = table[~above]
    made = [
        pd.DataFrame({
            STATION: str(head[_CODE]).strip(),
            TIME: values[0].to_numpy(),
            PARAMETER: canonical_name(str(head[_POLLUTANT])),
            VALUE: values[column].to_numpy(),
            UNITS: head.get(_UNITS),
        })
        for column, head in heads.items()
    ]  # fmt: skip
    rows = pd.concat(made, ignore_index=True)
    if not pd.api.types.is_numeric_dtype(rows[VALUE]):
        commas = rows[VALUE].map(lambda v: v.replace(",", ".") if isinstance(v, str) else v)
        rows = rows.assign(**{VALUE: commas.infer_objects()})
    return Rows(request.cleaned(rows, (STATION, TIME, PARAMETER, UNITS)), {STATION: "Kod stacji"}), every[0]


def _places(request: Request) -> Rows | None:
    """Return the station list: GIOS's table of stations, or any other."""
    places = request.places(identifiers=(_CODE,), sheet=_SHEET)
    if places is None:
        return None
    # "WGS84 φ N" and "WGS84 λ E"; the Greek letters do not survive every encoding.
    ends = {"n": LAT, "e": LON}
    named = {c: ends[c[-1]] for c in map(str, places.frame.columns) if c.startswith("wgs84") and c[-1] in ends}
    names = {**places.names, **{role: places.called(column) for column, role in named.items()}}
    return Rows(places.frame.rename(columns=named), names, places.units)


def _present_codes(stations: pd.Series, places: Rows, request: Request) -> pd.Series:
    """Return the present codes of stations, where the list has a code as an old one only; the history of the request says which."""
    if not {STATION, _OLD} <= set(places.frame):
        return stations
    listed = places.frame.dropna(subset=[STATION, _OLD])
    present = dict(zip(listed[_OLD].astype(str), listed[STATION].astype(str), strict=True))
    known = {*listed[STATION].astype(str)}
    renamed = {s: present[s] for s in stations.unique() if s not in known and s in present}
    if renamed:
        pairs = some((f"{new} ({old})" for old, new in renamed.items()), 10)
        request.changes[f"stations have their present code in place of an old one: {pairs}"] += len(renamed)
    return stations.replace(renamed)


FORMAT = Format(
    "gios", "Polish national archive", _read, matches=_matches, timestamps="end", daily="start",
    files=("[12][0-9][0-9][0-9]_*_1g*.xlsx", "[12][0-9][0-9][0-9]_*_24g*.xlsx"),
)  # fmt: skip
