"""Fixtures that the tests of training share."""

import pytest

import xaq
from xaq.nn.config import AQNetConfig


@pytest.fixture(scope="session")
def small_ds():
    """Return 14 stations with 8 days of hourly values."""
    return xaq.datasets.synthetic(n_stations=14, days=8, seed=3)


@pytest.fixture(scope="session")
def small_model(small_ds):
    """Return the untrained analysis of these stations, all of them visible."""
    config = AQNetConfig(hidden=8, heads=2, days_before=1, days_after=1, k=6)
    return small_ds.aq.train("pm25", config=config, max_epochs=0, progress=False, geography=False)
