"""A warning names the line of the user's code, however deep inside xaq its cause is found."""

import warnings

import numpy as np
import pytest

import xaq
from xaq.errors import XaqWarning


@pytest.fixture(scope="module")
def ds():
    made = xaq.datasets.synthetic(n_stations=12, days=4)
    made["pm25"][3] = np.nan
    return made


@pytest.mark.parametrize(
    ("verb", "message"),
    [
        (lambda ds: ds.aq.train("pm25", max_epochs=0, progress=False), "never report"),
        (lambda ds: ds.aq.train("pm25", max_epochs=0, progress=False), "k lowered"),
        (lambda ds: xaq.train(ds, "pm25", max_epochs=0, progress=False), "k lowered"),
        (lambda ds: ds.where(ds.time > ds.time[5]).aq.reanalyze("idw", target="pm25", grid=1.0), "no visible station"),
    ],
)
def test_the_line_that_called_xaq_is_named(ds, verb, message):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        verb(ds)
    found = [w.filename for w in caught if issubclass(w.category, XaqWarning) and message in str(w.message)]
    assert found == [__file__]
