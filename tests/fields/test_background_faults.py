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


def noise_of(ds, low):
    """A background that the stations know nothing of."""
    field = field_of(ds)
    return field.copy(data=np.random.default_rng(1).uniform(low, 20.0, field.shape))


@pytest.mark.parametrize("method", ["kriging", "kriging-drift"])
def test_a_background_without_an_effect_is_named(small, method):
    with pytest.warns(XaqWarning, match="the background 'pm25' has no effect: its slope is zero") as said:
        over = small.aq.estimate(method, lon=[10.0], lat=[50.0], background=noise_of(small, 5.0))
    assert sum("no effect" in str(w.message) for w in said) == 1
    plain = small.aq.estimate(method, lon=[10.0], lat=[50.0])
    xr.testing.assert_allclose(over.drop_attrs(), plain.drop_attrs())
    assert over.attrs["title"] == plain.attrs["title"]
    assert xaq.cube.provenance.provenance(over)["background"]["slope"] == 0.0


def test_a_background_with_an_effect_is_in_the_title(small):
    values = small.pm25.mean("station").values[:, None, None] * np.ones((1, 8, 8))
    east = field_of(small).copy(data=values * np.linspace(0.5, 1.5, 8))
    there = sample_points(east, small.lon, small.lat, time=small.time).transpose("point", "time").values
    ds = small.assign(pm25=small.pm25.copy(data=there.astype("f4")))
    for method in ("kriging", "kriging-drift"):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            made = ds.aq.estimate(method, lon=[10.0], lat=[50.0], background=east)
        assert f"{method} with background" in made.attrs["title"]
        assert not [w for w in said if "no effect" in str(w.message) or "negative" in str(w.message)]


def test_a_negative_background_gives_a_warning(small):
    field = noise_of(small, -8.0)
    with pytest.warns(
        XaqWarning, match=r"is negative in \d+ of 576 values at the visible stations, down to -\d"
    ) as said:
        small.aq.estimate("kriging", lon=[10.0], lat=[50.0], background=field)
    (text,) = (str(w.message) for w in said if "negative" in str(w.message))
    call = text.partition("fix: background=")[2].partition(", if")[0]
    with warnings.catch_warnings(record=True) as again:
        warnings.simplefilter("always")
        small.aq.estimate("kriging", lon=[10.0], lat=[50.0], background=eval(call, {"field": field}))
    assert not any("negative" in str(w.message) for w in again)
    # As packed files have them.
    hardly = field_of(small).where(field_of(small) > 10.02, -1e-3)
    with warnings.catch_warnings(record=True) as again:
        warnings.simplefilter("always")
        small.aq.estimate("kriging", lon=[10.0], lat=[50.0], background=hardly)
    assert not any("negative" in str(w.message) for w in again)
