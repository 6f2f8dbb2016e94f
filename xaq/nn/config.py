"""The configuration of the network: its task, its windows and the sizes of its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Task = Literal["analysis", "forecast"]


@dataclass(frozen=True, kw_only=True)
class AQNetConfig:
    """Hyper-parameters of the network. All are saved with the model.

    Attributes
    ----------
    task : {"analysis", "forecast"}
        An analysis estimates times inside the record, a forecast times after it.
    steps_per_day : int
        Steps of a day, which have one set of weights in common: 24 for hourly data, 1 for daily data.
    days_before, days_after : int
        Days read before and after the target days. A forecast reads none after its init time.
    target_days : int
        Days estimated per window: 1 in an analysis, the horizon in a forecast.
    patch : int
        Steps per patch. Patches of 6 h turn 336 h into 56 steps of the LSTM, which is six times faster than 336 steps.
    hidden, lstm_layers, heads : int
        Width, depth and attention heads of the temporal module. They are small because a network has tens of stations.
    k : int
        Neighbours. A 16 x 16 system is cheap to solve, and stations beyond the 16 nearest get next to no weight.
    max_correction : float
        Bound of the raster correction, on the log of the estimate: 0.3 lets it scale an estimate by exp(-0.3) to exp(0.3).
    n_covariates, n_known : int
        Covariates beside the target, and how many of them are known over the horizon of a forecast: the last ones.
    n_rasters : int
        Static rasters that the raster correction uses.
    advection : bool
        Advect the neighbours: take from each the values of the hours before or after that the advection brings to the
        target. This applies to analyses with steps of at most 3 h; elsewhere it changes nothing.
    dropout : float
        Fraction of the embedded patches' entries dropped in training.
    cyclic : bool
        Use the cyclic time encoding. False is meant for ablations.

    Raises
    ------
    ValueError
        The sizes do not fit each other, or do not fit the task.

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
            raise ValueError(f"task is {self.task!r}; expected 'analysis' or 'forecast'")
        if self.task == "forecast" and self.days_after:
            raise ValueError(
                f"days_after is {self.days_after}; expected 0, as a forecast reads nothing after its init time; fix: days_after=0"
            )
        sizes = ("steps_per_day", "target_days", "patch", "hidden", "lstm_layers", "heads", "k")
        small = [f"{name}={getattr(self, name)}" for name in sizes if getattr(self, name) < 1]
        if small:
            raise ValueError(f"{', '.join(small)}; expected at least 1")
        if self.input_steps < 1:
            raise ValueError(
                f"days_before={self.days_before}, days_after={self.days_after}: the window has no steps; fix: days_before=1"
            )
        known_at_most = self.n_covariates if self.task == "forecast" else 0
        if not 0 <= self.n_known <= known_at_most:
            raise ValueError(
                f"n_known is {self.n_known}; expected 0 to {known_at_most}: the covariates of a forecast, and 0 in an analysis"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; expected at least 0 and below 1")
        if self.steps_per_day % self.patch:
            raise ValueError(
                f"patch is {self.patch}; expected a divisor of the {self.steps_per_day} steps of a day; fix: patch={self.steps_per_day}"
            )
        if self.hidden % self.heads:
            nearest = self.heads * max(1, round(self.hidden / self.heads))
            raise ValueError(
                f"hidden is {self.hidden}; expected a multiple of the {self.heads} heads; fix: hidden={nearest}"
            )

    @classmethod
    def default(cls, task: Task, steps_per_day: int) -> AQNetConfig:
        """Return the configuration that training uses by default.

        Parameters
        ----------
        task : {"analysis", "forecast"}
            As for :func:`xaq.train`.
        steps_per_day : int
            24 for hourly data, 1 for daily data.

        Returns
        -------
        AQNetConfig
            Change it with :func:`dataclasses.replace`, and pass it as ``config`` to :func:`xaq.train`.

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
        # Patches of a day: shorter ones gained nothing at hidden stations.
        days = 3 if steps_per_day > 1 else 7
        return cls(steps_per_day=steps_per_day, patch=steps_per_day, days_before=days, days_after=days)

    @classmethod
    def published(cls, steps_per_day: int = 24) -> AQNetConfig:
        """Return the forecast configuration of the paper: 336 h in, 168 h out, hourly LSTM steps, 20 neighbours.

        Window, horizon, step and neighbours follow arXiv 2502.11941 and its released code. Width (128), depth (2) and
        heads (4) follow secondary descriptions of the paper.

        Parameters
        ----------
        steps_per_day : int
            24 for the hourly data of the paper.

        Returns
        -------
        AQNetConfig
            The configuration of a forecast.

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
        """Whether neighbours are advected: an analysis that reads a day before and a day after, in steps that divide 3 h."""
        return (
            self.advection
            and self.task == "analysis"
            and self.steps_per_day % 8 == 0
            and self.days_before > 0
            and self.days_after > 0
        )

    @property
    def input_offset(self) -> int:
        """First step of the window, relative to the first target step: zero or negative."""
        return -self.days_before * self.steps_per_day

    @property
    def input_steps(self) -> int:
        """Steps of the window that the network reads; those of an analysis include the target steps."""
        middle = self.target_days if self.task == "analysis" else 0
        return (self.days_before + middle + self.days_after) * self.steps_per_day

    @property
    def target_steps(self) -> int:
        """Steps that the network estimates per window."""
        return self.target_days * self.steps_per_day
