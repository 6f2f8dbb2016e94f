"""The conventions proj: and spatial: in stores: right for every cell, on arrays that are maps only, and in no dataset."""

import numpy as np
import pytest
import xarray as xr
import zarr

import xaq
from xaq.cube import geozarr

GRID = xaq.Grid.regular(0.25, bounds=(9.0, 49.5, 11.0, 50.5))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("geozarr") / "c.zarr"
    ds = xaq.datasets.synthetic(n_stations=12, days=2, step="6h")
    ds.aq.reanalyze("idw", grid=GRID, store=path, progress=False)
    return path


def declared(node) -> set[str]:
    return {convention["name"] for convention in node.attrs.get("zarr_conventions", [])}


def test_the_transform_of_every_map_gives_the_corners_of_its_cells(store):
    root, cube = zarr.open_group(store, mode="r"), xaq.open_cube(store)
    for name in ("pm25", "supported", "nearest_station"):
        a, b, c, d, e, f = root[name].attrs["spatial:transform"]
        rows, columns = np.arange(cube.sizes["lat"]), np.arange(cube.sizes["lon"])
        np.testing.assert_allclose(a * columns + c, cube.lon_bnds[:, 0])
        np.testing.assert_allclose(e * rows + f, cube.lat_bnds[:, 0])
        assert (b, d) == (0, 0)
        assert list(root[name].metadata.dimension_names[-2:]) == root.attrs["spatial:dimensions"]


def test_the_group_has_crs_and_box_and_no_transform_that_would_hold_for_bounds(store):
    root = zarr.open_group(store, mode="r")
    assert declared(root) == {"proj", "spatial"}
    assert root.attrs["proj:code"] == "EPSG:4326"
    assert root.attrs["spatial:bbox"] == [9.0, 49.5, 11.0, 50.5]
    assert "spatial:transform" not in root.attrs
    assert not any("spatial:transform" in root[name].attrs for name in ("time_bnds", "lat_bnds", "lon_bnds", "time"))


def test_a_cube_opened_by_xaq_has_none_of_them_so_that_netcdf_and_subsets_can_be_written(store, tmp_path):
    cube = xaq.open_cube(store)
    attrs = [cube.attrs, *(v.attrs for v in cube.variables.values())]
    assert not [key for found in attrs for key in found if key == "zarr_conventions" or ":" in key]
    cube.load().isel(time=0).to_netcdf(tmp_path / "c.nc", engine="netcdf4")
    assert cube.pm25.attrs["units"] == "ug m-3"


def test_a_field_of_a_store_opened_by_xarray_can_be_written_as_netcdf(store, tmp_path):
    xr.open_zarr(store).pm25.isel(time=0).to_netcdf(tmp_path / "c.nc", engine="netcdf4")
    assert xr.open_dataset(tmp_path / "c.nc").pm25.shape == (4, 8)
    path = xaq.to_netcdf(xr.open_zarr(store), tmp_path / "whole.nc")
    with xr.open_dataset(path) as written:
        assert not [key for key in (*written.attrs, *written.pm25.attrs) if ":" in key or key == "zarr_conventions"]


def test_a_store_of_zarr_2_has_none_because_netcdf_c_could_not_read_it(tmp_path):
    ds = xaq.datasets.synthetic(n_stations=12, days=2, step="6h")
    ds.aq.reanalyze("idw", grid=GRID, store=tmp_path / "c.zarr", zarr_format=2, progress=False)
    root = zarr.open_group(tmp_path / "c.zarr", mode="r")
    assert not declared(root)
    assert "spatial:transform" not in root["pm25"].attrs


def test_uneven_axes_have_no_transform():
    ds = xaq.datasets.synthetic(n_stations=12, days=2, step="6h")
    cube = ds.aq.reanalyze("idw", grid=xaq.Grid(lon=[9.0, 9.5, 10.0], lat=[49.0, 49.4, 50.0]))
    labelled = geozarr.with_geozarr(cube)
    assert geozarr.affine(cube) is None
    assert "spatial:transform" not in labelled.pm25.attrs
    assert labelled.attrs["spatial:bbox"] == geozarr.bbox(cube)
    assert "spatial:bbox" not in cube.attrs


def test_one_cell_has_a_transform_by_its_bounds():
    bounds = {"lon_bnds": (["lon", "bnds"], [[9.0, 9.5]]), "lat_bnds": (["lat", "bnds"], [[50.0, 50.25]])}
    cell = xr.Dataset(coords={"lon": [9.25], "lat": [50.125], **bounds})
    assert geozarr.affine(cell) == [0.5, 0.0, 9.0, 0.0, 0.25, 50.0]
    assert geozarr.affine(cell.drop_vars("lat_bnds")) is None
