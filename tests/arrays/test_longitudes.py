"""Longitudes of any convention: one number for each place, the shortest arc, axes that wrap, holes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaq.arrays import longitudes

turns = st.integers(-5, 5).map(lambda n: 360.0 * n)
#: As people write them; a random double and its image differ by rounding.
lons = st.integers(-180_000_000, 179_999_999).map(lambda n: n / 1e6)
networks = st.lists(lons, min_size=1, max_size=12)


@given(lons, turns)
def test_the_canonical_longitude_is_the_same_number_after_whole_turns(lon, turn):
    assert longitudes.canonical(lon + turn) == longitudes.canonical(lon) == pytest.approx(lon, abs=1e-9)


def test_canonical_longitudes_lie_within_half_a_turn_and_the_date_line_is_in_the_west():
    made = longitudes.canonical([180.0, -180.0, 179.9999999999, 540.0, -1e-12, 359.9])
    np.testing.assert_array_equal(made, [-180.0, -180.0, -180.0, -180.0, 0.0, -0.1])
    assert not np.signbit(made[4])


@pytest.mark.parametrize("lon", [np.nan, np.inf, -999.0, 999.0, 999.9, -9999.0, 9999.0, 1e20])
def test_marks_of_missing_values_are_no_longitudes(lon):
    assert not longitudes.valid(lon)
    assert not longitudes.valid([10.0, lon])[1]


@given(lons, turns)
def test_any_number_of_turns_is_a_longitude(lon, turn):
    assert longitudes.valid(lon + turn) or abs(lon + turn) == 999


@given(st.floats(-180, 360), st.floats(-360, 360))
def test_the_nearest_image_is_a_whole_number_of_turns_away_and_within_half_a_turn(lon, centre):
    image = float(longitudes.nearest_image(lon, centre))
    assert abs(image - centre) <= 180 + 1e-9
    assert (image - lon) / 360 == pytest.approx(round((image - lon) / 360), abs=1e-9)


def test_images_of_stations_on_both_sides_of_the_date_line():
    np.testing.assert_allclose(longitudes.nearest_image([179.5, -179.5, 180.5], 180.0), [179.5, 180.5, 180.5])
    np.testing.assert_allclose(longitudes.nearest_image([179.5, -179.5, 180.5], -179.0), [-180.5, -179.5, -179.5])


# -- the shortest arc ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lon", "unwrapped"),
    [
        ([10.0, 12.0], [10.0, 12.0]),
        ([250.0, 290.0], [250.0, 290.0]),
        ([359.5, 0.5, 1.0], [-0.5, 0.5, 1.0]),
        ([-0.5, 359.75, 0.5], [-0.5, -0.25, 0.5]),
        ([179.0, -179.0], [179.0, 181.0]),
        ([179.0, 181.0], [179.0, 181.0]),
        ([370.0, 12.0], [10.0, 12.0]),
        ([730.0, 732.0], [10.0, 12.0]),
        ([5.0], [5.0]),
        ([], []),
    ],
)
def test_unwrapped_longitudes(lon, unwrapped):
    np.testing.assert_array_equal(longitudes.unwrap(lon), unwrapped)


@given(networks, st.data())
def test_unwrapped_longitudes_are_the_places_on_an_arc_that_does_not_depend_on_the_convention(lon, data):
    mixed = np.array([x + data.draw(turns) for x in lon])
    made = longitudes.unwrap(mixed)
    np.testing.assert_array_equal(longitudes.canonical(made), longitudes.canonical(lon))
    there = np.sort(np.unique(longitudes.canonical(lon)))
    widest = np.diff(there, append=there[0] + 360).max()
    assert np.ptp(made) == pytest.approx(360 - widest, abs=1e-6)
    assert longitudes.canonical(made.min()) == longitudes.canonical(longitudes.unwrap(lon).min())


# -- axes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        (np.r_[345.5:360, 0.5:15], np.r_[-14.5:15]),
        (np.r_[0.5:15, 345.5:360], np.r_[-14.5:15]),
        (np.r_[175.5:180, -179.5:-174], np.r_[175.5:186]),
        (np.r_[14.5:0:-1, 359.5:345:-1], np.r_[-14.5:15]),
        (np.r_[0.0:360.0:10.0], np.r_[0.0:360.0:10.0]),
        (np.r_[-180.0:180.0:10.0], np.r_[-180.0:180.0:10.0]),
        (np.r_[0.0:180.0:10.0, -180.0:0.0:10.0], np.r_[-180.0:180.0:10.0]),
        (np.r_[250.0:290.0], np.r_[250.0:290.0]),
        (np.r_[370.0:380.0], np.r_[370.0:380.0]),
        ([0.0, 359.0], [-1.0, 0.0]),
        (np.r_[0.0:100.0, 120.0:360.0], np.r_[120.0:460.0]),
        ([5.0], [5.0]),
        ([], []),
    ],
)
def test_an_axis_begins_east_of_its_widest_gap(axis, values):
    order, made = longitudes.axis_order(axis)
    np.testing.assert_allclose(made, values, atol=1e-6)
    np.testing.assert_allclose(longitudes.canonical(np.asarray(axis)[order]), longitudes.canonical(made), atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_wrapped_axis_of_any_precision(dtype):
    axis = (np.r_[-14.95:15:0.1] % 360).astype(dtype)
    _, made = longitudes.axis_order(axis)
    np.testing.assert_allclose(made, np.r_[-14.95:15:0.1], atol=1e-4)


@pytest.mark.parametrize(
    ("axis", "after"),
    [
        (np.r_[0:10, 20:30], [9]),
        (np.r_[0:4, 20, 40:43], [3, 4]),
        ([0.0, 1.0, 10.0], [1]),
        (np.r_[0:10, 11:20], []),
        (np.delete(np.arange(0, 3, 0.1, np.float32), 5), []),
        (np.cumsum(1.9 ** np.arange(8)), []),
        (np.r_[0:5, 5:6:0.1, 6:10], []),
        (np.degrees(np.arcsin(np.polynomial.legendre.leggauss(64)[0])), []),
        ([0.0, 300.0], []),
        ([0.0], []),
        ([], []),
    ],
)
def test_holes_are_gaps_wider_than_twice_the_spacing_around_them(axis, after):
    assert longitudes.holes(axis).tolist() == after
