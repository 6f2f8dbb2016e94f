"""What a model says of itself: the lines of its repr."""

from __future__ import annotations

import numpy as np
import torch

from ..arrays import timesteps
from ..conventions import common_units
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
            f"range {_km_text(r.covariance.range_km)} km, nugget {r.covariance.nugget:.2g} of the sill{advected}",
        ),
    ]
    lines += _gain(r)
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
    return f"AQ-Net, {r.config.task} of {r.target} [{common_units(r.units)}], step {step}", lines


def _km_text(km: float) -> str:
    """Return a distance to three digits, without a power of ten: ``"1,320"``."""
    return f"{float(f'{km:.3g}'):,g}"


def _gain(recipe: Recipe) -> list[tuple[str, str]]:
    """Return what the whole model gains over kriging, and what its network adds to the classical first guess."""
    found, lines = recipe.training, []
    if "kriging_mae" in found:
        mae, rmse = (_relative(found[f"analysis_{score}"], found[f"kriging_{score}"]) for score in ("mae", "rmse"))
        lines.append(("gain", f"MAE {mae} and RMSE {rmse} than those of kriging, at validation stations"))
    if (score := found.get("score")) is not None:
        first_guess = "classical first guess" if recipe.config.task == "analysis" else "base forecast"
        adds = f"error {_relative(score, 1.0)} than that of the {first_guess}, at validation stations"
        lines.append(("training", adds if score < 1 else f"the network adds nothing: the {first_guess} is kept"))
    return lines


def _relative(error: float, reference: float) -> str:
    """Return by how much an error is lower or higher than another, in words."""
    change = 100 * (error / reference - 1.0) if reference else 0.0
    return f"{abs(change):.1f} % {'higher' if change > 0 else 'lower'}"


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
        lines.append(("background", f"{field['name']} [{common_units(field['units'])}], slope {field['slope']:g}"))
    return lines
