"""The external drift: what must not change an estimate, what it gains where predictors matter, what is unknown."""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from synthetic import scatter

from xaq.errors import SchemaError
from xaq.interpolate.base import Observations
from xaq.interpolate.classical import OrdinaryKriging, classical, drift_kriging
from xaq.interpolate.drift import Drift, centres_at
from xaq.interpolate.explanation import Explanation
from xaq.interpolate.site_effect import SiteEffect, fit_with_folds
from xaq.interpolate.site_predictors import data_digest
from xaq.interpolate.trend import BackgroundFactor, OverTrend, Trend

N, STEPS = 60, 72
LON, LAT = scatter(N + 20, seed=3)
TIMES = np.datetime64("2020-01-01T00", "s") + np.arange(STEPS) * np.timedelta64(3600, "s")
VISIBLE, HIDDEN = slice(0, N), slice(N, None)


def effect_of(seen):
    """Return the site effect that is fitted to observations."""
    return fit_with_folds(seen).effect


def of_place(lon, lat):
    """Return a number of each place with nothing in common with that of its neighbours."""
    return np.sin(91733.0 * lon + 57917.0 * lat)


def hours(times):
    return (times - TIMES[0]) / np.timedelta64(1, "h")


def static(lon, lat, times):
    return of_place(lon, lat)[:, None]


def varying(lon, lat, times):
    """Return a pattern of places that reverses with time."""
    return of_place(lat, lon)[:, None] * np.cos(hours(times) / 5.0)


def noise(seed):
    """Return a predictor that is drawn for each place and time."""

    def predictor(lon, lat, times):
        return np.sin(1e5 * (1 + 0.1 * seed) * of_place(lon, lat)[:, None] + 7.7 * (seed + 1) * hours(times) ** 1.5)

    return predictor


@dataclass(frozen=True)
class Given:
    """Predictors that are functions of place and time; ``in_log`` adds the logarithm of the background."""

    functions: tuple
    in_log: bool = False
    fields: tuple = ()

    def at(self, lon, lat, times, background=None):
        for function in self.functions:
            yield np.asarray(function(lon, lat, times), "f4")
        if self.in_log:
            yield np.log(background)

    at_stations = at

    def describe(self):
        named = [*(function.__name__ for function in self.functions), *(["log(background)"] if self.in_log else [])]
        return tuple({"name": name} for name in named)


def given(*functions):
    return Given(functions)


def base(lon, lat, times):
    """Return a smooth field."""
    return 30 + 8 * np.sin(2 * lon)[:, None] * np.cos(2 * lat)[:, None] + 10 * np.sin(hours(times) / 9.0)


def network(*functions, slope=0.3, gaps=0.1):
    """Return a field multiplied by ``exp(slope x)`` for each predictor: the observed part, and the truth at all places."""
    log_factor = sum((slope * function(LON, LAT, TIMES) for function in functions), np.zeros((len(LON), 1)))
    truth = base(LON, LAT, TIMES) * np.exp(log_factor)
    values = truth.astype("f4")
    values[np.random.default_rng(0).random(values.shape) < gaps] = np.nan
    return Observations(values[VISIBLE], LON[VISIBLE], LAT[VISIBLE], TIMES), truth


def estimated(mapper, seen, times=TIMES):
    """Return estimates at the hidden places."""
    return mapper.estimate(mapper.prepare(seen, times), LON[HIDDEN], LAT[HIDDEN]).value


def error(mapper, seen, truth):
    return float(np.abs(estimated(mapper, seen) - truth[HIDDEN]).mean())


def over(predictors, seen):
    """Return kriging of ratios to a drift alone."""
    trend = Trend(drift=Drift.fit(predictors, seen))
    return OverTrend(OrdinaryKriging.fit(trend.remove(seen)), trend)


# -- laws ----------------------------------------------------------------------------------------------------------


def constant(lon, lat, times):
    """Return the same number everywhere, but for the rounding of an interpolation."""
    return 290.0 + 3e-5 * of_place(lon, lat)[:, None]


def of_time(lon, lat, times):
    return np.broadcast_to(20.0 + 5.0 * np.sin(hours(times)), (len(lon), len(times)))


@pytest.mark.parametrize("says_nothing", [constant, of_time])
def test_a_predictor_that_is_the_same_at_all_places_changes_nothing(says_nothing):
    seen, _ = network(static)
    np.testing.assert_array_equal(
        estimated(over(given(says_nothing), seen), seen), estimated(OrdinaryKriging.fit(seen), seen)
    )
    without, beside = (estimated(over(p, seen), seen) for p in (given(static), given(static, says_nothing)))
    np.testing.assert_allclose(beside, without, rtol=1e-6)


@pytest.mark.parametrize("predictor", [pytest.param(static, marks=pytest.mark.slow), varying])
@pytest.mark.parametrize(
    "change",
    [
        lambda x, times: x + 5.0,
        lambda x, times: 40.0 * x,
        lambda x, times: -x,
        lambda x, times: x + 3.0 * np.sin(hours(times)),
    ],
    ids=["constant added", "scaled", "reversed", "function of time added"],
)
def test_only_differences_between_places_count_in_any_units(predictor, change):
    seen, _ = network(predictor)
    changed = given(lambda lon, lat, times: change(predictor(lon, lat, times), times))
    made, expected = (estimated(over(p, seen), seen) for p in (changed, given(predictor)))
    np.testing.assert_allclose(made, expected, rtol=1e-4)


def test_the_units_of_the_observations_do_not_matter():
    seen, _ = network(static)
    one, other = (Drift.fit(given(static), replace(seen, values=seen.values * by)) for by in (1.0, 1e-3))
    np.testing.assert_allclose(other.slopes, one.slopes, rtol=1e-4)


def test_a_fit_is_the_same_each_time_and_travels():
    seen, _ = network(static, varying)
    mapper, again = (drift_kriging(seen, predictors=given(static, varying)) for _ in range(2))
    assert mapper == again
    prepared = mapper.prepare(seen, TIMES[:5])
    there, moved = pickle.loads(pickle.dumps((mapper, prepared)))
    expected = mapper.estimate(prepared, LON[HIDDEN], LAT[HIDDEN]).value
    np.testing.assert_array_equal(there.estimate(moved, LON[HIDDEN], LAT[HIDDEN]).value, expected)


def test_times_and_places_are_estimated_alike_alone_and_together():
    seen, _ = network(static, varying)
    mapper = drift_kriging(seen, predictors=given(static, varying))
    whole = estimated(mapper, seen)
    np.testing.assert_array_equal(estimated(mapper, seen, TIMES[10:13]), whole[:, 10:13])
    prepared = mapper.prepare(seen, TIMES)
    for place in (0, 7):
        at = mapper.estimate(prepared, LON[HIDDEN][[place]], LAT[HIDDEN][[place]]).value
        np.testing.assert_allclose(at[0], whole[place], rtol=1e-5)


def test_the_factor_has_bounds_however_strong_a_predictor_is():
    drift = Drift(given(static), Drift.fit(given(static), network(static)[0]).scales, (50.0,))
    _, centres = drift.at_stations(LON[VISIBLE], LAT[VISIBLE], TIMES)
    factor = drift.factor(LON[HIDDEN], LAT[HIDDEN], TIMES, centres)
    assert factor.shape == (20, 1)
    assert np.exp(-0.7001) < factor.min() < 0.51
    assert 1.99 < factor.max() < np.exp(0.7001)


def test_values_beyond_those_at_the_stations_count_as_the_most_extreme_there():
    seen, _ = network(static)
    drift = Drift.fit(given(static), seen)
    _, centres = drift.at_stations(seen.lon, seen.lat, TIMES)
    huge = replace(drift, predictors=given(lambda lon, lat, times: np.full((len(lon), 1), 1e6)))
    largest = drift.at_stations(seen.lon, seen.lat, TIMES)[0].max()
    np.testing.assert_allclose(huge.factor(LON[HIDDEN], LAT[HIDDEN], TIMES, centres), largest, rtol=1e-6)


# -- what it gains -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("predictors", [(static,), (varying,), (static, varying)], ids=["static", "varying", "both"])
def test_a_network_that_follows_its_predictors_is_estimated_far_better_than_by_kriging(predictors):
    seen, truth = network(*predictors)
    assert error(drift_kriging(seen, predictors=given(*predictors)), seen, truth) < 0.5 * error(
        OrdinaryKriging.fit(seen), seen, truth
    )


def test_the_slopes_are_those_of_the_network():
    seen, _ = network(static, slope=0.45)
    drift = Drift.fit(given(static), seen)
    # One round of Gauss-Newton ends at 0.39.
    assert drift.slopes[0] / drift.scales[0].std == pytest.approx(0.45, rel=0.07)


def test_predictors_of_noise_in_space_and_time_do_little_harm():
    seen, truth = network(static)
    functions = [noise(seed) for seed in range(4)]
    noisy, plain = (error(over(given(static, *more), seen), seen, truth) for more in (functions, []))
    assert noisy < 1.01 * plain
    seen, truth = network(noise(9))
    assert error(over(given(*functions), seen), seen, truth) < 1.01 * error(OrdinaryKriging.fit(seen), seen, truth)


def test_rasters_of_noise_get_no_slopes_where_places_differ_by_chance():
    """A fixed penalty gives them slopes."""
    seen, _ = network()
    slopes = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        # Site effects that no predictor knows.
        values = seen.values * np.exp(0.25 * rng.normal(size=(N, 1)))
        known = {place: rng.normal(size=3) for place in LON.tolist()}

        def raster(column, known=known):
            return lambda lon, lat, times: np.array([known[x][column] for x in lon.tolist()])[:, None]

        drift = Drift.fit(given(*map(raster, range(3))), replace(seen, values=values.astype("f4")))
        slopes.append(float(np.abs(drift.slopes).max()))
    assert sorted(slopes)[3] == 0
    assert max(slopes) < 0.05


@pytest.mark.parametrize("n", [20, 30])
def test_rasters_of_noise_cost_a_field_in_time_nothing(n):
    """Under a penalty that all predictors share, the rasters take slopes, and the field loses a sixth to all of its own."""

    def raster(number):
        return lambda lon, lat, times: np.sin(1e5 * (1 + 0.1 * number) * of_place(lon, lat)[:, None])

    seen, _ = network(varying)
    rng = np.random.default_rng(1)
    # Site effects that no predictor knows, and noise of each observation.
    values = seen.values[:n] * np.exp(0.15 * rng.normal(size=(n, 1)) + 0.1 * rng.normal(size=(n, STEPS)))
    few = replace(seen, values=values.astype("f4"), lon=seen.lon[:n], lat=seen.lat[:n])
    alone, *_ = Drift.fit(given(varying), few).slopes
    beside, *of_noise = Drift.fit(given(varying, *map(raster, range(6))), few).slopes
    assert beside == pytest.approx(alone, rel=0.02)
    assert not any(of_noise)


def test_as_many_rasters_of_noise_as_stations_are_held_back_by_the_penalty():
    def raster(number):
        return lambda lon, lat, times: np.sin(1e4 * (1 + 0.37 * number) * of_place(lon, lat)[:, None] + number)

    seen, truth = network()
    noisy = seen.values[:8] * np.exp(0.3 * np.random.default_rng(1).normal(size=(8, STEPS)))
    few = replace(seen, values=noisy.astype("f4"), lon=seen.lon[:8], lat=seen.lat[:8])
    mapper = over(given(*map(raster, range(8))), few)
    assert max(map(abs, mapper.trend.drift.slopes)) < 0.1
    assert error(mapper, few, truth) < 1.5 * error(OrdinaryKriging.fit(few), few, truth)


def test_a_faulty_report_moves_no_slope_far():
    seen, _ = network(static)
    values = seen.values.copy()
    values[4, 10] = 1e4
    clean, faulty = (Drift.fit(given(static), replace(seen, values=v)).slopes[0] for v in (seen.values, values))
    assert faulty == pytest.approx(clean, rel=0.1)


def test_a_long_record_is_fitted_to_some_of_its_steps(monkeypatch):
    monkeypatch.setattr("xaq.interpolate.drift._STEPS", 20)
    monkeypatch.setattr("xaq.interpolate.drift._PAIRS", 300)
    read = []

    def watched(lon, lat, times):
        read.append(times)
        return varying(lon, lat, times)

    seen, _ = network(varying)
    drift = Drift.fit(given(watched), seen)
    assert [len(np.unique(times)) for times in read] == [20]
    assert drift.slopes[0] / drift.scales[0].std == pytest.approx(0.3, rel=0.3)


# -- what is unknown -----------------------------------------------------------------------------------------------


def holed(lon, lat, times):
    """Return a predictor that is known neither at every place nor at every time."""
    x = np.broadcast_to(static(lon, lat, times), (len(lon), len(times))).copy()
    x[of_place(lat, 3 * lon) > 0.6] = np.nan
    x[:, hours(times) % 6 == 0] = np.nan
    return x


def test_estimates_are_finite_where_predictors_are_unknown():
    seen, truth = network(static)
    mapper = over(given(holed), seen)
    assert np.isfinite(estimated(mapper, seen)).all()
    assert error(mapper, seen, truth) < 0.95 * error(OrdinaryKriging.fit(seen), seen, truth)


def test_an_unknown_predictor_is_the_mean_of_the_stations():
    seen, _ = network(static)
    drift = Drift.fit(given(static), seen)
    unknown = replace(drift, predictors=given(lambda lon, lat, times: np.full((len(lon), 1), np.nan)))
    _, centres = drift.at_stations(seen.lon, seen.lat, TIMES)
    np.testing.assert_array_equal(unknown.factor(seen.lon, seen.lat, TIMES, centres), 1.0)
    # No station knows it at some step: no place is compared with any.
    factor, centres = replace(drift, predictors=given(holed)).at_stations(seen.lon, seen.lat, TIMES)
    assert (factor[:, hours(TIMES) % 6 == 0] == 1).all()
    assert (factor[:, 1] != 1).any()
    np.testing.assert_array_equal(centres_at(centres, np.array([1]))[0], centres[0][[1]])


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_stations_have_finite_estimates(n):
    seen, _ = network(static, gaps=0.0)
    few = replace(seen, values=seen.values[:n], lon=seen.lon[:n], lat=seen.lat[:n])
    assert np.isfinite(estimated(drift_kriging(few, predictors=given(static, varying)), few)).all()


@pytest.mark.parametrize("lacks", ["observations", "background"])
def test_stations_without_observations_or_background_have_no_part_in_a_fit(lacks):
    seen, _ = network(static, gaps=0.0)
    without = replace(seen, values=seen.values[3:], lon=seen.lon[3:], lat=seen.lat[3:])
    values = seen.values.copy()
    if lacks == "observations":
        values[:3] = np.nan
    field = Waves([], missing=seen.lon[:3] if lacks == "background" else ())
    mapper, expected = (
        drift_kriging(o, background=BackgroundFactor(field, 30.0, 0.5), predictors=Given((static,), in_log=True))
        for o in (replace(seen, values=values), without)
    )
    np.testing.assert_allclose(mapper.trend.drift.slopes, expected.trend.drift.slopes, rtol=1e-5)
    # The means over the stations differ, by which all places are compared alike: next to nothing of that remains.
    made = estimated(mapper, replace(seen, values=values))
    np.testing.assert_allclose(made, estimated(expected, without), rtol=0.01)


def test_without_any_observation_nothing_is_fitted():
    seen, _ = network(static)
    empty = replace(seen, values=np.full_like(seen.values, np.nan))
    for predictors in (None, given(static)):
        with pytest.raises(SchemaError, match="no observation"):
            drift_kriging(empty, predictors=predictors)


def test_a_network_of_zeros_has_no_slopes():
    seen, _ = network(static)
    zeros = replace(seen, values=np.zeros_like(seen.values))
    assert Drift.fit(given(static), zeros).slopes == (0.0,)
    np.testing.assert_array_equal(estimated(drift_kriging(zeros, predictors=given(static)), zeros), 0.0)


# -- among the other terms -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Waves:
    """A background, read as often as it says, without a value at some longitudes."""

    reads: list
    missing: Sequence = ()
    name: str = "waves"
    units: str = "ug m-3"
    hash: str = "0"

    def at(self, lon, lat, times=None):
        self.reads.append(len(lon))
        values = base(np.asarray(lon), np.asarray(lat), times) + 5 * of_place(lon, lat)[:, None]
        return np.where(np.isin(lon, self.missing)[:, None], np.nan, values).astype("f4")


EFFECT = SiteEffect(
    (0.1, -0.2, 0.05, 0.1), (5.0,) * 3 + (100.0,), (1.0,) * 3 + (80.0,), (-1e9,) * 4, (1e9,) * 4, data_digest()
)


def full_trend(seen):
    """Return a trend with every term that divides, the background among the predictors of its drift."""
    background = BackgroundFactor(Waves([]), 30.0, 0.5)
    there = background.field.at(seen.lon, seen.lat, TIMES)
    ratios = replace(seen, values=seen.values / background.of(there))
    drift = Drift.fit(Given((static, varying), in_log=True), ratios, there)
    assert len(drift.slopes) == 3
    assert min(map(abs, drift.slopes)) > 1e-3
    return Trend(background, EFFECT, drift=drift)


def test_every_term_is_divided_out_and_multiplied_in():
    seen, _ = network(static, varying)
    trend = full_trend(seen)
    kriging = OrdinaryKriging.fit(trend.remove(seen))
    mapper, times, places = OverTrend(kriging, trend), TIMES[5:9], (LON[HIDDEN], LAT[HIDDEN])
    prepared = mapper.prepare(seen, times)
    made = mapper.estimate(prepared, *places)
    ratios = kriging.estimate(kriging.prepare(trend.remove(seen), times), *places)
    factor = trend.factor(*places, times, prepared.centres)
    drift = trend.drift.factor(*places, times, prepared.centres, trend.background.field.at(*places, times))
    expected = trend.background.factor(*places, times) * drift * EFFECT.factor(*places)[:, None]
    np.testing.assert_allclose(factor, expected, rtol=1e-6)
    np.testing.assert_allclose(made.value, ratios.value * factor, rtol=1e-5)
    np.testing.assert_allclose(made.quantile(0.9), ratios.quantile(0.9) * factor, rtol=1e-5)
    fields = np.empty((1, len(times), 20), "f4")
    mapper.fill(fields, prepared, *places, [])
    np.testing.assert_allclose(fields[0].T, np.maximum(made.value, 0), rtol=1e-5)


def test_background_and_its_logarithm_are_one_read_of_the_field():
    seen, _ = network(static, varying)
    trend = full_trend(seen)
    mapper, reads = OverTrend(OrdinaryKriging.fit(seen), trend), trend.background.field.reads
    reads.clear()
    prepared = mapper.prepare(seen, TIMES[:6])
    mapper.estimate(prepared, LON[HIDDEN], LAT[HIDDEN])
    assert reads == [N, 20]


@dataclass(frozen=True)
class Mean(OrdinaryKriging):
    """Explains the mean of three stations."""

    def explain(self, prepared, lon, lat):
        index = np.array([0, 1, 2])
        value = prepared.values[index, 0]
        third = np.full(3, 1 / 3)
        mean = float(value.mean())
        return Explanation(index, third, third, value, value, value / 3, third, mean, (), 0.0, 0.0, 0.0, 0.0, 1.0)


def test_an_explanation_is_in_the_units_of_the_target():
    seen, _ = network(static, varying, gaps=0.0)
    trend = full_trend(seen)
    mapper = OverTrend(Mean(OrdinaryKriging.fit(seen).covariance), trend)
    at, lon, lat = TIMES[7:8], LON[-1], LAT[-1]
    prepared = mapper.prepare(seen, at)
    why = mapper.explain(prepared, lon, lat)
    here = trend.factor(np.array([lon]), np.array([lat]), at, prepared.centres)[0, 0]
    np.testing.assert_allclose(why.value, seen.values[:3, 7], rtol=1e-5)
    assert why.contribution.sum() == pytest.approx(here * trend.remove(seen).values[:3, 7].mean(), rel=1e-5)
    raw = seen.values[:3, 7].astype(float)
    assert why.kriging == pytest.approx(raw.mean(), rel=1e-5)
    assert [name for name, _ in why.factors] == ["background", "static", "varying", "log(background)", "site effect"]
    assert why.kriging * np.prod([f for _, f in why.factors]) == pytest.approx(why.contribution.sum(), rel=1e-5)
    places = np.append(LON[:3], lon), np.append(LAT[:3], lat)
    background = trend.background.factor(*places, at)[:, 0]
    assert why.factors[0][1] == pytest.approx(background[3] * (raw / background[:3]).mean() / raw.mean(), rel=1e-5)


def test_without_fields_kriging_with_drift_is_kriging_over_the_site_effect():
    seen, _ = network(static)
    mapper = classical("kriging-drift", seen)
    effect = effect_of(seen)
    trend = Trend(site_effect=effect)
    np.testing.assert_array_equal(
        estimated(mapper, seen), estimated(OverTrend(OrdinaryKriging.fit(trend.remove(seen)), trend), seen)
    )
