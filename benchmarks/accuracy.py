"""Protocols P1 and P4: AQ-Net and the classical methods at hidden stations, on every network found, in one run.

``python -m benchmarks.accuracy [--networks germany,beijing12] [--protocol p1,aqi36] [--methods kriging,idw] [--quick]``

Each run hides stations, fits every row to the others and scores all rows at every hour that the hidden stations report. No
fit uses hidden stations. The folder of networks is ``$XAQ_DATA`` (see ``networks``).
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from xaq.errors import XaqWarning
from xaq.evaluate.verify import verify
from xaq.interpolate.base import Mapper
from xaq.interpolate.classical import InverseDistance, classical
from xaq.stations import schema

from . import networks
from .summary import AQNET, BAR, METHODS, STATIONS_ALONE, print_draws, print_summary

LEVELS = (0.5, 0.9, 0.95)
#: A station with a larger fraction of a network's squared error than this is named.
LARGE_FRACTION = 0.25
_COLUMNS = ["mae", "rmse", "r2", "bias", "mae_skill", "rmse_skill", "cov50", "cov90", "cov95", "width90", "crps", "n"]


@dataclass(frozen=True)
class Split:
    """One experiment: a network with hidden stations, and the periods to fit and to score in; None is the whole record."""

    name: str
    ds: xr.Dataset
    target: str
    seed: int = 0
    fit_time: slice | None = None
    score_time: slice | None = None


@dataclass
class Result:
    """Scores of every row of one split: ``table`` by (method, station), moments of the truth by station, seconds by method."""

    split: Split
    table: pd.DataFrame
    truth: pd.DataFrame
    seconds: dict[str, float] = field(default_factory=dict)


# -- fitting and scoring -------------------------------------------------------------------------------------------


def fit_rows(split: Split, methods: Sequence[str]) -> Iterator[tuple[str, Mapper, float]]:
    """Yield (name, mapper, seconds to fit) of methods, each fitted to the visible stations only."""
    visible = schema.observations(schema.select_period(split.ds, split.fit_time), split.target)
    krigings: dict[str, Mapper] = {}
    for name in methods:
        start = time.perf_counter()
        if name in (AQNET, STATIONS_ALONE):
            geography = name == AQNET
            mapper = split.ds.aq.train(split.target, time=split.fit_time, geography=geography, seed=split.seed)
        elif name == "idw-released":
            mapper = InverseDistance(power=1.0, k=20, name=name)
        elif name == "boosting":
            from .boosting import BoostedKriging  # needs the bench extra, which no other row does

            for needed in ("kriging", "kriging-log", "kriging-spacetime"):
                krigings.setdefault(needed, classical(needed, visible, seed=split.seed))
            mapper = BoostedKriging.fit(visible, krigings, seed=split.seed)
        else:
            mapper = classical(name, visible, seed=split.seed)
            krigings[name] = mapper
        yield name, mapper, time.perf_counter() - start


def score_row(split: Split, mapper: Mapper) -> pd.DataFrame:
    """Return scores per hidden station, with the coverage at each nominal level where the row has intervals."""
    tables = {
        level: verify(
            split.ds, mapper, target=split.target, time=split.score_time, baselines=[], level=level, by="station"
        ).droplevel("method")
        for level in (LEVELS if mapper.has_interval else (0.9,))
    }
    table = tables[0.9].rename(columns={"width": "width90"})
    return table.drop(columns="coverage").assign(
        **{f"cov{100 * level:.0f}": tables[level].coverage if level in tables else np.nan for level in LEVELS}
    )


def run(split: Split, methods: Sequence[str]) -> Result:
    """Fit and score every row of a split."""
    tables, seconds = {}, {}
    for name, mapper, took in fit_rows(split, methods):
        start = time.perf_counter()
        tables[name] = score_row(split, mapper)
        seconds[name] = round(took + time.perf_counter() - start, 1)
    return Result(split, pd.concat(tables, names=["method"]), station_moments(split), seconds)


def station_moments(split: Split) -> pd.DataFrame:
    """Return mean and variance of the scored observations of each hidden station, which pooled R2 needs."""
    ds = schema.select_period(split.ds, split.score_time)
    values = ds[split.target].transpose("station", "time").values.astype(float)
    hidden = schema.hidden_mask(ds)
    # No row estimates a step at which no visible station reports.
    scored = values[hidden][:, np.isfinite(values[~hidden]).any(axis=0)]
    frame = pd.DataFrame(scored.T, columns=ds.station.values[hidden].astype(str))
    return pd.DataFrame({"mean": frame.mean(), "variance": frame.var(ddof=0)}).rename_axis("station")


def pool(table: pd.DataFrame, moments: pd.DataFrame) -> dict[str, float]:
    """Pool one row's scores over stations with the weight of their observations."""
    table = table[table.n > 0]
    n = table.n / table.n.sum()
    pooled = {name: float((n * table[name]).sum(min_count=1)) for name in table.columns.intersection(_COLUMNS)}
    moments = moments.loc[table.index.get_level_values("station")].set_axis(table.index)
    mse = float((n * table.rmse**2).sum())
    variance = float((n * (moments.variance + (moments["mean"] - (n * moments["mean"]).sum()) ** 2)).sum())
    return {**pooled, "rmse": mse**0.5, "r2": 1 - mse / variance if variance else np.nan, "n": int(table.n.sum())}


def summarise(result: Result) -> pd.DataFrame:
    """Return the pooled table of a split, one row per method, with skill against ordinary kriging."""
    rows = {m: pool(t.droplevel("method"), result.truth) for m, t in result.table.groupby("method", sort=False)}
    return with_skill(pd.DataFrame(rows).T.rename_axis("method"))


def with_skill(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with MAE and RMSE skill against ordinary kriging; NaN where that was not run."""
    bar = table.loc[BAR] if BAR in table.index else table.iloc[0] * np.nan
    return table.assign(mae_skill=1 - table.mae / bar.mae, rmse_skill=1 - table.rmse / bar.rmse)


# -- uncertainty of a difference -----------------------------------------------------------------------------------


def paired_bootstrap(
    a: pd.DataFrame, b: pd.DataFrame, *, resamples: int = 1000, seed: int = 0
) -> dict[str, tuple[float, float, float]]:
    """Bootstrap the difference of two rows over hidden stations.

    Parameters
    ----------
    a, b : pandas.DataFrame
        Per-station scores of two rows: ``mae``, ``rmse``, ``n``, on the same index.
    resamples : int
    seed : int

    Returns
    -------
    dict
        ``mae`` and ``rmse``: (a - b, its 5 % and its 95 % quantile), in the target's units; negative: a is better.
    """
    b = b.loc[a.index]
    draws = np.random.default_rng(seed).integers(len(a), size=(resamples, len(a)))
    draws = np.concatenate([np.arange(len(a))[None], draws])
    n = a.n.to_numpy(float)[draws].sum(axis=1)
    result = {}
    for score, power in (("mae", 1), ("rmse", 2)):
        sums = [(t[score] ** power * t.n).fillna(0).to_numpy()[draws].sum(axis=1) for t in (a, b)]
        with np.errstate(invalid="ignore"):
            difference = (sums[0] / n) ** (1 / power) - (sums[1] / n) ** (1 / power)
        low, high = np.nanquantile(difference[1:], [0.05, 0.95])
        result[score] = (float(difference[0]), float(low), float(high))
    return result


def heaviest_station(table: pd.DataFrame) -> tuple[str, float]:
    """Return the station with the largest fraction of a row's squared error, and that fraction."""
    squared = (table.rmse**2 * table.n).groupby("station").sum()
    return str(squared.idxmax()), float(squared.max() / squared.sum())


# -- splits --------------------------------------------------------------------------------------------------------


def station_folds(stations: Sequence[str], size: int, seed: int = 0) -> list[list[str]]:
    """Deal stations into folds of ``size`` at random; every station is in one fold."""
    order = np.random.default_rng(seed).permutation(sorted(stations))
    return [sorted(map(str, order[i : i + size])) for i in range(0, len(order), size)]


def p1_splits(name: str, seeds: int, fraction: float) -> Iterator[Split]:
    """Hide a fraction of the stations of a network, once per seed."""
    ds, target = networks.load(name)
    for seed in range(seeds):
        yield Split(name, ds.aq.hide(fraction=fraction, seed=seed), target, seed)


def fold_splits(name: str, size: int, test_fraction: float | None = None) -> Iterator[Split]:
    """Hide every station once, ``size`` at a time; with ``test_fraction``, score in the last part and fit before it."""
    ds, target = networks.load(name)
    fit_time = score_time = None
    if test_fraction is not None:
        cut = int((1 - test_fraction) * ds.sizes["time"])
        fit_time, score_time = slice(None, ds.time.values[cut - 1]), slice(ds.time.values[cut], None)
    for i, fold in enumerate(station_folds(ds.station.values.astype(str), size)):
        yield Split(f"{name} fold {i}", ds.aq.hide(fold), target, 0, fit_time, score_time)


def patel_splits(*, observed_only: bool) -> Iterator[Split]:
    """Yield the three published folds of stations."""
    for fold in range(3):
        ds, hidden = networks.load_patel(fold, observed_only=observed_only)
        yield Split(f"patel fold {fold}", ds.aq.hide(hidden), "pm25")


# -- protocols -----------------------------------------------------------------------------------------------------


def run_p1(options: argparse.Namespace) -> list[dict]:
    """Hide a fraction of every network; print a table per network and seed, then a summary."""
    records = []
    for name in networks.found(options.networks):
        for split in p1_splits(name, options.seeds, options.fraction):
            result = run(split, options.methods)
            table = summarise(result)
            title = f"{name}, seed {split.seed}, {options.fraction:.0%} of stations hidden"
            print_table(title, result, table)
            records += to_records("p1", result, table)
    if records:
        table = pd.DataFrame(records)
        print_summary(table)
        print_draws(table)
    return records


def run_folds(
    protocol: str,
    splits: Iterator[Split],
    options: argparse.Namespace,
    published: str,
    parts: Callable[[pd.DataFrame], dict[str, float]] | None = None,
) -> list[dict]:
    """Run every split; print scores pooled over all, their mean over splits, and the published scores."""
    results = [run(split, options.methods) for split in splits]
    tables = [summarise(r) for r in results]
    records = [row for r, t in zip(results, tables, strict=True) for row in to_records(protocol, r, t)]
    table = pd.concat([r.table for r in results])
    moments = pd.concat([r.truth for r in results])
    rows = {m: pool(t.droplevel("method"), moments) for m, t in table.groupby("method", sort=False)}
    whole = with_skill(pd.DataFrame(rows).T.rename_axis("method"))
    seconds = {m: sum(r.seconds[m] for r in results) for m in options.methods}
    together = Result(results[0].split, table, moments, seconds)
    print_table(f"{protocol}: {len(results)} splits pooled", together, whole)
    mean = pd.concat(tables).groupby(level=0, sort=False)[["mae", "rmse", "r2"]].mean()
    print("mean over splits\n" + mean.to_string(float_format="{:.3f}".format))
    print("for comparison: " + published, flush=True)
    return records + [{"protocol": protocol, "network": "pooled", "method": m, **whole.loc[m]} for m in whole.index]


def run_aqi36(options: argparse.Namespace) -> list[dict]:
    """Run twelve folds of three stations, then hide the two stations that GRIN was scored at."""
    name = "aqi36_stmvl"
    folds = fold_splits(name, 3)
    published = (
        "leave-one-station-out, all hours, MAE / RMSE / R2: ordinary kriging 14.26 / 25.74 / 0.895, IDW (p 2) 15.17 / 27.75 / 0.878, "
        "released rule 17.14 / 30.91 / 0.848"
    )
    if options.quick:
        return run_folds("aqi36, first fold", iter([next(folds)]), options, published)
    records = run_folds("aqi36", folds, options, published)
    ds, target = networks.load(name)
    split = Split("aqi36 1014, 1031", ds.aq.hide(["001014", "001031"]), target)
    result = run(split, options.methods)
    print(
        "\naqi36, stations 1014 and 1031 hidden: MAE, all hours; GRIN (ICLR 2022), in months 3, 6, 9, 12: 11.74, 20.00"
    )
    print(result.table.mae.unstack("station").to_string(float_format="{:.2f}".format), flush=True)
    return records + to_records("aqi36-grin", result, summarise(result))


def run_patel(options: argparse.Namespace) -> list[dict]:
    """Run three published folds: scored where observed, and as published, with the 3 % of imputed rows."""
    published = (
        "mean RMSE over folds, imputed rows included: GP 24.03, ADAIN 29.39, random forest 26.68; kriging 23.15; "
        "kriging + boosted residual 22.69"
    )
    records = run_folds("patel, observed rows", patel_splits(observed_only=True), options, published)
    return records + run_folds("patel, all rows", patel_splits(observed_only=False), options, published)


def run_beijing12(options: argparse.Namespace) -> list[dict]:
    """Leave out each station in turn; fit on the first 80 % of the hours, score on the last 20 %."""
    published = "MAE / RMSE / R2: ordinary kriging 11.6 / 22.1 / 0.917, IDW (p 2) 12.8 / 23.8 / 0.901"
    return run_folds("beijing12-loo", fold_splits("beijing12", 1, test_fraction=0.2), options, published)


PROTOCOLS: dict[str, tuple[str | None, Callable[[argparse.Namespace], list[dict]]]] = {
    "p1": (None, run_p1),
    "aqi36": ("aqi36_stmvl", run_aqi36),
    "patel": ("patel_beijing_march2015", run_patel),
    "beijing12-loo": ("beijing12", run_beijing12),
}


# -- tables --------------------------------------------------------------------------------------------------------


def print_table(title: str, result: Result, table: pd.DataFrame) -> None:
    """Print one table with a description of its data, and remarks."""
    ds, split = result.split.ds, result.split
    hidden = result.table.index.get_level_values("station").nunique()
    print(
        f"\n{title}: {split.target} in {ds[split.target].attrs['units']}, {ds.sizes['station']} stations, {hidden} of them scored"
    )
    columns = [c for c in _COLUMNS if c in table and table[c].notna().any()]
    shown = table[columns].assign(n=table.n.astype(int), seconds=pd.Series(result.seconds).round(0).astype(int))
    print(shown.to_string(float_format="{:.3f}".format))
    for line in remarks(result.table):
        print(line)
    print(end="", flush=True)


def remarks(table: pd.DataFrame) -> list[str]:
    """Return lines on the uncertainty of the comparison with kriging, and on a station that dominates the error."""
    lines, methods = [], table.index.get_level_values("method").unique()
    if BAR in methods and AQNET in methods:
        spread = paired_bootstrap(table.loc[AQNET], table.loc[BAR])
        text = ", ".join(f"{s.upper()} {d:+.3f} ({low:+.3f} .. {high:+.3f})" for s, (d, low, high) in spread.items())
        lines.append(f"AQ-Net - kriging, 5-95 % over hidden stations: {text}")
    reference = BAR if BAR in methods else methods[0]
    station, fraction = heaviest_station(table.loc[reference])
    if fraction > LARGE_FRACTION:
        lines.append(f"station {station} has {fraction:.0%} of the squared error of {reference}")
    return lines


def to_records(protocol: str, result: Result, table: pd.DataFrame) -> list[dict]:
    """Return one row per method for JSON, with the hidden stations and seconds."""
    ds = result.split.ds
    shared = {
        "protocol": protocol, "network": result.split.name, "target": result.split.target,
        "units": str(ds[result.split.target].attrs["units"]), "seed": result.split.seed,
        "hidden": [str(s) for s in ds.station.values[schema.hidden_mask(ds)]],
    }  # fmt: skip
    remark = remarks(result.table)
    return [
        {**shared, "method": m, "seconds": result.seconds[m], "remarks": remark, **table.loc[m]} for m in table.index
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run protocols, print their tables, and write every row as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    split = lambda text: text.split(",")  # noqa: E731 - argparse wants a function of one argument
    parser.add_argument(
        "--protocol", type=split, default=list(PROTOCOLS), help=f"of {', '.join(PROTOCOLS)}; all by default"
    )
    parser.add_argument("--networks", type=split, help="for P1; all found by default")
    parser.add_argument("--methods", type=split, default=list(METHODS), help=f"of {', '.join(METHODS)}")
    parser.add_argument("--seeds", type=int, default=3, help="number of draws of hidden stations in P1")
    parser.add_argument("--fraction", type=float, default=0.15, help="of stations hidden in P1")
    parser.add_argument("--quick", action="store_true", help="Germany 2005 with one seed, and one fold of AQI-36")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/accuracy.json"))
    options = parser.parse_args(arguments)
    if unknown := [m for m in options.methods if m not in METHODS] + [
        p for p in options.protocol if p not in PROTOCOLS
    ]:
        parser.error(f"unknown: {', '.join(unknown)}")
    if options.quick:
        options.networks, options.seeds, options.protocol = ["germany"], 1, ["p1", "aqi36"]
    # Warnings of hidden stations that never report, and the like, are known of these networks.
    warnings.simplefilter("ignore", XaqWarning)
    begin, records = time.perf_counter(), []
    for name in options.protocol:
        needs, protocol = PROTOCOLS[name]
        if needs is None or (networks.data_folder() / needs).is_dir():
            records += protocol(options)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(records, indent=1, default=float))
    print(f"\n{(time.perf_counter() - begin) / 60:.1f} minutes; rows in {options.out}")


if __name__ == "__main__":
    main()
