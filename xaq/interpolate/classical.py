"""Classical mappers: nearest station, inverse distance, kriging without and with a trend, and the table of their names.

NumPy and SciPy only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from .._arguments import check_count, check_number, check_seed, shown
from ..arrays import sphere
from ..arrays.transforms import Scaler
from ..errors import ModelError
from . import kriging, leave_one_out
from .base import Estimate, Mapper, Observations
from .drift import PredictorSource
from .fit_trend import fit_trend
from .kriging import Covariance
from .spacetime import SpaceTimeKriging
from .trend import BackgroundFactor, OverTrend

#: Name of :func:`drift_kriging`, the one classical method that reads rasters.
DRIFT = "kriging-drift"


@dataclass(frozen=True)
class _Prepared:
    values: NDArray
    lon: NDArray
    lat: NDArray


class _Classical:
    """The station side of mappers that need a step's own observations only: it picks the times."""

    margin_days = (0, 0)

    def prepare(self, observations: Observations, times: NDArray[np.datetime64]) -> _Prepared:
        """Pick the observations of the given times."""
        return _Prepared(observations.at(times), observations.lon, observations.lat)


@dataclass(frozen=True)
class Nearest(_Classical):
    """The value of the nearest station that reports at the step: ``"nearest"`` by name.

    Attributes
    ----------
    name : str
        Name in tables and cubes.
    has_interval : bool
        False: it has no distribution.

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
        """Take the nearest station, where it does not report the second nearest, and so on."""
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
    r"""Inverse distance weighting over the k nearest stations that report at the step: ``"idw"`` by name.

    .. math:: \hat y = \frac{\sum_i d_{*i}^{-\text{power}} y_i}{\sum_i d_{*i}^{-\text{power}}}

    Attributes
    ----------
    power : float
        Power of the distance.
    k : int
        Neighbours.
    name : str
        Name in tables and cubes.
    has_interval : bool
        False: it has no distribution.

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

    def __post_init__(self) -> None:
        power = check_number(
            self.power,
            "power",
            "0 or more, at most 100",
            fix="power=2.0",
            valid=lambda p: 0 <= p <= 100,
            error=ModelError,
        )
        object.__setattr__(self, "power", power)
        object.__setattr__(self, "k", check_count(self.k, "k", 8, error=ModelError))

    def estimate(self, prepared: _Prepared, lon: NDArray, lat: NDArray) -> Estimate:
        """Apply sparse weights to the values of each pattern of reporting stations."""
        values = prepared.values
        result = np.full((len(lon), values.shape[1]), np.nan, np.float32)
        for reports, steps in _by_reporting(values):
            index, distance = sphere.nearest(prepared.lon[reports], prepared.lat[reports], lon, lat, self.k)
            weights = inverse_distance_weights(distance, self.power)
            weights /= weights.sum(axis=1, keepdims=True)
            rows = np.repeat(np.arange(len(lon)), index.shape[1])
            sparse = csr_array((weights.ravel(), (rows, index.ravel())), shape=(len(lon), len(reports)))
            result[:, steps] = sparse @ values[np.ix_(reports, steps)].astype(np.float64)
        return Estimate(result)


@dataclass(frozen=True)
class OrdinaryKriging(_Classical):
    """Ordinary kriging from the k nearest stations that report at the step: ``"kriging"`` and ``"kriging-log"`` by name.

    Errors are normal with the kriging variance. With a ``scaler``,
    covariance, estimate and errors are those of the log scale; estimate and quantiles are transformed back unchanged, so
    that the estimate is a median.

    Attributes
    ----------
    covariance : xaq.interpolate.kriging.Covariance
        Range in km, nugget and sill; :meth:`fit` fits them.
    k : int
        Neighbours.
    name : str
        Name in tables and cubes.
    has_interval : bool
        True: errors are normal with the kriging variance.
    scaler : xaq.arrays.transforms.Scaler, optional
        The log scale; the linear scale without one.

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

    def __post_init__(self) -> None:
        if not isinstance(self.covariance, Covariance):
            raise ModelError(
                f"covariance is {shown(self.covariance)}, expected a Covariance; fix: Covariance(range_km=50.0, nugget=0.1)"
            )
        object.__setattr__(self, "k", check_count(self.k, "k", 16, error=ModelError))

    @classmethod
    def fit(cls, observations: Observations, *, k: int = 16, seed: int = 0) -> OrdinaryKriging:
        """Fit range, nugget and sill by leave-one-station-out cross-validation.

        Parameters
        ----------
        observations : Observations
            Visible stations.
        k : int
            Neighbours.
        seed : int
            Seed of the draw of observations to leave out.

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
        k, seed = check_count(k, "k", 16, error=ModelError), check_seed(seed, error=ModelError)
        seen = leave_one_out.reporting(observations)
        covariance = leave_one_out.fit_covariance(seen.values, seen.lon, seen.lat, k=k, seed=seed)
        return cls(covariance, k)

    @classmethod
    def fit_log(cls, observations: Observations, *, k: int = 16, seed: int = 0) -> OrdinaryKriging:
        """Fit kriging on the log scale of :class:`xaq.arrays.transforms.Scaler`, by the same search.

        Parameters
        ----------
        observations : Observations
            Visible stations.
        k : int
            Neighbours.
        seed : int
            Seed of the draw of observations to leave out.

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
        values = kriging.on_scale(observations.at(times), self.scaler)
        return _Prepared(values, observations.lon, observations.lat)

    def estimate(self, prepared: _Prepared, lon: NDArray, lat: NDArray) -> Estimate:
        """Solve one system per target and pattern of reporting stations; steps with the same pattern share it."""
        values = prepared.values
        estimate, variance = np.full((2, len(lon), values.shape[1]), np.nan, np.float32)
        for reports, steps in _by_reporting(values):
            index, d_target = sphere.nearest(prepared.lon[reports], prepared.lat[reports], lon, lat, self.k)
            d_neighbours = sphere.pairwise_km(prepared.lon[reports], prepared.lat[reports], index)
            weights, relative = kriging.ordinary_weights(d_target, d_neighbours, self.covariance)
            near = values[reports[index][:, :, None], steps]
            estimate[:, steps] = np.einsum("nk,nkt->nt", weights, near)
            variance[:, steps] = relative[:, None]
        return kriging.normal_estimate(estimate, np.sqrt(variance * self.covariance.sill), self.scaler)


def _by_reporting(values: NDArray) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield the stations that report at a step, and the steps at which the same ones do; none of steps without any."""
    patterns, which = np.unique(np.isfinite(values), axis=1, return_inverse=True)
    for p, reporting in enumerate(patterns.T):
        if reporting.any():
            yield np.flatnonzero(reporting), np.flatnonzero(which == p)


def inverse_distance_weights(distance: NDArray, power: float) -> NDArray[np.float64]:
    """Return ``distance ** -power`` of distances in km, not normalised; distances below a metre count as a metre."""
    return np.maximum(distance, 1e-3) ** -power


def drift_kriging(
    observations: Observations,
    *,
    background: BackgroundFactor | None = None,
    predictors: PredictorSource | None = None,
    k: int = 16,
    seed: int = 0,
) -> OverTrend:
    """Fit ordinary kriging of the ratio to background, external drift and site effect: ``"kriging-drift"`` by name.

    Each term is fitted to the ratios that the terms before it leave, and the covariance to those before the site effect.

    Parameters
    ----------
    observations : Observations
        Visible stations.
    background : BackgroundFactor, optional
        Fitted to the same observations.
    predictors : PredictorSource, optional
        Of the drift; there is none without.
    k : int
        Neighbours.
    seed : int
        Seed of the draws of observations to leave out.

    Returns
    -------
    OverTrend

    Raises
    ------
    SchemaError
        There is no observation, or none where the background has a value.
    """
    fitted = fit_trend(observations, background=background, predictors=predictors, k=k, seed=seed)
    ratios, before = leave_one_out.reporting(fitted.ratios), fitted.covariance
    assert before is not None  # there is a site effect
    covariance = leave_one_out.fit_sill(ratios.values, ratios.lon, ratios.lat, before, k=k, seed=seed)
    return OverTrend(OrdinaryKriging(covariance, k, DRIFT), fitted.trend)


#: Mappers without anything to fit, by name.
UNFITTED: dict[str, Callable[[], Mapper]] = {"nearest": Nearest, "idw": InverseDistance}
#: Fits of the others to observations, by name.
_FITS: dict[str, Callable[..., Mapper]] = {
    "kriging": OrdinaryKriging.fit,
    "kriging-log": OrdinaryKriging.fit_log,
    "kriging-spacetime": SpaceTimeKriging.fit,
    DRIFT: drift_kriging,
}
#: Names that a user may pass in place of a mapper.
CLASSICAL = (*UNFITTED, *_FITS)


def classical(name: str, observations: Observations, *, seed: int = 0) -> Mapper:
    """Return the classical mapper of a name, fitted to observations where it has something to fit.

    Raises
    ------
    ModelError
        No mapper has that name.
    SchemaError
        There is no observation to fit to.
    """
    if name in UNFITTED:
        return UNFITTED[name]()
    if name in _FITS:
        return _FITS[name](observations, seed=seed)
    raise ModelError(f"no mapper {name!r}; fix: one of {', '.join(CLASSICAL)}")
