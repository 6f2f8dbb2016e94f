"""Training: fit what is classical, learn the rest at hidden stations, calibrate, score_held_out."""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from ..aqnet.model import Model, pick_device, untrained_network
from ..aqnet.recipe import Recipe
from ..aqnet.station_side import residual_variance_of, unexplained
from ..arrays import sphere, timesteps, transforms
from ..arrays.transforms import Scaler
from ..conventions import STATION, TIME
from ..errors import ModelError, SchemaError, XaqWarning
from ..evaluate.verify import score_held_out
from ..fields.background import BACKGROUND, Background, settle_field
from ..fields.rasters import RasterPredictors, rasters_by_name
from ..interpolate import leave_one_out
from ..interpolate.base import Observations
from ..interpolate.kriging import Covariance
from ..interpolate.leave_one_out import LeaveOneOut
from ..interpolate.trend import Geography
from ..nn.aqnet import AQNet
from ..nn.config import AQNetConfig, Task
from ..stations import schema
from .calibrate import calibrate
from .fit_base_forecast import fit_base_forecast, fit_forecast_weight
from .folds import LEARNING_FRACTION, TrainingData, prepare_data
from .loop import run

#: Fewer places than this leave nothing to hide and learn from.
MIN_PLACES = 4


def train(
    ds: xr.Dataset,
    target: str | None = None,
    *,
    task: Task = "analysis",
    time: schema.Period = None,
    covariates: Sequence[str] = (),
    known: Sequence[str] = (),
    background: xr.DataArray | xr.Dataset | None = None,
    rasters: Mapping[str, xr.DataArray] | None = None,
    geography: bool = True,
    config: AQNetConfig | None = None,
    max_epochs: int = 20,
    patience: int = 5,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    checkpoint: str | Path | None = None,
    progress: bool = True,
) -> Model:
    """Train AQ-Net on the visible stations.

    Parameters
    ----------
    ds : xarray.Dataset
        A station dataset; hidden stations are not touched.
    target : str, optional
        Variable to estimate; may be left out when there is one pollutant.
    task : {"analysis", "forecast"}
        An analysis sees observations before, at and after the hour; a forecast those up to its init time.
    time : slice or (start, end), optional
        Training period; everything by default.
    covariates : sequence of str
        Other station variables that the network reads.
    known : sequence of str
        Covariates whose values over a forecast's horizon may be read too, such as the weather of a reanalysis. They
        need not be repeated in ``covariates``. An analysis reads both sides of the hour anyway: there they are
        covariates like any other.
    background : xarray.DataArray or Dataset, optional
        A field of the target, ``(time, lat, lon)`` in the stations' units: CAMS, CMAQ. The network then learns the ratio of observation to
        background, and whoever uses the model passes the field again. An analysis only.
    rasters : mapping of str to xarray.DataArray, optional
        Static rasters by name, in any CRS: elevation, population, the fraction of a land use. The level of an estimate is
        corrected, within bounds, by how the place differs from its neighbours in them, where this helps at stations not learned from. A
        station at which a raster has no data takes its own coordinate of that name, if it has one. Whoever uses the
        model passes them again. An analysis only.
    geography : bool
        Read what a place is: the people around it and its altitude, from public data inside the package. The level of an
        estimate then differs between places as far as it does between stations. An analysis only; a forecast
        reads none.
    config : AQNetConfig, optional
        Hyper-parameters; ``AQNetConfig.default(task, steps_per_day)`` unless given.
    max_epochs, patience : int
        An epoch is 20 batches. Training stops after ``patience`` epochs without gain at stations not learned from;
        ``max_epochs=0`` returns the untrained network, which is the classical baseline.
    seed : int
        Of everything random; saved with the model.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``.
    precision : str
        ``"auto"`` (bfloat16 on a GPU, float32 elsewhere) or any of Lightning's, such as ``"32-true"``.
    checkpoint : path, optional
        A folder: the run is saved there after each epoch, and resumed when called again with the same arguments.
    progress : bool
        Show a progress bar on stderr.

    Returns
    -------
    Model
        The mean of five members, each trained without a fifth of the stations, at the epoch - and with the fraction of what
        they learned - that is best at the stations each of them never learned from; the untrained network when that is
        better by less than 0.2 percent.

    Raises
    ------
    SchemaError
        The dataset, target, period or covariates are not usable, or there are too few visible stations.
    ModelError
        ``config`` does not fit the task or the step, or the checkpoint belongs to another run.

    Notes
    -----
    Computes the target and covariates of the visible stations. Kheder et al., SCIA 2025, arXiv 2502.11941, and
    ``docs/method.md`` for what differs here.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=20, days=8).aq.hide(fraction=0.2)
    >>> model = ds.aq.train("pm25", max_epochs=0, progress=False)
    >>> model.target, model.task
    ('pm25', 'analysis')
    """
    if max_epochs < 0 or seed < 0:
        raise ModelError(f"max_epochs is {max_epochs} and seed {seed}, expected 0 or more")
    torch_device = torch.device(pick_device(device))
    ds = schema.conform(ds)
    target = schema.pick_target(ds, target)
    ds = schema.select_period(schema.conform(ds, target), time)
    covariates, known = _settle_covariates(ds, target, task, covariates, known)
    visible = schema.without_silent(ds.isel({STATION: np.flatnonzero(~schema.hidden_mask(ds))}), target)
    observations = schema.observations(visible, target, covariates=covariates, known=known)
    over = _fit_background(background, observations, target, str(ds[target].attrs["units"]), task, seed)
    if over is not None:
        observations, some = _remove_background(over, observations)
        visible = visible.isel({STATION: some})
    _check_places(observations, target)
    level = Geography.fit(observations, seed=seed) if geography and task == "analysis" else None
    if level is not None:
        # What is learned from here on is the ratio of observation to the level of its place.
        observations = level.remove(observations)
    step = timesteps.regular_step(observations.times)
    config = _settle_config(
        config, task, timesteps.steps_per_day(step), len(covariates), len(known), len(observations.lon)
    )
    predictors = _fit_predictors(rasters, visible, task)
    config = replace(config, n_rasters=0 if predictors is None else len(predictors.rasters))
    recipe = replace(
        _classical_recipe(observations, config, target, str(ds[target].attrs["units"]), step, seed),
        covariates=covariates,
        known=known,
        background=None if over is None else over.describe(),
        geography=level,
        rasters=() if predictors is None else predictors.describe(),
        visible=tuple(str(s) for s in visible[STATION].values),
        hidden=tuple(str(s) for s in ds[STATION].values[schema.hidden_mask(ds)]),
        stations_hash=schema.stations_hash(visible),
        period=(str(ds[TIME].values[0].astype("datetime64[s]")), str(ds[TIME].values[-1].astype("datetime64[s]"))),
    )
    recipe = replace(recipe, residual_variance=_residual_variance(observations, recipe))
    at_stations = None if predictors is None else predictors.at_stations(observations.lon, observations.lat)
    data = prepare_data(observations, recipe, at_stations).to(torch_device)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = untrained_network(recipe)
    data, coefficients = fit_base_forecast(network.to(torch_device), data)
    summary: dict[str, Any] = {}
    members = [network] * len(data.validation)
    if max_epochs:
        summary, members = _fit(network, data, recipe, max_epochs, patience, precision, checkpoint, progress)
    if task == "forecast" and summary.get("score", 1.0) < 1.0:
        fit_forecast_weight(network, data)
        members = [network]
    recipe = replace(recipe, interval=calibrate(members, data, recipe), training=summary)
    if coefficients is not None:
        # What validated may teach, too, now that nothing is to be judged any more.
        network.base_forecast.coefficients.copy_(coefficients)
    held_out_scores = []
    if task == "analysis":
        held_out_scores = score_held_out(
            ds, Model(network, recipe), target, None, background=background, rasters=rasters
        )
    return Model(network, replace(recipe, held_out_scores=held_out_scores))


def _fit_predictors(
    rasters: Mapping[str, xr.DataArray] | None, visible: xr.Dataset, task: str
) -> RasterPredictors | None:
    given = rasters_by_name(rasters)
    if not given:
        return None
    if task != "analysis":
        raise ModelError("a forecast reads no rasters; fix: rasters=None")
    return RasterPredictors.fit(given, visible)


def _settle_covariates(
    ds: xr.Dataset, target: str, task: str, covariates: Sequence[str], known: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return covariates read up to the init time, and those known after it too; each variable in one of the two."""
    for argument, names in (("covariates", covariates), ("known", known)):
        if isinstance(names, str):
            raise SchemaError(f"{argument}={names!r} is one string; fix: {argument}=[{names!r}]")
    for name in (*covariates, *known):
        numbers = name in ds.data_vars and np.issubdtype(ds[name].dtype, np.number)
        if not numbers or set(ds[name].dims) != {STATION, TIME} or name == target:
            others = ", ".join(str(n) for n in ds.data_vars if n != target) or "none"
            raise SchemaError(
                f"covariate {name!r} is no other variable of numbers on (station, time); candidates are {others}"
            )
    if task == "analysis":
        return tuple(dict.fromkeys((*covariates, *known))), ()
    return tuple(c for c in dict.fromkeys(covariates) if c not in known), tuple(dict.fromkeys(known))


def _fit_background(
    field: xr.DataArray | xr.Dataset | None, observations: Observations, target: str, units: str, task: str, seed: int
) -> Background | None:
    """Return the bias-corrected background, fitted at the visible stations in the training period."""
    if field is None:
        return None
    if task != "analysis":
        raise ModelError(
            "a forecast has no background; fix: ds.aq.sample(field, name='cams'), then known=['cams'] where it is known ahead"
        )
    gridded = settle_field(field, target, units)
    gridded.check_covers(observations.lon, observations.lat, "visible stations", subject=BACKGROUND)
    gridded.check_step(timesteps.regular_step(observations.times), subject=BACKGROUND)
    gridded.check_period(*observations.times[[0, -1]], subject=BACKGROUND)
    return Background.fit(gridded, observations, seed=seed)


def _remove_background(background: Background, observations: Observations) -> tuple[Observations, NDArray[np.intp]]:
    """Return observations over the background, and the stations at which there is any; the others are left out."""
    ratio = background.remove(observations)
    some = np.flatnonzero(np.isfinite(ratio.values).any(axis=1))
    covariates, known = (c[:, some] if len(c) else c for c in (ratio.covariates, ratio.known))
    return replace(
        ratio, values=ratio.values[some], lon=ratio.lon[some], lat=ratio.lat[some], covariates=covariates, known=known
    ), some


def _check_places(observations: Observations, target: str) -> None:
    places = len(np.unique(sphere.colocated_groups(observations.lon, observations.lat)))
    if places < MIN_PLACES:
        raise SchemaError(
            f"{places} visible places report {target!r}, AQ-Net needs at least {MIN_PLACES} to hide some and learn; "
            "fix: ds.aq.reanalyze('kriging', ...) or 'idw'"
        )


def _settle_config(
    config: AQNetConfig | None, task: str, steps_per_day: int, n_covariates: int, n_known: int, n_station: int
) -> AQNetConfig:
    """Return the configuration to use, or say why it cannot be."""
    if task not in ("analysis", "forecast"):
        raise ModelError(f"task is {task!r}, expected 'analysis' or 'forecast'")
    config = config or AQNetConfig.default(task, steps_per_day)  # type: ignore[arg-type]
    if config.task != task:
        raise ModelError(f"config is for task {config.task!r}, asked for {task!r}; fix: task={config.task!r}")
    if config.steps_per_day != steps_per_day:
        raise ModelError(
            f"config has {config.steps_per_day} steps per day, the data {steps_per_day}; fix: replace(config, steps_per_day=...)"
        )
    config = replace(config, n_covariates=n_covariates + n_known, n_known=n_known)
    if n_station < config.k:
        text = f"{n_station} visible stations: k lowered from {config.k} to {n_station}"
        warnings.warn(text, XaqWarning, stacklevel=4)
        config = replace(config, k=n_station)
    return config


# -- what is fitted before any learning ----------------------------------------------------------------------------


def _classical_recipe(
    observations: Observations, config: AQNetConfig, target: str, units: str, step: np.timedelta64, seed: int
) -> Recipe:
    """Fit scaler, covariance, scale and climatology on the visible stations; of a forecast, before its validation."""
    stop = len(observations.times) if config.task == "analysis" else int(LEARNING_FRACTION * len(observations.times))
    values, lon, lat = observations.values[:, :stop], observations.lon, observations.lat
    channels = [c[..., :stop] for c in (observations.covariates, observations.known) if len(c)]
    scaler = Scaler.fit(values, np.concatenate(channels) if channels else None)
    covariance, log_weight = _choose_first_guess(values, scaler, lon, lat, config.k, seed)
    z = scaler.transform(values)
    return Recipe(
        target=target,
        units=units,
        step_seconds=int(step / np.timedelta64(1, "s")),
        config=config,
        scaler=scaler,
        covariance=covariance,
        log_weight=log_weight,
        climatology=tuple(transforms.fit_climatology(observations.times[:stop], z).tolist()),
        centre=sphere.centre(lon, lat),
        seed=seed,
        xaq_version=version("xaq"),
    )


def _residual_variance(observations: Observations, recipe: Recipe) -> tuple[tuple[float, float, float], ...]:
    """Return place and usual residual of each station; a forecast reads none."""
    if recipe.config.task == "forecast":
        return ()
    others = LeaveOneOut.of(observations.lon, observations.lat, recipe.covariance, recipe.config.k)
    residual = unexplained(recipe, observations.values, others).residual
    columns = zip(observations.lon, observations.lat, residual_variance_of(residual), strict=True)
    return tuple((float(x), float(y), float(u)) for x, y, u in columns)


def _choose_first_guess(
    values: NDArray, scaler: Scaler, lon: NDArray, lat: NDArray, k: int, seed: int
) -> tuple[Covariance, float]:
    """Choose the covariance and the weight of the log scale by leave-one-station-out; MAE and RMSE count alike.

    The covariance is fitted on the linear and on the log scale; either may serve both.
    """
    rng = np.random.default_rng([seed, 2])
    observed = np.argwhere(np.isfinite(values))
    pairs = observed[rng.choice(len(observed), min(10_000, len(observed)), replace=False)]
    truth, logs = values[pairs[:, 0], pairs[:, 1]], scaler.log(values)
    linear = leave_one_out.fit_covariance(values, lon, lat, k=k, seed=seed)
    # The sill is that of the linear scale whichever is chosen: it scales the variance of what is filled.
    log = replace(leave_one_out.fit_covariance(logs, lon, lat, k=k, seed=seed), sill=linear.sill)
    scores: dict[tuple[Covariance, float], tuple[float, float]] = {}
    for covariance in dict.fromkeys((linear, log)):
        others = LeaveOneOut.of(lon, lat, covariance, k)
        (on_linear, _), (on_log, _) = others.predict(values, pairs), others.predict(logs, pairs)
        for log_weight in (0.0, 0.25, 0.5, 0.75, 1.0):
            error = truth - ((1 - log_weight) * on_linear + log_weight * scaler.offset * np.expm1(on_log))
            scores[covariance, log_weight] = (float(np.nanmean(np.abs(error))), float(np.nanmean(error**2)) ** 0.5)
    mae, rmse = scores[linear, 0.0]
    return min(scores, key=lambda start: scores[start][0] / max(mae, 1e-12) + scores[start][1] / max(rmse, 1e-12))


# -- learning ------------------------------------------------------------------------------------------------------


def _fit(
    network: AQNet,
    data: TrainingData,
    recipe: Recipe,
    max_epochs: int,
    patience: int,
    precision: str,
    checkpoint: str | Path | None,
    progress: bool,
) -> tuple[dict[str, Any], list[AQNet]]:
    """Run Lightning; leave the best weights in the network. Return what happened, and the members."""
    device = data.truth.device
    if precision == "auto":
        precision = "bf16-mixed" if device.type == "cuda" else "32-true"
    with tempfile.TemporaryDirectory() as scratch, _quiet_lightning():
        folder = Path(scratch) if checkpoint is None else Path(checkpoint)
        folder.mkdir(parents=True, exist_ok=True)
        _claim(folder, recipe, precision)
        return run(
            network, data, recipe, folder=folder, max_epochs=max_epochs, patience=patience,
            precision=precision, progress=progress,
        )  # fmt: skip


def _claim(folder: Path, recipe: Recipe, precision: str) -> None:
    """Make the checkpoint folder this run's own, or refuse one that belongs to another run."""
    identity = {"recipe": json.loads(recipe.to_json()), "precision": precision}
    path = folder / "run.json"
    try:
        found = json.loads(path.read_text()) if path.exists() else identity
    except ValueError:
        found = None
    if found != identity:
        raise ModelError(
            f"{folder} holds the checkpoint of another run (data, target, config or seed differ); fix: another folder"
        )
    part = path.with_suffix(".part")
    part.write_text(json.dumps(identity, sort_keys=True))
    part.replace(path)


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep Lightning's hardware notices and loader advice out of the user's notebook, for the length of a run."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        logger.setLevel(level)
