"""NetCDF of cohorts and attributes of any type: numbers, text, or an error whose fix works."""

import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xaq
from xaq.errors import SchemaError


@pytest.fixture(scope="module")
def network():
    return xaq.datasets.synthetic(n_stations=12, days=1, seed=4)


@pytest.fixture(scope="module")
def cube(network):
    return network.aq.reanalyze("idw", grid=1.0)


def of(network, index):
    return network.aq.estimate("idw", lon=pd.Series([9.5, 10.5], index), lat=pd.Series([49.5, 50.0], index))


def fix_of(error):
    return str(error.value).partition("fix: ")[2]


@pytest.mark.parametrize(
    ("index", "written"),
    [
        (pd.Index([1, 2], dtype="Int64"), [1, 2]),
        (pd.Index([True, False], dtype="boolean"), [1, 0]),
        (pd.Index(["a", "b"], dtype="string"), ["a", "b"]),
        (pd.CategoricalIndex(["a", "b"]), ["a", "b"]),
        (pd.CategoricalIndex([7, 8]), [7, 8]),
        (pd.PeriodIndex(["2020-01", "2020-02"], freq="M"), ["2020-01", "2020-02"]),
        (pd.interval_range(0, 2), ["(0, 1]", "(1, 2]"]),
    ],
    ids=lambda value: str(value.dtype) if isinstance(value, pd.Index) else "",
)
def test_identifiers_of_every_type_are_numbers_or_text(network, tmp_path, index, written):
    path = xaq.to_netcdf(of(network, index.rename("person")), tmp_path / "c.nc")
    with netCDF4.Dataset(path) as file:
        assert file["person"][:].tolist() == written
        assert file["person"].cf_role == "timeseries_id"


def test_identifiers_with_a_time_zone_are_times_in_utc(network, tmp_path):
    index = pd.DatetimeIndex(["2020-01-01", "2020-01-02"], tz="Europe/Berlin", name="person")
    with xr.open_dataset(xaq.to_netcdf(of(network, index), tmp_path / "c.nc")) as back:
        assert (back.person.values == index.tz_convert(None).values).all()


@pytest.mark.parametrize(
    "ids", [["a", None], ["a", np.nan], [1.0, np.nan], pd.array([1, None], "Int64"), [pd.NaT, pd.NaT]], ids=str
)
def test_missing_identifiers_are_refused(network, tmp_path, ids):
    cube = of(network, pd.Index(ids, name="person"))
    with pytest.raises(SchemaError, match="person is missing at") as error:
        xaq.to_netcdf(cube, tmp_path / "c.nc")
    given = {"cube": cube}
    exec(fix_of(error), given)
    assert xaq.to_netcdf(given["cube"], tmp_path / "c.nc").exists()


def test_other_coordinates_may_miss(network, tmp_path):
    cube = of(network, pd.Index(["a", "b"], name="person")).assign_coords(
        town=("person", np.array(["Ulm", None], object)),
        age=("person", pd.array([30, None], "Int64")),
        died=("person", np.array(["NaT", "NaT"], "datetime64[s]")),
    )
    with xr.open_dataset(xaq.to_netcdf(cube, tmp_path / "c.nc"), decode_coords="all") as back:
        assert {"town", "age", "died"} <= set(back.coords)
        assert back.town.values.tolist() == ["Ulm", ""]
        np.testing.assert_array_equal(back.age, [30, np.nan])
        assert back.died.isnull().all()
        assert back.time.dtype.kind == "M"


def test_a_coordinate_of_only_missing_times_is_written_where_there_are_no_others(network, tmp_path):
    cube = of(network, pd.Index(["a", "b"], name="person")).isel(time=0).drop_vars("time")
    cube = cube.assign_coords(died=("person", np.array(["NaT", "NaT"], "datetime64[s]")))
    with xr.open_dataset(xaq.to_netcdf(cube, tmp_path / "c.nc")) as back:
        assert back.died.isnull().all()


@pytest.mark.parametrize(("value", "written"), [("Ulm", "Ulm"), (None, "")])
def test_a_scalar_coordinate_of_objects_is_text(cube, tmp_path, value, written):
    cube = cube.assign_coords(town=((), np.array(value, object)))
    with xr.open_dataset(xaq.to_netcdf(cube, tmp_path / "c.nc")) as back:
        assert back.town.values.item() == written


@pytest.mark.parametrize("name", ["a/b", "_NCProperties", " a", "a ", "a\n", "CLASS", "x" * 300])
def test_names_that_netcdf_has_not_are_refused(cube, tmp_path, name):
    with pytest.raises(SchemaError, match="netCDF can hold") as error:
        xaq.to_netcdf(cube, tmp_path / "c.nc", attrs={name: "x"})
    assert xaq.to_netcdf(cube, tmp_path / "c.nc", **eval(f"dict({fix_of(error)})")).exists()


@pytest.mark.parametrize("name", ["a/b", "_NCProperties", 3])
@pytest.mark.parametrize("of_variable", [True, False])
def test_names_in_the_cube_that_netcdf_has_not_are_refused(cube, tmp_path, name, of_variable):
    cube = cube.assign(pm25=cube.pm25.assign_attrs({name: 1})) if of_variable else cube.assign_attrs({name: 1})
    with pytest.raises(SchemaError, match="netCDF can hold") as error:
        xaq.to_netcdf(cube, tmp_path / "c.nc")
    exec(fix_of(error), {"cube": cube})
    assert xaq.to_netcdf(cube, tmp_path / "c.nc").exists()


def test_a_variable_with_a_slash_is_renamed_by_the_fix(cube, tmp_path):
    given = {"cube": cube.rename(pm25="pm/25")}
    with pytest.raises(SchemaError, match="'pm/25'") as error:
        xaq.to_netcdf(given["cube"], tmp_path / "c.nc")
    exec(fix_of(error), given)
    assert xaq.to_netcdf(given["cube"], tmp_path / "c.nc").exists()


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (True, "true"),
        (np.bool_(False), "false"),
        ([True, False], "[true, false]"),
        ({"a": 1}, '{"a": 1}'),
        ([[1, 2]], "[[1, 2]]"),
        ([[1], [2, 3]], "[[1], [2, 3]]"),
        (pd.Timestamp("2020-01-01"), "2020-01-01 00:00:00"),
        (2**70, str(2**70)),
        (3, 3),
        (2.5, 2.5),
        ("text", "text"),
    ],
    ids=str,
)
def test_attributes_of_other_types_become_text(cube, tmp_path, value, written):
    cube = cube.assign(pm25=cube.pm25.assign_attrs(q=value)).assign_attrs(q=value)
    with netCDF4.Dataset(xaq.to_netcdf(cube, tmp_path / "c.nc")) as file:
        assert file.q == written
        assert file["pm25"].q == written


def test_an_attribute_of_none_is_left_out(cube, tmp_path):
    with netCDF4.Dataset(xaq.to_netcdf(cube.assign_attrs(q=None), tmp_path / "c.nc")) as file:
        assert not hasattr(file, "q")


@pytest.fixture(scope="module")
def quarter():
    """Half a year over both changes of the clock in Berlin."""
    ds = xaq.datasets.synthetic(n_stations=4, days=90, step="6h").isel(time=slice(0, 350))
    return ds.assign_coords(time=ds.time + (np.datetime64("2019-02-20") - ds.time[0]))


@pytest.mark.parametrize(("freq", "tz"), [("D", "Europe/Berlin"), ("MS", "Europe/Berlin"), ("MS", None), ("YS", None)])
def test_a_field_of_periods_has_their_bounds_where_these_are_certain(quarter, tmp_path, freq, tz):
    cube = quarter.aq.reanalyze("idw", grid=1.0, freq=freq, tz=tz, time="2019")
    again = xr.open_dataset(xaq.to_netcdf(cube[["pm25"]], tmp_path / "field.nc"), decode_coords="all")
    np.testing.assert_array_equal(again.time_bnds, cube.time_bnds)


@pytest.mark.parametrize(
    "chosen",
    [
        lambda days: days.resample(time="MS").mean(),
        lambda days: days.isel(time=slice(None, None, 7)),
        lambda days: days.isel(time=[3]),
        lambda days: days.assign_coords(time=days.time + np.timedelta64(6, "h")),
    ],
    ids=["means of months", "a day of each week", "one day", "moved"],
)
def test_a_field_whose_periods_are_not_certain_has_no_bounds(quarter, tmp_path, chosen):
    days = quarter.aq.reanalyze("idw", grid=1.0, freq="D", time="2019")[["pm25"]]
    with netCDF4.Dataset(xaq.to_netcdf(chosen(days), tmp_path / "field.nc")) as file:
        assert "time_bnds" not in file.variables
