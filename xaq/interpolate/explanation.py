"""What an estimate is made of, and the contract of a mapper that says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .base import Mapper


@dataclass(frozen=True)
class Explanation:
    r"""The neighbours of an estimate at one place and time, and the part of each; arrays have the nearest neighbour first.

    The estimate is

    .. math:: \text{kriging} \cdot \prod \text{factors} + \text{advection} + \text{log scale} + \text{learned}.

    Attributes
    ----------
    index : (k,) int
        Index of the neighbour among the stations of the observations.
    distance : (k,) km
        Distance of the neighbour from the place.
    weight : (k,)
        Kriging weight of the neighbour; the weights sum to one.
    value : (k,), the target's units
        Value of the neighbour, gaps filled.
    advected : (k,), the target's units
        Value of the neighbour advected to the place; the value itself where nothing is advected.
    contribution : (k,), the target's units
        Part of the estimate; the contributions sum to it.
    kriging_weight : (k,)
        Kriging weight of the neighbour before training.
    kriging : float, the target's units
        Ordinary kriging of the values, with the weights before training.
    factors : tuple of (str, float)
        Name of each term of the trend, and by what factor it raises the place above its neighbours; empty without a trend.
    advection, log_scale : float, the target's units
        What the advection of neighbours and the mixture with the log scale add to it, before training.
    learned : float, the target's units
        What training adds.
    log_weight : float
        Mixture weight of the log scale.
    variance : float
        Kriging variance of a new observation, relative to the sill.

    Examples
    --------
    :func:`xaq.explain` returns it as a dataset:

    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=16, days=8)
    >>> model = ds.aq.train("pm25", max_epochs=0, progress=False)
    >>> why = ds.aq.explain(model, lon=10.0, lat=50.0, time="2020-01-04T08")
    >>> sorted(why.data_vars)[:4]
    ['advected', 'advection', 'contribution', 'distance']
    """

    index: NDArray[np.intp]
    distance: NDArray
    weight: NDArray
    value: NDArray
    advected: NDArray
    contribution: NDArray
    kriging_weight: NDArray
    kriging: float
    factors: tuple[tuple[str, float], ...]
    advection: float
    log_scale: float
    learned: float
    log_weight: float
    variance: float


@runtime_checkable
class Explainer(Mapper, Protocol):
    """A mapper that can explain an estimate by its neighbours, for :func:`xaq.explain`.

    Examples
    --------
    >>> import xaq
    >>> from xaq.interpolate.explanation import Explainer
    >>> isinstance(xaq.Nearest(), Explainer)
    False
    """

    def explain(self, prepared: Any, lon: float, lat: float) -> Explanation:
        """Explain the estimate at one place and the one prepared time.

        Parameters
        ----------
        prepared : object
            As :meth:`prepare` returned it for one time.
        lon, lat : float, degrees
            The place.

        Returns
        -------
        Explanation
            The k neighbours, the nearest first.
        """
