"""The code of the page on export runs as it is written, and gives what the page says."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
import zarr

import xaq

PAGE = Path(__file__).parents[2] / "docs" / "export.md"


def code_of(heading):
    """Return the Python code below a heading of the page."""
    section = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return "\n".join(re.findall(r"```python\n(.*?)```", section, re.DOTALL))


@pytest.fixture(scope="module")
def ds():
    made = xaq.datasets.synthetic(n_stations=12, days=3, seed=4)
    return made.assign_coords(time=made.time + (np.datetime64("2017-01-01") - made.time[0]))


@pytest.fixture(scope="module", params=["hours", "days"])
def cube(request, ds, tmp_path_factory):
    """Of hours and of days; some of its cells are not supported."""
    how = {"freq": "D"} if request.param == "days" else {}
    place = tmp_path_factory.mktemp("page") / "pm25.zarr"
    return ds.aq.reanalyze("idw", grid=0.25, max_distance=30.0, store=place, progress=False, **how), place


@pytest.fixture
def names(cube, tmp_path, monkeypatch):
    """What the code of the page has: the cube as xarray opens it, in a folder where its store lies."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pm25.zarr").symlink_to(cube[1])
    return {"cube": xr.open_zarr("pm25.zarr", decode_coords="all"), "xaq": xaq, "xr": xr}


def test_a_raster_has_nodata_and_the_times_of_its_bands(names):
    exec(code_of("GeoTIFF"), names)
    hours = names["cube"].pm25.sel(time=slice("2017-01-01", "2017-01-01")).where(names["cube"].supported)
    with rasterio.open("pm25.tif") as raster:
        assert raster.descriptions == tuple(f"{t:%Y-%m-%dT%H:%MZ}" for t in hours.time.to_index())
        assert raster.nodata == -9999
        assert raster.crs.to_epsg() == 4326
        values = np.ma.filled(raster.read(masked=True), np.nan)
        # A tag with the transform of the store would contradict the raster's.
        assert set(raster.tags()) <= {"AREA_OR_POINT", "units"}
        # North is at the top.
        np.testing.assert_array_equal(values[:, ::-1], hours.values)
        assert raster.bounds.top > raster.bounds.bottom
    assert np.isnan(values).any()
    assert np.isfinite(values).any()


def test_a_month_is_written_as_netcdf(names):
    exec(code_of("netCDF"), names)
    with xr.open_dataset("pm25-2017-01.nc", decode_coords="all") as back:
        xr.testing.assert_equal(back.compute(), names["cube"].compute())
        assert back.attrs["license"] == "CC-BY-4.0"


def test_a_part_is_copied_without_the_place_of_the_whole(names):
    exec(code_of("Copies and subsets"), names)
    with xr.open_zarr("january.zarr", decode_coords="all") as back:
        part = names["cube"].sel(lat=slice(50.0, 51.0), lon=slice(10.0, 11.0))
        assert 0 < part.pm25.size < names["cube"].pm25.size
        xr.testing.assert_equal(back.compute(), part.compute())
        assert back.attrs["title"] == part.attrs["title"]
        assert back.attrs["xaq_provenance"] == part.attrs["xaq_provenance"]
        assert back.rio.crs.to_epsg() == 4326
        # What rioxarray takes for the place of a cell is where the cell is.
        edges = [*part.lon_bnds.values[[0, -1], [0, 1]], *part.lat_bnds.values[[0, -1], [0, 1]]]
        assert sorted(back.pm25.rio.bounds()) == sorted(edges)
    root = zarr.open_group("january.zarr", mode="r")
    for attrs in (root.attrs, *(array.attrs for _, array in root.arrays())):
        assert not [name for name in attrs if name.startswith(("spatial:", "proj:", "zarr_conventions"))]


@pytest.mark.parametrize("how", [{}, {"freq": "D"}])
def test_a_table_has_the_identifiers_of_a_cohort(ds, tmp_path, monkeypatch, how):
    monkeypatch.chdir(tmp_path)
    cohort = pd.DataFrame({"id": ["anna", "bert"], "lon": [9.5, 10.5], "lat": [49.5, 50.0]}).set_index("id")
    code = code_of("Tables")
    for name, value in how.items():
        code = code.replace('time="2017"', f'time="2017", {name}={value!r}')
    exec(code, {"ds": ds, "model": "idw", "cohort": cohort})
    table = pd.read_parquet("exposure.parquet").reset_index()
    assert len(table) == 2 * (3 if how else 72)
    assert sorted(set(table.id)) == ["anna", "bert"]
    assert ("period_end" in table) == bool(how)


def test_a_pyramid_is_written_of_one_day(names):
    exec(code_of("Web maps"), names)
    day = xr.open_datatree("pm25-map.zarr", engine="zarr")["0"]
    expected = names["cube"].pm25.sel(time="2017-01-01")
    np.testing.assert_array_equal(day.pm25.sortby("lat"), expected)


def test_a_collection_is_written(names):
    exec(code_of("Catalogues"), names)
    collection = json.loads(Path("collection.json").read_text())
    assert collection["assets"]["zarr"]["href"] == "./pm25.zarr"
    assert collection["license"] == "CC-BY-4.0"


def test_what_xaq_opens_has_no_attributes_that_netcdf_cannot_hold(names):
    with pytest.raises(TypeError, match="zarr_conventions"):
        xr.open_zarr("pm25.zarr").to_netcdf("plain.nc")
    xaq.open_cube("pm25.zarr").to_netcdf("plain.nc")
    with xr.open_dataset("plain.nc") as written:
        np.testing.assert_array_equal(written.pm25, names["cube"].pm25)
