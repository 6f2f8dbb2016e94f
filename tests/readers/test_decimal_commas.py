"""Commas in the numbers of text files: decimal where a number shows it, never guessed."""

import re

import numpy as np
import pandas as pd
import pytest

import xaq
from xaq.errors import SchemaError

PLACES = pd.DataFrame({"station": ["001", "002"], "lon": [10.0, 10.5], "lat": [50.0, 50.2]})


def written(path, values, more="", header="station;time;pm10"):
    rows = [f"00{1 + i % 2};2020-01-01 0{i // 2}:00;{v}{more}" for i, v in enumerate(values)]
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def opened(source):
    return xaq.open_stations(source, stations=PLACES, tz="UTC")


def test_thousands_or_thousandths_are_refused_and_both_fixes_work(tmp_path):
    path = written(tmp_path / "a.csv", ["1,200", "800", "1,500", "900"])
    with pytest.raises(SchemaError, match=r"'1,200', whose comma may be of thousands or decimal") as caught:
        opened(path)
    fix = re.search(r"fix: (table = .*?\)), where", str(caught.value))[1]
    for call, expected in ((fix, 1.2), (fix.replace("decimal=", "thousands="), 1200)):
        made = {"pd": pd}
        exec(call, made)
        ds = opened(made["table"])
        np.testing.assert_allclose(ds.pm10[:, 0], [expected, 800], rtol=1e-6)


@pytest.mark.parametrize("other", ["0,512", "12,5", "1234,567", "0,000"])
def test_one_number_that_shows_the_mark_is_enough(tmp_path, other):
    ds = opened(written(tmp_path / "a.csv", ["1,200", "8,300", other, "9,123"]))
    np.testing.assert_allclose(ds.pm10[:, 0], [1.2, 8.3], rtol=1e-6)


def test_coordinates_show_the_mark(tmp_path):
    path = written(tmp_path / "a.csv", ["1,200", "800"] * 2, ";10,250;50,125", "station;time;pm10;lon;lat")
    ds = xaq.open_stations(path, tz="UTC")
    np.testing.assert_allclose(ds.pm10[0, 0], 1.2, rtol=1e-6)
    np.testing.assert_allclose(ds.lon, 10.25)
