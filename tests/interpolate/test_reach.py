"""The default reach: what it is of a known covariance and network, and what it must not depend on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xaq.arrays import sphere
from xaq.interpolate.reach import covariance_reach, default_reach, spacing_reach

#: Kilometres of one degree along the equator.
DEGREE = float(sphere.distance_km(0.0, 0.0, 1.0, 0.0))

places = st.lists(
    st.tuples(st.floats(-179.0, 179.0), st.floats(-70.0, 70.0)), min_size=2, max_size=12, unique=True
).map(lambda pairs: np.array(pairs).round(2).T)  # fmt: skip
ranges = st.floats(1.0, 5_000.0)


def test_at_the_reach_one_station_explains_a_third_of_the_variance_about_the_mean_of_the_network():
    rng = np.random.default_rng(0)
    lon, lat, range_km = rng.uniform(6, 14, 40), rng.uniform(48, 54, 40), 300.0
    distance = sphere.distance_km(lon[:, None], lat[:, None], lon, lat)
    reach = covariance_reach(range_km, lon, lat)
    mean = np.exp(-distance / range_km)[~np.eye(40, dtype=bool)].mean()
    # Fields of that covariance at two places, less a mean with the covariance of an average pair to each.
    between = np.exp(-np.array([[0.0, reach], [reach, 0.0]]) / range_km) - mean
    drawn = rng.multivariate_normal(np.zeros(2), between, 200_000)
    assert np.corrcoef(drawn.T)[0, 1] ** 2 == pytest.approx(1 / 3, abs=0.01)
    assert 0.0 < reach < distance.max()


@given(places, ranges, st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_the_reach_does_not_depend_on_the_order_of_stations_nor_on_how_longitudes_are_counted(at, range_km, random):
    lon, lat = at
    order = random.sample(range(len(lon)), len(lon))
    made = default_reach(range_km, lon, lat)
    assert default_reach(range_km, lon[order], lat[order]) == made
    turned = default_reach(range_km, lon + 360.0, lat)
    assert turned.rule == made.rule
    assert turned.km == pytest.approx(made.km, rel=1e-9)


@given(places, ranges)
@settings(max_examples=50)
def test_colocated_instruments_count_as_one_place(at, range_km):
    lon, lat = at
    twice = default_reach(range_km, np.repeat(lon, 2), np.repeat(lat, 2))
    assert twice.km == pytest.approx(default_reach(range_km, lon, lat).km, rel=1e-6, abs=1e-6)


@given(places, ranges)
@settings(max_examples=50)
def test_the_reach_covers_the_spacing_of_stations_and_grows_with_the_range(at, range_km):
    lon, lat = at
    made, wider = (default_reach(r, lon, lat) for r in (range_km, 2.0 * range_km))
    assert made.km >= spacing_reach(lon, lat) > 0
    assert made.km <= wider.km * (1 + 1e-9)
    assert default_reach(None, lon, lat) == (spacing_reach(lon, lat), "spacing")


def test_the_larger_of_the_two_rules_is_named():
    lon, lat = np.arange(12) * 0.5, np.zeros(12)
    assert default_reach(0.01 * DEGREE, lon, lat) == (pytest.approx(0.5 * DEGREE), "spacing")
    by_covariance = default_reach(20.0 * DEGREE, lon, lat)
    assert by_covariance.rule == "covariance"
    assert 0.5 * DEGREE < by_covariance.km < 3.0 * DEGREE


def test_a_network_of_one_place_has_a_reach():
    assert default_reach(100.0, np.array([5.0, 5.0]), np.array([50.0, 50.0])) == (50.0, "spacing")


def test_the_reach_of_a_large_network_is_that_of_a_part_of_it():
    rng = np.random.default_rng(1)
    lon, lat = rng.uniform(0, 20, 5_000), rng.uniform(40, 55, 5_000)
    assert covariance_reach(300.0, lon[::-1], lat[::-1]) == covariance_reach(300.0, lon, lat)
    assert covariance_reach(300.0, lon, lat) == pytest.approx(
        covariance_reach(300.0, lon[:1_500], lat[:1_500]), rel=0.02
    )
