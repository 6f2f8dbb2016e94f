"""Round values of legends."""

import pytest

from xaq.plot import style


@pytest.mark.parametrize(
    ("largest", "values"),
    [(10.9, [3, 6, 9]), (3.0, [1, 2, 3]), (0.07, [0.02, 0.04, 0.06]), (700, [200, 400, 600]), (57, [15, 30, 45])],
)
def test_round_values(largest, values):
    assert style.round_values(largest) == values
