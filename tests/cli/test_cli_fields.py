"""Backgrounds, rasters and fields of commands: the results and the provenance of Python."""

import numpy as np
import pytest
import xarray as xr

import xaq
from xaq.cli import grids, main

AXES = {"lat": np.linspace(48.0, 52.0, 9), "lon": np.linspace(8.0, 12.0, 9)}
#: A small network that trains in a moment.
BRIEF = ["--no-geography", "--max-epochs", "0"]


@pytest.fixture
def fields(network, here):
    """A background and another pollutant in one file, and elevation in two forms."""
    ds = xaq.open_stations(network / "obs.csv", stations=network / "stations.csv", tz="UTC", units={"no2": "ppb"})
    values = 10.0 + np.arange(81.0).reshape(9, 9) / 9 + np.zeros((ds.sizes["time"], 1, 1))
    field = xr.DataArray(values, {"time": ds.time.values, **AXES}, ("time", "lat", "lon"), attrs={"units": "ug m-3"})
    xr.Dataset({"pm25": field, "o3": field + 5, "fine": field + 1}).to_netcdf("cams.nc")
    elevation = field.isel(time=0, drop=True).assign_attrs(units="m") * 10
    xr.Dataset({"HGT": elevation, "slope": elevation / 2}).to_netcdf("land.nc")
    return ds


def cube_of(data, *options):
    store = ["--target", "pm25", "--grid", "0.5", "--time", "2020-01-02T08", "--store", "b.zarr"]
    assert main(["reanalyze", "kriging", *data, *options, *store]) == 0
    return xaq.open_cube("b.zarr")


@pytest.mark.parametrize(("given", "variable"), [("cams.nc", "pm25"), ("cams.nc:fine", "fine"), ("c*.nc:o3", "o3")])
def test_a_background_gives_the_cube_and_provenance_of_python(fields, data, given, variable):
    cube = cube_of(data, "--background", given)
    expected = fields.aq.reanalyze(
        "kriging", target="pm25", grid=0.5, time="2020-01-02T08", background=xaq.open_field("cams.nc", variable)
    )
    np.testing.assert_array_equal(cube.pm25, expected.pm25)
    assert cube.attrs["xaq_provenance"] == expected.attrs["xaq_provenance"]
    assert f'"name": "{variable}"' in cube.attrs["xaq_provenance"]


@pytest.mark.slow
def test_a_model_of_a_background_and_rasters_is_trained_verified_and_used(fields, data, here):
    pytest.importorskip("rioxarray")
    xr.open_dataset("land.nc").HGT.rename(lat="y", lon="x").rio.write_crs(4326).rio.to_raster("dem.tif")
    options = ["--background", "cams.nc:pm25", "--rasters", "elevation=dem.tif"]
    assert main(["train", *data, "--target", "pm25", "--hide", "s003,s010", *BRIEF, *options, "-o", "m.xaq"]) == 0
    trend = xaq.load_model("m.xaq").recipe.trend
    assert [raster["name"] for raster in trend.rasters] == ["elevation"]
    assert trend.background["name"] == "pm25"
    assert main(["verify", "m.xaq", *data, *options, "--csv", "scores.csv"]) == 0
    assert "background" in (here / "scores.csv").read_text()
    xr.Dataset({"lon": ("point", [10.0]), "lat": ("point", [50.0])}).to_dataframe().to_csv("p.csv")
    assert main(["estimate", "m.xaq", *data, *options, "--points", "p.csv", "-o", "e.csv"]) == 0
    where = ["--lon", "10", "--lat", "50", "--time", "2020-01-02T08"]
    assert main(["plot", "explanation", "m.xaq", *data, *options, *where, "-o", "x.png"]) == 0


def test_rasters_are_opened_by_name(fields):
    opened = grids.rasters("elevation=land.nc:HGT,slope=land.nc")
    assert list(opened) == ["elevation", "slope"]
    with xr.open_dataset("land.nc") as land:
        np.testing.assert_array_equal(opened["elevation"], land.HGT)
        np.testing.assert_array_equal(opened["slope"], land.slope)


def test_fields_give_the_estimates_of_python(fields, data, here):
    xr.Dataset({"lon": ("point", [10.0]), "lat": ("point", [50.0])}).to_dataframe().to_csv("p.csv")
    where = ["--target", "pm25", "--points", "p.csv", "-o", "e.csv"]
    assert main(["estimate", "kriging-drift", *data, "--fields", "cams.nc:o3,land.nc", *where]) == 0
    expected = fields.aq.estimate(
        "kriging-drift", target="pm25", lon=[10.0], lat=[50.0],
        fields=[xaq.open_field("cams.nc", "o3"), xaq.open_field("land.nc")],
    )  # fmt: skip
    np.testing.assert_allclose(
        np.loadtxt("e.csv", delimiter=",", skiprows=1, usecols=4), expected.pm25[:, 0], rtol=1e-3
    )
    assert [type(field).__name__ for field in grids.fields("cams.nc:o3,land.nc")] == ["DataArray", "Dataset"]


def test_fields_are_opened_by_name(fields, here):
    opened = grids.fields("pm25=cams.nc:fine,o3=cams.nc,land.nc")
    assert [type(field).__name__ for field in opened] == ["DataArray", "DataArray", "Dataset"]
    assert [field.name for field in opened[:2]] == ["pm25", "o3"]
    np.testing.assert_array_equal(opened[0], xr.open_dataset("cams.nc").fine)
    (here / "year=2020").mkdir()
    xr.open_dataset("cams.nc").to_netcdf("year=2020/cams.nc")
    for path in ("year=2020/cams.nc:o3", "year=2020/*.nc:o3", "fine=year=2020/cams.nc:o3"):
        assert [field.name for field in grids.fields(path)] == ["fine" if path.startswith("fine") else "o3"]


def test_a_model_gets_its_field_by_the_fix(fields, data, capsys):
    common = [*data, "--target", "pm25", "--hide", "s003,s010"]
    assert main(["train", *common, *BRIEF, "--fields", "ozone=cams.nc:o3", "-o", "m.xaq"]) == 0
    capsys.readouterr()
    assert main(["verify", "m.xaq", *common]) == 1
    fix = capsys.readouterr().err.partition("fix: ")[2].strip()
    assert fix == "--fields ozone=FIELD in this command"
    option, value = fix.removesuffix(" in this command").split()
    assert main(["verify", "m.xaq", *common, option, value.replace("FIELD", "cams.nc:o3")]) == 0


@pytest.mark.parametrize(
    ("options", "code", "fix"),
    [
        (["--background", "no.nc"], 1, "--background field.nc"),
        (["--background", ""], 2, "--background cams.nc:pm25"),
        (["--background", "cams.nc:dust"], 1, "--background cams.nc:pm25"),
        (["--rasters", "dem.tif"], 2, "--rasters 'elevation=dem.tif'"),
        (["--rasters", "elevation=no.tif"], 1, "--rasters elevation=dem.tif"),
        (["--rasters", "elevation=land.nc"], 1, "--rasters elevation=land.nc:HGT"),
        (["--fields", ""], 2, "--fields era5.nc:blh"),
        (["--fields", "no.nc"], 1, "--fields field.nc"),
        (["--fields", "cams.nc:o3,pm25,land.nc"], 2, "--fields cams.nc:o3,cams.nc:pm25,land.nc"),
        (["--fields", "cams.nc:pm2"], 1, "--fields cams.nc:pm25"),
        (["--fields", "x=no.nc"], 1, "--fields x=field.nc"),
        (["--fields", "x=cams.nc"], 1, "--fields x=cams.nc:pm25"),
        (["--fields", "x=cams.nc:dust"], 1, "--fields x=cams.nc:pm25"),
        (["--fields", "x=cams.nc:o3,pm25"], 2, "--fields x=cams.nc:o3,cams.nc:pm25"),
        (["--fields", "land.nc,cams.nc:dust"], 1, "--fields cams.nc:pm25"),
    ],
)
def test_fields_that_cannot_be_used_are_refused_with_a_fix(fields, data, capsys, options, code, fix):
    assert main(["train", *data, "--target", "pm25", *BRIEF, *options, "-o", "m.xaq"]) == code
    assert capsys.readouterr().err.strip().endswith(f"fix: {fix}")


@pytest.mark.parametrize(
    ("value", "files", "variable"),
    [
        ("a.nc", ["a.nc"], None),
        ("a.nc:no2", ["a.nc"], "no2"),
        ("a.nc,b.nc:no2", ["a.nc", "b.nc"], "no2"),
        ("s3://bucket/a.zarr", ["s3://bucket/a.zarr"], None),
        ("s3://bucket/a.zarr:no2", ["s3://bucket/a.zarr"], "no2"),
        (r"C:\a.nc", [r"C:\a.nc"], None),
    ],
)
def test_a_variable_is_told_from_a_path(value, files, variable):
    assert grids._parts(value, "--background", "") == (files, variable)
