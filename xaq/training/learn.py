"""Learning: from a recipe and ratios to trained members, by Lightning, in a folder that a run can resume from."""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .._signals import cleaned_up_on_sigterm
from ..aqnet.device import pick_device
from ..aqnet.recipe import Recipe, untrained_network
from ..errors import ModelError
from ..interpolate.base import Observations
from ..nn.aqnet import ForecastNetwork, Network
from .data import TrainingData, prepare_data
from .fit_base_forecast import fit_base_forecast
from .fit_forecast_weight import fit_forecast_weight
from .loop import run


@dataclass(frozen=True)
class Learned:
    """What learning leaves.

    Attributes
    ----------
    network : Network
        The mean of the members, or the first guess where training gained too little.
    members : list of Network
        Each trained without some of the stations; calibration uses them.
    data : TrainingData
        What they were trained on.
    coefficients : Tensor, optional
        Of a forecast's regressions, fitted to all of the period; see :meth:`use_whole_period`.
    summary : dict
        Score, errors and epochs, for the recipe.
    """

    network: Network
    members: list[Network]
    data: TrainingData
    coefficients: Tensor | None
    summary: dict[str, Any] = field(default_factory=dict)

    def use_whole_period(self) -> None:
        """Give the forecast the regressions of all of the period, in place: nothing is validated any more."""
        if isinstance(self.network, ForecastNetwork) and self.coefficients is not None:
            self.network.base_forecast.coefficients.copy_(self.coefficients)


def learn(
    observations: Observations,
    recipe: Recipe,
    *,
    fold_ratios: NDArray[np.float32] | None = None,
    max_epochs: int = 20,
    patience: int = 5,
    device: str = "auto",
    precision: str = "auto",
    checkpoint: str | Path | None = None,
    progress: bool = True,
) -> Learned:
    """Train the network of a recipe at stations hidden in turn.

    Parameters
    ----------
    observations : Observations
        Visible stations, as ratios to the trend.
    recipe : Recipe
        From :func:`xaq.training.fit_classical.fit_classical`.
    fold_ratios : (fold, station), optional
        As :func:`xaq.training.folds.make_folds` takes them.
    max_epochs, patience, device, precision, checkpoint, progress
        As for :func:`xaq.train`.

    Raises
    ------
    SchemaError
        The record is too short for a forecast's windows.
    ModelError
        The device cannot be used, or the checkpoint belongs to another run.
    """
    chosen = torch.device(pick_device(device))
    data = prepare_data(observations, recipe, fold_ratios).to(chosen)
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        network = untrained_network(recipe)
    data, coefficients = fit_base_forecast(network.to(chosen), data)
    if not max_epochs:
        return Learned(network, [network] * len(data.validation), data, coefficients)
    if precision == "auto":
        precision = "bf16-mixed" if chosen.type == "cuda" else "32-true"
    with cleaned_up_on_sigterm(), _run_folder(checkpoint, recipe, precision) as folder, _quiet_lightning():
        summary, members = run(
            network, data, recipe, folder=folder, max_epochs=max_epochs, patience=patience,
            precision=precision, progress=progress,
        )  # fmt: skip
    if isinstance(network, ForecastNetwork) and summary["score"] < 1.0:
        fit_forecast_weight(network, data)
        members = [network]
    return Learned(network, members, data, coefficients, summary)


@contextmanager
def _run_folder(checkpoint: str | Path | None, recipe: Recipe, precision: str) -> Iterator[Path]:
    """Yield the folder of a run: a temporary one, or the user's, which a run of another recipe must not share."""
    if checkpoint is None:
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch)
        return
    folder = Path(checkpoint)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _claim(folder, recipe, precision)
    except OSError as error:
        raise ModelError(
            f"checkpoint={str(checkpoint)!r} cannot be written ({error.strerror}), expected a folder; fix: checkpoint='run'"
        ) from error
    yield folder


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
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        logger.setLevel(before)
