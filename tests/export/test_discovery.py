"""Attributes by which a file is found are of what the file holds, whatever a cube or an earlier file said."""

import json

import netCDF4
import numpy as np
import pytest
import xarray as xr

import xaq
from xaq.nn.config import AQNetConfig

GRID = xaq.Grid.regular(0.5, bounds=(9.0, 49.0, 11.0, 51.0))


@pytest.fixture(scope="module")
def network():
    return xaq.datasets.synthetic(n_stations=12, days=40, step="6h", seed=4)


@pytest.fixture(scope="module")
def cube(network):
    return network.aq.reanalyze("idw", grid=GRID, time="2020-01-05").compute()


@pytest.fixture(scope="module")
def forecasts(network):
    """Two that begin a day apart."""
    config = AQNetConfig(
        task="forecast", hidden=8, heads=2, k=4, steps_per_day=4, patch=4, days_before=2, days_after=0, target_days=2
    )
    model = network.aq.train(task="forecast", config=config, max_epochs=0, progress=False)
    starts = ["2020-01-20", "2020-01-21"]
    return [network.aq.reanalyze(model, grid=GRID, init=start).isel(time=slice(0, 4)) for start in starts]


def attrs_of(cube, path, **how):
    with netCDF4.Dataset(xaq.to_netcdf(cube, path, **how)) as file:
        return dict(vars(file))


def coverage(attrs):
    return {name.removeprefix("time_coverage_"): v for name, v in attrs.items() if name.startswith("time_coverage_")}


def test_a_file_that_is_opened_reduced_and_written_again_says_what_it_holds_now(cube, tmp_path):
    first = xr.open_dataset(xaq.to_netcdf(cube, tmp_path / "first.nc"), decode_coords="all")
    mean = attrs_of(first.mean("time", keep_attrs=True), tmp_path / "mean.nc")
    assert not coverage(mean)
    part = attrs_of(first.isel(lat=[0], time=[1]), tmp_path / "part.nc")
    assert coverage(part) == {
        "start": "2020-01-05T06:00:00Z", "end": "2020-01-05T12:00:00Z", "duration": "PT6H", "resolution": "PT6H"
    }  # fmt: skip
    assert (part["geospatial_lat_min"], part["geospatial_lat_max"]) == (49.0, 49.5)
    old = first.assign_attrs(geospatial_bounds="POLYGON ((0 0, 0 1, 1 1, 0 0))", geospatial_vertical_min=2.0)
    kept = attrs_of(old, tmp_path / "old.nc")
    assert "geospatial_bounds" not in kept
    assert kept["geospatial_vertical_min"] == 2.0


@pytest.mark.parametrize(
    ("freq", "changed"),
    [
        (None, lambda cube: cube.resample(time="MS").mean()),
        ("D", lambda cube: cube.resample(time="MS").mean()),
        ("D", lambda cube: cube.coarsen(time=2, boundary="trim").mean()),
        ("D", lambda cube: cube.isel(time=[0])[["pm25"]]),
    ],
    ids=["steps to months", "days to months", "days to pairs of days", "a field of one day"],
)
def test_coverage_without_bounds_has_a_start_alone(network, tmp_path, freq, changed):
    given = changed(network.aq.reanalyze("idw", grid=GRID, freq=freq, time="2020-01"))
    assert set(coverage(attrs_of(given, tmp_path / "c.nc"))) == {"start"}


def test_coverage_with_bounds_is_theirs(network, tmp_path):
    months = network.aq.reanalyze("idw", grid=GRID, freq="MS", time="2020-01", tz="Europe/Berlin", capture=0.5)
    assert coverage(attrs_of(months.isel(time=[0]), tmp_path / "c.nc")) == {
        "start": "2019-12-31T23:00:00Z", "end": "2020-01-31T23:00:00Z", "duration": "P31D", "resolution": "P1M"
    }  # fmt: skip


def test_minutes_are_counted_and_named_as_minutes(tmp_path):
    ds = xaq.datasets.synthetic(n_stations=12, days=1, step="30min")
    cube = ds.aq.reanalyze("idw", grid=1.0).isel(time=slice(1, 4))
    assert coverage(attrs_of(cube, tmp_path / "c.nc")) == {
        "start": "2020-01-01T00:30:00Z", "end": "2020-01-01T02:00:00Z", "duration": "PT90M", "resolution": "PT30M"
    }  # fmt: skip
    with netCDF4.Dataset(tmp_path / "c.nc") as file:
        assert file["time"].units == "minutes since 2020-01-01"
        assert file["time"][:].tolist() == [30.0, 60.0, 90.0]


@pytest.mark.parametrize(
    ("lon", "west", "east"),
    [
        ([179.5, -179.5], 179.5, 180.5),
        ([-179.5, -178.0, 178.0], 178.0, 182.0),
        ([359.5, 0.5], -0.5, 0.5),
        ([200.0, 210.0], 200.0, 210.0),
        ([-120.0, 0.0, 110.0], -120.0, 110.0),
    ],
)
def test_points_on_both_sides_of_a_seam_lie_close_together(tmp_path, lon, west, east):
    ds = xaq.datasets.synthetic(n_stations=12, days=1, step="6h")
    ds = ds.assign_coords(lon=ds.lon + lon[0] - 10.0)
    at = ds.aq.estimate("idw", lon=lon, lat=[50.0] * len(lon), max_distance=20_000.0)
    attrs = attrs_of(at.assign_coords(lon=("point", lon)), tmp_path / "c.nc")
    assert (attrs["geospatial_lon_min"], attrs["geospatial_lon_max"]) == (west, east)
    assert (attrs["geospatial_lon_units"], attrs["geospatial_lat_units"]) == ("degrees_east", "degrees_north")


def test_pollutants_that_were_merged_are_not_described_by_the_first(network, tmp_path):
    no2 = (0.5 * network.pm25).assign_attrs(network.pm25.attrs)
    both = network.assign(no2=no2.drop_attrs().assign_attrs(units="ug m-3"))
    options = {"grid": GRID, "time": "2020-01-05"}
    cubes = [both.aq.reanalyze("idw", target=target, **options) for target in ("pm25", "no2")]
    merged = xr.merge(cubes, combine_attrs="override", compat="override")
    attrs = attrs_of(merged, tmp_path / "c.nc")
    assert attrs["title"] == "PM2.5, NO2 estimated from stations"
    assert attrs["keywords"] == "air quality, PM2.5, NO2"
    assert not {"xaq_provenance", "history", "source"} & set(attrs)
    assert attrs["summary"] == "PM2.5, NO2 on a grid of 4 x 4 cells."
    assert attrs_of(merged[["no2"]], tmp_path / "d.nc")["title"] == "NO2 estimated from stations"
    mine = attrs_of(merged.assign_attrs(title="Air of Europe"), tmp_path / "e.nc")
    assert mine["title"] == "Air of Europe"
    given = {"title": "Air", "history": "made"}
    assert attrs_of(merged, tmp_path / "f.nc", attrs=given).items() >= given.items()


@pytest.mark.parametrize(
    "changed",
    [
        lambda cube: cube.rename(pm25="PM"),
        lambda cube: cube.assign(warm=cube.pm25.copy().assign_attrs(standard_name="air_temperature")),
    ],
    ids=["renamed", "with another variable"],
)
def test_a_cube_of_one_pollutant_keeps_its_provenance(cube, tmp_path, changed):
    attrs = attrs_of(changed(cube), tmp_path / "c.nc")
    assert json.loads(attrs["xaq_provenance"])["target"] == "pm25"
    assert attrs["title"] == cube.attrs["title"]
    assert attrs["history"] == cube.attrs["history"]


def test_the_summary_names_members(network, tmp_path):
    cube = network.aq.reanalyze("kriging", grid=GRID, members=3, time="2020-01-05")
    attrs = attrs_of(cube, tmp_path / "c.nc")
    assert attrs["summary"].endswith("with the bounds of its 90 % interval, with 3 equally likely members.")
    with netCDF4.Dataset(tmp_path / "c.nc") as file:
        assert file["pm25_member"].dimensions == ("member", "time", "lat", "lon")
    assert "xaq_status" not in attrs


def test_dimensions_are_in_the_order_of_cf(cube, tmp_path):
    assert "xaq_status" not in attrs_of(cube.assign_attrs(xaq_status="complete"), tmp_path / "c.nc")
    xaq.to_netcdf(cube.transpose("lon", "lat", "time", ...), tmp_path / "c.nc")
    with netCDF4.Dataset(tmp_path / "c.nc") as file:
        assert file["pm25"].dimensions == ("time", "lat", "lon")


def test_the_summary_of_forecasts_names_the_first_and_the_last(forecasts, tmp_path):
    one = attrs_of(forecasts[0], tmp_path / "one.nc")
    assert "forecast from 2020-01-20T00:00:00Z" in one["summary"]
    assert one["title"].startswith("PM2.5 forecast from 2020-01-20T00:00:00,")
    many = attrs_of(xr.concat(forecasts, "time", data_vars="minimal"), tmp_path / "many.nc")
    assert "forecasts from 2020-01-20T00:00:00Z to 2020-01-21T00:00:00Z" in many["summary"]
    assert many["title"] == "PM2.5 estimated from stations"
    np.testing.assert_array_less(len(many["summary"]), 250)
