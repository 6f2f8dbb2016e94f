"""Fields that cannot be opened: what is wrong is said, and the fix that is named works."""

import zipfile

import numpy as np
import pandas as pd
import pytest
import rioxarray
import xarray as xr
from downloads import DAY, HOUR, HOURS, LAT, LON, cams_europe, eac4, era5_cds, values
from fixes import applied, fix_of

import xaq
from xaq.errors import SchemaError
from xaq.fields.sample import sample_points


def refused(match, *arguments, **options):
    with pytest.raises(SchemaError, match=match) as caught:
        xaq.open_field(*arguments, **options)
    assert str(caught.value).count("fix: ") == 1
    return caught.value


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("start", "match"),
    [
        (b"\x0e\x03\x13\x01 hdf", "HDF 4; fix: the product as netCDF"),
        (b"<html>please log in", "neither netCDF, HDF 5, Zarr nor GRIB"),
        (b"", "neither netCDF"),
        (b"\x89HDF\r\n\x1a\n damaged", "cannot be opened"),
        (b"II*\0 tiff", "GeoTIFF; fix: rioxarray.open_rasterio"),
    ],
)
def test_files_of_another_kind_are_named(here, start, match):
    (here / "field.nc").write_bytes(start)
    refused(match, "field.nc")


def test_grib_without_its_reader_names_the_package(here, monkeypatch):
    (here / "a.grib").write_bytes(b"GRIB....")
    monkeypatch.setitem(__import__("sys").modules, "cfgrib", None)
    refused(r"a.grib: is GRIB; fix: pip install cfgrib$", "a.grib")


def test_an_archive_is_refused_with_its_members(here):
    made = era5_cds(here, "data_stream-oper_stepType-instant.nc")
    with zipfile.ZipFile("download.nc", "w") as archive:
        archive.write(made.path, "data_stream-oper_stepType-instant.nc")
    refused("download.nc: is an archive with data_stream-oper_stepType-instant.nc; fix: unpack", "download.nc")


def test_a_folder_is_refused_with_a_pattern_that_works(here):
    (here / "days").mkdir()
    era5_cds(here / "days")
    error = refused("days: is a folder", "days")
    assert applied(error).name == "t2m"


def test_no_file_is_refused():
    refused("nowhere.nc: there is no such file", "nowhere.nc")
    refused(r"no\*.nc: no file matches", "no*.nc")
    refused("at least one path", [])


def test_a_file_without_a_field_is_refused(here):
    xr.Dataset({"code": ("site", [1, 2])}).to_netcdf("list.nc")
    refused("list.nc: no variable on axes of longitude and latitude.*code", "list.nc")
    xr.Dataset().to_netcdf("empty.nc")
    refused("empty.nc: has no variable; fix: a file with a field", "empty.nc")


def test_stations_are_no_field():
    ds = xaq.datasets.synthetic(n_stations=4, days=1)
    error = refused("lon and lat are those of points along station.*fix: xaq.open_stations", ds)
    assert fix_of(error).startswith("xaq.open_stations(ds)")


def test_a_calendar_of_climate_models_is_converted_by_the_fix(here):
    times = xr.date_range("2020-01-01", periods=24, freq="h", calendar="noleap", use_cftime=True)
    axes = {"time": times, "lat": LAT[::-1], "lon": np.arange(8.0, 12.01, 0.5)}
    xr.Dataset({"o3": (tuple(axes), values(lat=LAT[::-1]), {"units": "ppb"})}, axes).to_netcdf("model.nc")
    error = refused(r"model.nc: time has the calendar 'noleap'.*; ds is xr.open_dataset\('model.nc'", "model.nc")
    call, _, read = fix_of(error).partition("; ds is ")
    ds = eval(read.partition(", then ")[0], {"xr": xr})
    field = xaq.open_field(eval(call, {"ds": ds}))
    assert (field.attrs["units"], field.time.values[3]) == ("1e-9", DAY + 3 * HOUR)


def test_hours_that_count_from_nothing_are_refused(here):
    path = cams_europe(here).path
    with xr.open_dataset(path, decode_timedelta=False) as ds:
        bare = ds.load().drop_attrs()
    bare["time"].attrs["units"] = "hours"
    refused("time is float", bare)


def test_a_name_that_is_not_there_is_refused_with_one_that_is(here):
    path = eac4(here).path
    error = refused(r"no variable 'pm1'; there are pm25; fix: variable='pm25'", path, "pm1")
    assert xaq.open_field(path, **eval(f"dict({fix_of(error)})")).name == "pm25"
    refused(r"variable is \[\], expected at least one name", path, [])


@pytest.mark.parametrize("lead", ["soon", "-1h", np.timedelta64("NaT"), 24, pd.NaT])
def test_a_lead_is_a_duration(here, lead):
    error = refused("lead is .*expected a duration of 0 or more", eac4(here).path, lead=lead)
    assert fix_of(error) == "lead='24h'"


def test_a_lead_of_an_analysis_is_refused(here):
    refused("this is no forecast with several leads; fix: lead=None", eac4(here).path, lead="24h")


def test_two_static_files_of_one_variable_are_refused(here):
    axes = {"lat": LAT[::-1], "lon": np.arange(8.0, 12.01, 0.5)}
    static = xr.Dataset({"z": (tuple(axes), values([0], lat=LAT[::-1])[0])}, axes)
    for name in ("a.nc", "b.nc"):
        static.to_netcdf(name)
    refused("2 files of z without a time to put them in order", ["a.nc", "b.nc"])
    assert xaq.open_field("a.nc").dims == ("lat", "lon")


def test_a_variable_in_files_with_others_and_without_is_asked_for(here):
    both = era5_cds(here, "both.nc", variables=("t2m", "u10")).path
    ds = xr.open_dataset(era5_cds(here, "one.nc").path)
    ds.assign_coords(valid_time=ds.valid_time + np.timedelta64(1, "D")).to_netcdf("next.nc")
    error = refused("t2m is in files beside other variables and in files without", [both, "next.nc"])
    assert fix_of(error) == "open_field(..., variable='t2m')"
    field = xaq.open_field([both, "next.nc"], variable="t2m")
    np.testing.assert_array_equal((field.time.values - DAY) / HOUR, np.r_[HOURS, HOURS + 24])


@pytest.mark.parametrize("marks", [{}, {"_FillValue": np.float32(-1.0)}])
@pytest.mark.parametrize("missing", [9.969209968386869e36, -9.999e36])
def test_numbers_that_mean_missing_without_a_word_are_missing(here, marks, missing):
    """Of netCDF, where nothing was written, and of the I/O API."""
    field = xr.DataArray(values(), {"time": DAY + HOURS * HOUR, "lat": LAT, "lon": LON}, ("time", "lat", "lon"), "pm25")
    field = field.astype("f4").assign_attrs(units="ug m-3")
    gone = field.where(field.lat <= 50.0, np.float32(missing))
    gone.to_dataset().to_netcdf("field.nc", encoding={"pm25": {"_FillValue": None} | marks})
    made = xaq.open_field("field.nc")
    np.testing.assert_array_equal(made.isnull(), np.broadcast_to((made.lat > 50.0).values[:, None], made.shape))
    daily = made.mean("time")
    assert float(daily.max()) < 100.0
    ds = xaq.datasets.synthetic(n_stations=12, days=1)
    north = ds.lat > 50.5
    for source in (gone, xr.open_dataset("field.nc"), made):
        sampled = ds.aq.sample(source, name="cams").cams
        assert sampled.sel(station=north.values).isnull().all()
        assert float(sampled.max()) < 100.0


def test_packed_numbers_are_refused_until_they_are_unpacked(here):
    made = eac4(here)
    raw = xr.open_dataset(made.path, mask_and_scale=False)
    ds = xaq.datasets.synthetic(n_stations=12, days=1).isel(time=slice(0, 22))
    for call in (lambda: xaq.open_field(raw), lambda: ds.aq.sample(raw["pm2p5"], name="cams")):
        with pytest.raises(
            SchemaError, match=r"has scale_factor .* and add_offset .* its numbers are packed; fix: "
        ) as error:
            call()
    fix = eval(fix_of(error.value).split(", rioxarray")[0], {"field": raw["pm2p5"], "xr": xr})
    np.testing.assert_allclose(xaq.open_field(fix), xaq.open_field(made.path))
    raster = xr.DataArray(np.full((3, 4), 500, "i2"), {"y": LAT[:3], "x": np.arange(9.0, 13.0)}, ("y", "x"))
    raster.rio.write_crs(4326).assign_attrs(scale_factor=0.01, add_offset=20.0).rio.to_raster("packed.tif")
    at = {"lon": [10.5], "lat": [51.6]}
    with pytest.raises(SchemaError, match="mask_and_scale=True"):
        sample_points(rioxarray.open_rasterio("packed.tif", masked=True), **at)
    unpacked = rioxarray.open_rasterio("packed.tif", mask_and_scale=True)
    assert sample_points(unpacked, **at).item() == pytest.approx(25.0)


@pytest.mark.parametrize("name", ["era5.nc", "era5.zarr"])
def test_text_in_a_file_does_not_prevent_that_it_is_opened(tmp_path, name):
    """The version of ERA5 is text; xarray without netCDF4 writes netCDF 3, whose texts dask cannot split into chunks."""
    ds = xr.open_dataset(era5_cds(tmp_path).path).load()
    ds["expver"] = ds.expver.astype(object)
    path = tmp_path / "copies" / name
    path.parent.mkdir()
    ds.to_zarr(path) if name.endswith("zarr") else ds.to_netcdf(path, format="NETCDF3_64BIT")
    field = xaq.open_field(path, "t2m")
    assert field.chunks is not None
    xr.testing.assert_equal(field.compute(), xaq.open_field(ds, "t2m"))


@pytest.mark.parametrize(
    ("asked", "fix"),
    [
        ("10u", "u10"), ("bhl", "blh"), ("2m_temperature", "t2m"), ("boundary_layer_height", "blh"),
        ("10m_u_component_of_wind", "u10"), ("xyz", "t2m"), (["t2m", "bhl"], ["t2m", "blh"]),
    ],
)  # fmt: skip
def test_the_fix_of_a_misspelt_variable_names_the_one_that_was_meant(tmp_path, asked, fix):
    """The names under which the data store offers variables are like their long names."""
    titles = {"t2m": "2 metre temperature", "blh": "Boundary layer height", "u10": "10 metre U wind component"}
    ds = xr.open_dataset(era5_cds(tmp_path, variables=tuple(titles)).path)
    for name, title in titles.items():
        ds[name].attrs["long_name"] = title
    with pytest.raises(SchemaError) as error:
        xaq.open_field(ds, asked)
    assert str(error.value).endswith(f"fix: variable={fix!r}")
