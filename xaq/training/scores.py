"""Scores in torch: MAE and RMSE, pooled over batches, relative to a reference, and of daily means."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

from ..arrays import timesteps


def mae_and_rmse(error: Tensor) -> Tensor:
    """Return the mean absolute and the root-mean-square error.

    Parameters
    ----------
    error : (..., n)
        Estimate minus observation, without NaN.

    Returns
    -------
    Tensor, (2, ...)
        MAE, then RMSE, each over the last dimension.
    """
    return torch.stack([error.abs().mean(dim=-1), error.square().mean(dim=-1).sqrt()])


def error_sums(error: Tensor) -> Tensor:
    """Return the sums that MAE and RMSE are made of, so that batches can be pooled by adding them.

    Parameters
    ----------
    error : Tensor
        Estimate minus observation, of any shape; NaN where not observed.

    Returns
    -------
    Tensor, (3,)
        Sum of absolute errors, sum of squared errors, number of observations.
    """
    seen = torch.isfinite(error)
    error = torch.where(seen, error, 0.0)
    return torch.stack([error.abs().sum(), error.square().sum(), seen.sum().to(error.dtype)])


def pooled_mae_and_rmse(sums: Tensor) -> Tensor:
    """Return MAE and RMSE from sums of errors.

    Parameters
    ----------
    sums : (kind, 3)
        Each row from :func:`error_sums`. Rows without observations are left out.

    Returns
    -------
    Tensor, (2 kinds,)
        The MAE of each kind, then the RMSE of each.
    """
    sums = sums[sums[:, 2] > 0]
    return torch.cat([sums[:, 0] / sums[:, 2], (sums[:, 1] / sums[:, 2]).sqrt()])


def relative_score(errors: Tensor, reference: Tensor) -> Tensor:
    r"""Return the mean ratio of errors to those of a reference: 1 is as good as the reference, less is better.

    .. math:: \text{score} = \overline{\text{error} / \text{error}_\text{ref}}

    Parameters
    ----------
    errors : (m, ...)
        MAE and RMSE, of one or several kinds.
    reference : (m, ...)
        Those of the reference, broadcast against ``errors``.

    Returns
    -------
    Tensor, (...)
    """
    return (errors / reference).mean(dim=0)


def daily_means(forecast: Tensor, truth: Tensor, steps_per_day: int) -> tuple[Tensor, Tensor]:
    """Return daily means of a forecast and of observations.

    Parameters
    ----------
    forecast, truth : (..., step)
        Whole days; ``truth`` is NaN where not observed. Leading dimensions may differ.
    steps_per_day : int

    Returns
    -------
    forecast, truth : (..., day)
        The mean observation is NaN on days with a data capture below 75 %.
    """
    forecast, days = (rearrange(v, "... (d h) -> ... d h", h=steps_per_day) for v in (forecast, truth))
    enough = torch.isfinite(days).sum(dim=-1) >= timesteps.DATA_CAPTURE * steps_per_day
    return forecast.mean(dim=-1), torch.where(enough, days.nanmean(dim=-1), torch.nan)
