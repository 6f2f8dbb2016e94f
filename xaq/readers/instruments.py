"""Several instruments for one variable at one station: the first is the station, each further one a station of its own.

They are neither averaged nor dropped. Estimates and scores treat stations at one place as one place.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import xarray as xr

from ..conventions import STATION, TIME
from ..errors import SchemaError
from ..stations import schema
from ..stations.schema import some
from .assembly import PARAMETER, Rows
from .places import as_ids

#: The column of the instrument's identifier at its station.
MONITOR = "monitor"


def apart(rows: Rows, places: Rows | None, keys: Sequence[str] = ()) -> tuple[Rows, Rows | None, list[str]]:
    """Return the rows with each further instrument of a variable at a station as the station ``<station>-<instrument>``.

    Parameters
    ----------
    rows : Rows
        Narrow, with the column ``monitor``: what tells the instruments of a station apart. The first is that of the lowest
        number, numbers before texts.
    places : Rows, optional
        The station list. Each new station gets the place of its station.
    keys : sequence of str
        The source's columns of station, instrument, variable and time, for the advice on duplicate rows.

    Returns
    -------
    rows : Rows
        Without the column ``monitor``.
    places : Rows or None
    notes : list of str
        What was done, for ``history``; empty where every station has one instrument per variable.

    Raises
    ------
    SchemaError
        Several values of one instrument at one time, where ``keys`` are given.
    """
    frame = rows.frame.assign(**{STATION: as_ids(rows.frame[STATION]), MONITOR: as_ids(rows.frame[MONITOR])})
    if keys:
        _check_no_copies(frame, keys)
    of_variable = [STATION, PARAMETER]
    pairs = frame[[*of_variable, MONITOR]].drop_duplicates()
    number = pd.to_numeric(pairs[MONITOR], errors="coerce")
    pairs = pairs.assign(number=number).sort_values([*of_variable, "number", MONITOR], na_position="last")
    further = pairs[pairs[MONITOR] != pairs.groupby(of_variable)[MONITOR].transform("first")]
    if further.empty:
        return Rows(frame.drop(columns=MONITOR), rows.names, rows.units), places, []
    names = further[STATION] + "-" + further[MONITOR]
    new = pd.Series(names.to_numpy(), pd.MultiIndex.from_frame(further[[*of_variable, MONITOR]]))
    at = pd.MultiIndex.from_frame(frame[[*of_variable, MONITOR]])
    stations = pd.Series(new.reindex(at).to_numpy(), frame.index).fillna(frame[STATION])
    of = pd.DataFrame({STATION: further[STATION], "new": names}).drop_duplicates()
    if places is not None and STATION in places.frame:
        listed = places.frame.assign(**{STATION: as_ids(places.frame[STATION])})
        more = of.merge(listed, on=STATION).drop(columns=STATION).rename(columns={"new": STATION})
        places = Rows(pd.concat([listed, more], ignore_index=True), places.names, places.units)
    note = (
        f"{len(of)} further instrument(s) of a variable at {of[STATION].nunique()} station(s) are stations of their own: "
        f"{some(of['new'], 3)}"
    )
    return Rows(frame.drop(columns=MONITOR).assign(**{STATION: stations}), rows.names, rows.units), places, [note]


def _check_no_copies(frame: pd.DataFrame, keys: Sequence[str]) -> None:
    twice = frame.duplicated([STATION, PARAMETER, MONITOR, TIME])
    if twice.any():
        first = frame[twice].iloc[0]
        raise SchemaError(
            f"{int(twice.sum())} duplicate rows, first: station {first[STATION]}, instrument {first[MONITOR]}, {first[PARAMETER]}, "
            f"{first[TIME]}; fix: table = table.drop_duplicates({list(keys)}), where the first row of each is right"
        )


def recorded(ds: xr.Dataset, notes: Sequence[str]) -> xr.Dataset:
    """Return the dataset with the notes of a reader in its ``history``."""
    return schema.record(ds, "open_stations", notes)
