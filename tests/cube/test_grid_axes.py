"""Grids in any convention of longitude, and of datasets that have no axes in degrees: the advice leads to a cube."""

import re

import numpy as np
import pytest
import rioxarray  # noqa: F401 - registers the .rio accessor
import scipy.interpolate  # noqa: F401
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS, Transformer

import xaq
from xaq.arrays import longitudes
from xaq.cube.grid import Grid
from xaq.errors import GridError

lons = st.integers(-180_000, 179_999).map(lambda n: n / 1e3)
turns = st.integers(-3, 3).map(lambda n: 360.0 * n)


@pytest.fixture(scope="module")
def stations():
    return xaq.datasets.synthetic(n_stations=10, days=1)


def fix_of(error) -> str:
    text = str(error.value)
    assert text.count("fix: ") == 1
    return text.split("fix: ")[1].split(", its longest")[0].split(", they look")[0]


def applied(error, **names):
    """Return what the code after ``fix:`` gives."""
    code = re.sub(r"^(grid|lon|lat|bounds)=", "", fix_of(error))
    return eval(code, {"xaq": xaq, "xr": xr, "np": np, **names})


# -- conventions -------------------------------------------------------------------------------------------------------


@given(st.lists(lons, min_size=1, max_size=8), st.sampled_from([0.1, 0.5, 0.7, 2.5]), st.data())
def test_the_grid_around_a_network_does_not_depend_on_its_convention(lon, spacing, data):
    lat = np.linspace(-10, 10, len(lon))
    mixed = np.array([x + data.draw(turns) for x in lon])
    whole = np.array(lon) % 360
    grids = [Grid.around(x, lat, spacing) for x in (lon, mixed, whole)]
    for grid in grids[1:]:
        assert grid.shape == grids[0].shape
        np.testing.assert_array_equal(grid.lat, grids[0].lat)
        shift = grid.lon - grids[0].lon
        np.testing.assert_allclose(shift, 360 * np.round(shift[0] / 360), atol=1e-9)
    edges = grids[0].bounds()["lon_bnds"].values
    inside = longitudes.nearest_image(mixed, edges[[0, -1], [0, 1]].mean())
    assert (edges[0, 0] <= inside).all()
    assert (inside <= edges[-1, 1]).all()
    assert np.ptp(grids[0].lon) < 360


def test_the_grid_around_a_network_keeps_to_its_convention():
    west, east = (Grid.around([x, x + 20], [30.0, 40.0], 1.0) for x in (-100.0, 260.0))
    assert west.lon[0] < -100
    assert east.lon[0] == pytest.approx(west.lon[0] + 360)
    greenwich = Grid.around([359.5, 0.5], [50.0, 51.0], 0.5)
    assert -2 < greenwich.lon[0] < greenwich.lon[-1] < 2


@pytest.mark.parametrize(
    ("lon", "expected"),
    [
        (np.r_[345.5:360, 0.5:15], np.r_[-14.5:15]),
        (np.r_[175.5:180, -179.5:-174], np.r_[175.5:186]),
        (np.r_[0.5:15, 345.5:360], np.r_[-14.5:15]),
        (np.r_[0.0:360.0:2.5], np.r_[0.0:360.0:2.5]),
        (np.r_[0.0:180.0:2.5, -180.0:0:2.5], np.r_[-180.0:180.0:2.5]),
        (np.r_[370.0:380.0], np.r_[370.0:380.0]),
    ],
)
@pytest.mark.parametrize("backwards", [False, True])
def test_axes_that_wrap_are_unwrapped(lon, expected, backwards):
    lat = np.arange(45.5, 55)
    if not backwards:
        np.testing.assert_allclose(Grid(lon, lat).lon, expected)
    step = -1 if backwards else 1
    grid = Grid.like(xr.Dataset(coords={"lon": lon[::step], "lat": lat[::-step]}))
    np.testing.assert_allclose(grid.lon, expected)
    np.testing.assert_allclose(grid.lat, lat)
    np.testing.assert_allclose(np.diff(grid.bounds()["lon_bnds"].values, axis=1), np.diff(expected)[0])


@pytest.mark.parametrize(
    ("bounds", "lon"),
    [
        ((350, 40, 10, 41), np.r_[350.5:370]),
        ((170, 40, -170, 41), np.r_[170.5:190]),
        ((-10, 40, 10, 41), np.r_[-9.5:10]),
        ((370, 40, 380, 41), np.r_[370.5:380]),
        ((175, 40, 550, 41), None),
        ((-180, 40, 180, 41), np.r_[-179.5:180]),
        ((10, 40, 9, 41), None),
    ],
)
def test_bounds_in_any_convention(bounds, lon):
    if lon is not None:
        np.testing.assert_allclose(Grid.regular(1.0, bounds=bounds).lon, lon)
        return
    with pytest.raises(GridError, match="bounds") as error:
        Grid.regular(1.0, bounds=bounds)
    assert Grid.regular(1.0, bounds=applied(error)).shape[0] > 0


def test_irregular_axes_without_a_hole_are_grids():
    gaussian = np.degrees(np.arcsin(np.polynomial.legendre.leggauss(32)[0]))[::-1]
    stretched = np.cumsum(1.3 ** np.abs(np.arange(-8, 9))) / 10
    made = Grid.like(xr.Dataset(coords={"lon": stretched, "lat": gaussian}))
    np.testing.assert_allclose(made.lat, gaussian[::-1])
    np.testing.assert_allclose(made.lon, stretched)


def test_cells_end_at_the_poles_and_the_seam_of_a_global_grid_is_none():
    made = Grid.like(xr.Dataset(coords={"lon": np.arange(0, 360, 2.5), "lat": np.arange(90, -91, -2.5)}))
    edges = made.bounds()
    assert np.abs(edges["lat_bnds"].values).max() == 90
    assert np.ptp(edges["lon_bnds"].values) == pytest.approx(360)


# -- what is refused, and how to go on -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "axis"), [("lon", np.r_[5.0:12, 30:33]), ("lat", np.r_[40.0:42, 50:57])])
def test_a_hole_is_refused_and_the_longest_part_is_a_grid(name, axis):
    axes = {"lon": np.arange(5.0, 9.0), "lat": np.arange(40.0, 44.0), name: axis}
    with pytest.raises(GridError, match=f"grid {name} has a hole from .* wider than twice the spacing") as error:
        Grid(**axes)
    made = Grid(**axes | {name: applied(error, **axes)})
    assert len(getattr(made, name)) == 7
    for order in (slice(None), slice(None, None, -1)):
        grid = xr.Dataset(coords=axes).isel({name: order})
        with pytest.raises(GridError, match="has a hole") as error:
            Grid.like(grid)
        assert len(getattr(Grid.like(applied(error, grid=grid)), name)) == 7


def test_the_longest_part_of_an_axis_that_wraps_too():
    lon = np.r_[0.0:8, 100:103, 350:360]
    with pytest.raises(GridError, match="lon has a hole from 7 to 100") as error:
        Grid(lon, [50.0, 51.0])
    np.testing.assert_allclose(Grid(applied(error, lon=lon), [50.0, 51.0]).lon, np.r_[-10.0:8])


@pytest.mark.parametrize(
    ("lon", "says"),
    [
        (np.array([1.0, 3.0, 2.0]), "ascending"),
        (np.array([1.0, np.nan, 2.0]), "finite"),
        (np.arange(0.0, 400.0), "more than once around the globe"),
    ],
)
def test_the_advice_on_an_axis_gives_a_grid(lon, says):
    with pytest.raises(GridError, match=says) as error:
        Grid(lon, [50.0, 51.0])
    made = Grid(applied(error, lon=lon), [50.0, 51.0])
    assert set(made.lon) <= set(lon)
    assert len(made.lon) >= 2


def unstructured():
    rng = np.random.default_rng(0)
    return xr.Dataset(coords={"lon": ("cell", rng.uniform(9, 11, 6)), "lat": ("cell", rng.uniform(49, 51, 6))})


def curvilinear():
    x, y = np.meshgrid(np.linspace(9.5, 10.5, 3), np.linspace(49.5, 50.5, 2))
    return xr.Dataset(coords={"nav_lon": (("y", "x"), x + 0.1 * (y - 50)), "nav_lat": (("y", "x"), y)}).assign_coords(
        nav_lon=lambda d: d.nav_lon.assign_attrs(units="degrees_east"),
        nav_lat=lambda d: d.nav_lat.assign_attrs(units="degrees_north"),
    )


@pytest.mark.parametrize("make", [unstructured, curvilinear, lambda: xaq.datasets.synthetic(n_stations=6, days=1)])
def test_points_are_no_grid_and_can_be_estimated(stations, make):
    grid = make()
    with pytest.raises(GridError, match="expected axes of one dimension") as error:
        stations.aq.reanalyze("idw", grid=grid)
    code = fix_of(error).partition("or at them ")
    made = eval((code[2] or code[0]).replace("...", "'idw'"), {"ds": stations, "grid": grid, "np": np})
    assert made.pm25.shape == (24, 6)
    assert np.isfinite(made.pm25).all()


@pytest.mark.parametrize(("turn", "height"), [(0.0, 50.0), (170.0, 0.0), (-355.0, -50.0), (0.0, 89.0)])
def test_the_grid_that_covers_a_curvilinear_one_has_cells_of_its_size(stations, turn, height):
    """A rotated field of 20 by 30 cells of 0.2 degrees, also across the date line and around the pole."""
    row, column = np.mgrid[0:20, 0:30] * 0.2 - np.array([2.0, 3.0])[:, None, None]
    turned = CRS.from_dict(
        {"proj": "ob_tran", "o_proj": "longlat", "o_lon_p": 30.0, "o_lat_p": 90.0 - height, "lon_0": 10.0 + turn}
    )
    lon, lat = Transformer.from_crs(turned, "EPSG:4326", always_xy=True).transform(column, row)
    field = xr.DataArray(np.ones(lon.shape), {"lon": (("y", "x"), lon), "lat": (("y", "x"), lat)}, ("y", "x"))
    with pytest.raises(GridError, match="which covers them") as error:
        stations.aq.reanalyze("idw", grid=field)
    grid = eval(fix_of(error).partition(", which")[0].removeprefix("grid="), {"xaq": xaq})
    assert grid.spacing == pytest.approx(0.2)
    edges = grid.bounds()
    x = longitudes.nearest_image(lon, 0.5 * (grid.lon[0] + grid.lon[-1]))
    for centres, sides in ((x, edges["lon_bnds"]), (lat, edges["lat_bnds"])):
        assert sides.values.min() <= centres.min()
        assert centres.max() <= sides.values.max()
        around = np.ptp(centres) > 350 or centres.max() > 89.0
        assert around or np.ptp(sides.values) < np.ptp(centres) + 4 * grid.spacing


def raster(crs, x=None, y=None):
    y, x = np.linspace(3.0e6, 2.9e6, 5) if y is None else y, np.linspace(4.3e6, 4.4e6, 5) if x is None else x
    return xr.DataArray(np.ones((5, 5)), {"y": y, "x": x}, ("y", "x"), "v").rio.write_crs(crs)


@pytest.mark.parametrize(
    "make",
    [
        lambda: raster("EPSG:3035"),
        lambda: raster("EPSG:3035").to_dataset(),
        lambda: raster("EPSG:3035").to_dataset().drop_vars("v"),
        lambda: raster("EPSG:3035").rename(x="lon", y="lat"),
        lambda: raster("+proj=aeqd +lat_0=50 +lon_0=10 +units=km", np.linspace(-9, 9, 5), np.linspace(40, 60, 5)),
        lambda: raster(
            "+proj=aeqd +lat_0=50 +lon_0=10 +units=km", np.linspace(-9, 9, 5), np.linspace(40, 60, 5)
        ).rename(x="longitude", y="latitude"),
    ],
)
def test_a_projected_raster_is_refused_and_reprojected_it_is_a_grid(make):
    grid = make()
    with pytest.raises(GridError, match="expected longitude and latitude in degrees") as error:
        Grid.like(grid)
    assert "swapped" not in str(error.value)
    made = Grid.like(applied(error, grid=grid))
    assert 40 < made.lat.min() < made.lat.max() < 60
    assert 4 < made.lon.min() < made.lon.max() < 20


@pytest.mark.parametrize("units", [{}, {"units": "m"}])
def test_metres_without_a_crs_are_refused_and_given_one_reprojected(units):
    grid = raster("EPSG:3035").drop_vars("spatial_ref")
    grid = grid.assign_coords(x=grid.x.assign_attrs(units), y=grid.y.assign_attrs(units))
    grid.attrs.pop("grid_mapping", None), grid.encoding.pop("grid_mapping", None)
    with pytest.raises(GridError, match=r"not in degrees .* has no CRS") as error:
        Grid.like(grid)
    made = Grid.like(applied(error, grid=grid, its_crs="EPSG:3035"))
    assert 40 < made.lat.min() < made.lat.max() < 60


def test_a_few_kilometres_do_not_pass_for_degrees():
    axis = ("x", np.linspace(0.0, 20.0, 5), {"units": "km"}), ("y", np.linspace(0.0, 20.0, 5), {"units": "km"})
    with pytest.raises(GridError, match="not in degrees"):
        Grid.like(xr.Dataset(coords={"x": axis[0], "y": axis[1]}))


def test_radians_are_refused_and_converted():
    axes = {"lon": ("lon", [0.1, 0.2], {"units": "radian"}), "lat": ("lat", [0.8, 0.9], {"units": "radian"})}
    grid = xr.Dataset(coords=axes)
    with pytest.raises(GridError, match="radians") as error:
        Grid.like(grid)
    np.testing.assert_allclose(Grid.like(applied(error, grid=grid)).lon, np.degrees([0.1, 0.2]))


@pytest.mark.parametrize(
    ("lon", "says"),
    [(["9.0", "10.0"], "expected degrees as numbers"), ([9.0, np.nan, 10.0], "finite"), ([9.0, 10.0, 9.0], "once")],
)
def test_axes_that_are_no_numbers_or_have_some_twice_are_refused_and_mended(lon, says):
    grid = xr.Dataset(coords={"lon": lon, "lat": [50.0, 51.0]})
    with pytest.raises(GridError, match=says) as error:
        Grid.like(grid)
    assert Grid.like(applied(error, grid=grid)).lon.tolist() == [9, 10]


def test_the_axes_of_a_rotated_pole_are_no_longitudes_and_latitudes():
    crs = "+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=39.25 +lon_0=18 +to_meter=0.0174532925199433"
    grid = xr.DataArray(np.ones((5, 5)), {"y": np.arange(-2.0, 3), "x": np.arange(-6.0, -1)}, ("y", "x"), "v")
    grid = grid.assign_coords(
        x=grid.x.assign_attrs(standard_name="grid_longitude", units="degrees"),
        y=grid.y.assign_attrs(standard_name="grid_latitude", units="degrees"),
    )
    with pytest.raises(GridError, match="not in degrees") as error:
        Grid.like(grid)
    made = Grid.like(applied(error, grid=grid, its_crs=crs))
    assert made.lat.min() > 40


def test_swapped_axes_are_refused_and_exchanged():
    grid = xr.Dataset(coords={"lon": [39.0, 40.0], "lat": [116.0, 117.0]})
    with pytest.raises(GridError, match="swapped") as error:
        Grid.like(grid)
    assert Grid.like(applied(error, grid=grid)).lat.tolist() == [39, 40]
    with pytest.raises(GridError, match="swapped") as error:
        Grid([39.0, 40.0], [116.0, 117.0])
    assert applied(error, lon=[39.0, 40.0], lat=[116.0, 117.0]).lat.tolist() == [39, 40]


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:4269", "OGC:CRS84"])
def test_a_raster_in_degrees_is_a_grid(crs):
    made = Grid.like(raster(crs, np.linspace(9, 11, 5), np.linspace(51, 49, 5)))
    np.testing.assert_allclose(made.lat, np.linspace(49, 51, 5))


def test_axes_by_cf_attributes_or_beside_other_dimensions():
    lon = ("i", [9.0, 10.0, 11.0], {"standard_name": "longitude"})
    lat = ("j", [49.0, 50.0], {"standard_name": "latitude"})
    assert Grid.like(xr.Dataset(coords={"gx": lon, "gy": lat})).shape == (2, 3)


def test_the_grid_around_a_network_on_all_longitudes_covers_them_at_any_spacing():
    lon = np.arange(0.0, 360, 10)
    for spacing in (1.0, 7.0, 11.3):
        grid = Grid.around(lon, np.zeros(36), spacing)
        edges = grid.bounds()["lon_bnds"].values
        assert 360.0 <= edges[-1, 1] - edges[0, 0] < 360.0 + spacing


def test_bounds_beyond_a_pole_are_refused_and_end_there():
    with pytest.raises(GridError, match="from 47 to 95 N") as error:
        Grid.regular(1.0, bounds=(5, 47, 16, 95))
    assert Grid.regular(1.0, bounds=applied(error)).lat[-1] == 89.5


def test_kilometres_beside_a_crs_in_metres_are_converted_and_reprojected():
    axes = {"y": np.arange(5400.0, 5600, 10), "x": np.arange(500.0, 700, 10)}
    grid = xr.DataArray(np.ones((20, 20)), axes, ("y", "x"), "q").rio.write_crs("EPSG:32632")
    for axis in axes:
        grid[axis].attrs["units"] = "km"
    with pytest.raises(GridError, match="in kilometres") as error:
        Grid.like(grid)
    metres = applied(error, grid=grid)
    with pytest.raises(GridError, match="UTM zone 32N") as error:
        Grid.like(metres)
    assert Grid.like(applied(error, grid=metres)).lon.min() == pytest.approx(9.0, abs=0.2)
