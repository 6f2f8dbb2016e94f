"""Baselines of a forecast, fitted on what a model was trained on: regression, LSTM, PatchTST. ``verify`` takes them."""

from __future__ import annotations

import copy
from typing import Literal

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor, nn

from ..aqnet.model import Model
from ..aqnet.recipe import Recipe
from ..aqnet.station_side import in_units, make_record
from ..conventions import STATION
from ..errors import ModelError
from ..interpolate.base import Observations
from ..nn.baselines import LSTMBaseline, PatchTSTBaseline, RegressionBaseline
from ..stations import schema
from .folds import VALIDATION, TrainingData, prepare_data
from .hidden import daily_means

Method = Literal["start", "regression", "regression, log scale", "LSTM", "PatchTST"]
_WINDOWS, _LEARNING_RATE, _CHECK_EVERY, _PATIENCE = 16, 1e-3, 40, 4


class NetworkForecaster:
    """A fitted baseline as a forecaster: a network from windows to z-scores, and the recipe that makes the windows."""

    def __init__(self, name: str, network: nn.Module, recipe: Recipe) -> None:
        self.name = name
        self.network = network.eval().requires_grad_(False)
        self.recipe = recipe

    def forecast(self, past: Observations, times: NDArray[np.datetime64]) -> NDArray[np.float32]:
        """Return the forecast ``(n_station, n_time)`` after the last time of ``past``, in the target's units."""
        step = np.timedelta64(self.recipe.step_seconds, "s")
        record, first, _ = make_record(self.recipe, past, past.times[-1:] + step)
        with torch.inference_mode():
            window = record.window(torch.as_tensor(first), torch.ones(len(past.lon), dtype=torch.bool))
            z = self.network(window)[0].numpy()
        at = ((times - past.times[-1]) / step).astype(int) - 1
        return np.maximum(self.recipe.scaler.inverse(z), 0)[:, at].astype(np.float32)


def fit_baseline(ds: xr.Dataset, model: Model, method: Method, *, max_steps: int = 600) -> NetworkForecaster:
    """Fit a baseline to what a forecast model was trained on: same stations, period, inputs and windows.

    Parameters
    ----------
    ds : xarray.Dataset
        The dataset the model was trained on.
    model : Model
        A forecast; its recipe says what may be read.
    method : {"start", "regression", "regression, log scale", "LSTM", "PatchTST"}
        What the model starts from, and the two regressions in it. PatchTST reads the target alone, and needs ``transformers``.
    max_steps : int
        Of training, 16 windows each; it stops early by the validation windows.

    Returns
    -------
    NetworkForecaster
        For ``ds.aq.verify(model, baselines=[...])``.

    Raises
    ------
    ModelError
        The model is no forecast, or there is no such method.
    """
    recipe = model.recipe
    if model.task != "forecast":
        raise ModelError("the model is an analysis; baselines of this kind are for task='forecast'")
    if method in ("regression", "regression, log scale"):
        scale = "log" if method.endswith("log scale") else "linear"
        return NetworkForecaster(
            method, RegressionBaseline(copy.deepcopy(model.network.base_forecast).cpu(), scale), recipe
        )
    if method == "start":
        return NetworkForecaster("AQ-Net's start", copy.deepcopy(model.network.base_forecast).cpu(), recipe)
    networks = {"LSTM": LSTMBaseline, "PatchTST": PatchTSTBaseline}
    if method not in networks:
        raise ModelError(
            f"no baseline {method!r}; expected 'start', 'regression', 'regression, log scale', 'LSTM' or 'PatchTST'"
        )
    chosen = ds.sel({STATION: list(recipe.visible)})
    period = schema.select_period(chosen, slice(*recipe.period))
    observations = schema.observations(period, recipe.target, covariates=recipe.covariates, known=recipe.known)
    data = prepare_data(observations, recipe)
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        network = networks[method](recipe.config)
        _learn(network, data, recipe, max_steps)
    return NetworkForecaster(method, network, recipe)


def _learn(network: nn.Module, data: TrainingData, recipe: Recipe, max_steps: int) -> None:
    """Minimise the absolute and root-mean-square error; keep the weights that are best on the validation windows."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=_LEARNING_RATE, weight_decay=1e-2)
    learning = torch.ones(len(data.truth), dtype=torch.bool)
    learning[data.folds[VALIDATION].targets] = False
    best, kept, worse = torch.inf, copy.deepcopy(network.state_dict()), 0
    for step in range(1, max_steps + 1):
        network.train()
        starts = data.train_starts[torch.randint(len(data.train_starts), (_WINDOWS,))]
        optimiser.zero_grad()
        _loss(network, data, recipe, starts, learning).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        if step % _CHECK_EVERY and step < max_steps:
            continue
        network.eval()
        with torch.no_grad():
            parts = data.validation_starts.split(_WINDOWS)
            score = sum(float(_loss(network, data, recipe, p, learning)) * len(p) for p in parts)
        if score < best:
            best, kept, worse = score, copy.deepcopy(network.state_dict()), 0
        else:
            worse += 1
        if worse > _PATIENCE:
            break
    network.load_state_dict(kept)


def _loss(network: nn.Module, data: TrainingData, recipe: Recipe, starts: Tensor, learning: Tensor) -> Tensor:
    window = data.record.window(starts, learning)
    truth = data.truth[:, data.targets(starts, recipe.config.target_steps)].transpose(0, 1)[:, learning]
    made = in_units(network(window)[:, learning], recipe.scaler)
    loss = made.new_zeros(())
    for guess, seen in ((made, truth), daily_means(made, truth, recipe.config.steps_per_day)):
        error = (guess - seen)[torch.isfinite(seen)]
        if len(error):
            loss = loss + error.abs().mean() + 0.5 * (error.square().mean() + 1e-8).sqrt()
    return loss
