"""Names and units of fields: converted by name, with the factor in the history, or left as they are."""

import numpy as np
import pytest
import xarray as xr

import xaq
from xaq.fields.field_units import convert, field_name, field_units
from xaq.fields.forms import settled
from xaq.fields.gridded import Gridded


def field(value, units, dims=("lat", "lon")):
    return dims, np.full((2,) * len(dims), value), {} if units is None else {"units": units}


@pytest.mark.parametrize(
    ("name", "units", "made", "new", "factor"),
    [
        ("pm2p5", "kg m**-3", "pm25", "ug m-3", 1e9),
        ("pm2p5_conc", "µg/m3", "pm25", "ug m-3", 1),
        ("PM10", "ug m-3", "pm10", "ug m-3", 1),
        ("o3", "ppmv", "o3", "1e-6", 1),
        ("NO2", "mol mol-1", "no2", "1e-9", 1e9),
        ("go3", "kg kg**-1", "o3", "kg kg-1", 1),
        ("co_conc", "mg m-3", "co", "mg m-3", 1),
        ("BCSMASS", "kg m-3", "BCSMASS", "ug m-3", 1e9),
        ("SO2SMASS", "kg m-3", "so2", "ug m-3", 1e9),
        ("rho", "kg m-3", "rho", "kg m-3", 1),  # the density of air
        ("u10", "m s**-1", "u10", "m s-1", 1),
        ("tcno2", "kg m**-2", "tcno2", "kg m-2", 1),  # a column
        ("lsm", "(0 - 1)", "lsm", "1", 1),
        ("aod550", "~", "aod550", "1", 1),
        ("thing", "furlongs", "thing", "furlongs", 1),
        ("pm25", "ug/m**3", "pm25", "ug m-3", 1),
        ("pm25", "μg / m³", "pm25", "ug m-3", 1),
        ("pm25", "kg/m^3", "pm25", "ug m-3", 1e9),
        ("pm25", "kg.m-3", "pm25", "ug m-3", 1e9),
        ("no2", "mole mole-1", "no2", "1e-9", 1e9),
        ("no2", "mol/mol", "no2", "1e-9", 1e9),
        ("no2", "kg/kg", "no2", "kg kg-1", 1),
        ("u10", "m/s", "u10", "m/s", 1),
        ("column", "10^15 cm-2", "column", "10^15 cm-2", 1),
        ("column", "10**15 molec/cm2", "column", "10**15 molec/cm2", 1),
    ],
)
def test_a_variable_is_converted_by_its_name(name, units, made, new, factor):
    ds = convert(xr.Dataset({name: field(2.0, units)}))
    assert ds[made].attrs["units"] == new
    np.testing.assert_allclose(ds[made], 2.0 * factor)
    assert ds[made].attrs.get("original_name", made) == name
    history = ds.attrs.get("history", "")
    assert (f"times {factor:g}" in history) == (factor != 1)
    assert (f"{made} is {name} of the file" in history) == (made != name)


def test_units_that_are_not_stated_are_not_made_up():
    assert "units" not in convert(xr.Dataset({"pm2p5": field(2.0, None)})).pm25.attrs


def test_two_variables_of_one_meaning_keep_their_names():
    assert {*convert(xr.Dataset({"o3": field(1, "ppb"), "go3": field(1, "kg kg-1")})).data_vars} == {"o3", "go3"}


def test_air_at_sea_level_weighs_what_it_does():
    ds = xr.Dataset({"so2": field(1e-9, "kg kg-1"), "sp": field(101325.0, "Pa"), "t2m": field(288.15, "K")})
    made = convert(ds)
    np.testing.assert_allclose(made.so2, 1.225, rtol=1e-3)  # the density of the standard atmosphere, kg m-3
    assert made.so2.attrs["standard_name"] == "mass_concentration_of_sulfur_dioxide_in_air"


@pytest.mark.parametrize(("pressure", "temperature"), [("hPa", "K"), ("Pa", "degC")])
def test_air_in_other_units_is_not_used(pressure, temperature):
    ds = xr.Dataset({"so2": field(1e-9, "kg kg-1"), "sp": field(1e5, pressure), "t2m": field(288.0, temperature)})
    assert convert(ds).so2.attrs["units"] == "kg kg-1"


def test_air_of_levels_is_not_that_of_the_surface():
    ds = xr.Dataset({
        "so2": field(1e-9, "kg kg-1"), "sp": field(1e5, "Pa"), "t": field(288.0, "K", ("level", "lat", "lon")),
    })  # fmt: skip
    assert convert(ds).so2.attrs["units"] == "kg kg-1"


def aloft(pressure=50000.0, name="pressure_level", units="hPa", temperature=250.0):
    """Return NO2 and temperature on a level as downloaded, and what is at the ground."""
    axes = {"latitude": np.arange(50.0, 45, -1), "longitude": np.arange(5.0, 10)}
    level = {name: (name, [pressure / {"hPa": 100, "Pa": 1}.get(units, 100)], {"units": units} if units else {})}

    def made(value, units):
        return ("latitude", "longitude"), np.full((5, 5), value), {"units": units, "GRIB_x": 1}

    above = xr.Dataset({"no2": made(1e-9, "kg kg**-1"), "t": made(temperature, "K")}, axes).expand_dims(
        {name: level[name][1]}
    )
    above[name].attrs.update(level[name][2])
    return above, xr.Dataset({"sp": made(1e5, "Pa"), "t2m": made(280.0, "K")}, axes)


LEVELS = [("pressure_level", "hPa"), ("level", "millibars"), ("plev", "Pa"), ("isobaricInhPa", ""), ("height", "hPa")]


@pytest.mark.parametrize(("name", "units"), LEVELS)
def test_on_a_pressure_level_air_is_that_of_the_level(name, units):
    above, ground = aloft(name=name, units=units)
    expected = 50000.0 / (287.05 * 250.0)
    for ds in (above, xr.merge([above, ground]), xr.merge([above, ground]).isel({name: 0})):
        if name == "height" and name not in ds.dims:
            continue  # a scalar of any name may be a constant
        made = xaq.open_field(ds, "no2")
        assert made.attrs["units"] == "ug m-3"
        np.testing.assert_allclose(made, expected)
        np.testing.assert_allclose(Gridded.of(ds, "no2").data, expected)
        assert not [k for k in made.attrs if k.startswith("_")]
    assert "from the pressure of its level and t" in made.attrs["history"]


@pytest.mark.parametrize("name", ["pressure_level", "hybrid"])
def test_air_of_the_surface_is_not_that_of_a_level(name):
    above, ground = aloft(name=name, units="hPa" if name == "pressure_level" else "")
    for ds in (xr.merge([above.drop_vars("t"), ground]), xr.merge([above.drop_vars("t"), ground]).isel({name: 0})):
        assert xaq.open_field(ds, "no2").attrs["units"] == "kg kg-1"
        assert Gridded.of(ds, "no2").units == "kg kg-1"


def test_a_temperature_of_another_level_is_not_that_of_the_level_nor_of_the_ground():
    above, ground = aloft()
    other = aloft(70000.0)[0][["t"]]
    assert xaq.open_field(xr.merge([above[["no2"]].isel(pressure_level=0, drop=True), ground]), "no2").units == "ug m-3"
    parts = [settled(ds) for ds in (above[["no2"]], other, ground)]
    assert convert(xr.merge(parts, compat="override")).no2.units == "kg kg-1"
    at_ground = settled(above[["no2"]].isel(pressure_level=0, drop=True))
    np.testing.assert_allclose(
        convert(xr.merge([at_ground, other.pipe(settled), ground.pipe(settled)])).no2, 1e5 / (287.05 * 280.0)
    )


def test_several_pressure_levels_have_the_air_of_each():
    both = xr.concat([aloft(50000.0)[0], aloft(70000.0, temperature=270.0)[0]], "pressure_level")
    both.pressure_level.attrs["units"] = "hPa"
    made = xaq.open_field(both, "no2").transpose("pressure_level", ...)
    np.testing.assert_allclose(made[:, 0, 0], [50000.0 / (287.05 * 250.0), 70000.0 / (287.05 * 270.0)])
    alone = xr.merge([both[["no2"]], aloft()[1]])
    assert xaq.open_field(alone, "no2").units == "kg kg-1"


def test_names_and_units_keep_what_they_do_not_know():
    assert (field_name("T2M"), field_units(" W m**-2 ")) == ("T2M", "W m-2")
