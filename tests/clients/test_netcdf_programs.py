"""Other programs on netCDF that xaq wrote: values, means, times, coordinate reference system and missing values.

They run by ``make clients``, each where its program is installed.
"""

import json
import re
import warnings

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
from conftest import box, run

pytestmark = pytest.mark.clients


def test_the_cf_checker_finds_no_error(case, tmp_path):
    runner = pytest.importorskip("compliance_checker.runner", reason="compliance-checker is in the dev extra")
    runner.CheckSuite.load_all_available_checkers()
    report = tmp_path / "report.json"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runner.ComplianceChecker.run_checker(
            str(case[2]), ["cf:1.11"], 0, "normal", output_filename=str(report), output_format="json"
        )
    (found,) = json.loads(report.read_text()).values()
    priorities = ("high_priorities", "medium_priorities", "low_priorities")
    assert [m for p in priorities for check in found[p] for m in check["msgs"]] == []


def test_ncdump_prints_values_and_times(case):
    cube, _, file = case
    printed = run("ncdump", "-t", "-v", "time,supported", file)
    body = printed.split("data:")[1]
    written = re.findall(r'"(\d{4}-\d\d-\d\d)(?: (\d\d))?', body)
    times = [pd.Timestamp(day) + pd.Timedelta(int(hour or 0), "h") for day, hour in written]
    assert times == list(cube.time.to_index())
    flags = re.findall(r"\d+", re.search(r" supported =([^;]*);", body)[1])
    assert [int(n) for n in flags] == cube.supported.values.ravel().tolist()
    assert "time = UNLIMITED" in printed


def test_the_netcdf_library_reads_the_store_of_zarr_2(cubes):
    netcdf = pytest.importorskip("netCDF4")
    if tuple(int(n) for n in netcdf.__netcdf4libversion__.split(".")[:2]) < (4, 10):
        pytest.skip(f"netCDF-C {netcdf.__netcdf4libversion__} is older than 4.10")
    cube, store, _ = cubes["hourly Zarr 2"]
    with netcdf.Dataset(f"file://{store}#mode=zarr,file") as read:
        np.testing.assert_array_equal(read["pm25"][:].filled(np.nan), cube.pm25.values)
        np.testing.assert_array_equal(read["supported"][:], cube.supported.values)
        assert read["supported"].dtype == np.int8
        assert read["time"].units == "seconds since 1970-01-01"


def test_cdo_sees_times_and_grid_and_averages(case, tmp_path):
    cube, _, file = case
    one = run("cdo", "-s", "outputtab,date,time,lon,lat,value", "-selname,pm25", "-seltimestep,3", file)
    row = [line.split() for line in one.splitlines() if not line.startswith("#")]
    there = cube.pm25.isel(time=2)
    assert pd.Timestamp(" ".join(row[0][:2])) == pd.Timestamp(there.time.values)
    np.testing.assert_allclose([float(r[4]) for r in row], there.values.ravel(), rtol=1e-5)
    assert "lonlat" in run("cdo", "-s", "griddes", file)
    run("cdo", "-s", "-O", "timmean", "-selname,pm25", file, tmp_path / "mean.nc")
    with xr.open_dataset(tmp_path / "mean.nc") as mean:
        np.testing.assert_allclose(mean.pm25.squeeze(), cube.pm25.mean("time"), rtol=1e-5)
    weights = np.cos(np.radians(cube.lat))
    run("cdo", "-s", "-O", "fldmean", "-selname,pm25", file, tmp_path / "area.nc")
    with xr.open_dataset(tmp_path / "area.nc") as area:
        np.testing.assert_allclose(area.pm25.squeeze(), cube.pm25.weighted(weights).mean(("lat", "lon")), rtol=1e-4)
    run("cdo", "-s", "-O", "remapbil,r720x360", "-selname,pm25", file, tmp_path / "map.nc")
    with xr.open_dataset(tmp_path / "map.nc") as finer:
        west, south, *_ = box(cube)
        cell = finer.pm25.isel(time=0).sel(lon=(west + 2.0) % 360.0, lat=south + 1.75, method="nearest")
        # CDO's grid has longitudes of 0 .. 360.
        lon = (float(cell.lon) + 180.0) % 360.0 - 180.0
        expected = cube.pm25.isel(time=0).interp(lon=lon, lat=float(cell.lat))
        np.testing.assert_allclose(cell, expected, rtol=1e-4)


def test_cdo_reads_cells_from_their_bounds(case, tmp_path):
    cube, _, file = case
    run("cdo", "-s", "-O", "gridarea", "-selname,pm25", file, tmp_path / "area.nc")
    with xr.open_dataset(tmp_path / "area.nc") as area:
        heights = np.diff(np.sin(np.radians(cube.lat_bnds.values)), axis=1)
        widths = np.diff(np.radians(cube.lon_bnds.values), axis=1)
        # In units of the sphere, as CDO takes spherical polygons for cells.
        np.testing.assert_allclose(area.cell_area / 6_371_000.0**2, heights * widths.T, rtol=1e-3)
    run("cdo", "-s", "-O", "remapcon,r360x180", "-selname,pm25", "-seltimestep,1", file, tmp_path / "coarse.nc")
    with xr.open_dataset(tmp_path / "coarse.nc") as coarse:
        west, south, east, north = box(cube)
        filled = coarse.pm25.squeeze().stack(cell=("lat", "lon")).dropna("cell")
        assert south <= float(filled.lat.min()) <= float(filled.lat.max()) <= north
        lon = (filled.lon + 180.0) % 360.0 - 180.0
        assert west <= float(lon.min()) <= float(lon.max()) <= east
        assert float(filled.min()) >= float(cube.pm25[0].min())
        assert float(filled.max()) <= float(cube.pm25[0].max())


def test_nco_averages_over_records_and_cells(case, tmp_path):
    cube, _, file = case
    run("ncra", "-O", "-v", "pm25", file, tmp_path / "mean.nc")
    with xr.open_dataset(tmp_path / "mean.nc") as mean:
        np.testing.assert_allclose(mean.pm25.squeeze("time"), cube.pm25.mean("time"), rtol=1e-5)
    run("ncwa", "-O", "-v", "pm25", "-a", "lat,lon", file, tmp_path / "area.nc")
    with xr.open_dataset(tmp_path / "area.nc") as area:
        np.testing.assert_allclose(area.pm25, cube.pm25.mean(("lat", "lon")), rtol=1e-5)


def test_gdal_knows_crs_missing_value_and_times(case, tmp_path):
    cube, _, file = case
    told = json.loads(run("gdalinfo", "-json", f'NETCDF:"{file}":pm25'))
    assert 'GEOGCRS["WGS 84"' in told["coordinateSystem"]["wkt"]
    band = told["bands"][0]
    assert band["noDataValue"] == pytest.approx(9.96921e36)
    units = told["metadata"][""]["time#units"]
    since = pd.Timestamp(units.split(" since ")[1])
    step = pd.Timedelta(float(band["metadata"][""]["NETCDF_DIM_time"]), units.split()[0])
    assert since + step == pd.Timestamp(cube.time.values[0])
    run("gdal_translate", "-q", "-b", "3", f'NETCDF:"{file}":pm25', tmp_path / "one.tif")
    with rasterio.open(tmp_path / "one.tif") as raster:
        np.testing.assert_allclose(raster.read(1)[::-1], cube.pm25.isel(time=2).values, rtol=1e-6)
        assert raster.bounds == box(cube)
