"""Which mapper is meant: a trained one with the fields of its training, or a classical method, fitted by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .._arguments import shown
from ..arrays import sphere, timesteps
from ..conventions import LAT, LON, TIME, canonical_units, common_units
from ..errors import ModelError, warn
from ..fields.background import BACKGROUND, BackgroundAlone, settle_field
from ..fields.gridded import Gridded
from ..fields.predictor_field import Fields, PredictorField, settle_fields
from ..fields.predictors import Predictors
from ..fields.rasters import rasters_by_name
from ..fields.trend import trend_of_model, warn_if_without_effect
from ..interpolate.base import Field, Mapper, Observations, ReadsFields
from ..interpolate.classical import CLASSICAL, DRIFT, UNFITTED, classical, drift_kriging
from ..interpolate.trained import TrainedMapper
from ..interpolate.trend import BackgroundFactor, OverTrend, Trend
from ..stations import schema, taking_part
from ..stations.timestamps import step_of

#: Within it a station with corrected or rounded coordinates is the same, km.
_SAME_PLACE_KM = 1.0
#: Fewer stations of a network than this part are a few that two networks share, such as those of a city in a country.
_FEW = 0.1


def settle_mapper(
    mapper: Mapper | str,
    visible: xr.Dataset,
    target: str,
    background: xr.DataArray | xr.Dataset | None,
    rasters: Mapping[str, xr.DataArray] | None,
    fields: Fields | None,
) -> Mapper:
    """Return the mapper that is meant: fitted where it is given by name, with the fields that it reads."""
    field, named = _settle_background(background, visible, target), rasters_by_name(rasters)
    grids = settle_fields(fields, visible, others=tuple(named))
    if isinstance(mapper, TrainedMapper):
        warn_of_other_stations(mapper, *schema.positions(visible))
        return mapper.with_trend(trend_of_model(mapper.recipe.trend, field, named, visible, grids))
    check_mapper(mapper)
    for argument, given in (("rasters", named), ("fields", grids)):
        if given and mapper != DRIFT:
            raise ModelError(
                f"{argument} are read by a trained model and by {DRIFT!r}, not by {method_name(mapper)!r}; "
                f"fix: {DRIFT!r}, or {argument}=None"
            )
    if isinstance(mapper, str):
        return _fit_by_name(mapper, visible, target, field, named, grids)
    if field is not None:
        raise ModelError(f"{mapper.name} was fitted without a background; fix: pass it by name, or background=None")
    return mapper


def check_mapper(mapper: Any) -> None:
    """Refuse what is neither a mapper nor a name; whether a method has the name is known later."""
    if not isinstance(mapper, (str, Mapper)) or isinstance(mapper, type):
        raise ModelError(
            f"got {shown(mapper)}, expected a trained model or one of {', '.join(CLASSICAL)}; fix: 'kriging'"
        )


def _settle_background(
    background: xr.DataArray | xr.Dataset | None, visible: xr.Dataset, target: str
) -> Gridded | None:
    if background is None:
        return None
    field = settle_field(background, target, str(visible[target].attrs["units"]))
    field.check_overlaps(visible[LON].values, visible[LAT].values, "stations", subject=BACKGROUND)
    field.check_step(step_of(visible[TIME]), visible[TIME].values[0], subject=BACKGROUND)
    return field


def _fit_by_name(
    name: str,
    visible: xr.Dataset,
    target: str,
    field: Gridded | None,
    rasters: Mapping[str, xr.DataArray],
    grids: tuple[PredictorField, ...],
) -> Mapper:
    """Return a classical method by its name: fitted to the visible stations, over the background where there is one."""
    if name == BACKGROUND and field is not None:
        return BackgroundAlone(field)
    if name not in CLASSICAL:
        raise ModelError(
            f"no method {name!r}; expected a trained model or one of {', '.join(CLASSICAL)}; fix: 'kriging', or "
            "xaq.load_model(path) for a model file"
        )
    if field is None and name in UNFITTED:
        # Nothing to fit, so that lazy observations stay lazy.
        return UNFITTED[name]()
    found = taking_part.observed(visible, target)
    observations = found.observations
    background = None if field is None else _fit_background(field, observations)
    if name == DRIFT:
        predictors = Predictors.of(rasters, background, found.stations, grids)
        fitted = drift_kriging(observations, background=background, predictors=predictors)
        warn_if_without_effect(fitted.trend)
        return fitted
    if background is None:
        return classical(name, observations)
    trend = Trend(background=background)
    warn_if_without_effect(trend)
    return OverTrend(classical(name, trend.remove(observations)), trend)


def _fit_background(field: Gridded, observations: Observations) -> BackgroundFactor:
    # Times without a report need no background: they may lie outside its period.
    reported = observations.times[np.isfinite(observations.values).any(axis=0)]
    if len(reported):
        field.check_period(reported[0], reported[-1], subject=BACKGROUND)
    return BackgroundFactor.fit(field, observations)


def check_model(model: TrainedMapper, ds: xr.Dataset, target: str) -> None:
    """Refuse a model trained for another target, unit or step, or covariates that the conformed dataset lacks."""
    problems = []
    if model.target != target:
        problems.append(
            f"the model was trained for {model.target!r}, asked for {target!r}; fix: target={model.target!r}, or ds.aq.train({target!r})"
        )
    elif canonical_units(model.recipe.units) != canonical_units(str(ds[target].attrs["units"])):
        ours, theirs = common_units(model.recipe.units), common_units(str(ds[target].attrs["units"]))
        problems.append(
            f"the model is in {ours!r}, the dataset's {target!r} in {theirs!r}; fix: ds.aq.convert_units({{{target!r}: {ours!r}}})"
        )
    step = step_of(ds[TIME])
    if step != model.step:
        name = timesteps.step_name(model.step)
        resample = f"ds.resample(time={name!r}).mean(), or " if step < model.step else ""
        problems.append(
            f"the model has a step of {name}, the dataset {timesteps.step_name(step)}; fix: {resample}ds.aq.train({target!r})"
        )
    missing = [c for c in (*model.recipe.covariates, *model.recipe.known) if c not in ds.data_vars]
    if missing:
        problems.append(
            f"the model needs covariates that the dataset lacks: {', '.join(missing)}; fix: ds.aq.sample(field, name={missing[0]!r})"
        )
    if problems:
        raise ModelError("; ".join(problems))


def warn_of_other_stations(model: TrainedMapper, lon: NDArray, lat: NDArray) -> None:
    """Warn where hardly a station stands where one did that the model was trained on: covariance and noise are of another network.

    By places, not ids, which networks may have in common and files may write in other ways.
    """
    known_lon, known_lat, _ = np.array(model.recipe.residual_variance, float).reshape(-1, 3).T
    if not known_lon.size:
        return
    known = int((sphere.nearest(known_lon, known_lat, lon, lat, 1)[1] <= _SAME_PLACE_KM).sum())
    if known < _FEW * len(lon):
        warn(
            f"the model was trained on other stations: {known} of {len(lon)} stand where one of its {known_lon.size} did, and its range of "
            f"{model.recipe.covariance.range_km:.3g} km and its intervals are those of its own network; fix: model = ds.aq.train({model.target!r})"
        )


def method_name(mapper: Mapper | str) -> str:
    """Return the name of a method: that of a mapper, or the name itself."""
    return mapper if isinstance(mapper, str) else mapper.name


def fields_of(mapper: Mapper) -> tuple[Field, ...]:
    """Return the fields and rasters that a mapper's estimates depend on beside the stations."""
    return mapper.fields if isinstance(mapper, ReadsFields) else ()
