"""The command line's own arguments: what is wrong is said before any work, with a fix, and outputs fail with a message."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import xaq
from xaq.cli import main


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A small network as the first arguments of the command line."""
    folder = tmp_path_factory.mktemp("network")
    ds = xaq.datasets.synthetic(n_stations=12, days=3, seed=6)
    table = ds.pm25.to_dataframe().reset_index()[["station", "time", "pm25"]].dropna()
    table.to_csv(folder / "obs.csv", index=False)
    pd.DataFrame({"station": ds.station, "lon": ds.lon, "lat": ds.lat}).to_csv(folder / "stations.csv", index=False)
    return [str(folder / "obs.csv"), "--stations", str(folder / "stations.csv"), "--tz", "UTC"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken.png").mkdir()
    return tmp_path


def refused(arguments, capsys, code=2):
    """Run a command that is refused, and return its one fix."""
    before = sorted(Path().rglob("*"))
    assert main(arguments) == code
    message = capsys.readouterr().err
    assert message.count("fix:") == 1, message
    assert sorted(Path().rglob("*")) == before
    return message.partition("fix: ")[2].strip()


@pytest.mark.parametrize("output", ["", ".", "taken.png", "absent/m.xaq", "/dev/null"])
def test_a_model_that_cannot_be_saved_is_said_before_it_is_trained(data, output, capsys, monkeypatch):
    monkeypatch.setattr(xaq.training.train, "train", lambda *a, **k: pytest.fail("trained first"))
    refused(["train", *data, "-o", output], capsys, 1 if output == "/dev/null" else 2)


def test_the_fix_of_an_output_that_is_a_folder_works(data, capsys):
    option, path = refused(["train", *data, "-o", "taken.png"], capsys).split()
    assert main(["train", *data, "--max-epochs", "0", option, path]) == 0
    assert xaq.load_model(path).target == "pm25"


@pytest.mark.parametrize("output", ["", ".", "absent/t.csv"])
def test_a_table_that_cannot_be_written_is_said_before_it_is_made(data, output, capsys, monkeypatch):
    monkeypatch.setattr(xaq.cli.check, "check", lambda *a: pytest.fail("checked first"))
    refused(["check", *data, "--csv", output], capsys)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_an_error_with_a_fix(data, capsys):
    assert "--csv" in refused(["check", *data, "--csv", "/dev/full"], capsys, 1)


@pytest.mark.parametrize("output", ["", ".", "taken.png", "absent/m.png", ".png", "map.doc"])
def test_a_figure_that_cannot_be_written_is_said_before_it_is_drawn(data, output, capsys, monkeypatch):
    monkeypatch.setattr(xaq.plot, "map", lambda *a: pytest.fail("drawn first"))
    refused(["plot", "map", "cube.zarr", *data, "-o", output], capsys)


def test_the_format_of_a_figure_may_be_written_in_capitals(data):
    assert main(["reanalyze", "idw", *data, "--grid", "0.5", "--time", "2020-01-01", "--store", "cube.zarr"]) == 0
    assert main(["plot", "map", "cube.zarr", *data, "-o", "MAP.PNG"]) == 0
    assert Path("MAP.PNG").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "option",
    [("--columns", "time"), ("--columns", "time=time,pm25"), ("--units", "pm25=ug m-3,no2"), ("--units", "=ppb")],
)
def test_a_pair_without_its_other_half_is_refused(data, option, capsys):
    assert option[0] in refused(["check", *data, *option], capsys)


@pytest.mark.parametrize("hide", ["s001,s002", "s001, s002", " s001 ,s002,"])
def test_blanks_and_empty_names_between_commas_are_no_part_of_a_name(data, hide):
    assert main(["train", *data, "--max-epochs", "0", "--hide", hide, "-o", "m.xaq"]) == 0
    assert xaq.load_model("m.xaq").recipe.hidden == ("s001", "s002")


@pytest.mark.parametrize("hide", ["", ",", " "])
def test_hidden_stations_that_name_none_are_refused(data, hide, capsys):
    """As where a shell's variable is not set: no station would be hidden, in silence."""
    assert refused(["train", *data, "--hide", hide, "-o", "m.xaq"], capsys) == "--hide 0.15"


def test_a_method_that_is_none_is_told_from_a_missing_file(data, capsys):
    assert refused(["reanalyze", "krigging", *data, "--store", "c.zarr"], capsys, 1) == "kriging, or a model file"


@pytest.mark.parametrize("verb", [["check"], ["verify"]])
def test_an_empty_path_is_not_the_working_folder(data, verb, capsys):
    pd.read_csv(data[0]).to_csv("obs.csv", index=False)
    refused([*verb, "", *(data if verb == ["verify"] else data[1:])], capsys, 1)


def run(arguments, stdout):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "xaq", *arguments], env=environment, stdout=stdout, stderr=subprocess.PIPE, timeout=120
    )


def test_a_reader_that_has_gone_ends_the_command_quietly(data):
    """As in ``xaq check ... | head -1``: the exit code of SIGPIPE, which shells do not count as an error."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as stdout:
        done = run(["check", *data], stdout)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_output_that_is_lost_is_an_error(data):
    with Path("/dev/full").open("wb") as stdout:
        done = run(["check", *data], stdout)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert b"the output cannot be written" in done.stderr
    assert done.stderr.count(b"fix:") == 1


def test_a_method_is_not_trained_before_it_is_verified(data, capsys):
    assert refused(["verify", "kriging", *data], capsys, 1) == "--hide 0.15"


def test_a_model_file_that_is_missing_is_no_misspelt_method(data, capsys):
    assert main(["verify", "no.xaq", *data]) == 1
    assert capsys.readouterr().err.startswith("xaq: no model file at no.xaq; fix: xaq train ")


def test_a_part_of_an_option_is_not_taken_for_the_option(data, capsys):
    """``--time`` is no option of ``check``; it was read as ``--timestamps``."""
    with pytest.raises(SystemExit) as stop:
        main(["check", *data, "--time", "start"])
    assert stop.value.code == 2
    assert "--time is no option, perhaps --timestamps" in capsys.readouterr().err
