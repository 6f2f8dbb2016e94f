"""Transforms of what the network reads: cyclic time, the log scale, standardisation, the harmonic climatology."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Channels of :func:`cyclic_encoding`.
N_CYCLIC = 6
#: The offset of the log scale, relative to the network's mean concentration.
_RELATIVE_OFFSET = 0.05
#: Columns of :func:`climatology_design` with the phase of the year, and the least time from the first to the last report: a year.
_YEARLY, _LEAST = [5, 6, 7, 8, 11, 12, 13, 14], np.timedelta64(364, "D")


def cyclic_encoding(times: NDArray[np.datetime64]) -> NDArray[np.float32]:
    """Encode hour of day, day of week and day of year as points on circles.

    Each phase is a continuous function of time: midnight, the end of a week and New Year make no jump.

    Parameters
    ----------
    times : (...) datetime64, UTC

    Returns
    -------
    (..., 6) float32
        Sines of the daily, weekly and yearly phase, then their cosines.
    """
    seconds = times.astype("datetime64[s]").astype(np.int64).astype(np.float64)
    days = seconds / 86400.0
    # 1970-01-01 was a Thursday: + 3 starts the week on Monday. With the Gregorian year, the phase stays with the seasons.
    phases = np.stack([days % 1.0, ((days + 3.0) / 7.0) % 1.0, (days / 365.2425) % 1.0], axis=-1)
    angle = 2.0 * np.pi * phases
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=-1).astype(np.float32)


def to_log(values: NDArray, offset: float | NDArray) -> NDArray:
    r"""Return values on the log scale.

    .. math:: \log(1 + y / o)

    Parameters
    ----------
    values : (...), the target's units
        Above ``-offset``; NaN stays NaN.
    offset : float or array that broadcasts with ``values``, the target's units
    """
    return np.log1p(values / offset)


def from_log(logs: NDArray, offset: float | NDArray) -> NDArray:
    """Return values in the units of ``offset`` from the log scale: the inverse of :func:`to_log`."""
    return offset * np.expm1(logs)


@dataclass(frozen=True)
class Scaler:
    r"""The log scale of the target, standardised; covariates are standardised linearly.

    .. math:: z = \frac{\log(1 + y^+ / o) - \mu_z}{\sigma_z}, \qquad y^+ = \max(y, 0)

    Attributes
    ----------
    offset : float, the target's units
        A small fraction of the network's mean, so that z does not depend on the unit.
    mean, std : float
        Of the log scale.
    covariate_mean, covariate_std : tuple of float, the covariates' units
        One for each covariate.
    """

    offset: float
    mean: float
    std: float
    covariate_mean: tuple[float, ...] = ()
    covariate_std: tuple[float, ...] = ()

    @classmethod
    def fit(cls, values: NDArray, covariates: NDArray | None = None) -> Scaler:
        """Fit the scaler; pass training observations only.

        Parameters
        ----------
        values : (n_station, n_time), NaN where missing
        covariates : (n_covariate, n_station, n_time), NaN where missing
        """
        observed = np.clip(values[np.isfinite(values)].astype(np.float64), 0, None)
        offset = max(_RELATIVE_OFFSET * float(np.mean(observed)), float(np.finfo(np.float32).tiny))
        logs = to_log(observed, offset)
        means, stds = [], []
        for channel in () if covariates is None else covariates:
            seen = channel[np.isfinite(channel)].astype(np.float64)
            means.append(float(seen.mean()) if seen.size else 0.0)
            spread = float(seen.std()) if seen.size else 0.0
            stds.append(spread if spread > 1e-6 * abs(means[-1]) else 1.0)
        return cls(offset, float(logs.mean()), max(float(logs.std()), 1e-6), tuple(means), tuple(stds))

    def log(self, values: NDArray) -> NDArray:
        """Return values on the log scale, before standardisation; negative values count as 0."""
        return to_log(np.clip(values, 0, None), self.offset)

    def exp(self, logs: NDArray) -> NDArray:
        """Return values in the target's units from the log scale before standardisation."""
        return from_log(logs, self.offset)

    def transform(self, values: NDArray) -> NDArray[np.float32]:
        """Return z; NaN stays NaN."""
        return ((self.log(values) - self.mean) / self.std).astype(np.float32)

    def inverse(self, z: NDArray) -> NDArray:
        """Return values in the target's units from z."""
        return self.exp(z * self.std + self.mean)

    def transform_covariates(self, covariates: NDArray) -> NDArray[np.float32]:
        """Return covariates ``(n_covariate, ...)`` less their mean, over their standard deviation; NaN stays NaN."""
        shape = (-1,) + (1,) * (covariates.ndim - 1)
        mean, std = np.reshape(self.covariate_mean, shape), np.reshape(self.covariate_std, shape)
        return ((covariates - mean) / std).astype(np.float32)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Scaler:
        """Rebuild a scaler from its fields as JSON returns them, with lists in place of tuples."""
        lists = {name: tuple(data[name]) for name in ("covariate_mean", "covariate_std")}
        return cls(**{**data, **lists})


def climatology_design(times: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """Return the harmonic regressors of the climatology, ``(n_time, 15)``.

    A constant, two harmonics of the year, two of the day, one of the week, and the products of the first yearly with the
    first daily ones: the diurnal cycle differs between winter and summer.
    """
    sin_d, sin_w, sin_y, cos_d, cos_w, cos_y = np.moveaxis(cyclic_encoding(times).astype(np.float64), -1, 0)
    second = [2 * sin_y * cos_y, 2 * cos_y**2 - 1, 2 * sin_d * cos_d, 2 * cos_d**2 - 1]
    products = [sin_d * sin_y, sin_d * cos_y, cos_d * sin_y, cos_d * cos_y]
    columns = [np.ones_like(sin_d), sin_d, cos_d, sin_w, cos_w, sin_y, cos_y, *second, *products]
    return np.stack(columns, axis=-1)


def fit_climatology(times: NDArray[np.datetime64], z: NDArray) -> NDArray[np.float64]:
    """Fit the network's climatology: a ridge regression of the mean over stations on :func:`climatology_design`.

    Less than a year does not show the course of the year: harmonics fitted to it would go astray in the months that were not
    seen. The climatology then has the course of the day and of the week alone.

    Parameters
    ----------
    times : (n_time,) datetime64, UTC
    z : (n_station, n_time), NaN where missing

    Returns
    -------
    (15,) float64
        Coefficients of the design; those of the year are zero where less than a year is observed.
    """
    count = np.isfinite(z).sum(axis=0)
    seen = count > 0
    mean = np.nansum(z[:, seen], axis=0) / count[seen]
    design, weight = climatology_design(times[seen]), count[seen][:, None]
    if times[seen][-1] - times[seen][0] < _LEAST:
        design[:, _YEARLY] = 0.0
    gram = design.T @ (weight * design)
    damping = 1e-3 * np.trace(gram) / len(gram) * np.eye(len(gram))
    damping[0, 0] = 0.0
    return np.linalg.solve(gram + damping, design.T @ (weight[:, 0] * mean))
