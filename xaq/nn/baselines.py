"""Baselines of the forecast. Each maps a window to z-scores ``(window, station, target_step)``."""

from __future__ import annotations

from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from ..arrays.transforms import N_CYCLIC
from .base_forecast import LINEAR, LOG, BaseForecast
from .config import AQNetConfig
from .window import Window, with_mask


class RegressionBaseline(nn.Module):
    """One of the two linear regressions of the base forecast, alone.

    Parameters
    ----------
    base_forecast : BaseForecast
        Fitted.
    scale : {"linear", "log"}
    """

    def __init__(self, base_forecast: BaseForecast, scale: str) -> None:
        super().__init__()
        self.base_forecast = base_forecast
        self.row = {"linear": LINEAR, "log": LOG}[scale] - LINEAR

    def forward(self, window: Window) -> Tensor:
        """Return the forecast."""
        base = self.base_forecast
        return base.z_scores(base.regressions(window, base.coefficients)[self.row])


class LSTMBaseline(nn.Module):
    """One LSTM over history and horizon, with the target masked in the horizon; a linear layer makes each patch of steps."""

    def __init__(self, config: AQNetConfig) -> None:
        super().__init__()
        self.config = config
        n_channels = 2 + 2 * config.n_covariates + N_CYCLIC
        self.embed = nn.Linear(config.patch * n_channels, config.hidden)
        self.lstm = nn.LSTM(config.hidden, config.hidden, num_layers=config.lstm_layers, batch_first=True)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.hidden, config.patch)

    def forward(self, window: Window) -> Tensor:
        """Return the forecast."""
        n_window, n_station, n_target = *window.z.shape[:2], self.config.target_steps
        blank = window.z.new_full((n_window, n_station, n_target, 1), torch.nan)
        unknown = blank.expand(-1, -1, -1, self.config.n_covariates - self.config.n_known)
        history = torch.cat([window.z[..., None], window.covariates], dim=-1)
        horizon = torch.cat([blank, unknown, window.known], dim=-1)
        calendar = torch.cat([window.cyclic, window.cyclic_horizon], dim=1)[:, None].expand(-1, n_station, -1, -1)
        steps = torch.cat([with_mask(torch.cat([history, horizon], dim=2)), calendar], dim=-1)
        patches = rearrange(steps, "w s (n p) c -> (w s) n (p c)", p=self.config.patch)
        memory, _ = self.lstm(self.dropout(nn.functional.gelu(self.embed(patches))))
        made = self.head(self.dropout(memory[:, -n_target // self.config.patch :]))
        return rearrange(made, "(w s) n p -> w s (n p)", w=n_window)


class PatchTSTBaseline(nn.Module):
    """PatchTST (Nie et al., ICLR 2023) over the history of the target.

    PatchTST treats channels independently, so covariates would not change the forecast of the target and are left out.

    Raises
    ------
    ImportError
        The package transformers is not installed.
    """

    def __init__(self, config: AQNetConfig) -> None:
        super().__init__()
        try:
            from transformers import PatchTSTConfig, PatchTSTForPrediction
        except ImportError as error:
            raise ImportError("PatchTST needs transformers; fix: pip install 'transformers>=5'") from error
        # Patches of a day that overlap by half; of daily data, of two days.
        patch = min(max(config.steps_per_day, 2), config.input_steps - 1)
        self.model: Any = PatchTSTForPrediction(
            PatchTSTConfig(
                num_input_channels=1,
                context_length=config.input_steps,
                prediction_length=config.target_steps,
                patch_length=patch,
                patch_stride=max(1, patch // 2),
                d_model=64,
                num_attention_heads=4,
                num_hidden_layers=2,
                ffn_dim=128,
                dropout=0.2,
                head_dropout=0.2,
            )
        )

    def forward(self, window: Window) -> Tensor:
        """Return the forecast."""
        n_window = len(window.z)
        series = rearrange(window.z, "w s t -> (w s) t 1")
        seen = torch.isfinite(series)
        filled = torch.where(seen, series, 0.0)
        made = self.model(past_values=filled, past_observed_mask=seen).prediction_outputs
        return rearrange(made, "(w s) t 1 -> w s t", w=n_window)
