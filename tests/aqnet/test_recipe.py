"""The calibrated distribution of a recipe."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaq.aqnet.recipe import Interval


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=9, unique=True), st.floats(0, 1), st.floats(0, 1))
def test_quantiles_are_interpolated_between_probabilities_and_never_decrease(values, one, other):
    probabilities = np.linspace(0.1, 0.9, len(values))
    interval = Interval((1.0, 0.0, 0.0), tuple(probabilities), (tuple(sorted(values)),))
    low, high = (interval.quantile(np.array([0]), p)[0] for p in sorted((one, other)))
    assert low <= high
    got = interval.quantile(np.array([0]), float(probabilities[:2].mean()))
    np.testing.assert_allclose(got, np.mean(sorted(values)[:2]), atol=1e-12)
    for p, value in zip(probabilities, sorted(values), strict=True):
        assert interval.quantile(np.array([0]), p)[0] == pytest.approx(value)
