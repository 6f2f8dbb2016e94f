"""What no file can be true of is refused, with a fix that works: incomplete cubes, axes out of order, times that are numbers."""

import numpy as np
import pytest
import xarray as xr

import xaq
from xaq.cube import blocks
from xaq.errors import SchemaError

GRID = xaq.Grid.regular(0.5, bounds=(-1.0, 49.0, 1.0, 51.0))


@pytest.fixture(scope="module")
def network():
    """Stations on both sides of Greenwich."""
    ds = xaq.datasets.synthetic(n_stations=12, days=5, step="6h")
    return ds.assign_coords(lon=ds.lon - 10.0)


@pytest.fixture(scope="module")
def cube(network):
    return network.aq.reanalyze("idw", grid=GRID)


@pytest.fixture(params=[xaq.to_netcdf, xaq.to_pyramid], ids=["netCDF", "pyramid"])
def write(request):
    return request.param


def fixed(error, cube):
    """Return what the fix of an error makes of a cube."""
    names = {"cube": cube, "xr": xr}
    exec(str(error.value).partition("fix: ")[2], names)
    return names["cube"]


def test_an_unfinished_store_is_refused(network, tmp_path, monkeypatch, write):
    def killed(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(blocks, "_checksum", killed)
        with pytest.raises(KeyboardInterrupt):
            network.aq.reanalyze("idw", grid=GRID, store=tmp_path / "c.zarr", progress=False)
    with pytest.raises(SchemaError, match="unfinished: blocks that are not written yet"):
        write(xr.open_zarr(tmp_path / "c.zarr", consolidated=False), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    whole = network.aq.reanalyze("idw", grid=GRID, store=tmp_path / "c.zarr", progress=False)
    write(whole, tmp_path / "out")


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda cube: cube.assign_coords(lon=cube.lon % 360), "lon is not in order"),
        (lambda cube: cube.isel(lat=[2, 0, 1]), "lat is not in order"),
        (
            lambda cube: xr.concat([cube, cube.isel(time=[-1])], "time", data_vars="minimal"),
            "time has 1 value(s) twice",
        ),
        (lambda cube: cube.assign_coords(lat=cube.lat.where(cube.lat > 49.5)), "lat is missing at 1 of 4"),
        (
            lambda cube: cube.assign_coords(time=cube.time.where(cube.time != cube.time[2])),
            "time is missing at 1 of 20",
        ),
    ],
    ids=["longitudes of two turns", "rows at random", "a time twice", "a row without latitude", "a step without time"],
)
def test_axes_out_of_order_are_refused(cube, tmp_path, broken, said):
    given = broken(cube.drop_vars("lat_bnds"))
    with pytest.raises(SchemaError, match=said.replace("(s)", r"\(s\)")) as error:
        xaq.to_netcdf(given, tmp_path / "c.nc")
    with xr.open_dataset(xaq.to_netcdf(fixed(error, given), tmp_path / "c.nc")) as back:
        assert all(back.indexes[name].is_monotonic_increasing for name in ("time", "lat", "lon"))


def test_an_axis_from_north_to_south_is_in_order(cube, tmp_path):
    with xr.open_dataset(xaq.to_netcdf(cube.sortby("lat", ascending=False), tmp_path / "c.nc")) as back:
        np.testing.assert_array_equal(back.lat, cube.lat[::-1])


def test_times_that_are_not_decoded_are_refused(cube, tmp_path):
    raw = xr.open_dataset(xaq.to_netcdf(cube, tmp_path / "c.nc"), decode_times=False)
    with pytest.raises(SchemaError, match="time holds numbers") as error:
        xaq.to_netcdf(raw, tmp_path / "d.nc")
    with xr.open_dataset(xaq.to_netcdf(fixed(error, raw), tmp_path / "d.nc")) as back:
        np.testing.assert_array_equal(back.time, cube.time)


def test_times_of_another_calendar_are_refused(cube, tmp_path):
    given = cube.convert_calendar("noleap")
    with pytest.raises(SchemaError, match="time holds DatetimeNoLeap") as error:
        xaq.to_netcdf(given, tmp_path / "d.nc")
    with xr.open_dataset(xaq.to_netcdf(fixed(error, given), tmp_path / "d.nc")) as back:
        np.testing.assert_array_equal(back.time, cube.time)
