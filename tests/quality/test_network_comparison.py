"""Comparison of two networks: time shift and units."""

import numpy as np
import pytest
import xarray as xr
from defects import CLEAN, HOUR, beijing, gas, problems

import xaq
from xaq.arrays import sphere
from xaq.errors import SchemaError


@pytest.mark.parametrize("hours", [-8, -1, 1, 5])
def test_a_time_shift_between_two_networks_is_found(hours):
    late = CLEAN.assign_coords(time=CLEAN.time + hours * HOUR)
    row = late.aq.check(CLEAN).set_index("problem").loc["shift_hours"]
    assert row.fix.startswith(f"ds.aq.repair(shift_hours={-hours})")
    assert row.fraction == 1
    assert ("end and the start" in row.finding) == (abs(hours) == 1)


def test_without_common_stations_the_means_are_compared():
    here, there = CLEAN.isel(station=slice(0, None, 2)), CLEAN.isel(station=slice(1, None, 2))
    row = here.assign_coords(time=here.time + HOUR).aq.check(there).set_index("problem").loc["shift_hours"]
    assert row.fix.startswith("ds.aq.repair(shift_hours=-1)")
    assert "means of the networks" in row.finding


def test_networks_without_anything_in_common():
    later = CLEAN.assign_coords(time=CLEAN.time + np.timedelta64(400, "D"))
    assert "nothing to compare" in " ".join(CLEAN.aq.check(later).finding)
    daily = xaq.datasets.load("germany")
    assert "nothing to compare" in " ".join(CLEAN.aq.check(daily).finding)
    with pytest.raises(SchemaError, match="other"):
        CLEAN.aq.check(CLEAN.drop_vars("lon"))


def test_another_network_reveals_ppb_labelled_as_mass():
    right = gas("o3", CLEAN.pm25.values, "ug m-3")
    wrong = right.aq.convert_units({"o3": "ppb"})
    wrong.o3.attrs["units"] = "ug m-3"
    assert problems(wrong.aq.check()) == set(), "one network cannot tell"
    row = wrong.aq.check(right).set_index("problem").loc["units"]
    assert row.fix.startswith("ds.aq.repair(units={'o3': 'ppb'})")
    assert problems(wrong.aq.repair(units={"o3": "ppb"}).aq.check(right), "warning") == set()


def test_two_beijing_networks_agree_after_the_repair(shared_data):
    a = beijing(shared_data, "aqi36_stmvl", columns=["pm25"])
    b = beijing(shared_data, "beijing12", columns=["pm25"])
    row = a.aq.check(b).set_index("problem").loc["shift_hours"]
    assert "1 h later" in row.finding
    assert "end and the start" in row.finding
    assert row.fraction == 1
    moved = a.aq.repair(shift_hours=-1)
    assert "agree" in moved.aq.check(b).set_index("problem").finding["shift_hours"]
    # The same monitors under other names: after the repair both files hold the same air.
    nearest, km = sphere.nearest(b.lon, b.lat, moved.lon, moved.lat, 1)
    same = np.flatnonzero(km[:, 0] < 0.1)
    ours, theirs = xr.align(moved.pm25, b.pm25, join="inner", exclude="station")
    left, right = ours.values[same], theirs.values[nearest[same, 0]]
    both = np.isfinite(left) & np.isfinite(right)
    assert len(same) >= 10
    # One file keeps the decimals that the other cuts off.
    assert (np.abs(left - right) < 2)[both].mean() > 0.95
    both = both[:, 1:] & both[:, :-1]
    assert (np.abs(left[:, 1:] - right[:, :-1]) < 2)[both].mean() < 0.5
