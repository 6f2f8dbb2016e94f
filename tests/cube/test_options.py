"""What a user says about a cube is checked before anything is fitted, computed or deleted; NumPy's integers are integers."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from synthetic import station_dataset

import xaq
from xaq.cube import request
from xaq.cube.layout import StoreOptions
from xaq.errors import StoreError, XaqError

BAD = [
    {"precision": -1}, {"precision": 0}, {"precision": np.nan}, {"precision": np.inf}, {"precision": "0.1"},
    {"precision": True}, {"precision": 1e-320}, {"precision": 1e300}, {"level": np.nan}, {"level": True}, {"level": 1},
    {"max_distance": -1}, {"max_distance": np.nan}, {"max_distance": np.inf}, {"max_distance": 0},
    {"max_distance": "50"}, {"chunks": {"time": 0}}, {"chunks": {"time": True}}, {"chunks": {"time": 2.0}},
    {"chunks": {"time": 10**9}}, {"chunks": {"x": 1}}, {"chunks": {1: 1}}, {"chunks": 12}, {"zarr_format": 4},
    {"zarr_format": True}, {"zarr_format": "3"}, {"consolidated": "no"}, {"progress": 0}, {"update": 1}, {"grid": 0},
    {"grid": np.nan}, {"grid": np.inf}, {"grid": -0.1}, {"grid": True}, {"grid": "0.1"}, {"max_size": 0}, {"max_size": np.nan}, {"max_size": "1 GB"},
    {"target": 5}, {"target": "no2"},
]  # fmt: skip


def bytes_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("wrong", BAD, ids=str)
def test_a_wrong_option_leaves_the_old_cube_and_fits_nothing(wrong, tmp_path, monkeypatch):
    ds, path = station_dataset(), tmp_path / "c.zarr"
    ds.aq.reanalyze("idw", grid=1.0, store=path, progress=False)
    before = bytes_of(path)
    if "target" not in wrong:
        monkeypatch.setattr(request, "settle_mapper", None)
    options = {"grid": 1.0, "store": path, "overwrite": True, "progress": False, **wrong}
    with pytest.raises(XaqError, match="fix: "):
        ds.aq.reanalyze("kriging", **options)
    assert bytes_of(path) == before


@pytest.mark.parametrize("wrong", [w for w in BAD if {*w} <= {"precision", "zarr_format", "consolidated"}], ids=str)
def test_options_of_a_store_are_checked_without_a_store_too(wrong):
    with pytest.raises(StoreError, match="fix: "):
        station_dataset().aq.reanalyze("idw", grid=1.0, **wrong)


@given(st.sampled_from([np.int8, np.int16, np.int64, np.uint8, np.uint64, np.array, xr.DataArray]), st.integers(1, 30))
def test_integers_of_any_type_are_numbers_of_steps(kind, n):
    ds = station_dataset(4, steps=24)
    cube = ds.aq.reanalyze("idw", grid=1.0, chunks={"time": kind(n), "lat": kind(2)})
    assert cube.chunks == ds.aq.reanalyze("idw", grid=1.0, chunks={"time": n, "lat": 2}).chunks


def test_numbers_of_any_type_are_stored_as_plain_ones(tmp_path):
    options = StoreOptions(np.float32(0.5), np.int64(3), np.True_)
    assert options == StoreOptions(0.5, 3, True)
    assert [type(v) for v in (options.precision, options.zarr_format, options.consolidated)] == [float, int, bool]
    cube = station_dataset().aq.reanalyze(
        "kriging", grid=np.float32(1.0), level=np.float32(0.5), max_distance=np.int16(90), precision=np.float16(0.5),
        zarr_format=np.int8(3), consolidated=np.True_, store=tmp_path / "c.zarr", progress=np.False_,
    )  # fmt: skip
    assert xaq.cube_info(tmp_path / "c.zarr").provenance["max_distance_km"] == 90
    assert cube.pm25_upper.attrs["long_name"].startswith("upper bound of the 50 %")
