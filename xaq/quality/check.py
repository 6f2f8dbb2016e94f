"""What is wrong with a station dataset, as a table: ``check``. What it finds, :mod:`xaq.quality.repair` fixes when asked.

One small function per kind of problem; what is marked is decided in :mod:`xaq.quality.flags`, the arithmetic is in
:mod:`xaq.quality.detectors`, the reasons for the thresholds in docs/audit.md.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ..arrays import sphere, timesteps
from ..conventions import LAT, LON, POLLUTANTS, STATION, TIME, canonical_name, is_concentration
from ..errors import SchemaError
from ..stations import schema
from ..stations.schema import some
from ..stations.time_axis import Clock, tidy
from ..stations.units import factor
from . import detectors, flags, network_comparison

#: Variables whose day is known well enough to tell a wrong time zone.
_SUN_DRIVEN = ("o3", "temp", "temperature", "air_temperature", "t2m")
#: Days of record below which a daily cycle is weather.
_LEAST_DAYS = 10
#: Of a cell of the report in a notebook.
_LEFT = 'style="text-align:left; vertical-align:top"'


@dataclass(frozen=True)
class Finding:
    """One row of the report."""

    severity: str
    problem: str
    variable: str
    finding: str
    count: int
    fraction: float
    examples: str
    fix: str


class Report(pd.DataFrame):
    """A table of findings that prints in full; any selection from it is a plain DataFrame."""

    def __repr__(self) -> str:
        if list(self.columns) != [f.name for f in fields(Finding)]:
            return super().__repr__()
        if self.empty:
            return "<xaq> nothing found"
        found = [Finding(*row) for row in self.itertuples(index=False, name=None)]
        severities = {severity: sum(f.severity == severity for f in found) for severity in ("error", "warning", "note")}
        lines = ["<xaq> " + ", ".join(f"{n} {severity}{'s' * (n > 1)}" for severity, n in severities.items() if n)]
        widths = [max(len(getattr(f, column)) for f in found) for column in ("severity", "problem", "variable")]
        for f in found:
            head = "  ".join(f"{t:<{w}}" for t, w in zip((f.severity, f.problem, f.variable), widths, strict=True))
            lines.append(f"  {head}  {_finding_text(f)}")
            if f.fix:
                lines.append(f"  {'':<{sum(widths) + 4}}  fix: {f.fix}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        if list(self.columns) != [f.name for f in fields(Finding)]:
            return self.to_html()
        if self.empty:
            return "<p><b>xaq</b>: nothing found</p>"
        rows = [_html_row(Finding(*row)) for row in self.itertuples(index=False, name=None)]
        head = "".join(f"<th {_LEFT}>{name}</th>" for name in ("severity", "problem", "variable", "finding"))
        return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _finding_text(found: Finding) -> str:
    """Return what was found, how often, its fraction and examples."""
    fraction = f" ({100 * found.fraction:.3g} %)" if np.isfinite(found.fraction) else ""
    return f"{found.finding}: {found.count}{fraction}" + (f"; {found.examples}" if found.examples else "")


def _html_row(found: Finding) -> str:
    text = html.escape(_finding_text(found))
    if found.fix:
        text += f"<br>fix: <code>{html.escape(found.fix)}</code>"
    cells = (*(html.escape(t) for t in (found.severity, found.problem, found.variable)), text)
    return f"<tr>{''.join(f'<td {_LEFT}>{cell}</td>' for cell in cells)}</tr>"


def check(ds: xr.Dataset, other: xr.Dataset | None = None) -> pd.DataFrame:
    """Report what is wrong, or worth a look, in a station dataset. Repairs nothing.

    Parameters
    ----------
    ds : xarray.Dataset
        A station dataset; unlike other verbs, this one takes stations without a place, repeated ids and timestamps that are
        irregular, and reports them.
    other : xarray.Dataset, optional
        Another network of the same region and period. Where the two have stations in common (within 1 km) or at least
        vary together, their clocks and units are held against each other.

    Returns
    -------
    pandas.DataFrame
        One row per finding, the gravest first:

        - ``severity``: an error stops other verbs, a warning is worth a look, a note is for information;
        - ``problem``: its name, which is also that of the argument of :func:`xaq.quality.repair` that fixes it;
        - ``variable``: empty where it concerns stations or timestamps;
        - ``finding``: in words;
        - ``count``, ``fraction``: how many values, stations or timestamps, and of all that there are;
        - ``examples``: stations or timestamps;
        - ``fix``: the call.

        Prints in full. Computes every variable, one at a time.

    See Also
    --------
    repair : Fixes what is asked, by the names used here.

    Notes
    -----
    How each problem is detected, and what cannot be seen, is in docs/audit.md.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=8, days=3)
    >>> ds.pm25[2, 5:8] = -4
    >>> report = ds.aq.check()
    >>> report.loc[report.severity == "warning", ["problem", "variable", "count", "examples"]].values.tolist()
    [['negative', 'pm25', 3, 's002']]
    """
    ds, problems = flags.prepare(ds)
    if problems:
        return _report([Finding("error", "form", "", text, 1, np.nan, "", "") for text in problems])
    found = [*_timestamp_findings(ds), *_repeated_stations(ds), *_place_findings(ds)]
    ds = tidy(ds)
    found += _colocated(ds)
    reports: dict[str, NDArray[np.bool_]] = {}
    for name in flags.series_names(ds):
        values = flags.values_of(ds, name)
        seen = np.isfinite(values)
        reports[name] = seen.any(axis=1)
        found += _coverage(name, seen)
        if canonical_name(name) in POLLUTANTS:
            found += _unit_findings(ds, name, values)
            found += _value_findings(ds, name, values)
        if canonical_name(name) in _SUN_DRIVEN:
            found += _time_zone(ds, name, values)
    found += _silent(ds, reports)
    if other is not None:
        found += _against(ds, other)
    return _report(found)


def _report(found: list[Finding]) -> Report:
    order = {"error": 0, "warning": 1, "note": 2}
    rows = [astuple(f) for f in sorted(found, key=lambda f: order[f.severity])]
    return Report(rows, columns=[f.name for f in fields(Finding)])


# -- findings ----------------------------------------------------------------------------------------------------------


def _ids(ds: xr.Dataset) -> NDArray:
    return np.asarray(ds[STATION].values).astype(str)


def _timestamp_findings(ds: xr.Dataset) -> Iterator[Finding]:
    clock, timestamps = Clock.of(ds), ds[TIME].values.astype("datetime64[s]")
    n, step = len(timestamps), timesteps.step_name(clock.step)

    def row(severity: str, problem: str, text: str, mask: NDArray, fix: str) -> Finding:
        return Finding(severity, problem, "", text, int(mask.sum()), mask.mean(), some(timestamps[mask], 3), fix)

    if clock.off.any():
        yield row(
            "error", "off_step", f"timestamps off the step of {step}", clock.off, "ds.aq.repair(off_step='nearest')"
        )
    if clock.repeated.any():
        fix = "ds.aq.repair(duplicate_times='merge')"
        yield row("error", "duplicate_times", "repeated timestamps", clock.repeated, fix)
    if clock.absent or clock.unsorted:
        text = "steps without a timestamp" + (", timestamps out of order" if clock.unsorted else "")
        fix = "ds.aq.repair(irregular='fill')"
        yield Finding("error", "irregular", "", text, clock.absent, clock.absent / (n + clock.absent), "", fix)
    past_hour = clock.phase % np.timedelta64(3600, "s")
    if clock.step >= np.timedelta64(3600, "s") and past_hour:
        minutes = past_hour / np.timedelta64(60, "s")
        fix = f"ds.aq.repair(shift_hours={-minutes / 60:.4g}), where the hours are meant to begin on the hour"
        yield row("note", "shift_hours", f"timestamps {minutes:.4g} min past the hour", ~clock.off, fix)


def _repeated_stations(ds: xr.Dataset) -> Iterator[Finding]:
    ids = pd.Index(_ids(ds))
    if (repeated := ids.duplicated()).any():
        fix = "ds.aq.repair(duplicate_stations='merge')"
        examples = some(ids[repeated].unique())
        yield Finding(
            "error", "duplicate_stations", "", "repeated station ids", repeated.sum(), repeated.mean(), examples, fix
        )


def _place_findings(ds: xr.Dataset) -> Iterator[Finding]:
    words = {
        "unplaced": ("error", "stations without a place (no coordinates, 0,0, or beyond the globe)"),
        "swapped": ("error", "stations with longitude and latitude swapped"),
        "far": ("warning", "stations far from their network"),
        "sea": ("warning", f"stations in the sea, over {flags.SEA_KM:g} km from a coast"),
    }
    ids = _ids(ds)
    for problem, mask in flags.places_of(ds).items():
        if mask.any():
            severity, text = words[problem]
            where = [f"{ids[i]} ({ds[LON].values[i]:g}, {ds[LAT].values[i]:g})" for i in np.flatnonzero(mask)]
            right = "" if problem == "swapped" else f", or {{{str(ids[mask][0])!r}: (lon, lat)}}"
            how = "swap" if problem == "swapped" else "drop"
            fix = f"ds.aq.repair({problem}={how!r}){right}"
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
        at_once = "" if seen is None else f" ({int((seen[group].sum(axis=0) > 1).sum())} steps at once)"
        shown.append("+".join(ids[group]) + at_once)
    text = f"stations closer than {1000 * sphere.COLOCATED_KM:g} m to another: hidden and seen together"
    fix = "ds.aq.repair(colocated='merge') where they are one station under several names"
    yield Finding("note", "colocated", "", text, n, n / len(ids), some(shown), fix)


def _silent(ds: xr.Dataset, reports: dict[str, NDArray[np.bool_]]) -> Iterator[Finding]:
    ids, n = _ids(ds), ds.sizes[STATION]
    mute = ~np.any(list(reports.values()), axis=0) if reports else np.zeros(n, bool)
    if mute.any():
        fix = "ds.aq.repair(silent='drop')"
        yield Finding(
            "warning", "silent", "", "stations without data", int(mute.sum()), mute.mean(), some(ids[mute]), fix
        )
    for name, reporting in reports.items():
        lacks = ~reporting & ~mute
        if lacks.any():
            text = "stations that report others but never this"
            yield Finding("note", "silent", name, text, int(lacks.sum()), lacks.mean(), some(ids[lacks]), "")


def _coverage(name: str, seen: NDArray[np.bool_]) -> Iterator[Finding]:
    fraction = seen.mean(axis=1)
    text = f"observed values (median station {100 * np.median(fraction):.3g} %, least {100 * fraction.min():.3g} %)"
    yield Finding("note", "coverage", name, text, int(seen.sum()), float(seen.mean()), "", "")


def _unit_findings(ds: xr.Dataset, name: str, values: NDArray) -> Iterator[Finding]:
    stated, units = ds[name].attrs.get("units"), flags.units_of(ds, name)
    ids, n = _ids(ds), ds.sizes[STATION]
    if units is None:
        text = f"units {stated!r} are no concentration of {name}" if stated else "no units"
        fix = f"ds.aq.repair(units={{{name!r}: 'ug m-3'}})"
        yield Finding("error", "units", name, text, n, 1.0, "", fix)
    elif "units_note" in ds[name].attrs:
        yield Finding("note", "units", name, f"units {units} {ds[name].attrs['units_note']}", n, 1.0, "", "")
    scale = flags.scale_of(name, values, units)
    if scale.instead:
        text = f"median {scale.median:.3g} is not of {units}, but as of {' or '.join(scale.instead)}"
        fix = f"ds.aq.repair(units={{{name!r}: {scale.instead[0]!r}}})"
        yield Finding("warning", "units", name, text, n, 1.0, "", fix)
    elif (
        units is not None
        and np.isfinite(scale.median)
        and not flags.is_usual(canonical_name(name), scale.median, units)
    ):
        yield Finding("warning", "units", name, f"median {scale.median:.3g} {units} is unusual", n, 1.0, "", "")
    for mask, word in ((scale.larger, "larger"), (scale.smaller, "smaller")):
        if mask.any():
            text = f"stations whose values are some 1000 times {word} than the network's"
            fix = f"ds.aq.repair(units={{{name!r}: {{{str(ids[mask][0])!r}: {_thousandth(units, word)!r}}}}})"
            yield Finding("warning", "units", name, text, int(mask.sum()), mask.mean(), some(ids[mask]), fix)


def _thousandth(units: str | None, word: str) -> str:
    """Return the units of a station whose numbers are a thousand times larger, or smaller, than the network's."""
    ladder = ["1e-6", "1e-9"] if units in ("1e-6", "1e-9") else ["kg m-3", "mg m-3", "ug m-3", "ng m-3"]
    position = ladder.index(units) if units in ladder else 1
    return ladder[min(max(position + (1 if word == "larger" else -1), 0), len(ladder) - 1)]


_VALUE_WORDS = {
    "impossible": "values that air cannot have, or that stand for missing",
    "negative": "negative values",
    "stuck": "values in runs that do not change",
    "spikes": "single values far above the hours and the stations around",
}


def _value_findings(ds: xr.Dataset, name: str, values: NDArray) -> Iterator[Finding]:
    ids, seen = _ids(ds), ~np.isnan(values)
    for problem, mask in flags.value_masks(ds, name, values).items():
        if mask.any():
            count, where = int(mask.sum()), some(ids[mask.any(axis=1)])
            fix = f"ds.aq.repair({problem}='missing')"
            yield Finding(
                "warning", problem, name, _VALUE_WORDS[problem], count, count / max(1, seen.sum()), where, fix
            )
    pairs = flags.copies_of(ds, values)
    if pairs:
        examples = some([f"{ids[b]} is {ids[a]}" for a, b in pairs])
        fix = "ds.aq.repair(identical='missing')"
        text = "stations whose series is another's"
        yield Finding("warning", "identical", name, text, len(pairs), len(pairs) / len(ids), examples, fix)


def _time_zone(ds: xr.Dataset, name: str, values: NDArray) -> Iterator[Finding]:
    times = ds[TIME].values.astype("datetime64[s]")
    if times[-1] - times[0] < _LEAST_DAYS * timesteps.DAY or Clock.of(ds).step > np.timedelta64(3, "h"):
        return
    lon = ds[LON].values.astype(float)
    placed = np.flatnonzero(~flags.places_of(ds)["unplaced"])
    hours = (times - times.astype("datetime64[D]")) / np.timedelta64(3600, "s")
    solar = (hours + lon[placed, None] / 15) % 24
    peaks = detectors.peak_hours(values[placed], solar)
    late, agree = detectors.hours_late(peaks)
    n = int(np.isfinite(peaks).sum())
    if not late or agree < 0.75 or 2 * n < len(placed):
        return
    middle = float(np.median(lon[placed]))
    zone = round(((middle + 180) % 360 - 180) / 15)
    local = bool(zone) and abs(late - zone) <= 2.5
    shift = -zone if local else -round(late)
    why = f", as if local time (UTC{zone:+d}) were taken for UTC" if local else ""
    text = (
        f"{name} peaks {abs(late):.1f} h {'later' if late > 0 else 'earlier'} than mid-afternoon by the sun{why}; "
        f"stations that agree"
    )
    fix = f"ds.aq.repair(shift_hours={shift}), or open with the right tz="
    yield Finding("warning", "shift_hours", name, text, round(agree * n), agree, "", fix)


def _against(ds: xr.Dataset, other: xr.Dataset) -> Iterator[Finding]:
    other, problems = flags.prepare(other)
    if problems:
        raise SchemaError(problems, subject="other")
    other = tidy(other)
    names = [n for n in schema.pollutants(ds) if n in other.data_vars and n in flags.series_names(ds)]
    pair = network_comparison.pair_up(ds, other, names)
    if pair is None:
        text = "nothing to compare: no variable, period or step in common"
        yield Finding("note", "shift_hours", "", text, 0, np.nan, "", "")
        return
    yield _clock_finding(pair)
    for name, (ratio, n) in pair.ratios.items():
        units, theirs = flags.units_of(ds, name), flags.units_of(other, name)
        if units is None or theirs is None:
            continue
        pollutant = canonical_name(name)
        found = ratio / factor(pollutant, theirs, units)
        candidates = [u for u in ("ug m-3", "mg m-3", "1e-9", "1e-6") if is_concentration(u, pollutant) and u != units]
        fits = [u for u in candidates if abs(np.log(found * factor(pollutant, u, units))) < 0.12]
        if fits and abs(np.log(found)) > 0.3:
            text = f"values are {found:.3g} times the other network's, as if they were in {fits[0]}; values compared"
            fix = f"ds.aq.repair(units={{{name!r}: {fits[0]!r}}}), or the other network's"
            yield Finding("warning", "units", name, text, n, np.nan, "", fix)


def _clock_finding(pair: network_comparison.Pair) -> Finding:
    sure = f"correlation {pair.best:.3f}, unshifted {pair.unshifted:.3f}"
    if not pair.hours:
        text = f"timestamps agree with the other network's ({sure}); {pair.what} that agree"
        return Finding("note", "shift_hours", "", text, pair.agree, pair.agree / pair.n, "", "")
    how = "later" if pair.hours > 0 else "earlier"
    why = ", as between the end and the start of an interval" if abs(pair.hours) == pair.step_hours else ""
    text = f"timestamps are {abs(pair.hours):g} h {how} than the other network's{why} ({sure}); {pair.what} that agree"
    fix = f"ds.aq.repair(shift_hours={-pair.hours:g}), or the other network by {pair.hours:+g}"
    return Finding("warning", "shift_hours", "", text, pair.agree, pair.agree / pair.n, "", fix)
