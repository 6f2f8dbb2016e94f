import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xaq.arrays.transforms import Scaler, climatology_design, cyclic_encoding, fit_climatology, from_log, to_log

MINUTE = np.timedelta64(60, "s")
BOUNDARIES = [
    "2021-06-02T00:00",  # midnight
    "2021-06-07T00:00",  # Sunday to Monday
    "2021-01-01T00:00",  # from a leap year to a common one
    "2020-01-01T00:00",  # from a common year to a leap year
    "2020-02-29T00:00",
    "2020-03-01T00:00",
    "2000-01-01T00:00",
    "1970-01-01T00:00",  # the epoch
    "2021-03-28T01:00",  # clocks change in Europe
]
amounts = arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(2, 12)), elements=st.floats(0, 1000, width=32))


@pytest.mark.parametrize("moment", BOUNDARIES)
def test_encoding_is_continuous_in_time(moment):
    at = np.datetime64(moment, "s")
    before, after = cyclic_encoding(np.array([at - MINUTE, at]))
    assert np.abs(after - before).max() < 2 * np.pi / 1440 * 1.01


@given(st.integers(-(10**9), 4 * 10**9))
def test_each_phase_lies_on_the_unit_circle(seconds):
    code = cyclic_encoding(np.array([np.datetime64(seconds, "s")]))[0]
    np.testing.assert_allclose(code[:3] ** 2 + code[3:] ** 2, 1, atol=1e-6)


@pytest.mark.parametrize("unit", ["m", "s", "ns"])
def test_encoding_repeats_daily_weekly_and_yearly(unit):
    at = np.datetime64("2020-05-04T07:00").astype(f"datetime64[{unit}]")
    now, day, week, year = cyclic_encoding(at + np.array([0, 1, 7, 366]) * np.timedelta64(1, "D"))
    np.testing.assert_allclose(day[[0, 3]], now[[0, 3]], atol=1e-6)
    np.testing.assert_allclose(week[[0, 1, 3, 4]], now[[0, 1, 3, 4]], atol=1e-6)
    np.testing.assert_allclose(year[[2, 5]], now[[2, 5]], atol=0.02)
    assert np.abs(day[[1, 4]] - now[[1, 4]]).max() > 0.1


@given(amounts, st.floats(0.01, 100))
def test_the_log_scale_and_back(values, offset):
    logs = to_log(values, offset)
    np.testing.assert_allclose(np.exp(logs), 1 + values / offset)
    np.testing.assert_allclose(from_log(logs, offset), values, rtol=1e-6, atol=1e-9)
    assert np.isnan(to_log(np.array([np.nan]), offset)).all()


def test_the_scaler_takes_negative_values_as_zero():
    scaler = Scaler(2.0, 0.5, 0.7)
    np.testing.assert_array_equal(scaler.log(np.array([-3.0, 0.0])), [0.0, 0.0])
    np.testing.assert_array_equal(scaler.log(np.array([5.0])), to_log(np.array([5.0]), 2.0))


@given(amounts)
def test_scaler_round_trip(values):
    scaler = Scaler.fit(values)
    back = scaler.inverse(scaler.transform(values).astype(np.float64))
    np.testing.assert_allclose(back, values, rtol=1e-4, atol=1e-4 * max(values.mean(), 1e-30))


@pytest.mark.parametrize("factor", [1e-9, 1e-3, 1e6])
def test_z_does_not_depend_on_the_unit(factor):
    values = np.random.default_rng(0).gamma(2.0, 20.0, (5, 50))
    np.testing.assert_allclose(
        Scaler.fit(values * factor).transform(values * factor),
        Scaler.fit(values).transform(values),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("factor", [1e-9, 1.0, 1e6])
def test_standardised_covariates_do_not_depend_on_the_unit(factor):
    channel = np.random.default_rng(1).normal(50.0, 10.0, (1, 5, 50)) * factor
    z = Scaler.fit(np.ones((5, 50)), channel).transform_covariates(channel)
    assert z.std() == pytest.approx(1, rel=1e-3)
    assert z.mean() == pytest.approx(0, abs=1e-3)


def test_missing_values_do_not_change_the_scaler():
    values = np.random.default_rng(0).gamma(2.0, 20.0, (3, 40))
    holed = np.concatenate([values, np.full((3, 7), np.nan)], axis=1)
    assert Scaler.fit(holed, holed[None]) == Scaler.fit(values, values[None])
    z = Scaler.fit(holed).transform(holed)
    assert (np.isnan(z) == np.isnan(holed)).all()


@pytest.mark.parametrize("values", [np.zeros((2, 3)), np.full((2, 3), 7.0)])
def test_a_constant_network_scales_to_finite_numbers(values):
    scaler = Scaler.fit(values, values[None])
    assert np.isfinite(scaler.transform(values)).all()
    assert np.isfinite(scaler.transform_covariates(values[None])).all()


def test_scaler_survives_json():
    values = np.random.default_rng(0).gamma(2.0, 20.0, (3, 40))
    scaler = Scaler.fit(values, values[None])
    again = Scaler.from_json(json.loads(json.dumps(asdict(scaler))))
    assert (again.transform(values) == scaler.transform(values)).all()
    assert (again.transform_covariates(values[None]) == scaler.transform_covariates(values[None])).all()


def test_climatology_recovers_a_known_harmonic():
    times = np.datetime64("2018-01-01", "s") + np.arange(0, 2 * 365 * 24, 3) * np.timedelta64(3600, "s")
    code = cyclic_encoding(times)
    signal = 0.5 + 0.8 * code[:, 5] - 0.3 * code[:, 0] + 0.2 * code[:, 3] * code[:, 5]
    z = signal + np.array([[0.1], [-0.1]])
    z[0, ::3] = np.nan
    z[:, 100:200] = np.nan
    fitted = climatology_design(times) @ fit_climatology(times, z)
    assert np.abs(fitted - signal).max() < 0.08
    assert np.sqrt(np.mean((fitted - signal) ** 2)) < 0.03


def test_a_climatology_of_less_than_a_year_does_not_leave_what_was_observed_in_other_months():
    times = np.datetime64("2016-07-16", "s") + np.arange(270 * 24) * np.timedelta64(3600, "s")
    day = np.arange(len(times)) / 24
    rng = np.random.default_rng(0)
    # The course of a year with two maxima, of which nine months were seen.
    z = np.cos(2 * np.pi * day / 365) + 0.5 * np.cos(4 * np.pi * day / 365) + rng.normal(0, 0.3, (4, len(times)))
    coefficients = fit_climatology(times, z)
    later = climatology_design(times[-24:] + np.arange(1, 90, 7)[:, None] * np.timedelta64(1, "D")) @ coefficients
    assert z.mean() - 0.1 < later.min() <= later.max() < z.mean() + 0.1


def test_a_climatology_of_a_year_has_the_course_of_the_year():
    times = np.datetime64("2016-01-01", "s") + np.arange(365) * np.timedelta64(1, "D")
    z = np.cos(2 * np.pi * np.arange(365) / 365)[None]
    assert np.abs(climatology_design(times) @ fit_climatology(times, z) - z[0]).max() < 0.05
