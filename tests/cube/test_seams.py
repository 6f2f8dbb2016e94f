"""Seams: where the set of neighbours changes from a cell to the next, estimates jump by little beside their interval."""

import numpy as np
import pytest

import xaq
from xaq.arrays import sphere


@pytest.mark.parametrize("day", ["2005-02-08", "2005-07-01"])
def test_jumps_at_seams_are_small_beside_the_interval(day):
    ds = xaq.datasets.load("germany").aq.hide(fraction=0.15, seed=7)
    cube = ds.aq.reanalyze("kriging", grid=0.1, time=day).isel(time=0).compute()
    reports = np.isfinite(ds.pm10.sel(time=day).values) & ~ds.hidden.values
    lon, lat = np.meshgrid(cube.lon, cube.lat)
    nearest, _ = sphere.nearest(ds.lon.values[reports], ds.lat.values[reports], lon.ravel(), lat.ravel(), 16)
    sets = np.sort(nearest, axis=1).reshape(*lon.shape, 16)
    seam = (sets[:, 1:] != sets[:, :-1]).any(axis=-1)
    half_width = 0.5 * (cube.pm10_upper - cube.pm10_lower).values
    jump = np.abs(np.diff(cube.pm10.values, axis=1)) / half_width[:, 1:]
    assert seam.sum() > 1000
    assert np.quantile(jump[seam], 0.99) < 0.27
    assert jump[seam].max() < 0.5
