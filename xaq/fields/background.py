"""A background of the target - CAMS, CMAQ - as a user passes it, and as a mapper of its own.

How a background enters an estimate is :class:`xaq.interpolate.trend.BackgroundFactor`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..conventions import POLLUTANTS, TIME, canonical_name, canonical_units, common_units
from ..errors import ModelError, SchemaError, warn
from ..interpolate.base import Estimate, Observations
from ..interpolate.trend import BackgroundFactor
from ..stations.units import factor
from .field_units import field_name, field_units
from .forms import readable
from .gridded import Gridded

#: Name of the background itself where a mapper is expected.
BACKGROUND = "background"


def settle_field(field: xr.DataArray | xr.Dataset, target: str, units: str) -> Gridded:
    """Return the background that a user passes, as a field.

    Raises
    ------
    SchemaError
        Lists all that is wrong: it has no time, no units, or others than the stations.
    """
    field = readable(field)
    name = target if isinstance(field, xr.Dataset) and target in field.data_vars else None
    gridded = Gridded.of(field, name, subject=BACKGROUND)
    problems = []
    if gridded.is_static:
        one = "field.expand_dims('time'), with its one time, or " if TIME in field.coords else ""
        problems.append(
            f"it has no dimension of time; fix: {one}a field (time, lat, lon) of the target; a static one goes into rasters="
        )
    if not gridded.units:
        problems.append(
            f"it has no units; fix: field.attrs['units'] = {common_units(units)!r}, if that is what they are"
        )
    elif field_units(gridded.units) != canonical_units(units):
        problems.append(
            f"it is in {common_units(gridded.units)!r}, the stations in {common_units(units)!r}; fix: {_conversion(gridded.units, target, units)}"
        )
    if problems:
        raise SchemaError(problems, subject=BACKGROUND)
    pollutant = field_name(gridded.name)
    if pollutant in POLLUTANTS and pollutant != canonical_name(target):
        warn(
            f"{BACKGROUND}: it is {gridded.name!r}, the target {target!r}, and one pollutant is no field of another; fix: "
            f"background=xaq.open_field('field.nc', {target!r}), if that is what was meant"
        )
    return gridded


def _conversion(old: str, target: str, new: str) -> str:
    """Return the call that converts a field, or what is left to the user where the units are no concentration."""
    if field_units(old) == "kg kg-1":
        return (
            "xaq.open_field(['field.nc', 'surface.nc']), with surface pressure (sp) and temperature (t2m) in the second"
        )
    pollutant, new = canonical_name(target), common_units(new)
    try:
        by = factor(pollutant, field_units(old), new)
    except (SchemaError, KeyError):
        return f"convert it to {new!r}, then field.assign_attrs(units={new!r})"
    return f"(field * {by:.6g}).assign_attrs(units={new!r})"


def describe_background(background: BackgroundFactor) -> dict[str, Any]:
    """Return what a model keeps of its background."""
    field = background.field
    return {
        "name": field.name, "units": canonical_units(field.units), "hash": field.hash,
        "mean": background.mean, "slope": background.slope,
    }  # fmt: skip


def background_of_model(field: Gridded | None, described: dict[str, Any] | None) -> BackgroundFactor | None:
    """Return the background factor of a model from the field that a user passes.

    Raises
    ------
    ModelError
        There is no field where the model needs one, one where it needs none, or another than in training.
    """
    if described is None and field is None:
        return None
    if described is None:
        raise ModelError(
            "the model was trained without a background; fix: background=None, or ds.aq.train(..., background=field)"
        )
    if field is None:
        raise ModelError(
            f"the model was trained on the background {described['name']!r} [{common_units(described['units'])}] and cannot estimate without it; "
            "fix: background=field in this call"
        )
    found = {"name": field.name, "units": canonical_units(field.units), "hash": field.hash}
    differing = [
        f"{key} {described[key]!r} in training, {found[key]!r} here" for key in found if described[key] != found[key]
    ]
    if differing:
        raise ModelError(
            f"this background is not the one the model was trained on ({'; '.join(differing)}; the hash is that of its grid and "
            "units); fix: pass that one, or ds.aq.train(..., background=field)"
        )
    return BackgroundFactor(field, float(described["mean"]), float(described["slope"]))


@dataclass(frozen=True)
class BackgroundAlone:
    """The background as it is, as a mapper to compare others with: ``"background"`` by name."""

    field: Gridded
    name: str = BACKGROUND
    has_interval: bool = False
    margin_days: tuple[int, int] = (0, 0)

    @property
    def hash(self) -> str:
        """Identity of the field: its grid and units."""
        return self.field.hash

    @property
    def fields(self) -> tuple[Gridded, ...]:
        """The background."""
        return (self.field,)

    def prepare(self, observations: Observations, times: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
        """Keep the times; no station is read."""
        return times

    def estimate(self, prepared: NDArray[np.datetime64], lon: NDArray, lat: NDArray) -> Estimate:
        """Sample the field."""
        return Estimate(self.field.at(lon, lat, prepared))
