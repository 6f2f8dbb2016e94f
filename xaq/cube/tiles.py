"""Where estimates are made: the tiles of a grid, or points. Both are lists of places whose arrays join to one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from .grid import Grid
from .nodes import task
from .tasks import cells_of


class Tile(NamedTuple):
    """Some places: ``lon`` and ``lat (place,)`` degrees, and the ``shape`` of their arrays behind the time."""

    lon: NDArray
    lat: NDArray
    shape: tuple[int, ...]


class Targets(Protocol):
    """Places in parts."""

    @property
    def tiles(self) -> list[Tile]:
        """The parts, in order."""

    @property
    def cell(self) -> tuple[float, float] | None:
        """Size of a cell in degrees of longitude and latitude; None of points."""

    def join(self, arrays: Sequence[da.Array]) -> da.Array:
        """Return one array of those of the parts, whose last dimensions are their shapes."""

    @property
    def chunks(self) -> tuple[tuple[int, ...], ...]:
        """Sizes of the parts along the last dimensions."""

    def finer(self, cells: int) -> Targets:
        """Return the places in parts of at most about so many, inside the present ones."""


@dataclass(frozen=True)
class Tiles:
    """A grid cut into rectangles: the same rows and columns for all that a cube holds."""

    grid: Grid
    rows: list[slice]
    columns: list[slice]

    @classmethod
    def of(cls, grid: Grid, sizes: tuple[int, int]) -> Tiles:
        """Return the tiles of so many rows and columns; the last ones may be smaller."""
        (n_lat, n_lon), (rows, columns) = grid.shape, sizes
        return cls(grid, split(n_lat, rows), split(n_lon, columns))

    @property
    def tiles(self) -> list[Tile]:
        """The tiles, row by row."""
        return [
            Tile(*cells_of(self.grid.lon[c], self.grid.lat[r]), (length(r), length(c)))
            for r in self.rows
            for c in self.columns
        ]  # fmt: skip

    @property
    def cell(self) -> tuple[float, float] | None:
        """Size of a cell in degrees of longitude and latitude; the median one, where they differ."""
        axes, spacing = (self.grid.lon, self.grid.lat), self.grid.spacing
        east, north = (float(np.median(np.diff(axis))) if len(axis) > 1 else spacing for axis in axes)
        return east, north

    def join(self, arrays: Sequence[da.Array]) -> da.Array:
        """Return one array ``(..., lat, lon)`` of those of the tiles."""
        n = len(self.columns)
        # da.block nests the last dimensions innermost.
        return da.block([list(arrays[i : i + n]) for i in range(0, len(arrays), n)])

    @property
    def chunks(self) -> tuple[tuple[int, ...], ...]:
        """Rows and columns of the tiles."""
        return tuple(map(length, self.rows)), tuple(map(length, self.columns))

    def finer(self, cells: int) -> Tiles:
        """Return the tiles cut into smaller ones of at most about so many cells."""
        n_column = min(len(self.grid.lon), 2 * max(1, int(cells**0.5)))
        edges = (self.rows, max(1, cells // n_column)), (self.columns, n_column)
        rows, columns = ([part for whole in axis for part in split_part(whole, n)] for axis, n in edges)
        return Tiles(self.grid, rows, columns)

    def map(self, function: Callable, *arguments: Any, dtype: type) -> da.Array:
        """Return ``(lat, lon)`` from what a function of arguments and a tile's axes returns for each tile."""
        return da.block([
            [
                da.from_delayed(
                    task(function)(*arguments, self.grid.lon[c], self.grid.lat[r]), (length(r), length(c)), dtype
                )
                for c in self.columns
            ]
            for r in self.rows
        ])  # fmt: skip


@dataclass(frozen=True)
class PointTargets:
    """Points: one part."""

    lon: NDArray
    lat: NDArray

    @property
    def tiles(self) -> list[Tile]:
        """All points."""
        return [Tile(self.lon, self.lat, (len(self.lon),))]

    @property
    def cell(self) -> None:
        """None: points have no size."""

    def join(self, arrays: Sequence[da.Array]) -> da.Array:
        """Return one array of those of the parts."""
        return da.concatenate(list(arrays), axis=-1)

    @property
    def chunks(self) -> tuple[tuple[int, ...], ...]:
        """The numbers of points in the parts."""
        return (tuple(tile.shape[0] for tile in self.tiles),)

    def finer(self, cells: int) -> Targets:
        """Return the points in parts of so many."""
        return _PointParts(self.lon, self.lat, cells)


@dataclass(frozen=True)
class _PointParts(PointTargets):
    """Points in parts of ``size``."""

    size: int = 1

    @property
    def tiles(self) -> list[Tile]:
        """Some points each."""
        return [Tile(self.lon[p], self.lat[p], (length(p),)) for p in split(len(self.lon), self.size)]


def split(n: int, size: int) -> list[slice]:
    """Return consecutive slices of n things, ``size`` in each and the rest in the last."""
    return [slice(i, min(i + size, n)) for i in range(0, n, size)]


def split_part(part: slice, size: int) -> list[slice]:
    """Return a slice cut into consecutive ones of ``size``."""
    return [slice(part.start + s.start, part.start + s.stop) for s in split(length(part), size)]


def length(part: slice) -> int:
    """Return how many things a slice holds."""
    return int(part.stop - part.start)
