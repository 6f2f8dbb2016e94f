"""Detectors on plain arrays: what they flag, and what they must not."""

import numpy as np

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


def test_a_plume_at_neighbouring_stations_is_no_spike():
    values = np.random.default_rng(2).normal(30, 2, (8, 100))
    lon, lat = np.linspace(10, 11, 8), np.full(8, 50.0)
    values[:, 50] += 500
    assert not detectors.spikes(values, lon, lat).any()
    values[2, 20] += 500
    assert np.argwhere(detectors.spikes(values, lon, lat)).tolist() == [[2, 20]]
    values[2, 19] = np.nan
    assert not detectors.spikes(values, lon, lat).any(), "both neighbours in time are needed"


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
