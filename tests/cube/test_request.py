"""A request: its reach, its times, its provenance, and what it refuses before anything is computed."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from synthetic import station_dataset

from xaq.arrays import sphere
from xaq.cube.grid import Grid
from xaq.cube.mapper import check_model
from xaq.cube.request import (
    Request,
    RequestOptions,
    _check_fields_cover,
    _forecast_times,
    _init_time,
    check_grid,
    check_horizon,
    check_points,
    interval_probabilities,
    make_request,
    reporting_slice,
)
from xaq.errors import GridError, ModelError, SchemaError, XaqWarning
from xaq.interpolate.classical import Nearest
from xaq.stations import schema

#: Kilometres of one degree along the equator.
DEGREE = float(sphere.distance_km(0.0, 0.0, 1.0, 0.0))


def request(ds, mapper="idw", **options):
    """Return what a verb asks for: it conforms the dataset, and makes the request."""
    return make_request(schema.conform(ds), mapper, RequestOptions(**options))


def times(n, step_hours=1, start="2020-01-01T00"):
    return np.datetime64(start, "s") + np.arange(n) * np.timedelta64(3600 * step_hours, "s")


def along_the_equator(lon):
    """Return a network of stations on the equator."""
    ds = station_dataset(n=len(lon), steps=24)
    return ds.assign_coords(lon=("station", np.array(lon, float)), lat=("station", np.zeros(len(lon))))


def chain(n, spacing, start=0.0):
    return start + spacing * np.arange(n)


def reach_in_degrees(ds, **options):
    return request(ds, **options).max_distance / DEGREE


# -- the reach -----------------------------------------------------------------------------------------------------


def test_the_default_reach_is_that_of_the_sparse_part_of_a_network_but_not_of_one_outlier():
    core = chain(18, 0.1)
    assert reach_in_degrees(along_the_equator([*core, 20.0, 21.0])) == pytest.approx(1.0, rel=1e-3)
    assert reach_in_degrees(along_the_equator([*core, *chain(21, 0.1, start=5.0), 20.0])) == pytest.approx(
        0.1, rel=1e-3
    )


def test_colocated_instruments_count_as_one_place():
    lon = chain(6, 0.5)
    once, twice = along_the_equator(lon), along_the_equator(np.repeat(lon, 3))
    assert reach_in_degrees(twice) == pytest.approx(reach_in_degrees(once))
    assert request(along_the_equator([1.0, 1.0])).max_distance == 50.0


def test_silent_stations_change_nothing_but_belong_to_the_network_and_hidden_ones_do_not():
    ds = along_the_equator(chain(8, 0.5))
    whole = request(ds)
    silent = ds.copy(deep=True)
    silent.pm25[[1, 3, 5, 7]] = np.nan
    with pytest.warns(XaqWarning, match="4 station"):
        heard = request(silent)
    assert list(heard.source.station.values) == list(ds.station.values[::2])
    assert heard.provenance["visible_stations"] == 4
    assert heard.max_distance == pytest.approx(2 * whole.max_distance, rel=1e-3)
    for same in ("stations_hash", "network_distance"):
        assert getattr(heard, same) == getattr(whole, same)
    # Which stations report is not known before something is computed.
    assert request(silent.chunk({"time": 6})).provenance["max_distance_km"] is None
    hidden = request(ds.aq.hide(["s01", "s03", "s05", "s07"]))
    assert hidden.max_distance == pytest.approx(2 * whole.max_distance, rel=1e-3)
    assert hidden.provenance["stations_hash"] != whole.provenance["stations_hash"]
    assert hidden.provenance["hidden_stations"] == ["s01", "s03", "s05", "s07"]


# -- the grid and the points ---------------------------------------------------------------------------------------


def near(lon, lat, limit_km):
    """Return as much of a request as decides whether a place is near its stations."""
    return SimpleNamespace(lon=np.array(lon, float), lat=np.array(lat, float), max_distance=limit_km, fields=())


@pytest.mark.parametrize("turn", [-360.0, 0.0, 360.0])
@pytest.mark.parametrize("station", [0.0, 179.95, -179.95, -70.0])
def test_the_distance_of_a_grid_does_not_depend_on_how_longitudes_are_counted(turn, station):
    # Two degrees between the station and the nearest column.
    grid = Grid.regular(0.5, bounds=(station + 2.0 - 0.25, -1.0, station + 4.0, 1.0))
    grid = Grid(grid.lon + turn, grid.lat)
    check_grid(near([station], [0.0], 2.01 * DEGREE), grid)
    with pytest.raises(GridError, match="km from the nearest of 1 stations"):
        check_grid(near([station], [0.0], 1.99 * DEGREE), grid)


def test_one_station_inside_a_grid_or_near_one_point_is_enough():
    asked = near([0.0, 40.0], [0.0, 0.0], 60.0)
    check_grid(asked, Grid.regular(1.0, bounds=(-10.0, -10.0, 10.0, 10.0)))
    check_points(asked, np.array([90.0, 0.5]), np.array([10.0, 0.0]))
    with pytest.raises(GridError, match=r"nearest of 2 points is 111 km .* max_distance=60 km"):
        check_points(asked, np.array([90.0, 1.0]), np.array([10.0, 0.0]))


def test_the_distance_that_a_far_grid_and_far_points_suggest_is_accepted():
    grid, x, y = Grid.regular(1.0, bounds=(9.5, -0.5, 12.0, 0.5)), np.array([10.0]), np.array([0.0])
    with pytest.raises(GridError, match=r"or max_distance=1112$"):
        check_grid(near([0.0], [0.0], 60.0), grid)
    check_grid(near([0.0], [0.0], 1112.0), grid)
    with pytest.raises(GridError, match=r"or max_distance=1112$"):
        check_points(near([0.0], [0.0], 60.0), x, y)
    check_points(near([0.0], [0.0], 1112.0), x, y)


# -- times ---------------------------------------------------------------------------------------------------------


def forecaster(n_steps=4, step_hours=6, known=()):
    config = SimpleNamespace(target_steps=n_steps)
    recipe = SimpleNamespace(config=config, known=known, step_seconds=3600 * step_hours)
    return SimpleNamespace(task="forecast", recipe=recipe, step=np.timedelta64(3600 * step_hours, "s"))


def test_a_forecast_covers_the_steps_after_its_init_time_and_a_period_of_them():
    record, model = times(10, 6), forecaster()
    init = _init_time(record, None)
    assert init == record[-1]
    np.testing.assert_array_equal(_forecast_times(model, init, None), init + np.arange(1, 5) * np.timedelta64(6, "h"))
    init = _init_time(record, "2020-01-01T12")
    whole = _forecast_times(model, init, None)
    np.testing.assert_array_equal(whole, times(4, 6, start="2020-01-01T18"))
    part = _forecast_times(model, init, slice("2020-01-02T00", "2020-01-02T06"))
    np.testing.assert_array_equal(part, whole[1:3])


@pytest.mark.parametrize(
    ("time", "init", "says"),
    [
        (None, "2020-01-01T13", "init='2020-01-01T13' is no step of the dataset, which covers 2020-01-01T00:00:00 to"),
        (None, "soon", r"init='soon' is no time; fix: init='"),
        (
            "2020-01-01",
            "2020-01-01T18",
            "outside the forecast from 2020-01-01T18:00:00, which covers 2020-01-02T00:00:00",
        ),
    ],
)
def test_a_forecast_outside_the_record_or_its_horizon_is_refused_with_what_there_is(time, init, says):
    with pytest.raises(SchemaError, match=says):
        _forecast_times(forecaster(), _init_time(times(10, 6), init), time)


def test_only_covariates_known_ahead_must_cover_the_horizon():
    ds = station_dataset(n=2, steps=10, freq="6h")
    record = times(10, 6)
    knowing = forecaster(known=("wind",))
    check_horizon(knowing, ds, record[-5])
    with pytest.raises(SchemaError, match=r"lacks 1 of 4 steps there, 2020-01-03T12:00:00 \.\. 2020-01-03T12:00:00"):
        check_horizon(knowing, ds, record[-4])
    check_horizon(forecaster(), ds, record[-1])


def test_stations_that_report_only_outside_a_forecasts_history_take_no_part():
    record = times(20, 6)
    assert reporting_slice(SimpleNamespace(margin_days=(2, 0)), record, record[12]) == slice(5, 13)
    assert reporting_slice(SimpleNamespace(margin_days=(2, 0)), record, None) == slice(None)


def asked_of_a_field(margin, record, chosen, init):
    """Return the periods that a field must cover for a request."""
    asked = []
    field = SimpleNamespace(check_period=lambda *period: asked.append(period))
    _check_fields_cover(SimpleNamespace(margin_days=margin, fields=(field,)), record, chosen, init)
    return asked


@pytest.mark.parametrize(
    ("margin", "first", "last"),
    [
        ((0, 0), "2020-01-03T00", "2020-01-04T23"),
        ((1, 2), "2020-01-02T00", "2020-01-06T23"),
        ((9, 9), "2020-01-01T00", "2020-01-08T23"),
    ],
)
def test_a_field_must_cover_the_whole_days_that_are_read_and_no_more_than_the_record(margin, first, last):
    chosen = times(24, start="2020-01-03T05")
    expected = [(np.datetime64(first, "s"), np.datetime64(last, "s"))]
    assert asked_of_a_field(margin, times(24 * 8), chosen, None) == expected


@pytest.mark.parametrize("first_time", [0, 20])
def test_a_field_of_a_forecast_must_cover_its_history_and_the_times_after_it(first_time):
    """The history ends with the init time, wherever in the horizon the times lie, and these lie after the record."""
    record = times(24 * 4)
    horizon = record[-1] + np.arange(1, 49) * np.timedelta64(1, "h")
    expected = [(np.datetime64("2020-01-03T00", "s"), horizon[-1])]
    assert asked_of_a_field((2, 0), record, horizon[first_time:], record[-1]) == expected


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


# -- the request ---------------------------------------------------------------------------------------------------


@given(st.floats(0.01, 0.99))
def test_the_bounds_of_an_interval_leave_as_much_below_as_above(level):
    lower, upper = interval_probabilities(level)
    assert lower + upper == pytest.approx(1.0)
    assert upper - lower == pytest.approx(level)
    assert 0 < lower < upper < 1


@pytest.mark.parametrize("level", [0, -0.5, 0.995, float("nan")])
def test_a_coverage_without_an_interval_is_refused(stations, level):
    with pytest.raises(SchemaError, match="expected above 0 and at most"):
        request(stations, level=level)


def test_provenance_is_strict_json(stations):
    made = request(stations, "kriging", time=slice("2020-01-01T06", "2020-01-01T08"), level=0.8, max_distance=7)
    assert isinstance(made, Request)
    assert made.probabilities == pytest.approx((0.1, 0.9))
    assert request(stations, "nearest").probabilities == ()
    assert (made.covariates, made.known, made.init, made.max_distance) == ((), (), None, 7.0)
    np.testing.assert_array_equal(made.times, times(3, start="2020-01-01T06"))
    said = json.loads(json.dumps(made.provenance, allow_nan=False))
    assert said["estimated_period"] == ["2020-01-01T06:00:00", "2020-01-01T08:00:00"]
    assert said["observation_period"] == ["2020-01-01T00:00:00", "2020-01-02T23:00:00"]
    assert (said["target"], said["units"], said["method"]) == ("pm25", "ug m-3", "kriging")
    assert said["step_seconds"] == 3600
    assert (said["interval_level"], said["max_distance_km"], said["init_time"]) == (0.8, 7.0, None)


def test_a_fitted_method_is_identified_by_its_fit_to_visible_stations(stations):
    ds = stations.aq.hide(["s00"])
    louder = ds.copy(deep=True)
    louder.pm25[1:] = louder.pm25[1:] ** 2
    poisoned = ds.copy(deep=True)
    poisoned.pm25[0] = 1e9
    one, other, same = (request(d, "kriging").provenance["model_hash"] for d in (ds, louder, poisoned))
    assert one != other
    assert one == same


def test_impossible_requests_name_what_is_wrong(stations):
    raster = xr.DataArray(np.ones((2, 2)), {"lat": [30.0, 50.0], "lon": [100.0, 120.0]}, ("lat", "lon"))
    field = raster.expand_dims(time=stations.time.values[[0, -1]]).rename("pm25").assign_attrs(units="ug m-3")
    fitted = request(stations, "kriging").mapper
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
        (stations, "idw", {"rasters": {"height": raster}}, ModelError, "not by 'idw'; fix: 'kriging-drift', or"),
        (stations, fitted, {"background": field}, ModelError, "fitted without a background"),
        (stations, "background", {}, ModelError, "no method 'background'"),
        (two, "idw", {}, SchemaError, "which variable"),
        (two, "idw", {"target": "no2"}, SchemaError, "no variable 'no2'"),
    ]
    for ds, mapper, options, error, says in cases:
        with pytest.raises(error, match=says):
            request(ds, mapper, **options)


@pytest.mark.parametrize("mapper", [Nearest(), "nearest", "idw"], ids=["instance", "nearest", "idw"])
def test_a_request_on_lazy_data_computes_nothing_where_there_is_nothing_to_fit(stations, no_compute, mapper):
    made = request(stations.chunk({"time": 12}), mapper)
    assert made.values.chunks is not None
    assert made.source.sizes["station"] == 10
