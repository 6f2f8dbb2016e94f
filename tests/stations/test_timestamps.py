"""Timestamps as they come: off whole seconds, in other types and calendars, in steps of the calendar; the fix that a
message names is applied, and must lead to the right dataset.
"""

import cftime  # noqa: F401 - the calendars of cftime need it
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fixes import applied
from hypothesis import given
from hypothesis import strategies as st
from synthetic import station_dataset

import xaq
from xaq.errors import SchemaError, XaqWarning
from xaq.stations import schema

STATIONS = station_dataset()


def at(times, ds=STATIONS):
    """Return a dataset whose steps have these times."""
    return ds.isel(time=slice(0, len(times))).assign_coords(time=("time", times))


# -- whole seconds -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("milliseconds", [250, 500, 750, -1, -499, 999])
def test_an_offset_below_a_second_is_rounded_and_recorded(milliseconds):
    hours = pd.date_range("2020-01-01", periods=48, freq="h")
    ds = at(hours + pd.Timedelta(milliseconds, "ms"))
    with pytest.warns(XaqWarning, match="48 timestamps off whole seconds") as caught:
        got = schema.conform(ds)
    assert len(caught) == 1
    np.testing.assert_array_equal(got.time, hours)
    assert "xaq time axis: 48 timestamps" in got.history
    np.testing.assert_array_equal(got.pm25, ds.pm25)


@given(
    st.sampled_from(["1min", "15min", "1h", "3h", "1D"]),
    st.sampled_from(["ns", "us", "ms"]),
    st.integers(0, 2**32),
    st.floats(1e-6, 0.49),
    st.sampled_from([0, 1800, 7]),
)
@pytest.mark.filterwarnings("ignore::xaq.errors.XaqWarning")
def test_noise_below_half_a_second_changes_nothing(step, unit, seed, most, phase):
    axis = pd.date_range("2019-12-30", periods=48, freq=step, unit="ns") + pd.Timedelta(phase, "s")
    noise = np.random.default_rng(seed).uniform(-most, most, 48)
    noisy = (axis + pd.to_timedelta(noise, "s")).as_unit(unit)
    np.testing.assert_array_equal(schema.conform(at(noisy)).time, axis)


def test_times_decoded_from_float_days_are_those_meant():
    hours = pd.date_range("2020-01-01", periods=48, freq="h")
    days = (hours - pd.Timestamp("1900-01-01")) / pd.Timedelta("1D")
    decoded = xr.decode_cf(at(days.to_numpy()).assign_coords(time=("time", days, {"units": "days since 1900-01-01"})))
    decoded = decoded.assign_coords(time=decoded.time - np.timedelta64(13, "us"))
    with pytest.warns(XaqWarning, match="rounded"):
        np.testing.assert_array_equal(schema.conform(decoded).time, hours)


def test_verbs_agree_with_those_on_whole_seconds():
    ds = xaq.datasets.synthetic(n_stations=12, days=3)
    late = ds.assign_coords(time=ds.time + np.timedelta64(250_000_000, "ns"))
    with pytest.warns(XaqWarning, match="rounded"):
        got = late.aq.hide(fraction=0.3).aq.verify("kriging")
    pd.testing.assert_frame_equal(got, ds.aq.hide(fraction=0.3).aq.verify("kriging"))
    with pytest.warns(XaqWarning, match="rounded"):
        cube = late.aq.reanalyze("idw", grid=0.5)
    xr.testing.assert_equal(cube, ds.aq.reanalyze("idw", grid=0.5))
    with pytest.warns(XaqWarning, match="rounded"):
        assert set(late.aq.check().problem) == {"coverage"}
    with pytest.warns(XaqWarning, match="rounded"):
        xr.testing.assert_equal(late.aq.repair(), ds)


def test_steps_below_a_second_are_refused_and_the_fix_works():
    ds = at(pd.date_range("2020-01-01", periods=48, freq="500ms"))
    with pytest.raises(SchemaError, match=r"steps of 0\.5 s") as caught:
        schema.conform(ds)
    minutes = schema.conform(
        applied(caught.value, ds=xr.concat([ds, ds.assign_coords(time=ds.time + 60 * 10**9)], "time"))
    )
    np.testing.assert_allclose(minutes.pm25[:, 0], ds.pm25.mean("time"), rtol=1e-5)


@pytest.mark.parametrize("step", ["2min", "15min", "1h", "3h"])
def test_timestamps_of_a_noisy_clock_are_refused_and_repaired(step):
    axis = pd.date_range("2020-01-01", periods=48, freq=step)
    noise = np.random.default_rng(0).integers(-8, 9, 48)
    noise[[0, -1]] = 0
    ds = at(axis + pd.to_timedelta(noise, "s"))
    with pytest.raises(SchemaError, match="irregular") as caught:
        schema.conform(ds)
    fixed = schema.conform(applied(caught.value, ds=ds))
    np.testing.assert_array_equal(fixed.time, axis)
    np.testing.assert_array_equal(fixed.pm25, ds.pm25)


# -- types -------------------------------------------------------------------------------------------------------------

HOURS = pd.date_range("2020-03-01", periods=48, freq="h")


@pytest.mark.parametrize("calendar", ["noleap", "360_day", "all_leap", "julian", "standard", "proleptic_gregorian"])
def test_calendars_of_models(calendar):
    ds = at(xr.date_range("2020-03-01", periods=48, freq="h", calendar=calendar, use_cftime=True))
    with pytest.raises(SchemaError, match=calendar) as caught:
        schema.conform(ds)
    fixed = schema.conform(applied(caught.value, ds=ds))
    np.testing.assert_array_equal(fixed.pm25, ds.pm25)
    if calendar not in ("julian", "360_day"):
        np.testing.assert_array_equal(fixed.time, HOURS)


OTHER_TYPES = {
    "zone": HOURS.tz_localize("UTC").tz_convert("Asia/Kolkata"),
    "objects with a zone": np.array(list(HOURS.tz_localize("UTC").tz_convert("Asia/Kolkata")), dtype=object),
    "text": HOURS.strftime("%Y-%m-%d %H:%M").to_numpy(),
    "text with an offset": np.array([t.isoformat() for t in HOURS.tz_localize("UTC").tz_convert("Asia/Kolkata")]),
    "periods": HOURS.to_period("h"),
}


@pytest.mark.parametrize("kind", OTHER_TYPES)
def test_other_types_of_time(kind):
    ds = at(OTHER_TYPES[kind])
    with pytest.raises(SchemaError, match="expected datetime64 in UTC") as caught:
        schema.conform(ds)
    fixed = schema.conform(applied(caught.value, ds=ds))
    np.testing.assert_array_equal(fixed.time, HOURS)
    np.testing.assert_array_equal(fixed.pm25, ds.pm25)


def test_numbers_with_and_without_units():
    hours = np.arange(48)
    ds = at(hours).assign_coords(time=("time", hours, {"units": "hours since 2020-03-01"}))
    for given_, first in ((ds, HOURS[0]), (at(hours), pd.Timestamp("2020-01-01"))):
        with pytest.raises(SchemaError, match="time is int64") as caught:
            schema.conform(given_)
        assert schema.conform(applied(caught.value, ds=given_)).time.values[0] == np.datetime64(first)


def test_missing_repeated_and_reversed_times():
    times = STATIONS.time.values.copy()
    times[5] = np.datetime64("NaT")
    ds = at(times)
    with pytest.raises(SchemaError, match="1 timestamp") as caught:
        schema.conform(ds)
    assert applied(caught.value, ds=ds).sizes["time"] == 47
    for order in (slice(None, None, -1), [0, 1, 1, *range(2, 48)], [3, 1, 1, 0, 2, *range(4, 48)]):
        ds = STATIONS.isel(time=order)
        with pytest.raises(SchemaError, match="repeated or unsorted") as caught:
            schema.conform(ds)
        fixed = schema.conform(applied(caught.value, ds=ds))
        np.testing.assert_array_equal(fixed.time, STATIONS.time)
        np.testing.assert_array_equal(fixed.pm25, STATIONS.pm25)


# -- steps of the calendar ---------------------------------------------------------------------------------------------


def means(times):
    """Return a dataset whose value is the number of its step."""
    ds = xaq.datasets.synthetic(n_stations=4, days=5).isel(time=slice(0, len(times)))
    return ds.assign(pm25=ds.pm25.copy(data=np.tile(np.arange(len(times), dtype="f4") + 1, (4, 1)))).assign_coords(
        time=times
    )


PERIODS = {
    "MS": "M",
    "ME": "M",
    "BMS": "M",
    "BME": "M",
    "QS-DEC": "Q-NOV",
    "QS": "Q-DEC",
    "QE-FEB": "Q-FEB",
    "YS": "Y-DEC",
    "YE-JUN": "Y-JUN",
}


def assert_each_day_has_the_value_of_its_period(days, ds, period):
    """Assert that every day of every period has its value, and that no other day has one."""
    expected = dict(zip(pd.DatetimeIndex(ds.time).to_period(period), ds.pm25.values[0], strict=True))
    seen = days.pm25.isel(station=0).to_series().dropna()
    labels = seen.index.to_period(period)
    assert {p: set(v) for p, v in seen.groupby(labels)} == {p: {v} for p, v in expected.items()}
    for p, n in seen.groupby(labels).size().items():
        assert n == (p.end_time.normalize() - p.start_time).days + 1
    assert days.pm25.attrs == ds.pm25.attrs


@pytest.mark.parametrize("gaps", [False, True], ids=["complete", "with gaps"])
@pytest.mark.parametrize("freq", PERIODS)
def test_a_value_of_a_period_is_put_on_all_of_its_days(freq, gaps):
    times = pd.date_range("2011-01-01", periods=40, freq=freq)
    ds = means(times)
    ds = ds.isel(time=[0, 1, 2, 3, *range(6, 40)]) if gaps else ds
    with pytest.raises(SchemaError, match="differ in length") as caught:
        schema.conform(ds)
    assert "repair" not in str(caught.value)
    assert_each_day_has_the_value_of_its_period(schema.conform(applied(caught.value, ds=ds)), ds, PERIODS[freq])


@pytest.mark.parametrize("label", ["2011-01-16", "2011-01-15 12:00"])
def test_months_labelled_within(label):
    ds = means(pd.DatetimeIndex([pd.Timestamp(label) + pd.DateOffset(months=n) for n in range(40)]))
    with pytest.raises(SchemaError, match="one month") as caught:
        schema.conform(ds)
    assert_each_day_has_the_value_of_its_period(schema.conform(applied(caught.value, ds=ds)), ds, "M")


def test_other_irregular_steps_longer_than_a_day_keep_their_days():
    times = pd.date_range("2011-01-01", periods=40, freq="SMS")
    ds = means(times)
    with pytest.raises(SchemaError, match="irregular steps longer than a day") as caught:
        schema.conform(ds)
    days = schema.conform(applied(caught.value, ds=ds))
    np.testing.assert_array_equal(days.pm25.sel(time=times), ds.pm25)
    assert int(days.pm25.notnull().sum()) == ds.pm25.size


def test_business_days_are_filled_with_missing_days():
    ds = means(pd.bdate_range("2011-01-03", periods=40))
    with pytest.raises(SchemaError, match="irregular") as caught:
        schema.conform(ds)
    days = schema.conform(applied(caught.value, ds=ds))
    np.testing.assert_array_equal(days.pm25.sel(time=ds.time), ds.pm25)
    assert int(days.pm25.notnull().sum()) == ds.pm25.size


@pytest.mark.parametrize("freq", [*PERIODS, "SMS"])
@pytest.mark.parametrize("how", ["nearest", "floor"])
def test_repair_moves_no_timestamp_to_another_month(freq, how):
    ds = means(pd.date_range("2011-01-01", periods=40, freq=freq))
    with pytest.warns(XaqWarning, match="leaves"):
        fixed = ds.aq.repair(off_step=how, duplicate_times="merge", irregular="fill")
    xr.testing.assert_equal(fixed, ds)
    report = fixed.aq.check()
    assert set(report.problem) == {"irregular", "coverage"}
    with pytest.raises(SchemaError, match=r"fix: ds\.(sortby|resample)"):
        ds.aq.repair(negative="missing")


def test_repair_moves_a_timestamp_of_a_day_within_its_month():
    times = pd.date_range("2011-01-20", periods=40, freq="D").to_numpy().copy()
    times[3] += np.timedelta64(14, "h")
    times[11] += np.timedelta64(18, "h")  # 31 January
    ds = means(times)
    with pytest.warns(XaqWarning, match="leaves 1 timestamps"), pytest.raises(SchemaError, match="floor") as caught:
        ds.aq.repair(off_step="nearest", duplicate_times="merge", irregular="fill")
    fixed = schema.conform(applied(caught.value, ds=ds))
    np.testing.assert_array_equal(fixed.pm25, ds.pm25)


def test_problems_of_time_and_units_come_at_once():
    ds = STATIONS.isel(time=[0, 1, 2, 5]).drop_attrs()
    with pytest.raises(SchemaError) as caught:
        schema.conform(ds)
    assert len(caught.value.problems) == 2
    assert "irregular" in caught.value.problems[0]
    assert "no units" in caught.value.problems[1]


# -- periods -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [6, "6h", pd.Timedelta("6h"), 0, -1])
def test_a_period_with_a_step_is_refused_and_the_fix_works(step):
    ds = xaq.datasets.synthetic(n_stations=6, days=3)
    with pytest.raises(SchemaError, match="has a step"):
        ds.aq.reanalyze("idw", grid=1.0, time=slice("2020-01-01", "2020-01-02", step))
    cube = ds.aq.reanalyze("idw", grid=1.0, time=slice("2020-01-01", "2020-01-02")).isel(time=slice(None, None, 6))
    assert cube.sizes["time"] == 8
    assert ds.aq.reanalyze("idw", grid=1.0, time=slice("2020-01-01", "2020-01-02", 1)).sizes["time"] == 48
