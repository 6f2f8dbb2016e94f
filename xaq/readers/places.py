"""The coordinates of stations: one place for each, and what is known of it as text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import pandas as pd

from ..conventions import AREA, ELEVATION, KIND, LAT, LON, STATION, STATION_TEXT, match_key
from ..errors import SchemaError, warn
from ..stations.schema import some
from .coordinates import as_numbers

#: How far apart two values for one station may be that count as rounding: 0.001 degrees are about 100 m.
_ROUNDING = {LON: 0.001, LAT: 0.001, ELEVATION: 10.0}
#: Other networks' words for types of stations and areas, in EEA's.
_WORDS = {
    KIND: {"tło": "background", "komunikacyjna": "traffic", "przemysłowa": "industrial"},
    AREA: {"miejski": "urban", "podmiejski": "suburban", "pozamiejski": "rural", "urban and center city": "urban"},
}
#: What stands for a text that is not known.
_UNKNOWN = ("", "-", "nan", "none", "unknown", "brak danych")


def places_of(frame: pd.DataFrame, called: Callable[[str], str], subject: str) -> pd.DataFrame:
    """Return one row of coordinates per station id.

    Several values for one station that differ by no more than rounding are replaced by their midpoint, with a warning.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns ``station``, ``lon``, ``lat`` and perhaps ``elevation``; any number of rows per station.
    called : callable
        Returns the user's name of a column.
    subject : str
        "station list", or any other for a table, for messages.

    Returns
    -------
    pandas.DataFrame
        Columns ``lon``, ``lat`` and perhaps ``elevation`` by station id; NaN where they are missing.

    Raises
    ------
    SchemaError
        Text that is no coordinate, exchanged longitudes and latitudes, two places for one station.
    """
    wanted = [c for c in (STATION, LON, LAT, ELEVATION) if c in frame]
    places = frame[wanted].drop_duplicates()
    places = places[places[STATION].notna()].reset_index(drop=True)
    places[STATION] = as_ids(places[STATION])
    for column in wanted[1:]:
        places[column] = as_numbers(places[column], column, places[STATION], called(column), called(STATION), subject)
    _check_not_swapped(places, called, subject)
    _check_not_swapped_somewhere(places, called, subject)
    by_station = places.groupby(STATION, sort=False)[wanted[1:]]
    low, high = by_station.min(), by_station.max()
    _check_one_place(low, high, called, subject)
    return low.where(low == high, (low + high) / 2)


def station_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what a table says of its stations in words, such as their type.

    Parameters
    ----------
    frame : pandas.DataFrame
        Column ``station``, and any others; any number of rows per station.

    Returns
    -------
    pandas.DataFrame
        A row per station id, and a column per coordinate of ``conventions.STATION_TEXT`` that the table has as text: types of
        stations and areas in EEA's words, several texts of one station separated by ``"; "``, empty where none is known.
    """
    columns = {re.sub(r"[ .]+", "_", match_key(c)): c for c in frame.columns}
    named = {of: next((columns[n] for n in names if n in columns), None) for of, names in STATION_TEXT.items()}
    found = {of: c for of, c in named.items() if c is not None and not pd.api.types.is_numeric_dtype(frame[c])}
    if not found:
        return pd.DataFrame()
    known = frame[[STATION, *found.values()]].drop_duplicates().dropna(subset=[STATION]).reset_index(drop=True)
    ids = as_ids(known[STATION])
    texts = {}
    for coordinate, column in found.items():
        words = known[column].dropna().map(lambda text, of=coordinate: _in_words(str(text), of))
        pairs = pd.DataFrame({STATION: ids[words.index], "text": words}).drop_duplicates()
        texts[coordinate] = pairs[pairs["text"] != ""].groupby(STATION, sort=False)["text"].agg("; ".join)
    return pd.DataFrame(texts, index=pd.Index(ids.unique(), name=STATION), dtype=object).fillna("")


def _in_words(text: str, coordinate: str) -> str:
    """Return the text of a cell: types in EEA's words, of EEA's addresses the last part, empty where it says nothing."""
    plain = text.strip()
    plain = plain.rsplit("/", 1)[-1] if plain.startswith("http") else plain
    if plain.lower() in _UNKNOWN:
        return ""
    return _WORDS[coordinate].get(plain.lower(), plain.lower()) if coordinate in _WORDS else plain


def warn_of_two_meanings(column: pd.Series, name: str) -> None:
    """Warn where a column of numbers has the name of a coordinate of stations, such as their area in words."""
    if pd.api.types.is_numeric_dtype(column):
        warn(
            f"column {name!r} of numbers is left out: {name} is a coordinate of the stations; fix: "
            f"table = table.rename(columns={{{name!r}: {name + '_number'!r}}}) to have both"
        )


def as_ids(stations: pd.Series) -> pd.Series:
    """Return ids as text without spaces around it; whole numbers that pandas keeps as float have no decimals."""
    if pd.api.types.is_float_dtype(stations) and stations.notna().all() and (stations % 1 == 0).all():
        stations = stations.astype("int64")
    return stations.astype(str).str.strip()


def _check_not_swapped(places: pd.DataFrame, called: Callable[[str], str], subject: str) -> None:
    """Raise where the columns of longitude and latitude seem exchanged."""
    lon, lat = (places[c].abs().max() for c in (LON, LAT))
    if lat > 90 >= lon:
        raise SchemaError(
            f"latitudes reach {lat:g} and longitudes only {lon:g}: they look swapped; "
            f"fix: columns={{'lon': {called(LAT)!r}, 'lat': {called(LON)!r}}}",
            subject=subject,
        )


def _check_not_swapped_somewhere(places: pd.DataFrame, called: Callable[[str], str], subject: str) -> None:
    """Raise where longitude and latitude of some stations seem exchanged: ``repair`` needs a dataset, which cannot be made."""
    swapped = (places[LAT].abs() > 90) & (places[LAT].abs() <= 180) & (places[LON].abs() <= 90)
    if not swapped.any():
        return
    first, ids = places[swapped].iloc[0], places.loc[swapped, STATION].unique()
    frame, lon, lat = "places" if subject == "station list" else "table", called(LON), called(LAT)
    at = f"{frame}[{lat!r}].abs().between(90, 180)"
    raise SchemaError(
        f"longitude and latitude of {len(ids)} station(s) look swapped: {some(ids)} (lat={first[LAT]:g}, lon={first[LON]:g}); "
        f"fix: {frame}.loc[{at}, [{lon!r}, {lat!r}]] = {frame}.loc[{at}, [{lat!r}, {lon!r}]].to_numpy()",
        subject=subject,
    )


def _check_one_place(low: pd.DataFrame, high: pd.DataFrame, called: Callable[[str], str], subject: str) -> None:
    """Raise where stations have several places, and warn where they differ by rounding only."""
    apart = high - low
    for column in apart:
        far = apart.index[apart[column] > _ROUNDING[str(column)]]
        if len(far):
            first = far[0]
            frame = "places" if subject == "station list" else "table"
            raise SchemaError(
                f"{len(far)} station(s) have several places: {some(far)}; {called(str(column))} of {first} is "
                f"{low[column][first]:.10g} and {high[column][first]:.10g}; "
                f"fix: stations={frame}.drop_duplicates({called(STATION)!r}), where the first row of each is right",
                subject=subject,
            )
    close = apart.index[(apart > 0).any(axis=1)]
    if len(close):
        warn(
            f"{len(close)} station(s) have several places that differ by rounding, at most {apart[[LON, LAT]].max().max():.2g} degrees: "
            f"{some(close)}; their midpoint is used"
        )


def placed(places: pd.DataFrame) -> pd.Index:
    """Return the ids of the stations that have coordinates; a latitude beyond a pole, such as -999, is none."""
    return places.index[places[LON].notna() & (places[LAT].abs() <= 90)]


def check_placed(ids: pd.Index, places: pd.DataFrame, called: str, columns: Mapping[str, list[str]]) -> None:
    """Raise where stations have no coordinates.

    ``called`` is the user's name of the column of stations, ``columns`` are those of each station in a wide table.
    """
    unplaced = ids.difference(placed(places))
    if len(unplaced):
        kept = f"table[~table[{called!r}].astype(str).isin({unplaced.tolist()})]"
        if columns:
            kept = f"table.drop(columns={[c for station in unplaced for c in columns[station]]})"
        raise SchemaError(
            f"{len(unplaced)} of {len(ids)} stations have no coordinates: {some(unplaced)} ({_why(unplaced, places)}); "
            f"fix: add them to the list, or leave them out: table = {kept}"
        )


def leave_out(ids: pd.Index, places: pd.DataFrame) -> pd.Index:
    """Return the stations that have coordinates in the list, and warn about the others, which are left out."""
    kept = ids.intersection(placed(places))
    absent = ids.difference(kept)
    if kept.empty:
        raise SchemaError(
            f"none of the {len(ids)} stations ({some(ids, 3)}) is in the station list ({some(places.index, 3)}); "
            "fix: stations= with the same identifiers"
        )
    empty = absent.intersection(places.index)
    if len(empty):
        warn(
            f"{len(empty)} of {len(ids)} stations have empty or impossible coordinates in the station list and are left out: {some(empty)}"
        )
    absent = absent.difference(empty)
    if len(absent):
        warn(
            f"{len(absent)} of {len(ids)} stations are not in the station list and are left out: {some(absent)}; "
            "fix: add them to the list"
        )
    return kept


def _why(unplaced: pd.Index, places: pd.DataFrame) -> str:
    """Return why stations have no coordinates: they are in no row, or with empty or impossible coordinates."""
    listed = unplaced.intersection(places.index)
    if len(listed) == len(unplaced):
        return "they are listed, with empty or impossible coordinates"
    also = f"; {len(listed)} of them with empty or impossible coordinates" if len(listed) else ""
    return f"the list has {some(places.index, 3)}{also}"
