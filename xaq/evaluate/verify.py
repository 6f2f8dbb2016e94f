"""Scores and skill at hidden stations. Every method, AQ-Net or classical, runs through the same pipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from .._arguments import check_choice, check_sequence, shown
from ..arrays import timesteps
from ..conventions import LAT, LON, STATION, TIME
from ..cube.calendar import period_in_utc
from ..cube.ensemble import Ensemble
from ..cube.mapper import method_name
from ..cube.reanalyze import estimate_quantiles
from ..cube.request import RequestOptions, check_level, make_request, settle_target
from ..errors import ModelError, SchemaError, each_once, warn
from ..fields.background import BACKGROUND
from ..fields.predictor_field import Fields
from ..interpolate.base import Mapper
from ..interpolate.forecast_baselines import Forecaster
from ..interpolate.trained import TrainedForecaster, TrainedMapper
from ..stations import holdout, limits, schema, taking_part
from ..stations.timestamps import step_of
from .scores import score_probabilities, scores, with_crps
from .verify_forecast import verify_forecast
from .verify_means import MEMBERS, means_of_longer, period_means, row_name, score_means, verify_means

_BASELINES = ("kriging", "idw", "nearest")
#: Members that the scores of means in a model are made from.
_MEMBERS_TRAINED = 50
#: Data capture of a period with any observed step.
_ANY_STEP = 1e-9


def verify(
    ds: xr.Dataset,
    model: Mapper | str,
    *,
    target: str | None = None,
    time: schema.Period = None,
    baselines: Sequence[str | Forecaster] | None = None,
    level: float = 0.9,
    by: str | None = None,
    of: Literal["D", "MS", "QS", "YS"] | None = None,
    tz: str | None = None,
    background: xr.DataArray | xr.Dataset | None = None,
    rasters: Mapping[str, xr.DataArray] | None = None,
    fields: Fields | None = None,
) -> pd.DataFrame:
    """Score a model at the hidden stations, beside classical methods.

    Parameters
    ----------
    ds : xarray.Dataset
        A station dataset with hidden stations.
    model : Model or name
        The method to verify.
    target : str, optional
        Variable; the model's, or the only pollutant.
    time : slice or (start, end), optional
        Period to score; all of the record by default. For a forecast: the period of the init times. Forecasts are scored
        at the visible stations too, so it should lie after the training period.
    baselines : sequence of str or Forecaster, optional
        Methods to score beside it. For an analysis: classical ones by name, fitted on the visible stations; by default
        kriging, inverse distance and nearest. For a forecast: ``"persistence"`` and ``"climatology"`` (by month and hour,
        over the model's training period), which are the default, and anything with a ``name`` and a
        ``forecast(past, times)``, such as another model. Kriging takes their forecasts to the hidden stations.
    level : float
        Nominal coverage of the interval whose coverage and width are reported.
    by : {"station"}, optional
        One row per method and station instead of pooled rows (analysis only).
    of : {"D", "MS", "QS", "YS"}, optional
        Score means of days, months, quarters or years in place of steps (analysis only): means over the observed steps,
        where at least three quarters are observed. The interval is that of the mean, made from 100 members.
    tz : str, optional
        Time zone of these periods, and of texts in ``time``; UTC by default.
    background : xarray.DataArray or Dataset, optional
        As for :func:`reanalyze`, for the model and for every baseline (analysis only); ``"background"``, the field as it
        is, is then a baseline too.
    rasters : mapping of str to xarray.DataArray, optional
        As for :func:`reanalyze`, for the model and for ``"kriging-drift"`` among the baselines.
    fields : sequence of xarray.DataArray or Dataset, or mapping of str to xarray.DataArray, optional
        As for :func:`reanalyze`, for the model and for ``"kriging-drift"`` among the baselines.

    Returns
    -------
    pandas.DataFrame
        Index ``method`` (and ``station``, or ``stations`` and ``horizon``), such as ``"kriging"``, or ``"kriging with
        background"`` where it is given one; columns ``mae``, ``rmse``, ``r2`` (coefficient
        of determination), ``bias`` (mean of estimate minus observation), ``crps`` (continuous ranked probability score of
        the distribution), ``coverage`` (fraction of observations inside the interval), ``width`` (mean width of the
        interval), ``n`` (number of observations). ``r2`` and ``coverage`` have
        no unit, the others the target's; ``crps``, ``coverage`` and ``width`` are NaN where a method has no distribution.
        ``attrs`` name units, level, period and hidden stations. Computes.

    Raises
    ------
    SchemaError
        No station is hidden, or hidden stations have no observation in the period.
    ModelError
        The model has seen a station that is hidden now.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=20, days=3).aq.hide(fraction=0.2)
    >>> list(ds.aq.verify("kriging", baselines=["idw"]).index)
    ['kriging', 'idw']
    """
    level = check_level(level)
    by = None if by is None else check_choice(by, "by", ("station",))
    if of is None and tz is not None:
        raise SchemaError(f"tz={shown(tz)} is said of periods, and there are none; fix: of='D'", subject="argument")
    means = None if of is None else Ensemble(members=max(MEMBERS, ceil(2 / (1 - level)) - 1), freq=of, tz=tz)
    if means is not None and by is not None:
        raise SchemaError("of= pools periods over stations, by= does not; fix: by=None", subject="argument")
    if baselines is not None:
        meant = [baselines] if isinstance(baselines, str) and baselines else list(_BASELINES)
        baselines = check_sequence(baselines, "baselines", "a list of methods", fix=f"baselines={meant}")
    ds = schema.conform(ds)
    if not schema.hidden_mask(ds).any():
        when = "" if isinstance(model, str) else " before training"
        raise SchemaError(
            f"no station is hidden, so there is nothing to verify with; fix: ds = ds.aq.hide(fraction=0.15){when}"
        )
    check_unseen(model, ds)
    holdout.warn_of_colocated(ds)
    limits.warn_if_impossible(ds, _variables(ds, model, target))
    if isinstance(model, TrainedForecaster) and model.task == "forecast":
        if not (background is None and rasters is None and fields is None):
            raise ModelError(
                "a forecast reads no background, rasters or fields; fix: background=None, rasters=None, fields=None"
            )
        if means is not None:
            raise ModelError("of= scores means of an analysis, not of a forecast; fix: of=None")
        with each_once():
            return verify_forecast(ds, model, target=target, time=time, level=level, baselines=baselines)
    time = period_in_utc(time, None if means is None else means.tz)
    options = RequestOptions(target=target, time=time, background=background, rasters=rasters, fields=fields)
    with each_once():
        return _verify_analysis(ds, model, options, baselines=baselines, level=level, by=by, means=means)


def _variables(ds: xr.Dataset, model: Mapper | str, target: str | None) -> list[str]:
    """Return the variables that a model reads, the target first."""
    recipe = model.recipe if isinstance(model, TrainedMapper) else None
    return [settle_target(ds, model, target), *((*recipe.covariates, *recipe.known) if recipe else ())]


def score_held_out(
    ds: xr.Dataset,
    model: Mapper,
    *,
    background: xr.DataArray | xr.Dataset | None = None,
    rasters: Mapping[str, xr.DataArray] | None = None,
    fields: Fields | None = None,
) -> list[dict[str, Any]]:
    """Return the scores of an analysis model and of its baselines at the hidden stations, as rows ready for JSON.

    Parameters
    ----------
    ds : xarray.Dataset
        A conformed station dataset over the period to score.
    model : Mapper
        Just trained.
    background, rasters, fields : optional
        As for :func:`verify`.

    Returns
    -------
    list of dict
        A row for each method. Empty when no station is hidden and, with a warning, when the hidden stations cannot be scored.
    """
    if not schema.hidden_mask(ds).any():
        return []
    try:
        table = _verify_analysis(ds, model, RequestOptions(background=background, rasters=rasters, fields=fields))
    except SchemaError as error:
        warn(f"no held-out scores: {error}")
        return []
    rows = table.reset_index().to_dict("records")
    n = len(table.attrs["hidden_stations"])
    return [{**{str(k): _json_ready(v) for k, v in row.items()}, "stations": f"{n} hidden"} for row in rows]


def score_held_out_means(
    ds: xr.Dataset,
    model: TrainedMapper,
    *,
    background: xr.DataArray | xr.Dataset | None = None,
    rasters: Mapping[str, xr.DataArray] | None = None,
    fields: Fields | None = None,
) -> list[dict[str, Any]]:
    """Return the scores of an analysis model's daily, monthly and annual means at the hidden stations, as rows ready for JSON.

    Parameters and data as for :func:`score_held_out`; a row has ``of``, the frequency, and there is none of a frequency of
    which no hidden station observes a period, nor of a model without a covariance of errors.
    """
    if not schema.hidden_mask(ds).any() or model.recipe.error_covariance is None:
        return []
    options, rows = RequestOptions(background=background, rasters=rasters, fields=fields), []
    try:
        truth = held_out_truth(ds, settle_target(ds, model, None), None)
    except SchemaError:
        return []
    daily = timesteps.steps_per_day(step_of(truth[TIME])) == 1
    shortest = "MS" if daily else "D"
    ensemble = Ensemble(members=_MEMBERS_TRAINED, freq=shortest, capture=_ANY_STEP)
    try:
        made = period_means(ds, model, truth, options, ensemble).compute()
    except SchemaError:
        # A field does not cover the hidden stations, as the scores of steps have warned.
        return []
    for freq in dict.fromkeys((shortest, "MS", "YS")):
        # Members are the most work: they are made once, and averaged further.
        table = score_means(means_of_longer(made, truth, shortest, freq), str(truth.name), 0.9)
        if table["n"]:
            found = {name: _json_ready(value) for name, value in table.items()}
            rows.append({"of": freq, "method": model.name, **found, "stations": f"{len(truth)} hidden"})
    return rows


def _json_ready(value: Any) -> Any:
    """Return a number to four significant digits, None for NaN, anything else as it is."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.4g}") if np.isfinite(value) else None


def check_unseen(model: object, ds: xr.Dataset) -> None:
    """Refuse a model that was trained on a station that is hidden now, in a conformed dataset."""
    if not isinstance(model, TrainedMapper):
        return
    hidden = ds[STATION].values[schema.hidden_mask(ds)].astype(str)
    seen = sorted(set(hidden) & set(model.recipe.visible))
    if seen:
        raise ModelError(
            f"the model was trained on {len(seen)} of the stations that are hidden now: {schema.some(seen)}; scores there would "
            "be optimistic; fix: hide before training, or ds.aq.hide(model.recipe.hidden)"
        )


def _verify_analysis(
    ds: xr.Dataset,
    model: Mapper | str,
    options: RequestOptions,
    *,
    baselines: Sequence[str | Forecaster] | None = None,
    level: float = 0.9,
    by: str | None = None,
    means: Ensemble | None = None,
) -> pd.DataFrame:
    """Score an analysis and its baselines at the hidden stations of a conformed dataset; ``means`` of periods, or steps."""
    names = _baseline_names(baselines, options)
    truth = held_out_truth(ds, settle_target(ds, model, options.target), options.time)
    shared = replace(options, target=str(truth.name))
    frames: dict[str, Any] = {}
    methods = [model, *(name for name in names if name != method_name(model))]
    each = [shared, *(shared.of_baseline(method_name(method)) for method in methods[1:])]
    if means is not None:
        table = verify_means(ds, methods, truth, each, means, level)
        return _finished(table, truth, level)
    for method, option in zip(methods, each, strict=True):
        request = make_request(ds, method, option)
        quantiles = estimate_quantiles(request, score_probabilities(level), lon=truth[LON], lat=truth[LAT])
        # Block by block, so that of the quantiles only the scores are kept.
        made = with_crps(quantiles, truth).compute()
        row = row_name(method, option)
        frames[row] = _station_table(made, truth) if by == "station" else scores(made, truth)
    if by == "station":
        return _finished(pd.concat(frames, names=["method"]), truth, level)
    return _finished(pd.DataFrame(frames).T.rename_axis("method"), truth, level)


def _finished(table: pd.DataFrame, truth: xr.DataArray, level: float) -> pd.DataFrame:
    """Return a table of scores with what it was made from in its ``attrs``."""
    table["n"] = table["n"].astype(int)
    table.attrs = {
        "target": str(truth.name),
        "units": str(truth.attrs["units"]),
        "level": level,
        "hidden_stations": [str(s) for s in truth[STATION].values],
        "period": [str(t) for t in truth[TIME].values[[0, -1]].astype("datetime64[s]")],
    }
    return table


def _baseline_names(baselines: Sequence[str | Forecaster] | None, options: RequestOptions) -> list[str]:
    """Return the classical methods to score beside an analysis; with a background, by default this too."""
    if baselines is None:
        return [*_BASELINES] if options.background is None else [BACKGROUND, *_BASELINES]
    names = [b for b in baselines if isinstance(b, str)]
    if others := [b for b in baselines if not isinstance(b, str)]:
        raise ModelError(
            f"got {shown(others[0])}; baselines of an analysis are names; fix: baselines={list(_BASELINES)}; another mapper has a "
            "table of its own: ds.aq.verify(mapper)"
        )
    return names


def held_out_truth(ds: xr.Dataset, target: str, time: schema.Period) -> xr.DataArray:
    """Return the observations of the hidden stations that report, with coordinates along ``station``. Computes."""
    chosen = schema.select_period(ds, time).isel({STATION: np.flatnonzero(schema.hidden_mask(ds))})
    values = chosen[target].transpose(STATION, TIME).compute()
    part = taking_part.TakingPart.of(chosen[STATION].values, *schema.positions(chosen), values.values)
    if not len(part.kept):
        raise SchemaError(
            f"none of the {len(values)} hidden stations reports {target!r} in the period; fix: another time=, or hide others: "
            "ds.aq.hide(fraction=0.15)"
        )
    truth = part.of_dataset(values.to_dataset(), [target])[target]
    return truth.where(np.isfinite(truth))


def _station_table(made: xr.Dataset, truth: xr.DataArray) -> pd.DataFrame:
    rows = {
        str(s): scores(made.isel({STATION: i}), truth.isel({STATION: i})) for i, s in enumerate(truth[STATION].values)
    }
    table = pd.DataFrame(rows).T.rename_axis(STATION)
    return table.assign(lon=truth[LON].values, lat=truth[LAT].values)
