"""Gridded fields as predictors, in time or static: what a user passes as ``fields=``.

Unlike a background, a predictor may be unknown at some places and times: an estimate goes on without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from .._arguments import shown
from ..conventions import LAT, LON, TIME
from ..errors import ModelError, SchemaError, warn
from ..stations.timestamps import step_of
from .axes import find_axes
from .forms import readable
from .gridded import Gridded, in_gap

#: Begins messages, and is the name of the argument.
FIELDS = "fields"
#: What a user may pass, for messages.
_FIX = "fields=[field], with field = xaq.open_field('era5.nc')"
#: Steps that are searched at once for places with a value; few at first, because one step is enough of most fields.
_FIRST_STEPS, _STEPS = 24, 240

#: What a user may pass as ``fields=``.
Fields = Sequence[xr.DataArray | xr.Dataset] | Mapping[str, xr.DataArray] | xr.DataArray | xr.Dataset


@dataclass(frozen=True)
class PredictorField:
    """A gridded field that may be unknown: outside its grid, outside its period, in a gap of either.

    Attributes
    ----------
    grid : Gridded
        The field; static or in time, in any units.
    """

    grid: Gridded

    @property
    def name(self) -> str:
        """What messages and attributes call it."""
        return self.grid.name

    @property
    def units(self) -> str:
        """Of its values; empty where it names none."""
        return self.grid.units

    @property
    def hash(self) -> str:
        """Identity of its grid and units, and of a static field's values."""
        return self.grid.hash

    @property
    def every_step(self) -> bool:
        """False: estimates go on where it has no value at some steps; a place where it never has one is unsupported."""
        return False

    @property
    def is_static(self) -> bool:
        """Whether the field has no time."""
        return self.grid.is_static

    @property
    def times(self) -> NDArray[np.datetime64]:
        """Its own times; not of a static field."""
        return self.grid.times

    def at(self, lon: NDArray, lat: NDArray, times: NDArray[np.datetime64] | None = None) -> NDArray[np.float32]:
        """Return values at points, ``(point, time)``, of a static field ``(point, 1)``; NaN where they are unknown. Computes."""
        if self.is_static or times is None:
            return self.grid.at(lon, lat)[:, None]
        inside = self._inside(times)
        if inside.all():
            return self.grid.at(lon, lat, times)
        values = np.full((np.asarray(lon).size, len(times)), np.nan, np.float32)
        if inside.any():
            values[:, inside] = self.grid.at(lon, lat, times[inside])
        return values

    def check_overlaps(self, lon: ArrayLike, lat: ArrayLike, what: str) -> int:
        """Return how many points lie outside the field; refuse where all do. ``what`` is the plural noun for them in messages."""
        return self.grid.check_overlaps(lon, lat, what, subject=FIELDS)

    def check_period(self, first: np.datetime64, last: np.datetime64) -> None:
        """Refuse a period without any of the field's times."""
        if self.is_static or (first <= self.times[-1] and last >= self.times[0]):
            return
        raise SchemaError(
            f"{self.name!r} covers {self.times[0]} to {self.times[-1]}, needed is {first} to {last}; fix: a field of that period, "
            "or leave it out",
            subject=FIELDS,
        )

    def check_known(self, lon: NDArray, lat: NDArray, times: NDArray[np.datetime64]) -> None:
        """Refuse a field without a value at any station. Computes until one is found."""
        if self.missing(lon, lat, times, enough=True).all():
            raise SchemaError(
                f"{self.name!r} has no value at any of {len(lon)} visible stations from {times[0]} to {times[-1]}; fix: leave it out",
                subject=FIELDS,
            )

    def missing(
        self, lon: ArrayLike, lat: ArrayLike, times: NDArray[np.datetime64], *, enough: bool = False
    ) -> NDArray[np.bool_]:
        """Return which points have no value at any of the times, ``(point,)``; the search ends with one that has where ``enough``."""
        lon, lat = (np.asarray(axis, float).ravel() for axis in (lon, lat))
        if self.is_static:
            return ~np.isfinite(self.grid.at(lon, lat))
        unknown, reached = np.ones(lon.size, bool), ~self.grid.outside(lon, lat)
        for part in _parts(times[self._inside(times)]):
            left = np.flatnonzero(unknown & reached)
            if not len(left) or (enough and not unknown.all()):
                break
            unknown[left] = ~np.isfinite(self.grid.at(lon[left], lat[left], part)).any(axis=1)
        return unknown

    def digest(self, lon: ArrayLike, lat: ArrayLike, times: NDArray[np.datetime64]) -> bytes:
        """Return a hash of the part of the field that points and times need. Computes it."""
        if self.is_static:
            return self.grid.digest(lon, lat, times)
        inside = self._inside(times)
        return inside.tobytes() + (self.grid.digest(lon, lat, times[inside]) if inside.any() else b"")

    def describe(self) -> dict[str, str]:
        """Return what identifies the field."""
        return {"name": self.name, "units": self.units, "hash": self.hash}

    def lacks(self, times: NDArray[np.datetime64]) -> NDArray[np.bool_]:
        """Return at which times the field has none of its own to be read from: before, after and in gaps, ``(time,)``."""
        return np.zeros(len(times), bool) if self.is_static else ~self._inside(times) | in_gap(self.grid, times)

    def _inside(self, times: NDArray[np.datetime64]) -> NDArray[np.bool_]:
        """Return which times lie within those of the field."""
        return (times >= self.times[0]) & (times <= self.times[-1])


def warn_of_lack(fields: Sequence[Any], times: NDArray[np.datetime64], read: NDArray[np.datetime64]) -> None:
    """Warn of fields that have no time of their own at some of the times to estimate, or else of those that are read for them."""
    of_time = [field for field in fields if isinstance(field, PredictorField)]
    steps = times if any(field.lacks(times).any() for field in of_time) else read
    warn_of_steps({field.name: field.lacks(steps) for field in of_time}, steps)


def warn_of_steps(unknown: Mapping[str, NDArray[np.bool_]], times: NDArray[np.datetime64], where: str = "") -> None:
    """Warn of fields that are unknown at some of the times, once for those at the same: the variables of a file.

    ``unknown`` has which times these are, ``(time,)``, for each name; ``where`` limits it.
    """
    by_steps: dict[bytes, list[str]] = {}
    for name, lacking in unknown.items():
        if lacking.any():
            by_steps.setdefault(lacking.tobytes(), []).append(name)
    for names in by_steps.values():
        some = times[unknown[names[0]]]
        has, counts, it = ("has", "it counts", "it") if len(names) == 1 else ("have", "they count", "them")
        warn(
            f"{FIELDS}: {', '.join(map(repr, names))} {has} no value{where} at {len(some)} of {len(times)} steps, the first {some[0]}, "
            f"the last {some[-1]}: there {counts} as the mean of the stations, and estimates are those without {it}"
        )


def _parts(times: NDArray[np.datetime64]) -> Iterator[NDArray[np.datetime64]]:
    """Yield times in parts, a short one first."""
    yield times[:_FIRST_STEPS]
    for first in range(_FIRST_STEPS, len(times), _STEPS):
        yield times[first : first + _STEPS]


# -- what a user passes --------------------------------------------------------------------------------------------


def settle_fields(
    fields: Fields | None, visible: xr.Dataset, *, others: Sequence[str] = ()
) -> tuple[PredictorField, ...]:
    """Return the fields that a user passes, one for each variable. Loads their axes only.

    Parameters
    ----------
    fields : sequence of DataArray or Dataset, or mapping of names to DataArray, optional
        Every variable of numbers of a Dataset that has the axes of its grid is one; an array or a Dataset alone is a list of one.
    visible : xarray.Dataset
        The visible stations, in xaq's form.
    others : sequence of str
        Names of other predictors.

    Raises
    ------
    SchemaError
        They are something else, a name is missing or used twice, a Dataset has no field, or a field has a shorter step than
        the stations or covers none of them.
    """
    settled = tuple(PredictorField(grid) for grid in _grids(fields))
    names = [*others, *(field.name for field in settled)]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        renamed = f"fields={{{twice[0]!r}: field, '{twice[0]}_2': other}}"
        raise SchemaError(
            f"{', '.join(map(repr, twice))} is the name of several predictors, expected one each; fix: {renamed}",
            subject=FIELDS,
        )
    for field in settled:
        field.check_overlaps(visible[LON].values, visible[LAT].values, "stations")
        field.grid.check_step(step_of(visible[TIME]), visible[TIME].values[0], subject=FIELDS)
    return settled


def _grids(fields: Any) -> Iterator[Gridded]:
    """Yield the fields in the order of the user's."""
    if fields is None:
        return
    if isinstance(fields, (xr.DataArray, xr.Dataset)):
        fields = [fields]
    if isinstance(fields, Mapping):
        for name, field in fields.items():
            yield Gridded.of(field, str(name), subject=FIELDS)
    elif isinstance(fields, (list, tuple)):
        for field in fields:
            yield from _of_dataset(field) if isinstance(field, xr.Dataset) else [_of_array(field)]
    else:
        raise SchemaError(f"fields is {shown(fields)}, expected a list of fields; fix: {_FIX}", subject=FIELDS)


def _of_array(field: Any) -> Gridded:
    if not isinstance(field, xr.DataArray):
        raise SchemaError(f"got {shown(field)}, expected DataArrays or Datasets; fix: {_FIX}", subject=FIELDS)
    if field.name is None:
        raise SchemaError("a field has no name; fix: fields={'wind': field}, with a name of your own", subject=FIELDS)
    return Gridded.of(field, str(field.name), subject=FIELDS)


def _of_dataset(ds: xr.Dataset) -> list[Gridded]:
    """Return the variables of a dataset that are fields, by the axes of the first that has some."""
    made = readable(ds)
    assert isinstance(made, xr.Dataset)
    numbers = [str(n) for n, v in made.data_vars.items() if v.dtype.kind in "iuf" and v.ndim >= 2]
    among = ", ".join(map(str, made.data_vars)) or "none"
    problem = SchemaError(
        f"a Dataset has no variable of numbers on axes of longitude and latitude, or of x and y, among {among}; fix: {_FIX}",
        subject=FIELDS,
    )
    for name in numbers:
        try:
            axes = find_axes(made[name], FIELDS)
        except SchemaError as error:
            problem = error
            continue
        dims = {made[axis].dims[0] if axis in made.coords else axis for axis in (axes.x, axes.y)}
        return [Gridded.of(made, n, subject=FIELDS) for n in numbers if dims <= {*made[n].dims}]
    raise problem


# -- of a model ----------------------------------------------------------------------------------------------------


def fields_of_model(
    given: Sequence[PredictorField], described: Sequence[Mapping[str, Any]]
) -> tuple[PredictorField, ...]:
    """Return the fields of a model, in the order of its training.

    Parameters
    ----------
    given : sequence of PredictorField
        What the user passes.
    described : sequence of mapping
        ``name``, ``units`` and ``hash`` of each field of the training.

    Raises
    ------
    ModelError
        A field is missing, or is not one that the model was trained on.
    """
    by_name, needed = {field.name: field for field in given}, {str(d["name"]): d for d in described}
    lacking, extra = [n for n in needed if n not in by_name], [n for n in by_name if n not in needed]
    problems = []
    if lacking:
        call = ", ".join(f"{n!r}: field" for n in lacking)
        problems.append(f"the model was trained on fields that are not given; fix: fields={{{call}}} in this call")
    if extra:
        without = "fields=None" if not needed else "leave them out"
        problems.append(
            f"the model was trained without the fields {', '.join(extra)}; fix: {without}, or train another"
        )
    for name in needed.keys() & by_name.keys():
        found = by_name[name].describe()
        differing = [
            f"{k} {needed[name][k]!r} in training, {found[k]!r} here" for k in found if needed[name][k] != found[k]
        ]
        if differing:
            problems.append(
                f"{name!r} is not the field that the model was trained on ({'; '.join(differing)}; the hash is that of its grid "
                "and units); fix: pass that one, or ds.aq.train(..., fields=...)"
            )
    if problems:
        raise ModelError("; ".join(problems))
    return tuple(by_name[name] for name in needed)
