"""What a refused store says: the value there and the value here of all that makes it another cube."""

import pytest

import xaq
from xaq.errors import StoreError


@pytest.fixture(scope="module")
def network():
    return xaq.datasets.synthetic(n_stations=12, days=1, seed=3)


GRID = xaq.Grid.regular(0.5, bounds=(9, 49, 11, 51))
ASKED = {"grid": GRID, "time": "2020-01-01", "progress": False}


@pytest.fixture(scope="module")
def store(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("cubes") / "c.zarr"
    network.aq.reanalyze("idw", store=path, **ASKED)
    return path


OTHER = {
    "grid: 0.5 there, 0.4 here": {"grid": xaq.Grid.regular(0.4, bounds=(9, 49, 11, 51))},
    "grid: 9.25..10.75 E, 49.25..50.75 N in 4 x 4 cells there, 9.25..10.25 E, 49.25..50.75 N in 4 x 3 cells here": {
        "grid": xaq.Grid.regular(0.5, bounds=(9, 49, 10.5, 51))
    },
    "max_distance: 70 there": {"max_distance": 70.0},
    "zarr_format: 3 there, 2 here": {"zarr_format": 2},
    "precision: none there, 0.1 here": {"precision": 0.1},
}


@pytest.mark.parametrize("said", OTHER)
def test_the_values_there_and_here_are_named(network, store, said):
    asked = {**ASKED, **OTHER[said]}
    if "max_distance" in asked:
        said = ", 70.0 here)"
    with pytest.raises(StoreError) as refused:
        network.aq.reanalyze("idw", store=store, **asked)
    assert said in str(refused.value)
    # Sizes of blocks follow from the grid, and say nothing more.
    assert str(refused.value).count(" there") == 1


def test_another_method_is_named(network, store):
    with pytest.raises(StoreError, match=r"method: idw there, nearest here"):
        network.aq.reanalyze("nearest", store=store, **ASKED)


def test_other_stations_are_counted(network, store):
    with pytest.raises(StoreError, match=r"visible stations: 12 there, 9 here"):
        network.isel(station=slice(9)).aq.reanalyze("idw", store=store, max_distance=50, **ASKED)
    moved = network.assign_coords(lon=network.lon + 0.001)
    with pytest.raises(StoreError, match=r"visible stations: 12 there, as many here, with other ids or places"):
        moved.aq.reanalyze("idw", store=store, **ASKED)
