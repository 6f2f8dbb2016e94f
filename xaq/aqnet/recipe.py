"""The trained thing: a network, and the recipe that says what it was trained on. Saved as safetensors + JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays.transforms import Scaler
from ..errors import ModelError
from ..interpolate.kriging import Covariance
from ..interpolate.trend import Geography
from ..nn.config import AQNetConfig

FORMAT = 7


@dataclass(frozen=True)
class Interval:
    """A calibrated distribution: a spread per estimate, and the quantiles of residual / spread at hidden stations.

    ``spread = (c0 + c1 * estimate + c2 * disagreement of the neighbours) * sqrt(kriging variance)``. ``quantiles`` has
    one row per target day (lead), at ``probabilities``.
    """

    coefficients: tuple[float, float, float]
    probabilities: tuple[float, ...]
    quantiles: tuple[tuple[float, ...], ...]

    def quantile(self, day: NDArray[np.intp], probability: float) -> NDArray[np.float64]:
        """Return the quantile of residual / spread at a probability for each lead day; constant beyond the outermost."""
        by_day = np.array([np.interp(probability, self.probabilities, row) for row in self.quantiles])
        return by_day[np.minimum(day, len(by_day) - 1)]


@dataclass(frozen=True)
class Recipe:
    """All that is needed beside the weights to use a model, and to say where it comes from."""

    target: str
    units: str
    step_seconds: int
    config: AQNetConfig
    scaler: Scaler
    covariance: Covariance
    log_weight: float
    climatology: tuple[float, ...]
    centre: tuple[float, float]
    residual_variance: tuple[tuple[float, float, float], ...] = ()
    interval: Interval | None = None
    covariates: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    background: dict[str, Any] | None = None
    rasters: tuple[dict[str, Any], ...] = ()
    geography: Geography | None = None
    seed: int = 0
    period: tuple[str, str] = ("", "")
    visible: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    stations_hash: str = ""
    training: dict[str, Any] = field(default_factory=dict)
    held_out_scores: list[dict[str, Any]] = field(default_factory=list)
    xaq_version: str = ""
    format: int = FORMAT

    def to_json(self) -> str:
        """Return the recipe as JSON text, keys sorted."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Rebuild a recipe; refuses a format this version does not know."""
        data = json.loads(text)
        found = data.get("format")
        if found != FORMAT:
            fix = "upgrade xaq" if isinstance(found, int) and found > FORMAT else "train it again with ds.aq.train(...)"
            raise ModelError(f"the model file has format {found}, this xaq reads {FORMAT}; fix: {fix}")
        data["config"] = AQNetConfig(**data["config"])
        data["scaler"] = Scaler.from_json(data["scaler"])
        data["covariance"] = Covariance(**data["covariance"])
        if data["interval"] is not None:
            interval = data["interval"]
            rows = tuple(tuple(row) for row in interval["quantiles"])
            data["interval"] = Interval(tuple(interval["coefficients"]), tuple(interval["probabilities"]), rows)
        data["residual_variance"] = tuple(tuple(row) for row in data["residual_variance"])
        if data["geography"] is not None:
            data["geography"] = Geography.from_json(data["geography"])
        for name in ("climatology", "centre", "covariates", "known", "period", "visible", "hidden", "rasters"):
            data[name] = tuple(data.get(name, ()))
        return cls(**data)
