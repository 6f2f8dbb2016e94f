"""What a model says of itself: the lines of its repr."""

from __future__ import annotations

import numpy as np
import torch

from ..arrays import timesteps
from ..nn.aqnet import Network
from .recipe import Recipe


def describe(network: Network, recipe: Recipe, device: torch.device) -> tuple[str, list[tuple[str, str]]]:
    """Return the head of a model's repr, and its lines as names and texts."""
    r = recipe
    step = timesteps.step_name(np.timedelta64(r.step_seconds, "s"))
    size = sum(p.numel() for p in network.parameters())
    advected = "; neighbours are advected" if r.config.advects else ""
    lines = [
        ("trained on", f"{len(r.visible)} stations, {r.period[0]} .. {r.period[1]}, seed {r.seed}"),
        ("network", f"{size:,} parameters on {device}"),
        (
            "covariance",
            f"range {r.covariance.range_km:.3g} km, nugget {r.covariance.nugget:.2g} of the sill{advected}",
        ),
    ]
    if (score := r.training.get("score")) is not None:
        lines.append(("training", f"{_gain(score)}, at validation stations"))
    if r.covariates:
        lines.append(("covariates", ", ".join(r.covariates)))
    if r.known:
        lines.append(("known over the horizon", ", ".join(r.known)))
    lines += _trend_facts(recipe)
    lines += [
        (row["method"], f"MAE {row['mae']:.3g}, RMSE {row['rmse']:.3g} ({row['stations']})")
        for row in r.held_out_scores
        if row.get("mae") is not None and row.get("rmse") is not None
    ]
    return f"AQ-Net, {r.config.task} of {r.target} [{r.units}], step {step}", lines


def _gain(score: float) -> str:
    """Return what training gained, from the error relative to that of the first guess."""
    if score < 1:
        return f"error {100 * (1 - score):.1f} % lower than that of the classical first guess"
    return "no gain: the classical first guess is kept"


def _trend_facts(recipe: Recipe) -> list[tuple[str, str]]:
    trend, lines = recipe.trend, []
    if trend.drift:
        slopes = ", ".join(f"{term['name']} {term['slope']:+.3f}" for term in trend.drift)
        lines.append(("external drift", f"log factor per standard deviation of {slopes}"))
    if trend.site_effect is not None:
        slopes = ", ".join(f"{name} {slope:+.3f}" for name, slope in trend.site_effect.describe().items())
        lines.append(("site effect", f"log factor per standard deviation of {slopes}"))
    if trend.background is not None:
        field = trend.background
        lines.append(("background", f"{field['name']} [{field['units']}], slope {field['slope']:g}"))
    return lines
