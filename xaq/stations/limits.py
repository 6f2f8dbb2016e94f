"""Which values a pollutant can have, by its units: one rule for ``check``, ``repair`` and the warning of verbs that compute."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..conventions import canonical_name, canonical_units, is_concentration, is_pollutant
from ..errors import SchemaError, warn
from .units import factor

#: Codes for "missing" in common file formats that lie inside the physical limits.
FILL_CODES = (9999.0,)
#: Codes for "missing" that a mean of readings must not include.
_CODES = (-99.0, -99.9, -999.0, -999.9, -9999.0, -9999.9, -99999.0, 9999.0, 99999.0)
#: Those of them that no covariate takes: a pressure may be 9999, and a temperature -99.
_CODES_OF_ANY = (-999.0, -999.9, -9999.0, -9999.9, -99999.0)
#: Physical limits, ug m-3: lower values are faults or codes for "missing" rather than noise about zero, higher ones lie beyond
#: the measuring range of instruments and any record of outdoor air.
LIMITS: dict[str, tuple[float, float]] = {
    "pm1": (-15, 10_000), "pm25": (-15, 10_000), "pm10": (-50, 20_000), "o3": (-15, 2_000),
    "no2": (-15, 4_000), "no": (-15, 5_000), "so2": (-15, 20_000), "co": (-1_000, 200_000),
}  # fmt: skip
#: Plausible medians of a network's positive values, ug m-3, from the cleanest background to the most polluted city.
PLAUSIBLE_MEDIANS: dict[str, tuple[float, float]] = {
    "pm1": (0.3, 500), "pm25": (0.5, 600), "pm10": (1, 1_500), "o3": (2, 400),
    "no2": (0.2, 300), "no": (0.03, 300), "so2": (0.05, 1_000), "co": (30, 10_000),
}  # fmt: skip
#: Training squares and sums values in single precision: greater ones overflow.
GREATEST_COMPUTABLE = 1e15
#: A lower number is a code such as -99 or -999, whatever the units.
_CODE = -90.0
#: A station has other units if its median is between so many times that of the network, or between so small a part of it.
_OTHER_UNITS = (300.0, 3_000.0)


def units_of(ds: xr.Dataset, name: str) -> str | None:
    """Return the units of a pollutant in CF spelling, None where they are missing or not a concentration."""
    units = canonical_units(str(ds[name].attrs.get("units", "")))
    return units if is_concentration(units, canonical_name(name)) else None


@dataclass(frozen=True)
class Scale:
    """Whether the concentrations of a pollutant are plausible in its units.

    Attributes
    ----------
    median : float
        Median of the stations' medians, in the units stated.
    instead : tuple of str
        Units in which that median is plausible; empty where it is plausible in those stated.
    larger, smaller : (n_station,) bool
        Stations about 1000 times above, and below, the network: their units are others.
    """

    median: float
    instead: tuple[str, ...]
    larger: NDArray[np.bool_]
    smaller: NDArray[np.bool_]


def scale_of(name: str, values: NDArray, units: str | None) -> Scale:
    """Return how plausible units are, by the medians of positive values of the network and of each station."""
    positive = np.where((values > 0) & np.isfinite(values) & ~np.isin(values, FILL_CODES), values, np.nan)
    medians = row_medians(positive)
    median = float(np.nanmedian(medians)) if np.isfinite(medians).any() else np.nan
    instead: tuple[str, ...] = ()
    pollutant = canonical_name(name)
    if units is not None and np.isfinite(median) and not is_plausible(pollutant, median, units):
        spellings = ("ug m-3", "mg m-3", "1e-9", "1e-6", "ng m-3")
        instead = tuple(u for u in spellings if is_concentration(u, pollutant) and is_plausible(pollutant, median, u))
    least, most = _OTHER_UNITS
    with np.errstate(invalid="ignore"):
        ratio = medians / median if np.isfinite(medians).sum() >= 3 else np.full(len(medians), np.nan)
        return Scale(median, instead, (ratio > least) & (ratio < most), (ratio < 1 / least) & (ratio > 1 / most))


def is_plausible(pollutant: str, median: float, units: str) -> bool:
    """Whether outdoor air can have a network's median in these units."""
    low, high = PLAUSIBLE_MEDIANS[pollutant]
    return bool(low <= median * factor(pollutant, units, "ug m-3") <= high)


def impossible(name: str, values: NDArray[np.floating], units: str | None) -> NDArray[np.bool_]:
    """Flag infinities, fill codes and values of a pollutant, ``(station, time)``, outside physical limits.

    Where its units are in doubt, of the network or of a station, only codes and infinities are flagged.
    """
    scale = scale_of(name, values, units)
    low, high = np.full((len(values), 1), _CODE), np.full((len(values), 1), np.finfo(values.dtype).max)
    if units is not None and not scale.instead:
        known = ~(scale.larger | scale.smaller)
        low[known], high[known] = limits_of(name, units)
    return (values < low) | (values > high) | np.isin(values, FILL_CODES)


def limits_of(name: str, units: str) -> tuple[float, float]:
    """Return the least and the greatest value that a pollutant can have, in its units."""
    to_stated = factor(canonical_name(name), "ug m-3", units)
    low, high = LIMITS[canonical_name(name)]
    return float(low * to_stated), float(high * to_stated)


def warn_if_impossible(ds: xr.Dataset, names: Iterable[str], computed: Mapping[str, NDArray] | None = None) -> None:
    """Warn once where pollutants among the variables of a conformed dataset hold impossible values.

    Parameters
    ----------
    ds : xarray.Dataset
        Lazy variables are not computed, and nothing is said of them.
    names : iterable of str
        Variables that are read.
    computed : mapping of str to (station, time), optional
        Values of lazy variables that are at hand.
    """
    found = []
    for name in filter(is_pollutant, dict.fromkeys(names)):
        values = ds[name].values if ds[name].chunks is None else (computed or {}).get(name)
        if values is None or _is_clearly_possible(name, values, units_of(ds, name)):
            continue
        values = values if np.issubdtype(values.dtype, np.floating) else values.astype(float)
        mask = impossible(name, values, units_of(ds, name))
        if mask.any():
            found.append(f"{name!r} at {mask.sum()} of {(~np.isnan(values)).sum()} values, such as {values[mask][0]:g}")
    if found:
        warn(f"ds.aq.check() calls values impossible: {'; '.join(found)}; fix: ds = ds.aq.repair(impossible='missing')")


def require_no_codes(values: Mapping[str, NDArray]) -> None:
    """Refuse variables with codes for "missing" such as -999 before they become a part of means, where nobody finds them.

    Parameters
    ----------
    values : mapping of str to array
        Readings by the name of their variable.
    """
    problems = []
    for name, readings in values.items():
        known = np.array(_CODES if is_pollutant(name) else _CODES_OF_ANY).astype(readings.dtype)
        codes, counts = np.unique(readings[np.isin(readings, known)], return_counts=True)
        if len(codes):
            named = [f"{code:g}" for code in codes]
            problems.append(
                f"{name!r} has {counts.sum()} values of {' and '.join(named)}, codes for missing values, which means over a step "
                f"would include; expected measured values; fix: na_values=[{', '.join(named)}], or of a dataset "
                f"ds[{name!r}] = ds[{name!r}].where(~ds[{name!r}].isin([{', '.join(named)}]))"
            )
    if problems:
        raise SchemaError(problems)


def require_computable(computed: Mapping[str, NDArray]) -> None:
    """Refuse variables with values so large that training overflows, such as the fill value 1e38.

    Parameters
    ----------
    computed : mapping of str to array
        Values by the name of their variable.
    """
    problems = []
    for name, values in computed.items():
        if (beyond := np.abs(values) > GREATEST_COMPUTABLE).any():
            problems.append(
                f"{name!r} has {beyond.sum()} values beyond {GREATEST_COMPUTABLE:g}, such as {values[beyond][0]:g}, which "
                f"training cannot compute with; fix: ds[{name!r}] = ds[{name!r}].where(abs(ds[{name!r}]) < {GREATEST_COMPUTABLE:g})"
            )
    if problems:
        raise SchemaError(problems)


def _is_clearly_possible(name: str, values: NDArray, units: str | None) -> bool:
    """Whether extremes alone show that no value is impossible: the rule itself needs the medians of all stations."""
    if units is None or not values.size:
        return False
    low, high = limits_of(name, units)
    least, greatest = np.fmin.reduce(values, axis=None), np.fmax.reduce(values, axis=None)
    return bool(max(low, _CODE) <= least and greatest <= high and greatest < min(FILL_CODES))


def row_medians(values: NDArray) -> NDArray[np.float64]:
    """Return the median of each row's finite values, NaN for a row without any."""
    medians = np.full(len(values), np.nan)
    for i, row in enumerate(values):
        finite = row[np.isfinite(row)]
        if len(finite):
            medians[i] = np.median(finite)
    return medians
