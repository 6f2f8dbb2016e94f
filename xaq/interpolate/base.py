"""Mappers: anything that turns station observations into estimates elsewhere.

Nearest, inverse distance, kriging in its three forms and AQ-Net all honour one contract, so every comparison runs through the
same pipe. A mapper works in two steps: :meth:`Mapper.prepare` once per period (the station side, may be heavy), then
:meth:`Mapper.estimate` for any number of targets (the cell side, must be light). Arrays in, arrays out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from ..errors import ModelError


@dataclass(frozen=True)
class Observations:
    """Visible stations over a period: what a mapper reads.

    Attributes
    ----------
    values : (n_station, n_time) float32, the target's units
        NaN where missing.
    lon, lat : (n_station,) degrees
        Of the stations.
    times : (n_time,) datetime64, UTC
        On a regular step.
    covariates : (n_covariate, n_station, n_time) float32
        NaN where missing.
    known : (n_known, n_station, n_time + n_ahead) float32, NaN where missing
        Covariates whose values after the last time may be read too, on the same steps: weather over a forecast's horizon.

    Examples
    --------
    >>> import numpy as np
    >>> from xaq.interpolate.base import Observations
    >>> times = np.arange("2020-01-01T00", "2020-01-01T03", dtype="datetime64[h]").astype("datetime64[s]")
    >>> seen = Observations(np.array([[10.0, 12.0, np.nan]], "f4"), np.array([10.0]), np.array([50.0]), times)
    >>> seen.at(times[1:2])
    array([[12.]], dtype=float32)
    """

    values: NDArray
    lon: NDArray
    lat: NDArray
    times: NDArray[np.datetime64]
    covariates: NDArray = field(default_factory=lambda: np.empty((0, 0, 0), np.float32))
    known: NDArray = field(default_factory=lambda: np.empty((0, 0, 0), np.float32))

    def until(self, stop: int, ahead: int) -> Observations:
        """Return what a forecast may see.

        Parameters
        ----------
        stop : int
            The first step that it may not.
        ahead : int
            Steps beyond, of what is known over the horizon.

        Returns
        -------
        Observations
            Views of the same arrays.

        Examples
        --------
        >>> import numpy as np
        >>> from xaq.interpolate.base import Observations
        >>> times = np.arange("2020-01-01T00", "2020-01-01T03", dtype="datetime64[h]").astype("datetime64[s]")
        >>> seen = Observations(np.array([[10.0, 12.0, 11.0]], "f4"), np.array([10.0]), np.array([50.0]), times)
        >>> seen.until(2, ahead=0).values
        array([[10., 12.]], dtype=float32)
        """
        return Observations(
            self.values[:, :stop], self.lon, self.lat, self.times[:stop],
            self.covariates[..., :stop], self.known[..., : stop + ahead],
        )  # fmt: skip

    def at(self, times: NDArray[np.datetime64]) -> NDArray:
        """Return values at the given times.

        Parameters
        ----------
        times : (n,) datetime64, UTC
            Any.

        Returns
        -------
        numpy.ndarray, (n_station, n) float32
            NaN where a time is not in the record.

        Examples
        --------
        >>> import numpy as np
        >>> from xaq.interpolate.base import Observations
        >>> times = np.arange("2020-01-01T00", "2020-01-01T03", dtype="datetime64[h]").astype("datetime64[s]")
        >>> seen = Observations(np.array([[10.0, 12.0, 11.0]], "f4"), np.array([10.0]), np.array([50.0]), times)
        >>> seen.at(np.array(["2020-01-01T02", "2020-01-01T03"], "datetime64[s]"))
        array([[11., nan]], dtype=float32)
        """
        position = np.searchsorted(self.times, times)
        inside = position < len(self.times)
        position = np.where(inside, position, 0)
        inside &= self.times[position] == times
        return np.where(inside, self.values[:, position], np.float32(np.nan))


@dataclass(frozen=True)
class Estimate:
    """Estimates at targets and, where the mapper has one, their predictive distribution.

    Attributes
    ----------
    value : (n_target, n_time) float32, the target's units
        The estimate.
    scale : (n_target, n_time) float32, optional
        Of the distribution; None where the mapper has none.
    standard_quantile : callable
        Quantile of (observation - value) / scale at a probability, non-decreasing: one number, or one for each time.
    offset : float or (n_target, n_time), optional
        Where given, scale and quantiles are those of ``log(1 + observation / offset)``.

    Examples
    --------
    >>> import numpy as np
    >>> from xaq.interpolate.base import Estimate
    >>> made = Estimate(np.array([[20.0]], "f4"), scale=np.array([[4.0]], "f4"))
    >>> made.quantile(0.95).round(1)
    array([[26.6]], dtype=float32)
    """

    value: NDArray
    scale: NDArray | None = None
    standard_quantile: Callable[[float], ArrayLike] = norm.ppf
    offset: float | NDArray | None = None

    def quantile(self, probability: float) -> NDArray[np.float32]:
        """Return the quantile of the distribution at a probability; made when asked for.

        Parameters
        ----------
        probability : float
            Above 0 and below 1.

        Returns
        -------
        numpy.ndarray, (n_target, n_time) float32
            In the target's units.

        Raises
        ------
        ModelError
            The mapper has no distribution.

        Examples
        --------
        >>> import numpy as np
        >>> from xaq.interpolate.base import Estimate
        >>> Estimate(np.array([[20.0]], "f4"), scale=np.array([[4.0]], "f4")).quantile(0.5)
        array([[20.]], dtype=float32)
        """
        if self.scale is None:
            raise ModelError("a point estimate has no quantiles; expected one of a mapper with has_interval")
        departure = np.asarray(self.standard_quantile(probability), np.float32) * self.scale
        if self.offset is None:
            # In place: a new array of this size costs more than the sum.
            departure += self.value
            return departure
        offset = np.asarray(self.offset, np.float32)
        return offset * np.expm1(np.log1p(self.value / offset) + departure)


@runtime_checkable
class Mapper(Protocol):
    """The contract: three facts and two steps.

    What honours it can be given to :func:`xaq.reanalyze`, :func:`xaq.estimate` and :func:`xaq.verify` as a model is.

    Examples
    --------
    The median of all stations, everywhere:

    >>> import numpy as np, xaq
    >>> from xaq.interpolate.base import Estimate
    >>> class Median:
    ...     name, has_interval, margin_days = "median", False, (0, 0)
    ...
    ...     def prepare(self, observations, times):
    ...         return np.nanmedian(observations.at(times), axis=0)
    ...
    ...     def estimate(self, prepared, lon, lat):
    ...         return Estimate(np.tile(prepared, (len(lon), 1)).astype("float32"))
    >>> ds = xaq.datasets.synthetic(n_stations=20, days=3).aq.hide(fraction=0.2)
    >>> ds.aq.verify(Median(), target="pm25", baselines=["idw"]).index.tolist()
    ['median', 'idw']
    """

    @property
    def name(self) -> str:
        """What tables and cubes call it."""

    @property
    def has_interval(self) -> bool:
        """Whether estimates come with a distribution."""

    @property
    def margin_days(self) -> tuple[int, int]:
        """Days of record read before and after the days estimated."""

    def prepare(self, observations: Observations, times: NDArray[np.datetime64]) -> Any:
        """Do the station side, once per period; it may be heavy.

        Parameters
        ----------
        observations : Observations
            Visible stations over the days of ``times`` and ``margin_days`` around them; of a forecast those up to its
            init time, and what is known after it.
        times : (n_time,) datetime64, UTC
            Times to estimate.

        Returns
        -------
        object
            Whatever :meth:`estimate` reads; it travels between the workers of a cluster.
        """

    def estimate(self, prepared: Any, lon: NDArray, lat: NDArray) -> Estimate:
        """Do the cell side: estimate the prepared times at targets, any number of them; it must be light.

        Parameters
        ----------
        prepared : object
            As :meth:`prepare` returned it.
        lon, lat : (n_target,) degrees
            Of the targets; what a target is given does not depend on the others.

        Returns
        -------
        Estimate
            ``(n_target, n_time)``, in the units of the observations; NaN at steps at which no station reports.
        """


@runtime_checkable
class Filling(Protocol):
    """A mapper that writes its estimates where a cube wants them: no array of their size is made beside."""

    def fill(
        self,
        fields: Sequence[NDArray] | NDArray,
        prepared: Any,
        lon: NDArray,
        lat: NDArray,
        probabilities: Sequence[float],
    ) -> None:
        """Write what :meth:`Mapper.estimate` and :meth:`Estimate.quantile` would say, none of it below 0.

        Parameters
        ----------
        fields : sequence of numpy.ndarray, (n_time, n_target) float32
            To write to: the value, and a quantile for each probability.
        prepared, lon, lat
            As for :meth:`Mapper.estimate`.
        probabilities : sequence of float
            Above 0 and below 1.
        """


@dataclass(frozen=True)
class Explanation:
    """What an estimate at one place and time was made of; arrays over its k neighbours, the nearest first.

    Attributes
    ----------
    index : (k,) int
        Of the neighbour among the stations of the observations.
    distance : (k,) km
        Of the neighbour from the place.
    weight : (k,)
        Of the neighbour; they sum to one.
    value : (k,)
        Of the neighbour, a gap filled.
    advected : (k,)
        What is read of the neighbour advected to the place; the value itself where nothing is advected.
    contribution : (k,)
        Their sum is the estimate.
    kriging : float
        What the mapper said before it was trained.
    correction : float
        By how much geography and rasters put the level of the place above its neighbours', a factor; 1 without any.
    log_weight : float
        Of the log scale.
    variance : float
        Kriging variance of a new observation, relative to the sill.

    Examples
    --------
    :func:`xaq.explain` puts labels on one:

    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=16, days=8)
    >>> model = ds.aq.train("pm25", max_epochs=0, progress=False)
    >>> why = ds.aq.explain(model, lon=10.0, lat=50.0, time="2020-01-04T08")
    >>> sorted(why.data_vars)[:4]
    ['advected', 'contribution', 'correction', 'distance']
    """

    index: NDArray[np.intp]
    distance: NDArray
    weight: NDArray
    value: NDArray
    advected: NDArray
    contribution: NDArray
    kriging: float
    correction: float
    log_weight: float
    variance: float


@runtime_checkable
class Explainer(Mapper, Protocol):
    """A mapper that can say what an estimate was made of, for :func:`xaq.explain`.

    Examples
    --------
    >>> import xaq
    >>> from xaq.interpolate.base import Explainer
    >>> isinstance(xaq.Nearest(), Explainer)
    False
    """

    def explain(self, prepared: Any, lon: float, lat: float) -> Explanation:
        """Explain the estimate at a place at the one prepared time.

        Parameters
        ----------
        prepared : object
            As :meth:`prepare` returned it for one time.
        lon, lat : float, degrees
            The place.

        Returns
        -------
        Explanation
            Of the k neighbours, the nearest first.
        """


@runtime_checkable
class Forecaster(Protocol):
    """The contract: a name and a forecast."""

    @property
    def name(self) -> str:
        """What tables call it."""

    def forecast(self, past: Observations, times: NDArray[np.datetime64]) -> NDArray[np.float32]:
        """Return the forecast ``(n_station, n_time)`` in the target's units.

        ``past`` holds observations up to the init time, its last, and what is known after it; ``times`` begin one step
        later. Nothing else may be read.
        """
