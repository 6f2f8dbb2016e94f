"""``xaq export``: a part of a stored cube as netCDF, and as GeoTIFF with times and missing cells."""

import numpy as np
import pytest
import xarray as xr

import xaq
from xaq.cli import main


def test_a_part_of_a_cube_becomes_netcdf(network, here):
    netcdf4 = pytest.importorskip("netCDF4", reason="writing netCDF 4 needs netCDF4")
    asked = ["--time", "2020-01-02T09", "--unlimited", "--attrs", "institution=University of Somewhere"]
    assert main(["export", str(network / "c.zarr"), *asked, "-o", "c.nc"]) == 0
    with netcdf4.Dataset("c.nc") as file:
        assert file.dimensions["time"].isunlimited()
        assert file.institution == "University of Somewhere"
    cube = xaq.open_cube(network / "c.zarr").sel(time=["2020-01-02T09"])
    np.testing.assert_array_equal(xr.open_dataset("c.nc").pm25, cube.pm25)


def test_a_cube_becomes_geotiff_with_a_band_per_time(network, here):
    rioxarray = pytest.importorskip("rioxarray")
    assert main(["export", str(network / "c.zarr"), "-o", "c.tif"]) == 0
    cube = xaq.open_cube(network / "c.zarr")
    with rioxarray.open_rasterio("c.tif", masked=True) as raster:
        assert raster.long_name == ("2020-01-02T08:00Z", "2020-01-02T09:00Z")
        assert raster.rio.crs.to_epsg() == 4326
        expected = cube.pm25.where(cube.supported).sortby("lat", ascending=False)
        np.testing.assert_allclose(raster.values, expected.values)


def test_a_date_is_one_of_the_time_zone_of_the_periods(here):
    rioxarray = pytest.importorskip("rioxarray")
    ds = xaq.datasets.synthetic(n_stations=12, days=4)
    cube = ds.aq.reanalyze("idw", grid=0.5, freq="D", tz="Europe/Warsaw", store=here / "d.zarr", progress=False)
    assert main(["export", "d.zarr", "--time", "2020-01-03", "-o", "d.tif"]) == 0
    expected = cube.pm25.sel(time="2020-01-02T23:00").where(cube.supported).sortby("lat", ascending=False)
    with rioxarray.open_rasterio("d.tif", masked=True) as raster:
        assert raster.long_name == "2020-01-03"
        np.testing.assert_allclose(raster.values[0], expected.values)


@pytest.mark.parametrize(
    ("arguments", "fix"),
    [
        (["-o", "c.grib"], "-o c.nc"),
        (["--unlimited", "-o", "c.tif"], "-o c.nc"),
        (["--variable", "pm25", "-o", "c.nc"], "-o c.tif"),
        (["--variable", "supported", "-o", "c.tif"], "--variable pm25"),
        (["--attrs", "institution", "-o", "c.nc"], "--attrs 'institution=University of Somewhere'"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_fix(network, here, capsys, arguments, fix):
    assert main(["export", str(network / "c.zarr"), *arguments]) == 2
    assert capsys.readouterr().err.strip().endswith(f"fix: {fix}")
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("command", [["info"], ["export", "-o", "c.nc"]])
def test_a_file_is_told_from_a_cube(here, capsys, command):
    (here / "c.csv").touch()
    verb, *rest = command
    assert main([verb, "c.csv", *rest]) == 1
    assert capsys.readouterr().err.endswith(
        "c.csv is a file, and a cube is a folder (Zarr); fix: the path that was given to reanalyze as store\n"
    )


def test_bounds_may_begin_with_a_minus(network, data, here):
    """West of Greenwich, argparse would take the value for an option."""
    asked = [
        "--target",
        "pm25",
        "--grid",
        "0.5",
        "--bounds",
        "-1,48,11,51",
        "--time",
        "2020-01-02T08",
        "--store",
        "c.zarr",
    ]
    assert main(["reanalyze", "idw", *data, *asked]) == 0
    assert float(xaq.open_cube("c.zarr").lon[0]) == -0.75
