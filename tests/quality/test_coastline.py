"""Land and sea by the bundled coastline."""

import numpy as np
import pandas as pd
import pytest

from xaq.quality import coastline


@pytest.mark.parametrize(
    ("lon", "lat", "sea"),
    [
        (116.4, 39.9, False), (476.4, 39.9, False), (10.0, 50.0, False), (5.0, 0.0, True), (-30.0, 40.0, True),
        (0.0, -89.0, False), (180.0, 68.0, False), (121.1147, 34.4524, True), (123.0, 25.0, True), (-157.86, 21.31, False),
        (4.0, 53.5, True), (8.65, 50.11, False),
    ],
)  # fmt: skip
def test_land_and_sea(lon, lat, sea):
    assert coastline.at_sea(np.array([lon]), np.array([lat]), 10.0)[0] == sea


def test_the_sea_at_the_date_line_is_the_same_seen_from_both_sides():
    # The box around a place a few kilometres west of Taveuni's share in the western hemisphere reaches across the line.
    lat = np.arange(-17.1, -16.4, 0.02)
    west, east = (coastline.at_sea(np.full(len(lat), x), lat, 30.0) for x in (179.9999, -179.9999))
    np.testing.assert_array_equal(west, east)
    np.testing.assert_array_equal(coastline.at_sea(np.full(len(lat), 180.0), lat, 30.0), east)


def test_two_stations_of_the_national_network_lie_in_the_sea(shared_data):
    """Two of its coordinates disagree with the other public list by more than 100 km, and are wrong."""
    places = pd.read_csv(shared_data / "cnemc_stations" / "stations.csv").dropna(subset=["lon", "lat"])
    wet = coastline.at_sea(places.lon.values, places.lat.values, 10.0)
    assert set(places.id[wet]) == {"1770A", "1995A"}
    assert (places.km_between_sources[wet] > 100).all()
