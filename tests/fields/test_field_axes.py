"""Fields in any convention of longitude, with holes, and without axes: same values, or advice that leads to them."""

import numpy as np
import pandas as pd
import pyproj
import pytest
import rioxarray  # noqa: F401 - registers the .rio accessor
import scipy.interpolate
import xarray as xr
from fixes import fix_of
from hypothesis import given
from hypothesis import strategies as st

import xaq
from xaq.errors import SchemaError
from xaq.fields.gridded import Gridded
from xaq.fields.sample import sample_points

lons = st.integers(-180_000, 179_999).map(lambda n: n / 1e3)
turns = st.integers(-3, 3).map(lambda n: 360.0 * n)
CAMS = np.r_[345.5:360, 0.5:15]


def smooth(lon, lat):
    """Return values that are the same after whole turns."""
    return np.cos(np.radians(lon)) + np.sin(np.radians(2 * lon)) + lat / 10


LATITUDES = np.arange(45.5, 55)


def static(lon, lat=LATITUDES):
    return xr.DataArray(smooth(lon, lat[:, None]), {"lat": lat, "lon": lon}, ("lat", "lon"), "q", {"units": "1"})


def applied(error, **names):
    """Return ``field`` after the statements that follow ``fix:``."""
    text = str(error.value)
    assert text.count("fix: ") == 1
    scope = {"xaq": xaq, "xr": xr, "np": np, "scipy": scipy, **names}
    *statements, last = text.split("fix: ")[1].split("; ")
    exec("; ".join(statements), scope)
    if last.startswith("field = "):
        last = last[len("field = ") :]
    return eval(last, scope)


# -- conventions -------------------------------------------------------------------------------------------------------


def forms(lon):
    """Return the same field in the forms that files have."""
    field = static(lon)
    yield field
    yield static(lon % 360)
    yield static(lon % 360).sortby("lon")
    yield static((lon + 180) % 360 - 180)
    yield static((lon + 180) % 360 - 180).sortby("lon")
    yield static(lon % 360)[:, ::-1]
    yield static(lon + 720)
    yield static(np.asarray(lon % 360, np.float32))
    yield static(lon % 360).chunk(lon=4)
    yield static(lon % 360).rename(lon="x", lat="y").rio.write_crs("EPSG:4326")
    yield static(lon % 360).rename(lon="x", lat="y").rio.write_crs("EPSG:4269")
    yield static(lon % 360).rename(lon="x").assign_coords(lon=("x", lon % 360)).drop_vars("x")


@pytest.mark.parametrize("first", [-14.5, 170.5, 100.5])
@pytest.mark.parametrize("method", ["bilinear", "nearest"])
def test_a_field_gives_the_same_values_in_any_convention(first, method):
    lon = np.arange(first, first + 30)
    rng = np.random.default_rng(0)
    x, y = rng.uniform(first, first + 29, 40), rng.uniform(46, 54, 40)
    x[:4] = first + np.array([3, 3.5, 14.5, 15])
    expected = sample_points(static(lon), x, y, method=method).values
    assert np.isfinite(expected).all()
    for i, field in enumerate(forms(lon)):
        made = sample_points(field, x + 360 * rng.integers(-2, 3, 40), y, method=method)
        np.testing.assert_allclose(made, expected, atol=2e-4, err_msg=str(i))


@given(st.lists(st.tuples(lons, turns), min_size=1, max_size=6), st.sampled_from([0.0, -180.0, -170.0, 350.0, 720.0]))
def test_a_field_around_the_globe_has_no_seam(points, first):
    lon, turn = np.array(points).T
    axis = np.arange(first, first + 360, 10.0)
    expected = np.interp((lon + 180) % 360, np.arange(0, 361, 10.0), smooth(np.arange(-180.0, 181, 10), 50.0))
    made = sample_points(static(axis), lon + turn, np.full(len(lon), 50.0))
    np.testing.assert_allclose(made, expected, atol=1e-4)
    wrapped = sample_points(static((axis + 180) % 360 - 180), lon, np.full(len(lon), 50.0))
    np.testing.assert_allclose(wrapped, expected, atol=1e-4)


def test_a_projected_field_is_read_at_any_number_of_turns():
    y, x = np.arange(5.4e6, 5.6e6, 1e4), np.arange(5e5, 7e5, 1e4)
    field = xr.DataArray(x + 0 * y[:, None], {"y": y, "x": x}, ("y", "x"), "east").rio.write_crs("EPSG:32632")
    made = sample_points(field, 10.0 + 360.0 * np.arange(-3, 4), np.full(7, 50.0))
    np.testing.assert_allclose(made, 571_666, rtol=1e-5)


def test_a_field_is_the_same_field_in_any_convention():
    for first in (-14.5, 170.5):
        lon = np.arange(first, first + 30)
        same = [static(lon).assign_coords(lon=axis) for axis in (lon, lon % 360, lon + 360)]
        same.append(same[1].sortby("lon"))
        assert len({Gridded.of(field).hash for field in same}) == 1
    world = np.arange(0.0, 360, 10)
    assert Gridded.of(static(world)).hash == Gridded.of(static(world).assign_coords(lon=world - 360)).hash
    rolled = static(world).roll(lon=18, roll_coords=True)
    rolled = rolled.assign_coords(lon=(rolled.lon + 180) % 360 - 180)
    assert Gridded.of(static(world)).hash == Gridded.of(rolled).hash


def test_half_way_between_two_cells_the_nearest_is_the_same_one():
    lon = np.arange(0.0, 10)
    x, y = np.arange(0.5, 9), np.full(9, 50.5)
    expected = sample_points(static(lon), x, y, method="nearest")
    for part in (slice(0, None), slice(1, None), slice(None, None, -1)):
        field = static(lon)[:, part]
        inside = x > float(field.lon.min())
        np.testing.assert_array_equal(sample_points(field, x[inside], y[inside], method="nearest"), expected[inside])


@pytest.mark.parametrize("order", [np.arange(30), np.argsort(CAMS)])
def test_nothing_is_interpolated_across_the_rest_of_the_globe(order):
    field = static(CAMS[order])
    ds = xaq.datasets.synthetic(n_stations=3, days=1)
    far = ds.assign_coords(lon=("station", [60.0, 100.0, -60.0]), lat=("station", [50.0, 51.0, 49.0]))
    with pytest.raises(SchemaError, match=r"does not cover 3 of 3 stations.*covers -15 to 15"):
        far.aq.sample(field)
    near = far.assign_coords(lon=("station", [0.0, 359.9, -14.4]))
    np.testing.assert_allclose(near.aq.sample(field).q, smooth(near.lon, near.lat), atol=0.01)


def test_a_lazy_field_that_wraps_stays_lazy_and_loads_what_is_needed(no_compute):
    field = static(CAMS).expand_dims(time=pd.date_range("2020-01-01", periods=4, freq="h")).chunk(time=1)
    assert sample_points(field, [0.0], [50.0]).chunks is not None


# -- holes and places that are there twice -------------------------------------------------------------------------------


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(("dim", "part"), [("lon", np.r_[0:4, 12:30]), ("lat", np.r_[0:6, 9:10])])
def test_a_hole_is_refused_and_the_longest_part_is_a_field(dim, part, backwards):
    field = static(CAMS).isel({dim: part})
    field = field.isel({dim: slice(None, None, -1)}) if backwards else field
    with pytest.raises(SchemaError, match=f"{dim} axis has a hole .* wider than twice the spacing") as error:
        sample_points(field, [10.0], [48.0])
    made = applied(error, field=field)
    assert made.sizes[dim] == {"lon": 18, "lat": 6}[dim]
    assert sample_points(made, [10.0], [48.0]).item() == pytest.approx(smooth(10.0, 48.0), abs=0.01)


def test_a_projected_axis_has_no_holes_either():
    y, x = np.r_[5.3e6:5.4e6:1e4], np.r_[5e5:6e5:1e4, 8e5:9e5:1e4, 9e5:10e5:1e4]
    field = xr.DataArray(np.ones((10, 30)), {"y": y, "x": x}, ("y", "x"), "h").rio.write_crs("EPSG:32632")
    with pytest.raises(SchemaError, match="x axis has a hole") as error:
        sample_points(field, [14.0], [48.0])
    assert applied(error, field=field).sizes["x"] == 20


def test_one_missing_column_and_irregular_axes_are_interpolated():
    field = static(np.delete(np.arange(0.0, 20), 7), np.degrees(np.arcsin(np.polynomial.legendre.leggauss(64)[0])))
    made = sample_points(field, [7.0, 3.3], [50.0, 10.0])
    np.testing.assert_allclose(made, smooth(np.array([7.0, 3.3]), np.array([50.0, 10.0])), atol=0.01)


def test_a_place_that_an_axis_has_twice_is_refused_and_taken_once():
    lon = np.r_[180.0:361:10, 0.0:181:10]
    with pytest.raises(SchemaError, match="a place more than once") as error:
        sample_points(static(lon), [10.0], [50.0])
    made = applied(error, field=static(lon))
    assert sample_points(made, [355.0, 180.0], [50.0, 50.0]).values == pytest.approx(
        smooth(np.array([355.0, 180.0]), 50.0), abs=0.05
    )


def test_an_axis_that_is_not_sorted_is_sorted_by_the_advice():
    field = static(CAMS)[:, np.random.default_rng(0).permutation(30)]
    with pytest.raises(SchemaError, match="sortby") as error:
        sample_points(field, [10.0], [50.0])
    assert sample_points(applied(error, field=field), [10.0], [50.0]).item() == pytest.approx(smooth(10, 50), abs=0.01)


# -- no axes ---------------------------------------------------------------------------------------------------------------


def points_of(first, *, timed):
    """Return 1,600 values at points, without axes."""
    x, y = np.meshgrid(np.linspace(first, first + 12, 40), np.linspace(45, 55, 40))
    x = x + 0.05 * (y - 50)
    places = {"lon": (("j", "i"), x % 360), "lat": (("j", "i"), y)}
    field = xr.DataArray(smooth(x, y), places, ("j", "i"), "q", {"units": "1"})
    if timed:
        field = field.expand_dims(time=pd.date_range("2020-01-01", periods=3, freq="h"))
    return field.stack(cell=("j", "i")).reset_index("cell").drop_vars(["j", "i"])


@pytest.mark.parametrize("first", [4.0, -6.0])
@pytest.mark.parametrize("timed", [False, True])
def test_points_are_refused_and_regridded(timed, first):
    field = points_of(first, timed=timed)
    with pytest.raises(SchemaError, match="coordinates of points") as error:
        sample_points(field, [first + 6], [50.0])
    made = sample_points(applied(error, field=field), [first + 6.0, first + 3.3], [50.0, 47.0])
    expected = smooth(np.array([first + 6.0, first + 3.3]), np.array([50.0, 47.0]))
    np.testing.assert_allclose(made, np.repeat(expected[:, None], 3, axis=1) if timed else expected, atol=0.02)


def test_points_without_coordinates_are_left_out_first():
    field = points_of(4.0, timed=True)
    field["lon"][125] = np.nan
    with pytest.raises(SchemaError, match="some without a number") as error:
        sample_points(field, [10.0], [50.0])
    placed = applied(error, field=field)
    assert placed.sizes == {"time": 3, "cell": 1599}
    with pytest.raises(SchemaError, match="coordinates of points") as error:
        sample_points(placed, [10.0], [50.0])
    made = sample_points(applied(error, field=placed), [10.0], [50.0])
    np.testing.assert_allclose(made, [[smooth(10.0, 50.0)] * 3], atol=0.02)


def test_projected_axes_that_are_called_lon_and_lat_are_read_by_their_crs():
    axes = {"lat": np.linspace(-300, 300, 61), "lon": np.linspace(-300, 300, 61)}
    field = xr.DataArray(np.tile(axes["lon"], (61, 1)), axes, ("lat", "lon"), "east")
    field = field.rio.write_crs("+proj=aeqd +lat_0=50 +lon_0=10 +units=km")
    with pytest.raises(SchemaError, match="not in degrees") as error:
        sample_points(field, [10.0], [50.0])
    assert sample_points(applied(error, field=field), [11.0], [50.0]).item() == pytest.approx(71.7, abs=0.1)


def test_longitudes_beside_the_axes_of_a_projection_are_axes_too():
    field = static(np.arange(5.0, 15)).rename(lon="x", lat="y")
    field = field.assign_coords(lon=("x", field.x.values), lat=("y", field.y.values))
    mercator = field.assign_coords(x=field.x * 111e3, y=field.y * 200e3).rio.write_crs("EPSG:3395")
    assert sample_points(mercator, [10.0], [50.0]).item() == pytest.approx(smooth(10, 50), abs=0.01)


def test_radians_are_refused_and_converted():
    field = static(np.arange(5.0, 15)).assign_coords(
        lon=("lon", np.radians(np.arange(5.0, 15)), {"units": "radian"}),
        lat=("lat", np.radians(np.arange(45.5, 55)), {"units": "radian"}),
    )
    with pytest.raises(SchemaError, match="radians") as error:
        sample_points(field, [10.0], [50.0])
    assert sample_points(applied(error, field=field), [10.0], [50.0]).item() == pytest.approx(smooth(10, 50), abs=0.01)


@pytest.mark.parametrize("names", [("rlon", "rlat"), ("east", "north")], ids=["by name", "by standard name"])
def test_degrees_of_a_rotated_pole_are_not_to_be_called_longitudes(stations, names):
    """The fix projects; ``lon`` and ``lat`` as names would place the field elsewhere."""
    x, y = names
    pole = {
        "grid_mapping_name": "rotated_latitude_longitude",
        "grid_north_pole_latitude": 39.25,
        "grid_north_pole_longitude": -162.0,
    }
    turned = pyproj.Transformer.from_crs("EPSG:4326", pyproj.CRS.from_cf(pole), always_xy=True)
    east, north = turned.transform(stations.lon.values, stations.lat.values)
    axes = {y: np.linspace(north.min() - 1, north.max() + 1, 20), x: np.linspace(east.min() - 1, east.max() + 1, 20)}
    field = xr.DataArray(np.broadcast_to(axes[x], (20, 20)), axes, (y, x), "blh", {"grid_mapping": "pole"})
    field[x].attrs["standard_name"], field[y].attrs["standard_name"] = "grid_longitude", "grid_latitude"
    with pytest.raises(SchemaError, match="degrees of a rotated pole") as error:
        stations.aq.sample(field)
    ds = xr.Dataset({"pole": ((), 0, pole)})
    fixed = eval(fix_of(error.value), {"field": field, "ds": ds, "pyproj": pyproj})
    np.testing.assert_allclose(stations.aq.sample(fixed).blh, east, rtol=1e-5)
