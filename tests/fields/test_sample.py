"""Gridded fields and rasters at points: laws of sampling, and errors."""

import dask
import numpy as np
import pandas as pd
import pytest
import rioxarray  # noqa: F401 - registers the .rio accessor
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer
from rasterio.enums import Resampling

import xaq
from xaq.errors import SchemaError
from xaq.fields.gridded import Gridded
from xaq.fields.sample import sample_points

TIMES = pd.date_range("2020-01-01", periods=9, freq="3h", unit="s")
LAT, LON = np.arange(48.0, 52.01, 0.5), np.arange(8.0, 12.01, 0.5)


def plane(t, lat, lon):
    """Return values linear in time, latitude and longitude, which interpolation reproduces exactly."""
    hours = (np.asarray(t, "datetime64[s]") - np.datetime64("2020-01-01", "s")) / np.timedelta64(3600, "s")
    return 2.0 * hours + 10.0 * lat - 3.0 * lon


def era5(times=TIMES, lat=LAT, lon=LON):
    t, y, x = np.meshgrid(times.values.astype("datetime64[s]"), lat, lon, indexing="ij")
    return xr.DataArray(
        plane(t, y, x),
        {"time": times, "latitude": lat, "longitude": lon},
        ("time", "latitude", "longitude"),
        "t2m",
        {"units": "K"},
    )


def elevation():
    """Return a plane of metres, as a raster of degrees with a nodata corner."""
    y, x = np.meshgrid(LAT[::-1], LON, indexing="ij")
    values = (100.0 * (y - 48.0) + 10.0 * (x - 8.0)).astype("float32")
    values[:2, :2] = -9999.0
    raster = xr.DataArray(values, {"y": LAT[::-1], "x": LON}, ("y", "x"), "elevation", {"units": "m"})
    return raster.rio.write_crs("EPSG:4326").rio.write_nodata(-9999.0)


@pytest.fixture
def stations():
    return xaq.datasets.synthetic(n_stations=10, days=1).drop_vars("elevation")


# -- laws ----------------------------------------------------------------------------------------------------------

inside = st.tuples(st.floats(8.0, 12.0), st.floats(48.0, 52.0), st.integers(0, 24 * 3600))


@given(inside)
def test_interpolation_of_a_linear_field_is_exact(place):
    lon, lat, second = place
    time = np.datetime64("2020-01-01", "s") + np.timedelta64(second, "s")
    assert float(sample_points(era5(), [lon], [lat], [time])[0, 0]) == pytest.approx(plane(time, lat, lon), abs=0.02)


def variants(field):
    yield "descending latitude", field.isel(latitude=slice(None, None, -1))
    yield "0..360", field.assign_coords(longitude=field.longitude + 360.0)
    yield "-360..0", field.assign_coords(longitude=field.longitude - 360.0)
    yield "other names", field.rename(latitude="lat", longitude="lon", time="valid_time")
    yield "other order", field.transpose("longitude", "time", "latitude")
    yield "a level", field.expand_dims(level=[1000])
    yield "chunks", field.chunk(time=2, latitude=3)
    yield "a dataset", field.to_dataset()


@pytest.mark.parametrize(("_name", "field"), list(variants(era5())), ids=[n for n, _ in variants(era5())])
def test_the_form_of_a_field_does_not_matter(_name, field):
    if "valid_time" in field.coords:
        field["valid_time"].attrs["standard_name"] = "time"
    rng = np.random.default_rng(0)
    lon, lat, times = rng.uniform(8, 12, 20), rng.uniform(48, 52, 20), pd.date_range(TIMES[0], TIMES[-1], freq="1h")
    made = sample_points(field, lon, lat, times)
    np.testing.assert_allclose(made, plane(times.values[None], lat[:, None], lon[:, None]), rtol=1e-5)


def test_a_global_field_joins_at_its_seam():
    lon = np.arange(0.0, 360.0, 10.0)
    values = np.cos(np.radians(lon))[None, :].repeat(3, axis=0)
    field = xr.DataArray(values, {"lat": [-10.0, 0.0, 10.0], "lon": lon}, ("lat", "lon"))
    points = np.array([-5.0, 355.0, 0.0, 179.0, -181.0])
    expected = [values[0, [0, -1]].mean()] * 2 + [1.0] + [np.interp(179.0, lon, values[0])] * 2
    np.testing.assert_allclose(sample_points(field, points, np.zeros(5)), expected, rtol=1e-5)


def test_a_raster_in_another_crs_gives_the_same_heights():
    x, y = np.arange(300_000.0, 700_000.0, 2000.0), np.arange(5_700_000.0, 5_300_000.0, -2000.0)
    lon, lat = Transformer.from_crs("EPSG:32632", "EPSG:4326", always_xy=True).transform(*np.meshgrid(x, y))
    utm = xr.DataArray(100.0 * (lat - 48.0) + 10.0 * (lon - 8.0), {"y": y, "x": x}, ("y", "x")).rio.write_crs(
        "EPSG:32632"
    )
    points = np.random.default_rng(1).uniform([8.0, 48.5], [11.0, 51.0], (50, 2)).T
    np.testing.assert_allclose(
        sample_points(utm, *points), 100.0 * (points[1] - 48.0) + 10.0 * (points[0] - 8.0), atol=0.05
    )
    there_and_back = utm.rio.reproject("EPSG:4326", resampling=Resampling.bilinear)
    # A pixel is 2 km, 1.8 m of height here.
    np.testing.assert_allclose(sample_points(there_and_back, *points), sample_points(utm, *points), atol=2.0)


def test_nodata_is_missing_at_its_cell_and_beside_it():
    raster = elevation()
    made = sample_points(raster, [8.0, 8.75, 9.0, 9.5], [52.0, 51.75, 51.0, 51.5]).values
    np.testing.assert_array_equal(np.isnan(made), [True, True, False, False])
    assert np.isnan(sample_points(raster, [8.7], [51.7], method="nearest")).item() is True
    assert sample_points(raster, [8.8], [51.9], method="nearest").item() == pytest.approx(410.0)
    masked = raster.where(raster != -9999.0)
    np.testing.assert_array_equal(made, sample_points(masked, [8.0, 8.75, 9.0, 9.5], [52.0, 51.75, 51.0, 51.5]))


def test_a_missing_cell_is_missing_at_its_times_only():
    field = era5()
    field[4, 4, 4] = np.nan
    made = sample_points(field, [10.1], [50.1], pd.date_range(TIMES[0], TIMES[-1], freq="1h"))
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(made[0])), np.arange(10, 15))
    gridded = Gridded.of(field)
    np.testing.assert_array_equal(gridded.missing([10.1, 9.0], [50.1, 50.1], TIMES.values), [True, False])
    np.testing.assert_array_equal(gridded.missing([10.1], [50.1], TIMES.values[:2]), [False])


# -- laziness ------------------------------------------------------------------------------------------------------


def test_sampling_a_lazy_field_computes_nothing(stations, no_compute):
    made = stations.isel(time=slice(0, 24)).aq.sample(era5().chunk(time=1))
    assert made.t2m.chunks is not None
    assert made.t2m.dims == ("station", "time")


def test_only_the_chunks_that_are_needed_are_loaded(stations):
    opened = []

    def block(block_info=None):
        opened.append(block_info[None]["chunk-location"])
        return np.ones(block_info[None]["chunk-shape"])

    times = pd.date_range("2019-12-01", periods=480, freq="3h")
    values = dask.array.map_blocks(block, chunks=((8,) * 60, (90, 90), (180, 180)), dtype=float)
    axes = {"time": times, "lat": np.arange(-90.0, 90.0), "lon": np.arange(0.0, 360.0)}
    made = stations.aq.sample(xr.DataArray(values, axes, ("time", "lat", "lon"), "cams"))
    opened.clear()
    np.testing.assert_allclose(made.cams, 1.0, rtol=1e-6)
    assert {o[1:] for o in opened} == {(1, 0)}
    assert len({o[0] for o in opened}) <= 2


# -- as a station variable -----------------------------------------------------------------------------------------


def test_a_sampled_field_is_a_station_variable_with_its_source(stations):
    made = stations.aq.sample(era5(), name="temperature")
    np.testing.assert_allclose(
        made.temperature, plane(made.time.values, made.lat.values[:, None], made.lon.values[:, None]), rtol=1e-5
    )
    assert made.temperature.attrs["units"] == "K"
    assert "'t2m'" in made.temperature.attrs["source"]
    assert "xaq sample: temperature" in made.attrs["history"]
    assert stations.aq.sample(elevation()).elevation.dims == ("station",)


def test_a_sampled_field_works_as_a_covariate(stations):
    ds = xaq.datasets.synthetic(n_stations=10, days=4, step="3h")
    field = era5(pd.date_range("2020-01-01", periods=40, freq="3h"))
    with_weather = ds.aq.sample(field)
    model = with_weather.aq.train("pm25", covariates=["t2m"], max_epochs=1, progress=False)
    assert model.recipe.covariates == ("t2m",)
    with pytest.raises(xaq.errors.ModelError, match="t2m"):
        ds.aq.reanalyze(model, grid=0.5)


# -- errors ----------------------------------------------------------------------------------------------------


def test_errors_of_fields(stations):
    field = era5()
    two_d = field.isel(time=0, drop=True).rename(latitude="y", longitude="x").drop_vars(["x", "y"])
    two_d = two_d.assign_coords(lat=(("y", "x"), np.ones((9, 9))), lon=(("y", "x"), np.ones((9, 9))))
    cases = [
        (field.isel(longitude=slice(0, 3)), "does not cover .* of 10 stations"),
        (field.isel(time=slice(0, 4)), r"covers 2020-01-01T00:00:00 to 2020-01-01T09:00:00.*fix"),
        (field.isel(time=[0, 2, 1]), "sortby"),
        (field.isel(longitude=[0, 2, 1]), "sortby"),
        (field.expand_dims(member=3), r"member \(3\).*isel"),
        (field.to_dataset().assign(u10=field), "which variable"),
        (two_d, "two-dimensional"),
        (elevation().drop_vars("spatial_ref").rename(x="east", y="north"), "no axes"),
        (elevation().drop_vars("spatial_ref"), "write_crs"),
        (field.rename("pm25"), "already"),
        (np.ones((3, 3)), "got ndarray"),
        (field.astype(str), "expected numbers"),
    ]
    for bad, message in cases:
        with pytest.raises(SchemaError, match=message):
            stations.aq.sample(bad)
    with pytest.raises(SchemaError, match="resample"):
        xaq.datasets.synthetic(n_stations=5, days=2, step="6h").isel(time=slice(0, 4)).aq.sample(field)
    with pytest.raises(SchemaError, match="'bilinear' or 'nearest'"):
        stations.aq.sample(field, method="cubic")
    with pytest.raises(SchemaError, match="has no time"):
        sample_points(elevation(), [10.0], [50.0], TIMES)


def test_a_projected_field_in_time_is_sampled_where_the_stations_are(stations):
    x, y = np.arange(200_000.0, 900_000.0, 10_000.0), np.arange(5_250_000.0, 5_800_000.0, 10_000.0)
    lon, lat = Transformer.from_crs("EPSG:32632", "EPSG:4326", always_xy=True).transform(*np.meshgrid(x, y))
    values = plane(TIMES.values[:, None, None], lat, lon)
    field = xr.DataArray(values, {"time": TIMES, "y": y, "x": x}, ("time", "y", "x"), "cmaq").rio.write_crs(
        "EPSG:32632"
    )
    made = stations.aq.sample(field)
    expected = plane(made.time.values, made.lat.values[:, None], made.lon.values[:, None])
    np.testing.assert_allclose(made.cmaq, expected, atol=0.02)
