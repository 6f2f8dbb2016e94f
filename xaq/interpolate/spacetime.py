"""Ordinary kriging in space and time with a separable covariance: ``"kriging-spacetime"``. NumPy only.

Neighbours are the k nearest stations at the step estimated and at a few lags around it, so that systems stay small and are
solved exactly, without the missing entries.

Throughout, ``series`` is ``(n_lag, n_station, n_time)``: for each time, the values each lag away from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .._arguments import check_count, check_seed
from ..arrays import sphere, timesteps
from ..arrays.transforms import Scaler
from ..errors import ModelError
from . import kriging, leave_one_out
from .base import Estimate, Observations
from .kriging import Covariance, KrigingWeights
from .leave_one_out import Neighbours

#: Entries of the systems solved at once; 4 million in float64 are 32 MB.
_BATCH_ENTRIES = 4_000_000
#: The search stops where the squared error falls by less than this fraction.
_LEAST_GAIN = 1e-4
#: Ranges in time that the search begins with, relative to the largest lag.
_FIRST_RANGES = (0.3, 3.0, 12.0, 48.0, 192.0)


@dataclass(frozen=True)
class SpaceTimeCovariance:
    r"""Separable exponential covariance with a nugget per observation.

    .. math:: \sigma^2 \big(e^{-d / \rho}\, e^{-|\Delta t| / \tau} + \nu\, \delta\big)

    with :math:`\delta` 1 for an observation and itself and 0 for any two observations. Cressie and Wikle (2011), Statistics
    for Spatio-Temporal Data, section 6.1.

    Attributes
    ----------
    range_km, range_hours : float
        The ranges :math:`\rho` in space and :math:`\tau` in time.
    nugget : float
        :math:`\nu`, relative to the sill.
    sill : float, the target's units squared
        :math:`\sigma^2`.
    """

    range_km: float
    range_hours: float
    nugget: float
    sill: float = 1.0


@dataclass(frozen=True)
class _PreparedSeries:
    series: NDArray
    lon: NDArray
    lat: NDArray


@dataclass(frozen=True)
class SpaceTimeKriging:
    """Ordinary kriging from the k nearest stations at the step and at lags around it: ``"kriging-spacetime"`` by name.

    Missing entries are left out of each system. A step at which no station of the network reports stays NaN, as with every
    mapper, although values at the lags could fill it.

    Attributes
    ----------
    covariance : xaq.interpolate.spacetime.SpaceTimeCovariance
        Separable; :meth:`fit` fits it.
    lags_hours : tuple of float
        Hours from the step, 0 among them.
    k : int
        Neighbours in space, at each lag.
    scaler : xaq.arrays.transforms.Scaler, optional
        The log scale, as for :class:`OrdinaryKriging`.
    name : str
        Name in tables and cubes.
    has_interval : bool
        True: errors are normal with the kriging variance.

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

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", check_count(self.k, "k", 16, error=ModelError))

    @classmethod
    def fit(cls, observations: Observations, *, k: int = 16, n_pairs: int = 3000, seed: int = 0) -> SpaceTimeKriging:
        """Fit on the linear and on the log scale, and keep the scale with the smaller leave-one-station-out error.

        MAE and RMSE in the target's units have equal weight.

        Parameters
        ----------
        observations : Observations
            Visible stations.
        k : int
            Neighbours.
        n_pairs : int
            Observations to leave out.
        seed : int
            Seed of their draw.

        Returns
        -------
        SpaceTimeKriging
            With a lag of one step before and after.

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
        k, n_pairs = (
            check_count(k, "k", 16, error=ModelError),
            check_count(n_pairs, "n_pairs", 3000, least=2, error=ModelError),
        )
        seed = check_seed(seed, error=ModelError)
        if len(observations.times) < 2:
            raise ModelError("the record has one step, and kriging in space and time needs several; fix: 'kriging'")
        observations = leave_one_out.reporting(observations)
        values, lon, lat = observations.values, observations.lon, observations.lat
        pairs = leave_one_out.draw_pairs(values, n_pairs, seed=[seed, 3])
        truth = values[pairs[:, 0], pairs[:, 1]].astype(np.float64)
        lags = default_lags(timesteps.regular_step(observations.times) / np.timedelta64(1, "h"))
        neighbours = leave_one_out.other_stations(lon, lat, k)
        fitted, errors = [], []
        for scaler in (None, Scaler.fit(values)):
            scaled = replace(observations, values=kriging.on_scale(values, scaler))
            in_space = leave_one_out.fit_covariance(scaled.values, lon, lat, k=k, n_pairs=n_pairs // 2, seed=seed)
            series = _lagged(scaled, scaled.times, lags)
            covariance = fit_covariance(series, lon, lat, pairs, lags, in_space, k)
            guess, _ = predict_left_out(series, neighbours, pairs, lags, covariance)
            errors.append(leave_one_out.mae_and_rmse(truth - (guess if scaler is None else scaler.exp(guess))))
            fitted.append(cls(covariance, lags, k, scaler))
        scores = [leave_one_out.relative_score(error, errors[0]) for error in errors]
        return fitted[int(np.argmin(scores))]

    @property
    def margin_days(self) -> tuple[int, int]:
        """Days before and after that hold the lags."""
        days = math.ceil(max(self.lags_hours) / 24)
        return days, days

    def prepare(self, observations: Observations, times: NDArray[np.datetime64]) -> _PreparedSeries:
        """Pick the observations at every lag from the given times, on the scale of the covariance."""
        series = kriging.on_scale(_lagged(observations, times, self.lags_hours), self.scaler)
        return _PreparedSeries(series, observations.lon, observations.lat)

    def estimate(self, prepared: _PreparedSeries, lon: NDArray, lat: NDArray) -> Estimate:
        """Solve one system per target and pattern of missing entries; steps with the same pattern share it."""
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
            weights, relative = space_time_weights(
                np.full(len(first), i), missing[first], d_target, d_neighbours, self.lags_hours, self.covariance
            )
            guess = (weights[which] * np.where(missing, 0.0, near)).sum(axis=1)
            # Where no neighbour reports: the mean of the stations that do, as in kriging in space.
            estimate[i], variance[i] = np.where(missing.all(axis=1), mean, guess), relative[which]
        estimate[:, reporting == 0] = np.nan
        return kriging.normal_estimate(estimate, np.sqrt(variance * self.covariance.sill), self.scaler)


def _lagged(observations: Observations, times: NDArray[np.datetime64], lags_hours: tuple[float, ...]) -> NDArray:
    lags = (np.asarray(lags_hours) * 3600).astype("timedelta64[s]")
    return np.stack([observations.at(times + lag) for lag in lags])


def default_lags(step_hours: float) -> tuple[float, ...]:
    """Return the lags in hours at which stations are neighbours: one step before, none, one step after."""
    return (-step_hours, 0.0, step_hours)


def space_time_weights(
    place: NDArray[np.intp],
    missing: NDArray[np.bool_],
    d_target: NDArray,
    d_neighbours: NDArray,
    lags_hours: tuple[float, ...],
    covariance: SpaceTimeCovariance,
) -> KrigingWeights:
    r"""Solve one system per target and pattern of missing entries.

    Parameters
    ----------
    place : (n,) int
        Row of the distances that each system belongs to.
    missing : (n, n_lag * k) bool
        Entries without a value, lag by lag.
    d_target : (n_place, k) km
        Distances from target to neighbour.
    d_neighbours : (n_place, k, k) km
        Distances among neighbours.
    lags_hours : n_lag hours
        Relative to the time estimated.
    covariance : SpaceTimeCovariance

    Returns
    -------
    KrigingWeights
        Weights ``(n, n_lag * k)`` that sum to one, zeros where every entry is missing; variance ``(n,)``.

    Notes
    -----
    The entries of :func:`xaq.interpolate.kriging.solve_ordinary` for stations i, j and times :math:`t_i, t_j`, the target
    being at :math:`*` and the time :math:`t`:

    .. math:: C_{ij} = e^{-d_{ij} / \rho - |t_i - t_j| / \tau} + \nu\, \delta_{ij}, \qquad
        c_{*i} = e^{-d_{*i} / \rho - |t_i - t| / \tau} .
    """
    lags = np.asarray(lags_hours)
    in_time = np.exp(-np.abs(lags[:, None] - lags) / covariance.range_hours)
    to_time = np.exp(-np.abs(lags) / covariance.range_hours)
    in_space, to_space = np.exp(-d_neighbours / covariance.range_km), np.exp(-d_target / covariance.range_km)
    n, size = missing.shape
    weights, variance = np.zeros((n, size)), np.zeros(n)
    batch = max(1, _BATCH_ENTRIES // size**2)
    for first in range(0, n, batch):
        part = slice(first, first + batch)
        at, out = place[part], missing[part]
        between = np.einsum("ab,nij->naibj", in_time, in_space[at]).reshape(-1, size, size)
        to_target = np.einsum("a,ni->nai", to_time, to_space[at]).reshape(-1, size)
        weights[part], variance[part] = kriging.solve_ordinary(between, to_target, covariance.nugget, out)
    return KrigingWeights(weights, variance)


def fit_covariance(
    series: NDArray,
    lon: NDArray,
    lat: NDArray,
    pairs: NDArray[np.intp],
    lags_hours: tuple[float, ...],
    in_space: Covariance,
    k: int,
) -> SpaceTimeCovariance:
    r"""Fit both ranges and the nugget by leave-one-station-out cross-validation, and the sill to the errors.

    Parameters
    ----------
    series : (n_lag, n_station, n_time), NaN where missing
        Visible stations, training period.
    lon, lat : (n_station,) degrees
    pairs : (n_pair, 2) int
        Station and time index of the observations to leave out.
    lags_hours : n_lag hours
        0 among them.
    in_space : Covariance
        Fitted to kriging in space alone: the first guess of range and nugget.
    k : int
        Neighbours in space.

    Returns
    -------
    SpaceTimeCovariance
        The least squared error found: the search takes the best of a few ranges in time with the first guess, then doubles
        or halves one parameter after the other for as long as the error falls.

    Notes
    -----
    With the leave-one-out estimate :math:`\hat y` of an observation :math:`y` and its kriging variance :math:`v`,

    .. math:: (\rho, \tau, \nu) = \arg\min \overline{(y - \hat y)^2}, \qquad \sigma^2 = \overline{(y - \hat y)^2 / v}.
    """
    truth = series[lags_hours.index(0.0)][pairs[:, 0], pairs[:, 1]].astype(np.float64)
    neighbours, ranges = leave_one_out.other_stations(lon, lat, k), leave_one_out.candidate_ranges(lon, lat)
    longest, tiny = max(lags_hours), float(np.finfo(float).tiny)
    bounds = {
        "range_km": (ranges[0], ranges[-1]),
        "range_hours": (0.1 * longest, 1000 * longest),
        "nugget": (0.001, 3.0),
    }
    firsts = [SpaceTimeCovariance(in_space.range_km, x * longest, in_space.nugget) for x in _FIRST_RANGES]
    # Which pairs have a neighbour that reports does not depend on the covariance.
    seen = np.isfinite(predict_left_out(series, neighbours, pairs, lags_hours, firsts[0])[0])
    if not seen.any():
        return replace(firsts[1], sill=max(float(truth.var()), tiny))
    pairs, truth = pairs[seen], truth[seen]

    def error(candidate: SpaceTimeCovariance) -> float:
        estimate, _ = predict_left_out(series, neighbours, pairs, lags_hours, candidate)
        return float(np.mean((truth - estimate) ** 2))

    best = _coordinate_descent(firsts, bounds, error)
    estimate, variance = predict_left_out(series, neighbours, pairs, lags_hours, best)
    return replace(best, sill=max(float(np.mean((truth - estimate) ** 2 / variance)), tiny))


def _coordinate_descent(
    firsts: list[SpaceTimeCovariance],
    bounds: dict[str, tuple[float, float]],
    error: Callable[[SpaceTimeCovariance], float],
) -> SpaceTimeCovariance:
    """Double or halve one parameter after the other, within bounds, for as long as the error falls."""
    errors = [error(c) for c in firsts]
    best, best_error = firsts[int(np.argmin(errors))], min(errors)

    def moved(name: str, factor: float) -> SpaceTimeCovariance:
        return replace(best, **{name: float(np.clip(getattr(best, name) * factor, *bounds[name]))})

    improving = True
    while improving:
        improving = False
        for name in bounds:
            for factor in (2.0, 0.5):
                candidate = moved(name, factor)
                while candidate != best and (new := error(candidate)) < (1 - _LEAST_GAIN) * best_error:
                    best, best_error, improving = candidate, new, True
                    candidate = moved(name, factor)
    return best


def predict_left_out(
    series: NDArray,
    neighbours: Neighbours,
    pairs: NDArray[np.intp],
    lags_hours: tuple[float, ...],
    covariance: SpaceTimeCovariance,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Krige (station, time) pairs from the other stations, in space and time.

    The predicted station is a neighbour of itself at no lag, nor is a co-located one.

    Parameters
    ----------
    series : (n_lag, n_station, n_time), NaN where missing
    neighbours : Neighbours
        Of :func:`xaq.interpolate.leave_one_out.other_stations`.
    pairs : (n_pair, 2) int
        Station and time index.
    lags_hours : n_lag hours
        Of the series.
    covariance : SpaceTimeCovariance

    Returns
    -------
    estimate : (n_pair,)
        NaN where no neighbour reports at any lag.
    variance : (n_pair,)
        Relative to the sill.
    """
    station, time = pairs[:, 0], pairs[:, 1]
    near = series[:, neighbours.station[station], time[:, None]].transpose(1, 0, 2).astype(np.float64)
    elsewhere = np.isfinite(neighbours.distance)
    missing = (~np.isfinite(near) | ~elsewhere[station][:, None, :]).reshape(len(pairs), -1)
    d_target = np.where(elsewhere, neighbours.distance, 0.0)
    weights, variance = space_time_weights(station, missing, d_target, neighbours.among, lags_hours, covariance)
    estimate = (weights * np.where(missing, 0.0, near.reshape(missing.shape))).sum(axis=1)
    return np.where(missing.all(axis=1), np.nan, estimate), variance
