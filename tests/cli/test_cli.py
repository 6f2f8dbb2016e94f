"""The command line: the values of the Python verbs, messages and exit codes."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xaq
from xaq.cli import main
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
    assert "time 3, lat" in capsys.readouterr().out.replace("member 3, ", "")
    ds = xaq.open_stations(files / "obs.csv", stations=files / "stations.csv", tz="UTC")
    cube = ds.aq.reanalyze(
        "kriging", grid=0.5, time=("2020-01-02", "2020-01-03"), freq="D", tz="Europe/Berlin", statistic="max",
        capture=0.5, members=3, seed=7, support="cell",
    ).compute()  # fmt: skip
    for name in ("pm25", "pm25_lower", "pm25_upper", "pm25_member"):
        np.testing.assert_array_equal(xaq.open_cube(store)[name], cube[name])
    store = ["--store", str(tmp_path / "other.zarr")]
    for wrong in (["--period-tz", "Berlin", "--freq", "D"], ["--members", "0"], ["--capture", "2", "--freq", "D"]):
        assert main(["reanalyze", "kriging", *data(files), *grid, *wrong, *store]) == 1
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


def test_problems_exit_with_one_and_a_message(files, tmp_path, capsys):
    assert main(["train", str(files / "obs.csv"), "-o", str(tmp_path / "m.xaq")]) == 1
    error = capsys.readouterr().err
    assert "no column for lon" in error
    assert "Traceback" not in error
    assert "fix:" in error
    assert main(["verify", str(tmp_path / "absent.xaq"), *data(files)]) == 1
    assert main(["reanalyze", "idw", *data(files), "--bounds", "1,2,3", "--store", str(tmp_path / "c.zarr")]) == 1
    assert main(["plot", "map", str(tmp_path / "absent.zarr"), *data(files), "-o", "x.png"]) == 1
    assert main(["plot", "map", str(files / "obs.csv"), *data(files), "-o", "x.png"]) == 1
    assert main(["plot", "attention", str(tmp_path), *data(files), "-o", "x.png"]) == 1
    assert main(["plot", "errors", str(tmp_path), *data(files), "-o", "x.png"]) == 1
    assert main(["plot", "map", str(tmp_path), *data(files), "-o", "x.txt"]) == 1
    assert main(["check", *data(files), "--csv", str(tmp_path / "absent" / "report.csv")]) == 1
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


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_help_shows_an_example(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        main([verb, "--help"])
    assert stop.value.code == 0
    assert f"example:\n  xaq {verb}" in capsys.readouterr().out
