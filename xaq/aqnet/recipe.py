"""The recipe of a model: what it was trained on, what was fitted before the network, and what it scored."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays.transforms import Scaler
from ..interpolate.error_covariance import ErrorCovariance
from ..interpolate.kriging import Covariance
from ..interpolate.trend import TrendRecord
from ..nn.aqnet import Network, build_network
from ..nn.config import AQNetConfig

#: Version of the model's file; a file of another version is refused.
FORMAT = 12


@dataclass(frozen=True)
class Interval:
    r"""A calibrated distribution: a spread for each estimate, and quantiles of residual / spread.

    The quantiles are those at stations hidden in turn; there is one row for each target day (lead day of a forecast).

    .. math:: (\zeta_0 + \zeta_1 \hat y^+ + \zeta_2 \sigma_w) \sqrt{v + \big(\sum_i w_i \sqrt{u_i}\big)^2}

    Attributes
    ----------
    coefficients : tuple of float
        :math:`\zeta`; of a constant, the estimate, and the disagreement :math:`\sigma_w` of the neighbours.
    probabilities : tuple of float
        At which quantiles are known.
    quantiles : tuple of tuple of float
        Rows are target days, columns probabilities.
    """

    coefficients: tuple[float, float, float]
    probabilities: tuple[float, ...]
    quantiles: tuple[tuple[float, ...], ...]

    def quantile(self, day: NDArray[np.intp], probability: float) -> NDArray[np.float64]:
        """Return the quantile of residual / spread for each lead day; constant beyond the outermost probabilities."""
        by_day = np.array([np.interp(probability, self.probabilities, row) for row in self.quantiles])
        return by_day[np.minimum(day, len(by_day) - 1)]


@dataclass(frozen=True)
class Recipe:
    """All that is needed beside the weights to use a model, and to say where it comes from.

    Attributes
    ----------
    target, units, step_seconds
        Variable, its units, and the step of the data.
    config : AQNetConfig
        Hyper-parameters.
    scaler, covariance, log_weight, climatology, centre
        Fitted before the network: log scale, covariance, mixture weight of the log scale over the whole period,
        coefficients of the climatology, longitude and latitude of the network's centre.
    residual_variance : tuple of (lon, lat, variance)
        Climatological residual variance of each station.
    interval : Interval, optional
        None before calibration.
    error_covariance : ErrorCovariance, optional
        How errors hang together in space and time; None before calibration, or where too few are known.
    covariates, known : tuple of str
        Other variables that the network reads; ``known`` ones over a forecast's horizon too.
    trend : TrendRecord
        Background, external drift and site effect.
    seed, period, visible, hidden, stations_hash, training, held_out_scores, mean_scores, xaq_version
        Where the model comes from; ``mean_scores`` are those of means of days, months and years.
    format : int
        Version of the file.
    """

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
    error_covariance: ErrorCovariance | None = None
    covariates: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    trend: TrendRecord = field(default_factory=TrendRecord)
    seed: int = 0
    period: tuple[str, str] = ("", "")
    visible: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    stations_hash: str = ""
    training: dict[str, Any] = field(default_factory=dict)
    held_out_scores: list[dict[str, Any]] = field(default_factory=list)
    mean_scores: list[dict[str, Any]] = field(default_factory=list)
    xaq_version: str = ""
    format: int = FORMAT

    @property
    def learned(self) -> bool:
        """Whether training gained anything; otherwise the weights are those of the classical first guess."""
        return float(self.training.get("score", 1.0)) < 1.0

    def to_json(self) -> str:
        """Return the recipe as JSON text, keys sorted."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Recipe:
        """Rebuild a recipe from its fields as JSON gives them; :func:`xaq.aqnet.header.recipe_of` checks them before."""
        data = dict(data)
        data["config"] = AQNetConfig(**data["config"])
        data["scaler"] = Scaler.from_json(data["scaler"])
        data["covariance"] = Covariance(**data["covariance"])
        data["trend"] = TrendRecord.from_json(data["trend"])
        if data["interval"] is not None:
            interval = data["interval"]
            rows = tuple(tuple(row) for row in interval["quantiles"])
            data["interval"] = Interval(tuple(interval["coefficients"]), tuple(interval["probabilities"]), rows)
        if data["error_covariance"] is not None:
            data["error_covariance"] = ErrorCovariance.from_json(data["error_covariance"])
        data["residual_variance"] = tuple(tuple(row) for row in data["residual_variance"])
        for name in ("climatology", "centre", "covariates", "known", "period", "visible", "hidden"):
            data[name] = tuple(data[name])
        return cls(**data)


def untrained_network(recipe: Recipe) -> Network:
    """Return the network of a recipe before any training: the classical method that it starts from."""
    r = recipe
    return build_network(
        r.config, range_km=r.covariance.range_km, nugget=r.covariance.nugget,
        log_weight=r.log_weight, centre=r.centre, log_mean=r.scaler.mean, log_std=r.scaler.std,
    )  # fmt: skip
