r"""The external drift: a positive factor learned by regression on predictors of places and times.

.. math:: \phi^{\text{drift}} = \exp\big(0.7 \tanh(\beta^{\text{drift}} \cdot x^{\text{drift}} / 0.7)\big)

Kriging of the ratio to it is kriging with external drift in its ratio form: regression kriging. Predictors are departures from
their mean over the stations at that time, so that only differences between places count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from . import leave_one_out
from .base import Field, Observations
from .leave_one_out import LeaveOneOut

#: The factor lies within exp(+-this).
_MAX_LOG_FACTOR = 0.7
#: Ridge penalty of each slope, in the rows of so many stations.
_RIDGE = 3.0
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

    def describe(self) -> tuple[dict[str, Any], ...]:
        """Return what identifies each predictor."""


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
            With slopes of 0 where no station can be predicted from another.

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
        residual is clipped to :math:`\pm 1`. The ridge penalty of each predictor is that of the observations of three
        stations.
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
        slopes = np.zeros(len(departures))
        pairs = leave_one_out.draw_pairs(values, _PAIRS, seed=[seed, 9])
        for _ in range(_ROUNDS):
            ratios = values / _factor(departures, slopes)
            covariance = leave_one_out.fit_covariance(ratios, lon, lat, k=k, n_pairs=_COVARIANCE_PAIRS, seed=seed)
            slopes = _improved(slopes, departures, values, pairs, LeaveOneOut.of(lon, lat, covariance, k))
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
        read = self.predictors.at(lon, lat, times, background)
        known = zip(read, centres, self.scales, strict=True)
        return _factor((_standardised(raw - centre, scale) for raw, centre, scale in known), self.slopes)

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
    """Return departures in standard deviations, set to the extremes at the visible stations beyond them; 0 where unknown."""
    clipped = np.clip(departure, scale.low, scale.high) / scale.std
    return np.where(np.isfinite(clipped), clipped, 0.0).astype(np.float32)


def _factor(departures: Iterable[NDArray], slopes: Sequence[float] | NDArray) -> NDArray[np.float32]:
    """Return the factor of predictors in standard deviations, ``(place, time or 1)``."""
    log_factor: Any = np.zeros((1, 1))
    for departure, slope in zip(departures, slopes, strict=True):
        log_factor = log_factor + slope * departure
    return np.exp(_MAX_LOG_FACTOR * np.tanh(log_factor / _MAX_LOG_FACTOR)).astype(np.float32)


def _improved(
    slopes: NDArray, departures: Sequence[NDArray], values: NDArray, pairs: NDArray[np.intp], others: LeaveOneOut
) -> NDArray[np.float64]:
    """Return the slopes after one round of Gauss-Newton on drawn (station, time) pairs."""
    factor = np.broadcast_to(_factor(departures, slopes), values.shape)
    ratios, here = values / factor, (pairs[:, 0], pairs[:, 1])
    truth, scale = values[here], factor[here].astype(float)
    prediction = scale * others.predict(ratios, pairs)[0]
    least = _LEAST * float(np.nanmean(values))
    rows = np.isfinite(prediction)
    if not (rows.any() and least > 0):
        return slopes
    reference = np.maximum(prediction, least)
    columns = []
    for departure in departures:
        own = np.broadcast_to(departure, values.shape)[here]
        # The missing pattern of the product is that of the ratios: so are the weights.
        neighbours = scale * others.predict(ratios * departure, pairs)[0]
        columns.append((prediction * own - neighbours) / reference)
    design = np.stack(columns, axis=1)[rows]
    residual = np.clip((truth - prediction) / reference, -1.0, 1.0)[rows]
    weight = (reference[rows] / reference[rows].mean())[:, None]
    penalty = _RIDGE * rows.sum() / len(np.unique(pairs[rows, 0]))
    gram = (design * weight).T @ design + penalty * np.eye(len(slopes))
    step: NDArray[np.float64] = np.linalg.solve(gram, (design * weight).T @ residual - penalty * slopes)
    return slopes + step
