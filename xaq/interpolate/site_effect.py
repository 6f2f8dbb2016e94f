"""Site effects: by what factor places differ lastingly, predicted from population density and altitude.

Kriging is biased at a place of another population density or altitude than its neighbours. The mean residuals of the stations
show by how much: they are regressed on the differences in these predictors, as in land-use regression (Hoek et al. 2008,
Atmospheric Environment 42).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import sphere
from ..errors import ModelError
from . import leave_one_out
from .base import Observations
from .held_out import deal_stations
from .jackknife import margin
from .kriging import Covariance, ordinary_weights
from .leave_one_out import LeaveOneOut
from .site_predictors import SITE_PREDICTORS, data_digest, site_predictors

#: A site effect lies within exp(+-this).
_MAX_LOG_EFFECT = 0.3
#: Ridge penalty: the slope of a predictor is halved where this many stations differ from their neighbours by one standard
#: deviation of it.
_RIDGE = 20.0
#: A station's weight in the regression grows with its observations up to this many.
_ENOUGH_OBSERVATIONS = 500
#: Steps that mean residuals are taken over.
_STEPS = 4_000


class MeanResiduals(NamedTuple):
    """Mean leave-one-out residuals of stations, and what each was predicted from.

    ``relative (station,)`` to the mean prediction; ``reports (station,)``, observations; ``weights`` and ``near
    (station, k)``, the kriging weights and indices of the neighbours; ``filled (station, step)``, the observations, gaps kriged.
    """

    relative: NDArray[np.float64]
    reports: NDArray[np.intp]
    weights: NDArray[np.float64]
    near: NDArray[np.intp]
    filled: NDArray[np.float32]


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

    def log_effect(self, predictors: NDArray) -> NDArray[np.float64]:
        """Return the unbounded log effect of places from their predictors ``(place, predictor)``, ``(place,)``."""
        inside = np.clip(predictors, self.lows, self.highs)
        log_effect: NDArray[np.float64] = ((inside - self.means) / self.stds) @ np.array(self.slopes)
        return log_effect

    def factor(self, lon: NDArray, lat: NDArray) -> NDArray[np.float32]:
        r"""Return the site effect of places, ``(place,)``.

        Notes
        -----
        .. math:: \phi^{\text{site}} = \exp(0.3 \tanh(\beta^{\text{site}} \cdot x^{\text{site}} / 0.3)).
        """
        log_effect = self.log_effect(site_predictors(lon, lat))
        return np.exp(_MAX_LOG_EFFECT * np.tanh(log_effect / _MAX_LOG_EFFECT)).astype(np.float32)

    def times(self, fraction: float) -> SiteEffect:
        """Return the effect with its slopes multiplied."""
        return replace(self, slopes=tuple(fraction * slope for slope in self.slopes))

    def describe(self) -> dict[str, float]:
        """Return the slopes by the names of their predictors."""
        return dict(zip(SITE_PREDICTORS, self.slopes, strict=True))


class SiteEffectFolds(NamedTuple):
    """A site ``effect``, and those of the same strength ``without`` the stations of each fold of :func:`deal_stations`.

    The ``covariance`` is that of the observations, not divided by the effect.
    """

    effect: SiteEffect
    without: tuple[SiteEffect, ...]
    covariance: Covariance


def fit_with_folds(observations: Observations, *, seed: int = 0, k: int = 16) -> SiteEffectFolds:
    r"""Fit the slopes to the mean residuals of the visible stations, and their strength to stations hidden in turn.

    Parameters
    ----------
    observations : Observations
        Visible stations.
    seed : int
        Of the draws of pairs and of steps, and of the folds.
    k : int
        Neighbours.

    Notes
    -----
    Ridge regression, with a strength of 20 stations, of the mean residuals :math:`r_i` on

    .. math:: x^{\text{site}}_i - \sum_j w_{ij}\, x^{\text{site}}_j,

    the standardised predictors of a station less those of its neighbours, with their kriging weights :math:`w_{ij}`; a station
    with fewer observations has a smaller weight. The slopes are multiplied by :func:`trusted_fraction` of what slopes fitted
    without a fold of stations predict there.
    """
    lon, lat = observations.lon, observations.lat
    covariance = leave_one_out.fit_covariance(observations.values, lon, lat, k=k, seed=seed)
    values = observations.values[:, leave_one_out.draw_steps(observations.values, _STEPS, seed=[seed, 7])]
    raw, fold_of = site_predictors(lon, lat), deal_stations(lon, lat, seed)
    whole = _regress(raw, mean_residuals(values, lon, lat, covariance, k))
    relative, predicted, without = np.zeros(len(lon)), np.zeros(len(lon)), []
    for fold in range(fold_of.max() + 1):
        hidden, others = np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)
        effect = whole
        if len(others):
            found = mean_residuals(values[others], lon[others], lat[others], covariance, k)
            effect = _regress(raw[others], found)
            near, distance = sphere.nearest(lon[others], lat[others], lon[hidden], lat[hidden], k)
            among = sphere.pairwise_km(lon[others], lat[others], near)
            weights = ordinary_weights(distance, among, covariance).weights
            relative[hidden] = _relative(values[hidden], np.einsum("nk,nkt->nt", weights, found.filled[near]))[0]
            of_others = effect.log_effect(raw[others])
            predicted[hidden] = effect.log_effect(raw[hidden]) - (weights * of_others[near]).sum(axis=1)
        without.append(effect)
    weight = np.minimum(np.isfinite(values).sum(axis=1), _ENOUGH_OBSERVATIONS)
    fraction = trusted_fraction(relative, predicted, weight, sphere.colocated_groups(lon, lat))
    return SiteEffectFolds(whole.times(fraction), tuple(effect.times(fraction) for effect in without), covariance)


def trusted_fraction(truth: NDArray, predicted: NDArray, weight: NDArray, place: NDArray[np.integer]) -> float:
    r"""Return what to multiply predictions by, from how well they did at hidden stations.

    .. math:: b = \frac{\sum_i \omega_i r_i p_i}{\sum_i \omega_i p_i^2}, \qquad
        \text{fraction} = \min\big(\max(b - m,\ 0),\ 1\big)

    The slope :math:`b` of truths :math:`r_i` on predictions :math:`p_i` is 1 where predictions are right on average, and near
    zero where they are chance (the calibration slope of Copas 1983, JRSS B 45). :math:`m` is its
    :func:`~xaq.interpolate.jackknife.margin` over places.

    Parameters
    ----------
    truth, predicted, weight : (station,)
    place : (station,) int
        Stations of a place are left out together.

    Returns
    -------
    float
        From 0 to 1; 0 where a single place makes all predictions.
    """
    products, squares = (np.bincount(place, weight * predicted * other) for other in (truth, predicted))
    rest = squares.sum() - squares
    if not (rest > 0).all():
        return 0.0
    slopes = (products.sum() - products) / rest
    return float(np.clip(products.sum() / squares.sum() - margin(slopes), 0.0, 1.0))


def _regress(raw: NDArray, found: MeanResiduals) -> SiteEffect:
    """Return the ridge regression of mean residuals on predictors ``(station, predictor)``."""
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
    return SiteEffect(fitted, means, spreads, lows, highs, data_digest())


def mean_residuals(values: NDArray, lon: NDArray, lat: NDArray, covariance: Covariance, k: int) -> MeanResiduals:
    """Krige each station from the others, and return its mean residual relative to its mean prediction."""
    others = LeaveOneOut.of(lon, lat, covariance, k)
    filled, _ = others.fill(np.ascontiguousarray(values))
    prediction = np.where(others.has_neighbour.any(axis=1, keepdims=True), filled - others.residuals(filled), np.nan)
    relative, reports = _relative(values, prediction)
    return MeanResiduals(relative, reports, others.complete.weights, others.neighbours, filled)


def _relative(values: NDArray, prediction: NDArray) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return mean residuals relative to mean predictions, and the number of observations compared, ``(station,)`` each."""
    seen = np.isfinite(values) & np.isfinite(prediction)
    error, predicted = (np.where(seen, a, 0.0).sum(axis=1, dtype=float) for a in (values - prediction, prediction))
    # A residual as large as the prediction itself is a fault of the instrument rather than a site effect.
    relative = np.clip(error / np.where(predicted > 0, predicted, np.inf), -1.0, 1.0)
    return relative, seen.sum(axis=1)
