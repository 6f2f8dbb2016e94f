"""The configuration of the network: its task, its windows and the sizes of its parts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from .._arguments import check_choice, check_flag, check_integer, check_number
from ..errors import ModelError

Task = Literal["analysis", "forecast"]
#: Smallest and largest value of each integer: larger networks than these are slips, and take hours to allocate.
_RANGES = {
    "steps_per_day": (1, 86_400), "days_before": (0, 3_660), "days_after": (0, 3_660), "target_days": (1, 3_660),
    "patch": (1, 86_400), "hidden": (1, 4_096), "lstm_layers": (1, 64), "heads": (1, 256), "k": (1, 4_096),
    "n_covariates": (0, 1_000), "n_known": (0, 1_000),
}  # fmt: skip


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
        Days read before and after the target days. A forecast reads none after its init time. An analysis without the
        temporal module needs them only to advect neighbours.
    target_days : int
        Days estimated per window: 1 in an analysis, the horizon in a forecast.
    patch : int
        Steps per patch. Patches of 6 h turn 336 h into 56 steps of the LSTM, which is six times faster than 336 steps.
    temporal : bool
        Give an analysis the temporal module too: LSTM and attention over the days of each station's window, as evidence
        on its noise. It gained nothing at hidden stations, and takes most of the training time. A forecast is made
        of it and always has it.
    hidden, lstm_layers, heads : int
        Width, depth and attention heads of the temporal module. They are small because a network has tens of stations.
    k : int
        Neighbours. A 16 x 16 system is cheap to solve, and stations beyond the 16 nearest get next to no weight.
    n_covariates, n_known : int
        Covariates beside the target, and how many of them are known over the horizon of a forecast: the last ones.
    advection : bool
        Advect the neighbours: take from each the values of the hours before or after that the advection brings to the
        target. This applies to analyses with steps of at most 3 h; elsewhere it changes nothing. Training leaves it out
        where it gains nothing at stations hidden in turn.
    dropout : float
        Fraction of the embedded patches' entries dropped in training.
    cyclic : bool
        Use the cyclic time encoding. False is meant for ablations.

    Raises
    ------
    ModelError
        A field is of another type or out of range, or the sizes do not fit each other or the task. Also a ``ValueError``.

    Examples
    --------
    >>> import xaq
    >>> config = xaq.AQNetConfig(task="forecast", days_before=14, days_after=0, target_days=7)
    >>> config.input_steps, config.target_steps, config.input_offset, config.advects, config.has_temporal
    (336, 168, -336, False, True)
    """

    task: Task = "analysis"
    steps_per_day: int = 24
    days_before: int = 3
    days_after: int = 3
    target_days: int = 1
    patch: int = 6
    temporal: bool = False
    hidden: int = 32
    lstm_layers: int = 1
    heads: int = 4
    k: int = 16
    n_covariates: int = 0
    n_known: int = 0
    advection: bool = True
    dropout: float = 0.0
    cyclic: bool = True

    def __post_init__(self) -> None:
        for name, value in self._settled().items():
            object.__setattr__(self, name, value)
        if self.task == "forecast" and self.days_after:
            raise ModelError(
                f"days_after is {self.days_after}, expected 0, as a forecast reads nothing after its init time; fix: days_after=0"
            )
        if self.input_steps < 1:
            raise ModelError(
                f"days_before={self.days_before}, days_after={self.days_after}: the window has no steps, expected at least 1; "
                "fix: days_before=1"
            )
        known_at_most = self.n_covariates if self.task == "forecast" else 0
        if self.n_known > known_at_most:
            raise ModelError(
                f"n_known is {self.n_known}, expected 0 to {known_at_most}: the covariates of a forecast, and 0 in an analysis; "
                f"fix: n_known={known_at_most}"
            )
        if self.steps_per_day % self.patch:
            raise ModelError(
                f"patch is {self.patch}, expected a divisor of the {self.steps_per_day} steps of a day; fix: patch={self.steps_per_day}"
            )
        if self.hidden % self.heads:
            nearest = self.heads * max(1, round(self.hidden / self.heads))
            raise ModelError(
                f"hidden is {self.hidden}, expected a multiple of the {self.heads} heads; fix: hidden={nearest}"
            )

    def _settled(self) -> dict[str, Any]:
        """Return every field in its own type, or raise at the first that is not of it or out of range."""
        settled: dict[str, Any] = {"task": check_choice(self.task, "task", get_args(Task), error=ModelError)}
        for name, (least, most) in _RANGES.items():
            settled[name] = self._integer(name, least, most)
        settled["dropout"] = check_number(
            self.dropout, "dropout", "at least 0 and below 1", fix="dropout=0.0", valid=lambda part: 0 <= part < 1,
            error=ModelError,
        )  # fmt: skip
        for name in ("temporal", "advection", "cyclic"):
            settled[name] = check_flag(getattr(self, name), name, error=ModelError)
        return settled

    def _integer(self, name: str, least: int, most: int) -> int:
        default = type(self).__dataclass_fields__[name].default
        return check_integer(
            getattr(self, name), name, f"an integer from {least} to {most}", fix=f"{name}={default}",
            valid=lambda n: least <= n <= most, error=ModelError,
        )  # fmt: skip

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
        # The checks come first: the patch is made from the steps.
        steps_per_day = cls(task=task, days_after=0, steps_per_day=steps_per_day, patch=1).steps_per_day
        if task == "forecast":
            patch = 6 if steps_per_day % 6 == 0 else 1
            return cls(
                task=task, steps_per_day=steps_per_day, patch=patch, days_before=14, days_after=0,
                target_days=7, hidden=64, dropout=0.2,
            )  # fmt: skip
        # Patches of a day: shorter ones gained nothing at hidden stations. Advection needs a day on either side.
        beside = cls(steps_per_day=steps_per_day, patch=steps_per_day)
        days = 1 if beside.advects else 0
        return replace(beside, days_before=days, days_after=days)

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
    def has_temporal(self) -> bool:
        """Whether the network has the temporal module."""
        return self.temporal or self.task == "forecast"

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
