"""Files of one variable in different units are brought to one, or refused: joined, they would be read in the units of the first."""

import numpy as np
import pytest
import xarray as xr
from fixes import fix_of

import xaq
from xaq.errors import SchemaError


def hour(value, units, start, name="pm25"):
    """Return one hour of a field of one value."""
    axes = {"time": [np.datetime64(start, "ns")], "lat": [50.0, 51.0], "lon": [9.0, 10.0]}
    attrs = {} if units is None else {"units": units}
    return xr.Dataset({name: (("time", "lat", "lon"), np.full((1, 2, 2), value), attrs)}, axes)


def test_a_pollutant_in_kg_beside_one_in_ug_is_in_ug():
    first, second = hour(12.0, "ug m-3", "2020-01-01T00"), hour(13e-9, "kg m-3", "2020-01-01T01")
    for parts in ([first, second], [second, first]):
        made = xaq.open_field(parts, "pm25")
        assert made.units == "ug m-3"
        np.testing.assert_allclose(made.mean(("lat", "lon")), [12.0, 13.0])
        assert made.attrs["history"].count("kg m-3") == 1


@pytest.mark.parametrize(
    ("name", "one", "other"), [("no2", "ug m-3", "mg m-3"), ("t2m", "K", "degC"), ("pm25", "ug m-3", None)]
)
def test_units_that_are_not_converted_are_refused(name, one, other):
    parts = [hour(280.0, one, "2020-01-01T00", name), hour(7.0, other, "2020-01-01T01", name)]
    with pytest.raises(SchemaError, match=f"{name!r} is in '{one}' in 1 of 2 files, in '{other or ''}' in 1") as error:
        xaq.open_field(parts)
    made = eval(fix_of(error.value), {"xr": xr, "a": parts[0][name], "b": parts[1][name], "factor": 1.0})
    assert made.sizes["time"] == 2
    assert made.units == one


def test_two_spellings_of_a_unit_are_one_unit():
    made = xaq.open_field([hour(1.0, "ppb", "2020-01-01T00", "no2"), hour(2.0, "nmol mol-1", "2020-01-01T01", "no2")])
    np.testing.assert_array_equal(made.mean(("lat", "lon")), [1.0, 2.0])


def test_packed_numbers_of_a_later_file_are_refused():
    first, second = hour(12.0, "ug m-3", "2020-01-01T00"), hour(1300.0, "ug m-3", "2020-01-01T01")
    second.pm25.attrs["scale_factor"] = 0.01
    with pytest.raises(SchemaError, match="packed"):
        xaq.open_field([first, second])
