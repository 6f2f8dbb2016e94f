"""Pollutants that are no numbers: text from a table, which no verb can use and no other check sees."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr

from ..conventions import STATION, TIME, is_pollutant
from ..stations.schema import some
from .report import Finding

#: How many different texts that are no numbers the advice names one by one.
_MOST = 5


def text_findings(ds: xr.Dataset) -> Iterator[Finding]:
    """Report pollutants on (station, time) that are not numbers, with the call that makes them numbers. Computes them."""
    for name, variable in ds.data_vars.items():
        if not is_pollutant(str(name)) or set(variable.dims) != {STATION, TIME}:
            continue
        if not np.issubdtype(variable.dtype, np.number):
            text, fix = _described(str(name), variable)
            yield Finding("error", "form", str(name), text, variable.size, 1.0, "", fix)


def _described(name: str, variable: xr.DataArray) -> tuple[str, str]:
    """Return what the values are, and the call that makes numbers of them without a loss."""
    values = pd.Series(np.asarray(variable.values).ravel()).dropna()
    text = f"values of type {variable.dtype}, expected numbers"
    if variable.dtype.kind not in "OSU":
        return text, f"numbers for {name!r} in the table, then xaq.open_stations(...)"
    words = values[pd.to_numeric(values, errors="coerce").isna() & (values.astype(str).str.lower() != "nan")].unique()
    if not len(words):
        return text, f"ds[{name!r}] = ds[{name!r}].astype(float)"
    with_points = pd.Series(words.astype(str)).str.replace(",", ".", regex=False)
    if pd.to_numeric(with_points, errors="coerce").notna().all():
        return text, f"ds[{name!r}] = ds[{name!r}].astype(str).str.replace(',', '.').astype(float)"
    text += f"; {some(map(repr, words))} are none, and become missing"
    if len(words) <= _MOST:
        return text, f"ds[{name!r}] = ds[{name!r}].where(~ds[{name!r}].isin({words.tolist()!r})).astype(float)"
    return text, f"pandas.to_numeric of {name!r} in the table, then xaq.open_stations(...)"
