"""Fields with impossible or unclear axes and values: refused with advice that leads to the right values."""

import numpy as np
import pandas as pd
import pytest
import rioxarray  # noqa: F401 - registers the .rio accessor
import scipy.interpolate
import xarray as xr

import xaq
from xaq.errors import SchemaError
from xaq.fields.sample import sample_points

LON, LAT = np.arange(5.0, 15), np.arange(45.5, 55)


def smooth(lon, lat):
    return np.cos(np.radians(lon)) + lat / 10


def static(lon=LON, lat=LAT):
    return xr.DataArray(smooth(lon, lat[:, None]), {"lat": lat, "lon": lon}, ("lat", "lon"), "q", {"units": "1"})


def refused(field, match, lon=10.0, lat=50.0):
    """Return the code after the only ``fix:`` of the message."""
    with pytest.raises(SchemaError, match=match) as error:
        sample_points(field, [lon], [lat])
    assert str(error.value).count("fix: ") == 1
    return str(error.value).split("fix: ")[1]


def applied(code, field):
    scope = {"xaq": xaq, "xr": xr, "np": np, "scipy": scipy, "field": field}
    *statements, last = code.split(", if it")[0].split(", if they")[0].split("; ")
    exec("; ".join(statements), scope)
    return eval(last.removeprefix("field = "), scope)


def leads_to_values(code, field, lon=10.0, lat=50.0):
    made = sample_points(applied(code, field), [lon], [lat]).values
    np.testing.assert_allclose(made, smooth(lon, lat), atol=0.02)


def test_latitudes_from_the_north_pole_are_refused_and_turned_round():
    world = static(np.arange(0.0, 360, 10), np.arange(-90.0, 91, 2))
    colatitude = world.assign_coords(lat=90 - world.lat)
    leads_to_values(refused(colatitude, "reaches from 0 to 180"), colatitude)


@pytest.mark.parametrize("named", [True, False])
def test_rows_beyond_a_pole_are_refused_and_left_out(named):
    field = static(np.arange(0.0, 360, 10), np.arange(-92.0, 93, 2))
    field = field if named else field.rename(lon="x", lat="y").rio.write_crs("EPSG:4326")
    leads_to_values(refused(field, "reaches from -92 to 92"), field)


def test_the_pole_itself_and_its_rounding_are_latitudes():
    field = static(np.arange(0.0, 360, 10), np.float32(np.linspace(-90.00001, 90.00001, 91)))
    assert np.isfinite(sample_points(field, [10.0], [90.0]).item())


def test_swapped_axes_are_refused_and_exchanged():
    swapped = static(np.arange(100.0, 110), np.arange(30.0, 40)).rename(lon="lat", lat="lon")
    leads_to_values(refused(swapped, "reaches from 100 to 109", 105.0, 35.0), swapped, 105.0, 35.0)


@pytest.mark.parametrize(
    ("axis", "says"),
    [
        (LON.astype(str), "expected numbers"),
        (LON.astype(object), "expected numbers"),
        (np.where(LON == 6, np.nan, LON), "1 of 10 values that are not finite"),
    ],
)
def test_axes_that_are_no_numbers_are_refused_and_converted(axis, says):
    field = static().assign_coords(lon=axis)
    leads_to_values(refused(field, says), field)


@pytest.mark.parametrize("unit", ["km", "kilometre"])
def test_kilometres_beside_a_crs_in_metres_are_refused_and_converted(unit):
    axes = {"y": np.arange(5400.0, 5600, 10), "x": np.arange(500.0, 700, 10)}
    field = xr.DataArray(np.tile(axes["x"], (20, 1)), axes, ("y", "x"), "east").rio.write_crs("EPSG:32632")
    for axis in axes:
        field[axis].attrs["units"] = unit
    made = applied(refused(field, "in kilometres, its CRS WGS 84 / UTM zone 32N is in metres"), field)
    assert sample_points(made, [10.0], [50.0]).item() == pytest.approx(571.7, abs=0.1)


def test_a_grid_that_moves_is_read_step_by_step():
    x, y = np.meshgrid(np.linspace(4, 16, 30), np.linspace(45, 55, 30))
    dims = ("time", "j", "i")
    lon = np.stack([x, x + 1])
    field = xr.DataArray(smooth(lon, y), {"lon": (dims, lon), "lat": (dims, np.stack([y, y]))}, dims, "q")
    code = refused(field, "change along time")
    leads = applied(code.split(", and")[0], field)
    assert sample_points(leads, [10.0], [50.0]).item() == pytest.approx(smooth(10.0, 50.0), abs=0.02)


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e300])
def test_a_value_that_is_no_float32_is_missing(value):
    field = static()
    field[:, :5] = value
    assert np.isnan(sample_points(field, [7.0], [50.0]).item())
    assert sample_points(field, [13.0], [50.0]).item() == pytest.approx(smooth(13.0, 50.0), abs=0.01)


@pytest.mark.parametrize("kind", ["timedelta64[ns]", complex])
def test_values_that_are_no_real_numbers_are_refused(kind):
    refused(static().astype(kind), "expected numbers")


def test_the_bounds_of_axes_are_no_fields():
    ds = static().to_dataset().assign(lat_bnds=(("lat", "bnds"), np.stack([LAT - 0.5, LAT + 0.5], 1)))
    ds.lat.attrs["bounds"] = "lat_bnds"
    assert sample_points(ds, [10.0], [50.0]).item() == pytest.approx(smooth(10.0, 50.0), abs=0.01)


def test_the_advice_on_another_period_names_no_empty_one():
    field = static().expand_dims(time=pd.date_range("2020-01-01", periods=3))
    with pytest.raises(SchemaError, match=r"fix: a field of that period$"):
        sample_points(field, [10.0], [50.0], ["2021-01-01"])
