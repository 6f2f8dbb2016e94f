"""Interpolation of a field to points and times as products with sparse matrices. Arrays in, arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

#: A point this close to the centre of a cell, in cells, takes its value: axes are often float32.
_SAME = 1e-4
#: Least number that stands for a missing one, also where nothing says so: 9.96921e36 of netCDF, -9.999e36 of the I/O API.
BEYOND = 9e36


def bracket(
    axis: NDArray, points: NDArray[np.float64], method: str, *, period: float | None = None
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the two cells between whose centres each point lies, and their weights, ``(point, 2)`` each.

    Points in the outermost half cell take the value of its centre.

    Parameters
    ----------
    axis : (n,)
        Ascending centres of cells.
    points : (n_point,)
        In the coordinates of the axis.
    method : {"bilinear", "nearest"}
        With ``"nearest"`` one of the two weights is 1.
    period : float, optional
        After which the axis comes back, so that its last cell neighbours its first: 360 of longitudes around the globe.
    """
    n = len(axis)
    extended = axis if period is None else np.append(axis, axis[0] + period)
    if period is not None:
        points = axis[0] + (points - axis[0]) % period
    position = np.interp(points, extended.astype(float), np.arange(len(extended), dtype=float))
    # Half-way between two centres, the one to the east or north, wherever the axis begins.
    nearest = np.floor(np.round(position, 6) + 0.5)
    position = np.where((np.abs(position - nearest) < _SAME) | (method == "nearest"), nearest, position)
    low = np.clip(np.floor(position).astype(np.intp), 0, max(len(extended) - 2, 0))
    weight = position - low
    high = np.minimum(low + 1, len(extended) - 1)
    # A cell without weight is not read.
    low, high = np.where(weight == 1.0, high, low), np.where(weight == 0.0, low, high)
    return np.stack([low, high], axis=1) % n, np.stack([1.0 - weight, weight], axis=1)


def compress(index: NDArray[np.intp]) -> tuple[Any, NDArray[np.intp]]:
    """Return the key that selects the needed part of an axis, and the positions in that part.

    The part is contiguous, unless that would load more than four times what is needed.
    """
    need = np.unique(index)
    if need[-1] - need[0] < 4 * len(need):
        return slice(int(need[0]), int(need[-1]) + 1), index - need[0]
    return need, np.searchsorted(need, index)


def weight_matrix(index: NDArray[np.intp], weight: NDArray[np.float64], n_column: int) -> csr_array:
    """Return weights ``(point, k)`` of cells ``index`` as a sparse matrix ``(point, n_column)``.

    Weights of zero are not stored, so that a missing cell without weight does not make a value missing.
    """
    n, per_point = index.shape
    rows = np.arange(0, n * per_point + 1, per_point)
    matrix = csr_array((weight.ravel().astype(np.float32), index.ravel(), rows), shape=(n, n_column))
    matrix.eliminate_zeros()
    return matrix


def corner_matrix(
    rows: NDArray[np.intp],
    row_weight: NDArray[np.float64],
    columns: NDArray[np.intp],
    column_weight: NDArray[np.float64],
    shape: tuple[int, int],
) -> csr_array:
    """Return the bilinear weights of two rows by two columns as a sparse matrix ``(point, cell)``; cells in C order."""
    n = len(rows)
    corner = (rows[:, :, None] * shape[1] + columns[:, None, :]).reshape(n, 4)
    weight = (row_weight[:, :, None] * column_weight[:, None, :]).reshape(n, 4)
    return weight_matrix(corner, weight, shape[0] * shape[1])


def masked(values: NDArray, nodata: float) -> NDArray[np.float32]:
    """Return values as float32 with NaN in place of ``nodata``, of what is not finite and of numbers beyond :data:`BEYOND`."""
    with np.errstate(over="ignore"):  # beyond float32 becomes infinite
        numbers = np.where(values == nodata, np.nan, values).astype(np.float32)
    numbers[np.abs(numbers) >= BEYOND] = np.nan
    return numbers


def interpolate(values: NDArray, nodata: float, space: csr_array, time: csr_array | None) -> NDArray[np.float32]:
    """Return the values of a window ``([time,] y, x)`` at points, ``(point,)`` or ``(point, time)``.

    Parameters
    ----------
    values : (y, x) or (n_time, y, x)
    nodata : float
        Marks missing cells, beside NaN.
    space : (point, cell)
        Weights of cells.
    time : (time, n_time) or None
        Weights of the field's times; None of a static field.
    """
    values = masked(values, nodata)
    if time is None:
        return (space @ values.reshape(-1)).astype(np.float32)
    cells = values.reshape(len(values), -1)
    # Over the fewer columns first: a map has more points than cells, a network fewer.
    if is_identity(time):
        at_points = space @ cells.T
    elif space.shape[0] > space.shape[1]:
        at_points = space @ (time @ cells).T
    else:
        at_points = (time @ (space @ cells.T).T).T
    return np.ascontiguousarray(at_points, np.float32)


def is_identity(matrix: csr_array) -> bool:
    """Whether each row takes the column of the same number as it is: the times of a field are those that are asked for."""
    n, m = matrix.shape
    return n == m == matrix.nnz and bool((matrix.data == 1).all()) and np.array_equal(matrix.indices, np.arange(n))
