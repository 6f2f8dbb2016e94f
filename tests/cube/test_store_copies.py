"""Parts of a stored cube in another store: whole shards as they are, any other part with new chunks, never damaged."""

import numpy as np
import pytest
import xarray as xr

import xaq

GRID = xaq.Grid.regular(0.1, bounds=(9.0, 49.0, 13.0, 51.0))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A cube of 240 hours in shards of 96 hours by 20 by 40 cells, in chunks of a quarter of this or less."""
    place = tmp_path_factory.mktemp("copies") / "c.zarr"
    ds = xaq.datasets.synthetic(n_stations=12, days=10, seed=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xaq.cube.layout._CHUNK_STEPS", 48)
        patch.setattr("xaq.cube.layout._CHUNK_CELLS", 10)
        ds.aq.reanalyze("idw", grid=GRID, store=place, chunks={"time": 96}, progress=False)
    return place


@pytest.fixture(scope="module")
def cube(store):
    return xaq.open_cube(store)


def test_blocks_are_whole_shards_and_agree(cube):
    assert cube.pm25.encoding["shards"] == cube.pm25.data.chunksize == (96, 20, 40)
    assert cube.pm25.encoding["chunks"] == (48, 10, 10)
    assert cube.chunks["time"] == (96, 96, 48)
    for name, variable in cube.variables.items():
        shard = variable.encoding.get("shards") or variable.encoding.get("chunks")
        if variable.chunks is not None:
            assert [c[0] for c in variable.chunks] == [min(s, n) for s, n in zip(shard, variable.shape, strict=True)], (
                name
            )


@pytest.mark.parametrize("part", [{}, {"time": slice(96, None)}, {"time": slice(0, 192), "lat": slice(3, 9)}])
def test_whole_shards_are_copied_as_they_are(cube, part, tmp_path):
    cube.isel(part).to_zarr(tmp_path / "part.zarr")
    with xr.open_zarr(tmp_path / "part.zarr", decode_coords="all") as copy:
        xr.testing.assert_equal(copy.compute(), cube.isel(part).compute())
        assert copy.rio.crs.to_epsg() == 4326
        assert copy.pm25.encoding["shards"] == (96, 20, 40)


def open_plain(store):
    return xr.open_zarr(store)


@pytest.mark.parametrize("opened", [open_plain, xaq.open_cube], ids=["xarray", "xaq"])
@pytest.mark.parametrize(
    "part", [{"time": slice(100, 230)}, {"time": slice(None, None, 24)}, {"lat": slice(3, 12), "time": [5]}]
)
def test_any_part_is_copied_with_new_chunks(store, cube, opened, part, tmp_path):
    """The way that the page on export gives."""
    copy = opened(store).isel(part).drop_encoding().chunk(time=48, lat=36, lon=36)
    copy.to_zarr(tmp_path / "part.zarr")
    with xr.open_zarr(tmp_path / "part.zarr", decode_coords="all") as back:
        assert set(back.coords) == set(cube.coords)
        xr.testing.assert_equal(back.compute(), cube.isel(part).compute())
        assert back.rio.crs.to_epsg() == 4326
        assert back.time.encoding.get("bounds", back.time.attrs.get("bounds")) == "time_bnds"


@pytest.mark.parametrize("part", [{}, {"time": slice(100, 230)}, {"lat": slice(3, 12)}])
def test_chunks_smaller_than_shards_are_refused_and_never_damage(store, part, tmp_path):
    """The floor of xarray: releases before 2026.2 wrote two chunks of one shard at once, and lost one of them."""
    with pytest.raises(ValueError, match=r"would overlap multiple|incompatible"):
        xr.open_zarr(store, decode_coords="all").isel(part).to_zarr(tmp_path / "part.zarr")


def test_the_crs_survives_an_encoding_of_the_user(cube, tmp_path):
    cube.isel(time=[0]).to_netcdf(tmp_path / "c.nc", encoding={"pm25": {"zlib": True}})
    with xr.open_dataset(tmp_path / "c.nc", decode_coords="all") as back:
        assert back.pm25.rio.crs.to_epsg() == 4326


def test_a_store_counts_time_from_a_midnight(store):
    raw = xr.open_zarr(store, decode_times=False)
    for name in ("time", "time_bnds"):
        assert raw[name].attrs["units"] == "seconds since 1970-01-01"
        assert raw[name].dtype == np.int64


def test_a_cube_of_another_format_opens_and_is_not_completed(tmp_path, monkeypatch):
    ds = xaq.datasets.synthetic(n_stations=12, days=2, seed=4)
    call = {"grid": 0.5, "store": tmp_path / "c.zarr", "progress": False}
    with monkeypatch.context() as patch:
        patch.setattr("xaq.cube.store._FORMAT", 1)
        older = ds.aq.reanalyze("idw", **call)
    xr.testing.assert_identical(xaq.open_cube(tmp_path / "c.zarr"), older)
    for extended in ({}, {"update": True}):
        with pytest.raises(xaq.errors.StoreError, match="format: 1 there, 2 here"):
            ds.aq.reanalyze("idw", **call, **extended)
    assert ds.aq.reanalyze("idw", **call, overwrite=True).supported.dtype == bool
