"""Several files as one field: along time where they hold the same variables, beside each other where they do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import xarray as xr

from ..conventions import TIME
from ..errors import SchemaError
from ..stations.schema import some
from .ecmwf import sums_at_start
from .field_units import check_unpacked, convert, field_units
from .forecasts import LEAD, durations
from .settle import with_times


def combined(parts: Sequence[xr.Dataset]) -> xr.Dataset:
    """Return settled datasets as one; their order does not matter. Hourly sums get the start of their hour. Lazy.

    Raises
    ------
    SchemaError
        Their grids or units differ, or variables have other times than others.
    """
    groups: dict[frozenset[str], list[xr.Dataset]] = {}
    for part in parts:
        groups.setdefault(frozenset(map(str, part.data_vars)), []).append(part)
    wholes = [sums_at_start(_along_time(group)) for group in groups.values()]
    if len(wholes) == 1:
        return wholes[0]
    doubled = [n for n in set().union(*groups) if sum(n in names for names in groups) > 1]
    if doubled:
        raise SchemaError(
            f"{some(sorted(doubled))} is in files beside other variables and in files without; "
            f"fix: open_field(..., variable={min(doubled)!r})",
            subject="open_field",
        )
    try:
        merged = xr.merge(wholes, join="exact", compat="override", combine_attrs="drop_conflicts")
    except ValueError as error:
        names = [sorted(map(str, whole.data_vars))[0] for whole in wholes[:2]]
        spans = " and ".join(f"{n} {_span(whole)}" for n, whole in zip(names, wholes, strict=False))
        raise SchemaError(
            f"the files differ in their times or grids: {spans}; fix: open_field(..., variable={names[0]!r}), and another "
            f"call for {names[1]!r}",
            subject="open_field",
        ) from error
    return merged.assign_attrs(history=_histories(wholes))


def _along_time(parts: list[xr.Dataset]) -> xr.Dataset:
    if len(parts) == 1:
        return parts[0]
    parts = [_in_time(part) for part in parts]
    if not all(TIME in part.dims for part in parts):
        raise SchemaError(
            f"{len(parts)} files of {', '.join(map(str, parts[0].data_vars))} without a time to put them in order; fix: one of them",
            subject="open_field",
        )
    without = sum(LEAD not in part.coords for part in parts)
    if 0 < without < len(parts):
        raise SchemaError(
            f"{without} of {len(parts)} files state no lead (forecast_period), the others are forecasts; "
            "fix: open the files of each kind in a call of their own",
            subject="open_field",
        )
    parts = _in_one_unit(parts)
    try:
        whole = xr.concat(parts, TIME, data_vars="all", coords="minimal", compat="override", join="exact")
    except ValueError as error:
        raise SchemaError(
            f"the files are on different grids ({' '.join(str(error).split())[:120]}); fix: files of one grid",
            subject="open_field",
        ) from error
    return whole.assign_attrs(history=_histories(parts))


def _in_one_unit(parts: list[xr.Dataset]) -> list[xr.Dataset]:
    """Return datasets whose variables have one unit each: converted where units differ, or raise. Lazy.

    A join keeps the attributes of the first part, whatever the others state.
    """
    for part in parts:
        for array in part.data_vars.values():
            check_unpacked(array, "open_field")
    if not _several_units(parts):
        return parts
    parts = [convert(part) for part in parts]
    for name, counts in _several_units(parts).items():
        (first, *_), n = counts, len(parts)
        said = ", ".join(f"in {units!r} in {count} of {n} files" for units, count in counts.items())
        raise SchemaError(
            f"{name!r} is {said}: open each kind in a call of its own, such as a and b, convert one and join them; fix: "
            f"xr.concat([a, (b * factor).assign_attrs(units={first!r})], 'time')",
            subject="open_field",
        )
    return parts


def _several_units(parts: list[xr.Dataset]) -> dict[str, Counter[str]]:
    """Return how many parts have a variable in which units, of variables that have several."""
    counts = {
        str(name): Counter(field_units(str(part[name].attrs.get("units", ""))) for part in parts)
        for name in parts[0].data_vars
    }
    return {name: count for name, count in counts.items() if len(count) > 1}


def _in_time(part: xr.Dataset) -> xr.Dataset:
    """Return a dataset of one time, as a single value, with a dimension of it; others as they are. Lazy."""
    if TIME in part.dims or TIME not in part.coords:
        return part
    lead = {} if LEAD not in part.coords else {LEAD: (TIME, np.atleast_1d(durations(part[LEAD])), part[LEAD].attrs)}
    return with_times(part.expand_dims(TIME).assign_coords(lead))


def _histories(parts: Sequence[xr.Dataset]) -> str:
    """Return the lines of all histories, each once."""
    lines = [line for part in parts for line in str(part.attrs.get("history", "")).split("\n") if line]
    return "\n".join(dict.fromkeys(lines))


def _span(ds: xr.Dataset) -> str:
    shape = " x ".join(f"{n} {d}" for d, n in ds.sizes.items())
    if TIME not in ds.dims:
        return f"({shape})"
    first, last = (f"{t.astype('datetime64[s]')}" for t in (ds[TIME].values.min(), ds[TIME].values.max()))
    return f"from {first} to {last} ({shape})"
