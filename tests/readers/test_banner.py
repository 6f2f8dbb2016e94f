"""Rows above the header: found where that is certain, given by ``skiprows`` elsewhere, in text and in workbooks."""

import pandas as pd
import pytest

import xaq
from xaq.errors import SchemaError
from xaq.readers.banner import lines_above

PLACES = pd.DataFrame({"station": ["a", "b"], "lon": [10.0, 11.0], "lat": [50.0, 51.0]})
ROWS = "a,2020-01-01 00:00,1\na,2020-01-01 01:00,2\nb,2020-01-01 00:00,3\nb,2020-01-01 01:00,4\n"
TABLE = "station,time,pm25\n" + ROWS
VALUES = [[1.0, 2.0], [3.0, 4.0]]


def opened(path, **options):
    return xaq.open_stations(path, stations=PLACES, tz="UTC", **options)


@pytest.mark.parametrize(
    "banner",
    ["Data of a network\n", "Network,X\nContact,Y\n\n", "# a remark, with a comma\n# another\n", "\n\nHourly means\n"],
    ids=["a line", "pairs and a blank line", "remarks", "blank lines first"],
)
def test_a_banner_is_found(tmp_path, banner):
    path = tmp_path / "a.csv"
    path.write_text(banner + TABLE)
    assert opened(path).pm25.values.tolist() == VALUES


def test_a_banner_of_semicolons_and_decimal_commas(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("Network, Europe\nstation;time;pm25\n" + ROWS.replace(",", ";").replace("1\n", "1,5\n"))
    assert opened(path).pm25.values.tolist() == [[1.5, 2.0], [3.0, 4.0]]


def test_a_header_that_was_cut_short_is_no_banner(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("station,time\n" + ROWS)
    with pytest.raises(SchemaError, match="line 2 has 3 fields where the first has 2"):
        opened(path)


def test_a_row_cut_short_below_a_banner_is_named_by_its_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("Data of a network\n" + TABLE + "b,2020-01-01 02:00\n")
    with pytest.raises(SchemaError, match="line 7 has 2 fields where the first has 3"):
        opened(path)


def test_a_header_of_numbers_needs_skiprows(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("Data of a network\ntime,1001,1002\n2020-01-01 00:00,1,3\n2020-01-01 01:00,2,4\n")
    places = PLACES.assign(station=["1001", "1002"])
    options = {"stations": places, "tz": "UTC", "pollutant": "pm25"}
    with pytest.raises(SchemaError, match="skiprows=1"):
        xaq.open_stations(path, **options)
    assert xaq.open_stations(path, skiprows=1, **options).pm25.values.tolist() == VALUES


def test_skiprows_beyond_the_end(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(TABLE)
    with pytest.raises(SchemaError, match="skiprows=9"):
        opened(path, skiprows=9)


def test_a_banner_above_a_row_of_units(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("Data of a network\nstation,time,o3\n,UTC,ppb\n" + ROWS)
    ds = opened(path)
    assert ds.o3.attrs["units"] == "1e-9"
    assert ds.o3.values.tolist() == VALUES


@pytest.mark.parametrize("options", [{}, {"skiprows": 2}], ids=["found", "given"])
def test_a_banner_of_a_workbook(tmp_path, options):
    pytest.importorskip("openpyxl")
    path = tmp_path / "a.xlsx"
    rows = [line.split(",") for line in TABLE.splitlines()]
    rows = [rows[0], *([s, t, float(v)] for s, t, v in rows[1:])]
    pd.DataFrame([["Data of a network"], [None], *rows]).to_excel(path, index=False, header=False)
    assert opened(path, **options).pm25.values.tolist() == VALUES


def test_advice_reads_the_file_below_its_banner(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("Data of a network\n" + TABLE + "b,2020-01-01 01:00,4\n")
    with pytest.raises(SchemaError, match=r"duplicate rows.*skiprows=1, dtype"):
        opened(path)


def test_where_there_are_no_rows_above_a_header_skiprows_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    rows = [line.split(",") for line in TABLE.splitlines()]
    frame = pd.DataFrame(rows[1:], columns=rows[0]).astype({"pm25": float})
    frame.to_parquet(path)
    for source in (path, frame):
        with pytest.raises(SchemaError, match=r"skiprows.* is for .*; fix: "):
            opened(source, skiprows=1)


def test_a_table_without_numbers_has_no_banner():
    assert lines_above(["a,b", "c,d,e", "f,g,h", "i,j,k"]) == 0


HOURS = [f"2020-01-01 {hour:02}:00" for hour in range(24)]


@pytest.mark.parametrize("rows", [1, 2, 24])
def test_a_table_above_another_with_more_columns_is_no_banner(tmp_path, rows):
    path = tmp_path / "a.csv"
    first = "station,time,pm25\n" + "".join(f"a,{t},1\n" for t in HOURS[:rows])
    path.write_text(first + "station,time,pm25,pm10\n" + "".join(f"a,{t.replace('-01 ', '-02 ')},1,2\n" for t in HOURS))
    with pytest.raises(SchemaError, match=f"line {rows + 2} has 4 fields where the first has 3"):
        opened(path)


def test_a_table_of_two_columns_above_another_is_no_banner(tmp_path):
    path = tmp_path / "a.csv"
    first = "time,pm25\n" + "".join(f"{t},1\n" for t in HOURS)
    path.write_text(first + "time,pm25,pm10\n" + "".join(f"{t.replace('-01 ', '-02 ')},1,2\n" for t in HOURS))
    with pytest.raises(SchemaError, match="line 26 has 3 fields where the first has 2"):
        opened(path)


def test_pairs_with_numbers_are_a_banner(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("Latitude,51.5\nLongitude,-0.1\nFrom,2020-01-01\n" + TABLE)
    assert opened(path).pm25.values.tolist() == VALUES


def test_the_history_says_how_many_rows_were_skipped(tmp_path):
    path, listed = tmp_path / "a.csv", tmp_path / "list.csv"
    path.write_text("Data of a network\nof some years\n" + TABLE)
    listed.write_text("Sites\n" + PLACES.to_csv(index=False))
    history = xaq.open_stations(path, stations=listed, tz="UTC").attrs["history"]
    assert "2 rows above the header are skipped" in history
    assert "1 rows above the header are skipped (station list)" in history
    path.write_text(TABLE)
    assert "skipped" not in opened(path).attrs["history"]


def test_the_history_has_the_skipped_rows_of_a_workbook(tmp_path):
    pytest.importorskip("openpyxl")
    path = tmp_path / "a.xlsx"
    rows = [line.split(",") for line in TABLE.splitlines()]
    rows = [rows[0], *([s, t, float(v)] for s, t, v in rows[1:])]
    pd.DataFrame([["Data of a network"], *rows]).to_excel(path, index=False, header=False)
    assert "1 rows above the header are skipped" in opened(path).attrs["history"]
