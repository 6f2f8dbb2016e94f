"""The weight of the log scale by day: more for the scale that predicts the pooled stations better."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaq.interpolate import scale_mixture
from xaq.interpolate.pooling import PoolingNeighbourhood

LON, LAT = np.arange(6.0), np.full(6, 50.0)
POOLING = PoolingNeighbourhood.of(LON, LAT)


def errors(days=4, steps=24, seed=0):
    return np.random.default_rng(seed).normal(size=(2, len(LON), days * steps)).astype("f4")


@given(st.floats(0.01, 0.99), st.floats(1e-3, 1e3), st.integers(0, 50))
def test_the_scale_with_the_smaller_errors_gains_weight_in_any_unit(prior, unit, seed):
    linear, log = errors(seed=seed)
    weight = scale_mixture.daily_log_weight(linear, log, POOLING, 24, prior)
    assert weight.shape == (6, 4)
    absolute, square = (
        np.sum([f(linear).reshape(6, 4, 24), -f(log).reshape(6, 4, 24)], axis=(0, 1, 3)) for f in (np.abs, np.square)
    )
    clear = np.sign(absolute) == np.sign(square)
    assert (np.sign(weight - np.float32(prior))[:, clear] == np.sign(absolute)[clear]).all()
    np.testing.assert_allclose(
        scale_mixture.daily_log_weight(unit * linear, unit * log, POOLING, 24, prior), weight, rtol=1e-2, atol=1e-3
    )


@pytest.mark.parametrize("prior", [0.2, 0.5])
def test_of_two_scales_with_the_same_mae_the_one_with_the_smaller_rmse_gains_weight(prior):
    even = np.full((6, 48), 1.0, "f4")
    # The same sum over a day, in one hour of six.
    spiky = np.where(np.arange(48) % 6 == 0, 6.0, 0.0).astype("f4") * np.ones((6, 1), "f4")
    assert (scale_mixture.daily_log_weight(spiky, even, POOLING, 24, prior) > 0.9).all()
    assert (scale_mixture.daily_log_weight(even, spiky, POOLING, 24, prior) < 0.1).all()


@given(st.integers(0, 50), st.floats(0.1, 0.9))
def test_odds_are_a_power_of_the_product_of_mae_and_rmse(seed, prior):
    """With errors that differ little, weights are far from 0 and 1; all six stations are pooled around each."""
    linear, log = 1 + 0.1 * errors(seed=seed)
    mae, rmse = (
        [f(e.reshape(6, 4, 24).astype(float)).mean(axis=(0, 2)) for e in (linear, log)] for f in (np.abs, np.square)
    )
    product = (mae[0] * rmse[0] ** 0.5) / (mae[1] * rmse[1] ** 0.5)
    odds = prior / (1 - prior) * product**scale_mixture._SHARPNESS
    weight = scale_mixture.daily_log_weight(linear, log, POOLING, 24, prior)
    np.testing.assert_allclose(weight, np.tile(odds / (1 + odds), (6, 1)), rtol=1e-2)


@pytest.mark.parametrize("steps", [24, 4, 1])
@pytest.mark.parametrize("prior", [0.0, 0.4, 1.0])
def test_with_equal_errors_the_weight_is_that_of_the_period(prior, steps):
    same, nothing = errors(steps=steps)[:1].repeat(2, axis=0), np.zeros((2, 6, 4 * steps), "f4")
    for linear, log in (same, nothing):
        np.testing.assert_allclose(scale_mixture.daily_log_weight(linear, log, POOLING, steps, prior), prior, rtol=1e-6)


@pytest.mark.parametrize("prior", [0.0, 1.0])
def test_a_scale_without_weight_over_the_period_has_none_on_any_day(prior):
    assert (scale_mixture.daily_log_weight(*errors(), POOLING, 24, prior) == prior).all()


def test_a_day_without_observations_is_no_evidence():
    linear, log = errors()
    linear[:, 24:48], log[:, 24:48] = 0.0, 0.0
    weight = scale_mixture.daily_log_weight(linear, log, POOLING, 24, 0.3)
    np.testing.assert_allclose(weight[:, 1], 0.3, rtol=1e-5)
    assert np.isfinite(weight).all()


def test_only_pooled_stations_count():
    lon = np.concatenate([np.linspace(0, 3, 40), np.linspace(90, 93, 40)])
    linear = np.ones((80, 2), "f4")
    log = np.where(lon < 45, 0.5, 2.0)[:, None].repeat(2, axis=1).astype("f4")
    weight = scale_mixture.daily_log_weight(linear, log, PoolingNeighbourhood.of(lon, np.zeros(80)), 1, 0.5)
    assert (weight[:40] > 0.99).all()
    assert (weight[40:] < 0.01).all()
