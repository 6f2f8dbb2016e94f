"""Tests, training and cubes on a GPU beside the CPU of the same machine, in one run.

``python -m benchmarks.gpu [--device cuda] [--small]``

Prints the versions and the card; the outcome of the tests marked ``cuda``; the seconds to a trained model and the speed of
learning; the throughput of cubes whose blocks are computed and forgotten, and of cubes that end in a store; monthly means from
members; the largest relative difference between the devices for one model; peak memory. It ends with an error where values
differ by more than 1e-3. The network is synthetic (:mod:`benchmarks.made`). ``--device cpu --small`` runs all of it twice on
the CPU, in about a minute, on a machine without a GPU; values must then be equal.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

import xaq

from . import made

#: Largest relative difference of values between devices.
_TOLERANCE = 1e-3
#: Of a step of training: members, and samples of each.
_MEMBERS, _SAMPLES, _STEPS_PER_EPOCH = 5, 160, 20


def timed(work: Callable[[], Any], device: str) -> tuple[Any, float]:
    """Return the result of some work and its seconds, the device's queue included."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    result = work()
    if device == "cuda":
        torch.cuda.synchronize()
    return result, time.perf_counter() - start


def say(text: str) -> None:
    """Print at once: a run that is cut off keeps what it has found."""
    print(text, flush=True)


def memory(device: str) -> str:
    """Return the peak of the process since it began and, of a GPU, of the work that was timed last."""
    text = f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB"
    return text if device == "cpu" else f"{text}, of the GPU {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB"


def run_tests() -> None:
    """Run the tests marked ``cuda`` and print pytest's last line."""
    command = [sys.executable, "-m", "pytest", "-m", "cuda", "-p", "no:cacheprovider", "tests/nn", "tests/training"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    say(f"tests marked cuda: {(done.stdout.strip() or done.stderr.strip()).splitlines()[-1]}")


def compare_training(stations: int, days: int, devices: list[str], epochs: int = 20) -> xaq.Model:
    """Train to the end on each device; print the seconds, and how fast it learns; return the first model on the CPU."""
    ds = made.network(stations, 24 * days)
    first = None
    for device in devices:
        train = lambda n, d=device: ds.aq.train("pm25", max_epochs=n, device=d, progress=False)  # noqa: E731
        # What surrounds learning is the same without an epoch.
        _, around = timed(lambda t=train: t(0), device)
        model, seconds = timed(lambda t=train: t(epochs), device)
        took = model.recipe.training["epochs"]
        samples, learning = took * _STEPS_PER_EPOCH * _MEMBERS * _SAMPLES, seconds - around
        speed = samples / learning if learning > 0 else np.nan
        say(
            f"training, {stations} stations x {days} days, {device}: {seconds:.1f} s to a trained model ({took} epochs), "
            f"{around:.1f} s of them around the learning; {speed:.0f} samples per second; {memory(device)}"
        )
        first = model.to("cpu") if first is None else first
    assert first is not None
    return first


def check_agreement(values: xr.DataArray, first: xr.DataArray, device: str, first_device: str) -> None:
    """Print how far the values of a device are from those of the first one.

    Raises
    ------
    SystemExit
        By more than the tolerance.
    """
    difference = float((np.abs(values - first) / first.clip(1)).max())
    say(f"largest relative difference of {device} from {first_device}: {difference:.1e}")
    if not difference <= _TOLERANCE:
        raise SystemExit(f"values on {device} differ from those on {first_device} by {difference:.1e}")


def compare_cubes(model: xaq.Model, stations: int, days: int, spacing: float, devices: list[str]) -> None:
    """Make the same cube on each device, in memory and to a store; print seconds and the largest difference of one map."""
    ds, grid = made.network(stations, 24 * days), xaq.Grid.regular(spacing, bounds=made.BOUNDS)
    first = None
    for device in devices:
        placed = model.to(device)
        lazy = ds.aq.reanalyze(placed, grid=grid)
        # Their largest value, so that each block is computed and then forgotten.
        _, seconds = timed(lambda c=lazy: c.max("time").compute(), device)
        used = memory(device)
        with tempfile.TemporaryDirectory() as scratch:
            make = lambda m=placed, s=scratch: ds.aq.reanalyze(m, grid=grid, store=Path(s) / "c.zarr", progress=False)  # noqa: E731
            cube, stored = timed(make, device)
            some = cube.pm25.isel(time=slice(0, 24)).load()
        size = 3 * lazy.pm25.size / 1e6
        say(
            f"cube, {stations} stations, {days} days at {spacing} degrees ({size:.0f} million values with bounds), {device}: "
            f"in memory {seconds:.1f} s ({size / seconds:.1f} million per second), to a store {stored:.1f} s "
            f"({size / stored:.1f} million per second); {used}"
        )
        if first is None:
            first = some
        else:
            check_agreement(some, first, device, devices[0])


def compare_members(
    model: xaq.Model, stations: int, days: int, spacing: float, devices: list[str], members: int
) -> None:
    """Make monthly means with intervals from members on each device, and print seconds and the largest difference."""
    ds, grid = made.network(stations, 24 * days), xaq.Grid.regular(spacing, bounds=made.BOUNDS)
    first = None
    for device in devices:
        placed = model.to(device)
        lazy = ds.aq.reanalyze(placed, grid=grid, freq="MS", members=members)[["pm25", "pm25_member"]]
        means, seconds = timed(lazy.compute, device)
        values = members * ds.sizes["time"] * grid.lon.size * grid.lat.size / 1e9
        say(
            f"monthly means from {members} members, {stations} stations, {days} days at {spacing} degrees ({values:.1f} billion "
            f"values), {device}: {seconds:.1f} s ({values / seconds:.2f} billion per second); {memory(device)}"
        )
        if first is None:
            first = means.pm25_member
        else:
            check_agreement(means.pm25_member, first, device, devices[0])


def main(arguments: list[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--small", action="store_true", help="a few stations, days and cells")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("no CUDA device here; fix: --device cpu")
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    card = torch.cuda.get_device_name(0) if options.device == "cuda" else "none"
    say(f"xaq {xaq.__version__}, torch {torch.__version__}, {os.cpu_count()} cores, GPU: {card}")
    if options.device == "cuda":
        run_tests()
    devices = ["cpu", options.device]
    # Loads what the first training would otherwise wait for.
    made.network(8, 24 * 8).aq.train("pm25", max_epochs=1, progress=False)
    if options.small:
        model = compare_training(12, 12, devices, epochs=1)
        compare_cubes(model, 12, 4, 1.0, devices)
        compare_members(model, 12, 40, 2.0, devices, 2)
        return
    models = [compare_training(stations, days, devices) for stations, days in ((35, 4 * 365), (240, 365), (1600, 365))]
    # A year of 0.1 degrees, a month of 0.01.
    for days, spacing in ((365, 0.1), (31, 0.01)):
        compare_cubes(models[1], 584, days, spacing, devices)
    compare_members(models[1], 584, 365, 0.1, devices, 10)


if __name__ == "__main__":
    main()
