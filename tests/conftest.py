"""Fixtures that every test file shares: small seeded networks, the shared data folder, a Dask that may not compute."""

import os

os.environ["MPLBACKEND"] = "Agg"

from dataclasses import replace
from pathlib import Path

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import settings

from xaq.interpolate.base import Observations

settings.register_profile("xaq", deadline=None, max_examples=25, derandomize=True, database=None)
settings.load_profile("xaq")


@pytest.fixture(scope="session", autouse=True)
def short_epochs():
    """Epochs of a few steps: tests ask whether training works, not how well."""
    from xaq.training import loop

    with pytest.MonkeyPatch.context() as patch:
        short = {task: replace(plan, steps_per_epoch=4) for task, plan in loop.SCHEDULES.items()}
        patch.setattr(loop, "SCHEDULES", short)
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = Path(os.environ.get("XAQ_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}: set XAQ_DATA to the folder of real networks")
    return folder


@pytest.fixture
def no_compute():
    """Any Dask computation inside the test raises."""

    def raising(dsk, keys, **kwargs):
        raise AssertionError("a lazy verb computed")

    with dask.config.set(scheduler=raising):
        yield


def scatter(n: int, seed: int = 0, width: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Return lon, lat of n stations in a box of ``width`` degrees around Beijing."""
    rng = np.random.default_rng(seed)
    lon, lat = rng.uniform(-width / 2, width / 2, (2, n))
    return lon + 116.4, lat + 39.9


def station_dataset(n: int = 10, steps: int = 48, seed: int = 0, freq: str = "1h") -> xr.Dataset:
    """Return a station dataset in xaq's form, made without xaq."""
    lon, lat = scatter(n, seed)
    values = np.random.default_rng(seed).gamma(4.0, 10.0, (n, steps)).astype("float32")
    return xr.Dataset(
        {"pm25": (("station", "time"), values, {"units": "ug m-3"})},
        coords={
            "station": [f"s{i:02d}" for i in range(n)],
            "time": pd.date_range("2020-01-01", periods=steps, freq=freq, unit="s"),
            "lon": ("station", lon),
            "lat": ("station", lat),
        },
    )


@pytest.fixture
def stations() -> xr.Dataset:
    return station_dataset()


@pytest.fixture
def observations() -> Observations:
    """Twelve stations, six hours, a fifth of the values missing, every hour with a report."""
    lon, lat = scatter(12, seed=3)
    rng = np.random.default_rng(3)
    values = rng.gamma(4.0, 10.0, (12, 6)).astype("float32")
    values[rng.random(values.shape) < 0.2] = np.nan
    times = np.datetime64("2020-01-01T00", "s") + np.arange(6) * np.timedelta64(3600, "s")
    return Observations(values, lon, lat, times)
