"""Means of periods: what the hourly cube gives by hand, with an interval of the mean, and how little of a period suffices."""

import json
import warnings

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xaq
from xaq.cube import ensemble, member_tasks
from xaq.errors import SchemaError, XaqWarning
from xaq.nn.config import AQNetConfig

GRID = xaq.Grid.regular(0.25, bounds=(9.0, 49.5, 11.0, 50.5))
CONFIG = AQNetConfig(hidden=8, heads=2, k=8)


@pytest.fixture(scope="module", autouse=True)
def members_by_default():
    """Make as many members as users get: tests of means count them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ensemble, "DEFAULT_MEMBERS", 50)
        patch.setattr(ensemble, "POINT_MEMBERS", 200)
        yield


@pytest.fixture(scope="module")
def network():
    return xaq.datasets.synthetic(n_stations=20, days=6, missing=0.1, seed=4).aq.hide(fraction=0.2, seed=1)


@pytest.fixture(scope="module")
def model(network):
    return network.aq.train("pm25", config=CONFIG, max_epochs=0, progress=False)


@pytest.fixture(scope="module")
def cube(network, model):
    return network.aq.reanalyze(model, grid=GRID).compute()


@pytest.fixture(scope="module")
def days(network, model):
    return network.aq.reanalyze(model, grid=GRID, freq="D", members=60).compute()


@pytest.fixture(scope="module")
def months():
    """A hundred days of six-hourly values, and an inverse-distance cube: no model is needed for the value alone."""
    ds = xaq.datasets.synthetic(n_stations=8, days=100, step="6h", missing=0.05, seed=4)
    return ds, ds.aq.reanalyze("idw", grid=GRID).compute()


def by_local(da, zone, name):
    """Return means by local day or month, by hand."""
    local = pd.DatetimeIndex(da.time.values).tz_localize("UTC").tz_convert(zone)
    return da.assign_coords(period=("time", local.strftime(name))).groupby("period").mean()


# -- the value -----------------------------------------------------------------------------------------------------


def test_the_value_is_the_mean_of_the_hourly_cube(cube, days):
    by_hand = cube.pm25.resample(time="1D").mean()
    assert days.time.values.tolist() == by_hand.time.values.tolist()
    np.testing.assert_allclose(days.pm25, by_hand, rtol=1e-5)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Sao_Paulo", "Asia/Kolkata"])
def test_local_days_are_those_of_the_zone(network, model, cube, zone):
    made = network.aq.reanalyze(model, grid=GRID, freq="D", tz=zone, capture=0.01).compute()
    np.testing.assert_allclose(made.pm25, by_local(cube.pm25, zone, "%Y-%m-%d"), rtol=1e-5)
    assert made.time.attrs["long_name"] == f"start of the day ({zone})"


# Zone, and the first of the days, around the night in which its clock changes.
NIGHTS = {
    "Europe/Berlin": ("2020-03-27", [24, 24, 23, 24]),
    "Europe/London": ("2020-10-23", [24, 24, 25, 24]),
    "America/Sao_Paulo": ("2017-10-13", [24, 24, 23, 24]),
    "Asia/Beirut": ("2017-03-24", [24, 24, 23, 24]),
    "Pacific/Apia": ("2011-12-27", [24, 24, 24, 24]),
}


@pytest.mark.parametrize("zone", NIGHTS)
def test_days_have_the_hours_of_a_clock_that_changes(zone):
    first, hours = NIGHTS[zone]
    ds = xaq.datasets.synthetic(n_stations=6, days=8, missing=0.0, seed=4)
    ds = ds.assign_coords(time=ds.time + (np.datetime64(first, "s") - np.timedelta64(1, "D") - ds.time[0].values))
    hourly = ds.aq.reanalyze("idw", grid=1.0).compute().pm25
    made = ds.aq.reanalyze("idw", grid=1.0, freq="D", tz=zone, capture=0.01).compute()
    np.testing.assert_allclose(made.pm25, by_local(hourly, zone, "%Y-%m-%d"), rtol=1e-5)
    length = ((made.time_bnds[:, 1] - made.time_bnds[:, 0]) / np.timedelta64(1, "h")).values
    local = pd.DatetimeIndex(made.time.values).tz_localize("UTC").tz_convert(zone).strftime("%Y-%m-%d").tolist()
    begin = local.index(first)
    assert length[begin : begin + 4].tolist() == hours
    whole = ds.aq.reanalyze("idw", grid=1.0, freq="D", tz=zone, capture=1.0).compute().pm25
    record = ds.time.values[0], ds.time.values[-1] + np.timedelta64(1, "h")
    inside = (made.time_bnds[:, 0].values >= record[0]) & (made.time_bnds[:, 1].values <= record[1])
    assert inside.sum() >= 6
    assert np.array_equal(whole.notnull().all(["lat", "lon"]), inside)


def test_daily_maxima_stay_maxima_in_a_cube_and_their_monthly_means_say_so():
    ds = xaq.datasets.synthetic(n_stations=12, days=33, step="24h", seed=4)
    of_8_hours = "time: maximum (comment: of the means over 8 hours)"
    ds["pm25"].attrs["cell_methods"] = f"area: point {of_8_hours}"
    days = ds.aq.reanalyze("kriging", grid=GRID, time="2020-01-02")
    assert {days[name].attrs["cell_methods"] for name in ("pm25", "pm25_lower", "pm25_upper")} == {of_8_hours}
    assert ds.aq.plot.map(days, lines=[]).get_title("left").startswith("PM2.5, daily maximum 2020-01-02")
    months = ds.aq.reanalyze("kriging", grid=GRID, freq="MS")
    assert months.pm25.attrs["cell_methods"] == f"{of_8_hours} time: mean (interval: 24 hours)"
    ds["pm25"].attrs["cell_methods"] = "time: mean (interval: 5 minutes)"
    assert ds.aq.reanalyze("kriging", grid=GRID).pm25.attrs["cell_methods"] == "time: mean"


@pytest.mark.parametrize(("freq", "of_pandas"), [("MS", "MS"), ("QS", "QS"), ("YS", "YS")])
def test_months_quarters_and_years_are_those_of_xarray(months, freq, of_pandas):
    ds, cube = months
    made = ds.aq.reanalyze("idw", grid=GRID, freq=freq, capture=0.01).compute()
    by_hand = cube.pm25.resample(time=of_pandas).mean()
    assert made.time.values.tolist() == by_hand.time.values.tolist()
    np.testing.assert_allclose(made.pm25, by_hand, rtol=1e-5)
    assert np.array_equal(made.time_bnds[1:, 0], made.time_bnds[:-1, 1])


def test_months_of_daily_values_are_those_of_xarray():
    ds = xaq.datasets.synthetic(n_stations=12, days=70, step="24h", missing=0.05, seed=4)
    made = ds.aq.reanalyze("kriging", grid=GRID, freq="MS", capture=0.3).compute()
    by_hand = ds.aq.reanalyze("kriging", grid=GRID).compute().pm25.resample(time="MS").mean()
    np.testing.assert_allclose(made.pm25, by_hand, rtol=1e-5)
    assert made.pm25.attrs["cell_methods"] == "time: mean (interval: 24 hours)"
    for options, fix in (
        ({"freq": "D"}, {"freq": None}),
        ({"freq": "MS", "tz": "Europe/Berlin"}, {"freq": "MS", "tz": None}),
    ):
        with pytest.raises(SchemaError, match="fix: "):
            ds.aq.reanalyze("kriging", grid=GRID, **options)
        assert ds.aq.reanalyze("kriging", grid=GRID, **fix).sizes["time"] in (3, 70)


def test_the_largest_value_is_at_least_the_largest_estimate(network, model, cube):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = network.aq.reanalyze(model, grid=GRID, freq="D", statistic="max", members=3).compute()
    hourly = network.aq.reanalyze(model, grid=GRID, members=3).compute().pm25_member
    np.testing.assert_allclose(made.pm25_member, hourly.resample(time="1D").max(), rtol=1e-4)
    estimates = cube.pm25.resample(time="1D").max()
    # The largest of 24 truths is above the largest of 24 estimates wherever these are uncertain.
    assert float((made.pm25 - estimates).mean()) > 0
    assert (made.pm25_lower <= made.pm25).all()
    assert (made.pm25 <= made.pm25_upper).all()
    assert made.pm25.attrs["cell_methods"] == "time: maximum (interval: 1 hour)"
    plain = network.aq.reanalyze("idw", grid=GRID, freq="D", statistic="max").compute()
    by_hand = network.aq.reanalyze("idw", grid=GRID).compute().pm25.resample(time="1D").max()
    np.testing.assert_allclose(plain.pm25, by_hand, rtol=1e-5)


def test_a_background_is_read_over_the_whole_period(network):
    axes = {"time": network.time.values, "lat": [48.0, 49.5, 50.5, 52.0], "lon": [7.0, 9.5, 10.5, 13.0]}
    rng = np.random.default_rng(0)
    field = xr.DataArray(rng.uniform(10, 30, (144, 4, 4)), axes, tuple(axes), "cams", {"units": "ug m-3"})
    options = {"grid": GRID, "background": field}
    hourly = network.aq.reanalyze("kriging", **options).compute().pm25
    made = network.aq.reanalyze("kriging", **options, freq="D", members=2).compute()
    np.testing.assert_allclose(made.pm25, hourly.resample(time="1D").mean(), rtol=1e-5)
    assert np.isfinite(made.pm25_member).all()


@pytest.mark.parametrize("method", ["model", "kriging", "idw"])
def test_lazy_station_data_give_the_same_means(network, model, method):
    mapper = model if method == "model" else method
    made, lazy = (
        ds.aq.reanalyze(mapper, grid=GRID, freq="D", tz="Europe/Berlin").compute()
        for ds in (network, network.chunk({"time": 50, "station": 7}))
    )
    assert set(made.variables) == set(lazy.variables)
    for name in made.data_vars:
        np.testing.assert_allclose(lazy[name], made[name], rtol=1e-4)


def test_nothing_is_computed_until_it_is_asked_for(network, model, no_compute):
    lazy = network.chunk({"time": 50}).aq.reanalyze(model, grid=GRID, freq="D", members=2, support="cell")
    assert lazy.pm25_member.shape == (2, 6, 4, 8)
    assert network.aq.estimate(model, lon=[10.0], lat=[50.0], freq="MS").pm25.shape == (1, 1)


@pytest.mark.parametrize("method", ["model", "idw"])
def test_a_cell_equals_the_point_at_its_centre(network, model, method):
    mapper = model if method == "model" else method
    made = network.aq.reanalyze(mapper, grid=GRID, freq="D").compute()
    at = {"lon": made.lon.values[[0, 3]], "lat": made.lat.values[[0, 2]]}
    points = network.aq.estimate(mapper, **at, freq="D", members=None if method == "idw" else 50).compute()
    for i, (y, x) in enumerate([(0, 0), (2, 3)]):
        for name in made.data_vars.keys() & points.data_vars.keys() - {"stations_reporting"}:
            np.testing.assert_allclose(points[name].isel(point=i), made[name].isel(lat=y, lon=x), rtol=1e-4)


# -- the interval and members --------------------------------------------------------------------------------------


def test_members_of_a_period_are_means_of_hourly_members(network, model, days):
    hourly = network.aq.reanalyze(model, grid=GRID, members=3).compute().pm25_member
    by_hand = hourly.resample(time="1D").mean()
    np.testing.assert_allclose(days.pm25_member[:3], by_hand, rtol=1e-4, atol=1e-4)


def test_the_interval_is_that_of_the_members(days):
    for name, p in (("lower", 0.05), ("upper", 0.95)):
        expected = days.pm25_member.quantile(p, "member", method="weibull")
        np.testing.assert_allclose(days[f"pm25_{name}"], expected, rtol=1e-5)


def test_the_interval_of_a_mean_is_narrower_than_the_mean_of_intervals(cube, days):
    of_hours = (cube.pm25_upper - cube.pm25_lower).mean()
    independent = of_hours / np.sqrt(24)
    assert independent < (days.pm25_upper - days.pm25_lower).mean() < of_hours


@pytest.mark.parametrize(("members", "made"), [(None, 200), (3, 50), (60, 60)])
def test_points_are_made_from_more_members_than_cubes_unless_a_number_is_given(network, members, made):
    points = network.aq.estimate("kriging", lon=10.0, lat=50.0, freq="D", members=members)
    assert json.loads(points.attrs["xaq_provenance"])["members_made"] == made


@pytest.mark.parametrize(("level", "members", "made"), [(0.9, 3, 50), (0.99, 3, 199), (0.9, 60, 60)])
def test_few_members_do_not_make_an_interval_too_narrow(network, model, days, level, members, made):
    few = network.aq.reanalyze(model, grid=GRID, freq="D", level=level, members=members)
    assert few.sizes["member"] == members
    assert json.loads(few.attrs["xaq_provenance"])["members_made"] == made
    whole = network.aq.reanalyze(model, grid=GRID, freq="D", level=level, members=made).compute()
    np.testing.assert_array_equal(few.pm25_upper, whole.pm25_upper)
    np.testing.assert_array_equal(few.pm25_member, whole.pm25_member[:members])
    inside = (whole.pm25_member >= whole.pm25_lower) & (whole.pm25_member <= whole.pm25_upper)
    assert float(inside.mean()) >= level - 0.02


def test_blocks_and_threads_do_not_change_a_byte(network, model, days):
    asked = {"grid": GRID, "freq": "D", "members": 60}
    with dask.config.set(scheduler="threads", num_workers=2):
        made = network.aq.reanalyze(model, chunks={"time": 4, "lat": 3}, **asked).compute()
    for name in ("pm25", "pm25_lower", "pm25_upper", "pm25_member"):
        assert made[name].values.tobytes() == days[name].values.tobytes(), name


def test_a_mean_of_cells_is_surer_than_one_of_points(network, model, days):
    cells = network.aq.reanalyze(model, grid=GRID, freq="D", support="cell").compute()
    np.testing.assert_allclose(cells.pm25, days.pm25, rtol=1e-5)
    assert float((cells.pm25_upper - cells.pm25_lower).mean()) < float((days.pm25_upper - days.pm25_lower).mean())
    assert cells.pm25.attrs["cell_methods"] == "time: mean (interval: 1 hour) area: mean"


def test_a_method_without_a_distribution_has_the_value_alone(network):
    made = network.aq.reanalyze("idw", grid=GRID, freq="D").compute()
    assert set(made.data_vars) == {"pm25", "nearest_station", "supported", "stations_reporting"}
    assert json.loads(made.attrs["xaq_provenance"])["members_made"] == 0


# -- data capture --------------------------------------------------------------------------------------------------


def test_a_period_with_too_few_hours_is_missing(network, model):
    silent = network.copy(deep=True)
    silent.pm25[:, 30:38] = np.nan
    part = {"time": slice("2020-01-01T06", "2020-01-03T15"), "grid": GRID, "freq": "D", "members": 2}
    with pytest.warns(XaqWarning, match="no visible station reports at 8"):
        made = {c: silent.aq.reanalyze(model, capture=c, **part).compute() for c in (0.6, 0.7, 0.75, 0.8)}
    # 18 hours of the first day are estimated, 16 of the second, 16 of the last, of 24 each.
    for capture, kept in ((0.6, [1, 1, 1]), (0.7, [1, 0, 0]), (0.75, [1, 0, 0]), (0.8, [0, 0, 0])):
        for name in ("pm25", "pm25_lower", "pm25_upper"):
            assert made[capture][name].notnull().all(["lat", "lon"]).values.tolist() == kept, (capture, name)
        assert made[capture].pm25_member.notnull().all(["member", "lat", "lon"]).values.tolist() == kept
    with pytest.warns(XaqWarning):
        hourly = silent.aq.reanalyze(model, grid=GRID, time=part["time"]).compute().pm25
    assert hourly.isnull().sum("time").max() == 8
    np.testing.assert_allclose(made[0.6].pm25, hourly.resample(time="1D").mean(), rtol=1e-5)


@pytest.mark.parametrize("verb", ["reanalyze", "estimate"])
def test_periods_that_are_all_missing_are_said_with_a_capture_that_works(network, verb):
    where = {"grid": GRID} if verb == "reanalyze" else {"lon": [10.0], "lat": [50.0]}
    part = {"time": slice("2020-01-01", "2020-01-04T12"), **where}
    make = getattr(network.aq, verb)
    with pytest.warns(
        XaqWarning,
        match=r"no month has 75 %.* 2020-01-01.* 11\.4 %: all are NaN; fix: a longer time=, or capture=0\.11$",
    ):
        assert make("idw", freq="MS", **part).pm25.isnull().all()
    with warnings.catch_warnings():
        warnings.simplefilter("error", XaqWarning)
        assert make("idw", freq="MS", capture=0.11, **part).pm25.notnull().any()
        assert make("idw", freq="D", **part).pm25[-1].isnull().all(), "the last of several may be incomplete"


@pytest.mark.parametrize("asked", [{"tz": "Europe/Berlin"}, {"statistic": "max"}])
def test_what_is_said_of_periods_needs_periods(network, asked):
    with pytest.raises(SchemaError, match=r"of periods, and there are none; fix: freq='D'"):
        network.aq.reanalyze("idw", grid=GRID, **asked)
    assert network.aq.reanalyze("idw", grid=GRID, freq="D", **asked).sizes["time"] in (6, 7)


@pytest.mark.parametrize(
    ("time", "days"),
    [
        ("2020-01-03", ["02T16"]), (("2020-01-03", "2020-01-04"), ["02T16", "03T16"]), ("2020-01-03/2020-01-04", ["02T16", "03T16"]),
        (slice("2020-01-04", None), ["03T16", "04T16", "05T16", "06T16"]), (slice(None, "2020-01-02"), ["31T16", "01T16"]),
        (slice(np.datetime64("2020-01-02T16"), pd.Timestamp("2020-01-03T15")), ["02T16"]), ("2020-01-03T00/2020-01-03T23", ["02T16"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("verb", ["reanalyze", "estimate"])
def test_dates_are_those_of_the_time_zone_of_the_periods(network, verb, time, days):
    where = {"grid": GRID} if verb == "reanalyze" else {"lon": [10.0], "lat": [50.0]}
    options = {"freq": "D", "tz": "Asia/Shanghai", **where}
    make = getattr(network.aq, verb)
    made = make("idw", time=time, **options).compute()
    assert [str(start)[8:13] for start in made.time.values] == days
    xr.testing.assert_equal(made.pm25, make("idw", **options).compute().pm25.sel(time=made.time))


def test_scores_of_local_days_are_those_of_the_dates_asked_for(network):
    n = network.aq.verify("idw", of="D", tz="Asia/Shanghai", time="2020-01-03", baselines=[]).n
    local_day = network.aq.hidden.pm25.sel(time=slice("2020-01-02T16", "2020-01-03T15"))
    assert n.item() == (local_day.notnull().sum("time") >= 18).sum() > 0


def test_a_date_in_a_time_zone_that_no_time_is_in_is_named_as_it_was_given(network):
    with pytest.raises(SchemaError, match="time='yesterday' is not a period"):
        network.aq.reanalyze("idw", grid=GRID, freq="D", tz="Asia/Shanghai", time="yesterday")


# -- labels --------------------------------------------------------------------------------------------------------


def test_a_period_says_what_it_is(days, months):
    assert days.pm25.attrs["long_name"] == "daily mean of PM2.5 concentration"
    assert days.pm25_lower.attrs["long_name"] == "lower bound of the 90 % interval of daily mean of PM2.5 concentration"
    assert days.pm25_member.attrs["long_name"].startswith("members of daily mean of PM2.5")
    for name in ("pm25", "pm25_lower", "pm25_upper", "pm25_member"):
        assert days[name].attrs["cell_methods"] == "time: mean (interval: 1 hour)"
    assert days.time.attrs["bounds"] == "time_bnds"
    assert days.time.attrs["long_name"] == "start of the day (UTC)"
    one = np.timedelta64(1, "D")
    assert ((days.time_bnds[:, 1] - days.time_bnds[:, 0]) == one).all()
    assert (days.time_bnds[:, 0] == days.time).all()
    ds, cube = months
    made = ds.aq.reanalyze("idw", grid=GRID, freq="YS", capture=0.1).compute()
    assert made.pm25.attrs["long_name"] == "annual mean of PM2.5 concentration"
    assert [str(t)[:10] for t in made.time_bnds.values[0]] == ["2020-01-01", "2021-01-01"]
    assert float(made.stations_reporting[0]) == pytest.approx(float(cube.stations_reporting.mean()))


def test_the_provenance_says_how_periods_were_made(network, model):
    lazy = network.aq.reanalyze(
        model, grid=GRID, freq="MS", tz="Europe/Berlin", statistic="max", capture=0.1, members=4, seed=3, support="cell"
    )
    said = json.loads(lazy.attrs["xaq_provenance"])
    expected = {
        "freq": "MS", "tz": "Europe/Berlin", "statistic": "max", "capture": 0.1, "members": 4, "members_made": 50,
        "members_seed": 3, "support": "cell",
    }  # fmt: skip
    assert {name: said[name] for name in expected} == expected
    plain = json.loads(network.aq.reanalyze(model, grid=GRID).attrs["xaq_provenance"])
    assert not expected.keys() & plain.keys()


# -- how it is computed --------------------------------------------------------------------------------------------


def test_a_year_of_hours_is_never_in_memory_at_once(network, model, monkeypatch):
    """The estimates of a tile are; members of hours are made for one block and forgotten."""
    seen, summarise = [], member_tasks.summarise
    from xaq.cube import ensemble_graph

    def watched(*args):
        made = summarise(*args)
        seen.append([layer.shape for layer in made])
        return made

    monkeypatch.setattr(ensemble_graph, "summarise", watched)
    network.aq.reanalyze(model, grid=GRID, freq="D", chunks={"time": 2}).compute()
    assert seen == [[(2, 32)] * 3] * 3
