r"""The trend: a positive factor by which places and times differ, divided out before mapping and multiplied in after.

.. math:: y'_i(t) = y_i(t) / \phi_i(t), \qquad \hat y_*(t) = \phi_*(t)\, \hat y'_*(t)

Its terms are a background of the target (a chemical transport model's field, bias-corrected), an external drift fitted by
regression on predictors, and the site effect of population density and altitude. A mapper around which the trend is put sees
ratios in the target's units: positive as the observations are, so that any mapper takes them as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial, reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError, SchemaError, warn
from . import leave_one_out
from .base import Estimate, Field, Filling, Mapper, Observations
from .drift import FIELD, RASTER, Centres, Drift, centres_at
from .explanation import Explainer, Explanation
from .filling import fill_by_estimates, parts
from .leave_one_out import LeaveOneOut
from .site_effect import SiteEffect

#: Slopes that are tried for a background: 0 ignores it, above 1 corrects one that varies too little, such as one with a
#: constant added.
SLOPES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
#: Least background factor: a ratio to next to nothing says nothing.
_FLOOR = 0.1
#: Observations predicted from the other stations to choose the slope.
_PAIRS = 2000
#: Sets of places whose site effect is kept: the tiles of a map and the stations, block after block.
_REMEMBERED = 8


@dataclass(frozen=True)
class BackgroundFactor:
    r"""A bias-corrected background relative to its mean.

    .. math:: \phi^{\text{bg}} = \max(1 + \lambda (\text{bg} / \overline{\text{bg}} - 1), 0.1)

    Attributes
    ----------
    field : Field
        Of the target, in the stations' units.
    mean : float
        Of the field where and when the visible stations observe.
    slope : float
        :math:`\lambda`; units and multiplicative bias of the field cancel.
    """

    field: Field
    mean: float
    slope: float

    @classmethod
    def fit(cls, field: Field, observations: Observations, *, seed: int = 0, k: int = 16) -> BackgroundFactor:
        """Fit the mean, and choose the slope by the leave-one-out error of kriging the ratio; MAE and RMSE count alike.

        At a single station the slope is 1.

        Raises
        ------
        SchemaError
            The field has no value where and when a visible station observes, or no positive mean there.
        """
        values, lon, lat = observations.values, observations.lon, observations.lat
        there = field.at(lon, lat, observations.times)
        both = np.isfinite(values) & np.isfinite(there)
        if not both.any():
            raise SchemaError(
                "it has no value where and when a visible station observes; fix: another field, or background=None",
                subject="background",
            )
        mean = float(there[both].mean(dtype=float))
        if not mean > 0:
            raise SchemaError(
                f"its mean at the stations is {mean:g}, expected a concentration above 0; fix: another field, or background=None",
                subject="background",
            )
        # Rounding in packed files makes values that are hardly below zero.
        if (negative := there < -_FLOOR * mean).any():
            warn(
                f"{field.name!r} is negative in {int(negative.sum())} of {int(np.isfinite(there).sum())} values at the visible stations, "
                f"down to {float(there[negative].min()):.3g}, expected concentrations: its factor is never below {_FLOOR:g}; "
                "fix: background=field.clip(min=0), if the field is one of the target"
            )
        never = int((~np.isfinite(there).any(axis=1)).sum())
        if never:
            text = f"{field.name!r} has no value at {never} of {len(lon)} visible stations: they are left out"
            warn(text)
        reported, known = np.isfinite(values).any(axis=0), np.isfinite(there).any(axis=0)
        if (reported & ~known).any():
            first = observations.times[reported & ~known][0].astype("datetime64[s]")
            warn(
                f"{field.name!r} has no value at any visible station at {int((reported & ~known).sum())} of {int(reported.sum())} steps, "
                f"the first {first}: estimates are missing there; fix: field.interpolate_na('time'), if that is good enough"
            )
        if int(both.any(axis=1).sum()) == 1:
            warn(
                f"{field.name!r} has values at a single visible station, which cannot choose its slope: it is used with a slope of 1"
            )
            return cls(field, mean, 1.0)
        pairs = leave_one_out.draw_pairs(np.where(both, values, np.nan), _PAIRS, seed=[seed, 5])
        truth = values[pairs[:, 0], pairs[:, 1]].astype(float)
        scores = []
        for slope in SLOPES:
            factor = cls(field, mean, slope).of(there)
            ratio = values / factor
            covariance = leave_one_out.fit_covariance(ratio, lon, lat, k=k, n_pairs=_PAIRS // 4, seed=seed)
            guess, _ = LeaveOneOut.of(lon, lat, covariance, k).predict(ratio, pairs)
            scores.append(leave_one_out.mae_and_rmse(truth - guess * factor[pairs[:, 0], pairs[:, 1]]))
        relative = [leave_one_out.relative_score(score, scores[0]) for score in scores]
        return cls(field, mean, SLOPES[int(np.argmin(relative))])

    def factor(self, lon: NDArray, lat: NDArray, times: NDArray[np.datetime64]) -> NDArray[np.float32]:
        """Return the factor, ``(place, time)``; NaN where the field has no value. Computes a window of the field."""
        return self.of(self.field.at(lon, lat, times))

    def of(self, values: NDArray) -> NDArray[np.float32]:
        """Return the factor of values of the field."""
        return np.maximum(1.0 + self.slope * (values / self.mean - 1.0), _FLOOR).astype(np.float32)


@dataclass(frozen=True)
class TrendRecord:
    """What a model's file keeps of its trend.

    Attributes
    ----------
    background : dict, optional
        Name, units, hash, mean and slope of the field.
    site_effect : SiteEffect, optional
        Whole: it needs no field of the user's.
    drift : tuple of dict
        Of each predictor of the external drift its name, units and hash, its scale and its slope.
    """

    background: dict[str, Any] | None = None
    site_effect: SiteEffect | None = None
    drift: tuple[dict[str, Any], ...] = ()

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TrendRecord:
        """Rebuild a record from its fields as JSON gives them."""
        effect = data["site_effect"]
        return cls(data["background"], None if effect is None else SiteEffect.from_json(effect), tuple(data["drift"]))

    def provenance(self) -> dict[str, Any]:
        """Return the terms that a cube names in its provenance."""
        effect = self.site_effect
        read = {
            kind: [{key: d[key] for key in ("name", "units", "hash")} for d in self.drift if d["kind"] == kind]
            for kind in (RASTER, FIELD)
        }
        terms = {
            "background": self.background,
            "site_effect": None if effect is None else effect.describe(),
            "rasters": read[RASTER],
            "fields": read[FIELD],
            "drift": list(self.drift),
        }
        return {name: term for name, term in terms.items() if term}


class FieldTerms(NamedTuple):
    """The terms of a trend that read the user's fields, made with one read of each.

    ``background (place, time)`` and ``drift (place, time or 1)``, factors; None for a term that the trend lacks. ``centres``
    are the means over the stations that predictors depart from.
    """

    background: NDArray[np.float32] | None
    drift: NDArray[np.float32] | None
    centres: Centres


@dataclass(frozen=True)
class Trend:
    """The terms of a trend, each optional.

    Attributes
    ----------
    background : BackgroundFactor, optional
    site_effect : SiteEffect, optional
    drift : Drift, optional
        Fitted to ratios to the background.
    """

    background: BackgroundFactor | None = None
    site_effect: SiteEffect | None = None
    drift: Drift | None = None

    @property
    def fields(self) -> tuple[Field, ...]:
        """The user's fields that estimates read."""
        background: tuple[Field, ...] = () if self.background is None else (self.background.field,)
        return (*background, *(() if self.drift is None else self.drift.fields))

    @property
    def reads_fields(self) -> bool:
        """Whether the factor depends on the user's fields, and so maybe on time."""
        return self.background is not None or self.drift is not None

    def site_factor(self, lon: NDArray, lat: NDArray) -> NDArray[np.float32]:
        """Return the site effect of places, ``(place,)``."""
        return np.ones(len(lon), np.float32) if self.site_effect is None else self.site_effect.factor(lon, lat)

    def factor(
        self, lon: NDArray, lat: NDArray, times: NDArray[np.datetime64], centres: Centres = ()
    ) -> NDArray[np.float32]:
        """Return the factor, ``(place, time)``, or ``(place, 1)`` where it is static; NaN where the background is.

        ``centres`` are those of the drift at these times, where there is one (:meth:`at_stations`).
        """
        terms = self.at_targets(lon, lat, times, centres)
        return product(terms.background, terms.drift, self.site_factor(lon, lat)[:, None])

    def at_targets(self, lon: NDArray, lat: NDArray, times: NDArray[np.datetime64], centres: Centres) -> FieldTerms:
        """Return the terms that read the user's fields at places."""
        there, background = self._background(lon, lat, times)
        drift = None if self.drift is None else self.drift.factor(lon, lat, times, centres, there)
        return FieldTerms(background, drift, centres)

    def at_stations(self, lon: NDArray, lat: NDArray, times: NDArray[np.datetime64]) -> FieldTerms:
        """Return the terms that read the user's fields at the stations."""
        there, background = self._background(lon, lat, times)
        drift, centres = (None, ()) if self.drift is None else self.drift.at_stations(lon, lat, times, there)
        return FieldTerms(background, drift, centres)

    def factors(
        self, lon: NDArray, lat: NDArray, times: NDArray[np.datetime64], centres: Centres, *, at_stations: bool
    ) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Yield each term's name, and the product of all factors up to it, ``(place, time or 1)``."""
        there, background = self._background(lon, lat, times)
        before = np.ones((len(lon), 1), np.float32)
        if background is not None:
            before = background
            yield "background", before
        if self.drift is not None:
            drift = before
            for name, factor in self.drift.factors(lon, lat, times, centres, there, at_stations=at_stations):
                drift = before * factor
                yield name, drift
            before = drift
        if self.site_effect is not None:
            yield "site effect", before * self.site_factor(lon, lat)[:, None]

    def _background(
        self, lon: NDArray, lat: NDArray, times: NDArray[np.datetime64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]] | tuple[None, None]:
        """Return the values of the background and its factor, ``(place, time)``."""
        if self.background is None:
            return None, None
        values = self.background.field.at(lon, lat, times)
        return values, self.background.of(values)

    def remove(self, observations: Observations) -> Observations:
        """Return observations divided by the factor; missing where the background is."""
        lon, lat = observations.lon, observations.lat
        terms = self.at_stations(lon, lat, observations.times)
        site = None if self.site_effect is None else self.site_effect.factor(lon, lat)[:, None]
        return divided(observations, terms.background, terms.drift, site)


def product(*factors: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Return the product of factors ``(place, time or 1)``, at least one of them; None is 1."""
    product: NDArray[np.float32] = reduce(np.multiply, [factor for factor in factors if factor is not None])
    return product


def divided(observations: Observations, *factors: NDArray[np.float32] | None) -> Observations:
    """Return observations divided by factors ``(station, time or 1)``, one after the other; None divides by nothing."""
    values = observations.values
    for factor in factors:
        if factor is not None:
            values = (values / factor).astype(np.float32)
    return replace(observations, values=values)


class PreparedRatios(NamedTuple):
    """The station side of a mapper of ratios, the prepared times, and the trend at the stations.

    ``factor (station, time or 1)``; ``centres`` of the drift.
    """

    inner: Any
    times: NDArray[np.datetime64]
    factor: NDArray[np.float32]
    lon: NDArray
    lat: NDArray
    centres: Centres


@dataclass(frozen=True)
class OverTrend:
    """A mapper of ratios to a trend, as a mapper: divides the trend out, maps inside, multiplies it in.

    Attributes
    ----------
    mapper : Mapper
        Fitted to ratios.
    trend : Trend
    """

    mapper: Mapper
    trend: Trend = field(default_factory=Trend)

    @property
    def name(self) -> str:
        """Name of the mapper inside."""
        return self.mapper.name

    @property
    def has_interval(self) -> bool:
        """Whether the mapper inside has a distribution."""
        return self.mapper.has_interval

    @property
    def margin_days(self) -> tuple[int, int]:
        """Days that the mapper inside reads before and after."""
        return self.mapper.margin_days

    @property
    def fields(self) -> tuple[Field, ...]:
        """The user's fields that estimates read."""
        return self.trend.fields

    def prepare(self, observations: Observations, times: NDArray[np.datetime64]) -> PreparedRatios:
        """Divide the trend out of the observations, and do the station side of the mapper inside."""
        lon, lat, trend = observations.lon, observations.lat, self.trend
        # The work of Trend.remove, with the kept site effect and one read of the fields for both uses.
        site = None if trend.site_effect is None else self.site_factor(lon, lat)[:, None]
        terms = trend.at_stations(lon, lat, observations.times)
        ratios = divided(observations, terms.background, terms.drift, site)
        steps = np.searchsorted(observations.times, times)
        ones = np.ones((len(lon), 1), np.float32)
        factor = product(_at(terms.background, steps), _at(terms.drift, steps), site, ones)
        prepared = self.mapper.prepare(ratios, times)
        return PreparedRatios(prepared, times, factor, lon, lat, centres_at(terms.centres, steps))

    def estimate(self, prepared: PreparedRatios, lon: NDArray, lat: NDArray) -> Estimate:
        """Estimate ratios, and multiply them and their distribution by the trend; NaN where the background is."""
        made = self.mapper.estimate(prepared.inner, lon, lat)
        factor = self._factor(prepared, lon, lat)
        if factor is None:
            return made
        if made.offset is not None:
            # The scale is one of logarithms: their offset is in the target's units.
            return replace(made, value=made.value * factor, offset=made.offset * factor)
        return replace(made, value=made.value * factor, scale=None if made.scale is None else made.scale * factor)

    def fill(
        self,
        fields: Sequence[NDArray] | NDArray,
        prepared: PreparedRatios,
        lon: NDArray,
        lat: NDArray,
        probabilities: Sequence[float],
        factor: NDArray[np.float32] | None = None,
    ) -> None:
        """Write estimates into arrays ``(time, target)``; the trend is applied where the mapper inside writes."""
        if not isinstance(self.mapper, Filling):
            fill_by_estimates(self, fields, prepared, lon, lat, probabilities, factor)
            return
        site = None if self.trend.site_effect is None else self.site_factor(lon, lat)[:, None]
        if not self.trend.reads_fields:
            own = site if factor is None or site is None else product(site, factor)
            self.mapper.fill(fields, prepared.inner, lon, lat, probabilities, factor if own is None else own)
            return
        # Some targets at a time: the factor of all of them at all times is as large as an estimate.
        for part in parts(len(lon)):
            terms = self.trend.at_targets(lon[part], lat[part], prepared.times, prepared.centres)
            static = [None if term is None else term[part] for term in (site, factor)]
            some = [field[:, part] for field in fields]
            own = product(terms.background, terms.drift, *static)
            self.mapper.fill(some, prepared.inner, lon[part], lat[part], probabilities, own)

    def explain(self, prepared: PreparedRatios, lon: float, lat: float) -> Explanation:
        """Explain the ratio in the target's units: contributions are what neighbours add to the estimate."""
        if not isinstance(self.mapper, Explainer):
            raise ModelError(f"{self.name} cannot explain its estimates; fix: model = ds.aq.train(...)")
        made = self.mapper.explain(prepared.inner, lon, lat)
        near = prepared.lon[made.index], prepared.lat[made.index]
        read = partial(self.trend.factors, times=prepared.times, centres=prepared.centres)
        here = list(read(np.array([lon]), np.array([lat]), at_stations=False))
        there = list(read(*near, at_stations=True))
        of_neighbours = prepared.factor[made.index, 0]
        value = made.value * of_neighbours
        kriging = before = float(made.kriging_weight @ value)
        factors = []
        for (name, place), (_, neighbours) in zip(here, there, strict=True):
            level = float(place[0, 0]) * float(made.kriging_weight @ (value / neighbours[:, 0]))
            # Where every observation is zero, so is every level.
            factors.append((name, level / before if before else 1.0))
            before = level
        local = float(here[-1][1][0, 0]) if here else 1.0
        return replace(
            made,
            value=value,
            advected=made.advected * of_neighbours,
            contribution=made.contribution * local,
            kriging=kriging,
            factors=tuple(factors),
            advection=made.advection * local,
            log_scale=made.log_scale * local,
            learned=made.learned * local,
        )

    def site_factor(self, lon: NDArray, lat: NDArray) -> NDArray[np.float32]:
        """Return the static part of the factor, ``(place,)``; kept for the places of the last calls."""
        if self.trend.site_effect is None:
            return np.ones(len(lon), np.float32)
        return self._site_factors(*(np.ascontiguousarray(axis, float).tobytes() for axis in (lon, lat)))

    @cached_property
    def _site_factors(self) -> Callable[[bytes, bytes], NDArray[np.float32]]:
        return lru_cache(maxsize=_REMEMBERED)(
            lambda *place: self.trend.site_factor(*(np.frombuffer(axis) for axis in place))
        )

    def _factor(self, prepared: PreparedRatios, lon: NDArray, lat: NDArray) -> NDArray[np.float32] | None:
        """Return the factor of targets, ``(target, time or 1)``; None where the trend has no term of its own."""
        site = None if self.trend.site_effect is None else self.site_factor(lon, lat)[:, None]
        if not self.trend.reads_fields:
            return site
        terms = self.trend.at_targets(lon, lat, prepared.times, prepared.centres)
        return product(terms.background, terms.drift, site)

    def __reduce__(self) -> tuple:
        return OverTrend, (self.mapper, self.trend)


def _at(factor: NDArray[np.float32] | None, steps: NDArray[np.intp]) -> NDArray[np.float32] | None:
    """Return a factor ``(place, time or 1)`` at some steps."""
    return factor if factor is None or factor.shape[1] == 1 else factor[:, steps]
