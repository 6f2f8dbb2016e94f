"""Raster predictors: static rasters that a drift reads at stations and targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..arrays import sphere
from ..conventions import LAT, LON, STATION
from ..errors import ModelError, SchemaError
from .gridded import Gridded

_RASTERS = "rasters"


@dataclass(frozen=True)
class RasterPredictors:
    """Static rasters, in their own units.

    Attributes
    ----------
    rasters : tuple of Gridded
        The fields.
    places : (2, n_station) degrees
        Longitude and latitude of the visible stations.
    own : (n_raster, n_station)
        A station's own coordinate of the raster's name, which stands in where the raster has no data; NaN without one.
    """

    rasters: tuple[Gridded, ...]
    places: NDArray[np.float64]
    own: NDArray[np.float32]

    @classmethod
    def of(cls, rasters: Mapping[str, xr.DataArray], visible: xr.Dataset) -> RasterPredictors:
        """Return the rasters, each of which says something of the visible stations.

        Raises
        ------
        SchemaError
            A raster has a time, covers no station, or is the same at all of them.
        """
        settled = _settle_rasters(rasters, visible)
        predictors = cls(settled, *_own_values(visible, settled))
        for raster, values in zip(settled, predictors.at_stations(*predictors.places).T, strict=True):
            seen = values[np.isfinite(values)].astype(float)
            spread = float(seen.std()) if len(seen) else 0.0
            if not spread > 1e-6 * float(np.abs(seen).max(initial=0.0)):
                raise SchemaError(
                    f"{raster.name!r} is the same, or missing, at all {len(values)} visible stations and explains nothing; fix: leave it out",
                    subject=_RASTERS,
                )
        return predictors

    @classmethod
    def of_model(
        cls, given: Mapping[str, xr.DataArray], described: Sequence[Mapping[str, Any]], visible: xr.Dataset
    ) -> RasterPredictors | None:
        """Return the rasters of a model; None where it has none.

        Raises
        ------
        ModelError
            A raster is missing, or is not one that the model was trained on.
        """
        needed = {d["name"]: d for d in described}
        missing, extra = [n for n in needed if n not in given], [n for n in given if n not in needed]
        problems = []
        if missing:
            shown = ", ".join(f"{n!r}: raster" for n in missing)
            problems.append(
                f"the model was trained on rasters that are not given; fix: rasters={{{shown}}} in this call"
            )
        if extra:
            problems.append(
                f"the model was trained without the rasters {', '.join(extra)}; fix: leave them out, or train another"
            )
        if problems:
            raise ModelError("; ".join(problems))
        if not needed:
            return None
        settled = _settle_rasters({name: given[name] for name in needed}, visible)
        other = [r.name for r in settled if r.hash != needed[r.name]["hash"]]
        if other:
            raise ModelError(
                f"{', '.join(other)}: not the raster that the model was trained on (grid, units or values differ); fix: pass that "
                "one, or ds.aq.train(..., rasters=...)"
            )
        return cls(settled, *_own_values(visible, settled))

    def at(self, lon: NDArray, lat: NDArray) -> NDArray[np.float32]:
        """Return the rasters at places, ``(place, raster)``; NaN where they have no data."""
        return np.stack([raster.at(lon, lat) for raster in self.rasters], axis=1)

    def at_stations(self, lon: NDArray, lat: NDArray) -> NDArray[np.float32]:
        """Return the same at stations; their own coordinate stands in where a raster has no data."""
        index, distance = sphere.nearest(self.places[0], self.places[1], lon, lat, 1)
        own = np.where(distance[:, 0] < sphere.COLOCATED_KM, self.own[:, index[:, 0]], np.nan)
        sampled = [raster.at(lon, lat) for raster in self.rasters]
        return np.stack([np.where(np.isfinite(s), s, o) for s, o in zip(sampled, own, strict=True)], axis=1)


def rasters_by_name(rasters: Mapping[str, xr.DataArray] | None) -> dict[str, xr.DataArray]:
    """Return the rasters that a user passes, by name; none by default.

    Raises
    ------
    SchemaError
        They have no names.
    """
    if rasters is None:
        return {}
    if not isinstance(rasters, Mapping):
        raise SchemaError(
            f"rasters is {type(rasters).__name__}, expected a mapping of names to rasters; fix: rasters={{'elevation': raster}}",
            subject=_RASTERS,
        )
    return {str(name): raster for name, raster in rasters.items()}


def _settle_rasters(rasters: Mapping[str, xr.DataArray], visible: xr.Dataset) -> tuple[Gridded, ...]:
    settled = tuple(Gridded.of(raster, name, subject=_RASTERS) for name, raster in rasters.items())
    for raster in settled:
        if not raster.is_static:
            raise SchemaError(
                f"{raster.name!r} has a time; fix: .isel(time=0) or .mean('time'), or ds.aq.sample(field) and covariates=",
                subject=_RASTERS,
            )
        raster.check_overlaps(visible[LON].values, visible[LAT].values, "stations", subject=_RASTERS)
    return settled


def _own_values(visible: xr.Dataset, rasters: Sequence[Gridded]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return the places of stations, and their own coordinates of the rasters' names."""
    places = np.stack([visible[LON].values, visible[LAT].values]).astype(float)
    own = np.full((len(rasters), places.shape[1]), np.nan, np.float32)
    for row, raster in zip(own, rasters, strict=True):
        if raster.name in visible.coords and visible[raster.name].dims == (STATION,):
            row[:] = visible[raster.name].values
    return places, own
