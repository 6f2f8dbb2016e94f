"""Population density and altitude of places, and the site effect that stations show."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import xaq
from xaq.aqnet.header import recipe_of
from xaq.arrays import sphere
from xaq.errors import ModelError
from xaq.interpolate import site_effect, site_predictors
from xaq.interpolate.base import Observations
from xaq.interpolate.held_out import deal_stations
from xaq.interpolate.kriging import Covariance
from xaq.interpolate.site_effect import fit_with_folds, trusted_fraction
from xaq.interpolate.site_predictors import KERNELS_KM, SITE_PREDICTORS
from xaq.interpolate.trend import Trend, TrendRecord
from xaq.stations import schema

TIMES = np.arange("2020-01-01", "2020-03-01", dtype="datetime64[D]").astype("datetime64[s]")


def effect_of(seen):
    """Return the site effect that is fitted to observations."""
    return fit_with_folds(seen).effect


def germany(n: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(7.5, 13.0, n), rng.uniform(47.8, 53.5, n)


def observed(lon: np.ndarray, lat: np.ndarray, log_level: np.ndarray, seed: int = 0) -> Observations:
    """Return a day's level for all, noise for each, and a lasting level of places."""
    rng = np.random.default_rng(seed)
    day = rng.lognormal(3.0, 0.3, len(TIMES))
    noise = rng.lognormal(0.0, 0.1, (len(lon), len(TIMES)))
    return Observations((day * noise * np.exp(log_level)[:, None]).astype("f4"), lon, lat, TIMES)


def standardised(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    raw = site_predictors.site_predictors(lon, lat)
    return (raw - raw.mean(axis=0)) / raw.std(axis=0)


def test_places_are_what_they_are_known_to_be():
    # Berlin's centre, a field in Brandenburg, the Zugspitze, the North Sea.
    lon, lat = np.array([13.40, 12.60, 10.98, 6.0]), np.array([52.52, 53.10, 47.42, 55.0])
    berlin, field, mountain, sea = site_predictors.site_predictors(lon, lat)
    assert (berlin[:3] > field[:3] + 1).all()
    assert mountain[3] > 1000 > 100 > berlin[3] > -50
    assert sea[:2] == pytest.approx(np.log(10), abs=1e-3)
    assert abs(sea[3]) < 30


@given(st.floats(-180, 180).map(lambda x: round(x, 6)), st.floats(-90, 90), st.integers(-4, 4))
def test_a_place_is_the_same_in_all_conventions_of_longitude(lon, lat, turns):
    here, there = (site_predictors.site_predictors(np.array([x]), np.array([lat])) for x in (lon, lon + 360 * turns))
    np.testing.assert_array_equal(here, there)


def test_the_tables_continue_across_the_date_line_and_at_the_poles():
    # Taveuni and Vanua Levu in Fiji lie on both sides of it.
    lon, lat = np.array([180 - 1e-5, 180.0, -180.0, -180 + 1e-5]), np.full(4, -16.8)
    made = site_predictors.site_predictors(lon, lat)
    assert made[0, 2] > np.log(10) + 1e-3
    np.testing.assert_allclose(made, made[[0]].repeat(4, axis=0), atol=1e-3)
    for pole in (-90.0, 90.0):
        made = site_predictors.site_predictors(np.arange(0.0, 360.0, 30.0), np.full(12, pole))
        np.testing.assert_allclose(made, made[[0]].repeat(12, axis=0), atol=1e-6)


@pytest.mark.parametrize(("scale", "per_degree"), list(zip(KERNELS_KM, site_predictors._NODES_PER_DEGREE, strict=True)))
def test_the_lattice_is_fine_enough(scale, per_degree):
    lon, lat = germany(200, 3)
    linear = site_predictors._log_density(lon, lat, scale, per_degree)
    exact = np.log(10 + site_predictors._density(np.stack([lat, lon], axis=1), scale))
    assert np.abs(linear - exact).mean() < 0.05
    assert np.corrcoef(linear, exact)[0, 1] > 0.995


@given(st.integers(0, 49), st.integers(1, 50))
def test_a_place_is_the_same_whatever_else_is_asked(first, n):
    lon, lat = germany(50)
    part = slice(first, first + n)
    np.testing.assert_array_equal(
        site_predictors.site_predictors(lon[part], lat[part]), site_predictors.site_predictors(lon, lat)[part]
    )


@given(st.floats(-180, 180), st.floats(-90, 90))
def test_every_place_on_earth_has_features_and_so_has_its_image(lon, lat):
    here, image = (
        site_predictors.site_predictors(np.array([x]), np.array([lat]))
        for x in (lon, lon - 360.0 if lon > 0 else lon + 360.0)
    )
    assert np.isfinite(here).all()
    np.testing.assert_allclose(here, image, atol=1e-4)


def test_what_places_are_is_found_again():
    lon, lat = germany()
    slopes = np.array([0.1, 0.0, 0.0, -0.1])
    fitted = effect_of(observed(lon, lat, standardised(lon, lat) @ slopes))
    assert 0.03 < fitted.slopes[0] + fitted.slopes[1] < 0.15
    assert -0.15 < fitted.slopes[3] < -0.03
    there_lon, there_lat = germany(100, 9)
    expected = (site_predictors.site_predictors(there_lon, there_lat) - fitted.means) / fitted.stds @ slopes
    assert np.corrcoef(np.log(fitted.factor(there_lon, there_lat)), expected)[0, 1] > 0.9


def test_only_how_a_place_differs_from_its_neighbours_is_learned_from(monkeypatch):
    """People counted in other units, or an altitude above another sea, add a constant to all: nothing follows from it."""
    lon, lat = germany()
    seen = observed(lon, lat, standardised(lon, lat) @ np.array([0.1, 0.0, 0.05, -0.1]))
    constant = np.array([5.0, -3.0, 20.0, 1000.0])
    before = effect_of(seen)
    factor = before.factor(lon, lat)
    monkeypatch.setattr(
        site_effect, "site_predictors", lambda lon, lat: site_predictors.site_predictors(lon, lat) + constant
    )
    after = effect_of(seen)
    assert np.abs(before.slopes).max() > 0.02
    np.testing.assert_allclose(after.slopes, before.slopes, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(after.factor(lon, lat), factor, rtol=1e-5)


def test_what_a_place_has_in_common_with_its_neighbours_explains_no_error(monkeypatch):
    """People grow from west to east, beside what each place has of its own; both count alike in the observations."""
    lon, lat = germany(300)
    own = np.random.default_rng(1).normal(size=len(lon))
    people = 2.0 * (lon - lon.mean()) / lon.std() + own
    known = np.stack([people, *np.zeros((3, len(lon)))], axis=1)
    monkeypatch.setattr(site_effect, "site_predictors", lambda *_: known)
    fitted = effect_of(observed(lon, lat, 0.05 * people))
    # Per unit; the ridge believes a little less than all.
    assert 0.03 < fitted.slopes[0] / fitted.stds[0] < 0.055


def test_where_places_do_not_matter_next_to_nothing_is_believed():
    lon, lat = germany()
    fitted = effect_of(observed(lon, lat, np.zeros(len(lon))))
    assert np.abs(np.log(fitted.factor(lon, lat))).max() < 0.03


def test_predictions_are_trusted_as_far_as_they_hold_at_many_places():
    rng = np.random.default_rng(0)
    n, place = 60, np.arange(60)
    predicted = rng.normal(0.0, 0.1, n)
    fraction = lambda truth, of=predicted, place=place: trusted_fraction(truth, of, np.ones(len(of)), place)  # noqa: E731
    assert fraction(2.0 * predicted) == 1.0
    assert fraction(0.5 * predicted) == pytest.approx(0.5, abs=0.01)
    assert fraction(-predicted) == 0.0
    # Right, with noise as large: fewer places are trusted less.
    noisy = predicted + rng.normal(0.0, 0.1, n)
    assert fraction(noisy) > 0.7
    noisier = predicted + rng.normal(0.0, 0.3, n)
    assert fraction(noisier) > 0.3
    assert fraction(noisier[:12], predicted[:12], np.arange(12)) == 0.0
    # One place among twenty says it all: what the others say of it is chance.
    alone = np.where(place == 0, 1.0, 1e-3)[:20]
    assert np.mean([fraction(alone + rng.normal(0.0, 0.01, 20), alone, place[:20]) for _ in range(50)]) < 0.2
    assert fraction(predicted, predicted, np.zeros(n, int)) == 0.0


def test_a_dozen_stations_with_lasting_differences_of_their_own_get_no_site_effect():
    """What would be learned from them is chance: in most draws nothing is kept."""
    kept = []
    for seed in range(8):
        lon, lat = germany(14, seed)
        own = np.random.default_rng(seed).normal(0.0, 0.2, 14)
        kept.append(np.abs(np.log(effect_of(observed(lon, lat, own)).factor(lon, lat))).max())
    assert np.median(kept) == 0.0


def test_effects_without_a_fold_do_not_know_its_stations(monkeypatch):
    lon, lat = germany(40)
    seen = observed(lon, lat, standardised(lon, lat) @ np.array([0.1, 0.0, 0.05, -0.1]))
    # What all stations decide together: the covariance, and how far the slopes are trusted.
    monkeypatch.setattr(site_effect.leave_one_out, "fit_covariance", lambda *_, **__: Covariance(200.0, 0.1))
    monkeypatch.setattr(site_effect, "trusted_fraction", lambda *_: 1.0)
    before = fit_with_folds(seen)
    fold_of = deal_stations(lon, lat, 0)
    assert len(before.without) == fold_of.max() + 1
    changed = seen.values.copy()
    changed[fold_of == 3] *= 5.0
    after = fit_with_folds(replace(seen, values=changed))
    assert after.without[3] == before.without[3]
    assert all(after.without[f] != before.without[f] for f in range(10) if f != 3)
    assert after.effect != before.effect


def test_the_level_is_bounded_and_no_place_counts_as_more_than_the_stations():
    lon, lat = germany()
    fitted = replace(effect_of(observed(lon, lat, np.zeros(len(lon)))), slopes=(0.0, 0.0, 0.0, -5.0))
    everywhere = fitted.factor(*(a.ravel() for a in np.meshgrid(np.linspace(-180, 180, 37), np.linspace(-85, 85, 18))))
    assert np.abs(np.log(everywhere)).max() <= 0.3 + 1e-6
    himalaya, highest = fitted.factor(np.array([86.9]), np.array([28.0])), fitted.factor(lon, lat).min()
    assert himalaya[0] == pytest.approx(highest, rel=1e-5)


def test_what_is_the_same_at_all_stations_says_nothing():
    lon, lat = np.full(6, 10.0) + np.arange(6) * 1e-7, np.full(6, 50.0)
    fitted = effect_of(observed(lon, lat, np.zeros(6)))
    np.testing.assert_array_equal(fitted.factor(np.array([13.4, 8.0]), np.array([52.5, 47.0])), 1.0)


def test_gaps_silence_and_a_defect_leave_the_slopes_finite():
    lon, lat = germany(20)
    seen = observed(lon, lat, np.zeros(20))
    seen.values[0], seen.values[1, ::2], seen.values[2], seen.values[:, 5] = np.nan, np.nan, -3.0, np.nan
    assert np.isfinite(effect_of(seen).slopes).all()


@pytest.fixture(scope="module")
def ds():
    return xaq.datasets.load("germany").isel(time=slice(0, 60)).aq.hide(fraction=0.15, seed=1)


@pytest.fixture(scope="module")
def model(ds):
    return ds.aq.train("pm10", max_epochs=0, progress=False)


def test_a_model_has_a_site_effect_unless_told_not_to(ds, model):
    plain = ds.aq.train("pm10", max_epochs=0, geography=False, progress=False)
    assert plain.recipe.trend.site_effect is None
    assert "site effect" not in repr(plain)
    assert SITE_PREDICTORS[-1] in repr(model)
    assert model.hash != plain.hash


def test_a_forecast_has_no_site_effect():
    ds = xaq.datasets.synthetic(n_stations=16, days=60, step="6h")
    assert ds.aq.train("pm25", task="forecast", max_epochs=0, progress=False).recipe.trend.site_effect is None


def test_the_site_effect_multiplies_estimates_of_ratios(ds, model):
    """The estimate of a model is that of one without a site effect, given ratios, times the site effect."""
    seen = schema.observations(ds.aq.visible, "pm10")
    effect = model.recipe.trend.site_effect
    bare = xaq.Model(model.network, replace(model.recipe, trend=TrendRecord()))
    lon, lat = np.array([8.0, 11.3, 13.4]), np.array([50.1, 49.2, 52.5])
    made = model.estimate(model.prepare(seen, ds.time.values), lon, lat)
    ratio = bare.estimate(bare.prepare(Trend(site_effect=effect).remove(seen), ds.time.values), lon, lat)
    factor = effect.factor(lon, lat)[:, None]
    assert np.ptp(factor) > 0.01
    np.testing.assert_allclose(made.value, ratio.value * factor, rtol=1e-5)
    np.testing.assert_allclose(made.quantile(0.95), ratio.quantile(0.95) * factor, rtol=1e-4)


def test_a_station_is_met_near_its_own_place(ds, model):
    """Whatever its site effect: dividing and multiplying cancel where the weights are its own."""
    seen = schema.observations(ds.aq.visible, "pm10")
    np.testing.assert_allclose(
        model.station_series(model.prepare(seen, ds.time.values))[np.isfinite(seen.values)],
        seen.values[np.isfinite(seen.values)], rtol=1e-5,
    )  # fmt: skip


def test_an_explanation_adds_up_and_names_the_site_effect(ds, model):
    timestamp = ds.time.values[30]
    why = ds.aq.explain(model, lon=10.0, lat=48.0, time=timestamp)
    estimate = ds.aq.estimate(model, lon=[10.0], lat=[48.0], time=slice(timestamp, timestamp)).pm10
    assert float(why.contribution.sum()) == pytest.approx(float(estimate.squeeze()), rel=1e-4)
    assert why.term.values.tolist() == ["site effect"]
    assert float(why.factor[0]) != 1.0
    assert float(why.learned) == 0.0
    seen = why.observed.values
    np.testing.assert_allclose(why.value[seen], ds.pm10.sel(station=why.station[seen], time=timestamp), rtol=1e-5)


def test_provenance_names_the_site_effect_and_the_file_keeps_it(ds, model, tmp_path):
    loaded = xaq.load_model(model.save(tmp_path / "model.xaq"))
    assert loaded.recipe.trend.site_effect == model.recipe.trend.site_effect
    cube = ds.aq.reanalyze(loaded, grid=1.0, time="2005-01-01")
    assert '"altitude"' in cube.attrs["xaq_provenance"]


def test_hidden_stations_teach_nothing(ds, model):
    changed = ds.copy(deep=True)
    changed["pm10"][{"station": np.flatnonzero(schema.hidden_mask(schema.conform(ds)))}] = 1e6
    assert (
        changed.aq.train("pm10", max_epochs=0, progress=False).recipe.trend.site_effect
        == model.recipe.trend.site_effect
    )


def test_an_older_file_is_refused_with_what_to_do(model):
    with pytest.raises(ModelError, match=r"format 7.*train it again"):
        recipe_of(json.loads(model.recipe.to_json()) | {"format": 7})


def test_a_model_of_other_data_on_places_is_refused(model):
    with pytest.raises(ModelError, match="other data on population"):
        recipe_of(json.loads(model.recipe.to_json().replace(site_predictors.data_digest(), "0" * 16)))


def test_no_place_is_no_error():
    assert site_predictors.site_predictors(np.empty(0), np.empty(0)).shape == (0, 4)


def test_only_steps_with_reports_are_learned_from():
    lon, lat = germany(20)
    seen = observed(lon, lat, np.zeros(20))
    sparse = np.full((20, 50_000), np.nan, "f4")
    sparse[:, 123 : 123 + len(TIMES)] = seen.values
    there = effect_of(Observations(sparse, lon, lat, TIMES[0] + np.arange(50_000) * np.timedelta64(1, "D")))
    assert there.slopes == effect_of(seen).slopes


def test_settlements_lie_where_they_are():
    """Half a kilometre is what the package's table keeps of a coordinate."""
    world = site_predictors._world()
    largest = np.argsort(world.people)[-200:]
    points = world.settlements.data[largest]
    shanghai = sphere.unit_vectors(121.458, 31.222)
    assert sphere.chord_to_km(np.linalg.norm(points - shanghai, axis=1)).min() < 1.0
