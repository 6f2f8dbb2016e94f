"""Baselines of a forecast, fitted to what a model was trained on: regression, LSTM, PatchTST. ``verify`` takes them."""

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
from ..nn.aqnet import ForecastNetwork
from ..nn.baselines import LSTMBaseline, PatchTSTBaseline, RegressionBaseline
from ..stations import schema, taking_part
from .data import TrainingData, prepare_data
from .scores import daily_means

Method = Literal["base forecast", "regression", "regression, log scale", "LSTM", "PatchTST"]
#: Baselines that are parts of the model, and those that are trained.
_PARTS = ("base forecast", "regression", "regression, log scale")
_TRAINED = {"LSTM": LSTMBaseline, "PatchTST": PatchTSTBaseline}
#: Windows per training step, learning rate, steps between validations, validations without gain before training stops.
_WINDOWS, _LEARNING_RATE, _CHECK_EVERY, _PATIENCE = 16, 1e-3, 40, 4


class NetworkForecaster:
    """A fitted baseline as a forecaster.

    Parameters
    ----------
    name : str
        Its row in the table of scores.
    network : torch.nn.Module
        Takes a :class:`xaq.nn.window.Window`, returns z-scores ``(window, station, target_step)``.
    recipe : Recipe
        Makes the windows.
    """

    def __init__(self, name: str, network: nn.Module, recipe: Recipe) -> None:
        self.name = name
        self.network = network.eval().requires_grad_(False)
        self.recipe = recipe

    def forecast(self, past: Observations, times: NDArray[np.datetime64]) -> NDArray[np.float32]:
        """Return the forecast at the stations.

        Parameters
        ----------
        past : Observations
            Up to the init time.
        times : (time,)
            Later than the last time of ``past``, within the horizon.

        Returns
        -------
        (station, time) float32
            In the target's units.
        """
        step = np.timedelta64(self.recipe.step_seconds, "s")
        record, starts, _ = make_record(self.recipe, past, past.times[-1:] + step)
        with torch.inference_mode():
            window = record.window(torch.as_tensor(starts), torch.ones(len(past.lon), dtype=torch.bool))
            z = self.network(window)[0].numpy()
        leads = ((times - past.times[-1]) / step).astype(int) - 1
        return np.maximum(self.recipe.scaler.inverse(z), 0)[:, leads].astype(np.float32)


def fit_baseline(ds: xr.Dataset, model: Model, method: Method, *, max_steps: int = 600) -> NetworkForecaster:
    """Fit a baseline to what a forecast model was trained on: same stations, period, inputs and windows.

    Parameters
    ----------
    ds : xarray.Dataset
        The dataset the model was trained on.
    model : Model
        A forecast; its recipe says which inputs are given.
    method : {"base forecast", "regression", "regression, log scale", "LSTM", "PatchTST"}
        The model's base forecast, and the two regressions in it, are fitted already. PatchTST is given the target alone, and
        needs ``transformers``.
    max_steps : int
        Training steps of 16 windows each, at most; training stops early by the validation windows.

    Returns
    -------
    NetworkForecaster
        For ``ds.aq.verify(model, baselines=[...])``.

    Raises
    ------
    ModelError
        The model is no forecast, or there is no such method.

    Notes
    -----
    LSTM and PatchTST compute the target and covariates of the stations in the training period.
    """
    trained = model.network
    if not isinstance(trained, ForecastNetwork):
        raise ModelError(
            "the model is an analysis, expected a forecast; fix: fit_baseline(ds, ds.aq.train(task='forecast'), ...)"
        )
    if method in _PARTS:
        return _part_of(trained, model.recipe, method)
    if method not in _TRAINED:
        expected = ", ".join(repr(name) for name in (*_PARTS, *_TRAINED))
        raise ModelError(f"no baseline {method!r}, expected one of {expected}; fix: fit_baseline(ds, model, 'LSTM')")
    recipe = model.recipe
    data = _training_data(ds, recipe)
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        network = _TRAINED[method](recipe.config)
        _learn(network, data, recipe, max_steps)
    return NetworkForecaster(method, network, recipe)


def _part_of(trained: ForecastNetwork, recipe: Recipe, method: Method) -> NetworkForecaster:
    """Return the base forecast of a model, or one of its regressions."""
    base_forecast = copy.deepcopy(trained.base_forecast).cpu()
    if method == "base forecast":
        return NetworkForecaster("AQ-Net's base forecast", base_forecast, recipe)
    scale = "log" if method.endswith("log scale") else "linear"
    return NetworkForecaster(method, RegressionBaseline(base_forecast, scale), recipe)


def _training_data(ds: xr.Dataset, recipe: Recipe) -> TrainingData:
    """Return what a model was trained on."""
    period = schema.select_period(ds.sel({STATION: list(recipe.visible)}), slice(*recipe.period))
    seen = taking_part.observed(period, recipe.target, covariates=recipe.covariates, known=recipe.known)
    return prepare_data(seen.observations, recipe)


def _learn(network: nn.Module, data: TrainingData, recipe: Recipe, max_steps: int) -> None:
    """Train on random windows; keep the weights that are best on the validation windows."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=_LEARNING_RATE, weight_decay=1e-2)
    best, kept, worse = torch.inf, copy.deepcopy(network.state_dict()), 0
    for step in range(1, max_steps + 1):
        network.train()
        starts = data.train_starts[torch.randint(len(data.train_starts), (_WINDOWS,))]
        optimiser.zero_grad()
        _loss(network, data, recipe, starts).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        if step % _CHECK_EVERY and step < max_steps:
            continue
        score = _validation_loss(network, data, recipe)
        if score < best:
            best, kept, worse = score, copy.deepcopy(network.state_dict()), 0
        else:
            worse += 1
        if worse > _PATIENCE:
            break
    network.load_state_dict(kept)


@torch.no_grad()
def _validation_loss(network: nn.Module, data: TrainingData, recipe: Recipe) -> float:
    """Return the loss over the validation windows, up to a factor."""
    network.eval()
    batches = data.validation_starts.split(_WINDOWS)
    return sum(float(_loss(network, data, recipe, starts)) * len(starts) for starts in batches)


def _loss(network: nn.Module, data: TrainingData, recipe: Recipe, starts: Tensor) -> Tensor:
    """Return MAE plus half the RMSE at the stations that are learned from, of steps and of daily means, in the target's units."""
    learning = data.learning_stations
    truth = data.at_targets(data.truth, starts)[:, learning]
    made = in_units(network(data.record.window(starts, learning))[:, learning], recipe.scaler)
    loss = made.new_zeros(())
    for guess, seen in ((made, truth), daily_means(made, truth, recipe.config.steps_per_day)):
        error = (guess - seen)[torch.isfinite(seen)]
        if len(error):
            loss = loss + error.abs().mean() + 0.5 * (error.square().mean() + 1e-8).sqrt()
    return loss
