"""One small network, written in every format that xaq reads; each must give the same dataset.

Two stations, one Beijing day of hours, PM2.5 in ug m-3. Each maker writes into a folder and returns the source
and the arguments that the format needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

IDS = ["1001", "1002"]
LON, LAT = np.array([116.25, 116.5]), np.array([39.75, 40.0])
STARTS = pd.date_range("2019-12-31 16:00", periods=24, freq="h")
VALUES = (np.arange(48, dtype=np.float32).reshape(2, 24) + 10) / 4
PLACES = pd.DataFrame({"station": IDS, "lon": LON, "lat": LAT})
CHINA = STARTS + pd.Timedelta("8h")


@dataclass(frozen=True)
class Made:
    """What was written: the source, arguments to open it with, and the stations' names in that format."""

    source: Any
    options: dict[str, Any] = field(default_factory=dict)
    ids: tuple[str, ...] = tuple(IDS)


def assert_same(ds: xr.Dataset, expected: xr.Dataset) -> None:
    """Two datasets are the same, but for the name of what was read, in their history."""
    xr.testing.assert_identical(ds.assign_attrs(history=""), expected.assign_attrs(history=""))


def narrow(timestamps) -> pd.DataFrame:
    """Return station, time and value of every observation, station by station."""
    return pd.DataFrame({"i": np.repeat([0, 1], 24), "time": [*timestamps, *timestamps], "value": VALUES.ravel()})


def stations_of(made: Made) -> list[int]:
    """Return the order in which a dataset, sorted by name, holds the two stations."""
    return np.argsort(made.ids).tolist()


def assert_the_record(ds: xr.Dataset, made: Made) -> None:
    """Assert that a dataset is the network."""
    ds = ds.sel(station=list(made.ids), time=slice(STARTS[0], STARTS[-1]))
    np.testing.assert_array_equal(ds.pm25, VALUES)
    np.testing.assert_array_equal(ds.time.values.astype("datetime64[s]"), STARTS.values.astype("datetime64[s]"))
    np.testing.assert_allclose(ds.lon, LON)
    np.testing.assert_allclose(ds.lat, LAT)
    assert ds.pm25.dims == ("station", "time")
    assert ds.pm25.attrs["units"] == "ug m-3"


def long(folder: Path) -> Made:
    rows = narrow(CHINA)
    table = pd.DataFrame({"station": np.take(IDS, rows.i), "time": rows.time, "PM2.5": rows.value})
    table.to_csv(folder / "obs.csv", index=False)
    return Made(folder / "obs.csv", {"stations": PLACES, "tz": "Asia/Shanghai"})


def long_narrow(folder: Path) -> Made:
    rows = narrow(STARTS)
    table = pd.DataFrame({
        "site_id": np.take(IDS, rows.i), "date": rows.time, "pollutant": "PM2.5", "value": rows.value, "unit": "µg/m³",
        "longitude": np.take(LON, rows.i), "latitude": np.take(LAT, rows.i),
    })  # fmt: skip
    table.to_csv(folder / "obs.csv", index=False)
    return Made(folder / "obs.csv", {"tz": "UTC"})


def wide(folder: Path) -> Made:
    table = pd.DataFrame({"time": STARTS, **dict(zip(IDS, VALUES, strict=True))})
    table.to_csv(folder / "wide.csv", index=False)
    return Made(folder / "wide.csv", {"stations": PLACES, "tz": "UTC", "pollutant": "pm25"})


def wide_pairs(folder: Path) -> Made:
    cells = {f"{s}_PM2.5": v for s, v in zip(IDS, VALUES, strict=True)} | {f"{s}_NO2": 1.5 for s in IDS}
    pd.DataFrame({"time": STARTS, **cells}).to_csv(folder / "wide.csv", index=False)
    return Made(folder / "wide.csv", {"stations": PLACES, "tz": "UTC", "units": {"no2": "ppb"}})


def prsa(folder: Path) -> Made:
    for i, name in enumerate(["Dongsi", "Huairou"]):
        table = pd.DataFrame({
            "No": np.arange(1, 25), "year": CHINA.year, "month": CHINA.month, "day": CHINA.day, "hour": CHINA.hour,
            "PM2.5": VALUES[i], "CO": 400, "TEMP": -2.5, "wd": "NNW", "WSPM": 1.5, "station": name,
            "lat": 23.5, "long": 121.0,
        })  # fmt: skip
        table.to_csv(folder / f"PRSA_Data_{name}_20200101-20200101.csv", index=False)
    return Made(folder, {"stations": PLACES.assign(station=["dongsi", "huairou"])}, ("dongsi", "huairou"))


def china_sites(folder: Path) -> Made:
    rows = []
    for hour in range(24):
        kinds = {"AQI": [50, 60], "PM2.5": VALUES[:, hour], "PM2.5_24h": [1, 1], "CO": [0.5, 0.25]}
        rows += [[20200101, hour, kind, *values] for kind, values in kinds.items()]
    table = pd.DataFrame(rows, columns=["date", "hour", "type", "1001A", "1002A"])
    table.to_csv(folder / "china_sites_20200101.csv", index=False)
    return Made(
        folder / "china_sites_20200101.csv", {"stations": PLACES.assign(station=["1001A", "1002A"])}, ("1001A", "1002A")
    )


def airnow_monitors(folder: Path) -> Made:
    for hour, timestamp in enumerate(STARTS):
        lines = [
            f"{timestamp:%m/%d/%y|%H:%M}|{s}|NAME|-8|{parameter}|{unit}|{value}|Agency"
            for i, s in enumerate(["060371001", "060371002"])
            for parameter, unit, value in (
                ("PM2.5", "UG/M3", VALUES[i, hour]),
                ("OZONE", "PPB", 31.5),
                ("CO", "PPM", -999),
            )
        ]
        (folder / f"HourlyData_{timestamp:%Y%m%d%H}.dat").write_text("\n".join(lines) + "\n")
    places = PLACES.rename(columns={"station": "AQSID"}).assign(AQSID=["060371001", "060371002"])
    return Made(folder, {"stations": places}, ("060371001", "060371002"))


def airnow_sites(folder: Path) -> Made:
    rows = narrow(STARTS)
    table = pd.DataFrame({
        "AQSID": np.take(["060371001", "060371002"], rows.i), "SiteName": "x", "Status": "Active",
        "Latitude": np.take(LAT, rows.i), "Longitude": np.take(LON, rows.i), "Elevation": 10.0, "GMTOffset": -8,
        "ValidDate": rows.time.dt.strftime("%m/%d/%Y"), "ValidTime": rows.time.dt.strftime("%H:%M"), "DataSource": "y",
        "PM25_AQI": 40, "PM25_Measured": 1, "PM25": rows.value, "PM25_Unit": "UG/M3", "OZONE": 30.0, "OZONE_Unit": "PPB",
    })  # fmt: skip
    for timestamp, part in table.groupby(rows.time):
        part.to_csv(folder / f"HourlyAQObs_{timestamp:%Y%m%d%H}.dat", index=False, quoting=1)
    return Made(folder, {}, ("060371001", "060371002"))


def eea_parquet(folder: Path) -> Made:
    rows = narrow(STARTS + pd.Timedelta("1h"))
    points = [f"DE/SPO.DE_{s}_PM25" for s in IDS]
    table = pd.DataFrame({
        "Samplingpoint": np.take(points, rows.i), "Pollutant": 6001, "Start": rows.time, "End": rows.time + pd.Timedelta("1h"),
        "Value": rows.value, "Unit": "ug.m-3", "AggType": "hour", "Validity": 1, "Verification": 1,
    })  # fmt: skip
    invalid = table.iloc[:1].assign(Start=table.End.max(), Value=-99.0, Validity=-1)
    for i, part in pd.concat([table, invalid]).groupby(lambda n: n % 2):
        part.to_parquet(folder / f"SPO.{i}.parquet")
    metadata = pd.DataFrame({
        "Country": "Germany", "Air Quality Station EoI Code": IDS, "Sampling Point Id": [p[3:] for p in points],
        "Longitude": LON, "Latitude": LAT, "Altitude": 40.0,
    })  # fmt: skip
    return Made(folder, {"stations": metadata})


def eea_csv(folder: Path) -> Made:
    rows = narrow(STARTS.tz_localize("UTC").tz_convert("Etc/GMT-1"))
    table = pd.DataFrame({
        "Countrycode": "DE", "AirQualityStationEoICode": np.take(IDS, rows.i), "SamplingPoint": "SPO.x", "AirPollutant": "PM2.5",
        "AirPollutantCode": "http://dd.eionet.europa.eu/vocabulary/aq/pollutant/6001", "AveragingTime": "hour",
        "Concentration": rows.value, "UnitOfMeasurement": "µg/m3", "DatetimeBegin": rows.time.map(lambda t: f"{t:%Y-%m-%d %H:%M:%S} +01:00"),
        "DatetimeEnd": "", "Validity": 1, "Verification": 1,
    })  # fmt: skip
    table.to_csv(folder / "DE_6001_timeseries.csv", index=False)
    return Made(folder / "DE_6001_timeseries.csv", {"stations": PLACES})


def openaq_archive(folder: Path) -> Made:
    rows = narrow((STARTS + pd.Timedelta("1h")).tz_localize("UTC").tz_convert("Asia/Shanghai"))
    table = pd.DataFrame({
        "location_id": np.take(IDS, rows.i), "sensors_id": 7, "location": "Del Norte, 2178", "datetime": rows.time.map(lambda t: t.isoformat()),
        "lat": np.take(LAT, rows.i), "lon": np.take(LON, rows.i), "parameter": "pm25", "units": "µg/m³", "value": rows.value,
    })  # fmt: skip
    for (location, day), part in table.groupby(["location_id", table.datetime.str[:10]]):
        month = folder / f"locationid={location}" / "year=2020" / "month=01"
        month.mkdir(parents=True, exist_ok=True)
        part.to_csv(month / f"location-{location}-{day.replace('-', '')}.csv.gz", index=False)
    return Made(folder)


def openaq_download(folder: Path) -> Made:
    rows = narrow(STARTS + pd.Timedelta("1h"))
    table = pd.DataFrame({
        "locationId": np.take(IDS, rows.i), "location": "x", "city": "y", "country": "CN", "utc": rows.time.map(lambda t: f"{t.isoformat()}+00:00"),
        "local": "", "parameter": "pm25", "value": rows.value, "unit": "µg/m³",
        "latitude": np.take(LAT, rows.i), "longitude": np.take(LON, rows.i),
    })  # fmt: skip
    table.to_csv(folder / "openaq.csv", index=False)
    return Made(folder / "openaq.csv")


def openair(folder: Path) -> Made:
    rows = narrow(STARTS)
    table = pd.DataFrame({
        "source": "aurn", "date": rows.time, "site": "Marylebone Road", "code": np.take(["MY1", "NOTT"], rows.i), "no2": 30.0,
        "pm2.5": rows.value, "co": 0.5, "ws": 3.0, "wd": 270.0, "air_temp": 8.0,
        "latitude": np.take(LAT, rows.i), "longitude": np.take(LON, rows.i), "site_type": "Urban Traffic",
    })  # fmt: skip
    table.to_csv(folder / "aurn.csv", index=False)
    return Made(folder / "aurn.csv", {"format": "openair"}, ("MY1", "NOTT"))


def aqs_hourly(folder: Path) -> Made:
    rows = narrow(STARTS)
    local = rows.time - pd.Timedelta("6h")
    table = pd.DataFrame({
        "State Code": 1, "County Code": 33, "Site Num": np.take([int(s) for s in IDS], rows.i), "Parameter Code": 88101, "POC": 3,
        "Latitude": np.take(LAT, rows.i), "Longitude": np.take(LON, rows.i), "Datum": "NAD83", "Parameter Name": "PM2.5 - Local Conditions",
        "Date Local": local.dt.strftime("%Y-%m-%d"), "Time Local": local.dt.strftime("%H:%M"),
        "Date GMT": rows.time.dt.strftime("%Y-%m-%d"), "Time GMT": rows.time.dt.strftime("%H:%M"), "Sample Measurement": rows.value,
        "Units of Measure": "Micrograms/cubic meter (LC)", "MDL": 5, "Method Name": "Met One BAM-1020",
    })  # fmt: skip
    table.to_csv(folder / "hourly_88101_2020.csv", index=False)
    return Made(folder / "hourly_88101_2020.csv", {}, tuple(f"01-033-{s}" for s in IDS))


def purpleair(folder: Path) -> Made:
    rows = narrow(STARTS).sample(frac=1, random_state=0)
    table = pd.DataFrame({
        "id": np.take(IDS, rows.i), "time_stamp": rows.time.astype("datetime64[s]").astype("int64"), "pm2.5_atm_a": 1.0,
        "pm2.5_cf_1_a": rows.value - 0.5, "pm2.5_cf_1_b": rows.value + 0.5, "temperature": 70.0, "humidity": 40.0,
    })  # fmt: skip
    table.to_csv(folder / "sensors.csv", index=False)
    return Made(folder / "sensors.csv", {"stations": PLACES.rename(columns={"station": "id"})})


def sensor_community(folder: Path) -> Made:
    rows = narrow(STARTS + pd.Timedelta("1h"))
    table = pd.DataFrame({
        "sensor_id": np.take(IDS, rows.i), "sensor_type": "SDS011", "location": 7, "lat": np.take(LAT, rows.i),
        "lon": np.take(LON, rows.i), "timestamp": rows.time.map(lambda t: t.isoformat()), "P1": rows.value + 3, "durP1": None,
        "ratioP1": None, "P2": rows.value, "durP2": None, "ratioP2": None,
    })  # fmt: skip
    for day, part in table.groupby(rows.time.dt.strftime("%Y-%m-%d")):
        part.to_csv(folder / f"{day}_sds011_sensor_1.csv", sep=";", index=False)
    return Made(folder)


def ebas(folder: Path) -> Made:
    for i, station in enumerate(IDS):
        days = (STARTS - pd.Timestamp("2019-01-01")) / pd.Timedelta("1D")
        lines = [
            f"{a:.6f} {a + 1 / 24:.6f} {value:.3f} 0.000000000"
            for a, value in zip(days, VALUES[i].tolist(), strict=True)
        ]
        (folder / f"{station}.nas").write_text(ebas_header(station, LON[i], LAT[i]) + "\n".join(lines) + "\n")
    return Made(folder)


def ebas_header(
    station: str, lon: float, lat: float, resolution: str = "1h", variables: tuple[str, ...] = ("pm25_mass, ug/m3",)
) -> str:
    """Return the header of a file of EBAS with one flag column; the data follow."""
    names = ["end_time of measurement, days from the file reference point", *variables, "numflag, no unit"]
    about = [
        "Timezone: UTC", f"Resolution code: {resolution}", f"Station code: {station}", f"Station name: Town of {station}", f"Station latitude: {lat}",
        f"Station longitude: {lon}", "Station altitude: 489.0 m", "Station setting: Rural", "Unit: ug/m3", "Matrix: pm25",
        "Instrument type: beta_attenuation", f"Instrument name: bam_{station}", "starttime endtime " + "v " * len(variables) + "flag",
    ]  # fmt: skip
    lines = [
        "Doe, Jane", "XX01L, Institute", "Doe, Jane", "EMEP", "1 1", "2019 01 01 2021 01 01", "0.041667",
        "days from file reference point", str(len(names)), " ".join(["1"] * len(names)),
        " ".join(["9999.999999", *["9999.999"] * len(variables), "9.999999999"]), *names, "0", str(len(about)), *about,
    ]  # fmt: skip
    return "\n".join([f"{len(lines) + 1} 1001", *lines]) + "\n"


MAKERS: dict[str, Callable[[Path], Made]] = {
    m.__name__: m
    for m in (
        long, long_narrow, wide, wide_pairs, prsa, china_sites, airnow_monitors, airnow_sites, eea_parquet, eea_csv, openaq_archive,
        openaq_download, openair, aqs_hourly, purpleair, sensor_community, ebas,
    )
}  # fmt: skip
