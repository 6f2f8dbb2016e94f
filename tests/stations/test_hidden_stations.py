"""The coordinate ``hidden``: truth values along station, whatever wrote them, and a fix that works for anything else."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from synthetic import station_dataset

from xaq.errors import SchemaError
from xaq.stations import schema

N = 6
MARK = np.array([True, False, False, True, False, False])


def marked(values, dims="station"):
    """Return a network whose ``hidden`` holds values."""
    return station_dataset(n=N, steps=24).assign_coords(hidden=(dims, values))


def fixed(ds):
    """Return the dataset after the one fix that the error names."""
    with pytest.raises(SchemaError) as caught:
        schema.conform(ds)
    (problem,) = caught.value.problems
    assert problem.count("fix: ") == 1
    assert problem.startswith("hidden ")
    return eval(problem.split("fix: ")[1], {"ds": ds})


def objects(values):
    made = np.empty(len(values), object)
    made[:] = values
    return made


TRUTHS = {
    "bool": MARK,
    "integers": MARK.astype("i1"),
    "unsigned": MARK.astype("u8"),
    "floats": MARK.astype("f4"),
    "objects": objects(MARK.tolist()),
    "objects of numpy": objects(list(MARK)),
}


@pytest.mark.parametrize("kind", TRUTHS)
def test_truth_values_are_taken_however_they_are_stored(kind):
    ds = schema.conform(marked(TRUTHS[kind]))
    assert ds.hidden.dtype == bool
    np.testing.assert_array_equal(schema.hidden_mask(ds), MARK)
    assert ds.aq.visible.sizes["station"] == 4


WRONG = {
    "NaN among objects": objects([True, False, np.nan, True, None, False]),
    "NaN among floats": np.array([1, 0, np.nan, 1, np.nan, 0]),
    "text": MARK.astype(str),
    "text of objects": objects([str(x) for x in MARK]),
    "text and NaN": objects(["True", "False", np.nan, "True", "False", None]),
    "bytes": MARK.astype("S5"),
    "yes and no": np.where(MARK, "yes", "no"),
    "words": np.where(MARK, "Hidden", ""),
    "other integers": np.where(MARK, 2, 0),
    "negative": np.where(MARK, -1, 0),
    "fractions": np.where(MARK, 0.5, 0.0),
    "fractions and NaN": np.array([0.5, 0, np.nan, 7.0, np.nan, 0]),
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("lazy", [False, True])
def test_anything_else_is_refused_and_the_fix_hides_those_that_were_meant(kind, lazy):
    ds = marked(WRONG[kind])
    if lazy:
        ds = ds.reset_coords("hidden").chunk()
    np.testing.assert_array_equal(fixed(ds).aq.hidden.station, ds.station.values[MARK])


@pytest.mark.parametrize(
    "values",
    [np.where(MARK, "north", "south"), np.arange("2020-01", "2020-07", dtype="M8[M]"), objects([["a"], {}] * 3)],
)
def test_values_that_do_not_say_which_stations_are_meant_are_hidden_anew(values):
    assert fixed(marked(values)).aq.hidden.sizes["station"] == 1


def test_one_value_for_all_stations_is_refused():
    ds = station_dataset(n=N, steps=24)
    assert fixed(ds.assign_coords(hidden=False)).aq.visible.sizes["station"] == N
    for value in (True, "False", np.nan):
        assert fixed(ds.assign_coords(hidden=value)).aq.hidden.sizes["station"] == 1


def test_other_dimensions_are_refused_by_the_names_that_the_user_knows():
    ds = station_dataset(n=N, steps=24).rename(station="site", time="date")
    both = ds.assign_coords(hidden=(("site", "date"), np.repeat(MARK[:, None], 24, axis=1)))
    np.testing.assert_array_equal(fixed(both).aq.hidden.station, ds.site.values[MARK])
    turned = ds.assign_coords(hidden=(("date", "site"), np.repeat(MARK[None], 24, axis=0)))
    np.testing.assert_array_equal(fixed(turned).aq.hidden.station, ds.site.values[MARK])
    along_time = ds.assign_coords(hidden=("date", np.arange(24) % 2 == 0))
    assert fixed(along_time).aq.hidden.sizes["station"] == 1


def test_new_stations_joined_to_hidden_ones_are_visible_after_the_fix():
    ds = station_dataset(n=N, steps=24)
    old, new = ds.isel(station=slice(4)).assign_coords(hidden=("station", MARK[:4])), ds.isel(station=slice(4, None))
    joined = xr.merge([old, new], join="outer", compat="no_conflicts")
    np.testing.assert_array_equal(fixed(joined).aq.hidden.station, ["s00", "s03"])


@given(
    st.lists(
        st.sampled_from([True, False, 0, 1, 1.0, np.nan, None, 2, "True", "False", "", b"no"]), min_size=N, max_size=N
    )
)
def test_a_mask_is_never_made_of_what_is_no_truth_value(values):
    ds = marked(objects(values))
    if all(isinstance(v, (bool, int, float)) and v in (0, 1) for v in values):
        np.testing.assert_array_equal(schema.hidden_mask(schema.conform(ds)), np.array(values, bool))
    else:
        assert schema.hidden_mask(schema.conform(fixed(ds))).dtype == bool
