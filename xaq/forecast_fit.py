"""Fitting a forecast's start: ridge regressions on the learning windows, strength and shares on the validation windows."""

from __future__ import annotations

import itertools
from dataclasses import replace

import torch
from torch import Tensor

from .folds import VALIDATION, TrainingData
from .nn.aqnet import AQNet, Window
from .nn.start import LINEAR, ForecastStart
from .windows import DAY_SHARE

#: Ridge strengths tried, relative to each regressor's own variance.
_RIDGES = (1e-3, 1e-2, 1e-1)
#: Windows x stations per group of init hours beyond which more teach nothing that is worth their time.
_ROWS, _STATIONS = 8000, 40
#: Rows of the normal equations summed at once in single precision; the sums themselves are in double.
_CHUNK = 512
_SHARE_STEPS = 10


#: Starts kept for learning: windows, and values in all (160 MB).
_KEPT_WINDOWS, _KEPT_VALUES = 4000, 40_000_000


@torch.no_grad()
def fit_start(network: AQNet, data: TrainingData) -> TrainingData:
    """Fit the start of a forecast in place: coefficients, then the shares of persistence and the two scales per lead.

    Coefficients come from the learning windows and stations; the ridge strength of each scale and the shares are those
    with the least error on the validation windows.

    Returns
    -------
    TrainingData
        With the start of (at most so many) learning windows as ``starts``, made once for all epochs. Of an analysis:
        the data as they are.
    """
    if network.config.task != "forecast":
        return data
    start = network.start
    learning = torch.ones(len(data.truth), dtype=torch.bool, device=data.truth.device)
    learning[data.folds[VALIDATION].targets] = False
    candidates = _coefficients(start, data, learning)
    windows = [data.record.window(part, learning) for part in data.validation_starts.split(32)]
    targets = data.targets(data.validation_starts, start.config.target_steps)
    truth = start.linear(data.record.z[:, targets].transpose(0, 1)[:, learning])
    regressions = []
    for scale in range(2):
        tried = [_regression(start, windows, c, learning)[scale] for c in candidates]
        best = min(range(len(tried)), key=lambda i: _error(tried[i], truth))
        start.coefficients[scale] = candidates[best][scale]
        regressions.append(tried[best])
    persistence = torch.cat([start.persistence(w)[:, learning] for w in windows])
    parts = torch.stack([persistence, *regressions])
    for block in _blocks(start.config.steps_per_day, start.config.target_steps):
        start.shares[:, block] = _best_shares(parts[..., block], truth[..., block], start.config.steps_per_day)[:, None]
    return _with_starts(start, data, learning)


@torch.no_grad()
def fit_share(network: AQNet, data: TrainingData) -> None:
    """Fit the share of the network's own forecast per lead in place, to the least error on the validation windows."""
    config = network.config
    network.eval()
    learning = torch.ones(len(data.truth), dtype=torch.bool, device=data.truth.device)
    learning[data.folds[VALIDATION].targets] = False
    targets = data.targets(data.validation_starts, config.target_steps)
    truth = network.start.linear(data.record.z[:, targets].transpose(0, 1)[:, learning])
    made = []
    for tenths in range(_SHARE_STEPS + 1):
        network.share.fill_(tenths / _SHARE_STEPS)
        windows = (data.record.window(part, learning) for part in data.validation_starts.split(32))
        z_hats = [z for w in windows if (z := network.station_side(w).z_hat) is not None]
        made.append(network.start.linear(torch.cat(z_hats)[:, learning]).clamp(min=0.0))
    for block in _blocks(config.steps_per_day, config.target_steps):
        guesses, seen = _as_scored(torch.stack(made)[..., block], truth[..., block], config.steps_per_day)
        if len(seen):
            mae, rmse = (guesses - seen).abs().mean(dim=-1), (guesses - seen).square().mean(dim=-1).sqrt()
            network.share[block] = (mae / mae[0] + rmse / rmse[0]).argmin() / _SHARE_STEPS


def _with_starts(start: ForecastStart, data: TrainingData, learning: Tensor) -> TrainingData:
    """Return the data with evenly spread learning windows and their starts."""
    per_window = len(data.truth) * start.config.target_steps
    most = max(32, min(_KEPT_WINDOWS, _KEPT_VALUES // per_window))
    kept = data.train_starts[_thinned(len(data.train_starts), most).to(data.train_starts.device)]
    made = torch.cat([start(data.record.window(part, learning)) for part in kept.split(32)])
    return replace(data, train_starts=kept, starts=made)


def _regression(start: ForecastStart, windows: list[Window], coefficients: Tensor, learning: Tensor) -> Tensor:
    made = torch.cat([start.regressions(w, coefficients) for w in windows], dim=1)
    return made[:, :, learning].clamp(min=0.0)


def _coefficients(start: ForecastStart, data: TrainingData, learning: Tensor) -> list[Tensor]:
    """Return the coefficients of every ridge strength, each shaped as the module's."""
    limits = start.limits.flip(0).clone()
    candidates = [torch.zeros_like(start.coefficients) for _ in _RIDGES]
    stations = torch.nonzero(learning)[:, 0]
    stations = stations[_thinned(len(stations), _STATIONS).to(stations.device)]
    group = torch.cat([start.group(data.record.window(p, learning)) for p in data.train_starts.split(256)])
    for g in range(start.n_groups):
        own = data.train_starts[group == g]
        own = own[_thinned(len(own), max(100, _ROWS // len(stations))).to(own.device)]
        gram, moment = _normal_equations(start, data, own, stations, learning, limits)
        for ridge, candidate in zip(_RIDGES, candidates, strict=True):
            candidate[:, g] = _solve(gram, moment, ridge)
    start.limits.copy_(limits)
    return candidates


def _solve(gram: Tensor, moment: Tensor, ridge: float) -> Tensor:
    """Return ridge coefficients ``(scale, lead, input)``; the penalty is relative to each input's own variance."""
    diagonal = gram.diagonal(dim1=-2, dim2=-1)
    floor = 1e-6 * diagonal.mean(dim=-1, keepdim=True)
    factor = torch.linalg.cholesky(gram + torch.diag_embed(ridge * diagonal + floor))
    solved = torch.cholesky_solve(moment, factor)
    return solved.permute(2, 0, 1).float()


def _thinned(n: int, most: int) -> Tensor:
    """Return at most ``most`` of n positions, evenly spread."""
    return torch.linspace(0, n - 1, min(n, most)).round().long()


def _normal_equations(
    start: ForecastStart, data: TrainingData, starts: Tensor, stations: Tensor, learning: Tensor, limits: Tensor
) -> tuple[Tensor, Tensor]:
    """Return Gram matrices ``(lead, input, input)`` and moments ``(lead, input, scale)`` in double precision.

    ``limits (2, input)`` are widened in place to the least and the most of every input.

    A missing target counts as the network's mean anomaly at that step, or as none: all leads then share the Gram matrix
    of the common inputs.
    """
    n_common, n_lead, n_target = start.n_common, start.n_per_lead, start.config.target_steps
    n = n_common + n_lead
    gram = torch.zeros(n_target, n, n, dtype=torch.float64, device=starts.device)
    moment = torch.zeros(n_target, n, 2, dtype=torch.float64, device=starts.device)
    for part in starts.split(max(1, _CHUNK // len(stations))):
        window = data.record.window(part, learning)
        z = data.record.z[:, data.targets(part, n_target)].transpose(0, 1)
        y = start.targets(window, z)
        network_mean = torch.nan_to_num(y[:, :, learning].nanmean(dim=2, keepdim=True))
        y = torch.where(torch.isfinite(y), y, network_mean)[:, :, stations].flatten(1, 2)
        common = start.common_inputs(window)[:, stations].flatten(0, 1)
        lead = start.lead_inputs(window)[:, stations].flatten(0, 1).transpose(0, 1).contiguous()
        for inputs, columns in ((common, slice(None, n_common)), (lead.flatten(0, 1), slice(n_common, None))):
            if inputs.shape[-1]:
                limits[0, columns] = torch.minimum(limits[0, columns], inputs.amin(dim=0))
                limits[1, columns] = torch.maximum(limits[1, columns], inputs.amax(dim=0))
        by_lead = y.permute(2, 1, 0)
        gram[:, :n_common, :n_common] += (common.T @ common).double()
        moment[:, :n_common] += (common.T @ by_lead).double()
        if n_lead:
            cross = (common.T @ lead).double()
            gram[:, :n_common, n_common:] += cross
            gram[:, n_common:, :n_common] += cross.mT
            gram[:, n_common:, n_common:] += (lead.mT @ lead).double()
            moment[:, n_common:] += (lead.mT @ by_lead).double()
    return gram, moment


def _blocks(per_day: int, n_target: int) -> list[slice]:
    """Return the leads that share their shares: quarters of the first half day, its second half, whole days."""
    edges = [0, *(e for e in (per_day // 4, per_day // 2) if e), *range(per_day, n_target + 1, per_day)]
    return [slice(a, b) for a, b in itertools.pairwise(sorted(set(edges)))]


def _error(made: Tensor, truth: Tensor) -> float:
    """Return MAE plus RMSE."""
    seen = torch.isfinite(truth)
    error = (made - truth)[seen]
    return float(error.abs().mean() + error.square().mean().sqrt()) if len(error) else 0.0


def _as_scored(parts: Tensor, truth: Tensor, per_day: int) -> tuple[Tensor, Tensor]:
    """Return estimates ``(part, n)`` and observations ``(n,)`` as they are scored: of a whole day, its mean."""
    if truth.shape[-1] == per_day > 1:
        enough = torch.isfinite(truth).sum(dim=-1) >= DAY_SHARE * per_day
        truth = torch.where(enough, truth.nanmean(dim=-1), torch.nan)[..., None]
        parts = parts.mean(dim=-1, keepdim=True)
    seen = torch.isfinite(truth)
    return parts[:, seen], truth[seen]


def _best_shares(parts: Tensor, truth: Tensor, per_day: int) -> Tensor:
    """Return the shares ``(3,)`` with the least MAE and RMSE, of a whole day's mean where the block is one.

    The two count alike, each relative to that of the linear regression.
    """
    parts, truth = _as_scored(parts, truth, per_day)
    best, least = torch.tensor([0.0, 1.0, 0.0]), torch.inf
    if not len(truth):
        return best.to(parts.device)
    reference = (parts[LINEAR] - truth).abs().mean(), (parts[LINEAR] - truth).square().mean().sqrt()
    for i, j in itertools.product(range(_SHARE_STEPS + 1), repeat=2):
        if i + j > _SHARE_STEPS:
            continue
        shares = torch.tensor([i, j, _SHARE_STEPS - i - j]) / _SHARE_STEPS
        error = torch.einsum("m,mn->n", shares.to(parts.device), parts) - truth
        score = float(error.abs().mean() / reference[0] + error.square().mean().sqrt() / reference[1])
        if score < least:
            best, least = shares, score
    return best.to(parts.device)
