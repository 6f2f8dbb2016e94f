"""A background of the target itself - CAMS, CMAQ - divided out of the observations, and multiplied into the estimates.

What a mapper then sees is the ratio of observation to background, in the target's units: positive as the observations
are, so that any mapper takes it as it is. Its estimate times the background is background plus increment.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from dask.base import tokenize
from numpy.typing import NDArray

from ..conventions import canonical_units
from ..errors import ModelError, SchemaError, XaqWarning
from ..interpolate import leave_one_out
from ..interpolate.base import Estimate, Explanation, Mapper, Observations
from .gridded import Gridded

#: Name of the background itself where a mapper is expected.
BACKGROUND = "background"
#: How much of the background's departure from its mean is believed. None: the observations alone. More than all: it is
#: too flat, as one with a constant added is.
SLOPES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
#: Below this slope of its mean a background counts as this: a ratio to next to nothing says nothing.
_FLOOR = 0.1
#: Observations that are estimated from the others to choose the slope.
_PAIRS = 2000


@dataclass(frozen=True)
class Background:
    """A bias-corrected background, relative to its mean: ``1 + slope (b / mean - 1)``, kept above a tenth.

    Attributes
    ----------
    field : Gridded
    mean : float
        Of the field where and when the visible stations observe, in its own units.
    slope : float
        Of its departure from the mean that is believed.
    """

    field: Gridded
    mean: float
    slope: float

    @classmethod
    def fit(cls, field: Gridded, observations: Observations, *, seed: int = 0, k: int = 16) -> Background:
        """Fit the mean, and the slope by the leave-one-station-out error of kriging the ratio; MAE and RMSE count alike."""
        values, lon, lat = observations.values, observations.lon, observations.lat
        there = field.at(lon, lat, observations.times)
        both = np.isfinite(values) & np.isfinite(there)
        if not both.any():
            raise SchemaError(
                "it has no value where and when a visible station observes; fix: another field, or background=None",
                subject=BACKGROUND,
            )
        mean = float(there[both].mean(dtype=float))
        if not mean > 0:
            raise SchemaError(
                f"its mean at the stations is {mean:g}, expected a concentration above 0", subject=BACKGROUND
            )
        never = int((~np.isfinite(there).any(axis=1)).sum())
        if never:
            text = f"{field.name!r} has no value at {never} of {len(lon)} visible stations: they are left out"
            warnings.warn(text, XaqWarning, stacklevel=4)
        observed = np.argwhere(both)
        rng = np.random.default_rng([seed, 5])
        pairs = observed[rng.choice(len(observed), min(_PAIRS, len(observed)), replace=False)]
        truth = values[pairs[:, 0], pairs[:, 1]].astype(float)
        scores = []
        for slope in SLOPES:
            factor = cls(field, mean, slope)._relative(there)
            ratio = values / factor
            covariance = leave_one_out.fit_covariance(ratio, lon, lat, k=k, n_pairs=_PAIRS // 4, seed=seed)
            guess, _ = leave_one_out.LeaveOneOut.of(lon, lat, covariance, k).predict(ratio, pairs)
            error = truth - guess * factor[pairs[:, 0], pairs[:, 1]]
            scores.append((float(np.nanmean(np.abs(error))), float(np.nanmean(error**2)) ** 0.5))
        mae, rmse = scores[0]
        total = [a / max(mae, 1e-12) + b / max(rmse, 1e-12) for a, b in scores]
        return cls(field, mean, SLOPES[int(np.argmin(total))])

    @classmethod
    def of_model(cls, field: Gridded | None, described: dict[str, Any] | None) -> Background | None:
        """Return the background of a model, or refuse one that is not that of its training."""
        if described is None and field is None:
            return None
        if described is None:
            raise ModelError(
                "the model was trained without a background; fix: background=None, or ds.aq.train(..., background=field)"
            )
        if field is None:
            raise ModelError(
                f"the model was trained on the background {described['name']!r} [{described['units']}] and is nothing without it; "
                "fix: background=field in this call"
            )
        found = {"name": field.name, "units": canonical_units(field.units), "hash": field.hash}
        differing = [
            f"{key} {described[key]!r} in training, {found[key]!r} here"
            for key in found
            if described[key] != found[key]
        ]
        if differing:
            raise ModelError(
                f"this background is not the one the model was trained on ({'; '.join(differing)}; the hash is that of its grid and "
                "units); fix: pass that one, or ds.aq.train(..., background=field)"
            )
        return cls(field, float(described["mean"]), float(described["slope"]))

    def describe(self) -> dict[str, Any]:
        """Return what a recipe keeps of it."""
        return {
            "name": self.field.name, "units": canonical_units(self.field.units), "hash": self.field.hash,
            "mean": self.mean, "slope": self.slope,
        }  # fmt: skip

    def factor(self, lon: NDArray, lat: NDArray, times: NDArray[np.datetime64]) -> NDArray[np.float32]:
        """Return the relative background, ``(point, time)``; NaN where it has none. Computes a window of the field."""
        return self._relative(self.field.at(lon, lat, times))

    def _relative(self, values: NDArray) -> NDArray[np.float32]:
        return np.maximum(1.0 + self.slope * (values / self.mean - 1.0), _FLOOR).astype(np.float32)

    def remove(self, observations: Observations) -> Observations:
        """Return observations over the relative background; missing where that is."""
        factor = self.factor(observations.lon, observations.lat, observations.times)
        return replace(observations, values=(observations.values / factor).astype(np.float32))


def settle_field(field: xr.DataArray | xr.Dataset, target: str, units: str) -> Gridded:
    """Return the background a user means, or raise with what keeps it from being one."""
    name = target if isinstance(field, xr.Dataset) and target in field.data_vars else None
    gridded = Gridded.of(field, name, subject=BACKGROUND)
    problems = []
    if gridded.is_static:
        problems.append("it has no time; fix: a field (time, lat, lon) of the target; a static one goes into rasters=")
    if not gridded.units:
        problems.append(f"it has no units; fix: field.attrs['units'] = {units!r}, if that is what they are")
    elif canonical_units(gridded.units) != canonical_units(units):
        problems.append(
            f"it is in {gridded.units!r}, the stations in {units!r}; fix: (field * 1e9).assign_attrs(units={units!r}) from kg m-3"
        )
    if problems:
        raise SchemaError(problems, subject=BACKGROUND)
    return gridded


@dataclass(frozen=True)
class _Prepared:
    inner: Any
    times: NDArray[np.datetime64]
    station_factor: NDArray[np.float32]


@dataclass(frozen=True)
class OverBackground:
    """A mapper that maps what the background leaves over: background in, increments by the mapper inside, background out."""

    mapper: Mapper
    background: Background

    @property
    def name(self) -> str:
        """The name of the mapper inside."""
        return self.mapper.name

    @property
    def has_interval(self) -> bool:
        """Whether the mapper inside has a distribution."""
        return self.mapper.has_interval

    @property
    def margin_days(self) -> tuple[int, int]:
        """Days that the mapper inside reads before and after."""
        return self.mapper.margin_days

    @property
    def hash(self) -> str:
        """What the mapper inside is; the background is described beside it, and its values belong to periods."""
        return getattr(self.mapper, "hash", None) or str(tokenize(self.mapper))

    @property
    def fields(self) -> tuple[Gridded, ...]:
        """What estimates are made of beside the stations."""
        return self.background.field, *getattr(self.mapper, "fields", ())

    def prepare(self, observations: Observations, times: NDArray[np.datetime64]) -> _Prepared:
        """Divide the background out, and do the station side of the mapper inside."""
        at = np.searchsorted(observations.times, times)
        factor = self.background.factor(observations.lon, observations.lat, observations.times)
        ratio = replace(observations, values=(observations.values / factor).astype(np.float32))
        return _Prepared(self.mapper.prepare(ratio, times), times, factor[:, at])

    def estimate(self, prepared: _Prepared, lon: NDArray, lat: NDArray) -> Estimate:
        """Estimate ratios, and multiply them and their distribution by the background; NaN where it is missing."""
        made = self.mapper.estimate(prepared.inner, lon, lat)
        factor = self.background.factor(lon, lat, prepared.times)
        if made.offset is not None:
            # The scale is one of logarithms: what grows with the background is their offset.
            return replace(made, value=made.value * factor, offset=made.offset * factor)
        return replace(made, value=made.value * factor, scale=None if made.scale is None else made.scale * factor)

    def explain(self, prepared: _Prepared, lon: float, lat: float) -> Explanation:
        """Explain the ratio, in the target's units: contributions are what neighbours add to the estimate."""
        made: Explanation = self.mapper.explain(prepared.inner, lon, lat)  # type: ignore[attr-defined]
        factor = float(self.background.factor(np.array([lon]), np.array([lat]), prepared.times)[0, 0])
        there = prepared.station_factor[made.index, 0]
        return replace(
            made, value=made.value * there, advected=made.advected * there, contribution=made.contribution * factor,
            kriging=made.kriging * factor,
        )  # fmt: skip


@dataclass(frozen=True)
class BackgroundAlone:
    """The background as it is, for comparison."""

    field: Gridded
    name: str = BACKGROUND
    has_interval: bool = False
    margin_days: tuple[int, int] = (0, 0)

    @property
    def hash(self) -> str:
        """What the background is; its values belong to periods."""
        return self.field.hash

    @property
    def fields(self) -> tuple[Gridded, ...]:
        """The background."""
        return (self.field,)

    def prepare(self, observations: Observations, times: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
        """Keep the times; the stations say nothing."""
        return times

    def estimate(self, prepared: NDArray[np.datetime64], lon: NDArray, lat: NDArray) -> Estimate:
        """Sample the field."""
        return Estimate(self.field.at(lon, lat, prepared))
