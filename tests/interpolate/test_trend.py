"""The trend: divided out of the observations, multiplied into the estimates of any mapper."""

import pickle
from dataclasses import dataclass, replace

import numpy as np
import pytest
from synthetic import scatter

from xaq.errors import ModelError, SchemaError, XaqWarning
from xaq.interpolate.base import Filling, Observations
from xaq.interpolate.classical import InverseDistance, Nearest, OrdinaryKriging
from xaq.interpolate.kriging import Covariance
from xaq.interpolate.site_effect import SiteEffect
from xaq.interpolate.site_predictors import data_digest
from xaq.interpolate.trend import BackgroundFactor, OverTrend, Trend, TrendRecord

LON, LAT = scatter(20, seed=1)
TIMES = np.datetime64("2020-01-01T00", "s") + np.arange(24) * np.timedelta64(3600, "s")
PLACES = np.array([116.1, 116.6, 116.9]), np.array([39.5, 39.9, 40.3])
EFFECT = SiteEffect(
    (0.1, -0.2, 0.05, 0.1), (5.0,) * 3 + (100.0,), (1.0,) * 3 + (80.0,), (-1e9,) * 4, (1e9,) * 4, data_digest()
)
KRIGING = OrdinaryKriging(Covariance(80.0, 0.1, 100.0))


@dataclass(frozen=True)
class Waves:
    """A field that varies in space and time, missing west of a longitude."""

    name: str = "waves"
    units: str = "ug m-3"
    hash: str = "0"
    west: float = -np.inf

    def at(self, lon, lat, times=None):
        hours = (times - TIMES[0]) / np.timedelta64(1, "h")
        values = 30 + 10 * np.sin(3 * np.asarray(lon))[:, None] * np.cos(2 * np.asarray(lat))[:, None] + hours
        return np.where(np.asarray(lon)[:, None] < self.west, np.nan, values).astype("f4")


def observed(values=None, seed=0):
    if values is None:
        values = np.random.default_rng(seed).gamma(4.0, 10.0, (20, 24))
    return Observations(np.asarray(values, "f4"), LON, LAT, TIMES)


TRENDS = {
    "none": Trend(),
    "site effect": Trend(site_effect=EFFECT),
    "background": Trend(background=BackgroundFactor(Waves(), 35.0, 0.8)),
    "both": Trend(BackgroundFactor(Waves(), 35.0, 0.8), EFFECT),
}
each_trend = pytest.mark.parametrize("trend", TRENDS.values(), ids=TRENDS)


@each_trend
@pytest.mark.parametrize("mapper", [KRIGING, InverseDistance(), Nearest()], ids=lambda m: m.name)
def test_any_mapper_maps_ratios_and_its_estimates_are_multiplied(trend, mapper):
    seen, (lon, lat) = observed(), PLACES
    over = OverTrend(mapper, trend)
    made = over.estimate(over.prepare(seen, TIMES[:5]), lon, lat)
    ratios = mapper.estimate(mapper.prepare(trend.remove(seen), TIMES[:5]), lon, lat)
    factor = trend.factor(lon, lat, TIMES[:5])
    np.testing.assert_allclose(made.value, ratios.value * factor, rtol=1e-5)
    if mapper.has_interval:
        np.testing.assert_allclose(made.quantile(0.9), ratios.quantile(0.9) * factor, rtol=1e-5)


@each_trend
def test_a_network_that_is_the_trend_is_mapped_exactly(trend):
    """Observations that are a constant times the trend have the trend everywhere."""
    seen = observed(20.0 * np.broadcast_to(trend.factor(LON, LAT, TIMES), (20, 24)))
    over = OverTrend(KRIGING, trend)
    made = over.estimate(over.prepare(seen, TIMES), *PLACES)
    expected = 20.0 * np.broadcast_to(trend.factor(*PLACES, TIMES), made.value.shape)
    np.testing.assert_allclose(made.value, expected, rtol=1e-4)


@each_trend
def test_filling_writes_what_estimating_returns(trend):
    over = OverTrend(KRIGING, trend)
    assert isinstance(over, Filling)
    prepared = over.prepare(observed(), TIMES[:5])
    made = over.estimate(prepared, *PLACES)
    for factor in (np.array([[1.0], [2.0], [0.5]], "f4"), np.linspace(0.5, 2.0, 15, dtype="f4").reshape(3, 5)):
        fields = np.empty((3, 5, 3), "f4")
        over.fill(fields, prepared, *PLACES, [0.1, 0.9], factor)
        for field, expected in zip(fields, (made.value, made.quantile(0.1), made.quantile(0.9)), strict=True):
            np.testing.assert_allclose(field, (np.maximum(expected, 0) * factor).T, rtol=1e-5)


def test_preparing_reads_the_background_once_and_the_predictors_of_the_stations_once(monkeypatch):
    """Block after block: a background is a window of the user's file, and the predictors take longer than the kriging."""
    reads, places = [], []
    at, of_site = Waves.at, SiteEffect.factor
    monkeypatch.setattr(Waves, "at", lambda self, *args: reads.append(args) or at(self, *args))
    monkeypatch.setattr(SiteEffect, "factor", lambda self, *args: places.append(args) or of_site(self, *args))
    over = OverTrend(KRIGING, TRENDS["both"])
    for first in (0, 6, 12):
        over.prepare(observed(), TIMES[first : first + 6])
    assert (len(reads), len(places)) == (3, 1)


def test_a_trend_travels_after_use():
    over = OverTrend(KRIGING, TRENDS["both"])
    prepared = over.prepare(observed(), TIMES[:5])
    there = pickle.loads(pickle.dumps(over))
    np.testing.assert_array_equal(there.estimate(prepared, *PLACES).value, over.estimate(prepared, *PLACES).value)


def test_a_mapper_that_cannot_explain_says_so():
    over = OverTrend(KRIGING, TRENDS["site effect"])
    with pytest.raises(ModelError, match="fix: model = "):
        over.explain(over.prepare(observed(), TIMES[:1]), 116.4, 39.9)


# -- the background ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slope", [0.5, 1.0])
def test_the_slope_of_a_background_is_found(slope):
    truth = BackgroundFactor(Waves(), 41.5, slope).factor(LON, LAT, TIMES)
    seen = observed(25.0 * truth * np.random.default_rng(0).lognormal(0.0, 0.02, truth.shape))
    assert BackgroundFactor.fit(Waves(), seen).slope == slope


def test_a_background_needs_values_where_stations_observe():
    with pytest.raises(SchemaError, match="no value where and when"):
        BackgroundFactor.fit(Waves(west=200.0), observed())
    with pytest.warns(XaqWarning, match="left out"):
        BackgroundFactor.fit(Waves(west=float(np.sort(LON)[3])), observed())


def test_estimates_are_missing_where_the_background_is():
    over = OverTrend(KRIGING, Trend(background=BackgroundFactor(Waves(west=116.5), 35.0, 1.0)))
    seen = observed()
    east = seen.lon >= 116.5
    seen = replace(seen, values=seen.values[east], lon=seen.lon[east], lat=seen.lat[east])
    made = over.estimate(over.prepare(seen, TIMES[:2]), *PLACES)
    np.testing.assert_array_equal(np.isnan(made.value).all(axis=1), [True, False, False])


# -- what a model keeps --------------------------------------------------------------------------------------------


def test_a_record_survives_json_and_names_its_terms():
    import json
    from dataclasses import asdict

    elevation = {"kind": "raster", "name": "elevation", "units": "m", "hash": "0"}
    drift = (elevation | {"slope": 0.1}, {"kind": "background", "name": "log(background)", "units": "", "slope": 0.2})
    record = TrendRecord({"name": "cams", "slope": 0.5}, EFFECT, drift)
    again = TrendRecord.from_json(json.loads(json.dumps(asdict(record))))
    assert again == record
    found = record.provenance()
    assert list(found) == ["background", "site_effect", "rasters", "drift"]
    assert found["rasters"] == [{"name": "elevation", "units": "m", "hash": "0"}]
    assert found["drift"] == list(drift)
    assert TrendRecord().provenance() == {}
