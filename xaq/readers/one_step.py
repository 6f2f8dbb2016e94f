"""Stations of different steps in one source: refused, or brought to the step that the caller names."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from .._arguments import argument_error, shown
from ..arrays import timesteps
from ..conventions import STATION, TIME
from ..errors import SchemaError, warn
from ..stations import limits, schema
from ..stations.schema import some
from ..stations.steps import Group, Series, common_step, groups, series_of
from ..stations.timestamps import STEP, UNIT_NAMES, calendar_unit, step_of, with_step
from .times import put_on_step

_SECOND = np.timedelta64(1, "s")
#: Variables whose values are angles.
_DIRECTIONS = ("wd", "wdir", "wind_dir", "wind_direction", "wind_from_direction")


def check_step(step: Any) -> np.timedelta64 | None:
    """Return the step that a caller names as seconds, or raise: it is no step that divides a day, nor whole days."""
    if step is None:
        return None
    if isinstance(step, str) and (parts := re.fullmatch(r"(\d{0,6})\s*(s|min|h|d)", step.strip(), re.IGNORECASE)):
        step = pd.Timedelta(f"{parts[1] or 1}{'D' if parts[2] in 'dD' else parts[2].lower()}")
    # The months and years of NumPy have no length.
    fixed = isinstance(step, timedelta) or (isinstance(step, np.timedelta64) and np.datetime_data(step)[0] not in "YM")
    if fixed and not pd.isna(step):
        seconds = pd.Timedelta(step).total_seconds()
        if seconds >= 1 and (86400 % seconds == 0 or seconds % 86400 == 0):
            return np.timedelta64(int(seconds), "s")
    raise argument_error(
        f"step is {shown(step)}, expected a time that divides a day, or whole days; fix: step='1h' or step='1D'"
    )


def with_known_step(ds: xr.Dataset, step: np.timedelta64 | None, time: Any = TIME) -> xr.Dataset:
    """Return a dataset whose step is known: of a single time, the one that it states, else ``step``.

    Raises
    ------
    SchemaError
        A single time, and nothing says for how long its values stand.
    """
    if time not in ds.coords or ds[time].size != 1:
        return ds
    ds = with_step(ds, step, time)
    if STEP not in ds[time].attrs:
        raise SchemaError(
            f"there is one time only ({np.atleast_1d(ds[time].values)[0]}), which does not show the step; "
            "fix: step='1D' if its values are of a day, step='1h' if of an hour, or open all files of the record together"
        )
    return ds


def with_whole_ends(ds: xr.Dataset, timestamps: str | None) -> xr.Dataset:
    """Return a conformed dataset whose labels are no last seconds of intervals: 00:59:59 with ``timestamps="end"`` is 01:00.

    Raises
    ------
    SchemaError
        Labels of last seconds, and the caller does not say what they are.
    """
    times = ds[TIME].values.astype("datetime64[s]")
    last = (times - np.datetime64(0, "s")) % np.timedelta64(60, "s") == np.timedelta64(59, "s")
    if timestamps == "start" or not last.all() or step_of(ds[TIME]) < np.timedelta64(60, "s"):
        return ds
    if timestamps is None:
        raise SchemaError(
            f"every timestamp ends with :59, the last second of an interval, first: {times[0]}; expected its start or its end; "
            "fix: timestamps='end', or timestamps='start' if the intervals do begin at these seconds"
        )
    moved = ds.assign_coords({TIME: ds[TIME].copy(data=times + _SECOND)})
    return schema.record(
        moved, "open_stations", ["timestamps of the last second of each interval moved to its end (+1 s)"]
    )


def settle_step(ds: xr.Dataset, step: np.timedelta64 | None, timestamps: str) -> xr.Dataset:
    """Return a conformed dataset whose stations have one step, each timestamp at the start of its interval.

    Parameters
    ----------
    ds : xarray.Dataset
        On an axis that holds the timestamps of all stations.
    step : numpy.timedelta64, optional
        To bring all stations to; without it, stations of different steps are an error. Lazy data are not examined.
    timestamps : {"start", "end"}
        Which end of its interval each timestamp labels.

    Raises
    ------
    SchemaError
        Stations of different steps and no ``step``, stations whose step is longer than ``step``, timestamps off the steps.
    """
    if any(v.chunks is not None for v in ds.data_vars.values()):
        if step is not None and step != step_of(ds[TIME]):
            name = timesteps.step_name(step)
            raise argument_error(
                f"step={name!r} is for tables and data in memory; fix: "
                f"open_stations(...) without step=, then ds.resample(time={name!r}).mean(keep_attrs=True)"
            )
        return label_starts(ds, timestamps)
    axis = step_of(ds[TIME])
    series = {name: Series.of(seen, axis) for name, seen in series_of(ds).items()}
    _check_regular(ds, series)
    _check_no_calendar(ds, axis)
    found = groups(ds, series.values())
    if step is None or (len(found) == 1 and found[0].step == step == axis):
        if len(found) > 1:
            _refuse(ds, found)
        return label_starts(ds, timestamps)
    longer = [group for group in found if group.step > step]
    if longer:
        name = timesteps.step_name(common_step(found))
        raise argument_error(
            f"step={timesteps.step_name(step)!r} is shorter than the steps of {', '.join(map(str, longer))}; fix: step={name!r}"
        )
    return _means(ds, found, step, timestamps)


def label_starts(ds: xr.Dataset, timestamps: str) -> xr.Dataset:
    """Return the dataset with each timestamp at the start of its interval."""
    if timestamps == "start":
        return ds
    step = step_of(ds[TIME])
    moved = ds[TIME].copy(data=ds[TIME].values - step)
    note = f"timestamps moved from the end to the start of each interval (-{timesteps.step_name(step)})"
    return schema.record(ds.assign_coords({TIME: moved}), "open_stations", [note])


def _check_regular(ds: xr.Dataset, series: dict[str, Series]) -> None:
    """Raise where a series has values between its steps, on an axis that no other series has as its step."""
    times, ids = ds[TIME].values, ds[STATION].values.astype(str)
    for name, one in series.items():
        for i in np.flatnonzero(one.irregular):
            at = np.flatnonzero(np.isfinite(ds[name].values[i]))
            phases, counts = np.unique(at % one.every[i], return_counts=True)
            off = at[at % one.every[i] != phases[np.argmax(counts)]]
            step = int(one.every[i]) * step_of(ds[TIME])
            raise SchemaError(
                f"{len(off)} timestamps of station {ids[i]} are off its step of {timesteps.step_name(step)}, first: {times[off[0]]}; "
                f"fix: {put_on_step(pd.Timedelta(step), times[at])}"
            )


def _check_no_calendar(ds: xr.Dataset, axis: np.timedelta64) -> None:
    """Raise where stations have a value a month, quarter or year among daily ones."""
    if axis != timesteps.DAY:
        return
    times, ids, found = ds[TIME].values, ds[STATION].values.astype(str), dict[str, str]()
    for seen in series_of(ds).values():
        for i in np.flatnonzero(seen.sum(axis=1) < len(times) / 20):
            if unit := calendar_unit(times[seen[i]]):
                found[str(ids[i])] = UNIT_NAMES[unit]
    if found:
        raise SchemaError(
            f"{len(found)} station(s) have one value a {next(iter(found.values()))} among daily ones: {some(found)}; expected daily "
            f"values; fix: leave them out: table = table[~table['station'].astype(str).isin({list(found)})]"
        )


def _refuse(ds: xr.Dataset, found: list[Group]) -> None:
    """Raise for stations of different steps; of daily data warn only, where values every few days are the rule."""
    text = "; ".join(map(str, found))
    if found[0].step >= timesteps.DAY and len({group.begins % timesteps.DAY for group in found}) == 1:
        warn(f"stations report at different steps: {text}; each value is taken for that of one day")
        return
    name = timesteps.step_name(common_step(found))
    fewest = min(found, key=lambda group: len(group.stations))
    raise SchemaError(
        f"stations have different steps: {text}; expected one, because the value of one step is not that of another; fix: "
        f"step={name!r} for means over it, or leave out station(s) {some(fewest.stations, 3)}"
    )


def _means(ds: xr.Dataset, found: list[Group], step: np.timedelta64, timestamps: str) -> xr.Dataset:
    """Return the dataset with the mean of each variable over each interval of a step, weighted by the time observed."""
    limits.require_no_codes({str(name): v.values for name, v in ds.data_vars.items() if v.dtype.kind in "fiu"})
    # Intervals begin where those of stations of this step do, so that their values stay as they are.
    begins = {int(group.begins / _SECOND) for group in found if group.step == step}
    width = int(step / _SECOND)
    phase = begins.pop() if len(begins) == 1 else 0
    seconds = (ds[TIME].values.astype("datetime64[s]") - np.datetime64(0, "s")).astype(np.int64) - phase
    axis = int(step_of(ds[TIME]) / _SECOND)
    first = (seconds[0] - (width if timestamps == "end" else 0)) // width
    n = int(seconds[-1] // width - first) + 2
    made, observed = {}, np.zeros(n, bool)
    for name, variable in ds.data_vars.items():
        made[name] = variable.variable
        if variable.dims == (STATION, TIME) and variable.dtype.kind in "fiu":
            every = Series.of(np.isfinite(variable.values), np.timedelta64(axis, "s")).every
            spans = np.minimum(every * axis, width)
            means = _mean_over(
                variable.values, name in _DIRECTIONS, seconds - first * width, spans, width, n, timestamps
            )
            made[name] = xr.Variable((STATION, TIME), means, variable.attrs)
            observed |= np.isfinite(means).any(axis=0)
    times = np.datetime64(0, "s") + ((first + np.arange(n)) * width + phase).astype("timedelta64[s]")
    coords = {name: c.variable for name, c in ds.coords.items() if TIME not in c.dims}
    attrs = {k: v for k, v in ds[TIME].attrs.items() if k != STEP}
    means_of = xr.Dataset(made, {**coords, TIME: (TIME, times, attrs)}, ds.attrs)
    at = np.flatnonzero(observed)
    if not len(at):
        raise argument_error(
            f"step={timesteps.step_name(step)!r} leaves no interval of which {timesteps.DATA_CAPTURE:.0%} are observed; "
            "fix: a shorter step=, or a longer record"
        )
    begin = f", which begin at {pd.Timestamp(phase, unit='s'):%H:%M} UTC" if step >= timesteps.DAY else ""
    note = f"means over {timesteps.step_name(step)}{begin}, each with at least {timesteps.DATA_CAPTURE:.0%} observed, of {'; '.join(map(str, found))}"
    kept = with_step(means_of.isel({TIME: slice(at[0], at[-1] + 1)}), step)
    return schema.record(kept, "open_stations", [note])


def _mean_over(
    values: NDArray, angles: bool, seconds: NDArray, spans: NDArray, width: int, n: int, timestamps: str
) -> NDArray[np.float32]:
    """Return means over intervals ``(station, n)`` of this width from 0; NaN where less than the data capture is observed.

    ``spans`` has the seconds that each value of a station stands for, at most the width, from or until its timestamp.
    """
    made = np.full((len(values), n), np.nan, np.float32)
    for span in np.unique(spans):
        rows = np.flatnonzero(spans == span)
        part = values[rows].astype(float)
        seen = np.isfinite(part)
        part = np.where(seen, np.exp(1j * np.radians(part)) if angles else part, 0)
        total, time = np.zeros((len(rows), n), part.dtype), np.zeros((len(rows), n))
        starts = seconds - (span if timestamps == "end" else 0)
        inside = np.minimum(span, width - starts % width)
        # The rest of a value lies in the interval after that of its start.
        for interval, weight in ((starts // width, inside), (starts // width + 1, span - inside)):
            bins, at = np.unique(interval, return_index=True)
            total[:, bins] += np.add.reduceat(part * weight, at, axis=1)
            time[:, bins] += np.add.reduceat(seen * weight, at, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = np.degrees(np.angle(total)) % 360 if angles else total / time
        made[rows] = np.where(time >= timesteps.DATA_CAPTURE * width, means, np.nan)
    return made
