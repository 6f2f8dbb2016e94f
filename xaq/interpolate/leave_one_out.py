"""Classical interpolation on the sphere: local ordinary kriging, inverse distance, nearest. NumPy and SciPy only.

The covariance is exponential, ``C(d) = exp(-d / range)`` with sill 1, plus a nugget on the diagonal (relative to the
sill). Missing neighbours are handled exactly: each system is solved without them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ..arrays import sphere
from ..errors import SchemaError
from .kriging import Covariance

#: Systems solved at once; 5,000 of 16 x 16 in float64 are 10 MB.
_BATCH = 5_000


def distinct_rows(rows: NDArray) -> tuple[NDArray, NDArray[np.intp], NDArray[np.intp]]:
    """Return the distinct rows of a table of integers, where each occurs first, and which of them each row is.

    Each row is one key of bytes: many times faster than ``np.unique`` along an axis, in another order.
    """
    rows = np.ascontiguousarray(rows)
    keys = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    return rows[first], first, which


def other_stations(lon: NDArray, lat: NDArray, k: int) -> tuple[NDArray[np.intp], NDArray, NDArray]:
    """Return neighbours of each station among the stations elsewhere; slots without one have infinite distance."""
    group = sphere.colocated_groups(lon, lat)
    largest = int(np.bincount(group).max())
    index, distance = sphere.nearest(lon, lat, lon, lat, k + largest)
    distance = np.where(group[index] == group[:, None], np.inf, distance)
    order = np.argsort(distance, axis=1, kind="stable")[:, :k]
    index, distance = np.take_along_axis(index, order, 1), np.take_along_axis(distance, order, 1)
    return index, distance, sphere.pairwise_km(lon, lat, index)


def fit_covariance(
    values: NDArray, lon: NDArray, lat: NDArray, *, k: int = 16, n_pairs: int = 6000, seed: int = 0
) -> Covariance:
    """Fit range and nugget by leave-one-station-out cross-validation, and the sill to the residuals.

    Parameters
    ----------
    values : (n_station, n_time), NaN where missing
        Visible stations, training period.
    lon, lat : (n_station,) degrees
    k : int
        Neighbours, as the covariance will be used.
    n_pairs : int
        Observations predicted for each candidate; drawn at random.
    seed : int

    Returns
    -------
    Covariance
        The candidate of least squared error over a grid of ranges (from half the median spacing of stations to three
        times the network's width) and nuggets.
    """
    rng = np.random.default_rng(seed)
    observed = np.argwhere(np.isfinite(values))
    if not len(observed):
        raise SchemaError("no observation to fit a covariance to")
    pairs = observed[rng.choice(len(observed), size=min(n_pairs, len(observed)), replace=False)]
    truth = values[pairs[:, 0], pairs[:, 1]].astype(np.float64)
    ranges, places = candidate_ranges(lon, lat), other_stations(lon, lat, k)
    tiny = float(np.finfo(float).tiny)
    best = Covariance(float(ranges[len(ranges) // 2]), 0.1, max(float(truth.var()), tiny))
    best_error = np.inf
    if len(np.unique(sphere.colocated_groups(lon, lat))) < 2:
        return best
    for range_km in ranges:
        for nugget in (0.01, 0.03, 0.1, 0.2, 0.4, 0.8, 1.6):
            candidate = Covariance(float(range_km), nugget)
            estimate, variance = LeaveOneOut.at(*places, candidate).predict(values, pairs)
            residual = truth - estimate
            error = float(np.nanmean(residual**2))
            if error < best_error:
                sill = float(np.nanmean(residual**2 / variance))
                best, best_error = Covariance(float(range_km), nugget, max(sill, tiny)), error
    return best


def candidate_ranges(lon: NDArray, lat: NDArray) -> NDArray[np.float64]:
    """Return eight ranges in km between the network's spacing and three times its width."""
    if len(lon) < 2:
        return np.array([100.0])
    distance = other_stations(lon, lat, 1)[1][:, 0]
    spacing = float(np.median(distance[np.isfinite(distance)])) if np.isfinite(distance).any() else 1.0
    width = 2.0 * float(np.max(sphere.distance_km(lon, lat, *sphere.centre(lon, lat))))
    return np.geomspace(max(0.5 * spacing, 0.5), max(3.0 * width, 2.0 * spacing, 2.0), 8)


@dataclass(frozen=True)
class LeaveOneOut:
    """Each station seen from the stations elsewhere: the ordinary kriging systems of all its neighbours there, solved.

    Stations co-located with one are no neighbours of it: they would make its error look small.

    Attributes
    ----------
    near : (station, k) int
        The neighbours.
    elsewhere : (station, k) bool
        False in slots that no other place fills.
    inverse : (station, k + 1, k + 1)
        Of the systems, bordered by the constraint.
    solution : (station, k + 1)
        Their solutions, the last the Lagrange multiplier.
    complete_variance : (station,)
        Kriging variance of a new observation, relative to the sill, if every slot were filled.
    nugget : float
        Relative to the sill.
    """

    near: NDArray[np.intp]
    elsewhere: NDArray[np.bool_]
    inverse: NDArray[np.float64]
    solution: NDArray[np.float64]
    complete_variance: NDArray[np.float64]
    nugget: float

    @classmethod
    def of(cls, lon: NDArray, lat: NDArray, covariance: Covariance, k: int) -> LeaveOneOut:
        """Find the neighbours of each station and solve its system."""
        return cls.at(*other_stations(lon, lat, k), covariance)

    @classmethod
    def at(cls, near: NDArray[np.intp], distance: NDArray, among: NDArray, covariance: Covariance) -> LeaveOneOut:
        """Solve the systems of neighbours from :func:`other_stations`."""
        n, k = near.shape
        elsewhere = np.isfinite(distance)
        # What fills no slot has no covariance with anything, and never a value.
        both = elsewhere[:, :, None] & elsewhere[:, None]
        system, right = np.ones((n, k + 1, k + 1)), np.ones((n, k + 1))
        system[:, :k, :k] = np.where(both, np.exp(-among / covariance.range_km), 0.0)
        right[:, :k] = np.exp(-distance / covariance.range_km)
        diagonal = np.arange(k)
        system[:, diagonal, diagonal] = 1.0 + covariance.nugget
        system[:, k, k] = 0.0
        inverse = np.linalg.inv(system)
        solution = np.einsum("nij,nj->ni", inverse, right)
        variance = 1.0 + covariance.nugget - (solution * right).sum(axis=1)
        return cls(near, elsewhere, inverse, solution, variance, covariance.nugget)

    def without(self, station: NDArray[np.intp], missing: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the weights ``(m, k)`` and variance ``(m,)`` of stations ``(m,)`` whose ``missing (m, k)`` neighbours are not there.

        What is missing is taken out of the solution by a system of its size (the inverse of a partitioned matrix, Golub and
        Van Loan 2013, section 2.1): most often one of two or three unknowns in the place of one of k. The rest is as
        :func:`ordinary_weights` has it.
        """
        solution, variance = self.solution[station], self.complete_variance[station]
        count = missing.sum(axis=1)
        for n_missing in np.unique(count[count > 0]):
            rows = np.flatnonzero(count == n_missing)
            if n_missing == missing.shape[1]:
                solution[rows], variance[rows] = 0.0, 2.0 * (1.0 + self.nugget)
                continue
            out = np.nonzero(missing[rows])[1].reshape(len(rows), n_missing)
            across = self.inverse[station[rows, None], out]
            known = np.take_along_axis(solution[rows], out, axis=1)
            among = np.take_along_axis(across, out[:, None], axis=2)
            back = np.linalg.solve(among, known[..., None])[..., 0]
            solution[rows] -= np.einsum("nm,nmk->nk", back, across)
            variance[rows] += (back * known).sum(axis=1)
        return np.where(missing, 0.0, solution[:, :-1]), variance

    @cached_property
    def always(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weights ``(station, k)`` and variance ``(station,)`` where every neighbour reports.

        They sum to one; zeros where there is no other place.
        """
        return self.without(np.arange(len(self.near)), ~self.elsewhere)

    def predict(self, values: NDArray, pairs: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Krige the named (station, time) pairs from the neighbours that report.

        Parameters
        ----------
        values : (n_station, n_time), NaN where missing
        pairs : (n_pair, 2) int
            Station and time index.

        Returns
        -------
        estimate : (n_pair,)
            NaN where no neighbour reports.
        variance : (n_pair,)
            Relative to the sill.
        """
        estimate, variance = np.full(len(pairs), np.nan), np.full(len(pairs), np.nan)
        for start in range(0, len(pairs), _BATCH):
            part = slice(start, start + _BATCH)
            station, time = pairs[part, 0], pairs[part, 1]
            near = values[self.near[station], time[:, None]].astype(np.float64)
            missing = ~(np.isfinite(near) & self.elsewhere[station])
            # Pairs of a station that miss the same neighbours share a system.
            systems = np.column_stack([station, np.packbits(missing, axis=1)])
            _, first, which = distinct_rows(systems)
            weights, relative = self.without(station[first], missing[first])
            variance[part] = relative[which]
            guess = (weights[which] * np.where(missing, 0.0, near)).sum(axis=1)
            estimate[part] = np.where(missing.all(axis=1), np.nan, guess)
        return estimate, variance

    def fill(self, values: NDArray) -> tuple[NDArray, NDArray[np.float32]]:
        """Fill the gaps of each station by kriging from the neighbours that report at that step.

        A kriging estimate put in the place of a missing neighbour leaves any further kriging estimate as it would be
        without that neighbour; so filled values let one set of weights serve all the steps of a day.

        Parameters
        ----------
        values : (n_station, n_time), NaN where missing

        Returns
        -------
        filled : (n_station, n_time)
            NaN remains only at steps where no station reports.
        variance : (n_station, n_time)
            Kriging variance of what was filled, relative to the sill; 0 where observed.
        """
        gaps = np.argwhere(~np.isfinite(values))
        variance = np.zeros(values.shape, np.float32)
        if not len(gaps):
            return values, variance
        filled, at = values.copy(), (gaps[:, 0], gaps[:, 1])
        if len(values) > 1:
            filled[at], variance[at] = self.predict(values, gaps)
        # Out of reach of any neighbour that reports: the mean of those that do, which is kriging at infinite distance.
        count = np.isfinite(values).sum(axis=0)
        mean = np.where(count > 0, np.nansum(values, axis=0) / np.maximum(count, 1), np.nan).astype(values.dtype)
        return np.where(np.isfinite(filled), filled, mean), variance

    def residuals(self, filled: NDArray) -> NDArray[np.float32]:
        """Return what the others do not explain of each station, step by step.

        Parameters
        ----------
        filled : (n_station, n_time)
            Gaps filled (:meth:`fill`), so that one set of weights serves every step; on any scale.

        Returns
        -------
        (n_station, n_time) float32
            NaN at steps where no station reports; zeros where there is no other place.
        """
        weights, _ = self.always
        rows = np.repeat(np.arange(len(filled)), weights.shape[1])
        operator = csr_array((weights.ravel(), (rows, self.near.ravel())), shape=(len(filled), len(filled)))
        return ((filled - operator @ filled) * self.elsewhere.any(axis=1, keepdims=True)).astype(np.float32)

    def redundancy(self) -> NDArray[np.float32]:
        """Return how well the others can predict each station, beside what is usual in the network.

        Returns
        -------
        (n_station,) float32
            The median kriging variance over that of the station, at most 1: small where a station stands alone.
        """
        _, variance = self.always
        return np.minimum(np.median(variance) / variance, 1.0).astype(np.float32)
