"""Files that were opened in other ways, and stores, have fill values and grid mappings only where CF has them."""

import netCDF4
import numpy as np
import pytest
import xarray as xr

import xaq


@pytest.fixture(scope="module")
def network():
    return xaq.datasets.synthetic(n_stations=12, days=2, step="6h")


@pytest.fixture(scope="module")
def cube(network):
    return network.aq.reanalyze("idw", grid=0.5)


@pytest.mark.parametrize("decode_coords", [True, "all"])
def test_a_file_opened_in_any_way_is_written_as_before(cube, tmp_path, decode_coords):
    with netCDF4.Dataset(xaq.to_netcdf(cube, tmp_path / "a.nc")) as first:
        expected = {name: set(v.ncattrs()) for name, v in first.variables.items()}
    opened = xr.open_dataset(tmp_path / "a.nc", decode_coords=decode_coords)
    with netCDF4.Dataset(xaq.to_netcdf(opened, tmp_path / "b.nc")) as second:
        assert {name: set(v.ncattrs()) for name, v in second.variables.items()} == expected


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_coordinates_and_bounds_of_stores_have_no_fill_value(network, cube, tmp_path, zarr_format):
    path = tmp_path / "c.zarr"
    network.isel(time=slice(0, 4)).aq.reanalyze("idw", grid=0.5, store=path, zarr_format=zarr_format, progress=False)
    network.aq.reanalyze("idw", grid=0.5, store=path, zarr_format=zarr_format, update=True, progress=False)
    raw = xr.open_zarr(path, decode_cf=False)
    filled = {str(name) for name, variable in raw.variables.items() if "_FillValue" in variable.attrs}
    assert filled == {"pm25", "nearest_station"}
    again = xaq.open_cube(path)
    for name in ("lat", "lon", "time", "lat_bnds", "time_bnds", "pm25"):
        np.testing.assert_array_equal(again[name], cube[name])
    # A copy has none either.
    again.drop_encoding().chunk(time=192, lat=36, lon=36).to_zarr(tmp_path / "copy.zarr", zarr_format=3)


def test_a_time_that_is_missing_in_a_coordinate_stays_missing(network, tmp_path):
    at = network.aq.estimate("idw", lon=[9.5, 10.5], lat=[49.5, 50.0])
    at = at.assign_coords(died=("point", np.array(["NaT", "2020-01-02T06"], "M8[s]")))
    with xr.open_dataset(xaq.to_netcdf(at, tmp_path / "c.nc")) as back:
        np.testing.assert_array_equal(back.died, at.died)
    with netCDF4.Dataset(tmp_path / "c.nc") as file:
        file.set_auto_mask(False)
        assert file["died"]._FillValue == file["died"][0]
        assert np.isfinite(file["died"][0])
        assert not hasattr(file["time"], "_FillValue")
