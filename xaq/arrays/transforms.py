"""What the network is fed: cyclic time encoding, the scaler, the climatology. NumPy; fitted on training data only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

N_CYCLIC = 6


def cyclic_encoding(times: NDArray[np.datetime64]) -> NDArray[np.float32]:
    """Encode hour of day, day of week and day of year as points on circles.

    Each phase is a continuous function of time, so no boundary (midnight, Sunday to Monday, New Year) makes a jump.

    Parameters
    ----------
    times : (...) datetime64, UTC

    Returns
    -------
    (..., 6) float32
        sin and cos of the daily, the weekly and the yearly phase.
    """
    seconds = times.astype("datetime64[s]").astype(np.int64).astype(np.float64)
    days = seconds / 86400.0
    # 1970-01-01 was a Thursday; + 3 puts the zero of the week on Monday. The tropical year keeps seasons in place.
    phases = np.stack([days % 1.0, ((days + 3.0) / 7.0) % 1.0, (days / 365.2425) % 1.0], axis=-1)
    angle = 2.0 * np.pi * phases
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=-1).astype(np.float32)


@dataclass(frozen=True)
class Scaler:
    """Log scale of the target and z-scores, free of the unit's size.

    ``z = (log1p(max(y, 0) / offset) - mean) / std``: ``offset`` is a small fraction of the network's mean, so that the
    scale works for ug m-3 and kg m-3 alike. Covariates are standardised linearly.
    """

    offset: float
    mean: float
    std: float
    covariate_mean: tuple[float, ...] = ()
    covariate_std: tuple[float, ...] = ()

    @classmethod
    def fit(cls, values: NDArray, covariates: NDArray | None = None) -> Scaler:
        """Fit on training observations only.

        Parameters
        ----------
        values : (n_station, n_time) with NaN where missing
        covariates : (n_covariate, n_station, n_time) with NaN where missing
        """
        observed = values[np.isfinite(values)].astype(np.float64)
        offset = max(0.05 * float(np.mean(np.clip(observed, 0, None))), float(np.finfo(np.float32).tiny))
        logs = np.log1p(np.clip(observed, 0, None) / offset)
        means, stds = [], []
        for channel in () if covariates is None else covariates:
            seen = channel[np.isfinite(channel)].astype(np.float64)
            means.append(float(seen.mean()) if seen.size else 0.0)
            spread = float(seen.std()) if seen.size else 0.0
            stds.append(spread if spread > 1e-6 * abs(means[-1]) else 1.0)
        return cls(offset, float(logs.mean()), max(float(logs.std()), 1e-6), tuple(means), tuple(stds))

    def log(self, values: NDArray) -> NDArray:
        """Return the unstandardised log scale, ``log1p(max(y, 0) / offset)``."""
        return np.log1p(np.clip(values, 0, None) / self.offset)

    def exp(self, logs: NDArray) -> NDArray:
        """Return values in the target's units from the unstandardised log scale."""
        return self.offset * np.expm1(logs)

    def transform(self, values: NDArray) -> NDArray[np.float32]:
        """Return z-scores on the log scale; NaN stays NaN."""
        return ((self.log(values) - self.mean) / self.std).astype(np.float32)

    def inverse(self, z: NDArray) -> NDArray:
        """Return values in the target's units from z-scores."""
        return self.exp(z * self.std + self.mean)

    def transform_covariates(self, covariates: NDArray) -> NDArray[np.float32]:
        """Standardise covariates of shape ``(n_covariate, ...)``; NaN stays NaN."""
        shape = (-1,) + (1,) * (covariates.ndim - 1)
        mean, std = np.reshape(self.covariate_mean, shape), np.reshape(self.covariate_std, shape)
        return ((covariates - mean) / std).astype(np.float32)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Scaler:
        """Rebuild a scaler from its fields as JSON gives them: JSON knows no tuples."""
        lists = {name: tuple(data[name]) for name in ("covariate_mean", "covariate_std")}
        return cls(**{**data, **lists})


def climatology_design(times: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """Return the harmonic regressors of the climatology, shape ``(n_time, 15)``.

    Two harmonics of the year, two of the day, one of the week and the products of the first yearly and daily ones
    (the diurnal cycle of winter is not that of summer).
    """
    sin_d, sin_w, sin_y, cos_d, cos_w, cos_y = np.moveaxis(cyclic_encoding(times).astype(np.float64), -1, 0)
    second = [2 * sin_y * cos_y, 2 * cos_y**2 - 1, 2 * sin_d * cos_d, 2 * cos_d**2 - 1]
    products = [sin_d * sin_y, sin_d * cos_y, cos_d * sin_y, cos_d * cos_y]
    columns = [np.ones_like(sin_d), sin_d, cos_d, sin_w, cos_w, sin_y, cos_y, *second, *products]
    return np.stack(columns, axis=-1)


def fit_climatology(times: NDArray[np.datetime64], z: NDArray) -> NDArray[np.float64]:
    """Fit the network's climatology to z-scores.

    Parameters
    ----------
    times : (n_time,) datetime64
    z : (n_station, n_time) with NaN where missing

    Returns
    -------
    (15,) coefficients of :func:`climatology_design`, lightly damped. Of much less than a year it says nothing beyond
    the months seen.
    """
    count = np.isfinite(z).sum(axis=0)
    seen = count > 0
    mean = np.nansum(z[:, seen], axis=0) / count[seen]
    design, weight = climatology_design(times[seen]), count[seen][:, None]
    gram = design.T @ (weight * design)
    damping = 1e-3 * np.trace(gram) / len(gram) * np.eye(len(gram))
    damping[0, 0] = 0.0
    return np.linalg.solve(gram + damping, design.T @ (weight[:, 0] * mean))
