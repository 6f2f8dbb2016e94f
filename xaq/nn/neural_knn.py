"""Neural kNN: local ordinary kriging with a learned covariance and learned nuggets.

Every learned parameter is zero at initialisation: the module then is ordinary kriging with the fitted covariance.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag, pad

from ..arrays.sphere import EARTH_RADIUS_KM
from .batched_solve import invert, solve

#: Bounds of what is learned, on the log of the fitted value: nuggets change by a factor of at most 20, the range of 5.
_MAX_LOG_NUGGET, _MAX_LOG_RANGE = math.log(20.0), math.log(5.0)
#: The exponent kappa lies in 1 +- this: 1 is exponential, 0.5 is rougher, 1.5 is smoother.
_MAX_EXPONENT = 0.5
#: The ratio of the axes of the anisotropy is at most exp(2 * this) = 2.7.
_MAX_STRETCH = 0.5
#: Least kriging variance relative to the sill: rounding must not make it negative.
_SMALL_VARIANCE = 1e-6
#: Sets of neighbours inverted at once: enough to hide the cost of a call, few enough for the cache.
_SETS = 4096


class Weights(NamedTuple):
    """Weights of the neighbours of each target, and what else the estimate is made of.

    Attributes
    ----------
    kriging : (batch, k)
        Kriging weights w; they sum to one.
    variance : (batch,)
        Kriging variance v of a new observation, relative to the sill.
    log_weight : (batch,)
        Weight gamma of the log scale, 0 to 1.
    """

    kriging: Tensor
    variance: Tensor
    log_weight: Tensor


class Geometry(NamedTuple):
    """Covariances of targets and their neighbours, relative to the sill and without nugget. They do not depend on the day.

    Attributes
    ----------
    target : (k, batch)
        Covariance vectors :math:`c_*`, between neighbours and target. The batch comes last, as :func:`solve` expects it.
    neighbours : (k, k, batch)
        Covariance matrices C among the neighbours, without their nuggets.
    """

    target: Tensor
    neighbours: Tensor


class SharedGeometry(NamedTuple):
    """A :class:`Geometry` for targets with common sets of neighbours, as most cells of a fine grid have.

    Vectors and matrices are bordered by ones, for the constraint that weights sum to one.

    Attributes
    ----------
    target : (batch, k + 1)
        Bordered covariance vectors :math:`(c_*, 1)`.
    systems : (k + 1, k + 1, set)
        Bordered covariance matrices, without nuggets.
    rows : (batch, k + 1) int
        Rows of the inverse of each target's set among the inverses from :meth:`NeuralKNN.inverses`.
    """

    target: Tensor
    systems: Tensor
    rows: Tensor

    def part(self, cells: slice) -> SharedGeometry:
        """Return the geometry of some of the targets."""
        return self._replace(target=self.target[cells], rows=self.rows[cells])


class NeuralKNN(nn.Module):
    r"""Kriging weights of the k nearest stations for a batch of (target, day).

    With :math:`N` a small perceptron and :math:`\theta` a few numbers that all stations and days have in common, it learns
    the covariance (:meth:`geometry`) and the nugget of each station-day (:meth:`nuggets`).

    Parameters
    ----------
    n_evidence : int
        Length of the evidence on a station-day: features of the temporal module, summaries, the state of the network.
    range_km, nugget : float
        Range rho and nugget nu of the fitted exponential covariance; the nugget is relative to the sill.
    centre : (lon, lat) degrees
        Centre of the network: the anisotropy acts in its tangent plane.
    hidden : int
        Width of the perceptron.
    """

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
        hidden: int = 16,
    ) -> None:
        super().__init__()
        for name, value in (("range_km", range_km), ("nugget", nugget)):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32))
        lon, lat = math.radians(centre[0]), math.radians(centre[1])
        east = [-math.sin(lon), math.cos(lon), 0.0]
        north = [-math.sin(lat) * math.cos(lon), -math.sin(lat) * math.sin(lon), math.cos(lat)]
        self.register_buffer("axes", torch.tensor([east, north], dtype=torch.float32))
        # Common to all stations and days: few enough numbers to be learned from a few stations.
        self.theta_range = nn.Parameter(torch.zeros(()))
        self.theta_noise = nn.Parameter(torch.zeros(()))
        self.theta_exponent = nn.Parameter(torch.zeros(()))
        self.theta_stretch = nn.Parameter(torch.zeros(2))
        self.theta_variance_ratio = nn.Parameter(torch.zeros(()))
        # The perceptron N: departures of the nugget by station and day.
        self.noise_head = _zero_perceptron(n_evidence, hidden)

    def covariance_parameters(self) -> list[nn.Parameter]:
        """Return the few parameters that all stations and days have in common: the theta."""
        return [self.theta_range, self.theta_noise, self.theta_exponent, self.theta_stretch, self.theta_variance_ratio]

    def geometry(self, target: Tensor, neighbours: Tensor) -> Geometry:
        r"""Return the covariances between each target and its neighbours, and among the neighbours.

        .. math::
            e^{-(\tilde d_{ij} / \rho_\theta)^\kappa}, \qquad c_{*i} = e^{-(\tilde d_{*i} / \rho_\theta)^\kappa}, \qquad
            \rho_\theta = \rho \, e^{\log 5 \, \tanh \theta_{\mathrm{range}}}, \qquad
            \kappa = 1 + \tfrac12 \tanh \theta_{\mathrm{exponent}}

        The first are the :math:`C_{ij}` without nuggets. The distances :math:`\tilde d` are great circles after an area-preserving
        stretch of the tangent plane at the network's centre.

        Parameters
        ----------
        target : (batch, 3)
            Unit vectors.
        neighbours : (batch, k, 3)
            Unit vectors.
        """
        # Covariances and their systems need float32, also where the rest of the network runs in half precision.
        with torch.autocast(target.device.type, enabled=False):
            return self._geometry(self._stretched(target).T, self._stretched(neighbours).permute(2, 1, 0))

    def geometry_among(self, stations: Tensor, target: Tensor, neighbours: Tensor) -> Geometry:
        """Return the :meth:`geometry` of targets and neighbours that are all stations: each is stretched once.

        Parameters
        ----------
        stations : (station, 3)
            Unit vectors.
        target : (batch,) int
        neighbours : (batch, k) int
        """
        with torch.autocast(stations.device.type, enabled=False):
            places = self._stretched(stations).T
            near = places.index_select(1, neighbours.T.flatten()).unflatten(1, (-1, len(target)))
            return self._geometry(places.index_select(1, target), near)

    def _geometry(self, target: Tensor, neighbours: Tensor) -> Geometry:
        """Return the covariances between stretched points ``(3, batch)`` and ``(3, k, batch)``, and among the latter."""
        to_neighbours = _arc_km(neighbours - target[:, None])
        among = _arc_km(neighbours[:, :, None] - neighbours[:, None])
        return Geometry(self._covariance(to_neighbours), self._covariance(among))

    def shared_geometry(self, target: Tensor, neighbours: Tensor, sets: Tensor, which: Tensor) -> SharedGeometry:
        """Return the covariances of :meth:`geometry` for targets with common sets of neighbours.

        Parameters
        ----------
        target : (batch, 3)
            Unit vectors.
        neighbours : (batch, k, 3)
            Those of each target, in the order of its set.
        sets : (set, k, 3)
            Those of each set.
        which : (batch,) int
            The set of each target.
        """
        k = neighbours.shape[1]
        bordered = target.new_ones(len(target), k + 1)
        bordered[:, :k] = self._covariance(self._to_neighbours(target, neighbours)).T
        systems = target.new_ones(k + 1, k + 1, len(sets))
        systems[:k, :k] = self._covariance(self._among(sets))
        systems[k, k] = 0.0
        rows = which[:, None] * (k + 1) + torch.arange(k + 1, device=which.device)
        return SharedGeometry(bordered, systems, rows)

    def _to_neighbours(self, target: Tensor, neighbours: Tensor) -> Tensor:
        """Return distances between targets and neighbours after the stretch, ``(k, batch)`` km."""
        return _arc_km(self._stretched(neighbours).permute(2, 1, 0) - self._stretched(target).T[:, None])

    def _among(self, neighbours: Tensor) -> Tensor:
        """Return distances among neighbours after the stretch, ``(k, k, batch)`` km."""
        points = self._stretched(neighbours).permute(2, 1, 0)
        return _arc_km(points[:, :, None] - points[:, None])

    def _covariance(self, distance: Tensor) -> Tensor:
        r"""Return the stable covariance, valid for exponents above 0 and up to 2 (Chiles and Delfiner 2012, section 2.5).

        .. math:: e^{-(\tilde d / \rho_\theta)^\kappa}
        """
        learned_range = self.range_km * torch.exp(_MAX_LOG_RANGE * torch.tanh(self.theta_range))
        exponent = 1.0 + _MAX_EXPONENT * torch.tanh(self.theta_exponent)
        # exp(kappa log d) is faster than a power.
        return torch.exp(-torch.exp(exponent * (distance.clamp(min=1e-3) / learned_range).log()))

    def _stretched(self, points: Tensor) -> Tensor:
        r"""Return unit vectors after the stretch of the tangent plane at the network's centre.

        .. math:: \exp \begin{pmatrix} \psi_1 & \psi_2 \\ \psi_2 & -\psi_1 \end{pmatrix}, \qquad
            \psi = \tfrac12 \tanh \theta_{\mathrm{stretch}}

        The exponential of a symmetric matrix without trace keeps areas.
        """
        a, b = (_MAX_STRETCH * torch.tanh(self.theta_stretch)).unbind()
        size = torch.sqrt(a * a + b * b + 1e-12)
        grow, turn = torch.cosh(size), torch.sinh(size) / size
        one = torch.ones_like(grow)
        matrix = torch.stack([torch.stack([grow + turn * a, turn * b]), torch.stack([turn * b, grow - turn * a])])
        change = matrix - torch.diag(torch.stack([one, one]))
        return points + (points @ self.axes.T) @ change @ self.axes

    def nuggets(self, evidence: Tensor, variance_ratio: Tensor, redundancy: Tensor) -> Tensor:
        r"""Return the nugget of each station-day relative to the sill, ``(window, station, day)``.

        .. math::
            \nu_i = \nu \, e^{\log 20 \, (a_i \xi_i + (1 - a_i) \bar\xi)}, \qquad
            \xi_i = \tanh(\theta_{\mathrm{noise}} + \theta_{\mathrm{ratio}} \, q_i + N(f_i)), \qquad
            \bar\xi = \sum_i a_i \xi_i \big/ \sum_i a_i

        A station whose residuals are larger than in its climatology says little about other places on that day: its nugget
        grows with q. The other stations can only judge it as far as they predict it: with little redundancy a, a large residual
        is a property of the place and no noise, and the nugget tends to that of the whole network.

        Parameters
        ----------
        evidence : (window, station, day, n_evidence)
            Evidence f, the input of the perceptron N.
        variance_ratio : (window, station, day)
            Log residual-variance ratio q.
        redundancy : (station,)
            Redundancy a, 0 to 1.
        """
        own = torch.tanh(
            self.theta_noise + self.theta_variance_ratio * variance_ratio + self.noise_head(evidence).squeeze(-1)
        )
        weight = redundancy[:, None]
        network_mean = (weight * own).sum(dim=1, keepdim=True) / weight.sum().clamp(min=1e-6)
        return self.nugget * torch.exp(_MAX_LOG_NUGGET * torch.lerp(network_mean, own, weight))

    def forward(self, geometry: Geometry, noise: Tensor, log_weight: Tensor, rows: Tensor) -> Weights:
        r"""Return the weights of ordinary kriging with the learned covariance and nuggets, for targets on any days.

        .. math:: w = C^{-1} (c_* + \mu \mathbf 1), \qquad \mathbf 1^\top w = 1

        with the nuggets on the diagonal of C.

        Parameters
        ----------
        geometry : Geometry
        noise : (row,)
            Nuggets from :meth:`nuggets`, a row for each station-day.
        log_weight : (row,)
            Weight gamma of the log scale around each station on the day.
        rows : (batch, k) int
            Row of each neighbour on the day of the target.
        """
        with torch.autocast(noise.device.type, enabled=False):
            kriging, variance = _krige(geometry.neighbours, noise.float()[rows].T.contiguous(), geometry.target)
            return self._weights(kriging, variance, log_weight.float(), rows)

    def inverses(self, geometry: SharedGeometry, sets: Tensor, noise: Tensor, out: Tensor | None = None) -> Tensor:
        """Return the inverses ``(set * (k + 1), k + 1)`` of the bordered systems of a day, one below the other.

        Parameters
        ----------
        geometry : SharedGeometry
        sets : (set, k) int
            Stations of each set.
        noise : (station,)
            Nuggets of the day.
        out : (set, (k + 1) ** 2), optional
            Memory to write to: used again on each day, it saves the system from clearing new memory.
        """
        n, k = sets.shape
        out = noise.new_empty(n, (k + 1) ** 2) if out is None else out
        # The row of the constraint has no nugget.
        nugget = pad(noise[sets.T], (0, 0, 0, 1))
        for first in range(0, n, _SETS):
            part = slice(first, first + _SETS)
            out[part] = invert(geometry.systems[..., part], nugget[:, part]).flatten(0, 1).T
        return out.view(n * (k + 1), k + 1)

    def shared(self, geometry: SharedGeometry, inverses: Tensor, log_weight: Tensor, rows: Tensor) -> Weights:
        r"""Return the weights of :meth:`forward` for targets on one day, from the inverses of their sets of neighbours.

        .. math::
            \begin{pmatrix} w \\ -\mu \end{pmatrix} =
            \begin{pmatrix} C & \mathbf 1 \\ \mathbf 1^\top & 0 \end{pmatrix}^{-1}
            \begin{pmatrix} c_* \\ 1 \end{pmatrix}

        Parameters
        ----------
        geometry : SharedGeometry
        inverses : (set * (k + 1), k + 1)
            From :meth:`inverses`.
        log_weight : (row,)
            Weight gamma of the log scale around each station on the day.
        rows : (batch, k) int
            Row of each neighbour in ``log_weight``.
        """
        solved = embedding_bag(geometry.rows, inverses, per_sample_weights=geometry.target, mode="sum")
        # (w, -mu) . (c, 1) = w . c - mu.
        variance = (1.0 - (solved * geometry.target).sum(dim=1)).clamp(min=_SMALL_VARIANCE)
        return self._weights(solved[:, :-1].contiguous(), variance, log_weight, rows)

    def _weights(self, kriging: Tensor, variance: Tensor, log_weight: Tensor, rows: Tensor) -> Weights:
        r"""Return kriging weights with the variance of a new observation and the weight of the log scale.

        .. math::
            v = 1 - c_*^\top w + \mu + \nu \, e^{\log 20 \, \tanh \theta_{\mathrm{noise}}}, \qquad
            \gamma = \sum_i w_i \gamma_i

        A new observation has the nugget that the network learned for all stations and days. Gamma is cut to 0..1.
        """
        nugget = self.nugget * torch.exp(_MAX_LOG_NUGGET * torch.tanh(self.theta_noise))
        mixture_weight = embedding_bag(rows, log_weight[:, None], per_sample_weights=kriging, mode="sum").squeeze(-1)
        return Weights(kriging, variance + nugget, mixture_weight.clamp(0.0, 1.0))


def _arc_km(difference: Tensor) -> Tensor:
    """Return great-circle distances in km from chords ``(3, ...)`` of the unit sphere."""
    chord = difference.square().sum(dim=0).clamp(min=1e-18).sqrt()
    return 2.0 * EARTH_RADIUS_KM * torch.asin((chord / 2.0).clamp(max=1.0))


def _krige(among: Tensor, nugget: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    r"""Return weights ``(batch, k)`` and variance ``(batch,)`` of ordinary kriging, relative to the sill.

    .. math::
        w = C^{-1} (c_* + \mu \mathbf 1), \qquad
        \mu = \frac{1 - \mathbf 1^\top C^{-1} c_*}{\mathbf 1^\top C^{-1} \mathbf 1}, \qquad
        1 - c_*^\top w + \mu

    The Lagrange multiplier is eliminated (Cressie 1993, section 3.2); C includes the nuggets, the variance that of a new
    observation does not.

    Parameters
    ----------
    among : (k, k, batch)
        C without nuggets.
    nugget : (k, batch)
    right : (k, batch)
        Covariances :math:`c_*` of neighbours and target.
    """
    a, b = solve(among, nugget, torch.stack([right, torch.ones_like(right)], dim=1)).unbind(dim=1)
    multiplier = (1.0 - a.sum(dim=0)) / b.sum(dim=0)
    weights = a + multiplier * b
    variance = (1.0 - (weights * right).sum(dim=0) + multiplier).clamp(min=_SMALL_VARIANCE)
    return weights.T.contiguous(), variance


def _zero_perceptron(n_in: int, hidden: int) -> nn.Sequential:
    """Return a perceptron with one output, which is zero until it is trained."""
    perceptron = nn.Sequential(nn.Linear(n_in, hidden), nn.GELU(), nn.Linear(hidden, 1))
    for parameter in perceptron[-1].parameters():
        nn.init.zeros_(parameter)
    return perceptron
