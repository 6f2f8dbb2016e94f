"""The cube: lazy, independent of its chunks, equal to estimates at points, and marked where it is unsupported."""

import json
from dataclasses import replace

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xaq
from xaq.cube import graph
from xaq.cube.request import RequestOptions, make_request
from xaq.errors import GridError, ModelError, SchemaError, StoreError, XaqWarning
from xaq.fields.gridded import Gridded
from xaq.interpolate.trend import OverTrend, Trend
from xaq.nn.config import AQNetConfig

GRID = xaq.Grid.regular(0.25, bounds=(9.0, 49.5, 11.0, 50.5))


@pytest.fixture(scope="module")
def network():
    return xaq.datasets.synthetic(n_stations=20, days=6, missing=0.1, seed=4).aq.hide(fraction=0.2, seed=1)


@pytest.fixture(scope="module")
def model(network):
    return network.aq.train("pm25", config=AQNetConfig(hidden=8, heads=2, k=8), max_epochs=1, progress=False)


@pytest.fixture(scope="module")
def cube(network, model):
    return network.aq.reanalyze(model, grid=GRID).compute()


def refuse(*args, **kwargs):
    raise AssertionError("computed")


@pytest.mark.parametrize("chunked", [False, True], ids=["numpy", "dask"])
def test_without_a_store_nothing_is_computed(network, model, chunked):
    ds = network.chunk({"time": 24}) if chunked else network
    with dask.config.set(scheduler=refuse):
        lazy = ds.aq.reanalyze(model, grid=GRID)
        ds.aq.estimate(model, lon=[10.0], lat=[50.0])
    assert lazy.pm25.chunks is not None


def test_one_time_computes_one_block(network, model, cube, monkeypatch):
    tiles = []
    whole = graph.estimate_tile

    def counted(*args):
        tiles.append(args)
        return whole(*args)

    monkeypatch.setattr(graph, "estimate_tile", counted)
    lazy = network.aq.reanalyze(model, grid=GRID, chunks={"time": 24})
    one = lazy[["pm25", "pm25_lower", "pm25_upper"]].isel(time=0).compute()
    assert len(tiles) == 1
    np.testing.assert_allclose(one.pm25, cube.pm25[0], rtol=1e-5)


@settings(max_examples=4)
@given(time=st.integers(5, 150), lat=st.integers(1, 5), lon=st.integers(1, 9))
def test_chunks_do_not_change_values(network, model, cube, time, lat, lon):
    other = network.aq.reanalyze(model, grid=GRID, chunks={"time": time, "lat": lat, "lon": lon}).compute()
    xr.testing.assert_allclose(other, cube, rtol=1e-4)


@pytest.mark.parametrize("method", ["nearest", "idw", "kriging"])
def test_chunks_do_not_change_classical_values(network, method):
    whole = network.aq.reanalyze(method, grid=GRID).compute()
    other = network.aq.reanalyze(method, grid=GRID, chunks={"time": 7, "lat": 2, "lon": 3}).compute()
    xr.testing.assert_allclose(other, whole, rtol=1e-5)


def test_lazy_station_data_give_the_same_cube(network, model, cube):
    other = network.chunk({"time": 50, "station": 7}).aq.reanalyze(model, grid=GRID).compute()
    xr.testing.assert_allclose(other, cube, rtol=1e-4)


def test_cubes_of_different_observations_can_be_computed_together(network):
    double = network.assign(pm25=(network.pm25 * 2).assign_attrs(network.pm25.attrs))
    one, two = (ds.aq.reanalyze("idw", grid=0.5).pm25 for ds in (network, double))
    np.testing.assert_allclose((two - one).compute(), one.compute(), rtol=1e-4)


def test_a_silent_station_takes_no_part_in_memory_or_lazy(network, model):
    silent = network.copy(deep=True)
    silent.pm25[int(np.flatnonzero(~network.hidden.values)[0])] = np.nan
    with pytest.warns(XaqWarning, match="never report"):
        expected = silent.aq.reanalyze(model, grid=GRID).compute()
    lazy = silent.chunk({"time": 50}).aq.reanalyze(model, grid=GRID).compute()
    for name in expected.data_vars:
        np.testing.assert_allclose(lazy[name], expected[name], rtol=1e-4)


def test_lazy_station_data_can_be_stored(network, tmp_path):
    stored = network.chunk({"time": 20}).aq.reanalyze("idw", grid=0.5, store=tmp_path / "c.zarr", progress=False)
    np.testing.assert_allclose(stored.pm25, network.aq.reanalyze("idw", grid=0.5).pm25, rtol=1e-5)


def test_intervals_keep_their_coverage_when_stations_fall_silent():
    ds = xaq.datasets.synthetic(n_stations=40, days=10, missing=0.0, seed=7).aq.hide(fraction=0.2, seed=1)
    trained = ds.aq.train("pm25", max_epochs=0, progress=False)
    gone = np.random.default_rng(0).random(ds.pm25.shape) < 0.6
    gone[ds.hidden.values] = False
    sparse = ds.assign(pm25=ds.pm25.where(~gone))
    table = sparse.aq.verify(trained, baselines=[])
    assert table.coverage.iloc[0] > 0.8


@pytest.mark.parametrize("method", ["model", "kriging", "idw"])
def test_a_cell_equals_the_estimate_at_its_centre(network, model, method):
    mapper = model if method == "model" else method
    made = network.aq.reanalyze(mapper, grid=GRID).compute()
    points = network.aq.estimate(mapper, lon=made.lon.values[[0, 3, 7]], lat=made.lat.values[[0, 2, 3]]).compute()
    for i, (y, x) in enumerate([(0, 0), (2, 3), (3, 7)]):
        for name in made.data_vars.keys() & points.data_vars.keys() - {"stations_reporting"}:
            cell = made[name].isel(lat=y, lon=x)
            np.testing.assert_allclose(points[name].isel(point=i), cell, rtol=1e-4, err_msg=str(name))


def test_a_period_equals_that_part_of_the_whole(network, model, cube):
    part = network.aq.reanalyze(model, grid=GRID, time=slice("2020-01-03T05", "2020-01-03T09")).compute()
    assert part.sizes["time"] == 5
    np.testing.assert_allclose(part.pm25, cube.pm25.sel(time=part.time), rtol=1e-4)


def test_hidden_stations_have_no_influence(network, model, cube):
    poisoned = network.copy(deep=True)
    poisoned.pm25[network.hidden.values] = 1e9
    xr.testing.assert_equal(poisoned.aq.reanalyze(model, grid=GRID).compute().drop_attrs(), cube.drop_attrs())


def test_values_are_never_negative_and_bounds_enclose_them(cube):
    assert (cube.pm25_lower >= 0).all()
    assert (cube.pm25 >= cube.pm25_lower - 1e-4).all()
    assert (cube.pm25 <= cube.pm25_upper + 1e-4).all()


def test_negative_observations_do_not_make_negative_cells(network):
    below = network.assign(pm25=(network.pm25 * 0 - 5).assign_attrs(network.pm25.attrs))
    assert (below.aq.reanalyze("kriging", grid=0.5).compute().pm25 == 0).all()


def test_a_constant_network_gives_a_constant_cube(network, model):
    constant = network.assign(pm25=(network.pm25 * 0 + 7).assign_attrs(network.pm25.attrs))
    for method in ("nearest", "idw", "kriging"):
        np.testing.assert_allclose(constant.aq.reanalyze(method, grid=0.5).compute().pm25, 7, rtol=1e-5)


def test_station_order_does_not_matter(network, model, cube):
    shuffled = network.isel(station=np.random.default_rng(0).permutation(network.sizes["station"]))
    xr.testing.assert_allclose(
        shuffled.aq.reanalyze(model, grid=GRID).compute().drop_attrs(), cube.drop_attrs(), rtol=1e-3
    )


def test_steps_without_any_report_are_nan_and_counted(network, model):
    silent = network.copy(deep=True)
    silent.pm25[:, 30] = np.nan
    with pytest.warns(XaqWarning, match="1 of 144 steps"):
        made = silent.aq.reanalyze(model, grid=0.5)
    made = made.compute()
    assert made.stations_reporting[30] == 0
    assert np.isnan(made.pm25[30]).all()
    assert np.isfinite(made.pm25.drop_isel(time=30)).all()


def test_far_cells_are_marked_unsupported(network):
    wide = network.aq.reanalyze("idw", grid=xaq.Grid.regular(1.0, bounds=(0, 45, 20, 55))).compute()
    limit = json.loads(wide.attrs["xaq_provenance"])["max_distance_km"]
    np.testing.assert_array_equal(wide.supported, wide.nearest_station <= limit)
    assert 0 < int(wide.supported.sum()) < wide.supported.size


def test_longitudes_may_count_from_zero(network):
    east = network.aq.reanalyze("kriging", grid=0.5).compute()
    grid = xaq.Grid(east.lon.values + 360, east.lat.values)
    np.testing.assert_allclose(network.aq.reanalyze("kriging", grid=grid).compute().pm25, east.pm25, rtol=1e-4)


def test_cf_crs_bounds_and_held_out_scores(cube, network, model):
    assert cube.pm25.attrs["standard_name"] == "mass_concentration_of_pm2p5_ambient_aerosol_particles_in_air"
    assert cube.pm25.attrs["units"] == "ug m-3"
    assert cube.rio.crs.to_epsg() == 4326
    assert cube.rio.x_dim == "lon"
    np.testing.assert_allclose(np.diff(cube.lon_bnds), 0.25)
    assert (cube.time_bnds[:, 1] - cube.time_bnds[:, 0] == np.timedelta64(1, "h")).all()
    provenance = json.loads(cube.attrs["xaq_provenance"])
    assert provenance["model_hash"] == model.hash
    assert [row["method"] for row in provenance["held_out_scores"]] == ["AQ-Net", "kriging", "idw", "nearest"]


def test_points_keep_their_own_dimension(network):
    cohort = xr.DataArray([10.0, 10.5], dims="person", coords={"person": ["ann", "bob"]})
    made = network.aq.estimate("idw", lon=cohort, lat=[50.0, 50.2])
    assert made.pm25.dims == ("time", "person")
    assert list(made.person.values) == ["ann", "bob"]


# -- a stored block and its inputs ---------------------------------------------------------------------------------


def windy(days):
    """Return a network of 6 h steps, with a wind for a model to read."""
    ds = xaq.datasets.synthetic(n_stations=6, days=days, step="6h", seed=4)
    wind = np.random.default_rng(4).normal(size=ds.pm25.shape).astype("float32")
    return ds.assign(wind=(ds.pm25.dims, wind, {"units": "m s-1"}))


def gust(ds, step):
    """Return the network with a stronger wind at one station and step."""
    changed = ds.copy(deep=True)
    changed.wind[2, step] += 5
    return changed


def written(path):
    """Return by period when each block of a store was written."""
    folder = path / "pm25" / "c"
    return {int(p.relative_to(folder).parts[0]): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def written_since(path, before):
    return sorted(period for period, when in written(path).items() if when != before.get(period))


SIX_HOURLY = {"steps_per_day": 4, "patch": 2, "hidden": 8, "heads": 2, "k": 4}


def test_the_blocks_that_read_a_changed_covariate_are_made_again(tmp_path):
    ds, path = windy(days=10), tmp_path / "c.zarr"
    config = AQNetConfig(**SIX_HOURLY, days_before=1, days_after=1)
    model = ds.aq.train("pm25", covariates=["wind"], config=config, max_epochs=0, progress=False)
    options = {"grid": 1.0, "store": path, "chunks": {"time": 4}, "progress": False}
    ds.aq.reanalyze(model, **options)
    before = written(path)
    changed = gust(ds, step=4 * 5 + 1)
    with pytest.raises(StoreError, match=r"3 period.s. were made from other inputs.*update=True"):
        changed.aq.reanalyze(model, **options)
    assert written_since(path, before) == []
    changed.aq.reanalyze(model, update=True, **options)
    # The sixth day, and the days before and after, whose margins reach into it.
    assert written_since(path, before) == [4, 5, 6]


def test_a_forecast_is_made_again_when_a_covariate_known_ahead_changes_within_its_horizon_only(tmp_path):
    ds, path = windy(days=24), tmp_path / "c.zarr"
    config = AQNetConfig(**SIX_HOURLY, task="forecast", days_before=1, days_after=0, target_days=2)
    model = ds.aq.train("pm25", task="forecast", known=["wind"], config=config, max_epochs=0, progress=False)
    start = 4 * 20
    options = {"grid": 1.0, "store": path, "chunks": {"time": 4}, "progress": False, "init": ds.time.values[start]}
    ds.aq.reanalyze(model, **options)
    before = written(path)
    gust(ds, start + config.target_steps + 1).aq.reanalyze(model, **options)
    assert written_since(path, before) == []
    changed = gust(ds, start + config.target_steps)
    with pytest.raises(StoreError, match=r"2 period.s. were made from other inputs.*update=True"):
        changed.aq.reanalyze(model, **options)
    changed.aq.reanalyze(model, update=True, **options)
    # Each part of a forecast reads all of the horizon.
    assert written_since(path, before) == [0, 1]


def test_the_blocks_that_read_a_changed_background_are_made_again(network, tmp_path):
    path, ds = tmp_path / "c.zarr", network
    axes = {"time": ds.time.values, "lat": [49.0, 51.0], "lon": [8.0, 12.0]}
    values = 20.0 + np.random.default_rng(0).normal(size=(len(ds.time), 2, 2))
    field = xr.DataArray(values, axes, ("time", "lat", "lon"), "cams", {"units": "ug m-3"})
    # Of a fitted method nothing but the background may change: what it learned from it is part of the cube's identity.
    settled = make_request(ds, "idw", RequestOptions(background=field))
    changed = field.copy(deep=True)
    changed[60] += 5.0
    options = {"grid": GRID, "store": path, "chunks": {"time": 24}, "progress": False}
    ds.aq.reanalyze(settled.mapper, **options)
    before = written(path)
    factor = replace(settled.mapper.trend.background, field=Gridded.of(changed))
    other = OverTrend(settled.mapper.mapper, Trend(background=factor))
    with pytest.raises(StoreError, match=r"1 period.s. were made from other inputs.*update=True"):
        ds.aq.reanalyze(other, **options)
    ds.aq.reanalyze(other, update=True, **options)
    assert written_since(path, before) == [2]


def test_a_lazy_background_is_read_in_windows_and_never_as_a_whole(network):
    loaded = []

    def block(x, block_info=None):
        loaded.append(block_info[0]["chunk-location"])
        return x

    axes = {"time": network.time.values, "lat": [49.0, 51.0], "lon": [8.0, 12.0]}
    lazy = da.full((len(network.time), 2, 2), 20.0, chunks=(24, 2, 2)).map_blocks(block, dtype=float, meta=np.empty(0))
    field = xr.DataArray(lazy, axes, ("time", "lat", "lon"), "cams", {"units": "ug m-3"})
    made = network.aq.estimate("background", lon=[10.0], lat=[50.0], time="2020-01-02", background=field)
    loaded.clear()
    made.compute()
    # The block of the day, and the step after it.
    assert {position[0] for position in loaded} <= {1, 2}


# -- bad input -----------------------------------------------------------------------------------------------------


def swap(ds):
    return ds.assign_coords(lon=("station", ds.lat.values), lat=("station", ds.lon.values))


def test_the_fix_for_swapped_coordinates_fixes(network):
    east = network.assign_coords(lon=network.lon + 90)
    with pytest.raises(SchemaError, match=r"fix: ds.aq.repair\(swapped='swap'\)"):
        swap(east).aq.visible  # noqa: B018
    xr.testing.assert_allclose(swap(east).aq.repair(swapped="swap").aq.visible, east.aq.visible)


def test_bad_requests_end_in_clear_errors_and_nothing_half_written(network, model, tmp_path):
    path = tmp_path / "never.zarr"
    daily = network.resample(time="1D").mean(keep_attrs=True)
    gas = network.rename(pm25="o3").assign_attrs(network.attrs)
    other_units = network.assign(pm25=network.pm25.assign_attrs(units="mg m-3"))
    cases = [
        (network, model, {"grid": xaq.Grid.regular(1, bounds=(100, 0, 110, 5))}, GridError, "km from the nearest"),
        (daily, model, {}, ModelError, "step of 1h, the dataset 1D"),
        (gas, model, {"target": "o3"}, ModelError, "trained for 'pm25', asked for 'o3'"),
        (gas, model, {}, SchemaError, "no variable 'pm25'"),
        (other_units, model, {}, ModelError, "mg m-3"),
        (network, "krigging", {}, ModelError, "no method 'krigging'"),
        (network, 3, {}, ModelError, "got 3"),
        (network, model, {"time": "2031"}, SchemaError, "no step of the dataset"),
        (network, model, {"time": "yesterday-ish"}, SchemaError, "not a period"),
        (network, model, {"init": "2020-01-03"}, ModelError, "forecast models"),
        (network, model, {"level": 90}, SchemaError, "at most 0.99"),
        (network, model, {"grid": -1}, GridError, "spacing"),
        (network, model, {"chunks": {"x": 3}}, SchemaError, "expected time, lat, lon"),
        (network, model, {"chunks": {"lat": 0}}, SchemaError, "'lat'. is 0"),
        (network.drop_vars("lon"), model, {}, SchemaError, "no lon"),
        (swap(network.assign_coords(lon=network.lon + 90)), model, {}, SchemaError, "swapped"),
        (network.isel(time=[0, 1, 5]), model, {}, SchemaError, "irregular"),
        (network.isel(station=[0, 0, 1]), model, {}, SchemaError, "duplicate station ids"),
    ]
    for ds, mapper, options, error, message in cases:
        with pytest.raises(error, match=message):
            ds.aq.reanalyze(mapper, **{"grid": 0.5, "store": path, "progress": False, **options})
    assert list(tmp_path.iterdir()) == []


def test_points_far_from_every_station_are_refused(network):
    with pytest.raises(GridError, match="swapped"):
        network.aq.estimate("idw", lon=[50.0], lat=[10.0])


def test_the_default_grid_holds_hidden_stations_too(network):
    edge = network.isel(station=int(network.lon.argmax()))
    outer = network.aq.hide([str(edge.station.values)])
    assert float(outer.aq.reanalyze("idw", grid=0.05).lon.max()) > float(edge.lon)


def test_a_single_time_and_a_day_may_be_asked_for(network):
    assert network.aq.reanalyze("idw", grid=0.5, time="2020-01-02").sizes["time"] == 24
    assert network.aq.reanalyze("idw", grid=0.5, time="2020-01-02T05").sizes["time"] == 1
    assert network.aq.reanalyze("idw", grid=0.5, time=pd.Timestamp("2020-01-02T05")).sizes["time"] == 1
    for both in (("2020-01-02", "2020-01-03"), "2020-01-02/2020-01-03"):
        assert network.aq.reanalyze("idw", grid=0.5, time=both).sizes["time"] == 48
