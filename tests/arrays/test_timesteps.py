import numpy as np
import pytest

from xaq.arrays import timesteps
from xaq.errors import SchemaError


def axis(*hours, unit="s"):
    return (np.datetime64("2020-01-01T00", "s") + np.array(hours) * np.timedelta64(3600, "s")).astype(
        f"datetime64[{unit}]"
    )


@pytest.mark.parametrize("unit", ["s", "ns"])
@pytest.mark.parametrize("hours", [1, 3, 24, 72])
def test_regular_step(hours, unit):
    assert timesteps.regular_step(axis(*range(0, 10 * hours, hours), unit=unit)) == np.timedelta64(hours, "h")


@pytest.mark.parametrize(
    ("hours", "says"),
    [
        ((0, 1, 2, 4, 5), "irregular at 2020-01-01T02:00:00 -> 2020-01-01T04:00:00 (1 such step(s))"),
        ((0, 1, 1, 2, 3), "repeated or unsorted at 2020-01-01T01:00:00"),
        ((0, 2, 1, 3, 4, 5), "(3 such step(s))"),
        ((5, 4, 3, 2), "repeated or unsorted"),
        ((1, 1, 1), "repeated or unsorted"),
    ],
)
def test_a_bad_axis_is_named_with_its_fix(hours, says):
    with pytest.raises(SchemaError) as caught:
        timesteps.regular_step(axis(*hours))
    text = str(caught.value)
    assert says in text
    assert "fix:" in text
    assert "'0D'" not in text


@pytest.mark.parametrize("hours", [(), (0,)])
def test_fewer_than_two_times_are_refused(hours):
    with pytest.raises(SchemaError, match="at least 2"):
        timesteps.regular_step(axis(*hours))


@pytest.mark.parametrize(
    ("seconds", "name", "per_day"),
    [
        (3600, "1h", 24),
        (10800, "3h", 8),
        (86400, "1D", 1),
        (3 * 86400, "3D", 1),
        (900, "15min", 96),
        (45, "45s", 1920),
        (43200, "12h", 2),
    ],
)
def test_step_names_and_steps_per_day(seconds, name, per_day):
    step = np.timedelta64(seconds, "s")
    assert timesteps.step_name(step) == name
    assert timesteps.steps_per_day(step) == per_day


@pytest.mark.parametrize("hours", [5, 36])
def test_a_step_that_does_not_divide_the_day_is_refused(hours):
    with pytest.raises(SchemaError, match="fix"):
        timesteps.steps_per_day(np.timedelta64(hours, "h"))


def test_day_starts_cover_every_day_of_the_period():
    starts = timesteps.day_starts(*axis(23, 49), np.timedelta64(1, "h"))
    assert starts.astype("datetime64[D]").astype(str).tolist() == ["2020-01-01", "2020-01-02", "2020-01-03"]
    daily = timesteps.day_starts(*axis(0, 72), np.timedelta64(1, "D"))
    assert len(daily) == 4


def test_steps_outside_the_record_are_filled_and_never_wrap():
    values = np.arange(8, dtype=np.float32).reshape(2, 4)
    got = timesteps.gather_steps(values, np.array([-2, -1, 0, 3, 4]))
    np.testing.assert_array_equal(got, [[np.nan, np.nan, 0, 3, np.nan], [np.nan, np.nan, 4, 7, np.nan]])
    assert got.dtype == np.float32
    assert timesteps.gather_steps(values, np.array([[0, 9]]), fill=-1).tolist() == [[[0, -1]], [[4, -1]]]


@pytest.mark.parametrize("n", [100, 31, 30, 29])
def test_forecast_windows_lie_inside_the_record(n):
    starts = timesteps.forecast_starts(n, history=20, horizon=10, stride=3)
    assert all(20 <= t <= n - 10 for t in starts)
    assert len(starts) == max(0, (n - 30) // 3 + 1)
