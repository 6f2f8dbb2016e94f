import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xaq import datasets
from xaq.cube.grid import Grid
from xaq.errors import SchemaError
from xaq.stations.schema import conform


@pytest.mark.parametrize(
    ("name", "n_stations", "n_days", "first", "elevation"),
    [("germany", 69, 365, "2005-01-01", True), ("germany-1998-2009", 70, 4383, "1998-01-01", False)],
)
def test_bundled_networks(name, n_stations, n_days, first, elevation):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ds = datasets.load(name)
    assert ds.pm10.shape == (n_stations, n_days)
    assert ds.pm10.attrs["units"] == "ug m-3"
    assert "units_note" not in ds.pm10.attrs
    assert str(ds.time.values[0])[:10] == first
    assert ("elevation" in ds.coords) == elevation
    assert 5 < ds.lon.min() < ds.lon.max() < 16
    assert 47 < ds.lat.min() < ds.lat.max() < 56
    assert 0 <= ds.pm10.min() < ds.pm10.mean() < 40
    assert "EEA" in ds.attrs["source"]
    xr.testing.assert_identical(conform(ds), ds)


def test_an_unknown_network_lists_the_known():
    with pytest.raises(SchemaError, match="germany-1998-2009"):
        datasets.load("atlantis")


def test_synthetic_is_deterministic():
    one, again, other = (datasets.synthetic(8, days=3, seed=s) for s in (1, 1, 2))
    xr.testing.assert_identical(one, again)
    assert not np.allclose(one.pm25, other.pm25, equal_nan=True)


@pytest.mark.parametrize("n_stations", [2, 7, 20])
@pytest.mark.parametrize("step", ["1h", "1D"])
def test_synthetic_samples_its_truth(n_stations, step):
    """So the field is also the same for any number of stations."""
    ds = datasets.synthetic(n_stations, days=3, missing=0, noise=0, step=step, seed=4)
    for i in range(n_stations):
        cell = Grid([ds.lon.values[i]], [ds.lat.values[i]])
        truth = datasets.synthetic_truth(cell, ds.time.values, seed=4)
        np.testing.assert_allclose(ds.pm25[i], truth[:, 0, 0], rtol=1e-5)


def test_truth_is_labelled_like_a_cube():
    grid = Grid.regular(0.5, bounds=(9, 49, 11, 50))
    truth = datasets.synthetic_truth(grid, pd.date_range("2020-01-01", periods=5, freq="h"))
    assert truth.dims == ("time", "lat", "lon")
    assert truth.shape == (5, 2, 4)
    assert float(truth.min()) >= 0
    one = datasets.synthetic_truth(Grid(grid.lon[1:2], grid.lat[1:2]), truth.time.values)
    np.testing.assert_allclose(truth[:, 1:2, 1:2], one)


@pytest.mark.parametrize("missing", [0.0, 0.2, 0.5])
def test_fraction_of_missing_values(missing):
    ds = datasets.synthetic(40, days=10, missing=missing, seed=0)
    assert float(ds.pm25.isnull().mean()) == pytest.approx(missing, abs=0.3 * missing)


@pytest.mark.parametrize(("step", "n"), [("1h", 72), ("3h", 24), ("1D", 3)])
def test_synthetic_conforms(step, n):
    ds = datasets.synthetic(5, days=3, step=step)
    assert ds.sizes["time"] == n
    xr.testing.assert_identical(conform(ds), ds)


def test_the_weather_is_consistent_with_the_field():
    """Concentrations are lower in deeper boundary layers, and the wind has one speed; both are the same for any grid."""
    times = pd.date_range("2020-01-01", periods=240, freq="h")
    grid = Grid.regular(0.5, bounds=(8.5, 49, 11.5, 51))
    weather = datasets.synthetic_weather(grid, times, seed=1)
    assert weather.blh.dims == ("time", "lat", "lon")
    np.testing.assert_allclose(np.hypot(weather.u10, weather.v10), 5.0)
    truth = datasets.synthetic_truth(grid, times, seed=1).mean(("lat", "lon"))
    assert float(np.corrcoef(truth, 1 / weather.blh[:, 0, 0])[0, 1]) > 0.9
    other = datasets.synthetic_weather(Grid([10.0], [50.0]), times, seed=1)
    np.testing.assert_array_equal(other.u10[:, 0, 0], weather.u10[:, 1, 1])


def test_the_sea_of_a_cube_is_masked_and_its_land_is_not():
    ds = datasets.load("germany")
    cube = ds.aq.reanalyze("kriging", grid=0.25, time="2005-02-08")
    mask = datasets.land_mask(cube)
    assert mask.dims == ("lat", "lon")
    assert mask.dtype == bool
    berlin, north_sea, baltic = (
        {"lon": x, "lat": y, "method": "nearest"} for x, y in ((13.4, 52.5), (7.3, 54.9), (12.5, 54.7))
    )
    land = cube.pm10.where(mask)
    assert land.chunks is not None
    land = land.compute()
    assert np.isfinite(land.sel(**berlin)).all()
    assert np.isnan(land.sel(**north_sea)).all()
    assert np.isnan(land.sel(**baltic)).all()
    assert 0.8 < float(mask.mean()) < 0.95
    # A cube in the other order, or of one variable, has the same mask.
    xr.testing.assert_identical(
        datasets.land_mask(cube.pm10.isel(lat=slice(None, None, -1))), mask.isel(lat=slice(None, None, -1))
    )


def test_stations_and_points_are_on_land_on_both_sides_of_the_date_line():
    ds = datasets.load("germany")
    assert datasets.land_mask(ds).dims == ("station",)
    assert datasets.land_mask(ds).all()
    # Vanua Levu of Fiji lies west of 180 degrees, Taveuni's east coast beyond it.
    grid = Grid.regular(0.1, bounds=(178.0, -18.0, 182.0, -16.0))
    cube = xr.Dataset(coords={"lat": grid.lat, "lon": grid.lon})
    mask = datasets.land_mask(cube)
    turned = datasets.land_mask(cube.assign_coords(lon=np.where(cube.lon > 180, cube.lon - 360, cube.lon)))
    assert 0.05 < float(mask.mean()) < 0.5
    assert mask.sel(lon=slice(180.0, 182.0)).any()
    np.testing.assert_array_equal(turned.values, mask.values)


@pytest.mark.parametrize("wrong", [xr.Dataset(), xr.DataArray([1.0], dims="x"), None, [1.0, 2.0]])
def test_without_places_there_is_no_land(wrong):
    with pytest.raises(SchemaError, match=r"land_mask\(cube\)"):
        datasets.land_mask(wrong)
    nowhere = xr.Dataset(coords={"lon": ("station", [1.0, np.nan]), "lat": ("station", [2.0, 3.0])})
    with pytest.raises(SchemaError, match="not finite"):
        datasets.land_mask(nowhere)
