"""Members of estimates, and statistics of periods made from them: an error field through the calibrated distribution."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri
from torch import Tensor

from ..arrays.transforms import to_log
from ..interpolate.base import Estimate
from ..interpolate.held_out import PROBABILITIES
from .field import BATCH, ErrorField, Places

#: Normal scores are told apart to 1 / _PER_UNIT, from -_REACH to _REACH; quantiles are asked for at every _COARSE-th of them.
_REACH, _PER_UNIT, _COARSE = 4.0, 1024, 8
#: Steps at once: with a batch of places, arrays that stay in a processor's cache.
_STEPS = 384
#: Ratios of standard deviations of cell and point are rounded to 1 / _RATIOS; nodes of the integral over a cell.
_RATIOS, _NODES = 32, 20
#: Normal score from which on the slope of a tail is taken.
_TAIL = 2.0


@dataclass(frozen=True)
class Distribution:
    """The calibrated distributions of estimates at places and consecutive times.

    Attributes
    ----------
    times : (time,) datetime64, UTC
    centre, scale : (time, place) float32
        Estimate and scale of the errors; on the log scale where ``offset`` is given.
    table : (row, score) float32
        Quantile of a standardised error at each normal score.
    row : (time or 1, place or 1) int32
        Row of the table.
    offset : (time or 1, place or 1) float32, the target's units, optional
        Of the log scale.
    lift : (time, place) float32, optional
        What the mean of a cell on the log scale is raised by above the estimate.
    """

    times: NDArray[np.datetime64]
    centre: Tensor
    scale: Tensor
    table: Tensor
    row: Tensor
    offset: Tensor | None = None
    lift: Tensor | None = None

    @classmethod
    def of(
        cls, made: Estimate, times: NDArray[np.datetime64], device: str, ratio: NDArray[np.float64] | None = None
    ) -> Distribution:
        """Return the distributions of estimates ``(place, time)``; with ``ratio (place,)`` of :class:`Places`, of means of cells."""
        assert made.scale is not None
        value, offset = made.value, None
        if made.offset is not None:
            shift = np.asarray(made.offset, np.float32)
            value = to_log(np.maximum(value, 0), shift)
            offset = torch.as_tensor(np.ascontiguousarray(np.atleast_2d(shift).T), device=device)
        table, row = quantile_table(made.standard_quantile)
        lift = None
        if ratio is not None:
            if made.offset is not None:
                # The mean over what a cell averages out of a lognormal value.
                part = 0.5 * (1.0 - ratio[:, None].astype(np.float32) ** 2) * made.scale**2
                lift = torch.as_tensor(np.ascontiguousarray(part.T), device=device)
            table = of_cells(table)
            row = row * (_RATIOS + 1) + np.round(ratio * _RATIOS).astype(np.int32)
        arrays = [torch.as_tensor(np.ascontiguousarray(a), device=device) for a in (value.T, made.scale.T, table, row)]
        return cls(times, arrays[0], arrays[1], arrays[2], arrays[3], offset, lift)

    def values(self, scores: Tensor, steps: slice, places: slice) -> Tensor:
        """Return values in the target's units, never negative, from normal scores ``(time, place)``, which are overwritten."""
        n = self.table.shape[1]
        index = scores.mul_(_PER_UNIT).add_(_REACH * _PER_UNIT + 0.5).clamp_(0, n - 1).int()
        if len(self.table) > 1:
            index += _part(self.row, steps, places) * n
        torch.index_select(self.table.view(-1), 0, index.view(-1), out=scores.view(-1))
        made = scores.mul_(self.scale[steps, places]).add_(self.centre[steps, places])
        if self.lift is not None:
            made = made.add_(self.lift[steps, places])
        if self.offset is not None:
            made = made.expm1_().mul_(_part(self.offset, steps, places))
        return made.clamp_(min=0)

    def estimate(self) -> NDArray[np.float32]:
        """Return the estimate, ``(time, place)`` in the target's units, never negative."""
        made = self.centre.clone() if self.offset is None else self.centre.expm1().mul_(self.offset)
        return made.clamp_(min=0).cpu().numpy()

    def quantile(self, probability: float) -> NDArray[np.float32]:
        """Return the quantile at a probability, ``(time, place)`` in the target's units."""
        scores = torch.full_like(self.centre, float(ndtri(probability)))
        return self.values(scores, slice(None), slice(None)).cpu().numpy()


def _part(array: Tensor, steps: slice, places: slice) -> Tensor:
    """Return a part of an array ``(time or 1, place or 1)``."""
    return array[steps if len(array) > 1 else slice(None), places if array.shape[1] > 1 else slice(None)]


def quantile_table(standard_quantile: Callable[[float], ArrayLike]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return the quantiles of a standardised error at normal scores, ``(row, score)``, and the rows ``(time or 1, 1)``."""
    coarse, reach = _scores(_COARSE), float(ndtri(PROBABILITIES[-1]))
    known = np.clip(coarse, -reach, reach)
    at = np.atleast_2d(np.stack([np.asarray(standard_quantile(p), float) for p in ndtr(known)], axis=-1))
    # Beyond the outermost probabilities that are calibrated a tail goes on as it does before them: the maximum of many steps
    # lies there.
    for side in (-1, 1):
        beyond = side * coarse > reach
        inner, outer = (np.flatnonzero(side * coarse <= z)[0 if side < 0 else -1] for z in (_TAIL, reach))
        slope = (at[:, outer] - at[:, inner]) / (coarse[outer] - coarse[inner])
        at[:, beyond] = at[:, [outer]] + slope[:, None] * (coarse[beyond] - coarse[outer])
    # Rows are told apart by some of their columns; in an analysis all are the same.
    _, first, which = np.unique(at[:, :: len(coarse) // 16], axis=0, return_index=True, return_inverse=True)
    rows = at[first]
    return np.stack([np.interp(_scores(1), coarse, row) for row in rows]).astype(np.float32), which.astype(np.int32)[
        :, None
    ]


def of_cells(table: NDArray[np.float32]) -> NDArray[np.float32]:
    r"""Return the rows of a table for means of cells, ``(row * ratio, score)``, by the discrete Gaussian model.

    .. math:: h_r(g) = \mathrm E\big[h(r g + \sqrt{1 - r^2}\, u)\big]

    with a standard normal :math:`u` and the ratio :math:`r` of the standard deviations of a cell's and a point's error. It has the
    mean of :math:`h`. Chiles and Delfiner (2012), Geostatistics, section 6.8.
    """
    node, weight = np.polynomial.hermite_e.hermegauss(_NODES)
    coarse, fine = _scores(_COARSE), _scores(1)
    made = []
    for row in table:
        for r in np.arange(_RATIOS + 1) / _RATIOS:
            mixed = r * coarse[:, None] + np.sqrt(1 - r**2) * node
            made.append(np.interp(fine, coarse, np.interp(mixed, fine, row) @ weight / weight.sum()))
    return np.array(made, np.float32)


def _scores(every: int) -> NDArray[np.float64]:
    """Return the normal scores of a table, every so many of them."""
    return np.linspace(-_REACH, _REACH, int(2 * _REACH * _PER_UNIT) // every + 1)


def member(field: ErrorField, places: Places, distribution: Distribution, number: int) -> NDArray[np.float32]:
    """Return one member of estimates, ``(time, place)`` in the target's units."""
    out = np.empty(distribution.centre.shape, np.float32)
    with torch.inference_mode():
        for steps, some, values in _blocks(field, places, [distribution], number):
            out[steps, some] = values.cpu().numpy()
    return out


@dataclass(frozen=True)
class Periods:
    """Which step belongs to which period.

    Attributes
    ----------
    index : (time,) int
        Period of each step, ascending from 0.
    n : int
        Periods.
    statistic : {"mean", "max"}
        Of a period's steps.
    """

    index: NDArray[np.int64]
    n: int
    statistic: str = "mean"


def period_members(
    field: ErrorField,
    places: Places,
    distributions: Sequence[Distribution],
    periods: Periods,
    members: int,
    observed: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Return the statistic of each period of each member, ``(member, period, place)``; NaN where nothing is estimated.

    Parameters
    ----------
    field : ErrorField
    places : Places
    distributions : sequence of Distribution
        Of consecutive times.
    periods : Periods
        Of all these times.
    members : int
        Number of members, from the first.
    observed : (time, place) bool, optional
        Steps that count; all that are estimated by default.
    """
    out = np.empty((members, periods.n, len(places.lon)), np.float32)
    with torch.inference_mode():
        seen = None if observed is None else torch.as_tensor(observed, device=field.device)
        total = torch.empty(periods.n, len(places.lon), device=field.device)
        count = torch.zeros_like(total)
        begin = 0
        for part in distributions:
            end = begin + len(part.times)
            valid = torch.isfinite(part.centre) & torch.isfinite(part.scale)
            if seen is not None:
                valid &= seen[begin:end]
            for period, rows in _rows(periods.index[begin:end]):
                count[period] += valid[rows].sum(dim=0)
            begin = end
        for number in range(members):
            _accumulate(field, places, distributions, number, periods, seen, total)
            made = total / count if periods.statistic == "mean" else total
            out[number] = torch.where(count > 0, made, torch.nan).cpu().numpy()
    return out


def _accumulate(
    field: ErrorField,
    places: Places,
    distributions: Sequence[Distribution],
    number: int,
    periods: Periods,
    seen: Tensor | None,
    total: Tensor,
) -> None:
    """Write the sum, or the maximum, of each period of a member into ``total (period, place)``."""
    mean = periods.statistic == "mean"
    total.fill_(0.0 if mean else -torch.inf)
    for steps, some, values in _blocks(field, places, distributions, number):
        if seen is not None:
            values = torch.where(seen[steps, some], values, torch.nan)
        values = values.nan_to_num_(nan=0.0 if mean else -torch.inf)
        if mean:
            # One step after the other on a CPU: a sum's rounding would depend on how many places there are.
            total[:, some].index_add_(0, torch.as_tensor(periods.index[steps], device=field.device), values)
            continue
        for period, rows in _rows(periods.index[steps]):
            torch.maximum(total[period, some], values[rows].amax(dim=0), out=total[period, some])


def _rows(index: NDArray[np.int64]) -> list[tuple[int, slice]]:
    """Return the periods in a part of an ascending index, and the rows of each."""
    periods, first = np.unique(index, return_index=True)
    ends = np.append(first[1:], len(index))
    return [(int(p), slice(int(a), int(b))) for p, a, b in zip(periods, first, ends, strict=True)]


def _blocks(
    field: ErrorField, places: Places, distributions: Sequence[Distribution], number: int
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Yield steps, places and values ``(time, place)`` of a member, a block at a time; the next block overwrites the values."""
    n_place = len(places.lon)
    coefficients = field.coefficients(number, places)
    # Both factors are filled up: a product of matrices may round another number of rows or columns otherwise.
    filled = torch.zeros(-(-n_place // BATCH) * BATCH, coefficients.shape[1], device=field.device)
    filled[:n_place] = coefficients
    basis = torch.zeros(_STEPS, coefficients.shape[1], device=field.device)
    begin = 0
    for distribution in distributions:
        for first in range(0, len(distribution.times), _STEPS):
            steps = slice(first, min(first + _STEPS, len(distribution.times)))
            n_step = steps.stop - steps.start
            basis[:n_step] = field.basis(number, distribution.times[steps])
            for start in range(0, n_place, BATCH):
                some = slice(start, min(start + BATCH, n_place))
                scores = (basis @ filled[start : start + BATCH].T)[:n_step, : some.stop - start].contiguous()
                yield slice(begin + steps.start, begin + steps.stop), some, distribution.values(scores, steps, some)
        begin += len(distribution.times)
