"""Which entries of a table count, and as what: statuses, words for missing values, values below a detection limit.

Nothing here is guessed: each rule is one that the caller states, and each change is counted for the history of the dataset.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .._arguments import shown
from ..conventions import ROLE_NAMES, STATION_TEXT, is_pollutant, match_key, split_header
from ..errors import SchemaError, warn

#: What values below a detection limit may become.
CENSORED = ("half", "zero", "missing")
#: Names of a column of statuses, also at the end of its name, behind that of the column of values.
_STATUS = ("status", "flag", "flags", "qc", "qa", "qc_flag", "qa_flag", "quality", "quality_flag", "validity")
_UNITS = ("unit", "units")
#: The name that pandas gives to a repeated column.
_NUMBERED = re.compile(rf"(?:{'|'.join(_STATUS)})\.\d+")
#: "<0.5", "< 0,5", "<LOD", "LOD", "ND", "n.d."
_WORD = r"(?:lod|loq|dl|mdl|bdl|bld|nd|n\.d\.?)"
_BELOW = re.compile(rf"\s*(?:<\s*=?\s*(?P<limit>\d*[.,]?\d+(?:e[+-]?\d+)?)|<\s*{_WORD}|{_WORD})\s*", re.IGNORECASE)

#: "<1,000" may be one or a thousand.
_THOUSANDS = re.compile(r"\s*<\s*=?\s*[1-9]\d{0,2},\d{3}\s*")


def named_statuses(header: Sequence[str], subject: str) -> list[str]:
    """Return a header whose repeated columns of statuses have the names of the columns of values that they follow.

    Raises
    ------
    SchemaError
        They may as well stand before their columns of values.
    """
    repeated = {match_key(name) for name, count in Counter(map(match_key, header)).items() if count > 1}
    repeated &= {*_STATUS}
    if repeated and _may_precede(header, repeated):
        raise SchemaError(
            f"has several columns {', '.join(map(repr, sorted({n for n in header if match_key(n) in repeated})))}, each of the column "
            f"before or behind it, which is not certain; the header is {', '.join(header[:12])}; fix: name each in the header, as 'pm25_flag'",
            subject=subject,
        )
    names = list(header)
    for i in range(1, len(names)):
        key = match_key(names[i])
        if key in repeated and match_key(header[i - 1]) not in _STATUS:
            names[i] = f"{names[i - 1]}_{names[i]}"
    return names


def _may_precede(header: Sequence[str], repeated: Collection[str]) -> bool:
    """Whether columns of statuses may stand before their values: the first is behind no values, or the last values have none behind."""
    keys = [match_key(name) for name in header]
    others = {"", *_UNITS, *(n for names in (*ROLE_NAMES.values(), *STATION_TEXT.values()) for n in names)}
    first = next(i for i, key in enumerate(keys) if key in repeated)
    values = [i for i, key in enumerate(keys) if key not in others and key not in _STATUS]
    if first == 0 or not values or keys[first - 1] in others:
        return True
    has_status = [i + 1 < len(keys) and keys[i + 1] in _STATUS for i in values]
    return not has_status[-1] and (has_status[0] or keys[values[-1] - 1] in repeated)


# -- missing values ----------------------------------------------------------------------------------------------------


def without_missing(frame: pd.DataFrame, na_values: Any, ids: Collection[str], counts: Counter[str]) -> pd.DataFrame:
    """Return a table in which entries that stand for missing values are missing.

    Parameters
    ----------
    frame : pandas.DataFrame
        A table with a header.
    na_values : scalar, sequence or mapping
        The entries, or the entries by column, as in ``pandas.read_csv``.
    ids : collection of str
        Columns, in plain lower case, that are left as they are unless ``na_values`` names them.
    counts : Counter
        Gains the number of entries by a line of history.

    Raises
    ------
    SchemaError
        A column that ``na_values`` names does not exist.
    """
    if isinstance(na_values, Mapping):
        by_key = {match_key(column): _listed(entries) for column, entries in na_values.items()}
        absent = [str(c) for c in na_values if match_key(c) not in {match_key(name) for name in frame.columns}]
        if absent:
            raise SchemaError(
                f"na_values names {', '.join(map(repr, absent))}, which does not exist; "
                f"fix: one of {', '.join(map(str, frame.columns))}"
            )
    else:
        by_key = {match_key(c): _listed(na_values) for c in frame.columns if match_key(c) not in ids}
    made = {}
    for name in frame.columns:
        found = _are(frame[name], by_key.get(match_key(name), []))
        if found.any():
            made[name] = frame[name].astype(object).mask(found, np.nan).infer_objects()
            counts[f"values are missing where the source has {shown(na_values)}"] += int(found.sum())
    return _assigned(frame, made)


def _listed(entries: Any) -> list[Any]:
    return (
        [entries] if isinstance(entries, str) or not isinstance(entries, (Sequence, set, frozenset)) else list(entries)
    )


def _are(column: pd.Series, entries: Collection[Any]) -> pd.Series:
    """Return where a column has one of the entries; numbers are compared as numbers, also where they are text."""
    found = pd.Series(False, column.index)
    if not entries or pd.api.types.is_datetime64_any_dtype(column):
        return found
    numbers = [n for n in pd.to_numeric(pd.Series([str(e) for e in entries]), errors="coerce") if pd.notna(n)]
    if numbers:
        found |= pd.to_numeric(column, errors="coerce").isin(numbers)
    if not pd.api.types.is_numeric_dtype(column):
        found |= column.map(str).str.strip().isin({str(e).strip() for e in entries})
    return found


def _assigned(frame: pd.DataFrame, made: Mapping[Any, pd.Series]) -> pd.DataFrame:
    frame = frame.copy()
    for name, column in made.items():
        frame[name] = column
    return frame


# -- values below a detection limit ------------------------------------------------------------------------------------


def below_limit(column: pd.Series) -> pd.Series:
    """Return which entries of a column are text such as ``<0.5``, ``<LOD`` or ``ND``."""
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        return pd.Series(False, column.index)
    return column.map(lambda entry: isinstance(entry, str) and _BELOW.fullmatch(entry) is not None).astype(bool)


def _limits(texts: pd.Series) -> pd.Series:
    """Return the limits that values below a limit state, NaN where they state none."""
    stated = texts.astype("str").str.extract(_BELOW)["limit"]
    return stated.str.replace(",", ".").astype(float)


def refuse_censored(entries: pd.Series, name: str, others: Collection[str] = ()) -> SchemaError:
    """Return the error of values below a detection limit for which the caller states no rule; ``others`` are words beside them."""
    words = entries.map(str).str.strip()
    limits = _limits(words).notna()
    ways = "censored='half', 'zero' or 'missing'" if limits.all() else "censored='zero' or 'missing'"
    if others:
        # With a rule alone the column would still not be one of numbers.
        ways = f"na_values={[*others][:5]}, which makes these missing, together with {ways}"
        name_them = f", and beside them entries that are no numbers, such as {', '.join(map(repr, [*others][:3]))}"
    else:
        name_them = ""
    return SchemaError(
        f"column {name!r} has {len(words)} values below a detection limit, such as {', '.join(map(repr, words.unique()[:3]))}{name_them}; "
        f"expected a rule for what they become: half of the limit, zero or missing; fix: {ways}"
    )


def with_censored(frame: pd.DataFrame, rule: str, ids: Collection[str], counts: Counter[str]) -> pd.DataFrame:
    """Return a table in which values below a detection limit are half of it, zero or missing.

    Only columns whose other entries are numbers, beside those in ``ids``, are changed. ``counts`` as in :func:`without_missing`.

    Raises
    ------
    SchemaError
        Half of a limit that the entry does not state, or not clearly.
    """
    made = {}
    for name in frame.columns:
        below = below_limit(frame[name]) if match_key(name) not in ids else pd.Series(False, frame.index)
        rest = frame[name][~below & frame[name].notna()]
        if not below.any() or pd.to_numeric(rest, errors="coerce").isna().any():
            continue
        texts = frame[name][below]
        limits = _limits(texts)
        if rest.empty and limits.isna().all():
            continue  # a column of words
        if rule == "half" and limits.isna().any():
            word = str(texts[limits.isna()].iloc[0])
            raise SchemaError(
                f"censored='half' takes half of the limit, and {int(limits.isna().sum())} entries of column {name!r}, such as {word!r}, "
                f"state none; fix: na_values=[{word!r}], which makes these missing, or censored='zero' or 'missing' for all"
            )
        unclear = texts[texts.str.fullmatch(_THOUSANDS)] if rule == "half" else texts[:0]
        if len(unclear):
            entry = str(unclear.iloc[0]).strip()
            raise SchemaError(
                f"column {name!r} has {len(unclear)} limits such as {entry!r}, whose comma may be of thousands or decimal; expected no comma; "
                f"fix: write {entry.replace(',', '')!r} or {entry.replace(',', '.')!r}, or censored='zero' or 'missing'"
            )
        values = {"half": limits / 2, "zero": 0.0, "missing": np.nan}[rule]
        column = frame[name].astype(object)
        column[below] = values
        made[name] = pd.to_numeric(column)
        done = {"half": "half of it", "zero": "zero", "missing": "missing"}[rule]
        counts[f"values below their detection limit are {done} (censored={rule!r})"] += int(below.sum())
    return _assigned(frame, made)


# -- statuses ----------------------------------------------------------------------------------------------------------


def valid_only(frame: pd.DataFrame, valid: Any, columns: Mapping[str, str], counts: Counter[str]) -> pd.DataFrame:
    """Return a table without its columns of statuses, in which values with another status than those that count are missing.

    A column ``status`` or ``flag`` is that of the row, which is left out; ``pm25_flag`` that of the column ``pm25``.

    Parameters
    ----------
    frame : pandas.DataFrame
        A table with a header.
    valid : sequence, or mapping of sequences
        The statuses that count; by column where the names of these columns are not common ones.
    columns : mapping
        Columns that the caller named, by role.
    counts : Counter
        As in :func:`without_missing`.

    Raises
    ------
    SchemaError
        No column of statuses, one whose values are not found, or no value with a status that counts.
    """
    rules, beside = _rules(list(frame.columns), columns, valid)
    frame = frame.copy()
    for status, wanted in rules.items():
        values = beside[status]
        kept = _are(frame[status], wanted)
        lost = ~kept if values is None else ~kept & frame[values].notna()
        if not kept.any():
            there = [shown(s) for s in pd.unique(frame[status].dropna())[:5]]
            raise SchemaError(
                f"no row has a status that counts: valid has {', '.join(map(shown, wanted))} and column {str(status)!r} has "
                f"{', '.join(there) or 'none'}; fix: valid={{{str(status)!r}: [{', '.join(there[:1])}]}}"
            )
        if values is None:
            frame = frame[kept].reset_index(drop=True)
        else:
            frame[values] = frame[values].mask(lost, np.nan)
        what = (
            f"rows are left out whose {status}" if values is None else f"values of {values} are missing whose {status}"
        )
        counts[f"{what} is none of {', '.join(map(str, wanted))}"] += int(lost.sum())
    return frame.drop(columns=list(rules))


def warn_of_statuses(frames: Sequence[pd.DataFrame], columns: Mapping[str, str]) -> None:
    """Warn of columns of statuses where the caller does not say which count, with the statuses in the tables."""
    there: dict[Any, dict[str, None]] = {}
    for frame in frames:
        for column, values in statuses_beside(list(frame.columns), columns).items():
            if values is not None or match_key(column) in _STATUS:
                there.setdefault(column, {}).update(dict.fromkeys(map(shown, frame[column].dropna().unique().tolist())))
    listed = [f"{str(column)!r} ({', '.join([*found][:5])})" for column, found in there.items() if found]
    if listed:
        column = next(c for c, found in there.items() if found)
        warn(
            f"every value counts, whatever its status, in the columns {', '.join(listed[:5])}; fix: "
            f"valid={{{str(column)!r}: [{next(iter(there[column]))}]}}, with those that count"
        )


def _rules(
    header: Sequence[Any], columns: Mapping[str, str], valid: Any
) -> tuple[dict[Any, list[Any]], dict[Any, Any]]:
    """Return the statuses that count by column of statuses, and the column of values of each; None where it is about the row."""
    by_key = {match_key(c): c for c in header}
    beside = statuses_beside(header, columns)
    if isinstance(valid, Mapping):
        absent = [str(c) for c in valid if match_key(c) not in by_key]
        found = {by_key[match_key(c)]: _listed(entries) for c, entries in valid.items() if match_key(c) in by_key}
    else:
        absent = []
        found = {c: _listed(valid) for c in header if c in beside}
    if absent or not found:
        what = (
            f"valid names {', '.join(map(repr, absent))}, which does not exist" if absent else "no column of statuses"
        )
        raise SchemaError(
            f"{what} (looked for {', '.join(_STATUS[:4])}, pm25_flag, ...); the table has {', '.join(map(str, header[:12]))}; "
            f"fix: valid={{'your column of statuses': {shown(_wanted(valid))}}}"
        )
    lost = [c for c in found if c in beside and beside[c] is None and match_key(c) not in _STATUS]
    lost = [c for c in lost if not isinstance(valid, Mapping) or any(map(is_pollutant, _stems(match_key(c), _STATUS)))]
    if lost:
        names = ", ".join(map(repr, map(str, lost)))
        raise SchemaError(
            f"no column of values for the columns of statuses {names}; expected pm25 beside pm25_flag; fix: columns={{'pm25': 'your column "
            f"of values'}}, or valid={{'pm25_flag': {shown(_wanted(valid))}}} with those of your columns that are statuses"
        )
    return found, {**beside, **_beside_others(header, columns, [c for c in found if c not in beside])}


def _wanted(valid: Any) -> list[Any]:
    return list(next(iter(valid.values()))) if isinstance(valid, Mapping) else list(valid)


def statuses_beside(header: Sequence[Any], columns: Mapping[str, str]) -> dict[Any, Any]:
    """Return the columns of statuses, by their common names, each with its column of values.

    That is None for a status of the row, and where no column has the name that the status states. Names are compared as xaq reads them:
    ``PM2.5_flag`` is that of ``PM2.5 (ug/m3)``. ``columns`` are the names that the caller stated, by role.
    """
    known = _columns_by_name(header, columns)
    found: dict[Any, Any] = {}
    for column in header:
        key = match_key(column)
        stems = _stems(key, _STATUS)
        values = next((known[stem] for stem in stems if known.get(stem, column) != column), None)
        ends = any(key.endswith(f"{gap}{word}") for word in _STATUS for gap in "_ .")
        if key in _STATUS or _NUMBERED.fullmatch(key) or values is not None or ends or any(map(is_pollutant, stems)):
            found[column] = values
    return found


def _columns_by_name(header: Sequence[Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """Return columns by their names as written in lower case and, behind these, by xaq's names."""
    known = {split_header(str(c))[0]: c for c in reversed(header)}
    known.update({match_key(role): c for role, c in columns.items() if c in header})
    return {**known, **{match_key(c): c for c in header}}


def _stems(key: str, words: Sequence[str]) -> list[str]:
    """Return what may stand beside a word of a status in a name, as written and as xaq writes it, the shortest first."""
    stems = {key[: -len(w) - 1] for w in words for gap in "_ ." if key.endswith(f"{gap}{w}")}
    stems |= {key[len(w) + 1 :] for w in words for gap in "_ ." if key.startswith(f"{w}{gap}")}
    ordered = sorted(filter(None, stems), key=len)
    return [*ordered, *(split_header(stem)[0] for stem in ordered)]


def _beside_others(header: Sequence[Any], columns: Mapping[str, str], named: Sequence[Any]) -> dict[Any, Any]:
    """Return the columns of values of columns of statuses whose names are not common ones: by their names, or by their place.

    By place, where there are several and each stands directly behind a column of values. One alone is about the row.
    """
    known = {
        name: c for name, c in _columns_by_name(header, columns).items() if c not in named and not _is_role(c, columns)
    }
    found: dict[Any, Any] = {}
    for column in named:
        key = match_key(column)
        cuts = [part for m in re.finditer(r"[_ .]", key) for part in (key[: m.start()], key[m.end() :])]
        names = [*cuts, *(split_header(part)[0] for part in cuts if part)]
        found[column] = next((known[name] for name in names if name in known), None)
    rest = [c for c in named if found[c] is None]
    before = {c: header[header.index(c) - 1] for c in rest if header.index(c)}
    if len(rest) > 1 and len(before) == len(rest) and all(c in known.values() for c in before.values()):
        found.update(before)
    return found


def _is_role(column: Any, columns: Mapping[str, str]) -> bool:
    """Whether a column is a station, a time, a place or a text about a station rather than values."""
    key = match_key(column)
    if any(columns.get(role) == column for role in ROLE_NAMES):
        return True
    return any(key in names for names in (*ROLE_NAMES.values(), *STATION_TEXT.values()))


def readings_as_numbers(column: pd.Series, name: str) -> pd.Series:
    """Return the readings of an instrument as numbers; those that are none are missing, with a warning."""
    numbers = pd.to_numeric(column, errors="coerce")
    lost = column.notna() & numbers.isna()
    if lost.any():
        examples = ", ".join(map(repr, column[lost].map(str).unique()[:3]))
        warn(
            f"{int(lost.sum())} of {len(column)} readings of {name} are no numbers, such as {examples}, and are missing"
        )
    return numbers


def reading_options(entries: pd.Series) -> str:
    """Return the options of ``pd.read_csv`` that turn these entries into numbers or missing values."""
    texts = pd.Series(entries.map(str).unique())
    thousands = texts.str.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")
    commas = texts.str.fullmatch(r"[+-]?\d+,\d+([eE][+-]?\d+)?") & ~thousands
    both = texts.str.fullmatch(r"[+-]?\d{1,3}(\.\d{3})+,\d+")
    spaced = texts.str.fullmatch(r"[+-]?\d{1,3}([ ']\d{3})+([.,]\d*)?")
    words = texts[~commas & ~thousands & ~both & ~spaced].tolist()[:5]
    # One comma before three digits may be a decimal mark, which only the caller knows.
    mark = ["decimal=','"] if commas.any() else ["thousands=','"] * bool(thousands.any())
    mark = ["thousands='.'", "decimal=','"] if both.any() else mark
    if spaced.any():
        gap = texts[spaced].str.extract(r"\d([ '])\d{3}")[0].iloc[0]
        decimals = commas.any() or texts[spaced].str.contains(",").any()
        mark = [f"thousands={gap!r}", *["decimal=','"] * bool(decimals)]
    return ", ".join(mark + [f"na_values={words}"] * bool(words))
