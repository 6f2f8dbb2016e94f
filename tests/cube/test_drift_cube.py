"""Cubes of kriging with external drift: blocks, gaps of fields, and what a store refuses."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xaq
from xaq.cli import main
from xaq.errors import StoreError

GRID = xaq.Grid.regular(0.5, bounds=(9, 49, 11, 51))


@pytest.fixture(scope="module")
def network():
    return xaq.datasets.synthetic(n_stations=30, days=2, missing=0.1)


def waves(scale=1.0):
    lat, lon = np.arange(48.0, 52.0, 0.05), np.arange(8.0, 12.0, 0.05)
    y, x = np.meshgrid(lat, lon, indexing="ij")
    values = scale * np.sin(7 * x) * np.cos(5 * y) + 0.3 * y
    return xr.DataArray(values.astype("f4"), {"lat": lat, "lon": lon}, ("lat", "lon"), attrs={"units": "1"})


def field(network):
    lat, lon = np.arange(48.0, 52.1, 0.2), np.arange(8.0, 12.1, 0.2)
    hours = np.arange(network.sizes["time"])[:, None, None]
    values = 25 + 8 * np.sin(3 * lon) * np.cos(2 * lat)[:, None] * np.cos(hours / 7.0)
    axes = {"time": network.time.values, "lat": lat, "lon": lon}
    return xr.DataArray(values.astype("f4"), axes, ("time", "lat", "lon"), "pm25", {"units": "ug m-3"})


def made(network, **options):
    fields = {"background": field(network), "rasters": {"waves": waves()}}
    return network.aq.reanalyze("kriging-drift", **{"grid": GRID, "progress": False, **fields, **options})


def test_blocks_are_parts_of_the_whole(network):
    whole = made(network).load()
    assert np.isfinite(whole.pm25).all()
    tiled = made(network, chunks={"time": 10, "lat": 2, "lon": 3})
    for name in ("pm25", "pm25_lower", "pm25_upper"):
        np.testing.assert_allclose(tiled[name], whole[name], rtol=1e-6)
    # A block in time alone is the same bytes: the means over the stations are those of its own times.
    part = made(network, time=slice(network.time[7], network.time[12]))
    np.testing.assert_array_equal(part.pm25, whole.pm25[7:13])
    lazy = made(network, background=field(network).chunk(time=7), rasters={"waves": waves().chunk(lat=9)})
    np.testing.assert_array_equal(lazy.pm25, whole.pm25)
    points = network.aq.estimate(
        "kriging-drift", lon=GRID.lon[[1]], lat=GRID.lat[[2]], background=field(network), rasters={"waves": waves()}
    )
    np.testing.assert_allclose(points.pm25[:, 0], whole.pm25[:, 2, 1], rtol=1e-5)


def test_lazy_stations_are_estimated_as_those_in_memory(network):
    whole, lazy = made(network), made(network.chunk(time=24))
    np.testing.assert_allclose(lazy.pm25, whole.pm25, rtol=1e-6)


def test_a_cell_without_raster_is_estimated_and_unsupported_and_one_without_background_is_missing(network):
    place = (abs(waves().lon - 10.25) < 0.2) & (abs(waves().lat - 50.25) < 0.2)
    raster = waves().where(~place)
    around = (abs(field(network).lon - 9.25) < 0.3) & (abs(field(network).lat - 49.25) < 0.3)
    cube = made(network, rasters={"waves": raster}, background=field(network).where(~around)).load()
    assert np.isfinite(cube.pm25.sel(lon=10.25, lat=50.25)).all()
    assert not cube.supported.sel(lon=10.25, lat=50.25)
    assert np.isnan(cube.pm25.sel(lon=9.25, lat=49.25)).all()
    assert cube.supported.sel(lon=10.75, lat=50.75)


def test_provenance_names_every_term(network):
    cube = made(network)
    found = json.loads(cube.attrs["xaq_provenance"])
    # Both slopes are zero for want of stations, and the title names what has an effect.
    assert not any(term["slope"] for term in found["drift"])
    assert " with " not in cube.attrs["title"]
    assert [raster["name"] for raster in found["rasters"]] == ["waves"]
    assert found["method"] == "kriging-drift"
    assert found["background"]["name"] == "pm25"
    assert found["site_effect"].keys() >= {"altitude"}
    raster, log_background = found["drift"]
    assert raster.keys() == {"kind", "name", "units", "hash", "low", "high", "std", "slope"}
    assert (raster["name"], log_background["name"]) == ("waves", "log(background)")
    assert all(np.isfinite(term["slope"]) for term in found["drift"])
    alone = json.loads(made(network, background=None, rasters=None).attrs["xaq_provenance"])
    assert not alone.keys() & {"background", "rasters", "drift"}


@pytest.mark.slow
def test_a_store_is_that_of_its_fields(network, tmp_path):
    path = tmp_path / "c.zarr"
    first = made(network, store=path, chunks={"time": 24}).load()
    made(network, store=path, chunks={"time": 24})
    others = [
        {"rasters": None},
        {"background": None},
        {"rasters": {"waves": waves(1.5)}},
        {"rasters": {"hills": waves()}},
        {"rasters": {"waves": waves(), "more": waves() ** 2}},
    ]
    for fields in others:
        with pytest.raises(StoreError, match="another cube"):
            made(network, store=path, chunks={"time": 24}, update=True, **fields)
    with pytest.raises(StoreError, match="another cube"):
        network.aq.reanalyze("kriging", grid=GRID, store=path, progress=False)
    np.testing.assert_array_equal(xr.open_zarr(path).pm25, first.pm25)


def test_members_hang_on_the_same_trend(network):
    cube = made(network, members=4, time=slice(network.time[0], network.time[5])).load()
    name = next(str(n) for n in cube.data_vars if "member" in cube[n].dims)
    assert np.isfinite(cube[name]).all()
    middle = cube[name].mean("member")
    assert np.corrcoef(middle.values.ravel(), cube.pm25.values.ravel())[0, 1] > 0.8


def test_from_a_shell(network, tmp_path):
    stations, points, out = tmp_path / "stations.nc", tmp_path / "points.csv", tmp_path / "estimates.csv"
    network.to_netcdf(stations)
    points.write_text("id,lon,lat\nhome,10.0,50.0\n")
    assert not main(["estimate", "kriging-drift", str(stations), "--points", str(points), "-o", str(out)])
    expected = network.aq.estimate("kriging-drift", lon=[10.0], lat=[50.0])
    np.testing.assert_allclose(pd.read_csv(out).pm25, expected.pm25[:, 0], rtol=1e-3)
