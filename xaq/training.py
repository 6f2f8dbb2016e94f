"""Training: hide stations, predict them from the rest, keep what helps at stations never trained on.

The visible stations are dealt into folds. One fold is for validation: it is no target and no neighbour while weights
are learned. Every batch takes one of the others as hidden, and estimates it from the rest.
"""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from einops import rearrange
from numpy.typing import NDArray
from scipy.optimize import nnls
from torch import Tensor

from . import features, kriging, sphere, windows
from . import stations as border
from .errors import ModelError, SchemaError, XaqWarning
from .features import Scaler
from .kriging import Covariance
from .mappers import Observations
from .model import Interval, Model, Recipe, make_record, pick_device, untrained_network
from .nn.aqnet import AQNet, AQNetConfig, StationSide, Task, apply_weights, station_table
from .nn.record import Record
from .verify import certify
from .vocabulary import STATION, TIME

#: Fewer places than this leave nothing to hide and learn from.
MIN_PLACES = 4
_VALIDATION = 0
#: Share of a forecast's training period that is learned from; the rest, after an embargo, validates and calibrates.
_LEARNING_SHARE = 0.85
_PROBABILITIES = tuple(np.round(np.concatenate([[0.005], np.linspace(0.01, 0.99, 99), [0.995]]), 4).tolist())


@dataclass(frozen=True)
class Fold:
    """One way of hiding: ``targets (n,)`` are estimated from ``neighbours (n, k + spare)``; distances in km.

    ``values (station, step)`` are the observations with gaps filled from stations outside the fold, on the record's
    steps, ``variance`` that of what was filled; ``visible (station,)`` says who makes the network's state.
    """

    targets: Tensor
    neighbours: Tensor
    d_target: Tensor
    values: Tensor
    variance: Tensor
    visible: Tensor

    def to(self, device: torch.device) -> Fold:
        """Return the fold on a device."""
        return Fold(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class TrainingData:
    """All that a training run reads: the record, the truth and the folds. ``folds[0]`` is the validation fold."""

    record: Record
    truth: Tensor
    unit: Tensor
    folds: tuple[Fold, ...]
    train_starts: Tensor
    validation_starts: Tensor

    def __deepcopy__(self, memo: dict) -> TrainingData:
        """Share the tensors, which nothing changes, with the copy that weight averaging makes of the module."""
        return self

    def to(self, device: torch.device) -> TrainingData:
        """Return the data on a device."""
        return TrainingData(
            self.record.to(device),
            self.truth.to(device),
            self.unit.to(device),
            tuple(f.to(device) for f in self.folds),
            self.train_starts.to(device),
            self.validation_starts.to(device),
        )

    def targets(self, starts: Tensor, steps: int) -> Tensor:
        """Return the steps of the record that windows estimate, ``(window, step)``."""
        return starts[:, None] + torch.arange(steps, device=starts.device)


def train(
    ds: xr.Dataset,
    target: str | None = None,
    *,
    task: Task = "analysis",
    time: border.Period = None,
    covariates: Sequence[str] = (),
    config: AQNetConfig | None = None,
    max_epochs: int = 30,
    patience: int = 6,
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
    config : AQNetConfig, optional
        Hyper-parameters; ``AQNetConfig.default(task, steps_per_day)`` unless given.
    max_epochs, patience : int
        An epoch is 40 batches. Training stops after ``patience`` epochs without gain at validation stations;
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
        The best epoch by validation stations; the untrained network when no epoch was better by half a percent.

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
    >>> ds = xaq.datasets.synthetic(n_stations=16, days=8).aq.hide(fraction=0.2)
    >>> model = ds.aq.train("pm25", max_epochs=0, progress=False)
    >>> model.target, model.task
    ('pm25', 'analysis')
    """
    if max_epochs < 0 or seed < 0:
        raise ModelError(f"max_epochs is {max_epochs} and seed {seed}, expected 0 or more")
    torch_device = torch.device(pick_device(device))
    ds = border.conform(ds)
    target = border.pick_target(ds, target)
    ds = border.select_period(border.conform(ds, target), time)
    _check_covariates(ds, target, covariates)
    visible = border.without_silent(ds.isel({STATION: np.flatnonzero(~border.hidden_mask(ds))}), target)
    observations = border.observations(visible, target, covariates=covariates)
    _check_places(observations, target)
    step = windows.regular_step(observations.times)
    config = _settle_config(config, task, windows.steps_per_day(step), len(covariates), len(observations.lon))
    recipe = replace(
        _classical_recipe(observations, config, target, str(ds[target].attrs["units"]), step, seed),
        covariates=tuple(covariates),
        visible=tuple(str(s) for s in visible[STATION].values),
        hidden=tuple(str(s) for s in ds[STATION].values[border.hidden_mask(ds)]),
        stations_hash=border.stations_hash(visible),
        period=(str(ds[TIME].values[0].astype("datetime64[s]")), str(ds[TIME].values[-1].astype("datetime64[s]"))),
    )
    data = prepare_data(observations, recipe).to(torch_device)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = untrained_network(recipe)
    fit_forecast_baseline(network.to(torch_device), data)
    summary = _fit(network, data, recipe, max_epochs, patience, precision, checkpoint, progress) if max_epochs else {}
    recipe = replace(recipe, interval=calibrate(network, data, recipe), training=summary)
    certificate = certify(ds, Model(network, recipe), target, None) if task == "analysis" else []
    return Model(network, replace(recipe, certificate=certificate))


def _check_covariates(ds: xr.Dataset, target: str, covariates: Sequence[str]) -> None:
    if isinstance(covariates, str):
        raise SchemaError(f"covariates={covariates!r} is one string; mend: covariates=[{covariates!r}]")
    for name in covariates:
        numbers = name in ds.data_vars and np.issubdtype(ds[name].dtype, np.number)
        if not numbers or set(ds[name].dims) != {STATION, TIME} or name == target:
            known = ", ".join(str(n) for n in ds.data_vars if n != target) or "none"
            raise SchemaError(
                f"covariate {name!r} is no other variable of numbers on (station, time); candidates are {known}"
            )


def _check_places(observations: Observations, target: str) -> None:
    places = len(np.unique(sphere.colocated_groups(observations.lon, observations.lat)))
    if places < MIN_PLACES:
        raise SchemaError(
            f"{places} visible places report {target!r}, AQ-Net needs at least {MIN_PLACES} to hide some and learn; "
            "mend: ds.aq.reanalyze('kriging', ...) or 'idw'"
        )


def _settle_config(
    config: AQNetConfig | None, task: str, steps_per_day: int, n_covariates: int, n_station: int
) -> AQNetConfig:
    """Return the configuration to use, or say why it cannot be."""
    if task not in ("analysis", "forecast"):
        raise ModelError(f"task is {task!r}, expected 'analysis' or 'forecast'")
    config = config or AQNetConfig.default(task, steps_per_day)  # type: ignore[arg-type]
    if config.task != task:
        raise ModelError(f"config is for task {config.task!r}, asked for {task!r}; mend: task={config.task!r}")
    if config.steps_per_day != steps_per_day:
        raise ModelError(
            f"config has {config.steps_per_day} steps per day, the data {steps_per_day}; mend: replace(config, steps_per_day=...)"
        )
    config = replace(config, n_covariates=n_covariates)
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
    stop = len(observations.times) if config.task == "analysis" else int(_LEARNING_SHARE * len(observations.times))
    values, lon, lat = observations.values[:, :stop], observations.lon, observations.lat
    scaler = Scaler.fit(values, observations.covariates[..., :stop])
    covariance = kriging.fit_covariance(values, lon, lat, k=config.k, seed=seed)
    z = scaler.transform(values)
    return Recipe(
        target=target,
        units=units,
        step_seconds=int(step / np.timedelta64(1, "s")),
        config=config,
        scaler=scaler,
        covariance=covariance,
        gate=_choose_gate(values, scaler, lon, lat, covariance, config.k, seed),
        climatology=tuple(features.fit_climatology(observations.times[:stop], z).tolist()),
        seed=seed,
        xaq_version=version("xaq"),
    )


def _choose_gate(
    values: NDArray, scaler: Scaler, lon: NDArray, lat: NDArray, covariance: Covariance, k: int, seed: int
) -> float:
    """Choose the share of the log scale by leave-one-station-out; MAE and RMSE count alike."""
    rng = np.random.default_rng([seed, 2])
    observed = np.argwhere(np.isfinite(values))
    pairs = observed[rng.choice(len(observed), min(10_000, len(observed)), replace=False)]
    truth = values[pairs[:, 0], pairs[:, 1]]
    linear, _ = kriging.leave_one_out(values, lon, lat, pairs, covariance, k)
    logs, _ = kriging.leave_one_out(scaler.log(values), lon, lat, pairs, covariance, k)
    log = scaler.offset * np.expm1(logs)
    shares = (0.0, 0.25, 0.5, 0.75, 1.0)
    residuals = [truth - ((1 - g) * linear + g * log) for g in shares]
    mae, rmse = (np.array([np.nanmean(np.abs(r) ** p) ** (1 / p) for r in residuals]) for p in (1, 2))
    return shares[int(np.argmin(mae / mae[0] + rmse / rmse[0]))]


def prepare_data(observations: Observations, recipe: Recipe) -> TrainingData:
    """Return the tensors of a training run: record, truth and folds, on the CPU."""
    config, step = recipe.config, np.timedelta64(recipe.step_seconds, "s")
    times = observations.times
    if config.task == "analysis":
        starts = windows.day_starts(times[0], times[-1], step)
    else:
        history, horizon = -config.input_offset, config.target_steps
        # One init time a day, an hour later each day: a forecast may start at any hour.
        stride = config.steps_per_day + (config.steps_per_day > 1)
        first = windows.forecast_starts(len(times), history, horizon, stride)
        least = config.days_before + config.target_days + 10
        if len(first) < least:
            raise SchemaError(
                f"{len(times)} steps hold {len(first)} windows of {history} + {horizon} steps, at least {least} are needed; "
                "mend: a longer period, or AQNetConfig(days_before=..., target_days=...)"
            )
        starts = times[first]
    record, first_step = make_record(recipe, observations, starts)
    origin = starts[0] - first_step[0] * step
    n_steps = record.z.shape[1]
    shift = np.arange(n_steps) + int((origin - times[0]) / step)
    train_starts, validation_starts = _split_windows(first_step, config)
    return TrainingData(
        record=record,
        truth=torch.as_tensor(windows.gather_steps(observations.values, shift)),
        unit=torch.as_tensor(sphere.unit_vectors(observations.lon, observations.lat).astype(np.float32)),
        folds=tuple(_make_folds(observations, recipe, shift)),
        train_starts=torch.as_tensor(train_starts),
        validation_starts=torch.as_tensor(validation_starts),
    )


def _split_windows(starts: NDArray[np.int64], config: AQNetConfig) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return window starts for learning and for validation: the same days of an analysis, later ones of a forecast."""
    if config.task == "analysis":
        return starts, starts[np.unique(np.linspace(0, len(starts) - 1, 96).astype(int))]
    embargo = config.days_before + config.target_days
    cut = int(_LEARNING_SHARE * len(starts))
    learn, later = starts[: max(5, cut - embargo)], starts[cut:]
    return learn, later[np.unique(np.linspace(0, len(later) - 1, 48).astype(int))]


def _make_folds(observations: Observations, recipe: Recipe, shift: NDArray[np.intp]) -> Iterator[Fold]:
    """Deal places into six folds; co-located stations share a fold. Fold 0 validates."""
    lon, lat, k = observations.lon, observations.lat, recipe.config.k
    group = sphere.colocated_groups(lon, lat)
    places = np.random.default_rng([recipe.seed, 3]).permutation(np.unique(group))
    n_folds = min(6, len(places))
    number = np.empty(group.max() + 1, int)
    number[places] = np.arange(len(places)) % n_folds
    fold_of = number[group]
    validating = fold_of == _VALIDATION
    for fold in range(n_folds):
        inside = fold_of == fold
        outside = ~inside if fold == _VALIDATION else ~(inside | validating)
        targets, others = np.flatnonzero(inside), np.flatnonzero(outside)
        spare = k + max(2, k // 2)
        index, d_target = sphere.nearest(lon[others], lat[others], lon[targets], lat[targets], spare)
        values = observations.values.copy()
        values[inside | ~outside] = np.nan
        variance = np.zeros_like(values)
        if recipe.config.task == "analysis":
            covariance = recipe.covariance
            filled = kriging.fill_missing(values[others], lon[others], lat[others], covariance, k)
            values[others], variance[others] = filled
        yield Fold(
            targets=torch.as_tensor(targets),
            neighbours=torch.as_tensor(others[index]),
            d_target=torch.as_tensor(d_target.astype(np.float32)),
            values=torch.as_tensor(windows.gather_steps(values, shift)),
            variance=torch.as_tensor(windows.gather_steps(variance, shift, fill=0.0)),
            visible=torch.as_tensor(outside),
        )


def fit_forecast_baseline(network: AQNet, data: TrainingData) -> None:
    """Fit the autoregressive start of a forecast by ridge regression on the training windows; nothing for an analysis."""
    if network.config.task != "forecast":
        return
    starts, steps = data.train_starts, network.config.target_steps
    if len(starts) > 2000:
        starts = starts[torch.linspace(0, len(starts) - 1, 2000, device=starts.device).long()]
    learning = ~_members(data.folds[_VALIDATION].targets, len(data.truth))
    gram = moment = None
    for part in starts.split(64):
        window = data.record.window(part, learning)
        x = network.baseline.inputs(window.z, window.climatology)[:, learning].double()
        z = data.record.z[:, data.targets(part, steps)].transpose(0, 1)[:, learning]
        anomaly = (z - window.climatology_target[:, None]).double()
        # A missing target counts as climatology in all leads alike: it damps, and needs one factorisation, not 168.
        y = torch.where(torch.isfinite(anomaly), anomaly, 0.0)
        x, y = x.flatten(0, 1), y.flatten(0, 1)
        gram = x.T @ x if gram is None else gram + x.T @ x
        moment = x.T @ y if moment is None else moment + x.T @ y
    assert gram is not None
    assert moment is not None
    ridge = 1e-2 * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    network.baseline.coefficients.copy_(torch.linalg.solve(gram + ridge, moment).float())


def _members(index: Tensor, n: int) -> Tensor:
    mask = torch.zeros(n, dtype=torch.bool, device=index.device)
    mask[index] = True
    return mask


# -- one batch -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Batch:
    """Estimates at hidden targets beside the truth, each ``(sample, step)``; ``day (sample,)`` is the lead day."""

    estimate: Tensor
    truth: Tensor
    parts: tuple[Tensor, Tensor, Tensor]
    day: Tensor


def hidden_estimates(
    network: AQNet,
    data: TrainingData,
    fold: Fold,
    starts: Tensor,
    recipe: Recipe,
    *,
    generator: torch.Generator | None = None,
    max_samples: int | None = None,
) -> tuple[Batch, StationSide]:
    """Estimate a fold's targets over windows from the stations outside the fold.

    With a generator, neighbours are dropped at random and samples drawn, as in training.
    """
    config, device = network.config, data.truth.device
    window = data.record.window(starts, fold.visible)
    side = network.station_side(window)
    n_window, n_target = len(starts), len(fold.targets)
    sample = torch.arange(n_window * config.target_days * n_target, device=device)
    if max_samples is not None and len(sample) > max_samples:
        sample = torch.randperm(len(sample), generator=generator)[:max_samples].to(device)
    which, rest = sample // (config.target_days * n_target), sample % (config.target_days * n_target)
    day, slot = rest // n_target, rest % n_target
    neighbours, d_target = _drop_neighbours(fold, slot, config.k, generator)
    points = data.unit[neighbours]
    d_neighbours = _chord_km((points[:, :, None] - points[:, None, :]).norm(dim=-1))
    weights = network.cell_side(side, which, day, neighbours, d_target, d_neighbours)
    steps = data.targets(starts, config.target_steps)
    n_station = len(data.truth)
    table = _fold_table(side, fold, steps, recipe)
    rows = (which * config.target_days + day)[:, None] * n_station + neighbours
    estimate, parts = apply_weights(weights, rows, table, recipe.scaler.offset)
    at = steps.reshape(n_window, config.target_days, -1)[which, day]
    truth = data.truth[fold.targets[slot][:, None], at]
    # Steps at which no neighbour says anything have no estimate; the table holds zeros there.
    silent = (
        ~torch.isfinite(fold.values[neighbours[:, :1], at])
        if side.z_hat is None
        else torch.zeros_like(at, dtype=torch.bool)
    )
    truth = torch.where(silent, torch.nan, truth)
    return Batch(estimate, truth, parts, day), side


def _fold_table(side: StationSide, fold: Fold, steps: Tensor, recipe: Recipe) -> Tensor:
    """Return the station-days of a batch of windows, rows ordered (window, day, station); zeros where there is nothing."""
    scaler, config = recipe.scaler, recipe.config
    if side.z_hat is None:
        values, variance = fold.values[:, steps].transpose(0, 1), fold.variance[:, steps].transpose(0, 1)
    else:
        values = scaler.offset * torch.expm1((side.z_hat * scaler.std + scaler.mean).clamp(max=20.0))
        variance = torch.zeros_like(values)
    pattern = "w n (d h) -> (w d n) h"
    values, variance = (rearrange(torch.nan_to_num(v), pattern, h=config.steps_per_day) for v in (values, variance))
    return station_table(values, variance, scaler.offset, recipe.covariance.sill)


def _drop_neighbours(fold: Fold, slot: Tensor, k: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Return the k nearest neighbours of each sample; in training, each is missing with probability 0.1."""
    neighbours, distance = fold.neighbours[slot], fold.d_target[slot]
    k = min(k, neighbours.shape[1])
    if generator is None:
        return neighbours[:, :k], distance[:, :k]
    dropped = torch.rand(neighbours.shape, generator=generator).to(slot.device) < 0.1
    order = torch.argsort(dropped.to(torch.int8), dim=1, stable=True)[:, :k].sort(dim=1).values
    return neighbours.gather(1, order), distance.gather(1, order)


def _chord_km(chord: Tensor) -> Tensor:
    return 2.0 * sphere.EARTH_RADIUS_KM * torch.asin((chord / 2.0).clamp(max=1.0))


# -- calibration ---------------------------------------------------------------------------------------------------


@torch.no_grad()
def calibrate(network: AQNet, data: TrainingData, recipe: Recipe) -> Interval:
    """Fit the interval to residuals at stations hidden in turn: conformal quantiles of residual / spread.

    Every fold is hidden once; a forecast is calibrated on the validation windows only.
    """
    config = recipe.config
    network.eval()
    residuals, parts, days = [], [], []
    for fold in data.folds:
        for starts in data.validation_starts.split(16):
            batch, _ = hidden_estimates(network, data, fold, starts, recipe)
            seen = torch.isfinite(batch.truth)
            residuals.append((batch.truth - batch.estimate)[seen])
            parts.append(torch.stack([p[seen] for p in batch.parts], dim=1))
            days.append(batch.day[:, None].expand_as(batch.truth)[seen])
    residual, part, day = (torch.cat(x).cpu().numpy() for x in (residuals, parts, days))
    # Thinned to a bounded problem; the least squares and the quantiles need no more.
    thin = slice(None, None, max(1, len(residual) // 400_000))
    residual, part, day = residual[thin].astype(float), part[thin].astype(float), day[thin]
    scale = part.mean(axis=0) + 1e-12
    solution, _ = nnls(part / scale, np.abs(residual))
    coefficients = solution / scale
    if not (coefficients > 0).any():
        coefficients = np.array([max(float(np.abs(residual).mean()), 1e-6), 0.0, 0.0])
    ratio = residual / np.maximum(part @ coefficients, 1e-12)
    rows = []
    for d in range(config.target_days):
        own = ratio[day == d]
        rows.append(tuple(np.quantile(own if len(own) > 50 else ratio, _PROBABILITIES).tolist()))
    return Interval(tuple(coefficients.tolist()), _PROBABILITIES, tuple(rows))


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
) -> dict[str, Any]:
    """Run Lightning; leave the best weights in the network. Return what happened."""
    from .lightning_run import run

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
            f"{folder} holds the checkpoint of another run (data, target, config or seed differ); mend: another folder"
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
