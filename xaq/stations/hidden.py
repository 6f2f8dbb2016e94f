"""The coordinate ``hidden``: truth values along station, and what is wrong with one that holds anything else.

Any text is true, and so is NaN: only truth values may decide which stations are learned from.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ..conventions import HIDDEN, ROLE_CF, STATION

#: Texts that mean that a station is hidden, and those that mean that it is not.
_TRUE, _FALSE = ("true", "t", "yes", "y", "1", "hidden"), ("false", "f", "no", "n", "0", "visible", "")
#: The fix where nothing says which stations are meant.
_ANEW = "ds.drop_vars('hidden').aq.hide(fraction=0.15)"
_EXPECTED = "expected True or False for each station"


def settle_hidden(ds: xr.Dataset, given: Sequence[Hashable]) -> tuple[xr.Dataset, list[str]]:
    """Return the dataset with ``hidden`` as bool along station, and the problems that prevent it.

    Parameters
    ----------
    ds : xarray.Dataset
        With its roles under xaq's names, and with the coordinate.
    given : sequence of hashable
        The dimensions of the coordinate by the names that the user's dataset has for them.
    """
    variable = ds[HIDDEN].variable
    values = np.asarray(variable.values)
    if variable.dims != (STATION,):
        return ds, [_wrong_dims(variable.dims, given, values)]
    missing = pd.isnull(values)
    if missing.any():
        ids = ds[STATION].values if STATION in ds.coords else np.arange(len(values))
        return ds, [_missing(values, missing, ids)]
    if values.dtype == bool:
        return ds, []
    if not _are_truths(values):
        shown = ", ".join(dict.fromkeys(map(repr, values.tolist())))
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        return ds, [f"hidden holds {shown}, {_EXPECTED}; fix: {_converted(values)}"]
    # Other tools write truth values as 0 and 1; a merge makes objects of them.
    attrs = {**ROLE_CF[HIDDEN], **variable.attrs}
    return ds.assign_coords({HIDDEN: (STATION, values.astype(float).astype(bool), attrs)}), []


def _are_truths(values: NDArray) -> bool:
    """Return whether every value is True, False, 0 or 1."""
    numbers = values.dtype.kind not in "mM" and all(
        isinstance(value, (bool, int, float, np.bool_, np.number)) for value in values.ravel().tolist()
    )
    return numbers and bool(np.isin(values.astype(float), (0.0, 1.0)).all())


def _wrong_dims(dims: Sequence[Hashable], given: Sequence[Hashable], values: NDArray) -> str:
    if not dims:
        fix = "ds.drop_vars('hidden')" if not pd.isnull(values) and _are_truths(values) and not values else _ANEW
        return f"hidden is the one value {values.item()!r}, {_EXPECTED}; fix: {fix}"
    others = [str(name) for name, dim in zip(given, dims, strict=True) if dim != STATION]
    usable = STATION in dims and not pd.isnull(values).any() and _are_truths(values)
    fix = f"ds.assign_coords(hidden=ds.hidden.astype(bool).any({others!r}))" if usable else _ANEW
    return f"hidden has dimensions {tuple(map(str, given))}, expected the station dimension alone; fix: {fix}"


def _missing(values: NDArray, missing: NDArray[np.bool_], ids: NDArray) -> str:
    names = ", ".join(map(str, ids[missing][:5])) + (", ..." if missing.sum() > 5 else "")
    fix = "ds.assign_coords(hidden=ds.hidden.fillna(False).astype(bool))"
    if not _are_truths(values[~missing]):
        fix = _converted(values[~missing])
    return f"hidden is missing at {missing.sum()} of {len(values)} stations ({names}), {_EXPECTED}; fix: {fix}"


def _converted(values: NDArray) -> str:
    """Return the call that makes truth values of texts or numbers; where they do not say which, the one that hides anew."""
    found: list[Any] = values.tolist()
    if all(isinstance(value, (str, bytes)) for value in found):
        words = [(v.decode(errors="replace") if isinstance(v, bytes) else v).strip().lower() for v in found]
        if set(words) <= {*_TRUE, *_FALSE}:
            true = dict.fromkeys(value for value, word in zip(found, words, strict=True) if word in _TRUE)
            return f"ds.assign_coords(hidden=ds.hidden.isin({[*true]!r}))"
    if values.dtype.kind in "iuf":
        # Rather one station too many hidden than one learned from that should not be.
        return "ds.assign_coords(hidden=ds.hidden.fillna(0) != 0)"
    return _ANEW
