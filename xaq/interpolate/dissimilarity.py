r"""How unlike the stations a place is in the predictors of the trend: the area of applicability (Meyer and Pebesma 2021).

.. math:: \mathrm{DI}_* = \min_i \lVert x_* - x_i \rVert \,/\, \overline{\lVert x_i - x_j \rVert}

with predictors :math:`x` in standard deviations, each multiplied by the absolute value of its slope, so that one without effect
does not count. The trend is learned from the stations: where a place is less like any of them than they are like each other, it
extrapolates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist

from .base import Mapper
from .drift import Drift
from .reach import distinct_places, part_of_many
from .site_predictors import site_predictors
from .trend import Trend

#: Whiskers of a box plot: values farther above the third quartile than this many interquartile ranges are outliers.
_WHISKER = 1.5
#: Weighted predictors are parts of the log factor of the trend: within 2 % of that of a station, no place is unlike it.
_LEAST_EFFECT = 0.02

REFERENCE = "Meyer and Pebesma 2021, Methods in Ecology and Evolution 12, doi:10.1111/2041-210X.13650"


@runtime_checkable
class HasTrend(Protocol):
    """A mapper of ratios to a trend."""

    @property
    def trend(self) -> Trend:
        """The trend."""


class Column(NamedTuple):
    """One predictor at places ``(place,)``, NaN where it is unknown, and its weight: slope per unit."""

    values: NDArray[np.float64]
    weight: float


def trend_of(mapper: Mapper, lon: NDArray, lat: NDArray) -> Trend | None:
    """Return the trend of a mapper where a static predictor has an effect in it, None otherwise; reads them at a station."""
    trend = mapper.trend if isinstance(mapper, HasTrend) else None
    if trend is None or not any(column.weight for column in _read(trend, lon[:1], lat[:1], stations=True)):
        return None
    return trend


@dataclass(frozen=True)
class Dissimilarity:
    """The stations' predictors, which those of places are compared with.

    Attributes
    ----------
    trend : Trend
    centre : (predictor,)
        Means of the predictors over the stations, which stand for unknown ones, as in the trend.
    stations : (station, predictor)
        Weighted departures of the stations from it.
    scale : float
        Mean distance among the stations; 1 where they are all alike.
    threshold : float
        Places of a larger dissimilarity are outside the area of applicability.
    """

    trend: Trend
    centre: NDArray[np.float64]
    stations: NDArray[np.float64]
    scale: float
    threshold: float

    @classmethod
    def of(cls, trend: Trend, lon: NDArray, lat: NDArray) -> Dissimilarity:
        r"""Return the dissimilarity from stations.

        Parameters
        ----------
        trend : Trend
            With static predictors.
        lon, lat : (station,) degrees
            Of the visible stations.

        Notes
        -----
        The threshold is that of a box plot of the dissimilarity of each station from the others, 1.5 interquartile ranges
        above the third quartile, or their largest, if that is smaller; but a trend that hardly differs between places
        makes none of them unlike the others: 2 % of its factor is the least distance that counts. Co-located stations are one
        place.
        """
        lon, lat = distinct_places(lon, lat)
        values, weights = _columns(trend, lon, lat, stations=True)
        known = np.isfinite(values)
        centre = np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        stations = np.where(known, values - centre, 0.0) * weights
        if len(stations) < 2:
            return cls(trend, centre, stations, 1.0, _LEAST_EFFECT)
        scale = float(pdist(stations[part_of_many(lon, lat)]).mean()) or 1.0
        own = cKDTree(stations).query(stations, k=2)[0][:, 1] / scale
        low, high = np.percentile(own, [25.0, 75.0])
        whisker = min(high + _WHISKER * (high - low), own.max())
        return cls(trend, centre, stations, scale, max(float(whisker), _LEAST_EFFECT / scale))

    def at(self, lon: NDArray, lat: NDArray) -> NDArray[np.float32]:
        """Return the dissimilarity of places, ``(place,)``; 0 where all predictors are those of a station."""
        values, weights = _columns(self.trend, lon, lat, stations=False)
        departure = np.where(np.isfinite(values), values - self.centre, 0.0) * weights
        distance, _ = cKDTree(self.stations).query(departure)
        return (distance / self.scale).astype(np.float32)


def _columns(trend: Trend, lon: NDArray, lat: NDArray, *, stations: bool) -> tuple[NDArray, NDArray]:
    """Return the static predictors of places ``(place, predictor)``, NaN where unknown, and their weights ``(predictor,)``."""
    values, weights = zip(*_read(trend, lon, lat, stations=stations), strict=True)
    return np.stack(values, axis=1), np.array(weights)


def _read(trend: Trend, lon: NDArray, lat: NDArray, *, stations: bool) -> Iterator[Column]:
    """Yield the static predictors of a trend."""
    yield from _of_drift(trend.drift, lon, lat, stations=stations)
    yield from _of_site(trend, lon, lat)


def _of_site(trend: Trend, lon: NDArray, lat: NDArray) -> Iterator[Column]:
    """Yield population densities and altitude, where the trend has a site effect."""
    effect = trend.site_effect
    if effect is not None:
        for values, slope, std in zip(site_predictors(lon, lat).T, effect.slopes, effect.stds, strict=True):
            yield Column(values, abs(slope) / std)


def _of_drift(drift: Drift | None, lon: NDArray, lat: NDArray, *, stations: bool) -> Iterator[Column]:
    """Yield the static predictors of a drift: those in time have no value of their own at a place."""
    if drift is None:
        return
    read = drift.predictors.at_stations if stations else drift.predictors.at
    # At any two times the predictors in time have two columns; the background is among them, and is not read.
    times = np.zeros(2, "datetime64[s]")
    unknown = np.full((len(lon), 2), np.nan, np.float32)
    for raw, scale, slope in zip(read(lon, lat, times, unknown), drift.scales, drift.slopes, strict=True):
        if raw.shape[1] == 1:
            yield Column(raw[:, 0].astype(float), abs(slope) / scale.std)
