"""Small cubes that other programs read: daily, hourly in Zarr 3 and 2, and a forecast, each also as netCDF.

The hourly one lies in the south and west, where a sign that is lost is seen; the others in the north and east.
"""

import shutil
import subprocess
from pathlib import Path

import pytest
import xarray as xr

import xaq
from xaq.nn.config import AQNetConfig

CUBES = ("daily", "hourly", "hourly Zarr 2", "forecast")
#: West, south, east and north of the cells of each, degrees.
EDGES = {**dict.fromkeys(CUBES, (8.0, 48.0, 12.0, 51.0)), "hourly": (-60.0, -36.0, -56.0, -33.0)}


def make(kind: str, store: Path) -> xr.Dataset:
    """Return a stored cube; it begins in the afternoon, so that a client that drops the hours of an epoch is seen."""
    grid = xaq.Grid.regular(0.5, bounds=EDGES[kind])
    if kind == "forecast":
        ds = xaq.datasets.synthetic(n_stations=12, days=30, step="6h", seed=4)
        config = AQNetConfig(
            task="forecast",
            hidden=8,
            heads=2,
            k=4,
            steps_per_day=4,
            patch=4,
            days_before=2,
            days_after=0,
            target_days=2,
        )
        model = ds.aq.train(task="forecast", config=config, max_epochs=0, progress=False)
        return ds.aq.reanalyze(model, grid=grid, store=store, progress=False)
    ds = xaq.datasets.synthetic(n_stations=12, days=4, seed=4)
    # No station reports in one hour, or on one day: the cube is missing there.
    silent = ds.time.dt.day == 2 if kind == "daily" else ds.time == ds.time[20]
    ds["pm25"] = ds.pm25.where(~silent)
    if kind == "hourly":
        ds = ds.assign_coords(lon=ds.lon - 68.0, lat=ds.lat - 84.0)
    how = {"freq": "D"} if kind == "daily" else {"time": slice("2020-01-01T17", None)}
    zarr_format = 2 if kind.endswith("2") else 3
    return ds.aq.reanalyze("kriging", grid=grid, store=store, zarr_format=zarr_format, progress=False, **how)


@pytest.fixture(scope="session")
def cubes(tmp_path_factory) -> dict[str, tuple[xr.Dataset, Path, Path]]:
    """Each kind of cube: the opened cube, its store and its netCDF file."""
    folder, found = tmp_path_factory.mktemp("clients"), {}
    for i, kind in enumerate(CUBES):
        store, file = folder / f"{i}.zarr", folder / f"{i}.nc"
        cube = make(kind, store)
        xaq.to_netcdf(cube, file, unlimited=True)
        found[kind] = (cube, store, file)
    return found


@pytest.fixture(params=CUBES)
def case(request, cubes) -> tuple[xr.Dataset, Path, Path]:
    """One kind of cube after the other."""
    return cubes[request.param]


def box(cube: xr.Dataset) -> tuple[float, float, float, float]:
    """Return west, south, east and north of the cells of a cube, degrees."""
    lon, lat = cube.lon_bnds, cube.lat_bnds
    return float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())


def inner(cube: xr.Dataset) -> tuple[float, float, float, float]:
    """Return the same of a part of the cells."""
    west, south, east, north = box(cube)
    return west + 1.0, south + 1.0, east - 1.0, north - 0.5


def run(program: str, *arguments: object) -> str:
    """Return what a program prints; skip the test where the program is not installed."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
