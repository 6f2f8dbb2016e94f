"""The plan of an estimate: its reach, its times, what it reads, and what it refuses before anything is computed."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from conftest import station_dataset
from hypothesis import given
from hypothesis import strategies as st

from xaq.arrays import sphere
from xaq.cube.grid import Grid
from xaq.cube.request import (
    Plan,
    _check_periods,
    _settle_times,
    check_horizon,
    check_model,
    check_points,
    check_reach,
    days_as_time,
    floor_day,
    interval_probabilities,
    make_plan,
    readable_steps,
)
from xaq.errors import GridError, ModelError, SchemaError, XaqWarning
from xaq.interpolate.classical import Nearest

#: Kilometres of one degree along the equator.
DEGREE = float(sphere.distance_km(0.0, 0.0, 1.0, 0.0))


def times(n, step_hours=1, start="2020-01-01T00"):
    return np.datetime64(start, "s") + np.arange(n) * np.timedelta64(3600 * step_hours, "s")


def along_the_equator(lon):
    """Return a network of stations on the equator."""
    ds = station_dataset(n=len(lon), steps=24)
    return ds.assign_coords(lon=("station", np.array(lon, float)), lat=("station", np.zeros(len(lon))))


def chain(n, spacing, start=0.0):
    return start + spacing * np.arange(n)


def reach_in_degrees(ds, **options):
    return make_plan(ds, "idw", **options).max_distance / DEGREE


# -- the reach -----------------------------------------------------------------------------------------------------


def test_the_reach_is_that_of_the_sparse_part_of_a_network_but_not_of_one_outlier():
    core = chain(18, 0.1)
    assert reach_in_degrees(along_the_equator([*core, 20.0, 21.0])) == pytest.approx(3.0, rel=1e-3)
    assert reach_in_degrees(along_the_equator([*core, *chain(21, 0.1, start=5.0), 20.0])) == pytest.approx(
        0.3, rel=1e-3
    )


def test_instruments_side_by_side_are_one_place():
    lon = chain(6, 0.5)
    once, twice = along_the_equator(lon), along_the_equator(np.repeat(lon, 3))
    assert reach_in_degrees(twice) == pytest.approx(reach_in_degrees(once))
    assert make_plan(along_the_equator([1.0, 1.0]), "idw").max_distance == 50.0


def test_silent_stations_take_no_part_but_belong_to_the_network_and_hidden_ones_do_not():
    ds = along_the_equator(chain(8, 0.5))
    whole = make_plan(ds, "idw")
    silent = ds.copy(deep=True)
    silent.pm25[[1, 3, 5, 7]] = np.nan
    with pytest.warns(XaqWarning, match="4 station"):
        heard = make_plan(silent, "idw")
    assert list(heard.source.station.values) == list(ds.station.values[::2])
    assert heard.provenance["visible_stations"] == 4
    assert heard.max_distance == whole.max_distance
    assert heard.provenance["stations_hash"] == whole.provenance["stations_hash"]
    assert make_plan(silent.chunk({"time": 6}), "idw").max_distance == whole.max_distance
    hidden = make_plan(ds.aq.hide(["s01", "s03", "s05", "s07"]), "idw")
    assert hidden.max_distance == pytest.approx(2 * whole.max_distance, rel=1e-3)
    assert hidden.provenance["stations_hash"] != whole.provenance["stations_hash"]
    assert hidden.provenance["hidden_stations"] == ["s01", "s03", "s05", "s07"]


# -- the grid and the points ---------------------------------------------------------------------------------------


def near(lon, lat, limit_km):
    """Return as much of a plan as decides whether a place is near its stations."""
    source = xr.Dataset(coords={"lon": ("station", np.array(lon, float)), "lat": ("station", np.array(lat, float))})
    return SimpleNamespace(source=source, max_distance=limit_km, mapper=SimpleNamespace())


@pytest.mark.parametrize("turn", [-360.0, 0.0, 360.0])
@pytest.mark.parametrize("station", [0.0, 179.95, -179.95, -70.0])
def test_a_grid_is_as_near_however_its_longitudes_are_counted(turn, station):
    # Two degrees between the station and the nearest column.
    grid = Grid.regular(0.5, bounds=(station + 2.0 - 0.25, -1.0, station + 4.0, 1.0))
    grid = Grid(grid.lon + turn, grid.lat)
    check_reach(grid, near([station], [0.0], 2.01 * DEGREE))
    with pytest.raises(GridError, match="km from the nearest of 1 stations"):
        check_reach(grid, near([station], [0.0], 1.99 * DEGREE))


def test_one_station_inside_a_grid_or_near_one_point_is_enough():
    plan = near([0.0, 40.0], [0.0, 0.0], 60.0)
    check_reach(Grid.regular(1.0, bounds=(-10.0, -10.0, 10.0, 10.0)), plan)
    check_points(np.array([90.0, 0.5]), np.array([10.0, 0.0]), plan)
    with pytest.raises(GridError, match=r"nearest of 2 points is 111 km .* max_distance=60 km"):
        check_points(np.array([90.0, 1.0]), np.array([10.0, 0.0]), plan)


# -- times ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step_hours", "length", "midnight"), [(1, 48, True), (6, 48, True), (24, 48, False), (72, 144, False)]
)
def test_two_days_are_two_steps_where_a_step_is_a_day_or_longer(step_hours, length, midnight):
    record = times(20, step_hours, start="2020-01-01T12")
    assert days_as_time(2, record) == np.timedelta64(length, "h")
    floored = floor_day(record[3], record)
    assert floored == (record[3].astype("datetime64[D]") if midnight else record[3])
    assert floored.dtype == record.dtype


@given(st.integers(1, 4), st.sampled_from([1, 3, 6, 24]), st.integers(0, 60))
def test_the_history_of_a_forecast_ends_with_its_init_time_and_has_whole_days(days, step_hours, last):
    record = times(61, step_hours)
    source = xr.Dataset(coords={"time": record})
    history = record[readable_steps(SimpleNamespace(margin_days=(days, 0)), source, record[last])]
    assert history[-1] == record[last]
    assert len(history) == min(last + 1, days * (24 // step_hours))
    assert readable_steps(SimpleNamespace(margin_days=(days, 0)), source, None) == slice(None)


def forecaster(n_steps=4, step_hours=6, known=()):
    config = SimpleNamespace(target_steps=n_steps)
    recipe = SimpleNamespace(config=config, known=known, step_seconds=3600 * step_hours)
    return SimpleNamespace(task="forecast", recipe=recipe, step=np.timedelta64(3600 * step_hours, "s"))


def test_a_forecast_covers_the_steps_after_its_init_time_and_a_period_of_them():
    ds = station_dataset(n=2, steps=10, freq="6h")
    whole, init = _settle_times(forecaster(), ds, None, None)
    assert init == times(10, 6)[-1]
    np.testing.assert_array_equal(whole, init + np.arange(1, 5) * np.timedelta64(6, "h"))
    whole, init = _settle_times(forecaster(), ds, None, "2020-01-01T12")
    np.testing.assert_array_equal(whole, times(4, 6, start="2020-01-01T18"))
    part, _ = _settle_times(forecaster(), ds, slice("2020-01-02T00", "2020-01-02T06"), "2020-01-01T12")
    np.testing.assert_array_equal(part, whole[1:3])


@pytest.mark.parametrize(
    ("time", "init", "says"),
    [
        (None, "2020-01-01T13", "init='2020-01-01T13' is no step of the dataset, which covers 2020-01-01T00:00:00 to"),
        (None, "soon", r"init='soon' is no time \("),
        (
            "2020-01-01",
            "2020-01-01T18",
            "outside the forecast from 2020-01-01T18:00:00, which covers 2020-01-02T00:00:00",
        ),
    ],
)
def test_a_forecast_from_no_step_or_of_no_step_says_what_there_is(time, init, says):
    with pytest.raises(SchemaError, match=says):
        _settle_times(forecaster(), station_dataset(n=2, steps=10, freq="6h"), time, init)


def test_only_what_is_known_ahead_must_be_there_over_the_horizon():
    ds = station_dataset(n=2, steps=10, freq="6h")
    record = times(10, 6)
    knowing = forecaster(known=("wind",)).recipe
    check_horizon(knowing, ds, record[-5])
    with pytest.raises(SchemaError, match=r"lacks 1 of 4 steps there, 2020-01-03T12:00:00 \.\. 2020-01-03T12:00:00"):
        check_horizon(knowing, ds, record[-4])
    check_horizon(forecaster().recipe, ds, record[-1])


@pytest.mark.parametrize(
    ("margin", "first", "last"),
    [
        ((0, 0), "2020-01-03T00", "2020-01-04T23"),
        ((1, 2), "2020-01-02T00", "2020-01-06T23"),
        ((9, 9), "2020-01-01T00", "2020-01-08T23"),
    ],
)
def test_a_field_must_cover_the_whole_days_that_are_read_and_no_more_than_the_record(margin, first, last):
    ds, asked = station_dataset(n=2, steps=24 * 8), []
    field = SimpleNamespace(check_period=lambda *period: asked.append(period))
    chosen = times(24, start="2020-01-03T05")
    _check_periods(SimpleNamespace(margin_days=margin, fields=(field,)), ds, chosen)
    assert asked == [(np.datetime64(first, "s"), np.datetime64(last, "s"))]


# -- the model -----------------------------------------------------------------------------------------------------


def model_of(target="pm25", units="ug m-3", step_hours=1, covariates=(), known=()):
    recipe = SimpleNamespace(units=units, covariates=covariates, known=known)
    return SimpleNamespace(target=target, step=np.timedelta64(3600 * step_hours, "s"), recipe=recipe)


def test_a_model_fits_a_dataset_whose_units_are_spelled_otherwise(stations):
    spelled = stations.assign(pm25=stations.pm25.assign_attrs(units="µg/m³"))
    check_model(model_of(), spelled, "pm25")
    check_model(model_of(units="µg/m³"), stations, "pm25")


def test_all_that_keeps_a_model_from_a_dataset_is_said_at_once(stations):
    bad = model_of(target="o3", step_hours=3, covariates=("t2m", "pm25"), known=("wind",))
    with pytest.raises(ModelError) as caught:
        check_model(bad, stations, "pm25")
    text = str(caught.value)
    for part in ("trained for 'o3', asked for 'pm25'", "a step of 3h, the dataset 1h", "dataset lacks: t2m, wind"):
        assert part in text
    with pytest.raises(ModelError, match="the model is in 'ppb', the dataset's 'pm25' in 'ug m-3'"):
        check_model(model_of(units="ppb"), stations, "pm25")


# -- the plan ------------------------------------------------------------------------------------------------------


@given(st.floats(0.01, 0.99))
def test_the_bounds_of_an_interval_leave_as_much_below_as_above(level):
    lower, upper = interval_probabilities(level)
    assert lower + upper == pytest.approx(1.0)
    assert upper - lower == pytest.approx(level)
    assert 0 < lower < upper < 1


@pytest.mark.parametrize("level", [0, -0.5, 0.995, float("nan")])
def test_a_level_without_an_interval_is_refused(stations, level):
    with pytest.raises(SchemaError, match="expected above 0 and at most"):
        make_plan(stations, "idw", level=level)


def test_a_plan_says_what_it_was_made_of_as_strict_json(stations):
    plan = make_plan(stations, "kriging", time=slice("2020-01-01T06", "2020-01-01T08"), level=0.8, max_distance=7)
    assert isinstance(plan, Plan)
    assert plan.probabilities == pytest.approx((0.1, 0.9))
    assert make_plan(stations, "nearest").probabilities == ()
    assert (plan.covariates, plan.known, plan.init, plan.max_distance) == ((), (), None, 7.0)
    np.testing.assert_array_equal(plan.times, times(3, start="2020-01-01T06"))
    said = json.loads(json.dumps(plan.provenance, allow_nan=False))
    assert said["estimated_period"] == ["2020-01-01T06:00:00", "2020-01-01T08:00:00"]
    assert said["observation_period"] == ["2020-01-01T00:00:00", "2020-01-02T23:00:00"]
    assert (said["target"], said["units"], said["method"]) == ("pm25", "ug m-3", plan.mapper.name)
    assert (said["interval_level"], said["max_distance_km"], said["init_time"]) == (0.8, 7.0, None)


def test_a_fitted_method_is_named_by_what_it_learned_from_visible_stations(stations):
    ds = stations.aq.hide(["s00"])
    louder = ds.copy(deep=True)
    louder.pm25[1:] = louder.pm25[1:] ** 2
    poisoned = ds.copy(deep=True)
    poisoned.pm25[0] = 1e9
    one, other, same = (make_plan(d, "kriging").provenance["model_hash"] for d in (ds, louder, poisoned))
    assert one != other
    assert one == same


def test_requests_without_a_sense_end_in_the_call_that_helps(stations):
    raster = xr.DataArray(np.ones((2, 2)), {"lat": [30.0, 50.0], "lon": [100.0, 120.0]}, ("lat", "lon"))
    field = raster.expand_dims(time=stations.time.values[[0, -1]]).rename("pm25").assign_attrs(units="ug m-3")
    fitted = make_plan(stations, "kriging").mapper
    every = [str(s) for s in stations.station.values]
    two = stations.assign(o3=stations.pm25)
    cases = [
        (
            stations.assign_coords(hidden=("station", np.ones(len(every), bool))),
            "idw",
            {},
            SchemaError,
            "every station is hidden",
        ),
        (stations, "idw", {"rasters": {"height": raster}}, ModelError, "rasters are read by a trained model, not by"),
        (stations, fitted, {"background": field}, ModelError, "fitted without a background"),
        (stations, "background", {}, ModelError, "no method 'background'"),
        (two, "idw", {}, SchemaError, "which variable"),
        (two, "idw", {"target": "no2"}, SchemaError, "no variable 'no2'"),
    ]
    for ds, mapper, options, error, says in cases:
        with pytest.raises(error, match=says):
            make_plan(ds, mapper, **options)


def test_metadata_decide_a_plan_of_lazy_data(stations, no_compute):
    lazy = stations.chunk({"time": 12})
    plan = make_plan(lazy, Nearest())
    assert plan.source.pm25.chunks is not None
    assert plan.source.sizes["station"] == 10
