"""AQ-Net: an analysis network and a forecast network over one neural kNN.

Each has two sides. The station side runs over stations and windows: it turns what was observed into a nugget for each
station-day, and in a forecast into a forecast at each station. The cell side runs over targets and days: it turns nuggets
into kriging weights, a small system per set of neighbours.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

from .base_forecast import BaseForecast
from .config import AQNetConfig
from .forecaster import Forecaster
from .neural_knn import Geometry, NeuralKNN, SharedGeometry, Weights
from .station_days import StationDays, analysis_days, n_evidence, summarise
from .temporal import TemporalModule
from .window import Window, with_mask

#: Largest distance of the forecast from the base forecast, in standard deviations of the log scale.
_MAX_DEPARTURE = 3.0
#: Added to the nugget of a station without a report in the last day before a forecast, relative to the sill.
_SILENT_NOISE = 100.0


class StationSide(NamedTuple):
    """Result of the station side, input of the cell side.

    Attributes
    ----------
    noise : (window, day, station)
        Nugget of each station-day relative to the sill.
    log_weight : (window, day, station)
        Weight gamma of the log scale around each station.
    attention : (window, station, day, patch), optional
        Attention of each target day to the patches of the window. Rows sum to one; None without the temporal module.
    z_hat : (window, station, target_step), optional
        Forecast at stations on the standardised log scale; None in an analysis.
    """

    noise: Tensor
    log_weight: Tensor
    attention: Tensor | None
    z_hat: Tensor | None


class Network(nn.Module, ABC):
    """What an analysis and a forecast network have in common: nuggets of station-days, and the cell side.

    Parameters
    ----------
    config : AQNetConfig
    """

    knn: NeuralKNN

    def __init__(self, config: AQNetConfig) -> None:
        super().__init__()
        self.config = config

    @abstractmethod
    def station_side(self, window: Window, precomputed: Tensor | None = None, /) -> StationSide:
        """Run the station side over every station and window.

        Parameters
        ----------
        window : Window
        precomputed : Tensor, optional
            A part of it that is at hand: the embedded patches of an analysis, the base forecast of a forecast.
        """

    def _nuggets(self, days: StationDays, redundancy: Tensor, features: Tensor | None) -> Tensor:
        """Return the nugget of each station-day, ``(window, station, day)``; hidden stations do not count as redundant."""
        return self.knn.nuggets(days.evidence(features), days.variance_ratio, redundancy)

    def cell_side(
        self, side: StationSide, flat: Tensor, neighbours: Tensor, geometry: Geometry
    ) -> tuple[Weights, Tensor]:
        """Return the neighbours' weights for a batch of (target, window-day), and the neighbours' rows ``(batch, k)``.

        Parameters
        ----------
        side : StationSide
        flat : (batch,) int
            Window-day of each target: ``window * target_days + day``.
        neighbours : (batch, k) int
            Station index of each neighbour.
        geometry : Geometry
            From ``knn.geometry``.
        """
        rows = flat[:, None] * side.noise.shape[2] + neighbours
        return self.knn(geometry, side.noise.flatten(), side.log_weight.flatten(), rows), rows

    def cells_of_day(
        self,
        side: StationSide,
        flat: int,
        sets: Tensor,
        neighbours: Tensor,
        geometry: SharedGeometry,
        batch: int,
        out: Tensor | None = None,
    ) -> Iterator[tuple[slice, Weights]]:
        """Yield batches of targets of one window-day and their neighbours' weights: :meth:`cell_side` for many targets.

        Parameters
        ----------
        side : StationSide
        flat : int
            Window-day: ``window * target_days + day``.
        sets : (set, k) int
            Stations of each distinct set of neighbours.
        neighbours : (target, k) int
            Station index of each neighbour, in the order of the target's set.
        geometry : SharedGeometry
            From ``knn.shared_geometry``.
        batch : int
            Targets at a time.
        out : Tensor, optional
            As for :meth:`NeuralKNN.inverses`.
        """
        noise, log_weight = (tensor.flatten(0, 1)[flat] for tensor in (side.noise, side.log_weight))
        inverses = self.knn.inverses(geometry, sets, noise, out)
        for first in range(0, len(neighbours), batch):
            cells = slice(first, first + batch)
            yield cells, self.knn.shared(geometry.part(cells), inverses, log_weight, neighbours[cells])


class AnalysisNetwork(Network):
    """AQ-Net for times inside the record.

    Untrained, and where neighbours are not advected, it is ordinary kriging with the fitted covariance.

    Parameters
    ----------
    config : AQNetConfig
        An analysis.
    range_km, nugget : float
        The fitted covariance.
    centre : (lon, lat) degrees
        Centre of the network.
    """

    def __init__(
        self, config: AQNetConfig, *, range_km: float, nugget: float, centre: tuple[float, float] = (0.0, 0.0)
    ) -> None:
        super().__init__(config)
        # The target, its mask and its residual; covariates and their masks.
        n_channels = 3 + 2 * config.n_covariates
        self.temporal = TemporalModule(config, n_channels=n_channels) if config.temporal else None
        self.knn = _neural_knn(config, range_km, nugget, centre)

    def station_side(self, window: Window, patches: Tensor | None = None) -> StationSide:
        """Turn the windows of stations into nuggets of their target days.

        Parameters
        ----------
        window : Window
        patches : (window, station, patch, hidden), optional
            From :meth:`patches`, for windows that overlap.
        """
        features, attention = self._temporal_features(window, patches)
        days = analysis_days(window, self.config)
        side = self.side_of_days(days, window.redundancy * window.visible, window.log_weight, features)
        return side._replace(attention=attention)

    def side_of_days(
        self, days: StationDays, redundancy: Tensor, log_weight: Tensor, features: Tensor | None = None
    ) -> StationSide:
        """Turn the evidence on station-days into their nuggets.

        Parameters
        ----------
        days : StationDays
            From :func:`xaq.nn.station_days.analysis_days`: what was observed on the target days.
        redundancy : (station,)
            Redundancy a of each station, 0 of those that are hidden.
        log_weight : (window, station, day)
            Weight gamma of the log scale around each station.
        features : (window, station, day, hidden), optional
            Of the temporal module.
        """
        noise = self._nuggets(days, redundancy, features)
        return StationSide(_by_row(noise), _by_row(log_weight), None, None)

    def _temporal_features(self, window: Window, patches: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """Return features ``(window, station, day, hidden)`` and attention ``(window, station, day, patch)``, if it makes any."""
        if self.temporal is None:
            return None, None
        if not self.config.cyclic:
            window = window.without_calendar()
        # Each station's window in embedded patches: (window, station, patch, hidden).
        if patches is None:
            patches = self.patches(window.z, window.covariates, window.residual, window.cyclic[:, None])
        # The LSTM reads the patches in their order: (window * station, patch, hidden).
        memory, _ = self.temporal.encode(patches.flatten(0, 1))
        # Attention, one query per target day.
        n_window, n_station = window.z.shape[:2]
        queries = window.cyclic_target.repeat_interleave(n_station, dim=0)
        features, attention = (
            rearrange(t, "(w s) d c -> w s d c", w=n_window) for t in self.temporal.attend(memory, queries)
        )
        return features, attention

    def patches(self, z: Tensor, covariates: Tensor, residual: Tensor, cyclic: Tensor) -> Tensor:
        """Return embedded patches ``(..., patch, hidden)`` for the temporal module. Overlapping windows have them in common.

        Parameters
        ----------
        z, residual : (..., step)
            As in :class:`Window`; whole patches.
        covariates : (..., step, channel)
        cyclic : (..., step, 6)
            Its leading dimensions broadcast to those of ``z``.
        """
        channels = [with_mask(z[..., None]), with_mask(covariates), torch.nan_to_num(residual)[..., None]]
        calendar = cyclic if self.config.cyclic else torch.zeros_like(cyclic)
        assert self.temporal is not None
        return self.temporal.patches(torch.cat(channels, dim=-1), calendar.expand(*z.shape, -1))


class ForecastNetwork(Network):
    r"""AQ-Net for times after the record.

    At each lead, the forecast at a station lies between the base forecast B and the network's own forecast n,

    .. math::
        \hat z_\ell = z(B_\ell) + 3 \, \alpha_\ell \tanh\big((n_\ell - z(B_\ell)) / 3\big),

    at most 3 standard deviations of the log scale from the base forecast. Neural kNN interpolates it between stations.

    Parameters
    ----------
    config : AQNetConfig
        A forecast.
    range_km, nugget : float
        The fitted covariance.
    log_weight : float
        Weight gamma of the log scale in the estimates between stations.
    centre : (lon, lat) degrees
        Centre of the network.
    log_mean, log_std : float
        Mean and standard deviation of the log scale: ``log1p(y / offset) = log_mean + log_std * z``.
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
        super().__init__(config)
        self.base_forecast = BaseForecast(config, log_mean=log_mean, log_std=log_std)
        self.forecaster = Forecaster(config)
        # Weight alpha of the network's own forecast by target step: 0 until later windows have shown what it is worth.
        self.register_buffer("forecast_weight", torch.zeros(config.target_steps))
        self.register_buffer("log_weight", torch.tensor(log_weight, dtype=torch.float32))
        self.knn = _neural_knn(config, range_km, nugget, centre)

    def station_side(self, window: Window, base: Tensor | None = None) -> StationSide:
        """Forecast at stations, and give each station-day of the horizon a nugget.

        Parameters
        ----------
        window : Window
        base : (window, station, target_step), optional
            The base forecast, where it is at hand.
        """
        # The base forecast keeps its calendar when the network has none: (window, station, target_step).
        if base is None:
            base = self.base_forecast(window)
        if not self.config.cyclic:
            window = window.without_calendar()
        # LSTM over the history, LSTM over the horizon, attention between them: features (window, station, day, hidden).
        own = self.forecaster(window)
        # In training, the loss is that of the network's own forecast: (window, station, target_step).
        weight = torch.ones_like(self.forecast_weight) if self.training else self.forecast_weight
        z_hat = base + weight * _MAX_DEPARTURE * torch.tanh((own.z - base) / _MAX_DEPARTURE)
        # Evidence is the forecast itself, with the residuals and covariates of the last day; nuggets: (window, station, day).
        last_day = slice(-self.config.steps_per_day, None)
        days = summarise(window, z_hat, last_day, self.config.steps_per_day)
        noise = self._nuggets(days, window.redundancy * window.visible, own.features)
        # A station that was silent on the last day has little more than climatology: next to no weight while others report.
        silent = ~torch.isfinite(window.z[..., last_day]).any(dim=-1)
        noise = noise + _SILENT_NOISE * silent[..., None]
        return StationSide(_by_row(noise), _by_row(self.log_weight.expand_as(noise)), own.attention, z_hat)


def build_network(
    config: AQNetConfig,
    *,
    range_km: float,
    nugget: float,
    log_weight: float = 0.0,
    centre: tuple[float, float] = (0.0, 0.0),
    log_mean: float = 0.0,
    log_std: float = 1.0,
) -> AnalysisNetwork | ForecastNetwork:
    """Return an untrained network for the task of a configuration.

    Parameters
    ----------
    config : AQNetConfig
    range_km, nugget : float
        The fitted covariance.
    log_weight : float
        Weight gamma of the log scale between stations in a forecast. An analysis has one per station-day instead.
    centre : (lon, lat) degrees
        Centre of the network.
    log_mean, log_std : float
        Mean and standard deviation of the log scale. Only the base forecast needs them.
    """
    if config.task == "forecast":
        return ForecastNetwork(
            config, range_km=range_km, nugget=nugget, log_weight=log_weight, centre=centre,
            log_mean=log_mean, log_std=log_std,
        )  # fmt: skip
    return AnalysisNetwork(config, range_km=range_km, nugget=nugget, centre=centre)


def _neural_knn(config: AQNetConfig, range_km: float, nugget: float, centre: tuple[float, float]) -> NeuralKNN:
    return NeuralKNN(n_evidence=n_evidence(config), range_km=range_km, nugget=nugget, centre=centre)


def _by_row(values: Tensor) -> Tensor:
    """Return values ``(window, station, day)`` in the order of the rows of the cell side, ``(window, day, station)``."""
    return values.transpose(1, 2).contiguous()
