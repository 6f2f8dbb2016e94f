"""Points as users have them pair by their labels; what does not pair is refused with code that does."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import xaq
from xaq.errors import GridError
from xaq.stations.points import pair_points


def along(values, dim="home", labels=None):
    return xr.DataArray(values, dims=dim, coords=None if labels is None else {dim: labels})


def series(values, labels=None, name=None):
    return pd.Series(values, index=None if labels is None else pd.Index(labels, name=name))


def places(points):
    return list(zip(points.lon.tolist(), points.lat.tolist(), strict=True))


def applied(error, **names):
    """Return lon and lat after what follows ``fix:``."""
    text = str(error.value)
    assert text.count("fix: ") == 1
    scope = {"np": np, "pd": pd, "xr": xr, **names}
    *statements, last = text.split("fix: ")[1].replace(", they look swapped", "").split("; ")
    exec("; ".join(statements), scope)
    last = last.split(", if they pair")[0]
    if last.startswith("lon, lat = "):
        exec(last, scope)
        return scope["lon"], scope["lat"]
    given = eval(f"dict({last})", scope)
    return given.get("lon", scope.get("lon")), given.get("lat", scope.get("lat"))


@pytest.mark.parametrize(
    ("lon", "lat"),
    [
        ([10.0, 10.4], [50.0, 50.4]),
        ((10, 10.4), np.array([50, 50.4])),
        (np.ma.array([10.0, 10.4]), [50.0, 50.4]),
        (along([10.0, 10.4]), along([50.0, 50.4])),
        (along([10.0, 10.4], labels=["x", "y"]), along([50.0, 50.4])),
        (along([10.0, 10.4]), [50.0, 50.4]),
        (series([10.0, 10.4]), series([50.0, 50.4])),
        (series([10.0, 10.4]), along([50.0, 50.4])),
        (pd.array([10.0, 10.4], dtype="Float64"), [50.0, 50.4]),
        (np.array([Decimal(10), 10.4], object), [50.0, 50.4]),
        (along([10.0, 10.4]).chunk(), [50.0, 50.4]),
    ],
)
def test_numbers_pair_by_position(lon, lat):
    assert places(pair_points(lon, lat)) == [(10.0, 50.0), (10.4, 50.4)]


@given(st.permutations(range(5)), st.sampled_from([along, lambda v, d, i: series(v, i, d)]))
def test_labels_pair_in_any_order(order, make):
    lon, lat, ids = np.arange(5.0), 50 + np.arange(5.0), np.array(list("abcde"))
    points = pair_points(make(lon, "home", ids), make(lat[list(order)], "home", ids[list(order)]))
    np.testing.assert_array_equal(points.lat, points.lon + 50)
    assert points.dim == "home"
    assert points.label.values.tolist() == list("abcde")


def test_labels_that_are_the_same_in_the_same_order_pair_even_if_repeated():
    ids = ["a", "b", "b"]
    assert places(pair_points(along([1.0, 2, 3], labels=ids), along([4.0, 5, 6], labels=ids))) == [
        (1, 4),
        (2, 5),
        (3, 6),
    ]


def test_rows_of_a_filtered_table_keep_their_labels():
    table = pd.DataFrame({"lon": [10.0, 11.0, 12.0], "lat": [50.0, 51.0, 52.0]})
    assert pair_points(table.lon, table.lat).label is None
    part = table[table.lon > 10.5]
    points = pair_points(part.lon, part.lat)
    assert (points.dim, points.label.values.tolist()) == ("point", [1, 2])
    levels = part.set_index(pd.MultiIndex.from_arrays([[1, 1], [2, 3]]))
    assert places(pair_points(levels.lon, levels.lat[::-1])) == places(points)


@pytest.mark.parametrize("other", [[50.0, 51.0], along([50.0, 51.0], labels=["a", "b"]), series([50.0, 51.0])])
@pytest.mark.parametrize("one", [10.0, np.float32(10), np.array(10.0), xr.DataArray(10.0)])
def test_one_number_goes_with_all_of_the_other(one, other):
    assert places(pair_points(one, other)) == [(10.0, 50.0), (10.0, 51.0)]
    assert pair_points(other, one).dim == pair_points(one, other).dim
    assert places(pair_points(one, one)) == [(10.0, 10.0)]


@pytest.mark.parametrize(
    ("lon", "lat", "says"),
    [
        (along([1.0, 2, 3], labels=list("abc")), along([1.0, 2, 3], labels=list("abd")), "other labels along 'home'"),
        (along([1.0, 2], labels=list("ab")), along([1.0, 2], labels=list("cd")), "other labels"),
        (along([1.0, 2], labels=list("ab")), along([1.0, 2, 3], labels=list("abc")), "other labels"),
        (along([1.0, 2, 3], labels=list("aab")), along([1.0, 2, 3], labels=list("aba")), "more than once"),
        (series([1.0, 2, 3], list("abc")), series([1.0, 2, 3], list("abd")), "other labels"),
        (series([1.0, 2], list("ab")), series([1.0, 2], list("cd")), "other labels"),
        (np.ones((2, 3)), np.ones((2, 3)), r"shape \(2, 3\)"),
        (np.ones((2, 3)), np.ones(3), r"shape \(2, 3\)"),
        (along(np.ones((2, 2)), ("y", "x")), along(np.ones((2, 2)), ("y", "x")), r"shape \(2, 2\)"),
        ([1.0, 2.0], [1.0], "2 longitudes and 1 latitudes"),
        ([10.0, 11.0], [1.0, 2, 3], "2 longitudes and 3 latitudes"),
        ([], [], "no points"),
        (along([]), along([]), "no points"),
        ([10.0, np.nan], [50.0, 50.0], "1 of 2 points have no coordinates.*position 1"),
        ([10.0, None], [50.0, 50.0], "1 of 2 points have no coordinates"),
        (np.array([10.0, np.nan]), np.array([50.0, 50.0]), "1 of 2 points have no coordinates"),
        (np.ma.array([10.0, 999.0], mask=[0, 1]), [50.0, 50.0], "1 of 2 points have no coordinates"),
        (np.ma.array([10, 11, 12], mask=[0, 1, 0]), np.ma.array([5, 6, 7], mask=[1, 0, 0]), "2 of 3 points"),
        (np.array([10.0, 11.0]), np.ma.array([10.0, 10.0], mask=[1, 0]), "1 of 2 points"),
        (pd.array([10.0, pd.NA], dtype="Float64"), [50.0, 50.0], "1 of 2 points"),
        (series([10.0, np.nan]), series([50.0, 50.0]), "1 of 2 points"),
        (series([10.0, np.nan], list("ab"), "h"), series([50.0, 51], list("ba"), "h"), "1 of 2 points"),
        (pd.Series([10, pd.NA], dtype="Int64"), pd.Series([50, 51], dtype="Int64"), "1 of 2 points"),
        (along([10.0, np.nan]), along([50.0, 51.0]), "1 of 2 points"),
        (along([10.0, np.nan], labels=["a", "b"]), along([50.0, 51.0], labels=["b", "a"]), "1 of 2 points"),
        (["10E"], ["50N"], "expected degrees as numbers"),
        (["10.0", "11"], [50.0, 51.0], "lon is .*expected degrees as numbers"),
        ([10.0, 11.0], np.array(["50", "51"], object), "lat is .*expected degrees as numbers"),
        ([True], [50.0], "expected degrees as numbers"),
        ([10.0], np.array(["2020-01-01"], "M8[s]"), "expected degrees as numbers"),
        ([10 + 1j], [50.0], "expected degrees as numbers"),
        ([[1.0], [2.0, 3.0]], [50.0], "expected degrees as numbers"),
        ([object()], [50.0], "expected degrees as numbers"),
        (None, [50.0], "expected degrees as numbers"),
        ({"a": 1}, [50.0], "expected degrees as numbers"),
        (pd.DataFrame({"a": [1.0]}), [50.0], "expected degrees as numbers"),
        (lambda: 0, [50.0], "expected degrees as numbers"),
        ([50.0, 51.0], [110.0, 111.0], "swapped"),
        ([110.0, 10.0], [-999.0, 50.0], "lat reaches -999"),
        ([10.0, 10.0], [50.0, np.inf], "lat reaches inf"),
        ([-999.0, 10.0], [50.0, 50.0], "lon is -999 at 1 of 2"),
        ([1e20, 10.0], [50.0, 50.0], "lon is 1e"),
        ([np.inf, 10.0], [50.0, 50.0], "lon is inf"),
    ],
)  # fmt: skip
def test_what_does_not_pair_is_refused_and_the_advice_pairs_it(lon, lat, says):
    with pytest.raises(GridError, match=says) as error:
        pair_points(lon, lat)
    points = pair_points(*applied(error, lon=lon, lat=lat))
    assert len(points.lon) >= 1


@pytest.fixture(scope="module")
def ds():
    return xaq.datasets.synthetic(n_stations=8, days=1)


def test_estimates_pair_by_label_too(ds):
    lon, lat = along([10.0, 10.4], labels=["x", "y"]), along([50.4, 50.0], labels=["y", "x"])
    made = ds.aq.estimate("idw", lon=lon.assign_coords(home=lon.home.assign_attrs(long_name="h")), lat=lat)
    assert made.lat.sel(home=["x", "y"]).values.tolist() == [50.0, 50.4]
    assert made.home.attrs == {"long_name": "h"}
    expected = ds.aq.estimate("idw", lon=[10.0, 10.4], lat=[50.0, 50.4])
    np.testing.assert_array_equal(made.pm25, expected.pm25)


def test_axes_are_no_points_and_make_a_grid(ds):
    lon, lat = along([10.0, 10.4], "lon", [10.0, 10.4]), along([50.0, 50.4], "lat", [50.0, 50.4])
    with pytest.raises(GridError, match="'lon', lat along 'lat'") as error:
        ds.aq.estimate("idw", lon=lon, lat=lat)
    code = str(error.value).split("fix: ")[1].replace("...", "'idw'")
    assert eval(code, {"ds": ds, "xaq": xaq, "lon": lon, "lat": lat}).pm25.shape == (24, 2, 2)


@pytest.mark.parametrize("dim", ["time", "pm25", "supported", "bnds"])
@pytest.mark.parametrize("labels", [None, ["a", "b"]])
def test_points_along_a_name_of_the_result_are_refused_and_renamed(ds, dim, labels):
    lon, lat = along([10.0, 10.4], dim, labels), along([50.0, 50.4], dim, labels)
    for passed in (
        {"lon": lon, "lat": lat},
        {"lon": lon, "lat": 50.0},
        {"lon": lon.to_series(), "lat": lat.to_series()},
    ):
        with pytest.raises(GridError, match=f"along '{dim}'") as error:
            ds.aq.estimate("idw", **passed)
        renamed = eval(f"dict({str(error.value).split('fix: ')[1]})", dict(passed))
        made = ds.aq.estimate("idw", **{**passed, **renamed})
        assert made.pm25.dims == ("time", "point")
        assert np.isfinite(made.pm25).all()


def test_points_along_a_longitude(ds):
    made = ds.aq.estimate("idw", lon=along([10.0, 10.4], "lon", [10.0, 10.4]), lat=50.0)
    np.testing.assert_array_equal(made.sel(lon=10.4).pm25, ds.aq.estimate("idw", lon=10.4, lat=50.0).pm25[:, 0])


def test_labels_of_a_series_take_the_dimension_of_the_other_argument(ds):
    lon, lat = series([10.0, 10.4], ["x", "y"]), along([50.4, 50.0], labels=["y", "x"])
    for one, other in ((lon, lat), (lon, along([50.0, 50.4]))):
        made = ds.aq.estimate("idw", lon=one, lat=other)
        assert set(made.sizes) == {"time", "home"}
        assert made.lat.sel(home=["x", "y"]).values.tolist() == [50.0, 50.4]


# -- tables ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "end"), [({}, None), ({"freq": "D"}, "period_end")])
def test_a_table_has_one_row_for_each_time_and_point(ds, how, end):
    made = ds.aq.estimate("idw", lon=along([10.0, 10.4]), lat=along([50.0, 50.4]), **how)
    table = made.to_dataframe()
    assert len(table) == made.sizes["time"] * 2
    assert not table.index.duplicated().any()
    assert "bnds" not in made.dims
    assert ("period_end" in table) == (end is not None)
    if end:
        assert (made.period_end - made.time == np.timedelta64(1, "D")).all()


def test_levels_of_an_index_and_other_coordinates_are_kept_in_the_table(ds):
    index = pd.MultiIndex.from_tuples([("A", 1), ("A", 2)], names=["household", "person"])
    lon, lat = pd.Series([10.0, 10.4], index), pd.Series([50.4, 50.0], index[::-1])
    made = ds.aq.estimate("idw", lon=lon, lat=lat)
    assert made.household.values.tolist() == ["A", "A"]
    assert made.person.values.tolist() == [1, 2]
    assert made.lat.values.tolist() == [50.0, 50.4]
    assert {"household", "person"} <= set(made.to_dataframe().columns)
    places = xr.Dataset(
        coords={"longitude": ("i", [10.0, 10.4]), "latitude": ("i", [50.0, 50.4]), "id": ("i", ["x", "y"])}
    )
    made = ds.aq.estimate("idw", lon=places.longitude, lat=places.latitude)
    assert made.id.values.tolist() == ["x", "y"]
    assert not {"longitude", "latitude"} & set(made.coords)


def test_other_coordinates_go_along_with_the_labels(ds):
    """The latitudes come in another order, and the names with them."""
    lon = along([10.0, 10.4], labels=["x", "y"])
    lat = along([50.4, 50.0], labels=["y", "x"]).assign_coords(name=("home", ["Y", "X"]))
    assert ds.aq.estimate("idw", lon=lon, lat=lat).name.values.tolist() == ["X", "Y"]


def test_a_coordinate_that_the_result_has_is_its_own(ds):
    lon = along([10.0, 10.4]).assign_coords(time=("home", [1, 2]), supported=("home", [7, 7]))
    made = ds.aq.estimate("idw", lon=lon, lat=along([50.0, 50.4]))
    assert made.time.dims == ("time",)
    assert made.supported.dtype == bool


def test_points_have_cf_names(ds):
    made = ds.aq.estimate("idw", lon=[10.0], lat=[50.0])
    assert made.lon.attrs["units"] == "degrees_east"
    assert made.lat.attrs["standard_name"] == "latitude"
