"""Cubes of gridded predictors: what is read when, blocks, and a store that follows its fields."""

import dask
import numpy as np
import pytest
import xarray as xr

import xaq
from xaq.cube import blocks
from xaq.errors import StoreError
from xaq.fields.sample import sample_points

GRID = xaq.Grid.regular(0.5, bounds=(9, 49, 11, 51))


@pytest.fixture(scope="module")
def plumes():
    return xaq.datasets.synthetic(n_stations=40, days=4, missing=0.1)


@pytest.fixture(scope="module")
def network(plumes, weather):
    """Return plumes that thin out where the wind blows, so that it has a slope."""
    there = sample_points(weather.wind, plumes.lon, plumes.lat, time=plumes.time).transpose("point", "time").values
    values = (plumes.pm25 * np.exp(-(there - 285) / 16)).astype("f4")
    return plumes.assign(pm25=values.assign_attrs(plumes.pm25.attrs))


@pytest.fixture(scope="module")
def weather(plumes):
    """Return two fields of 0.2 degrees, one of them with holes."""
    lat, lon, hours = np.arange(48.0, 52.1, 0.2), np.arange(8.0, 12.1, 0.2), np.arange(plumes.sizes["time"])
    shape = (len(hours), len(lat), len(lon))
    phase = np.random.default_rng(2).uniform(0, 2 * np.pi, shape[1:])
    waves = 8 * np.cos(phase + hours[:, None, None] / 7.0)
    columns = np.random.default_rng(0).normal(size=shape[1:]) + waves**2
    columns[np.random.default_rng(1).random(shape) < 0.4] = np.nan
    axes = {"time": plumes.time.values, "lat": lat, "lon": lon}
    fields = {"wind": 285 + waves, "no2": columns}
    return xr.Dataset({n: (tuple(axes), v.astype("f4"), {"units": "1"}) for n, v in fields.items()}, axes)


def made(network, fields, **options):
    return network.aq.reanalyze("kriging-drift", fields=[fields], **{"grid": GRID, "progress": False, **options})


def tree(path):
    """Return every block of a store with its bytes."""
    return {
        str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if "/c/" in str(p) and p.is_file()
    }


def test_blocks_are_parts_of_the_whole(network, weather):
    whole = made(network, weather).load()
    assert np.isfinite(whole.pm25).all()
    tiled = made(network, weather, chunks={"time": 10, "lat": 2, "lon": 3})
    for name in ("pm25", "pm25_lower", "pm25_upper"):
        np.testing.assert_allclose(tiled[name], whole[name], rtol=1e-5)
    part = made(network, weather, time=slice(network.time[7], network.time[12]))
    np.testing.assert_allclose(part.pm25, whole.pm25[7:13], rtol=1e-6)
    points = network.aq.estimate("kriging-drift", lon=GRID.lon[[1]], lat=GRID.lat[[2]], fields=weather)
    np.testing.assert_allclose(points.pm25[:, 0], whole.pm25[:, 2, 1], rtol=1e-5)


def test_a_cube_reads_nothing_of_a_lazy_field_beyond_the_fit_before_it_is_computed(network, weather):
    read = []

    def watched(block, block_info=None):
        read.append(block_info[0]["chunk-location"][0])
        return block

    lazy = weather[["wind"]].chunk(time=24)
    lazy["wind"] = lazy.wind.copy(data=lazy.wind.data.map_blocks(watched, dtype="f4", meta=np.empty((0, 0, 0), "f4")))
    with dask.config.set(scheduler="synchronous"):
        network.aq.estimate("kriging-drift", fields=[lazy.wind], lon=[10.0], lat=[50.0])
        of_fit = len(read)
        assert set(read) == {0, 1, 2, 3}
        read.clear()
        cube = made(network, lazy.wind, chunks={"time": 24})
        assert len(read) == of_fit
        read.clear()
        cube.pm25.isel(time=slice(30, 40)).compute()
        assert set(read) == {1}
    np.testing.assert_allclose(cube.pm25, made(network, weather.wind).pm25, rtol=1e-5)


def test_a_changed_value_of_a_field_makes_the_blocks_that_it_reaches_again(network, weather, tmp_path, monkeypatch):
    path, options = tmp_path / "c.zarr", {"chunks": {"time": 24}}
    made(network, weather, store=path, **options)
    near = abs(weather.lon - network.lon).where(abs(weather.lat - network.lat) < 0.21).min("station") < 0.21
    inside = (abs(weather.lon - 10) < 0.9) & (abs(weather.lat - 50) < 0.9)
    row, column = np.argwhere((inside & ~near).transpose("lat", "lon").values)[0]
    changed = weather.copy(deep=True)
    changed.wind[50, row, column] += 5.0
    written = []
    block = blocks._write_block
    monkeypatch.setattr(blocks, "_write_block", lambda *args: written.append(args[2][0]) or block(*args))
    with pytest.raises(StoreError, match="update=True"):
        made(network, changed, store=path, **options)
    updated = made(network, changed, store=path, update=True, **options)
    assert written == [2]
    expected = made(network, changed)
    np.testing.assert_allclose(updated.pm25, expected.pm25, rtol=1e-5)
    assert (abs(expected.pm25 - made(network, weather).pm25) > 1e-3).any()
    # A value beyond the cells and the stations is none of the estimate's.
    written.clear()
    changed.wind[10, 0, 0] += 5.0
    made(network, changed, store=path, update=True, **options)
    assert written == []


@pytest.mark.slow
def test_a_store_is_that_of_its_fields(network, weather, tmp_path):
    path = tmp_path / "c.zarr"
    first = made(network, weather, store=path).load()
    made(network, weather, store=path)
    others = [
        weather[["wind"]],
        weather.assign(wind=weather.wind.assign_attrs(units="m s-1")),
        weather.rename(wind="gust"),
        weather.isel(lat=slice(None, None, 2)),
        weather.assign(more=weather.wind**2),
    ]
    for fields in others:
        with pytest.raises(StoreError, match="another cube"):
            made(network, fields, store=path, update=True)
    with pytest.raises(StoreError, match="another cube"):
        network.aq.reanalyze("kriging-drift", grid=GRID, store=path, progress=False)
    np.testing.assert_array_equal(xr.open_zarr(path).pm25, first.pm25)


def test_a_store_that_was_interrupted_is_completed_to_the_same_bytes(network, weather, tmp_path, monkeypatch):
    cut, whole, options = tmp_path / "cut.zarr", tmp_path / "whole.zarr", {"chunks": {"time": 24}}
    block, count = blocks._write_block, []

    def dying(*args):
        count.append(1)
        if len(count) == 3:
            raise KeyboardInterrupt
        return block(*args)

    monkeypatch.setattr(blocks, "_write_block", dying)
    with dask.config.set(scheduler="synchronous"), pytest.raises(KeyboardInterrupt):
        made(network, weather.chunk(time=11), store=cut, **options)
    monkeypatch.undo()
    made(network, weather.chunk(time=11), store=cut, **options)
    made(network, weather, store=whole, **options)
    assert tree(cut) == tree(whole)
