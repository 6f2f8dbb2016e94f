"""Pollutants that are text: the audit reports them, and its advice makes them the numbers that were meant."""

import numpy as np
import pytest
import xarray as xr
from defects import CLEAN

KINDS = {
    "text": lambda v: v.astype(str),
    "objects": lambda v: v.astype(str).astype(object),
    "objects with None": lambda v: np.where(np.isnan(v), None, v.astype(str).astype(object)),
    "numbers as objects": lambda v: v.astype(object),
    "decimal commas": lambda v: np.char.replace(v.astype(str), ".", ","),
    "with words": lambda v: np.where(np.isnan(v), "n/a", v.astype(str)),
    "objects with words": lambda v: np.where(np.isnan(v), "<0.1", v.astype(object)),
    "bytes": lambda v: v.astype("S"),
}


def with_values(values) -> xr.Dataset:
    return CLEAN.assign(pm25=(("station", "time"), values, CLEAN.pm25.attrs))


@pytest.mark.parametrize("kind", KINDS)
def test_text_is_an_error_and_the_advice_gives_the_numbers(kind):
    numbers = np.round(CLEAN.pm25.values.astype(float), 1)
    numbers[1, 3:7] = np.nan
    ds = with_values(KINDS[kind](numbers))
    report = ds.aq.check()
    (row,) = report[report.severity == "error"].itertuples()
    assert (row.problem, row.variable, row.count) == ("form", "pm25", numbers.size)
    exec(row.fix, {"ds": ds})
    np.testing.assert_array_equal(ds.pm25, numbers)
    assert ds.pm25.attrs == CLEAN.pm25.attrs
    assert "error" not in set(ds.aq.check().severity)


def test_words_are_named():
    values = CLEAN.pm25.values.astype(str)
    values[0, :3] = ["calibration", "fault", "calibration"]
    (row,) = with_values(values).aq.check().query("severity == 'error'").itertuples()
    assert "'calibration', 'fault' are none" in row.finding


def test_other_text_is_no_finding():
    ds = CLEAN.assign(flag=(("station", "time"), np.full(CLEAN.pm25.shape, "ok")))
    assert "flag" not in set(ds.aq.check().variable)


def test_times_and_flags_are_no_concentrations():
    for values in (CLEAN.pm25.values > 3, CLEAN.pm25.values.astype("M8[s]")):
        (row,) = with_values(values).aq.check().query("severity == 'error'").itertuples()
        assert row.problem == "form"
