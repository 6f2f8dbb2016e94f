"""Windows: an embargo between those that are learned from and those that validate, an even spread over the period."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaq.errors import SchemaError
from xaq.nn.config import AQNetConfig
from xaq.training import windows
from xaq.training.windows import (
    LEARNING_FRACTION,
    embargo_steps,
    least_forecast_windows,
    select_windows,
    split_windows,
)


def forecast(before, ahead, per_day):
    return AQNetConfig(
        task="forecast", steps_per_day=per_day, days_before=before, days_after=0, target_days=ahead, patch=1
    )


@given(st.integers(1, 90), st.integers(1, 14), st.sampled_from([1, 4, 24]), st.integers(0, 500), st.integers(0, 50))
def test_learning_and_validation_windows_of_a_forecast_share_no_step(before, ahead, per_day, more, at):
    """From the shortest record that is accepted on: the last target learned from is before the first input of validation."""
    config = forecast(before, ahead, per_day)
    starts = at + np.arange(least_forecast_windows(config) + more)
    split = split_windows(starts, config)
    assert split.learning[-1] + config.target_steps <= split.validation[0] + config.input_offset
    assert split.learning[0] == starts[0]
    assert split.validation[-1] == starts[-1]
    assert len(split.learning) == int(LEARNING_FRACTION * len(starts)) - embargo_steps(config) >= 5 * per_day
    assert (np.diff(split.learning) == 1).all()
    assert (np.diff(split.validation) > 0).all()
    assert len(split.validation) <= 96


@pytest.mark.parametrize(("per_day", "least"), [(24, 744), (8, 248), (1, 31)])
def test_the_default_forecast_needs_window_horizon_and_ten_days_of_init_times(per_day, least):
    assert least_forecast_windows(AQNetConfig.default("forecast", per_day)) == least


@pytest.mark.parametrize(("before", "ahead", "per_day"), [(60, 7, 24), (60, 7, 1), (14, 7, 24)])
def test_a_record_too_short_for_the_embargo_is_refused_and_one_step_more_is_enough(before, ahead, per_day):
    config = forecast(before, ahead, per_day)
    n_steps = least_forecast_windows(config) + (before + ahead) * per_day - 1
    times = np.datetime64("2020-01-01", "s") + np.arange(n_steps) * np.timedelta64(86400 // per_day, "s")
    first = select_windows(times, config, n_station=5)
    assert (first[0], first[-1]) == (times[before * per_day], times[-ahead * per_day])
    with pytest.raises(SchemaError, match=f"at least {len(first)} are needed; fix: a period of {n_steps} steps"):
        select_windows(times[:-1], config, n_station=5)


@pytest.mark.parametrize(("per_day", "n_window"), [(24, 64), (8, 64), (1, 512)])
def test_an_analysis_validates_on_days_that_it_learns_from_spread_over_the_period(per_day, n_window):
    config = AQNetConfig(steps_per_day=per_day, patch=1)
    for n in (10, 2000):
        starts = np.arange(n) * per_day
        split = split_windows(starts, config)
        np.testing.assert_array_equal(split.learning, starts)
        assert set(split.validation) <= set(starts)
        assert len(set(split.validation)) == len(split.validation) == min(n, n_window)
        assert (split.validation[0], split.validation[-1]) == (starts[0], starts[-1])


@pytest.mark.parametrize("n_station", [5, 50_000])
def test_an_analysis_keeps_as_many_days_as_fit_and_no_fewer_than_sixty(monkeypatch, n_station):
    monkeypatch.setattr(windows, "_MAX_VALUES", 80 * 5 * 168)
    times = np.datetime64("2020-01-01", "s") + np.arange(365 * 24) * np.timedelta64(3600, "s")
    days = select_windows(times, AQNetConfig(), n_station)
    assert len(days) == (80 if n_station == 5 else 60)
    assert (days[0], days[-1]) == (times[0], times[-24])
    gaps = np.diff(days) / np.timedelta64(1, "D")
    assert gaps.max() - gaps.min() <= 1
