"""Training beside other work: one thread of torch, and the user's settings as they were."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import xaq
from xaq.training import learn

ROOT = Path(__file__).parents[2]
TRAINING = """
import warnings, xaq
warnings.simplefilter("ignore")
ds = xaq.datasets.synthetic(n_stations=16, days=20)
ds.aq.train("pm25", max_epochs=3, progress=False)
"""


def test_training_uses_one_thread_and_restores_the_setting(monkeypatch):
    during, run = [], learn.run

    def watched(*args, **options):
        during.append(torch.get_num_threads())
        return run(*args, **options)

    monkeypatch.setattr(learn, "run", watched)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        xaq.datasets.synthetic(n_stations=8, days=4).aq.train("pm25", max_epochs=1, progress=False)
        assert during == [1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two trainings need two processors")
def test_two_trainings_at_once_do_not_stop_each_other():
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    environment["PYTHONPATH"] = str(ROOT)

    def start() -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-c", TRAINING], env=environment)

    def seconds(n: int) -> float:
        begin = time.monotonic()
        jobs = [start() for _ in range(n)]
        assert [job.wait(timeout=300) for job in jobs] == [0] * n
        return time.monotonic() - begin

    assert seconds(2) <= 2.5 * seconds(1)
