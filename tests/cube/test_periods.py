"""Which steps of the record an estimate depends on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaq.cube.periods import days_as_time, floor_day, history_slice, record_slice


def times(n, step_hours=1, start="2020-01-01T00"):
    return np.datetime64(start, "s") + np.arange(n) * np.timedelta64(3600 * step_hours, "s")


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
    history = record[history_slice(record, days, record[last])]
    assert history[-1] == record[last]
    assert len(history) == min(last + 1, days * (24 // step_hours))
    after = record[last] + np.timedelta64(1, "D")
    assert record_slice(record, (days, 0), np.array([after]), record[last]) == history_slice(record, days, record[last])


@given(st.integers(0, 3), st.integers(0, 3), st.integers(0, 95), st.integers(1, 60))
def test_an_analysis_reads_the_whole_days_of_its_times_and_the_margins(before, after, first, n):
    record = times(24 * 8)
    chosen = record[first : first + n]
    read = record[record_slice(record, (before, after), chosen, None)]
    days = record.astype("datetime64[D]")
    wanted = (days >= days[first] - before) & (days <= chosen[-1].astype("datetime64[D]") + after)
    np.testing.assert_array_equal(read, record[wanted])
