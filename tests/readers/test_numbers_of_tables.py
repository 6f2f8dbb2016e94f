"""Entries of pollutants that are no finite decimal numbers: none is lost without a word."""

import re

import numpy as np
import pandas as pd
import pytest

import xaq
from xaq.errors import SchemaError

PLACES = pd.DataFrame({"station": ["a", "b"], "lon": [10.0, 10.5], "lat": [50.0, 50.2]})
HOURS = ["2020-01-01 00:00", "2020-01-01 01:00", "2020-01-01 02:00"]
OPTIONS = {"stations": PLACES, "tz": "UTC"}


def table(values):
    return pd.DataFrame({"station": list("aaabbb"), "time": HOURS * 2, "pm25": values})


def test_infinities_and_numbers_beyond_float32_are_counted():
    ds = xaq.open_stations(table([1.0, np.inf, 1e40, -np.inf, np.nan, 2.0]), **OPTIONS)
    assert ds.pm25.notnull().sum() == 2
    assert "3 values of pm25 are infinite or beyond the range of float32, and are missing" in ds.attrs["history"]


@pytest.mark.parametrize("values", [[True, False] * 3, ["True", "False"] * 3])
def test_true_and_false_are_no_concentrations(values):
    with pytest.raises(SchemaError, match=r"'pm25' has .*(True|False).*fix: "):
        xaq.open_stations(table(values), **OPTIONS)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.200,5", 1200.5),
        ("1,5E-01", 0.15),
        ("1 200", 1200),
        ("1\u202f200", 1200),
        ("1'200", 1200),
        ("\u22121.5", -1.5),
    ],
)
def test_other_notations_get_a_fix_that_keeps_the_value(tmp_path, text, value):
    path = tmp_path / "a.csv"
    path.write_text(table(["1", text, "3", "4", "5", "6"]).to_csv(index=False, sep="\t", quoting=0), encoding="utf-8")
    with pytest.raises(SchemaError) as raised:
        xaq.open_stations(path, **OPTIONS)
    fix, read = re.search(r"fix: (.*?); the file is read by (table = .*\)); then", str(raised.value)).groups()
    made = {"pd": pd}
    if "read_csv(..., " in fix:
        read, fix = read[:-1] + ", " + re.search(r"read_csv\(\.\.\., (.*?\))(?:, or|$)", fix)[1], ""
    exec(f"{read}\n{fix}", made)
    ds = xaq.open_stations(made["table"], **OPTIONS)
    np.testing.assert_allclose(float(ds.pm25[0, 1]), value, rtol=1e-6)


def test_the_fix_that_loses_values_says_so():
    with pytest.raises(SchemaError, match=r"'12E'.*fix: .*na_values=\['12E'\]\), which makes these missing"):
        xaq.open_stations(table(["1", "12E", "3", "4", "5", "6"]), **OPTIONS)
