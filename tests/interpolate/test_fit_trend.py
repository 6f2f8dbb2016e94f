"""How a background enters a trend: as a factor below the drift, or as one of the drift's predictors."""

from dataclasses import dataclass

import numpy as np
import pytest
from synthetic import scatter

from xaq.interpolate.base import Observations
from xaq.interpolate.classical import OrdinaryKriging, classical
from xaq.interpolate.fit_trend import fit_trend
from xaq.interpolate.leave_one_out import fit_sill
from xaq.interpolate.site_predictors import site_predictors
from xaq.interpolate.trend import BackgroundFactor

LON, LAT = scatter(60, seed=3)
TIMES = np.datetime64("2020-01-01T00", "s") + np.arange(72) * np.timedelta64(3600, "s")


@dataclass(frozen=True)
class Plumes:
    """A background whose logarithm differs from place to place and reverses with time."""

    name: str = "plumes"
    hash: str = "plumes"

    def at(self, lon, lat, times):
        phase = (times - TIMES[0]) / np.timedelta64(1, "h") / 5.0
        return (20 * np.exp(0.8 * np.sin(91733.0 * lon + 57917.0 * lat)[:, None] * np.cos(phase))).astype("f4")


@dataclass(frozen=True)
class LogBackground:
    """The logarithm of a background as the only predictor."""

    fields: tuple = ()

    def at(self, lon, lat, times, background=None):
        yield np.log(background)

    at_stations = at

    def describe(self):
        return ({"name": "log(background)"},)


def observed(of_background):
    """Return a smooth field times a function of the background."""
    there = Plumes().at(LON, LAT, TIMES).astype(float)
    smooth = 30 + 8 * np.sin(2 * LON)[:, None] * np.cos(2 * LAT)[:, None]
    return Observations((smooth * of_background(there)).astype("f4"), LON, LAT, TIMES)


@pytest.mark.parametrize(
    ("of_background", "is_factor"),
    [(lambda b: b / 20, True), (lambda b: 0.2 + b / 20, True), (lambda b: (b / 20) ** 0.3, False)],
)
def test_a_background_enters_as_kriging_of_the_ratio_errs_least(of_background, is_factor):
    seen = observed(of_background)
    background = BackgroundFactor.fit(Plumes(), seen)
    assert background.slope > 0
    trend = fit_trend(seen, background=background, predictors=LogBackground(), site_effect=False).trend
    assert (trend.background.slope > 0) == is_factor
    assert is_factor or trend.drift.slopes[0] > 0.1


def test_places_without_a_background_have_no_ratio():
    seen = observed(lambda b: (b / 20) ** 0.3)

    class Partial(Plumes):
        def at(self, lon, lat, times):
            values = super().at(lon, lat, times)
            values[lon < np.median(LON), 10:20] = np.nan
            return values

    fitted = fit_trend(
        seen, background=BackgroundFactor(Partial(), 20.0, 0.5), predictors=LogBackground(), site_effect=False
    )
    assert fitted.trend.background.slope == 0
    missing = np.isnan(fitted.ratios.values)
    np.testing.assert_array_equal(missing, np.isnan(Partial().at(LON, LAT, TIMES)))


def test_a_site_effect_leaves_the_range_and_the_nugget_as_they_are():
    """A lasting factor of each place is no reason for another covariance, which a few stations would choose by chance."""
    predictors = site_predictors(LON, LAT)
    lasting = np.exp(
        0.2 * (predictors - predictors.mean(axis=0)) / predictors.std(axis=0) @ np.array([1.0, 0.0, 0.0, -1.0])
    )
    noise = 1 + 0.1 * np.random.default_rng(1).normal(size=(len(LON), len(TIMES)))
    seen = Observations((observed(np.ones_like).values * lasting[:, None] * noise).astype("f4"), LON, LAT, TIMES)
    plain, drift = classical("kriging", seen), classical("kriging-drift", seen)
    again = OrdinaryKriging.fit(drift.trend.remove(seen)).covariance
    same = lambda covariance: (covariance.range_km, covariance.nugget)  # noqa: E731
    assert same(drift.mapper.covariance) == same(plain.covariance) != same(again)
    assert drift.mapper.covariance.sill == pytest.approx(
        fit_sill(drift.trend.remove(seen).values, LON, LAT, plain.covariance).sill
    )
