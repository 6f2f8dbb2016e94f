"""What tests of figures need: networks and cubes to draw, and the parts of a figure by what they are.

The fixtures are for modules to take: ``ds, cube, closed = figures.ds, figures.cube, figures.closed``.
"""

import json

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import Collection, QuadMesh

import xaq
from xaq import datasets
from xaq.cube.reanalyze import reanalyze
from xaq.stations import holdout


@pytest.fixture(scope="module")
def ds():
    """20 stations over 2 days, 5 of them hidden."""
    return holdout.hide(datasets.synthetic(n_stations=20, days=2, missing=0.0), fraction=0.25, seed=1)


@pytest.fixture(scope="module")
def cube(ds):
    return reanalyze(ds, "kriging", grid=0.2).compute()


@pytest.fixture(scope="module")
def network():
    """30 stations over 3 days, 6 of them hidden."""
    return holdout.hide(datasets.synthetic(n_stations=30, days=3, missing=0.0, seed=2), fraction=0.2, seed=1)


@pytest.fixture(scope="module")
def network_cube(network):
    return reanalyze(network, "kriging", grid=0.2).compute()


@pytest.fixture(scope="module")
def idw_cube(network, network_cube):
    """The same cells and times by inverse distances."""
    return reanalyze(network, "idw", grid=network_cube).compute()


@pytest.fixture(scope="module")
def forecast():
    """A dataset of 60 days, and an untrained forecast model of it."""
    ds = holdout.hide(datasets.synthetic(n_stations=10, days=60, step="6h", seed=1), fraction=0.2, seed=1)
    return ds, xaq.train(ds, task="forecast", max_epochs=0, progress=False)


@pytest.fixture(autouse=True)
def closed():
    """Close every figure after a test."""
    yield
    plt.close("all")


def layer(ax, name) -> Collection:
    """Return the collection of this label."""
    return next(c for c in ax.collections if c.get_label() == name)


def mesh_of(ax) -> QuadMesh:
    return next(c for c in ax.collections if isinstance(c, QuadMesh))


def bar_label(ax) -> str:
    return ax.child_axes[0].get_ylabel()


def legend_of(ax) -> list[str]:
    return [t.get_text() for t in ax.get_legend().get_texts()]


def explained_by_hand(ds):
    """Return what xaq.explain returns, for an estimate amid four neighbours."""
    near = ds.isel(station=np.flatnonzero(~ds.hidden.values)[:4])
    of_station = {"weight": [0.7, 0.28, 0.04, -0.02], "value": [10.0, 20.0, 30.0, 40.0], "observed": [1, 1, 0, 1]}
    out = near[["lon", "lat"]].drop_vars("hidden").assign({n: ("station", np.array(v)) for n, v in of_station.items()})
    out = out.assign(estimate=14.04, kriging=20.0, advection=0.0, log_scale=0.12, learned=-1.02)
    out = out.assign(factor=("term", [0.9, 0.83])).assign_coords(
        term=["elevation", "site effect"], time=ds.time.values[8]
    )
    out["estimate"].attrs["units"] = "ug m-3"
    out = out.assign_coords(place_lon=float(near.lon.mean()), place_lat=float(near.lat.mean()))
    return out.assign_attrs(xaq_provenance=json.dumps({"target": "pm25"}))
