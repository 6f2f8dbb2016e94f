"""Protocol P6: AQ-Net with and without gridded fields beside methods that are given the same fields, at hidden stations.

``python -m benchmarks.fields [--networks atlanta,made] [--methods kriging,kriging-drift,aqnet] [--splits 1] [--epochs 20]``

Each split hides stations, fits every row to the others and scores all rows at every observation of the hidden ones. Fields are
known everywhere, at hidden stations too; no fit uses observations of hidden stations. Networks: see ``field_networks``.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from xaq.errors import XaqWarning
from xaq.evaluate.verify import verify
from xaq.fields.gridded import Gridded
from xaq.interpolate.base import Mapper
from xaq.interpolate.classical import classical
from xaq.stations import schema

from . import accuracy, field_networks
from .accuracy import AQNET, BAR, Result, Split
from .field_networks import FieldNetwork

BACKGROUND, OVER_BACKGROUND, DRIFT, BOOSTING = "background", "kriging-background", "kriging-drift", "boosting"
WITHOUT_FIELDS = "aqnet-without"
METHODS = (BAR, BACKGROUND, OVER_BACKGROUND, DRIFT, BOOSTING, WITHOUT_FIELDS, AQNET)
#: Columns of scores that are means over observations; ``rmse`` is the root of one.
_MEANS = ["mae", "bias", "cov90", "width90", "crps"]


def rows(network: FieldNetwork, methods: Sequence[str]) -> list[str]:
    """Return the methods that a network allows: those that score a background need one."""
    return [m for m in methods if network.background is not None or m not in (BACKGROUND, OVER_BACKGROUND)]


def given(network: FieldNetwork) -> dict[str, Any]:
    """Return the fields of a network as arguments of the verbs."""
    named: dict[str, Any] = {"background": network.background, "rasters": network.rasters or None}
    return named | ({"fields": list(network.fields.values())} if network.fields else {})


def fit_row(name: str, split: Split, network: FieldNetwork, *, epochs: int) -> tuple[Mapper | str, dict[str, Any]]:
    """Return a row fitted to the visible stations, or its name where ``verify`` fits it, and the fields that it reads."""
    everything = given(network)
    if name in (AQNET, WITHOUT_FIELDS):
        fields = everything if name == AQNET else {}
        model = split.ds.aq.train(split.target, seed=split.seed, max_epochs=epochs, progress=False, **fields)
        return model, fields
    if name == BOOSTING:
        return _boosted(split, network), {}
    if name == DRIFT:
        return DRIFT, everything
    return (BAR if name == OVER_BACKGROUND else name), ({} if name == BAR else {"background": network.background})


def _boosted(split: Split, network: FieldNetwork) -> Mapper:
    """Return boosting on the residuals of kriging, with all fields of the network as predictors."""
    from .boosting import BoostedKriging  # needs the bench extra, which no other row does

    visible = schema.observations(split.ds, split.target)
    krigings = {name: classical(name, visible, seed=split.seed) for name in (BAR, "kriging-log", "kriging-spacetime")}
    background = [] if network.background is None else [network.background]
    fields = [Gridded.of(f) for f in (*background, *network.fields.values(), *network.rasters.values())]
    return BoostedKriging.fit(visible, krigings, fields=fields, seed=split.seed)


def score_row(split: Split, method: Mapper | str, fields: dict[str, Any]) -> pd.DataFrame:
    """Return scores per hidden station, with the coverage of the 90 % interval where the row has one."""
    table = verify(split.ds, method, target=split.target, baselines=[], by="station", **fields).droplevel("method")
    return table.rename(columns={"coverage": "cov90", "width": "width90"})


def run(split: Split, network: FieldNetwork, methods: Sequence[str], *, epochs: int) -> Result:
    """Fit and score every row of a split; seconds are those of the processor."""
    tables, seconds = {}, {}
    for name in rows(network, methods):
        start = time.process_time()
        tables[name] = score_row(split, *fit_row(name, split, network, epochs=epochs))
        seconds[name] = round(time.process_time() - start, 1)
    return Result(split, pd.concat(tables, names=["method"]), accuracy.station_moments(split), seconds)


def merged(results: Sequence[Result]) -> Result:
    """Return the results of several splits as one; a station that several splits hide has the mean of its scores there."""
    table = pd.concat([r.table for r in results]).reset_index()
    means = [c for c in _MEANS if c in table]
    sums = table[means].mul(table.n, axis=0).assign(rmse=table.rmse**2 * table.n, n=table.n)
    summed = sums.groupby([table.method, table.station], sort=False).sum(min_count=1)
    scores = summed[means].div(summed.n, axis=0).assign(rmse=(summed.rmse / summed.n) ** 0.5, n=summed.n)
    truth = pd.concat([r.truth for r in results])
    seconds = {m: round(sum(r.seconds[m] for r in results), 1) for m in results[0].seconds}
    return Result(results[0].split, scores, truth[~truth.index.duplicated()], seconds)


def differences(table: pd.DataFrame) -> list[str]:
    """Return a line for each row that AQ-Net with fields is compared with: paired differences, in percent of the other row."""
    methods, lines = table.index.get_level_values("method").unique(), []
    for other in methods if AQNET in methods else []:
        if other == AQNET:
            continue
        pooled = {"mae": np.average(table.loc[other].mae, weights=table.loc[other].n)}
        pooled["rmse"] = np.average(table.loc[other].rmse ** 2, weights=table.loc[other].n) ** 0.5
        spread = accuracy.paired_bootstrap(table.loc[AQNET], table.loc[other])
        text = ", ".join(
            f"{s.upper()} {100 * d / pooled[s]:+.1f} % ({100 * low / pooled[s]:+.1f} .. {100 * high / pooled[s]:+.1f})"
            for s, (d, low, high) in spread.items()
        )
        lines.append(f"AQ-Net with fields - {other}, 5-95 % over hidden stations: {text}")
    return lines


def splits(name: str, network: FieldNetwork, n: int | None) -> Iterator[Split]:
    """Yield the first splits of a network; all by default."""
    for seed, hidden in enumerate(network.hidden[:n]):
        yield Split(name, network.ds.aq.hide(hidden), network.target, seed)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table for each network, and write every row as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    split = lambda text: text.split(",")  # noqa: E731 - argparse wants a function of one argument
    parser.add_argument("--networks", type=split, help="all found by default")
    parser.add_argument("--methods", type=split, default=list(METHODS), help=f"of {', '.join(METHODS)}")
    parser.add_argument("--splits", type=int, help="the first so many folds or draws of each network; all by default")
    parser.add_argument("--epochs", type=int, default=20, help="most epochs of AQ-Net's training")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/fields.json"))
    options = parser.parse_args(arguments)
    if unknown := [m for m in options.methods if m not in METHODS]:
        parser.error(f"unknown: {', '.join(unknown)}")
    # Warnings of hidden stations that never report, and the like, are known of these networks.
    warnings.simplefilter("ignore", XaqWarning)
    records = []
    for name in field_networks.found(options.networks):
        network = field_networks.load(name)
        results = [
            run(one, network, options.methods, epochs=options.epochs) for one in splits(name, network, options.splits)
        ]
        whole = merged(results)
        table = accuracy.summarise(whole)
        accuracy.print_table(f"{name}, {len(results)} splits, CPU seconds", whole, table)
        print("\n".join(differences(whole.table)), flush=True)
        records += accuracy.to_records("p6", whole, table)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(records, indent=1, default=float))


if __name__ == "__main__":
    main()
