"""What cubes and figures say of the method that made them."""

import pytest

from xaq.cube.provenance import method_text


@pytest.mark.parametrize(
    ("known", "text"),
    [
        ({"method": "kriging"}, "kriging"),
        ({"method": "AQ-Net", "learned": True, "init_time": "2020-01-01T00:00:00"}, "AQ-Net"),
        ({"method": "AQ-Net", "learned": False, "init_time": None}, "AQ-Net (classical first guess)"),
        ({"method": "AQ-Net", "learned": False, "init_time": "2020-01-01T00:00:00"}, "AQ-Net (base forecast)"),
    ],
)
def test_a_model_that_gained_nothing_says_what_it_is(known, text):
    assert method_text(known) == text
