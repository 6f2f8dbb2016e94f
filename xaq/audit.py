"""What is wrong with a station dataset, as a table: ``check``. What it finds, :mod:`xaq.repair` mends when asked.

One small function per kind of problem; the arithmetic is in :mod:`xaq.defects`, the reasons for the thresholds in
docs/audit.md. Both verbs ask the same functions, so what is reported is what is mended.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from . import compare, defects, land, sphere, windows
from . import stations as border
from .errors import SchemaError
from .stations import some
from .units import factor
from .vocabulary import LAT, LON, POLLUTANTS, STATION, TIME, canonical_name, canonical_units, is_concentration

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
_CODE = -99.0
#: A station whose median is so many times that of the network, or so small a part of it, is in other units.
_OTHER_UNITS = (300.0, 3_000.0)
#: Stations farther out than this, km, are in the sea; the coastline is good to 2 km and lacks small islands.
_SEA_KM = 10.0
#: Variables whose day is known well enough to tell a wrong time zone.
_SUN_DRIVEN = ("o3", "temp", "temperature", "air_temperature", "t2m")
#: Days of record below which a daily cycle is weather.
_LEAST_DAYS = 10
#: A gap in the stamps may widen the time axis this many times before it is called an error of the stamps.
_WIDEST = 20


@dataclass(frozen=True)
class Finding:
    """One row of the report."""

    level: str
    problem: str
    variable: str
    finding: str
    count: int
    share: float
    examples: str
    mend: str


class Report(pd.DataFrame):
    """A table of findings that prints in full; any selection from it is a plain DataFrame."""

    def __repr__(self) -> str:
        if list(self.columns) != [f.name for f in fields(Finding)]:
            return super().__repr__()
        if self.empty:
            return "<xaq> nothing found"
        found = [Finding(*row) for row in self.itertuples(index=False, name=None)]
        levels = {level: sum(f.level == level for f in found) for level in ("error", "warning", "note")}
        lines = ["<xaq> " + ", ".join(f"{n} {level}{'s' * (n > 1)}" for level, n in levels.items() if n)]
        widths = [max(len(getattr(f, column)) for f in found) for column in ("level", "problem", "variable")]
        for f in found:
            head = "  ".join(f"{t:<{w}}" for t, w in zip((f.level, f.problem, f.variable), widths, strict=True))
            share = f" ({100 * f.share:.3g} %)" if np.isfinite(f.share) else ""
            lines.append(f"  {head}  {f.finding}: {f.count}{share}" + (f"; {f.examples}" if f.examples else ""))
            if f.mend:
                lines.append(f"  {'':<{sum(widths) + 4}}  mend: {f.mend}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "".join(f'<th style="text-align:left">{column}</th>' for column in self.columns)
        rows = (
            "".join(f'<td style="text-align:left">{html.escape(_cell(value))}</td>' for value in row)
            for row in self.itertuples(index=False)
        )
        return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def check(ds: xr.Dataset, other: xr.Dataset | None = None) -> pd.DataFrame:
    """Report what is wrong, or worth a look, in a station dataset. Repairs nothing.

    Parameters
    ----------
    ds : xarray.Dataset
        A station dataset; unlike other verbs, this one takes stations without a place, repeated ids and stamps that are
        irregular, and reports them.
    other : xarray.Dataset, optional
        Another network of the same region and period. Where the two have stations in common (within 1 km) or at least
        vary together, their clocks and units are held against each other.

    Returns
    -------
    pandas.DataFrame
        One row per finding, the gravest first:

        - ``level``: an error stops other verbs, a warning is worth a look, a note is for information;
        - ``problem``: its name, which is also that of the argument of :func:`xaq.repair` that mends it;
        - ``variable``: empty where it concerns stations or stamps;
        - ``finding``: in words;
        - ``count``, ``share``: how many values, stations or stamps, and of all that there are;
        - ``examples``: stations or stamps;
        - ``mend``: the call.

        Prints in full. Computes every variable, one at a time.

    See Also
    --------
    repair : mends what is asked, by the names used here.

    Notes
    -----
    How each problem is detected, and what cannot be seen, is in docs/audit.md.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=8, days=3)
    >>> ds.pm25[2, 5:8] = -4
    >>> report = ds.aq.check()
    >>> report.loc[report.level == "warning", ["problem", "variable", "count", "examples"]].values.tolist()
    [['negative', 'pm25', 3, 's002']]
    """
    ds, problems = prepare(ds)
    if problems:
        return _report([Finding("error", "form", "", text, 1, np.nan, "", "") for text in problems])
    found = [*_stamp_findings(ds), *_repeated_stations(ds), *_place_findings(ds)]
    ds = tidy_times(ds)
    found += _colocated(ds)
    reports: dict[str, NDArray[np.bool_]] = {}
    for name in series_names(ds):
        values = values_of(ds, name)
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
    rows = [astuple(f) for f in sorted(found, key=lambda f: order[f.level])]
    return Report(rows, columns=[f.name for f in fields(Finding)])


# -- what check and repair both need -----------------------------------------------------------------------------------


def prepare(ds: xr.Dataset) -> tuple[xr.Dataset, list[str]]:
    """Return the dataset under xaq's names, and the problems that keep its contents from being looked at."""
    if not isinstance(ds, xr.Dataset):
        raise SchemaError(f"got {type(ds).__name__}, expected an xarray.Dataset; mend: xaq.open_stations(...)")
    ds, problems = border.rename_roles(ds)
    if problems:
        return ds, problems
    problems = border.identity_problems(ds)
    if not problems:
        try:
            clock = Clock.of(ds)
            windows.steps_per_day(clock.step)
        except SchemaError as error:
            problems = error.problems
    return ds, problems


@dataclass(frozen=True)
class Clock:
    """The step that most stamps keep, and the stamps that do not."""

    step: np.timedelta64
    off: NDArray[np.bool_]
    phase: np.timedelta64
    repeated: NDArray[np.bool_]
    unsorted: bool
    absent: int

    @classmethod
    def of(cls, ds: xr.Dataset) -> Clock:
        """Read the clock of a dataset from its stamps.

        Raises
        ------
        SchemaError
            Fewer than two distinct stamps, or stamps so far apart that the axis between them would be nearly empty.
        """
        stamps = ds[TIME].values.astype("datetime64[s]")
        distinct = np.unique(stamps)
        if len(distinct) < 2:
            raise SchemaError(f"time has {len(distinct)} distinct stamp(s), at least 2 are needed to know the step")
        steps, times = np.unique(np.diff(distinct), return_counts=True)
        step = steps[np.argmax(times)]
        residue = (stamps - np.datetime64(0, "s")) % step
        residues, times = np.unique(residue, return_counts=True)
        phase = residues[np.argmax(times)]
        axis = np.unique(_rounded(stamps, step, phase, "nearest"))
        length = int((axis[-1] - axis[0]) // step) + 1
        if length > _WIDEST * len(stamps):
            raise SchemaError(
                f"{len(stamps)} stamps of a step of {windows.step_name(step)} lie between {axis[0]} and {axis[-1]}: "
                "some must be wrong; mend: ds.sel(time=slice(first, last))"
            )
        return cls(
            step=step,
            off=residue != phase,
            phase=phase,
            repeated=pd.Index(stamps).duplicated(),
            unsorted=bool((np.diff(stamps) < np.timedelta64(0)).any()),
            absent=length - len(axis),
        )

    @property
    def regular(self) -> bool:
        """Whether every verb can use the stamps as they are."""
        return not (self.off.any() or self.repeated.any() or self.unsorted or self.absent)


def _rounded(stamps: NDArray, step: np.timedelta64, phase: np.timedelta64, how: str) -> NDArray:
    """Return stamps moved to the step: to the nearest, or to the one before (``floor``)."""
    half = step // 2 if how == "nearest" else np.timedelta64(0, "s")
    return stamps - (stamps - np.datetime64(0, "s") - phase + half) % step + half


def on_step(ds: xr.Dataset, how: str = "nearest") -> xr.Dataset:
    """Return the dataset sorted, with stamps that are off the step moved to it; two may then share one."""
    clock = Clock.of(ds)
    stamps = ds[TIME].values.astype("datetime64[s]")
    moved = np.where(clock.off, _rounded(stamps, clock.step, clock.phase, how), stamps)
    # Of two on one step, the one that was there comes first, so that a merge prefers its values.
    order = np.lexsort((clock.off, moved))
    return ds.assign_coords({TIME: (TIME, moved, ds[TIME].attrs)}).isel({TIME: order})


def merge(ds: xr.Dataset, dim: str, group: NDArray) -> xr.Dataset:
    """Return the dataset with one entry per group along a dimension: for each value, the first that is there. Lazy."""
    first, kinds = np.sort(np.unique(group, return_index=True)[1]), pd.Index(group)
    rank = pd.Series(group).groupby(group).cumcount().to_numpy()
    merged = ds.isel({dim: first})
    position = pd.Index(group[first])
    for nth in range(1, int(rank.max()) + 1):
        later = np.flatnonzero(rank == nth)
        source = np.full(len(first), later[0])
        source[position.get_indexer(kinds[later])] = later
        has = xr.DataArray(np.isin(group[first], group[later]), dims=dim)
        for name in merged.data_vars:
            if dim in ds[name].dims and np.issubdtype(ds[name].dtype, np.floating):
                extra = ds[name].variable.isel({dim: source})
                filled = merged[name].variable.where(merged[name].variable.notnull() | ~has.variable, extra)
                merged[name] = merged[name].copy(data=filled.transpose(*merged[name].dims).data)
    return merged


def fill_axis(ds: xr.Dataset) -> xr.Dataset:
    """Return the dataset sorted, on every step from its first to its last stamp. Lazy."""
    step = Clock.of(ds).step
    ds = ds.sortby(TIME)
    stamps = ds[TIME].values.astype("datetime64[s]")
    axis = np.arange(stamps[0], stamps[-1] + step, step)
    attrs, kinds = ds[TIME].attrs, {n: v.dtype for n, v in ds.data_vars.items()}
    if len(axis) == len(stamps):
        return ds
    ds = ds.reindex({TIME: axis}).assign_coords({TIME: (TIME, axis, attrs)})
    return ds.assign({n: ds[n].astype(kind) for n, kind in kinds.items() if np.issubdtype(kind, np.floating)})


def tidy_times(ds: xr.Dataset) -> xr.Dataset:
    """Return the dataset on a regular axis, for looking at its values."""
    if Clock.of(ds).regular:
        return ds
    ds = on_step(ds)
    return fill_axis(merge(ds, TIME, ds[TIME].values))


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
    judged = defects.judge_places(lon, lat)
    settled = ~(judged.unplaced | judged.swapped)
    sea = np.zeros(len(lon), bool)
    sea[settled] = land.at_sea(lon[settled], lat[settled], _SEA_KM)
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
    positive = np.where((values > 0) & np.isfinite(values) & ~np.isin(values, defects.FILL_CODES), values, np.nan)
    medians = defects.row_medians(positive)
    median = float(np.nanmedian(medians)) if np.isfinite(medians).any() else np.nan
    instead: tuple[str, ...] = ()
    pollutant = canonical_name(name)
    if units is not None and np.isfinite(median) and not _is_usual(pollutant, median, units):
        spellings = ("ug m-3", "mg m-3", "1e-9", "1e-6", "ng m-3")
        instead = tuple(u for u in spellings if is_concentration(u, pollutant) and _is_usual(pollutant, median, u))
    least, most = _OTHER_UNITS
    with np.errstate(invalid="ignore"):
        ratio = medians / median if np.isfinite(medians).sum() >= 3 else np.full(len(medians), np.nan)
        return Scale(median, instead, (ratio > least) & (ratio < most), (ratio < 1 / least) & (ratio > 1 / most))


def _is_usual(pollutant: str, median: float, units: str) -> bool:
    low, high = USUAL[pollutant]
    return bool(low <= median * factor(pollutant, units, "ug m-3") <= high)


def value_masks(ds: xr.Dataset, name: str, values: NDArray) -> dict[str, NDArray[np.bool_]]:
    """Return the values with each problem, ``(station, time)`` bool; no value is in two.

    In this order, each looking only at what the ones before have left: ``impossible``, ``negative``, ``stuck``,
    ``spikes``.
    """
    units = units_of(ds, name)
    scale = scale_of(name, values, units)
    low, high = np.full((len(values), 1), _CODE), np.full((len(values), 1), np.finfo(values.dtype).max)
    if units is not None and not scale.instead:
        known = ~(scale.larger | scale.smaller)
        to_stated = factor(canonical_name(name), "ug m-3", units)
        low[known], high[known] = (limit * to_stated for limit in LIMITS[canonical_name(name)])
    masks = {"impossible": defects.impossible(values, low, high)}
    left = np.where(masks["impossible"], np.nan, values)
    masks["negative"] = left < 0
    left[masks["negative"]] = np.nan
    masks["stuck"] = defects.stuck(left)
    left[masks["stuck"]] = np.nan
    masks["spikes"] = defects.spikes(left, ds[LON].values.astype(float), ds[LAT].values.astype(float))
    return masks


def copies_of(ds: xr.Dataset, values: NDArray) -> list[tuple[int, int]]:
    """Return (station, copy) of stations of different names whose series are the same."""
    ids = ds[STATION].values
    return [(a, b) for a, b in defects.identical(values) if ids[a] != ids[b]]


# -- findings ----------------------------------------------------------------------------------------------------------


def _ids(ds: xr.Dataset) -> NDArray:
    return np.asarray(ds[STATION].values).astype(str)


def _stamp_findings(ds: xr.Dataset) -> Iterator[Finding]:
    clock, stamps = Clock.of(ds), ds[TIME].values.astype("datetime64[s]")
    n, step = len(stamps), windows.step_name(clock.step)

    def row(level: str, problem: str, text: str, mask: NDArray, mend: str) -> Finding:
        return Finding(level, problem, "", text, int(mask.sum()), mask.mean(), some(stamps[mask], 3), mend)

    if clock.off.any():
        yield row("error", "off_step", f"stamps off the step of {step}", clock.off, "ds.aq.repair(off_step='nearest')")
    if clock.repeated.any():
        mend = "ds.aq.repair(duplicate_times='merge')"
        yield row("error", "duplicate_times", "repeated stamps", clock.repeated, mend)
    if clock.absent or clock.unsorted:
        text = "steps without a stamp" + (", stamps out of order" if clock.unsorted else "")
        mend = "ds.aq.repair(irregular='fill')"
        yield Finding("error", "irregular", "", text, clock.absent, clock.absent / (n + clock.absent), "", mend)
    past_hour = clock.phase % np.timedelta64(3600, "s")
    if clock.step >= np.timedelta64(3600, "s") and past_hour:
        minutes = past_hour / np.timedelta64(60, "s")
        mend = f"ds.aq.repair(shift_hours={-minutes / 60:.4g}), where the hours are meant to begin on the hour"
        yield row("note", "shift_hours", f"stamps {minutes:.4g} min past the hour", ~clock.off, mend)


def _repeated_stations(ds: xr.Dataset) -> Iterator[Finding]:
    ids = pd.Index(_ids(ds))
    if (repeated := ids.duplicated()).any():
        mend = "ds.aq.repair(duplicate_stations='merge')"
        examples = some(ids[repeated].unique())
        yield Finding(
            "error", "duplicate_stations", "", "repeated station ids", repeated.sum(), repeated.mean(), examples, mend
        )


def _place_findings(ds: xr.Dataset) -> Iterator[Finding]:
    words = {
        "unplaced": ("error", "stations without a place (no coordinates, 0,0, or beyond the globe)"),
        "swapped": ("error", "stations with longitude and latitude swapped"),
        "far": ("warning", "stations far from their network"),
        "sea": ("warning", f"stations in the sea, over {_SEA_KM:g} km from a coast"),
    }
    ids = _ids(ds)
    for problem, mask in places_of(ds).items():
        if mask.any():
            level, text = words[problem]
            where = [f"{ids[i]} ({ds[LON].values[i]:g}, {ds[LAT].values[i]:g})" for i in np.flatnonzero(mask)]
            right = "" if problem == "swapped" else f", or {{{str(ids[mask][0])!r}: (lon, lat)}}"
            how = "swap" if problem == "swapped" else "drop"
            mend = f"ds.aq.repair({problem}={how!r}){right}"
            yield Finding(level, problem, "", text, int(mask.sum()), mask.mean(), some(where, 3), mend)


def _colocated(ds: xr.Dataset) -> Iterator[Finding]:
    groups = colocated_groups(ds)
    if not groups:
        return
    ids, n = _ids(ds), sum(map(len, groups))
    name = next(iter(border.pollutants(ds) or series_names(ds)), None)
    seen = None if name is None else np.isfinite(values_of(ds, name))
    shown = []
    for group in groups:
        at_once = "" if seen is None else f" ({int((seen[group].sum(axis=0) > 1).sum())} steps at once)"
        shown.append("+".join(ids[group]) + at_once)
    text = f"stations closer than {1000 * sphere.COLOCATED_KM:g} m to another: hidden and seen together"
    mend = "ds.aq.repair(colocated='merge') where they are one station under several names"
    yield Finding("note", "colocated", "", text, n, n / len(ids), some(shown), mend)


def colocated_groups(ds: xr.Dataset) -> list[NDArray[np.intp]]:
    """Return the positions of stations that share a place, a group at a time; repeated ids are another problem."""
    placed = np.flatnonzero(~places_of(ds)["unplaced"])
    if not len(placed):
        return []
    label = sphere.colocated_groups(ds[LON].values[placed].astype(float), ds[LAT].values[placed].astype(float))
    groups = [placed[label == g] for g in np.flatnonzero(np.bincount(label) > 1)]
    return [g for g in groups if len(np.unique(_ids(ds)[g])) > 1]


def _silent(ds: xr.Dataset, reports: dict[str, NDArray[np.bool_]]) -> Iterator[Finding]:
    ids, n = _ids(ds), ds.sizes[STATION]
    mute = ~np.any(list(reports.values()), axis=0) if reports else np.zeros(n, bool)
    if mute.any():
        mend = "ds.aq.repair(silent='drop')"
        yield Finding(
            "warning", "silent", "", "stations without data", int(mute.sum()), mute.mean(), some(ids[mute]), mend
        )
    for name, reporting in reports.items():
        lacks = ~reporting & ~mute
        if lacks.any():
            text = "stations that report others but never this"
            yield Finding("note", "silent", name, text, int(lacks.sum()), lacks.mean(), some(ids[lacks]), "")


def _coverage(name: str, seen: NDArray[np.bool_]) -> Iterator[Finding]:
    share = seen.mean(axis=1)
    text = f"observed values (median station {100 * np.median(share):.3g} %, least {100 * share.min():.3g} %)"
    yield Finding("note", "coverage", name, text, int(seen.sum()), float(seen.mean()), "", "")


def _unit_findings(ds: xr.Dataset, name: str, values: NDArray) -> Iterator[Finding]:
    stated, units = ds[name].attrs.get("units"), units_of(ds, name)
    ids, n = _ids(ds), ds.sizes[STATION]
    if units is None:
        text = f"units {stated!r} are no concentration of {name}" if stated else "no units"
        mend = f"ds.aq.repair(units={{{name!r}: 'ug m-3'}})"
        yield Finding("error", "units", name, text, n, 1.0, "", mend)
    elif "units_note" in ds[name].attrs:
        yield Finding("note", "units", name, f"units {units} {ds[name].attrs['units_note']}", n, 1.0, "", "")
    scale = scale_of(name, values, units)
    if scale.instead:
        text = f"median {scale.median:.3g} is not of {units}, but as of {' or '.join(scale.instead)}"
        mend = f"ds.aq.repair(units={{{name!r}: {scale.instead[0]!r}}})"
        yield Finding("warning", "units", name, text, n, 1.0, "", mend)
    elif units is not None and np.isfinite(scale.median) and not _is_usual(canonical_name(name), scale.median, units):
        yield Finding("warning", "units", name, f"median {scale.median:.3g} {units} is unusual", n, 1.0, "", "")
    for mask, word in ((scale.larger, "larger"), (scale.smaller, "smaller")):
        if mask.any():
            text = f"stations whose values are some 1000 times {word} than the network's"
            mend = f"ds.aq.repair(units={{{name!r}: {{{str(ids[mask][0])!r}: {_thousandth(units, word)!r}}}}})"
            yield Finding("warning", "units", name, text, int(mask.sum()), mask.mean(), some(ids[mask]), mend)


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
    for problem, mask in value_masks(ds, name, values).items():
        if mask.any():
            count, where = int(mask.sum()), some(ids[mask.any(axis=1)])
            mend = f"ds.aq.repair({problem}='missing')"
            yield Finding(
                "warning", problem, name, _VALUE_WORDS[problem], count, count / max(1, seen.sum()), where, mend
            )
    pairs = copies_of(ds, values)
    if pairs:
        examples = some([f"{ids[b]} is {ids[a]}" for a, b in pairs])
        mend = "ds.aq.repair(identical='missing')"
        text = "stations whose series is another's"
        yield Finding("warning", "identical", name, text, len(pairs), len(pairs) / len(ids), examples, mend)


def _time_zone(ds: xr.Dataset, name: str, values: NDArray) -> Iterator[Finding]:
    times = ds[TIME].values.astype("datetime64[s]")
    if times[-1] - times[0] < _LEAST_DAYS * windows.DAY or Clock.of(ds).step > np.timedelta64(3, "h"):
        return
    lon = ds[LON].values.astype(float)
    placed = np.flatnonzero(~places_of(ds)["unplaced"])
    hours = (times - times.astype("datetime64[D]")) / np.timedelta64(3600, "s")
    solar = (hours + lon[placed, None] / 15) % 24
    peaks = defects.peak_hours(values[placed], solar)
    late, agree = defects.hours_late(peaks)
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
    mend = f"ds.aq.repair(shift_hours={shift}), or open with the right tz="
    yield Finding("warning", "shift_hours", name, text, round(agree * n), agree, "", mend)


def _against(ds: xr.Dataset, other: xr.Dataset) -> Iterator[Finding]:
    other, problems = prepare(other)
    if problems:
        raise SchemaError(problems, subject="other")
    other = tidy_times(other)
    names = [n for n in border.pollutants(ds) if n in other.data_vars and n in series_names(ds)]
    pair = compare.pair_up(ds, other, names, value_masks)
    if pair is None:
        text = "nothing to compare: no variable, period or step in common"
        yield Finding("note", "shift_hours", "", text, 0, np.nan, "", "")
        return
    yield _clock_finding(pair)
    for name, (ratio, n) in pair.ratios.items():
        units, theirs = units_of(ds, name), units_of(other, name)
        if units is None or theirs is None:
            continue
        pollutant = canonical_name(name)
        found = ratio / factor(pollutant, theirs, units)
        candidates = [u for u in ("ug m-3", "mg m-3", "1e-9", "1e-6") if is_concentration(u, pollutant) and u != units]
        fits = [u for u in candidates if abs(np.log(found * factor(pollutant, u, units))) < 0.12]
        if fits and abs(np.log(found)) > 0.3:
            text = f"values are {found:.3g} times the other network's, as if they were in {fits[0]}; values compared"
            mend = f"ds.aq.repair(units={{{name!r}: {fits[0]!r}}}), or the other network's"
            yield Finding("warning", "units", name, text, n, np.nan, "", mend)


def _clock_finding(pair: compare.Pair) -> Finding:
    sure = f"correlation {pair.best:.3f}, unshifted {pair.unshifted:.3f}"
    if not pair.hours:
        text = f"stamps agree with the other network's ({sure}); {pair.what} that agree"
        return Finding("note", "shift_hours", "", text, pair.agree, pair.agree / pair.n, "", "")
    how = "later" if pair.hours > 0 else "earlier"
    why = ", as between the end and the start of an interval" if abs(pair.hours) == pair.step_hours else ""
    text = f"stamps are {abs(pair.hours):g} h {how} than the other network's{why} ({sure}); {pair.what} that agree"
    mend = f"ds.aq.repair(shift_hours={-pair.hours:g}), or the other network by {pair.hours:+g}"
    return Finding("warning", "shift_hours", "", text, pair.agree, pair.agree / pair.n, "", mend)
