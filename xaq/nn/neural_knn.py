"""Neural kNN: local ordinary kriging whose covariance is learned, and a bounded, gated correction.

At initialisation every learned term is zero, and the module *is* ordinary kriging.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

#: How far the network may move the fitted covariance: noise by a factor of 8, range by a factor of 3, both ways.
_MAX_LOG_NOISE, _MAX_LOG_RANGE = math.log(8.0), math.log(3.0)
_LATENT = 4


class Weights(NamedTuple):
    """What the neighbours contribute to each target.

    ``weights (batch, k)`` sum to one; ``variance (batch,)`` of a new observation, relative to the sill;
    ``correction (batch,)`` multiplies the estimate by its exponential; ``gate (batch,)`` is the share of the log scale.
    """

    weights: Tensor
    variance: Tensor
    correction: Tensor
    gate: Tensor


class NeuralKNN(nn.Module):
    """Weights of the k nearest stations for a batch of (target, day).

    Parameters
    ----------
    n_features : int
        Length of a station-day's feature vector.
    n_state : int
        Length of the network's state vector.
    range_km, nugget : float
        The fitted classical covariance: where the learning starts.
    gate : float
        Share of the log scale at the start, chosen by cross-validation; 0 is ordinary kriging.
    max_correction : float
        Bound of the level correction: 0.3 lets it scale an estimate by up to exp(+-0.3).
    """

    range_km: Tensor
    nugget: Tensor
    gate_start: Tensor

    def __init__(
        self,
        *,
        n_features: int,
        n_state: int,
        range_km: float,
        nugget: float,
        gate: float,
        max_correction: float,
        hidden: int = 16,
    ) -> None:
        super().__init__()
        self.max_correction = max_correction
        for name, value in (("range_km", range_km), ("nugget", nugget), ("gate_start", gate)):
            self.register_buffer(name, torch.tensor(float(value)))
        self.noise_head = _zero_head(n_features, 1, hidden)
        self.range_head = _zero_head(n_state, 1, hidden)
        self.latent = nn.Linear(n_features, _LATENT)
        self.latent_scale = nn.Parameter(torch.zeros(()))
        # One row for the level correction, one for the gate.
        self.residual_head = _zero_head(n_features + n_state + 2, 2, hidden)

    def station_side(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each station-day brings to any target: noise ``(...)`` and latent position ``(..., 4)``."""
        noise = self.nugget * torch.exp(_MAX_LOG_NOISE * torch.tanh(self.noise_head(features)[..., 0]))
        return noise, torch.tanh(self.latent(features))

    def forward(
        self, d_target: Tensor, d_neighbours: Tensor, noise: Tensor, latent: Tensor, features: Tensor, state: Tensor
    ) -> Weights:
        """Solve the learned kriging systems.

        Parameters
        ----------
        d_target : (batch, k) km
        d_neighbours : (batch, k, k) km
        noise : (batch, k)
            Nugget of each neighbour on that day.
        latent : (batch, k, 4)
        features : (batch, k, n_features)
        state : (batch, n_state)
        """
        # Covariances and their solves need float32 even where the rest of the network runs in half precision.
        with torch.autocast(d_target.device.type, enabled=False):
            return self._weights(d_target, d_neighbours, noise.float(), latent.float(), features.float(), state.float())

    def _weights(
        self, d_target: Tensor, d_neighbours: Tensor, noise: Tensor, latent: Tensor, features: Tensor, state: Tensor
    ) -> Weights:
        reach = self.range_km * torch.exp(_MAX_LOG_RANGE * torch.tanh(self.range_head(state)))
        scale = self.latent_scale.clamp(min=0.0)
        near = torch.softmax(-d_target / reach, dim=-1)[..., None]
        latent_target = (near * latent).sum(dim=1, keepdim=True)
        norm = latent.square().sum(dim=-1)
        apart = (norm[:, :, None] + norm[:, None, :] - 2.0 * latent @ latent.mT).clamp(min=0.0)
        apart_target = (latent - latent_target).square().sum(dim=-1)
        system = torch.exp(-d_neighbours / reach[:, :, None] - scale * apart) + torch.diag_embed(noise)
        right = torch.exp(-d_target / reach - scale * apart_target)
        weights, variance = _solve(system, right)
        variance = variance + self.nugget
        seen = (weights[..., None] * features).sum(dim=1)
        context = torch.cat([seen, state, variance.log()[:, None], (d_target[:, :1] / reach).log1p()], dim=-1)
        correction, gate = self.residual_head(context).unbind(dim=-1)
        return Weights(
            weights,
            variance,
            self.max_correction * torch.tanh(correction),
            (self.gate_start + torch.tanh(gate)).clamp(0.0, 1.0),
        )


def _solve(system: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Solve batched ordinary kriging systems; the Lagrange multiplier is eliminated (Cressie 1993, section 3.2)."""
    both = torch.stack([right, torch.ones_like(right)], dim=-1)
    a, b = torch.linalg.solve(system, both).unbind(dim=-1)
    multiplier = (1.0 - a.sum(dim=-1)) / b.sum(dim=-1)
    weights = a + multiplier[:, None] * b
    return weights, (1.0 - (weights * right).sum(dim=-1) + multiplier).clamp(min=1e-6)


def _zero_head(n_in: int, n_out: int, hidden: int) -> nn.Sequential:
    """Return a small perceptron that says zero until it is trained."""
    last = nn.Linear(hidden, n_out)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(n_in, hidden), nn.GELU(), last)
