"""``repair``: what is named is fixed, other values are bit-identical, and ``history`` records each change."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from defects import (
    CLEAN,
    DEFECTS,
    assert_same_bits,
    beijing,
    duplicate_stations,
    duplicate_times,
    far,
    impossible,
    irregular,
    negative,
    off_step,
    problems,
    report_count,
    sea,
    shift_hours,
    spikes,
    spoil,
    stuck,
    swapped,
    units,
    unplaced,
)
from hypothesis import given
from hypothesis import strategies as st

from xaq.errors import SchemaError
from xaq.stations import schema

OF_VALUES = [impossible, negative, stuck, spikes]


@given(st.sets(st.sampled_from(DEFECTS), min_size=1), st.integers(0, 2**16))
def test_any_mixture_is_reported_and_fixed_and_nothing_else_changes(kinds, seed):
    s = spoil(kinds, seed)
    names = {kind.__name__ for kind in kinds}
    before = s.ds.copy(deep=True)
    report = s.ds.aq.check(CLEAN)
    assert names - {"shift_hours"} == problems(report) - {"shift_hours"}
    clock = report.set_index("problem").loc["shift_hours"]
    assert (clock.severity == "warning") == (shift_hours in kinds)

    fixed = s.ds.aq.repair(**s.options)
    assert_same_bits(fixed, s.expected)
    assert problems(fixed.aq.check(CLEAN), "error", "warning") <= ({"silent"} if s.emptied else set())
    assert {line.split(": ")[1] for line in fixed.history.splitlines()} == names
    xr.testing.assert_identical(s.ds, before)


@given(st.sets(st.sampled_from(OF_VALUES), min_size=1), st.sets(st.sampled_from(OF_VALUES)), st.integers(0, 2**16))
def test_only_named_problems_are_fixed(kinds, named, seed):
    s = spoil(kinds, seed)
    options = {kind.__name__: "missing" for kind in named}
    fixed = s.ds.aq.repair(**options)
    changed = ~((fixed.pm25 == s.ds.pm25) | (fixed.pm25.isnull() & s.ds.pm25.isnull()))
    assert fixed.pm25.values[changed.values].size == sum(report_count(s.ds, kind) for kind in kinds & named)
    assert np.isnan(fixed.pm25.values[changed.values]).all()
    assert problems(fixed.aq.check(), "warning") == {kind.__name__ for kind in kinds - named - {negative}}


def test_without_arguments_nothing_changes():
    s = spoil(DEFECTS, seed=5)
    fixed = s.ds.aq.repair()
    xr.testing.assert_identical(fixed, s.ds)
    assert "history" not in fixed.attrs


def test_stations_can_be_dropped_instead_of_corrected():
    s = spoil([unplaced, far, sea], seed=2)
    fixed = s.ds.aq.repair(unplaced="drop", far="drop", sea="drop")
    gone = {*s.options["unplaced"], *s.options["far"], *s.options["sea"]}
    assert set(fixed.station.values) == set(CLEAN.station.values) - gone
    assert_same_bits(fixed, s.expected.sel(station=fixed.station))
    assert all(station in fixed.history for station in gone)


def test_negative_values_can_be_zero():
    s = spoil([negative], seed=4)
    fixed = s.ds.aq.repair(negative="zero")
    lost = s.expected.pm25.isnull()
    assert (fixed.pm25.values[lost.values] == 0).all()
    np.testing.assert_array_equal(fixed.pm25.where(~lost), s.expected.pm25)


def test_a_merge_keeps_the_first_value_that_is_not_missing():
    ds = CLEAN.isel(station=[0, 1, 2, 3]).copy(deep=True)
    ds = ds.assign_coords(station=["a", "b", "a", "c"])
    ds.pm25[0, :5] = np.nan
    fixed = ds.aq.repair(duplicate_stations="merge")
    assert fixed.station.values.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(fixed.pm25[0, :5], ds.pm25[2, :5])
    np.testing.assert_array_equal(fixed.pm25[0, 5:], ds.pm25[0, 5:])


def test_history_is_appended():
    s = spoil([negative], seed=4)
    fixed = s.ds.assign_attrs(history="read from a file").aq.repair(negative="missing")
    first, second = fixed.history.splitlines()
    assert first == "read from a file"
    assert second.startswith("xaq repair: negative: 3 values of pm25 made missing at s0")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"negative": "drop"}, "expected 'missing' or 'zero'; fix: negative='missing'"),
        ({"negative": {"pm25": "zero"}}, "expected 'missing' or 'zero'; fix: negative='missing'"),
        ({"far": "swap"}, "expected 'drop'"),
        ({"units": {"o3": "ppb"}}, "not a pollutant of the dataset"),
        ({"units": {"pm25": "ppb"}}, "not units of pm25"),
        ({"units": {"pm25": {"nowhere": "mg m-3"}}}, "unknown station"),
        ({"unplaced": {"nowhere": (1.0, 2.0)}}, "unknown station"),
        ({"sea": {"s001": (50.0, 100.0)}}, "expected \\(lon, lat\\)"),
        ({"shift_hours": float("nan")}, "number of hours"),
    ],
)
def test_repair_refuses(options, says):
    with pytest.raises(SchemaError, match=says):
        CLEAN.aq.repair(**options)


def test_repairs_of_values_need_regular_timestamps():
    s = spoil([irregular, spikes], seed=1)
    with pytest.raises(SchemaError, match="to the same call"):
        s.ds.aq.repair(spikes="missing")
    with pytest.raises(SchemaError, match="off_step"):
        spoil([off_step], seed=1).ds.aq.repair(irregular="fill")


def test_errors_of_conform_name_a_repair_that_works():
    for defect in (duplicate_stations, off_step, duplicate_times, irregular):
        s = spoil([defect], seed=1)
        with pytest.raises(SchemaError, match=r"fix: ds\.aq\.repair\("):
            schema.conform(s.ds)
        schema.conform(s.ds.aq.repair(**s.options))


def test_repairs_of_timestamps_and_coordinates_compute_nothing(no_compute):
    kinds = [swapped, unplaced, far, sea, units, duplicate_stations, off_step, duplicate_times, irregular, shift_hours]
    s = spoil(kinds, seed=9)
    lazy = s.ds.copy(data={"pm25": s.ds.pm25.chunk(time=50).data})
    assert lazy.aq.repair(**s.options).pm25.chunks is not None


def test_integers_and_transposed_variables():
    ds = CLEAN.assign(pm25=CLEAN.pm25.round().astype("int32").assign_attrs(units="ug m-3").transpose("time", "station"))
    ds.pm25[40:43, 2] = -5
    fixed = ds.aq.repair(negative="missing")
    assert int(fixed.pm25.isnull().sum()) == 3
    np.testing.assert_array_equal(fixed.pm25.fillna(-5), ds.pm25)


def test_wrong_coordinates_of_the_uci_files_are_found_and_corrected(shared_data):
    """Some copies of UCI's files have coordinates in Taiwan, zeros, or none."""
    ds = beijing(shared_data, "beijing12", columns=["pm25"]).isel(time=slice(0, 500))
    lon, lat = ds.lon.values.copy(), ds.lat.values.copy()
    found = {}
    for file in sorted((shared_data / "raw_uci_prsa").glob("*.csv")):
        row = pd.read_csv(file, nrows=1)
        found[row.station[0].lower()] = (row.long[0], row.lat[0])
    found |= {"gucheng": (0.0, 0.0), "tiantan": (121.0, 23.9)}
    for name, place in found.items():
        i = ds.get_index("station").get_loc(name)
        lon[i], lat[i] = place
    bad = ds.assign_coords(lon=("station", lon), lat=("station", lat))
    report = bad.aq.check().set_index("problem")
    assert report.loc["unplaced", "count"] == 2
    assert report.loc["far", "count"] == 2
    for name in found:
        assert report.examples[["unplaced", "far"]].str.contains(name).any()
    right = {name: (float(ds.lon.sel(station=name)), float(ds.lat.sel(station=name))) for name in found}
    xr.testing.assert_equal(bad.aq.repair(unplaced=right), ds)
