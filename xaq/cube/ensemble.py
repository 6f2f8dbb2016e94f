"""What users may ask of the joint uncertainty of estimates: members, periods, and what an estimate stands for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .._arguments import argument_error, check_choice, check_count, check_number, check_seed
from ..errors import ModelError, warn
from ..interpolate import leave_one_out
from ..interpolate.classical import OrdinaryKriging
from ..interpolate.error_covariance import ErrorCovariance, fit_error_covariance
from ..interpolate.held_out import held_out_scores
from ..interpolate.trained import OnDevice
from ..interpolate.trend import OverTrend
from ..stations import taking_part
from .calendar import FREQUENCIES, Calendar, check_freq, settle_zone
from .request import Request, estimated_steps

STATISTICS, SUPPORTS = ("mean", "max"), ("point", "cell")
#: Members that intervals of periods are made from, unless asked for: of a cube, and of points, at which they cost seconds.
DEFAULT_MEMBERS, POINT_MEMBERS = 50, 200


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """What users may say of members: the parameters of these names of :func:`xaq.reanalyze`; and whether they are of points."""

    members: int | None = None
    freq: str | None = None
    tz: str | None = None
    statistic: str = "mean"
    capture: float = 0.75
    support: str = "point"
    seed: int = 0
    at_points: bool = False

    def __post_init__(self) -> None:
        settled: dict[str, Any] = {
            "members": None if self.members is None else check_count(self.members, "members", DEFAULT_MEMBERS),
            "freq": check_freq(self.freq),
            "tz": settle_zone(self.tz),
            "statistic": check_choice(self.statistic, "statistic", STATISTICS),
            "capture": check_number(
                self.capture,
                "capture",
                "a fraction above 0 and at most 1",
                fix="capture=0.75",
                valid=lambda f: 0 < f <= 1,
            ),
            "support": check_choice(self.support, "support", SUPPORTS),
            "seed": check_seed(self.seed),
        }
        for name, value in settled.items():
            object.__setattr__(self, name, value)
        if self.freq is None and (self.tz is not None or self.statistic != "mean"):
            said = f"statistic={self.statistic!r}" if self.tz is None else f"tz={self.tz!r}"
            raise argument_error(f"{said} is said of periods, and there are none; fix: freq='D'")

    @property
    def is_asked(self) -> bool:
        """Whether anything needs the joint distribution of errors."""
        return self.members is not None or self.freq is not None or self.support == "cell"

    def made(self, request: Request) -> int:
        """Return how many members are made: at least as many as bound the interval of a period, 0 without a distribution."""
        asked = self.members or 0
        if self.freq is None or not request.probabilities:
            return asked
        # The bounds are at p (n + 1) of n sorted members, which must not be below the first.
        least = math.ceil(1 / request.probabilities[0] - 1 - 1e-6)
        return max(asked or (POINT_MEMBERS if self.at_points else DEFAULT_MEMBERS), DEFAULT_MEMBERS, least)

    def provenance(self, request: Request) -> dict[str, Any]:
        """Return what identifies a cube beside its request; nothing for a cube of hourly points without members."""
        if not self.is_asked:
            return {}
        of_periods = {name: getattr(self, name) for name in ("freq", "tz", "statistic", "capture")} if self.freq else {}
        return {
            "members": self.members,
            "members_made": self.made(request),
            "members_seed": self.seed,
            "support": self.support,
            **of_periods,
        }


@dataclass(frozen=True)
class Joint:
    """A request, and how the errors of its estimates hang together.

    Attributes
    ----------
    request : Request
    ensemble : Ensemble
    """

    request: Request
    ensemble: Ensemble

    @cached_property
    def covariance(self) -> ErrorCovariance | None:
        """The covariance of errors: a trained mapper's, else fitted at held-out stations; None where errors have no distribution."""
        if not self.request.probabilities:
            if self.ensemble.members is not None or self.ensemble.support == "cell":
                raise ModelError(
                    f"{self.request.mapper.name} has no distribution of errors, which members= and support='cell' need; "
                    "fix: ds.aq.reanalyze('kriging', ...)"
                )
            return None
        trained = self.request.trained
        if trained is None:
            return fit_errors(self.request)
        if trained.recipe.error_covariance is None:
            raise ModelError(
                "the model has no covariance of its errors, which members=, freq= and support= need: there were too few errors "
                "at held-out stations to fit one; fix: ds.aq.train(...) with more stations or a longer time="
            )
        return trained.recipe.error_covariance

    @property
    def fitted(self) -> ErrorCovariance | None:
        """The covariance where it depends on the observations and is needed; a trained mapper has its own."""
        return self.covariance if self.ensemble.is_asked and self.request.trained is None else None

    @cached_property
    def calendar(self) -> Calendar:
        """The periods that are summarised; there is a frequency."""
        assert self.ensemble.freq is not None
        return Calendar.of(self.request.times, self.request.step, self.ensemble.freq, self.ensemble.tz)

    @property
    def device(self) -> str:
        """Where members are made: beside the model."""
        mapper = self.request.mapper
        inner = self.request.trained if self.request.trained is not None else mapper
        return str(inner.device) if isinstance(inner, OnDevice) else "cpu"

    @property
    def step_seconds(self) -> int:
        """Of the estimates."""
        return int(self.request.step / np.timedelta64(1, "s"))


def warn_if_incomplete(joint: Joint) -> None:
    """Warn where every period is missing, because fewer of its steps are estimated than the data capture."""
    freq, capture = joint.ensemble.freq, joint.ensemble.capture
    if freq is None:
        return
    calendar = joint.calendar
    count = np.bincount(calendar.index, estimated_steps(joint.request), len(calendar.start))
    fraction = count / calendar.expected
    # Without any step, another warning says so.
    if not count.any() or (fraction >= capture).any():
        return
    fullest = int(np.argmax(fraction))
    enough = max(math.floor(100 * fraction[fullest]) / 100, 0.001)
    warn(
        f"no {FREQUENCIES[freq]} has {100 * capture:g} % of its steps estimated, that of {calendar.start[fullest]} the most with "
        f"{100 * fraction[fullest]:.3g} %: all are NaN; fix: a longer time=, or capture={enough:g}"
    )


def fit_errors(request: Request) -> ErrorCovariance:
    """Fit the covariance of a mapper's errors at stations that are held out in turn. Computes the target."""
    observations = taking_part.observed(request.source, request.target).observations
    held_out = held_out_scores(request.mapper, observations)
    mapper, ratios = request.mapper, observations
    if isinstance(mapper, OverTrend):
        ratios = mapper.trend.remove(observations)
        mapper = mapper.mapper
    if isinstance(mapper, OrdinaryKriging):
        return fit_error_covariance(held_out, mapper.covariance)
    return fit_error_covariance(held_out, leave_one_out.fit_covariance(ratios.values, ratios.lon, ratios.lat))
