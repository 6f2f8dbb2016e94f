"""Curvilinear grids: cells that only two-dimensional longitudes and latitudes place. Arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from ..arrays import longitudes
from ..arrays.sphere import unit_vectors

#: Points that are placed at once: their corners take 5 MB.
_POINTS = 50_000
#: Newton steps, and the length in cells of the last one: the next one would be about its square.
_STEPS, _CLOSE = 30, 1e-4
#: Width of a cell on the unit sphere that is none.
_POINT = 1e-9
#: How far beyond the outermost centre a search may go, in cells.
_MARGIN = 2.0
#: Nearest centres from which a search begins, and where in cells from one: in each of the four quadrilaterals that meet there.
_NEAREST = 4
_STARTS = ((0.25, 0.25), (-0.25, 0.25), (0.25, -0.25), (-0.25, -0.25))


@dataclass(frozen=True, eq=False)
class Curvilinear:
    """The centres of the cells of a curvilinear grid.

    A point has a position on it: its row and column, as real numbers. They are those at which the centres of the four
    cells around the point, interpolated bilinearly on the unit sphere, lie in the point's direction. So the grid may be
    rotated, contain a pole and have any order of rows and columns, and a longitude any number of turns.

    Attributes
    ----------
    lon, lat : (n_row, n_column) degrees
        At least two rows and columns; NaN where a cell has no place. Such a cell is a hole.
    """

    lon: NDArray[np.float64]
    lat: NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.lon.shape[0], self.lon.shape[1]

    @property
    def has_area(self) -> bool:
        """Whether any four neighbouring centres span an area."""
        p = self._centres
        normal = np.cross(p[1:, 1:] - p[:-1, :-1], p[1:, :-1] - p[:-1, 1:])
        return bool((np.linalg.norm(normal, axis=-1) > 1e-16).any())

    @cached_property
    def closes(self) -> bool:
        """Whether the last column neighbours the first one, about one cell on in all rows, as around the globe."""
        if self.shape[1] < 4:
            return False
        second_last, last, first, second = np.moveaxis(self._centres[:, [-2, -1, 0, 1]], 1, 0)
        gap, before, after = first - last, last - second_last, second - first
        width = (np.linalg.norm(before, axis=1) + np.linalg.norm(after, axis=1)) / 2
        # At a pole all centres are one, and a hole says nothing.
        rows = np.isfinite(gap).all(axis=1) & (width > _POINT)
        step = np.linalg.norm(gap, axis=1)[rows] / width[rows]
        # Where columns repeat, the first one lies behind the last one.
        onward = (np.einsum("ij,ij->i", gap, before) > 0.0) & (np.einsum("ij,ij->i", gap, after) > 0.0)
        return bool(rows.any() and (np.abs(step - 1.0) < 0.5).all() and onward[rows].all())

    @cached_property
    def _centres(self) -> NDArray[np.float64]:
        return unit_vectors(self.lon, self.lat)

    @cached_property
    def _placed(self) -> NDArray[np.intp]:
        return np.flatnonzero(np.isfinite(self._centres).all(axis=-1))

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self._centres.reshape(-1, 3)[self._placed])

    def order(self) -> NDArray[np.intp]:
        """Return the cells, in C order, sorted by their places: the same in any order of rows and columns."""
        return np.lexsort((np.round(self.lat.ravel(), 6), np.round(longitudes.canonical(self.lon.ravel()), 6)))

    def position(self, lon: ArrayLike, lat: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return columns and rows of points, ``(point,)`` each; NaN where no four centres with a place are around one.

        Parameters
        ----------
        lon, lat : (point,) degrees
            Longitudes in any convention.

        Returns
        -------
        column, row : (point,)
            0 at the first centre, 1 at the second one. Beyond the outermost centres the outermost cells go on, and where
            the grid closes columns count on from the last one to the first one.
        """
        points = unit_vectors(*np.broadcast_arrays(np.asarray(lon, float), np.asarray(lat, float)))
        parts = np.array_split(points.reshape(-1, 3), max(1, -(-points.size // (3 * _POINTS))))
        row, column = np.concatenate([self._search(part) for part in parts]).T
        return column.reshape(points.shape[:-1]), row.reshape(points.shape[:-1])

    def _search(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return rows and columns ``(point, 2)`` of unit vectors; NaN where there is none."""
        found = np.full((len(points), 2), np.nan)
        known = np.flatnonzero(np.isfinite(points).all(axis=1))
        if not len(known) or not len(self._placed):
            return found
        _, nearest = self._tree.query(points[known], k=range(1, min(_NEAREST, len(self._placed)) + 1))
        # The first start is enough, except beside holes and on very uneven grids.
        for start, offset in product(nearest.T, _STARTS):
            left = np.isnan(found[known, 0])
            if not left.any():
                break
            centre = np.stack(np.divmod(self._placed[start[left]], self.shape[1]), axis=1)
            found[known[left]] = self._newton(points[known[left]], centre + np.array(offset))
        return found

    def _newton(self, points: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return positions ``(point, 2)`` by Newton's method from first ones; NaN where it does not end."""
        plane, last = _tangents(points), np.array(self.shape, float) - 1.0
        at, moving = at.copy(), np.arange(len(points))
        for _ in range(_STEPS):
            centre, along = self._surface(at[moving])
            # The centre lies in the point's direction where it has no component on the plane at right angles to it.
            miss = np.einsum("pij,pj->pi", plane[moving], centre)
            jacobian = np.einsum("pij,pkj->pik", plane[moving], along)
            moved = np.clip(at[moving] - _solve(jacobian, miss), -_MARGIN, last + _MARGIN)
            step = np.abs(moved - at[moving]).max(axis=1)
            at[moving] = moved
            moving = moving[step > _CLOSE]
            if not len(moving):
                break
        at[moving] = np.nan
        # A point on the other side of the globe has no component on that plane either.
        faces = np.einsum("pj,pj->p", self._surface(at)[0], points) > 0.0
        return np.where(faces[:, None], at, np.nan)

    def _surface(self, at: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the interpolated centre ``(point, 3)`` at positions, and its derivatives ``(point, 2, 3)``."""
        low = np.floor(np.nan_to_num(at)).astype(np.intp)
        inner = np.clip(low, 0, np.array(self.shape) - 2)
        low = np.stack([inner[:, 0], low[:, 1]], axis=1) if self.closes else inner
        u, v = (at - low).T[:, :, None]
        corner = [[self._centres[low[:, 0] + i, (low[:, 1] + j) % self.shape[1]] for j in (0, 1)] for i in (0, 1)]
        west, east = ((1.0 - u) * corner[0][j] + u * corner[1][j] for j in (0, 1))
        along_row = (1.0 - v) * (corner[1][0] - corner[0][0]) + v * (corner[1][1] - corner[0][1])
        return (1.0 - v) * west + v * east, np.stack([along_row, east - west], axis=1)


def _tangents(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return two vectors at right angles to each unit vector and to each other, ``(point, 2, 3)``."""
    # The axis that the point is farthest from.
    axis = np.eye(3)[np.abs(points).argmin(axis=1)]
    first = np.cross(points, axis)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return np.stack([first, np.cross(points, first)], axis=1)


def _solve(matrix: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the solutions ``(point, 2)`` of equations ``(point, 2, 2)``; NaN where they have none."""
    (a, b), (c, d) = matrix.transpose(1, 2, 0)
    p, q = right.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.stack([d * p - b * q, a * q - c * p], axis=1) / (a * d - b * c)[:, None]
