"""Fix what :func:`xaq.check` reports: only what is asked, by name, and written down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ..conventions import (
    LAT,
    LON,
    POLLUTANTS,
    STATION,
    TIME,
    canonical_name,
    canonical_units,
    cf_attrs,
    is_concentration,
)
from ..errors import SchemaError
from ..stations import schema, time_axis
from ..stations.schema import some
from ..stations.units import factor
from . import flags

Places = Literal["drop"] | Mapping[str, tuple[float, float]]
#: A dataset and what was done to it, in words.
Step = Callable[[xr.Dataset], tuple[xr.Dataset, list[str]]]


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
    spikes: Literal["missing"] | None = None,
    identical: Literal["missing"] | None = None,
    colocated: Literal["merge"] | None = None,
    silent: Literal["drop"] | None = None,
) -> xr.Dataset:
    """Fix what is asked, by the names that :func:`check` uses, and nothing else.

    Repairs are made in the order of the arguments, each on what the ones before have left; each finds what it fixes as
    ``check`` does.

    Parameters
    ----------
    ds : xarray.Dataset
        A station dataset, as ``check`` takes it.
    off_step : {"nearest", "floor"}, optional
        Move timestamps that are off the step to the nearest one, or to the one before, and sort. Where that leaves two on
        one step, ``duplicate_times`` merges them, and the values of the timestamp that was on it come first.
    duplicate_times : {"merge"}, optional
        Make one of repeated timestamps: of each value, the first that is there.
    irregular : {"fill"}, optional
        Sort the timestamps and insert absent ones, with missing values.
    shift_hours : float, optional
        Move all timestamps by so many hours: negative is earlier.
    duplicate_stations : {"merge"}, optional
        Make one of stations with the same id: of each value, the first that is there.
    swapped : {"swap"}, optional
        Exchange longitude and latitude of swapped stations.
    unplaced, far, sea : "drop" or {station: (lon, lat)}, optional
        Leave out the stations without a place, far from their network, in the sea; or give stations their right place.
    units : mapping, optional
        ``{"co": "mg m-3"}`` says what the units of a variable are: only the attribute changes.
        ``{"co": {"s07": "ug m-3"}}`` says it of a station: its values are converted to the units of the variable, with
        a gas at 20 degC and 1013.25 hPa. Values are converted as a whole by :func:`convert_units`.
    impossible : {"missing"}, optional
        Make impossible values of pollutants missing.
    negative : {"missing", "zero"}, optional
        Make negative values of pollutants missing, or zero.
    stuck, spikes : {"missing"}, optional
        Make such values of pollutants missing.
    identical : {"missing"}, optional
        Make the series of a station missing that is a copy of another's, in the variable in which it is; the first in
        the dataset is kept.
    colocated : {"merge"}, optional
        Make one of stations closer than 50 m, under the name of the first: of each value, the first that is there.
    silent : {"drop"}, optional
        Leave out stations without data.

    Returns
    -------
    xarray.Dataset
        In xaq's form, with a line per change in the attribute ``history``: what was changed, how many values, at which
        stations. All other values are the same bits. The input stays as it was.

    Raises
    ------
    SchemaError
        Words other than those above, stations or variables that are not there, roles that cannot be found, or values
        to be fixed on timestamps that are not regular.

    See Also
    --------
    check : Reports what there is to fix.

    Notes
    -----
    Repairs of timestamps, places and whole units compute nothing. Repairs of values, ``identical`` and ``silent`` compute
    the variables to find what they fix, once each; the variables returned stay lazy.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=8, days=3)
    >>> ds.pm25[2, 5:8] = -4
    >>> print(ds.aq.repair(negative="missing").history)
    xaq repair: negative: 3 values of pm25 made missing at s002
    """
    words = {
        "off_step": (off_step, ("nearest", "floor")),
        "duplicate_times": (duplicate_times, ("merge",)),
        "irregular": (irregular, ("fill",)),
        "duplicate_stations": (duplicate_stations, ("merge",)),
        "swapped": (swapped, ("swap",)),
        **{name: (value, ("drop",)) for name, value in _not_mappings(unplaced=unplaced, far=far, sea=sea).items()},
        "impossible": (impossible, ("missing",)),
        "negative": (negative, ("missing", "zero")),
        "stuck": (stuck, ("missing",)),
        "spikes": (spikes, ("missing",)),
        "identical": (identical, ("missing",)),
        "colocated": (colocated, ("merge",)),
        "silent": (silent, ("drop",)),
    }
    _check_words(words)
    of_values = {"impossible": impossible, "negative": negative, "stuck": stuck, "spikes": spikes}
    asked_values = {name: how for name, how in of_values.items() if how is not None}
    steps: list[tuple[bool, Step]] = [
        (off_step is not None, partial(_off_step, how=off_step or "nearest")),
        (duplicate_times is not None, _duplicate_times),
        (irregular is not None, _irregular),
        (shift_hours is not None, partial(_shift_hours, hours=shift_hours or 0.0)),
        (duplicate_stations is not None, _duplicate_stations),
        (swapped is not None, _swapped),
        *((how is not None, partial(_misplaced, problem=name, how=how)) for name, how in
          (("unplaced", unplaced), ("far", far), ("sea", sea))),
        (units is not None, partial(_units, units=units or {})),
        (bool(asked_values), partial(_values, asked=asked_values)),
        (identical is not None, _identical),
        (colocated is not None, _colocated),
        (silent is not None, _silent),
    ]  # fmt: skip
    ds, problems = flags.prepare(ds)
    if problems:
        raise SchemaError(problems)
    changes: list[str] = []
    for asked, step in steps:
        if asked:
            ds, done = step(ds)
            changes += done
    return schema.record(ds, "repair", changes)


def _not_mappings(**values: Places | None) -> dict[str, str | None]:
    return {name: value for name, value in values.items() if not isinstance(value, Mapping)}


def _check_words(words: Mapping[str, tuple[str | None, tuple[str, ...]]]) -> None:
    wrong = [
        f"{name}={value!r}, expected {' or '.join(map(repr, known))}"
        for name, (value, known) in words.items()
        if value is not None and value not in known
    ]
    if wrong:
        raise SchemaError(wrong, subject="repair")


# -- timestamps ------------------------------------------------------------------------------------------------------------


def _off_step(ds: xr.Dataset, how: str) -> tuple[xr.Dataset, list[str]]:
    clock = time_axis.Clock.of(ds)
    if not clock.off.any():
        return ds, []
    where = some(ds[TIME].values[clock.off].astype("datetime64[s]"), 3)
    return time_axis.on_step(ds, how), [
        f"off_step: {int(clock.off.sum())} timestamps moved to the step ({how}): {where}"
    ]


def _duplicate_times(ds: xr.Dataset) -> tuple[xr.Dataset, list[str]]:
    repeated = time_axis.Clock.of(ds).repeated
    if not repeated.any():
        return ds, []
    where = some(ds[TIME].values[repeated].astype("datetime64[s]"), 3)
    return time_axis.merge(ds, TIME, ds[TIME].values), [
        f"duplicate_times: {int(repeated.sum())} timestamps merged: {where}"
    ]


def _irregular(ds: xr.Dataset) -> tuple[xr.Dataset, list[str]]:
    clock = time_axis.Clock.of(ds)
    if clock.off.any() or clock.repeated.any():
        raise SchemaError(
            "timestamps off the step or repeated cannot be put on a regular axis; "
            "fix: ds.aq.repair(off_step='nearest', duplicate_times='merge', irregular='fill')"
        )
    if clock.regular:
        return ds, []
    sorted_ = "timestamps sorted, " if clock.unsorted else ""
    return time_axis.fill_axis(ds), [f"irregular: {sorted_}{clock.absent} absent timestamps inserted"]


def _shift_hours(ds: xr.Dataset, hours: float) -> tuple[xr.Dataset, list[str]]:
    if not np.isfinite(hours):
        raise SchemaError(f"shift_hours={hours}, expected a number of hours", subject="repair")
    shift = np.timedelta64(round(hours * 3600), "s")
    if not shift:
        return ds, []
    moved = ds[TIME].values.astype("datetime64[s]") + shift
    return ds.assign_coords({TIME: (TIME, moved, ds[TIME].attrs)}), [
        f"shift_hours: all timestamps moved by {hours:+g} h"
    ]


# -- stations and places -----------------------------------------------------------------------------------------------


def _duplicate_stations(ds: xr.Dataset) -> tuple[xr.Dataset, list[str]]:
    ids = ds[STATION].values
    repeated = pd.Index(ids).duplicated()
    if not repeated.any():
        return ds, []
    where = some(dict.fromkeys(ids[repeated]))
    return time_axis.merge(ds, STATION, ids), [f"duplicate_stations: {int(repeated.sum())} merged: {where}"]


def _swapped(ds: xr.Dataset) -> tuple[xr.Dataset, list[str]]:
    mask = flags.places_of(ds)["swapped"]
    if not mask.any():
        return ds, []
    lon, lat = ds[LON].values, ds[LAT].values
    ds = _with_places(ds, np.where(mask, lat, lon), np.where(mask, lon, lat))
    return ds, [f"swapped: longitude and latitude exchanged at {some(ds[STATION].values[mask], len(mask))}"]


def _misplaced(ds: xr.Dataset, problem: str, how: Places | None) -> tuple[xr.Dataset, list[str]]:
    ids = ds[STATION].values
    if isinstance(how, Mapping):
        return _replace(ds, problem, how)
    mask = flags.places_of(ds)[problem]
    if not mask.any():
        return ds, []
    if mask.all():
        raise SchemaError(f"{problem}='drop' would leave no station; fix: {problem}={{station: (lon, lat), ...}}")
    left = ds.isel({STATION: np.flatnonzero(~mask)})
    return left, [f"{problem}: {int(mask.sum())} stations left out: {some(ids[mask], len(ids))}"]


def _replace(ds: xr.Dataset, problem: str, places: Mapping[str, tuple[float, float]]) -> tuple[xr.Dataset, list[str]]:
    _check_stations(ds, places, problem)
    ids = ds[STATION].values.astype(str)
    lon, lat = ds[LON].values.astype(float), ds[LAT].values.astype(float)
    done = []
    for station, (east, north) in places.items():
        if not (abs(east) <= 360 and abs(north) <= 90):
            raise SchemaError(f"{problem}={{{station!r}: ({east}, {north})}}, expected (lon, lat) in degrees")
        here = ids == str(station)
        done.append(f"{problem}: {station} moved from {lon[here][0]:g}, {lat[here][0]:g} to {east:g}, {north:g}")
        lon[here], lat[here] = east, north
    return _with_places(ds, lon, lat), done


def _with_places(ds: xr.Dataset, lon: NDArray, lat: NDArray) -> xr.Dataset:
    return ds.assign_coords({LON: (STATION, lon, ds[LON].attrs), LAT: (STATION, lat, ds[LAT].attrs)})


def _check_stations(ds: xr.Dataset, named: Mapping[str, object], option: str) -> None:
    known = set(ds[STATION].values.astype(str))
    unknown = [s for s in named if str(s) not in known]
    if unknown:
        raise SchemaError(f"{option} names unknown station(s) {some(unknown)}; known are {some(sorted(known))}")


def _colocated(ds: xr.Dataset) -> tuple[xr.Dataset, list[str]]:
    groups = flags.colocated_groups(ds)
    if not groups:
        return ds, []
    label = np.arange(ds.sizes[STATION])
    for group in groups:
        label[group] = group[0]
    ids = ds[STATION].values.astype(str)
    names = some(["+".join(ids[group]) for group in groups], len(groups))
    return time_axis.merge(ds, STATION, label), [
        f"colocated: {len(groups)} groups merged under the first name: {names}"
    ]


def _silent(ds: xr.Dataset) -> tuple[xr.Dataset, list[str]]:
    seen = [np.isfinite(flags.values_of(ds, name)).any(axis=1) for name in flags.series_names(ds)]
    if not seen or (reporting := np.any(seen, axis=0)).all():
        return ds, []
    if not reporting.any():
        raise SchemaError("silent='drop' would leave no station: none has data")
    ids = ds[STATION].values
    left = ds.isel({STATION: np.flatnonzero(reporting)})
    return left, [f"silent: {int((~reporting).sum())} stations left out: {some(ids[~reporting], len(ids))}"]


# -- units and values --------------------------------------------------------------------------------------------------


def _units(ds: xr.Dataset, units: Mapping[str, str | Mapping[str, str]]) -> tuple[xr.Dataset, list[str]]:
    done = []
    for name, of in units.items():
        if name not in ds.data_vars or canonical_name(name) not in POLLUTANTS:
            known = ", ".join(schema.pollutants(ds)) or "none"
            raise SchemaError(f"units names {name!r}, which is no pollutant of the dataset; it has {known}")
        ds, change = _relabel(ds, name, of) if isinstance(of, str) else _rescale(ds, name, of)
        done += change
    return ds, done


def _relabel(ds: xr.Dataset, name: str, units: str) -> tuple[xr.Dataset, list[str]]:
    new, pollutant = canonical_units(units), canonical_name(name)
    if not is_concentration(new, pollutant):
        raise SchemaError(f"units={{{name!r}: {units!r}}} are no concentration of {name}")
    old = ds[name].attrs.get("units", "none")
    if old == new:
        return ds, []
    attrs = {k: v for k, v in ds[name].attrs.items() if k != "units_note"}
    fresh = cf_attrs(pollutant, new)
    attrs = {**fresh, **attrs, "units": new, "standard_name": fresh["standard_name"]}
    variable = ds[name].copy(deep=False)
    variable.attrs = attrs
    return ds.assign({name: variable}), [f"units: {name} taken to be in {new} (stated: {old})"]


def _rescale(ds: xr.Dataset, name: str, of: Mapping[str, str]) -> tuple[xr.Dataset, list[str]]:
    _check_stations(ds, of, f"units[{name!r}]")
    units = flags.units_of(ds, name)
    if units is None:
        raise SchemaError(f"{name!r} has no units; fix: ds.aq.repair(units={{{name!r}: 'ug m-3'}})")
    variable, done = ds[name], []
    for station, unit in of.items():
        times = factor(canonical_name(name), unit, units)
        here = ds[STATION].astype(str) == str(station)
        variable = variable.where(~here, (variable * times).astype(variable.dtype))
        done.append(f"units: {name} at {station} converted from {canonical_units(unit)} to {units}")
    return ds.assign({name: variable.transpose(*ds[name].dims).assign_attrs(ds[name].attrs)}), done


def _values(ds: xr.Dataset, asked: Mapping[str, str]) -> tuple[xr.Dataset, list[str]]:
    _check_regular(ds)
    ids, done = ds[STATION].values.astype(str), []
    for name in _pollutant_series(ds):
        found = flags.value_masks(ds, name, flags.values_of(ds, name))
        for problem, how in asked.items():
            mask = found[problem]
            if mask.any():
                ds = _with_masked(ds, name, mask, 0.0 if how == "zero" else np.nan)
                where = some(ids[mask.any(axis=1)], len(ids))
                done.append(f"{problem}: {int(mask.sum())} values of {name} made {how} at {where}")
    return ds, done


def _identical(ds: xr.Dataset) -> tuple[xr.Dataset, list[str]]:
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
    return [name for name in flags.series_names(ds) if canonical_name(name) in POLLUTANTS]


def _check_regular(ds: xr.Dataset) -> None:
    if not time_axis.Clock.of(ds).regular:
        raise SchemaError(
            "values are judged by the hours around them, and the timestamps are irregular; fix, in the same call: "
            "off_step='nearest', duplicate_times='merge', irregular='fill'",
            subject="repair",
        )


def _with_masked(ds: xr.Dataset, name: str, mask: NDArray[np.bool_], fill: float) -> xr.Dataset:
    """Return the dataset with the masked values of a variable replaced; integers become floats to hold a missing one."""
    labelled = xr.DataArray(mask, dims=(STATION, TIME)).transpose(*ds[name].dims)
    variable = ds[name] if np.issubdtype(ds[name].dtype, np.floating) else ds[name].astype(float)
    return ds.assign(
        {name: variable.copy(data=variable.variable.where(~labelled.variable, variable.dtype.type(fill)).data)}
    )
