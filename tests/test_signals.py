"""Ctrl-C and SIGTERM: the exit codes that shells and clusters expect, nothing half-written, the user's handlers put back."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import pytest

import xaq
from xaq import cli
from xaq.nn.config import AQNetConfig
from xaq.training.members import AQNetTraining

ROOT = Path(__file__).parents[1]
CONFIG = AQNetConfig(hidden=8, heads=2, k=8)


@pytest.fixture(scope="module")
def network():
    return xaq.datasets.synthetic(n_stations=12, days=6, seed=2)


@pytest.fixture(scope="module")
def data(network, tmp_path_factory):
    """The network as the first arguments of the command line."""
    folder = tmp_path_factory.mktemp("network")
    table = network.pm25.to_dataframe().reset_index()[["station", "time", "pm25"]].dropna()
    table.to_csv(folder / "obs.csv", index=False)
    pd.DataFrame({"station": network.station, "lon": network.lon, "lat": network.lat}).to_csv(
        folder / "stations.csv", index=False
    )
    return [str(folder / "obs.csv"), "--stations", str(folder / "stations.csv"), "--tz", "UTC"]


def train(ds, **options):
    return ds.aq.train("pm25", **{"config": CONFIG, "max_epochs": 2, "progress": False, **options})


@pytest.fixture
def handlers():
    """Handlers of the user's own, put back after the test."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    yield before
    for number, handler in before.items():
        signal.signal(number, handler)


def send_while(monkeypatch, stage, number, at=3):
    """Send a signal from inside training or validation, in the given step."""
    step, calls = getattr(AQNetTraining, stage), []

    def sending(self, *args):
        calls.append(args)
        if len(calls) == at:
            signal.raise_signal(number)
        return step(self, *args)

    monkeypatch.setattr(AQNetTraining, stage, sending)
    return calls


@pytest.mark.parametrize(("stage", "at"), [("training_step", 3), ("validation_step", 1), ("validation_step", 3)])
def test_ctrl_c_during_training_is_a_keyboard_interrupt(network, monkeypatch, handlers, stage, at):
    calls = send_while(monkeypatch, stage, signal.SIGINT, at)
    with pytest.raises(KeyboardInterrupt):
        train(network)
    assert len(calls) == at
    assert {number: signal.getsignal(number) for number in handlers} == handlers


@pytest.mark.parametrize(("stage", "at"), [("training_step", 3), ("validation_step", 1), ("validation_step", 3)])
def test_a_handler_of_the_users_own_decides_what_sigterm_does(network, monkeypatch, handlers, stage, at):
    class StoppedError(Exception):
        pass

    def stop(number, frame):
        raise StoppedError

    signal.signal(signal.SIGTERM, stop)
    calls = send_while(monkeypatch, stage, signal.SIGTERM, at)
    with pytest.raises(StoppedError):
        train(network)
    assert len(calls) == at
    assert signal.getsignal(signal.SIGTERM) is stop


@pytest.mark.parametrize("handler", ["notes it", "ignores it"])
def test_sigterm_that_the_user_notes_or_ignores_does_not_stop_training(network, monkeypatch, handlers, handler):
    noted = []
    own = (lambda number, frame: noted.append(number)) if handler == "notes it" else signal.SIG_IGN
    expected = train(network).hash
    signal.signal(signal.SIGTERM, own)
    send_while(monkeypatch, "training_step", signal.SIGTERM)
    assert train(network).hash == expected
    assert signal.getsignal(signal.SIGTERM) is own
    assert noted == ([signal.SIGTERM] if handler == "notes it" else [])


def test_training_leaves_all_handlers_as_they_were(network, handlers, monkeypatch):
    for number in handlers:
        signal.signal(number, lambda number, frame: None)
    monkeypatch.setenv("SLURM_NTASKS", "4")
    monkeypatch.setenv("SLURM_JOB_NAME", "reanalysis")
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "4")
    before = {number: signal.getsignal(number) for number in handlers}
    during = []
    step = AQNetTraining.training_step
    monkeypatch.setattr(
        AQNetTraining,
        "training_step",
        lambda self, *a: (during.append({n: signal.getsignal(n) for n in before}), step(self, *a))[1],
    )
    train(network)
    assert all(seen == before for seen in during)
    assert {number: signal.getsignal(number) for number in handlers} == before


def test_training_in_another_thread_gives_the_same_model(network, handlers):
    made = []
    thread = threading.Thread(target=lambda: made.append(train(network)))
    thread.start()
    thread.join()
    assert made[0].hash == train(network).hash
    assert {number: signal.getsignal(number) for number in handlers} == handlers


def test_a_run_that_was_stopped_resumes_to_the_same_model(network, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        send_while(patch, "training_step", signal.SIGINT, at=6)
        with pytest.raises(KeyboardInterrupt):
            train(network, checkpoint=tmp_path / "run")
    assert train(network, checkpoint=tmp_path / "run").hash == train(network).hash


VERBS = {
    "check": (cli.check, "check", []),
    "train": (xaq.training.train, "train", ["-o", "m.xaq"]),
    "reanalyze": (xaq.cube.reanalyze, "reanalyze", ["--store", "c.zarr"]),
    "verify": (xaq.evaluate.verify, "verify", []),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_every_command_has_the_exit_code_of_its_signal(
    data, monkeypatch, tmp_path, capsys, handlers, verb, number, code
):
    monkeypatch.chdir(tmp_path)
    module, function, options = VERBS[verb]
    method = [] if verb in ("check", "train") else ["idw"]
    monkeypatch.setattr(cli.stations, "load_or_name", lambda what: what)
    for opens in ("open_data", "open_unchecked"):
        monkeypatch.setattr(cli.stations, opens, lambda arguments, model=None: None)
    monkeypatch.setattr(module, function, lambda *a, **k: signal.raise_signal(number))
    assert cli.main([verb, *method, *data, *options]) == code
    assert "the same command resumes" in capsys.readouterr().err
    assert {number: signal.getsignal(number) for number in handlers} == handlers
    assert not list(tmp_path.iterdir())


def run_until(arguments, number, sign, tmp_path):
    """Start a command, send it a signal when ``sign`` is on its stderr, and return its exit code and what it wrote there."""
    (tmp_path / "scratch").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "scratch"), "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen([sys.executable, *arguments], cwd=tmp_path, env=environment, stderr=subprocess.PIPE)
    text = b""
    try:
        while sign not in text:
            byte = child.stderr.read(1)
            assert byte, text.decode()
            text += byte
        child.send_signal(number)
        text += child.communicate(timeout=60)[1]
    finally:
        child.kill()
        child.wait()
    return child.returncode, text.decode()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_training_command_ends_without_model_and_leftovers(data, tmp_path, number, code):
    command = ["-m", "xaq", "train", *data, "--max-epochs", "1000", "-o", "m.xaq"]
    found, text = run_until(command, number, b" 1/1000", tmp_path)
    assert found == code, text
    assert "Traceback" not in text
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")] == ["scratch"]


@pytest.mark.slow
def test_a_script_that_trains_is_ended_by_sigterm_and_leaves_nothing(tmp_path):
    """It ends as any script does that does not handle the signal: 143 in a shell."""
    script = (
        "import xaq; ds = xaq.datasets.synthetic(n_stations=12, days=6)\n"
        "ds.aq.train('pm25', max_epochs=1000).save('m.xaq')"
    )
    found, text = run_until(["-c", script], signal.SIGTERM, b" 1/1000", tmp_path)
    assert found == -signal.SIGTERM, text
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")] == ["scratch"]


def test_a_cube_that_sigterm_stops_is_left_to_be_completed(data, tmp_path):
    grid = ["--grid", "0.002", "--time", "2020-01-01/2020-01-02", "--store", "c.zarr"]
    command = ["-m", "xaq", "reanalyze", "idw", *data, *grid]
    found, text = run_until(command, signal.SIGTERM, b"writing", tmp_path)
    assert found == 143, text
    assert "Traceback" not in text
    half = xaq.cube_info(tmp_path / "c.zarr")
    assert half.written < half.blocks
