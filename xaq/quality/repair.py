"""``repair``: fix problems that :func:`xaq.check` reports, by their names; ``history`` records each change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ..arrays import timesteps
from ..conventions import (
    LAT,
    LON,
    STATION,
    TIME,
    canonical_name,
    canonical_units,
    is_concentration,
    is_pollutant,
)
from ..errors import SchemaError, warn
from ..stations import limits, schema, time_axis, timestamps
from ..stations.schema import some
from ..stations.units import attrs_in_units, factor
from . import flags
from .repair_options import check_options

Places = Literal["drop"] | Mapping[str, tuple[float, float]]
#: A repair: a dataset and the value of an argument in, the dataset and a line per change out.
Step = Callable[[xr.Dataset, Any], tuple[xr.Dataset, list[str]]]
#: Problems of single values.
_VALUE_PROBLEMS = ("impossible", "negative", "stuck", "level", "spikes")


def repair(
    ds: xr.Dataset,
    *,
    off_step: Literal["nearest", "floor"] | None = None,
    duplicate_times: Literal["merge"] | None = None,
    irregular: Literal["fill"] | None = None,
    shift_hours: float | None = None,
    duplicate_stations: Literal["merge"] | None = None,
    swapped: Literal["swap"] | None = None,
    unplaced: Places | None = None,
    far: Places | None = None,
    sea: Places | None = None,
    units: Mapping[str, str | Mapping[str, str]] | None = None,
    impossible: Literal["missing"] | None = None,
    negative: Literal["missing", "zero"] | None = None,
    stuck: Literal["missing"] | None = None,
    level: Literal["missing"] | None = None,
    spikes: Literal["missing"] | None = None,
    identical: Literal["missing"] | None = None,
    colocated: Literal["merge"] | None = None,
    silent: Literal["drop"] | None = None,
) -> xr.Dataset:
    """Fix the problems that are named, as :func:`check` names and detects them, and nothing else.

    Repairs are made in the order of the arguments, each on the result of those before.

    Parameters
    ----------
    ds : xarray.Dataset
        A station dataset; irregular ones are accepted, as by ``check``.
    off_step : {"nearest", "floor"}, optional
        Move timestamps that are off the step to the nearest step, or to the one before, and sort them. Two timestamps
        that are equal afterwards are merged by ``duplicate_times``; values of the one that was on the step take precedence.
    duplicate_times : {"merge"}, optional
        Merge repeated timestamps: keep the first value that is not missing.
    irregular : {"fill"}, optional
        Sort the timestamps and insert missing ones, with missing values.
    shift_hours : float, optional
        Move all timestamps by this many hours; negative is earlier.
    duplicate_stations : {"merge"}, optional
        Merge stations with the same id: keep the first value that is not missing.
    swapped : {"swap"}, optional
        Exchange longitude and latitude of swapped stations.
    unplaced, far, sea : "drop" or {station: (lon, lat)}, optional
        Leave out the stations without valid coordinates, far from their network, in the sea; or correct the coordinates
        of stations.
    units : mapping, optional
        ``{"co": "mg m-3"}`` corrects the units of a variable: only the attribute changes. ``{"co": {"s07": "ug m-3"}}``
        states the units of a station: its values are converted to the units of the variable, for a gas at 20 degC and
        1013.25 hPa. :func:`convert_units` converts whole variables.
    impossible : {"missing"}, optional
        Make impossible values of pollutants missing.
    negative : {"missing", "zero"}, optional
        Make negative values of pollutants missing, or zero. Both make means too high: noise about zero is unbiased as it is, and
        faults far below zero are ``impossible``.
    stuck : {"missing"}, optional
        Make stuck values of pollutants missing.
    level : {"missing"}, optional
        Make series of pollutants missing that lie far above or below those of the neighbouring stations. ``silent="drop"`` leaves
        out stations that have no data afterwards.
    spikes : {"missing"}, optional
        Make spikes of pollutants missing.
    identical : {"missing"}, optional
        Make series missing that are copies of another station's series; the first in the dataset is kept.
    colocated : {"merge"}, optional
        Merge stations within 50 m of each other under the id of the first: keep the first value that is not missing.
    silent : {"drop"}, optional
        Leave out stations without data.

    Returns
    -------
    xarray.Dataset
        In xaq's form, with a line per change in the attribute ``history``: what changed, how many values, at which
        stations. Other values are bit-identical. The input does not change.

    Raises
    ------
    SchemaError
        Options other than those above, unknown stations or variables, roles that are not found, or repairs of values
        while timestamps are irregular.

    See Also
    --------
    check : Reports the problems that can be fixed.

    Notes
    -----
    Repairs of timestamps, coordinates and units compute nothing. Repairs of values, ``identical`` and ``silent`` compute
    each variable once to find what they fix; the variables returned stay lazy.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=8, days=3)
    >>> ds.pm25[2, 5:8] = -4
    >>> print(ds.aq.repair(negative="missing").history)
    xaq repair: negative: 3 values of pm25 made missing at s002
    """
    given = {
        "off_step": off_step, "duplicate_times": duplicate_times, "irregular": irregular, "shift_hours": shift_hours,
        "duplicate_stations": duplicate_stations, "swapped": swapped, "unplaced": unplaced, "far": far, "sea": sea,
        "units": units, "impossible": impossible, "negative": negative, "stuck": stuck, "level": level,
        "spikes": spikes, "identical": identical, "colocated": colocated, "silent": silent,
    }  # fmt: skip
    requested: dict[str, Any] = {name: how for name, how in given.items() if how is not None}
    requested = check_options(requested)
    # Values are flagged once for all of their problems.
    if in_values := {name: requested.pop(name) for name in _VALUE_PROBLEMS if name in requested}:
        requested["values"] = in_values
    ds, problems = flags.prepare(ds)
    if problems:
        raise SchemaError(problems)
    changes: list[str] = []
    for name, step in _steps().items():
        if name in requested:
            ds, done = step(ds, requested[name])
            changes += done
    return schema.record(ds, "repair", changes)


def _steps() -> dict[str, Step]:
    """Return the repairs in their order; each takes the dataset and the value of its argument."""
    return {
        "off_step": _off_step,
        "duplicate_times": _duplicate_times,
        "irregular": _irregular,
        "shift_hours": _shift_hours,
        "duplicate_stations": _duplicate_stations,
        "swapped": _swapped,
        "unplaced": partial(_misplaced, problem="unplaced"),
        "far": partial(_misplaced, problem="far"),
        "sea": partial(_misplaced, problem="sea"),
        "units": _units,
        "values": _values,
        "identical": _identical,
        "colocated": _colocated,
        "silent": _silent,
    }


# -- timestamps ------------------------------------------------------------------------------------------------------------


def _off_step(ds: xr.Dataset, how: str) -> tuple[xr.Dataset, list[str]]:
    off = time_axis.TimeAxis.of(ds).off_step
    if not off.any():
        return ds, []
    times = ds[TIME].values.astype("datetime64[s]")
    moved = time_axis.moved_to_step(ds, how) != times
    if (left := off & ~moved).any():
        where = some(times[left], 3)
        warn(
            f"off_step leaves {int(left.sum())} timestamps as they are, because their values belong to their month: {where}"
        )
    if not moved.any():
        return ds, []
    where = some(times[moved], 3)
    return time_axis.on_step(ds, how), [f"off_step: {int(moved.sum())} timestamps moved to the step ({how}): {where}"]


def _duplicate_times(ds: xr.Dataset, how: str) -> tuple[xr.Dataset, list[str]]:
    repeated = time_axis.TimeAxis.of(ds).repeated
    if not repeated.any():
        return ds, []
    where = some(ds[TIME].values[repeated].astype("datetime64[s]"), 3)
    return time_axis.merge(ds, TIME, ds[TIME].values), [
        f"duplicate_times: {int(repeated.sum())} timestamps merged: {where}"
    ]


def _irregular(ds: xr.Dataset, how: str) -> tuple[xr.Dataset, list[str]]:
    axis = time_axis.TimeAxis.of(ds)
    if axis.of_calendar:
        warn(f"irregular leaves the timestamps as they are: {timestamps.calendar_problem(ds[TIME].values)}")
        return ds, []
    if axis.off_step.any() or axis.repeated.any():
        # A timestamp may stay off steps of a day, because the nearest lies in another month.
        off_step = "floor" if axis.step == timesteps.DAY else "nearest"
        raise SchemaError(
            "timestamps off the step or repeated cannot be put on a regular axis; "
            f"fix: ds.aq.repair(off_step={off_step!r}, duplicate_times='merge', irregular='fill')"
        )
    if axis.regular:
        return ds, []
    sorted_ = "timestamps sorted, " if axis.unsorted else ""
    return time_axis.fill_axis(ds), [f"irregular: {sorted_}{axis.missing} missing timestamps inserted"]


def _shift_hours(ds: xr.Dataset, hours: float) -> tuple[xr.Dataset, list[str]]:
    shift = np.timedelta64(round(hours * 3600), "s")
    if not shift:
        return ds, []
    moved = ds[TIME].values.astype("datetime64[s]") + shift
    return ds.assign_coords({TIME: (TIME, moved, ds[TIME].attrs)}), [
        f"shift_hours: all timestamps moved by {hours:+g} h"
    ]


# -- stations and places -----------------------------------------------------------------------------------------------


def _duplicate_stations(ds: xr.Dataset, how: str) -> tuple[xr.Dataset, list[str]]:
    ids = ds[STATION].values
    repeated = pd.Index(ids).duplicated()
    if not repeated.any():
        return ds, []
    where = some(dict.fromkeys(ids[repeated]))
    return time_axis.merge(ds, STATION, ids), [f"duplicate_stations: {int(repeated.sum())} merged: {where}"]


def _swapped(ds: xr.Dataset, how: str) -> tuple[xr.Dataset, list[str]]:
    mask = flags.places_of(ds)["swapped"]
    if not mask.any():
        return ds, []
    lon, lat = ds[LON].values, ds[LAT].values
    ds = _with_positions(ds, np.where(mask, lat, lon), np.where(mask, lon, lat))
    return ds, [f"swapped: longitude and latitude exchanged at {some(ds[STATION].values[mask], len(mask))}"]


def _misplaced(ds: xr.Dataset, how: Places, problem: str) -> tuple[xr.Dataset, list[str]]:
    ids = ds[STATION].values
    if isinstance(how, Mapping):
        return _corrected(ds, problem, how)
    mask = flags.places_of(ds)[problem]
    if not mask.any():
        return ds, []
    if mask.all():
        raise SchemaError(f"{problem}='drop' would leave no station; fix: {problem}={{station: (lon, lat), ...}}")
    left = ds.isel({STATION: np.flatnonzero(~mask)})
    return left, [f"{problem}: {int(mask.sum())} stations left out: {some(ids[mask], len(ids))}"]


def _corrected(ds: xr.Dataset, problem: str, places: Mapping[str, tuple[float, float]]) -> tuple[xr.Dataset, list[str]]:
    _check_stations(ds, places, problem)
    ids = ds[STATION].values.astype(str)
    lon, lat = schema.positions(ds)
    done = []
    for station, (east, north) in places.items():
        here = ids == str(station)
        done.append(f"{problem}: {station} moved from {lon[here][0]:g}, {lat[here][0]:g} to {east:g}, {north:g}")
        lon[here], lat[here] = east, north
    return _with_positions(ds, lon, lat), done


def _with_positions(ds: xr.Dataset, lon: NDArray, lat: NDArray) -> xr.Dataset:
    return ds.assign_coords({LON: (STATION, lon, ds[LON].attrs), LAT: (STATION, lat, ds[LAT].attrs)})


def _check_stations(ds: xr.Dataset, named: Mapping[str, object], option: str) -> None:
    known = set(ds[STATION].values.astype(str))
    unknown = [s for s in named if str(s) not in known]
    if unknown:
        raise SchemaError(
            f"{option} names unknown station(s) {some(unknown)}; fix: ids of the dataset, such as {some(sorted(known))}"
        )


def _colocated(ds: xr.Dataset, how: str) -> tuple[xr.Dataset, list[str]]:
    groups = flags.colocated_groups(ds)
    if not groups:
        return ds, []
    label = np.arange(ds.sizes[STATION])
    for group in groups:
        label[group] = group[0]
    ids = ds[STATION].values.astype(str)
    names = some(["+".join(ids[group]) for group in groups], len(groups))
    return time_axis.merge(ds, STATION, label), [
        f"colocated: {len(groups)} groups merged under the id of the first: {names}"
    ]


def _silent(ds: xr.Dataset, how: str) -> tuple[xr.Dataset, list[str]]:
    seen = [np.isfinite(flags.values_of(ds, name)).any(axis=1) for name in flags.series_names(ds)]
    if not seen or (reporting := np.any(seen, axis=0)).all():
        return ds, []
    if not reporting.any():
        raise SchemaError("silent='drop' would leave no station, because none has data; fix: open other files")
    ids = ds[STATION].values
    left = ds.isel({STATION: np.flatnonzero(reporting)})
    return left, [f"silent: {int((~reporting).sum())} stations left out: {some(ids[~reporting], len(ids))}"]


# -- units and values --------------------------------------------------------------------------------------------------


def _units(ds: xr.Dataset, units: Mapping[str, str | Mapping[str, str]]) -> tuple[xr.Dataset, list[str]]:
    done = []
    for name, of in units.items():
        if name not in ds.data_vars or not is_pollutant(name):
            known = ", ".join(schema.pollutants(ds)) or "none"
            raise SchemaError(f"units names {name!r}, which is not a pollutant of the dataset; fix: one of {known}")
        ds, change = _relabel(ds, name, of) if isinstance(of, str) else _rescale(ds, name, of)
        done += change
    return ds, done


def _relabel(ds: xr.Dataset, name: str, units: str) -> tuple[xr.Dataset, list[str]]:
    new, pollutant = canonical_units(units), canonical_name(name)
    if not is_concentration(new, pollutant):
        raise SchemaError(f"units={{{name!r}: {units!r}}} are not units of {name}; fix: units={{{name!r}: 'ug m-3'}}")
    old = ds[name].attrs.get("units", "none")
    if old == new:
        return ds, []
    variable = ds[name].copy(deep=False)
    variable.attrs = attrs_in_units(ds[name].attrs, pollutant, new)
    return ds.assign({name: variable}), [f"units: {name} is in {new} (stated: {old})"]


def _rescale(ds: xr.Dataset, name: str, of: Mapping[str, str]) -> tuple[xr.Dataset, list[str]]:
    _check_stations(ds, of, f"units[{name!r}]")
    units = limits.units_of(ds, name)
    if units is None:
        raise SchemaError(f"{name!r} has no units; fix: ds.aq.repair(units={{{name!r}: 'ug m-3'}})")
    variable, done = ds[name], []
    for station, unit in of.items():
        times = factor(canonical_name(name), unit, units)
        here = ds[STATION].astype(str) == str(station)
        variable = variable.where(~here, (variable * times).astype(variable.dtype))
        done.append(f"units: {name} at {station} converted from {canonical_units(unit)} to {units}")
    return ds.assign({name: variable.transpose(*ds[name].dims).assign_attrs(ds[name].attrs)}), done


def _values(ds: xr.Dataset, requested: Mapping[str, str]) -> tuple[xr.Dataset, list[str]]:
    _check_regular(ds)
    ids, done = ds[STATION].values.astype(str), []
    for name in _pollutant_series(ds):
        found = flags.flagged(ds, name, flags.values_of(ds, name)).masks
        for problem, how in requested.items():
            mask = found[problem]
            if mask.any():
                ds = _with_masked(ds, name, mask, 0.0 if how == "zero" else np.nan)
                where = some(ids[mask.any(axis=1)], len(ids))
                done.append(f"{problem}: {int(mask.sum())} values of {name} made {how} at {where}")
    return ds, done


def _identical(ds: xr.Dataset, how: str) -> tuple[xr.Dataset, list[str]]:
    _check_regular(ds)
    ids, done = ds[STATION].values.astype(str), []
    for name in _pollutant_series(ds):
        values = flags.values_of(ds, name)
        pairs = flags.copies_of(ds, values)
        if pairs:
            copies = np.array([copy for _, copy in pairs])
            mask = np.isfinite(values) & np.isin(np.arange(len(ids)), copies)[:, None]
            ds = _with_masked(ds, name, mask, np.nan)
            names = some([f"{ids[b]} (a copy of {ids[a]})" for a, b in pairs], len(pairs))
            done.append(f"identical: {int(mask.sum())} values of {name} made missing at {names}")
    return ds, done


def _pollutant_series(ds: xr.Dataset) -> list[str]:
    return [name for name in flags.series_names(ds) if is_pollutant(name)]


def _check_regular(ds: xr.Dataset) -> None:
    axis = time_axis.TimeAxis.of(ds)
    if axis.of_calendar and (problem := timestamps.calendar_problem(ds[TIME].values)) is not None:
        raise SchemaError(problem)
    if not axis.regular:
        raise SchemaError(
            "the timestamps are irregular, and values are compared with those before and after; fix: add to the same call "
            "off_step='nearest', duplicate_times='merge', irregular='fill'",
            subject="repair",
        )


def _with_masked(ds: xr.Dataset, name: str, mask: NDArray[np.bool_], fill: float) -> xr.Dataset:
    """Return the dataset with the masked values of a variable replaced; integers become floats, which can be missing. Lazy."""
    labelled = xr.DataArray(mask, dims=(STATION, TIME)).transpose(*ds[name].dims)
    variable = ds[name] if np.issubdtype(ds[name].dtype, np.floating) else ds[name].astype(float)
    return ds.assign(
        {name: variable.copy(data=variable.variable.where(~labelled.variable, variable.dtype.type(fill)).data)}
    )
