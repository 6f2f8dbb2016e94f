"""Tests, training and cubes on a GPU beside the CPU of the same machine, in one short run.

``python -m benchmarks.gpu [--device cuda] [--small]``

Prints the versions and the card; the outcome of the tests marked ``cuda``; the time of training; the time of a cube in memory
and to a store, and of monthly means from members; the largest relative difference between the two devices for one model. The network is synthetic
(:mod:`benchmarks.made`). ``--device cpu --small`` runs all of it in about a minute on a machine without a GPU.
"""

from __future__ import annotations

import argparse
import logging
import os
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

_EPOCHS = 2


def timed(work: Callable[[], Any], device: str) -> tuple[Any, float]:
    """Return the result of some work and its seconds, the device's queue included."""
    start = time.perf_counter()
    result = work()
    if device == "cuda":
        torch.cuda.synchronize()
    return result, time.perf_counter() - start


def say(text: str) -> None:
    """Print at once: a run that is cut off keeps what it has found."""
    print(text, flush=True)


def run_tests() -> None:
    """Run the tests marked ``cuda`` and print pytest's last line."""
    command = [sys.executable, "-m", "pytest", "-m", "cuda", "-p", "no:cacheprovider", "tests/nn", "tests/training"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    say(f"tests marked cuda: {(done.stdout.strip() or done.stderr.strip()).splitlines()[-1]}")


def compare_training(stations: int, days: int, devices: list[str]) -> dict[str, xaq.Model]:
    """Train on each device for a few epochs and print the seconds; return the models."""
    ds = made.network(stations, 24 * days)
    models = {}
    for device in devices:
        train = lambda d=device: ds.aq.train("pm25", max_epochs=_EPOCHS, device=d, progress=False)  # noqa: E731
        models[device], seconds = timed(train, device)
        say(
            f"training, {stations} stations x {days} days, {_EPOCHS} epochs, {device}: {seconds:.1f} s, "
            f"{stations * days * _EPOCHS / seconds:.0f} station-days per second"
        )
    return models


def compared(values: xr.DataArray, first: xr.DataArray, device: str, first_device: str) -> xr.DataArray:
    """Print how far the values of a device are from those of the first one, which are returned."""
    difference = float((np.abs(values - first) / first.clip(1)).max())
    say(f"largest relative difference of {device} from {first_device}: {difference:.1e}")
    return first


def compare_cubes(model: xaq.Model, stations: int, days: int, spacing: float, devices: list[str]) -> None:
    """Make the same cube on each device, in memory and to a store, and print seconds and the largest difference."""
    ds, grid = made.network(stations, 24 * days), xaq.Grid.regular(spacing, bounds=made.BOUNDS)
    first = None
    for device in devices:
        placed = model.to(device)
        cube, seconds = timed(lambda m=placed: ds.aq.reanalyze(m, grid=grid).compute(), device)
        with tempfile.TemporaryDirectory() as scratch:
            make = lambda m=placed, s=scratch: ds.aq.reanalyze(m, grid=grid, store=Path(s) / "c.zarr", progress=False)  # noqa: E731
            _, stored = timed(make, device)
        size = cube.pm25.size / 1e6
        say(
            f"cube, {stations} stations, {days} days at {spacing} degrees ({size:.0f} million values with bounds), {device}: "
            f"in memory {seconds:.1f} s ({size / seconds:.1f} million per second), to a store {stored:.1f} s"
        )
        first = cube.pm25 if first is None else compared(cube.pm25, first, device, devices[0])


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
            f"values), {device}: {seconds:.1f} s ({values / seconds:.2f} billion per second)"
        )
        first = means.pm25_member if first is None else compared(means.pm25_member, first, device, devices[0])


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--small", action="store_true", help="a few stations, days and cells")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    card = torch.cuda.get_device_name(0) if options.device == "cuda" else "none"
    say(f"xaq {xaq.__version__}, torch {torch.__version__}, {os.cpu_count()} cores, GPU: {card}")
    if options.device == "cuda":
        run_tests()
    devices = ["cpu"] if options.device == "cpu" else ["cpu", "cuda"]
    trainings = [(12, 20)] if options.small else [(35, 365), (240, 365)]
    cubes = [(12, 4, 1.0)] if options.small else [(584, 60, 0.1), (584, 4, 0.02)]
    models = {}
    for stations, days in trainings:
        models = compare_training(stations, days, devices)
    for stations, days, spacing in cubes:
        compare_cubes(models["cpu"], stations, days, spacing, devices)
    compare_members(
        models["cpu"], *((12, 62, 1.0) if options.small else (584, 365, 0.1)), devices, 2 if options.small else 10
    )
    if options.device == "cuda":
        say(f"peak GPU memory: {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
