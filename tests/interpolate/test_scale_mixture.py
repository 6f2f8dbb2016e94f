"""The weight of the log scale: the scale that predicts the stations around better, day by day."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaq.interpolate import scale_mixture
from xaq.interpolate.pooling import PoolingNeighbourhood

LON, LAT = np.arange(6.0), np.full(6, 50.0)
AROUND = PoolingNeighbourhood.of(LON, LAT)


def errors(days=4, steps=24, seed=0):
    return np.random.default_rng(seed).normal(size=(2, len(LON), days * steps)).astype("f4")


@given(st.floats(0.01, 0.99), st.floats(1e-3, 1e3), st.integers(0, 50))
def test_the_scale_with_the_smaller_errors_gets_more_than_usual_and_units_do_not_matter(prior, unit, seed):
    linear, log = errors(seed=seed)
    share = scale_mixture.by_day(linear, log, AROUND, 24, prior)
    assert share.shape == (6, 4)
    absolute, square = (
        np.sum([f(linear).reshape(6, 4, 24), -f(log).reshape(6, 4, 24)], axis=(0, 1, 3)) for f in (np.abs, np.square)
    )
    clear = np.sign(absolute) == np.sign(square)
    assert (np.sign(share - np.float32(prior))[:, clear] == np.sign(absolute)[clear]).all()
    np.testing.assert_allclose(
        scale_mixture.by_day(unit * linear, unit * log, AROUND, 24, prior), share, rtol=1e-2, atol=1e-3
    )


@pytest.mark.parametrize("prior", [0.2, 0.5])
def test_of_two_scales_with_the_same_mean_error_the_one_without_large_ones_gets_more(prior):
    even = np.full((6, 48), 1.0, "f4")
    # As large a sum a day, in one hour of six.
    spiky = np.where(np.arange(48) % 6 == 0, 6.0, 0.0).astype("f4") * np.ones((6, 1), "f4")
    assert (scale_mixture.by_day(spiky, even, AROUND, 24, prior) > 0.9).all()
    assert (scale_mixture.by_day(even, spiky, AROUND, 24, prior) < 0.1).all()


@given(st.integers(0, 50), st.floats(0.1, 0.9))
def test_odds_go_with_a_power_of_the_product_of_both_mean_errors(seed, prior):
    """Errors that differ little, for odds that are no rounded 0 or 1; six stations are all around each other."""
    linear, log = 1 + 0.1 * errors(seed=seed)
    mae, rmse = (
        [f(e.reshape(6, 4, 24).astype(float)).mean(axis=(0, 2)) for e in (linear, log)] for f in (np.abs, np.square)
    )
    product = (mae[0] * rmse[0] ** 0.5) / (mae[1] * rmse[1] ** 0.5)
    odds = prior / (1 - prior) * product**scale_mixture._SHARPNESS
    weight = scale_mixture.by_day(linear, log, AROUND, 24, prior)
    np.testing.assert_allclose(weight, np.tile(odds / (1 + odds), (6, 1)), rtol=1e-2)


@pytest.mark.parametrize("steps", [24, 4, 1])
@pytest.mark.parametrize("prior", [0.0, 0.4, 1.0])
def test_where_nothing_tells_the_scales_apart_the_share_is_that_of_the_period(prior, steps):
    same, nothing = errors(steps=steps)[:1].repeat(2, axis=0), np.zeros((2, 6, 4 * steps), "f4")
    for linear, log in (same, nothing):
        np.testing.assert_allclose(scale_mixture.by_day(linear, log, AROUND, steps, prior), prior, rtol=1e-6)


@pytest.mark.parametrize("prior", [0.0, 1.0])
def test_a_scale_that_the_period_refuses_is_refused_every_day(prior):
    assert (scale_mixture.by_day(*errors(), AROUND, 24, prior) == prior).all()


def test_a_silent_day_and_station_are_no_evidence():
    linear, log = errors()
    linear[:, 24:48], log[:, 24:48] = 0.0, 0.0
    share = scale_mixture.by_day(linear, log, AROUND, 24, 0.3)
    np.testing.assert_allclose(share[:, 1], 0.3, rtol=1e-5)
    assert np.isfinite(share).all()


def test_only_the_stations_around_count():
    lon = np.concatenate([np.linspace(0, 3, 40), np.linspace(90, 93, 40)])
    linear = np.ones((80, 2), "f4")
    log = np.where(lon < 45, 0.5, 2.0)[:, None].repeat(2, axis=1).astype("f4")
    share = scale_mixture.by_day(linear, log, PoolingNeighbourhood.of(lon, np.zeros(80)), 1, 0.5)
    assert (share[:40] > 0.99).all()
    assert (share[40:] < 0.01).all()
