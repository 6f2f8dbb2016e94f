"""Which values, stations and timestamps are flagged: the same rules for ``check``, which reports, and ``repair``, which fixes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..arrays import sphere, timesteps
from ..conventions import STATION, TIME, canonical_name, canonical_units, is_concentration
from ..errors import SchemaError
from ..stations import schema
from ..stations.time_axis import TimeAxis
from ..stations.units import factor
from . import coastline, detectors

#: Physical limits, ug m-3: lower values are codes for "missing" rather than noise around zero, higher ones lie beyond the
#: measuring range of instruments and any record of outdoor air.
LIMITS: dict[str, tuple[float, float]] = {
    "pm1": (-50, 10_000), "pm25": (-50, 10_000), "pm10": (-50, 20_000), "o3": (-50, 2_000),
    "no2": (-50, 4_000), "no": (-50, 5_000), "so2": (-50, 20_000), "co": (-1_000, 200_000),
}  # fmt: skip
#: Plausible medians of a network's positive values, ug m-3, from the cleanest background to the most polluted city.
PLAUSIBLE_MEDIANS: dict[str, tuple[float, float]] = {
    "pm1": (0.3, 500), "pm25": (0.5, 600), "pm10": (1, 1_500), "o3": (2, 400),
    "no2": (0.2, 300), "no": (0.03, 300), "so2": (0.05, 1_000), "co": (30, 10_000),
}  # fmt: skip
#: A lower number is a code such as -99 or -999, whatever the units.
_CODE = -90.0
#: A station has other units if its median is between so many times that of the network, or between so small a part of it.
_OTHER_UNITS = (300.0, 3_000.0)
#: Stations farther from the coast than this, km, are in the sea; the coastline is accurate to 2 km and lacks small islands.
SEA_KM = 10.0


def prepare(ds: xr.Dataset) -> tuple[xr.Dataset, list[str]]:
    """Return the dataset under xaq's names, and the problems that prevent an examination of its contents."""
    if not isinstance(ds, xr.Dataset):
        raise SchemaError(f"got {type(ds).__name__}, expected an xarray.Dataset; fix: xaq.open_stations(...)")
    ds, problems = schema.rename_roles(ds)
    if problems:
        return ds, problems
    problems = schema.identity_problems(ds)
    if not ds.sizes[STATION]:
        problems.append("the dataset has no stations; fix: select at least one")
    if not problems:
        ds, problems = schema.settle_times(ds)
    if not problems:
        try:
            timesteps.steps_per_day(TimeAxis.of(ds).step)
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
    """Return the stations with each problem of position: ``unplaced``, ``swapped``, ``far``, ``sea``, ``(station,)`` bool."""
    lon, lat = schema.positions(ds)
    judged = detectors.judge_places(lon, lat)
    valid = ~(judged.unplaced | judged.swapped)
    sea = np.zeros(len(lon), bool)
    sea[valid] = coastline.at_sea(lon[valid], lat[valid], SEA_KM)
    return {"unplaced": judged.unplaced, "swapped": judged.swapped, "far": judged.far & ~sea, "sea": sea}


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
    positive = np.where((values > 0) & np.isfinite(values) & ~np.isin(values, detectors.FILL_CODES), values, np.nan)
    medians = detectors.row_medians(positive)
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


def impossible(ds: xr.Dataset, name: str, values: NDArray) -> NDArray[np.bool_]:
    """Flag values of a pollutant outside physical limits; where its units are in doubt, only codes and infinities."""
    units = units_of(ds, name)
    scale = scale_of(name, values, units)
    low, high = np.full((len(values), 1), _CODE), np.full((len(values), 1), np.finfo(values.dtype).max)
    if units is not None and not scale.instead:
        known = ~(scale.larger | scale.smaller)
        to_stated = factor(canonical_name(name), "ug m-3", units)
        low[known], high[known] = (limit * to_stated for limit in LIMITS[canonical_name(name)])
    return detectors.impossible(values, low, high)


def value_masks(ds: xr.Dataset, name: str, values: NDArray) -> dict[str, NDArray[np.bool_]]:
    """Return the values with each problem, ``(station, time)`` bool; a value has at most one.

    The problems are ``impossible``, ``negative``, ``stuck`` and ``spikes``, detected in this order, each without the
    values flagged before.
    """
    masks = {"impossible": impossible(ds, name, values)}
    left = np.where(masks["impossible"], np.nan, values)
    masks["negative"] = left < 0
    left[masks["negative"]] = np.nan
    masks["stuck"] = detectors.stuck(left)
    left[masks["stuck"]] = np.nan
    masks["spikes"] = detectors.spikes(left, *schema.positions(ds))
    return masks


def copies_of(ds: xr.Dataset, values: NDArray) -> list[tuple[int, int]]:
    """Return the pairs (station, copy) of stations with different ids whose series are equal."""
    ids = ds[STATION].values
    return [(a, b) for a, b in detectors.identical(values) if ids[a] != ids[b]]


def colocated_groups(ds: xr.Dataset) -> list[NDArray[np.intp]]:
    """Return the indices of co-located stations, one array per group; repeated ids alone make no group."""
    placed = np.flatnonzero(~places_of(ds)["unplaced"])
    if not len(placed):
        return []
    lon, lat = schema.positions(ds)
    label = sphere.colocated_groups(lon[placed], lat[placed])
    groups = [placed[label == g] for g in np.flatnonzero(np.bincount(label) > 1)]
    return [g for g in groups if len(np.unique(ds[STATION].values[g].astype(str))) > 1]
