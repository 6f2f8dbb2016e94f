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
    parts = [np.maximum(estimate.value.T, 0) for estimate in made]
    seen = np.isfinite(np.concatenate(parts))
    truth: list[NDArray[np.float32]] = []
    if observed is not None:
        seen &= np.isfinite(observed)
        truth = [_statistic([observed], seen, block)]
    kept = _counts(seen, block) >= np.maximum(block.capture * block.expected[:, None], 1)
    value = _statistic(parts, seen, block)
    value[~kept] = np.nan
    for layer in truth:
        layer[~kept] = np.nan
    if field is None or places is None:
        return [value, *truth]
    from ..simulation.members import Distribution, Periods, period_members

    distributions = [
        Distribution.of(estimate, times, field.device, places.ratio)
        for estimate, times in zip(made, block.times, strict=True)
    ]
    medians = made[0].offset is not None
    del made, parts
    periods = Periods(block.index, len(block.expected), block.statistic)
    members = period_members(field, places, distributions, periods, block.members, seen)
    members[:, ~kept] = np.nan
    if block.statistic == "max" or medians:
        # The largest of the estimates is less than the largest value to expect, and a mean of medians less than a mean.
        value = members.mean(axis=0)
    layers = [value, *quantiles(members, block.probabilities), *truth]
    return [*layers, members[: block.keep]] if block.keep else layers


def _counts(seen: NDArray[np.bool_], block: PeriodBlock) -> NDArray[np.float64]:
    """Return how many steps of ``seen (time, place)`` each period has, ``(period, place)``."""
    count = np.zeros((len(block.expected), seen.shape[1]))
    # The steps of a period follow each other.
    periods, starts = np.unique(block.index, return_index=True)
    count[periods] = np.add.reduceat(seen, starts, dtype=float)
    return count


def _statistic(parts: Sequence[NDArray], seen: NDArray[np.bool_], block: PeriodBlock) -> NDArray[np.float32]:
    """Return the statistic of each period over the steps that count, ``(period, place)``, of parts ``(time, place)``."""
    mean = block.statistic == "mean"
    made = np.full((len(block.expected), seen.shape[1]), 0.0 if mean else -np.inf)
    begin = 0
    for part in parts:
        rows = slice(begin, begin + len(part))
        periods, starts = np.unique(block.index[rows], return_index=True)
        if mean:
            made[periods] += np.add.reduceat(np.where(seen[rows], part, 0), starts, dtype=float)
        else:
            highest = np.maximum.reduceat(np.where(seen[rows], part, -np.inf), starts)
            made[periods] = np.maximum(made[periods], highest)
        begin = rows.stop
    if mean:
        made /= np.maximum(_counts(seen, block), 1)
    return made.astype(np.float32)


def quantiles(members: NDArray[np.float32], probabilities: Sequence[float]) -> list[NDArray[np.float32]]:
    """Return quantiles over the first axis, at ``p (n + 1)`` of n sorted members: they bound a further member as often as they say."""
    return list(np.quantile(members, probabilities, axis=0, method="weibull").astype(np.float32))
