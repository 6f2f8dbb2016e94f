"""What speaks against a station dataset: what ``check`` reports and ``repair`` fixes is decided here, once for both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..arrays import sphere, timesteps
from ..conventions import LAT, LON, STATION, TIME, canonical_name, canonical_units, is_concentration
from ..errors import SchemaError
from ..stations import schema
from ..stations.time_axis import Clock
from ..stations.units import factor
from . import detectors

#: What air can hold and instruments report, ug m-3: below is a code for "missing" rather than noise around zero, above
#: lies beyond the measuring range or any record of outdoor air.
LIMITS: dict[str, tuple[float, float]] = {
    "pm1": (-50, 10_000), "pm25": (-50, 10_000), "pm10": (-50, 20_000), "o3": (-50, 2_000),
    "no2": (-50, 4_000), "no": (-50, 5_000), "so2": (-50, 20_000), "co": (-1_000, 200_000),
}  # fmt: skip
#: Where the median of a network's positive values lies, ug m-3, from the cleanest background to the dirtiest city.
USUAL: dict[str, tuple[float, float]] = {
    "pm1": (0.3, 500), "pm25": (0.5, 600), "pm10": (1, 1_500), "o3": (2, 400),
    "no2": (0.2, 300), "no": (0.03, 300), "so2": (0.05, 1_000), "co": (30, 10_000),
}  # fmt: skip
#: Below this a number is a code such as -99 or -999, whatever the units.
_CODE = -90.0
#: A station whose median is so many times that of the network, or so small a part of it, is in other units.
_OTHER_UNITS = (300.0, 3_000.0)
#: Stations farther out than this, km, are in the sea; the coastline is good to 2 km and lacks small islands.
SEA_KM = 10.0


def prepare(ds: xr.Dataset) -> tuple[xr.Dataset, list[str]]:
    """Return the dataset under xaq's names, and the problems that keep its contents from being looked at."""
    if not isinstance(ds, xr.Dataset):
        raise SchemaError(f"got {type(ds).__name__}, expected an xarray.Dataset; fix: xaq.open_stations(...)")
    ds, problems = schema.rename_roles(ds)
    if problems:
        return ds, problems
    problems = schema.identity_problems(ds)
    if not ds.sizes[STATION]:
        problems.append("the dataset has no stations")
    if not problems:
        try:
            timesteps.steps_per_day(Clock.of(ds).step)
        except SchemaError as error:
            problems = error.problems
    return ds, problems


def series_names(ds: xr.Dataset) -> list[str]:
    """Return the names of the numeric variables on (station, time)."""
    return [
        str(n) for n, v in ds.data_vars.items() if set(v.dims) == {STATION, TIME} and np.issubdtype(v.dtype, np.number)
    ]


def values_of(ds: xr.Dataset, name: str) -> NDArray[np.floating]:
    """Return a variable as ``(station, time)`` floats with infinities kept. Computes it."""
    values = ds[name].transpose(STATION, TIME).values
    return values if np.issubdtype(values.dtype, np.floating) else values.astype(float)


def places_of(ds: xr.Dataset) -> dict[str, NDArray[np.bool_]]:
    """Return the stations with each problem of place: ``unplaced``, ``swapped``, ``far``, ``sea``."""
    lon, lat = ds[LON].values.astype(float), ds[LAT].values.astype(float)
    judged = detectors.judge_places(lon, lat)
    settled = ~(judged.unplaced | judged.swapped)
    sea = np.zeros(len(lon), bool)
    sea[settled] = detectors.at_sea(lon[settled], lat[settled], SEA_KM)
    return {"unplaced": judged.unplaced, "swapped": judged.swapped, "far": judged.far & ~sea, "sea": sea}


def units_of(ds: xr.Dataset, name: str) -> str | None:
    """Return the units of a pollutant in CF spelling, None where they are missing or no concentration."""
    units = canonical_units(str(ds[name].attrs.get("units", "")))
    return units if is_concentration(units, canonical_name(name)) else None


@dataclass(frozen=True)
class Scale:
    """How the levels of a pollutant fit its units."""

    median: float
    #: Units in which the network's median would be usual; empty where it is so in those stated.
    instead: tuple[str, ...]
    #: Stations whose level is that of other units than the network's: True where larger, and where smaller.
    larger: NDArray[np.bool_]
    smaller: NDArray[np.bool_]


def scale_of(name: str, values: NDArray, units: str | None) -> Scale:
    """Judge units by the medians of positive values, of the network and of each station."""
    positive = np.where((values > 0) & np.isfinite(values) & ~np.isin(values, detectors.FILL_CODES), values, np.nan)
    medians = detectors.row_medians(positive)
    median = float(np.nanmedian(medians)) if np.isfinite(medians).any() else np.nan
    instead: tuple[str, ...] = ()
    pollutant = canonical_name(name)
    if units is not None and np.isfinite(median) and not is_usual(pollutant, median, units):
        spellings = ("ug m-3", "mg m-3", "1e-9", "1e-6", "ng m-3")
        instead = tuple(u for u in spellings if is_concentration(u, pollutant) and is_usual(pollutant, median, u))
    least, most = _OTHER_UNITS
    with np.errstate(invalid="ignore"):
        ratio = medians / median if np.isfinite(medians).sum() >= 3 else np.full(len(medians), np.nan)
        return Scale(median, instead, (ratio > least) & (ratio < most), (ratio < 1 / least) & (ratio > 1 / most))


def is_usual(pollutant: str, median: float, units: str) -> bool:
    """Whether a network's median in these units is one that air has."""
    low, high = USUAL[pollutant]
    return bool(low <= median * factor(pollutant, units, "ug m-3") <= high)


def impossible(ds: xr.Dataset, name: str, values: NDArray) -> NDArray[np.bool_]:
    """Mark values of a pollutant that air cannot have; where its units are in doubt, codes and infinities only."""
    units = units_of(ds, name)
    scale = scale_of(name, values, units)
    low, high = np.full((len(values), 1), _CODE), np.full((len(values), 1), np.finfo(values.dtype).max)
    if units is not None and not scale.instead:
        known = ~(scale.larger | scale.smaller)
        to_stated = factor(canonical_name(name), "ug m-3", units)
        low[known], high[known] = (limit * to_stated for limit in LIMITS[canonical_name(name)])
    return detectors.impossible(values, low, high)


def value_masks(ds: xr.Dataset, name: str, values: NDArray) -> dict[str, NDArray[np.bool_]]:
    """Return the values with each problem, ``(station, time)`` bool; no value is in two.

    In this order, each looking only at what the ones before have left: ``impossible``, ``negative``, ``stuck``,
    ``spikes``.
    """
    masks = {"impossible": impossible(ds, name, values)}
    left = np.where(masks["impossible"], np.nan, values)
    masks["negative"] = left < 0
    left[masks["negative"]] = np.nan
    masks["stuck"] = detectors.stuck(left)
    left[masks["stuck"]] = np.nan
    masks["spikes"] = detectors.spikes(left, ds[LON].values.astype(float), ds[LAT].values.astype(float))
    return masks


def copies_of(ds: xr.Dataset, values: NDArray) -> list[tuple[int, int]]:
    """Return (station, copy) of stations of different names whose series are the same."""
    ids = ds[STATION].values
    return [(a, b) for a, b in detectors.identical(values) if ids[a] != ids[b]]


def colocated_groups(ds: xr.Dataset) -> list[NDArray[np.intp]]:
    """Return the positions of stations that share a place, a group at a time; repeated ids are another problem."""
    placed = np.flatnonzero(~places_of(ds)["unplaced"])
    if not len(placed):
        return []
    label = sphere.colocated_groups(ds[LON].values[placed].astype(float), ds[LAT].values[placed].astype(float))
    groups = [placed[label == g] for g in np.flatnonzero(np.bincount(label) > 1)]
    return [g for g in groups if len(np.unique(ds[STATION].values[g].astype(str))) > 1]
