"""What the nodes of members and of periods compute. Arrays in, arrays out; torch is loaded when a node runs."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..interpolate.base import Mapper
from ..interpolate.error_covariance import ErrorCovariance
from ..stations.taking_part import TakingPart
from .calendar import of_periods

if TYPE_CHECKING:
    from ..simulation.field import ErrorField, Places
    from ..simulation.members import Distribution

#: Shape of a block: steps, then rows and columns of a tile, or a number of points.
Shape = tuple[int, ...]


def error_field(
    covariance: ErrorCovariance,
    step_seconds: int,
    lon: NDArray,
    lat: NDArray,
    part: TakingPart,
    seed: int,
    target: str,
    device: str,
) -> ErrorField:
    """Return the error field of the stations that take part; the errors of two targets are independent with the same seed."""
    from ..simulation.field import ErrorField
    from ..simulation.random import key

    own = key(seed, zlib.crc32(target.encode()))
    return ErrorField(covariance, step_seconds, lon[part.kept], lat[part.kept], own, device)


def places_of(field: ErrorField, lon: NDArray, lat: NDArray, cell: tuple[float, float] | None) -> Places:
    """Return what members at places need beside them."""
    return field.places(lon, lat, cell)


def distribution_of(
    mapper: Mapper, prepared: Any, times: NDArray[np.datetime64], places: Places, device: str
) -> Distribution:
    """Return the distributions of the estimates of one period at places."""
    from ..simulation.members import Distribution

    return Distribution.of(mapper.estimate(prepared, places.lon, places.lat), times, device, places.ratio)


def layers_of(distribution: Distribution, probabilities: Sequence[float], shape: Shape) -> list[NDArray[np.float32]]:
    """Return the estimate and its quantiles, each of ``shape (time, ...)``; negative ones become 0."""
    layers = [distribution.estimate(), *(distribution.quantile(p) for p in probabilities)]
    return [layer.reshape(shape) for layer in layers]


def member_of(
    field: ErrorField, places: Places, distribution: Distribution, number: int, shape: Shape
) -> NDArray[np.float32]:
    """Return a member, ``(1, *shape)``."""
    from ..simulation.members import member

    return member(field, places, distribution, number).reshape(1, *shape)


@dataclass(frozen=True)
class PeriodBlock:
    """Some periods and how they are summarised.

    Attributes
    ----------
    times : tuple of (time,) datetime64
        Of the estimates, in the parts in which they are prepared.
    index : (time,) int
        Period of each step, from 0.
    expected : (period,) int
        Steps that each has.
    statistic, capture, probabilities
        As for :class:`xaq.cube.ensemble.Ensemble`; the probabilities bound the interval.
    members : int
        Number made; 0 where errors have no distribution.
    keep : int
        Number returned, the first of them.
    """

    times: tuple[NDArray[np.datetime64], ...]
    index: NDArray[np.int64]
    expected: NDArray[np.int64]
    statistic: str
    capture: float
    probabilities: tuple[float, ...]
    members: int
    keep: int


def summarise(
    mapper: Mapper,
    field: ErrorField | None,
    places: Places | None,
    lon: NDArray,
    lat: NDArray,
    block: PeriodBlock,
    observed: NDArray | None,
    *prepared: Any,
) -> list[NDArray[np.float32]]:
    """Return value, quantiles and members of periods at places: ``(period, place)``, members ``(member, period, place)``.

    Where observations are given, those of the steps that are estimated and observed, and the observations' own statistic
    after the quantiles.

    Parameters
    ----------
    mapper : Mapper
    field, places : ErrorField and Places, optional
        None where errors have no distribution.
    lon, lat : (place,) degrees
    block : PeriodBlock
    observed : (time, place), optional
        Observations, NaN where there is none; all steps that are estimated count by default.
    *prepared
        The station side of each part of the times.
    """
    made = [mapper.estimate(side, lon, lat) for side in prepared]
    values = np.concatenate([np.maximum(estimate.value.T, 0) for estimate in made])
    if observed is not None:
        values[~np.isfinite(observed)] = np.nan
    seen, n = np.isfinite(values), len(block.expected)
    mean, count = of_periods(values, block.index, n, block.statistic)
    kept = count >= np.maximum(block.capture * block.expected[:, None], 1)
    value = np.where(kept, mean, np.nan).astype(np.float32)
    truth: list[NDArray[np.float32]] = []
    if observed is not None:
        also, _ = of_periods(np.where(seen, observed, np.nan), block.index, n, block.statistic)
        truth = [np.where(kept, also, np.nan).astype(np.float32)]
    if field is None or places is None:
        return [value, *truth]
    from ..simulation.members import Distribution, Periods, period_members

    distributions = [
        Distribution.of(estimate, times, field.device, places.ratio)
        for estimate, times in zip(made, block.times, strict=True)
    ]
    medians = made[0].offset is not None
    del made, values
    periods = Periods(block.index, n, block.statistic)
    members = period_members(field, places, distributions, periods, block.members, seen)
    members[:, ~kept] = np.nan
    if block.statistic == "max" or medians:
        # The largest of the estimates is less than the largest value to expect, and a mean of medians less than a mean.
        value = members.mean(axis=0)
    layers = [value, *quantiles(members, block.probabilities), *truth]
    return [*layers, members[: block.keep]] if block.keep else layers


def quantiles(members: NDArray[np.float32], probabilities: Sequence[float]) -> list[NDArray[np.float32]]:
    """Return quantiles over the first axis, at ``p (n + 1)`` of n sorted members: they bound a further member as often as they say."""
    return list(np.quantile(members, probabilities, axis=0, method="weibull").astype(np.float32))
