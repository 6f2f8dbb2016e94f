"""The margin of a statistic over places."""

import numpy as np
import pytest

from xaq.interpolate.jackknife import FEW_PLACES, MOST_ERRORS, margin


@pytest.mark.parametrize(("n", "times"), [(5, MOST_ERRORS), (30, 2.56), (FEW_PLACES, 1.0), (200, 0.0576)])
def test_the_margin_of_a_mean_is_its_standard_error_and_shrinks_fast_with_places(n, times):
    values = np.random.default_rng(0).normal(size=n)
    without = (values.sum() - values) / (n - 1)
    expected = values.std(ddof=1) / np.sqrt(n) * times
    assert margin(without) == pytest.approx(expected)
    np.testing.assert_allclose(margin(np.stack([without, 2 * without])), [expected, 2 * expected])


def test_a_single_place_is_never_believed():
    assert margin(np.zeros(1)) == np.inf
