"""Neural kNN: local ordinary kriging whose covariance is learned, and a bounded, gated correction.

At initialisation the covariance is the fitted one and every learned term is zero: the module *is* ordinary kriging.
"""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag, linear

from .solve import invert, solve

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

    ``kriging (batch, k)`` sum to one; ``variance (batch,)`` of a new observation, relative to the sill;
    ``correction (batch,)`` multiplies the estimate by its exponential; ``gate (batch,)`` is the share of the log scale.
    """

    kriging: Tensor
    variance: Tensor
    correction: Tensor
    gate: Tensor


class Geometry(NamedTuple):
    """Distances after the learned stretch; the batch comes last, as :func:`solve` wants it.

    ``nearest (batch,)`` in km; ``target (k, batch)`` and ``neighbours (k, k, batch)`` to the power of the exponent: nothing in
    them depends on the day.
    """

    nearest: Tensor
    target: Tensor
    neighbours: Tensor


class SharedGeometry(NamedTuple):
    """As :class:`Geometry`, where many targets have the same neighbours: most cells of a fine grid.

    ``nearest (batch,)`` in km; ``target (batch, k + 1)`` and ``neighbours (k, k, set)`` to the power of the exponent;
    the last column of ``target`` is zero, its covariance one: it stands for the constraint that weights sum to one.
    ``rows (batch, k + 1)``: where the inverse of a target's set lies among those of :meth:`NeuralKNN.inverses`.
    """

    nearest: Tensor
    target: Tensor
    neighbours: Tensor
    rows: Tensor

    def part(self, cells: slice) -> SharedGeometry:
        """Return that of some of the targets."""
        return self._replace(nearest=self.nearest[cells], target=self.target[cells], rows=self.rows[cells])


class NeuralKNN(nn.Module):
    """Weights of the k nearest stations for a batch of (target, day).

    Parameters
    ----------
    n_evidence : int
        Length of what is known of a station-day: learned features, summaries of the day, state of the network.
    n_state : int
        Length of the network's state vector.
    range_km, nugget : float
        The fitted classical covariance: where the learning starts.
    gate : float
        Share of the log scale at the start, chosen by cross-validation; 0 is ordinary kriging.
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
    gate_start: Tensor
    axes: Tensor

    def __init__(
        self,
        *,
        n_evidence: int,
        n_state: int,
        range_km: float,
        nugget: float,
        gate: float,
        centre: tuple[float, float],
        max_correction: float,
        n_rasters: int = 0,
        hidden: int = 16,
    ) -> None:
        super().__init__()
        self.max_correction = max_correction
        for name, value in (("range_km", range_km), ("nugget", nugget), ("gate_start", gate)):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32))
        lon, lat = math.radians(centre[0]), math.radians(centre[1])
        east = [-math.sin(lon), math.cos(lon), 0.0]
        north = [-math.sin(lat) * math.cos(lon), -math.sin(lat) * math.sin(lon), math.cos(lat)]
        self.register_buffer("axes", torch.tensor([east, north], dtype=torch.float32))
        # The covariance of the network as a whole: a dozen numbers, which few stations suffice to learn.
        self.log_range = nn.Parameter(torch.zeros(()))
        self.log_noise = nn.Parameter(torch.zeros(()))
        self.exponent = nn.Parameter(torch.zeros(()))
        self.stretch = nn.Parameter(torch.zeros(2))
        self.unrest = nn.Parameter(torch.zeros(()))
        self.level = nn.Parameter(torch.zeros(()))
        self.gate = nn.Parameter(torch.zeros(()))
        # Of the log level per standard deviation of each raster.
        self.register_parameter("slope", nn.Parameter(torch.zeros(n_rasters)) if n_rasters else None)
        # What departs from it by day and by station.
        self.range_head = _zero(nn.Linear(n_state, 1, bias=False))
        self.noise_head = _zero_head(n_evidence, 1, hidden)
        # One row for the level correction, one for the gate.
        self.residual_head = _zero_head(n_evidence + 2, 2, hidden)

    def covariance_parameters(self) -> list[nn.Parameter]:
        """Return the few parameters of the network-wide covariance, mixture and level."""
        few = [self.log_range, self.log_noise, self.exponent, self.stretch, self.unrest, self.level, self.gate]
        return few if self.slope is None else [*few, self.slope]

    def geometry(self, target: Tensor, neighbours: Tensor) -> Geometry:
        """Return distances between each target and its neighbours, and among these.

        Parameters
        ----------
        target : (batch, 3)
            Unit vectors.
        neighbours : (batch, k, 3)
            The nearest first.
        """
        distance, among = self._to_neighbours(target, neighbours), self._among(neighbours)
        return Geometry(distance.amin(dim=0), self._power(distance), self._power(among))

    def shared_geometry(self, target: Tensor, neighbours: Tensor, sets: Tensor, which: Tensor) -> SharedGeometry:
        """Return the distances of targets that share sets of neighbours.

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
        distance = self._to_neighbours(target, neighbours)
        size = len(distance) + 1
        bordered = distance.new_zeros(len(target), size)
        bordered[:, :-1] = self._power(distance).T
        rows = which[:, None] * size + torch.arange(size, device=which.device)
        return SharedGeometry(distance.amin(dim=0), bordered, self._power(self._among(sets)), rows)

    def _to_neighbours(self, target: Tensor, neighbours: Tensor) -> Tensor:
        """Return distances after the stretch, ``(k, batch)``."""
        return _arc_km(self._stretched(neighbours).permute(2, 1, 0) - self._stretched(target).T[:, None])

    def _among(self, neighbours: Tensor) -> Tensor:
        """Return distances after the stretch, ``(k, k, batch)``."""
        points = self._stretched(neighbours).permute(2, 1, 0)
        return _arc_km(points[:, :, None] - points[:, None])

    def _power(self, distance: Tensor) -> Tensor:
        """Return distances to the power of the exponent."""
        # exp(p log d) is faster than a power.
        return torch.exp(self._exponent() * distance.clamp(min=1e-3).log())

    def _exponent(self) -> Tensor:
        return 1.0 + _MAX_EXPONENT * torch.tanh(self.exponent)

    def _stretched(self, points: Tensor) -> Tensor:
        """Stretch the tangent plane at the network's centre by exp of a symmetric traceless matrix: areas are kept."""
        a, b = (_MAX_STRETCH * torch.tanh(self.stretch)).unbind()
        size = torch.sqrt(a * a + b * b + 1e-12)
        grow, turn = torch.cosh(size), torch.sinh(size) / size
        one = torch.ones_like(grow)
        matrix = torch.stack([torch.stack([grow + turn * a, turn * b]), torch.stack([turn * b, grow - turn * a])])
        change = matrix - torch.diag(torch.stack([one, one]))
        return points + (points @ self.axes.T) @ change @ self.axes

    def station_side(self, evidence: Tensor, unrest: Tensor, redundancy: Tensor) -> Tensor:
        """Return the nugget of each station-day, ``(window, station, day)``, relative to the sill.

        Parameters
        ----------
        evidence : (window, station, day, n_evidence)
        unrest : (window, station, day)
            Log ratio of the day's unexplained variance to the usual one: what a station says on a day when it
            departs from its neighbours more than it usually does is mostly its own.
        redundancy : (station,)
            How well the others can foretell the station, from 0 to 1: as far can they judge it. One that stands alone departs
            from the network because it is elsewhere, and has the nugget that is usual on the day.
        """
        own = torch.tanh(self.log_noise + self.unrest * unrest + self.noise_head(evidence).squeeze(-1))
        share = redundancy[:, None]
        usual = (share * own).sum(dim=1, keepdim=True) / share.sum().clamp(min=1e-6)
        return self.nugget * torch.exp(_MAX_LOG_NOISE * torch.lerp(usual, own, share))

    def forward(
        self,
        geometry: Geometry,
        noise: Tensor,
        rows: Tensor,
        evidence: Tensor,
        state: Tensor,
        relief: Tensor | None = None,
    ) -> Weights:
        """Solve the learned kriging systems.

        Parameters
        ----------
        geometry : Geometry
        noise : (row,)
            From :meth:`station_side`, a row for each station-day.
        rows : (batch, k) int
            Row of each neighbour on the day of the target.
        evidence : (row, n_evidence)
        state : (batch, n_state)
        relief : (batch, k, n_rasters), optional
            Standardised rasters of the target less those of each neighbour; 0 where either is unknown.
        """
        # Covariances and their solves need float32 even where the rest of the network runs in half precision.
        with torch.autocast(state.device.type, enabled=False):
            return self._weights(Geometry(*geometry), noise.float(), rows, evidence.float(), state.float(), relief)

    def _weights(
        self, geometry: Geometry, noise: Tensor, rows: Tensor, evidence: Tensor, state: Tensor, relief: Tensor | None
    ) -> Weights:
        reach = self.reach(state)
        rate = self._rate(reach)
        among, right = (geometry.neighbours * rate).exp_(), (geometry.target * rate).exp_()
        kriging, variance = _krige(among, noise[rows].T.contiguous(), right)
        seen = embedding_bag(rows, evidence, per_sample_weights=kriging, mode="sum")
        variance = self._with_nugget(variance)
        bag = torch.cat([seen, variance.log()[:, None], _log_reach(geometry.nearest, reach)], dim=-1)
        return self._finished(kriging, variance, self.residual_head(bag), relief)

    def inverses(
        self, geometry: SharedGeometry, sets: Tensor, noise: Tensor, reach: Tensor, room: Tensor | None = None
    ) -> Tensor:
        """Invert the kriging system of every set of neighbours on a day, bordered by the constraint.

        Parameters
        ----------
        geometry : SharedGeometry
        sets : (set, k) int
            Stations of each set.
        noise : (station,)
        reach : ()
            From :meth:`reach`.
        room : (set, (k + 1) ** 2), optional
            To write to: memory that is used again need not be cleared by the system.

        Returns
        -------
        (set * (k + 1), k + 1)
            The inverses, one below the other.
        """
        n, k = sets.shape
        half = k // 2
        nugget = noise[sets.T]
        room = noise.new_empty(n, (k + 1) ** 2) if room is None else room
        rate = float(self._rate(reach))
        for first in range(0, n, _SETS):
            part = slice(first, first + _SETS)
            systems = noise.new_empty(k + 1, k + 1, len(sets[part]))
            # Symmetric: exponentials cost more than a copy.
            for rows, columns in ((slice(half), slice(k)), (slice(half, k), slice(half, k))):
                torch.mul(geometry.neighbours[rows, columns, part], rate, out=systems[rows, columns]).exp_()
            systems[half:k, :half] = systems[:half, half:k].transpose(0, 1)
            systems[:k, :k].diagonal().T.add_(nugget[:, part])
            systems[k], systems[:, k] = 1.0, 1.0
            systems[k, k] = 0.0
            room[part] = invert(systems).flatten(0, 1).T
        return room.view(n * (k + 1), k + 1)

    def shared(
        self,
        geometry: SharedGeometry,
        inverses: Tensor,
        rows: Tensor,
        told: Tensor,
        reach: Tensor,
        relief: Tensor | None = None,
    ) -> Weights:
        """Return the weights of :meth:`forward` for targets of one day, from the inverses of their sets of neighbours.

        Parameters
        ----------
        geometry : SharedGeometry
        inverses : Tensor
            From :meth:`inverses`.
        rows : (batch, k) int
            Row of each neighbour in ``told``.
        told : (row, hidden)
            From :meth:`tell`.
        reach : ()
            From :meth:`reach`.
        relief : (batch, k, n_rasters), optional
        """
        right = torch.exp(geometry.target * self._rate(reach))
        # With [c, 1] on the right, the bordered inverse gives the weights and the Lagrange multiplier.
        solved = embedding_bag(geometry.rows, inverses, per_sample_weights=right, mode="sum")
        variance = (1.0 - (solved * right).sum(dim=1)).clamp(min=_SMALL_VARIANCE)
        kriging = solved[:, :-1].contiguous()
        variance = self._with_nugget(variance)
        hidden = embedding_bag(rows, told, per_sample_weights=kriging, mode="sum")
        by_variance, by_distance = cast(nn.Linear, self.residual_head[0]).weight[:, -2:].T
        hidden.addcmul_(variance.log()[:, None], by_variance)
        hidden.addcmul_(_log_reach(geometry.nearest, reach), by_distance)
        return self._finished(kriging, variance, self.residual_head[1:](hidden), relief)

    def tell(self, evidence: Tensor) -> Tensor:
        """Return what the first layer of the correction and the gate makes of evidence, ``(row, hidden)``.

        It is linear and weights sum to one: it may come before them, once for each station instead of each target.
        """
        first = cast(nn.Linear, self.residual_head[0])
        return linear(evidence, first.weight[:, :-2], first.bias)

    def reach(self, state: Tensor) -> Tensor:
        """Return the range in km, ``(...)``, from the state of the network ``(..., n_state)``."""
        return self.range_km * torch.exp(
            _MAX_LOG_RANGE * torch.tanh(self.log_range + self.range_head(state).squeeze(-1))
        )

    def _rate(self, reach: Tensor) -> Tensor:
        """Return what distances to the power p are multiplied by in the stable covariance exp(-(d / r) ** p).

        It is valid for 0 < p <= 2 (Chiles and Delfiner 2012, section 2.5).
        """
        return -reach.pow(-self._exponent())

    def _with_nugget(self, variance: Tensor) -> Tensor:
        return variance + self.nugget * torch.exp(_MAX_LOG_NOISE * torch.tanh(self.log_noise))

    def _finished(
        self,
        kriging: Tensor,
        variance: Tensor,
        residual: Tensor,
        relief: Tensor | None,
    ) -> Weights:
        """Return weights with what is said of them: variance, level correction and gate."""
        correction, gate = residual.unbind(dim=-1)
        if relief is not None and self.slope is not None:
            # Weights sum to one: this is the target's value less the weighted value of its neighbours.
            correction = correction + torch.einsum("bk,bkr,r->b", kriging, relief, self.slope)
        return Weights(
            kriging,
            variance,
            self.max_correction * torch.tanh(self.level + correction),
            (self.gate_start + torch.tanh(self.gate + gate)).clamp(0.0, 1.0),
        )


def _log_reach(nearest: Tensor, reach: Tensor) -> Tensor:
    """Return how far the nearest neighbour is, in ranges, on a log scale ``(batch, 1)``."""
    return (nearest / reach).log1p()[:, None]


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
