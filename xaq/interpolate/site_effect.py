"""Site effects: by what factor places differ lastingly, predicted from population density and altitude.

Kriging is biased at a place of another population density or altitude than its neighbours. The mean residuals of the stations
show by how much: they are regressed on the differences in these predictors, as in land-use regression (Hoek et al. 2008,
Atmospheric Environment 42).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from . import leave_one_out
from .base import Observations
from .leave_one_out import LeaveOneOut
from .site_predictors import SITE_PREDICTORS, data_digest, site_predictors

#: A site effect lies within exp(+-this).
_MAX_LOG_EFFECT = 0.3
#: Ridge penalty: the slope of a predictor is halved where this many stations differ from their neighbours by one standard
#: deviation of it.
_RIDGE = 20.0
#: A station's weight in the regression grows with its observations up to this many.
_ENOUGH_OBSERVATIONS = 500
#: Steps that mean residuals are taken over, and pairs that their covariance is fitted to.
_STEPS, _PAIRS = 4_000, 2_000


class MeanResiduals(NamedTuple):
    """Mean leave-one-out residuals of stations, and what each was predicted from.

    ``relative (station,)`` to the mean prediction; ``reports (station,)``, observations; ``weights`` and ``near
    (station, k)``, the kriging weights and indices of the neighbours.
    """

    relative: NDArray[np.float64]
    reports: NDArray[np.intp]
    weights: NDArray[np.float64]
    near: NDArray[np.intp]


@dataclass(frozen=True)
class SiteEffect:
    """The site effect of places relative to the network's mean, from the predictors of :func:`site_predictors`.

    All tuples are in the order of ``SITE_PREDICTORS``.

    Attributes
    ----------
    slopes : tuple of float
        Of the log effect, per standard deviation of a predictor.
    means, stds : tuple of float
        Of the predictors at the visible stations.
    lows, highs : tuple of float
        Their extremes there; values beyond are set to them.
    table : str
        Digest of the data that the predictors come from.
    """

    slopes: tuple[float, ...]
    means: tuple[float, ...]
    stds: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    table: str

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SiteEffect:
        """Rebuild a site effect from its fields as JSON gives them.

        Raises
        ------
        ModelError
            It was fitted to other data on population and altitude than this package has.
        """
        if data["table"] != data_digest():
            raise ModelError(
                "the model was trained with other data on population and altitude than this xaq has; fix: train it again with "
                "ds.aq.train(...), or use the version of xaq that it names"
            )
        numbers: dict[str, Any] = {name: tuple(value) for name, value in data.items() if name != "table"}
        return cls(**numbers, table=data["table"])

    @classmethod
    def fit(cls, observations: Observations, *, seed: int = 0, k: int = 16) -> SiteEffect:
        r"""Fit the slopes to the mean residuals of the visible stations.

        Parameters
        ----------
        observations : Observations
            Visible stations.
        seed : int
            Of the draw of steps and of pairs.
        k : int
            Neighbours.

        Notes
        -----
        Ridge regression, with a strength of 20 stations, of the mean residuals :math:`r_i` on

        .. math:: x^{\text{site}}_i - \sum_j w_{ij}\, x^{\text{site}}_j,

        the standardised predictors of a station less those of its neighbours, with their kriging weights
        :math:`w_{ij}`; a station with fewer observations has a smaller weight.
        """
        found = mean_residuals(observations, k=k, seed=seed)
        raw = site_predictors(observations.lon, observations.lat)
        std = raw.std(axis=0)
        # A predictor that is the same at all stations explains nothing, whatever it is divided by.
        stds = np.where(std > 1e-6, std, 1.0)
        x = raw / stds
        # A prediction represents its neighbours' predictors: only the difference to them can explain its error.
        x -= np.einsum("nk,nkf->nf", found.weights, x[found.near])
        most = max(min(int(found.reports.max()), _ENOUGH_OBSERVATIONS), 1)
        weight = (np.minimum(found.reports, _ENOUGH_OBSERVATIONS) / most)[:, None]
        gram = (x * weight).T @ x + _RIDGE * np.eye(len(SITE_PREDICTORS))
        slopes = np.linalg.solve(gram, (x * weight).T @ found.relative)
        columns = (slopes, raw.mean(axis=0), stds, raw.min(axis=0), raw.max(axis=0))
        fitted, means, spreads, lows, highs = (tuple(column.tolist()) for column in columns)
        return cls(fitted, means, spreads, lows, highs, data_digest())

    def factor(self, lon: NDArray, lat: NDArray) -> NDArray[np.float32]:
        r"""Return the site effect of places, ``(place,)``.

        Notes
        -----
        .. math:: \phi^{\text{site}} = \exp(0.3 \tanh(\beta^{\text{site}} \cdot x^{\text{site}} / 0.3)).
        """
        x = np.clip(site_predictors(lon, lat), self.lows, self.highs)
        log_effect = ((x - self.means) / self.stds) @ np.array(self.slopes)
        return np.exp(_MAX_LOG_EFFECT * np.tanh(log_effect / _MAX_LOG_EFFECT)).astype(np.float32)

    def describe(self) -> dict[str, float]:
        """Return the slopes by the names of their predictors."""
        return dict(zip(SITE_PREDICTORS, self.slopes, strict=True))


def mean_residuals(observations: Observations, *, k: int, seed: int) -> MeanResiduals:
    """Krige each station from the others, and return its mean residual relative to its mean prediction."""
    values, lon, lat = observations.values, observations.lon, observations.lat
    values = values[:, leave_one_out.draw_steps(values, _STEPS, seed=[seed, 7])]
    covariance = leave_one_out.fit_covariance(values, lon, lat, k=k, n_pairs=_PAIRS, seed=seed)
    others = LeaveOneOut.of(lon, lat, covariance, k)
    filled, _ = others.fill(np.ascontiguousarray(values))
    error = others.residuals(filled)
    seen = np.isfinite(values) & np.isfinite(error) & others.has_neighbour.any(axis=1, keepdims=True)
    prediction, error = (np.where(seen, a, 0.0).sum(axis=1, dtype=float) for a in (filled - error, error))
    # A residual as large as the prediction itself is a fault of the instrument rather than a site effect.
    relative = np.clip(error / np.where(prediction > 0, prediction, np.inf), -1.0, 1.0)
    return MeanResiduals(relative, seen.sum(axis=1), others.complete.weights, others.neighbours)
