import re

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from xaq.cube.grid import Grid
from xaq.errors import GridError, XaqWarning

CURVILINEAR = xr.Dataset(coords={name: (("j", "i"), np.ones((2, 2))) for name in ("lon", "lat")})


@pytest.mark.parametrize(
    ("spacing", "bounds", "shape"),
    [
        (0.1, (115.0, 39.0, 118.0, 41.5), (25, 30)),
        (0.5, (5, 47, 7, 48), (2, 4)),
        (1, (-180, -90, 180, 90), (180, 360)),
        (0.25, (179, 0, 181, 1), (4, 8)),
        (0.1, (5.0, 47.0, 5.1, 47.1), (1, 1)),
        (0.1, (5.0, 47.0, 5.1, 48.0), (10, 1)),
    ],
)
def test_cells_of_a_regular_grid_tile_the_bounds(spacing, bounds, shape):
    grid = Grid.regular(spacing, bounds=bounds)
    assert grid.shape == shape
    west, south, east, north = bounds
    edges = grid.bounds()
    for name, low, high in (("lon", west, east), ("lat", south, north)):
        cells = edges[f"{name}_bnds"].values
        np.testing.assert_allclose([cells[0, 0], cells[-1, 1]], [low, high], atol=1e-9)
        np.testing.assert_allclose(cells[1:, 0], cells[:-1, 1], atol=1e-9)
        np.testing.assert_allclose(np.diff(cells, axis=1), spacing, atol=1e-9)


def test_coordinates_read_as_people_write_them():
    assert Grid.regular(0.1, bounds=(7, 47, 8, 48)).lon.tolist()[:3] == [7.05, 7.15, 7.25]


@given(
    st.lists(st.tuples(st.floats(-179, 179), st.floats(-89, 89)), min_size=1, max_size=10),
    st.sampled_from([0.5, 1.0, 2.5]),
)
def test_a_grid_around_stations_holds_them_all_with_a_margin(points, spacing):
    lon, lat = np.array(points).T
    grid = Grid.around(lon, lat, spacing)
    cells = grid.bounds()
    west, east = cells["lon_bnds"].values[[0, -1], [0, 1]]
    south, north = cells["lat_bnds"].values[[0, -1], [0, 1]]
    inside = [any(west < x + turn < east for turn in (0, 360)) for x in lon]
    assert all(inside)
    assert south < lat.min() <= lat.max() < north
    assert (np.diff(grid.lat) > 0).all()
    assert np.abs(cells["lat_bnds"].values).max() <= 90


def test_a_network_on_both_sides_of_the_date_line_gets_a_narrow_grid():
    assert np.ptp(Grid.around([179.0, -179.0], [0.0, 1.0], 0.5).lon) < 5


def test_grids_around_neighbouring_networks_share_cells():
    a, b = (Grid.around([x, x + 2], [48, 50], 0.1) for x in (7.03, 7.91))
    shared = np.intersect1d(a.lon, b.lon)
    assert len(shared) > 5


@pytest.mark.parametrize("names", [("lon", "lat"), ("longitude", "latitude"), ("x", "y")])
def test_like_sorts_another_datasets_axes(names):
    lon, lat = names
    other = xr.DataArray(
        np.zeros((3, 4)), coords={lat: [52.0, 51.0, 50.0], lon: [7.0, 8.0, 9.0, 10.0]}, dims=(lat, lon)
    )
    for source in (other, other.to_dataset(name="v")):
        grid = Grid.of(source, [], [])
        assert grid.lat.tolist() == [50, 51, 52]
        assert grid.lon.tolist() == [7, 8, 9, 10]


def test_cells_of_a_global_model_grid_end_at_the_poles():
    era = xr.Dataset(coords={"longitude": np.arange(0, 360, 2.5), "latitude": np.arange(90, -91, -2.5)})
    edges = Grid.like(era).bounds()["lat_bnds"].values
    assert (edges[0, 0], edges[-1, 1]) == (-90, 90)


def test_of_takes_a_grid_a_spacing_or_a_dataset():
    grid = Grid.regular(0.5, bounds=(5, 47, 7, 48))
    assert Grid.of(grid, [], []) is grid
    for spacing in (1, 1.0, np.float32(1), np.int64(1)):
        assert Grid.of(spacing, [7.0, 9.0], [48.0, 50.0]).shape == (4, 4)


@pytest.mark.parametrize("grid", ["0.1", True, None, (5, 47, 7, 48), [0.1]])
def test_of_refuses(grid):
    with pytest.raises(GridError, match="expected a spacing"):
        Grid.of(grid, [7.0], [48.0])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Grid([2.0, 1.0], [1.0, 2.0]), "ascending"),
        (lambda: Grid([1.0, 1.0], [1.0, 2.0]), "ascending"),
        (lambda: Grid([1.0, np.nan], [1.0, 2.0]), "finite"),
        (lambda: Grid([], [1.0]), "at least one cell"),
        (lambda: Grid([[1.0, 2.0]], [1.0]), "one dimension"),
        (lambda: Grid([39.0, 40.0], [116.0, 117.0]), "swapped"),
        (lambda: Grid.regular(0, bounds=(0, 0, 1, 1)), "above 0"),
        (lambda: Grid.regular(-0.1, bounds=(0, 0, 1, 1)), "above 0"),
        (lambda: Grid.regular(np.nan, bounds=(0, 0, 1, 1)), "above 0"),
        (lambda: Grid.regular(0.1, bounds=(1, 0, 0, 1)), "west < east"),
        (lambda: Grid.regular(0.1, bounds=(0, 1, 1, 0)), "west < east"),
        (lambda: Grid.regular(0.5, bounds=(39, 115, 41, 118)), "swapped"),
        (lambda: Grid.regular(0.1, bounds=(0, 1, 1)), "bounds"),
        (lambda: Grid.regular(1e-4, bounds=(0, 0, 10, 10)), "spacing of .* degrees"),
        (lambda: Grid.around([7.0, 9.0], [48.0, 50.0], 1e-6), "spacing of .* degrees"),
        (lambda: Grid.around([7.0, 9.0], [48.0, 50.0], 0), "above 0"),
        (lambda: Grid.like(xr.Dataset(coords={"u": [1]})), "no lon/lat"),
        (lambda: Grid.like(xr.Dataset(coords={"lon": 7.0, "lat": 50.0})), "one dimension"),
        (lambda: Grid.like(CURVILINEAR), "one dimension"),
    ],
)  # fmt: skip
def test_impossible_grids(make, says):
    with pytest.raises(GridError, match=says):
        make()


def test_the_spacing_that_too_many_cells_suggest_is_accepted():
    bounds = (5.0, 47.0, 16.0, 55.0)
    with pytest.raises(GridError) as error:
        Grid.regular(1e-5, bounds=bounds)
    suggested = float(re.search(r"spacing of (\S+) degrees", str(error.value))[1])
    assert 1e8 < np.prod(Grid.regular(suggested, bounds=bounds).shape) <= 2e8


def test_coords_are_cf():
    coords = Grid.regular(0.5, bounds=(5, 47, 7, 48)).coords()
    assert coords["lon"].attrs["units"] == "degrees_east"
    assert coords["lat"].attrs["axis"] == "Y"
    assert coords["lat"].attrs["bounds"] == "lat_bnds"


def test_the_fix_of_bounds_upside_down_has_the_same_numbers():
    with pytest.raises(GridError, match=r"fix: bounds=\(14, 49, 24, 55\)$"):
        Grid.regular(0.1, bounds=(14, 55, 24, 49))


@pytest.mark.parametrize(("spacing", "extent", "fix"), [(10, 3.0, 0.09), (5, 30.0, 0.045), (1, 0.4, 0.009)])
def test_a_spacing_in_kilometres_gives_a_warning(spacing, extent, fix):
    lon, lat = np.array([-87.0, -87.0 + extent]), np.array([31.0, 31.0 + extent / 2])
    with pytest.warns(XaqWarning, match=f"of {spacing} degrees.*fix: grid={fix} for cells of {spacing} km"):
        Grid.around(lon, lat, spacing)


@pytest.mark.parametrize(("spacing", "extent"), [(1, 1.5), (2.5, 60.0), (0.1, 0.3), (1, 0.0), (5, 360.0)])
def test_coarse_grids_of_large_networks_and_of_one_place_give_no_warning(spacing, extent, recwarn):
    Grid.around(np.array([-170.0, -170.0 + extent / 2, -170.0 + extent]), np.array([31.0, 31.0, 31.0]), spacing)
    assert not recwarn


def test_bounds_with_exchanged_coordinates_fall_into_antarctica_and_the_fix_exchanges_them_back():
    with pytest.warns(
        XaqWarning, match="lie in Antarctica, expected .west, south, east, north.; fix: bounds="
    ) as caught:
        Grid.regular(0.05, bounds=(38.6, -77.5, 39.6, -76.3))
    bounds = eval(str(caught[0].message).split("bounds=")[2].split("), ")[0] + ")")
    assert bounds == (-77.5, 38.6, -76.3, 39.6)
    Grid.regular(0.05, bounds=bounds)
