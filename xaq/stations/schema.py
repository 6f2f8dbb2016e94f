"""The form of a station dataset, and what is read from one.

A Dataset with dimensions ``(station, time)``: coordinates ``lon`` and ``lat`` in degrees, optional ``elevation``, and
``hidden`` after ``hide``; a variable per pollutant with ``units``; UTC times on one regular step, each labelling the start
of its interval; CF discrete sampling geometry attributes. Every public verb calls :func:`conform` once,
first; all that follows takes its result, a conformed dataset.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from .._arguments import shown
from ..arrays import longitudes, timesteps
from ..conventions import (
    ELEVATION,
    HIDDEN,
    LAT,
    LON,
    MASS_UNITS,
    POLLUTANTS,
    ROLE_ATTRS,
    ROLE_CF,
    ROLE_NAMES,
    STATION,
    TIME,
    canonical_name,
    canonical_units,
    cf_attrs,
    common_units,
    is_concentration,
    is_pollutant,
    is_units,
    label,
    match_key,
)
from ..errors import SchemaError
from ..interpolate.base import Observations
from . import timestamps
from .form import form_problems, require_dataset, series_problems
from .hidden import settle_hidden
from .names import missing_problem, name_problem
from .names import some as some

Period = slice | tuple | list | str | pd.Timestamp | np.datetime64 | None


def find_role(ds: xr.Dataset, role: str) -> Hashable | None:
    """Return the variable of a role: by CF attributes first, then by common names; None where there is none.

    Raises
    ------
    SchemaError
        CF attributes that give the role to more than one variable.
    """
    for key, value in ROLE_ATTRS[role]:
        found = [
            name for name, variable in ds.variables.items() if str(variable.attrs.get(key, "")).lower() == value.lower()
        ]
        if len(found) > 1:
            names = ", ".join(map(repr, found))
            raise SchemaError(
                f"{names} all have {key}={value!r}; fix: keep the attribute on the one that is the {role}"
            )
        if found:
            return found[0]
    by_name = {match_key(name): name for name in [*ds.variables, *ds.dims]}
    return next((by_name[name] for name in ROLE_NAMES[role] if name in by_name), None)


def conform(ds: xr.Dataset) -> xr.Dataset:
    """Return the dataset in xaq's form, or raise with every problem found.

    Parameters
    ----------
    ds : xarray.Dataset
        Any station dataset whose roles are marked by CF attributes or the usual names.

    Returns
    -------
    xarray.Dataset
        Dimensions ``(station, time)``; roles renamed to ``station, time, lon, lat, elevation``.

    Raises
    ------
    SchemaError
        Lists all problems at once, each with the call that fixes it.

    Notes
    -----
    Loads coordinates; never computes a data variable.
    """
    require_dataset(ds)
    given = ds
    ds, problems = rename_roles(ds)
    if not problems:
        problems += identity_problems(ds)
    if not problems and HIDDEN in given.variables:
        ds, found = settle_hidden(ds, given[HIDDEN].dims)
        problems += found
    if not problems:
        problems += _coordinate_problems(ds)
        ds, found = settle_times(ds)
        problems += found or _time_problems(ds)
    if problems:
        raise SchemaError(problems + _units_problems(ds, pollutants(ds)))
    for name in ds.data_vars:
        if {STATION, TIME} == set(ds[name].dims) and ds[name].dims != (STATION, TIME):
            ds[name] = ds[name].transpose(STATION, TIME)
    return ds


def require_target(ds: xr.Dataset, target: str) -> None:
    """Check that a conformed dataset has the target: a variable of numbers on ``(station, time)``, with units.

    Raises
    ------
    SchemaError
        Lists all problems at once, each with the call that fixes it.
    """
    if isinstance(target, str):
        named = [name for name in ds.data_vars if str(name) == target]
    else:
        named = [name for name in ds.data_vars if type(name) is type(target) and name == target]
    if not named:
        raise SchemaError(missing_problem(target, [str(name) for name in ds.data_vars]))
    if problem := name_problem(named[0], ds.variables):
        raise SchemaError(problem)
    problems = series_problems(ds, target)
    problems += _units_problems(ds, [target])
    if problems:
        raise SchemaError(problems)


def rename_roles(ds: xr.Dataset) -> tuple[xr.Dataset, list[str]]:
    """Return the dataset with its roles under xaq's names, and the problems that prevent it.

    Loads lazy coordinates; never computes a data variable.
    """
    if problems := form_problems(ds):
        return ds, problems
    names = {}
    for role in (STATION, TIME, LON, LAT, ELEVATION):
        found = find_role(ds, role)
        if found is not None:
            names[found] = role
        elif role in (LON, LAT):
            problems.append(
                f"no {role} (looked for CF attributes, then {', '.join(ROLE_NAMES[role])}); "
                f"fix: ds.assign_coords({role}=('station', [...]))"
            )
        elif role == TIME:
            problems.append(
                "no time coordinate; fix: xaq.open_stations(table, stations=...) or ds.assign_coords(time=...)"
            )
        elif role == STATION:
            problems.append("no station dimension or identifier; fix: ds.rename({'your_dim': 'station'})")
    if problems:
        return ds, problems
    lon = next(name for name, role in names.items() if role == LON)
    dims = ds[lon].dims
    if len(dims) != 1:
        return ds, [
            f"{lon!r} has dimensions {dims}, expected one station dimension; fix: ds.aq verbs take stations, and a grid "
            "goes into ds.aq.sample(field) or background="
        ]
    dim, identifier = dims[0], next(name for name, role in names.items() if role == STATION)
    renames = {old: new for old, new in names.items() if old != new and new != STATION}
    if identifier != dim and identifier in ds.variables:
        ds = ds.swap_dims({dim: identifier}) if ds[identifier].dims == (dim,) else ds
        ds = ds.drop_vars([dim], errors="ignore")
        dim = identifier
    if dim != STATION:
        renames[dim] = STATION
    taken = [new for old, new in renames.items() if new in ds.variables and new not in renames and new != old]
    if taken:
        return ds, [f"{taken} exist beside the variables that have these roles; fix: ds.drop_vars({taken})"]
    when = next(name for name, role in names.items() if role == TIME)
    if when in ds.variables and ds[when].dims != (when,):
        if len(ds[when].dims) != 1:
            return ds, [
                f"{when!r} has dimensions {ds[when].dims}, expected one time dimension; fix: ds.expand_dims('time')"
            ]
        axis = ds[when].dims[0]
        ds = ds.swap_dims({axis: when}).drop_vars([axis], errors="ignore")
    ds = ds.rename(renames)
    ds = ds.set_coords([n for n in (LON, LAT, ELEVATION, HIDDEN) if n in ds.variables])
    # Every check needs the coordinates, so lazy ones are loaded here; data variables never are.
    lazy = {n: ds[n].variable for n in (LON, LAT, ELEVATION, HIDDEN) if n in ds.coords and ds[n].chunks is not None}
    return ds.assign_coords({n: v.copy(data=v.data.compute(scheduler="synchronous")) for n, v in lazy.items()}), []


def identity_problems(ds: xr.Dataset) -> list[str]:
    """Return the problems of identifiers, timestamps and coordinates that are missing or of the wrong type."""
    problems = []
    if not ds.sizes[STATION]:
        problems.append("the dataset has no stations; fix: xaq.open_stations(...), or select at least one station")
    if STATION not in ds.coords:
        problems.append("the station dimension has no identifiers; fix: ds.assign_coords(station=[...])")
    for name in (LON, LAT):
        if not np.issubdtype(ds[name].dtype, np.number):
            fix = f"ds.assign_coords({name}=ds.{name}.astype(float))"
            problems.append(f"{name} is {ds[name].dtype}, expected degrees as numbers; fix: {fix}")
    if TIME not in ds.coords:
        problems.append("time has no coordinate; fix: ds.assign_coords(time=pd.date_range(...))")
    elif (problem := timestamps.type_problem(ds, TIME, "ds")) is not None:
        problems.append(problem)
    return problems


def settle_times(ds: xr.Dataset) -> tuple[xr.Dataset, list[str]]:
    """Return the dataset with times on whole seconds, and the problem that prevents it; what is rounded is recorded."""
    try:
        ds, note = timestamps.rounded_coordinate(ds, TIME)
    except SchemaError as error:
        return ds, error.problems
    return (ds, []) if note is None else (record(ds, "time axis", [note]), [])


def _coordinate_problems(ds: xr.Dataset) -> list[str]:
    problems = []
    ids = ds[STATION].to_index()
    repeated = ids[ids.duplicated()].unique()
    if len(repeated):
        problems.append(f"duplicate station ids {some(repeated)}; fix: ds.aq.repair(duplicate_stations='merge')")
    lon, lat = np.asarray(ds[LON], float), np.asarray(ds[LAT], float)
    missing = ~(np.isfinite(lon) & np.isfinite(lat))
    if missing.any():
        where = some(ids[missing])
        problems.append(f"{missing.sum()} station(s) without coordinates: {where}; fix: ds.aq.repair(unplaced='drop')")
    if (np.abs(lat) > 90).any():
        bad = np.flatnonzero(np.abs(lat) > 90)
        swapped = (np.abs(lon[~missing]) <= 90).all()
        hint = (
            "lon and lat look swapped; fix: ds.aq.repair(swapped='swap')"
            if swapped
            else "expected -90..90 degrees; fix: ds.aq.repair(swapped='swap', unplaced='drop')"
        )
        problems.append(f"lat outside -90..90 at {some(ids[bad])} (lat={lat[bad[0]]:g}, lon={lon[bad[0]]:g}): {hint}")
    wrong = np.isfinite(lon) & ~longitudes.valid(lon)
    if wrong.any():
        where = f"{some(ids[wrong])} (lon={lon[wrong][0]:g})"
        problems.append(
            f"lon outside ten turns, or a mark of a missing value, at {where}; fix: ds.aq.repair(unplaced='drop')"
        )
    return problems


def _time_problems(ds: xr.Dataset) -> list[str]:
    try:
        timesteps.steps_per_day(timestamps.step_of(ds[TIME]))
    except SchemaError as error:
        calendar = timestamps.calendar_problem(ds[TIME].values)
        return error.problems if calendar is None else [calendar]
    return []


def _units_problems(ds: xr.Dataset, names: list[str]) -> list[str]:
    """Return what is wrong with the units of the only one of some variables, which any verb would refuse next."""
    if len(names) != 1:
        return []
    name, units = names[0], str(ds[names[0]].attrs.get("units") or "")
    fix = f"fix: ds[{name!r}].attrs['units'] = '{MASS_UNITS}'"
    if not units:
        return [f"{name!r} has no units; {fix}"]
    is_known = is_pollutant(name) and is_units(units)
    if is_known and not is_concentration(canonical_units(units), canonical_name(name)):
        return [f"{name!r} is in {units!r}, and particles have no mixing ratio; {fix}"]
    return []


def describe_as_cf(ds: xr.Dataset) -> xr.Dataset:
    """Return the dataset with the CF attributes of a discrete sampling geometry; attributes that exist are kept."""
    ds = ds.assign_attrs({"featureType": "timeSeries", "Conventions": "CF-1.11", **ds.attrs})
    for role, attrs in ROLE_CF.items():
        if role in ds.variables:
            ds[role].attrs = {**attrs, **ds[role].attrs}
    for name in ds.data_vars:
        units = ds[name].attrs.get("units")
        ds[name].attrs = {**cf_attrs(str(name), units), **ds[name].attrs}
        if "standard_name" not in ds[name].attrs:
            ds[name].attrs.setdefault("long_name", str(name))
    return ds


def pollutants(ds: xr.Dataset) -> list[str]:
    """Return the names of the variables that xaq knows as pollutants."""
    return [str(n) for n in ds.data_vars if is_pollutant(str(n))]


def pick_target(ds: xr.Dataset, target: str | None) -> str:
    """Return ``target``; where it is None, the only pollutant of the dataset, or its only variable."""
    if target is not None:
        return target
    candidates = pollutants(ds) or [str(n) for n in ds.data_vars]
    if len(candidates) == 1:
        return candidates[0]
    raise SchemaError(
        f"which variable? candidates are {', '.join(candidates) or 'none'}; fix: target={(candidates or ['pm25'])[0]!r}"
    )


def positions(ds: xr.Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitudes and latitudes of the stations, ``(station,)`` each, in degrees."""
    return ds[LON].values.astype(float), ds[LAT].values.astype(float)


def hidden_mask(ds: xr.Dataset) -> NDArray[np.bool_]:
    """Return which stations of a conformed dataset are hidden, ``(station,)`` bool; all False before ``hide``."""
    if HIDDEN not in ds.coords:
        return np.zeros(ds.sizes[STATION], bool)
    return np.asarray(ds[HIDDEN].values)


def select_period(ds: xr.Dataset, time: Period) -> xr.Dataset:
    """Return the dataset over a period: a slice, a (start, end) pair, ``"2013/2016"``, one time, or None for all.

    A string may name a day, a month or a year, as in xarray.

    Raises
    ------
    SchemaError
        Not a period, or one without a step of the dataset.
    """
    if time is None:
        return ds
    times = ds[TIME].to_index()
    key = as_slice(time)
    key = slice(timestamps.plain_time(key.start), timestamps.plain_time(key.stop), key.step)
    if not (key.step is None or key.step == 1):
        every = int(key.step) if isinstance(key.step, (int, np.integer)) else 6
        raise SchemaError(
            f"time={shown(time)} has a step, and estimates are made on every step of the dataset; fix: "
            f"time=slice({key.start!r}, {key.stop!r}), and .isel(time=slice(None, None, {every})) of the result"
        )
    try:
        picked = times[times.slice_indexer(key.start, key.stop)]
    except (ValueError, TypeError, KeyError) as error:
        raise SchemaError(
            f"time={shown(time)} is not a period; fix: time={str(times[0])[:10]!r}, or "
            f"time=slice({str(times[0])[:10]!r}, {str(times[-1])[:10]!r})"
        ) from error
    if not len(picked):
        raise SchemaError(
            f"time={shown(time)} holds no step of the dataset, which covers {times[0]} to {times[-1]}; "
            f"fix: time=slice({str(times[0])!r}, {str(times[-1])!r})"
        )
    return ds.sel({TIME: slice(picked[0], picked[-1])})


def as_slice(time: Any) -> slice:
    """Return a period as a slice: of ``"2013/2016"``, a pair, or one time, which begins and ends it."""
    if isinstance(time, str) and time.count("/") == 1:
        time = tuple(part or None for part in time.split("/", 1))
    if isinstance(time, (tuple, list)) and len(time) == 2:
        time = slice(time[0], time[1])
    return time if isinstance(time, slice) else slice(time, time)


def observations(
    ds: xr.Dataset,
    target: str,
    *,
    hidden: bool = False,
    covariates: Sequence[str] = (),
    known: Sequence[str] = (),
) -> Observations:
    """Return the visible (or the hidden) stations as arrays. Computes the target and the covariates."""
    mask = hidden_mask(ds)
    chosen = ds.isel({STATION: np.flatnonzero(mask if hidden else ~mask)})

    def read(name: str) -> NDArray[np.float32]:
        return canonical(chosen[name].transpose(STATION, TIME).values)

    def stack(names: Sequence[str]) -> NDArray[np.float32]:
        arrays = [read(name) for name in names]
        return np.stack(arrays) if arrays else np.empty((0, *values.shape), np.float32)

    values = read(target)
    return Observations(
        values=values,
        lon=chosen[LON].values.astype(float),
        lat=chosen[LAT].values.astype(float),
        times=chosen[TIME].values.astype("datetime64[s]"),
        covariates=stack(covariates),
        known=stack(known),
    )


def canonical(values: Any) -> NDArray[np.float32]:
    """Return values as float32 in C order, NaN wherever they are not finite: equal observations have equal bytes."""
    values = np.asarray(values, np.float32)
    # Zero is added because -0.0 and 0.0 have other bytes.
    return np.ascontiguousarray(np.where(np.isfinite(values), values, np.float32(np.nan)) + np.float32(0.0))


def stations_hash(ds: xr.Dataset) -> str:
    """Return a short SHA-256 of station ids and coordinates (rounded to a metre); the order does not matter."""
    rows = sorted(
        f"{s}|{x:.5f}|{y:.5f}"
        for s, x, y in zip(ds[STATION].values, longitudes.canonical(ds[LON].values), ds[LAT].values, strict=True)
    )
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def summary_lines(ds: xr.Dataset) -> list[tuple[str, str]]:
    """Return the summary of a conformed dataset for its reprs, as (heading, text) pairs. Metadata only."""
    step = timestamps.step_of(ds[TIME])
    n, n_hidden = ds.sizes[STATION], int(hidden_mask(ds).sum())
    lon, lat = longitudes.unwrap(ds[LON].values), ds[LAT].values
    times = pd.DatetimeIndex(ds[TIME].to_index())
    # Days are dated as in their source, by most networks in local time.
    dated = step >= timesteps.DAY and bool((times == times.normalize()).all())
    fmt, zone = ("%Y-%m-%d", "") if dated else ("%Y-%m-%d %H:%M", ", UTC")
    lines = [
        ("stations", f"{n} ({n - n_hidden} visible, {n_hidden} hidden)" if n_hidden else f"{n}, none hidden"),
        ("bounds", f"{lon.min():.3f} .. {lon.max():.3f} E, {lat.min():.3f} .. {lat.max():.3f} N"),
        ("time", f"{times[0]:{fmt}} .. {times[-1]:{fmt}}, step {timesteps.step_name(step)}, {len(times)} steps{zone}"),
    ]
    for name in ds.data_vars:
        attrs = ds[name].attrs
        note = f" ({attrs['units_note']})" if "units_note" in attrs else ""
        role = label(str(name)) if str(name) in POLLUTANTS else "covariate"
        lines.append((str(name), f"{role}, {common_units(str(attrs.get('units', 'units missing')))}{note}"))
    return lines


def normalise_units(ds: xr.Dataset) -> xr.Dataset:
    """Return the dataset with concentration units in CF spelling."""
    ds = ds.copy()
    for name in ds.data_vars:
        if units := ds[name].attrs.get("units"):
            ds[name].attrs["units"] = canonical_units(str(units))
    return ds


def record(ds: xr.Dataset, verb: str, changes: Sequence[str]) -> xr.Dataset:
    """Return the dataset with a line per change added at the end of its ``history`` (CF)."""
    if not changes:
        return ds
    lines = [str(ds.attrs["history"])] if ds.attrs.get("history") else []
    return ds.assign_attrs(history="\n".join([*lines, *(f"xaq {verb}: {change}" for change in changes)]))
