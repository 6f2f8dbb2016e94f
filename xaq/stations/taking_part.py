"""Which stations take part: those that report, in the order of their ids, each once whatever the number of its copies.

Nothing that is estimated, fitted or drawn then depends on the order of a dataset's rows, on stations without data, or on
copies of a station under another id.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..arrays import sphere
from ..conventions import STATION, TIME
from ..errors import SchemaError, warn
from ..interpolate.base import Observations
from . import schema

#: Relative difference up to which two values are the same: a few roundings of float32.
_ROUNDING = 1e-6
#: So many different values in common are no chance. Two instruments at one place with fewer of them are copies where they
#: report together at half the steps or more.
_ENOUGH = 10


class TakingPart(NamedTuple):
    """Which stations of a dataset take part.

    Attributes
    ----------
    kept : (n,) int
        Positions of the stations that take part, in the order of their ids.
    copies : (m, 2) int
        Position of each copy, and the place in ``kept`` of the station that stands for it.
    """

    kept: NDArray[np.intp]
    copies: NDArray[np.intp]

    @classmethod
    def of(cls, ids: NDArray, lon: NDArray, lat: NDArray, *series: NDArray) -> TakingPart:
        """Find the stations that report in one of the series, and the copies among them.

        Parameters
        ----------
        ids : (station,)
        lon, lat : (station,) degrees
        *series : (station, step)
            Of one variable or several; NaN and infinities are missing.
        """
        reports = np.any([np.isfinite(values).any(axis=1) for values in series], axis=0)
        standing_for = _copied(np.asarray(ids), lon, lat, np.flatnonzero(reports), series)
        stations = np.setdiff1d(np.flatnonzero(reports), list(standing_for))
        kept = stations[np.argsort(np.asarray(ids)[stations].astype(str), kind="stable")]
        place = {int(station): i for i, station in enumerate(kept)}
        copies = [(copy, place[station]) for copy, station in standing_for.items()]
        return cls(kept, np.array(copies, np.intp).reshape(-1, 2))

    def take(self, values: Any) -> Any:
        """Return the rows that take part of ``values (station, ...)``, NumPy or Dask; their gaps are filled from copies."""
        taken = values[self.kept]
        for copy, place in self.copies:
            taken[place] = np.where(np.isfinite(taken[place]), taken[place], values[copy])
        return taken

    def of_dataset(self, ds: xr.Dataset, names: Sequence[str]) -> xr.Dataset:
        """Return the stations of a dataset that take part, with the variables of these names as :meth:`take` returns them."""
        if np.array_equal(self.kept, np.arange(ds.sizes[STATION])):
            return ds  # as it is: no copy of the data
        some = ds.isel({STATION: self.kept})
        if len(self.copies):
            rows = {name: ds[name].transpose(STATION, TIME) for name in names}
            some = some.assign({name: some[name].copy(data=self.take(v.data)) for name, v in rows.items()})
        return some


def taking_part(ids: NDArray, lon: NDArray, lat: NDArray, target: str, values: NDArray) -> TakingPart:
    """Return which stations take part in what is made of ``values (station, step)`` of a target.

    Raises
    ------
    SchemaError
        No station reports.
    """
    part = TakingPart.of(ids, lon, lat, values)
    if not len(part.kept):
        raise SchemaError(
            f"{target!r} has no observation at any of {len(values)} stations in the period; fix: another period or target"
        )
    return part


def reporting(ds: xr.Dataset, target: str, *, others: Sequence[str] = (), steps: slice = slice(None)) -> xr.Dataset:
    """Return the stations of a conformed dataset that take part, and warn with the names of those left out.

    Parameters
    ----------
    ds : xarray.Dataset
        In memory.
    target : str
        The variable that they must report.
    others : sequence of str
        Variables whose gaps are filled from copies too.
    steps : slice
        In which they must report it.

    Raises
    ------
    SchemaError
        No station reports.
    """
    part = _part_of(ds, target, steps)
    _tell(ds[STATION].values, part, target)
    return part.of_dataset(ds, [target, *others])


def _part_of(ds: xr.Dataset, target: str, steps: slice = slice(None)) -> TakingPart:
    values = ds[target].transpose(STATION, TIME).values[:, steps]
    return taking_part(ds[STATION].values, *schema.positions(ds), target, values)


def _tell(ids: NDArray, part: TakingPart, target: str) -> None:
    """Warn with the names of copies and of stations that never report."""
    copies = part.copies[:, 0]
    if len(copies):
        pairs = (f"{ids[copy]} of {ids[part.kept[place]]}" for copy, place in part.copies)
        warn(f"{len(copies)} station(s) are copies at the same place, and count once: {schema.some(pairs)}")
    silent = np.setdiff1d(np.arange(len(ids)), [*part.kept, *copies])
    if len(silent):
        names = schema.some(ids[silent])
        warn(f"{len(silent)} station(s) never report {target!r} in the period and are left out: {names}")


class Observed(NamedTuple):
    """Stations that take part, in memory; their observations in the same order; and the ids of copies of them."""

    stations: xr.Dataset
    observations: Observations
    copies: tuple[str, ...]


def observed(
    ds: xr.Dataset, target: str, *, hidden: bool = False, covariates: Sequence[str] = (), known: Sequence[str] = ()
) -> Observed:
    """Return the visible (or the hidden) stations that take part, and their observations. Computes target and covariates.

    Raises
    ------
    SchemaError
        None of them reports.
    """
    mask = schema.hidden_mask(ds)
    chosen = ds.isel({STATION: np.flatnonzero(mask if hidden else ~mask)})
    others = [*covariates, *known]
    # Once, however many of the variables of lazy data share their source.
    chosen = chosen.assign(chosen[[target, *others]].compute().data_vars)
    ids, part = chosen[STATION].values, _part_of(chosen, target)
    _tell(ids, part, target)
    kept = part.of_dataset(chosen, [target, *others])
    observations = schema.observations(kept, target, hidden=hidden, covariates=covariates, known=known)
    return Observed(kept, observations, tuple(str(ids[copy]) for copy in part.copies[:, 0]))


def _copied(
    ids: NDArray, lon: NDArray, lat: NDArray, reporting: NDArray[np.intp], series: Sequence[NDArray]
) -> dict[int, int]:
    """Return the copies among the stations that report, each with the station that stands for it."""
    group = sphere.colocated_groups(lon[reporting], lat[reporting])
    standing_for: dict[int, int] = {}
    for label in np.flatnonzero(np.bincount(group) > 1):
        members = [*map(int, reporting[group == label])]
        own = {station: [_as_numbers(values[station]) for values in series] for station in members}
        # Those that report most come first, so that what is a copy of what does not depend on the order of the rows.
        members.sort(key=lambda station: (-sum(np.isfinite(v).sum() for v in own[station]), str(ids[station])))
        known: list[tuple[list[int], list[NDArray]]] = []
        for station in members:
            same = next(((alike, found) for alike, found in known if _agree(found, own[station])), None)
            if same is None:
                known.append(([station], own[station]))
                continue
            alike, found = same
            alike.append(station)
            # A copy may report where the others do not: the next one is compared with all of them.
            found[:] = [np.where(np.isfinite(a), a, b) for a, b in zip(found, own[station], strict=True)]
        for alike, _ in known:
            stands = _most_like_others(ids, alike) if len(alike) > 1 else alike[0]
            standing_for |= {station: stands for station in alike if station != stands}
    return standing_for


def _most_like_others(ids: NDArray, alike: Sequence[int]) -> int:
    """Return which of several copies stands for them: the one whose id is written as most ids are, else the first by id.

    So it does not depend on the order of rows, and ``copy`` of ``s07`` does not take its place in the order of ids.
    """
    letters = [re.sub(r"[^\W\d_]", lambda letter: "A" if letter[0].isupper() else "a", str(name)) for name in ids]
    written = [re.sub(r"\d", "9", name) for name in letters]
    return min(alike, key=lambda station: (-written.count(written[station]), str(ids[station])))


def _as_numbers(values: Any) -> NDArray[np.float64]:
    return np.asarray(values, np.float32).astype(np.float64)


def _agree(one: Sequence[NDArray], other: Sequence[NDArray]) -> bool:
    """Return whether two stations report the same wherever both report, and together often enough to be copies."""
    seen = [np.isfinite(a) & np.isfinite(b) for a, b in zip(one, other, strict=True)]
    pairs = [(a[both], b[both]) for a, b, both in zip(one, other, seen, strict=True)]
    if not all((np.abs(a - b) <= _ROUNDING * np.abs(a)).all() for a, b in pairs):
        return False
    fewer = min(sum(np.isfinite(a).sum() for a in values) for values in (one, other))
    return sum(len(a) for a, _ in pairs) * 2 >= fewer or sum(len(np.unique(a)) for a, _ in pairs) >= _ENOUGH
