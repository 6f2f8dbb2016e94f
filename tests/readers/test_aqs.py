"""AQS: hourly and daily files of AirData, made small in the form of the real ones."""

import zipfile

import numpy as np
import pandas as pd
import pytest
from made import MAKERS

from xaq.errors import SchemaError, XaqWarning
from xaq.readers.dispatch import open_stations

DAY = "2016-01-15"
#: Duration, standard, event, observations in %, mean, maximum.
HOURS = ("1 HOUR", "", "None", 100.0, 10.2875, 20.8)
BLOCK = ("24-HR BLK AVG", "PM25 24-hour 2012", "None", 100.0, 10.2, 10.2)


def row(values=BLOCK, *, site=23, poc=1, code=88101, day=DAY, method="BAM", **more):
    duration, standard, event, percent, mean, maximum = values
    ozone = code == 44201
    return {
        "Local Site Name": "North Birmingham",
        "State Code": 1, "County Code": 73, "Site Num": site, "Parameter Code": code, "POC": poc, "Latitude": 33.55,
        "Longitude": -86.8, "Datum": "WGS84", "Parameter Name": "Ozone" if ozone else "PM2.5 - Local Conditions",
        "Sample Duration": duration, "Pollutant Standard": standard, "Date Local": day,
        "Units of Measure": "Parts per million" if ozone else "Micrograms/cubic meter (LC)", "Event Type": event,
        "Observation Count": 1, "Observation Percent": percent, "Arithmetic Mean": mean, "1st Max Value": maximum,
        "1st Max Hour": 0, "AQI": 40, "Method Name": " - " if duration.startswith("24-HR") else method, **more,
    }  # fmt: skip


def opened(*rows, **options):
    return open_stations(pd.DataFrame([*rows]), **options)


def test_the_daily_value_is_the_mean_over_24_hours_and_the_method_that_of_the_hours():
    ds = opened(row(BLOCK), row(HOURS))
    assert ds.station.values.tolist() == ["01-073-0023"]
    assert ds.pm25.values[0, 0] == np.float32(10.2)
    assert ds.pm25.attrs["units"] == "ug m-3"
    assert ds.instrument.values.tolist() == ["BAM"]
    assert ds.station_name.values.tolist() == ["North Birmingham"]
    only = opened(row(HOURS))
    assert only.pm25.values[0, 0] == np.float32(10.2875)


def test_events_are_included_and_the_newest_standard_counts():
    excluded = ("24-HR BLK AVG", "PM25 24-hour 2012", "Excluded", 100.0, 5.0, 5.0)
    included = ("24-HR BLK AVG", "PM25 24-hour 2012", "Included", 100.0, 8.5, 8.5)
    older = ("24-HR BLK AVG", "PM25 24-hour 2006", "Included", 100.0, 8.6, 8.6)
    assert opened(row(excluded), row(older), row(included)).pm25.values[0, 0] == np.float32(8.5)
    assert opened(row(excluded)).pm25.values[0, 0] == np.float32(5.0)


def test_ozone_is_the_maximum_of_8_hours_unless_another_column_is_asked_for():
    ozone = row(("8-HR RUN AVG BEGIN HOUR", "Ozone 8-hour 2015", "None", 100.0, 0.027, 0.044), code=44201)
    ds = opened(ozone)
    assert ds.o3.values[0, 0] == np.float32(0.044)
    assert ds.o3.attrs["units"] == "1e-6"
    assert "maximum" in ds.o3.attrs["comment"]
    assert ds.o3.attrs["cell_methods"] == "time: maximum (comment: of the means over 8 hours)"
    mean = opened(ozone, columns={"value": "Arithmetic Mean"})
    assert mean.o3.values[0, 0] == np.float32(0.027)
    assert mean.o3.attrs["cell_methods"] == "time: mean (comment: of the means over 8 hours)"
    named = opened(ozone, columns={"value": "1st Max Value"})
    assert named.identical(ds)


def test_maxima_of_hours_say_so_in_titles_and_cubes_and_are_not_those_of_24_hours():
    rows = [
        row(values, site=s, Latitude=33 + s / 10, Longitude=-86 - s % 3)
        for s in range(1, 7)
        for values in (BLOCK, HOURS)
    ]
    maximum = {"value": "1st Max Value"}
    with pytest.warns(XaqWarning, match="6 rows of one value over 24 hours have no maximum of hours, and are left out"):
        ds = opened(*rows, columns=maximum)
    assert np.unique(ds.pm25.values) == np.float32(20.8)
    assert ds.pm25.attrs["cell_methods"] == "time: maximum"
    cube = ds.aq.reanalyze("idw", grid=0.5)
    assert cube.pm25.attrs["cell_methods"] == "time: maximum"
    assert "daily maximum 2016-01-15" in ds.aq.plot.map(cube).get_title(loc="left")
    with pytest.raises(SchemaError, match=r"have no maximum of hours, and the file has no others; fix: ") as raised:
        opened(row(BLOCK), columns=maximum)
    columns = eval(str(raised.value).split("columns=")[1])
    assert opened(row(BLOCK), columns=columns).pm25.attrs["cell_methods"] == "time: mean"


def test_a_mean_beside_a_maximum_keeps_its_title():
    ozone = ("8-HR RUN AVG BEGIN HOUR", "Ozone 8-hour 2015", "None", 100.0, 0.027, 0.044)
    rows = [
        row(values, site=s, code=code, Latitude=33 + s / 10, Longitude=-86 - s % 3)
        for s in range(1, 7)
        for code, values in ((44201, ozone), (88101, BLOCK))
    ]
    ds = opened(*rows)
    assert "daily mean" in ds.aq.plot.map(ds.aq.reanalyze("idw", target="pm25", grid=0.5)).get_title(loc="left")
    assert "daily mean" in ds.aq.plot.stations("pm25").get_title(loc="left")
    assert "daily maximum" in ds.aq.plot.stations("o3").get_title(loc="left")


def test_one_day_is_one_step_of_a_day_and_can_be_mapped():
    rows = [row(site=site, Latitude=33 + site / 10, Longitude=-86 - (site % 3)) for site in range(1, 7)]
    ds = opened(*rows)
    assert ds.time.values.astype("datetime64[D]").astype(str).tolist() == [DAY]
    assert ds.time.attrs["step"] == "1D"
    assert float(ds.aq.reanalyze("idw", grid=0.5).pm25.mean()) == pytest.approx(10.2)


def test_each_further_instrument_is_a_station():
    rows = [row(poc=3), row(poc=10, method="TEOM", site=23), row(poc=2, site=24), row(code=44201, poc=1)]
    ds = opened(*rows)
    assert ds.station.values.tolist() == ["01-073-0023", "01-073-0023-10", "01-073-0024"]
    assert np.isfinite(ds.pm25.values[:, 0]).all()
    assert np.isfinite(ds.o3.values[:, 0]).tolist() == [True, False, False]
    assert "1 further instrument(s) of a variable at 1 station(s)" in ds.attrs["history"]


def test_the_other_code_of_fine_particles_is_a_further_instrument():
    ds = opened(row(code=88502, poc=1), row(code=88101, poc=4))
    assert ds.station.values.tolist() == ["01-073-0023", "01-073-0023-88502-1"]
    assert opened(row(code=88502, poc=1)).station.values.tolist() == ["01-073-0023"]


def test_days_that_are_not_complete_are_named_with_the_call_that_leaves_them_out():
    few = ("1 HOUR", "", "None", 38.0, 5.0, 9.0)
    table = pd.DataFrame([row(few, site=1), row(site=2)])
    with pytest.warns(XaqWarning, match="1 of 2 daily values rest on less than 75%") as caught:
        ds = open_stations(table)
    assert ds.sizes["station"] == 2
    fix = str(caught[0].message).split("fix: ")[1].split(", where")[0]
    assert eval(fix).station.values.tolist() == ["01-073-0002"]


def test_duplicate_rows_are_refused_and_the_advice_works():
    table = pd.DataFrame([row(), row(), row(poc=2)])
    with pytest.raises(
        SchemaError, match=r"1 duplicate rows, first: station 01-073-0023, instrument 1, pm25"
    ) as caught:
        open_stations(table)
    scope = {"table": table}
    exec(str(caught.value).split("fix: ")[1].split(", where")[0], scope)
    assert open_stations(scope["table"]).sizes["station"] == 2


def test_a_zip_whose_file_has_the_name_of_the_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "daily_88101_2016.zip", "w") as archive:
        archive.writestr("input/daily_88101_2016.zip", pd.DataFrame([row(), row(site=7)]).to_csv(index=False))
    for source in (tmp_path / "daily_88101_2016.zip", tmp_path):
        assert open_stations(source).station.values.tolist() == ["01-073-0007", "01-073-0023"]


def test_the_places_of_the_monitors_of_a_site_are_one():
    ds = opened(row(), row(code=44201, Latitude=33.5513))
    assert ds.lat.values.tolist() == [33.55]
    assert "differ in their places, by 0.0013 degrees" in ds.attrs["history"]


def test_the_list_of_sites_gives_places_and_areas_to_further_instruments_too():
    sites = pd.DataFrame({
        "State Code": ["01", "01"], "County Code": ["073", "073"], "Site Number": ["0023", "9"], "Latitude": [33.0, 34.0],
        "Longitude": [-86.0, -87.0], "Elevation": [200.0, 5.0], "Location Setting": ["URBAN AND CENTER CITY", "RURAL"],
    })  # fmt: skip
    ds = opened(row(), row(poc=2), stations=sites)
    assert ds.lat.values.tolist() == [33.0, 33.0]
    assert ds.elevation.values.tolist() == [200.0, 200.0]
    assert ds.area.values.tolist() == ["urban", "urban"]


def test_hourly_files_are_read_at_gmt_with_codes_as_text_and_other_parameters_by_name(tmp_path):
    table = pd.read_csv(MAKERS["aqs_hourly"](tmp_path).source)
    wind = table.assign(**{"Parameter Code": 61103, "Units of Measure": "Knots"})
    other = table.assign(
        **{"Parameter Code": 63301, "Parameter Name": "Solar radiation", "Units of Measure": "Langleys/minute"}
    )
    canada = table.assign(**{"State Code": "CC"})
    ds = open_stations(pd.concat([table, wind, other, canada]))
    assert ds.station.values.tolist() == ["01-033-1001", "01-033-1002", "CC-033-1001", "CC-033-1002"]
    assert ds.wind_speed.attrs["units"] == "kt"
    assert ds.solar_radiation.attrs["units"] == "Langleys/minute"
    assert str(ds.time.values[0]).startswith("2019-12-31T16")
    pd.DataFrame([row()]).to_csv(tmp_path / "daily.csv", index=False)
    with pytest.raises(SchemaError, match="hourly and daily files"):
        open_stations(tmp_path)
    with pytest.raises(SchemaError, match="no column poc"):
        open_stations(table.drop(columns="POC"), format="aqs")


def test_co_located_instruments_are_hidden_together():
    rows = [row(site=s, poc=p, Latitude=33 + s, Longitude=-86 - s) for s in range(1, 5) for p in (1, 2)]
    rows += [{**r, "Date Local": "2016-01-16"} for r in rows]
    hidden = opened(*rows).aq.hide(["01-073-0002"])
    assert hidden.station[hidden.hidden].values.tolist() == ["01-073-0002", "01-073-0002-2"]


def test_a_second_instrument_far_away_is_an_error():
    assert opened(row(), row(poc=2, Latitude=33.5513)).lat.values.tolist() == [33.55, 33.55]
    with pytest.raises(SchemaError, match=r"1 site\(s\) have several places, up to 1 degrees apart: 01-073-0023"):
        opened(row(), row(poc=2, Latitude=34.55))
    sites = pd.DataFrame({"station": ["01-073-0023"], "lon": [-86.8], "lat": [33.5]})
    assert opened(row(), row(poc=2, Latitude=34.55), stations=sites).lat.values.tolist() == [33.5, 33.5]


def test_carbon_monoxide_is_the_mean_of_the_hours():
    running = row(("8-HR RUN AVG END HOUR", "CO 8-hour 1971", "None", 100.0, 0.4, 0.5), code=42101)
    hours = row(("1 HOUR", "CO 1-hour 1971", "None", 100.0, 0.3, 0.9), code=42101)
    assert opened(running, hours).co.values[0, 0] == np.float32(0.3)


def test_ozone_of_one_hour_is_no_maximum_of_8_hours():
    ozone = row(("8-HR RUN AVG BEGIN HOUR", "Ozone 8-hour 2015", "None", 100.0, 0.027, 0.044), code=44201)
    hour = row(("1 HOUR", "Ozone 1-hour 1979", "None", 100.0, 0.03, 0.09), code=44201, day="2016-01-16")
    with pytest.warns(XaqWarning, match="1 rows of ozone are of 1 HOUR, not of means over 8 hours, and are left out"):
        ds = opened(ozone, hour)
    np.testing.assert_array_equal(ds.o3.values, np.array([[0.044]], np.float32))
    with pytest.raises(SchemaError, match=r"1 rows of ozone are of 1 HOUR.* and the file has no others"):
        opened(hour)
    with pytest.raises(SchemaError, match=r"no column '1st Max Value'.*fix: .*columns=") as raised:
        opened({k: v for k, v in ozone.items() if k != "1st Max Value"})
    columns = eval(str(raised.value).split("columns=")[1].split(" for")[0])
    assert opened(ozone, columns=columns).o3.values[0, 0] == np.float32(0.027)


def test_a_column_of_values_that_is_not_there_and_the_aqi(tmp_path):
    with pytest.raises(SchemaError, match=r"columns= names 'Arithmatic Mean' \(for value\), which does not exist"):
        opened(row(), columns={"value": "Arithmatic Mean"})
    with pytest.raises(SchemaError, match="columns= asks for the AQI"):
        opened(row(), columns={"value": "AQI"})
    table = pd.DataFrame([row()]).assign(corrected=7.0)
    with pytest.raises(SchemaError, match=r"'corrected'.*neither a mean nor a maximum of the day.*fix: ") as raised:
        open_stations(table, columns={"value": "corrected"})
    assert eval(str(raised.value).split("fix: ")[1].split(", where")[0]).pm25.values[0, 0] == 7
    hourly = pd.read_csv(MAKERS["aqs_hourly"](tmp_path).source)
    assert open_stations(hourly, columns={"value": "MDL"}).pm25.max() == 5


def test_a_row_without_an_instrument():
    rows = [row(poc=None), row(day="2016-01-16")]
    with pytest.raises(SchemaError, match=r"1 rows lack one of State Code.*first: row 0 of the table; fix: ") as raised:
        opened(*rows)
    made = {"table": pd.DataFrame(rows)}
    exec(str(raised.value).split("fix: ")[1], made)
    assert open_stations(made["table"]).pm25.notnull().sum() == 1


def test_coordinates_in_nad27_are_those_of_wgs84_and_others_stay():
    # Meades Ranch in Kansas, the origin of NAD27, lies about 30 m further west in NAD83.
    old = {"Longitude": -98.5422, "Latitude": 39.2240}

    def there(**more):
        return opened(row(**{**old, **more}), row(site=24))

    moved = there(Datum="NAD27").sel(station="01-073-0023")
    east = (float(moved.lon) - old["Longitude"]) * 111_320 * np.cos(np.radians(39.224))
    assert -45 < east < -20
    assert abs(float(moved.lat) - old["Latitude"]) * 111_320 < 10
    assert "1 rows have coordinates in NAD27, which are converted to WGS84" in there(Datum="NAD27").attrs["history"]
    for datum in ("NAD83", "WGS84", "UNKNOWN", ""):
        ds = there(Datum=datum).sel(station="01-073-0023")
        assert (float(ds.lon), float(ds.lat)) == (old["Longitude"], old["Latitude"])
    sites = pd.DataFrame({
        "State Code": ["01"], "County Code": ["073"], "Site Number": ["0023"], "Latitude": [39.2240], "Longitude": [-98.5422],
        "Datum": ["NAD27"],
    })  # fmt: skip
    listed = opened(row(), stations=sites)
    np.testing.assert_allclose([listed.lon, listed.lat], [[moved.lon], [moved.lat]])
