"""Fit a trend: background, external drift and site effect, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..arrays import sphere
from . import leave_one_out
from .base import Observations
from .drift import Centres, Drift, PredictorSource
from .jackknife import cautious_scores, sums_by_place
from .kriging import Covariance
from .leave_one_out import LeaveOneOut
from .site_effect import SiteEffect, fit_with_folds
from .trend import BackgroundFactor, Trend, divided

#: Observations that are predicted from the other stations to choose between trends.
_PAIRS = 8_000


class FittedTrend(NamedTuple):
    """A ``trend``, the ``ratios`` that it leaves, missing where the background is, and what its site effect comes from.

    That are the site effects ``without`` each fold of :func:`xaq.interpolate.held_out.deal_stations`, of the stations that have
    a ratio, and the ``covariance`` of the ratios before the site effect; none without a site effect. A lasting factor of each
    place changes little in how places are correlated: the covariance stays, so that a few stations do not choose another one.
    ``centres`` are those of the drift over the stations.
    """

    trend: Trend
    ratios: Observations
    without: tuple[SiteEffect, ...] = ()
    covariance: Covariance | None = None
    centres: Centres = ()


def fit_trend(
    observations: Observations,
    *,
    background: BackgroundFactor | None = None,
    predictors: PredictorSource | None = None,
    site_effect: bool = True,
    k: int = 16,
    seed: int = 0,
) -> FittedTrend:
    """Fit the terms one after the other, each to the ratios that the terms before it leave.

    With predictors, a background is one of the drift's predictors alone, with a slope of 0 as a factor, unless its factor with
    the drift on top of it has a smaller leave-one-out error beyond the margin of the jackknife over places.

    Parameters
    ----------
    observations : Observations
        Visible stations.
    background : BackgroundFactor, optional
        Fitted to the same observations.
    predictors : PredictorSource, optional
        Of the drift; there is none without.
    site_effect : bool
        Fit a site effect.
    k : int
        Neighbours.
    seed : int
        Of the draws of observations to leave out.

    Returns
    -------
    FittedTrend

    Raises
    ------
    SchemaError
        There is no observation, or none where the background has a value.
    """
    candidates = [_with_drift(observations, background, predictors, k=k, seed=seed)]
    if background is not None and predictors is not None and background.slope:
        candidates.insert(0, _with_drift(observations, replace(background, slope=0.0), predictors, k=k, seed=seed))
    trend = candidates[0] if len(candidates) == 1 else _better(observations, candidates, k=k, seed=seed)
    ratios, centres = observations, Centres()
    if trend.reads_fields:
        terms = trend.at_stations(observations.lon, observations.lat, observations.times)
        ratios, centres = divided(observations, terms.background, terms.drift), terms.centres
    if not site_effect:
        return FittedTrend(trend, ratios, centres=centres)
    effect, without, covariance = fit_with_folds(leave_one_out.reporting(ratios), k=k, seed=seed)
    ratios = divided(ratios, effect.factor(observations.lon, observations.lat)[:, None])
    return FittedTrend(replace(trend, site_effect=effect), ratios, without, covariance, centres)


def _with_drift(
    observations: Observations,
    background: BackgroundFactor | None,
    predictors: PredictorSource | None,
    *,
    k: int,
    seed: int,
) -> Trend:
    """Return a background with a drift fitted to the ratios that it leaves."""
    if predictors is None:
        return Trend(background)
    there, ratios = None, observations
    if background is not None:
        there = background.field.at(observations.lon, observations.lat, observations.times)
        ratios = divided(ratios, background.of(there))
    return Trend(background, drift=Drift.fit(predictors, ratios, there, k=k, seed=seed))


def _better(observations: Observations, trends: Sequence[Trend], *, k: int, seed: int) -> Trend:
    """Return the trend that kriging of the ratio errs least with: the first, unless another is better beyond chance."""
    lon, lat, values = observations.lon, observations.lat, observations.values
    factors = []
    for trend in trends:
        terms = trend.at_stations(lon, lat, observations.times)
        known = [factor for factor in (terms.background, terms.drift) if factor is not None]
        factors.append(np.broadcast_to(np.prod(np.broadcast_arrays(*known), axis=0), values.shape))
    pairs = leave_one_out.draw_pairs(values / factors[0], _PAIRS, seed=[seed, 10])
    here = pairs[:, 0], pairs[:, 1]
    place, sums = sphere.colocated_groups(lon, lat)[pairs[:, 0]], []
    for factor in factors:
        ratios = values / factor
        covariance = leave_one_out.fit_covariance(ratios, lon, lat, k=k, n_pairs=_PAIRS // 4, seed=seed)
        guess, _ = LeaveOneOut.of(lon, lat, covariance, k).predict(ratios, pairs)
        sums.append(sums_by_place(values[here] - guess * factor[here], place))
    return trends[int(np.argmin(cautious_scores(np.stack(sums))))]
