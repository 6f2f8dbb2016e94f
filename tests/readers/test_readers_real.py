"""Every real network: shape, units, hours in UTC and a few values known from the files."""

import time

import numpy as np
import pandas as pd
import pytest

from xaq.errors import SchemaError, XaqWarning
from xaq.readers.dispatch import open_stations

pytestmark = pytest.mark.filterwarnings("ignore:no units for")

#: Folder: (arguments, (stations, steps), first hour in UTC, pollutant, station, first values in the file).
TABLES = {
    "beijing12": ({"tz": "Asia/Shanghai", "units": dict.fromkeys(("so2", "no2", "co", "o3"), "ug/m3")},
                  (12, 35064), "2013-02-28T16:00:00", "pm25", "dongsi"),
    "beijing35_2014_2015": ({"tz": "Asia/Shanghai", "units": {"co": "mg/m3"}}, (35, 17520), "2013-12-31T16:00:00", "pm10", "dongsi"),
    "aqi36_stmvl": ({"tz": "Asia/Shanghai"}, (36, 8759), "2014-04-30T17:00:00", "pm25", "001001"),
    "krakow_airly_2017": ({"tz": "UTC"}, (56, 8593), "2017-01-01T00:00:00", "pm25", "140"),
    "cnemc_20170101": ({"tz": "Asia/Shanghai", "units": {"co": "mg/m3"}}, (1422, 23), "2016-12-31T16:00:00", "pm25", "1001A"),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder_of(shared_data):
    return lambda name: shared_data / name


@pytest.mark.parametrize("name", TABLES)
def test_a_long_table(name, folder_of):
    folder = folder_of(name)
    options, shape, first, variable, station = TABLES[name]
    ds = open_stations(folder / "obs.parquet", stations=folder / "stations.csv", **options)
    assert ds.pm25.shape == shape
    assert str(ds.time.values[0].astype("datetime64[s]")) == first
    assert ds.pm25.attrs["units"] == "ug m-3"
    for gas, units in options.get("units", {}).items():
        assert ds[gas].attrs["units"] == units.replace("/m3", " m-3")
    table = pd.read_parquet(folder / "obs.parquet")
    rows = table[table.station_id.astype(str) == station].dropna(subset=[variable]).head(50)
    hours = rows.time.dt.tz_localize(options["tz"]).dt.tz_convert("UTC").dt.tz_localize(None)
    got = ds[variable].sel(station=station).to_series()
    np.testing.assert_allclose(got[hours].to_numpy(), rows[variable].to_numpy(float), rtol=1e-6)
    places = pd.read_csv(folder / "stations.csv", dtype={"id": str}).set_index("id")
    assert float(ds.lon.sel(station=station)) == places.lon[station]


@pytest.mark.parametrize(
    ("name", "variable", "units", "shape", "station", "first", "values"),
    [
        ("germany_pm10_daily_2005", "pm10", None, (69, 365), "DEBB053", "2005-01-01", 27.167),
        ("germany_pm10_daily_1998_2009", "pm10", None, (70, 4383), "DEBW087", "1998-01-01", 14.625),
        ("ozone_us_midwest_daily_1987", "o3", "ppb", (153, 90), "170010006", "1987-06-03", 35.25),
    ],
)
def test_a_daily_table(name, variable, units, shape, station, first, values, folder_of):
    folder = folder_of(name)
    columns = {"o3": "o3_8h"} if variable == "o3" else None
    ds = open_stations(
        folder / "observations.csv.gz", stations=folder / "stations.csv.gz", columns=columns, units=units
    )
    assert ds[variable].shape == shape
    assert str(ds.time.values[0])[:10] == first
    assert ds[variable].attrs["units"] == ("1e-9" if units else "ug m-3")
    assert float(ds[variable].sel(station=station, time=first)) == pytest.approx(values)


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_patel_folds_as_a_list_of_files(fold, folder_of):
    folder = folder_of("patel_beijing_march2015")
    files = [folder / f"pz_{fold}_{part}_mar.csv.gz" for part in ("train", "test")]
    ds = open_stations(files, tz="Asia/Shanghai")
    assert ds.pm25.sizes == {"station": 30, "time": 744}
    assert str(ds.time.values[0]) == "2015-02-28T16:00:00"
    assert (float(ds.pm25.sel(station="1002")[0]), float(ds.pm25.sel(station="1003")[0])) == (26, 21)
    assert ds.pm25.attrs["units"] == "ug m-3"


def test_the_raw_uci_files_and_their_wrong_coordinates(folder_of):
    with pytest.warns(XaqWarning, match=r"the UCI files \(Dingling: lat=34.44479, long=115.31857; Wanliu: lat=nan"):
        ds = open_stations(folder_of("raw_uci_prsa"), stations=folder_of("beijing12") / "stations.csv")
    assert ds.pm25.sizes == {"station": 2, "time": 35064}
    assert str(ds.time.values[0]) == "2013-02-28T16:00:00"
    np.testing.assert_array_equal(ds.pm25.sel(station="dingling")[:2], [4, 7])
    np.testing.assert_array_equal(ds.co.sel(station="wanliu")[:2], [400, 400])
    assert {ds[n].attrs["units"] for n in ("pm25", "co", "o3")} == {"ug m-3"}
    assert float(ds.lat.sel(station="dingling")) == pytest.approx(40.292, abs=0.01)
    whole = open_stations(
        folder_of("beijing12") / "obs.parquet", stations=folder_of("beijing12") / "stations.csv", tz="Asia/Shanghai"
    )
    np.testing.assert_array_equal(ds.pm25, whole.pm25.sel(station=["dingling", "wanliu"]))


def test_the_raw_national_file_within_five_seconds(folder_of):
    folder = folder_of("cnemc_20170101")
    start = time.perf_counter()
    with pytest.warns(XaqWarning, match="75 of 1497 stations are not in the station list"):
        ds = open_stations(folder / "china_sites_20170101.csv", stations=folder / "stations.csv")
    assert time.perf_counter() - start < 5
    assert ds.pm25.sizes == {"station": 1422, "time": 24}
    assert str(ds.time.values[0]) == "2016-12-31T16:00:00"
    np.testing.assert_array_equal(ds.pm25.sel(station="1001A")[:2], [417, 406])
    assert float(ds.co.sel(station="1001A")[0]) == pytest.approx(5.2)
    assert (ds.co.attrs["units"], ds.o3.attrs["units"]) == ("mg m-3", "ug m-3")
    assert int(ds.pm25.notnull().any("station").sum()) == 19
    tidy = open_stations(folder / "obs.parquet", stations=folder / "stations.csv", tz="Asia/Shanghai")
    for name in ("pm25", "pm10", "so2", "no2", "o3", "co"):
        np.testing.assert_array_equal(ds[name].sel(time=tidy.time), tidy[name])


def test_a_station_list_alone_is_an_error(folder_of):
    with pytest.raises(SchemaError, match="no column for time"):
        open_stations(folder_of("cnemc_stations") / "stations.csv", tz="UTC")
    with pytest.raises(SchemaError, match=r"holds files of several formats|folder of 2 tables|no column for"):
        open_stations(folder_of("cnemc_stations").parent / "germany_pm10_daily_2005")


def test_the_layout_of_584_trusted_stations_selects(folder_of):
    places = pd.read_csv(folder_of("cnemc_stations") / "stations.csv")
    places = places[places.trusted].head(584)
    with pytest.warns(XaqWarning, match="are not in the station list"):
        ds = open_stations(folder_of("cnemc_20170101") / "china_sites_20170101.csv", stations=places)
    assert set(ds.station.values) <= set(places.id)
