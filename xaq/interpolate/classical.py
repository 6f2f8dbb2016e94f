"""Mappers: anything that turns station observations into estimates elsewhere.

Nearest, inverse distance, kriging in its three forms and AQ-Net all honour one contract, so every comparison runs through the
same pipe. A mapper works in two steps: :meth:`Mapper.prepare` once per period (the station side, may be heavy), then
:meth:`Mapper.estimate` for any number of targets (the cell side, must be light). Arrays in, arrays out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ..arrays import sphere, timesteps
from ..arrays.transforms import Scaler
from ..errors import ModelError, SchemaError
from . import kriging, leave_one_out, spacetime
from .base import Estimate, Mapper, Observations
from .kriging import Covariance
from .spacetime import SpaceTimeCovariance


@dataclass(frozen=True)
class _Prepared:
    values: NDArray
    lon: NDArray
    lat: NDArray


class _Classical:
    """What the classical mappers of one step share: the station side only picks the times."""

    margin_days = (0, 0)

    def prepare(self, observations: Observations, times: NDArray[np.datetime64]) -> _Prepared:
        """Pick the observations of the given times."""
        return _Prepared(observations.at(times), observations.lon, observations.lat)


@dataclass(frozen=True)
class Nearest(_Classical):
    """The value of the nearest station that reports at that step: ``"nearest"`` by name.

    Attributes
    ----------
    name : str
        What tables and cubes call it.
    has_interval : bool
        False: there is no distribution.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
    >>> ds.aq.estimate(xaq.Nearest(), lon=[10.0], lat=[50.0], target="pm25").pm25.shape
    (48, 1)
    """

    name: str = "nearest"
    has_interval: bool = False

    def estimate(self, prepared: _Prepared, lon: NDArray, lat: NDArray) -> Estimate:
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
    """Inverse distance weighting over the k nearest stations, renormalised over those that report: ``"idw"`` by name.

    Attributes
    ----------
    power : float
        Of the distance.
    k : int
        Neighbours; where all of them are silent, every station is one.
    name : str
        What tables and cubes call it.
    has_interval : bool
        False: there is no distribution.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
    >>> ds.aq.estimate(xaq.InverseDistance(power=3.0), lon=[10.0], lat=[50.0], target="pm25").pm25.shape
    (48, 1)
    """

    power: float = 2.0
    k: int = 8
    name: str = "idw"
    has_interval: bool = False

    def estimate(self, prepared: _Prepared, lon: NDArray, lat: NDArray) -> Estimate:
        """Apply sparse weights to values and to their mask; where all k are silent, use every station."""
        values, n_station = prepared.values, len(prepared.lon)
        seen = np.isfinite(values)
        filled, mask = np.where(seen, values, 0).astype(np.float64), seen.astype(np.float64)
        index, distance = sphere.nearest(prepared.lon, prepared.lat, lon, lat, self.k)
        weights = inverse_distance_weights(distance, self.power)
        rows = np.repeat(np.arange(len(lon)), index.shape[1])
        sparse = csr_array((weights.ravel(), (rows, index.ravel())), shape=(len(lon), n_station))
        total, reported = sparse @ filled, sparse @ mask
        silent = (reported == 0).any(axis=1)
        if silent.any():
            everywhere = sphere.distance_km(lon[silent, None], lat[silent, None], prepared.lon, prepared.lat)
            dense = inverse_distance_weights(everywhere, self.power)
            hole = reported[silent] == 0
            total[silent] = np.where(hole, dense @ filled, total[silent])
            reported[silent] = np.where(hole, dense @ mask, reported[silent])
        with np.errstate(invalid="ignore", divide="ignore"):
            return Estimate(np.where(reported > 0, total / reported, np.nan).astype(np.float32))


@dataclass(frozen=True)
class OrdinaryKriging(_Classical):
    """Local ordinary kriging with exact handling of missing neighbours: ``"kriging"`` and ``"kriging-log"`` by name.

    Its distribution is Gaussian, of the kriging variance. With a ``scaler`` it works on the log scale, to which the
    covariance then belongs; estimate and quantiles are those there, so they are transformed back as they are, the
    estimate being a median.

    Attributes
    ----------
    covariance : xaq.interpolate.kriging.Covariance
        Range in km, nugget and sill; :meth:`fit` finds them.
    k : int
        Neighbours.
    name : str
        What tables and cubes call it.
    has_interval : bool
        True: the kriging variance is that of its distribution.
    scaler : xaq.arrays.transforms.Scaler, optional
        Of the log scale.

    Examples
    --------
    >>> import xaq
    >>> from xaq.interpolate.kriging import Covariance
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
    >>> mapper = xaq.OrdinaryKriging(Covariance(range_km=50.0, nugget=0.1, sill=100.0))
    >>> sorted(ds.aq.estimate(mapper, lon=[10.0], lat=[50.0], target="pm25").data_vars)[:3]
    ['nearest_station', 'pm25', 'pm25_lower']
    """

    covariance: Covariance
    k: int = 16
    name: str = "kriging"
    has_interval: bool = True
    scaler: Scaler | None = None

    @classmethod
    def fit(cls, observations: Observations, *, k: int = 16, seed: int = 0) -> OrdinaryKriging:
        """Fit range, nugget and sill by leave-one-station-out on the observations given.

        Parameters
        ----------
        observations : Observations
            Visible stations.
        k : int
            Neighbours.
        seed : int
            Of the draw of station-steps that are left out.

        Returns
        -------
        OrdinaryKriging
            On the linear scale.

        Raises
        ------
        SchemaError
            There is no observation.

        Examples
        --------
        >>> import xaq
        >>> from xaq.stations import schema
        >>> observations = schema.observations(xaq.datasets.synthetic(n_stations=12, days=2), "pm25")
        >>> xaq.OrdinaryKriging.fit(observations).name
        'kriging'
        """
        covariance = leave_one_out.fit_covariance(
            observations.values, observations.lon, observations.lat, k=k, seed=seed
        )
        return cls(covariance, k)

    @classmethod
    def fit_log(cls, observations: Observations, *, k: int = 16, seed: int = 0) -> OrdinaryKriging:
        """Fit kriging on the log scale, :class:`xaq.arrays.transforms.Scaler`, by the same search.

        Parameters
        ----------
        observations : Observations
            Visible stations.
        k : int
            Neighbours.
        seed : int
            Of the draw of station-steps that are left out.

        Returns
        -------
        OrdinaryKriging
            On the log scale: its estimates are medians.

        Raises
        ------
        SchemaError
            There is no observation.

        Examples
        --------
        >>> import xaq
        >>> from xaq.stations import schema
        >>> observations = schema.observations(xaq.datasets.synthetic(n_stations=12, days=2), "pm25")
        >>> xaq.OrdinaryKriging.fit_log(observations).name
        'kriging-log'
        """
        scaler = Scaler.fit(observations.values)
        on_logs = cls.fit(replace(observations, values=scaler.log(observations.values)), k=k, seed=seed)
        return replace(on_logs, name="kriging-log", scaler=scaler)

    def prepare(self, observations: Observations, times: NDArray[np.datetime64]) -> _Prepared:
        """Pick the observations of the given times, on the scale of the covariance."""
        return _Prepared(_scaled(observations.at(times), self.scaler), observations.lon, observations.lat)

    def estimate(self, prepared: _Prepared, lon: NDArray, lat: NDArray) -> Estimate:
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
        return _normal(estimate, np.sqrt(variance * self.covariance.sill), self.scaler)


@dataclass(frozen=True)
class _PreparedSeries:
    """``series (n_lag, n_station, n_time)``: the values that lie each lag away from each time."""

    series: NDArray
    lon: NDArray
    lat: NDArray


@dataclass(frozen=True)
class SpaceTimeKriging:
    """Ordinary kriging from the k nearest stations at the step and at lags around it, ``"kriging-spacetime"`` by name.

    Missing entries are handled exactly. A step at which no station of the network reports stays NaN, as with every
    mapper, though its neighbours in time could fill it.

    Attributes
    ----------
    covariance : xaq.interpolate.spacetime.SpaceTimeCovariance
        Separable; :meth:`fit` finds it.
    lags_hours : tuple of float
        Hours from the step, 0 among them.
    k : int
        Neighbours in space, at each lag.
    scaler : xaq.arrays.transforms.Scaler, optional
        As for :class:`OrdinaryKriging`.
    name : str
        What tables and cubes call it.
    has_interval : bool
        True: the kriging variance is that of its distribution.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=2).aq.hide(fraction=0.2)
    >>> ds.aq.verify("kriging-spacetime", baselines=["kriging"]).index.tolist()
    ['kriging-spacetime', 'kriging']
    """

    covariance: SpaceTimeCovariance
    lags_hours: tuple[float, ...]
    k: int = 16
    scaler: Scaler | None = None
    name: str = "kriging-spacetime"
    has_interval: bool = True

    @classmethod
    def fit(cls, observations: Observations, *, k: int = 16, n_pairs: int = 3000, seed: int = 0) -> SpaceTimeKriging:
        """Fit on the linear and on the log scale, and keep the one that leave-one-station-out prefers.

        MAE and RMSE, in the target's units, count alike.

        Parameters
        ----------
        observations : Observations
            Visible stations.
        k : int
            Neighbours.
        n_pairs : int
            Station-steps that are left out.
        seed : int
            Of their draw.

        Returns
        -------
        SpaceTimeKriging
            With the lags that suit the step.

        Raises
        ------
        SchemaError
            There is no observation.

        Examples
        --------
        >>> import xaq
        >>> from xaq.stations import schema
        >>> observations = schema.observations(xaq.datasets.synthetic(n_stations=12, days=2), "pm25")
        >>> xaq.SpaceTimeKriging.fit(observations, n_pairs=200).margin_days
        (1, 1)
        """
        observed = np.argwhere(np.isfinite(observations.values))
        if not len(observed):
            raise SchemaError("no observation to fit a covariance to")
        rng = np.random.default_rng([seed, 3])
        pairs = observed[rng.choice(len(observed), size=min(n_pairs, len(observed)), replace=False)]
        truth = observations.values[pairs[:, 0], pairs[:, 1]].astype(np.float64)
        lags = spacetime.default_lags(timesteps.regular_step(observations.times) / np.timedelta64(1, "h"))
        found, errors = [], []
        for scaler in (None, Scaler.fit(observations.values)):
            scaled = replace(observations, values=_scaled(observations.values, scaler))
            start = leave_one_out.fit_covariance(
                scaled.values, scaled.lon, scaled.lat, k=k, n_pairs=n_pairs // 2, seed=seed
            )
            series = _lagged(scaled, scaled.times, lags)
            covariance = spacetime.fit_covariance(series, scaled.lon, scaled.lat, pairs, lags, start, k)
            guess, _ = spacetime.predict_left_out(series, scaled.lon, scaled.lat, pairs, lags, covariance, k)
            residual = truth - (guess if scaler is None else scaler.exp(guess))
            found.append(cls(covariance, lags, k, scaler))
            errors.append((_mean(np.abs(residual)), math.sqrt(_mean(residual**2))))
        (mae, rmse), (log_mae, log_rmse) = errors
        return found[1] if log_mae * rmse + log_rmse * mae < 2 * mae * rmse else found[0]

    @property
    def margin_days(self) -> tuple[int, int]:
        """Days that hold the lags, before and after."""
        days = math.ceil(max(self.lags_hours) / 24)
        return days, days

    def prepare(self, observations: Observations, times: NDArray[np.datetime64]) -> _PreparedSeries:
        """Pick the observations at every lag from the given times, on the scale of the covariance."""
        series = _scaled(_lagged(observations, times, self.lags_hours), self.scaler)
        return _PreparedSeries(series, observations.lon, observations.lat)

    def estimate(self, prepared: _PreparedSeries, lon: NDArray, lat: NDArray) -> Estimate:
        """Solve one system per target and pattern of missing entries around it; steps with that pattern share it."""
        n_time = prepared.series.shape[2]
        index, d_target = sphere.nearest(prepared.lon, prepared.lat, lon, lat, self.k)
        d_neighbours = sphere.pairwise_km(prepared.lon, prepared.lat, index)
        now = prepared.series[self.lags_hours.index(0.0)].astype(np.float64)
        reporting = np.isfinite(now).sum(axis=0)
        mean = np.where(reporting > 0, np.nansum(now, axis=0) / np.maximum(reporting, 1), np.nan)
        estimate, variance = np.empty((2, len(lon), n_time))
        for i in range(len(lon)):
            near = prepared.series[:, index[i]].reshape(-1, n_time).T
            missing = ~np.isfinite(near)
            _, first, which = np.unique(np.packbits(missing, axis=1), axis=0, return_index=True, return_inverse=True)
            weights, relative = spacetime.weights(
                np.full(len(first), i), missing[first], d_target, d_neighbours, self.lags_hours, self.covariance
            )
            guess = (weights[which] * np.where(missing, 0.0, near)).sum(axis=1)
            # Out of reach of any neighbour that reports: the mean of those that do, as in space alone.
            estimate[i], variance[i] = np.where(missing.all(axis=1), mean, guess), relative[which]
        estimate[:, reporting == 0] = np.nan
        std = np.sqrt(variance * self.covariance.sill)
        return _normal(estimate, std, self.scaler)


def _scaled(values: NDArray, scaler: Scaler | None) -> NDArray:
    return values if scaler is None else scaler.log(values)


def _lagged(observations: Observations, times: NDArray[np.datetime64], lags_hours: tuple[float, ...]) -> NDArray:
    lags = (np.asarray(lags_hours) * 3600).astype("timedelta64[s]")
    return np.stack([observations.at(times + lag) for lag in lags])


def _mean(values: NDArray) -> float:
    """Return the mean over what is no NaN; 0 where nothing is."""
    seen = np.isfinite(values)
    return float(values[seen].mean()) if seen.any() else 0.0


def _normal(mean: NDArray, std: NDArray, scaler: Scaler | None) -> Estimate:
    """Return the distribution of normal errors; on the log scale where there is a scaler, the value being its median."""
    mean, std = mean.astype(np.float32), std.astype(np.float32)
    return Estimate(mean, std) if scaler is None else Estimate(scaler.exp(mean), std, offset=scaler.offset)


#: Names a user may pass where a mapper is expected.
CLASSICAL = ("nearest", "idw", "kriging", "kriging-log", "kriging-spacetime")


def classical(name: str, observations: Observations, *, seed: int = 0) -> Mapper:
    """Return the classical mapper of that name, fitted where it has something to fit."""
    if name == "nearest":
        return Nearest()
    if name == "idw":
        return InverseDistance()
    if name == "kriging":
        return OrdinaryKriging.fit(observations, seed=seed)
    if name == "kriging-log":
        return OrdinaryKriging.fit_log(observations, seed=seed)
    if name == "kriging-spacetime":
        return SpaceTimeKriging.fit(observations, seed=seed)
    raise ModelError(f"no mapper {name!r}; there are {', '.join(CLASSICAL)}")


def inverse_distance_weights(distance: NDArray, power: float) -> NDArray[np.float64]:
    """Return unnormalised weights ``distance ** -power``; a station within a metre takes all."""
    return np.maximum(distance, 1e-3) ** -power
