"""Mappers: anything that turns station observations into estimates elsewhere.

Nearest, inverse distance, ordinary kriging and AQ-Net all honour one contract, so every comparison runs through the
same pipe. A mapper works in two steps: :meth:`Mapper.prepare` once per period (the station side, may be heavy), then
:meth:`Mapper.estimate` for any number of targets (the cell side, must be light). Arrays in, arrays out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import norm

from . import kriging, sphere
from .errors import ModelError
from .kriging import Covariance


@dataclass(frozen=True)
class Observations:
    """Visible stations over a period.

    Attributes
    ----------
    values : (n_station, n_time) float32, the target's units, NaN where missing
    lon, lat : (n_station,) degrees
    times : (n_time,) datetime64, regular, UTC
    covariates : (n_covariate, n_station, n_time) float32, NaN where missing
    known : (n_known, n_station, n_time + n_ahead) float32, NaN where missing
        Covariates whose values after the last time may be read too, on the same steps: weather over a forecast's horizon.
    """

    values: NDArray
    lon: NDArray
    lat: NDArray
    times: NDArray[np.datetime64]
    covariates: NDArray = field(default_factory=lambda: np.empty((0, 0, 0), np.float32))
    known: NDArray = field(default_factory=lambda: np.empty((0, 0, 0), np.float32))

    def until(self, stop: int, ahead: int) -> Observations:
        """Return what a forecast may see: observations before step ``stop``, and what is known ``ahead`` steps further."""
        return Observations(
            self.values[:, :stop], self.lon, self.lat, self.times[:stop],
            self.covariates[..., :stop], self.known[..., : stop + ahead],
        )  # fmt: skip

    def at(self, times: NDArray[np.datetime64]) -> NDArray:
        """Return values at the given times, ``(n_station, len(times))``; NaN outside the record."""
        position = np.searchsorted(self.times, times)
        inside = position < len(self.times)
        position = np.where(inside, position, 0)
        inside &= self.times[position] == times
        return np.where(inside, self.values[:, position], np.float32(np.nan))


@dataclass(frozen=True)
class Estimate:
    """Estimates at targets: ``value``, ``lower``, ``upper``, each ``(n_target, n_time)`` float32; bounds may be None."""

    value: NDArray
    lower: NDArray | None = None
    upper: NDArray | None = None


@runtime_checkable
class Mapper(Protocol):
    """The contract: three facts and two steps."""

    @property
    def name(self) -> str:
        """What tables and cubes call it."""

    @property
    def has_interval(self) -> bool:
        """Whether estimates come with bounds."""

    @property
    def margin_days(self) -> tuple[int, int]:
        """Days of record read before and after the days estimated."""

    def prepare(self, observations: Observations, times: NDArray[np.datetime64]) -> Any:
        """Do the station side for the given times."""

    def estimate(self, prepared: Any, lon: NDArray, lat: NDArray, level: float) -> Estimate:
        """Estimate the prepared times at targets; ``level`` is the coverage of the interval."""


@dataclass(frozen=True)
class _Prepared:
    values: NDArray
    lon: NDArray
    lat: NDArray


class _Classical:
    """What the three classical mappers share: the station side only picks the times."""

    margin_days = (0, 0)

    def prepare(self, observations: Observations, times: NDArray[np.datetime64]) -> _Prepared:
        """Pick the observations of the given times."""
        return _Prepared(observations.at(times), observations.lon, observations.lat)


@dataclass(frozen=True)
class Nearest(_Classical):
    """The value of the nearest station that reports at that step."""

    name: str = "nearest"
    has_interval: bool = False

    def estimate(self, prepared: _Prepared, lon: NDArray, lat: NDArray, level: float) -> Estimate:
        """Walk outwards until each step has met a reporting station."""
        values = prepared.values
        result = np.full((len(lon), values.shape[1]), np.nan, np.float32)
        index, _ = sphere.nearest(prepared.lon, prepared.lat, lon, lat, len(prepared.lon))
        for rank in range(index.shape[1]):
            empty = ~np.isfinite(result)
            if not empty.any():
                break
            result = np.where(empty, values[index[:, rank]], result)
        return Estimate(result)


@dataclass(frozen=True)
class InverseDistance(_Classical):
    """Inverse distance weighting over the k nearest stations, renormalised over those that report."""

    power: float = 2.0
    k: int = 8
    name: str = "idw"
    has_interval: bool = False

    def estimate(self, prepared: _Prepared, lon: NDArray, lat: NDArray, level: float) -> Estimate:
        """Apply sparse weights to values and to their mask; where all k are silent, use every station."""
        values, n_station = prepared.values, len(prepared.lon)
        seen = np.isfinite(values)
        filled, mask = np.where(seen, values, 0).astype(np.float64), seen.astype(np.float64)
        index, distance = sphere.nearest(prepared.lon, prepared.lat, lon, lat, self.k)
        weights = kriging.inverse_distance_weights(distance, self.power)
        rows = np.repeat(np.arange(len(lon)), index.shape[1])
        sparse = csr_array((weights.ravel(), (rows, index.ravel())), shape=(len(lon), n_station))
        total, reported = sparse @ filled, sparse @ mask
        silent = (reported == 0).any(axis=1)
        if silent.any():
            everywhere = sphere.distance_km(lon[silent, None], lat[silent, None], prepared.lon, prepared.lat)
            dense = kriging.inverse_distance_weights(everywhere, self.power)
            hole = reported[silent] == 0
            total[silent] = np.where(hole, dense @ filled, total[silent])
            reported[silent] = np.where(hole, dense @ mask, reported[silent])
        with np.errstate(invalid="ignore", divide="ignore"):
            return Estimate(np.where(reported > 0, total / reported, np.nan).astype(np.float32))


@dataclass(frozen=True)
class OrdinaryKriging(_Classical):
    """Local ordinary kriging with exact handling of missing neighbours and the kriging variance as its interval."""

    covariance: Covariance
    k: int = 16
    name: str = "kriging"
    has_interval: bool = True

    @classmethod
    def fit(cls, observations: Observations, *, k: int = 16, seed: int = 0) -> OrdinaryKriging:
        """Fit range, nugget and sill by leave-one-station-out on the observations given."""
        covariance = kriging.fit_covariance(observations.values, observations.lon, observations.lat, k=k, seed=seed)
        return cls(covariance, k)

    def estimate(self, prepared: _Prepared, lon: NDArray, lat: NDArray, level: float) -> Estimate:
        """Solve one system per target and pattern of missing stations; steps that share a pattern share it."""
        values = prepared.values
        index, d_target = sphere.nearest(prepared.lon, prepared.lat, lon, lat, self.k)
        d_neighbours = sphere.pairwise_km(prepared.lon, prepared.lat, index)
        patterns, which = np.unique(~np.isfinite(values), axis=1, return_inverse=True)
        shape = (len(lon), values.shape[1])
        estimate, variance = np.full(shape, np.nan, np.float32), np.full(shape, np.nan, np.float32)
        for p in range(patterns.shape[1]):
            missing = patterns[index, p]
            steps = np.flatnonzero(which == p)
            weights, relative = kriging.ordinary_weights(d_target, d_neighbours, self.covariance, missing)
            near = np.where(missing[:, :, None], 0.0, values[index[:, :, None], steps])
            guess = np.einsum("nk,nkt->nt", weights, near)
            # Out of reach of any neighbour that reports: the mean of those that do, as kriging says at infinite distance.
            reports = ~patterns[:, p]
            guess[missing.all(axis=1)] = values[np.ix_(reports, steps)].mean(axis=0) if reports.any() else np.nan
            estimate[:, steps], variance[:, steps] = guess, relative[:, None]
        half = norm.ppf(0.5 + level / 2) * np.sqrt(variance * self.covariance.sill)
        return Estimate(estimate, estimate - half, estimate + half)


#: Names a user may pass where a mapper is expected.
CLASSICAL = ("nearest", "idw", "kriging")


def classical(name: str, observations: Observations, *, seed: int = 0) -> Mapper:
    """Return the classical mapper of that name, fitted where it has something to fit."""
    if name == "nearest":
        return Nearest()
    if name == "idw":
        return InverseDistance()
    if name == "kriging":
        return OrdinaryKriging.fit(observations, seed=seed)
    raise ModelError(f"no mapper {name!r}; there are {', '.join(CLASSICAL)}")
