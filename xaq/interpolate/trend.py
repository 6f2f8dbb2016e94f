"""What a place is, from public data inside the package: the people around it, and its altitude. NumPy and SciPy only.

Stations at a place that is busier, or higher, than its neighbours' have other levels than these let expect, lastingly. As in
land-use regression, few numbers say by how much: a ridge regression on the stations' lasting errors. What a mapper then
sees is the ratio of observation to that level.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from . import leave_one_out
from .base import Observations
from .leave_one_out import LeaveOneOut
from .site_predictors import FEATURES, features, table

#: The level of a place lies within exp(+-this) of the network's.
_MAX_LOG_LEVEL = 0.3
#: Strength of the ridge, in stations: so many with differences of one standard deviation halve what is believed.
_RIDGE = 20.0
#: More reports than this, of those that lasting errors are made from, do not make a station's surer.
_ENOUGH_REPORTS = 500
#: Steps, and pairs for the covariance, that lasting errors are made from.
_STEPS, _PAIRS = 4_000, 2_000


@dataclass(frozen=True)
class Geography:
    """The level of places relative to the network's, as far as the people around them and their altitude tell.

    All tuples are in the order of ``FEATURES``.

    Attributes
    ----------
    slopes : tuple of float
        Of the log level, per standard deviation.
    means, stds : tuple of float
        At the visible stations.
    lows, highs : tuple of float
        The extremes there: no place counts as more or less.
    table : str
        Digest of the data that places are known from.
    """

    slopes: tuple[float, ...]
    means: tuple[float, ...]
    stds: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    table: str

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Geography:
        """Rebuild what JSON gives, or refuse what was fitted to other data than the package has."""
        if data["table"] != table():
            raise ModelError(
                "the model was trained on other data on people and altitude than this xaq has; fix: train it again with "
                "ds.aq.train(...), or use the xaq that it names"
            )
        numbers: dict[str, Any] = {name: tuple(value) for name, value in data.items() if name != "table"}
        return cls(**numbers, table=data["table"])

    @classmethod
    def fit(cls, observations: Observations, *, seed: int = 0, k: int = 16) -> Geography:
        """Fit the slopes to what lastingly remains of each visible station when the others predict it."""
        lon, lat = observations.lon, observations.lat
        raw = features(lon, lat)
        std = raw.std(axis=0)
        # What is the same at all of them explains nothing, whatever it is divided by.
        stds = np.where(std > 1e-6, std, 1.0)
        error, reports, weights, near = _lasting_errors(observations, k, seed)
        x = raw / stds
        # An estimate stands for what its neighbours are; only the difference can explain its error.
        x -= np.einsum("nk,nkf->nf", weights, x[near])
        sure = np.minimum(reports, _ENOUGH_REPORTS) / max(min(int(reports.max()), _ENOUGH_REPORTS), 1)
        gram = (x * sure[:, None]).T @ x + _RIDGE * np.eye(len(FEATURES))
        slopes = np.linalg.solve(gram, (x * sure[:, None]).T @ error)
        columns = (slopes, raw.mean(axis=0), stds, raw.min(axis=0), raw.max(axis=0))
        fitted, means, spreads, lows, highs = (tuple(column.tolist()) for column in columns)
        return cls(fitted, means, spreads, lows, highs, table())

    def factor(self, lon: NDArray, lat: NDArray) -> NDArray[np.float32]:
        """Return the level of places relative to the network's, ``(place,)``."""
        known = np.clip(features(lon, lat), self.lows, self.highs)
        log_level = ((known - self.means) / self.stds) @ np.array(self.slopes)
        return np.exp(_MAX_LOG_LEVEL * np.tanh(log_level / _MAX_LOG_LEVEL)).astype(np.float32)

    def remove(self, observations: Observations) -> Observations:
        """Return observations over the level of their places."""
        factor = self.factor(observations.lon, observations.lat)
        return replace(observations, values=(observations.values / factor[:, None]).astype(np.float32))


def _lasting_errors(
    observations: Observations, k: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.float64], NDArray[np.intp]]:
    """Return each station's mean error relative to its estimate, its reports, and who estimated it with which weights."""
    values, lon, lat = observations.values, observations.lon, observations.lat
    reported = np.flatnonzero(np.isfinite(values).any(axis=0))
    if len(reported) > _STEPS:
        reported = np.sort(np.random.default_rng([seed, 7]).choice(reported, _STEPS, replace=False))
    values = values[:, reported]
    covariance = leave_one_out.fit_covariance(values, lon, lat, k=k, n_pairs=_PAIRS, seed=seed)
    others = LeaveOneOut.of(lon, lat, covariance, k)
    filled, _ = others.fill(np.ascontiguousarray(values))
    error = others.residuals(filled)
    seen = np.isfinite(values) & np.isfinite(error) & others.elsewhere.any(axis=1, keepdims=True)
    estimate, error = (np.where(seen, a, 0.0).sum(axis=1, dtype=float) for a in (filled - error, error))
    # What is off by all of its estimate is a defect, and no place.
    relative = np.clip(error / np.where(estimate > 0, estimate, np.inf), -1.0, 1.0)
    return relative, seen.sum(axis=1), others.always[0], others.near
