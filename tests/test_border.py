"""The border: each verb conforms its dataset once, and all that follows takes the conformed one."""

import numpy as np
import pytest
import xarray as xr

import xaq
from xaq.nn.config import AQNetConfig
from xaq.stations import schema

GRID = xaq.Grid.regular(0.5, bounds=(9.0, 49.5, 11.0, 50.5))
SMALL = {"hidden": 8, "heads": 2, "k": 8}


@pytest.fixture(scope="module")
def network():
    return xaq.datasets.synthetic(n_stations=20, days=6, missing=0.1, seed=4).aq.hide(fraction=0.2, seed=1)


@pytest.fixture(scope="module")
def model(network):
    return network.aq.train("pm25", config=AQNetConfig(**SMALL), max_epochs=0, progress=False)


@pytest.fixture
def conformed(monkeypatch):
    """The datasets that were conformed since the test began, in order."""
    passed, conform = [], schema.conform

    def counting(ds):
        passed.append(ds)
        return conform(ds)

    monkeypatch.setattr(schema, "conform", counting)
    return passed


def field(ds):
    axes = {"time": ds.time.values, "lat": [49.0, 51.0], "lon": [8.0, 12.0]}
    return xr.DataArray(np.full((len(ds.time), 2, 2), 20.0), axes, ("time", "lat", "lon"), "cams", {"units": "ug m-3"})


VERBS = {
    "hide": lambda ds, model: ds.aq.hide(fraction=0.2),
    "sample": lambda ds, model: ds.aq.sample(field(ds)),
    "convert_units": lambda ds, model: ds.aq.convert_units("mg m-3"),
    "train": lambda ds, model: ds.aq.train("pm25", config=AQNetConfig(**SMALL), max_epochs=0, progress=False),
    "verify by name": lambda ds, model: ds.aq.verify("idw"),
    "verify a model": lambda ds, model: ds.aq.verify(model),
    "verify with a background": lambda ds, model: ds.aq.verify("kriging", background=field(ds)),
    "reanalyze by name": lambda ds, model: ds.aq.reanalyze("kriging", grid=0.5),
    "reanalyze with a model": lambda ds, model: ds.aq.reanalyze(model, grid=GRID),
    "estimate": lambda ds, model: ds.aq.estimate(model, lon=[10.0], lat=[50.0]),
    "explain": lambda ds, model: ds.aq.explain(model, lon=10.0, lat=50.0, time="2020-01-03T08"),
    "visible": lambda ds, model: ds.aq.visible,
    "hidden": lambda ds, model: ds.aq.hidden,
    "repr": lambda ds, model: repr(ds.aq),
    "html": lambda ds, model: ds.aq._repr_html_(),
}


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS.keys())
def test_a_verb_conforms_its_dataset_once(network, model, conformed, verb):
    verb(network, model)
    assert len(conformed) == 1
    assert conformed[0] is network


def test_a_cube_that_is_stored_and_brought_up_to_date_is_conformed_once_a_call(network, conformed, tmp_path):
    options = {"grid": GRID, "store": tmp_path / "c.zarr", "progress": False}
    network.aq.reanalyze("idw", **options)
    network.aq.reanalyze("idw", **options)
    network.aq.reanalyze("idw", update=True, **options)
    assert len(conformed) == 3


def test_a_forecast_is_trained_verified_and_made_with_one_pass_each(conformed):
    ds = xaq.datasets.synthetic(n_stations=8, days=30, step="6h", seed=4).aq.hide(fraction=0.2, seed=1)
    config = AQNetConfig(
        task="forecast", steps_per_day=4, patch=2, days_before=1, days_after=0, target_days=2, hidden=8, heads=2, k=4
    )
    conformed.clear()
    trained = ds.aq.train(
        "pm25", task="forecast", config=config, max_epochs=0, progress=False, time=slice(None, "2020-01-22")
    )
    assert len(conformed) == 1
    ds.aq.verify(trained, time=slice("2020-01-23", None))
    assert len(conformed) == 2
    ds.aq.reanalyze(trained, grid=1.0)
    assert len(conformed) == 3
