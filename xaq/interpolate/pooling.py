"""The stations around each, over which errors are pooled: a region's say, not a station's. NumPy and SciPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ..arrays import sphere

#: Stations around each, itself among them: a small network whole.
_POOLED_STATIONS = 32


@dataclass(frozen=True)
class PoolingNeighbourhood:
    """The stations around each as a sparse matrix of ones, ``(station, station)``."""

    gather: csr_array

    @classmethod
    def of(cls, lon: NDArray, lat: NDArray) -> PoolingNeighbourhood:
        """Find the stations around each."""
        index, _ = sphere.nearest(lon, lat, lon, lat, _POOLED_STATIONS)
        rows = np.repeat(np.arange(len(index)), index.shape[1])
        ones = np.ones(index.size, np.float32)
        return cls(csr_array((ones, (rows, index.ravel())), shape=(len(index), len(index))))

    @property
    def counts(self) -> NDArray[np.float32]:
        """Return how many stations there are around each, itself among them, ``(station,)``."""
        return np.diff(self.gather.indptr).astype(np.float32)

    def sums(self, values: NDArray[np.float32], n_steps: int) -> NDArray[np.float32]:
        """Return sums of ``(station, step)`` over so many steps at a time and the stations around, ``(station, slot)``."""
        # A product with ones: sums over a short last axis are slow.
        return self.gather @ (values.reshape(len(values), -1, n_steps) @ np.ones(n_steps, np.float32))
