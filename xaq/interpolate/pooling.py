"""Pooling neighbourhoods: the stations over which errors around a station are summed. NumPy and SciPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ..arrays import sphere

#: Stations pooled around each, itself among them; a smaller network is pooled whole.
_POOLED_STATIONS = 32


@dataclass(frozen=True)
class PoolingNeighbourhood:
    """The stations pooled around each station, itself among them: the evidence of a region rather than of one station.

    Attributes
    ----------
    membership : (station, station) sparse float32
        1 where the column is pooled around the row.
    """

    membership: csr_array

    @classmethod
    def of(cls, lon: NDArray, lat: NDArray) -> PoolingNeighbourhood:
        """Find the nearest stations of each, ``lon`` and ``lat (station,)`` in degrees."""
        index, _ = sphere.nearest(lon, lat, lon, lat, _POOLED_STATIONS)
        rows = np.repeat(np.arange(len(index)), index.shape[1])
        ones = np.ones(index.size, np.float32)
        return cls(csr_array((ones, (rows, index.ravel())), shape=(len(index), len(index))))

    @property
    def counts(self) -> NDArray[np.float32]:
        """Number of stations pooled around each, ``(station,)``."""
        return np.diff(self.membership.indptr).astype(np.float32)

    def sums(self, values: NDArray[np.float32], n_steps: int) -> NDArray[np.float32]:
        """Return sums ``(station, slot)`` of values ``(station, step)`` over the pooled stations and ``n_steps`` at a time."""
        # A product with ones is faster than a sum over a short last axis.
        return self.membership @ (values.reshape(len(values), -1, n_steps) @ np.ones(n_steps, np.float32))
