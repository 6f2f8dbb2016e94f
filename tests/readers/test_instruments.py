"""Several instruments of one variable at one station: the same rule in every format."""

import numpy as np
import pandas as pd
import pytest

from xaq.errors import SchemaError
from xaq.readers.assembly import Rows
from xaq.readers.dispatch import open_stations
from xaq.readers.instruments import apart

HOURS = pd.date_range("2026-04-15 01:00", periods=3, freq="h", tz="Asia/Kolkata")


def openaq(*sensors):
    parts = [
        pd.DataFrame({
            "location_id": 8118, "sensors_id": sensor, "location": "New Delhi-8118", "datetime": [t.isoformat() for t in HOURS],
            "lat": 28.6, "lon": 77.2, "parameter": parameter, "units": units, "value": value,
        })
        for sensor, parameter, units, value in sensors
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def test_sensors_of_openaq_beside_each_other():
    table = openaq((23534, "pm25", "µg/m³", 71.0), (99999, "pm25", "µg/m³", 500.0), (5, "no2", "ppb", 21.5))
    ds = open_stations(table)
    assert ds.station.values.tolist() == ["8118", "8118-99999"]
    assert ds.pm25.values[:, 0].tolist() == [71.0, 500.0]
    assert ds.no2.values[0, 0] == 21.5
    assert np.isnan(ds.no2.values[1]).all()
    assert str(ds.time.values[0]) == "2026-04-14T18:30:00"
    assert "8118-99999" in ds.attrs["history"]
    assert ds.station_name.values.tolist() == ["New Delhi-8118"] * 2
    listed = pd.DataFrame({"location_id": [8118], "lon": [77.3], "lat": [28.7]})
    assert open_stations(table, stations=listed).lon.values.tolist() == [77.3, 77.3]


def test_a_sensor_twice_is_refused_and_the_advice_keeps_the_others():
    table = openaq((23534, "pm25", "µg/m³", 71.0), (23534, "pm25", "µg/m³", 71.0), (7, "pm25", "µg/m³", 5.0))
    with pytest.raises(SchemaError, match="3 duplicate rows, first: station 8118, instrument 23534") as caught:
        open_stations(table)
    scope = {"table": table}
    exec(str(caught.value).split("fix: ")[1].split(", where")[0], scope)
    assert open_stations(scope["table"]).station.values.tolist() == ["8118", "8118-23534"]


def test_sampling_points_of_eea_for_one_pollutant_and_their_types():
    hours = pd.date_range("2020-01-01", periods=3, freq="h")
    table = pd.concat([
        pd.DataFrame({
            "Samplingpoint": f"AT/{point}", "Pollutant": code, "Start": hours, "End": hours, "Value": value, "Unit": "ug.m-3",
            "AggType": "hour", "Validity": 1,
        })
        for point, code, value in (("SPO.1", 6001, 10.0), ("SPO.2", 6001, 12.0), ("SPO.3", 5, 20.0))
    ])  # fmt: skip
    code = "http://dd.eionet.europa.eu/vocabulary/aq/pollutant/"
    metadata = pd.DataFrame({
        "AirQualityStationEoICode": ["AT1", "AT1", "AT1", "AT1", "AT9", "AT9"],
        "SamplingPoint": ["SPO.1", "SPO.2", "SPO.3", "SPO.4", "SPO.9", "SPO.8"],
        "AirPollutantCode": [f"{code}6001", f"{code}6001", f"{code}5", f"{code}1", f"{code}5", f"{code}5"],
        "Longitude": [16.5, 16.5, 16.5, 16.5, 3.0, 9.0], "Latitude": 47.8, "Altitude": 165,
        "AirQualityStationType": ["background", "background", "background", "industrial", "traffic", "traffic"],
        "AirQualityStationArea": "suburban",
        "MeasurementEquipment": ["http://v/measurementequipment/GRIMM", "http://v/measurementequipment/FH62", "", "x", "", ""],
    })  # fmt: skip
    ds = open_stations(table.reset_index(drop=True), stations=metadata)
    assert ds.station.values.tolist() == ["AT1", "AT1-SPO.2"]
    assert ds.pm25.values[:, 0].tolist() == [10.0, 12.0]
    assert ds.pm10.values[0, 0] == 20.0
    # Industrial is the station for sulfur dioxide, which the data do not have.
    assert ds.kind.values.tolist() == ["background", "background"]


def test_numbers_come_before_texts_and_in_their_order():
    frame = pd.DataFrame(
        {"station": "a", "parameter": "pm25", "time": 0, "value": [1, 2, 3], "monitor": ["10", "x", "9"]}
    )
    rows, places, notes = apart(Rows(frame), None)
    assert rows.frame.station.tolist() == ["a-10", "a-x", "a"]
    assert "monitor" not in rows.frame
    assert places is None
    assert len(notes) == 1
    assert apart(Rows(frame.iloc[:1]), None)[2] == []
