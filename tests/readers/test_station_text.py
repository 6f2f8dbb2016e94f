"""What is known of stations in words: type, area and instrument, from lists and rows, and through the verbs."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xaq

HOURS = pd.date_range("2020-01-01", periods=48, freq="h")


def table(**more):
    ids = np.repeat(["a", "b", "c"], len(HOURS))
    values = 10 + np.arange(3)[:, None] * 5 + np.sin(np.arange(len(HOURS)))
    return pd.DataFrame({
        "station": ids, "time": np.tile(HOURS, 3), "pm25": values.ravel(), **{k: np.repeat(v, 48) for k, v in more.items()}
    })  # fmt: skip


def places(**more):
    return pd.DataFrame({"station": ["a", "b", "c"], "lon": [10.0, 10.5, 11.0], "lat": [50.0, 50.2, 50.4], **more})


LISTS = {
    "EEA's table": ("AirQualityStationType", ["traffic", "background", None], ["traffic", "background", ""]),
    "EEA's list": ("Station.Type", ["traffic", "background", "industrial"], ["traffic", "background", "industrial"]),
    "EEA's words in other letters": ("Air Quality Station Type", ["Traffic", "-", "Unknown"], ["traffic", "", ""]),
    "GIOS": ("Typ stacji", ["komunikacyjna", "tło", "BRAK DANYCH"], ["traffic", "background", ""]),
    "EEA's addresses": ("station_type", ["http://x/traffic", "http://x/background", ""], ["traffic", "background", ""]),
}


@pytest.mark.parametrize("name", LISTS)
def test_the_type_of_stations_in_the_words_of_eea(name):
    column, given, expected = LISTS[name]
    ds = xaq.open_stations(table(), stations=places(**{column: given}), tz="UTC")
    assert ds.kind.dims == ("station",)
    assert ds.kind.values.tolist() == expected
    assert "background" in ds.kind.attrs["long_name"]


def test_areas_and_instruments():
    listed = places(
        **{"Typ obszaru": ["miejski", "pozamiejski", "podmiejski"], "MeasurementEquipment": "http://v/API100E"}
    )
    ds = xaq.open_stations(table(), stations=listed, tz="UTC")
    assert ds.area.values.tolist() == ["urban", "rural", "suburban"]
    assert ds.instrument.values.tolist() == ["API100E"] * 3


def test_several_texts_of_one_station_are_all_kept_and_a_number_is_no_text():
    listed = pd.concat([places(instrument=["BAM", "TEOM", "BAM"]), places(instrument=["BAM", "SHARP", ""])])
    ds = xaq.open_stations(table(), stations=listed.assign(area=3.5), tz="UTC")
    assert ds.instrument.values.tolist() == ["BAM", "TEOM; SHARP", "BAM"]
    assert "area" not in ds.variables


def test_the_list_comes_before_the_rows_which_fill_what_it_lacks():
    rows = table(
        kind=["traffic", "traffic", "industrial"], area=["urban", "rural", "urban"], lon=[10.0] * 3, lat=[50.0] * 3
    )
    ds = xaq.open_stations(rows, stations=places(kind=["background", "", "background"]), tz="UTC")
    assert ds.kind.values.tolist() == ["background", "traffic", "background"]
    assert ds.area.values.tolist() == ["urban", "rural", "urban"]


def test_no_text_no_coordinate():
    assert set(xaq.open_stations(table(), stations=places(), tz="UTC").coords) == {"station", "time", "lon", "lat"}


def test_they_survive_hide_repair_estimate_and_files(tmp_path):
    ds = xaq.open_stations(table(), stations=places(kind=["traffic", "background", ""]), tz="UTC")
    changed = ds.aq.hide(["b"]).aq.repair(units={"pm25": "ug m-3"}).aq.convert_units({"pm25": "mg m-3"})
    assert changed.kind.values.tolist() == ["traffic", "background", ""]
    ds.to_netcdf(tmp_path / "a.nc")
    ds.to_zarr(tmp_path / "a.zarr", consolidated=False)
    for again in (xaq.open_stations(tmp_path / "a.nc"), xaq.open_stations(tmp_path / "a.zarr")):
        assert "kind" in again.coords
        assert again.kind.values.tolist() == ["traffic", "background", ""]
    xr.testing.assert_equal(ds.sel(station=ds.kind == "traffic").pm25, ds.pm25[:1])


@pytest.mark.parametrize("column", ["name", "Site Name", "station_name", "Nazwa stacji", "AirQualityStationName"])
def test_names_of_stations_from_the_list_and_from_rows(column, tmp_path):
    ds = xaq.open_stations(table(), stations=places(**{column: ["Łódź", "Zürich", ""]}), tz="UTC")
    assert ds.station_name.values.tolist() == ["Łódź", "Zürich", ""]
    rows = table(**{column: ["A", "B", "C"], "lon": [10.0, 11.0, 12.0], "lat": [50.0] * 3})
    ds = xaq.open_stations(rows, tz="UTC")
    assert ds.station_name.values.tolist() == ["A", "B", "C"]
    ds.to_netcdf(tmp_path / "a.nc")
    assert xaq.open_stations(tmp_path / "a.nc").station_name.values.tolist() == ["A", "B", "C"]
    assert ds.aq.hide(["b"]).station_name.values.tolist() == ["A", "B", "C"]


def test_a_name_that_is_the_id_is_no_name_beside_it():
    ds = xaq.open_stations(
        table(),
        stations=places().rename(columns={"station": "name"}),
        columns={"station": ["station", "name"]},
        tz="UTC",
    )
    assert "station_name" not in ds.coords


def test_a_column_of_the_name_of_a_text_does_not_meet_it():
    with pytest.warns(
        UserWarning, match="column 'area' of numbers is left out: area is a coordinate of the stations"
    ) as said:
        ds = xaq.open_stations(table(area=[3.0] * 3), stations=places(area="urban"), tz="UTC")
    assert ds.area.values.tolist() == ["urban"] * 3
    assert "area" not in ds.data_vars
    made = {"table": table(area=[3.0] * 3)}
    exec(str(said[0].message).split("fix: ")[1].split(" to have")[0], made)
    assert xaq.open_stations(made["table"], stations=places(area="urban"), tz="UTC").area_number.values[0, 0] == 3
    for name in ("kind", "instrument"):
        ds = xaq.open_stations(table(**{name: ["1", "2", "3"]}), stations=places(), tz="UTC")
        assert ds[name].values.tolist() == ["1", "2", "3"]
    assert xaq.open_stations(table(area=[3.0] * 3), stations=places(), tz="UTC").area.values[0, 0] == 3
