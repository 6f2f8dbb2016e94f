"""What the pipe from stations to cube needs of a trained mapper, beyond the contract of any mapper.

Cubes, scores and explanations depend on these Protocols only; :class:`xaq.Model` fulfils them.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .base import Hashed, Mapper, Observations, ReadsFields
from .error_covariance import ErrorCovariance
from .kriging import Covariance
from .trend import Trend, TrendRecord


class WindowConfig(Protocol):
    """The windows of time that a trained mapper works in, and its number of neighbours."""

    @property
    def k(self) -> int:
        """Neighbours of a target."""

    @property
    def steps_per_day(self) -> int:
        """Steps that a day has."""

    @property
    def days_before(self) -> int:
        """Days read before the days estimated."""

    @property
    def days_after(self) -> int:
        """Days read after them; 0 in a forecast."""

    @property
    def target_days(self) -> int:
        """Days estimated in one window: the horizon of a forecast."""

    @property
    def target_steps(self) -> int:
        """Steps of these days."""

    @property
    def input_offset(self) -> int:
        """Step at which the input begins, counted from the first target step; 0 or negative."""


class TrainingRecipe(Protocol):
    """What a mapper was trained on."""

    @property
    def target(self) -> str:
        """The variable that it estimates."""

    @property
    def units(self) -> str:
        """Of the target."""

    @property
    def config(self) -> WindowConfig:
        """Its windows."""

    @property
    def covariance(self) -> Covariance:
        """The fitted spatial covariance of the target."""

    @property
    def error_covariance(self) -> ErrorCovariance | None:
        """How errors hang together in space and time; None where it is not known."""

    @property
    def covariates(self) -> tuple[str, ...]:
        """Other station variables that it reads, up to the init time of a forecast."""

    @property
    def known(self) -> tuple[str, ...]:
        """Those that it reads over a forecast's horizon too."""

    @property
    def trend(self) -> TrendRecord:
        """Background, external drift and site effect of training."""

    @property
    def visible(self) -> tuple[str, ...]:
        """Stations that it was trained on."""

    @property
    def residual_variance(self) -> tuple[tuple[float, float, float], ...]:
        """Longitude and latitude of each, and its climatological residual variance."""

    @property
    def period(self) -> tuple[str, str]:
        """First and last time of training."""

    @property
    def seed(self) -> int:
        """Of everything random in training."""

    @property
    def learned(self) -> bool:
        """Whether training gained anything; otherwise it is the classical first guess."""

    @property
    def held_out_scores(self) -> list[dict[str, Any]]:
        """Scores at the hidden stations, one row for each method."""

    @property
    def mean_scores(self) -> list[dict[str, Any]]:
        """Scores of means of periods there, one row for each frequency."""


@runtime_checkable
class TrainedMapper(Mapper, ReadsFields, Hashed, Protocol):
    """A mapper that was trained on a station dataset, and fits only datasets like it."""

    @property
    def task(self) -> str:
        """``"analysis"`` or ``"forecast"``."""

    @property
    def target(self) -> str:
        """The variable that it estimates."""

    @property
    def step(self) -> np.timedelta64:
        """The step of the data that it was trained on."""

    @property
    def recipe(self) -> TrainingRecipe:
        """What it was trained on."""

    def with_trend(self, trend: Trend) -> TrainedMapper:
        """Return the mapper with the fields of its training."""


@runtime_checkable
class TrainedForecaster(TrainedMapper, Protocol):
    """A trained mapper whose station side is a series of its own: in a forecast, the forecast at the stations."""

    def station_series(self, prepared: Any) -> NDArray[np.float32]:
        """Return that series at the prepared times, ``(n_station, n_time)`` in the target's units."""


@runtime_checkable
class AttendingMapper(TrainedMapper, Protocol):
    """A trained mapper with temporal attention, which can be drawn."""

    def attention(self, observations: Observations, start: np.datetime64) -> NDArray[np.float32]:
        """Return the attention that target days from ``start`` on pay, ``(station, target day, history day)``."""


@runtime_checkable
class OnDevice(Protocol):
    """A mapper whose numbers live on a device, a CPU or a GPU: members are made there too."""

    @property
    def device(self) -> Any:
        """Where its weights live; its ``str`` names it."""
