"""Pyramids: each level is the mean of the cells below it, whole or not there, and other folders are never replaced."""

import numpy as np
import pytest
import xarray as xr
import zarr

import xaq
from xaq.errors import GridError, SchemaError, StoreError
from xaq.export import pyramid


@pytest.fixture(scope="module")
def cube():
    ds = xaq.datasets.synthetic(n_stations=12, days=2, step="6h")
    made = ds.aq.reanalyze(
        "idw", grid=xaq.Grid.regular(0.25, bounds=(9.0, 45.0, 13.25, 49.75)), max_distance=180
    ).compute()
    # Cells without a value, and cells far from stations.
    made["pm25"][2, :3, :5] = np.nan
    made["supported"][:, :3] = 0
    return made


@pytest.fixture(scope="module")
def folder(cube, tmp_path_factory):
    """A pyramid of three levels, as it would be of a cube 32 times as wide."""
    path = tmp_path_factory.mktemp("pyramid") / "p.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pyramid, "_TILE", 8)
        xaq.to_pyramid(cube, path)
    return path


@pytest.fixture(scope="module")
def tree(folder):
    return xr.open_datatree(folder, engine="zarr", decode_coords="all")


def direct(cube: xr.Dataset, rows: slice, columns: slice) -> np.ndarray:
    """Return the means of a window of a cube over its cells with values, by their areas, step by step."""
    window = cube.pm25.sortby("lat", ascending=False)[:, rows, columns]
    lat = np.deg2rad(window.lat)
    area = np.sin(lat + np.deg2rad(0.125)) - np.sin(lat - np.deg2rad(0.125))
    return window.weighted(area).mean(("lat", "lon")).values


def test_the_finest_level_is_the_cube_from_north_to_south(tree, cube):
    finest = tree["0"].to_dataset()
    assert finest.lat[0] > finest.lat[-1]
    xr.testing.assert_equal(finest.pm25.sortby("lat").drop_vars("spatial_ref"), cube.pm25.drop_vars("spatial_ref"))


def test_every_coarser_cell_is_the_mean_of_its_cells_by_area(tree, cube):
    assert list(tree.children) == ["0", "1", "2"]
    assert [tree[name].pm25.shape[1:] for name in tree.children] == [(19, 17), (10, 9), (5, 5)]
    n = 4
    level = tree["2"].pm25.values
    for row, column in ((0, 0), (2, 1), (3, 3)):
        expected = direct(cube, slice(n * row, n * (row + 1)), slice(n * column, n * (column + 1)))
        np.testing.assert_allclose(level[:, row, column], expected, rtol=1e-5)
    # Beyond the last row and column is nothing: their cells have fewer cells below them.
    np.testing.assert_allclose(level[:, 4, 4], direct(cube, slice(16, 19), slice(16, 17)), rtol=1e-5)


def test_cells_without_a_value_are_left_out_and_a_cell_of_none_has_none(tree, cube):
    lowest = tree["1"].pm25.values[2]
    assert np.isnan(lowest[9, :2]).all()
    expected = direct(cube, slice(16, 18), slice(4, 6))[2]
    assert np.isfinite(expected)
    np.testing.assert_allclose(lowest[8, 2], expected, rtol=1e-5)


def test_a_coarse_cell_is_supported_where_all_its_cells_are(tree, cube):
    fine = cube.supported.sortby("lat", ascending=False).values.astype(int)
    coarse = tree["1"].supported.values.astype(int)
    assert coarse[3, 1] == fine[6:8, 2:4].min() == 0
    assert fine[6:8, 2:4].max() == 1
    assert coarse[3, 2] == 1


def test_levels_say_where_their_cells_lie_and_what_they_are(tree, folder):
    root = zarr.open_group(folder, mode="r")
    names = {convention["name"] for convention in root.attrs["zarr_conventions"]}
    assert names == {"multiscales", "proj", "spatial"}
    assert root.attrs["spatial:bbox"] == [9.0, 45.0, 13.25, 49.75]
    for entry in root.attrs["multiscales"]["layout"]:
        level = tree[entry["asset"]].to_dataset()
        a, _, west, _, e, north = entry["spatial:transform"]
        np.testing.assert_allclose(level.lon, west + a * (np.arange(level.sizes["lon"]) + 0.5))
        np.testing.assert_allclose(level.lat, north + e * (np.arange(level.sizes["lat"]) + 0.5))
        assert entry["spatial:shape"] == list(level.pm25.shape[-2:])
        assert level.rio.crs.to_epsg() == 4326
        # Arrays of two dimensions are taken for maps.
        assert not [n for n, v in level.variables.items() if v.ndim > 1 and v.dims[-2:] != ("lat", "lon")]
    assert tree["0"].pm25.attrs["cell_methods"] == "time: mean"
    assert tree["1"].pm25.attrs["cell_methods"] == "time: mean area: mean"
    assert tree.attrs["title"].startswith("PM2.5 analysis")


def test_shards_hold_many_maps_and_a_chunk_one_tile(folder):
    array = zarr.open_group(folder, mode="r")["0/pm25"]
    assert (array.chunks, array.shards) == ((1, 8, 8), (8, 16, 16))


def test_one_map_is_a_pyramid_too(cube, tmp_path):
    tree = xaq.to_pyramid(cube.isel(time=0), tmp_path / "p.zarr")
    assert tree["0"].pm25.dims == ("lat", "lon")
    assert list(tree.children) == ["0"]


def test_a_part_of_a_plain_xarray_cube_is_a_pyramid_too(cube, tmp_path):
    part = cube.drop_vars(["lat_bnds", "lon_bnds", "time_bnds"]).isel(lat=slice(3, 9), time=slice(1, 3))
    assert xaq.to_pyramid(part, tmp_path / "p.zarr")["0"].pm25.shape == (2, 6, 17)


def test_a_pyramid_is_replaced_only_where_it_is_said_and_nothing_else_ever(cube, tmp_path):
    path = tmp_path / "p.zarr"
    xaq.to_pyramid(cube.isel(time=[0]), path)
    with pytest.raises(StoreError, match="holds a pyramid already") as error:
        xaq.to_pyramid(cube, path)
    fix = eval(f"dict({str(error.value).partition('fix: ')[2].partition(', or')[0]})")
    assert xaq.to_pyramid(cube, path, **fix)["0"].sizes["time"] == 8
    assert [p.name for p in tmp_path.iterdir()] == ["p.zarr"]
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").touch()
    with pytest.raises(StoreError, match="exists and is no pyramid"):
        xaq.to_pyramid(cube, other, overwrite=True)
    assert (other / "thesis.tex").exists()
    with pytest.raises(StoreError, match="no such folder"):
        xaq.to_pyramid(cube, tmp_path / "none" / "p.zarr")


def test_a_failed_call_leaves_what_was_there(cube, tmp_path, monkeypatch):
    path = tmp_path / "p.zarr"
    xaq.to_pyramid(cube.isel(time=[0]), path)

    def full(maps, cells, folder):
        folder.mkdir()
        raise OSError("no space left on device")

    monkeypatch.setattr(pyramid, "_write", full)
    with pytest.raises(StoreError, match="no space left on device"):
        xaq.to_pyramid(cube, path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["p.zarr"]
    assert xr.open_datatree(path, engine="zarr")["0"].sizes["time"] == 1


def test_rows_and_columns_are_sorted_from_north_west_to_south_east(cube, tmp_path):
    tree = xaq.to_pyramid(cube.sortby("lon", ascending=False), tmp_path / "p.zarr")
    finest = tree["0"].to_dataset().load()
    np.testing.assert_array_equal(finest.lon, cube.lon)
    np.testing.assert_array_equal(finest.pm25, cube.pm25[:, ::-1])


def test_times_count_seconds_from_1970(folder):
    times = zarr.open_group(folder, mode="r")["1/time"]
    assert times.attrs["units"] == "seconds since 1970-01-01"
    assert times.dtype == np.int64
    assert times[:2].tolist() == [1_577_836_800, 1_577_836_800 + 21_600]


def test_a_pyramid_names_no_variable_that_it_has_not(tree):
    for level in tree.children.values():
        for variable in level.data_vars.values():
            named = " ".join(variable.attrs.get(key, "") for key in ("ancillary_variables", "coordinates", "bounds"))
            assert set(named.split()) <= set(level.variables)


def test_what_is_no_cube_with_even_axes_is_refused(cube, tmp_path):
    with pytest.raises(SchemaError, match="expected a Dataset with lat and lon"):
        xaq.to_pyramid(cube.pm25, tmp_path / "p.zarr")
    with pytest.raises(SchemaError, match=r"no variable \(time, lat, lon\)"):
        xaq.to_pyramid(cube[["stations_reporting"]].assign_coords(lat=cube.lat, lon=cube.lon), tmp_path / "p.zarr")
    with pytest.raises(GridError, match="uneven"):
        xaq.to_pyramid(cube.isel(lat=[0, 1, 3]), tmp_path / "p.zarr")
    assert not list(tmp_path.iterdir())
