r"""How far a station speaks: the default distance beyond which estimates are marked unsupported.

Relative to the mean of the network at a time, two places :math:`d` km apart are correlated by

.. math:: r(d) = \frac{e^{-d / \rho} - \bar c}{1 - \bar c} ,

without the nugget, with the mean correlation :math:`\bar c` of two of the network's places. Simple kriging from a station at that
distance leaves :math:`1 - r^2` of the variance. The reach is where it leaves two thirds. Within the distances between neighbouring
stations the scores at held-out stations hold, whatever the covariance, so that the reach is no shorter.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import sphere
from .base import Mapper
from .classical import OrdinaryKriging
from .spacetime import SpaceTimeKriging
from .trained import TrainedMapper
from .trend import OverTrend

#: Reach of a network of one place, km.
_ALONE = 50.0
#: Percentile of the distance between neighbouring places: one far station does not count.
_PERCENTILE = 95.0
#: Part of the variance about the mean of the network that a station at the reach explains.
_EXPLAINED = 1.0 / 3.0
#: Places that the mean correlation is taken over: at most 32 MB of distances.
_PLACES = 2_000


class Reach(NamedTuple):
    """A distance in km, and the rule that it follows from: that of the user, of the covariance, or of the spacing of stations."""

    km: float
    rule: Literal["given", "covariance", "spacing"]


def default_reach(range_km: float | None, lon: NDArray, lat: NDArray) -> Reach:
    """Return the larger of :func:`covariance_reach` and :func:`spacing_reach`; of a mapper without a covariance, the latter."""
    spacing = spacing_reach(lon, lat)
    fitted = 0.0 if range_km is None else covariance_reach(range_km, lon, lat)
    return Reach(fitted, "covariance") if fitted > spacing else Reach(spacing, "spacing")


def covariance_reach(range_km: float, lon: NDArray, lat: NDArray) -> float:
    r"""Return the distance in km at which one station explains a third of the variance about the network's mean.

    Parameters
    ----------
    range_km : float
        Range of an exponential covariance.
    lon, lat : (n_station,) degrees

    Returns
    -------
    float
        0 for a network of one place.

    Notes
    -----
    .. math:: -\rho \log \big(\bar c + (1 - \bar c) / \sqrt 3\big)
    """
    x, y = distinct_places(lon, lat)
    if len(x) < 2:
        return 0.0
    part = part_of_many(x, y)
    x, y = x[part], y[part]
    correlation = np.exp(-sphere.distance_km(x[:, None], y[:, None], x, y) / range_km)
    mean = (correlation.sum() - len(x)) / (len(x) * (len(x) - 1))
    return float(-range_km * np.log(mean + (1.0 - mean) * np.sqrt(_EXPLAINED)))


def spacing_reach(lon: NDArray, lat: NDArray, percentile: float = _PERCENTILE) -> float:
    """Return a percentile of the distance between neighbouring places, km; 50 for a network of one place."""
    x, y = distinct_places(lon, lat)
    if len(x) < 2:
        return _ALONE
    _, distance = sphere.nearest(x, y, x, y, 2)
    return float(np.percentile(distance[:, 1], percentile))


def fitted_range(mapper: Mapper) -> float | None:
    """Return the range in km of the covariance that a mapper was fitted with; None where it has none."""
    inner = mapper.mapper if isinstance(mapper, OverTrend) else mapper
    if isinstance(inner, TrainedMapper):
        return inner.recipe.covariance.range_km
    if isinstance(inner, (OrdinaryKriging, SpaceTimeKriging)):
        return inner.covariance.range_km
    return None


def part_of_many(lon: NDArray, lat: NDArray) -> NDArray[np.intp]:
    """Return indices of at most 2,000 places from all parts of a network, the same places whatever their order."""
    return np.lexsort((lat, lon))[:: -(-len(lon) // _PLACES)]


def distinct_places(lon: NDArray, lat: NDArray) -> tuple[NDArray, NDArray]:
    """Return one of the co-located stations of each place, the same whatever their order."""
    lon, lat = np.asarray(lon, float), np.asarray(lat, float)
    order = np.lexsort((lat, lon))
    _, first = np.unique(sphere.colocated_groups(lon, lat)[order], return_index=True)
    return lon[order[first]], lat[order[first]]
