"""The command line: the values of the Python verbs, messages and exit codes."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xaq
from xaq.cli import main, text
from xaq.cli.command import VERBS


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A small network as CSV files."""
    folder = tmp_path_factory.mktemp("network")
    ds = xaq.datasets.synthetic(n_stations=14, days=5, seed=6)
    table = ds.pm25.to_dataframe().reset_index()[["station", "time", "pm25"]].dropna()
    table.to_csv(folder / "obs.csv", index=False)
    pd.DataFrame({"station": ds.station, "lon": ds.lon, "lat": ds.lat}).to_csv(folder / "stations.csv", index=False)
    return folder


def data(files):
    return [str(files / "obs.csv"), "--stations", str(files / "stations.csv"), "--tz", "UTC"]


def test_the_whole_workflow_gives_the_values_of_python(files, tmp_path, capsys):
    model, store = tmp_path / "m.xaq", tmp_path / "c.zarr"
    hide = ["--hide", "s003,s010", "--time", "/2020-01-04", "--max-epochs", "1"]
    assert main(["train", *data(files), "--target", "pm25", *hide, "-o", str(model)]) == 0
    assert main(["verify", str(model), *data(files), "--csv", str(tmp_path / "scores.csv")]) == 0
    grid = ["--grid", "0.25", "--time", "2020-01-05"]
    assert main(["reanalyze", str(model), *data(files), *grid, "--store", str(store)]) == 0
    out = capsys.readouterr()
    assert "kriging" in out.out
    assert "PM2.5 analysis" in out.out
    assert "writing" not in out.out, "progress goes to stderr"

    ds = xaq.open_stations(files / "obs.csv", stations=files / "stations.csv", tz="UTC").aq.hide(["s003", "s010"])
    trained = ds.aq.train("pm25", time=slice(None, "2020-01-04"), max_epochs=1, progress=False)
    cube = ds.aq.reanalyze(trained, grid=0.25, time="2020-01-05").compute()
    assert xaq.load_model(model).hash == trained.hash
    np.testing.assert_array_equal(xr.open_zarr(store).pm25, cube.pm25)

    for kind, what, extra in (
        ("map", store, ["--model", str(model), "--time", "2020-01-05T08:00"]),
        ("errors", model, []),
        ("series", model, ["--station", "s003"]),
    ):
        figure = tmp_path / f"{kind}.png"
        assert main(["plot", kind, str(what), *data(files), *extra, "-o", str(figure)]) == 0
        assert figure.read_bytes().startswith(b"\x89PNG")


def test_means_of_local_days_and_members_are_those_of_python(files, tmp_path, capsys):
    store, grid = tmp_path / "c.zarr", ["--grid", "0.5", "--time", "2020-01-02/2020-01-03"]
    asked = ["--freq", "D", "--period-tz", "Europe/Berlin", "--statistic", "max", "--capture", "0.5", "--members", "3"]
    asked += ["--members-seed", "7", "--support", "cell"]
    assert main(["reanalyze", "kriging", *data(files), *grid, *asked, "--store", str(store)]) == 0
    assert "time 2, lat" in capsys.readouterr().out.replace("member 3, ", "")
    ds = xaq.open_stations(files / "obs.csv", stations=files / "stations.csv", tz="UTC")
    cube = ds.aq.reanalyze(
        "kriging", grid=0.5, time=("2020-01-02", "2020-01-03"), freq="D", tz="Europe/Berlin", statistic="max",
        capture=0.5, members=3, seed=7, support="cell",
    ).compute()  # fmt: skip
    for name in ("pm25", "pm25_lower", "pm25_upper", "pm25_member"):
        np.testing.assert_array_equal(xaq.open_cube(store)[name], cube[name])
    store = ["--store", str(tmp_path / "other.zarr")]
    for wrong in (["--period-tz", "Berlin", "--freq", "D"], ["--members", "0"], ["--capture", "2", "--freq", "D"]):
        assert main(["reanalyze", "kriging", *data(files), *grid, *wrong, *store]) == 2
        assert capsys.readouterr().err.count("fix:") == 1


def test_check_prints_the_report_and_writes_it(files, tmp_path, capsys):
    assert main(["check", *data(files), "--csv", str(tmp_path / "report.csv")]) == 0
    ds = xaq.open_stations(files / "obs.csv", stations=files / "stations.csv", tz="UTC")
    report = ds.aq.check()
    assert capsys.readouterr().out.strip() == repr(report)
    assert pd.read_csv(tmp_path / "report.csv").problem.tolist() == report.problem.tolist()


def test_columns_can_be_named(files, tmp_path):
    table = pd.read_csv(files / "obs.csv").rename(columns={"time": "timestamp", "pm25": "fine dust", "station": "code"})
    table.to_csv(tmp_path / "mine.csv", index=False)
    arguments = [
        str(tmp_path / "mine.csv"),
        *data(files)[1:],
        "--columns",
        "time=timestamp,pm25=fine dust,station=code,station=station",
    ]
    store = ["--grid", "0.5", "--time", "2020-01-02/2020-01-03", "--store", str(tmp_path / "c.zarr")]
    assert main(["reanalyze", "idw", *arguments, *store]) == 0
    assert xr.open_zarr(tmp_path / "c.zarr").sizes["time"] == 48


def test_wrong_data_exit_with_one_and_wrong_options_with_two(files, tmp_path, capsys):
    assert main(["train", str(files / "obs.csv"), "-o", str(tmp_path / "m.xaq")]) == 1
    error = capsys.readouterr().err
    assert "no column for lon" in error
    assert "Traceback" not in error
    assert "fix:" in error
    assert main(["verify", str(tmp_path / "absent.xaq"), *data(files)]) == 1
    assert main(["reanalyze", "idw", *data(files), "--bounds", "1,2,3", "--store", str(tmp_path / "c.zarr")]) == 2
    assert main(["plot", "map", str(tmp_path / "absent.zarr"), *data(files), "-o", "x.png"]) == 1
    assert main(["plot", "map", str(files / "obs.csv"), *data(files), "-o", "x.png"]) == 1
    assert main(["plot", "attention", str(tmp_path), *data(files), "-o", "x.png"]) == 1
    assert main(["plot", "errors", str(tmp_path), *data(files), "-o", "x.png"]) == 1
    assert main(["plot", "map", str(tmp_path), *data(files), "-o", "x.txt"]) == 2
    assert main(["check", *data(files), "--csv", str(tmp_path / "absent" / "report.csv")]) == 2
    messages = capsys.readouterr().err
    for part in (
        "expected west,south,east,north",
        "no store at",
        "plot map needs a cube",
        "plot attention needs a model file",
        "no known figure format",
        "mkdir -p",
    ):
        assert part in messages
    assert list(tmp_path.iterdir()) == []


def test_wrong_usage_exits_with_two(capsys):
    for arguments in ([], ["train"], ["fly"], ["plot", "fly"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2
    messages = capsys.readouterr().err
    assert "'estimate'" in messages, "the known verbs"
    assert "'reliability_of_means'" in messages, "the known figures"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "obs.csv"], "xaq train: the following arguments are required: -o/--output; help: xaq train --help"),
        (["plot", "map", "c.zarr", "obs.csv", "--vmx", "3", "-o", "m.png"], "xaq plot map: --vmx is no option, perhaps --vmax;"),
        (["check", "obs.csv", "--wind=3"], "xaq check: --wind is no option; help: xaq check --help"),
        (["check", "a.csv", "--tz", "UTC", "b.csv"], "xaq check: 'b.csv' is one argument too many, or stands behind an option:"),
        (["verify", "idw", "germany", "--time", "08.01.2018"], "xaq verify: argument --time: '08.01.2018', expected a date with the year first,"),
        (["verify", "idw", "germany", "--time", "08/01/2018"], "xaq verify: argument --time: '08/01/2018', expected a date with the year first,"),
        (["plot", "panels", "c.zarr", "germany", "--times", "2018,8.1.18", "-o", "p.png"], "xaq plot panels: argument --times: '8.1.18', expected"),
        (["export", "c.zarr", "--time", "/", "-o", "c.nc"], "xaq export: argument --time: '/', expected"),
        (["verify", "idw", "germany", "--level", "x"], "xaq verify: argument --level: invalid float value: 'x';"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line_that_says_where_the_help_is(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(message)
    assert "; help: xaq " in line


@pytest.mark.parametrize(
    "period", ["2017", "2017-01", "2017-01-01", "20170101", "2017-01-01T08", "2017-01-01 08:00:00", "2013/2016", "2013/", "/2016-02"]
)  # fmt: skip
def test_periods_are_taken_as_they_are_written(period):
    assert text.period(period) == period


def test_arguments_that_the_library_refuses_are_wrong_usage(files, capsys):
    for option, value in (("--level", "2"), ("--grid", "-1"), ("--bounds", "11,49,9,51")):
        assert main(["reanalyze", "idw", *data(files), option, value, "--store", "no.zarr"]) == 2
        assert capsys.readouterr().err.count("fix: --") == 1


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_help_shows_an_example(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        main([verb, "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert f"example:\n  xaq {verb}" in shown
    first = shown.splitlines()[0]
    assert len(first) < 80, "what must be given, and not a list of all options"


def test_the_help_of_one_command_alone_shows_all_options_of_reading(capsys):
    for arguments in (["check"], ["reanalyze"], ["plot", "map"]):
        with pytest.raises(SystemExit):
            main([*arguments, "--help"])
        shown = capsys.readouterr().out
        assert "--tz ZONE" in shown
        assert ("--skiprows" in shown) == (arguments == ["check"])
        assert ("xaq check --help" in shown) != (arguments == ["check"])
