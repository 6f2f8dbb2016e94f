"""Scores and skill at hidden stations. Every method, AQ-Net or classical, runs through the same pipe."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
import xskillscore as xs
from numpy.typing import NDArray

from ..arrays import timesteps
from ..conventions import LAT, LON, QUANTILE, STATION, TIME
from ..cube.graph import estimate_fields
from ..cube.reanalyze import estimate_quantiles
from ..cube.request import check_model, interval_probabilities
from ..errors import ModelError, SchemaError, XaqWarning
from ..fields.background import BACKGROUND
from ..interpolate.base import Forecaster, Mapper, Observations
from ..interpolate.classical import OrdinaryKriging
from ..interpolate.forecast_baselines import Climatology, Persistence
from ..stations import schema

_COLUMNS = ["mae", "rmse", "r2", "bias", "crps", "coverage", "width", "n"]
#: Probabilities of the twenty equally weighted quantiles that stand for a distribution in its CRPS.
_ENSEMBLE = tuple(((np.arange(20) + 0.5) / 20).tolist())
_ANALYSIS_BASELINES, _FORECAST_BASELINES = ("kriging", "idw", "nearest"), ("persistence", "climatology")
#: Horizons of PROTOCOL P2: hourly errors up to a day, errors of daily means beyond.
_HOURS, _DAYS = (6, 12, 24), (2, 4, 7)


def verify(
    ds: xr.Dataset,
    model: Mapper | str,
    *,
    target: str | None = None,
    time: schema.Period = None,
    baselines: Sequence[str | Forecaster] | None = None,
    level: float = 0.9,
    by: str | None = None,
    background: xr.DataArray | xr.Dataset | None = None,
    rasters: Mapping[str, xr.DataArray] | None = None,
) -> pd.DataFrame:
    """Score a model at the hidden stations, beside classical methods.

    Parameters
    ----------
    ds : xarray.Dataset
        A station dataset with hidden stations.
    model : Model or name
        What to verify.
    target : str, optional
        Variable; the model's, or the only pollutant.
    time : slice or (start, end), optional
        Period to score; all of the record by default. For a forecast: the period of the init times, whose forecasts
        are scored at the visible stations too, so it should lie after the training period.
    baselines : sequence of str or Forecaster, optional
        Methods to run beside it. Of an analysis: classical ones by name, fitted on the visible stations; by default
        kriging, inverse distance and nearest. Of a forecast: ``"persistence"``, ``"climatology"`` (month x hour, of the
        model's training period), which are the default, and anything with a ``name`` and a ``forecast(past, times)``,
        such as another model; each is followed by kriging at hidden stations.
    level : float
        Of the interval whose coverage and width are reported.
    by : {"station"}, optional
        One row per method and station instead of pooled rows (analysis only).
    background : xarray.DataArray or Dataset, optional
        As for :func:`reanalyze`, of the model and of every baseline (analysis only); ``"background"``, the field as it
        is, is then one of them.
    rasters : mapping of str to xarray.DataArray, optional
        As for :func:`reanalyze`, of the model alone.

    Returns
    -------
    pandas.DataFrame
        Index ``method`` (and ``station``, or ``stations`` and ``horizon``); columns ``mae``, ``rmse``, ``r2``, ``bias``,
        ``crps`` (continuous ranked probability score of the distribution), ``coverage`` (share of observations inside
        the interval), ``width`` (mean of the interval), ``n`` observations. ``r2`` and ``coverage`` have no unit, the
        others the target's; ``crps``, ``coverage`` and ``width`` are NaN where a method has no distribution. ``attrs``
        name units, level, period and hidden stations. Computes.

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
    ds = schema.conform(ds)
    hidden = schema.hidden_mask(ds)
    if not hidden.any():
        raise SchemaError(
            "no station is hidden, so there is nothing to verify with; fix: ds = ds.aq.hide(fraction=0.15) before training"
        )
    _check_unseen(model, ds, hidden)
    if by not in (None, "station"):
        raise SchemaError(f"by={by!r}, expected 'station' or None", subject="verify")
    if getattr(model, "task", "analysis") == "forecast":
        if background is not None or rasters is not None:
            raise ModelError("a forecast reads no background and no rasters; fix: background=None, rasters=None")
        return _verify_forecast(ds, model, target, time, level, baselines)
    if baselines is None:
        baselines = _ANALYSIS_BASELINES if background is None else (BACKGROUND, *_ANALYSIS_BASELINES)
    truth = _truth(ds, model, target, time)
    frames: dict[str, Any] = {}
    own = model if isinstance(model, str) else model.name
    if others := [b for b in baselines if not isinstance(b, str)]:
        raise ModelError(f"baselines of an analysis are names, such as {_ANALYSIS_BASELINES}; got {others[0]!r}")
    for method in [model, *(str(b) for b in baselines if b != own)]:
        fields = estimate_quantiles(
            ds, method, _probabilities(level), lon=truth[LON], lat=truth[LAT], target=str(truth.name), time=time,
            background=background, rasters=rasters if method is model else None,
        )  # fmt: skip
        # Block by block, so that of the quantiles only the scores are kept.
        made = _against_truth(fields, truth).compute()
        name = method if isinstance(method, str) else method.name
        frames[name] = _station_table(made, truth) if by == "station" else scores(made, truth)
    table: pd.DataFrame
    if by == "station":
        table = pd.concat(frames, names=["method"])
    else:
        table = pd.DataFrame(frames).T.rename_axis("method")
    table["n"] = table["n"].astype(int)
    table.attrs = {
        "target": str(truth.name),
        "units": str(truth.attrs["units"]),
        "level": level,
        "hidden_stations": [str(s) for s in truth[STATION].values],
        "period": [str(t) for t in truth[TIME].values[[0, -1]].astype("datetime64[s]")],
    }
    return table


def _check_unseen(model: Any, ds: xr.Dataset, hidden: NDArray[np.bool_]) -> None:
    recipe = getattr(model, "recipe", None)
    if recipe is None:
        return
    seen = sorted(set(ds[STATION].values[hidden].astype(str)) & set(recipe.visible))
    if seen:
        raise ModelError(
            f"the model was trained on {len(seen)} of the stations that are hidden now: {', '.join(seen[:5])}; scores there would "
            "flatter it; fix: hide before training, or ds.aq.hide(model.recipe.hidden)"
        )


def _truth(ds: xr.Dataset, model: Any, target: str | None, time: schema.Period) -> xr.DataArray:
    """Return observations at hidden stations that have any, with coordinates along ``station``."""
    recipe = getattr(model, "recipe", None)
    target = recipe.target if recipe is not None and target is None else schema.pick_target(ds, target)
    ds = schema.select_period(schema.conform(ds, target), time)
    chosen = ds[target].isel({STATION: np.flatnonzero(schema.hidden_mask(ds))}).transpose(STATION, TIME).compute()
    chosen = chosen.where(np.isfinite(chosen))
    some = chosen.notnull().any(TIME).values
    if not some.any():
        raise SchemaError(f"none of the {len(some)} hidden stations reports {target!r} in the period")
    return chosen.isel({STATION: np.flatnonzero(some)})


def _probabilities(level: float) -> tuple[float, ...]:
    """Return the probabilities of all that scores need: the two bounds of the interval, then the ensemble."""
    return *interval_probabilities(level), *_ENSEMBLE


def _against_truth(fields: xr.Dataset, truth: xr.DataArray) -> xr.Dataset:
    """Return what :func:`scores` reads, from the quantiles at :func:`_probabilities`: lazy where they are."""
    target = str(truth.name)
    made = fields[[target]]
    if f"{target}_quantile" not in fields:
        return made
    quantiles = fields[f"{target}_quantile"]
    bounds = {f"{target}_{side}": quantiles.isel({QUANTILE: i}, drop=True) for i, side in enumerate(("lower", "upper"))}
    return made.assign({**bounds, f"{target}_crps": _crps(quantiles.isel({QUANTILE: slice(2, None)}), truth)})


def _crps(ensemble: xr.DataArray, truth: xr.DataArray) -> xr.DataArray:
    """Return the CRPS of each observation: twice the mean quantile loss, which is that of the quantiles as an ensemble.

    As ``xskillscore.crps_ensemble`` has it, which warns wherever an ensemble is missing and needs several times the memory.
    """
    probability = xr.DataArray(np.array(_ENSEMBLE, np.float32), dims=QUANTILE)
    error = truth - ensemble
    return 2 * (error * (probability - (error < 0))).mean(QUANTILE, skipna=False)


def scores(made: xr.Dataset, truth: xr.DataArray) -> dict[str, float]:
    """Return MAE, RMSE, R2, bias, CRPS, coverage and width of estimates, pooled over all observations.

    Parameters
    ----------
    made : xarray.Dataset
        ``<target>`` and, if there, its ``_lower``, ``_upper`` and ``_crps``, on the dims of ``truth``.
    truth : xarray.DataArray
        Observations, NaN where missing; its name is the target.

    Returns
    -------
    dict
        ``mae, rmse, r2, bias, crps, coverage, width, n``; NaN where there is nothing to score.
    """
    target = str(truth.name)
    a = made[target].transpose(*truth.dims)
    dims = list(truth.dims)
    flat = truth.where(np.isfinite(a))
    guess = a.where(np.isfinite(flat))
    n = int(np.isfinite(flat).sum())
    if not n:
        return {**dict.fromkeys(_COLUMNS, np.nan), "n": 0}
    result = {
        "mae": float(xs.mae(guess, flat, dim=dims, skipna=True)),
        "rmse": float(xs.rmse(guess, flat, dim=dims, skipna=True)),
        "r2": float(xs.r2(flat, guess, dim=dims, skipna=True)) if n > 1 else np.nan,
        "bias": float(xs.me(guess, flat, dim=dims, skipna=True)),
        "crps": np.nan,
        "coverage": np.nan,
        "width": np.nan,
        "n": n,
    }
    if f"{target}_crps" in made:
        lower, upper = made[f"{target}_lower"], made[f"{target}_upper"]
        counted = np.isfinite(flat)
        result["crps"] = float(made[f"{target}_crps"].where(counted).mean())
        result["coverage"] = float(((flat >= lower) & (flat <= upper)).sum() / n)
        result["width"] = float((upper - lower).where(counted).mean())
    return result


def _station_table(made: xr.Dataset, truth: xr.DataArray) -> pd.DataFrame:
    rows = {
        str(s): scores(made.isel({STATION: i}), truth.isel({STATION: i})) for i, s in enumerate(truth[STATION].values)
    }
    table = pd.DataFrame(rows).T.rename_axis(STATION)
    return table.assign(lon=truth[LON].values, lat=truth[LAT].values)


# -- forecasts -----------------------------------------------------------------------------------------------------


def _verify_forecast(
    ds: xr.Dataset,
    model: Any,
    target: str | None,
    time: schema.Period,
    level: float,
    baselines: Sequence[str | Forecaster] | None,
) -> pd.DataFrame:
    """Score a forecast model at visible and hidden stations, one init time a day, by horizon."""
    target, config, step = target or model.target, model.recipe.config, model.step
    check_model(model, schema.conform(ds, target), target)
    visible = schema.observations(ds, target, covariates=model.recipe.covariates, known=model.recipe.known)
    hidden = schema.observations(ds, target, hidden=True)
    record = visible.times
    starts = timesteps.forecast_starts(len(record), -config.input_offset, config.target_steps, config.steps_per_day)
    period = schema.select_period(ds, time)[TIME].values[[0, -1]].astype("datetime64[s]")
    starts = starts[(record[starts - 1] >= period[0]) & (record[starts - 1] <= period[1])]
    if not len(starts):
        raise SchemaError(
            f"no init time in {period[0]} .. {period[1]} has {config.days_before} days before it and {config.target_days} after"
        )
    _warn_overlap(model, period[0])
    kriging = OrdinaryKriging(model.recipe.covariance, config.k)
    forecasters = _settle_forecasters(_FORECAST_BASELINES if baselines is None else baselines, visible, model)
    made: dict[tuple[str, str], list[xr.Dataset]] = {}
    truths = {
        where: _windows(np.stack([o.values[:, s : s + config.target_steps] for s in starts]), target)
        for where, o in (("visible", visible), ("hidden", hidden))
    }
    for i, start in enumerate(starts):
        times = record[start : start + config.target_steps]
        past = visible.until(start, config.target_steps)
        prepared = model.prepare(past, times)
        asked = (len(times), hidden.lon, hidden.lat, _probabilities(level))
        fields = estimate_fields(model, prepared, *asked).swapaxes(1, 2)
        at_hidden = _windows(fields[0], target).to_dataset(name=target)
        at_hidden[f"{target}_quantile"] = (QUANTILE, *at_hidden.dims), fields[1:]
        at_hidden = _against_truth(at_hidden, truths["hidden"].isel(window=i))
        made.setdefault((model.name, "hidden"), []).append(at_hidden)
        series = {model.name: model.station_series(prepared)}
        for method in forecasters:
            series[method.name] = method.forecast(past, times)
            spread = Observations(series[method.name], visible.lon, visible.lat, times)
            at = kriging.estimate(kriging.prepare(spread, times), hidden.lon, hidden.lat).value
            made.setdefault((method.name, "hidden"), []).append(_windows(np.maximum(at, 0), target).to_dataset())
        for name, values in series.items():
            made.setdefault((name, "visible"), []).append(_windows(np.maximum(values, 0), target).to_dataset())
    rows = []
    for (name, where), parts in made.items():
        rows += _horizon_rows(name, where, xr.concat(parts, "window"), truths[where], step)
    table = pd.DataFrame(rows)
    horizons = [*(f"{h} h" for h in _HOURS), *(f"{d} d" for d in _DAYS)]
    for column, values in (
        ("stations", ["visible", "hidden"]),
        ("horizon", horizons),
        ("method", table.method.unique()),
    ):
        table[column] = pd.Categorical(table[column], categories=values, ordered=True)
    table = table.set_index(["stations", "horizon", "method"]).sort_index()
    table.attrs = {
        "target": target, "units": str(ds[target].attrs["units"]), "level": level, "windows": len(starts),
        "period": [str(p) for p in period],
    }  # fmt: skip
    return table


def _warn_overlap(model: Any, first: np.datetime64) -> None:
    last = np.datetime64(model.recipe.period[1])
    if first <= last:
        warnings.warn(
            f"the scored period begins {first}, inside the training period (to {last}): scores at visible stations are optimistic; "
            "fix: time=slice(after training, ...)",
            XaqWarning,
            stacklevel=4,
        )


def _settle_forecasters(baselines: Sequence[str | Forecaster], visible: Observations, model: Any) -> list[Forecaster]:
    """Return the forecasters meant; climatology is fitted to the model's training period at the visible stations."""
    first, last = (np.datetime64(t) for t in model.recipe.period)
    settled: list[Forecaster] = []
    for method in baselines:
        if method == "persistence":
            settled.append(Persistence())
        elif method == "climatology":
            inside = (visible.times >= first) & (visible.times <= last)
            if not np.isfinite(visible.values[:, inside]).any():
                raise SchemaError(
                    f"climatology is that of the training period, {first} .. {last}, of which the dataset holds nothing; "
                    "fix: pass the whole record and time=, or baselines=['persistence']"
                )
            period = Observations(visible.values[:, inside], visible.lon, visible.lat, visible.times[inside])
            settled.append(Climatology.fit(period))
        elif isinstance(method, Forecaster):
            settled.append(method)
        else:
            raise ModelError(
                f"no forecaster {method!r}; expected 'persistence', 'climatology' or anything with name and forecast()"
            )
    return settled


def _windows(values: NDArray, name: str) -> xr.DataArray:
    """Return ``([window,] station, step)`` with its labels."""
    return xr.DataArray(values, dims=("window", STATION, "step")[-values.ndim :], name=name)


def _horizon_rows(
    name: str, where: str, made: xr.Dataset, truth: xr.DataArray, step: np.timedelta64
) -> list[dict[str, Any]]:
    """Return one row per horizon: hourly errors up to a day, errors of daily means beyond."""
    per_day = timesteps.steps_per_day(step)
    parts: dict[str, tuple[xr.Dataset, xr.DataArray, int]] = {}
    for hours in _HOURS if per_day > 1 else ():
        if not np.timedelta64(hours, "h") % step:
            parts[f"{hours} h"] = made, truth, int(np.timedelta64(hours, "h") / step)
    if per_day > 1:
        # Of a daily mean there is no distribution: those of its hours do not say how their errors go together.
        made = made[[truth.name]].coarsen(step=per_day).construct(step=("step", "hour")).mean("hour", skipna=False)
        by_day = truth.coarsen(step=per_day).construct(step=("step", "hour"))
        truth = by_day.mean("hour").where(by_day.notnull().mean("hour") >= timesteps.DATA_CAPTURE)
    for n in _DAYS if step <= timesteps.DAY else ():
        if n <= truth.sizes["step"]:
            parts[f"{n} d"] = made, truth, n
    return [
        {"method": name, "stations": where, "horizon": horizon, **scores(*(x.isel(step=slice(n)) for x in pair))}
        for horizon, (*pair, n) in parts.items()
    ]


def score_held_out(
    ds: xr.Dataset,
    model: Mapper,
    target: str,
    time: schema.Period,
    *,
    background: xr.DataArray | xr.Dataset | None = None,
    rasters: Mapping[str, xr.DataArray] | None = None,
) -> list[dict[str, Any]]:
    """Return the accuracy held_out_scores: the hidden-station table as JSON-ready rows.

    Empty when nothing is hidden, and, with a warning, when the hidden stations cannot be scored.
    """
    if not schema.hidden_mask(ds).any():
        return []
    try:
        table = verify(ds, model, target=target, time=time, background=background, rasters=rasters)
    except SchemaError as error:
        warnings.warn(f"no accuracy held_out_scores: {error}", XaqWarning, stacklevel=3)
        return []
    rows = table.reset_index().to_dict("records")
    n = len(table.attrs["hidden_stations"])
    return [{**{str(k): _json_ready(v) for k, v in row.items()}, "stations": f"{n} hidden"} for row in rows]


def _json_ready(value: Any) -> Any:
    """Return a number to four significant digits, None for NaN, anything else as it is."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.4g}") if np.isfinite(value) else None
