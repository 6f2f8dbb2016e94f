"""The cell side: from prepared stations to the weights of any number of targets.

Neighbours and the covariances among them depend on places only, and are kept between calls: the blocks of a cube, one
after another in time, ask for the same targets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..arrays import sphere
from ..interpolate import advection, leave_one_out
from ..nn.advection import Advected
from ..nn.aqnet import Network, StationSide
from ..nn.neural_knn import SharedGeometry, Weights
from .recipe import Recipe
from .station_side import AdvectedDays, displacements, knot_lags

#: Cells whose weights are made at once on a CPU: enough to hide the cost of a call, few enough for the cache of a core.
_CELLS = 4096
#: Cells among which distinct sets of neighbours are searched together: 4 kB are kept for each set.
_SHARING_CELLS = 16_384
#: Such groups of cells that are kept, 15 to 40 MB each: those of a map that is not cut into tiles.
_REMEMBERED = 4


@dataclass(frozen=True)
class Prepared:
    """The station side of a period, ready for any number of targets.

    ``table`` holds what weights are applied to, rows ordered (window-day, station), and ``advected`` the advected
    neighbours that take its place; ``select`` maps each prepared time to a step of the window-days.
    """

    side: StationSide
    table: Tensor
    advected: AdvectedDays | None
    select: NDArray[np.intp]
    lon: NDArray
    lat: NDArray


class Neighbourhoods(NamedTuple):
    """The neighbours of targets: distinct ``sets (set, k)``, and those of each target, ``near (target, k)``.

    ``geometry`` holds their covariances. Where neighbours are advected, ``stations (n,)`` are all of those in the sets;
    ``rows`` and ``weights (target, 4 k)`` say which rows of their :meth:`AdvectedDays.table` are interpolated, and how.
    """

    sets: Tensor
    near: Tensor
    geometry: SharedGeometry
    stations: Tensor
    rows: Tensor
    weights: Tensor


class CellBlock(NamedTuple):
    """What the estimates of some cells on one window-day are made of.

    ``position`` of the window-day among those asked for, ``cells``, their ``weights``, the neighbours' ``rows (cell, k)``
    of the day's ``table``, and the ``advected`` neighbours, None where they are not.
    """

    position: int
    cells: slice
    weights: Weights
    rows: Tensor
    table: Tensor
    advected: Advected | None


class CellSide:
    """Weights of targets, from a network and a recipe.

    Parameters
    ----------
    network : Network
    recipe : Recipe
    device : torch.device
    """

    def __init__(self, network: Network, recipe: Recipe, device: torch.device) -> None:
        self.network = network
        self.recipe = recipe
        self.device = device

    def blocks(self, prepared: Prepared, lon: NDArray, lat: NDArray, need: NDArray[np.intp]) -> Iterator[CellBlock]:
        """Yield the window-days ``need``, some cells at a time."""
        tables = prepared.table.unflatten(0, (-1, len(prepared.lon)))
        batch = _CELLS if self.device.type == "cpu" else _SHARING_CELLS
        for first in range(0, len(lon), _SHARING_CELLS):
            part = slice(first, first + _SHARING_CELLS)
            near = self.neighbourhoods(prepared, lon[part], lat[part])
            room = torch.empty(len(near.sets), (near.sets.shape[1] + 1) ** 2, device=self.device)
            for position, day in enumerate(need.tolist()):
                made = self.network.cells_of_day(prepared.side, day, near.sets, near.near, near.geometry, batch, room)
                table = None if prepared.advected is None else prepared.advected.table(day, near.stations, self._lags)
                for cells, weights in made:
                    advected = None if table is None else Advected(table, near.rows[cells], near.weights[cells])
                    at = slice(first + cells.start, first + cells.stop)
                    yield CellBlock(position, at, weights, near.near[cells], tables[day], advected)

    def neighbourhoods(self, prepared: Prepared, lon: NDArray, lat: NDArray) -> Neighbourhoods:
        """Return the neighbours of targets; those of the last calls are kept."""
        return self._remembered(*(as_key(axis) for axis in (prepared.lon, prepared.lat, lon, lat)))

    @cached_property
    def _remembered(self) -> Callable[..., Neighbourhoods]:
        return lru_cache(maxsize=_REMEMBERED)(lambda *keys: self._find(*(np.frombuffer(key) for key in keys)))

    def _find(self, station_lon: NDArray, station_lat: NDArray, lon: NDArray, lat: NDArray) -> Neighbourhoods:
        """Find the neighbours of targets among stations."""
        index, _ = sphere.nearest(station_lon, station_lat, lon, lat, self.recipe.config.k)
        distinct = leave_one_out.distinct_rows(np.sort(index, axis=1))
        sets, _, which = (torch.as_tensor(a, device=self.device) for a in distinct)
        near, stations = sets[which], self._on_sphere(station_lon, station_lat)
        targets = self._on_sphere(lon, lat)
        geometry = self.network.knn.shared_geometry(targets, stations[near], stations[sets], which)
        if not self.recipe.config.advects:
            nothing = near.new_empty(0)
            return Neighbourhoods(sets, near, geometry, nothing, nothing, nothing)
        some = torch.unique(sets)
        displacement = displacements(self.recipe, (station_lon, station_lat), (lon, lat), near.cpu().numpy())
        knot, weight = (torch.as_tensor(a, device=self.device).flatten(1) for a in advection.knot_weights(displacement))
        position = torch.searchsorted(some, near).repeat_interleave(knot.shape[1] // near.shape[1], dim=1)
        return Neighbourhoods(sets, near, geometry, some, position * len(advection.knots()) + knot, weight)

    @cached_property
    def _lags(self) -> Tensor:
        return knot_lags(self.recipe).to(self.device)

    def _on_sphere(self, lon: NDArray, lat: NDArray) -> Tensor:
        return torch.as_tensor(sphere.unit_vectors(lon, lat), dtype=torch.float32, device=self.device)


def as_key(degrees: NDArray) -> bytes:
    """Return coordinates as a key to what is kept for them."""
    return np.ascontiguousarray(degrees, float).tobytes()
