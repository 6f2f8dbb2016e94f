"""NetCDF as CF has it: fill values, times, bounds, flags, grid mapping, points as series; whole or absent; block by block."""

import importlib.util
import json
import warnings
from datetime import UTC, datetime

import dask
import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from dask.callbacks import Callback

import xaq
from xaq.errors import SchemaError, StoreError, XaqError
from xaq.export import netcdf
from xaq.nn.config import AQNetConfig

GRID = xaq.Grid.regular(0.5, bounds=(9.0, 49.0, 11.0, 50.5))
#: What a cube may be: lazy, of periods with members, opened from a store by xaq and by xarray, and selections from it.
KINDS = ("lazy", "days", "stored", "opened", "by xarray", "one step", "a column", "a cell", "forecast")
POINTS = ("cohort", "days at points", "a point", "members at points")


@pytest.fixture(scope="module")
def network():
    ds = xaq.datasets.synthetic(n_stations=12, days=4, seed=4)
    # Missing where no station reports, and cells that no station supports.
    return ds.assign(pm25=ds.pm25.where(ds.time != ds.time[20]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("netcdf")


@pytest.fixture(scope="module")
def made(network, folder):
    store = folder / "c.zarr"
    afternoon = {"time": slice("2020-01-01T17", None), "max_distance": 60.0, "grid": GRID}
    lazy = network.aq.reanalyze("kriging", **afternoon)
    stored = network.aq.reanalyze("kriging", store=store, progress=False, **afternoon)
    person = pd.Index(["anna", "bert"], name="person")
    lon, lat = pd.Series([9.5, 10.5], person), pd.Series([49.5, 50.0], person)
    weeks = xaq.datasets.synthetic(n_stations=12, days=30, step="6h", seed=4)
    config = AQNetConfig(
        task="forecast", hidden=8, heads=2, k=4, steps_per_day=4, patch=4, days_before=2, days_after=0, target_days=2
    )
    model = weeks.aq.train(task="forecast", config=config, max_epochs=0, progress=False)
    return {
        "lazy": lazy,
        "days": weeks.isel(time=slice(0, 32))
        .aq.reanalyze("kriging", grid=GRID, freq="D", tz="Europe/Berlin", members=2)
        .compute(),
        "stored": stored,
        "opened": xaq.open_cube(store),
        "by xarray": xr.open_zarr(store, decode_coords="all"),
        "one step": lazy.sel(time="2020-01-02T05")[["pm25"]],
        "a column": lazy.isel(lon=0),
        "a cell": lazy.isel(lon=0, lat=0),
        "forecast": weeks.aq.reanalyze(model, grid=GRID, store=folder / "f.zarr", progress=False),
        "cohort": network.aq.estimate("kriging", lon=lon, lat=lat),
        "days at points": weeks.isel(time=slice(0, 32))
        .aq.estimate("kriging", lon=[9.5, 10.5], lat=[49.5, 50.0], freq="D")
        .compute(),
        "a point": network.aq.estimate("kriging", lon=[9.5], lat=[49.5]).isel(point=0),
        "members at points": network.aq.estimate("kriging", lon=[9.5, 10.5], lat=[49.5, 50.0], members=2),
    }


@pytest.fixture(scope="module")
def files(made, folder):
    return {kind: xaq.to_netcdf(cube, folder / f"{i}.nc") for i, (kind, cube) in enumerate(made.items())}


@pytest.mark.parametrize("kind", [*KINDS, *POINTS])
def test_the_cf_checker_finds_nothing(files, kind, tmp_path):
    runner = pytest.importorskip("compliance_checker.runner", reason="compliance-checker is in the dev extra")
    report = tmp_path / "report.json"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not runner.CheckSuite.checkers:
            runner.CheckSuite.load_all_available_checkers()
        runner.ComplianceChecker.run_checker(
            str(files[kind]), ["cf:1.11"], 0, "normal", output_filename=str(report), output_format="json"
        )
    (found,) = json.loads(report.read_text()).values()
    priorities = ("high_priorities", "medium_priorities", "low_priorities")
    assert [m for p in priorities for check in found[p] for m in check["msgs"]] == []


@pytest.mark.parametrize("kind", [*KINDS, *POINTS])
def test_the_file_holds_the_values_of_the_cube(made, files, kind):
    with xr.open_dataset(files[kind], decode_coords="all") as back:
        assert set(back.data_vars) == set(made[kind].data_vars)
        for name, variable in made[kind].data_vars.items():
            np.testing.assert_allclose(back[name].transpose(*variable.dims), variable, rtol=1e-6, err_msg=str(name))
            assert back[name].attrs.get("units") == variable.attrs.get("units")
        np.testing.assert_array_equal(back.time, made[kind].time)


def test_missing_values_are_finite_and_in_data_only(files):
    with netCDF4.Dataset(files["stored"]) as file:
        file.set_auto_mask(False)
        missing = file["pm25"][3]
        assert (missing == np.float32(netCDF4.default_fillvals["f4"])).all()
        for name, variable in file.variables.items():
            floats = name in ("pm25", "pm25_lower", "pm25_upper", "nearest_station")
            assert hasattr(variable, "_FillValue") == floats, name
            if floats:
                assert np.isfinite(variable._FillValue)
                assert variable.filters()["zlib"]


@pytest.mark.parametrize(
    ("kind", "units", "first", "width"),
    [
        ("stored", "hours since 2020-01-01", 17.0, 1.0),
        ("days", "hours since 2019-12-31", 23.0, 24.0),
        ("forecast", "hours since 2020-01-30", 24.0, 6.0),
        ("days at points", "days since 2020-01-01", 0.0, 1.0),
        ("cohort", "hours since 2020-01-01", 0.0, 1.0),
    ],
)
def test_times_count_from_a_midnight_and_their_bounds_too(files, kind, units, first, width):
    with netCDF4.Dataset(files[kind]) as file:
        assert file["time"].units == units
        assert file["time"].bounds == "time_bnds"
        assert file["time"][0] == first
        assert file["time_bnds"][0].tolist() == [first, first + width]
        assert getattr(file["time_bnds"], "units", units) == units


@pytest.mark.parametrize(
    "chosen",
    [
        lambda at: at.sel(time=at.time.dt.hour == 8),
        lambda at: at.isel(time=[5]),
        lambda at: at.resample(time="D").mean(),
    ],
    ids=["an hour of each day", "one step", "means of days"],
)
def test_points_whose_interval_is_not_known_have_no_bounds(made, tmp_path, chosen):
    with netCDF4.Dataset(xaq.to_netcdf(chosen(made["cohort"]), tmp_path / "c.nc")) as file:
        assert "time_bnds" not in file.variables
        assert not hasattr(file["time"], "bounds")
        assert not hasattr(file, "time_coverage_resolution")


def test_the_intervals_of_selected_points_are_those_of_the_estimate(made, tmp_path):
    at = made["cohort"]
    morning = at.sel(time=at.time.dt.hour.isin([7, 8]))
    with netCDF4.Dataset(xaq.to_netcdf(morning, tmp_path / "c.nc")) as file:
        assert (np.diff(file["time_bnds"][:]) == 1.0).all()
        assert file.time_coverage_end == "2020-01-04T09:00:00Z"


@pytest.mark.parametrize("kind", ["lazy", "days", "stored", "opened", "by xarray", "forecast"])
def test_a_field_of_a_cube_has_the_bounds_of_the_cube(made, files, tmp_path, kind):
    field = xaq.to_netcdf(made[kind][["pm25"]], tmp_path / "c.nc")
    with netCDF4.Dataset(field) as file, netCDF4.Dataset(files[kind]) as whole:
        for name in ("time_bnds", "lat_bnds", "lon_bnds"):
            np.testing.assert_allclose(file[name][:], whole[name][:], err_msg=name)
        for name in ("time_coverage_end", "time_coverage_resolution", "geospatial_lat_min", "geospatial_lon_max"):
            assert getattr(file, name) == getattr(whole, name)


@pytest.mark.parametrize(
    "coarser",
    [
        lambda cube: cube.coarsen(time=2, lat=2, lon=2, boundary="trim").mean(),
        lambda cube: cube.isel(time=slice(None, None, 2), lat=slice(None, None, 2), lon=slice(None, None, 2)),
    ],
    ids=["means", "some"],
)
def test_a_field_whose_cells_are_not_known_has_no_bounds(made, tmp_path, coarser):
    with netCDF4.Dataset(xaq.to_netcdf(coarser(made["lazy"][["pm25"]]), tmp_path / "c.nc")) as file:
        assert not {"time_bnds", "lat_bnds", "lon_bnds"} & set(file.variables)


def test_a_path_in_the_home_folder(made, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert xaq.to_netcdf(made["a point"], "~/c.nc") == tmp_path / "c.nc"
    assert (tmp_path / "c.nc").exists()


@pytest.mark.parametrize("kind", ["lazy", "stored", "opened", "by xarray", "days"])
def test_flags_are_bytes_and_their_values_too(files, kind):
    with netCDF4.Dataset(files[kind]) as file:
        flags = file["supported"]
        assert flags.dtype == flags.flag_values.dtype == np.int8
        assert flags.flag_values.tolist() == [0, 1]


def test_flags_of_older_stores_become_bytes(made, tmp_path):
    older = made["stored"].assign(supported=made["stored"].supported.astype(bool))
    with netCDF4.Dataset(xaq.to_netcdf(older, tmp_path / "c.nc")) as file:
        assert file["supported"].dtype == file["supported"].flag_values.dtype == np.int8


@pytest.mark.parametrize("kind", ["lazy", "stored", "opened", "by xarray", "days", "one step", "a column"])
def test_every_field_names_its_grid_mapping(files, kind):
    with netCDF4.Dataset(files[kind]) as file:
        fields = [
            v
            for v in file.variables.values()
            if {"lat", "lon"} & set(v.dimensions) and v.name[:3] not in ("lat", "lon")
        ]
        assert fields
        assert {v.grid_mapping for v in fields} == {"spatial_ref"}
        assert file["spatial_ref"].grid_mapping_name == "latitude_longitude"
        assert "WGS 84" in file["spatial_ref"].long_name
        assert not any("spatial_ref" in getattr(v, "coordinates", "") for v in file.variables.values())


def test_what_a_selection_left_behind_is_not_named(files):
    with netCDF4.Dataset(files["one step"]) as file:
        assert not hasattr(file["pm25"], "ancillary_variables")
    with netCDF4.Dataset(files["a column"]) as file:
        assert not hasattr(file["lon"], "bounds")
        assert file["lat"].bounds == "lat_bnds"


def test_a_forecast_has_its_reference_time_and_its_leads(made, files):
    with netCDF4.Dataset(files["forecast"]) as file:
        assert file["forecast_reference_time"].standard_name == "forecast_reference_time"
        assert file["forecast_reference_time"][:] == 18.0
        assert file["forecast_reference_time"].units == "hours since 2020-01-30"
        assert file["forecast_period"].standard_name == "forecast_period"
        assert file["forecast_period"].units == "hours"
        assert file["forecast_period"][:].tolist() == [6.0 * n for n in range(1, 9)]
        assert set(file["pm25"].coordinates.split()) == {"forecast_reference_time", "forecast_period"}
    assert "forecast_period" not in made["lazy"].coords


def test_bounds_and_the_grid_mapping_have_no_coordinates_of_their_own(files):
    with netCDF4.Dataset(files["forecast"]) as file:
        named = [name for name, variable in file.variables.items() if hasattr(variable, "coordinates")]
    assert not {"time_bnds", "lat_bnds", "lon_bnds", "spatial_ref"} & set(named)
    assert "pm25" in named


def test_a_stored_forecast_has_them_as_coordinates(made, folder):
    with xr.open_zarr(folder / "f.zarr") as plain:
        assert {"forecast_reference_time", "forecast_period"} <= set(plain.pm25.coords)
        assert (plain.forecast_reference_time + plain.forecast_period == plain.time).all()
    with xr.open_zarr(folder / "f.zarr", decode_times=False, decode_timedelta=False) as raw:
        assert raw.forecast_period.attrs["units"] == "seconds"
        assert raw.forecast_reference_time.attrs["units"] == "seconds since 1970-01-01"


def test_points_are_series_with_identifiers(files):
    with netCDF4.Dataset(files["cohort"]) as file:
        assert file.featureType == "timeSeries"
        assert file["pm25"].dimensions == ("person", "time")
        assert file["person"].cf_role == "timeseries_id"
        assert file["person"][:].tolist() == ["anna", "bert"]
        assert file["lon"].standard_name == "longitude"
    with netCDF4.Dataset(files["days at points"]) as file:
        assert file["point"].cf_role == "timeseries_id"
        assert "period_end" not in file.variables


@pytest.mark.parametrize("unlimited", [True, False])
def test_time_is_the_record_dimension_where_asked(made, tmp_path, unlimited):
    path = xaq.to_netcdf(made["lazy"], tmp_path / "c.nc", unlimited=unlimited)
    with netCDF4.Dataset(path) as file:
        assert file.dimensions["time"].isunlimited() == unlimited
        assert not file.dimensions["lat"].isunlimited()


def test_the_file_says_what_it_is(made, tmp_path):
    given = {"institution": "University of Somewhere", "license": "CC-BY-4.0", "title": "Mine"}
    path = xaq.to_netcdf(made["lazy"], tmp_path / "c.nc", attrs=given)
    with netCDF4.Dataset(path) as file:
        assert file.Conventions == "CF-1.11, ACDD-1.3"
        assert (file.institution, file.license, file.title) == tuple(given.values())
        assert file.summary == (
            "PM2.5 on a grid of 3 x 4 cells, estimated by kriging from 12 stations, with the bounds of its 90 % interval."
        )
        extent = [file.geospatial_lon_min, file.geospatial_lat_min, file.geospatial_lon_max, file.geospatial_lat_max]
        assert extent == [9.0, 49.0, 11.0, 50.5]
        assert (file.time_coverage_start, file.time_coverage_end) == ("2020-01-01T17:00:00Z", "2020-01-05T00:00:00Z")
        assert (file.time_coverage_duration, file.time_coverage_resolution) == ("PT79H", "PT1H")
        created = datetime.fromisoformat(file.date_created)
        assert abs((datetime.now(UTC) - created).total_seconds()) < 60
        assert json.loads(file.xaq_provenance)["method"] == "kriging"
    assert made["lazy"].attrs["title"] != "Mine"


@pytest.mark.parametrize(("kind", "resolution"), [("days", "P1D"), ("forecast", "PT6H"), ("days at points", "P1D")])
def test_the_resolution_is_that_of_the_periods(files, kind, resolution):
    with netCDF4.Dataset(files[kind]) as file:
        assert file.time_coverage_resolution == resolution


def test_the_cube_itself_does_not_change(made, tmp_path):
    cube = made["stored"]
    attrs, encoding = dict(cube.pm25.attrs), dict(cube.pm25.encoding)
    xaq.to_netcdf(cube, tmp_path / "c.nc")
    assert (dict(cube.pm25.attrs), dict(cube.pm25.encoding)) == (attrs, encoding)
    assert "units_metadata" not in cube.time.attrs
    assert "time_bnds" in cube.coords


def test_a_cube_is_written_block_by_block(network, tmp_path):
    cube = network.aq.reanalyze("idw", grid=GRID, chunks={"time": 12})
    largest = [0]

    def note(key, result, *_):
        size = max((r.size for r in [result] if isinstance(r, np.ndarray) and r.dtype == np.float32), default=0)
        largest[0] = max(largest[0], size)

    with dask.config.set(scheduler="synchronous"), Callback(posttask=note):
        xaq.to_netcdf(cube, tmp_path / "c.nc")
    assert 0 < largest[0] <= 12 * 3 * 4


# -- whole or absent -------------------------------------------------------------------------------------------------


def test_a_file_is_whole_or_absent(made, tmp_path):
    path = tmp_path / "c.nc"

    def broken(block):
        raise RuntimeError("the estimate fails")

    cube = made["lazy"]
    bad = cube.assign(
        pm25=cube.pm25.copy(data=cube.pm25.data.map_blocks(broken, dtype="f4", meta=np.empty((0, 0, 0), "f4")))
    )
    with pytest.raises(RuntimeError, match="the estimate fails"):
        xaq.to_netcdf(bad, path)
    assert list(tmp_path.iterdir()) == []
    xaq.to_netcdf(cube, path)
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="the estimate fails"):
        xaq.to_netcdf(bad, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_newer_file_replaces_an_older_one(made, tmp_path):
    path = xaq.to_netcdf(made["lazy"], tmp_path / "c.nc")
    assert xaq.to_netcdf(made["forecast"], path) == path
    with netCDF4.Dataset(path) as file:
        assert "forecast_period" in file.variables


# -- what cannot be written ------------------------------------------------------------------------------------------


def fix_of(error):
    return str(error.value).partition("fix: ")[2]


def test_a_field_alone_is_written_by_the_fix(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SchemaError, match="expected a Dataset") as error:
        xaq.to_netcdf(made["lazy"].pm25, "pm25.nc")
    code = fix_of(error).replace("cube[[", "cube.to_dataset()[[")
    eval(code, {"xaq": xaq, "cube": made["lazy"].pm25})
    assert (tmp_path / "pm25.nc").exists()


@pytest.mark.parametrize(
    "broken",
    [
        lambda cube: cube.drop_vars("lat"),
        lambda cube: cube.drop_vars(list(cube.data_vars)),
        lambda cube: cube.rename(lat="y", lon="x"),
    ],
    ids=["no lat", "no variables", "projected"],
)
def test_what_is_no_cube_is_refused(made, tmp_path, broken):
    with pytest.raises(SchemaError, match=r"fix: cube = xaq\.open_cube"):
        xaq.to_netcdf(broken(made["lazy"]), tmp_path / "c.nc")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_selection_is_refused(made, tmp_path):
    with pytest.raises(SchemaError, match="nothing along time"):
        xaq.to_netcdf(made["lazy"].isel(time=slice(0, 0)), tmp_path / "c.nc")


def test_a_curvilinear_grid_is_refused(made, tmp_path):
    lat, lon = xr.broadcast(made["lazy"].lat, made["lazy"].lon)
    curved = xr.Dataset(
        {"pm25": (("y", "x"), lat.values)}, {"lat": (("y", "x"), lat.values), "lon": (("y", "x"), lon.values)}
    )
    with pytest.raises(SchemaError, match=r"lat is along \('y', 'x'\)"):
        xaq.to_netcdf(curved, tmp_path / "c.nc")


def test_a_folder_that_is_not_there_is_made_by_the_fix(made, tmp_path):
    path = tmp_path / "new" / "c.nc"
    with pytest.raises(StoreError, match="no such folder") as error:
        xaq.to_netcdf(made["lazy"], path)
    exec(f"import os; {fix_of(error)}")
    assert xaq.to_netcdf(made["lazy"], path).exists()


def test_a_folder_is_no_file(made, tmp_path):
    with pytest.raises(StoreError, match="is a folder") as error:
        xaq.to_netcdf(made["lazy"], tmp_path)
    assert eval(fix_of(error), {"xaq": xaq, "cube": made["lazy"]}).exists()


def test_a_disk_that_is_full_leaves_nothing(made, tmp_path, monkeypatch):
    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(StoreError, match="No space left on device"):
        xaq.to_netcdf(made["lazy"], tmp_path / "c.nc")
    assert list(tmp_path.iterdir()) == []


def test_without_netcdf4_the_error_names_the_package(made, tmp_path, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(netcdf, "find_spec", lambda name: None if name == "netCDF4" else real(name))
    with pytest.raises(StoreError, match=r"fix: pip install netCDF4$"):
        xaq.to_netcdf(made["lazy"], tmp_path / "c.nc")


@pytest.mark.parametrize("attrs", ["CC-BY", {"license": 4}, {1: "x"}, {"license": ""}])
def test_attributes_are_texts_by_name(made, tmp_path, attrs):
    with pytest.raises(XaqError, match="attrs") as error:
        xaq.to_netcdf(made["lazy"], tmp_path / "c.nc", attrs=attrs)
    given = eval(f"dict({fix_of(error)})")
    assert xaq.to_netcdf(made["lazy"], tmp_path / "c.nc", **given).exists()
