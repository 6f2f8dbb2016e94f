"""Protocol P5: intervals of means at held-out stations - of stations, of three stations, of differences, of days above a limit.

``python -m benchmarks.means [--networks germany,beijing12] [--draws 0,1,2] [--methods aqnet,kriging] [--epochs 20]``

Each draw hides stations, fits to the others, and scores the 90 % interval of means at the hidden ones, made from members, beside
two wrong ones: the mean of the bounds of single steps, and steps taken as independent; of days above a limit, the same error
every day, and days taken as independent. A mean counts with at least three quarters of its steps observed; the first and the
last period of a record count where so much of them is.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import norm

from xaq.arrays import timesteps
from xaq.cube.ensemble import Ensemble
from xaq.cube.member_tasks import quantiles
from xaq.cube.reanalyze import estimate, estimate_quantiles
from xaq.cube.request import RequestOptions, make_request
from xaq.evaluate.scores import ensemble_crps
from xaq.evaluate.verify import held_out_truth
from xaq.evaluate.verify_means import period_means
from xaq.interpolate.base import Mapper
from xaq.stations import schema

from . import networks

MEMBERS, LEVEL, CAPTURE = 200, 0.9, 0.75
FREQUENCIES = {"day": "D", "month": "MS", "year": "YS"}
#: Equally weighted quantiles of the distribution of a step, which the wrong intervals are made from.
_PROBABILITIES = tuple(((np.arange(20) + 0.5) / 20).tolist())
#: Days above the quantile of the network's observations, in years of which so many days are observed.
_LIMIT, _LEAST_DAYS = 0.8, 65


@dataclass(frozen=True)
class Case:
    """Some means of one kind: members ``(member, case)``, observed ``(case,)``, and the two wrong ensembles."""

    kind: str
    members: NDArray
    observed: NDArray
    averaged: NDArray | None = None
    independent: NDArray | None = None


def cases(ds: xr.Dataset, mapper: Mapper | str, target: str, seed: int, tz: str | None) -> Iterator[Case]:
    """Yield the means at the hidden stations of a conformed dataset."""
    truth = held_out_truth(ds, target, None)
    options, rng = RequestOptions(target=target), np.random.default_rng(seed)
    step = timesteps.regular_step(truth.time.values)
    daily = timesteps.steps_per_day(step) == 1
    n = truth.sizes["station"]
    groups = {size: [rng.choice(n, size, replace=False) for _ in range(n)] for size in (3, 2) if n >= size}
    steps = None if not daily else _steps(ds, mapper, truth, seed)
    for name, freq in FREQUENCIES.items():
        if daily and freq == "D":
            made, wrong = steps, {}
        else:
            ensemble = Ensemble(members=MEMBERS, freq=freq, tz=tz, capture=CAPTURE, seed=seed)
            made = period_means(ds, mapper, truth, options, ensemble).compute()
            wrong = _wrong(ds, mapper, truth, options, made.time.values) if freq == "YS" else {}
        members, observed = made[f"{target}_member"].values, made[f"{target}_observed"].values
        yield _case(name, members, observed, **wrong)
        if 3 in groups:
            some = np.stack(groups[3])
            yield _case(f"{name}, three stations", members[:, :, some].mean(-1), observed[:, some].mean(-1))
        if freq == "YS" and 2 in groups:
            i, j = np.stack(groups[2]).T
            yield _case("difference of years", members[..., i] - members[..., j], observed[:, i] - observed[:, j])
        if freq == "D":
            yield from _days_above(made, target, float(ds[target].quantile(_LIMIT)))


def _steps(ds: xr.Dataset, mapper: Mapper | str, truth: xr.DataArray, seed: int) -> xr.Dataset:
    """Return the members of daily steps at the hidden stations, as :func:`period_means` returns means."""
    target = str(truth.name)
    made = estimate(ds, mapper, lon=truth.lon, lat=truth.lat, target=target, members=MEMBERS, seed=seed).compute()
    return made.assign({f"{target}_observed": truth.transpose("time", "station")})


def _case(kind: str, members: NDArray, observed: NDArray, **wrong: NDArray) -> Case:
    """Return the cases ``(time, station)`` that are observed and estimated."""
    seen = np.isfinite(observed) & np.isfinite(members).all(axis=0)
    return Case(kind, members[:, seen], observed[seen], **{name: ensemble[:, seen] for name, ensemble in wrong.items()})


def _days_above(made: xr.Dataset, target: str, limit: float) -> Iterator[Case]:
    """Yield the number of days above a limit, by calendar year, over the days that are observed.

    The wrong ones keep the distribution of each day: the same error every day (each day's members in ascending order), and
    independent days.
    """
    members, observed = made[f"{target}_member"].values, made[f"{target}_observed"].values
    seen = np.isfinite(observed) & np.isfinite(members).all(axis=0)
    above, truly = (members > limit) & seen, (observed > limit) & seen
    alike = np.sort(above, axis=0)
    year = pd.DatetimeIndex(made.time.values).year
    parts = [year == y for y in np.unique(year)]
    n = np.stack([seen[p].sum(axis=0) for p in parts])
    counted = np.where(n >= _LEAST_DAYS, np.stack([truly[p].sum(axis=0) for p in parts]), np.nan)
    counts, averaged = (np.stack([a[:, p].sum(axis=1) for p in parts], axis=1).astype(float) for a in (above, alike))
    chance = above.mean(axis=0)
    mean, variance = (np.stack([a[p].sum(axis=0) for p in parts]) for a in (chance, chance * (1 - chance)))
    z = norm.ppf(_PROBABILITIES)[:, None, None]
    independent = np.clip(mean + z * np.sqrt(variance), 0.0, n)
    yield _case("days above a limit", counts, counted, averaged=averaged, independent=independent)


def _wrong(
    ds: xr.Dataset, mapper: Mapper | str, truth: xr.DataArray, options: RequestOptions, starts: NDArray
) -> dict[str, NDArray]:
    """Return the ensembles of annual means with averaged quantiles and with independent steps, ``(quantile, year, station)``."""
    request = make_request(ds, mapper, options)
    made = estimate_quantiles(request, _PROBABILITIES, lon=truth.lon, lat=truth.lat).compute()
    q = made[f"{truth.name}_quantile"].transpose("quantile", "time", "station").values
    seen = np.isfinite(truth.transpose("time", "station").values) & np.isfinite(q).all(axis=0)
    which = np.searchsorted(starts, truth.time.values, side="right") - 1
    averaged, independent = [], []
    z = norm.ppf(_PROBABILITIES)[:, None]
    for year in range(len(starts)):
        part = (which == year)[:, None] & seen
        n = np.maximum(part.sum(axis=0), 1)
        averaged.append(np.where(part, q, 0).sum(axis=1) / n)
        mean, variance = (np.where(part, m, 0).sum(axis=0) for m in (q.mean(axis=0), q.var(axis=0)))
        independent.append(mean / n + z * np.sqrt(variance) / n)
    return {"averaged": np.stack(averaged, axis=1), "independent": np.stack(independent, axis=1)}


# -- scores --------------------------------------------------------------------------------------------------------


def score(parts: Sequence[Case]) -> dict[str, float]:
    """Return coverage, width, the ratio of the width to that which just covers 90 % in hindsight, and CRPS of cases of one kind."""
    outcomes = [_outcomes(part.members, part.observed, whole=part.kind.startswith("days")) for part in parts]
    inside, width, needed, crps = (np.concatenate(a) for a in zip(*outcomes, strict=True))
    row = {"n": len(inside), "coverage": inside.mean(), "width": width.mean()}
    row |= {"width_ratio": 1 / max(np.quantile(needed, LEVEL), 1e-9), "crps": crps.mean()}
    for name in ("averaged", "independent"):
        wrong = [(getattr(part, name), part.observed) for part in parts]
        if all(ensemble is not None for ensemble, _ in wrong):
            made = (_outcomes(e, o, whole=parts[0].kind.startswith("days")) for e, o in wrong)
            inside, width, _, crps = (np.concatenate(a) for a in zip(*made, strict=True))
            row |= {f"{name}_coverage": inside.mean(), f"{name}_width": width.mean(), f"{name}_crps": crps.mean()}
    return {k: float(v) for k, v in row.items()}


def _outcomes(members: NDArray, observed: NDArray, *, whole: bool = False) -> tuple[NDArray, ...]:
    """Return whether each case is inside its interval, the width, by how much that would have to be wider, and the CRPS."""
    lower, upper = quantiles(members, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    if whole:
        # Numbers of days: the interval holds those that it reaches.
        lower, upper = np.floor(lower), np.ceil(upper)
    middle = np.median(members, axis=0)
    half = np.where(observed > middle, upper - middle, middle - lower)
    needed = np.abs(observed - middle) / np.maximum(half, 1e-9)
    return (observed >= lower) & (observed <= upper), upper - lower, needed, ensemble_crps(members, observed)


def tables(found: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the scores pooled by method and kind, and the coverage and number of cases by network."""
    found = found[found.case.map(lambda case: len(case.observed) > 0)]
    by_kind = found.groupby(["method", "kind"], sort=False).case.agg(lambda parts: score(list(parts)))
    pooled = pd.DataFrame(by_kind.tolist(), index=by_kind.index)
    by_network = found.groupby(["method", "network", "kind"], sort=False).case.agg(lambda parts: score(list(parts)))
    each = pd.DataFrame(by_network.tolist(), index=by_network.index)[["coverage", "n", "width_ratio"]]
    return pooled, each


def run(names: Sequence[str], draws: Sequence[int], methods: Sequence[str], epochs: int, device: str) -> pd.DataFrame:
    """Return the cases of networks, draws and methods."""
    rows: list[dict[str, Any]] = []
    for name in networks.found(list(names) or None):
        ds, target = networks.load(name)
        for draw in draws:
            hidden = schema.conform(ds.aq.hide(fraction=0.15, seed=draw))
            for method in methods:
                start = time.perf_counter()
                mapper: Any = method
                if method == "aqnet":
                    mapper = hidden.aq.train(target, max_epochs=epochs, seed=draw, device=device, progress=False)
                for case in cases(hidden, mapper, target, draw, networks.zone(name)):
                    rows.append({"network": name, "draw": draw, "method": method, "kind": case.kind, "case": case})
                print(f"{name} {draw} {method}: {time.perf_counter() - start:.0f} s", flush=True)
    return pd.DataFrame(rows)


def main() -> None:
    """Print the tables; write them as JSON to ``--out``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="", help="all that are found by default")
    parser.add_argument("--draws", default="0,1,2")
    parser.add_argument("--methods", default="aqnet")
    parser.add_argument("--epochs", type=int, default=20, help="0 for the untrained network")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path)
    o = parser.parse_args()
    warnings.simplefilter("ignore")
    names, draws = [n for n in o.networks.split(",") if n], [int(d) for d in o.draws.split(",")]
    pooled, each = tables(run(names, draws, o.methods.split(","), o.epochs, o.device))
    with pd.option_context("display.width", 250, "display.max_columns", 30, "display.max_rows", 500):
        print(pooled.round(3).to_string(), each.round(3).to_string(), sep="\n\n")
    if o.out:
        o.out.write_text(
            json.dumps(
                {"pooled": pooled.reset_index().to_dict("records"), "each": each.reset_index().to_dict("records")},
                indent=1,
            )
        )


if __name__ == "__main__":
    main()
