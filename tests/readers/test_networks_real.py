"""Files of networks as people have them, each with one call: values, UTC, units, flags and names against the raw cells."""

import io
import zipfile

import numpy as np
import pandas as pd
import pytest

from xaq.errors import SchemaError, XaqWarning
from xaq.readers.dispatch import open_stations

PURPLEAIR = ("sensor-87173-1656716400-1656768000.csv", "sensor-87173-1656796200-1657008600.csv")
SENSOR = pd.DataFrame({"id": ["87173"], "lon": [-73.69], "lat": [42.74]})


def test_aqs_by_the_hour(shared_files):
    path = shared_files / "aqs_hourly_csv" / "hourly_88101_2010_extract.csv"
    ds = open_stations(path)
    raw = pd.read_csv(path, dtype=str)
    assert dict(ds.sizes) == {"station": 6, "time": 744}
    assert ds.pm25.attrs["units"] == "ug m-3"
    times = pd.to_datetime(raw["Date GMT"] + " " + raw["Time GMT"]).to_numpy()
    ids = (raw["State Code"] + "-" + raw["County Code"] + "-" + raw["Site Num"]).to_numpy()
    got = ds.pm25.to_series()[pd.MultiIndex.from_arrays([ids, times])].to_numpy()
    np.testing.assert_allclose(got, raw["Sample Measurement"].astype(float), rtol=1e-6)
    assert int(ds.pm25.notnull().sum()) == len(raw) == 4260
    assert float(ds.lat.sel(station="01-033-1002")) == 34.758781
    assert "BAM-1020" in ds.instrument.values[0]


@pytest.mark.filterwarnings("ignore::xaq.errors.XaqWarning")
def test_aqs_by_the_day(shared_files):
    ozone = open_stations(shared_files / "aqs_daily_zip" / "daily_44201_20160715.zip")
    raw = pd.read_csv(shared_files / "aqs_daily_zip" / "daily_44201_20160715.zip", compression="zip")
    assert len(raw) == 1292
    assert int(ozone.o3.notnull().sum()) == 1292
    assert sum(len(s) == 11 for s in ozone.station.values) == 1252
    assert ozone.o3.attrs["units"] == "1e-6"
    assert ozone.station_name.sel(station="01-033-1002").item() == "MUSCLE SHOALS"
    assert ozone.o3.sel(station="01-003-0010", time="2016-07-15").item() == np.float32(0.044)
    particles = open_stations(shared_files / "aqs_daily_zip" / "daily_88101_20160115.zip")
    raw = pd.read_csv(shared_files / "aqs_daily_zip" / "daily_88101_20160115.zip")
    assert (
        particles.sizes["station"]
        == raw.drop_duplicates(["State Code", "County Code", "Site Num", "POC"]).shape[0]
        == 492
    )
    # Events excluded 5.0, included 8.5; and one monitor of which only the mean of its hours is there.
    assert particles.pm25.sel(station="15-001-1006", time="2016-01-15").item() == 8.5
    assert particles.pm25.sel(station="02-170-0012", time="2016-01-15").item() == 8.0
    assert {"15-001-1012", "15-001-1012-2"} <= set(particles.station.values)
    both = open_stations(shared_files / "aqs_daily_zip")
    assert both.sizes["station"] == 1520


def test_the_rows_of_aqs_that_are_not_complete(shared_files):
    path = shared_files / "aqs_daily_zip" / "daily_44201_20160715.zip"
    with pytest.warns(XaqWarning, match="22 of 1292 daily values rest on less than 75% of the day"):
        open_stations(path)


def test_purpleair(shared_files):
    paths = [shared_files / "purpleair_history_csv" / name for name in PURPLEAIR]
    with pytest.raises(SchemaError, match=r"no coordinates of the sensors \['87173'\]"):
        open_stations(paths)
    ds = open_stations(paths, stations=SENSOR)
    raw = pd.concat([pd.read_csv(p) for p in paths]).drop_duplicates()
    assert dict(ds.sizes) == {"station": 1, "time": 561}
    a, b = raw["pm2.5_cf_1_a"], raw["pm2.5_cf_1_b"]
    got = ds.pm25.sel(time=pd.to_datetime(raw.time_stamp, unit="s").to_numpy()).values[0]
    np.testing.assert_allclose(got, (a + b) / 2, rtol=1e-6)
    assert ds.temperature.attrs["units"] == "degF"
    hourly = open_stations(paths, stations=SENSOR, step="1h")
    hour = raw[raw.time_stamp // 3600 == pd.Timestamp("2022-07-02 03:00").timestamp() // 3600]
    assert len(hour) == 6
    expected = ((hour["pm2.5_cf_1_a"] + hour["pm2.5_cf_1_b"]) / 2).mean()
    assert hourly.pm25.sel(time="2022-07-02T03").item() == pytest.approx(expected, rel=1e-6)


def test_sensor_community(shared_files):
    path = shared_files / "sensor_community_csv" / "2017-10-13_sds011_sensor_5331.csv"
    with pytest.raises(SchemaError, match="expected one regular step; fix: step='5min'"):
        open_stations(path)
    ds = open_stations(path, step="10min")
    assert ds.pm25.attrs["units"] == ds.pm10.attrs["units"] == "ug m-3"
    # From 22:00 to 22:10: readings that end at 22:01:06, 22:03:34, 22:06:03, 22:08:31 and 22:10:58.
    weights = np.array([66, 148, 149, 148, 89])
    expected = (weights * [5.00, 4.87, 5.33, 5.30, 4.07]).sum() / weights.sum()
    assert ds.pm25.sel(time="2017-10-13T22:00").item() == pytest.approx(expected, rel=1e-6)
    assert np.isnan(ds.pm25.sel(time="2017-10-13T22:30").item())


def test_openaq(shared_files):
    ds = open_stations(shared_files / "openaq_v3_csv" / "location-8118-20260415.csv")
    assert ds.station.values.tolist() == ["8118", "8118-99999"]
    assert ds.pm25.sel(station="8118").values.tolist() == [71.0, 72.0]
    assert ds.pm25.sel(station="8118-99999").values[0] == 500.0
    assert {n: ds[n].attrs["units"] for n in ds.data_vars} == {"no2": "1e-9", "pm10": "ug m-3", "pm25": "ug m-3"}
    assert str(ds.time.values[0]) == "2026-04-14T18:30:00"
    other = open_stations(shared_files / "openaq_v3_csv" / "unquoted_9369.csv")
    assert other.no2.sel(time="2020-07-30T19:00").item() == np.float32(51.44521273)
    assert other.no2.sel(time="2020-08-03T22:00").item() == np.float32(2.6868661)


def _columns(path):
    lines = path.read_text().splitlines()
    header = int(lines[0].split()[0])
    return pd.read_csv(io.StringIO("\n".join(lines[header:])), sep=r"\s+", header=None)


#: Station: (step, values, first start, value column, code of missing values, elevation).
EBAS = {
    "CH0002R": ("1D", 16, "2018-01-02T00:00:00", 2, 9.99, 489.0),
    "PL0005R": ("1D", 74, "2018-01-01T00:00:00", 2, 99.99, 157.0),
    "CZ0003R": ("4h", 75, "2017-12-19T10:00:00", 2, 99.999, 535.0),
    "GR000XU": ("12h", 172, "2017-12-04T18:00:00", 2, 99.999, 105.0),
}


@pytest.mark.parametrize("station", EBAS)
@pytest.mark.filterwarnings("ignore::xaq.errors.XaqWarning")
def test_ebas(shared_files, station):
    step, count, first, column, missing, elevation = EBAS[station]
    path = next((shared_files / "ebas_nasa_ames").glob(f"{station}*"))
    ds = open_stations(path)
    raw = _columns(path)
    seen = ds.elemental_carbon_pm25.to_series().dropna()
    assert len(seen) == count
    assert str(seen.index[0][1].isoformat()) == first
    assert pd.Timedelta(ds.time.diff("time").values[0]) == pd.Timedelta(step)
    values = raw[column][raw[column] != missing]
    kept = values if station != "GR000XU" else values[(raw[1] - raw[0]) > 0.4]
    np.testing.assert_allclose(seen, kept, rtol=1e-6)
    assert ds.station.item() == station
    assert ds.elevation.item() == elevation
    assert (
        ds.station_name.item()
        == {"CH": "Payerne", "PL": "Diabla Gora", "CZ": "Kosetice (NOAK)", "GR": "Thissio Athens"}[station[:2]]
    )
    assert ds.elemental_carbon_pm25.attrs["units"] == "ug m-3"


def test_ebas_together(shared_files):
    with pytest.raises(
        SchemaError, match=r"several resolutions: 4h of CZ0003R, 12h of GR000XU, 1D of .*fix: step='1D'"
    ):
        open_stations(shared_files / "ebas_nasa_ames")
    ds = open_stations(shared_files / "ebas_nasa_ames", step="1D")
    assert ds.station.values.tolist() == sorted(EBAS)
    # Half of the sample from 18:00 and 06:00 of the next day: 06:00 to 18:00 counts whole.
    expected = (6 * 0.58 + 12 * 0.79 + 6 * 0.37) / 24
    assert ds.elemental_carbon_pm25.sel(station="GR000XU", time="2017-12-05").item() == pytest.approx(
        expected, rel=1e-6
    )


def test_the_lists_of_stations_of_eea(shared_files):
    folder = shared_files / "eea_station_metadata"
    with (
        zipfile.ZipFile(folder / "PanEuropean_metadata.zip") as archive,
        archive.open("PanEuropean_metadata.csv") as text,
    ):
        listed = pd.read_csv(text, sep="\t", dtype=str)
    listed = listed[listed.AirPollutantCode.str.endswith("/6001") & (listed.Countrycode == "AT")]
    listed = listed.drop_duplicates("SamplingPoint").head(12)
    hours = pd.date_range("2020-01-01", periods=4, freq="h")
    table = pd.DataFrame({
        "Samplingpoint": np.repeat("AT/" + listed.SamplingPoint.to_numpy(), 4), "Pollutant": 6001, "Start": np.tile(hours, 12),
        "Value": 1.0, "Unit": "ug.m-3", "AggType": "hour", "Validity": 1,
    })  # fmt: skip
    ds = open_stations(table, stations=folder / "PanEuropean_metadata.zip")
    assert ds.sizes["station"] == 12
    first = listed.drop_duplicates("AirQualityStationEoICode").set_index("AirQualityStationEoICode")
    for code in ("AT10001", "AT10003"):
        here = ds.sel(station=code)
        assert here.kind.item() == first.AirQualityStationType[code]
        assert here.area.item() == first.AirQualityStationArea[code]
        assert here.lon.item() == pytest.approx(float(first.Longitude[code]), abs=1e-6)
    codes = np.repeat(["GB0580A", "AT10001"], 4)
    rows = pd.DataFrame({"station": codes, "time": np.tile(hours, 2), "pm25": 1.0})
    ds = open_stations(rows, stations=folder / "EEA_stations_meta_table.parquet", tz="UTC")
    assert ds.kind.sel(station="GB0580A").item() == "background"
    assert ds.area.sel(station="GB0580A").item() == "urban"
    assert ds.lon.sel(station="GB0580A").item() == -3.1763
