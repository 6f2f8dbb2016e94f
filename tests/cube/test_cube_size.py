"""A mistyped grid does not start a huge job: the size of a cube is known, and limited, before anything is written."""

import logging

import numpy as np
import pytest
from synthetic import station_dataset

import xaq
from xaq.errors import StoreError


def test_a_mistyped_grid_is_refused_with_one_that_fits(tmp_path):
    ds = xaq.datasets.load("germany")
    with pytest.raises(
        StoreError, match=r"365 steps, 1 variable: \d{3}\.\d MB before compression, above max_size=0\.1 GB"
    ) as refused:
        ds.aq.reanalyze("idw", grid=0.02, store=tmp_path / "c.zarr", max_size=0.1)
    assert list(tmp_path.iterdir()) == []
    fix = str(refused.value).partition("fix: ")[2]
    spacing, size = float(fix.split("=")[1].split(",")[0]), float(fix.rpartition("=")[2])
    cells = np.prod([s for d, s in ds.aq.reanalyze("idw", grid=spacing).sizes.items() if d in ("lat", "lon")])
    assert cells * 365 * 4 <= 0.1e9 < 1.3 * cells * 365 * 4
    needed = float(str(refused.value).partition(": ")[2].split()[0]) / 1e3
    assert needed <= size <= 1.1 * needed, "what is asked for then"


def test_the_size_is_that_of_values_and_members(tmp_path, caplog):
    caplog.set_level(logging.INFO, "xaq")
    ds = station_dataset()
    cube = ds.aq.reanalyze("kriging", grid=1.0, members=3, freq="D", store=tmp_path / "c.zarr", progress=False)
    names = ("pm25", "pm25_lower", "pm25_upper", "pm25_member")
    assert f"{sum(cube[name].nbytes for name in names) / 1e6:,.1f} MB" in caplog.text
    assert f"{cube.sizes['time']} period" in caplog.text


def test_a_cube_that_is_asked_for_is_written_and_an_older_one_grows_whatever_its_size(tmp_path):
    ds, tiny = station_dataset(steps=48), {"grid": 1.0, "progress": False, "max_size": 1e-9}
    for store in (tmp_path / "new.zarr", tmp_path / "other.zarr"):
        with pytest.raises(StoreError, match="max_size"):
            ds.aq.reanalyze("idw", store=store, update=True, **tiny)
    part = ds.isel(time=slice(24))
    part.aq.reanalyze("idw", store=tmp_path / "c.zarr", grid=1.0, progress=False)
    assert ds.aq.reanalyze("idw", store=tmp_path / "c.zarr", update=True, **tiny).sizes["time"] == 48
    assert ds.aq.reanalyze("idw", **tiny).sizes["time"] == 48, "lazy: nothing is written"
