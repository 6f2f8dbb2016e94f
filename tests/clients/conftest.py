"""Small cubes that other programs read: daily, hourly in Zarr 3 and 2, and a forecast, each also as netCDF."""

import shutil
import subprocess
from pathlib import Path

import pytest
import xarray as xr

import xaq
from xaq.nn.config import AQNetConfig

GRID = xaq.Grid.regular(0.5, bounds=(8.0, 48.0, 12.0, 51.0))
CUBES = ("daily", "hourly", "hourly Zarr 2", "forecast")


def make(kind: str, store: Path) -> xr.Dataset:
    """Return a stored cube; it begins in the afternoon, so that a client that drops the hours of an epoch is seen."""
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
        return ds.aq.reanalyze(model, grid=GRID, store=store, progress=False)
    ds = xaq.datasets.synthetic(n_stations=12, days=4, seed=4)
    # No station reports in one hour: the cube is missing there.
    ds["pm25"] = ds.pm25.where(ds.time != ds.time[20])
    how = {"freq": "D"} if kind == "daily" else {"time": slice("2020-01-01T17", None)}
    zarr_format = 2 if kind.endswith("2") else 3
    return ds.aq.reanalyze("kriging", grid=GRID, store=store, zarr_format=zarr_format, progress=False, **how)


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


def run(program: str, *arguments: object) -> str:
    """Return what a program prints; skip the test where the program is not installed."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
