"""Flags of units and positions: plausible concentrations, stations in other units, swapped coordinates."""

import numpy as np
import pytest
from defects import CLEAN, gas, problems

from xaq.conventions import canonical_units
from xaq.datasets import synthetic


@pytest.mark.parametrize(
    ("name", "scale", "stated", "instead"),
    [
        ("co", 0.03, "ug m-3", "mg m-3"),
        ("co", 30.0, "mg m-3", "ug m-3"),
        ("o3", 0.001, "1e-9", "ppm"),
        ("pm10", 0.001, "ug m-3", "mg m-3"),
    ],
)
def test_a_factor_of_1000_is_reported(name, scale, stated, instead):
    ds = gas(name, CLEAN.pm25.values * np.float32(scale), stated)
    row = ds.aq.check().set_index("problem").loc["units"]
    assert f"'{instead}'" in row.fix or instead in row.finding
    fixed = ds.aq.repair(units={name: instead})
    np.testing.assert_array_equal(fixed[name], ds[name])
    assert fixed[name].units == canonical_units(instead)
    assert "units" not in problems(fixed.aq.check())


def test_co_in_its_units_has_no_findings():
    assert problems(gas("co", CLEAN.pm25.values * np.float32(0.03), "mg m-3").aq.check()) == set()
    assert problems(gas("co", CLEAN.pm25.values * np.float32(30), "ug m-3").aq.check()) == set()


def test_a_station_in_other_units_is_reported_and_converted():
    values = CLEAN.pm25.values * np.float32(0.03)
    values[4] *= 1000
    ds = gas("co", values, "mg m-3")
    report = ds.aq.check().set_index("problem")
    assert "level" not in report.index, "a thousandfold level is other units"
    row = report.loc["units"]
    assert row.examples == "s004"
    assert row.fix == "ds.aq.repair(units={'co': {'s004': 'ug m-3'}})"
    fixed = ds.aq.repair(units={"co": {"s004": "ug m-3"}})
    np.testing.assert_allclose(fixed.co, CLEAN.pm25 * 0.03, rtol=1e-5)
    np.testing.assert_array_equal(fixed.co.drop_sel(station="s004"), ds.co.drop_sel(station="s004"))
    assert fixed.co.dtype == np.float32
    assert problems(fixed.aq.check()) == set()


def test_missing_and_wrong_units():
    assert (CLEAN.drop_attrs().aq.check().severity == "error").sum() == 1
    assert "not units of o3" in gas("o3", CLEAN.pm25.values, "m s-1").aq.check().set_index("problem").finding["units"]


@pytest.mark.parametrize(
    ("lon", "lat"),
    [
        ([-87.65, -85.99, -85.39, -86.26, -86.98, -87.48], [34.76, 33.99, 31.23, 32.41, 34.52, 33.19]),
        ([-118.2, -122.4, -105.0, -74.0, -84.4, -87.6], [34.1, 37.8, 39.7, 40.7, 33.7, 41.9]),
        ([77.2, 72.8, 80.3, 88.4, 78.5, 77.6], [28.6, 19.1, 13.1, 22.6, 17.4, 13.0]),
    ],
    ids=["to Antarctica", "to Antarctica and beyond the pole", "to the sea"],
)
def test_a_whole_network_swapped_below_90_degrees(lon, lat):
    ds = synthetic(n_stations=6, days=2).assign_coords(lon=("station", lon), lat=("station", lat))
    assert not problems(ds.aq.check(), "error")
    swapped_ds = ds.assign_coords(lon=("station", lat), lat=("station", lon))
    assert problems(swapped_ds.aq.check(), "error") == {"swapped"}
    fixed = swapped_ds.aq.repair(swapped="swap")
    np.testing.assert_array_equal(fixed.lon, lon)
    np.testing.assert_array_equal(fixed.lat, lat)


def test_networks_in_antarctica_and_on_ships_are_not_swapped():
    base = synthetic(n_stations=6, days=2)
    antarctica = ([-57.9, -58.98, -62.5, -68.1, -26.2, -8.3], [-62.1, -62.2, -64.8, -67.6, -75.6, -70.7])
    ships = ([-30.0, -35.0, -40.0, -45.0, -38.0, -33.0], [10.0, 15.0, 20.0, 25.0, 30.0, 35.0])
    for lon, lat in (antarctica, ships):
        ds = base.assign_coords(lon=("station", lon), lat=("station", lat))
        assert "swapped" not in problems(ds.aq.check(), "error")


def test_a_whole_network_swapped():
    ds = CLEAN.assign_coords(lon=CLEAN.lon + 100)
    swapped_ds = ds.assign_coords(lon=("station", ds.lat.values), lat=("station", ds.lon.values))
    assert problems(swapped_ds.aq.check(), "error") == {"swapped"}
    fixed = swapped_ds.aq.repair(swapped="swap")
    np.testing.assert_array_equal(fixed.lon, ds.lon)
    np.testing.assert_array_equal(fixed.lat, ds.lat)
