"""Scores of estimates against observations: error, bias, and how good the distribution is."""

from __future__ import annotations

import numpy as np
import xarray as xr
import xskillscore as xs
from numpy.typing import NDArray

from ..conventions import QUANTILE
from ..cube.request import interval_probabilities

_COLUMNS = ["mae", "rmse", "r2", "bias", "crps", "coverage", "width", "n"]
#: Probabilities of the twenty equally weighted quantiles that represent a distribution in its CRPS.
_ENSEMBLE = tuple(((np.arange(20) + 0.5) / 20).tolist())


def scores(made: xr.Dataset, truth: xr.DataArray) -> dict[str, float]:
    """Return MAE, RMSE, R2, bias, CRPS, coverage and width of estimates, pooled over all observations.

    Parameters
    ----------
    made : xarray.Dataset
        ``<target>`` and, where there is a distribution, its ``_lower``, ``_upper`` and ``_crps``, on the dims of ``truth``.
    truth : xarray.DataArray
        Observations, NaN where missing; its name is the target.

    Returns
    -------
    dict
        ``mae, rmse, r2, bias, crps, coverage, width, n``; NaN where there is nothing to score.
    """
    target = str(truth.name)
    a = made[target].transpose(*truth.dims)
    dims = list(truth.dims)
    flat = truth.where(np.isfinite(a))
    guess = a.where(np.isfinite(flat))
    n = int(np.isfinite(flat).sum())
    if not n:
        return {**dict.fromkeys(_COLUMNS, np.nan), "n": 0}
    result = {
        "mae": float(xs.mae(guess, flat, dim=dims, skipna=True)),
        "rmse": float(xs.rmse(guess, flat, dim=dims, skipna=True)),
        "r2": float(xs.r2(flat, guess, dim=dims, skipna=True)) if n > 1 else np.nan,
        "bias": float(xs.me(guess, flat, dim=dims, skipna=True)),
        "crps": np.nan,
        "coverage": np.nan,
        "width": np.nan,
        "n": n,
    }
    if f"{target}_crps" in made:
        lower, upper = made[f"{target}_lower"], made[f"{target}_upper"]
        counted = np.isfinite(flat)
        result["crps"] = float(made[f"{target}_crps"].where(counted).mean())
        result["coverage"] = float(((flat >= lower) & (flat <= upper)).sum() / n)
        result["width"] = float((upper - lower).where(counted).mean())
    return result


def score_probabilities(level: float) -> tuple[float, ...]:
    """Return the probabilities of the quantiles that scores need: the two bounds of the interval, then the ensemble."""
    return *interval_probabilities(level), *_ENSEMBLE


def with_crps(fields: xr.Dataset, truth: xr.DataArray) -> xr.Dataset:
    """Return what :func:`scores` reads - value, bounds, CRPS - from the quantiles at :func:`score_probabilities`. Lazy where these are."""
    target = str(truth.name)
    made = fields[[target]]
    if f"{target}_quantile" not in fields:
        return made
    quantiles = fields[f"{target}_quantile"]
    bounds = {f"{target}_{side}": quantiles.isel({QUANTILE: i}, drop=True) for i, side in enumerate(("lower", "upper"))}
    return made.assign({**bounds, f"{target}_crps": _crps(quantiles.isel({QUANTILE: slice(2, None)}), truth)})


def ensemble_crps(members: NDArray, truth: NDArray) -> NDArray[np.float64]:
    """Return the CRPS of members ``(member, ...)`` for each observation ``(...)``; NaN where any is NaN.

    Hersbach (2000), Weather and Forecasting 15: the CRPS of the members' empirical distribution.
    """
    ordered = np.sort(members, axis=0)
    probability = ((np.arange(len(ordered)) + 0.5) / len(ordered)).reshape(-1, *[1] * truth.ndim)
    error = truth - ordered
    return 2 * (error * (probability - (error < 0))).mean(axis=0)


def _crps(ensemble: xr.DataArray, truth: xr.DataArray) -> xr.DataArray:
    """Return the CRPS of each observation: twice the mean quantile loss, which is the CRPS of the quantiles as an ensemble.

    Equal to ``xskillscore.crps_ensemble``, which warns wherever an ensemble is missing and needs several times the memory.
    """
    probability = xr.DataArray(np.array(_ENSEMBLE, np.float32), dims=QUANTILE)
    error = truth - ensemble
    return 2 * (error * (probability - (error < 0))).mean(QUANTILE, skipna=False)
