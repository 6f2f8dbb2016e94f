"""The contract of a mapper: anything that turns station observations into estimates elsewhere.

The classical mappers and AQ-Net have one contract, so that cubes and comparisons treat all of them alike. A mapper works in
two steps: :meth:`Mapper.prepare` once per period (the station side, which may be slow), then :meth:`Mapper.estimate` for any
number of targets (the cell side, which must be fast). Arrays in, arrays out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from ..arrays.transforms import from_log, to_log
from ..errors import ModelError


@dataclass(frozen=True)
class Observations:
    """The observations of visible stations over a period, which a mapper estimates from.

    Attributes
    ----------
    values : (n_station, n_time) float32, the target's units
        NaN where missing.
    lon, lat : (n_station,) degrees
        Coordinates of the stations.
    times : (n_time,) datetime64, UTC
        With a regular step.
    covariates : (n_covariate, n_station, n_time) float32
        NaN where missing.
    known : (n_known, n_station, n_time + n_ahead) float32
        Covariates that are also known ``n_ahead`` steps after the last time, such as weather over a forecast's horizon; NaN
        where missing.

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
        """Return the observations that a forecast may use.

        Parameters
        ----------
        stop : int
            The first step that it may not use.
        ahead : int
            Steps from ``stop`` on for which the known covariates are kept.

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
        """Return the values at given times.

        Parameters
        ----------
        times : (n,) datetime64, UTC
            In any order, inside the record or not.

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
        Scale of the distribution of errors; None where the mapper has none.
    standard_quantile : callable
        Quantile of the standardised error (observation - value) / scale at a probability, non-decreasing: one number, or one
        for each time.
    offset : float or (n_target, n_time), the target's units, optional
        Offset of the log scale; where given, errors are those of ``log(1 + observation / offset)``.

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
        r"""Return the quantile of the distribution at a probability, computed in each call.

        .. math:: \hat y + \varsigma\, Q_p, \qquad \text{or on the log scale} \qquad
            o\, \Big(e^{\log(1 + \hat y / o) + \varsigma\, Q_p} - 1\Big)

        with the estimate :math:`\hat y`, its scale :math:`\varsigma`, the standard quantile :math:`Q_p` and the offset
        :math:`o`.

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
            raise ModelError("the estimate has no scale and no quantiles, expected one of a mapper with has_interval")
        error = np.asarray(self.standard_quantile(probability), np.float32) * self.scale
        if self.offset is None:
            # In place: a new array of this size costs more than the sum.
            error += self.value
            return error
        offset = np.asarray(self.offset, np.float32)
        return from_log(to_log(self.value, offset) + error, offset)


@runtime_checkable
class Mapper(Protocol):
    """The contract of a mapper: three properties and two steps.

    Pass an object with these to :func:`xaq.reanalyze`, :func:`xaq.estimate` or :func:`xaq.verify` in place of a model.

    Examples
    --------
    The median of all stations as the estimate at every target:

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
        """Name in tables and cubes."""

    @property
    def has_interval(self) -> bool:
        """Whether estimates come with a distribution."""

    @property
    def margin_days(self) -> tuple[int, int]:
        """Days of observations used before and after the days estimated."""

    def prepare(self, observations: Observations, times: NDArray[np.datetime64]) -> Any:
        """Do the station side, once per period; it may be slow.

        Parameters
        ----------
        observations : Observations
            Visible stations over the days of ``times`` and ``margin_days`` around them; for a forecast those up to its
            init time, with the known covariates after it.
        times : (n_time,) datetime64, UTC
            Times to estimate.

        Returns
        -------
        object
            What :meth:`estimate` needs; it must pickle, as Dask sends it to workers.
        """

    def estimate(self, prepared: Any, lon: NDArray, lat: NDArray) -> Estimate:
        """Do the cell side: estimate the prepared times at any number of targets; it must be fast.

        Parameters
        ----------
        prepared : object
            As :meth:`prepare` returned it.
        lon, lat : (n_target,) degrees
            Targets; the estimate at one must not depend on the others.

        Returns
        -------
        Estimate
            ``(n_target, n_time)``, in the units of the observations; NaN at steps at which no station reports.
        """


class Field(Protocol):
    """A gridded field or a raster that estimates depend on beside the stations: what the pipe asks of it."""

    @property
    def name(self) -> str:
        """What messages and attributes call it."""

    @property
    def units(self) -> str:
        """Of its values; empty where it names none."""

    @property
    def hash(self) -> str:
        """Identity of its grid and units, and of a static field's values."""

    @property
    def times(self) -> NDArray[np.datetime64]:
        """Its own times; not of a static field."""

    @property
    def every_step(self) -> bool:
        """Whether :meth:`missing` asks for a value at every step; otherwise for one at any."""

    def at(self, lon: NDArray, lat: NDArray, times: NDArray[np.datetime64] | None = None) -> NDArray[np.float32]:
        """Return values at points, ``(point,)`` or ``(point, time)``; NaN where there is none, and outside. Computes."""

    def check_overlaps(self, lon: ArrayLike, lat: ArrayLike, what: str) -> int:
        """Return how many points lie outside the field; refuse where all do. ``what`` is the plural noun for them in messages."""

    def check_period(self, first: np.datetime64, last: np.datetime64) -> None:
        """Refuse a period of which estimates need more than the field has."""

    def missing(self, lon: ArrayLike, lat: ArrayLike, times: NDArray[np.datetime64]) -> NDArray[np.bool_]:
        """Return which points have no value at one of the times, or at none of them (:attr:`every_step`), ``(point,)``."""

    def digest(self, lon: ArrayLike, lat: ArrayLike, times: NDArray[np.datetime64]) -> bytes:
        """Return a hash of the values that estimates at points and times are made from."""


@runtime_checkable
class ReadsFields(Protocol):
    """A mapper whose estimates depend on gridded fields or rasters; the pipe checks what these cover and lack."""

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields and rasters; none of a mapper that could read some and was given none."""


@runtime_checkable
class Hashed(Protocol):
    """A mapper with a hash of its own, which cubes record; any other mapper is identified by its Dask token."""

    @property
    def hash(self) -> str:
        """What identifies the mapper, values of fields excluded."""


@runtime_checkable
class Filling(Protocol):
    """A mapper that writes estimates into a cube's own arrays, without an array of their size beside them."""

    def fill(
        self,
        fields: Sequence[NDArray] | NDArray,
        prepared: Any,
        lon: NDArray,
        lat: NDArray,
        probabilities: Sequence[float],
        factor: NDArray[np.float32] | None = None,
    ) -> None:
        """Write what :meth:`Mapper.estimate` and :meth:`Estimate.quantile` return, negative values as 0.

        Parameters
        ----------
        fields : sequence of numpy.ndarray, (n_time, n_target) float32
            Arrays to write to: the value, and a quantile for each probability.
        prepared, lon, lat
            As for :meth:`Mapper.estimate`.
        probabilities : sequence of float
            Above 0 and below 1.
        factor : (n_target, n_time or 1) float32, optional
            Multiplies the estimates and their quantiles.
        """
