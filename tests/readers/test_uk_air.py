"""UK-AIR in its three forms: one site, several sites side by side, flat files with units in columns of their own."""

import numpy as np
import pandas as pd
import pytest

import xaq
from xaq.errors import SchemaError

ONE = pd.DataFrame({"station": ["MY1"], "lon": [-0.155], "lat": [51.523]})
HEADER = 'Date,Time,"Nitrogen dioxide",Status,"PM<sub>2.5</sub> particulate matter (Hourly measured)",Status\n'
ROWS = (
    "2024-01-01,23:00:00,50.5,V ugm-3,7,P ugm-3 (FIDAS)\n"
    "2024-01-01,24:00:00,No data,,8,S ugm-3 (FIDAS)\n"
    "2024-01-02,01:00:00,-0.2,R ugm-3,9,N ugm-3 (FIDAS)\n"
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "AirQualityDataHourly.csv"


def values(ds, name, station="MY1"):
    found = ds[name].sel(station=station).values
    return [round(float(v), 3) for v in np.where(np.isfinite(found), found, -9)]


def test_one_site_whose_place_is_in_the_list(path):
    path.write_text(HEADER + ROWS)
    ds = xaq.open_stations(path, stations=ONE)
    # Labels are the ends of hours in GMT.
    assert ds.time.values.astype("datetime64[h]").astype(str).tolist() == [
        "2024-01-01T22",
        "2024-01-01T23",
        "2024-01-02T00",
    ]
    assert values(ds, "no2") == [50.5, -9, -0.2]
    assert values(ds, "pm25") == [7, -9, -9]
    assert ds.no2.attrs["units"] == ds.pm25.attrs["units"] == "ug m-3"
    assert "2 values are missing because their status is none of P, R, V" in ds.attrs["history"]
    assert "1 values have the status S" in ds.attrs["history"]


def test_the_statuses_that_count_are_the_callers(path):
    path.write_text(HEADER + ROWS)
    ds = xaq.open_stations(path, stations=ONE, valid=["V", "N", "S"])
    assert values(ds, "no2") == [50.5, -9, -9]
    assert values(ds, "pm25") == [-9, 8, 9]


def test_no_status_that_counts(path):
    path.write_text(
        HEADER.replace(',"PM<sub>2.5</sub> particulate matter (Hourly measured)",Status', "")
        + "2024-01-01,01:00,5,S ugm-3\n"
    )
    with pytest.raises(SchemaError, match=r"no value whose status counts; fix: valid="):
        xaq.open_stations(path, stations=ONE)


def test_a_site_that_the_file_does_not_name_is_asked_for(path):
    path.write_text(HEADER + ROWS)
    with pytest.raises(SchemaError, match="does not say which site it is of; fix: ") as raised:
        xaq.open_stations(path)
    made = {"pd": pd}
    exec(str(raised.value).split("fix: ")[1].split(", with the code")[0], made)
    assert xaq.open_stations(path, stations=made["stations"]).station.values.tolist() == ["MY1"]


def test_place_and_name_in_the_lines_above_the_header(path):
    above = (
        "Hourly data from Defra on 08/01/2024\nSite Name,Marylebone Road\nSite Type,Urban Traffic\nLatitude,51.52253\n"
        "Longitude,-0.154611\nNotes:,[1] All Data GMT hour ending;  [2] V = Verified P = Provisionally Verified\n"
    )
    path.write_text(above + HEADER + ROWS)
    ds = xaq.open_stations(path)
    assert ds.station.values.tolist() == ["Marylebone Road"]
    assert (float(ds.lon[0]), float(ds.lat[0])) == (-0.154611, 51.52253)
    assert values(ds, "pm25", "Marylebone Road") == [7, -9, -9]


def test_several_sites_side_by_side(path):
    sites = ",,Aberdeen,,,,Bath,\n"
    header = "Date,Time,Ozone,Status,Nitrogen dioxide,Status,Ozone,Status\n"
    rows = "2024-01-01,01:00:00,1,V ugm-3,2,V ugm-3,3,V ugm-3\n2024-01-01,02:00:00,4,V ugm-3,5,V ugm-3,6,V ugm-3\n"
    path.write_text("Data supplied by UK-AIR on 9/1/2024\nAll Data GMT hour ending\n" + sites + header + rows)
    places = pd.DataFrame({"station": ["Aberdeen", "Bath"], "lon": [-2.1, -2.4], "lat": [57.2, 51.4]})
    ds = xaq.open_stations(path, stations=places)
    assert (values(ds, "o3", "Aberdeen"), values(ds, "o3", "Bath")) == ([1, 4], [3, 6])
    assert (values(ds, "no2", "Aberdeen"), values(ds, "no2", "Bath")) == ([2, 5], [-9, -9])


def test_the_flat_files_with_units_and_british_dates(tmp_path):
    path = tmp_path / "MY1_2015.csv"
    path.write_text(
        "Department for Environment\nAll Data GMT hour ending\nDate,time,Ozone,status,unit,Carbon monoxide,status,unit\n"
        "01-02-2015,01:00,47.5,R,ugm-3,0.2,R,mgm-3\n01-02-2015,24:00,48.5,P*,ugm-3,0.3,R,mgm-3\n"
        "02-02-2015,01:00,,,,0.4,R,mgm-3\n"
    )
    ds = xaq.open_stations(path, stations=ONE, step="1h")
    assert str(ds.time.values[0])[:13] == "2015-02-01T00"
    assert ds.sizes["time"] == 25
    assert values(ds, "o3")[0] == 47.5
    assert values(ds, "o3")[23:] == [-9, -9]
    assert values(ds, "co")[23:] == [0.3, 0.4]
    assert ds.co.attrs["units"] == "mg m-3"


def test_a_general_table_with_date_time_and_status_is_not_taken_for_it(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("date,time,pm25,status,station\n2020-01-01,00:00,1,ok,MY1\n2020-01-01,01:00,2,bad,MY1\n")
    ds = xaq.open_stations(path, stations=ONE, tz="UTC", valid=["ok", "bad"])
    assert values(ds, "pm25") == [1, 2]
    assert str(ds.time.values[0])[:13] == "2020-01-01T00"


def test_a_general_table_with_units_beside_its_statuses_is_not_taken_for_it(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("Date,Time,pm25,status,unit\n2020-01-01,00:00,1,ok,ug/m3\n2020-01-01,01:00,2,bad,ug/m3\n")
    ds = xaq.open_stations(path, stations=ONE, tz="UTC", valid=["ok", "bad"])
    assert str(ds.time.values[0])[:13] == "2020-01-01T00"
    assert values(ds, "pm25") == [1, 2]


def test_a_list_may_have_codes_beside_the_names_of_sites(path):
    path.write_text("All Data GMT hour ending\nSite Name,London Marylebone Road\n" + HEADER + ROWS)
    places = ONE.assign(**{"Site Name": "London Marylebone Road"})
    ds = xaq.open_stations(path, stations=pd.concat([places, places.assign(station="BEX", **{"Site Name": "Bexley"})]))
    assert ds.station.values.tolist() == ["MY1"]
    assert ds.station_name.values.tolist() == ["London Marylebone Road"]


def test_columns_are_named_by_the_format(path):
    path.write_text(HEADER + ROWS)
    with pytest.raises(
        SchemaError, match=r"columns= names 'Ozon' \(for o3\), which is not used: .*fix: leave o3 out of columns="
    ):
        xaq.open_stations(path, stations=ONE, columns={"o3": "Ozon"})


def test_values_without_a_status_that_is_read_are_counted(path):
    path.write_text(HEADER + ROWS + "2024-01-02,02:00:00,5,,6,?? ugm-3\n")
    ds = xaq.open_stations(path, stations=ONE)
    assert values(ds, "no2") == [50.5, -9, -0.2, -9]
    assert "2 values are missing because no status that xaq reads, such as V, stands beside them" in ds.attrs["history"]


def test_two_columns_of_one_pollutant_at_one_site(path):
    second = '"PM<sub>2.5</sub> particulate matter (Hourly measured)"'
    path.write_text(f"Date,Time,PM2.5,Status,{second},Status\n" + ROWS)
    with pytest.raises(
        SchemaError, match=r"columns 'PM2.5' and 'PM<sub>2.5</sub> .* are both pm25 of MY1, expected one; fix: leave"
    ) as raised:
        xaq.open_stations(path, stations=ONE)
    assert "drop_duplicates" not in str(raised.value)
    path.write_text("Date,Time,PM2.5,Status\n" + "".join(",".join(r.split(",")[:4]) + "\n" for r in ROWS.splitlines()))
    assert values(xaq.open_stations(path, stations=ONE), "pm25") == [50.5, -9, -0.2]
