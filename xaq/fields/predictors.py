"""Predictors of an external drift, from the fields that a user passes: rasters, gridded fields, the background as a predictor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..conventions import LAT, LON, TIME
from ..interpolate.base import Field
from ..interpolate.drift import BACKGROUND, FIELD, RASTER, Centres
from ..interpolate.trend import BackgroundFactor
from .predictor_field import PredictorField, fields_of_model, warn_of_steps
from .rasters import RasterPredictors

#: The logarithm is of at least this fraction of the background's mean at the stations.
_LEAST_BACKGROUND = 0.05


@dataclass(frozen=True)
class Predictors:
    """Rasters, gridded fields, and the logarithm of a background: a source for :class:`xaq.interpolate.drift.Drift`.

    Attributes
    ----------
    rasters : RasterPredictors, optional
    least : float, optional
        Values of the background below this count as this; None where there is no background.
    grids : tuple of PredictorField
        Fields in time, or static ones.
    """

    rasters: RasterPredictors | None
    least: float | None
    grids: tuple[PredictorField, ...] = ()

    @classmethod
    def of(
        cls,
        rasters: Mapping[str, xr.DataArray],
        background: BackgroundFactor | None,
        visible: xr.Dataset,
        grids: Sequence[PredictorField] = (),
    ) -> Predictors | None:
        """Return the predictors of the fields that are given; None where there is none.

        Raises
        ------
        SchemaError
            A raster has a time, does not cover the visible stations, or is the same at all of them; a gridded field has no
            value at any of them.
        """
        if not (rasters or grids) and background is None:
            return None
        lon, lat, times = (visible[name].values for name in (LON, LAT, TIME))
        times = times.astype("datetime64[s]")
        for grid in grids:
            grid.check_period(times[0], times[-1])
            grid.check_known(lon, lat, times)
        least = None if background is None else _LEAST_BACKGROUND * background.mean
        return cls(RasterPredictors.of(rasters, visible) if rasters else None, least, tuple(grids))

    @classmethod
    def of_model(
        cls,
        described: Sequence[Mapping[str, Any]],
        rasters: Mapping[str, xr.DataArray],
        visible: xr.Dataset,
        grids: Sequence[PredictorField] = (),
    ) -> Predictors | None:
        """Return the predictors of a model from the fields that a user passes; None where it has none.

        Parameters
        ----------
        described : sequence of mapping
            Of each predictor, as :meth:`describe` returns it.
        rasters, grids
            What the user passes.
        visible : xarray.Dataset
            Visible stations, whose own coordinates stand in where a raster has no data.

        Raises
        ------
        ModelError
            A raster or field is missing, or is not one that the model was trained on.
        """
        of_kind = {kind: [d for d in described if d["kind"] == kind] for kind in (RASTER, FIELD, BACKGROUND)}
        found = RasterPredictors.of_model(rasters, of_kind[RASTER], visible)
        read = fields_of_model(grids, of_kind[FIELD])
        least = [float(d["least"]) for d in of_kind[BACKGROUND]]
        return cls(found, least[0] if least else None, read) if described else None

    @property
    def fields(self) -> tuple[Field, ...]:
        """The rasters and the gridded fields."""
        return (*(() if self.rasters is None else self.rasters.rasters), *self.grids)

    def at(
        self, lon: NDArray, lat: NDArray, times: NDArray[np.datetime64], background: NDArray | None
    ) -> Iterator[NDArray[np.float32]]:
        """Yield the predictors at places, ``(place, time or 1)``; NaN where a field has no value."""
        yield from self._read(None if self.rasters is None else self.rasters.at, lon, lat, times, background)

    def at_stations(
        self, lon: NDArray, lat: NDArray, times: NDArray[np.datetime64], background: NDArray | None
    ) -> Iterator[NDArray[np.float32]]:
        """Yield the same at stations; their own coordinate stands in where a raster has no data."""
        yield from self._read(None if self.rasters is None else self.rasters.at_stations, lon, lat, times, background)

    def _read(
        self,
        read: Callable[[NDArray, NDArray], NDArray[np.float32]] | None,
        lon: NDArray,
        lat: NDArray,
        times: NDArray[np.datetime64],
        background: NDArray | None,
    ) -> Iterator[NDArray[np.float32]]:
        if read is not None:
            for column in read(lon, lat).T:
                yield column[:, None]
        for grid in self.grids:
            yield grid.at(lon, lat, times)
        if self.least is not None:
            assert background is not None
            yield np.log(np.maximum(background, self.least)).astype(np.float32)

    def warn_of_unknown(self, times: NDArray[np.datetime64], centres: Centres) -> None:
        """Warn of gridded fields that have times of their own, and no value at any station at some of them.

        ``centres`` are the means over the stations at these times, of all predictors.
        """
        of_grids = centres[len(self.fields) - len(self.grids) :]
        unknown = {
            grid.name: np.isnan(centre) & ~grid.lacks(times)
            for grid, centre in zip(self.grids, of_grids, strict=False)
            if not grid.is_static
        }
        warn_of_steps(unknown, times, " at any visible station")

    def describe(self) -> tuple[dict[str, Any], ...]:
        """Return kind, name, units and hash of each predictor; the background is identified by itself."""
        rasters = () if self.rasters is None else self.rasters.rasters
        described: list[dict[str, Any]] = [
            {"kind": kind, "name": field.name, "units": field.units, "hash": field.hash}
            for kind, fields in ((RASTER, rasters), (FIELD, self.grids))
            for field in fields
        ]
        if self.least is not None:
            described.append({"kind": BACKGROUND, "name": "log(background)", "units": "", "least": self.least})
        return tuple(described)
