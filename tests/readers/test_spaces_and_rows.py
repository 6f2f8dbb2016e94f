"""Files as spreadsheets and scripts leave them: spaces around entries, repeated headers, no rows, other marks in numbers."""

import io
import re

import numpy as np
import pandas as pd
import pytest

import xaq
from tests.made import MAKERS, assert_the_record
from xaq.errors import SchemaError, XaqWarning

PLACES = pd.DataFrame({"station": ["a"], "lon": [10.0], "lat": [50.0]})


#: Rows of EEA need a valid status, those of AirNow a value, so that these are none.
NO_OBSERVATION = [("eea_csv", "a header again"), ("eea_csv", "a total"), ("airnow_sites", "a total")]


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def lines_of(made):
    """Yield each text file of a made network with its lines."""
    paths = sorted(made.source.rglob("*")) if made.source.is_dir() else [made.source]
    for path in (p for p in paths if p.suffix in (".csv", ".dat")):
        yield path, path.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    "name", ["long", "long_narrow", "prsa", "openaq_download", "openair", "aqs_hourly", "purpleair", "sensor_community"]
)
def test_spaces_around_entries_change_nothing(name, tmp_path):
    made = MAKERS[name](tmp_path)
    for path, lines in lines_of(made):
        mark = ";" if ";" in lines[0] else ","
        written(path, "\n".join(line.replace(mark, f" \u00a0{mark} ") + " " for line in lines))
    assert_the_record(xaq.open_stations(made.source, **made.options), made)


@pytest.mark.parametrize("entry", ["NA ", "\u00a0NA", " "])
def test_a_missing_value_with_spaces_is_missing(entry, tmp_path):
    path = written(tmp_path / "a.csv", f"station,time,pm25\na,2020-01-01 00:00,{entry}\na,2020-01-01 01:00,2\n")
    np.testing.assert_array_equal(xaq.open_stations(path, stations=PLACES, tz="UTC").pm25[0], [np.nan, 2])


def test_ids_of_frames_have_no_spaces_around_them():
    table = pd.DataFrame(
        {"station": ["a ", "a"], "time": pd.date_range("2020-01-01", periods=2, freq="h"), "pm25": [1.0, 2.0]}
    )
    assert xaq.open_stations(table, stations=PLACES.assign(station="a\u00a0"), tz="UTC").station.values.tolist() == [
        "a"
    ]


@pytest.mark.parametrize(
    "name", ["long", "purpleair", "sensor_community", "aqs_hourly", "airnow_sites", "eea_csv", "openair"]
)
@pytest.mark.parametrize("what", ["no rows", "a header again", "a total"])
def test_no_rows_or_rows_of_another_kind_give_an_error_with_a_fix(name, what, tmp_path):
    made = MAKERS[name](tmp_path)
    for path, lines in lines_of(made):
        mark = next(m for m in ";,|" if m in lines[0])
        total = "Total" + mark * lines[-1].count(mark)
        written(
            path,
            "\n".join({"no rows": lines[:1], "a header again": [*lines, lines[0]], "a total": [*lines, total]}[what])
            + "\n",
        )
    if (name, what) in NO_OBSERVATION:
        assert_the_record(xaq.open_stations(made.source, **made.options), made)
    else:
        with pytest.raises(SchemaError, match="fix: "):
            xaq.open_stations(made.source, **made.options)


def test_points_for_thousands_are_not_advised_to_be_missing(tmp_path):
    path = written(tmp_path / "a.csv", "station;time;pm25\na;2020-01-01 00:00;1.234,5\na;2020-01-01 01:00;2,5\n")
    with pytest.raises(SchemaError, match=re.escape("fix: table = pd.read_csv(..., thousands='.', decimal=',');")):
        xaq.open_stations(path, stations=PLACES, tz="UTC")
    table = pd.read_csv(io.StringIO(path.read_text()), sep=";", thousands=".", decimal=",")
    assert xaq.open_stations(table, stations=PLACES, tz="UTC").pm25.values.tolist() == [[1234.5, 2.5]]


def test_rows_without_units_beside_others_are_said():
    table = pd.DataFrame({
        "station": "a", "time": pd.date_range("2020-01-01", periods=3, freq="h"), "parameter": "o3", "value": [1.0, 2.0, np.nan],
        "unit": ["ppb", None, None],
    })  # fmt: skip
    with pytest.warns(XaqWarning, match="1 rows of o3 state no units; they are taken for ppb"):
        assert xaq.open_stations(table, stations=PLACES, tz="UTC").o3.attrs["units"] == "1e-9"


def test_files_that_state_other_units_are_refused(tmp_path):
    first = written(tmp_path / "a.csv", "station,time,PM2.5 (ug/m3)\na,2020-01-01 00:00,1\n")
    other = written(tmp_path / "b.csv", "station,time,PM2.5 (mg/m3)\na,2020-01-01 01:00,2\n")
    same = written(tmp_path / "c.csv", "station,time,PM2.5 [µg m-3]\na,2020-01-01 01:00,2\n")
    with pytest.raises(SchemaError, match="pm25 comes in several units: ug m-3 and mg m-3 in the headers of the files"):
        xaq.open_stations([first, other], stations=PLACES, tz="UTC")
    assert xaq.open_stations([first, same], stations=PLACES, tz="UTC").pm25.values.tolist() == [[1, 2]]


def test_files_and_rows_of_a_pollutant_each_are_joined_and_conflicts_are_errors(tmp_path):
    def opened(*texts):
        paths = [written(tmp_path / f"{i}.csv", text) for i, text in enumerate(texts)]
        return xaq.open_stations(paths, stations=PLACES, tz="UTC")

    first = "station,time,pm25\na,2020-01-01 00:00,1\na,2020-01-01 01:00,2\n"
    ds = opened(first, "station,time,pm10\na,2020-01-01 01:00,4\na,2020-01-01 02:00,5\n")
    np.testing.assert_array_equal(ds.pm25[0], [1, 2, np.nan])
    np.testing.assert_array_equal(ds.pm10[0], [np.nan, 4, 5])
    for again in ("station,time,pm25\na,2020-01-01 01:00,2\n", "station,time,pm25\na,2020-01-01 01:00,3\n"):
        with pytest.raises(SchemaError, match="1 duplicate rows"):
            opened(first, again)


def test_a_variable_under_two_spellings_is_one_variable():
    table = pd.DataFrame({
        "station": "a", "time": pd.to_datetime(["2020-01-01 00:00", "2020-01-01 00:00", "2020-01-01 01:00"]),
        "parameter": ["PM2.5", "pm25", "PM2.5"], "value": [1.0, 7.0, 1.0],
    })  # fmt: skip
    with pytest.raises(SchemaError, match="1 duplicate rows, first: station a, 2020-01-01 00:00:00 UTC, pm25"):
        xaq.open_stations(table, stations=PLACES, tz="UTC")
    assert xaq.open_stations(table.drop(0), stations=PLACES, tz="UTC").pm25.values.tolist() == [[7, 1]]


def test_units_in_the_name_of_a_variable():
    table = pd.DataFrame({
        "station": "a", "time": pd.date_range("2020-01-01", periods=2, freq="h"), "parameter": "PM2.5 (mg/m3)", "value": 0.5,
    })  # fmt: skip
    assert xaq.open_stations(table, stations=PLACES, tz="UTC").pm25.attrs["units"] == "mg m-3"
    mixed = table.assign(parameter=["PM2.5 (mg/m3)", "PM2.5"], unit=[None, "ug/m3"])
    with pytest.raises(SchemaError, match="pm25 comes in several units"):
        xaq.open_stations(mixed, stations=PLACES, tz="UTC")
