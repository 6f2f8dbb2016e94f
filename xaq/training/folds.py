"""Folds of hidden stations: who is estimated from whom, and what the stations outside a fold know."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..aqnet.recipe import Recipe
from ..aqnet.station_side import (
    AdvectedSeries,
    StationGeometry,
    advected_days,
    displacements,
    knot_lags,
    residual_variance_of,
    station_series,
)
from ..arrays import sphere
from ..interpolate import advection
from ..interpolate.base import Observations
from ..interpolate.held_out import deal_stations
from ..nn.advection import advect
from ..nn.window import Record, Window

#: Members that are trained side by side; each fold validates one member.
MEMBERS = 5
#: Station-days whose advected values are made at once: some 50 MB.
_ADVECTED_DAYS = 8_000


@dataclass(frozen=True)
class FoldSeries:
    """What an analysis makes of the stations outside a fold, for all stations; NaN at those of the fold.

    Attributes
    ----------
    values : (station, step)
        Observations, gaps filled from the stations outside the fold.
    variance : (station, step)
        Kriging variance of what was filled, relative to the sill; 0 where observed.
    residual : (station, step)
        Leave-one-out kriging residual in z.
    residual_variance : (station,)
        Its mean square.
    redundancy : (station,)
        How well the others predict the station, from 0 to 1.
    log_weight : (station, day)
        Mixture weight of the log scale around the station.
    advected : (target, neighbour, window, 2 step), optional
        Values of the neighbours advected to each target, then their logs; None where nothing is advected.
    """

    values: Tensor
    variance: Tensor
    residual: Tensor
    residual_variance: Tensor
    redundancy: Tensor
    log_weight: Tensor
    advected: Tensor | None = None

    def to(self, device: torch.device) -> FoldSeries:
        """Return the series on a device."""
        return replace(self, **{name: part.to(device) for name, part in vars(self).items() if part is not None})


@dataclass(frozen=True)
class Fold:
    """Stations that are hidden together.

    Attributes
    ----------
    targets : (n,) int
        The stations of the fold.
    neighbours : (n, k + spare) int
        Stations outside the fold that each is estimated from, nearest first.
    visible : (station,) bool
        The stations outside the fold, which make the network's state.
    series : FoldSeries, optional
        None in a forecast, which makes its own series.
    """

    targets: Tensor
    neighbours: Tensor
    visible: Tensor
    series: FoldSeries | None = None

    def to(self, device: torch.device) -> Fold:
        """Return the fold on a device."""
        return replace(self, **{name: part.to(device) for name, part in vars(self).items() if part is not None})

    def window(self, record: Record, starts: Tensor) -> Window:
        """Return windows of a record as the stations outside the fold see them."""
        series = self.series
        if series is None:
            return record.window(starts, self.visible)
        return record.window(
            starts, self.visible, series.residual, series.residual_variance, series.redundancy, series.log_weight
        )


def make_folds(
    observations: Observations, recipe: Recipe, times: NDArray[np.datetime64], starts: NDArray[np.int64]
) -> tuple[Fold, ...]:
    """Hide the stations of each fold in turn.

    Parameters
    ----------
    observations : Observations
        Of the visible stations.
    recipe : Recipe
    times : (step,)
        Of the record.
    starts : (window,) int
        Steps of the record at which windows begin.

    Returns
    -------
    tuple of Fold
    """
    fold_of = deal_stations(observations.lon, observations.lat, recipe.seed)
    seen = observations.at(times)
    return tuple(
        _make_fold(observations, recipe, seen, starts, hidden=fold_of == fold) for fold in range(fold_of.max() + 1)
    )


class _Hiding(NamedTuple):
    """Stations ``targets (n,)`` of a fold, ``others (m,)`` outside it, and ``near (n, k + spare)``: rows of ``others``."""

    targets: NDArray[np.intp]
    others: NDArray[np.intp]
    near: NDArray[np.intp]


def _make_fold(
    observations: Observations, recipe: Recipe, seen: NDArray, starts: NDArray[np.int64], *, hidden: NDArray[np.bool_]
) -> Fold:
    """Return the fold of the ``hidden (station,)``, with spare neighbours for those that training drops."""
    lon, lat, k = observations.lon, observations.lat, recipe.config.k
    targets, others = np.flatnonzero(hidden), np.flatnonzero(~hidden)
    near, _ = sphere.nearest(lon[others], lat[others], lon[targets], lat[targets], k + max(2, k // 2))
    hiding = _Hiding(targets, others, near)
    return Fold(
        targets=torch.as_tensor(targets),
        neighbours=torch.as_tensor(others[near]),
        visible=torch.as_tensor(~hidden),
        series=_fold_series(observations, recipe, seen, starts, hiding) if recipe.config.task == "analysis" else None,
    )


def _fold_series(
    observations: Observations, recipe: Recipe, seen: NDArray, starts: NDArray[np.int64], hiding: _Hiding
) -> FoldSeries:
    """Return the series of the stations outside a fold; those inside have no influence."""
    lon, lat, others = observations.lon, observations.lat, hiding.others
    series = station_series(recipe, seen[others], StationGeometry.of(recipe, lon[others], lat[others]))

    def at_all(values: NDArray, missing: float) -> NDArray[np.float32]:
        placed = np.full((len(lon), *values.shape[1:]), missing, np.float32)
        placed[others] = values
        return placed

    residual, advected = at_all(series.residual, np.nan), None
    if series.advected is not None:
        moved = displacements(
            recipe, (lon[others], lat[others]), (lon[hiding.targets], lat[hiding.targets]), hiding.near
        )
        advected = _advected(series.advected, hiding.near, moved, starts, recipe)
    return FoldSeries(
        values=torch.as_tensor(at_all(series.values, np.nan)),
        variance=torch.as_tensor(at_all(series.variance, 0.0)).nan_to_num(),
        residual=torch.as_tensor(residual),
        residual_variance=torch.as_tensor(residual_variance_of(residual)),
        redundancy=torch.as_tensor(at_all(series.redundancy, 1.0)),
        log_weight=torch.as_tensor(at_all(series.log_weight, 0.0)),
        advected=advected,
    )


def _advected(
    series: AdvectedSeries, near: NDArray[np.intp], displacement: NDArray, starts: NDArray[np.int64], recipe: Recipe
) -> Tensor:
    """Return the neighbours' values advected to targets, ``(target, neighbour, window, 2 step)``.

    They are tabulated per station at knots of displacement and interpolated between the knots.
    """
    knots, corner_weights = (torch.as_tensor(a) for a in advection.knot_weights(displacement))
    stations, position = np.unique(near, return_inverse=True)
    rows = torch.as_tensor(position.reshape(near.shape))[..., None] * len(advection.knots()) + knots
    lags, batches = knot_lags(recipe), []
    per_batch = max(1, _ADVECTED_DAYS // len(stations))
    for first in range(0, len(starts), per_batch):
        days, slowness_weights = advected_days(series, starts[first : first + per_batch], recipe)
        at_knots = advect(days[:, stations].flatten(0, 1), slowness_weights[:, stations].flatten(0, 1), lags)
        table = at_knots.unflatten(0, (len(days), -1)).flatten(1, 2).flatten(2)
        batches.append(sum(table[:, rows[..., c]] * corner_weights[..., c, None] for c in range(rows.shape[-1])))
    return torch.cat(batches).permute(1, 2, 0, 3).contiguous()
