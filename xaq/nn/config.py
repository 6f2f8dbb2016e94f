"""AQ-Net: the temporal module on the station side, neural kNN on the cell side.

The station side runs over stations and windows and may be heavy; the cell side runs over targets and days and is a
small solve and a sparse product. Nothing here knows of labels, files or units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Task = Literal["analysis", "forecast"]


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
    advection : bool
        Read neighbours advected to the place, hours before or after. In an analysis of steps of
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
    >>> config.input_steps, config.target_steps, config.input_offset, config.advects
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
    advection: bool = True
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
    def advects(self) -> bool:
        """Whether neighbours are read advected: the day divides into slots of the slowness weights."""
        return (
            self.advection
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
