"""Scores and skill at hidden stations. Every method, AQ-Net or classical, runs through the same pipe."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
import xskillscore as xs
from numpy.typing import NDArray

from . import stations as border
from . import windows
from .errors import ModelError, SchemaError, XaqWarning
from .forecasters import Climatology, Forecaster, Persistence
from .mappers import Mapper, Observations, OrdinaryKriging
from .plan import check_model
from .reanalysis import estimate
from .vocabulary import LAT, LON, STATION, TIME

_COLUMNS = ["mae", "rmse", "r2", "bias", "coverage", "n"]
_ANALYSIS_BASELINES, _FORECAST_BASELINES = ("kriging", "idw", "nearest"), ("persistence", "climatology")
#: Horizons of PROTOCOL P2: hourly errors up to a day, errors of daily means beyond.
_HOURS, _DAYS = (6, 12, 24), (2, 4, 7)
#: A daily mean counts with at least this share of its steps observed: 18 of 24 hours.
_DAY_SHARE = 0.75


def verify(
    ds: xr.Dataset,
    model: Mapper | str,
    *,
    target: str | None = None,
    time: border.Period = None,
    baselines: Sequence[str | Forecaster] | None = None,
    level: float = 0.9,
    by: str | None = None,
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
        Of the interval whose coverage is reported.
    by : {"station"}, optional
        One row per method and station instead of pooled rows (analysis only).

    Returns
    -------
    pandas.DataFrame
        Index ``method`` (and ``station``, or ``stations`` and ``horizon``); columns ``mae``, ``rmse``, ``bias`` in the
        target's units, ``r2``, ``coverage`` (share of observations inside the interval; NaN where a method has none),
        ``n`` observations. ``attrs`` name units, level, period and hidden stations. Computes.

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
    ds = border.conform(ds)
    hidden = border.hidden_mask(ds)
    if not hidden.any():
        raise SchemaError(
            "no station is hidden, so there is nothing to verify with; mend: ds = ds.aq.hide(fraction=0.15) before training"
        )
    _check_unseen(model, ds, hidden)
    if by not in (None, "station"):
        raise SchemaError(f"by={by!r}, expected 'station' or None", subject="verify")
    if getattr(model, "task", "analysis") == "forecast":
        return _verify_forecast(ds, model, target, time, level, baselines)
    if baselines is None:
        baselines = _ANALYSIS_BASELINES
    truth = _truth(ds, model, target, time)
    frames: dict[str, Any] = {}
    own = model if isinstance(model, str) else model.name
    if others := [b for b in baselines if not isinstance(b, str)]:
        raise ModelError(f"baselines of an analysis are names, such as {_ANALYSIS_BASELINES}; got {others[0]!r}")
    for method in [model, *(str(b) for b in baselines if b != own)]:
        made = estimate(
            ds, method, lon=truth[LON], lat=truth[LAT], target=str(truth.name), time=time, level=level
        ).compute()
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
            "flatter it; mend: hide before training, or ds.aq.hide(model.recipe.hidden)"
        )


def _truth(ds: xr.Dataset, model: Any, target: str | None, time: border.Period) -> xr.DataArray:
    """Return observations at hidden stations that have any, with coordinates along ``station``."""
    recipe = getattr(model, "recipe", None)
    target = recipe.target if recipe is not None and target is None else border.pick_target(ds, target)
    ds = border.select_period(border.conform(ds, target), time)
    chosen = ds[target].isel({STATION: np.flatnonzero(border.hidden_mask(ds))}).transpose(STATION, TIME).compute()
    chosen = chosen.where(np.isfinite(chosen))
    some = chosen.notnull().any(TIME).values
    if not some.any():
        raise SchemaError(f"none of the {len(some)} hidden stations reports {target!r} in the period")
    return chosen.isel({STATION: np.flatnonzero(some)})


def scores(made: xr.Dataset, truth: xr.DataArray) -> dict[str, float]:
    """Return MAE, RMSE, R2, bias and coverage of estimates, pooled over all observations.

    Parameters
    ----------
    made : xarray.Dataset
        ``<target>`` and, if there, its ``_lower`` and ``_upper``, on the dims of ``truth``.
    truth : xarray.DataArray
        Observations, NaN where missing; its name is the target.

    Returns
    -------
    dict
        ``mae, rmse, r2, bias, coverage, n``; NaN where there is nothing to score.
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
        "coverage": np.nan,
        "n": n,
    }
    if f"{target}_lower" in made:
        inside = (flat >= made[f"{target}_lower"].transpose(*truth.dims)) & (
            flat <= made[f"{target}_upper"].transpose(*truth.dims)
        )
        result["coverage"] = float(inside.sum() / n)
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
    time: border.Period,
    level: float,
    baselines: Sequence[str | Forecaster] | None,
) -> pd.DataFrame:
    """Score a forecast model at visible and hidden stations, one init time a day, by horizon."""
    target, config, step = target or model.target, model.recipe.config, model.step
    check_model(model, border.conform(ds, target), target)
    visible = border.observations(ds, target, covariates=model.recipe.covariates, known=model.recipe.known)
    hidden = border.observations(ds, target, hidden=True)
    record = visible.times
    starts = windows.forecast_starts(len(record), -config.input_offset, config.target_steps, config.steps_per_day)
    period = border.select_period(ds, time)[TIME].values[[0, -1]].astype("datetime64[s]")
    starts = starts[(record[starts - 1] >= period[0]) & (record[starts - 1] <= period[1])]
    if not len(starts):
        raise SchemaError(
            f"no init time in {period[0]} .. {period[1]} has {config.days_before} days before it and {config.target_days} after"
        )
    _warn_overlap(model, period[0])
    kriging = OrdinaryKriging(model.recipe.covariance, config.k)
    forecasters = _settle_forecasters(_FORECAST_BASELINES if baselines is None else baselines, visible, model)
    made: dict[tuple[str, str], list[NDArray]] = {}
    bounds: list[tuple[NDArray, NDArray]] = []
    for start in starts:
        times = record[start : start + config.target_steps]
        past = visible.until(start, config.target_steps)
        prepared = model.prepare(past, times)
        at_hidden = model.estimate(prepared, hidden.lon, hidden.lat, level)
        made.setdefault((model.name, "visible"), []).append(model.station_series(prepared))
        made.setdefault((model.name, "hidden"), []).append(at_hidden.value)
        bounds.append((at_hidden.lower, at_hidden.upper))
        for method in forecasters:
            series = method.forecast(past, times)
            name = method.name
            made.setdefault((name, "visible"), []).append(series)
            spread = Observations(series, visible.lon, visible.lat, times)
            at = kriging.estimate(kriging.prepare(spread, times), hidden.lon, hidden.lat, level).value
            made.setdefault((name, "hidden"), []).append(at)
    truths = {
        where: np.stack([o.values[:, s : s + config.target_steps] for s in starts])
        for where, o in (("visible", visible), ("hidden", hidden))
    }
    rows = []
    for (name, where), parts in made.items():
        interval = (
            tuple(np.stack(x) for x in zip(*bounds, strict=True)) if name == model.name and where == "hidden" else None
        )
        rows += _horizon_rows(name, where, np.maximum(np.stack(parts), 0), truths[where], interval, step)
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
            "mend: time=slice(after training, ...)",
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
                    "mend: pass the whole record and time=, or baselines=['persistence']"
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


def _horizon_rows(
    name: str,
    where: str,
    made: NDArray,
    truth: NDArray,
    interval: tuple[NDArray, ...] | None,
    step: np.timedelta64,
) -> list[dict[str, Any]]:
    """Return one row per horizon: hourly errors up to a day, errors of daily means beyond."""
    per_day = windows.steps_per_day(step)
    rows = []
    if per_day > 1:
        for hours in _HOURS:
            if np.timedelta64(hours, "h") % step:
                continue
            n = int(np.timedelta64(hours, "h") / step)
            inside = None if interval is None else tuple(b[..., :n] for b in interval)
            rows.append(
                {
                    "method": name,
                    "stations": where,
                    "horizon": f"{hours} h",
                    **_plain_scores(made[..., :n], truth[..., :n], inside),
                }
            )
    days = truth.reshape(*truth.shape[:2], -1, per_day)
    count = np.isfinite(days).sum(axis=-1)
    enough = count >= _DAY_SHARE * per_day
    daily = np.where(enough, np.nansum(days, axis=-1) / np.maximum(count, 1), np.nan)
    guess = made.reshape(days.shape).mean(axis=-1)
    for n in _DAYS if step <= windows.DAY else ():
        if n <= daily.shape[-1]:
            rows.append(
                {
                    "method": name,
                    "stations": where,
                    "horizon": f"{n} d",
                    **_plain_scores(guess[..., :n], daily[..., :n], None),
                }
            )
    return rows


def _plain_scores(made: NDArray, truth: NDArray, interval: tuple[NDArray, ...] | None) -> dict[str, float]:
    """Return :func:`scores` of plain arrays, pooled."""
    dims = tuple(f"d{i}" for i in range(truth.ndim))
    fields = {"y": (dims, made)}
    if interval is not None:
        fields.update(y_lower=(dims, interval[0]), y_upper=(dims, interval[1]))
    return scores(xr.Dataset(fields), xr.DataArray(truth, dims=dims, name="y"))


def certify(ds: xr.Dataset, model: Mapper, target: str, time: border.Period) -> list[dict[str, Any]]:
    """Return the accuracy certificate: the hidden-station table as JSON-ready rows; empty when nothing is hidden."""
    if not border.hidden_mask(ds).any():
        return []
    try:
        table = verify(ds, model, target=target, time=time)
    except SchemaError:
        return []
    rows = table.reset_index().to_dict("records")
    n = len(table.attrs["hidden_stations"])
    return [{**{str(k): _json_ready(v) for k, v in row.items()}, "stations": f"{n} hidden"} for row in rows]


def _json_ready(value: Any) -> Any:
    """Return a number to four significant digits, None for NaN, anything else as it is."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.4g}") if np.isfinite(value) else None
