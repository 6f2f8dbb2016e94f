"""AQ-Net: the temporal module on the station side, neural kNN on the cell side.

The station side runs over stations and windows and may be heavy; the cell side runs over targets and days and is a
small solve and a sparse product. Nothing here knows of labels, files or units.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

from .base_forecast import BaseForecast
from .config import AQNetConfig
from .forecaster import Forecaster
from .neural_knn import Geometry, NeuralKNN, SharedGeometry, Weights
from .temporal import N_CYCLIC, TemporalModule
from .window import Window, with_mask

#: Summaries of a station's day: departure from the network, share observed, how badly its neighbours explain it.
_N_SUMMARY = 3
#: State of the network on a day, beside the means of its covariates: mean, spread, share observed, cyclic time.
_N_STATE = 3 + N_CYCLIC
#: Bound of the log ratio by which a day's residuals exceed the usual ones.
_MAX_LOG_VARIANCE_RATIO = 4.0
#: Keeps that ratio finite where a station agrees with those around it, in squared standard deviations of the log scale.
_SMALL_RESIDUAL = 1e-3
#: How far the network's own forecast may lie from the start, in standard deviations of the log scale.
_MAX_DEPARTURE = 3.0


#: Nugget added to a station that has nothing to say, relative to the sill.
_SILENT_NOISE = 100.0


class StationSide(NamedTuple):
    """What the station side hands to the cell side.

    ``noise (window, day, station)``, the nugget of each, and ``log_weight`` of the same shape; ``attention (window, station, day, patch)``,
    ``z_hat (window, station, target_step)`` (forecast only, else None).
    """

    noise: Tensor
    log_weight: Tensor
    attention: Tensor
    z_hat: Tensor | None


class AQNet(nn.Module):
    """The network. It starts as its classical baseline; what it learns is bounded.

    Parameters
    ----------
    config : AQNetConfig
    range_km, nugget : float
        The fitted covariance: where neighbours do not drift, an untrained analysis network equals ordinary kriging.
    log_weight : float
        Of the log scale, in the estimates that a forecast at stations is spread by; an analysis is given one by day.
    centre : (lon, lat) degrees
        Of the network.
    log_mean, log_std : float
        Of the scaler, ``log1p(y / offset) = log_mean + log_std * z``: a forecast starts on both scales.
    """

    forecast_weight: Tensor
    log_weight: Tensor

    def __init__(
        self,
        config: AQNetConfig,
        *,
        range_km: float,
        nugget: float,
        log_weight: float = 0.0,
        centre: tuple[float, float] = (0.0, 0.0),
        log_mean: float = 0.0,
        log_std: float = 1.0,
    ) -> None:
        super().__init__()
        self.config = config
        n_channels = 2 + 2 * config.n_covariates
        if config.task == "forecast":
            self.base_forecast = BaseForecast(config, log_mean=log_mean, log_std=log_std)
            self.forecaster = Forecaster(config, n_channels=n_channels)
            # Share of the network's own forecast per step; none before training has shown on later windows what it is worth.
            self.register_buffer("forecast_weight", torch.zeros(config.target_steps))
            self.register_buffer("log_weight", torch.tensor(log_weight, dtype=torch.float32))
        else:
            # One channel more: what the stations around do not explain.
            self.temporal = TemporalModule(
                n_channels=n_channels + 1, patch=config.patch, target_days=config.target_days,
                hidden=config.hidden, lstm_layers=config.lstm_layers, heads=config.heads, dropout=config.dropout,
            )  # fmt: skip
        self.knn = NeuralKNN(
            n_evidence=config.hidden + _N_SUMMARY + _N_STATE + config.n_covariates, range_km=range_km, nugget=nugget,
            centre=centre, max_correction=config.max_correction, n_rasters=config.n_rasters,
        )  # fmt: skip

    def station_side(self, window: Window, start: Tensor | None = None, patches: Tensor | None = None) -> StationSide:
        """Run the temporal module over every station and window.

        Parameters
        ----------
        window : Window
        start : (window, station, target_step), optional
            Of a forecast, where it is at hand.
        patches : (window, station, patch, hidden), optional
            Of an analysis, from :meth:`patches`, where windows overlap.
        """
        n_window, n_station = window.z.shape[:2]
        if not self.config.cyclic:
            names = ("cyclic", "cyclic_target", "cyclic_horizon")
            blank = window._replace(**{name: torch.zeros_like(getattr(window, name)) for name in names})
        else:
            blank = window
        cyclic_target = blank.cyclic_target
        if self.config.task == "forecast":
            channels = torch.cat([with_mask(window.z[..., None]), with_mask(window.covariates)], dim=-1)
            channels = rearrange(channels, "w s t c -> (w s) t c")
            calendar = [c.repeat_interleave(n_station, dim=0) for c in (blank.cyclic, cyclic_target)]
            # The start is a fit of its own: it keeps its calendar when the network is denied one.
            start = self.base_forecast(window) if start is None else start
            horizon = rearrange(_horizon(blank, n_station), "w s t c -> (w s) t c")
            anomaly, learned, attention = self.forecaster(channels, *calendar, horizon)
            own = window.climatology_target[:, None] + rearrange(anomaly, "(w s) t -> w s t", w=n_window)
            # In training the network answers for its own forecast alone.
            weight = torch.ones_like(self.forecast_weight) if self.training else self.forecast_weight
            z_hat = start + weight * _MAX_DEPARTURE * torch.tanh((own - start) / _MAX_DEPARTURE)
        else:
            if patches is None:
                patches = self.patches(window.z, window.covariates, window.residual, window.cyclic[:, None])
            memory, _ = self.temporal.remember(patches.flatten(0, 1))
            learned, attention = self.temporal.attend(memory, cyclic_target.repeat_interleave(n_station, dim=0))
            z_hat = None
        learned = rearrange(learned, "(w s) d h -> w s d h", w=n_window)
        target = window.z if z_hat is None else z_hat
        summary, state = self._summarise(window, target, cyclic_target)
        shared = state[:, None].expand(-1, n_station, -1, -1)
        evidence = torch.cat([learned, summary, shared], dim=-1)
        noise = self.knn.station_side(evidence, summary[..., -1], window.redundancy * window.visible)
        if z_hat is not None:
            # A station without a report in the last day forecasts climatology: next to no weight while others report.
            silent = ~torch.isfinite(window.z[..., -self.config.steps_per_day :]).any(dim=-1)
            noise = noise + _SILENT_NOISE * silent[..., None]
        attention = rearrange(attention, "(w s) d p -> w s d p", w=n_window)
        by_day = window.log_weight if z_hat is None else self.log_weight.expand_as(noise)
        noise, log_weight = (v.transpose(1, 2).contiguous() for v in (noise, by_day))
        return StationSide(noise, log_weight, attention, z_hat)

    def patches(self, z: Tensor, covariates: Tensor, residual: Tensor, cyclic: Tensor) -> Tensor:
        """Return what the temporal module of an analysis makes of each patch before it reads them in their order.

        Parameters
        ----------
        z, residual : (..., step)
            As in :class:`Window`; whole patches.
        covariates : (..., step, channel)
        cyclic : (..., step, 6)
            Its leading dimensions are expanded to those of ``z``.

        Returns
        -------
        Tensor, (..., patch, hidden)
        """
        channels = [with_mask(z[..., None]), with_mask(covariates), torch.nan_to_num(residual)[..., None]]
        calendar = cyclic if self.config.cyclic else torch.zeros_like(cyclic)
        return self.temporal.patches(torch.cat(channels, dim=-1), calendar.expand(*z.shape, -1))

    def _summarise(self, window: Window, z: Tensor, cyclic_target: Tensor) -> tuple[Tensor, Tensor]:
        """Return summaries of each station-day and the network's state; only visible stations make the state."""
        config, visible = self.config, window.visible
        days = self._target_days(z) if config.task == "analysis" else self._by_day(z)
        seen = torch.isfinite(days)
        count = seen.sum(dim=-1)
        level = torch.where(seen, days, 0.0).sum(dim=-1) / count.clamp(min=1)
        fraction = count / config.steps_per_day
        weight = (count > 0) * visible[None, :, None]
        total = weight.sum(dim=1).clamp(min=1)
        mean = (level * weight).sum(dim=1) / total
        departure = torch.where(count > 0, level - mean[:, None], 0.0)
        spread = ((departure.square() * weight).sum(dim=1) / total + 1e-2).sqrt()
        reporting = (fraction * visible[None, :, None]).sum(dim=1) / visible.sum().clamp(min=1)
        summary = torch.stack([departure / spread[:, None], fraction, self._variance_ratio(window)], dim=-1)
        covariates = self._covariate_means(window)
        state = torch.cat([torch.stack([mean, spread, reporting], dim=-1), covariates, cyclic_target], dim=-1)
        return summary, state

    def _by_day(self, steps: Tensor) -> Tensor:
        return rearrange(steps, "w s (d h) -> w s d h", h=self.config.steps_per_day)

    def _target_days(self, steps: Tensor) -> Tensor:
        start = self.config.days_before * self.config.steps_per_day
        return self._by_day(steps[..., start : start + self.config.target_steps])

    def _variance_ratio(self, window: Window) -> Tensor:
        """Return by how much a day's residuals exceed the station's usual ones, on the log scale, ``(window, station, day)``.

        A forecast has no residuals in its target days: the last day before them speaks for all.
        """
        residual = window.residual
        days = self._target_days(residual) if self.config.task == "analysis" else self._by_day(residual)[:, :, -1:]
        residual_variance = window.residual_variance[None, :, None]
        ratio = (mean_square(days) + _SMALL_RESIDUAL) / (residual_variance + _SMALL_RESIDUAL)
        variance_ratio = ratio.log().clamp(-_MAX_LOG_VARIANCE_RATIO, _MAX_LOG_VARIANCE_RATIO)
        some = torch.isfinite(days).any(dim=-1)
        return torch.where(some, variance_ratio, 0.0).expand(-1, -1, self.config.target_days)

    def _covariate_means(self, window: Window) -> Tensor:
        """Return the network's mean of each covariate on the target days (a forecast: on the last day seen)."""
        config = self.config
        start = (config.days_before if config.task == "analysis" else config.days_before - 1) * config.steps_per_day
        length = config.target_steps if config.task == "analysis" else config.steps_per_day
        values = window.covariates[:, window.visible, start : start + length]
        days = rearrange(values, "w s (d h) c -> w d (s h) c", h=config.steps_per_day)
        seen = torch.isfinite(days)
        mean = torch.where(seen, days, 0.0).sum(dim=2) / seen.sum(dim=2).clamp(min=1)
        return mean.expand(-1, config.target_days, -1)

    def cell_side(
        self, side: StationSide, flat: Tensor, neighbours: Tensor, geometry: Geometry, predictors: Tensor | None = None
    ) -> tuple[Weights, Tensor]:
        """Return the neighbours' weights for a batch of (target, window-day), and the neighbours' rows.

        Parameters
        ----------
        side : StationSide
        flat : (batch,) int
            Window-day: ``window * target_days + day``.
        neighbours : (batch, k) int
            Station index of each neighbour.
        geometry : Geometry
            From ``knn.geometry``.
        predictors : (batch, k, n_rasters), optional
            From :func:`predictor_difference`.
        """
        rows = flat[:, None] * side.noise.shape[2] + neighbours
        return self.knn(geometry, side.noise.flatten(), side.log_weight.flatten(), rows, predictors), rows

    def cells_of_day(
        self,
        side: StationSide,
        flat: int,
        sets: Tensor,
        neighbours: Tensor,
        geometry: SharedGeometry,
        predictors: Tensor | None,
        batch: int,
        room: Tensor | None = None,
    ) -> Iterator[tuple[slice, Weights]]:
        """Yield the neighbours' weights of the targets of one window-day, a batch at a time: :meth:`cell_side` for many.

        Parameters
        ----------
        side : StationSide
        flat : int
            Window-day.
        sets : (set, k) int
            Stations of each distinct set of neighbours.
        neighbours : (target, k) int
            Those of each target, in the order of its set.
        geometry : SharedGeometry
        predictors : (target, k, n_rasters), optional
        batch : int
            Targets at a time.
        room : Tensor, optional
            As for :meth:`NeuralKNN.inverses`.
        """
        noise, log_weight = (tensor.flatten(0, 1)[flat] for tensor in (side.noise, side.log_weight))
        inverses = self.knn.inverses(geometry, sets, noise, room)
        for first in range(0, len(neighbours), batch):
            cells = slice(first, first + batch)
            around = None if predictors is None else predictors[cells]
            yield cells, self.knn.shared(geometry.part(cells), inverses, log_weight, neighbours[cells], around)


def mean_square(values: Tensor) -> Tensor:
    """Return the mean square of what is observed along the last dimension; 0 where nothing is."""
    seen = torch.isfinite(values)
    return torch.where(seen, values, 0.0).square().sum(dim=-1) / seen.sum(dim=-1).clamp(min=1)


def _horizon(window: Window, n_station: int) -> Tensor:
    """Return what the decoder reads per station and step: what is known and its mask, climatology, calendar."""
    shared = torch.cat([window.climatology_target[..., None], window.cyclic_horizon], dim=-1)
    shared = shared[:, None].expand(-1, n_station, -1, -1)
    return torch.cat([with_mask(window.known), shared], dim=-1)
