"""Poland's national archive: header rows above and below the codes, old codes, hours that label their end."""

import numpy as np
import pandas as pd
import pytest

import xaq
from xaq.errors import SchemaError

LISTED = pd.DataFrame({
    "Nr": [1, 2], "Kod stacji": ["DsNowa", "MzStara"], "Nazwa stacji": ["Łąka", "Żary"], "Stary Kod stacji": ["DsOld", "MzStara"],
    "WGS84 φ N": ["51.1", "52.2"], "WGS84 λ E": ["17.0", "21.0"],
})  # fmt: skip
HEAD = [
    ["Nr", 1, 2],
    ["Kod stacji", "DsOld", "MzStara"],
    ["Wskaźnik", "PM2.5", "PM2.5"],
    ["Czas uśredniania", "1g", "1g"],
    ["Jednostka", "ug/m3", "ug/m3"],
    ["Kod stanowiska", "DsOld-PM2.5-1g", "MzStara-PM2.5-1g"],
]
HOURS = [pd.Timestamp("2018-07-01 01:00"), pd.Timestamp("2018-07-01 02:00"), pd.Timestamp("2018-07-01 03:00")]
BODY = [[HOURS[0], 43.5, 1.0], [HOURS[1], None, 2.0], [HOURS[2], 5.25, 3.0]]


def workbook(path, rows):
    pytest.importorskip("openpyxl")
    pd.DataFrame(rows).to_excel(path, index=False, header=False)
    return path


def values(ds, name="pm25"):
    return np.where(np.isfinite(ds[name].values), ds[name].values, -9).tolist()


def test_hours_end_in_winter_time_and_old_codes_become_present_ones(tmp_path):
    path = workbook(tmp_path / "2018_PM25_1g.xlsx", HEAD + BODY)
    ds = xaq.open_stations(path, stations=LISTED)
    assert ds.station.values.tolist() == ["DsNowa", "MzStara"]
    assert "1 stations have their present code in place of an old one: DsNowa (DsOld)" in ds.attrs["history"]
    assert values(ds) == [[43.5, -9, 5.25], [1, 2, 3]]
    # 01:00 in UTC+1 ends the hour that begins at 23:00 UTC, also in July.
    assert str(ds.time.values[0])[:16] == "2018-06-30T23:00"
    assert (float(ds.lon[0]), float(ds.lat[0])) == (17.0, 51.1)
    assert ds.pm25.attrs["units"] == "ug m-3"
    assert ds.station_name.values.tolist() == ["Łąka", "Żary"]


def test_the_order_of_header_rows_and_decimal_commas_of_older_years(tmp_path):
    rows = [HEAD[1], HEAD[2], HEAD[3], ["2018-07-01 01:00:00", "43,5", "1"], ["2018-07-01 02:00:00", "", "2,25"]]
    path = workbook(tmp_path / "2005_PM25_1g.xlsx", rows)
    ds = xaq.open_stations(path, stations=LISTED)
    assert values(ds) == [[43.5, -9], [1, 2.25]]


def test_the_same_as_csv_in_the_encoding_of_the_archive(tmp_path):
    path, listed = tmp_path / "pm25.csv", tmp_path / "stacje.csv"
    text = "\n".join(";".join("" if c is None else str(c).replace(".", ",") for c in row) for row in BODY)
    path.write_text("\n".join(";".join(map(str, row)) for row in HEAD) + "\n" + text + "\n", encoding="cp1250")
    LISTED.rename(columns=lambda c: c.replace("φ", "?").replace("λ", "?")).to_csv(
        listed, sep=";", index=False, encoding="cp852"
    )
    encoding = {"pm25.csv": "cp1250", "stacje*": "cp852"}
    ds = xaq.open_stations(path, stations=listed, encoding=encoding)
    assert values(ds) == [[43.5, -9, 5.25], [1, 2, 3]]
    assert ds.station_name.values.tolist() == ["Łąka", "Żary"]
    with pytest.raises(SchemaError, match=r"fix: its encoding, such as .*'cp1250'.*encoding=\{'pm25.csv': 'cp1252'\}"):
        xaq.open_stations(path, stations=LISTED, format="gios")


def test_a_pattern_of_no_file_is_refused(tmp_path):
    path = workbook(tmp_path / "2018_PM25_1g.xlsx", HEAD + BODY)
    with pytest.raises(
        SchemaError, match=r"encoding names 'stacje.csv', which is none of the files \(2018_PM25_1g.xlsx\)"
    ):
        xaq.open_stations(path, stations=LISTED, encoding={"stacje.csv": "cp852"})


def test_daily_values_carry_their_date(tmp_path):
    head = [row if row[0] != "Czas uśredniania" else [row[0], "24g", "24g"] for row in HEAD]
    body = [[pd.Timestamp("2018-07-01"), 1.0, 2.0], [pd.Timestamp("2018-07-02"), 3.0, 4.0]]
    path = workbook(tmp_path / "2018_PM25_24g.xlsx", head + body)
    ds = xaq.open_stations(path, stations=LISTED)
    assert ds.time.values.astype("datetime64[D]").astype(str).tolist() == ["2018-07-01", "2018-07-02"]


def test_the_table_of_stations_is_a_workbook_of_several_sheets(tmp_path):
    pytest.importorskip("openpyxl")
    path, listed = workbook(tmp_path / "2018_PM25_1g.xlsx", HEAD + BODY), tmp_path / "stacje.xlsx"
    with pd.ExcelWriter(listed) as book:
        LISTED.to_excel(book, sheet_name="STACJE", index=False)
        LISTED.to_excel(book, sheet_name="STANOWISKA", index=False)
    assert values(xaq.open_stations(path, stations=listed))[1] == [1, 2, 3]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda head: [row for row in head if row[0] != "Wskaźnik"], "no row wskaźnik above the values"),
        (lambda head: [[*row[:2], "24g"] if row[1] == "1g" else row for row in head], "holds averages over 1g, 24g"),
    ],
)
def test_header_rows_that_are_not_those_of_the_archive(tmp_path, change, text):
    path = workbook(tmp_path / "2018_PM25_1g.xlsx", change(HEAD) + BODY)
    with pytest.raises(SchemaError, match=text):
        xaq.open_stations(path, stations=LISTED)


def test_a_list_is_needed(tmp_path):
    path = workbook(tmp_path / "2018_PM25_1g.xlsx", HEAD + BODY)
    with pytest.raises(SchemaError, match="no coordinates; fix: stations="):
        xaq.open_stations(path)


def test_a_pollutant_that_the_files_do_not_hold_is_refused(tmp_path):
    path = workbook(tmp_path / "2018_PM25_1g.xlsx", HEAD + BODY)
    with pytest.raises(
        SchemaError, match=r"pollutant='pm10' is none of the variables, which are pm25; fix: leave pollutant= out"
    ):
        xaq.open_stations(path, stations=LISTED, pollutant="pm10")
    assert [*xaq.open_stations(path, stations=LISTED, pollutant="PM2.5")] == ["pm25"]
