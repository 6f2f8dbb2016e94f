"""PM2.5 above PM10, of which it is a part: columns that were exchanged, or an instrument at fault."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from ..conventions import STATION, canonical_name
from ..stations import limits
from ..stations.schema import some
from ..stations.units import factor
from . import flags
from .report import Finding

#: Noise puts PM2.5 above PM10 at few steps of real stations, exchanged columns at most.
_MOST = 0.5
#: Fewer common steps say nothing.
_LEAST_STEPS = 24


def size_class_findings(ds: xr.Dataset) -> Iterator[Finding]:
    """Yield the stations whose PM2.5 is above their PM10 at most of the steps that have both."""
    names = {canonical_name(name): name for name in flags.series_names(ds)}
    if not {"pm25", "pm10"} <= set(names):
        return
    fine, coarse = names["pm25"], names["pm10"]
    units, of_coarse = limits.units_of(ds, fine), limits.units_of(ds, coarse)
    if units is None or of_coarse is None:
        return
    a, b = flags.values_of(ds, fine), flags.values_of(ds, coarse) * factor("pm10", of_coarse, units)
    both = (np.isfinite(a) & np.isfinite(b)).sum(axis=1)
    above = (a > b).sum(axis=1)
    wrong = (both >= _LEAST_STEPS) & (above > _MOST * both)
    if not wrong.any():
        return
    ids = ds[STATION].values.astype(str)[wrong]
    text = f"stations whose {fine} is above their {coarse}, of which it is a part, at most of the steps with both"
    if 2 * wrong.sum() > (both >= _LEAST_STEPS).sum():
        exchanged = ", ".join(
            f"{one}=ds[{other!r}].assign_attrs(ds[{one!r}].attrs)" for one, other in ((fine, coarse), (coarse, fine))
        )
        fix = f"ds.assign({exchanged}), if the columns were exchanged"
    else:
        fix = f"ds.drop_sel(station={ids.tolist()})"
    yield Finding("warning", "above_pm10", fine, text, int(wrong.sum()), float(wrong.mean()), some(ids), fix)
