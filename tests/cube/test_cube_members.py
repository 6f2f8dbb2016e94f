"""Members of cubes and of points: the same bytes however they are computed, and truths as likely as the cube says."""

from dataclasses import replace

import dask
import numpy as np
import pytest
import xarray as xr

import xaq
from xaq.cube import ensemble_graph
from xaq.cube.reanalyze import estimate_quantiles
from xaq.cube.request import RequestOptions, make_request
from xaq.errors import ModelError
from xaq.nn.config import AQNetConfig

GRID = xaq.Grid.regular(0.25, bounds=(9.0, 49.5, 11.0, 50.5))
N = 6


@pytest.fixture(scope="module")
def network():
    return xaq.datasets.synthetic(n_stations=20, days=6, missing=0.1, seed=4).aq.hide(fraction=0.2, seed=1)


@pytest.fixture(scope="module")
def model(network):
    return network.aq.train("pm25", config=AQNetConfig(hidden=8, heads=2, k=8), max_epochs=0, progress=False)


@pytest.fixture(scope="module")
def cube(network, model):
    return network.aq.reanalyze(model, grid=GRID, members=N).compute()


def assert_same_members(made, expected):
    __tracebackhide__ = True
    assert made.pm25_member.dims == expected.pm25_member.dims
    assert made.pm25_member.values.tobytes() == expected.pm25_member.values.tobytes()


# -- the same bytes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["model", "kriging"])
def test_members_change_neither_the_value_nor_its_interval(network, model, cube, method):
    mapper = model if method == "model" else method
    with_members = cube if method == "model" else network.aq.reanalyze(mapper, grid=GRID, members=2).compute()
    xr.testing.assert_identical(
        with_members.drop_vars(["pm25_member", "member"]).drop_attrs(deep=False),
        network.aq.reanalyze(mapper, grid=GRID).compute().drop_attrs(deep=False),
    )


@pytest.mark.parametrize("support", ["point", "cell"])
@pytest.mark.parametrize("sizes", [(37, 3, 5), (144, 1, 8), (100, 4, 3)])
def test_blocks_of_any_size_hold_the_same_members(network, model, support, sizes):
    whole, blocks = (
        network.aq.reanalyze(model, grid=GRID, members=2, support=support, chunks=chunks).compute()
        for chunks in (None, dict(zip(("time", "lat", "lon"), sizes, strict=True)))
    )
    assert_same_members(blocks, whole)


def test_threads_do_not_change_a_byte(network, model):
    lazy = network.aq.reanalyze(model, grid=GRID, members=2, chunks={"time": 48, "lat": 3})
    with dask.config.set(scheduler="threads", num_workers=2):
        two = lazy.compute()
    with dask.config.set(scheduler="synchronous"):
        assert_same_members(lazy.compute(), two)


@pytest.mark.slow
def test_distributed_workers_do_not_change_a_byte(network, model, cube):
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        made = network.aq.reanalyze(model, grid=GRID, members=N).compute()
    assert_same_members(made, cube)


def test_a_member_is_the_same_alone_in_any_order_and_among_more(network, model, cube):
    more = network.aq.reanalyze(model, grid=GRID, members=N + 5)
    assert more.member.values.tolist() == list(range(N + 5))
    for number in reversed(range(N)):
        alone = more.pm25_member.sel(member=number).compute()
        assert alone.values.tobytes() == cube.pm25_member.sel(member=number).values.tobytes()


def test_one_map_of_one_member_computes_one_block(network, model, monkeypatch):
    made, member_of = [], ensemble_graph.member_of
    monkeypatch.setattr(ensemble_graph, "member_of", lambda *args: made.append(args[3]) or member_of(*args))
    lazy = network.aq.reanalyze(model, grid=GRID, members=N, chunks={"time": 24})
    lazy.pm25_member.isel(member=4, time=30).compute()
    assert made == [4]


def test_another_seed_makes_other_members_and_the_same_estimate(network, model, cube):
    other = network.aq.reanalyze(model, grid=GRID, members=N, seed=1).compute()
    for name in ("pm25", "pm25_lower", "pm25_upper"):
        assert other[name].values.tobytes() == cube[name].values.tobytes()
    shared = np.mean(other.pm25_member.values == cube.pm25_member.values)
    assert shared < 0.05


@pytest.mark.parametrize("method", ["model", "kriging"])
def test_a_cell_equals_the_point_at_its_centre(network, model, method):
    mapper = model if method == "model" else method
    made = network.aq.reanalyze(mapper, grid=GRID, members=2).compute()
    points = network.aq.estimate(mapper, lon=made.lon.values[[0, 3, 7]], lat=made.lat.values[[0, 2, 3]], members=2)
    for i, (y, x) in enumerate([(0, 0), (2, 3), (3, 7)]):
        np.testing.assert_allclose(
            points.pm25_member.isel(point=i), made.pm25_member.isel(lat=y, lon=x), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("method", ["model", "kriging"])
def test_lazy_station_data_give_the_same_members(network, model, method):
    mapper = model if method == "model" else method
    made = [
        ds.aq.reanalyze(mapper, grid=GRID, members=2).compute().pm25_member
        for ds in (network, network.chunk({"time": 50, "station": 7}))
    ]
    np.testing.assert_allclose(made[1], made[0], rtol=1e-4, atol=1e-4)


def test_members_of_a_model_are_lazy(network, model, no_compute):
    lazy = network.chunk({"time": 50}).aq.reanalyze(model, grid=GRID, members=3, support="cell")
    assert lazy.pm25_member.shape == (3, 144, 4, 8)
    assert network.aq.estimate(model, lon=[10.0], lat=[50.0], members=3).pm25_member.shape == (3, 144, 1)


# -- truths as likely as the cube says -----------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["model", "kriging"])
def many(request, network, model):
    """Two hundred members at forty points, and the quantiles of their distributions."""
    mapper = model if request.param == "model" else "kriging"
    rng = np.random.default_rng(0)
    at = {
        "lon": xr.DataArray(rng.uniform(9, 11, 40), dims="point"),
        "lat": xr.DataArray(rng.uniform(49.5, 50.5, 40), dims="point"),
    }
    made = network.aq.estimate(mapper, **at, members=200).compute()
    probabilities = (np.arange(200) + 0.5) / 200
    settled = make_request(xaq.stations.schema.conform(network), mapper, RequestOptions())
    quantiles = estimate_quantiles(settled, probabilities, **at).pm25_quantile.compute()
    return made, quantiles.clip(min=0)


def test_the_mean_of_members_is_that_of_the_distribution(many):
    made, quantiles = many
    expected = quantiles.mean("quantile")
    assert float(abs(made.pm25_member.mean() / expected.mean() - 1)) < 0.02
    # At a point, errors that last leave two hundred numbers.
    by_point = made.pm25_member.mean(["member", "time"]) / expected.mean("time")
    assert float(abs(by_point - 1).max()) < 0.1


@pytest.mark.parametrize("p", [0.05, 0.25, 0.5, 0.75, 0.95])
def test_members_lie_below_a_quantile_as_often_as_it_says(many, p):
    made, quantiles = many
    bound = quantiles.isel(quantile=[int(200 * p) - 1, int(200 * p)]).mean("quantile")
    below = made.pm25_member <= bound
    assert float(below.mean()) == pytest.approx(p, abs=0.03)
    # At each hour, too: two hundred members at forty points that hang together.
    assert float(abs(below.mean(["member", "point"]) - p).max()) < 0.07


def test_the_interval_covers_members_as_often_as_it_says(many):
    made, _ = many
    inside = (made.pm25_member >= made.pm25_lower) & (made.pm25_member <= made.pm25_upper)
    assert float(inside.mean()) == pytest.approx(0.9, abs=0.015)


def test_errors_of_near_places_and_hours_hang_together(network, model):
    at = {"lon": [9.6, 9.62, 10.8], "lat": [50.1, 50.1, 49.6]}
    made = network.aq.estimate(model, **at, members=100).compute()
    error = (made.pm25_member - made.pm25) / (made.pm25_upper - made.pm25_lower)
    near, far = (float(xr.corr(error.isel(point=0), error.isel(point=i))) for i in (1, 2))
    assert near > far + 0.1
    hour, day = (float(xr.corr(error, error.shift(time=n))) for n in (1, 48))
    assert hour > day + 0.1


# -- cells ---------------------------------------------------------------------------------------------------------


def test_means_of_cells_have_the_estimate_and_a_narrower_interval(network, model, cube):
    cells = network.aq.reanalyze(model, grid=GRID, members=60, support="cell").compute()
    np.testing.assert_allclose(cells.pm25, cube.pm25, rtol=1e-5)
    width = (cells.pm25_upper - cells.pm25_lower) / (cube.pm25_upper - cube.pm25_lower)
    assert float(width.max()) <= 1 + 1e-3
    assert float(width.mean()) < 0.98
    inside = (cells.pm25_member >= cells.pm25_lower) & (cells.pm25_member <= cells.pm25_upper)
    assert float(inside.mean()) == pytest.approx(0.9, abs=0.02)
    assert cells.pm25.cell_methods == "time: mean area: mean"
    assert cells.pm25_member.cell_methods == "time: mean area: mean"
    # The error that a cell averages out has no mean: members of cells are as high as those of points.
    points = network.aq.reanalyze(model, grid=GRID, members=60).pm25_member
    assert float(cells.pm25_member.mean() / points.mean()) == pytest.approx(1, abs=0.02)


def test_a_larger_cell_has_a_narrower_interval(network, model):
    made = [
        network.aq.reanalyze(
            model, grid=xaq.Grid.regular(d, bounds=(9.5, 49.5, 10.5, 50.5)), support="cell", time="2020-01-03"
        )
        for d in (0.02, 0.2)
    ]
    small, large = (float((c.pm25_upper - c.pm25_lower).mean()) for c in made)
    assert large < small


# -- labels and refusals -------------------------------------------------------------------------------------------


def test_members_are_labelled_by_cf(cube):
    assert cube.member.attrs["standard_name"] == "realization"
    assert cube.member.values.tolist() == list(range(N))
    assert cube.pm25_member.dims == ("member", "time", "lat", "lon")
    assert cube.pm25_member.dtype == np.float32
    assert cube.pm25_member.attrs["units"] == "ug m-3"
    assert cube.pm25_member.attrs["standard_name"] == cube.pm25.attrs["standard_name"]
    assert cube.pm25_member.attrs["grid_mapping"] == "spatial_ref"
    assert (cube.pm25_member >= 0).all()


def test_members_are_missing_where_the_estimate_is(network):
    silent = network.copy(deep=True)
    silent.pm25[:, 30] = np.nan
    with pytest.warns(xaq.errors.XaqWarning, match="1 of 144 steps"):
        made = silent.aq.reanalyze("kriging", grid=GRID, members=2).compute()
    assert np.array_equal(made.pm25_member.isnull().isel(member=0), made.pm25.isnull())
    assert made.pm25.isnull().sum() == 32


@pytest.mark.parametrize("asked", [{"members": 3}, {"support": "cell"}, {"support": "cell", "freq": "D"}])
def test_a_method_without_a_distribution_has_no_members(network, asked):
    with pytest.raises(ModelError, match=r"idw has no distribution of errors.*fix: ds.aq.reanalyze\('kriging'"):
        network.aq.reanalyze("idw", grid=GRID, **asked)


def test_a_model_without_a_covariance_of_errors_says_how_to_get_one(network, model):
    old = xaq.Model(model.network, replace(model.recipe, error_covariance=None))
    assert network.aq.reanalyze(old, grid=GRID).pm25.shape == (144, 4, 8)
    for asked in ({"members": 3}, {"freq": "D"}, {"support": "cell"}):
        with pytest.raises(ModelError, match=r"no covariance of its errors.*fix: ds.aq.train\(...\)"):
            network.aq.reanalyze(old, grid=GRID, **asked)


def test_a_forecast_has_members_that_hang_together_over_lead_time():
    ds = xaq.datasets.synthetic(n_stations=12, days=30, step="6h", seed=4).aq.hide(fraction=0.25, seed=1)
    config = AQNetConfig(
        task="forecast", hidden=8, heads=2, k=4, steps_per_day=4, patch=4, days_before=2, days_after=0, target_days=2
    )
    model = ds.aq.train(task="forecast", time=slice(None, "2020-01-20"), config=config, max_epochs=0, progress=False)
    assert model.error_covariance.stations is None
    at = {"lon": [9.6, 9.8], "lat": [50.1, 50.1]}
    made = ds.aq.estimate(model, **at, init="2020-01-25", members=200).compute()
    assert made.pm25_member.shape == (200, 8, 2)
    inside = (made.pm25_member >= made.pm25_lower) & (made.pm25_member <= made.pm25_upper)
    assert float(inside.mean()) == pytest.approx(0.9, abs=0.04)
    error = made.pm25_member - made.pm25
    assert float(xr.corr(error.isel(time=2), error.isel(time=3)).mean()) > 0.1
    days = ds.aq.estimate(model, **at, init="2020-01-25", freq="D", capture=0.5).compute()
    by_hand = made.pm25.resample(time="1D").mean()
    assert days.sizes["time"] == by_hand.sizes["time"]
    kept = days.pm25.notnull()
    assert kept.any()
    np.testing.assert_allclose(days.pm25.where(kept), by_hand.where(kept), rtol=1e-5)
    width = made.pm25_upper - made.pm25_lower
    assert float((days.pm25_upper - days.pm25_lower).mean()) < float(width.mean())
