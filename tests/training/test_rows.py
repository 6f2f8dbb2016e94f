"""Rows of a dataset: their order, stations without data and copies change nothing that is trained."""

import json

import numpy as np
import pytest
import torch
import xarray as xr

import xaq
from xaq.errors import ModelError
from xaq.nn.config import AQNetConfig

SMALL = AQNetConfig(hidden=8, heads=2, k=6, days_before=1, days_after=1)
FORECAST = AQNetConfig(task="forecast", hidden=8, heads=2, k=6, days_before=2, days_after=0, target_days=1)

pytestmark = pytest.mark.filterwarnings("ignore::xaq.errors.XaqWarning")


@pytest.fixture(scope="module")
def network():
    return xaq.datasets.synthetic(n_stations=16, days=8, missing=0.1, seed=3).aq.hide(fraction=0.2, seed=1)


@pytest.fixture(scope="module")
def field(network):
    axes = {"time": network.time.values, "lat": np.arange(48.0, 53), "lon": np.arange(7.0, 13)}
    values = 20 + np.random.default_rng(0).random((len(network.time), 5, 6))
    return xr.DataArray(values, axes, ("time", "lat", "lon"), "cams", {"units": "ug m-3"})


def train(ds, field=None, **options):
    return ds.aq.train("pm25", progress=False, **{"config": SMALL, "max_epochs": 0, "background": field, **options})


def changed(ds, *, order=True, silent=("s005b",), copy=("s004b",)):
    """Return the network with a silent station, a copy of a visible station, and its rows in another order."""
    rows = [ds]
    for name in silent:
        row = ds.isel(station=[0]).copy(deep=True).assign_coords(station=[name], lon=("station", [10.3]))
        row.pm25[:] = np.nan
        rows.append(row)
    for name in copy:
        rows.append(ds.isel(station=[int(np.flatnonzero(~ds.hidden.values)[4])]).assign_coords(station=[name]))
    made = xr.concat(rows, "station")
    return made.isel(station=np.random.default_rng(0).permutation(made.sizes["station"])) if order else made


def assert_same_model(one, other):
    for name, tensor in one.network.state_dict().items():
        torch.testing.assert_close(other.network.state_dict()[name], tensor, rtol=1e-4, atol=1e-5)
    names = {"visible", "hidden", "stations_hash", "config"}
    said = [{k: v for k, v in json.loads(m.recipe.to_json()).items() if k not in names} for m in (one, other)]
    assert_close(*said)


def assert_close(one, other):
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_close(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_close(a, b)
    elif isinstance(one, str) or one is None:
        assert one == other
    else:
        assert one == pytest.approx(other, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("options", [{"max_epochs": 0}, {"max_epochs": 1}], ids=["untrained", "one epoch"])
def test_order_silent_stations_and_copies_train_the_same_model(network, options):
    one, other = train(network, **options), train(changed(network), **options)
    assert_same_model(one, other)
    assert one.recipe.held_out_scores
    assert "s004b" in other.recipe.visible
    assert "s005b" not in other.recipe.visible


def test_so_does_training_over_a_background_and_on_lazy_data(network, field):
    one = train(network, field)
    assert_same_model(one, train(changed(network).chunk({"time": 40, "station": 5}), field))


def test_so_does_a_forecast_and_its_scores(network):
    ds = xaq.datasets.synthetic(n_stations=12, days=40, missing=0.05, seed=5).aq.hide(fraction=0.2, seed=1)
    past = {"time": slice("2020-01-01", "2020-02-01")}
    one, other = (train(d, config=FORECAST, task="forecast", **past) for d in (ds, changed(ds)))
    assert_same_model(one, other)
    scores = [d.aq.verify(one, time=slice("2020-02-04", None)) for d in (ds, changed(ds))]
    np.testing.assert_allclose(*(table.to_numpy(float) for table in scores), rtol=1e-4)
    made = [d.aq.estimate(one, lon=[10.0], lat=[50.0]).pm25 for d in (ds, changed(ds).chunk({"time": 100}))]
    np.testing.assert_allclose(*made, rtol=1e-4)


def test_a_station_that_is_silent_in_the_training_period_alone_changes_nothing_of_the_training(network):
    early, late = slice("2020-01-01", "2020-01-06"), slice("2020-01-07", None)
    ds = changed(network, copy=())
    new = network.pm25.sel(time=late)[5] * 2
    ds.pm25.loc[{"station": "s005b", "time": late.start}] = float(new[0])
    assert_same_model(train(network, time=early), train(ds, time=early))
    assert_same_model(train(network, time=early, max_epochs=1), train(ds, time=early, max_epochs=1))


def test_a_checkpoint_is_that_of_the_same_rows_in_another_order(network, tmp_path):
    one = train(network, max_epochs=1, checkpoint=tmp_path)
    other = train(changed(network, silent=(), copy=()), max_epochs=1, checkpoint=tmp_path)
    assert_same_model(one, other)
    assert one.recipe.visible == other.recipe.visible


def test_a_model_has_seen_the_station_whose_copy_it_learned_from(network):
    ds = changed(network)
    model = train(ds)
    with pytest.raises(ModelError, match="s004b"):
        ds.drop_vars("hidden").aq.hide(["s004b"]).aq.verify(model)
