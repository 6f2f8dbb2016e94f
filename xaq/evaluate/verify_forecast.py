"""Scores of a forecast at visible and hidden stations, by horizon."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ..arrays import timesteps
from ..conventions import QUANTILE, STATION, TIME
from ..cube.mapper import check_model, warn_of_other_stations
from ..cube.request import settle_target
from ..cube.tasks import estimate_points
from ..errors import ModelError, SchemaError, warn
from ..interpolate.base import Observations
from ..interpolate.classical import OrdinaryKriging
from ..interpolate.forecast_baselines import Climatology, Forecaster, Persistence
from ..interpolate.trained import TrainedForecaster, WindowConfig
from ..stations import schema, taking_part
from .scores import score_probabilities, scores, with_crps

_BASELINES = ("persistence", "climatology")
#: Horizons: errors of steps up to a day, errors of daily means beyond.
_HOURS, _DAYS = (6, 12, 24), (2, 4, 7)


def verify_forecast(
    ds: xr.Dataset,
    model: TrainedForecaster,
    *,
    target: str | None,
    time: schema.Period,
    level: float,
    baselines: Sequence[str | Forecaster] | None,
) -> pd.DataFrame:
    """Score a forecast model and its baselines, one init time a day, on a conformed dataset; as :func:`xaq.verify` returns it."""
    target = settle_target(ds, model, target)
    check_model(model, ds, target)
    recipe, config = model.recipe, model.recipe.config
    visible = taking_part.observed(ds, target, covariates=recipe.covariates, known=recipe.known).observations
    warn_of_other_stations(model, visible.lon, visible.lat)
    hidden = taking_part.observed(ds, target, hidden=True).observations
    period = schema.select_period(ds, time)[TIME].values[[0, -1]].astype("datetime64[s]")
    starts = _forecast_starts(visible.times, config, period)
    _warn_overlap(model, period[0])
    forecasters = _settle_forecasters(_BASELINES if baselines is None else baselines, visible, recipe.period)
    kriging = OrdinaryKriging(recipe.covariance, config.k)
    truths = {
        stations: _windows(np.stack([o.values[:, s : s + config.target_steps] for s in starts]), target)
        for stations, o in (("visible", visible), ("hidden", hidden))
    }
    made: dict[tuple[str, str], list[xr.Dataset]] = defaultdict(list)
    for i, start in enumerate(starts):
        times = visible.times[start : start + config.target_steps]
        past = visible.until(start, config.target_steps)
        prepared = model.prepare(past, times)
        asked = (len(times), hidden.lon, hidden.lat, score_probabilities(level))
        layers = estimate_points(model, prepared, *asked).swapaxes(1, 2)
        made[model.name, "hidden"].append(_scored_layers(layers, truths["hidden"].isel(window=i)))
        made[model.name, "visible"].append(_not_negative(model.station_series(prepared), target))
        for method in forecasters:
            series = method.forecast(past, times)
            at_stations = Observations(series, visible.lon, visible.lat, times)
            interpolated = kriging.estimate(kriging.prepare(at_stations, times), hidden.lon, hidden.lat)
            made[method.name, "hidden"].append(_not_negative(interpolated.value, target))
            made[method.name, "visible"].append(_not_negative(series, target))
    table = _table(made, truths, model.step)
    table.attrs = {
        "target": target, "units": str(ds[target].attrs["units"]), "level": level, "windows": len(starts),
        "period": [str(p) for p in period],
    }  # fmt: skip
    return table


def _forecast_starts(
    record: NDArray[np.datetime64], config: WindowConfig, period: NDArray[np.datetime64]
) -> NDArray[np.int64]:
    """Return the steps of the record at which forecasts begin whose init times lie in the period."""
    starts = timesteps.forecast_starts(len(record), -config.input_offset, config.target_steps, config.steps_per_day)
    starts = starts[(record[starts - 1] >= period[0]) & (record[starts - 1] <= period[1])]
    if not len(starts):
        raise SchemaError(
            f"no init time in {period[0]} .. {period[1]} has {config.days_before} days before it and {config.target_days} after "
            f"it in the record, which covers {record[0]} .. {record[-1]}; fix: a longer record, or time= in its middle"
        )
    return starts


def _warn_overlap(model: TrainedForecaster, first: np.datetime64) -> None:
    last = np.datetime64(model.recipe.period[1])
    if first <= last:
        warn(
            f"the scored period begins {first}, inside the training period (to {last}): scores at visible stations are optimistic; "
            "fix: time=slice(after training, ...)"
        )


def _settle_forecasters(
    baselines: Sequence[str | Forecaster], visible: Observations, training_period: tuple[str, str]
) -> list[Forecaster]:
    """Return the forecasters that are meant; climatology is fitted to the training period at the visible stations."""
    first, last = (np.datetime64(t) for t in training_period)
    settled: list[Forecaster] = []
    for method in baselines:
        if method == "persistence":
            settled.append(Persistence())
        elif method == "climatology":
            inside = (visible.times >= first) & (visible.times <= last)
            if not np.isfinite(visible.values[:, inside]).any():
                raise SchemaError(
                    f"climatology is fitted to the training period, {first} .. {last}, and no visible station reports in it; "
                    "fix: pass the whole record and time=, or baselines=['persistence']"
                )
            period = Observations(visible.values[:, inside], visible.lon, visible.lat, visible.times[inside])
            settled.append(Climatology.fit(period))
        elif isinstance(method, Forecaster):
            settled.append(method)
        else:
            raise ModelError(
                f"no forecaster {method!r}; expected 'persistence', 'climatology' or anything with name and forecast(); "
                f"fix: baselines={list(_BASELINES)}"
            )
    return settled


def _scored_layers(layers: NDArray, truth: xr.DataArray) -> xr.Dataset:
    """Return the value, bounds and CRPS from layers ``(layer, station, step)`` at :func:`score_probabilities`."""
    made = _windows(layers[0], str(truth.name)).to_dataset()
    made[f"{truth.name}_quantile"] = (QUANTILE, *made.dims), layers[1:]
    return with_crps(made, truth)


def _not_negative(values: NDArray, target: str) -> xr.Dataset:
    return _windows(np.maximum(values, 0), target).to_dataset()


def _windows(values: NDArray, name: str) -> xr.DataArray:
    """Return an array ``([window,] station, step)`` with labels."""
    return xr.DataArray(values, dims=("window", STATION, "step")[-values.ndim :], name=name)


def _table(
    made: Mapping[tuple[str, str], list[xr.Dataset]], truths: Mapping[str, xr.DataArray], step: np.timedelta64
) -> pd.DataFrame:
    """Return the scores with index ``(stations, horizon, method)``."""
    rows = []
    for (name, stations), parts in made.items():
        rows += _horizon_rows(name, stations, xr.concat(parts, "window"), truths[stations], step)
    table = pd.DataFrame(rows)
    order: dict[str, Any] = {
        "stations": ["visible", "hidden"],
        "horizon": [*(f"{h} h" for h in _HOURS), *(f"{d} d" for d in _DAYS)],
        "method": table.method.unique(),
    }
    for column, values in order.items():
        table[column] = pd.Categorical(table[column], categories=values, ordered=True)
    return table.set_index([*order]).sort_index()


def _horizon_rows(
    name: str, stations: str, made: xr.Dataset, truth: xr.DataArray, step: np.timedelta64
) -> list[dict[str, Any]]:
    """Return one row per horizon: hourly errors up to a day, errors of daily means beyond."""
    per_day = timesteps.steps_per_day(step)
    parts: dict[str, tuple[xr.Dataset, xr.DataArray, int]] = {}
    for hours in _HOURS if per_day > 1 else ():
        if not np.timedelta64(hours, "h") % step:
            parts[f"{hours} h"] = made, truth, int(np.timedelta64(hours, "h") / step)
    if per_day > 1:
        # A daily mean has no distribution: those of its hours do not say how their errors are correlated.
        made = made[[truth.name]].coarsen(step=per_day).construct(step=("step", "hour")).mean("hour", skipna=False)
        by_day = truth.coarsen(step=per_day).construct(step=("step", "hour"))
        truth = by_day.mean("hour").where(by_day.notnull().mean("hour") >= timesteps.DATA_CAPTURE)
    for n in _DAYS if step <= timesteps.DAY else ():
        if n <= truth.sizes["step"]:
            parts[f"{n} d"] = made, truth, n
    return [
        {"method": name, "stations": stations, "horizon": horizon, **scores(*(x.isel(step=slice(n)) for x in pair))}
        for horizon, (*pair, n) in parts.items()
    ]
