"""The fit of a base forecast: ridge regressions, their strengths and weights by cross-validation over blocks of time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..nn.aqnet import ForecastNetwork, Network
from ..nn.base_forecast import BaseForecast
from .data import TrainingData
from .lead_groups import best_mixture_weights, best_ridge, lead_groups
from .ridge import NormalEquations, Rows
from .time_blocks import GAP, TimeBlocks

#: Ridge strengths tried, ascending, relative to the variance of each regressor.
_RIDGES = (1e-2, 1e-1, 1.0, 10.0)
#: Windows of a block that are predicted by the other blocks.
_PREDICTED = 200
#: Windows x stations per group of init hours, and stations, that are fitted to at most: more gain less than their time costs.
_ROWS, _STATIONS = 8000, 40
#: Rows of the normal equations summed at once in single precision; the sums themselves are in double.
_CHUNK = 512
#: Base forecasts kept for learning: windows, and values in all (160 MB).
_KEPT_WINDOWS, _KEPT_VALUES = 4000, 40_000_000


class FittedBaseForecast(NamedTuple):
    """What the fit leaves beside the network.

    ``data`` with the base forecasts of (at most so many) learning windows, made once for all epochs; ``coefficients`` fitted
    to the whole period, for the time when validation is over. Of an analysis: the data as they are, and None.
    """

    data: TrainingData
    coefficients: Tensor | None


@dataclass(frozen=True)
class RidgeCandidates:
    """Coefficients of every ridge strength, each shaped as those of the module.

    Attributes
    ----------
    without : (fold, ridge, scale, group, lead, input)
        Fitted to the blocks other than each of ``TimeBlocks.folds``, without the gaps.
    everything : (ridge, scale, group, lead, input)
        Fitted to all windows.
    """

    without: Tensor
    everything: Tensor


@dataclass(frozen=True)
class Predictions:
    """Windows of each block of time as predicted by the others, in offsets on the linear scale.

    Attributes
    ----------
    persistence : (window, station, lead)
    regressions : (ridge, scale, window, station, lead)
    truth : (window, station, lead)
        NaN where not observed.
    """

    persistence: Tensor
    regressions: Tensor
    truth: Tensor


@torch.no_grad()
def fit_base_forecast(network: Network, data: TrainingData) -> FittedBaseForecast:
    """Fit regressions and mixture weights of :class:`xaq.nn.base_forecast.BaseForecast` in place.

    The period is cut into blocks of time, the last of them that of the validation windows, with a gap of window and horizon
    after each. Regressions on the other blocks predict each block; the ridge strength of each scale and the mixture weights
    are those with the least error of these predictions, per group of leads. The coefficients left in the network are not
    fitted to the validation block, so that what is learned beside them can be judged there.

    Parameters
    ----------
    network : Network
        Its base forecast is changed in place; an analysis has none.
    data : TrainingData

    Returns
    -------
    FittedBaseForecast
    """
    if not isinstance(network, ForecastNetwork):
        return FittedBaseForecast(data, None)
    base_forecast, blocks = network.base_forecast, TimeBlocks.of(data, network.config)
    stations = torch.nonzero(data.learning_stations)[:, 0]
    stations = stations[evenly(len(stations), _STATIONS).to(stations.device)]
    seen = data.record.z[data.learning_stations]
    base_forecast.extremes.copy_(torch.stack(torch.aminmax(seen[torch.isfinite(seen)])))
    candidates = fit_candidates(base_forecast, data, stations, blocks)
    predictions = predict_blocks(base_forecast, data, stations, blocks, candidates)
    coefficients = choose_by_lead(base_forecast, candidates, predictions)
    return FittedBaseForecast(with_base_forecasts(base_forecast, data), coefficients)


def fit_candidates(
    base_forecast: BaseForecast, data: TrainingData, stations: Tensor, blocks: TimeBlocks
) -> RidgeCandidates:
    """Fit every ridge strength, without each block in turn and to all windows; set the limits of the regressors in place.

    Parameters
    ----------
    base_forecast : BaseForecast
        Unfitted.
    data : TrainingData
    stations : (n,) int
        Stations to fit to.
    blocks : TimeBlocks

    Returns
    -------
    RidgeCandidates
    """
    fits = (*blocks.folds, None)
    fitted = base_forecast.coefficients.new_zeros(len(fits), len(_RIDGES), *base_forecast.coefficients.shape)
    learning = data.learning_stations
    group = torch.cat([base_forecast.group(data.record.window(p, learning)) for p in blocks.starts.split(256)])
    # Unlimited until all are seen: no regressor is cut by the limits of others.
    limits = base_forecast.limits.flip(0).clone()
    for g in range(base_forecast.n_groups):
        own = torch.nonzero(group == g)[:, 0]
        own = own[evenly(len(own), max(100, _ROWS // len(stations))).to(own.device)]
        equations = {}
        for block in range(GAP, blocks.folds[-1] + 1):
            equations[block] = _equations_of_no_rows(base_forecast)
            for rows in _rows(base_forecast, data, blocks.starts_in(block, own), stations):
                equations[block].add(rows)
                _widen(limits, rows)
        for fold, of_fold in zip(fits, fitted, strict=True):
            # Windows in a gap share steps with the blocks beside it.
            kept = [e for block, e in equations.items() if fold is None or block not in (GAP, fold)]
            total = NormalEquations.sum(kept)
            for ridge, coefficients in zip(_RIDGES, of_fold, strict=True):
                coefficients[:, g] = total.solve(ridge)
    base_forecast.limits.copy_(limits)
    return RidgeCandidates(without=fitted[:-1], everything=fitted[-1])


def _equations_of_no_rows(base_forecast: BaseForecast) -> NormalEquations:
    return NormalEquations.zeros(
        base_forecast.config.target_steps,
        base_forecast.n_common,
        base_forecast.n_per_lead,
        base_forecast.coefficients.device,
    )


def _rows(base_forecast: BaseForecast, data: TrainingData, starts: Tensor, stations: Tensor) -> Iterator[Rows]:
    """Yield the regressors and targets of windows and stations.

    A missing target counts as the network's mean anomaly at that step, or as zero where no station reports: all leads then
    share the sums of the common regressors.
    """
    learning = data.learning_stations
    for part in starts.split(max(1, _CHUNK // len(stations))) if len(starts) else ():
        window = data.record.window(part, learning)
        anomalies = base_forecast.targets(window, data.at_targets(data.record.z, part))
        network_mean = torch.nan_to_num(anomalies[:, :, learning].nanmean(dim=2, keepdim=True))
        filled = torch.where(torch.isfinite(anomalies), anomalies, network_mean)[:, :, stations].flatten(1, 2)
        own = base_forecast.lead_inputs(window)[:, stations].flatten(0, 1).transpose(0, 1).contiguous()
        common = base_forecast.common_inputs(window)[:, stations].flatten(0, 1)
        yield Rows(common, own, filled.permute(2, 1, 0))


def _widen(limits: Tensor, rows: Rows) -> None:
    """Widen ``limits (2, input)`` in place to the least and the greatest of every regressor."""
    n_common = rows.common.shape[1]
    for inputs, columns in ((rows.common, slice(None, n_common)), (rows.own.flatten(0, 1), slice(n_common, None))):
        limits[0, columns] = torch.minimum(limits[0, columns], inputs.amin(dim=0))
        limits[1, columns] = torch.maximum(limits[1, columns], inputs.amax(dim=0))


def predict_blocks(
    base_forecast: BaseForecast, data: TrainingData, stations: Tensor, blocks: TimeBlocks, candidates: RidgeCandidates
) -> Predictions:
    """Predict windows of each block by the regressions that were fitted without it.

    Parameters
    ----------
    base_forecast : BaseForecast
    data : TrainingData
    stations : (n,) int
        Stations to predict.
    blocks : TimeBlocks
    candidates : RidgeCandidates

    Returns
    -------
    Predictions
    """
    persistence, regressions, truth = [], [], []
    for fold, of_fold in zip(blocks.folds, candidates.without, strict=True):
        own = torch.nonzero(blocks.number == fold)[:, 0]
        own = blocks.starts[own[evenly(len(own), _PREDICTED).to(own.device)]]
        for part in own.split(32):
            window = data.record.window(part, data.learning_stations)
            persistence.append(base_forecast.persistence(window)[:, stations])
            made = torch.stack([base_forecast.regressions(window, c)[:, :, stations] for c in of_fold])
            regressions.append(made.clamp(min=0.0))
            truth.append(base_forecast.linear(data.at_targets(data.record.z, part)[:, stations]))
    return Predictions(torch.cat(persistence), torch.cat(regressions, dim=2), torch.cat(truth))


def choose_by_lead(base_forecast: BaseForecast, candidates: RidgeCandidates, predictions: Predictions) -> Tensor:
    """Choose the ridge strength of each scale and the mixture weights per group of leads.

    Parameters
    ----------
    base_forecast : BaseForecast
        Coefficients, fitted without the validation block, and weights are set in place.
    candidates : RidgeCandidates
    predictions : Predictions

    Returns
    -------
    Tensor
        The coefficients of the same ridge strengths, fitted to all windows.
    """
    config = base_forecast.config
    everything = torch.empty_like(base_forecast.coefficients)
    for leads in lead_groups(config.steps_per_day, config.target_steps):
        parts, truth = [predictions.persistence[..., leads]], predictions.truth[..., leads]
        for scale, by_ridge in enumerate(predictions.regressions.unbind(dim=1)):
            best = best_ridge(by_ridge[..., leads], truth, config.steps_per_day)
            base_forecast.coefficients[scale][:, leads] = candidates.without[-1, best, scale][:, leads]
            everything[scale][:, leads] = candidates.everything[best, scale][:, leads]
            parts.append(by_ridge[best][..., leads])
        weights = best_mixture_weights(torch.stack(parts), truth, config.steps_per_day)
        base_forecast.weights[:, leads] = weights[:, None]
    return everything


def with_base_forecasts(base_forecast: BaseForecast, data: TrainingData) -> TrainingData:
    """Return the data with evenly spread learning windows and the base forecasts of these.

    Parameters
    ----------
    base_forecast : BaseForecast
        Fitted.
    data : TrainingData

    Returns
    -------
    TrainingData
    """
    per_window = len(data.truth) * base_forecast.config.target_steps
    most = max(32, min(_KEPT_WINDOWS, _KEPT_VALUES // per_window))
    kept = data.train_starts[evenly(len(data.train_starts), most).to(data.train_starts.device)]
    learning = data.learning_stations
    made = torch.cat([base_forecast(data.record.window(part, learning)) for part in kept.split(32)])
    return replace(data, train_starts=kept, base_forecasts=made)


def evenly(n: int, most: int) -> Tensor:
    """Return at most ``most`` of n positions, evenly spread from the first to the last."""
    return torch.linspace(0, n - 1, min(n, most)).round().long()
