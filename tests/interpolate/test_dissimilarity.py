"""Dissimilarity: 0 at a station, large where predictors leave the range of the stations, blind to what has no effect."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from xaq.interpolate.dissimilarity import Dissimilarity, trend_of
from xaq.interpolate.drift import Drift, Scale
from xaq.interpolate.site_effect import SiteEffect
from xaq.interpolate.site_predictors import data_digest, site_predictors
from xaq.interpolate.trend import OverTrend, Trend

RNG = np.random.default_rng(3)
LON, LAT = RNG.uniform(8, 12, 25), RNG.uniform(48, 52, 25)


@dataclass(frozen=True)
class Plane:
    """Predictors that are planes of longitude and latitude, and one in time, which must not be read."""

    in_time: bool = False
    hole: float = np.inf

    fields = ()

    def at(self, lon, lat, times, background):
        yield np.where(lon < self.hole, lon, np.nan)[:, None].astype("f4")
        yield 100.0 * lat[:, None].astype("f4")
        if self.in_time:
            yield np.full((len(lon), len(times)), 1e6, "f4")

    at_stations = at

    def describe(self):
        return ({"name": "east"}, {"name": "north"})


def drift(slopes=(0.1, 0.2), **source):
    return Drift(
        Plane(in_time=len(slopes) > 2, **source),
        (Scale(-9, 9, 1.0), Scale(-9, 9, 100.0), Scale(0, 1, 1.0))[: len(slopes)],
        slopes,
    )


def of(trend, lon=LON, lat=LAT):
    return Dissimilarity.of(trend, lon, lat)


def test_it_is_the_distance_of_weighted_predictors_over_their_mean_distance_among_the_stations():
    x = np.stack([0.1 * LON, 0.2 * LAT], axis=1)
    among = np.linalg.norm(x[:, None] - x, axis=-1)[~np.eye(25, dtype=bool)].reshape(25, 24)
    own = np.sort(among.min(axis=1) / among.mean())
    low, high = np.quantile(own, [0.25, 0.75])
    made = of(Trend(drift=drift()))
    assert made.threshold == pytest.approx(max(min(high + 1.5 * (high - low), own[-1]), 0.02 / among.mean()), rel=1e-4)
    there = np.array([9.0, 20.0]), np.array([50.0, 50.0])
    place = np.stack([0.1 * there[0], 0.2 * there[1]], axis=1)
    expected = np.linalg.norm(place[:, None] - x, axis=-1).min(axis=1) / among.mean()
    np.testing.assert_allclose(made.at(*there), expected, rtol=1e-3)
    np.testing.assert_allclose(made.at(LON, LAT), 0.0, atol=1e-4)
    assert made.at(*there)[1] > made.threshold


def test_a_predictor_without_slope_or_in_time_does_not_count():
    alone = of(Trend(drift=drift((0.1, 0.0))))
    np.testing.assert_allclose(alone.at(LON[:3], LAT[:3] + 30.0), 0.0, atol=1e-4)
    both, timed = of(Trend(drift=drift())), of(Trend(drift=drift((0.1, 0.2, 5.0))))
    there = LON + 1.0, LAT - 2.0
    np.testing.assert_array_equal(timed.at(*there), both.at(*there))
    assert timed.threshold == both.threshold


def test_an_unknown_predictor_counts_as_the_mean_of_the_stations():
    """As in the drift, where it then has no effect."""
    there = np.array([15.0]), np.array([50.0])
    known = LON[LON < 11.0]
    assert 10 < len(known) < len(LON)
    of_known = of(Trend(drift=drift((0.1, 0.0), hole=11.0)), known, LAT[LON < 11.0])
    expected = 0.1 * np.abs(known - known.mean()).min() / of_known.scale
    np.testing.assert_allclose(of_known.at(*there), expected, atol=1e-4)
    np.testing.assert_allclose(of(Trend(drift=drift((0.1, 0.0), hole=11.0))).at(*there), 0.0, atol=1e-6)


def test_it_does_not_depend_on_order_longitudes_or_copies_of_stations():
    trend = Trend(site_effect=SiteEffect.from_json({
        "slopes": (0.05, 0.0, 0.02, -0.1), "means": (3.0, 3.0, 3.0, 300.0), "stds": (1.0, 1.0, 1.0, 200.0),
        "lows": (2.0,) * 4, "highs": (9.0, 9.0, 9.0, 900.0), "table": data_digest(),
    }))  # fmt: skip
    there = RNG.uniform(5, 15, 50), RNG.uniform(45, 55, 50)
    made = of(trend)
    order = RNG.permutation(25)
    for other in (
        of(trend, LON[order], LAT[order]), of(trend, LON + 360.0, LAT), of(trend, np.repeat(LON, 2), np.repeat(LAT, 2))
    ):  # fmt: skip
        assert other.threshold == pytest.approx(made.threshold, rel=1e-6)
        np.testing.assert_allclose(other.at(*there), made.at(*there), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(made.at(there[0] - 360.0, there[1]), made.at(*there), rtol=1e-5, atol=1e-6)
    # Summits of the Alps are higher than all stations; the trend clips them, and the dissimilarity does not.
    summit = np.array([10.9]), np.array([46.9])
    assert site_predictors(*summit)[0, 3] > site_predictors(LON, LAT)[:, 3].max() + 500.0
    assert made.at(*summit)[0] > made.threshold


def test_more_stations_never_make_a_place_less_alike_but_for_the_mean_distance_among_them():
    trend = Trend(drift=drift())
    few, all_of_them = of(trend, LON[:15], LAT[:15]), of(trend)
    there = RNG.uniform(5, 15, 50), RNG.uniform(45, 55, 50)
    assert (all_of_them.at(*there) * all_of_them.scale <= few.at(*there) * few.scale + 1e-4).all()


def test_a_trend_that_hardly_differs_between_places_makes_none_unlike_the_stations():
    weak = of(Trend(drift=drift((0.0001, 0.0001))))
    assert (weak.at(LON + 10.0, LAT) < weak.threshold).all()


@pytest.mark.parametrize("n", [1, 2])
def test_few_stations(n):
    made = of(Trend(drift=drift()), LON[:n], LAT[:n])
    assert made.at(LON[:1], LAT[:1])[0] == pytest.approx(0.0, abs=1e-4)
    assert made.threshold >= 0
    assert np.isfinite(made.at(LON[5:], LAT[5:])).all()


def test_there_is_none_without_a_static_predictor_that_has_an_effect():
    class Alone:
        name, has_interval, margin_days = "alone", False, (0, 0)

        def prepare(self, observations, times): ...

        def estimate(self, prepared, lon, lat): ...

    effect = SiteEffect((0.0,) * 4, (0.0,) * 4, (1.0,) * 4, (0.0,) * 4, (1.0,) * 4, data_digest())
    for trend in (Trend(), Trend(site_effect=effect), Trend(drift=drift((0.0, 0.0, 1.0)))):
        assert trend_of(OverTrend(Alone(), trend), LON, LAT) is None
    assert trend_of(Alone(), LON, LAT) is None
    shown = Trend(site_effect=replace(effect, slopes=(0.0, 0.1, 0.0, 0.0)))
    assert trend_of(OverTrend(Alone(), shown), LON, LAT) is shown
