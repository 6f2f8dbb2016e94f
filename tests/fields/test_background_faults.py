"""What a background may lack: steps, stations, its own pollutant; and a path in its place."""

import warnings

import numpy as np
import pytest
import xarray as xr
from fixes import applied, fix_of

import xaq
from xaq.errors import SchemaError, XaqWarning
from xaq.fields.sample import sample_points


@pytest.fixture
def small():
    return xaq.datasets.synthetic(n_stations=12, days=2)


def field_of(ds, name="pm25"):
    """A background that changes in space and time."""
    axes = {"time": ds.time.values, "lat": np.linspace(46, 54, 8), "lon": np.linspace(6, 14, 8)}
    values = 10.0 + np.random.default_rng(0).random((ds.sizes["time"], 8, 8))
    return xr.DataArray(values, axes, tuple(axes), name, {"units": "ug m-3"})


def test_steps_without_a_background_are_counted(small):
    field = field_of(small)
    field[{"time": [5, 6]}] = np.nan
    with pytest.warns(
        XaqWarning, match="no value at any visible station at 2 of 48 steps, the first 2020-01-01T05:00:00"
    ):
        made = small.aq.estimate("kriging", lon=[10.0], lat=[50.0], background=field)
    np.testing.assert_array_equal(np.flatnonzero(made.pm25.isnull()), [5, 6])


@pytest.mark.parametrize(("name", "said"), [("no2", True), ("pm2p5_conc", False), ("surface", False)])
def test_a_background_of_another_pollutant_gives_a_warning(small, name, said):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        small.aq.estimate("kriging", lon=[10.0], lat=[50.0], background=field_of(small, name))
    texts = [str(w.message) for w in caught]
    assert any("one pollutant is no field of another" in text for text in texts) == said


def test_a_background_at_one_station_is_used_as_it_is(small):
    near, field = small.isel(station=[0]), field_of(small)
    lon, lat = (float(c) for c in (near.lon[0], near.lat[0]))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = near.aq.estimate("idw", lon=[lon + 1.0], lat=[lat], background=field, max_distance=200.0)
    assert [str(w.message) for w in caught if issubclass(w.category, RuntimeWarning)] == []
    assert any("a single visible station" in str(w.message) for w in caught)
    there, here = (sample_points(field, [x], [lat]).values[0] for x in (lon + 1.0, lon))
    np.testing.assert_allclose(made.pm25.values.ravel(), near.pm25.values.ravel() * there / here, rtol=1e-4)


def test_a_path_as_background_is_opened_by_the_fix(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    field_of(small).to_netcdf("cams.nc")
    with pytest.raises(SchemaError, match="background") as error:
        small.aq.estimate("kriging", lon=[10.0], lat=[50.0], background="cams.nc")
    assert fix_of(error.value) == "xaq.open_field('cams.nc')"
    small.aq.estimate("kriging", lon=[10.0], lat=[50.0], background=applied(error.value))
