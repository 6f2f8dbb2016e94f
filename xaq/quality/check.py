"""``check``: the problems of a station dataset, as a table. :mod:`xaq.quality.repair` fixes them on request.

One function per kind of problem. :mod:`xaq.quality.flags` decides which values, stations and timestamps are flagged,
:mod:`xaq.quality.detectors` has the arithmetic, docs/audit.md the reasons for the thresholds.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ..arrays import longitudes, sphere, timesteps
from ..conventions import LAT, LON, STATION, TIME, canonical_name, common_units, is_concentration, is_pollutant
from ..errors import SchemaError
from ..stations import limits, schema, steps
from ..stations.schema import some
from ..stations.time_axis import TimeAxis, regularised
from ..stations.timestamps import calendar_problem
from ..stations.units import factor
from . import detectors, flags, network_comparison
from .report import Finding, Report
from .size_classes import size_class_findings
from .text_variables import text_findings

#: Variables whose daily cycle follows the sun closely enough to reveal a wrong time zone.
_SUN_DRIVEN = ("o3", "temp", "temperature", "air_temperature", "t2m")
#: Fewest days of record from which a daily cycle is taken.
_LEAST_DAYS = 10
#: Noise about zero makes half of the values negative at most; a station with more than this fraction has an offset.
_OFFSET = 2 / 3


def check(ds: xr.Dataset, other: xr.Dataset | None = None) -> pd.DataFrame:
    """Report the problems of a station dataset, each with the call that fixes it. Changes nothing.

    Parameters
    ----------
    ds : xarray.Dataset
        A station dataset. Unlike other verbs, this one accepts, and reports, stations without coordinates, repeated ids
        and irregular timestamps.
    other : xarray.Dataset, optional
        Another network of the same region and period. Timestamps and units of the two are compared at common stations
        (within 1 km); without any, timestamps are compared by the means of the networks.

    Returns
    -------
    pandas.DataFrame
        One row per finding, the most severe first:

        - ``severity``: an error stops other verbs, a warning should be looked at, a note is for information;
        - ``problem``: its name, which is also the name of the argument of :func:`xaq.repair` that fixes it;
        - ``variable``: empty where the finding concerns stations or timestamps;
        - ``finding``: a description;
        - ``count``, ``fraction``: the number of values, stations or timestamps, and their fraction of all;
        - ``examples``: stations or timestamps;
        - ``fix``: the call that fixes it.

        The printed report shows every finding in full. Computes every variable, one at a time.

    See Also
    --------
    repair : Fixes the problems that are named, by the names used here.

    Notes
    -----
    docs/audit.md describes how each problem is detected, and what cannot be detected.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=8, days=3)
    >>> ds.pm25[2, 5:8] = -99
    >>> report = ds.aq.check()
    >>> report.loc[report.severity == "warning", ["problem", "variable", "count", "examples"]].values.tolist()
    [['impossible', 'pm25', 3, 's002']]
    """
    ds, problems = flags.prepare(ds)
    if problems:
        parts = [text.partition("; fix: ") for text in problems]
        return Report.of([Finding("error", "form", "", text, 1, np.nan, "", fix) for text, _, fix in parts])
    found = [*_timestamp_findings(ds), *_repeated_stations(ds), *_place_findings(ds)]
    ds = regularised(ds)
    found += _colocated(ds)
    found += text_findings(ds)
    reporting: dict[str, NDArray[np.bool_]] = {}
    for name in flags.series_names(ds):
        values = flags.values_of(ds, name)
        seen = np.isfinite(values)
        reporting[name] = seen.any(axis=1)
        found += _coverage(name, seen)
        if is_pollutant(name):
            found += _different_steps(ds, name, seen)
            found += _unit_findings(ds, name, values)
            found += _value_findings(ds, name, values)
        if canonical_name(name) in _SUN_DRIVEN:
            found += _time_zone(ds, name, values)
    found += size_class_findings(ds)
    found += _silent(ds, reporting)
    if other is not None:
        found += _compared(ds, other)
    return Report.of(found)


# -- findings ----------------------------------------------------------------------------------------------------------


def _ids(ds: xr.Dataset) -> NDArray:
    return np.asarray(ds[STATION].values).astype(str)


def _timestamp_findings(ds: xr.Dataset) -> Iterator[Finding]:
    axis, timestamps = TimeAxis.of(ds), ds[TIME].values.astype("datetime64[s]")
    n, step = len(timestamps), timesteps.step_name(axis.step)

    def row(severity: str, problem: str, text: str, mask: NDArray, fix: str) -> Finding:
        return Finding(severity, problem, "", text, int(mask.sum()), mask.mean(), some(timestamps[mask], 3), fix)

    if axis.of_calendar and (problem := calendar_problem(timestamps)) is not None:
        text, _, fix = problem.partition("; fix: ")
        yield row("error", "irregular", text, axis.off_step, fix)
        return
    if axis.off_step.any():
        fix = "ds.aq.repair(off_step='nearest')"
        yield row("error", "off_step", f"timestamps off the step of {step}", axis.off_step, fix)
    if axis.repeated.any():
        fix = "ds.aq.repair(duplicate_times='merge')"
        yield row("error", "duplicate_times", "repeated timestamps", axis.repeated, fix)
    if axis.missing or axis.unsorted:
        text = "missing timestamps" + (", timestamps out of order" if axis.unsorted else "")
        fix = "ds.aq.repair(irregular='fill')"
        yield Finding("error", "irregular", "", text, axis.missing, axis.missing / (n + axis.missing), "", fix)
    past_hour = axis.phase % np.timedelta64(3600, "s")
    if axis.step >= np.timedelta64(3600, "s") and past_hour:
        minutes = past_hour / np.timedelta64(60, "s")
        fix = f"ds.aq.repair(shift_hours={-minutes / 60:.4g}), if intervals begin on the hour"
        yield row("note", "shift_hours", f"timestamps {minutes:.4g} min past the hour", ~axis.off_step, fix)


def _repeated_stations(ds: xr.Dataset) -> Iterator[Finding]:
    ids = pd.Index(_ids(ds))
    if (repeated := ids.duplicated()).any():
        fix = "ds.aq.repair(duplicate_stations='merge')"
        examples = some(ids[repeated].unique())
        yield Finding(
            "error", "duplicate_stations", "", "repeated station ids", repeated.sum(), repeated.mean(), examples, fix
        )


def _place_findings(ds: xr.Dataset) -> Iterator[Finding]:
    described = {
        "unplaced": ("error", "stations without valid coordinates (missing, 0,0, or off the globe)"),
        "swapped": ("error", "stations with longitude and latitude swapped"),
        "far": ("warning", "stations far from the rest of the network"),
        "sea": ("warning", f"stations in the sea, over {flags.SEA_KM:g} km from the coast"),
    }
    ids = _ids(ds)
    for problem, mask in flags.places_of(ds).items():
        if mask.any():
            severity, text = described[problem]
            where = [f"{ids[i]} ({ds[LON].values[i]:g}, {ds[LAT].values[i]:g})" for i in np.flatnonzero(mask)]
            if problem == "swapped":
                fix = "ds.aq.repair(swapped='swap')"
            else:
                fix = f"ds.aq.repair({problem}='drop'), or {problem}={{{str(ids[mask][0])!r}: (lon, lat)}}"
            yield Finding(severity, problem, "", text, int(mask.sum()), mask.mean(), some(where, 3), fix)


def _colocated(ds: xr.Dataset) -> Iterator[Finding]:
    groups = flags.colocated_groups(ds)
    if not groups:
        return
    ids, n = _ids(ds), sum(map(len, groups))
    name = next(iter(schema.pollutants(ds) or flags.series_names(ds)), None)
    seen = None if name is None else np.isfinite(flags.values_of(ds, name))
    shown = []
    for group in groups:
        both = "" if seen is None else f" ({int((seen[group].sum(axis=0) > 1).sum())} steps with both)"
        shown.append("+".join(ids[group]) + both)
    text = f"stations within {1000 * sphere.COLOCATED_KM:g} m of another, always hidden together"
    fix = "ds.aq.repair(colocated='merge') if they are one station under several names"
    yield Finding("note", "colocated", "", text, n, n / len(ids), some(shown), fix)


def _silent(ds: xr.Dataset, reporting: dict[str, NDArray[np.bool_]]) -> Iterator[Finding]:
    ids, n = _ids(ds), ds.sizes[STATION]
    silent = ~np.any(list(reporting.values()), axis=0) if reporting else np.zeros(n, bool)
    if silent.any():
        fix = "ds.aq.repair(silent='drop')"
        yield Finding(
            "warning", "silent", "", "stations without data", int(silent.sum()), silent.mean(), some(ids[silent]), fix
        )
    for name, reports in reporting.items():
        lacks = ~reports & ~silent
        if lacks.any():
            text = "stations that report other variables but never this one"
            yield Finding("note", "silent", name, text, int(lacks.sum()), lacks.mean(), some(ids[lacks]), "")


def _coverage(name: str, seen: NDArray[np.bool_]) -> Iterator[Finding]:
    fraction = seen.mean(axis=1)
    text = f"observed values (data capture: median station {100 * np.median(fraction):.3g} %, lowest {100 * fraction.min():.3g} %)"
    yield Finding("note", "coverage", name, text, int(seen.sum()), float(seen.mean()), "", "")


def _different_steps(ds: xr.Dataset, name: str, seen: NDArray[np.bool_]) -> Iterator[Finding]:
    axis = TimeAxis.of(ds)
    groups = steps.groups(ds, [steps.Series.of(seen, axis.step)]) if axis.regular else []
    if len(groups) < 2:
        return
    fewest = min(groups, key=lambda group: len(group.stations))
    text = f"stations have different steps: {'; '.join(map(str, groups))}"
    if axis.step >= timesteps.DAY:
        # Some networks sample every third or sixth day: a mean over a longer step would have one value of a day in it.
        severity, fix = "note", ""
        text += f"; nothing to do, each value is that of one {'day' if axis.step == timesteps.DAY else 'step'}"
    else:
        severity, step = "warning", timesteps.step_name(steps.common_step(groups))
        fix = f"xaq.open_stations(ds, step={step!r}), or ds.drop_sel(station={list(fewest.stations)})"
    n = len(fewest.stations)
    yield Finding(severity, "steps", name, text, n, n / ds.sizes[STATION], some(fewest.stations), fix)


def _unit_findings(ds: xr.Dataset, name: str, values: NDArray) -> Iterator[Finding]:
    stated, units = ds[name].attrs.get("units"), limits.units_of(ds, name)
    ids, n = _ids(ds), ds.sizes[STATION]
    if units is None:
        text = f"units {stated!r} are not units of {name}" if stated else "no units"
        fix = f"ds.aq.repair(units={{{name!r}: 'ug m-3'}})"
        yield Finding("error", "units", name, text, n, 1.0, "", fix)
    elif "units_note" in ds[name].attrs:
        yield Finding(
            "note", "units", name, f"units {common_units(units)} {ds[name].attrs['units_note']}", n, 1.0, "", ""
        )
    scale = limits.scale_of(name, values, units)
    if units is not None and scale.instead:
        instead = [common_units(u) for u in scale.instead]
        text = f"median {scale.median:.3g} is implausible in {common_units(units)}, plausible in {' or '.join(instead)}"
        fix = f"ds.aq.repair(units={{{name!r}: {instead[0]!r}}})"
        yield Finding("warning", "units", name, text, n, 1.0, "", fix)
    elif (
        units is not None
        and np.isfinite(scale.median)
        and not limits.is_plausible(canonical_name(name), scale.median, units)
    ):
        yield Finding(
            "warning", "units", name, f"median {scale.median:.3g} {common_units(units)} is implausible", n, 1.0, "", ""
        )
    for mask, word in ((scale.larger, "larger"), (scale.smaller, "smaller")):
        if mask.any():
            text = f"stations with values about 1000 times {word} than the rest of the network"
            fix = f"ds.aq.repair(units={{{name!r}: {{{str(ids[mask][0])!r}: {_thousandth(units, word)!r}}}}})"
            yield Finding("warning", "units", name, text, int(mask.sum()), mask.mean(), some(ids[mask]), fix)


def _thousandth(units: str | None, word: str) -> str:
    """Return the units of a station whose values are a thousand times larger, or smaller, than the network's."""
    ladder = ["1e-6", "1e-9"] if units in ("1e-6", "1e-9") else ["kg m-3", "mg m-3", "ug m-3", "ng m-3"]
    position = ladder.index(units) if units in ladder else 1
    return common_units(ladder[min(max(position + (1 if word == "larger" else -1), 0), len(ladder) - 1)])


_VALUE_PROBLEMS = {
    "impossible": "infinite or impossible values, or codes for missing",
    "stuck": "values that do not change for suspiciously long",
    "spikes": "single values far above neighbouring hours and stations",
}


def _value_findings(ds: xr.Dataset, name: str, values: NDArray) -> Iterator[Finding]:
    ids, seen = _ids(ds), ~np.isnan(values)
    found = flags.flagged(ds, name, values)
    for problem, mask in found.masks.items():
        if problem == "level":
            yield from _wrong_levels(name, found.ratio, ids)
        elif problem == "negative":
            yield from _negatives(ids, name, seen, mask)
        elif mask.any():
            count, where = int(mask.sum()), some(ids[mask.any(axis=1)])
            fix = f"ds.aq.repair({problem}='missing')"
            # Training refuses values that overflow.
            stops = np.isfinite(values[mask]) & (np.abs(values[mask]) > limits.GREATEST_COMPUTABLE)
            severity = "error" if stops.any() else "warning"
            yield Finding(
                severity, problem, name, _VALUE_PROBLEMS[problem], count, count / max(1, seen.sum()), where, fix
            )
    pairs = flags.copies_of(ds, values)
    if pairs:
        examples = some([f"{ids[b]} copies {ids[a]}" for a, b in pairs])
        fix = "ds.aq.repair(identical='missing')"
        text = "stations with the same series as another"
        yield Finding("warning", "identical", name, text, len(pairs), len(pairs) / len(ids), examples, fix)


def _wrong_levels(name: str, ratio: NDArray, ids: NDArray) -> Iterator[Finding]:
    wrong = np.flatnonzero(np.isfinite(ratio))
    if len(wrong):
        text = "stations with concentrations far above or below those of their neighbours"
        where = some([f"{ids[i]}: {ratio[i]:.2g} times its neighbours" for i in wrong])
        fix = "ds.aq.repair(level='missing')"
        yield Finding("warning", "level", name, text, len(wrong), len(wrong) / len(ids), where, fix)


def _negatives(ids: NDArray, name: str, seen: NDArray[np.bool_], mask: NDArray[np.bool_]) -> Iterator[Finding]:
    """Note the negative values that noise about zero explains, and warn of stations that have too many for that."""
    count, n = mask.sum(axis=1), seen.sum(axis=1)
    offset = count > _OFFSET * n
    if offset.any():
        text = "most values are negative, an offset of the instrument rather than noise about zero; stations"
        fix = f"ds.drop_sel(station={ids[offset].tolist()})"
        yield Finding("warning", "negative", name, text, int(offset.sum()), offset.mean(), some(ids[offset]), fix)
    rest = int(count[~offset].sum())
    if rest:
        text = "negative values within noise about zero: keep them, means are unbiased with them and too high without"
        where = some(ids[~offset & (count > 0)])
        yield Finding("note", "negative", name, text, rest, rest / max(1, seen.sum()), where, "")


def _time_zone(ds: xr.Dataset, name: str, values: NDArray) -> Iterator[Finding]:
    times = ds[TIME].values.astype("datetime64[s]")
    if times[-1] - times[0] < _LEAST_DAYS * timesteps.DAY or TimeAxis.of(ds).step > np.timedelta64(3, "h"):
        return
    lon, _ = schema.positions(ds)
    placed = np.flatnonzero(~flags.places_of(ds)["unplaced"])
    hours = (times - times.astype("datetime64[D]")) / np.timedelta64(3600, "s")
    solar = (hours + lon[placed, None] / 15) % 24
    peaks = detectors.peak_hours(values[placed], solar)
    late, agree = detectors.hours_late(peaks)
    n = int(np.isfinite(peaks).sum())
    if not late or agree < 0.75 or 2 * n < len(placed):
        return
    middle = float(np.median(longitudes.unwrap(lon[placed])))
    zone = round(float(longitudes.canonical(middle)) / 15)
    local = bool(zone) and abs(late - zone) <= 2.5
    shift = -zone if local else -round(late)
    why = f", as if local time (UTC{zone:+d}) were labelled UTC" if local else ""
    text = (
        f"{name} peaks {abs(late):.1f} h {'later' if late > 0 else 'earlier'} than mid-afternoon in solar time{why}; "
        f"stations that agree"
    )
    fix = f"ds.aq.repair(shift_hours={shift}), or open with the right tz="
    yield Finding("warning", "shift_hours", name, text, round(agree * n), agree, "", fix)


def _compared(ds: xr.Dataset, other: xr.Dataset) -> Iterator[Finding]:
    other, problems = flags.prepare(other)
    if problems:
        raise SchemaError(problems, subject="other")
    other = regularised(other)
    names = [n for n in schema.pollutants(ds) if n in other.data_vars and n in flags.series_names(ds)]
    pair = network_comparison.pair_up(ds, other, names)
    if pair is None:
        text = "nothing to compare: no common variable, period, step or variation"
        yield Finding("note", "shift_hours", "", text, 0, np.nan, "", "")
        return
    yield _time_shift(pair)
    for name, (ratio, n) in pair.ratios.items():
        units, theirs = limits.units_of(ds, name), limits.units_of(other, name)
        if units is None or theirs is None:
            continue
        pollutant = canonical_name(name)
        found = ratio / factor(pollutant, theirs, units)
        candidates = [u for u in ("ug m-3", "mg m-3", "1e-9", "1e-6") if is_concentration(u, pollutant) and u != units]
        fits = [common_units(u) for u in candidates if abs(np.log(found * factor(pollutant, u, units))) < 0.12]
        if fits and abs(np.log(found)) > 0.3:
            text = f"values are {found:.3g} times the other network's, as if they were in {fits[0]}; compared values"
            fix = f"ds.aq.repair(units={{{name!r}: {fits[0]!r}}}), or the other network's"
            yield Finding("warning", "units", name, text, n, np.nan, "", fix)


def _time_shift(pair: network_comparison.Pair) -> Finding:
    sure = f"correlation {pair.best:.3f}, unshifted {pair.unshifted:.3f}"
    if not pair.hours:
        text = f"timestamps agree with the other network's ({sure}); {pair.what} with this result"
        return Finding("note", "shift_hours", "", text, pair.agree, pair.agree / pair.n, "", "")
    how = "later" if pair.hours > 0 else "earlier"
    why = ", as between the end and the start of an interval" if abs(pair.hours) == pair.step_hours else ""
    text = f"timestamps are {abs(pair.hours):g} h {how} than the other network's{why} ({sure}); {pair.what} with this result"
    fix = f"ds.aq.repair(shift_hours={-pair.hours:g}), or the other network by {pair.hours:+g}"
    return Finding("warning", "shift_hours", "", text, pair.agree, pair.agree / pair.n, "", fix)
