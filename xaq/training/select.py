"""What a training run sees: the visible stations over the training period, divided by the trend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .._arguments import check_choice, check_names
from ..arrays import sphere, timesteps
from ..conventions import STATION
from ..errors import ModelError, SchemaError
from ..fields.background import BACKGROUND, settle_field
from ..fields.predictor_field import Fields, settle_fields, warn_of_lack
from ..fields.predictors import Predictors
from ..fields.rasters import rasters_by_name
from ..fields.trend import warn_if_without_effect
from ..interpolate.base import Observations
from ..interpolate.fit_trend import fit_trend
from ..interpolate.kriging import Covariance
from ..interpolate.trend import BackgroundFactor, Trend
from ..nn.config import Task
from ..stations import holdout, schema, taking_part
from ..stations.form import series_problems

#: With fewer places than this, none can be hidden and learned from.
MIN_PLACES = 4


@dataclass(frozen=True)
class Selection:
    """What a training run reads.

    Attributes
    ----------
    ds : xarray.Dataset
        The training period, hidden stations included; in xaq's form.
    visible : xarray.Dataset
        The stations that are learned from: those that take part (:mod:`xaq.stations.taking_part`).
    copies : tuple of str
        Ids of copies of these stations.
    observations : Observations
        Their target and covariates; ratios once the trend is removed.
    target, units : str
        The variable, and its units.
    covariates, known : tuple of str
        Other variables that are read up to the init time, and over a forecast's horizon too.
    task : {"analysis", "forecast"}
        As for :func:`xaq.train`.
    observed : (station, time), optional
        The target's values before a trend was removed from them.
    fold_ratios : (fold, station), optional
        What :func:`xaq.training.folds.make_folds` multiplies the ratios by in each fold, once a site effect is removed.
    covariance : Covariance, optional
        Of the ratios before a site effect is removed.
    """

    ds: xr.Dataset
    visible: xr.Dataset
    copies: tuple[str, ...]
    observations: Observations
    target: str
    units: str
    covariates: tuple[str, ...]
    known: tuple[str, ...]
    task: Task
    observed: NDArray[np.float32] | None = None
    fold_ratios: NDArray[np.float32] | None = None
    covariance: Covariance | None = None

    @property
    def step(self) -> np.timedelta64:
        """The step of the data."""
        times = self.observations.times
        if len(times) < 2:
            raise SchemaError(
                f"the period has one step ({times[0]}), expected many to learn from; fix: a longer record or time=None; "
                "ds.aq.reanalyze('kriging', ...) needs no training"
            )
        return timesteps.regular_step(times)

    def computed(self) -> tuple[tuple[str, ...], dict[str, NDArray]]:
        """Return the names of the variables that are read, and the values of the visible stations."""
        names = (self.target, *self.covariates, *self.known)
        read = self.observations
        return names, dict(zip(names, (read.values, *read.covariates, *read.known), strict=True))

    @property
    def observations_with_trend(self) -> Observations:
        """The observations before a trend was removed from them."""
        read = self.observations
        return read if self.observed is None else replace(read, values=self.observed)

    def of_stations(self, kept: NDArray[np.intp], observations: Observations) -> Selection:
        """Return the selection with some of its stations and their new observations."""
        covariates, known = (c[:, kept] if len(c) else c for c in (observations.covariates, observations.known))
        some = replace(
            observations,
            values=observations.values[kept],
            lon=observations.lon[kept],
            lat=observations.lat[kept],
            covariates=covariates,
            known=known,
        )
        return replace(self, visible=self.visible.isel({STATION: kept}), observations=some)


def select_observations(
    ds: xr.Dataset,
    target: str | None,
    *,
    task: Task = "analysis",
    time: schema.Period = None,
    covariates: Sequence[str] = (),
    known: Sequence[str] = (),
) -> Selection:
    """Select the visible stations that report the target in the training period. Computes target and covariates.

    Parameters
    ----------
    ds : xarray.Dataset
        In xaq's form (:func:`xaq.stations.schema.conform`).
    target, task, time, covariates, known
        As for :func:`xaq.train`.

    Raises
    ------
    SchemaError
        The target, the period or a covariate is not usable, or no station reports.
    """
    task = check_choice(task, "task", get_args(Task), error=ModelError)
    target = schema.pick_target(ds, target)
    schema.require_target(ds, target)
    ds = schema.select_period(ds, time)
    covariates, known = settle_covariates(ds, target, task, covariates, known)
    holdout.warn_of_colocated(ds)
    seen = taking_part.observed(ds, target, covariates=covariates, known=known)
    units = str(ds[target].attrs["units"])
    return Selection(ds, seen.stations, seen.copies, seen.observations, target, units, covariates, known, task)


def settle_covariates(
    ds: xr.Dataset, target: str, task: Task, covariates: Sequence[str], known: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the covariates that are read up to the init time, and the known ones; each variable is in one of the two.

    Raises
    ------
    SchemaError
        A covariate is no numeric variable on (station, time), or is the target.
    """
    others = [str(n) for n in ds.data_vars if n != target and not series_problems(ds, str(n))]
    covariates, known = (
        check_names(names, argument, fix=f"{argument}={[names] if isinstance(names, str) and names else others}")
        for argument, names in (("covariates", covariates), ("known", known))
    )
    for argument, names in (("covariates", covariates), ("known", known)):
        if unknown := [name for name in names if name not in others]:
            meant = [m for name in names for m in ([name] if name in others else get_close_matches(name, others, 1))]
            raise SchemaError(
                f"covariate {unknown[0]!r} is no other variable of numbers on (station, time); candidates are "
                f"{', '.join(others) or 'none'}; fix: {argument}={[*dict.fromkeys(meant)]}"
            )
    if task == "analysis":
        return tuple(dict.fromkeys((*covariates, *known))), ()
    return tuple(c for c in dict.fromkeys(covariates) if c not in known), tuple(dict.fromkeys(known))


def remove_trend(
    selection: Selection,
    *,
    background: xr.DataArray | xr.Dataset | None = None,
    rasters: Mapping[str, xr.DataArray] | None = None,
    fields: Fields | None = None,
    geography: bool = True,
    seed: int = 0,
) -> tuple[Selection, Trend]:
    """Fit the trend at the visible stations, and divide it out of their observations.

    Parameters
    ----------
    selection : Selection
        From :func:`select_observations`.
    background, rasters, fields, geography, seed
        As for :func:`xaq.train`.

    Returns
    -------
    selection : Selection
        With ratios, and without the stations where the background has no value.
    trend : Trend
        Background, external drift and site effect; a forecast has none.

    Raises
    ------
    SchemaError
        A field is not usable, or too few places remain.
    ModelError
        A forecast is given a field.
    """
    check_places(selection)
    if selection.task != "analysis":
        _refuse_fields(background, rasters, fields)
        return selection, Trend()
    named = rasters_by_name(rasters)
    grids = settle_fields(fields, selection.visible, others=list(named))
    factor = fit_background(selection, background, seed=seed)
    trend, ratios, without, covariance, centres = fit_trend(
        selection.observations,
        background=factor,
        predictors=Predictors.of(named, factor, selection.visible, grids),
        site_effect=geography,
        seed=seed,
    )
    warn_if_without_effect(trend)
    times = selection.observations.times
    warn_of_lack(grids, times, times)
    if trend.drift is not None:
        trend.drift.predictors.warn_of_unknown(times, centres)
    if ratios is selection.observations:
        return selection, trend
    kept = np.flatnonzero(np.isfinite(ratios.values).any(axis=1))
    observed = selection.observations.values[kept]
    selection = replace(selection.of_stations(kept, ratios), observed=observed)
    check_places(selection)
    if trend.site_effect is not None:
        lon, lat = selection.observations.lon, selection.observations.lat
        own = trend.site_effect.factor(lon, lat)
        # Residuals of a station that its own site effect was fitted to would be too small.
        ratios_of_folds = np.stack([own / other.factor(lon, lat) for other in without])
        selection = replace(selection, fold_ratios=ratios_of_folds, covariance=covariance)
    return selection, trend


def fit_background(
    selection: Selection, field: xr.DataArray | xr.Dataset | None, *, seed: int
) -> BackgroundFactor | None:
    """Return the bias-corrected background, fitted at the visible stations over the training period."""
    if field is None:
        return None
    observations = selection.observations
    gridded = settle_field(field, selection.target, selection.units)
    gridded.check_overlaps(observations.lon, observations.lat, "visible stations", subject=BACKGROUND)
    gridded.check_step(selection.step, observations.times[0], subject=BACKGROUND)
    gridded.check_period(*observations.times[[0, -1]], subject=BACKGROUND)
    return BackgroundFactor.fit(gridded, observations, seed=seed)


def _refuse_fields(background: Any, rasters: Any, fields: Any) -> None:
    """Refuse fields that a forecast is given."""
    if background is not None:
        raise ModelError(
            "a forecast has no background; fix: ds.aq.sample(field, name='cams'), then known=['cams'] where it is known ahead"
        )
    if rasters:
        raise ModelError("a forecast reads no rasters; fix: rasters=None")
    if fields is not None:
        raise ModelError(
            "a forecast reads no fields; fix: ds.aq.sample(field, name='wind'), then known=['wind'] where it is known ahead"
        )


def check_places(selection: Selection) -> None:
    """Refuse a network with too few places to hide some and learn from the others."""
    observations = selection.observations
    places = len(np.unique(sphere.colocated_groups(observations.lon, observations.lat)))
    if places < MIN_PLACES:
        raise SchemaError(
            f"{places} visible places report {selection.target!r}, AQ-Net needs at least {MIN_PLACES} to hide some and learn; "
            "fix: ds.aq.reanalyze('kriging', ...) or 'idw'"
        )
