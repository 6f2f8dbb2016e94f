"""The trend of a model: its record, and the trend itself rebuilt from the fields that a user passes; what a cube names of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xarray as xr

from ..interpolate.trend import Trend, TrendRecord
from .background import background_of_model, describe_background
from .gridded import Gridded
from .rasters import RasterPredictors


def record_of(trend: Trend) -> TrendRecord:
    """Return what a model's file keeps of a trend."""
    background = None if trend.background is None else describe_background(trend.background)
    rasters = () if trend.rasters is None else trend.rasters.describe()
    return TrendRecord(background, trend.site_effect, rasters)


def provenance_of(trend: Trend) -> dict[str, Any]:
    """Return the terms of the trend of a fitted method that a cube names in its provenance, ready for JSON."""
    terms = record_of(trend).provenance()
    if trend.drift is None:
        return terms
    rasters = [{"name": field.name, "units": field.units, "hash": field.hash} for field in trend.drift.fields]
    return terms | ({"rasters": rasters} if rasters else {}) | {"drift": trend.drift.describe()}


def trend_of_model(
    record: TrendRecord, background: Gridded | None, rasters: Mapping[str, xr.DataArray], visible: xr.Dataset
) -> Trend:
    """Return the trend of a model, with the fields that it was trained on.

    Parameters
    ----------
    record : TrendRecord
        Of the model.
    background : Gridded, optional
        The field, where the model has one.
    rasters : mapping of str to xarray.DataArray
        By name; empty where the model has none.
    visible : xarray.Dataset
        Visible stations, whose own coordinates stand in where a raster has no data.

    Raises
    ------
    ModelError
        A field is missing, or is not the one that the model was trained on.
    """
    return Trend(
        background_of_model(background, record.background),
        record.site_effect,
        RasterPredictors.of_model(rasters, record.rasters, visible),
    )
