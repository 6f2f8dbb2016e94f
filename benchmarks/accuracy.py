"""P1, analysis at hidden stations: AQ-Net beside kriging, IDW and nearest, on every network found.

``python -m benchmarks.accuracy [--networks germany,beijing12] [--seeds 3] [--fraction 0.15]``
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import pandas as pd

from . import networks


def run(name: str, seed: int, fraction: float) -> pd.DataFrame:
    """Hide stations by seed, train on the rest, score at the hidden ones; one row per method."""
    ds, target = networks.load(name)
    ds = ds.aq.hide(fraction=fraction, seed=seed)
    start = time.perf_counter()
    model = ds.aq.train(target, seed=seed)
    seconds = time.perf_counter() - start
    table = ds.aq.verify(model).reset_index()
    bar = table.set_index("method").loc["kriging"]
    return table.assign(
        network=name, seed=seed, train_seconds=round(seconds, 1), validation=model.recipe.training["score"],
        mae_skill=1 - table.mae / bar.mae, rmse_skill=1 - table.rmse / bar.rmse,
    )  # fmt: skip


def main() -> None:
    """Print a table per network and the means; write all rows as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", help="comma-separated; all found by default")
    parser.add_argument("--seeds", type=int, default=1, help="draws of hidden stations")
    parser.add_argument("--fraction", type=float, default=0.15)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/accuracy.json"))
    arguments = parser.parse_args()
    wanted = arguments.networks.split(",") if arguments.networks else None
    rows = []
    for name in networks.found(wanted):
        for seed in range(arguments.seeds):
            table = run(name, seed, arguments.fraction)
            rows.append(table)
            print(
                f"\n{name}, seed {seed}, {arguments.fraction:.0%} of stations hidden, trained in {table.train_seconds[0]} s"
            )
            scores = ["mae", "rmse", "r2", "bias", "crps", "coverage", "width"]
            columns = ["method", *scores, "mae_skill", "rmse_skill", "n"]
            print(table[columns].to_string(index=False, float_format=lambda v: f"{v:.3f}"), flush=True)
    everything = pd.concat(rows, ignore_index=True)
    print("\nmean skill against ordinary kriging (positive is better)")
    print(
        everything.groupby(["network", "method"], sort=False)[["mae_skill", "rmse_skill", "coverage"]]
        .mean()
        .round(3)
        .to_string()
    )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(everything.to_dict("records"), indent=1))


if __name__ == "__main__":
    main()
