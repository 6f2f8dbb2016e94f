"""Real fields on degrees, opened as they are: satellites and elevation over the Po valley."""

import netCDF4
import numpy as np
import pytest
import xarray as xr

import xaq
from xaq.fields.sample import sample_points


@pytest.fixture
def povalley(shared_data):
    return shared_data / "povalley_airbase_omi_2009"


def test_columns_of_omi_with_holes_are_those_of_the_file(povalley):
    path = povalley / "satellite_025deg_2009.nc"
    field = xaq.open_field(path, "omi_no2")
    with netCDF4.Dataset(path) as file:
        raw, lon, lat = file["omi_no2"][:].filled(np.nan), file["lon"][:].data, file["lat"][:].data
    assert field.attrs["units"].startswith("molecules cm-2")
    assert (str(field.time.values[0])[:10], field.sizes["time"]) == ("2009-01-01", 365)
    assert float(field.isnull().mean()) == pytest.approx(0.437, abs=0.001)
    x, y = np.meshgrid(lon, lat)
    made = sample_points(field, x.ravel(), y.ravel(), method="nearest").values.reshape(*x.shape, -1)
    np.testing.assert_allclose(made, np.moveaxis(raw, 0, -1), rtol=1e-6)


def test_holes_stay_holes_at_stations(povalley):
    ds = xaq.open_stations(
        povalley / "obs.parquet", stations=povalley / "stations.csv", tz="UTC", units={"no2": "ug m-3"}
    )
    field = xaq.open_field(povalley / "satellite_025deg_2009.nc", "omi_no2")
    lon, lat = ds.lon.values, ds.lat.values
    inside = (lon > 7) & (lon < 13) & (lat > 44.5) & (lat < 46.5)
    assert inside.sum() > 50
    made = sample_points(field, lon[inside][:20], lat[inside][:20])
    assert 0.4 < float(made.isnull().mean()) < 0.9
    assert float(made.min()) > -1e17


def test_elevation_is_static_and_the_same_opened_by_xarray(povalley):
    path = povalley / "elevation_005deg.nc"
    raw = xr.open_dataset(path)
    field = xaq.open_field(path, "elevation")
    assert field.dims == ("lat", "lon")
    np.testing.assert_array_equal(field, raw.elevation.sortby("lat").sortby("lon"))
