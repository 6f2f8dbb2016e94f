"""Folds of hidden stations: who is estimated from whom, and what the stations outside a fold know."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from ..aqnet.recipe import Recipe
from ..aqnet.station_side import (
    AdvectedSeries,
    StationGeometry,
    StationSeries,
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
from ..nn.advection import advect_pairs
from ..nn.estimate import station_table
from ..nn.station_days import StationDays, analysis_days
from ..nn.window import Record, Window

#: Members that are trained side by side; each fold validates one member.
MEMBERS = 5
#: Days of pairs of stations whose advected values are made at once: few enough for the cache of a core.
_PAIR_DAYS = 4_000


@dataclass(frozen=True)
class FoldSeries:
    """What an analysis makes of the stations outside a fold, for all stations, once for all windows.

    Attributes
    ----------
    table : (window * day, station, column)
        What weights are applied to, from :func:`xaq.nn.estimate.station_table`: the observations of the stations outside
        the fold, gaps filled from each other. Zeros at those of the fold, and where nothing is known.
    silent : (window, step) bool
        Target steps at which no station outside the fold reports.
    residual : (station, step)
        Leave-one-out kriging residual in z; NaN at the stations of the fold.
    residual_variance : (station,)
        Its mean square.
    redundancy : (station,)
        How well the others predict the station, from 0 to 1.
    log_weight : (station, day)
        Mixture weight of the log scale around the station.
    days : StationDays
        The evidence on the station-days of the windows.
    advected : (target, neighbour, window, 2 step), optional
        Values of the neighbours advected to each target, then their logs; None where nothing is advected.
    """

    table: Tensor
    silent: Tensor
    residual: Tensor
    residual_variance: Tensor
    redundancy: Tensor
    log_weight: Tensor
    days: StationDays | None = None
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
    ratio : (station,)
        By what the record's ratios are multiplied to be those to a site effect that the fold's stations had no part in.
    series : FoldSeries, optional
        None in a forecast, which makes its own series.
    """

    targets: Tensor
    neighbours: Tensor
    visible: Tensor
    ratio: Tensor
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

    def with_evidence(self, record: Record, starts: Tensor) -> Fold:
        """Return the fold with the evidence on the station-days of all windows of an analysis.

        Nothing learned changes it, unless the network has the temporal module.
        """
        if self.series is None or record.config.has_temporal:
            return self
        return replace(
            self, series=replace(self.series, days=analysis_days(self.window(record, starts), record.config))
        )


def make_folds(
    observations: Observations,
    recipe: Recipe,
    times: NDArray[np.datetime64],
    starts: NDArray[np.int64],
    ratios: NDArray[np.float32] | None = None,
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
    ratios : (fold, station), optional
        The :attr:`Fold.ratio` of each; ones by default.

    Returns
    -------
    tuple of Fold
    """
    fold_of = deal_stations(observations.lon, observations.lat, recipe.seed)
    seen = observations.at(times)
    if ratios is None:
        ratios = np.ones((fold_of.max() + 1, len(fold_of)), np.float32)
    return tuple(
        _make_fold(observations, recipe, seen, starts, ratio, hidden=fold_of == fold)
        for fold, ratio in enumerate(ratios)
    )


class _Hiding(NamedTuple):
    """Stations ``targets (n,)`` of a fold, ``others (m,)`` outside it, and ``near (n, k + spare)``: rows of ``others``."""

    targets: NDArray[np.intp]
    others: NDArray[np.intp]
    near: NDArray[np.intp]


def _make_fold(
    observations: Observations,
    recipe: Recipe,
    seen: NDArray,
    starts: NDArray[np.int64],
    ratio: NDArray[np.float32],
    *,
    hidden: NDArray[np.bool_],
) -> Fold:
    """Return the fold of the ``hidden (station,)``, with spare neighbours for those that training drops."""
    lon, lat, k = observations.lon, observations.lat, recipe.config.k
    targets, others = np.flatnonzero(hidden), np.flatnonzero(~hidden)
    near, _ = sphere.nearest(lon[others], lat[others], lon[targets], lat[targets], k + max(2, k // 2))
    hiding = _Hiding(targets, others, near)
    seen = seen * ratio[:, None]
    return Fold(
        targets=torch.as_tensor(targets),
        neighbours=torch.as_tensor(others[near]),
        visible=torch.as_tensor(~hidden),
        ratio=torch.as_tensor(ratio),
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
    table, silent = _table_of_windows(series, others, len(lon), starts, recipe)
    if series.advected is not None:
        moved = displacements(
            recipe, (lon[others], lat[others]), (lon[hiding.targets], lat[hiding.targets]), hiding.near
        )
        advected = _advected(series.advected, hiding.near, moved, starts, recipe)
    return FoldSeries(
        table=table,
        silent=silent,
        residual=torch.as_tensor(residual),
        residual_variance=torch.as_tensor(residual_variance_of(residual)),
        redundancy=torch.as_tensor(at_all(series.redundancy, 1.0)),
        log_weight=torch.as_tensor(at_all(series.log_weight, 0.0)),
        advected=advected,
    )


def _table_of_windows(
    series: StationSeries, others: NDArray[np.intp], n_station: int, starts: NDArray[np.int64], recipe: Recipe
) -> tuple[Tensor, Tensor]:
    """Return ``table (window * day, station, column)`` and ``silent (window, step)`` of :class:`FoldSeries`."""
    config = recipe.config
    steps = starts[:, None] + np.arange(config.target_steps)
    values, variance = (torch.as_tensor(a[:, steps]) for a in (series.values, series.variance))
    silent = ~torch.isfinite(values).any(dim=0)
    values, variance = (
        rearrange(torch.nan_to_num(a), "n w (d h) -> (w d n) h", h=config.steps_per_day) for a in (values, variance)
    )
    made = station_table(values, variance, recipe.scaler.offset, recipe.covariance.sill, advects=config.advects)
    table = made.new_zeros(len(made) // len(others), n_station, made.shape[1])
    table[:, others] = made.unflatten(0, (-1, len(others)))
    return table, silent


def _advected(
    series: AdvectedSeries, near: NDArray[np.intp], displacement: NDArray, starts: NDArray[np.int64], recipe: Recipe
) -> Tensor:
    """Return the neighbours' values advected to targets, ``(target, neighbour, window, 2 step)``.

    Between the knots of displacement, lag weights are interpolated as cells of a map interpolate advected values, which
    are linear in them.
    """
    knots, corners = advection.knot_weights(displacement.reshape(-1, 2))
    lags = torch.einsum("pcsl,pc->psl", knot_lags(recipe)[torch.as_tensor(knots)], torch.as_tensor(corners))
    days, slowness_weights = advected_days(series, starts, recipe)
    stations = torch.as_tensor(near.ravel())
    made = torch.empty(len(stations), len(starts), 2 * recipe.config.steps_per_day)
    size = max(1, _PAIR_DAYS // len(starts))
    for some in torch.arange(len(stations)).split(size):
        pairs = stations[some]
        made[some] = advect_pairs(days[:, pairs], slowness_weights[:, pairs], lags[some])
    return made.unflatten(0, near.shape)
