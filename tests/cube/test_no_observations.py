"""Lazy data without any observation raise when they are computed what data in memory raise at once."""

import numpy as np
import pytest
import xarray as xr
from synthetic import station_dataset

import xaq
from xaq.errors import SchemaError
from xaq.nn.config import AQNetConfig

MESSAGE = "'pm25' has no observation at any of 10 stations"


@pytest.fixture(scope="module")
def network():
    return station_dataset(10, steps=72)


@pytest.fixture(scope="module")
def model(network):
    config = AQNetConfig(hidden=8, heads=2, k=4, days_before=1, days_after=1)
    return network.aq.train(config=config, max_epochs=0, progress=False)


@pytest.fixture(params=[np.nan, np.inf], ids=["nan", "inf"])
def empty(request, network):
    return network.assign(pm25=xr.full_like(network.pm25, request.param))


@pytest.mark.parametrize(
    "method", ["idw", "nearest", "kriging", "kriging-log", "kriging-spacetime", "kriging-drift", "model"]
)
@pytest.mark.parametrize("lazy", [False, True], ids=["memory", "lazy"])
def test_every_mapper_says_that_there_is_no_observation(empty, model, method, lazy, tmp_path):
    mapper = model if method == "model" else method
    ds = empty.chunk(time=24) if lazy else empty
    place = {"lon": 116.4, "lat": 39.9}
    calls = [
        lambda: ds.aq.reanalyze(mapper, grid=1.0).compute(),
        lambda: ds.aq.reanalyze(mapper, grid=1.0).nearest_station.compute(),
        lambda: ds.aq.reanalyze(mapper, grid=1.0, store=tmp_path / "c.zarr", progress=False),
        lambda: ds.aq.estimate(mapper, lon=[116.4], lat=[39.9]).compute(),
    ]
    if method == "model":
        calls.append(lambda: xaq.explain(ds, model, time=ds.time.values[30], **place))
    for call in calls:
        with pytest.raises(SchemaError, match="observation"):
            call()
    assert not (tmp_path / "c.zarr").exists()


def test_the_message_is_the_same(empty):
    for ds in (empty, empty.chunk(time=24)):
        with pytest.raises(SchemaError, match=MESSAGE):
            ds.aq.reanalyze("idw", grid=1.0).compute()
