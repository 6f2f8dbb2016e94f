"""Which values, stations and timestamps are flagged: the same rules for ``check``, which reports, and ``repair``, which fixes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..arrays import longitudes, sphere, timesteps
from ..conventions import STATION, TIME
from ..errors import SchemaError
from ..stations import limits, schema
from ..stations.form import require_dataset
from ..stations.time_axis import TimeAxis
from . import coastline, detectors

#: Stations farther from the coast than this, km, are in the sea; the coastline is accurate to 2 km and lacks small islands.
SEA_KM = 10.0
#: Latitude south of which there are research stations only.
_ANTARCTIC = -60.0


def prepare(ds: xr.Dataset) -> tuple[xr.Dataset, list[str]]:
    """Return the dataset under xaq's names, and the problems that prevent an examination of its contents."""
    require_dataset(ds)
    ds, problems = schema.rename_roles(ds)
    if problems:
        return ds, problems
    problems = schema.identity_problems(ds)
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
    return [str(n) for n, v in ds.data_vars.items() if set(v.dims) == {STATION, TIME} and v.dtype.kind in "iuf"]


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
    wrong = ~valid | sea | (lat < _ANTARCTIC)
    swapped = judged.swapped | _swapped_as_a_whole(lon, lat, wrong)
    return {
        "unplaced": judged.unplaced & ~swapped, "swapped": swapped, "far": judged.far & ~sea & ~swapped, "sea": sea & ~swapped,
    }  # fmt: skip


def _swapped_as_a_whole(lon: NDArray, lat: NDArray, wrong: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the stations of a network all of which have longitude and latitude exchanged; none of another network.

    It is such a network if more than half of its stations are at ``wrong`` places, at sea, in Antarctica or beyond a pole, and
    nine tenths lie on other land after an exchange.
    """
    swapped = np.zeros(len(lon), bool)
    given = np.isfinite(lon) & np.isfinite(lat)
    if (wrong & given).sum() <= given.sum() / 2:
        return swapped
    index = np.flatnonzero(given & (lon >= _ANTARCTIC) & (lon <= 90) & longitudes.valid(lat))
    ashore = ~coastline.at_sea(lat[index], lon[index], SEA_KM)
    if ashore.sum() >= 0.9 * given.sum():
        swapped[index[ashore]] = True
    return swapped


@dataclass(frozen=True)
class ValueFlags:
    """The values of a pollutant with each problem.

    Attributes
    ----------
    masks : dict of str to (station, time) bool
        By problem: ``impossible``, ``negative``, ``stuck``, ``level`` and ``spikes``, detected in this order, each without the
        values flagged before, so that a value has at most one.
    ratio : (n_station,)
        Concentration relative to the neighbours at stations of a wrong level, NaN at others.
    """

    masks: dict[str, NDArray[np.bool_]]
    ratio: NDArray[np.float64]


def flagged(ds: xr.Dataset, name: str, values: NDArray) -> ValueFlags:
    """Return the values ``(station, time)`` of a pollutant with each problem."""
    units, positions = limits.units_of(ds, name), schema.positions(ds)
    masks = {"impossible": limits.impossible(name, values, units)}
    left = np.where(masks["impossible"], np.nan, values)
    masks["negative"] = left < 0
    left[masks["negative"]] = np.nan
    masks["stuck"] = detectors.stuck(left)
    left[masks["stuck"]] = np.nan
    scale = limits.scale_of(name, values, units)
    # A thousandfold level is reported as other units.
    ratio = detectors.levels(np.where((scale.larger | scale.smaller)[:, None], np.nan, left), *positions)
    masks["level"] = np.isfinite(left) & np.isfinite(ratio)[:, None]
    left[masks["level"]] = np.nan
    masks["spikes"] = detectors.spikes(left, *positions)
    return ValueFlags(masks, ratio)


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
