r"""How errors hang together in space and time: a sum of separable exponential terms, conditioned on the stations.

The truth is taken as a Gaussian field :math:`G` with a site's own part, which an instrument there has for itself; an estimate
is the kriging of :math:`G` from the stations. Its error is the difference (Matheron's rule):

.. math:: e(s, t) = G(s, t) - \sum_i w_i(s)\, G(s_i, t), \qquad
    \operatorname{cov}\big(G(s, t), G(s', t')\big) = \sum_{kl} c_{kl}\, e^{-|t - t'| / \tau_k}\, e^{-d(s, s') / r_l}

so the covariance of errors is linear in :math:`c`, which is fitted to products of held-out normal scores by non-negative
least squares. Journel and Huijbregts (1978), Mining Geostatistics, VII.A; Wilson et al. (2021), JMLR 22 (105).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from ..arrays import sphere
from ..errors import ModelError
from . import kriging
from .held_out import HeldOutScores
from .kriging import Covariance

#: Times of decay that are tried, hours: white noise, then from hours to a season. A lasting term is added to them.
TIMES_HOURS = (0.0, 3.0, 12.0, 48.0, 192.0, 768.0, 3072.0)
#: Ranges that are tried, km; 0 is a site's own part.
RANGES_KM = (0.0, 2.5, 10.0, 40.0, 160.0, 640.0)
#: Neighbours that an error is conditioned on.
NEIGHBOURS = 16
#: Classes of distance, and fewest products in one.
_CLASSES, _LEAST_PRODUCTS = 10, 200
#: Lags grow by this factor; the variance, at lag 0 of a place, weighs as much as this many lags.
_LAG_FACTOR, _VARIANCE_WEIGHT = 1.5, 3.0
#: Rounds in which weights and variances of errors are settled.
_ROUNDS = 4
#: Places whose kriging systems are solved at once.
_BATCH = 2_048
#: Points along each edge of a cell that stand for it.
SUB_POINTS = 5
#: Ranges of which kriging leaves less than this fraction of the variance are left out: errors have no such part.
_LEAST_LEFT = 0.25
#: Ridge penalty: terms that explain the products alike share their weight.
_RIDGE = 0.1
#: Least variance of an error relative to that of the field: beside a station whose readings have no noise.
LEAST_VARIANCE = 1e-4


class Neighbours(NamedTuple):
    """Stations ``of (place, k)`` that errors at places are conditioned on, and their kriging ``weights (place, k)``."""

    of: NDArray[np.intp]
    weights: NDArray[np.float64]


@dataclass(frozen=True)
class ErrorCovariance:
    """The covariance of normal scores of errors.

    Attributes
    ----------
    times_hours : tuple of float, hours
        Times of decay; 0 is white noise.
    ranges_km : tuple of float, km
        Ranges; 0 is a site's own part, which no other place shares.
    weights : tuple of tuple of float
        A row for each time of decay and a last one for the lasting term, a column for each range; they sum to 1.
    stations : Covariance, optional
        Of the kriging that conditions errors on stations; None in a forecast, whose errors are conditioned on none.
    pairs : tuple of (lag, distance, correlation, fitted, n)
        Hours, km and the number of products: what the weights were fitted to. Distance 0 is the place itself.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=16, days=8)
    >>> model = ds.aq.train("pm25", max_epochs=0, progress=False)
    >>> round(sum(map(sum, model.error_covariance.weights)), 6)
    1.0
    """

    times_hours: tuple[float, ...]
    ranges_km: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]
    stations: Covariance | None
    pairs: tuple[tuple[float, float, float, float, int], ...] = ()

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ErrorCovariance:
        """Rebuild a covariance from its fields as JSON gives them."""
        stations = data["stations"]
        return cls(
            tuple(data["times_hours"]),
            tuple(data["ranges_km"]),
            tuple(map(tuple, data["weights"])),
            None if stations is None else Covariance(**stations),
            tuple(map(tuple, data["pairs"])),
        )

    @property
    def by_range(self) -> NDArray[np.float64]:
        """Weight of each range, ``(range,)``: its part of the variance of the field."""
        return np.array(self.weights).sum(axis=0)

    def neighbours(self, station_lon: NDArray, station_lat: NDArray, lon: NDArray, lat: NDArray) -> Neighbours:
        """Return what errors at places are conditioned on.

        Parameters
        ----------
        station_lon, station_lat : (station,) degrees
            The stations that take part.
        lon, lat : (place,) degrees

        Returns
        -------
        Neighbours
            None for any place, where errors are conditioned on none.
        """
        if self.stations is None:
            return Neighbours(np.empty((len(lon), 0), np.intp), np.empty((len(lon), 0)))
        return kriging_neighbours(self.stations, station_lon, station_lat, lon, lat)

    def variance(
        self,
        near: Neighbours,
        station_lon: NDArray,
        station_lat: NDArray,
        lon: NDArray,
        lat: NDArray,
        cell: tuple[float, float] | None = None,
    ) -> NDArray[np.float64]:
        """Return the variance of errors relative to that of the field, ``(place,)``.

        Parameters
        ----------
        near : Neighbours
            Of the places.
        station_lon, station_lat : (station,) degrees
        lon, lat : (place,) degrees
            Points, or centres of cells.
        cell : (degrees, degrees), optional
            Size of the cells in longitude and latitude: the error is that of their means, in which a site's own part averages
            out.
        """
        if not near.of.shape[1]:
            return np.maximum(self._own(lat, cell), LEAST_VARIANCE)
        total = np.empty(len(lon))
        for first in range(0, len(lon), _BATCH):
            part = slice(first, first + _BATCH)
            index, weights, at = near.of[part], near.weights[part], (lon[part], lat[part])
            between = sphere.pairwise_km(station_lon, station_lat, index)
            own, across, among = self._own(at[1], cell), np.zeros(weights.shape), np.zeros(between.shape)
            x, y = sub_points(*at, cell)
            to_places = sphere.distance_km(
                x[:, :, None], y[:, :, None], station_lon[index][:, None], station_lat[index][:, None]
            )
            for c, r in zip(self.by_range, self.ranges_km, strict=True):
                if r:
                    across += c * np.exp(-to_places / r).mean(axis=1)
                    among += c * np.exp(-between / r)
                else:
                    among += c * np.eye(index.shape[1])
            total[part] = own + _explained(weights, across, among)
        return np.maximum(total, LEAST_VARIANCE)

    def _own(self, lat: NDArray, cell: tuple[float, float] | None) -> NDArray[np.float64]:
        """Return the variance of the field at points, or of its mean over cells, ``(place,)``."""
        if cell is None:
            return np.ones(len(lat))
        rows, which = np.unique(lat, return_inverse=True)
        x, y = sub_points(np.zeros(len(rows)), rows, cell)
        apart = sphere.distance_km(x[:, :, None], y[:, :, None], x[:, None], y[:, None])
        terms = zip(self.by_range, self.ranges_km, strict=True)
        means = [c * np.exp(-apart / r).mean(axis=(1, 2)) for c, r in terms if r]
        return np.sum(means, axis=0)[which] if means else np.zeros(len(lat))


def sub_points(lon: NDArray, lat: NDArray, cell: tuple[float, float] | None) -> tuple[NDArray, NDArray]:
    """Return the points that stand for cells, ``(place, point)``: a regular pattern, or their centres where there is no cell."""
    if cell is None:
        return lon[:, None], lat[:, None]
    offset = (np.arange(SUB_POINTS) + 0.5) / SUB_POINTS - 0.5
    east, north = (a.ravel() for a in np.meshgrid(offset * cell[0], offset * cell[1]))
    return lon[:, None] + east, np.clip(lat[:, None] + north, -90.0, 90.0)


def _explained(weights: NDArray, across: NDArray, among: NDArray) -> NDArray[np.float64]:
    """Return what kriging adds to the variance of a place, ``(place,)``: mostly less than 0."""
    return np.einsum("pi,pij,pj->p", weights, among, weights) - 2.0 * (weights * across).sum(axis=1)


def in_time(times_hours: Sequence[float], lag_hours: NDArray) -> NDArray[np.float64]:
    """Return ``exp(-lag / time)`` of each time, ``(time + 1, lag)``; white noise for a time of 0, and 1 in the last row."""
    lag = np.abs(np.asarray(lag_hours, float))
    rows = [np.exp(-lag / time) if time else (lag == 0).astype(float) for time in times_hours]
    return np.stack([*rows, np.ones_like(lag)])


def _in_space(distance: NDArray, range_km: float, same: NDArray | bool) -> NDArray:
    """Return ``exp(-distance / range)``; a site's own part is shared where the two are the ``same`` instrument only."""
    if range_km:
        return np.exp(-distance / range_km)
    return np.broadcast_to(np.asarray(same, float), distance.shape)


def kriging_neighbours(
    covariance: Covariance, station_lon: NDArray, station_lat: NDArray, lon: NDArray, lat: NDArray
) -> Neighbours:
    """Return the nearest stations of places and their ordinary kriging weights."""
    index, distance = sphere.nearest(station_lon, station_lat, lon, lat, NEIGHBOURS)
    weights = np.empty(index.shape)
    for first in range(0, len(lon), _BATCH):
        part = slice(first, first + _BATCH)
        between = sphere.pairwise_km(station_lon, station_lat, index[part])
        weights[part] = kriging.ordinary_weights(distance[part], between, covariance).weights
    return Neighbours(index, weights)


# -- the fit -------------------------------------------------------------------------------------------------------


class _Fold(NamedTuple):
    """Held-out stations of one fold, and the covariance of their errors in space: ``terms (range, target, target)``."""

    targets: NDArray[np.intp]
    distance: NDArray[np.float64]
    terms: NDArray[np.float64]


class _Products(NamedTuple):
    """Sums of lagged products of one fold, the sums of their weights, and their numbers, each ``(target, target)``.

    The first station is at the earlier step.
    """

    sums: NDArray[np.float64]
    weights: NDArray[np.float64]
    counts: NDArray[np.float64]


class _Row(NamedTuple):
    """A class of pairs: ``lag`` in hours, mean ``distance`` in km, mean product, that ``raised``, number, weight and design."""

    lag: float
    distance: float
    product: float
    raised: float
    n: int
    weight: float
    design: NDArray[np.float64]


def fit_error_covariance(held_out: HeldOutScores, stations: Covariance | None) -> ErrorCovariance:
    r"""Fit the weights of the terms to lagged products of held-out normal scores, by non-negative least squares.

    Parameters
    ----------
    held_out : HeldOutScores
        Normal scores of the errors at stations that are held out in turn.
    stations : Covariance, optional
        Of the kriging that conditions errors on the stations outside a fold; None for a forecast.

    Returns
    -------
    ErrorCovariance

    Raises
    ------
    ModelError
        There are too few held-out errors.

    Notes
    -----
    With the covariance :math:`A_l(i, j)` of the errors that the term of range :math:`r_l` makes at two stations of a fold,

    .. math:: \operatorname{cov}\big(e_i(t), e_j(t + \ell)\big) = \sum_{kl} c_{kl}\, e^{-\ell / \tau_k} A_l(i, j),
        \qquad A = K - W K_s - K_s^\top W^\top + W K_{ss} W^\top .

    Scores have unit variance, so products are multiplied by the standard deviations that the weights give, in a few rounds.
    Products are averaged by lag and by class of distance; the place itself is a class. They are weighted by the scales of both
    errors, as these weigh in a mean. At the place itself they are raised by one standard error over stations: few stations say
    little of what lasts, and the means of a network that seems to have no persistent errors would be too sure. Terms that
    decay more slowly than half of the record cannot be told from lasting ones and are left out, as are ranges so long that
    kriging leaves no error of them.
    """
    if len(np.unique(held_out.fold[held_out.fold >= 0])) < 2:
        raise ModelError(
            "stations report at one place, and none can be held out to fit how errors hang together; fix: more stations"
        )
    hours = held_out.step_hours
    n_step = held_out.scores.shape[-1]
    times = tuple(t for t in TIMES_HOURS if t == 0 or hours <= t <= hours * n_step / 2)
    folds = list(_folds(held_out, stations))
    lags = _lags(n_step)
    products = [[_multiply(held_out, fold.targets, lag) for fold in folds] for lag in lags]
    edges = _class_edges(folds)
    left = np.mean(np.concatenate([np.einsum("lii->il", fold.terms) for fold in folds]), axis=0)
    kept = np.flatnonzero(left >= _LEAST_LEFT)
    folds = [fold._replace(terms=fold.terms[kept]) for fold in folds]
    weights = np.zeros((len(times) + 1, len(kept)))
    weights[0, 0] = 1.0
    variances = [np.ones(len(fold.targets)) for fold in folds]
    rows: list[_Row] = []
    for _ in range(_ROUNDS):
        rows = [
            row
            for lag, made in zip(lags, products, strict=True)
            for row in _rows(lag * hours, folds, made, variances, edges, times)
        ]
        if not rows or rows[0].lag or rows[0].distance:
            raise ModelError(
                f"{int(np.isfinite(held_out.scores).sum())} errors at held-out stations are too few to fit how errors hang together; "
                "fix: a longer record, or more stations"
            )
        weight = np.array([row.weight for row in rows])
        design = np.concatenate([weight[:, None] * [row.design for row in rows], _RIDGE * np.eye(weights.size)])
        solution, _ = nnls(design, np.append(weight * [row.raised for row in rows], np.zeros(weights.size)))
        if not solution.any():
            break
        weights = (solution / solution.sum()).reshape(weights.shape)
        by_range = weights.sum(axis=0)
        variances = [np.maximum(np.einsum("l,lii->i", by_range, fold.terms), LEAST_VARIANCE) for fold in folds]
    scale = rows[0].product or 1.0
    pairs = tuple(
        (row.lag, row.distance, row.product / scale, float(row.design @ weights.ravel()) / float(rows[0].design @ weights.ravel()), row.n)
        for row in rows
    )  # fmt: skip
    ranges = tuple(RANGES_KM[i] for i in kept)
    return ErrorCovariance(times, ranges, tuple(map(tuple, weights.tolist())), stations, pairs)


def _folds(held_out: HeldOutScores, stations: Covariance | None) -> Iterator[_Fold]:
    """Yield the folds with the covariance in space that each term gives their errors."""
    lon, lat, fold_of = held_out.lon, held_out.lat, held_out.fold
    for fold in np.unique(fold_of[fold_of >= 0]):
        targets, others = np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)
        distance = sphere.distance_km(lon[targets, None], lat[targets, None], lon[targets], lat[targets])
        weights = np.zeros((len(targets), len(others)))
        if stations is not None:
            near = kriging_neighbours(stations, lon[others], lat[others], lon[targets], lat[targets])
            np.put_along_axis(weights, near.of, near.weights, axis=1)
        used = np.flatnonzero(weights.any(axis=0))
        weights, others = weights[:, used], others[used]
        across = sphere.distance_km(lon[targets, None], lat[targets, None], lon[others], lat[others])
        among = sphere.distance_km(lon[others, None], lat[others, None], lon[others], lat[others])
        terms = []
        for r in RANGES_KM:
            own, shared = (
                _in_space(distance, r, np.eye(len(targets), dtype=bool)),
                weights @ _in_space(across, r, False).T,
            )
            terms.append(
                own - shared - shared.T + weights @ _in_space(among, r, np.eye(len(others), dtype=bool)) @ weights.T
            )
        yield _Fold(targets, distance, np.array(terms))


def _lags(n_step: int) -> list[int]:
    """Return lags in steps: 0, then ever larger ones."""
    lags, last = [0], 1.0
    while last < n_step:
        lags.append(round(last))
        last = max(last + 1.0, last * _LAG_FACTOR)
    return lags


def _multiply(held_out: HeldOutScores, targets: NDArray[np.intp], lag: int) -> _Products:
    """Return the sums of products of targets' scores at a lag, weighted by the scales of both."""
    scores = held_out.scores[:, targets]
    scale = np.where(np.isfinite(scores), held_out.scale[:, targets], 0.0)
    factors = np.nan_to_num(scores) * scale, scale, (scale > 0).astype(np.float32)
    n = scores.shape[-1] - lag
    return _Products(*((f[..., :n] @ f[..., lag:].swapaxes(1, 2)).sum(axis=0, dtype=float) for f in factors))


def _class_edges(folds: Sequence[_Fold]) -> NDArray[np.float64]:
    """Return edges of classes of distance with equal numbers of pairs, km."""
    distance = np.concatenate([fold.distance[np.triu_indices(len(fold.targets), 1)] for fold in folds])
    return np.quantile(distance, np.linspace(0, 1, _CLASSES + 1)) if len(distance) else np.zeros(0)


def _rows(
    lag_hours: float,
    folds: Sequence[_Fold],
    products: Sequence[_Products],
    variances: Sequence[NDArray],
    edges: NDArray,
    times: Sequence[float],
) -> Iterator[_Row]:
    """Yield the classes of pairs at one lag: the place itself, then by distance."""
    found: list[tuple[NDArray, ...]] = []
    for fold, made, variance in zip(folds, products, variances, strict=True):
        std = np.sqrt(variance)
        own, (i, j) = np.arange(len(std)), np.triu_indices(len(std), 1)
        classes = np.searchsorted(edges, fold.distance[i, j], "right") - 1
        found.append((
            *map(_own_and_pairs, (made.sums * std[:, None] * std, made.weights, made.counts)),
            np.append(np.zeros(len(own)), fold.distance[i, j]),
            np.append(np.full(len(own), -1), np.clip(classes, 0, _CLASSES - 1)),
            np.concatenate([fold.terms[:, own, own], fold.terms[:, i, j]], axis=1).T,
        ))  # fmt: skip
    product, weight, n, distance, of_class, term = (np.concatenate(a) for a in zip(*found, strict=True))
    time = in_time(times, np.array([lag_hours]))[:, 0]
    for c in range(-1, _CLASSES):
        some = of_class == c
        total = weight[some].sum()
        if n[some].sum() < _LEAST_PRODUCTS or not total:
            continue
        mean = product[some].sum() / total
        # Stations differ: the standard error of what they have in common.
        raised = lag_hours > 0 and c < 0
        error = np.linalg.norm(product[some] - mean * weight[some]) / total if raised else 0.0
        counts = _CLASSES**-0.5 if c >= 0 else 1.0 if lag_hours else _VARIANCE_WEIGHT
        design = np.outer(time, (weight[some] @ term[some]) / total).ravel()
        apart = float(distance[some] @ weight[some] / total)
        yield _Row(lag_hours, apart, float(mean), float(mean + error), int(n[some].sum()), counts, design)


def _own_and_pairs(matrix: NDArray) -> NDArray:
    """Return the diagonal of a matrix, then the sums of its pairs of entries ``(i, j)`` and ``(j, i)``."""
    return np.append(np.diagonal(matrix), (matrix + matrix.T)[np.triu_indices(len(matrix), 1)])
