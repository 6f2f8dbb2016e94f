"""Which stations take part: those that report, by their ids, each once; nothing of a copy is lost."""

import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from synthetic import station_dataset

from xaq.errors import SchemaError, XaqWarning
from xaq.stations import schema, taking_part
from xaq.stations.taking_part import TakingPart


def part_of(ds):
    return TakingPart.of(ds.station.values, ds.lon.values, ds.lat.values, ds.pm25.values)


def with_copy(ds, of, name, north=0.0):
    """Return the network with a copy of a station in the last row, at the same place or some degrees to the north."""
    copy = ds.isel(station=[of]).copy(deep=True).assign_coords(station=[name])
    return xr.concat([ds, copy.assign_coords(lat=copy.lat + north)], "station")


def names(ds, part):
    return ds.station.values[part.kept].tolist()


@given(st.permutations(range(8)), st.lists(st.integers(0, 7), max_size=5, unique=True))
def test_those_that_report_take_part_in_the_order_of_their_ids(order, silent):
    ds = station_dataset(n=8, steps=24).isel(station=order)
    ds.pm25[silent] = np.nan
    part = part_of(ds)
    assert names(ds, part) == sorted(set(ds.station.values) - set(ds.station.values[silent]))
    assert not len(part.copies)
    np.testing.assert_array_equal(part.take(ds.pm25.values), ds.pm25.sortby("station").dropna("station", how="all"))


@given(st.integers(0, 7), st.sampled_from(["copy", "s03b", "zz"]), st.lists(st.booleans(), min_size=48, max_size=48))
def test_a_copy_counts_once_and_gaps_are_filled_from_it(of, name, gone):
    """Each of the two reports part of the record; where both do, they agree, ten steps at least."""
    whole = station_dataset(n=8, steps=24)
    ds = with_copy(whole, of, name, north=0.0003)
    mask = np.array(gone).reshape(2, 24)
    mask[:, :10] = False
    mask[1] &= ~mask[0]
    ds.pm25[[of, -1]] = ds.pm25[[of, -1]].where(~mask)
    part = part_of(ds)
    assert names(ds, part) == whole.station.values.tolist()
    np.testing.assert_array_equal(part.take(ds.pm25.values), whole.pm25)
    lazy = part.of_dataset(ds.chunk({"station": 2, "time": 7}), ["pm25"])
    assert lazy.pm25.chunks is not None
    np.testing.assert_array_equal(lazy.pm25, whole.pm25)


def test_copies_of_copies_that_share_no_step_count_once():
    whole = station_dataset(n=8, steps=60)
    ds = with_copy(with_copy(whole, 2, "b"), 2, "c")
    steps = np.arange(60)
    for row, kept in ((2, steps < 24), (8, (steps > 12) & (steps < 47)), (9, steps > 35)):
        ds.pm25[row] = ds.pm25[row].where(kept)
    part = part_of(ds)
    assert names(ds, part) == whole.station.values.tolist()
    np.testing.assert_array_equal(part.take(ds.pm25.values), whole.pm25)


@pytest.mark.parametrize("together", [[7], [0, 0, 0], [3, 5, 3, 4]], ids=["one step", "zeros", "rounded"])
def test_two_instruments_with_hardly_any_step_in_common_are_no_copies(together):
    """One replaced the other: the few values that both report agree because they are rounded."""
    ds = with_copy(station_dataset(n=8, steps=48), 2, "new")
    n = len(together)
    ds.pm25[2] = ds.pm25[2].where(np.arange(48) < 24 + n)
    ds.pm25[-1] = ds.pm25[-1].where(np.arange(48) >= 24)
    ds.pm25[[2, -1], 24 : 24 + n] = together
    assert not len(part_of(ds).copies)


@given(st.permutations([1, 2, 3, 8, 9]))
def test_what_is_a_copy_of_what_does_not_depend_on_the_order_of_rows(order):
    """Two instruments that differ, and a part of the record in which both agree: it is a copy of the one that reports more."""
    whole = station_dataset(n=8, steps=24)
    ds = with_copy(with_copy(whole, 2, "b"), 2, "c")
    ds.pm25[8] = ds.pm25[8].where(np.arange(24) < 12, ds.pm25[8] + 1).where(np.arange(24) < 20)
    ds.pm25[9] = ds.pm25[9].where(np.arange(24) < 12)
    ds = ds.isel(station=order)
    part = part_of(ds)
    assert len(part.copies) == 1
    assert names(ds, part) == ["b", "s01", "s02", "s03"]


@given(st.permutations(range(10)), st.sampled_from(["0", "copy", "s02b", "zz", "S02", "s02_copy"]))
def test_the_order_is_that_without_copies_whatever_their_names_and_rows(order, name):
    whole = station_dataset(n=8, steps=24)
    ds = with_copy(with_copy(whole, 2, name), 2, "another").isel(station=order)
    assert names(ds, part_of(ds)) == whole.station.values.tolist()


@pytest.mark.parametrize(
    "change",
    [
        lambda ds: ds.pm25.values.__setitem__((-1, 5), ds.pm25.values[-1, 5] * 1.001),
        lambda ds: ds.pm25.values.__setitem__((-1, slice(0, 12)), np.nan) or ds.pm25.values.__setitem__((2, slice(12, 24)), np.nan),
        lambda ds: ds.lat.values.__setitem__(-1, ds.lat.values[-1] + 0.001),
    ],
    ids=["another value", "no step together", "another place"],
)  # fmt: skip
def test_instruments_that_differ_are_no_copies(change):
    ds = with_copy(station_dataset(n=8, steps=24), 2, "copy").copy(deep=True)
    change(ds)
    assert names(ds, part_of(ds)) == sorted(ds.station.values)


def test_the_same_values_in_another_precision_are_copies():
    ds = with_copy(station_dataset(n=8, steps=24), 2, "copy")
    values = ds.pm25.values.astype(float)
    values[-1] *= 1 + 1e-9
    assert len(TakingPart.of(ds.station.values, ds.lon.values, ds.lat.values, values).copies) == 1


def test_those_left_out_are_named_and_none_left_is_an_error():
    ds = schema.conform(with_copy(station_dataset(n=8, steps=24), 2, "copy"))
    ds.pm25[5] = np.inf
    with pytest.warns(XaqWarning) as told:
        seen = taking_part.observed(ds, "pm25")
    assert [str(w.message) for w in told] == [
        "1 station(s) are copies at the same place, and count once: copy of s02",
        "1 station(s) never report 'pm25' in the period and are left out: s05",
    ]
    assert seen.copies == ("copy",)
    ds.pm25[:] = np.nan
    with pytest.raises(SchemaError, match="no observation at any of 9 stations"):
        taking_part.observed(ds, "pm25")


@given(st.sampled_from(["f8", "f4", ">f4", ">f8"]), st.sampled_from("CF"), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_equal_observations_have_equal_bytes(dtype, order, gap):
    plain = station_dataset(n=5, steps=24).pm25.values.copy()
    plain[1, 3] = np.nan
    plain[2, 2] = 0.0
    other = np.array(plain, dtype, order=order)
    other[1, 3], other[2, 2] = gap, -0.0
    other.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = schema.canonical(other)
    assert made.tobytes() == schema.canonical(plain).tobytes()
    # Sums over another layout would be rounded otherwise.
    assert made.flags.c_contiguous
