"""What is fitted before any learning: scaler, covariance, mixture weight of the log scale, climatology, residual variance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .._version import __version__
from ..aqnet.recipe import Recipe
from ..aqnet.station_side import residual_variance_of, unexplained
from ..arrays import sphere, timesteps, transforms
from ..arrays.transforms import Scaler
from ..conventions import STATION, TIME
from ..errors import ModelError, warn
from ..fields.trend import record_of
from ..interpolate import leave_one_out
from ..interpolate.base import Observations
from ..interpolate.jackknife import cautious_scores, sums_by_place
from ..interpolate.kriging import Covariance
from ..interpolate.leave_one_out import LeaveOneOut
from ..interpolate.trend import Trend
from ..nn.config import AQNetConfig
from ..stations import schema
from .select import Selection
from .windows import LEARNING_FRACTION

#: Pairs that are predicted to choose the first guess.
_PAIRS = 10_000
#: Mixture weights of the log scale that are tried.
_LOG_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
#: Stations times steps whose residuals are made at once: some 300 MB.
_STATION_STEPS = 5_000_000


def fit_classical(selection: Selection, trend: Trend, *, config: AQNetConfig | None = None, seed: int = 0) -> Recipe:
    """Fit all that the network starts from, on the visible stations; of a forecast, before its validation period.

    Parameters
    ----------
    selection : Selection
        Ratios to the trend.
    trend : Trend
        From :func:`xaq.training.select.remove_trend`.
    config, seed
        As for :func:`xaq.train`.

    Returns
    -------
    Recipe
        Without interval and scores.

    Raises
    ------
    ModelError
        ``config`` does not fit the task or the step.
    """
    observations, ds = selection.observations, selection.ds
    config = settle_config(config, selection)
    stop = len(observations.times)
    if selection.task == "forecast":
        stop = int(LEARNING_FRACTION * stop)
    values, times = observations.values[:, :stop], observations.times[:stop]
    channels = [c[..., :stop] for c in (observations.covariates, observations.known) if len(c)]
    scaler = Scaler.fit(values, np.concatenate(channels) if channels else None)
    covariance, log_weight = choose_first_guess(
        values, scaler, observations.lon, observations.lat, k=config.k, seed=seed, covariance=selection.covariance
    )
    first, last = ds[TIME].values[[0, -1]].astype("datetime64[s]")
    recipe = Recipe(
        target=selection.target,
        units=selection.units,
        step_seconds=int(selection.step / np.timedelta64(1, "s")),
        config=config,
        scaler=scaler,
        covariance=covariance,
        log_weight=log_weight,
        climatology=tuple(transforms.fit_climatology(times, scaler.transform(values)).tolist()),
        centre=sphere.centre(observations.lon, observations.lat),
        covariates=selection.covariates,
        known=selection.known,
        trend=record_of(trend),
        seed=seed,
        period=(str(first), str(last)),
        visible=tuple(sorted((*(str(s) for s in selection.visible[STATION].values), *selection.copies))),
        hidden=tuple(sorted(str(s) for s in ds[STATION].values[schema.hidden_mask(ds)])),
        stations_hash=schema.stations_hash(selection.visible),
        xaq_version=__version__,
    )
    return replace(recipe, residual_variance=fit_residual_variance(observations, recipe))


def settle_config(config: AQNetConfig | None, selection: Selection) -> AQNetConfig:
    """Return the configuration for a selection, the default one unless given.

    Raises
    ------
    ModelError
        It is for another task or another step.
    """
    steps_per_day, n_station = timesteps.steps_per_day(selection.step), len(selection.observations.lon)
    config = config or AQNetConfig.default(selection.task, steps_per_day)
    if config.task != selection.task:
        raise ModelError(f"config is for task {config.task!r}, asked for {selection.task!r}; fix: task={config.task!r}")
    if config.steps_per_day != steps_per_day:
        raise ModelError(
            f"config has {config.steps_per_day} steps per day, the data {steps_per_day}; "
            f"fix: dataclasses.replace(config, steps_per_day={steps_per_day})"
        )
    n_known = len(selection.known)
    config = replace(config, n_covariates=len(selection.covariates) + n_known, n_known=n_known)
    if n_station < config.k:
        text = f"{n_station} visible stations: k lowered from {config.k} to {n_station}"
        warn(text)
        config = replace(config, k=n_station)
    return config


def choose_first_guess(
    values: NDArray,
    scaler: Scaler,
    lon: NDArray,
    lat: NDArray,
    *,
    k: int,
    seed: int,
    covariance: Covariance | None = None,
) -> tuple[Covariance, float]:
    r"""Choose the covariance and the mixture weight of the log scale by leave-one-out; MAE and RMSE count alike.

    The covariance is fitted on the linear and on the log scale; either may serve both.

    Parameters
    ----------
    values : (n_station, n_time), NaN where missing
    scaler : Scaler
    lon, lat : (n_station,) degrees
    k : int
        Neighbours.
    seed : int
    covariance : Covariance, optional
        The one of the linear scale; fitted to ``values`` by default.

    Notes
    -----
    Every candidate is compared with kriging on the linear scale. What is least is the difference of scores
    (:func:`xaq.interpolate.leave_one_out.relative_score`) plus its margin (:func:`xaq.interpolate.jackknife.margin`), which is zero
    for kriging itself: few places, or places that disagree, do not speak for another choice.
    """
    pairs = leave_one_out.draw_pairs(values, _PAIRS, seed=[seed, 2])
    truth, logs = values[pairs[:, 0], pairs[:, 1]], scaler.log(values)
    if covariance is None:
        linear = leave_one_out.fit_covariance(values, lon, lat, k=k, seed=seed)
    else:
        linear = leave_one_out.fit_sill(values, lon, lat, covariance, k=k, seed=seed)
    # The sill is that of the linear scale in both: it scales the variance of filled values, in the target's units.
    log = replace(leave_one_out.fit_covariance(logs, lon, lat, k=k, seed=seed), sill=linear.sill)
    place = sphere.colocated_groups(lon, lat)[pairs[:, 0]]
    guesses, sums = [], []
    for candidate in dict.fromkeys((linear, log)):
        others = LeaveOneOut.of(lon, lat, candidate, k)
        (on_linear, _), (on_log, _) = others.predict(values, pairs), others.predict(logs, pairs)
        for weight in _LOG_WEIGHTS:
            error = truth - ((1 - weight) * on_linear + weight * scaler.exp(on_log))
            guesses.append((candidate, weight))
            sums.append(sums_by_place(error, place))
    return guesses[int(np.argmin(cautious_scores(np.stack(sums))))]


def fit_residual_variance(observations: Observations, recipe: Recipe) -> tuple[tuple[float, float, float], ...]:
    """Return longitude, latitude and climatological residual variance of each station; a forecast reads none."""
    if recipe.config.task == "forecast":
        return ()
    others = LeaveOneOut.of(observations.lon, observations.lat, recipe.covariance, recipe.config.k)
    # Part of the record at a time: what is made on the way would not fit in memory for a national network over years.
    values, size = observations.values, max(1, _STATION_STEPS // len(observations.lon))
    parts = (values[:, first : first + size] for first in range(0, values.shape[1], size))
    residual = np.concatenate([unexplained(recipe, part, others).residual for part in parts], axis=1)
    columns = zip(observations.lon, observations.lat, residual_variance_of(residual), strict=True)
    return tuple((float(x), float(y), float(variance)) for x, y, variance in columns)
