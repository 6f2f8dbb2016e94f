"""Ablation of the analysis: each part is taken away in turn, and errors at validation stations are compared.

``python -m benchmarks.ablation [--networks germany,krakow_airly_2017,beijing12] [--seed 0] [--out ablation.json]``

A part is taken away by freezing its parameters at their initial values, or by a configuration without it; covariates are
added instead. Errors are those of the members at the visible stations that each of them did not learn from, pooled: the
score that training selects epochs by. It is less noisy than that of the few hidden stations, which are not used here.
"""

from __future__ import annotations

import argparse
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
import xarray as xr

from xaq import AQNetConfig
from xaq.arrays import timesteps
from xaq.interpolate import scale_mixture
from xaq.training import learn

from . import networks

#: Prefixes of the names of parameters to freeze.
FROZEN: dict[str, tuple[str, ...]] = {
    "ranges and nuggets": ("knn.theta_range", "knn.theta_noise"),
    "exponent": ("knn.theta_exponent",),
    "anisotropy": ("knn.theta_stretch",),
    "variance_ratio": ("knn.theta_variance_ratio",),
    "noise by station-day": ("knn.noise_head",),
}


@contextmanager
def frozen(beginnings: tuple[str, ...]) -> Iterator[None]:
    """Train networks whose parameters with these prefixes keep their initial values."""
    make = learn.untrained_network

    def held(recipe: Any) -> Any:
        network = make(recipe)
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(not name.startswith(beginnings))
        return network

    with patch.object(learn, "untrained_network", held):
        yield


@contextmanager
def constant_log_weight() -> Iterator[None]:
    """Give the log scale the same weight on every day."""
    with patch.object(scale_mixture, "_SHARPNESS", 0.0):
        yield


def variants(ds: xr.Dataset, target: str) -> Iterator[tuple[str, AbstractContextManager[None], dict[str, Any]]]:
    """Yield (name, context to train it in, arguments of ``train``)."""
    config = AQNetConfig.default("analysis", timesteps.steps_per_day(timesteps.regular_step(ds.time.values)))
    yield "complete", nullcontext(), {}
    for name, beginnings in FROZEN.items():
        yield f"without {name}", frozen(beginnings), {}
    yield "without the log-scale weight by day", constant_log_weight(), {}
    if config.advects:
        yield "without advection", nullcontext(), {"config": replace(config, advection=False)}
    yield "without cyclic encoding", nullcontext(), {"config": replace(config, cyclic=False)}
    yield (
        "with the temporal module",
        nullcontext(),
        {"config": replace(config, temporal=True, days_before=3, days_after=3)},
    )
    if others := [str(n) for n in ds.data_vars if n != target]:
        yield f"with {len(others)} covariates", nullcontext(), {"covariates": others}


def measure(name: str, seed: int) -> pd.DataFrame:
    """Return errors at validation stations of every variant on one network."""
    ds, target = networks.load(name, covariates=True)
    ds = ds.aq.hide(fraction=0.15, seed=seed)
    rows = {}
    for variant, held, arguments in variants(ds, target):
        with held:
            summary = ds.aq.train(target, seed=seed, progress=False, **arguments).recipe.training
        rows[variant] = {key: summary[key] for key in ("mae", "rmse", "fraction")}
        print(f"  {name}, {variant}: MAE {summary['mae']:.3f}, RMSE {summary['rmse']:.3f}", flush=True)
    table = pd.DataFrame(rows).T
    whole = table.loc["complete"]
    return table.assign(mae_change=table.mae / whole.mae - 1, rmse_change=table.rmse / whole.rmse - 1)


def main() -> None:
    """Print a table per network; changes in per cent of the complete model, positive where the part lowers the error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="germany,krakow_airly_2017,beijing12")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    tables = {name: measure(name, options.seed) for name in networks.found(options.networks.split(","))}
    for name, table in tables.items():
        shown = table.assign(mae_change=100 * table.mae_change, rmse_change=100 * table.rmse_change)
        print(f"\n{name}, seed {options.seed}: errors at validation stations, changes in %")
        print(shown.to_string(float_format="{:.3f}".format))
    if options.out:
        options.out.write_text(json.dumps({n: t.reset_index().to_dict("records") for n, t in tables.items()}, indent=1))


if __name__ == "__main__":
    main()
