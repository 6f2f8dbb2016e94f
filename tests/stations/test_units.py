"""Conversion of concentrations: published factors, laws, attributes and history."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from synthetic import station_dataset

from xaq.errors import SchemaError
from xaq.stations import units

GASES = ["o3", "no2", "no", "so2", "co"]


def network(**variables) -> xr.Dataset:
    ds = station_dataset()
    return xr.Dataset({n: ds.pm25.assign_attrs(units=u) for n, u in variables.items()}, ds.coords)


@pytest.mark.parametrize(
    ("gas", "at_20", "at_25"),
    [("o3", 1.9957, 1.9629), ("no2", 1.9125, 1.8804), ("so2", 2.6609, 2.6163), ("no", 1.2474, 1.2265), ("co", 1.1642, 1.1447)],
)  # fmt: skip
def test_published_factors(gas, at_20, at_25):
    """ug m-3 per ppb at 1013 hPa: Defra's of 20 degC (EU), and the same at 25 degC (US EPA)."""
    assert units.factor(gas, "ppb", "ug m-3") == pytest.approx(at_20, rel=1e-3)
    assert units.factor(gas, "ppb", "ug m-3", temperature=25.0) == pytest.approx(at_25, rel=1e-3)


@given(
    st.sampled_from(GASES),
    st.lists(st.sampled_from(["ug m-3", "mg m-3", "ng m-3", "kg m-3", "ppb", "ppm"]), min_size=3, max_size=3),
    st.floats(-40, 50),
    st.floats(500, 1080),
)
def test_conversions_can_be_inverted_and_chained(gas, three, temperature, pressure):
    air = {"temperature": temperature, "pressure": pressure}
    a, b, c = three
    assert units.factor(gas, a, b, **air) * units.factor(gas, b, a, **air) == pytest.approx(1)
    direct = units.factor(gas, a, c, **air)
    assert units.factor(gas, a, b, **air) * units.factor(gas, b, c, **air) == pytest.approx(direct)
    assert units.factor(gas, a, a, **air) == 1


def test_convert_units_by_name():
    ds = network(o3="ppb", co="mg m-3", pm25="ug m-3")
    got = ds.aq.convert_units({"o3": "ug/m3", "co": "ug m-3"})
    np.testing.assert_allclose(got.o3, ds.o3 * 1.9957, rtol=1e-3)
    np.testing.assert_allclose(got.co, ds.co * 1000, rtol=1e-6)
    xr.testing.assert_identical(got.pm25, ds.pm25)
    assert got.o3.units == got.co.units == "ug m-3"
    assert got.o3.standard_name == "mass_concentration_of_ozone_in_air"
    assert got.o3.dtype == ds.o3.dtype
    assert ds.o3.units == "ppb", "the input stays as it was"
    lines = got.history.splitlines()
    assert lines[0] == "xaq convert_units: o3 from 1e-9 to ug m-3 at 20 degC and 1013.25 hPa"
    assert lines[1] == "xaq convert_units: co from mg m-3 to ug m-3"


def test_one_unit_for_every_pollutant():
    got = network(o3="ppb", no2="ug m-3", pm10="mg m-3").aq.convert_units("ug m-3")
    assert {got[n].units for n in got.data_vars} == {"ug m-3"}
    assert "no2" not in got.history
    again = got.aq.convert_units("ug m-3")
    xr.testing.assert_identical(again, got)


def test_temperature_can_be_an_array():
    ds = network(o3="ppb")
    temperature = xr.DataArray(np.linspace(-10, 30, 48), dims="time", name="t2m")
    got = ds.aq.convert_units({"o3": "ug m-3"}, temperature=temperature, pressure=900.0)
    assert got.o3.dims == ("station", "time")
    np.testing.assert_allclose(
        got.o3[:, 0] / ds.o3[:, 0], units.factor("o3", "ppb", "ug m-3", temperature=-10, pressure=900), rtol=1e-6
    )
    assert "the values of t2m degC and 900 hPa" in got.history


def test_conversion_is_lazy(no_compute):
    ds = network(o3="ppb")
    lazy = ds.copy(data={"o3": ds.o3.chunk(time=12).data})
    assert lazy.aq.convert_units({"o3": "mg m-3"}).o3.chunks is not None


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"no2": "ppb"}, "no pollutant 'no2' in the dataset; fix: one of o3, pm25"),
        ({"pm25": "ppb"}, "not units of pm25"),
        ({"o3": "furlongs"}, "not units of o3"),
        ("ppb", "not units of pm25"),
    ],
)
def test_convert_units_refuses(wanted, says):
    with pytest.raises(SchemaError, match=says):
        network(o3="ppb", pm25="ug m-3").aq.convert_units(wanted)


def test_missing_units_name_the_call_that_fixes_them():
    with pytest.raises(SchemaError, match=r"repair\(units="):
        network(o3="").aq.convert_units("ppb")
