r"""The external drift: a positive factor learned by regression on predictors of places and times.

.. math:: \phi^{\text{drift}} = \exp\big(0.7 \tanh(\beta^{\text{drift}} \cdot x^{\text{drift}} / 0.7)\big)

Kriging of the ratio to it is kriging with external drift in its ratio form: regression kriging. Predictors are departures from
their mean over the stations at that time, so that only differences between places count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from . import leave_one_out
from .base import Field, Observations
from .held_out import deal_stations
from .leave_one_out import LeaveOneOut

#: Kinds of predictors: a static raster, a gridded field, the logarithm of the background.
RASTER, FIELD, BACKGROUND = "raster", "field", "background"
#: The factor lies within exp(+-this).
_MAX_LOG_FACTOR = 0.7
#: Ridge penalties that are tried, in the rows of so many stations; infinite: slopes of zero.
_PENALTIES = (3.0, 10.0, 30.0, 100.0, np.inf)
#: Times that the penalty of each group of predictors is searched, the others fixed.
_SEARCHES = 3
#: Rounds of Gauss-Newton.
_ROUNDS = 2
#: Observations that slopes are fitted to, and the steps that they are drawn from: 1,600 stations of ten years fit in memory.
_PAIRS, _STEPS = 20_000, 2_000
#: Observations that a covariance is fitted to in each round.
_COVARIANCE_PAIRS = 2_000
#: Least prediction that a residual is relative to, as a fraction of the mean observation.
_LEAST = 0.1
#: A predictor that departs from its mean over the stations by less than this fraction of its values is constant.
_CONSTANT = 1e-6


class PredictorSource(Protocol):
    """Predictors of places and times in any units; :class:`xaq.fields.predictors.Predictors` is one.

    ``background`` has the values of the background at the places and times, ``(place, time)``; None where there is none. Each
    predictor is ``(place, 1)`` where it is static, else ``(place, time)``; NaN where it is unknown.
    """

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields that predictors are read from, the background excepted."""

    def at(
        self, lon: NDArray, lat: NDArray, times: NDArray[np.datetime64], background: NDArray | None
    ) -> Iterator[NDArray]:
        """Yield the predictors at places, one by one."""

    def at_stations(
        self, lon: NDArray, lat: NDArray, times: NDArray[np.datetime64], background: NDArray | None
    ) -> Iterator[NDArray]:
        """Yield the same at stations, which may know their own values."""

    def warn_of_unknown(self, times: NDArray[np.datetime64], centres: Centres) -> None:
        """Warn of predictors that no station knows at some of the times, by their means over the stations there."""

    def describe(self) -> tuple[dict[str, Any], ...]:
        """Return what identifies each predictor, its kind included."""


class Scale(NamedTuple):
    """Extremes and standard deviation of the departures of a predictor at the visible stations, in its own units."""

    low: float
    high: float
    std: float


#: Means of each predictor over the stations, ``(1,)`` where it is static, else ``(time,)``; NaN where none knows it.
Centres = tuple[NDArray[np.float64], ...]


@dataclass(frozen=True)
class Drift:
    """The factor by which places differ as their predictors do.

    Attributes
    ----------
    predictors : PredictorSource
        Where predictors come from.
    scales : tuple of Scale
        Of each predictor.
    slopes : tuple of float
        Of the log factor, per standard deviation of each predictor.
    """

    predictors: PredictorSource
    scales: tuple[Scale, ...]
    slopes: tuple[float, ...]

    @classmethod
    def fit(
        cls,
        predictors: PredictorSource,
        observations: Observations,
        background: NDArray | None = None,
        *,
        k: int = 16,
        seed: int = 0,
    ) -> Drift:
        r"""Fit the slopes by ridge regression of the leave-one-out error of kriging the ratio.

        Parameters
        ----------
        predictors : PredictorSource
        observations : Observations
            Visible stations; where there is a background, their ratios to its factor.
        background : (n_station, n_time), optional
            Values of the background at the stations, for the predictors that are made from it.
        k : int
            Neighbours.
        seed : int
            Of the draws of steps and of observations.

        Returns
        -------
        Drift
            With slopes of 0 where predictors say too little of stations that are left out.

        Raises
        ------
        SchemaError
            There is no observation.

        Notes
        -----
        Two rounds of Gauss-Newton, each with the covariance fitted anew to the ratios :math:`y / \phi`. With the prediction
        :math:`\hat y_i = \phi_i \sum_j w_{ij} y_j / \phi_j`, the residual :math:`y_i - \hat y_i` is regressed on

        .. math:: \phi_i \sum_j w_{ij} \frac{y_j}{\phi_j} (x_i - x_j)

        both relative to :math:`\max(\hat y_i, \bar y / 10)`, in proportion to which an observation weighs. The relative
        residual is clipped to :math:`\pm 1`. The ridge penalties, in the observations of so many stations, are chosen in the
        first round: folds of stations are left out in turn, and the regression at the others predicts their residuals. Of the
        penalties 3, 10, 30, 100 and infinity for all predictors, the strongest is taken whose absolute and squared errors lie
        within one standard error over stations of the best (Hastie, Tibshirani and Friedman 2009, section 7.10). From there a
        coordinate search gives the background, other predictors in time, and static predictors a penalty each. These replace
        the common one where the errors are smaller by more than one standard error.
        """
        seen = leave_one_out.reporting(observations)
        lon, lat = seen.lon, seen.lat
        steps = leave_one_out.draw_steps(seen.values, _STEPS, seed=[seed, 8])
        values = seen.values[:, steps].astype(float)
        some = np.flatnonzero(np.isfinite(observations.values).any(axis=1))
        there = None if background is None else background[np.ix_(some, steps)]
        departures, scales = [], []
        for raw in predictors.at_stations(lon, lat, seen.times[steps], there):
            departure = raw - _centre(raw)
            scales.append(_scale_of(departure, raw))
            departures.append(_standardised(departure, scales[-1]))
        slopes, penalties = np.zeros(len(departures)), np.full(len(departures), np.inf)
        groups = np.array([_group(*term) for term in zip(predictors.describe(), departures, strict=True)], int)
        pairs = leave_one_out.draw_pairs(values, _PAIRS, seed=[seed, 9])
        # The smallest positive number where every observation is zero: all residuals are, too.
        least = max(_LEAST * float(np.nanmean(values)), float(np.finfo(float).tiny))
        for number in range(_ROUNDS):
            ratios = values / _factor(departures, slopes)
            covariance = leave_one_out.fit_covariance(ratios, lon, lat, k=k, n_pairs=_COVARIANCE_PAIRS, seed=seed)
            others = LeaveOneOut.of(lon, lat, covariance, k)
            rows = partial(_rows, slopes, departures, others=others, least=least)
            if number == 0:
                penalties = _chosen_penalties(rows, values, pairs, deal_stations(lon, lat, seed), groups)
            slopes = slopes + _step(_Normal.of(rows(values, pairs)), penalties, slopes)
            if np.isinf(penalties).all():
                break
        return cls(predictors, tuple(scales), tuple(slopes.tolist()))

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields that predictors are read from, the background excepted."""
        return self.predictors.fields

    def at_stations(
        self, lon: NDArray, lat: NDArray, times: NDArray[np.datetime64], background: NDArray | None = None
    ) -> tuple[NDArray[np.float32], Centres]:
        """Return the factor at the stations, ``(station, time or 1)``, and the means over them, which targets depart from."""
        centres: list[NDArray[np.float64]] = []

        def departures() -> Iterator[NDArray]:
            for raw, scale in zip(self.predictors.at_stations(lon, lat, times, background), self.scales, strict=True):
                centres.append(_centre(raw))
                yield _standardised(raw - centres[-1], scale)

        factor = _factor(departures(), self.slopes)
        return factor, tuple(centres)

    def factor(
        self,
        lon: NDArray,
        lat: NDArray,
        times: NDArray[np.datetime64],
        centres: Centres,
        background: NDArray | None = None,
    ) -> NDArray[np.float32]:
        """Return the factor at places, ``(place, time or 1)``; an unknown predictor counts as the mean of the stations."""
        if not any(self.slopes):
            return np.ones((len(lon), 1), np.float32)
        read = self.predictors.at(lon, lat, times, background)
        known = zip(read, centres, self.scales, strict=True)
        # In float32, as this runs over every cell and step.
        departures = (_standardised(raw - centre.astype(np.float32), scale) for raw, centre, scale in known)
        return _factor(departures, self.slopes)

    def factors(
        self,
        lon: NDArray,
        lat: NDArray,
        times: NDArray[np.datetime64],
        centres: Centres,
        background: NDArray | None = None,
        *,
        at_stations: bool,
    ) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Yield each predictor's name, and the factor of all predictors up to it, ``(place, time or 1)``."""
        read = self.predictors.at_stations if at_stations else self.predictors.at
        known = zip(read(lon, lat, times, background), centres, self.scales, strict=True)
        departures: list[NDArray] = []
        for term, (raw, centre, scale) in zip(self.predictors.describe(), known, strict=True):
            departures.append(_standardised(raw - centre, scale))
            yield term["name"], _factor(departures, self.slopes[: len(departures)])

    @classmethod
    def from_description(cls, predictors: PredictorSource, described: Sequence[Mapping[str, Any]]) -> Drift:
        """Rebuild a drift from what :meth:`describe` returned, with its predictors."""
        scales = tuple(Scale(*(float(term[name]) for name in Scale._fields)) for term in described)
        return cls(predictors, scales, tuple(float(term["slope"]) for term in described))

    def describe(self) -> list[dict[str, Any]]:
        """Return what identifies each predictor, its scale and its slope, ready for JSON."""
        each = zip(self.predictors.describe(), self.scales, self.slopes, strict=True)
        return [{**predictor, **scale._asdict(), "slope": slope} for predictor, scale, slope in each]


def centres_at(centres: Centres, index: NDArray[np.intp]) -> Centres:
    """Return the means over the stations at some of the times that they were made for."""
    return tuple(centre if len(centre) == 1 else centre[index] for centre in centres)


def _centre(raw: NDArray) -> NDArray[np.float64]:
    """Return the mean over the stations that know a predictor, ``(time or 1,)``; NaN where none does."""
    known = np.isfinite(raw)
    count = known.sum(axis=0)
    total = np.where(known, raw, 0.0).sum(axis=0, dtype=float)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _scale_of(departure: NDArray, raw: NDArray) -> Scale:
    """Return the scale of departures; extremes of 0, which make it 0 everywhere, for a predictor that is constant."""
    seen = departure[np.isfinite(departure)]
    std = float(seen.std()) if len(seen) else 0.0
    largest = float(np.nanmax(np.abs(raw), initial=0.0, where=np.isfinite(raw)))
    if not std > _CONSTANT * largest:
        return Scale(0.0, 0.0, 1.0)
    return Scale(float(seen.min()), float(seen.max()), std)


def _standardised(departure: NDArray, scale: Scale) -> NDArray[np.float32]:
    """Return departures in standard deviations, set to the extremes at the visible stations beyond them; 0 where unknown.

    In place of the departures, where these are float32.
    """
    np.clip(departure, scale.low, scale.high, out=departure)
    departure /= scale.std
    unknown = np.isnan(departure)
    if unknown.any():
        departure[unknown] = 0.0
    return departure.astype(np.float32, copy=False)


def _factor(departures: Iterable[NDArray], slopes: Sequence[float] | NDArray) -> NDArray[np.float32]:
    """Return the factor of predictors in standard deviations, ``(place, time or 1)``."""
    log_factor = np.zeros((1, 1), np.float32)
    for departure, slope in zip(departures, slopes, strict=True):
        term = departure * np.float32(slope)
        # The sum in place, once it has a number for each place and step.
        shape = np.broadcast_shapes(log_factor.shape, term.shape)
        log_factor = np.add(log_factor, term, out=log_factor if log_factor.shape == shape else None)
    log_factor /= _MAX_LOG_FACTOR
    np.tanh(log_factor, out=log_factor)
    log_factor *= _MAX_LOG_FACTOR
    return np.exp(log_factor, out=log_factor)


class _Rows(NamedTuple):
    """Observations of the regression.

    ``design (row, predictor)``; ``residual (row,)`` relative to ``reference (row,)``, in the target's units; ``station
    (row,) int``.
    """

    design: NDArray[np.float64]
    residual: NDArray[np.float64]
    reference: NDArray[np.float64]
    station: NDArray[np.intp]


def _rows(
    slopes: NDArray,
    departures: Sequence[NDArray],
    values: NDArray,
    pairs: NDArray[np.intp],
    *,
    others: LeaveOneOut,
    least: float,
) -> _Rows:
    """Return the regression of the errors at (station, time) pairs on the predictors, linear around the slopes."""
    factor = np.broadcast_to(_factor(departures, slopes), values.shape)
    ratios, here = values / factor, (pairs[:, 0], pairs[:, 1])
    truth, scale = values[here], factor[here].astype(float)
    prediction = scale * others.predict(ratios, pairs)[0]
    seen = np.isfinite(prediction)
    reference = np.maximum(prediction, least)
    columns = []
    for departure in departures:
        own = np.broadcast_to(departure, values.shape)[here]
        # The missing pattern of the product is that of the ratios: so are the weights.
        neighbours = scale * others.predict(ratios * departure, pairs)[0]
        columns.append((prediction * own - neighbours) / reference)
    residual = (truth - prediction) / reference
    return _Rows(np.stack(columns, axis=1)[seen], residual[seen], reference[seen], pairs[seen, 0])


class _Normal(NamedTuple):
    """Normal equations of the regression: ``gram (predictor, predictor)``, ``right (predictor,)``, rows ``per_station``."""

    gram: NDArray[np.float64]
    right: NDArray[np.float64]
    per_station: float

    @classmethod
    def of(cls, rows: _Rows) -> _Normal:
        """Return the equations of rows, each weighing in proportion to its reference."""
        if not len(rows.residual):
            n = rows.design.shape[1]
            return cls(np.zeros((n, n)), np.zeros(n), 1.0)
        weighted = rows.design * (rows.reference / rows.reference.mean())[:, None]
        per_station = len(rows.residual) / len(np.unique(rows.station))
        return cls(weighted.T @ rows.design, weighted.T @ np.clip(rows.residual, -1.0, 1.0), per_station)


def _step(normal: _Normal, penalties: NDArray, slopes: NDArray) -> NDArray[np.float64]:
    """Return the change of the slopes; slopes with an infinite penalty become zero."""
    step, kept = -slopes, np.isfinite(penalties)
    ridge = penalties[kept] * normal.per_station
    gram = normal.gram[np.ix_(kept, kept)] + np.diag(ridge)
    # The slopes that become zero change what is left for the others.
    right = normal.right[kept] - ridge * slopes[kept] - normal.gram[np.ix_(kept, ~kept)] @ step[~kept]
    step[kept] = np.linalg.solve(gram, right)
    return step


def _group(described: Mapping[str, Any], departure: NDArray) -> int:
    """Return the group whose penalty a predictor shares: the background, predictors in time, static ones."""
    if described.get("kind") == BACKGROUND:
        return 0
    return 1 if departure.shape[1] > 1 else 2


def _chosen_penalties(
    rows: Callable[[NDArray, NDArray[np.intp]], _Rows],
    values: NDArray,
    pairs: NDArray[np.intp],
    fold: NDArray[np.intp],
    groups: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Choose the penalty of each predictor, in the rows of so many stations, at stations left out in turn; see :meth:`Drift.fit`."""
    whole = rows(values, pairs)
    folds = []
    for number in range(fold.max() + 1):
        # Their values are hidden: as neighbours, they would tell their own site effect to the regression.
        visible = np.where((fold == number)[:, None], np.nan, values)
        learned = rows(visible, pairs[fold[pairs[:, 0]] != number])
        folds.append((np.flatnonzero(fold[whole.station] == number), _Normal.of(learned)))
    none = np.zeros(len(groups))

    def loss(penalties: NDArray) -> NDArray[np.float64]:
        error = whole.residual * whole.reference
        for left_out, normal in folds:
            explained = whole.design[left_out] @ _step(normal, penalties, none)
            error[left_out] -= explained * whole.reference[left_out]
        return _loss_by_station(error, whole)

    candidates = [np.full(len(groups), penalty) for penalty in _PENALTIES]
    losses = np.stack([loss(candidate) for candidate in candidates])
    worse = losses - losses[int(np.argmin(losses.sum(axis=1)))]
    common = candidates[int(np.flatnonzero(worse.sum(axis=1) <= _uncertain(worse))[-1])]
    if len(np.unique(groups)) < 2:
        return common
    grouped = _searched(common, groups, lambda penalties: float(loss(penalties).sum()))
    gain = loss(common) - loss(grouped)
    return grouped if gain.sum() > _uncertain(gain) else common


def _searched(
    penalties: NDArray[np.float64], groups: NDArray[np.intp], total: Callable[[NDArray], float]
) -> NDArray[np.float64]:
    """Return the penalties with the least total loss that a coordinate search over the groups finds."""
    for _ in range(_SEARCHES):
        before = penalties
        for group in np.unique(groups):
            # The present ones first: they stay where others are only as good.
            tried = [penalties, *(np.where(groups == group, penalty, penalties) for penalty in _PENALTIES)]
            penalties = tried[int(np.argmin([total(one) for one in tried]))]
        if (penalties == before).all():
            break
    return penalties


def _uncertain(by_station: NDArray) -> NDArray[np.float64]:
    """Return the standard error of sums over stations, ``(..., station)``; a single station says nothing."""
    count = by_station.shape[-1]
    if count < 2:
        return np.full(by_station.shape[:-1], np.inf)
    error: NDArray[np.float64] = np.sqrt(count) * by_station.std(axis=-1, ddof=1)
    return error


def _loss_by_station(error: NDArray, whole: _Rows) -> NDArray[np.float64]:
    """Return what each station adds to MAE and RMSE, relative to those without drift, ``(station,)``."""
    _, which = np.unique(whole.station, return_inverse=True)
    tiny, plain = float(np.finfo(float).tiny), whole.residual * whole.reference
    # To first order, the relative change of an RMSE is half of that of the sum of squares.
    loss = np.abs(error) / max(np.abs(plain).sum(), tiny) + 0.5 * error**2 / max((plain**2).sum(), tiny)
    return np.bincount(which, loss).astype(float)
