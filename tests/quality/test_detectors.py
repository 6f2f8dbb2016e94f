"""Detectors on plain arrays: what they flag, and what they must not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from xaq.quality import detectors


def test_a_detection_limit_is_not_stuck_but_a_long_run_is():
    rng = np.random.default_rng(1)
    values = np.maximum(2.0, np.round(rng.gamma(1.0, 4.0, (12, 600)) - 2))
    for row in values:
        row[200:260] = 2.0
    assert not detectors.stuck(values).any()
    values[3, 400:440] = 7.0
    marked = detectors.stuck(values)
    assert marked[3, 400:440].all()
    assert marked.sum() == 40


def network_with_runs(seed, n_stuck, step):
    """Return a month of low concentrations at 40 stations, in steps of the rounding, of which some are stuck several times."""
    rng = np.random.default_rng(seed)
    regional = lfilter([0.2], [1, -0.97], rng.normal(size=720))
    local = lfilter([0.3], [1, -0.9], rng.normal(size=(40, 720)), axis=1)
    values = np.round(np.maximum(np.exp(regional + 0.5 * local) - 0.3, 0) / step) * step
    for row in values[rng.permutation(40)[:n_stuck]]:
        for start in rng.integers(0, 640, rng.integers(1, 6)):
            row[start : start + rng.integers(10, 400)] = (
                0.0 if rng.random() < 0.6 else np.round(rng.gamma(2) / step) * step
            )
    return values


@given(st.integers(0, 2**16), st.integers(1, 12), st.sampled_from([0.01, 0.1, 1.0]))
def test_without_the_runs_that_are_stuck_no_others_are(seed, n_stuck, step):
    values = network_with_runs(seed, n_stuck, step)
    marked = detectors.stuck(values)
    assert not detectors.stuck(np.where(marked, np.nan, values)).any()


def test_a_plume_at_neighbouring_stations_is_no_spike():
    values = np.random.default_rng(2).normal(30, 2, (8, 100))
    lon, lat = np.linspace(10, 11, 8), np.full(8, 50.0)
    values[:, 50] += 500
    assert not detectors.spikes(values, lon, lat).any()
    values[2, 20] += 500
    assert np.argwhere(detectors.spikes(values, lon, lat)).tolist() == [[2, 20]]
    lon[2] = np.nan
    assert not detectors.spikes(values, lon, lat).any(), "without coordinates it has no neighbours"


@pytest.mark.parametrize(
    ("missing", "found"),
    [
        ([19], True),
        ([21], True),
        ([0, *range(2, 20)], True),
        ([*range(21, 100)], True),
        ([18, 19, 21, 22], False),
        ([*range(20), *range(21, 100)], False),
    ],
)
def test_a_spike_beside_a_gap_is_found_but_not_one_between_gaps(missing, found):
    values = np.random.default_rng(2).normal(30, 2, (8, 100))
    values[2, 20] += 500
    values[2, missing] = np.nan
    marked = detectors.spikes(values, np.linspace(10, 11, 8), np.full(8, 50.0))
    assert np.argwhere(marked).tolist() == ([[2, 20]] if found else [])


def test_stations_that_measure_something_else_are_no_neighbours_of_a_spike():
    values = np.random.default_rng(2).normal(30, 2, (16, 100))
    values[1::2] = np.nan
    values[4, 20] += 500
    marked = detectors.spikes(values, np.linspace(10, 11, 16), np.full(16, 50.0))
    assert np.argwhere(marked).tolist() == [[4, 20]]


@pytest.mark.parametrize("at", [0, 99])
def test_a_spike_at_an_end_of_the_record_is_found(at):
    values = np.random.default_rng(2).normal(30, 2, (8, 100))
    values[2, at] += 500
    assert np.argwhere(detectors.spikes(values, np.linspace(10, 11, 8), np.full(8, 50.0))).tolist() == [[2, at]]


def test_the_end_of_an_episode_behind_a_gap_of_one_step_is_no_spike():
    values = np.random.default_rng(2).normal(30, 2, (8, 100))
    values[2, 10:15] = [250, 300, 330, np.nan, 180]
    values[3, 50:55] = [180, np.nan, 330, 300, 250]
    assert not detectors.spikes(values, np.linspace(10, 11, 8), np.full(8, 50.0)).any()


@given(st.integers(0, 2**16), st.floats(0, 0.3))
def test_without_the_spikes_no_other_values_are(seed, missing):
    rng = np.random.default_rng(seed)
    values = rng.gamma(2, 5, (12, 300)) * np.where(rng.random((12, 300)) < 0.1, rng.uniform(5, 30, (12, 300)), 1)
    values[rng.random(values.shape) < missing] = np.nan
    lon, lat = rng.uniform(9, 11, 12), rng.uniform(49, 51, 12)
    marked = detectors.spikes(values, lon, lat)
    assert marked.any()
    assert not detectors.spikes(np.where(marked, np.nan, values), lon, lat).any()


def network_of(seed, n, steps=240, spread=0.3):
    """Return concentrations with a common course, and the coordinates of the stations."""
    rng = np.random.default_rng(seed)
    common = 2.5 + lfilter([0.2], [1, -0.95], rng.normal(size=steps))
    values = np.exp(common + spread * rng.normal(size=(n, steps)))
    return values, rng.uniform(9, 11, n), rng.uniform(49, 51, n)


@given(st.integers(0, 2**16), st.integers(4, 30), st.sampled_from([8.0, 1 / 8, 30.0, 0.0]), st.floats(0.65, 1))
def test_a_station_far_above_or_below_its_neighbours_is_found_with_the_ratio(seed, n, factor, fraction):
    values, lon, lat = network_of(seed, n)
    assert np.isnan(detectors.levels(values, lon, lat)).all()
    values[2, round((1 - fraction) * 240) :] *= factor
    with np.errstate(all="raise"):
        ratio = detectors.levels(values.astype("float32"), lon, lat)
    assert np.flatnonzero(np.isfinite(ratio)).tolist() == [2]
    np.testing.assert_allclose(ratio[2], factor, rtol=0.25)


def test_several_wrong_levels_side_by_side_do_not_make_right_ones_wrong():
    values, _, _ = network_of(1, 20)
    lon, lat = np.linspace(9, 10, 20), np.full(20, 50.0)
    values[[4, 5, 7, 15]] *= 10
    ratio = detectors.levels(values, lon, lat)
    assert np.flatnonzero(np.isfinite(ratio)).tolist() == [4, 5, 7, 15]
    values[np.isfinite(ratio)] = np.nan
    assert np.isnan(detectors.levels(values, lon, lat)).all(), "nothing is left"


def test_local_sources_and_summits_are_no_wrong_levels():
    values, lon, lat = network_of(1, 20)
    # A summit is in the polluted layer or above it, a source upwind or not.
    weather = np.random.default_rng(2).normal(size=(2, 240))
    values[5] *= 0.1 * np.exp(0.8 * weather[0])
    values[6] *= 5 * np.exp(weather[1])
    assert np.isnan(detectors.levels(values, lon, lat)).all()
    values[7] *= 8 * np.exp(0.6 * weather[1])
    assert np.flatnonzero(np.isfinite(detectors.levels(values, lon, lat))).tolist() == [7], "too high in most weathers"
    values, lon, lat = network_of(1, 20, spread=0.02)
    values[3] *= 3
    assert np.isnan(detectors.levels(values, lon, lat)).all(), "sensors that agree well may still lie at a road"


@pytest.mark.parametrize(("factor", "spread", "found"), [(5, 0.1, True), (5, 0.5, False), (9, 0.5, True)])
def test_a_ratio_over_four_counts_only_where_stations_are_alike(factor, spread, found):
    values, _, _ = network_of(1, 20, spread=0.1)
    lon, lat = np.linspace(9, 10, 20), np.full(20, 50.0)
    values *= np.exp(spread * np.tile([1.0, -1.0], 10))[:, None]
    # Most of its neighbours are of the other kind.
    values[7] *= factor * np.exp(2 * spread)
    assert np.flatnonzero(np.isfinite(detectors.levels(values, lon, lat))).tolist() == ([7] if found else [])


def test_levels_are_not_judged_from_few_values_or_neighbours():
    values, lon, lat = network_of(1, 8)
    values[2] *= 8
    short = np.full(values.shape, np.nan)
    short[:, :47] = values[:, :47]
    assert np.isnan(detectors.levels(short, lon, lat)).all()
    short[:, 47] = values[:, 47]
    assert np.flatnonzero(np.isfinite(detectors.levels(short, lon, lat))).tolist() == [2]
    assert np.isnan(detectors.levels(values[:3], lon[:3], lat[:3])).all()
    three = (np.arange(8)[:, None] + np.arange(240)) % 8 < 3
    assert np.isnan(detectors.levels(np.where(three, values, np.nan), lon, lat)).all()
    lon[2] = np.nan
    assert np.isnan(detectors.levels(values, lon, lat)).all(), "without coordinates it has no neighbours"


def test_a_copy_is_found_despite_missing_values():
    rng = np.random.default_rng(3)
    values = np.round(rng.gamma(4, 10, (6, 500)), 1)
    values[4] = values[1]
    values[rng.random(values.shape) < 0.2] = np.nan
    assert detectors.identical(values) == [(1, 4)]
    values[:] = 5.0
    assert detectors.identical(values) == [], "constants are no copies"


def test_remote_stations_of_a_wide_network_are_not_far():
    rng = np.random.default_rng(0)
    lon, lat = np.concatenate([rng.normal([110, 32], 3, (200, 2)), [[95, 36], [87.6, 43.8], [79.9, 37.1]]]).T
    assert not detectors.judge_places(lon, lat).far.any()
