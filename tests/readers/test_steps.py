"""Stations of different steps or phases in one source: told apart, and brought to one step where the caller names it."""

import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from synthetic import station_dataset

import xaq
from xaq.errors import SchemaError, XaqWarning

PLACES = pd.DataFrame({"station": list("abcd"), "lon": [10.0, 10.5, 11.0, 10.2], "lat": [50.0, 50.2, 50.1, 49.8]})
HOURS = pd.date_range("2024-01-05", periods=72, freq="h")


def rows(stations, times, value=None):
    """Return rows of stations at times; by default a value is the hours since the first row of all."""
    made = pd.DataFrame([(s, t) for s in stations for t in times], columns=["station", "time"])
    return made.assign(pm25=(made.time - HOURS[0]) / pd.Timedelta("1h") if value is None else value)


def opened(*parts, **options):
    return xaq.open_stations(pd.concat(parts), **{"stations": PLACES, "tz": "UTC", **options})


def wide(*parts, **options):
    table = pd.concat(parts).pivot(index="time", columns="station", values="pm25").reset_index()
    return xaq.open_stations(table, **{"stations": PLACES, "tz": "UTC", "pollutant": "pm25", **options})


def long_with_nan(*parts, **options):
    table = pd.concat(parts).pivot(index="time", columns="station", values="pm25").stack(future_stack=True)
    return xaq.open_stations(table.rename("pm25").reset_index(), **{"stations": PLACES, "tz": "UTC", **options})


def narrow(*parts, **options):
    table = pd.concat(parts).rename(columns={"pm25": "value"}).assign(parameter="pm25", units="ug m-3")
    return xaq.open_stations(table, **{"stations": PLACES, "tz": "UTC", **options})


def dataset(*parts, **options):
    table = pd.concat(parts).pivot(index="time", columns="station", values="pm25")
    axis = pd.date_range(table.index[0], table.index[-1], freq=pd.Series(np.diff(table.index)).mode()[0])
    where = PLACES.set_index("station").loc[table.columns]
    values = table.reindex(axis).to_numpy().T
    return xaq.open_stations(
        xr.Dataset(
            {"pm25": (("station", "time"), values, {"units": "ug m-3"})},
            {
                "station": list(table.columns),
                "time": axis,
                "lon": ("station", where.lon),
                "lat": ("station", where.lat),
            },
        ),
        **options,
    )


FORMS = pytest.mark.parametrize("form", [opened, wide, long_with_nan, narrow, dataset])

MIXTURES = {
    "daily among hourly": ([rows("ab", HOURS), rows("cd", HOURS[::24])], "1h at 2 .*1D at 2", "1D"),
    "two days of daily among hourly": ([rows("ab", HOURS[:48]), rows("cd", HOURS[:48:24])], "1h at 2 .*1D at 2", "1D"),
    "hourly among daily": ([rows("a", HOURS), rows("bcd", HOURS[::24])], "1h at 1 .*1D at 3", "1D"),
    "15 minutes among hours": ([rows("a", pd.date_range(HOURS[0], HOURS[-1], freq="15min")), rows("bcd", HOURS)], "15min at 1 .*1h at 3", "1h"),
    "3 hours among hours": ([rows("abc", HOURS), rows("d", HOURS[::3])], "1h at 3 .*3h at 1", "3h"),
    "half an hour": ([rows("ab", HOURS), rows("cd", HOURS + pd.Timedelta("30min"))], "1h at 2 .*1h from 00:30 at 2", "1h"),
    "quarter of an hour": ([rows("ab", HOURS + pd.Timedelta("15min")), rows("cd", HOURS + pd.Timedelta("30min"))], "from 00:15.*from 00:30", "1h"),
    "seven minutes": ([rows("ab", HOURS), rows("cd", HOURS + pd.Timedelta("7min"))], "1h at 2 .*from 00:07", "1h"),
    "ten minutes": ([rows("ab", HOURS), rows("cd", HOURS + pd.Timedelta("10min"))], "1h at 2 .*from 00:10", "1h"),
}  # fmt: skip


@FORMS
@pytest.mark.parametrize("mixture", MIXTURES)
def test_different_steps_are_refused_and_the_step_of_the_fix_works(mixture, form):
    if mixture == "seven minutes" and form is dataset:
        pytest.skip("a Dataset of that axis has steps of 7 minutes, which no verb takes")
    parts, says, step = MIXTURES[mixture]
    with pytest.raises(SchemaError, match=says) as caught:
        form(*parts)
    named = re.search(r"fix: step='(\w+)'", str(caught.value))[1]
    assert named == step
    ds = form(*parts, step=named)
    assert xaq.stations.schema.conform(ds).sizes["station"] == 4
    # Values are the hours at the start of their interval: a mean over other starts has to be the mean of these.
    width = pd.Timedelta(step) / pd.Timedelta("1h")
    for part in parts:
        own = part.time[part.station == part.station.iloc[0]].sort_values()
        apart = (own.iloc[1] - own.iloc[0]) / pd.Timedelta("1h")
        begins = ((ds.time - np.datetime64(HOURS[0])) / np.timedelta64(1, "h")).values
        got = ds.pm25.sel(station=part.station.iloc[0]).values
        inside = np.isfinite(got) & (begins >= part.pm25.min()) & (begins + width <= part.pm25.max() + apart)
        assert inside.sum() >= 2
        np.testing.assert_allclose(got[inside], begins[inside] + (width - apart) / 2, atol=1e-4)


def test_hours_of_india_and_nepal_begin_where_they_do():
    parts = []
    for s, zone in zip("abc", ["Asia/Kolkata", "Asia/Kolkata", "Asia/Kathmandu"], strict=True):
        local = pd.date_range("2024-01-01 01:00", periods=48, freq="h", tz=zone)
        parts.append(pd.DataFrame({"station": s, "time": [t.isoformat() for t in local], "pm25": 30.0}))
    with pytest.raises(SchemaError, match=r"1h from 00:15 at 1 .*1h from 00:30 at 2"):
        opened(*parts, timestamps="end")
    ds = opened(*parts, timestamps="end", step="1h")
    # Intervals of India begin at 18:30 UTC and those of Nepal at 18:15: the first hour of UTC with 75 % observed differs.
    first = {s: ds.time[ds.pm25.sel(station=s).notnull()].values[0] for s in "abc"}
    assert first == {s: np.datetime64(f"2023-12-31T{h}") for s, h in {"a": "19:00", "b": "19:00", "c": "18:00"}.items()}
    india = opened(*parts[:2], timestamps="end")
    assert india.time.values[0] == np.datetime64("2023-12-31T18:30")
    xr.testing.assert_equal(opened(*parts[:2], timestamps="end", step="1h"), india)


@given(st.sampled_from([15, 20, 30]), st.integers(0, 2**32), st.sampled_from(["start", "end"]))
def test_means_over_whole_steps_are_those_of_pandas(minutes, seed, timestamps):
    rng = np.random.default_rng(seed)
    times = pd.date_range("2024-01-05", periods=6 * 60 // minutes, freq=f"{minutes}min")
    table = rows("ab", times, 0.0).assign(pm25=lambda t: rng.gamma(3, 4, len(t)))
    table = table[rng.random(len(table)) < 0.9]
    starts = table.time if timestamps == "start" else table.time - pd.Timedelta(minutes, "min")
    by_hour = table.groupby(["station", starts.dt.floor("h")]).pm25
    expected = by_hour.mean().where(by_hour.count() * minutes >= 45).dropna()
    ds = opened(table, step="1h", timestamps=timestamps)
    got = ds.pm25.to_series().dropna()
    np.testing.assert_allclose(got.to_numpy(), expected.to_numpy(), rtol=1e-5)
    np.testing.assert_array_equal(got.index.get_level_values("time"), expected.index.get_level_values(1))
    assert "xaq open_stations: means over 1h" in ds.history


def test_daily_stations_of_a_time_zone_keep_their_days_and_values():
    parts = [rows("ab", HOURS), rows("cd", HOURS[::24], 7.0)]
    ds = opened(*parts, tz="Asia/Shanghai", step="1D")
    np.testing.assert_array_equal(ds.time, HOURS[::24] - pd.Timedelta("8h"))
    np.testing.assert_array_equal(ds.pm25.sel(station=["c", "d"]), 7.0)
    np.testing.assert_allclose(ds.pm25.sel(station="a"), [11.5, 35.5, 59.5])


def test_directions_are_averaged_as_vectors():
    times = pd.date_range("2024-01-05", periods=24, freq="30min")
    table = rows("ab", times, 1.0).assign(wd=np.tile([350.0, 20.0], 24))
    ds = opened(table, step="1h")
    np.testing.assert_allclose(ds.wd, 5.0, atol=1e-4)


def test_gaps_and_silent_stations_are_no_other_step():
    rng = np.random.default_rng(0)
    sparse = rows("ab", HOURS)[rng.random(144) < 0.3]
    every_other = rows("c", HOURS[[3, 5, 9]])
    ds = opened(sparse, rows("d", HOURS[[20]]), every_other, rows("d", HOURS[:12]).assign(pm25=np.nan).drop(index=[3]))
    assert ds.sizes["time"] >= 60
    np.testing.assert_array_equal(np.diff(ds.time), np.timedelta64(1, "h"))


def test_daily_networks_that_report_every_third_day_are_one_warning():
    days = pd.date_range("2024-01-01", periods=30, freq="D")
    with pytest.warns(XaqWarning, match=r"1D at 2 .*3D at 2 .*one day"):
        ds = opened(rows("ab", days), rows("cd", days[::3]))
    assert ds.sizes["time"] == 30
    assert int(ds.pm25.sel(station="c").notnull().sum()) == 10
    report = ds.aq.check().set_index("problem").loc["steps"]
    assert (report.severity, report.fix) == ("note", "")
    assert "nothing to do, each value is that of one day" in report.finding


def test_a_timestamp_between_the_hours_is_an_error_not_a_step():
    with pytest.raises(SchemaError, match=r"off .*step of 1h"):
        opened(rows("abcd", HOURS), rows("a", HOURS[[4]] + pd.Timedelta("30min")))


@pytest.mark.parametrize(
    "step", ["MS", "7h", 3600, "0h", "-1h", "1.5s", "an hour", 1.0, pd.NaT, ["1h"], np.timedelta64(1, "M")]
)
def test_steps_that_are_refused(step):
    with pytest.raises(SchemaError, match="fix: step='1h'"):
        opened(rows("abcd", HOURS), step=step)


@pytest.mark.parametrize(
    "step", ["1D", "d", pd.Timedelta("24h"), np.timedelta64(1, "D"), pd.Timedelta("1D").to_pytimedelta()]
)
def test_steps_that_are_the_same(step):
    np.testing.assert_allclose(opened(rows("abcd", HOURS), step=step).pm25[0], [11.5, 35.5, 59.5])


def test_a_step_shorter_than_that_of_stations_is_refused():
    parts = [rows("ab", HOURS), rows("cd", HOURS[::24])]
    with pytest.raises(SchemaError, match=r"shorter than the steps of 1D at 2 .*fix: step='1D'"):
        opened(*parts, step="1h")
    with pytest.raises(SchemaError, match="leaves no interval"):
        opened(*parts, step="3D")


def test_lazy_data_are_resampled_by_xarray(tmp_path):
    ds = station_dataset()
    ds.to_netcdf(tmp_path / "a.nc")
    with pytest.raises(SchemaError, match=r"ds\.resample\(time='1D'\)"):
        xaq.open_stations(tmp_path / "a.nc", step="1D")
    assert xaq.open_stations(tmp_path / "a.nc", step="1h").pm25.chunks is not None


def test_the_audit_of_a_dataset_tells_the_steps_and_its_fix_works():
    ds = station_dataset(n=6, steps=96)
    ds.pm25[4:, :] = ds.pm25[4:, :].where(ds.time.dt.hour == 0)
    report = ds.aq.check().set_index("problem")
    assert report.loc["steps", "severity"] == "warning"
    assert report.loc["steps", "examples"] == "s04, s05"
    first, _, second = report.loc["steps", "fix"].partition(", or ")
    for fix in (first, second):
        assert "steps" not in set(eval(fix, {"xaq": xaq, "ds": ds}).aq.check().problem)


@pytest.mark.parametrize("freq", ["MS", "ME", "QS-DEC", "YS"])
@pytest.mark.parametrize("form", ["long", "narrow", "wide"])
def test_monthly_tables_are_put_on_days_by_the_fix(freq, form):
    times = pd.date_range("2015-01-01", periods=20, freq=freq)
    table, options = rows("abcd", times, 0.0).assign(pm25=np.tile(np.arange(20.0), 4)), {"stations": PLACES}
    if form == "narrow":
        table = table.rename(columns={"pm25": "value"}).assign(parameter="pm25")
    elif form == "wide":
        table, options = (
            table.pivot(index="time", columns="station", values="pm25").reset_index(),
            {**options, "pollutant": "pm25"},
        )
    with pytest.raises(SchemaError, match="differ in length") as caught:
        xaq.open_stations(table, **options)
    scope = {"pd": pd, "table": table}
    exec(str(caught.value).partition("fix: ")[2].partition("; ")[0], scope)
    ds = xaq.open_stations(scope["table"], **options)
    labelled = ds.pm25.sel(time=times).values
    np.testing.assert_array_equal(labelled, np.tile(np.arange(20.0), (4, 1)))
    months = {"MS": "M", "ME": "M", "QS-DEC": "Q-NOV", "YS": "Y"}[freq]
    periods = ds.get_index("time").to_period(months)
    assert ds.pm25.isel(station=0).to_series().groupby(periods).nunique().eq(1).all()
    assert len(periods.unique()) == 20


def test_noise_of_timestamps_in_a_table_is_rounded():
    noisy = HOURS + pd.to_timedelta(np.random.default_rng(0).uniform(-0.3, 0.3, 72), "s")
    with pytest.warns(XaqWarning, match="rounded"):
        ds = opened(rows("abcd", noisy, 1.0))
    np.testing.assert_array_equal(ds.time, HOURS)


def test_monthly_values_among_daily_ones_are_refused():
    days = pd.date_range("2024-01-01", periods=120, freq="D")
    table = pd.concat([rows("ab", days), rows("cd", days[days.day == 1])])
    with pytest.raises(SchemaError, match=r"2 station\(s\) have one value a month among daily ones: c, d") as caught:
        opened(table)
    scope = {"table": table}
    exec(str(caught.value).partition("out: ")[2], scope)
    assert opened(scope["table"]).station.values.tolist() == ["a", "b"]


def test_days_of_a_zone_with_daylight_saving_time_are_opened_by_their_dates():
    days = pd.date_range("2024-03-20", periods=20, freq="D", tz="Europe/Berlin")
    table = rows("abcd", days, 1.0)
    with pytest.raises(SchemaError, match="off its step of 1D") as caught:
        opened(table)
    exec(str(caught.value).partition("fix: ")[2], {"pd": pd, "table": table})
    np.testing.assert_array_equal(opened(table).time, days.tz_localize(None).normalize())


@pytest.mark.parametrize("kind", ["periods", "cftime"])
def test_times_of_other_types_in_a_table_have_a_fix_that_works(kind):
    times = (
        HOURS.to_period("h")
        if kind == "periods"
        else xr.date_range("2024-01-05", periods=72, freq="h", calendar="noleap", use_cftime=True)
    )
    table = pd.concat([pd.DataFrame({"station": s, "time": times, "pm25": 1.0}) for s in "abcd"])
    with pytest.raises(SchemaError, match="expected dates") as caught:
        opened(table)
    exec(str(caught.value).partition("fix: ")[2], {"pd": pd, "table": table})
    np.testing.assert_array_equal(opened(table).time, HOURS)


def test_days_of_an_hourly_table_in_local_time_are_those_of_utc_and_the_history_says_so():
    ds = opened(rows("ab", HOURS), tz="Asia/Shanghai", step="1D")
    assert ds.time.values[0] == np.datetime64("2024-01-05")
    assert "means over 1D, which begin at 00:00 UTC, each with" in ds.history
