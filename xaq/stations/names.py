"""Names that a target may have: those that a Zarr store can hold, and that no variable of a cube has already."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .._arguments import shown
from ..conventions import ELEVATION, HIDDEN, LAT, LON, POINT, QUANTILE, STATION, TIME, is_pollutant, split_header

#: Dimensions, coordinates and variables of cubes, of estimates at points and of scores.
_TAKEN = {
    STATION, TIME, LAT, LON, ELEVATION, HIDDEN, POINT, QUANTILE, "bnds", "time_bnds", "lat_bnds", "lon_bnds",
    "spatial_ref", "supported", "stations_reporting", "nearest_station", "dissimilarity", "window", "step", "hour", "_xaq",
    "period_end", "forecast_reference_time", "forecast_period",
}  # fmt: skip
#: Metadata files of Zarr 3 and 2, which lie beside the variables.
_FILES = {"zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata"}
#: File systems allow 255 bytes, and bounds of intervals have a longer name than their target.
_LONGEST = 200


def name_problem(name: Any, others: Collection[Any]) -> str | None:
    """Return what is wrong with the name of a target, with the call that renames it; None where nothing is.

    ``others`` are the names that the dataset has, which the new name must not repeat.
    """
    reason = _reason(name)
    return None if reason is None else f"{name!r} {reason}; fix: ds.rename({{{name!r}: {_another(name, others)!r}}})"


def missing_problem(name: Any, known: Sequence[str]) -> str:
    """Return what is wrong with a target that a dataset does not have, with the argument that is nearest to what was meant.

    Parameters
    ----------
    name : object
        As it was given: a text, a list of texts, or anything else.
    known : sequence of str
        The variables of the dataset.
    """
    has = f"the dataset has: {some(known, 20) or 'none'}"
    if not known:
        return f"no variable {shown(name)}; {has}; fix: xaq.open_stations(...) with a table of observations"
    pollutants = [n for n in known if is_pollutant(n)]
    if isinstance(name, (list, tuple, np.ndarray, pd.Index)):
        names = [n for n in map(str, name) if n in known]
        each = f"target={(names or pollutants or known)[0]!r}"
        each += f", then target={names[1]!r}: one call for each" if len(names) > 1 else ""
        return f"target is {shown(name)}, expected the name of one variable; {has}; fix: {each}"
    pollutant = split_header(name)[0] if isinstance(name, str) else ""
    if is_pollutant(pollutant) and not pollutants:
        return f"no variable {shown(name)}; {has}, of which none is a pollutant; fix: xaq.open_stations(...) with a table that has {pollutant}"
    same = [n for n in pollutants if split_header(n)[0] == pollutant]
    # A model of another pollutant is what a pasted fix may give, never one of a covariate.
    close = difflib.get_close_matches(pollutant or str(name), pollutants if is_pollutant(pollutant) else known, n=1)
    meant = (same or close or pollutants or known)[0]
    return f"no variable {shown(name)}; {has}; fix: target={meant!r}"


def some(items: Iterable[Any], n: int = 5) -> str:
    """Return the first items as text, and the total number where there are more."""
    items = list(items)
    listed = ", ".join(str(item) for item in items[:n])
    return listed + (f", ... ({len(items)} in all)" if len(items) > n else "")


def _reason(name: Any) -> str | None:
    if not isinstance(name, str):
        return f"is a name of type {type(name).__name__}, expected a text"
    if not name.strip():
        return "is an empty name, expected a text"
    if name in _TAKEN:
        return "is the name of another variable of a cube"
    if name in _FILES or name.startswith("__") or set(name) == {"."}:
        return "is a name that Zarr reserves"
    if "/" in name or "\\" in name:
        return "contains a slash, which makes it a folder of a Zarr store"
    if not name.isprintable():
        return "contains characters that cannot be printed"
    if len(name.encode(errors="replace")) > _LONGEST:
        return f"is longer than {_LONGEST} bytes"
    return None


def _another(name: Any, others: Collection[Any]) -> str:
    """Return a name near to another that a target may have and the dataset does not: the pollutant's own where it is one."""
    pollutant = split_header(name)[0] if isinstance(name, str) else ""
    if is_pollutant(pollutant) and pollutant not in others:
        return pollutant
    plain = re.sub(r"[^\w.-]+", "_", str(name))[:60].strip("._") or "target"
    tries = (plain, f"{plain}_value", *(f"{plain}_{n}" for n in range(1, len(others) + 2)))
    return next(new for new in tries if _reason(new) is None and new not in others)
