"""Names of targets: those that a Zarr store cannot hold, or that a cube has already, are refused with a name that works."""

import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from synthetic import station_dataset

import xaq
from xaq.conventions import split_header
from xaq.errors import SchemaError
from xaq.stations.names import name_problem

BAD = [
    "pm2.5_ug/m3", "PM2.5 ug/m3", "a/b", "a\\b", "/", "", " ", ".", "..", "...", "__x", "zarr.json", ".zattrs", "_xaq",
    "supported", "stations_reporting", "nearest_station", "dissimilarity", "lat_bnds", "time_bnds", "spatial_ref", "bnds", "point",
    "quantile", "x" * 250, "a\nb", "a\0b", 5, 2.5, ("pm25", "mean"), b"pm25",
]  # fmt: skip
VERBS = {
    "reanalyze": lambda ds, name: ds.aq.reanalyze("idw", target=name, grid=1.0),
    "estimate": lambda ds, name: ds.aq.estimate("idw", target=name, lon=[116.4], lat=[39.9]),
    "train": lambda ds, name: ds.aq.train(name, max_epochs=0, progress=False),
    "verify": lambda ds, name: ds.aq.hide(fraction=0.2).aq.verify("idw", target=name),
}


def renamed(name):
    return station_dataset().rename(pm25=name)


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
@pytest.mark.parametrize("name", BAD, ids=repr)
def test_a_name_that_no_cube_can_hold_is_refused_by_every_verb(name, verb):
    with pytest.raises(SchemaError, match=r"fix: ds\.rename"):
        verb(renamed(name), name)


@pytest.mark.parametrize("name", [n for n in BAD if n != b"pm25"], ids=repr)
def test_the_rename_that_the_error_advises_leads_to_a_stored_cube(name, tmp_path):
    ds = renamed(name)
    with pytest.raises(SchemaError) as error:
        ds.aq.reanalyze("idw", target=name, grid=1.0, store=tmp_path / "c.zarr")
    fixed = eval(str(error.value).partition("fix: ")[2], {"ds": ds})
    (new,) = fixed.data_vars
    cube = fixed.aq.reanalyze("idw", target=new, grid=1.0, store=tmp_path / "c.zarr", progress=False)
    expected = station_dataset().aq.reanalyze("idw", grid=1.0).pm25.values
    np.testing.assert_array_equal(cube[new].values, expected)


@given(st.text(max_size=12))
def test_a_name_is_refused_or_is_one_part_of_a_path(name):
    if name_problem(name, ()) is None:
        assert re.fullmatch(r"[^/\\\0]+", name)
        assert set(name) != {"."}
        assert not name.startswith("__")


@given(st.text(max_size=12) | st.integers() | st.sampled_from(BAD), st.sets(st.text(max_size=4), max_size=5))
def test_the_advised_name_is_accepted_and_new(name, others):
    problem = name_problem(name, others)
    if problem is not None:
        # Not evaluated: names may hold any character.
        new = re.search(r": '((?:[^']|\\')*)'\}\)$", problem)[1]
        assert name_problem(new, ()) is None
        assert new not in others


@pytest.mark.parametrize("name", ["pm25", "PM2.5", "pm25_lower", "black carbon", "Größe", "no2.max", "_pm25"])
def test_other_names_work_in_a_store(name, tmp_path):
    cube = renamed(name).aq.reanalyze("kriging", target=name, grid=1.0, store=tmp_path / "c.zarr", progress=False)
    assert {name, f"{name}_lower", f"{name}_upper"} <= set(cube.data_vars)
    assert cube[name].dims == ("time", "lat", "lon")


def test_a_target_that_is_called_like_a_bound_can_be_drawn():
    ds = renamed("heat_upper")
    cube = ds.aq.reanalyze("kriging", target="heat_upper", grid=1.0)
    assert ds.aq.plot.map(cube, time="2020-01-01T00").get_title("left").startswith("heat_upper")


@pytest.mark.parametrize(
    ("header", "name", "units"),
    [
        ("PM2.5 ug/m3", "pm25", "ug m-3"), ("pm2.5_ug/m3", "pm25", "ug m-3"), ("PM2.5_ug_m-3", "pm25", "ug m-3"),
        ("PM 2.5 µg/m³", "pm_2.5", None), ("no2 ppb", "no2", "1e-9"), ("O3  ppm", "o3", "1e-6"), ("no2 max", "no2_max", None),
        ("PM10", "pm10", None), ("PM2.5 (ug/m3)", "pm25", "ug m-3"), ("wind m s-1", "wind_m_s-1", None),
    ],
)  # fmt: skip
def test_units_in_a_header_need_no_brackets_where_both_parts_are_known(header, name, units):
    if header.startswith("PM 2.5"):
        name, units = "pm25", "ug m-3"  # "pm_2.5" is an alias
    assert split_header(header) == (name, units)


def test_a_column_with_units_without_brackets_becomes_a_pollutant(tmp_path):
    times = pd.date_range("2024-01-05", periods=30, freq="h")
    table = pd.DataFrame([(s, t) for s in "abcd" for t in times], columns=["station", "time"])
    table["PM2.5 mg/m3"] = np.arange(len(table), dtype=float)
    places = pd.DataFrame({"station": list("abcd"), "lon": [10.0, 10.5, 11.0, 10.2], "lat": [50.0, 50.2, 50.1, 49.8]})
    ds = xaq.open_stations(table, stations=places, tz="UTC")
    assert ds.pm25.units == "mg m-3"
    cube = ds.aq.reanalyze("idw", grid=0.5, store=tmp_path / "c.zarr", progress=False)
    assert "pm25" in cube


def test_a_covariate_may_have_any_name():
    ds = station_dataset()
    ds = ds.assign({"a/b": ds.pm25.assign_attrs(units="1")})
    assert isinstance(ds.aq.reanalyze("idw", grid=1.0), xr.Dataset)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (["pm25"], r"target is \['pm25'\], expected the name of one variable; .*fix: target='pm25'$"),
        (("no2", "pm25"), "fix: target='no2', then target='pm25': one call for each$"),
        ("NO2 (ppb)", "no variable 'NO2 \\(ppb\\)'; .*fix: target='no2'$"),
        ("PM2.5", "fix: target='pm25'$"),
        ("nox", "fix: target='no2'$"),
    ],
)
def test_the_fix_of_an_unknown_target_is_what_was_meant(target, said):
    ds = station_dataset()
    ds["no2"] = ds.pm25.copy()
    for verb in VERBS.values():
        with pytest.raises(SchemaError, match=said):
            verb(ds, target)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("no2", "fix: target='pm25'$"),
        ("pm", "fix: target='pm25'$"),
        ("humid", "fix: target='humidity'$"),
        (["no2"], "fix: target='pm25'$"),
    ],
)
def test_the_fix_of_a_pollutant_that_is_not_there_is_a_pollutant(target, said):
    ds = station_dataset()
    ds = ds.assign(aaa=ds.pm25, humidity=ds.pm25, pm10=ds.pm25)[["aaa", "humidity", "pm25", "pm10"]]
    for verb in VERBS.values():
        with pytest.raises(SchemaError, match=said):
            verb(ds, target)
    with pytest.raises(SchemaError, match=r"fix: target='PM2\.5'$"):
        ds.rename(pm10="PM10", pm25="PM2.5").aq.reanalyze("idw", target="pm25", grid=1.0)


def test_a_dataset_without_pollutants_has_none_to_offer():
    ds = station_dataset().rename(pm25="humidity")
    for verb in VERBS.values():
        with pytest.raises(
            SchemaError, match=r"none is a pollutant; fix: xaq\.open_stations\(.*\) with a table that has no2$"
        ):
            verb(ds, "no2")
    with pytest.raises(SchemaError, match=r"fix: target='humidity'$"):
        ds.aq.reanalyze("idw", target="humidty", grid=1.0)
