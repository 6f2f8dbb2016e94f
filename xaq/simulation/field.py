r"""Gaussian fields with the covariance of errors: any member at any place and time, alone.

A field is a sum over frequencies, one drawn from each stratum of the spectrum of its terms in time,

.. math:: g(s, t) = \sum_f a_f(s) \cos(\nu_f t) + b_f(s) \sin(\nu_f t) ,

whose coefficients are Gaussian fields in space: random Fourier features (Rahimi and Recht 2007) for each range, and independent
numbers for a site's own part. So errors of cells and hours are a product of two matrices, and conditioning them on stations is
a sparse product of coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding_bag

from ..arrays import sphere
from ..interpolate.error_covariance import SUB_POINTS, ErrorCovariance, Neighbours
from .random import key, normals, place_keys, uniforms

#: The lowest edge of the strata, radians per second: of eight years. Strata per octave above it, and the most that one spans.
_LOWEST, _PER_OCTAVE, _WIDEST = 2.0 * np.pi / (8 * 365.25 * 86400), 4, np.pi / 32
#: Features in space, divided among the ranges by their variance, and the fewest of a range.
_FEATURES, _FEWEST = 512, 48
#: Kinds of numbers, each with keys of its own.
_FREQUENCIES, _OWN, _OWN_OF_STATIONS, _DIRECTIONS, _AMPLITUDES = range(5)
#: Places at once. Results do not depend on which places share a batch: the last one is filled up to this number.
BATCH = 256
#: Ranges with less of the variance than this are left out.
_NEGLIGIBLE = 1e-6


class Places(NamedTuple):
    """Where errors are simulated.

    ``lon`` and ``lat (place,)``; the stations that they are conditioned on, ``near``; the standard deviation ``std
    (place,)`` of errors before they are brought to unit variance. Of means of cells also the size of a ``cell`` in degrees of
    longitude and latitude, and ``ratio (place,)``, the standard deviation of their errors over that of a point there.
    """

    lon: NDArray
    lat: NDArray
    near: Neighbours
    std: NDArray[np.float64]
    cell: tuple[float, float] | None = None
    ratio: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class ErrorField:
    """The members of the error of estimates.

    Attributes
    ----------
    covariance : ErrorCovariance
    step_seconds : int
        Of the estimates.
    lon, lat : (station,) degrees
        The stations that take part.
    seed : int
    device : str
        Where the numbers are made; CPU and GPU differ by rounding, as sums over a period do from run to run of a GPU.
    """

    covariance: ErrorCovariance
    step_seconds: int
    lon: NDArray
    lat: NDArray
    seed: int = 0
    device: str = "cpu"

    def places(self, lon: NDArray, lat: NDArray, cell: tuple[float, float] | None = None) -> Places:
        """Return what members at places need beside them; with a ``cell``, of the means of cells of this size, degrees."""
        near = self.covariance.neighbours(self.lon, self.lat, lon, lat)
        at = near, self.lon, self.lat, lon, lat
        std = np.sqrt(self.covariance.variance(*at))
        if cell is None:
            return Places(lon, lat, near, std)
        of_cells = np.sqrt(self.covariance.variance(*at, cell))
        return Places(lon, lat, near, of_cells, cell, np.minimum(of_cells / std, 1.0))

    @cached_property
    def _edges(self) -> NDArray[np.float64]:
        """Edges of the strata of frequency, radians per second, from 0 to half of the sampling frequency."""
        highest = np.pi / self.step_seconds
        edges = [0.0, min(_LOWEST, highest / 2)]
        while edges[-1] < highest:
            edges.append(
                min(highest, edges[-1] + min(edges[-1] * (2 ** (1 / _PER_OCTAVE) - 1), _WIDEST * highest / np.pi))
            )
        return np.array(edges)

    @cached_property
    def _amplitudes(self) -> NDArray[np.float32]:
        """Standard deviation of the coefficients, ``(range, column)``: cosines, sines, and a constant for what lasts."""
        weights = np.array(self.covariance.weights)
        angle = np.tan(np.minimum(self._edges * self.step_seconds, np.pi - 1e-9) / 2)
        mass = []
        for hours in self.covariance.times_hours:
            # The spectrum of exp(-t / time) at these steps is a wrapped Cauchy distribution.
            last = np.exp(-self.step_seconds / (3600 * hours)) if hours else 0.0
            mass.append(np.diff(2 / np.pi * np.arctan((1 + last) / (1 - last) * angle)))
        variance = weights[:-1].T @ np.array(mass)
        return np.sqrt(np.concatenate([variance, variance, weights[-1:].T], axis=1)).astype(np.float32)

    def basis(self, member: int, times: NDArray[np.datetime64]) -> Tensor:
        """Return cosines, sines and ones at some times, ``(time, column)``."""
        edges = self._edges
        frequency = edges[:-1] + np.diff(edges) * uniforms(key(self.seed, member, _FREQUENCIES), len(edges) - 1)
        seconds = times.astype("datetime64[s]").astype(np.int64).astype(float)
        phase = _phase(np.outer(seconds, frequency), self.device)
        return torch.cat([phase.cos(), phase.sin(), torch.ones_like(phase[:, :1])], dim=1)

    def coefficients(self, member: int, places: Places) -> Tensor:
        """Return the coefficients of a member's error at places, ``(place, column)``: of unit variance, conditioned on the stations."""
        features = self._features(member)
        out = torch.empty(len(places.lon), self._amplitudes.shape[1], device=self.device)
        near = bool(places.near.of.shape[1])
        stations = self._field(member, features, self.lon, self.lat, _OWN_OF_STATIONS) if near else None
        for first in range(0, len(out), BATCH):
            part = slice(first, first + BATCH)
            made = self._field(member, features, places.lon[part], places.lat[part], _OWN, places.cell)
            if stations is not None:
                index = torch.as_tensor(places.near.of[part], device=self.device)
                weights = torch.as_tensor(places.near.weights[part], dtype=torch.float32, device=self.device)
                made -= embedding_bag(index, stations, per_sample_weights=weights, mode="sum")
            std = torch.as_tensor(places.std[part, None], dtype=torch.float32, device=self.device)
            torch.div(made, std, out=out[part])
        return out

    # -- unconditional fields ------------------------------------------------------------------------------------------

    def _features(self, member: int) -> list[tuple[NDArray[np.float64], Tensor]]:
        """Return wave vectors ``(3, feature)``, per Earth radius, and amplitudes ``(2 feature, column)`` of each range but 0."""
        found, n_column = [], self._amplitudes.shape[1]
        shared = np.where(self.covariance.ranges_km, self.covariance.by_range, 0.0)
        for i, (range_km, weight) in enumerate(zip(self.covariance.ranges_km, shared, strict=True)):
            if weight < _NEGLIGIBLE:
                continue
            n_feature = max(_FEWEST, round(_FEATURES * weight / shared.sum()))
            uniform = (np.arange(n_feature) + uniforms(key(self.seed, member, _DIRECTIONS, i), n_feature)) / n_feature
            counters = torch.arange(4 * n_feature).reshape(2, 2, n_feature)
            x, y = normals(key(self.seed, member, _DIRECTIONS, i, 1), counters[0])
            direction = np.stack([x[0], y[0], x[1]])
            direction /= np.linalg.norm(direction, axis=0)
            wave = direction * _radius(uniform) * (sphere.EARTH_RADIUS_KM / range_km)
            n = torch.arange(n_feature * n_column, device=self.device).reshape(n_feature, n_column)
            amplitude = torch.cat(normals(key(self.seed, member, _AMPLITUDES, i), n))
            scale = torch.as_tensor(self._amplitudes[i] / np.float32(n_feature**0.5), device=self.device)
            found.append((wave, amplitude * scale))
        return found

    def _field(
        self,
        member: int,
        features: list[tuple[NDArray, Tensor]],
        lon: NDArray,
        lat: NDArray,
        kind: int,
        cell: tuple[float, float] | None = None,
    ) -> Tensor:
        """Return the coefficients of the unconditional field at places, or of its means over cells, ``(place, column)``."""
        n = len(lon)
        if cell is None:
            made = self._own_part(member, lon, lat, kind)
        else:
            made = torch.zeros(n, self._amplitudes.shape[1], device=self.device)
        # Filled up, as a product of matrices may round another number of rows otherwise.
        at = np.zeros((-(-n // BATCH) * BATCH, 3))
        at[:n] = sphere.unit_vectors(lon, lat)
        for wave, amplitude in features:
            phase = _phase(at @ wave, self.device)
            waves = torch.stack([phase.cos(), phase.sin()], dim=1)
            if cell is not None:
                waves[:n] *= torch.as_tensor(
                    _mean_over_cell(wave, lon, lat, cell), dtype=torch.float32, device=self.device
                )[:, None]
            made += (waves.flatten(1) @ amplitude)[:n]
        return made

    def _own_part(self, member: int, lon: NDArray, lat: NDArray, kind: int) -> Tensor:
        """Return the coefficients of sites' own parts, ``(place, column)``: independent from place to place.

        Stations at one place have a part each; a place of a map has one part, however often it is asked for.
        """
        at = place_keys(lon, lat)
        before = _number_before(at) if kind == _OWN_OF_STATIONS else np.zeros(len(at), int)
        own_keys = np.array([key(self.seed, member, kind, n) for n in range(before.max(initial=0) + 1)])[before]
        places, keys = (torch.as_tensor(a, device=self.device)[:, None] for a in (at, own_keys))
        n_pair = self._amplitudes.shape[1] // 2 + 1
        numbers = normals(keys, places * n_pair + torch.arange(n_pair, device=self.device))
        # A constant has one coefficient, the first of the last pair.
        columns = torch.cat([numbers[0][:, :-1], numbers[1][:, :-1], numbers[0][:, -1:]], dim=1)
        own = self.covariance.ranges_km.index(0.0)
        return columns * torch.as_tensor(self._amplitudes[own], device=self.device)


def _number_before(keys: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return how many earlier entries have the same key, ``(n,)``."""
    order = np.argsort(keys, kind="stable")
    _, first, count = np.unique(keys[order], return_index=True, return_counts=True)
    before = np.empty(len(keys), np.intp)
    before[order] = np.arange(len(keys)) - np.repeat(first, count)
    return before


def _phase(angle: NDArray[np.float64], device: str) -> Tensor:
    """Return angles between -pi and pi, in single precision: their cosines would lose digits of large ones."""
    turns = angle * (0.5 / np.pi)
    turns -= np.rint(turns)
    return torch.as_tensor(turns.astype(np.float32), device=device).mul_(2.0 * np.pi)


def _mean_over_cell(wave: NDArray, lon: NDArray, lat: NDArray, cell: tuple[float, float]) -> NDArray[np.float64]:
    """Return by what waves are damped by averaging over the points that stand for a cell, ``(place, feature)``."""
    lam, phi = np.radians(lon)[:, None], np.radians(lat)[:, None]
    east = np.concatenate([-np.sin(lam), np.cos(lam), np.zeros_like(lam)], axis=1) * np.cos(phi)
    north = np.concatenate([-np.sin(phi) * np.cos(lam), -np.sin(phi) * np.sin(lam), np.cos(phi)], axis=1)
    damped = np.ones((len(lon), wave.shape[1]))
    for direction, degrees in zip((east, north), cell, strict=True):
        half = (direction @ wave) * np.radians(degrees) / SUB_POINTS / 2
        # The mean of a cosine over regular points: a Dirichlet kernel.
        small = np.abs(np.sin(half)) < 1e-9
        damped *= np.where(small, 1.0, np.sin(SUB_POINTS * half) / (SUB_POINTS * np.where(small, 1.0, np.sin(half))))
    return damped


def _radius(uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    r"""Return lengths of wave vectors at probabilities, relative to one over the range.

    .. math:: P(\rho) = \frac{2}{\pi} \Big(\arctan \rho - \frac{\rho}{1 + \rho^2}\Big)

    is the distribution of the spectrum of :math:`e^{-d / r}` in three dimensions.
    """
    rho = np.tan(np.linspace(0.0, np.pi / 2, 4097)[:-1])
    return np.interp(uniform, 2 / np.pi * (np.arctan(rho) - rho / (1 + rho**2)), rho)
