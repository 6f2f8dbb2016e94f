"""AQ-Net: the temporal module on the station side, neural kNN on the cell side.

The station side runs over stations and windows and may be heavy; the cell side runs over targets and days and is a
small solve and a sparse product. Nothing here knows of labels, files or units.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from .drift import Drifted
from .forecaster import Forecaster
from .neural_knn import Geometry, NeuralKNN, SharedGeometry, Weights
from .start import ForecastStart
from .temporal import N_CYCLIC, TemporalModule

Task = Literal["analysis", "forecast"]
#: Summaries of a station's day: departure from the network, share observed, how badly its neighbours explain it.
_N_SUMMARY = 3
#: State of the network on a day, beside the means of its covariates: mean, spread, share observed, cyclic time.
_N_STATE = 3 + N_CYCLIC
#: Bound of the log ratio by which a day's residuals exceed the usual ones.
_MAX_LOG_UNREST = 4.0
#: Keeps that ratio finite where a station agrees with those around it, in squared standard deviations of the log scale.
_SMALL_RESIDUAL = 1e-3
#: How far the network's own forecast may lie from the start, in standard deviations of the log scale.
_MAX_DEPARTURE = 3.0
#: Least square of a disagreement, in the target's units squared: far below the rounding of its terms.
_SMALL_SQUARE = 1e-12
#: Nugget added to a station that has nothing to say, relative to the sill.
_SILENT_NOISE = 100.0


@dataclass(frozen=True, kw_only=True)
class AQNetConfig:
    """Hyper-parameters of the network; every one is saved with the model.

    Attributes
    ----------
    task : {"analysis", "forecast"}
        What is estimated: times inside the record, or after it.
    steps_per_day : int
        Steps that share one set of weights: 24 for hourly data, 1 for daily.
    days_before, days_after : int
        What the network reads around the target days. A forecast reads nothing after its init time.
    target_days : int
        Days estimated per window: 1 for an analysis, the horizon for a forecast.
    patch : int
        Steps per patch. 6 h makes an LSTM of 56 steps out of 336 h: six times faster than hourly.
    hidden, lstm_layers, heads : int
        Width, depth and attention heads of the temporal module. Small: a network has tens of stations, not millions.
    k : int
        Neighbours; a 16 x 16 solve is cheap and further stations carry next to no weight.
    max_correction : float
        Bound of the level correction by rasters, on the log of the estimate.
    n_covariates, n_known : int
        Channels beside the target; how many of them, the last ones, are known over the horizon too (forecast only).
    n_rasters : int
        Static rasters that move the level.
    drift : bool
        Read neighbours as they drift past the place, hours before or after. In an analysis of steps of
        at most 3 h only; elsewhere it changes nothing.
    dropout : float
        Share of the temporal module's embedded patches dropped in training.
    cyclic : bool
        Use the cyclic time encoding; False is an ablation.

    Raises
    ------
    ValueError
        Sizes that do not fit each other, or the task.

    Examples
    --------
    >>> import xaq
    >>> config = xaq.AQNetConfig(task="forecast", days_before=14, days_after=0, target_days=7)
    >>> config.input_steps, config.target_steps, config.input_offset, config.drifts
    (336, 168, -336, False)
    """

    task: Task = "analysis"
    steps_per_day: int = 24
    days_before: int = 3
    days_after: int = 3
    target_days: int = 1
    patch: int = 6
    hidden: int = 32
    lstm_layers: int = 1
    heads: int = 4
    k: int = 16
    max_correction: float = 0.3
    n_covariates: int = 0
    n_known: int = 0
    n_rasters: int = 0
    drift: bool = True
    dropout: float = 0.0
    cyclic: bool = True

    def __post_init__(self) -> None:
        if self.task not in ("analysis", "forecast"):
            raise ValueError(f"task is {self.task!r}, expected 'analysis' or 'forecast'")
        if self.task == "forecast" and self.days_after:
            raise ValueError(
                f"days_after is {self.days_after}: a forecast sees nothing after its init time, expected 0"
            )
        sizes = ("steps_per_day", "target_days", "patch", "hidden", "lstm_layers", "heads", "k")
        small = [f"{name}={getattr(self, name)}" for name in sizes if getattr(self, name) < 1]
        if small or self.input_steps < 1:
            raise ValueError(f"{', '.join(small) or 'the window'} is empty, expected at least 1")
        if not 0 <= self.n_known <= (self.n_covariates if self.task == "forecast" else 0):
            raise ValueError(
                f"n_known is {self.n_known}: of {self.n_covariates} covariates, and in a forecast only, some are known ahead"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}, expected at least 0 and below 1")
        if self.steps_per_day % self.patch:
            raise ValueError(f"patch {self.patch} does not divide the {self.steps_per_day} steps of a day")
        if self.hidden % self.heads:
            raise ValueError(f"hidden {self.hidden} is not a multiple of heads {self.heads}")

    @classmethod
    def default(cls, task: Task, steps_per_day: int) -> AQNetConfig:
        """Return the configuration xaq trains unless told otherwise.

        Parameters
        ----------
        task : {"analysis", "forecast"}
            As for :func:`xaq.train`.
        steps_per_day : int
            24 for hourly data, 1 for daily.

        Returns
        -------
        AQNetConfig
            To be changed by :func:`dataclasses.replace`, and passed as ``config`` of :func:`xaq.train`.

        Examples
        --------
        >>> from dataclasses import replace
        >>> import xaq
        >>> replace(xaq.AQNetConfig.default("analysis", 24), k=8).k
        8
        """
        if task == "forecast":
            patch = 6 if steps_per_day % 6 == 0 else 1
            return cls(
                task=task, steps_per_day=steps_per_day, patch=patch, days_before=14, days_after=0,
                target_days=7, hidden=64, dropout=0.2,
            )  # fmt: skip
        # An analysis reads the days around by the day: shorter patches gained nothing at hidden stations.
        days = 3 if steps_per_day > 1 else 7
        return cls(steps_per_day=steps_per_day, patch=steps_per_day, days_before=days, days_after=days)

    @classmethod
    def published(cls, steps_per_day: int = 24) -> AQNetConfig:
        """Return the paper's forecast set-up: 336 h in, 168 h out, hourly LSTM steps, 20 neighbours.

        Window, horizon, step and neighbours are those of arXiv 2502.11941 and its released code; width (128), depth
        (2) and heads (4) are what secondary descriptions of it report.

        Parameters
        ----------
        steps_per_day : int
            24 for the hourly data of the paper.

        Returns
        -------
        AQNetConfig
            Of a forecast.

        Examples
        --------
        >>> import xaq
        >>> xaq.AQNetConfig.published().input_steps
        336
        """
        return cls(
            task="forecast", steps_per_day=steps_per_day, days_before=14, days_after=0, target_days=7,
            patch=1, hidden=128, lstm_layers=2, heads=4, k=20,
        )  # fmt: skip

    @property
    def drifts(self) -> bool:
        """Whether neighbours are read as they drift past: the day divides into slots of the shares of drift."""
        return (
            self.drift
            and self.task == "analysis"
            and self.steps_per_day % 8 == 0
            and self.days_before > 0 < self.days_after
        )

    @property
    def input_offset(self) -> int:
        """First step read, relative to the first target step."""
        return -self.days_before * self.steps_per_day

    @property
    def input_steps(self) -> int:
        """Steps read."""
        middle = self.target_days if self.task == "analysis" else 0
        return (self.days_before + middle + self.days_after) * self.steps_per_day

    @property
    def target_steps(self) -> int:
        """Steps written."""
        return self.target_days * self.steps_per_day


class Window(NamedTuple):
    """A batch of windows over all stations. Missing entries are NaN.

    ``z (window, station, input_step)`` standardised log scale; ``residual``, of the same shape and scale, what the
    stations around do not explain of it; ``usual (station,)`` its mean square in the training period,
    ``redundancy (station,)`` how well they can foretell the station, from 0 to 1; ``log_share (window, station, day)`` of the log scale
    around each;
    ``covariates (window, station, input_step, channel)``;
    ``cyclic (window, input_step, 6)``; ``cyclic_target (window, day, 6)``; ``climatology (window, input_step)`` and
    ``climatology_target (window, target_step)`` in z; ``visible (station,) bool``: whose data make the network's state;
    of a forecast, ``cyclic_horizon (window, target_step, 6)`` and ``known (window, station, target_step, n_known)``: what
    is known after the init time.
    """

    z: Tensor
    residual: Tensor
    usual: Tensor
    redundancy: Tensor
    log_share: Tensor
    covariates: Tensor
    cyclic: Tensor
    cyclic_target: Tensor
    climatology: Tensor
    climatology_target: Tensor
    visible: Tensor
    cyclic_horizon: Tensor
    known: Tensor


class StationSide(NamedTuple):
    """What the station side hands to the cell side.

    ``noise (window, day, station)``, the nugget of each, and ``log_share`` of the same shape; ``attention (window, station, day, patch)``,
    ``z_hat (window, station, target_step)`` (forecast only, else None).
    """

    noise: Tensor
    log_share: Tensor
    attention: Tensor
    z_hat: Tensor | None


class AQNet(nn.Module):
    """The network. It starts as its classical baseline; what it learns is bounded.

    Parameters
    ----------
    config : AQNetConfig
    range_km, nugget : float
        The fitted covariance: where neighbours do not drift, an untrained analysis network equals ordinary kriging.
    log_share : float
        Of the log scale, in the estimates that a forecast at stations is spread by; an analysis is given one by day.
    centre : (lon, lat) degrees
        Of the network.
    log_mean, log_std : float
        Of the scaler, ``log1p(y / offset) = log_mean + log_std * z``: a forecast starts on both scales.
    """

    share: Tensor
    log_share: Tensor

    def __init__(
        self,
        config: AQNetConfig,
        *,
        range_km: float,
        nugget: float,
        log_share: float = 0.0,
        centre: tuple[float, float] = (0.0, 0.0),
        log_mean: float = 0.0,
        log_std: float = 1.0,
    ) -> None:
        super().__init__()
        self.config = config
        n_channels = 2 + 2 * config.n_covariates
        if config.task == "forecast":
            self.start = ForecastStart(config, log_mean=log_mean, log_std=log_std)
            self.forecaster = Forecaster(config, n_channels=n_channels)
            # Share of the network's own forecast per step; none before training has shown on later windows what it is worth.
            self.register_buffer("share", torch.zeros(config.target_steps))
            self.register_buffer("log_share", torch.tensor(log_share, dtype=torch.float32))
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
            start = self.start(window) if start is None else start
            horizon = rearrange(_horizon(blank, n_station), "w s t c -> (w s) t c")
            anomaly, learned, attention = self.forecaster(channels, *calendar, horizon)
            own = window.climatology_target[:, None] + rearrange(anomaly, "(w s) t -> w s t", w=n_window)
            # In training the network answers for its own forecast alone.
            share = torch.ones_like(self.share) if self.training else self.share
            z_hat = start + share * _MAX_DEPARTURE * torch.tanh((own - start) / _MAX_DEPARTURE)
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
        by_day = window.log_share if z_hat is None else self.log_share.expand_as(noise)
        noise, log_share = (v.transpose(1, 2).contiguous() for v in (noise, by_day))
        return StationSide(noise, log_share, attention, z_hat)

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
        share = count / config.steps_per_day
        weight = (count > 0) * visible[None, :, None]
        total = weight.sum(dim=1).clamp(min=1)
        mean = (level * weight).sum(dim=1) / total
        departure = torch.where(count > 0, level - mean[:, None], 0.0)
        spread = ((departure.square() * weight).sum(dim=1) / total + 1e-2).sqrt()
        reporting = (share * visible[None, :, None]).sum(dim=1) / visible.sum().clamp(min=1)
        summary = torch.stack([departure / spread[:, None], share, self._unrest(window)], dim=-1)
        covariates = self._covariate_means(window)
        state = torch.cat([torch.stack([mean, spread, reporting], dim=-1), covariates, cyclic_target], dim=-1)
        return summary, state

    def _by_day(self, steps: Tensor) -> Tensor:
        return rearrange(steps, "w s (d h) -> w s d h", h=self.config.steps_per_day)

    def _target_days(self, steps: Tensor) -> Tensor:
        start = self.config.days_before * self.config.steps_per_day
        return self._by_day(steps[..., start : start + self.config.target_steps])

    def _unrest(self, window: Window) -> Tensor:
        """Return by how much a day's residuals exceed the station's usual ones, on the log scale, ``(window, station, day)``.

        A forecast has no residuals in its target days: the last day before them speaks for all.
        """
        residual = window.residual
        days = self._target_days(residual) if self.config.task == "analysis" else self._by_day(residual)[:, :, -1:]
        usual = window.usual[None, :, None]
        ratio = (mean_square(days) + _SMALL_RESIDUAL) / (usual + _SMALL_RESIDUAL)
        unrest = ratio.log().clamp(-_MAX_LOG_UNREST, _MAX_LOG_UNREST)
        some = torch.isfinite(days).any(dim=-1)
        return torch.where(some, unrest, 0.0).expand(-1, -1, self.config.target_days)

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
        self, side: StationSide, flat: Tensor, neighbours: Tensor, geometry: Geometry, relief: Tensor | None = None
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
        relief : (batch, k, n_rasters), optional
            From :func:`relief_between`.
        """
        rows = flat[:, None] * side.noise.shape[2] + neighbours
        return self.knn(geometry, side.noise.flatten(), side.log_share.flatten(), rows, relief), rows

    def cells_of_day(
        self,
        side: StationSide,
        flat: int,
        sets: Tensor,
        neighbours: Tensor,
        geometry: SharedGeometry,
        relief: Tensor | None,
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
        relief : (target, k, n_rasters), optional
        batch : int
            Targets at a time.
        room : Tensor, optional
            As for :meth:`NeuralKNN.inverses`.
        """
        noise, log_share = (tensor.flatten(0, 1)[flat] for tensor in (side.noise, side.log_share))
        inverses = self.knn.inverses(geometry, sets, noise, room)
        for first in range(0, len(neighbours), batch):
            cells = slice(first, first + batch)
            around = None if relief is None else relief[cells]
            yield cells, self.knn.shared(geometry.part(cells), inverses, log_share, neighbours[cells], around)


def relief_between(targets: Tensor, neighbours: Tensor) -> Tensor:
    """Return standardised rasters of targets ``(batch, raster)`` less those of their neighbours ``(batch, k, raster)``.

    0 where either is NaN: what is not known moves nothing.
    """
    return torch.nan_to_num(targets[:, None] - neighbours)


def with_mask(values: Tensor) -> Tensor:
    """Return values with NaN as zero, followed by the mask that says where they were observed."""
    seen = torch.isfinite(values)
    return torch.cat([torch.where(seen, values, 0.0), seen.to(values.dtype)], dim=-1)


def mean_square(values: Tensor) -> Tensor:
    """Return the mean square of what is observed along the last dimension; 0 where nothing is."""
    seen = torch.isfinite(values)
    return torch.where(seen, values, 0.0).square().sum(dim=-1) / seen.sum(dim=-1).clamp(min=1)


def _horizon(window: Window, n_station: int) -> Tensor:
    """Return what the decoder reads per station and step: what is known and its mask, climatology, calendar."""
    shared = torch.cat([window.climatology_target[..., None], window.cyclic_horizon], dim=-1)
    shared = shared[:, None].expand(-1, n_station, -1, -1)
    return torch.cat([with_mask(window.known), shared], dim=-1)


def station_table(values: Tensor, variance: Tensor, offset: float, sill: float, *, drifts: bool) -> Tensor:
    """Return the columns that weights are applied to, ``(row, 4 steps)``, or ``(row, 3 steps)`` where neighbours drift.

    Parameters
    ----------
    values : (row, step)
        Station-days, gaps filled.
    variance : (row, step)
        Of what was filled, relative to the sill; 0 where observed.
    offset : float
        Of the log scale.
    sill : float
        In the target's units squared.
    drifts : bool
        The estimate is made of what drifts past, not of this.

    Returns
    -------
    Tensor
        Values, second moments, standard deviations of what was filled; the values' logs where nothing drifts.
    """
    moments = [values, values.square() + variance * sill, variance.sqrt()]
    return torch.cat(moments if drifts else [*moments, _log_scale(values, offset)], dim=1)


def both_scales(values: Tensor, offset: float) -> Tensor:
    """Return values and their logs side by side, ``(row, 2 steps)``."""
    return torch.cat([values, _log_scale(values, offset)], dim=-1)


def _log_scale(values: Tensor, offset: float) -> Tensor:
    return torch.log1p(values.clamp(min=0) / offset)


def apply_weights(
    weights: Weights, rows: Tensor, table: Tensor, offset: float, drifted: Drifted | None = None
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """Apply weights to station-days: a sparse product for all the steps of a day.

    Parameters
    ----------
    weights : Weights
    rows : (batch, k) int
        Row of each neighbour in the table.
    table : (row, column)
        From :func:`station_table`.
    offset : float
        Of the log scale, ``log1p(y / offset)``.
    drifted : Drifted, optional
        The neighbours as they drift past: what the estimate is made of in the place of what they report at the step.

    Returns
    -------
    estimate : (batch, step)
        Both scales mixed by their shares, corrected in level.
    parts : tuple of (batch, step)
        What makes an estimate uncertain: a constant, the level, the disagreement of the neighbours; each times the root
        of the kriging variance, to which filled neighbours add (their errors taken to be fully correlated).
    """
    estimate, disagreement, root = _applied(weights, rows, table, offset, drifted)
    return estimate, (root, estimate.clamp(min=0.0) * root, disagreement * root)


def estimate_and_spread(
    weights: Weights,
    rows: Tensor,
    table: Tensor,
    offset: float,
    drifted: Drifted | None,
    coefficients: tuple[float, float, float],
    factor: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the estimate of :func:`apply_weights`, and the sum of its parts times their coefficients.

    Parameters
    ----------
    weights, rows, table, offset, drifted
        As for :func:`apply_weights`.
    coefficients : tuple of float
        Of the parts.
    factor : (batch,), optional
        Level of each target: both are multiplied by it.
    """
    estimate, disagreement, root = _applied(weights, rows, table, offset, drifted)
    # In place: this runs over every cell and step, and a new array of that size costs more than a product.
    spread = estimate.clamp(min=0.0).mul_(coefficients[1]).add_(coefficients[0])
    spread.add_(disagreement, alpha=coefficients[2]).mul_(root)
    if factor is not None:
        estimate.mul_(factor[:, None])
        spread.mul_(factor[:, None])
    return estimate, spread


def _applied(
    weights: Weights, rows: Tensor, table: Tensor, offset: float, drifted: Drifted | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the estimate, the disagreement of the neighbours and the root of the kriging variance."""
    applied = embedding_bag(rows, table, per_sample_weights=weights.kriging, mode="sum")
    mean, square, filled, *rest = applied.chunk(4 if drifted is None else 3, dim=1)
    # Roots of zeros are slow, and gradients have none.
    disagreement = (square - mean.square()).clamp(min=_SMALL_SQUARE).sqrt()
    mean, logs = (mean, rest[0]) if drifted is None else drifted.apply(weights.kriging).chunk(2, dim=1)
    share, level = weights.log_share[:, None], torch.exp(weights.correction)[:, None]
    from_log = torch.expm1(logs.clamp(max=20.0))
    estimate = torch.addcmul(offset * share * level * from_log, mean, (1.0 - share) * level)
    return estimate, disagreement, (weights.variance[:, None] + filled.square()).sqrt()


def attribute(
    weights: Weights, rows: Tensor, table: Tensor, offset: float, drifted: Drifted | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Say what each neighbour adds to the estimates of :func:`apply_weights`.

    The linear scale is a sum already. On the log scale a neighbour has the share of the estimate that it has of the sum
    of logs: its integrated gradient from zero, where all the logs and the estimate are 0 (Sundararajan et al. 2017).

    Parameters
    ----------
    weights, rows, table, offset, drifted
        As for :func:`apply_weights`.

    Returns
    -------
    value : (batch, k, step)
        Of each neighbour, gaps filled.
    read : (batch, k, step)
        As it drifts past; the value itself where nothing drifts.
    contribution : (batch, k, step)
        In the same units; the sum over the neighbours is the estimate.
    """
    value, _, _, *rest = table[rows].chunk(4 if drifted is None else 3, dim=-1)
    read, logs = (value, rest[0]) if drifted is None else drifted.each(rows.shape[1]).chunk(2, dim=-1)
    linear, log = (weights.kriging[..., None] * part for part in (read, logs))
    total = log.sum(dim=1, keepdim=True)
    small = total.abs() < 1e-6
    per_log = torch.where(small, offset, offset * torch.expm1(total.clamp(max=20.0)) / torch.where(small, 1.0, total))
    share = weights.log_share[:, None, None]
    both = (1.0 - share) * linear + share * per_log * log
    return value, read, both * torch.exp(weights.correction)[:, None, None]
