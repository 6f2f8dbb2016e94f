"""Files as people have them, opened as they are: values, times in UTC, units and statuses against the raw cells."""

import csv
import gzip

import numpy as np
import pandas as pd
import pytest

import xaq
from xaq.errors import SchemaError

ONE = pd.DataFrame({"station": ["MY1"], "lon": [-0.155], "lat": [51.523]})


@pytest.fixture(scope="module")
def beijing(shared_data):
    """Arguments for the city files of Beijing, whose stations have Chinese names."""
    listed = pd.read_csv(shared_data / "beijing35_2013_2018" / "stations.csv")
    return {"stations": listed[["name_zh", "lon", "lat"]], "columns": {"station": "name_zh"}}


def raw(path):
    with path.open(encoding="utf-8") as text:
        return list(csv.reader(text))


def test_uk_air(shared_files):
    path = shared_files / "uk_air_hourly_csv" / "AirQualityDataHourly.csv"
    with pytest.raises(SchemaError, match="does not say which site it is of; fix: stations="):
        xaq.open_stations(path)
    ds = xaq.open_stations(path, stations=ONE)
    rows = raw(path)[1:]
    ends = [pd.Timestamp(day) + pd.Timedelta(hours=int(clock[:2])) for day, clock, *_ in rows]
    np.testing.assert_array_equal(ds.time.values, pd.DatetimeIndex(ends) - pd.Timedelta("1h"))
    expected = np.array([np.nan if value == "No data" else float(value) for _, _, value, _ in rows], np.float32)
    np.testing.assert_array_equal(ds.no2.values[0], expected)
    assert ds.no2.attrs["units"] == "ug m-3"
    verified = xaq.open_stations(path, stations=ONE, valid=["V"])
    kept = np.array([status.startswith("V") for *_, status in rows])
    np.testing.assert_array_equal(verified.no2.values[0], np.where(kept, expected, np.nan))
    assert f"{int((~kept & np.isfinite(expected)).sum())} values are missing because" in verified.attrs["history"]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Metadane_stacje_i_stanowiska.xlsx", {}),
        ("Metadane_stacje_cp1250.csv", {"encoding": {"Metadane*.csv": "cp852"}}),  # whatever its name says
    ],
)
def test_gios(shared_files, name, options):
    openpyxl = pytest.importorskip("openpyxl")
    path, listed = shared_files / "gios_xlsx" / "2018_PM25_1g_first14days.xlsx", shared_files / "gios_xlsx" / name
    ds = xaq.open_stations(path, stations=listed, **options)
    cells = list(openpyxl.load_workbook(path).active.iter_rows(values_only=True))
    codes, body = list(cells[1][1:]), cells[6:]
    assert sorted(codes) == ds.station.values.tolist()
    ends = pd.DatetimeIndex([row[0] for row in body])
    # The end of an hour in UTC+1 is two hours after its start in UTC.
    np.testing.assert_array_equal(ds.time.values, ends - pd.Timedelta("2h"))
    expected = np.array([row[1:] for row in body], np.float32).T
    np.testing.assert_array_equal(ds.pm25.sel(station=codes).values, expected)
    assert ds.pm25.attrs["units"] == "ug m-3"
    assert float(ds.lat.sel(station="DsJelGorOgin")) == 50.913433
    assert float(ds.lon.sel(station="DsJelGorOgin")) == 15.765608
    one = ds.sel(station="DsJelGorOgin")
    assert (str(one.station_name.values), str(one.kind.values)) == ("Jelenia Góra - Ogińskiego", "background")


def test_the_list_of_gios_names_the_encoding_that_fits(shared_files):
    path, listed = (
        shared_files / "gios_xlsx" / n for n in ("2018_PM25_1g_first14days.xlsx", "Metadane_stacje_cp1250.csv")
    )
    for encoding in (None, "cp1250"):
        with pytest.raises(SchemaError, match=r"encoding=\{'Metadane_stacje_cp1250.csv': 'cp852'\}"):
            xaq.open_stations(path, stations=listed, encoding=encoding)


def test_city_files_of_beijing(shared_files, beijing):
    folder = shared_files / "quotsoft_beijing_csv"
    names = ("beijing_all_20160102.csv", "beijing_extra_20160102.csv")
    ds = xaq.open_stations([folder / name for name in names], **beijing)
    assert ds.sizes == {"station": 35, "time": 24}
    assert str(ds.time.values[0]) == "2016-01-01T16:00:00"
    for name in names:
        header, *rows = raw(folder / name)
        for _, hour, kind, *values in rows:
            variable = kind.lower().replace(".", "")
            if variable in ds:
                expected = np.array([float(v) if v else np.nan for v in values], np.float32)
                np.testing.assert_array_equal(ds[variable].sel(station=header[3:]).values[:, int(hour)], expected)
    assert ds.co.attrs["units"] == "mg m-3"


def test_a_gzip_and_an_error_page_under_the_name_of_a_table(shared_files, beijing):
    folder = shared_files / "quotsoft_beijing_csv"
    packed, page = (
        folder / f"broken_{n}.csv" for n in ("gzip_as_csv_beijing_all_20141231", "html_as_csv_beijing_all_20170519")
    )
    ds = xaq.open_stations(packed, **beijing)
    rows = list(csv.reader(gzip.decompress(packed.read_bytes()).decode().splitlines()))
    assert float(ds.pm25.sel(station="东四")[0]) == np.float32(rows[1][3])
    with pytest.raises(SchemaError, match="it is a web page; fix: download the data again"):
        xaq.open_stations(page, **beijing)
    for source in (folder, [packed, page]):
        with pytest.raises(SchemaError, match=rf"1 of \d files cannot be read: {page.name} .* a web page"):
            xaq.open_stations(source, **beijing)


@pytest.mark.parametrize("options", [{"format": "openair"}, {"tz": "UTC", "units": {"no2": "ug m-3"}}])
def test_a_file_of_openair_of_one_site(shared_files, options):
    path = shared_files / "openair_csv" / "aq_data.csv.gz"
    ds = xaq.open_stations(path, stations=ONE, **options)
    rows = list(csv.DictReader(gzip.decompress(path.read_bytes()).decode().splitlines()))
    assert ds.sizes == {"station": 1, "time": len(rows)}
    np.testing.assert_array_equal(ds.time.values, pd.to_datetime([row["date"] for row in rows]))
    for name in ("no2", "bg.no2", "ws", "air_temp"):
        expected = np.array([float(row[name] or "nan") for row in rows], np.float32)
        np.testing.assert_array_equal(ds[name].values[0], expected)
    assert ds.no2.attrs["units"] == "ug m-3"
