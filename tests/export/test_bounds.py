"""Bounds in netCDF are those of the cells and times that are written, or are not there."""

import shutil
import subprocess

import netCDF4
import numpy as np
import pytest
import xarray as xr

import xaq

HALF = np.timedelta64(3, "h")


@pytest.fixture(scope="module")
def cube():
    """Six-hourly, on both sides of Greenwich."""
    ds = xaq.datasets.synthetic(n_stations=12, days=5, step="6h")
    ds = ds.assign_coords(lon=ds.lon - 10.0)
    return ds.aq.reanalyze("idw", grid=xaq.Grid.regular(0.5, bounds=(-1.0, 49.0, 1.0, 51.0))).compute()


def written(cube, path):
    with xr.open_dataset(xaq.to_netcdf(cube, path), decode_coords="all") as back:
        return back.load()


def test_rewritten_longitudes_have_bounds_of_their_own(cube, tmp_path):
    turned = written(cube.assign_coords(lon=cube.lon % 360).sortby("lon"), tmp_path / "c.nc")
    np.testing.assert_array_equal(turned.lon, [0.25, 0.75, 359.25, 359.75])
    np.testing.assert_allclose(turned.lon_bnds, np.stack([turned.lon - 0.25, turned.lon + 0.25], axis=1))
    np.testing.assert_array_equal(turned.lat_bnds, cube.lat_bnds)
    assert (turned.attrs["geospatial_lon_min"], turned.attrs["geospatial_lon_max"]) == (-1.0, 1.0)


@pytest.mark.skipif(shutil.which("cdo") is None, reason="CDO is not installed")
def test_cdo_keeps_every_cell_of_rewritten_longitudes(cube, tmp_path):
    path = xaq.to_netcdf(cube.assign_coords(lon=cube.lon % 360).sortby("lon"), tmp_path / "c.nc")
    area = ["cdo", "-s", "outputf,%.6g", "-fldsum", "-gridarea", "-selname,pm25", "-seltimestep,1", str(path)]
    total = float(subprocess.run(area, capture_output=True, text=True, check=True).stdout.split()[0])
    expected = 6_371_000**2 * np.deg2rad(2.0) * np.ptp(np.sin(np.deg2rad([49.0, 51.0])))
    assert total == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("changed", "lost"),
    [
        (lambda cube: cube.coarsen(time=4, lat=2, lon=2).mean(), {"time", "lat", "lon"}),
        (lambda cube: cube.isel(lat=slice(None, None, 2)), {"lat"}),
        (lambda cube: cube.interp(lat=np.arange(49.3, 50.7, 0.1)), {"lat"}),
        (lambda cube: cube.interp(time=cube.time.values[0] + np.arange(8) * HALF), {"time"}),
        (lambda cube: cube[["pm25"]].interp(time=cube.time.values[0] + np.arange(8) * HALF), {"time"}),
        (lambda cube: cube.resample(time="D").mean(), {"time"}),
        (lambda cube: cube.assign_coords(lat_bnds=cube.lat_bnds.where(cube.lat > 49.5)).isel(lat=[0]), {"lat"}),
        (lambda cube: cube.assign_coords(lat=cube.lat + 10.0).isel(lat=[0]), {"lat"}),
        (lambda cube: cube.assign_coords(time=cube.time + np.timedelta64(8, "h")).isel(time=[0]), {"time"}),
        (lambda cube: cube.assign_coords(time_bnds=cube.time_bnds.isel(bnds=[0, 0])).isel(time=[0]), {"time"}),
        (lambda cube: cube.isel(time=0, drop=True), {"time"}),
        (lambda cube: cube.isel(time=0).assign_coords(time=np.datetime64("2021-01-01", "s")), {"time"}),
    ],
    ids=[
        "means of steps and cells", "every second row", "finer rows", "half steps", "half steps of a field", "means of days",
        "a row without bounds", "a row moved", "a step moved", "a step without length", "a map", "a map at another time",
    ],
)  # fmt: skip
def test_bounds_that_are_not_true_are_left_out(cube, tmp_path, changed, lost):
    back = written(changed(cube), tmp_path / "c.nc")
    assert {name for name in ("time", "lat", "lon") if f"{name}_bnds" not in back.variables} == lost
    assert not any("bounds" in back[name].attrs for name in lost & set(back.coords))


@pytest.mark.parametrize(
    "changed",
    [
        lambda cube: cube.isel(time=[3], lat=[1], lon=[2]),
        lambda cube: cube.isel(time=slice(4, 9), lat=slice(1, 3)),
        lambda cube: cube.isel(time=[0, 1, 6, 7], lon=[0, 1, 3]),
        lambda cube: cube.assign_coords(time=cube.time + HALF),
        lambda cube: cube.drop_vars(["time_bnds", "lat_bnds", "lon_bnds"]),
    ],
    ids=["one cell", "a part", "parts", "times in the middle", "bounds lost"],
)
def test_bounds_that_are_true_are_kept(cube, tmp_path, changed):
    given = changed(cube)
    back = written(given, tmp_path / "c.nc")
    for name in ("time", "lat", "lon"):
        expected = cube[f"{name}_bnds"][np.searchsorted(cube[f"{name}_bnds"][:, 1], given[name], side="right")]
        np.testing.assert_array_equal(back[f"{name}_bnds"], expected, err_msg=name)
        assert back[name].encoding["bounds"] == f"{name}_bnds"


@pytest.mark.parametrize("again", [True, False])
def test_bounds_of_a_map_are_along_its_time_where_it_has_one(cube, tmp_path, again):
    one = cube.isel(time=2)
    back = written(one.expand_dims("time") if again else one, tmp_path / "c.nc")
    assert back.time_bnds.dims == (("time", "bnds") if again else ("bnds",))
    np.testing.assert_array_equal(back.time_bnds.values.ravel(), cube.time_bnds[2])


@pytest.mark.parametrize("lost", [True, False])
def test_bounds_fall_where_their_axis_falls(cube, tmp_path, lost):
    given = cube.sortby("lat", ascending=False)
    with netCDF4.Dataset(xaq.to_netcdf(given[["pm25"]] if lost else given, tmp_path / "c.nc")) as file:
        assert file["lat_bnds"][:].tolist() == [[51.0, 50.5], [50.5, 50.0], [50.0, 49.5], [49.5, 49.0]]
        assert file["lon_bnds"][0].tolist() == [-1.0, -0.5]


def test_rows_centred_on_the_poles_end_there(tmp_path):
    ds = xaq.datasets.synthetic(n_stations=12, days=1, step="6h")
    ds = ds.assign_coords(lat=ds.lat + 38.0)
    grid = xr.Dataset(coords={"lon": [8.0, 9.0, 10.0], "lat": [88.0, 89.0, 90.0]})
    field = ds.aq.reanalyze("idw", grid=grid)[["pm25"]]
    assert written(field, tmp_path / "c.nc").lat_bnds.values.tolist() == [[87.5, 88.5], [88.5, 89.5], [89.5, 90.0]]


def test_ends_of_periods_at_points_are_used_only_where_they_are_true(tmp_path):
    ds = xaq.datasets.synthetic(n_stations=12, days=8, step="6h")
    at = ds.aq.estimate("idw", lon=[9.5, 10.5], lat=[49.5, 50.0], freq="D")
    assert written(at, tmp_path / "days.nc").time_bnds[-1, 1] == at.period_end[-1]
    means = written(at.coarsen(time=2).mean(), tmp_path / "means.nc")
    assert not {"time_bnds", "period_end"} & set(means.variables)


@pytest.mark.parametrize("of", ["a cube", "a field"])
def test_months_of_daily_values_with_an_offset_begin_and_end_with_their_days(tmp_path, of):
    ds = xaq.datasets.synthetic(n_stations=12, days=62, step="1D")
    ds = ds.assign_coords(time=ds.time - np.timedelta64(8, "h"))
    months = ds.aq.reanalyze("idw", grid=0.5, freq="MS")
    assert months.time.attrs["long_name"] == "start of the month of the network's days (UTC)"
    back = written(months if of == "a cube" else months[["pm25"]], tmp_path / "c.nc")
    expected = np.array(["2019-12-31T16", "2020-01-31T16", "2020-02-29T16", "2020-03-31T16"], "M8[s]")
    np.testing.assert_array_equal(back.time_bnds, np.stack([expected[:-1], expected[1:]], axis=1))
    ds = xaq.datasets.synthetic(n_stations=12, days=62, step="1D")
    assert ds.aq.reanalyze("idw", grid=0.5, freq="MS").time.attrs["long_name"] == "start of the month (UTC)"
