"""Real files of CMAQ, WRF-Chem and CHIMERE: their own cells at points, backgrounds of real networks."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pyproj import Transformer

import xaq
from xaq.errors import SchemaError, XaqWarning
from xaq.fields.gridded import Gridded
from xaq.fields.sample import sample_points

#: File: (variable, units, shape, first time, whether it has a projection).
FILES = {
    "ioapi_netcdf/O3_8HRMAX.108US2.nc": ("O3_8HRMAX", "1e-9", (1, 27, 44), "2016-07-15T00", True),
    "ioapi_netcdf/gpw_v4_densy_108US2.nc": ("DENS", "persons/km2", (5, 27, 44), "2000-07-01T00", True),
    "model_netcdf/wrf.day1.o3.nc": ("o3", "1e-6", (1, 125, 125), "2012-01-01T00", True),
    "model_netcdf/chimere_ctm.nc": ("pm10", "ug m-3", (24, 82, 128), "2015-03-02T00", False),
}


def raw_cells(path, name):
    """Return the values of a file's variable at the ground, without xaq."""
    values = xr.open_dataset(path)[name].values
    return values[:, 0] if values.ndim == 4 else values


@pytest.mark.parametrize("name", FILES)
def test_a_file_opens_with_one_call(shared_files, name):
    variable, units, shape, first, projected = FILES[name]
    field = xaq.open_field(shared_files / name)
    assert (field.name, field.attrs["units"], field.shape) == (variable, units, shape)
    assert field.time.values[0] == np.datetime64(first)
    assert (field.rio.crs is not None) == projected
    assert field.chunks is not None
    np.testing.assert_array_equal(field.values, raw_cells(shared_files / name, variable))


@pytest.mark.parametrize("name", FILES)
def test_values_at_points_are_those_of_the_files_own_cells(shared_files, name):
    variable, *_ = FILES[name]
    field = xaq.open_field(shared_files / name)
    cells = raw_cells(shared_files / name, variable)
    lon, lat = field.lon.values.ravel(), field.lat.values.ravel()
    for method in ("nearest", "bilinear"):
        made = sample_points(field, lon, lat, method=method).values
        np.testing.assert_array_equal(made, cells.reshape(len(cells), -1).T)
    # A third of a cell from a centre to the next ones, as far as the grid is straight.
    lon, lat = (v.values + np.diff(v.values, axis=1, append=np.nan) / 3 for v in (field.lon, field.lat))
    lon, lat, there = lon[:, :-1].ravel(), lat[:, :-1].ravel(), cells[:, :, :-1].reshape(len(cells), -1).T
    np.testing.assert_array_equal(sample_points(field, lon, lat, method="nearest"), there)
    along = there + (cells[:, :, 1:].reshape(len(cells), -1).T - there) / 3
    size = np.nanmax(np.abs(np.diff(cells, axis=2)))
    between = sample_points(field, lon, lat).values
    assert np.nanmean(np.abs(between - along)) < 0.002 * size


def test_places_of_wrf_lie_on_its_projection_to_a_few_metres(shared_files):
    ds = xr.open_dataset(shared_files / "model_netcdf/wrf.day1.o3.nc")
    field = xaq.open_field(ds)
    np.testing.assert_allclose(np.diff(field.x), 36e3, rtol=1e-5)
    x, y = Transformer.from_crs("EPSG:4326", field.rio.crs, always_xy=True).transform(ds.XLONG.values, ds.XLAT.values)
    assert np.abs(x - field.x.values).max() < 20.0
    assert np.abs(y - field.y.values[:, None]).max() < 20.0


def test_wrf_chem_at_cities_is_its_nearest_cell(shared_files):
    ds = xr.open_dataset(shared_files / "model_netcdf/wrf.day1.o3.nc")
    lon, lat = [-46.63, -43.2, -60.02, -47.9], [-23.55, -22.9, -3.1, -15.8]
    made = sample_points(ds, lon, lat, method="nearest").values[:, 0]
    for x, y, value in zip(lon, lat, made, strict=True):
        away = (ds.XLONG - x) ** 2 * np.cos(np.radians(y)) ** 2 + (ds.XLAT - y) ** 2
        j, i = np.unravel_index(int(away.values.argmin()), away.shape)
        assert value == ds.o3.values[0, 0, j, i]


def test_a_file_with_the_grid_alone_says_that_there_is_no_field(shared_files):
    with pytest.raises(SchemaError, match="no variable on axes"):
        xaq.open_field(shared_files / "model_netcdf/wrfinput_d01.nc")


def test_grids_with_places_and_without_a_crs_are_used_as_they_are(shared_data):
    ds = xr.open_dataset(shared_data / "us_cmaq108_aqs_2016/cmaq_108km.nc")
    on_places = Gridded.of(ds, "cmaq_o3_mda8")
    on_axes = Gridded.of(ds["cmaq_o3_mda8"].rio.write_crs(ds.attrs["crs"]))
    assert on_places.cells is not None
    x, y = np.random.default_rng(0).uniform([-115, 28], [-75, 46], (2000, 2)).T
    assert not on_places.outside(x, y).any()
    np.testing.assert_allclose(on_places.at(x, y), on_axes.at(x, y), atol=0.02)
    atlanta = xr.open_dataset(shared_data / "atlanta_aqs_cmaq_modis_2003_2005/grid_june2004.nc")
    made = sample_points(atlanta["cmaq_pm25"], atlanta.lon.values.ravel(), atlanta.lat.values.ravel())
    np.testing.assert_array_equal(made, atlanta.cmaq_pm25.values.reshape(30, -1).T)


# -- backgrounds -------------------------------------------------------------------------------------------------------


def of_two_days(values, lon, lat, ids, day, name, units):
    """Return a station dataset with one day of observations, and a next one without, which gives the step."""
    both = np.stack([values, np.full(len(values), np.nan)], axis=1).astype("f4")
    coords = {"station": ids, "time": pd.date_range(day, periods=2), "lon": ("station", lon), "lat": ("station", lat)}
    return xr.Dataset({name: (("station", "time"), both, {"units": units})}, coords)


@pytest.mark.slow
def test_cmaq_is_a_background_of_the_ozone_sites_of_a_day(shared_files, shared_data):
    table = pd.read_csv(shared_data / "us_cmaq108_aqs_2016/aqs_daily.csv", dtype={"id": str})
    table = table[table.p == "o3_mda8"]
    assert len(table) == 1252
    ds = of_two_days(table.value, table.lon, table.lat, table.id.to_numpy(str), "2016-07-15", "o3", "ppb")
    file = shared_files / "ioapi_netcdf/O3_8HRMAX.108US2.nc"
    field = xaq.open_field(file)
    where = {"target": "o3", "time": "2016-07-15", "grid": xaq.Grid.regular(0.5, bounds=(-115.0, 30.0, -77.0, 46.0))}
    # Alaska and Hawaii.
    with pytest.warns(XaqWarning, match="'O3_8HRMAX' has no value at 8 of 1252 visible stations: they are left out"):
        whole = ds.aq.reanalyze("kriging", background=field, **where)
    assert whole.o3.notnull().all()
    ds = ds.isel(station=~Gridded.of(field).outside(ds.lon.values, ds.lat.values))
    cube = ds.aq.reanalyze("kriging", background=field, **where)
    xr.testing.assert_equal(cube, ds.aq.reanalyze("kriging", background=xr.open_dataset(file), **where))
    alone = ds.aq.reanalyze("background", background=field, **where)
    lon, lat = np.meshgrid(cube.lon, cube.lat)
    np.testing.assert_array_equal(alone.o3.values.ravel(), sample_points(field, lon.ravel(), lat.ravel()).values[:, 0])
    # The cell of the analysis in which a station lies is nearer to it than the model's.
    at = {
        "lon": xr.DataArray(ds.lon.values, dims="p"),
        "lat": xr.DataArray(ds.lat.values, dims="p"),
        "method": "nearest",
    }
    error = [float(np.abs(c.o3[0].sel(**at).values - ds.o3[:, 0]).mean()) for c in (alone, cube)]
    assert error[1] < 0.85 * error[0]


def test_chimere_is_a_background_of_emilia_romagna(shared_files, shared_data):
    folder = shared_data / "emilia_romagna_pesco_2014_2015"
    table = pd.read_parquet(folder / "obs_pm10_daily_2015.parquet")
    table = table[(table.time == "2015-03-02") & (table.pm10 >= 0)]
    places = pd.read_csv(folder / "stations.csv", dtype={"id": str}).set_index("id").loc[table.station_id.astype(str)]
    ds = of_two_days(
        table.pm10, places.lon, places.lat, places.index.to_numpy(str), "2015-03-02", "pm10", "ug m-3"
    ).assign_coords(lon=("station", places.lon.to_numpy()), lat=("station", places.lat.to_numpy()))
    hourly = xaq.open_field(shared_files / "model_netcdf/chimere_ctm.nc")
    with pytest.raises(SchemaError, match="resample"):
        ds.aq.reanalyze("kriging", target="pm10", grid=0.1, background=hourly, time="2015-03-02")
    daily = hourly.resample(time="D").mean(keep_attrs=True)
    cube = ds.aq.reanalyze("background", target="pm10", grid=0.1, background=daily, time="2015-03-02")
    lon, lat = np.meshgrid(cube.lon, cube.lat)
    expected = sample_points(hourly, lon.ravel(), lat.ravel()).values.mean(axis=1)
    np.testing.assert_allclose(cube.pm10.values.ravel(), expected, rtol=1e-5)
    assert np.isfinite(
        ds.aq.reanalyze("kriging", target="pm10", grid=0.1, background=daily, time="2015-03-02").pm10
    ).all()
