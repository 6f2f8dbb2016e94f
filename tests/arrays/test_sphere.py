import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaq.arrays import sphere

lons, lats = st.floats(-180, 180), st.floats(-90, 90)
points = st.lists(st.tuples(lons, lats), min_size=1, max_size=20).map(lambda p: np.array(p).T)


@pytest.mark.parametrize(
    ("a", "b", "km"),
    [
        ((13.405, 52.520), (2.352, 48.857), 878),  # Berlin - Paris
        ((116.407, 39.904), (121.474, 31.230), 1067),  # Beijing - Shanghai
        ((-0.128, 51.507), (151.209, -33.868), 16994),  # London - Sydney
        ((-157.858, 21.307), (174.764, -36.849), 7093),  # Honolulu - Auckland, across the date line
        ((0, 0), (180, 0), np.pi * sphere.EARTH_RADIUS_KM),  # antipodes
        ((0, 90), (123, 90), 0),  # the pole has any longitude
    ],
)
def test_distance_of_known_pairs(a, b, km):
    assert sphere.distance_km(*a, *b) == pytest.approx(km, rel=3e-3, abs=1e-6)


@given(lons, lats, lons, lats)
def test_distance_is_symmetric_and_the_same_after_whole_turns(lon_a, lat_a, lon_b, lat_b):
    d = sphere.distance_km(lon_a, lat_a, lon_b, lat_b)
    assert d == pytest.approx(sphere.distance_km(lon_b, lat_b, lon_a, lat_a), abs=1e-6)
    assert d == pytest.approx(sphere.distance_km(lon_a + 360, lat_a, lon_b - 360, lat_b), abs=1e-5)
    assert 0 <= d <= np.pi * sphere.EARTH_RADIUS_KM + 1e-6


def test_distances_and_neighbours_cross_the_date_line():
    assert sphere.distance_km(179.9, 10, -180.1, 10) == pytest.approx(0, abs=1e-6)
    index, distance = sphere.nearest([179.9, 170.0], [0, 0], [-179.9], [0], k=1)
    assert index.item() == 0
    assert distance.item() == pytest.approx(22.24, abs=0.01)


@given(points, points, st.integers(1, 25))
def test_nearest_equals_brute_force(stations, targets, k):
    index, distance = sphere.nearest(*stations, *targets, k)
    brute = sphere.distance_km(stations[0], stations[1], targets[0][:, None], targets[1][:, None])
    k = min(k, stations.shape[1])
    assert index.shape == distance.shape == (targets.shape[1], k)
    np.testing.assert_allclose(distance, np.sort(brute, axis=1)[:, :k], atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(brute, index, 1), distance, atol=1e-6)
    assert all(len(set(row)) == k for row in index)


def test_pairwise_is_the_distance_among_neighbours():
    lon, lat = np.array([10.0, 11.0, 12.0]), np.array([50.0, 50.5, 49.0])
    d = sphere.pairwise_km(lon, lat, np.array([[2, 0]]))[0]
    assert d[0, 1] == d[1, 0] == pytest.approx(sphere.distance_km(12, 49, 10, 50))
    assert d[0, 0] == d[1, 1] == 0


@pytest.mark.parametrize(
    ("kilometres", "n_groups"),
    [([0, 0.049], 1), ([0, 0.06], 2), ([0, 0.04, 0.08, 0.12], 1), ([0, 0.04, 0.1, 0.14], 2), ([0], 1), ([0, 0, 0], 1)],
)
@pytest.mark.parametrize(("lon", "lat"), [(116.4, 0.0), (10.0, 70.0), (180.0, -33.0)])
def test_colocated_stations_link_into_groups(kilometres, n_groups, lon, lat):
    north = lat + np.array(kilometres) / (np.pi * sphere.EARTH_RADIUS_KM / 180)
    assert len(set(sphere.colocated_groups(np.full(len(north), lon), north))) == n_groups


def test_colocated_stations_across_the_date_line_are_one_group():
    assert len(set(sphere.colocated_groups([180.0, -179.9999], [0.0, 0.0]))) == 1


@given(points, st.integers(-5, 5))
def test_whole_turns_do_not_change_a_bit(points, turns):
    lon, lat = np.round(points, 6)
    here, there = sphere.unit_vectors(lon, lat), sphere.unit_vectors(lon + 360 * turns, lat)
    np.testing.assert_array_equal(here, there)
