"""The trend of a model: its record, and the trend itself rebuilt from the fields that a user passes; what a cube names of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr

from ..errors import warn
from ..interpolate.drift import BACKGROUND, FIELD, RASTER, Drift
from ..interpolate.trend import Trend, TrendRecord
from .background import background_of_model, describe_background
from .gridded import Gridded
from .predictor_field import PredictorField
from .predictors import Predictors


def record_of(trend: Trend) -> TrendRecord:
    """Return what a model's file keeps of a trend."""
    background = None if trend.background is None else describe_background(trend.background)
    drift = () if trend.drift is None else tuple(trend.drift.describe())
    return TrendRecord(background, trend.site_effect, drift)


def provenance_of(trend: Trend) -> dict[str, Any]:
    """Return the terms of the trend of a fitted method that a cube names in its provenance, ready for JSON."""
    return record_of(trend).provenance()


def warn_if_without_effect(trend: Trend) -> None:
    """Warn that the background, or the rasters and fields, of a fitted trend change nothing, which equal scores do not say."""
    predictors = [] if trend.drift is None else trend.drift.describe()
    slopes = [term["slope"] for term in predictors if term["kind"] == BACKGROUND]
    if trend.background is not None and not any((trend.background.slope, *slopes)):
        warn(
            f"the background {trend.background.field.name!r} has no effect: its slope is zero, because what it gains at stations that "
            "are left out is not clear; fix: background=None, or estimates are missing where it is"
        )
    terms = [term for term in predictors if term["kind"] in (RASTER, FIELD)]
    if terms and not any(term["slope"] for term in terms):
        warn(
            f"{', '.join(repr(term['name']) for term in terms)} {'has' if len(terms) == 1 else 'have'} no effect: the slopes are "
            "zero, because what they gain at stations that are left out is not clear"
        )


def trend_of_model(
    record: TrendRecord,
    background: Gridded | None,
    rasters: Mapping[str, xr.DataArray],
    visible: xr.Dataset,
    fields: Sequence[PredictorField] = (),
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
    fields : sequence of PredictorField
        Gridded predictors; empty where the model has none.

    Raises
    ------
    ModelError
        A field is missing, or is not the one that the model was trained on.
    """
    factor = background_of_model(background, record.background)
    predictors = Predictors.of_model(record.drift, rasters, visible, fields)
    drift = None if predictors is None else Drift.from_description(predictors, record.drift)
    return Trend(factor, record.site_effect, drift)
