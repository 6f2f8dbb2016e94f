"""Predictors of an external drift, from the fields that a user passes: rasters, and the background as a predictor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..interpolate.trend import BackgroundFactor
from .gridded import Gridded
from .rasters import RasterPredictors

#: The logarithm is of at least this fraction of the background's mean at the stations.
_LEAST_BACKGROUND = 0.05


@dataclass(frozen=True)
class Predictors:
    """Static rasters, and the logarithm of a background: a source for :class:`xaq.interpolate.drift.Drift`.

    Attributes
    ----------
    rasters : RasterPredictors, optional
    least : float, optional
        Values of the background below this count as this; None where there is no background.
    """

    rasters: RasterPredictors | None
    least: float | None

    @classmethod
    def of(
        cls, rasters: Mapping[str, xr.DataArray], background: BackgroundFactor | None, visible: xr.Dataset
    ) -> Predictors | None:
        """Return the predictors of the fields that are given; None where there is none.

        Raises
        ------
        SchemaError
            A raster has a time, does not cover the visible stations, or is the same at all of them.
        """
        if not rasters and background is None:
            return None
        least = None if background is None else _LEAST_BACKGROUND * background.mean
        return cls(RasterPredictors.fit(rasters, visible) if rasters else None, least)

    @property
    def fields(self) -> tuple[Gridded, ...]:
        """The rasters."""
        return () if self.rasters is None else self.rasters.rasters

    def at(
        self, lon: NDArray, lat: NDArray, times: NDArray[np.datetime64], background: NDArray | None
    ) -> Iterator[NDArray[np.float32]]:
        """Yield the predictors at places, ``(place, time or 1)``; NaN where a field has no value."""
        yield from self._read(None if self.rasters is None else self.rasters.at, lon, lat, background)

    def at_stations(
        self, lon: NDArray, lat: NDArray, times: NDArray[np.datetime64], background: NDArray | None
    ) -> Iterator[NDArray[np.float32]]:
        """Yield the same at stations; their own coordinate stands in where a raster has no data."""
        yield from self._read(None if self.rasters is None else self.rasters.at_stations, lon, lat, background)

    def _read(
        self,
        read: Callable[[NDArray, NDArray], NDArray[np.float32]] | None,
        lon: NDArray,
        lat: NDArray,
        background: NDArray | None,
    ) -> Iterator[NDArray[np.float32]]:
        if read is not None:
            for column in read(lon, lat).T:
                yield column[:, None]
        if self.least is not None:
            assert background is not None
            yield np.log(np.maximum(background, self.least)).astype(np.float32)

    def describe(self) -> tuple[dict[str, Any], ...]:
        """Return name, units and hash of each predictor; the background is identified by itself."""
        rasters = () if self.rasters is None else self.rasters.rasters
        described: list[dict[str, Any]] = [
            {"name": raster.name, "units": raster.units, "hash": raster.hash} for raster in rasters
        ]
        if self.least is not None:
            described.append({"name": "log(background)", "units": "", "least": self.least})
        return tuple(described)
