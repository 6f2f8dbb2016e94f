"""Advice about ids and numbers of tables: applying it loses no station and no value."""

import re

import pandas as pd
import pytest

from xaq.errors import SchemaError
from xaq.readers.dispatch import open_stations

ROWS = "x,2020-01-01 00:00,1\nx,2020-01-01 01:00,2\n002,2020-01-01 00:00,3\n002,2020-01-01 01:00,4\n"
PLACES = pd.DataFrame({"station": ["x", "002"], "lon": [10.0, 11.0], "lat": [50.0, 51.0]})


def after_advice(path, **options):
    """Return the dataset that follows from the advice of the error: read the file, then apply the fix."""
    with pytest.raises(SchemaError) as raised:
        open_stations(path, **options)
    fix, read = re.search(r"fix: (.*?); the file is read by (table = .*\)); then", str(raised.value)).groups()
    made = {"pd": pd}
    if "read_csv(..., " in fix:
        read, fix = read[:-1] + ", " + re.search(r"read_csv\(\.\.\., (.*?\))(?:, or|$)", fix)[1], ""
    exec(f"{read}\n{re.split(', or ', fix)[0]}", made)
    return open_stations(made["table"], **options)


@pytest.mark.parametrize(
    ("text", "value"), [('"1,500.5"', 1500.5), ('"1,500"', 1500), ('"1,234,567"', 1234567), ('"2,5"', 2.5)]
)
def test_commas_in_numbers_lose_no_value(tmp_path, text, value):
    path = tmp_path / "a.csv"
    path.write_text("station,time,pm25\n" + ROWS.replace(",2\n", f",{text}\n"))
    assert float(after_advice(path, stations=PLACES, tz="UTC")["pm25"].sel(station="x")[1]) == value


def test_ids_that_pandas_made_float_are_those_of_the_list():
    table = pd.DataFrame(
        {"station": [7.0, 7.0, 12.0, 12.0], "time": ["2020-01-01 00:00", "2020-01-01 01:00"] * 2, "pm25": 1.0}
    )
    places = pd.DataFrame({"station": ["7", "12"], "lon": [10.0, 11.0], "lat": [50.0, 51.0]})
    for listed in (places, places.astype({"station": int}), places.astype({"station": float})):
        assert open_stations(table, stations=listed, tz="UTC")["station"].values.tolist() == ["12", "7"]
