"""``xaq repair`` and ``xaq check``: the repairs of Python, files that read back as they were written, and what is left."""

import shlex

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xaq
from xaq.cli import main, text
from xaq.errors import SchemaError


def of_python(network):
    return xaq.open_stations(network / "obs.csv", stations=network / "stations.csv", tz="UTC", units={"no2": "ppb"})


@pytest.mark.parametrize("name", ["r.nc", "r.zarr", "r.parquet", "r.csv"])
def test_a_repaired_file_holds_what_python_repairs(network, data, here, capsys, name):
    repairs = ["--negative", "zero", "--shift-hours", "-1", "--convert-units", "no2=ug m-3"]
    repairs += ["--correct-units", "pm25:s001=mg m-3", "--far", "s002=-10.5/50.25"]
    assert main(["repair", *data, *repairs, "-o", name]) == 0
    expected = of_python(network).aq.repair(
        negative="zero", shift_hours=-1, units={"pm25": {"s001": "mg m-3"}}, far={"s002": (-10.5, 50.25)}
    )
    expected = expected.aq.convert_units({"no2": "ug m-3"})
    # Without an option: time zone, units and places are in the file.
    read = xaq.open_stations(name)
    for variable in ("pm25", "no2"):
        np.testing.assert_allclose(read[variable], expected[variable], rtol=1e-6)
        assert read[variable].attrs["units"] == "ug m-3"
    for coordinate in ("station", "time", "lon", "lat"):
        np.testing.assert_array_equal(read[coordinate], expected[coordinate])
    out = capsys.readouterr().out
    assert "xaq repair: negative: " in out, "what was changed"
    assert f"{name}: 12 stations, 48 steps" in out


@pytest.mark.parametrize("name", ["r.nc", "r.zarr", "r.parquet"])
def test_without_a_repair_it_converts(network, data, here, capsys, name):
    """Tables become netCDF, Zarr or a table of the common form, as they are or at another step."""
    assert main(["repair", *data, "-o", name]) == 0
    out = capsys.readouterr().out
    assert "nothing to repair" not in out
    assert "negative values within noise about zero" in out, "what is left"
    xr.testing.assert_allclose(xaq.open_stations(name)[["pm25", "no2"]], of_python(network)[["pm25", "no2"]])
    assert main(["repair", name, "--step", "1D", "-o", "daily.nc"]) == 0
    daily = xaq.open_stations("daily.nc")
    np.testing.assert_allclose(daily.pm25[4], of_python(network).pm25[4].resample(time="1D").mean(), rtol=1e-5)


def test_options_of_reading_hold_for_bundled_networks_too(here, capsys):
    assert main(["repair", "germany", "--step", "3D", "-o", "r.nc"]) == 0
    assert xaq.open_stations("r.nc").sizes["time"] == 121
    assert main(["check", "germany", "--tz", "UTC"]) == 1
    assert "has its own coordinates" in capsys.readouterr().err


def test_data_that_other_verbs_refuse_are_not_converted(here, capsys):
    xaq.datasets.synthetic(n_stations=5, days=1).isel(station=[0, 1, 2, 3, 4, 4]).to_netcdf("twice.nc")
    assert main(["repair", "twice.nc", "-o", "r.nc"]) == 1
    assert "--duplicate-stations merge" in capsys.readouterr().err
    assert not (here / "r.nc").exists()


def test_what_is_left_is_reported_with_commands_on_the_new_file(data, here, capsys):
    table = pd.read_csv(data[0])
    table.assign(pm25=table.pm25.where(table.index != 3, 99999.0)).to_csv("high.csv", index=False)
    assert main(["repair", "high.csv", *data[1:], "--shift-hours", "1", "-o", "r.nc"]) == 0
    assert "fix: xaq repair r.nc --impossible missing -o repaired.nc" in capsys.readouterr().out


def test_a_file_is_whole_or_absent_and_a_store_is_not_replaced(data, here, capsys):
    (here / "mine.zarr").mkdir()
    (here / "mine.zarr" / "notes.txt").write_text("keep")
    assert main(["repair", *data, "--negative", "missing", "-o", "mine.zarr"]) == 2
    assert "is a folder" in capsys.readouterr().err
    assert (here / "mine.zarr" / "notes.txt").read_text() == "keep"
    assert main(["repair", *data, "--negative", "missing", "-o", "r.doc"]) == 2
    assert capsys.readouterr().err.endswith("fix: -o r.nc\n")
    assert [path.name for path in here.iterdir()] == ["mine.zarr"]


def test_datasets_that_other_verbs_refuse_are_checked_and_repaired(here, capsys):
    ds = xaq.datasets.synthetic(n_stations=5, days=1)
    gone = ds.isel(time=[0, 1, 2, 4, 5, 6, 7, 3], station=[0, 1, 2, 3, 4, 4])
    gone.to_netcdf("irregular.nc")
    assert main(["check", "irregular.nc"]) == 0
    report, notes = capsys.readouterr()
    assert "give the options of several in one command" in notes
    assert "fix: xaq repair irregular.nc --irregular fill -o repaired.nc" in report
    assert "fix: xaq repair irregular.nc --duplicate-stations merge -o repaired.nc" in report
    both = ["--irregular", "fill", "--duplicate-stations", "merge"]
    assert main(["repair", "irregular.nc", *both, "-o", "r.nc"]) == 0
    np.testing.assert_array_equal(xr.open_dataset("r.nc").pm25, ds.pm25[:, :8])
    assert main(["estimate", "idw", "irregular.nc", "--points", "x.csv", "-o", "e.csv"]) == 1, "others refuse it"


def test_another_network_is_compared_and_its_options_are_named(network, data, here, capsys):
    table = pd.read_csv(network / "obs.csv").drop(columns="no2")
    table["time"] = pd.to_datetime(table["time"]) + pd.Timedelta(hours=2)
    table.to_csv("late.csv", index=False)
    other = ["--other", "late.csv", "--other-stations", str(network / "stations.csv")]
    assert main(["check", *data, *other]) == 1
    assert capsys.readouterr().err.endswith("fix: --other-tz UTC or --other-tz Asia/Shanghai\n")
    assert main(["check", *data, *other, "--other-tz", "UTC"]) == 0
    assert "2 h earlier than the other network's" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "units"),
    [
        ("co=mg m-3", {"co": "mg m-3"}),
        ("no2:s07=ppb,no2:s08=ug m-3", {"no2": {"s07": "ppb", "s08": "ug m-3"}}),
    ],
)
def test_units_of_stations_are_told_from_those_of_variables(given, units):
    assert text.units_by_station(given) == units


@pytest.mark.parametrize("given", ["no2=ppb,no2:s07=ppb", "no2:s07=ppb,no2=ppb", "no2"])
def test_units_of_both_or_of_none_are_refused(given):
    with pytest.raises(SchemaError, match="fix: --correct-units"):
        text.units_by_station(given)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["repair", "obs.csv", "--stations", "stations.csv", "--tz", "UTC", "--units", "no2=ppb"], "obs.csv"),
        (["repair", "obs.csv", "--stations", "stations.csv", "--tz", "UTC", "--units", "no2=ppb"], "sub/../stations.csv"),
        (["estimate", "idw", "obs.csv", "--stations", "stations.csv", "--tz", "UTC", "--points", "stations.csv"], "stations.csv"),
        (["check", "obs.csv", "--stations", "stations.csv", "--tz", "UTC"], "obs.csv"),
    ],
    ids=["repair", "another path", "estimate", "check"],
)  # fmt: skip
def test_a_command_never_writes_over_what_it_reads(network, here, capsys, words, name):
    for file in ("obs.csv", "stations.csv"):
        (here / file).write_bytes((network / file).read_bytes())
    (here / "sub").mkdir()
    before = (here / name).read_bytes()
    option = "--csv" if words[0] == "check" else "-o"
    assert main([*words, option, name]) == 2
    assert (here / name).read_bytes() == before
    said = capsys.readouterr().err
    assert f"{name} is read by this command" in said
    assert f"fix: {option} " in said


@pytest.mark.parametrize(
    ("option", "wrong", "said", "fix"),
    [
        ("--convert-units", "pm25=ppb", "'ppb' are not units of pm25", "--convert-units 'pm25=ug m-3'"),
        ("--correct-units", "pm25=ppb", "are not units of pm25", "--correct-units 'pm25=ug m-3'"),
        ("--far", "s001=200/95", "far['s001'] is 95.0", "--far s001=10.0/50.0"),
    ],
)
def test_the_fix_of_a_repair_is_its_option(network, data, here, capsys, option, wrong, said, fix):
    assert main(["repair", *data, option, wrong, "-o", "r.nc"]) != 0
    message = capsys.readouterr().err
    assert said in message
    assert message.partition("fix: ")[2].strip() == fix
    assert main(["repair", *data, *shlex.split(fix), "-o", "r.nc"]) == 0


def test_a_station_list_without_its_option_is_named(network, here, capsys):
    table, listed = str(network / "obs.csv"), str(network / "stations.csv")
    assert main(["check", table, listed, "--tz", "UTC", "--units", "no2=ppb"]) == 2
    message = capsys.readouterr().err
    assert "looks like a station list" in message
    assert message.partition("fix: ")[2].strip() == f"--stations {listed}"


def test_a_point_without_a_coordinate_is_shown_as_it_stands(network, data, here, capsys):
    pd.DataFrame({"id": ["a", "b"], "lon": [10.0, None], "lat": [50.0, 51.0]}).to_csv("points.csv", index=False)
    assert main(["estimate", "idw", *data, "--target", "pm25", "--points", "points.csv", "-o", "e.csv"]) == 1
    assert "first: row 2 ('nan')" in capsys.readouterr().err
