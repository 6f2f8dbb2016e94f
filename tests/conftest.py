"""Fixtures for all tests: small seeded networks, the folder of real networks, a Dask scheduler that must not run."""

import os

os.environ["MPLBACKEND"] = "Agg"
if "PYTEST_XDIST_WORKER" in os.environ:
    # Each worker has a core: threads that wait for each other actively would take it from the other workers.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from dataclasses import replace
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import settings
from synthetic import scatter, station_dataset

from xaq.interpolate.base import Observations

settings.register_profile("xaq", deadline=None, max_examples=25, derandomize=True, database=None)
settings.load_profile("xaq")


@pytest.fixture(scope="session", autouse=True)
def short_work():
    """Train in short epochs and make few members: tests ask whether it works, not how well.

    Nineteen members are the fewest that bound an interval of 90 %.
    """
    from xaq.cube import ensemble
    from xaq.evaluate import verify
    from xaq.training import loop

    plans = {task: replace(plan, steps_per_epoch=4) for task, plan in loop.SCHEDULES.items()}
    plans["analysis"] = replace(plans["analysis"], fractions=(0.5, 1.0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "SCHEDULES", plans)
        patch.setattr(ensemble, "DEFAULT_MEMBERS", 19)
        patch.setattr(ensemble, "POINT_MEMBERS", 19)
        patch.setattr(verify, "_MEMBERS_TRAINED", 19)
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = Path(os.environ.get("XAQ_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}: set XAQ_DATA to the folder of real networks")
    return folder


@pytest.fixture(scope="session")
def shared_files() -> Path:
    folder = Path(os.environ.get("XAQ_FILES", Path(__file__).parents[2] / "shared" / "files"))
    if not folder.is_dir():
        pytest.skip(f"no shared files at {folder}: set XAQ_FILES to the folder of files as people have them")
    return folder


@pytest.fixture
def no_compute():
    """Raise on any Dask computation inside the test."""

    def raising(dsk, keys, **kwargs):
        raise AssertionError("a lazy verb computed")

    with dask.config.set(scheduler=raising):
        yield


@pytest.fixture
def stations() -> xr.Dataset:
    return station_dataset()


@pytest.fixture
def observations() -> Observations:
    """Twelve stations and six hours, a fifth of the values missing, every hour with a report."""
    lon, lat = scatter(12, seed=3)
    rng = np.random.default_rng(3)
    values = rng.gamma(4.0, 10.0, (12, 6)).astype("float32")
    values[rng.random(values.shape) < 0.2] = np.nan
    times = np.datetime64("2020-01-01T00", "s") + np.arange(6) * np.timedelta64(3600, "s")
    return Observations(values, lon, lat, times)
