"""STAC Collections of cubes: extents by bounds, steps of periods, the antimeridian, and what a catalogue needs."""

import json

import numpy as np
import pytest
import zarr

import xaq
from xaq.errors import SchemaError, StoreError
from xaq.export.stac import _geographic


@pytest.fixture(scope="module")
def stations():
    return xaq.datasets.synthetic(n_stations=12, days=60, step="6h")


@pytest.fixture(scope="module")
def store(stations, tmp_path_factory):
    path = tmp_path_factory.mktemp("stac") / "pm25.zarr"
    grid = xaq.Grid.regular(0.5, bounds=(9.0, 49.0, 11.0, 50.5))
    stations.aq.reanalyze("kriging", grid=grid, time=("2020-01-01", "2020-01-03"), store=path, progress=False)
    return path


def test_extents_are_those_of_the_bounds_of_cells_and_times(store):
    extent = xaq.stac(store)["extent"]
    assert extent["spatial"]["bbox"] == [[9.0, 49.0, 11.0, 50.5]]
    assert extent["temporal"]["interval"] == [["2020-01-01T00:00:00Z", "2020-01-04T00:00:00Z"]]


def test_dimensions_and_variables_are_those_of_the_cube(store):
    collection, cube = xaq.stac(store), xaq.open_cube(store)
    dimensions = collection["cube:dimensions"]
    assert set(dimensions) == {"time", "lat", "lon"}
    assert dimensions["lon"] == {
        "type": "spatial", "axis": "x", "reference_system": 4326, "extent": [9.25, 10.75], "step": 0.5
    }  # fmt: skip
    assert dimensions["time"]["step"] == "P0DT6H0M0S"
    assert dimensions["time"]["extent"] == ["2020-01-01T00:00:00Z", "2020-01-03T18:00:00Z"]
    variables = collection["cube:variables"]
    assert set(variables) == set(cube.data_vars)
    assert variables["pm25"]["unit"] == "ug m-3"
    assert variables["pm25"]["dimensions"] == ["time", "lat", "lon"]
    assert "mass_concentration_of_pm2p5_ambient_aerosol_particles_in_air" in collection["keywords"]


def test_the_asset_is_the_store_with_its_form_and_cells(store, stations, tmp_path):
    asset = xaq.stac(store)["assets"]["zarr"]
    assert asset["href"] == "./pm25.zarr"
    assert asset["type"] == "application/vnd.zarr; version=3"
    assert asset["proj:transform"] == [0.5, 0.0, 9.0, 0.0, 0.5, 49.0]
    assert asset["proj:shape"] == [3, 4]
    assert asset["proj:bbox"] == [9.0, 49.0, 11.0, 50.5]
    assert {"name": "status_flag", "unit": "1"} in asset["cf:parameter"]
    particles = "mass_concentration_of_pm2p5_ambient_aerosol_particles_in_air"
    # The target alone: bounds of its interval have no standard name.
    assert [p for p in asset["cf:parameter"] if p["name"] == particles] == [{"name": particles, "unit": "ug m-3"}]
    # The schema of CF 0.2.0 refuses summaries in which it has no part.
    assert xaq.stac(store)["summaries"]["cf:parameter"] == asset["cf:parameter"]
    older = tmp_path / "two.zarr"
    stations.isel(time=slice(8)).aq.reanalyze("idw", grid=0.5, store=older, zarr_format=2, progress=False)
    assert xaq.stac(older)["assets"]["zarr"]["type"] == "application/vnd.zarr; version=2"


def test_it_is_json_and_has_what_a_collection_must_have(store):
    collection = json.loads(json.dumps(xaq.stac(store)))
    required = {"type", "stac_version", "id", "description", "license", "extent", "links"}
    assert required <= set(collection)
    assert collection["id"] == "pm25"
    assert collection["license"] == "other"


def test_what_is_given_is_taken(store):
    given = xaq.stac(store, id="europe", href="s3://bucket/pm25.zarr", license="CC-BY-4.0")
    assert (given["id"], given["license"], given["links"]) == ("europe", "CC-BY-4.0", [])
    assert given["assets"]["zarr"]["href"] == "s3://bucket/pm25.zarr"
    linked = xaq.stac(store, license="https://example.org/terms")
    assert linked["license"] == "other"
    assert linked["links"] == [{"rel": "license", "href": "https://example.org/terms"}]


def test_a_box_across_the_date_line_is_geographic_and_that_of_the_projection_is_not(stations, tmp_path):
    east = stations.isel(time=slice(8)).assign_coords(lon=stations.lon + 170.0)
    grid = xaq.Grid.regular(0.5, bounds=(179.0, 49.0, -179.0, 50.5))
    east.aq.reanalyze("idw", grid=grid, store=tmp_path / "c.zarr", progress=False)
    made = xaq.stac(tmp_path / "c.zarr")
    assert made["extent"]["spatial"]["bbox"] == [[179.0, 49.0, -179.0, 50.5]]
    assert made["assets"]["zarr"]["proj:bbox"] == [179.0, 49.0, 181.0, 50.5]


def test_an_institution_is_the_producer(stations, tmp_path):
    stations.isel(time=slice(8)).aq.reanalyze("idw", grid=0.5, store=tmp_path / "c.zarr", progress=False)
    assert "providers" not in xaq.stac(tmp_path / "c.zarr")
    with pytest.MonkeyPatch.context() as patch:
        cube = xaq.open_cube(tmp_path / "c.zarr").assign_attrs(institution="University of Somewhere")
        patch.setattr("xaq.export.stac.open_cube", lambda store: cube)
        made = xaq.stac(tmp_path / "c.zarr")
    assert made["providers"] == [{"name": "University of Somewhere", "roles": ["producer"]}]


@pytest.mark.parametrize(("tz", "step"), [("UTC", "P1D"), ("Europe/Berlin", None)])
def test_local_days_have_no_step_where_the_clock_changes(stations, tmp_path, tz, step):
    spring = stations.assign_coords(time=stations.time + (np.datetime64("2020-03-01") - stations.time[0]))
    options = {"grid": 0.5, "progress": False, "store": tmp_path / "c.zarr"}
    spring.aq.reanalyze("idw", freq="D", tz=tz, time="2020-03", **options)
    time = xaq.stac(tmp_path / "c.zarr")["cube:dimensions"]["time"]
    assert time.get("step") == step
    if step is None:
        assert time["values"][-3:] == ["2020-03-28T23:00:00Z", "2020-03-29T22:00:00Z", "2020-03-30T22:00:00Z"]


def test_months_have_the_step_of_a_month(stations, tmp_path):
    options = {"grid": 0.5, "progress": False}
    stations.aq.reanalyze("idw", freq="MS", capture=0.5, store=tmp_path / "months.zarr", **options)
    time = xaq.stac(tmp_path / "months.zarr")["cube:dimensions"]["time"]
    assert time["step"] == "P1M"


def test_boxes_have_longitudes_of_180_degrees_and_cross_the_antimeridian_westwards():
    assert _geographic([350.0, 40.0, 375.0, 50.0]) == [-10.0, 40.0, 15.0, 50.0]
    assert _geographic([170.0, 40.0, 190.0, 50.0]) == [170.0, 40.0, -170.0, 50.0]
    assert _geographic([100.0, 40.0, 180.0, 50.0]) == [100.0, 40.0, 180.0, 50.0]
    assert _geographic([0.0, -90.0, 360.0, 90.0]) == [-180.0, -90.0, 180.0, 90.0]


def test_a_store_object_has_no_address_and_what_is_no_text_is_refused(store, stations):
    memory = zarr.storage.MemoryStore()
    stations.isel(time=slice(8)).aq.reanalyze("idw", grid=0.5, store=memory, progress=False)
    with pytest.raises(StoreError, match="has no address") as error:
        xaq.stac(memory)
    fix = eval(f"dict({str(error.value).partition('fix: ')[2]})")
    assert xaq.stac(memory, **fix)["id"] == "pm25"
    with pytest.raises(SchemaError, match="license is 4"):
        xaq.stac(store, license=4)
