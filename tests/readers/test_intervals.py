"""Values with a start and an end: readings of loggers, and means over regular steps."""

import numpy as np
import pandas as pd
import pytest

from xaq.errors import SchemaError, XaqWarning
from xaq.readers.assembly import Rows
from xaq.readers.intervals import on_steps, readings

HOUR = np.timedelta64(3600, "s")


def values(starts, ends, numbers, **more):
    times = {"time": pd.to_datetime(starts, format="mixed"), "end": pd.to_datetime(ends, format="mixed")}
    return Rows(pd.DataFrame({"station": "a", "parameter": "pm25", "value": numbers, **times, **more}))


def logger(minutes, numbers=None):
    times = pd.Timestamp("2020-01-01") + pd.to_timedelta(minutes, unit="min")
    numbers = np.arange(len(minutes), dtype=float) if numbers is None else numbers
    return pd.DataFrame({"station": "a", "parameter": "pm25", "value": numbers, "time": times.as_unit("s")})


def test_a_reading_stands_until_the_next_one_and_not_through_a_gap():
    frame = readings(logger([0, 2, 4, 6, 30, 32]), "start")
    assert ((frame.end - frame.time).dt.total_seconds() / 60).tolist() == [2, 2, 2, 2.5, 2, 2]
    assert frame.time.equals(logger([0, 2, 4, 6, 30, 32]).time)
    ended = readings(logger([0, 2, 4, 6, 30, 32]), "end")
    assert ((ended.end - ended.time).dt.total_seconds() / 60).tolist() == [2, 2, 2, 2, 2.5, 2]
    assert ended.end.equals(logger([0, 2, 4, 6, 30, 32]).time)


def test_means_are_weighted_by_time_and_need_three_quarters_of_a_step():
    rows = values(
        ["2020-01-01 00:00", "2020-01-01 00:45", "2020-01-01 02:30"],
        ["2020-01-01 00:45", "2020-01-01 01:15", "2020-01-01 03:00"],
        [8.0, 20.0, 5.0],
    )
    made, step, notes = on_steps(rows, HOUR)
    assert step == HOUR
    assert made.frame.time.dt.hour.tolist() == [0, 1, 2]
    # 45 minutes of 8 and 15 of 20; then 15 and 30 minutes of an hour, which are too few.
    np.testing.assert_allclose(made.frame.value, [11.0, np.nan, np.nan])
    assert notes == ["means over 1h, each with at least 75% observed"]


def test_starts_a_little_late_are_those_of_the_step_and_values_stay_as_they_are():
    starts = pd.Timestamp("2020-01-01 02:00:26") + pd.to_timedelta([0, 14401, 28803], unit="s")
    made, step, notes = on_steps(
        values(starts, starts + pd.Timedelta("220min"), [1.0, 2.0, 4.0]), None, pd.Timedelta("4h")
    )
    assert step == np.timedelta64(4, "h")
    assert made.frame.time.astype(str).tolist() == ["2020-01-01 02:00:00", "2020-01-01 06:00:00", "2020-01-01 10:00:00"]
    assert made.frame.value.tolist() == [1.0, 2.0, 4.0]
    assert notes == ["starts of values moved by up to 29s to steps of 4h"]


def test_a_value_of_half_a_step_is_left_out_with_a_warning():
    rows = values(
        ["2020-01-01", "2020-01-02", "2020-01-03"], ["2020-01-02", "2020-01-02 12:00", "2020-01-04"], [1.0, 2.0, 3.0]
    )
    with pytest.warns(XaqWarning, match=r"1 value\(s\) stand for less than 75% of their step of 1D"):
        made, _, _ = on_steps(rows, None)
    np.testing.assert_allclose(made.frame.value, [1, np.nan, 3])


@pytest.mark.parametrize("minutes", [[0, 7, 9, 16, 18, 24, 26, 33, 35, 41, 43, 50, 52, 58], [0, 2, 5, 90, 92, 95, 97]])
def test_irregular_readings_need_a_step_and_the_advice_works(minutes):
    frame = readings(logger(minutes), "start")
    with pytest.raises(SchemaError, match="expected one regular step; fix: step=") as caught:
        on_steps(Rows(frame), None)
    step = pd.Timedelta(str(caught.value).split("step='")[1].split("'")[0])
    made, _, _ = on_steps(Rows(frame), np.timedelta64(int(step.total_seconds()), "s"))
    assert made.frame.value.notna().any()


def test_values_longer_than_the_step_are_refused_and_the_advice_works():
    days = pd.date_range("2020-01-01", periods=4)
    rows = values(days, days + pd.Timedelta("1D"), [1.0, 2.0, 3.0, 4.0])
    with pytest.raises(SchemaError, match=r"stand for up to 1D, longer than step='12h'; fix: step='1D'"):
        on_steps(rows, np.timedelta64(12, "h"))
    assert on_steps(rows, np.timedelta64(1, "D"))[0].frame.value.tolist() == [1, 2, 3, 4]


def test_copies_are_dropped_and_contradictions_refused():
    days = pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-02"])
    same = values(days, days + pd.Timedelta("1D"), [1.0, 2.0, 2.0])
    assert on_steps(same, None)[0].frame.value.tolist() == [1, 2]
    other = values(days, days + pd.Timedelta("1D"), [1.0, 2.0, 2.5])
    with pytest.raises(SchemaError, match="1 values have the station, variable and start of others"):
        on_steps(other, None)


def test_no_step_that_is_covered():
    with pytest.raises(
        SchemaError, match="no step of 1D has values for 75% of it; fix: a shorter step, such as step='2h'"
    ):
        on_steps(Rows(readings(logger([0, 60, 120]), "start")), np.timedelta64(1, "D"))
    with pytest.raises(SchemaError, match=r"one time only.*fix: step='1D'"):
        on_steps(values(["2020-01-01"], ["2020-01-02"], [1.0]), None)
    made, _, _ = on_steps(values(["2020-01-01"], ["2020-01-02"], [1.0]), np.timedelta64(1, "D"))
    assert made.frame.value.tolist() == [1]


def test_a_start_a_little_early_adds_nothing_to_the_step_before():
    starts = pd.Timestamp("2020-01-01 01:59:34") + pd.to_timedelta([0, 14400, 28800], unit="s")
    made, _, _ = on_steps(values(starts, starts + pd.Timedelta("4h"), [1.0, 2.0, 4.0]), None, pd.Timedelta("4h"))
    assert made.frame.time.dt.hour.tolist() == [2, 6, 10]
    assert made.frame.value.tolist() == [1.0, 2.0, 4.0]


def test_what_later_values_say_of_units_and_places_is_kept():
    days = pd.date_range("2020-01-01", periods=4)
    with pytest.raises(SchemaError, match="pm25 comes in several units: ppb, ug m-3"):
        on_steps(values(days, days + pd.Timedelta("1D"), 1.0, units=["1e-9", "1e-9", "ug m-3", "ug m-3"]), None)
    made, _, _ = on_steps(values(days, days + pd.Timedelta("1D"), 1.0, lat=[46.0, 46.0, 47.0, 47.0]), None)
    assert made.frame.lat.tolist() == [46, 46, 47, 47]


@pytest.mark.parametrize("step", [None, np.timedelta64(1, "D")])
def test_a_long_value_among_short_ones_is_left_out_with_a_warning(step):
    days = pd.date_range("2020-01-01", periods=20)
    ends = np.where(np.arange(20) == 10, days + pd.Timedelta("7D"), days + pd.Timedelta("1D"))
    rows = values(days, ends, np.arange(20.0))
    kept = Rows(rows.frame[(np.arange(20) < 11) | (np.arange(20) > 16)])
    with pytest.warns(
        XaqWarning, match=r"1 value\(s\) stand for up to 7D, longer than the step of 1D.*2020-01-11.*step='7D'"
    ):
        made, _, _ = on_steps(kept, step)
    assert made.frame.value.tolist() == [*range(10), 17, 18, 19]
    assert made.frame.time.max() == days[-1]
