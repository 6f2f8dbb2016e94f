"""Fitting a forecast's start: ridge regressions, their strengths and weights by cross-validation over blocks of time."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..arrays.timesteps import DATA_CAPTURE
from ..nn.aqnet import AQNet
from ..nn.base_forecast import LINEAR, BaseForecast
from ..nn.config import AQNetConfig
from .folds import VALIDATION, TrainingData

#: Ridge strengths tried, relative to each regressor's own variance.
_RIDGES = (1e-2, 1e-1, 1.0, 10.0)
#: Blocks of time at most, beside that of the validation windows, and how many windows with their horizons each must span.
_BLOCKS, _LEAST_SPANS = 4, 2
#: Windows of a block that are predicted by the other blocks.
_PREDICTED = 200
#: Windows x stations per group of init hours beyond which more teach nothing that is worth their time.
_ROWS, _STATIONS = 8000, 40
#: Rows of the normal equations summed at once in single precision; the sums themselves are in double.
_CHUNK = 512
_WEIGHT_STEPS = 10


#: Starts kept for learning: windows, and values in all (160 MB).
_KEPT_WINDOWS, _KEPT_VALUES = 4000, 40_000_000


@torch.no_grad()
def fit_base_forecast(network: AQNet, data: TrainingData) -> tuple[TrainingData, Tensor | None]:
    """Fit the start of a forecast in place: coefficients, then the weights of persistence and the two scales per lead.

    The period is cut into blocks, the last of them that of the validation windows, with a gap of window and horizon after
    each. Every block is predicted by regressions on the others; the ridge strength of each scale and the weights are those with the
    least error of this, lead by lead. The coefficients left in the network know nothing of the validation block, so that
    what else is learned can be judged there.

    Returns
    -------
    data : TrainingData
        With the start of (at most so many) learning windows as ``starts``, made once for all epochs. Of an analysis:
        the data as they are.
    coefficients : Tensor, optional
        Those fitted to all blocks and gaps, for the time when validation is over; None of an analysis.
    """
    if network.config.task != "forecast":
        return data, None
    start, config, blocks = network.base_forecast, network.config, _Blocks.of(data, network.config)
    learning = _learning(data)
    stations = torch.nonzero(learning)[:, 0]
    stations = stations[_thinned(len(stations), _STATIONS).to(stations.device)]
    seen = data.record.z[learning]
    start.extremes.copy_(torch.stack(torch.aminmax(seen[torch.isfinite(seen)])))
    fitted = _coefficients(start, data, learning, stations, blocks)
    still, tried, truth = _predicted(start, data, learning, stations, blocks, fitted)
    everything = torch.empty_like(start.coefficients)
    for leads in _lead_blocks(config.steps_per_day, config.target_steps):
        parts, observed = [still[..., leads]], truth[..., leads]
        for scale in range(2):
            made = tried[:, scale][..., leads]
            best = min(range(len(made)), key=lambda i: _error(made[i], observed, config.steps_per_day))
            start.coefficients[scale][:, leads] = fitted[-2][best][scale][:, leads]
            everything[scale][:, leads] = fitted[-1][best][scale][:, leads]
            parts.append(made[best])
        start.weights[:, leads] = _best_weights(torch.stack(parts), observed, config.steps_per_day)[:, None]
    return _with_base_forecasts(start, data, learning), everything


@dataclass(frozen=True)
class _Blocks:
    """All windows of a period in blocks of time.

    ``starts (window,)``, learning and validation; ``number (window,)`` of each one's block, -1 in the gaps; ``folds``: the blocks that
    are predicted by the others, the last that of the validation windows.
    """

    starts: Tensor
    number: Tensor
    folds: tuple[int, ...]

    @classmethod
    def of(cls, data: TrainingData, config: AQNetConfig) -> _Blocks:
        """Cut the period of the learning windows, as far as it goes, and put a gap of window and horizon after each block."""
        gap = (config.days_before + config.target_days) * config.steps_per_day
        first, cut = int(data.train_starts[0]), int(data.validation_starts[0])
        starts = torch.arange(first, int(data.validation_starts[-1]) + 1, device=data.train_starts.device)
        learned = int(data.train_starts[-1]) + 1 - first
        n_blocks = min(max(learned // (_LEAST_SPANS * gap), 1), _BLOCKS)
        number = torch.full_like(starts, -1)
        edges = torch.linspace(0, learned, n_blocks + 1).round().long().tolist()
        for i, (begin, end) in enumerate(itertools.pairwise(edges)):
            number[begin : end if i == n_blocks - 1 else end - gap] = i
        number[cut - first :] = n_blocks
        # Whoever is left out is predicted by most of the record, or not at all.
        some = (b for b in range(n_blocks) if 2 * int((number == b).sum()) <= len(number))
        return cls(starts, number, (*some, n_blocks))

    def of_number(self, number: int, at: Tensor) -> Tensor:
        """Return the starts of those windows among ``at`` that are in a block."""
        return self.starts[at[self.number[at] == number]]


def _learning(data: TrainingData) -> Tensor:
    """Return the stations that are learned from, ``(station,)`` bool."""
    learning = torch.ones(len(data.truth), dtype=torch.bool, device=data.truth.device)
    learning[data.folds[VALIDATION].targets] = False
    return learning


@torch.no_grad()
def fit_forecast_weight(network: AQNet, data: TrainingData) -> None:
    """Fit the weight of the network's own forecast per lead in place, to the least error on the validation windows."""
    config = network.config
    network.eval()
    learning = _learning(data)
    targets = data.targets(data.validation_starts, config.target_steps)
    truth = network.base_forecast.linear(data.record.z[:, targets].transpose(0, 1)[:, learning])
    made = []
    for tenths in range(_WEIGHT_STEPS + 1):
        network.forecast_weight.fill_(tenths / _WEIGHT_STEPS)
        windows = (data.record.window(part, learning) for part in data.validation_starts.split(32))
        z_hats = [z for w in windows if (z := network.station_side(w).z_hat) is not None]
        made.append(network.base_forecast.linear(torch.cat(z_hats)[:, learning]).clamp(min=0.0))
    for block in _lead_blocks(config.steps_per_day, config.target_steps):
        guesses, seen = _as_scored(torch.stack(made)[..., block], truth[..., block], config.steps_per_day)
        if len(seen):
            mae, rmse = (guesses - seen).abs().mean(dim=-1), (guesses - seen).square().mean(dim=-1).sqrt()
            network.forecast_weight[block] = (mae / mae[0] + rmse / rmse[0]).argmin() / _WEIGHT_STEPS


def _with_base_forecasts(start: BaseForecast, data: TrainingData, learning: Tensor) -> TrainingData:
    """Return the data with evenly spread learning windows and their starts."""
    per_window = len(data.truth) * start.config.target_steps
    most = max(32, min(_KEPT_WINDOWS, _KEPT_VALUES // per_window))
    kept = data.train_starts[_thinned(len(data.train_starts), most).to(data.train_starts.device)]
    made = torch.cat([start(data.record.window(part, learning)) for part in kept.split(32)])
    return replace(data, train_starts=kept, base_forecasts=made)


def _coefficients(
    start: BaseForecast, data: TrainingData, learning: Tensor, stations: Tensor, blocks: _Blocks
) -> list[list[Tensor]]:
    """Return the coefficients of every ridge strength, each shaped as the module's: without each fold, then with all windows."""
    limits = start.limits.flip(0).clone()
    fitted = [[torch.zeros_like(start.coefficients) for _ in _RIDGES] for _ in (*blocks.folds, None)]
    group = torch.cat([start.group(data.record.window(p, learning)) for p in blocks.starts.split(256)])
    for g in range(start.n_groups):
        own = torch.nonzero(group == g)[:, 0]
        own = own[_thinned(len(own), max(100, _ROWS // len(stations))).to(own.device)]
        equations = {
            b: _normal_equations(start, data, blocks.of_number(b, own), stations, learning, limits)
            for b in range(-1, blocks.folds[-1] + 1)
        }
        for fold, candidates in zip((*blocks.folds, None), fitted, strict=True):
            # Gaps teach nobody who is tested beside them.
            kept = [e for b, e in equations.items() if fold is None or b not in (-1, fold)]
            total = _NormalEquations(*(torch.stack(terms).sum(dim=0) for terms in zip(*kept, strict=True)))
            for ridge, candidate in zip(_RIDGES, candidates, strict=True):
                candidate[:, g] = total.solve(ridge)
    start.limits.copy_(limits)
    return fitted


def _predicted(
    start: BaseForecast,
    data: TrainingData,
    learning: Tensor,
    stations: Tensor,
    blocks: _Blocks,
    fitted: list[list[Tensor]],
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what is said of windows of each fold by those who do not know it, and the truth, in offsets.

    Persistence ``(window, station, step)``, the regressions ``(ridge, scale, window, station, step)``, observations.
    """
    persistence, regressions, truth = [], [], []
    for fold, candidates in zip(blocks.folds, fitted, strict=False):
        own = torch.nonzero(blocks.number == fold)[:, 0]
        own = blocks.starts[own[_thinned(len(own), _PREDICTED).to(own.device)]]
        for part in own.split(32):
            window = data.record.window(part, learning)
            targets = data.targets(part, start.config.target_steps)
            persistence.append(start.persistence(window)[:, stations])
            made = torch.stack([start.regressions(window, c)[:, :, stations] for c in candidates])
            regressions.append(made.clamp(min=0.0))
            truth.append(start.linear(data.record.z[:, targets].transpose(0, 1)[:, stations]))
    return torch.cat(persistence), torch.cat(regressions, dim=2), torch.cat(truth)


class _NormalEquations(NamedTuple):
    """Sums over rows of products, in double precision: of inputs that all leads weight, of these with those of a lead, of the latter.

    ``common (input, input)``, ``cross (lead, input, own input)``, ``own (lead, own input, own input)``; ``moment (lead, input, scale)``
    of both with the targets.
    """

    common: Tensor
    cross: Tensor
    own: Tensor
    moment: Tensor

    def solve(self, ridge: float) -> Tensor:
        """Return ridge coefficients ``(scale, lead, input)``; the penalty is relative to each input's own variance.

        What the leads weight is factored once; their own inputs remain as Schur complements (Golub and Van Loan 2013, 3.2.11).
        """
        n_lead, n_common, n_own = self.cross.shape
        floor = 1e-6 * self.common.diagonal().mean()
        factor = torch.linalg.cholesky(self.common + torch.diag(ridge * self.common.diagonal() + floor))
        right = torch.cat([self.moment[:, :n_common], self.cross], dim=2).transpose(0, 1).flatten(1)
        solved = torch.cholesky_solve(right, factor).unflatten(1, (n_lead, -1)).transpose(0, 1)
        alone, across = solved.split([2, n_own], dim=2)
        penalty = torch.diag_embed(ridge * self.own.diagonal(dim1=1, dim2=2) + floor)
        left = torch.linalg.cholesky(self.own + penalty - self.cross.mT @ across)
        own = torch.cholesky_solve(self.moment[:, n_common:] - self.cross.mT @ alone, left)
        return torch.cat([alone - across @ own, own], dim=1).permute(2, 0, 1).float()


def _thinned(n: int, most: int) -> Tensor:
    """Return at most ``most`` of n positions, evenly spread."""
    return torch.linspace(0, n - 1, min(n, most)).round().long()


def _normal_equations(
    start: BaseForecast, data: TrainingData, starts: Tensor, stations: Tensor, learning: Tensor, limits: Tensor
) -> _NormalEquations:
    """Return the normal equations of windows and stations.

    ``limits (2, input)`` are widened in place to the least and the most of every input.

    A missing target counts as the network's mean anomaly at that step, or as none: all leads then share the sums of
    the common inputs.
    """
    n_common, n_own, n_target = start.n_common, start.n_per_lead, start.config.target_steps
    shapes = (
        (n_common, n_common),
        (n_target, n_common, n_own),
        (n_target, n_own, n_own),
        (n_target, n_common + n_own, 2),
    )
    sums = _NormalEquations(*(torch.zeros(shape, dtype=torch.float64, device=starts.device) for shape in shapes))
    for part in starts.split(max(1, _CHUNK // len(stations))) if len(starts) else ():
        window = data.record.window(part, learning)
        z = data.record.z[:, data.targets(part, n_target)].transpose(0, 1)
        y = start.targets(window, z)
        network_mean = torch.nan_to_num(y[:, :, learning].nanmean(dim=2, keepdim=True))
        y = torch.where(torch.isfinite(y), y, network_mean)[:, :, stations].flatten(1, 2)
        common = start.common_inputs(window)[:, stations].flatten(0, 1)
        own = start.lead_inputs(window)[:, stations].flatten(0, 1).transpose(0, 1).contiguous()
        for inputs, columns in ((common, slice(None, n_common)), (own.flatten(0, 1), slice(n_common, None))):
            if inputs.shape[-1]:
                limits[0, columns] = torch.minimum(limits[0, columns], inputs.amin(dim=0))
                limits[1, columns] = torch.maximum(limits[1, columns], inputs.amax(dim=0))
        by_lead = y.permute(2, 1, 0)
        sums.common.add_(common.T @ common)
        sums.cross.add_(common.T @ own)
        sums.own.add_(own.mT @ own)
        sums.moment[:, :n_common] += common.T @ by_lead
        sums.moment[:, n_common:] += own.mT @ by_lead
    return sums


def _lead_blocks(per_day: int, n_target: int) -> list[slice]:
    """Return the leads that share their weights: quarters of the first half day, its second half, whole days."""
    edges = [0, *(e for e in (per_day // 4, per_day // 2) if e), *range(per_day, n_target + 1, per_day)]
    return [slice(a, b) for a, b in itertools.pairwise(sorted(set(edges)))]


def _error(made: Tensor, truth: Tensor, per_day: int) -> float:
    """Return MAE plus RMSE, of a whole day's mean where the leads are one."""
    (guess,), seen = _as_scored(made[None], truth, per_day)
    error = guess - seen
    return float(error.abs().mean() + error.square().mean().sqrt()) if len(error) else 0.0


def _as_scored(parts: Tensor, truth: Tensor, per_day: int) -> tuple[Tensor, Tensor]:
    """Return estimates ``(part, n)`` and observations ``(n,)`` as they are scored: of a whole day, its mean."""
    if truth.shape[-1] == per_day > 1:
        enough = torch.isfinite(truth).sum(dim=-1) >= DATA_CAPTURE * per_day
        truth = torch.where(enough, truth.nanmean(dim=-1), torch.nan)[..., None]
        parts = parts.mean(dim=-1, keepdim=True)
    seen = torch.isfinite(truth)
    return parts[:, seen], truth[seen]


def _best_weights(parts: Tensor, truth: Tensor, per_day: int) -> Tensor:
    """Return the weights ``(3,)`` with the least MAE and RMSE, of a whole day's mean where the block is one.

    The two count alike, each relative to that of the linear regression.
    """
    parts, truth = _as_scored(parts, truth, per_day)
    best, least = torch.tensor([0.0, 1.0, 0.0]), torch.inf
    if not len(truth):
        return best.to(parts.device)
    reference = (parts[LINEAR] - truth).abs().mean(), (parts[LINEAR] - truth).square().mean().sqrt()
    for i, j in itertools.product(range(_WEIGHT_STEPS + 1), repeat=2):
        if i + j > _WEIGHT_STEPS:
            continue
        weights = torch.tensor([i, j, _WEIGHT_STEPS - i - j]) / _WEIGHT_STEPS
        error = torch.einsum("m,mn->n", weights.to(parts.device), parts) - truth
        score = float(error.abs().mean() / reference[0] + error.square().mean().sqrt() / reference[1])
        if score < least:
            best, least = weights, score
    return best.to(parts.device)
