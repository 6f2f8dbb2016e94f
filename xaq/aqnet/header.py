"""The recipe in the header of a model file: the type, range and finiteness of every field, before anything is allocated."""

from __future__ import annotations

import math
import types
from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from .._arguments import shown
from ..arrays import timesteps
from ..arrays.transforms import climatology_design
from ..errors import ModelError
from ..interpolate.drift import BACKGROUND, FIELD, RASTER
from ..interpolate.error_covariance import ErrorCovariance
from ..interpolate.site_predictors import SITE_PREDICTORS
from ..interpolate.trend import TrendRecord
from ..nn.config import AQNetConfig
from .recipe import FORMAT, Interval, Recipe

#: Greatest integer of a configuration. Wider networks cannot be trained, and larger sizes overflow.
_LARGEST = 1_000_000
_GREATEST_FLOAT = float(np.finfo(np.float32).max)
#: What sums of weights may differ by from 1: rounding.
_ROUNDING = 1e-6
#: What a model keeps of a field, of a background beside it, and of the predictors of a drift: a field, or a logarithm.
_FIELD = {"name": str, "units": str, "hash": str}
_BACKGROUND = {**_FIELD, "mean": float, "slope": float}
_SLOPE = {"kind": str, "low": float, "high": float, "std": float, "slope": float}
_PREDICTOR = _FIELD | _SLOPE
_LOGARITHM = {"name": str, "units": str, "least": float} | _SLOPE
#: The numbers that a row of scores may have; None is an unknown one.
_SCORES = ("mae", "rmse", "bias", "r2", "crps", "coverage", "width", "n")
#: What a model says of its training by numbers.
_TRAINING_NUMBERS = ("score", "analysis_mae", "analysis_rmse", "kriging_mae", "kriging_rmse")


class HeaderError(ValueError):
    """A field of the header is not what a model has."""


def recipe_of(data: Any) -> Recipe:
    """Return the recipe of a header.

    Parameters
    ----------
    data : dict
        As JSON gives it.

    Raises
    ------
    ModelError
        The file has another format than this version reads.
    HeaderError
        A field is missing, unknown, of another type, not finite or out of range; names it.
    """
    _expect(isinstance(data, dict), data, "the recipe", "an object")
    found = data.get("format")
    if type(found) is int and found != FORMAT:
        fix = "upgrade xaq" if found > FORMAT else "train it again with ds.aq.train(...)"
        raise ModelError(f"the model file has format {found}, this xaq reads {FORMAT}; fix: {fix}")
    _check(data, Recipe, "")
    try:
        AQNetConfig(**data["config"])
    except ValueError as error:
        # Its advice is for those who write a configuration.
        raise HeaderError(str(error).partition("; fix: ")[0]) from error
    try:
        recipe = Recipe.from_json(data)
    except ModelError:
        raise
    except ValueError as error:
        raise HeaderError(str(error)) from error
    for problem in _problems(recipe):
        raise HeaderError(problem)
    return recipe


# -- types ---------------------------------------------------------------------------------------------------------


def _check(value: Any, kind: Any, name: str) -> None:
    """Raise where a JSON value is not of the type of a field of a dataclass."""
    origin, inner = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        _check_fields(value, get_type_hints(kind), name)
    elif origin in (types.UnionType, Union):
        if value is not None:
            _check(value, next(option for option in inner if option is not type(None)), name)
    elif origin is Literal:
        _expect(isinstance(value, str) and value in inner, value, name, " or ".join(map(repr, inner)))
    elif origin is tuple:
        _check_items(value, inner, name)
    elif origin in (dict, list):
        # What a field keeps of the run: checked by name in _problems.
        _expect(type(value) is origin, value, name, f"a {origin.__name__}")
    else:
        _check_scalar(value, kind, name)


def _check_fields(value: Any, expected: dict[str, Any], name: str) -> None:
    """Raise where a JSON object has not just the fields of these names and types."""
    _expect(isinstance(value, dict), value, name or "the recipe", "an object")
    if value.keys() != expected.keys():
        unlike = ", ".join(sorted(value.keys() ^ expected.keys()))
        raise HeaderError(f"fields are missing or unknown: {unlike}")
    for field, kind in expected.items():
        _check(value[field], kind, f"{name}.{field}" if name else field)


def _check_items(value: Any, kinds: tuple[Any, ...], name: str) -> None:
    _expect(isinstance(value, list), value, name, "a list")
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    _expect(len(value) == len(kinds), value, name, f"{len(kinds)} entries")
    for item, kind in zip(value, kinds, strict=True):
        _check(item, kind, name)


def _check_scalar(value: Any, kind: type, name: str) -> None:
    if kind is float:
        _expect(_is_finite(value), value, name, "a finite number")
    elif kind is int:
        _expect(type(value) is int and abs(value) < 2**63, value, name, "an integer")
    else:
        _expect(type(value) is kind, value, name, {str: "text", bool: "true or false"}[kind])


def _is_finite(value: Any) -> bool:
    # In single precision, in which the network computes. An integer may be greater than any float.
    return type(value) in (int, float) and abs(value) <= _GREATEST_FLOAT


def _expect(true: bool, value: Any, name: str, expected: str) -> None:
    if not true:
        raise HeaderError(f"{name} is {shown(value)}, expected {expected}")


# -- ranges --------------------------------------------------------------------------------------------------------


def _problems(recipe: Recipe) -> Iterator[str]:
    """Yield what a recipe of the right types says that no training run would."""
    groups = (
        _of_data(recipe), _of_first_guess(recipe), _of_interval(recipe.interval, recipe.config),
        _of_errors(recipe.error_covariance),
    )  # fmt: skip
    for holds, text in (check for group in groups for check in group):
        if not holds:
            yield text
    yield from _of_provenance(recipe)


def _of_data(r: Recipe) -> Iterator[tuple[bool, str]]:
    config: AQNetConfig = r.config
    sizes = {name: value for name, value in vars(config).items() if type(value) is int}
    yield bool(r.target and r.units), f"target is {r.target!r} and units {r.units!r}, expected names"
    yield (
        r.step_seconds > 0 and config.steps_per_day * r.step_seconds == timesteps.DAY // np.timedelta64(1, "s"),
        f"step_seconds is {r.step_seconds} and config.steps_per_day {config.steps_per_day}, expected a day in all",
    )
    for name, value in sizes.items():
        yield 0 <= value <= _LARGEST, f"config.{name} is {value}, expected 0 to {_LARGEST}"
    inputs = (len(r.covariates) + len(r.known), len(r.known))
    yield (
        inputs == (config.n_covariates, config.n_known),
        f"{inputs} covariates and known ones are named, expected as many as config has",
    )
    yield r.seed >= 0, f"seed is {r.seed}, expected 0 or more"
    yield all(map(_is_time, r.period)), f"period is {r.period}, expected two times"


def _of_first_guess(r: Recipe) -> Iterator[tuple[bool, str]]:
    scaler, covariance, (lon, lat) = r.scaler, r.covariance, r.centre
    yield min(scaler.offset, scaler.std) > 0, f"scaler is {scaler}, expected offset and std above 0"
    lengths = {len(scaler.covariate_mean), len(scaler.covariate_std)}
    yield lengths == {r.config.n_covariates}, f"scaler has {lengths} covariates, expected {r.config.n_covariates}"
    yield min(scaler.covariate_std, default=1.0) > 0, "scaler.covariate_std is not above 0"
    yield (
        covariance.range_km > 0 and min(covariance.nugget, covariance.sill) >= 0,
        f"covariance is {covariance}, expected a range above 0, nugget and sill of 0 or more",
    )
    yield 0 <= r.log_weight <= 1, f"log_weight is {r.log_weight}, expected 0 to 1"
    n = climatology_design(np.zeros(1, "datetime64[s]")).shape[1]
    yield len(r.climatology) == n, f"climatology has {len(r.climatology)} entries, expected {n}"
    yield abs(lon) <= 360 and abs(lat) <= 90, f"centre is {r.centre}, expected longitude and latitude"
    yield (
        all(abs(y) <= 90 and variance >= 0 for _, y, variance in r.residual_variance),
        "residual_variance has latitudes beyond 90 or negative variances",
    )
    if (effect := r.trend.site_effect) is not None:
        tuples = (effect.slopes, effect.means, effect.stds, effect.lows, effect.highs)
        yield {len(t) for t in tuples} == {len(SITE_PREDICTORS)}, "trend.site_effect has another number of predictors"
        yield min(effect.stds, default=1.0) > 0, "trend.site_effect.stds is not above 0"


def _of_interval(interval: Interval | None, config: AQNetConfig) -> Iterator[tuple[bool, str]]:
    if interval is None:
        return
    probabilities, rows = interval.probabilities, interval.quantiles
    yield min(interval.coefficients) >= 0, f"interval.coefficients is {interval.coefficients}, expected 0 or more"
    yield (
        _rises(probabilities, strictly=True) and probabilities[0] > 0 and probabilities[-1] < 1,
        "interval.probabilities do not rise between 0 and 1",
    )
    yield len(rows) == config.target_days, f"interval has {len(rows)} rows, expected {config.target_days}"
    yield (
        all(len(row) == len(probabilities) and _rises(row) for row in rows),
        "interval.quantiles do not rise, or are not one for each probability",
    )


def _of_errors(errors: ErrorCovariance | None) -> Iterator[tuple[bool, str]]:
    if errors is None:
        return
    for name in ("times_hours", "ranges_km"):
        values = getattr(errors, name)
        yield (
            _rises(values, strictly=True) and values[0] == 0,
            f"error_covariance.{name} is {shown(values)}, expected ascending values from 0",
        )
    rows = errors.weights
    shape = (len(errors.times_hours) + 1, len(errors.ranges_km))
    # Of the wrong shape, rows have no sum.
    yield (
        len(rows) == shape[0] and {len(row) for row in rows} == {shape[1]},
        f"error_covariance.weights has other rows or columns than expected, {shape[0]} rows of {shape[1]}",
    )
    total = sum(map(sum, rows))
    yield (
        min(map(min, rows)) >= 0 and abs(total - 1) <= _ROUNDING,
        f"error_covariance.weights sum to {total:g}, expected weights of 0 or more that sum to 1",
    )
    if (stations := errors.stations) is not None:
        yield (
            stations.range_km > 0 and min(stations.nugget, stations.sill) >= 0,
            f"error_covariance.stations is {stations}, expected a range above 0, nugget and sill of 0 or more",
        )
    yield (
        all(lag >= 0 and distance >= 0 and n > 0 for lag, distance, _, _, n in errors.pairs),
        "error_covariance.pairs has negative lags or distances, or classes without products",
    )


def _of_provenance(r: Recipe) -> Iterator[str]:
    try:
        if r.trend.background is not None:
            _check_fields(r.trend.background, _BACKGROUND, "trend.background")
            _expect(r.trend.background["mean"] > 0, r.trend.background["mean"], "trend.background.mean", "above 0")
        _check_drift(r.trend)
        for name, value in r.training.items():
            may_be_text = type(value) is str and name not in _TRAINING_NUMBERS
            _expect(
                may_be_text or _is_finite(value), value, f"training.{name}", "a finite number, or text of another name"
            )
        for row in r.held_out_scores:
            kinds: dict[str, Any] = {"method": str, "stations": str}
            kinds |= {score: float | None for score in _SCORES if isinstance(row, dict) and score in row}
            _check_fields(row, kinds, "held_out_scores")
        for row in r.mean_scores:
            kinds = {"of": str, "method": str, "stations": str}
            kinds |= {score: float | None for score in _SCORES if isinstance(row, dict) and score in row}
            _check_fields(row, kinds, "mean_scores")
    except HeaderError as error:
        yield str(error)


def _check_drift(trend: TrendRecord) -> None:
    """Raise where a drift has predictors that no training run makes."""
    names = [term["name"] for term in trend.drift if isinstance(term, dict) and "name" in term]
    for term in trend.drift:
        logarithm = isinstance(term, dict) and term.get("kind") == BACKGROUND
        _check_fields(term, _LOGARITHM if logarithm else _PREDICTOR, "trend.drift")
        _expect(logarithm or term["kind"] in (RASTER, FIELD), term["kind"], "trend.drift.kind", "a kind of predictor")
        _expect(term["std"] > 0, term["std"], "trend.drift.std", "above 0")
        _expect(term["low"] <= term["high"], term["low"], "trend.drift.low", "at most trend.drift.high")
        if logarithm:
            _expect(term["least"] > 0, term["least"], "trend.drift.least", "above 0")
            _expect(trend.background is not None, term["name"], "trend.drift.name", "no logarithm without a background")
    _expect(len(set(names)) == len(names), names, "trend.drift.name", "each once")


def _rises(values: Sequence[float], *, strictly: bool = False) -> bool:
    steps = np.diff(values)
    return len(values) > 0 and bool((steps > 0).all() if strictly else (steps >= 0).all())


def _is_time(text: str) -> bool:
    try:
        return not math.isnan(np.datetime64(text, "s").astype(float))
    except ValueError:
        return False
