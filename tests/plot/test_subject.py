"""Units as figures print them."""

import pytest

from xaq.plot import subject


@pytest.mark.parametrize(
    ("units", "text"),
    [("ug m-3", "µg m⁻³"), ("ug/m3", "µg m⁻³"), ("1e-9", "ppb"), ("mg m-3", "mg m⁻³"), ("K", "K"), ("m s-1", "m s⁻¹")],
)
def test_units_as_printed(units, text):
    assert subject.units_text(units) == text
