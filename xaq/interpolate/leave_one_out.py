"""Leave-one-out: which observations to predict, how to predict them from the stations elsewhere, and how to score that.

Co-located stations are left out together, as one would make the error of the other look small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ..arrays import sphere
from ..errors import SchemaError
from .base import Observations
from .kriging import Covariance, KrigingWeights

#: Pairs predicted at once: systems of 16 neighbours take at most 10 MB.
_BATCH = 5_000
#: Nuggets that :func:`fit_covariance` tries, relative to the sill, and how many ranges.
_NUGGETS, _N_RANGES = (0.01, 0.03, 0.1, 0.2, 0.4, 0.8, 1.6), 8


class Errors(NamedTuple):
    """Mean absolute and root-mean-square error, in the target's units."""

    mae: float
    rmse: float


def draw_pairs(values: NDArray, n_pairs: int, *, seed: int | Sequence[int] | np.random.Generator) -> NDArray[np.intp]:
    """Draw observations at random, each once.

    Parameters
    ----------
    values : (n_station, n_time), NaN where missing
        Visible stations, training period.
    n_pairs : int
        Observations to draw; all of them, in random order, where there are fewer.
    seed : int, sequence of int or numpy.random.Generator
        As ``numpy.random.default_rng`` takes it.

    Returns
    -------
    (n, 2) int
        Station and time index of each.

    Raises
    ------
    SchemaError
        There is no observation.
    """
    # One number for each observation, not two: a national network has a hundred million.
    observed = np.flatnonzero(np.isfinite(values))
    if not len(observed):
        raise SchemaError("no observation to leave out, expected at least 1")
    rng = np.random.default_rng(seed)
    drawn = observed[rng.choice(len(observed), min(n_pairs, len(observed)), replace=False)]
    return np.column_stack(np.unravel_index(drawn, values.shape))


def draw_steps(values: NDArray, n_steps: int, *, seed: int | Sequence[int]) -> NDArray[np.intp]:
    """Draw steps at which a station reports, ``(n,)`` ascending; all of them where there are fewer than ``n_steps``.

    ``values (n_station, n_time)`` are NaN where missing.
    """
    reported = np.flatnonzero(np.isfinite(values).any(axis=0))
    if len(reported) <= n_steps:
        return reported
    return np.sort(np.random.default_rng(seed).choice(reported, n_steps, replace=False))


def reporting(observations: Observations) -> Observations:
    """Return the observations of the stations that have any: the others would be neighbours that never predict."""
    some = np.isfinite(observations.values).any(axis=1)
    if some.all():
        return observations
    covariates, known = (c[:, some] if len(c) else c for c in (observations.covariates, observations.known))
    values, lon, lat = observations.values[some], observations.lon[some], observations.lat[some]
    return replace(observations, values=values, lon=lon, lat=lat, covariates=covariates, known=known)


def mae_and_rmse(error: NDArray) -> Errors:
    """Return the mean absolute and root-mean-square error of an array of errors, ignoring NaN; zeros where all are NaN."""
    seen = error[~np.isnan(error)]
    if not seen.size:
        return Errors(0.0, 0.0)
    return Errors(float(np.abs(seen).mean()), float((seen**2).mean()) ** 0.5)


def relative_score(errors: Errors, reference: Errors) -> float:
    r"""Return MAE and RMSE, each relative to the reference's, added: 2 for the reference itself, lower is better.

    .. math:: \mathrm{score} = \frac{\mathrm{MAE}}{\mathrm{MAE}_\mathrm{ref}}
        + \frac{\mathrm{RMSE}}{\mathrm{RMSE}_\mathrm{ref}}

    A reference without error counts as the smallest positive number, so that the order of candidates stays defined.
    """
    smallest = float(np.finfo(float).tiny)
    return errors.mae / max(reference.mae, smallest) + errors.rmse / max(reference.rmse, smallest)


class Neighbours(NamedTuple):
    """The nearest stations of each station among those elsewhere.

    ``station (station, k)``, their index; ``distance (station, k)`` in km, infinite in slots left empty because fewer than k stations lie
    elsewhere; ``among (station, k, k)``, distances in km among them.
    """

    station: NDArray[np.intp]
    distance: NDArray[np.float64]
    among: NDArray[np.float64]


def other_stations(lon: NDArray, lat: NDArray, k: int) -> Neighbours:
    """Find the k nearest neighbours of each station; co-located stations are no neighbours of each other."""
    group = sphere.colocated_groups(lon, lat)
    largest = int(np.bincount(group).max())
    index, distance = sphere.nearest(lon, lat, lon, lat, k + largest)
    distance = np.where(group[index] == group[:, None], np.inf, distance)
    order = np.argsort(distance, axis=1, kind="stable")[:, :k]
    index, distance = np.take_along_axis(index, order, 1), np.take_along_axis(distance, order, 1)
    return Neighbours(index, distance, sphere.pairwise_km(lon, lat, index))


def candidate_ranges(lon: NDArray, lat: NDArray) -> NDArray[np.float64]:
    """Return ranges in km to try, ascending: from half the median spacing of stations to three times the network's width."""
    if len(lon) < 2:
        return np.array([100.0])
    distance = other_stations(lon, lat, 1).distance[:, 0]
    spacing = float(np.median(distance[np.isfinite(distance)])) if np.isfinite(distance).any() else 1.0
    width = 2.0 * float(np.max(sphere.distance_km(lon, lat, *sphere.centre(lon, lat))))
    return np.geomspace(max(0.5 * spacing, 0.5), max(3.0 * width, 2.0 * spacing, 2.0), _N_RANGES)


def fit_covariance(
    values: NDArray, lon: NDArray, lat: NDArray, *, k: int = 16, n_pairs: int = 6000, seed: int = 0
) -> Covariance:
    r"""Fit range and nugget by leave-one-station-out cross-validation, and the sill to the errors.

    Parameters
    ----------
    values : (n_station, n_time), NaN where missing
        Visible stations, training period.
    lon, lat : (n_station,) degrees
    k : int
        Neighbours, as the covariance will be used.
    n_pairs : int
        Observations predicted with each candidate, drawn at random.
    seed : int
        Seed of the draw.

    Returns
    -------
    Covariance
        The candidate with the least squared error, over :func:`candidate_ranges` and a list of nuggets.

    Raises
    ------
    SchemaError
        There is no observation.

    Notes
    -----
    With the leave-one-out estimate :math:`\hat y` of an observation :math:`y` and its kriging variance :math:`v`,

    .. math:: (\rho, \nu) = \arg\min \overline{(y - \hat y)^2}, \qquad \sigma^2 = \overline{(y - \hat y)^2 / v}.
    """
    pairs = draw_pairs(values, n_pairs, seed=seed)
    truth = values[pairs[:, 0], pairs[:, 1]].astype(np.float64)
    ranges, neighbours = candidate_ranges(lon, lat), other_stations(lon, lat, k)
    tiny = float(np.finfo(float).tiny)
    best = Covariance(float(ranges[len(ranges) // 2]), 0.1, max(float(truth.var()), tiny))
    best_error = np.inf
    if len(np.unique(sphere.colocated_groups(lon, lat))) < 2:
        return best
    for range_km in ranges:
        for nugget in _NUGGETS:
            candidate = Covariance(float(range_km), nugget)
            estimate, variance = LeaveOneOut.from_neighbours(neighbours, candidate).predict(values, pairs)
            residual = truth - estimate
            error = float(np.nanmean(residual**2))
            if error < best_error:
                best, best_error = replace(candidate, sill=_sill(residual, variance)), error
    return best


def fit_sill(
    values: NDArray,
    lon: NDArray,
    lat: NDArray,
    covariance: Covariance,
    *,
    k: int = 16,
    n_pairs: int = 6000,
    seed: int = 0,
) -> Covariance:
    """Return a covariance with the sill that :func:`fit_covariance` would give it; the arguments are those there."""
    pairs = draw_pairs(values, n_pairs, seed=seed)
    estimate, variance = LeaveOneOut.of(lon, lat, covariance, k).predict(values, pairs)
    residual = values[pairs[:, 0], pairs[:, 1]].astype(np.float64) - estimate
    return replace(covariance, sill=_sill(residual, variance)) if np.isfinite(residual).any() else covariance


def _sill(residual: NDArray[np.float64], variance: NDArray[np.float64]) -> float:
    """Return the sill with which kriging variances of a sill of one are right on average, above zero."""
    return max(float(np.nanmean(residual**2 / variance)), float(np.finfo(float).tiny))


def distinct_rows(rows: NDArray) -> tuple[NDArray, NDArray[np.intp], NDArray[np.intp]]:
    """Return the distinct rows of a table of integers, the first place of each, and for each row the number of its distinct row.

    Each row becomes one key of bytes: many times faster than ``np.unique`` along an axis, in another order.
    """
    rows = np.ascontiguousarray(rows)
    keys = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    return rows[first], first, which


@dataclass(frozen=True)
class LeaveOneOut:
    """Ordinary kriging of each station from the stations elsewhere: one system per station, solved with all neighbours.

    Attributes
    ----------
    neighbours : (station, k) int
        Index of the neighbours.
    has_neighbour : (station, k) bool
        False in slots left empty because fewer than k stations lie elsewhere.
    inverse : (station, k + 1, k + 1)
        Inverse of the system, bordered by the constraint that weights sum to one.
    solution : (station, k + 1)
        Weights of all slots, and minus the Lagrange multiplier.
    variance : (station,)
        Kriging variance of a new observation with all slots, relative to the sill.
    nugget : float
        Relative to the sill.
    """

    neighbours: NDArray[np.intp]
    has_neighbour: NDArray[np.bool_]
    inverse: NDArray[np.float64]
    solution: NDArray[np.float64]
    variance: NDArray[np.float64]
    nugget: float

    @classmethod
    def of(cls, lon: NDArray, lat: NDArray, covariance: Covariance, k: int) -> LeaveOneOut:
        """Find the k nearest neighbours of each station, and solve its system."""
        return cls.from_neighbours(other_stations(lon, lat, k), covariance)

    @classmethod
    def from_neighbours(cls, neighbours: Neighbours, covariance: Covariance) -> LeaveOneOut:
        """Solve the systems of neighbours from :func:`other_stations`."""
        index, distance, among = neighbours
        n, k = index.shape
        has_neighbour = np.isfinite(distance)
        # An empty slot has no covariance with the others, and never a value.
        both = has_neighbour[:, :, None] & has_neighbour[:, None]
        system, right = np.ones((n, k + 1, k + 1)), np.ones((n, k + 1))
        system[:, :k, :k] = np.where(both, np.exp(-among / covariance.range_km), 0.0)
        right[:, :k] = np.exp(-distance / covariance.range_km)
        diagonal = np.arange(k)
        system[:, diagonal, diagonal] = 1.0 + covariance.nugget
        system[:, k, k] = 0.0
        inverse = np.linalg.inv(system)
        solution = np.einsum("nij,nj->ni", inverse, right)
        variance = 1.0 + covariance.nugget - (solution * right).sum(axis=1)
        return cls(index, has_neighbour, inverse, solution, variance, covariance.nugget)

    def weights_without(self, station: NDArray[np.intp], missing: NDArray) -> KrigingWeights:
        r"""Return the kriging weights of stations whose missing neighbours are left out of the system.

        Parameters
        ----------
        station : (m,) int
        missing : (m, k) bool
            Neighbours without a value, empty slots among them.

        Returns
        -------
        KrigingWeights
            Of :func:`xaq.interpolate.kriging.ordinary_weights` without the missing neighbours.

        Notes
        -----
        With :math:`K` the inverse of the bordered system, :math:`\psi = (w, -\mu)` its solution and :math:`v` its variance,
        leaving out the missing neighbours changes solution and variance to

        .. math:: \psi - K_{\cdot \times} K_{\times\times}^{-1} \psi_\times, \qquad
            v + \psi_\times^\top K_{\times\times}^{-1} \psi_\times

        with the rows and columns :math:`\times` of the missing neighbours (inverse of a partitioned matrix; Golub and Van
        Loan 2013, section 2.1). Mostly few neighbours are missing, so that the systems solved have two or three unknowns in
        place of k.
        """
        solution, variance = self.solution[station], self.variance[station]
        count = missing.sum(axis=1)
        for n_missing in np.unique(count[count > 0]):
            rows = np.flatnonzero(count == n_missing)
            if n_missing == missing.shape[1]:
                solution[rows], variance[rows] = 0.0, 2.0 * (1.0 + self.nugget)
                continue
            out = np.nonzero(missing[rows])[1].reshape(len(rows), n_missing)
            inverse_rows = self.inverse[station[rows, None], out]
            removed = np.take_along_axis(solution[rows], out, axis=1)
            among = np.take_along_axis(inverse_rows, out[:, None], axis=2)
            solved = np.linalg.solve(among, removed[..., None])[..., 0]
            solution[rows] -= np.einsum("nm,nmk->nk", solved, inverse_rows)
            variance[rows] += (solved * removed).sum(axis=1)
        return KrigingWeights(np.where(missing, 0.0, solution[:, :-1]), variance)

    @cached_property
    def complete(self) -> KrigingWeights:
        """Weights ``(station, k)`` and variance ``(station,)`` where every neighbour reports.

        The weights of a station sum to one; zeros where no station lies elsewhere.
        """
        return self.weights_without(np.arange(len(self.neighbours)), ~self.has_neighbour)

    def predict(self, values: NDArray, pairs: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Krige (station, time) pairs from the neighbours that report at that time.

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
        for first_pair in range(0, len(pairs), _BATCH):
            part = slice(first_pair, first_pair + _BATCH)
            station, time = pairs[part, 0], pairs[part, 1]
            near = values[self.neighbours[station], time[:, None]].astype(np.float64)
            missing = ~(np.isfinite(near) & self.has_neighbour[station])
            # Pairs of a station with the same missing neighbours share a system.
            systems = np.column_stack([station, np.packbits(missing, axis=1)])
            _, first, which = distinct_rows(systems)
            weights, relative = self.weights_without(station[first], missing[first])
            variance[part] = relative[which]
            guess = (weights[which] * np.where(missing, 0.0, near)).sum(axis=1)
            estimate[part] = np.where(missing.all(axis=1), np.nan, guess)
        return estimate, variance

    def fill(self, values: NDArray) -> tuple[NDArray, NDArray[np.float32]]:
        """Fill the gaps of each station by kriging from the neighbours that report at that step.

        Kriging with an estimated value in place of a missing neighbour equals kriging without that neighbour, so that one
        set of weights serves all the steps of a day.

        Parameters
        ----------
        values : (n_station, n_time), NaN where missing

        Returns
        -------
        filled : (n_station, n_time)
            NaN only at steps at which no station reports.
        variance : (n_station, n_time)
            Kriging variance of filled values, relative to the sill; 0 where observed.
        """
        gaps = np.argwhere(~np.isfinite(values))
        variance = np.zeros(values.shape, np.float32)
        if not len(gaps):
            return values, variance
        filled, at = values.copy(), (gaps[:, 0], gaps[:, 1])
        if len(values) > 1:
            filled[at], variance[at] = self.predict(values, gaps)
        # Where no neighbour reports: the mean of the stations that do, which is kriging at infinite distance.
        count = np.isfinite(values).sum(axis=0)
        mean = np.where(count > 0, np.nansum(values, axis=0) / np.maximum(count, 1), np.nan).astype(values.dtype)
        return np.where(np.isfinite(filled), filled, mean), variance

    def residuals(self, filled: NDArray) -> NDArray[np.float32]:
        r"""Return the leave-one-out residual of each station and step.

        .. math:: e_i(t) = z_i(t) - \sum_j w_{ij} z_j(t)

        Parameters
        ----------
        filled : (n_station, n_time)
            Values on any scale with gaps filled (:meth:`fill`), so that one set of weights serves every step.

        Returns
        -------
        (n_station, n_time) float32
            NaN at steps at which no station reports; zeros where no station lies elsewhere.
        """
        weights, _ = self.complete
        rows = np.repeat(np.arange(len(filled)), weights.shape[1])
        operator = csr_array((weights.ravel(), (rows, self.neighbours.ravel())), shape=(len(filled), len(filled)))
        return ((filled - operator @ filled) * self.has_neighbour.any(axis=1, keepdims=True)).astype(np.float32)

    def redundancy(self) -> NDArray[np.float32]:
        r"""Return how well the other stations predict each, relative to the network.

        .. math:: a_i = \min\big(\mathrm{median}_j v_j / v_i,\ 1\big)

        Returns
        -------
        (n_station,) float32
            From the kriging variances :math:`v_i` of stations from the others; small where a station is far from the rest.
        """
        _, variance = self.complete
        return np.minimum(np.median(variance) / variance, 1.0).astype(np.float32)
