"""Neural kNN: local ordinary kriging whose covariance and nuggets are learned, within bounds.

At initialisation the covariance is the fitted one and every learned term is zero: the module *is* ordinary kriging.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag, pad

from .batched_solve import invert, solve

_EARTH_RADIUS_KM = 6371.0088
#: How far the network may move the fitted covariance, both ways: noise by a factor of 20, range by a factor of 5.
_MAX_LOG_NOISE, _MAX_LOG_RANGE = math.log(20.0), math.log(5.0)
#: The exponent of the covariance lies in 1 +- this: 0.5 is rough, 1 exponential, 1.5 nearly smooth.
_MAX_EXPONENT = 0.5
#: Longest over shortest axis of the anisotropy is at most exp(2 * this) = 2.7.
_MAX_STRETCH = 0.5
#: Least kriging variance, relative to the sill: rounding must not make it negative.
_SMALL_VARIANCE = 1e-6
#: Sets of neighbours inverted at once: enough to hide the cost of a call, few enough for a cache.
_SETS = 4096


class Weights(NamedTuple):
    """What the neighbours contribute to each target.

    ``kriging (batch, k)`` sum to one; ``variance (batch,)`` of a new observation, relative to the sill; ``log_weight (batch,)``
    of the log scale; ``correction (batch,)`` multiplies the estimate by its exponential.
    """

    kriging: Tensor
    variance: Tensor
    log_weight: Tensor
    correction: Tensor


class Geometry(NamedTuple):
    """Covariances of targets and their neighbours; the batch comes last, as :func:`solve` wants it.

    ``target (k, batch)`` and ``neighbours (k, k, batch)``, relative to the sill and without the nugget: nothing in them depends on the day.
    """

    target: Tensor
    neighbours: Tensor


class SharedGeometry(NamedTuple):
    """As :class:`Geometry`, where many targets have the same neighbours: most cells of a fine grid.

    ``target (batch, k + 1)``; ``systems (k + 1, k + 1, set)``. Both are bordered by ones, which stand for the constraint that
    weights sum to one. ``rows (batch, k + 1)``: where the inverse of a target's set lies among those of :meth:`NeuralKNN.inverses`.
    """

    target: Tensor
    systems: Tensor
    rows: Tensor

    def part(self, cells: slice) -> SharedGeometry:
        """Return that of some of the targets."""
        return self._replace(target=self.target[cells], rows=self.rows[cells])


class NeuralKNN(nn.Module):
    """Weights of the k nearest stations for a batch of (target, day).

    Parameters
    ----------
    n_evidence : int
        Length of what is known of a station-day: what the temporal module makes of it, summaries, the state of the network.
    range_km, nugget : float
        The fitted classical covariance: where the learning starts.
    centre : (lon, lat) degrees
        Of the network: the anisotropy is that of its tangent plane.
    max_correction : float
        Bound of the level correction: 0.3 lets it scale an estimate by up to exp(+-0.3).
    n_rasters : int
        Static rasters whose difference between target and neighbours moves the level.
    """

    slope: nn.Parameter | None

    range_km: Tensor
    nugget: Tensor
    axes: Tensor

    def __init__(
        self,
        *,
        n_evidence: int,
        range_km: float,
        nugget: float,
        centre: tuple[float, float],
        max_correction: float,
        n_rasters: int = 0,
        hidden: int = 16,
    ) -> None:
        super().__init__()
        self.max_correction = max_correction
        for name, value in (("range_km", range_km), ("nugget", nugget)):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32))
        lon, lat = math.radians(centre[0]), math.radians(centre[1])
        east = [-math.sin(lon), math.cos(lon), 0.0]
        north = [-math.sin(lat) * math.cos(lon), -math.sin(lat) * math.sin(lon), math.cos(lat)]
        self.register_buffer("axes", torch.tensor([east, north], dtype=torch.float32))
        # The covariance of the network as a whole: half a dozen numbers, which few stations suffice to learn.
        self.log_range = nn.Parameter(torch.zeros(()))
        self.log_noise = nn.Parameter(torch.zeros(()))
        self.exponent = nn.Parameter(torch.zeros(()))
        self.stretch = nn.Parameter(torch.zeros(2))
        self.variance_ratio = nn.Parameter(torch.zeros(()))
        # Of the log level per standard deviation of each raster.
        self.register_parameter("slope", nn.Parameter(torch.zeros(n_rasters)) if n_rasters else None)
        # What departs from it by day and by station.
        self.noise_head = _zero_head(n_evidence, 1, hidden)

    def covariance_parameters(self) -> list[nn.Parameter]:
        """Return the few parameters of the network-wide covariance and level."""
        few = [self.log_range, self.log_noise, self.exponent, self.stretch, self.variance_ratio]
        return few if self.slope is None else [*few, self.slope]

    def geometry(self, target: Tensor, neighbours: Tensor) -> Geometry:
        """Return the covariances of each target and its neighbours, and among these.

        Parameters
        ----------
        target : (batch, 3)
            Unit vectors.
        neighbours : (batch, k, 3)
        """
        # Covariances and their solves need float32 even where the rest of the network runs in half precision.
        with torch.autocast(target.device.type, enabled=False):
            to_neighbours, among = self._to_neighbours(target, neighbours), self._among(neighbours)
            return Geometry(self._covariance(to_neighbours), self._covariance(among))

    def shared_geometry(self, target: Tensor, neighbours: Tensor, sets: Tensor, which: Tensor) -> SharedGeometry:
        """Return the covariances of targets that share sets of neighbours.

        Parameters
        ----------
        target : (batch, 3)
            Unit vectors.
        neighbours : (batch, k, 3)
            In the order that they have in the set.
        sets : (set, k, 3)
        which : (batch,) int
            The set of each target.
        """
        k = neighbours.shape[1]
        right = target.new_ones(len(target), k + 1)
        right[:, :k] = self._covariance(self._to_neighbours(target, neighbours)).T
        systems = target.new_ones(k + 1, k + 1, len(sets))
        systems[:k, :k] = self._covariance(self._among(sets))
        systems[k, k] = 0.0
        rows = which[:, None] * (k + 1) + torch.arange(k + 1, device=which.device)
        return SharedGeometry(right, systems, rows)

    def _to_neighbours(self, target: Tensor, neighbours: Tensor) -> Tensor:
        """Return distances after the stretch, ``(k, batch)``."""
        return _arc_km(self._stretched(neighbours).permute(2, 1, 0) - self._stretched(target).T[:, None])

    def _among(self, neighbours: Tensor) -> Tensor:
        """Return distances after the stretch, ``(k, k, batch)``."""
        points = self._stretched(neighbours).permute(2, 1, 0)
        return _arc_km(points[:, :, None] - points[:, None])

    def _covariance(self, distance: Tensor) -> Tensor:
        """Return the stable covariance exp(-(d / r) ** p), valid for 0 < p <= 2 (Chiles and Delfiner 2012, section 2.5)."""
        reach = self.range_km * torch.exp(_MAX_LOG_RANGE * torch.tanh(self.log_range))
        exponent = 1.0 + _MAX_EXPONENT * torch.tanh(self.exponent)
        # exp(p log d) is faster than a power.
        return torch.exp(-torch.exp(exponent * (distance.clamp(min=1e-3) / reach).log()))

    def _stretched(self, points: Tensor) -> Tensor:
        """Stretch the tangent plane at the network's centre by exp of a symmetric traceless matrix: areas are kept."""
        a, b = (_MAX_STRETCH * torch.tanh(self.stretch)).unbind()
        size = torch.sqrt(a * a + b * b + 1e-12)
        grow, turn = torch.cosh(size), torch.sinh(size) / size
        one = torch.ones_like(grow)
        matrix = torch.stack([torch.stack([grow + turn * a, turn * b]), torch.stack([turn * b, grow - turn * a])])
        change = matrix - torch.diag(torch.stack([one, one]))
        return points + (points @ self.axes.T) @ change @ self.axes

    def station_side(self, evidence: Tensor, variance_ratio: Tensor, redundancy: Tensor) -> Tensor:
        """Return the nugget of each station-day, ``(window, station, day)``, relative to the sill.

        Parameters
        ----------
        evidence : (window, station, day, n_evidence)
        variance_ratio : (window, station, day)
            Log ratio of the day's unexplained variance to the usual one: what a station says on a day when it
            departs from its neighbours more than it usually does is mostly its own.
        redundancy : (station,)
            How well the others can predict the station, from 0 to 1: as far can they judge it. One that stands alone departs
            from the network because it is elsewhere, and has the nugget that is usual on the day.
        """
        own = torch.tanh(self.log_noise + self.variance_ratio * variance_ratio + self.noise_head(evidence).squeeze(-1))
        weight = redundancy[:, None]
        network_mean = (weight * own).sum(dim=1, keepdim=True) / weight.sum().clamp(min=1e-6)
        return self.nugget * torch.exp(_MAX_LOG_NOISE * torch.lerp(network_mean, own, weight))

    def forward(
        self, geometry: Geometry, noise: Tensor, log_weight: Tensor, rows: Tensor, predictors: Tensor | None = None
    ) -> Weights:
        """Solve the learned kriging systems.

        Parameters
        ----------
        geometry : Geometry
        noise : (row,)
            From :meth:`station_side`, a row for each station-day.
        log_weight : (row,)
            weight of the log scale around each station on the day.
        rows : (batch, k) int
            Row of each neighbour on the day of the target.
        predictors : (batch, k, n_rasters), optional
            Standardised rasters of the target less those of each neighbour; 0 where either is unknown.
        """
        with torch.autocast(noise.device.type, enabled=False):
            kriging, variance = _krige(geometry.neighbours, noise.float()[rows].T.contiguous(), geometry.target)
            return self._finished(kriging, variance, log_weight.float(), rows, predictors)

    def inverses(self, geometry: SharedGeometry, sets: Tensor, noise: Tensor, room: Tensor | None = None) -> Tensor:
        """Invert the kriging system of every set of neighbours on a day, bordered by the constraint.

        Parameters
        ----------
        geometry : SharedGeometry
        sets : (set, k) int
            Stations of each set.
        noise : (station,)
        room : (set, (k + 1) ** 2), optional
            To write to: memory that is used again need not be cleared by the system.

        Returns
        -------
        (set * (k + 1), k + 1)
            The inverses, one below the other.
        """
        n, k = sets.shape
        room = noise.new_empty(n, (k + 1) ** 2) if room is None else room
        # The constraint has none.
        nugget = pad(noise[sets.T], (0, 0, 0, 1))
        for first in range(0, n, _SETS):
            part = slice(first, first + _SETS)
            room[part] = invert(geometry.systems[..., part], nugget[:, part]).flatten(0, 1).T
        return room.view(n * (k + 1), k + 1)

    def shared(
        self,
        geometry: SharedGeometry,
        inverses: Tensor,
        log_weight: Tensor,
        rows: Tensor,
        predictors: Tensor | None = None,
    ) -> Weights:
        """Return the weights of :meth:`forward` for targets of one day, from the inverses of their sets of neighbours.

        Parameters
        ----------
        geometry : SharedGeometry
        inverses : Tensor
            From :meth:`inverses`.
        log_weight : (row,)
        rows : (batch, k) int
            Row of each neighbour in ``log_weight``.
        predictors : (batch, k, n_rasters), optional
        """
        # With [c, 1] on the right, the bordered inverse gives the weights and the Lagrange multiplier.
        solved = embedding_bag(geometry.rows, inverses, per_sample_weights=geometry.target, mode="sum")
        variance = (1.0 - (solved * geometry.target).sum(dim=1)).clamp(min=_SMALL_VARIANCE)
        return self._finished(solved[:, :-1].contiguous(), variance, log_weight, rows, predictors)

    def _finished(
        self, kriging: Tensor, variance: Tensor, log_weight: Tensor, rows: Tensor, predictors: Tensor | None
    ) -> Weights:
        """Return weights with what is said of them: variance of a new observation, weight of the log scale, level correction."""
        nugget = self.nugget * torch.exp(_MAX_LOG_NOISE * torch.tanh(self.log_noise))
        mixture_weight = embedding_bag(rows, log_weight[:, None], per_sample_weights=kriging, mode="sum").squeeze(-1)
        correction = torch.zeros_like(variance)
        if predictors is not None and self.slope is not None:
            # Weights sum to one: this is the target's value less the weighted value of its neighbours.
            difference = torch.einsum("bk,bkr,r->b", kriging, predictors, self.slope)
            correction = self.max_correction * torch.tanh(difference)
        return Weights(kriging, variance + nugget, mixture_weight.clamp(0.0, 1.0), correction)


def _arc_km(difference: Tensor) -> Tensor:
    """Return the length on the sphere of chords ``(3, ...)``."""
    chord = difference.square().sum(dim=0).clamp(min=1e-18).sqrt()
    return 2.0 * _EARTH_RADIUS_KM * torch.asin((chord / 2.0).clamp(max=1.0))


def _krige(among: Tensor, nugget: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights ``(batch, k)`` and variance ``(batch,)`` of ordinary kriging, relative to the sill.

    The Lagrange multiplier is eliminated (Cressie 1993, section 3.2).

    Parameters
    ----------
    among : (k, k, batch)
    nugget, right : (k, batch)
    """
    a, b = solve(among, nugget, torch.stack([right, torch.ones_like(right)], dim=1)).unbind(dim=1)
    multiplier = (1.0 - a.sum(dim=0)) / b.sum(dim=0)
    weights = a + multiplier * b
    variance = (1.0 - (weights * right).sum(dim=0) + multiplier).clamp(min=_SMALL_VARIANCE)
    return weights.T.contiguous(), variance


def _zero_head(n_in: int, n_out: int, hidden: int) -> nn.Sequential:
    """Return a small perceptron that says zero until it is trained."""
    return nn.Sequential(nn.Linear(n_in, hidden), nn.GELU(), _zero(nn.Linear(hidden, n_out)))


def _zero(layer: nn.Linear) -> nn.Linear:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
