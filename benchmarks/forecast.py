"""P2 and P3, forecasts at visible and hidden stations: AQ-Net beside its baselines, all through ``verify``.

``python -m benchmarks.forecast [--network beijing12] [--methods persistence,regression] [--known] [--quick] [--seed 7]
[--ablations "no cyclic encoding"]``

Chronological split: 70 % learned from, 10 % for validation, 20 % for the test, which begins an embargo of window and
horizon later. 336 h in, 168 h out, one window every 24 h.

Networks with the forecast of a chemical transport model (CTM), ``fvg-o3`` and ``fvg-no2``: 48 h out, as each of its values was
issued two days before its hour. It is a known covariate; the CTM as it is and the CTM corrected are rows in place of LSTM and
PatchTST.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from xaq.aqnet.model import Model
from xaq.arrays import timesteps
from xaq.errors import XaqWarning
from xaq.nn.config import AQNetConfig
from xaq.stations import taking_part
from xaq.training.baselines import fit_baseline

from . import networks
from .ctm import CtmForecast, LinearCorrection, RunningCorrection

_UNFITTED = ("persistence", "climatology")
#: Baselines that are parts of AQ-Net or fitted to what it was trained on, and those that are corrections of a CTM.
_FITTED = {
    "base": "base forecast", "regression": "regression", "regression-log": "regression, log scale", "lstm": "LSTM",
    "patchtst": "PatchTST",
}  # fmt: skip
_CTM = {"ctm": None, "ctm-running": RunningCorrection, "ctm-linear": LinearCorrection}
METHODS = (*_UNFITTED, *_FITTED, *_CTM)
_TRAINING_SHARE = 0.8


class Named:
    """A model under another name, for ablations."""

    def __init__(self, name: str, model: Model) -> None:
        self.name, self.model = name, model

    def forecast(self, past, times):
        """Return the model's forecast."""
        return self.model.forecast(past, times)


def default_methods(network: str) -> list[str]:
    """Return the baselines of a network: the CTM and its corrections where it has one, and else LSTM and PatchTST."""
    without = ("lstm", "patchtst") if network in networks.WITH_CTM else tuple(_CTM)
    return [m for m in METHODS if m not in without]


def run(
    name: str, methods: Sequence[str], *, known: bool, quick: bool, ablations: Sequence[str], seed: int
) -> tuple[pd.DataFrame, dict]:
    """Hide stations, train on the first 80 %, score on the rest; return the table and what it was measured on."""
    ds, target = networks.load(name, covariates=True)
    ds = ds.aq.hide(fraction=0.15, seed=seed)
    timestamps = ds.time.values.astype("datetime64[s]")
    last = timestamps[int(_TRAINING_SHARE * len(timestamps)) - 1]
    weather = [w for w in networks.WEATHER if w in ds]
    ahead = [networks.CTM] if networks.CTM in ds else weather if known else []
    default = AQNetConfig.default("forecast", timesteps.steps_per_day(timesteps.regular_step(timestamps)))
    if networks.CTM in ds:
        default = replace(default, target_days=networks.CTM_DAYS)
    inputs = {
        "covariates": [p for p in networks.POLLUTANTS if p in ds and p != target],
        "known": ahead,
        "max_epochs": 2 if quick else 30,
    }
    seconds = {}

    def train(label: str, config: AQNetConfig | None = None) -> Model:
        start = time.process_time()
        config = config or default
        model = ds.aq.train(target, task="forecast", time=slice(None, last), config=config, seed=seed, **inputs)
        seconds[label] = round(time.process_time() - start, 1)
        return model

    model = train("AQ-Net")
    baselines: list = [m for m in _UNFITTED if m in methods]
    for method in (m for m in _FITTED if m in methods):
        start = time.process_time()
        baselines.append(fit_baseline(ds, model, _FITTED[method], max_steps=20 if quick else 600))
        seconds[method] = round(time.process_time() - start, 1)
    if networks.CTM in ds:
        seen = taking_part.observed(ds, target, known=[networks.CTM]).observations
        training = seen.until(int((timestamps <= last).sum()), ahead=0)
        corrections = (_CTM[m] for m in methods if m in _CTM)
        baselines += [row.fit(0, training) if row else CtmForecast(0) for row in corrections]
    variants = {"no cyclic encoding": replace(default, cyclic=False), "published set-up": AQNetConfig.published()}
    for variant in ablations:
        label = f"AQ-Net, {variant}"
        baselines.append(Named(label, train(label, variants[variant])))
    embargo = np.timedelta64(default.days_before + default.target_days, "D")
    start = time.process_time()
    table = ds.aq.verify(model, time=slice(last + embargo, None), baselines=baselines)
    seconds["verify"] = round(time.process_time() - start, 1)
    said = {
        "network": name, "target": target, "seed": seed, "known": inputs["known"], "covariates": inputs["covariates"],
        "trained_to": str(last), "test": [str(last + embargo), str(timestamps[-1])], "windows": table.attrs["windows"],
        "hidden": list(model.recipe.hidden), "validation": model.recipe.training, "cpu_seconds": seconds,
        "parameters": sum(p.numel() for p in model.network.parameters()),
    }  # fmt: skip
    return with_skill(table), said


def with_skill(table: pd.DataFrame) -> pd.DataFrame:
    """Add skill, 1 - score / reference score, against those of persistence and climatology that are rows."""
    for reference in references(table):
        bar = table.xs(reference, level="method")
        for score in ("mae", "rmse"):
            keys = table.index.droplevel("method")
            table[f"{score}_skill_{reference}"] = 1 - table[score].to_numpy() / bar[score].reindex(keys).to_numpy()
    return table


def references(table: pd.DataFrame) -> list[str]:
    """Return the rows that others are compared with."""
    return [m for m in _UNFITTED if m in table.index.get_level_values("method")]


def show(table: pd.DataFrame) -> None:
    """Print MAE/RMSE by horizon, then the skills in MAE."""
    bars = references(table)
    for stations, part in table.groupby(level="stations", observed=True):
        part = part.droplevel("stations")
        cells = part.mae.map("{:.1f}".format) + "/" + part.rmse.map("{:.1f}".format)
        print(f"\n{stations} stations, MAE/RMSE")
        print(cells.unstack("horizon").to_string())
        for reference in bars:
            print(f"\n{stations} stations, skill in MAE / RMSE against {reference}")
            mae, rmse = (part[f"{s}_skill_{reference}"].map("{:.2f}".format) for s in ("mae", "rmse"))
            print((mae + "/" + rmse).unstack("horizon").to_string(), flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the tables; write all rows as JSON, beside those of other runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="beijing12", help="such as beijing12, fvg-o3, fvg-no2")
    parser.add_argument("--methods", type=lambda text: text.split(","), help=f"baselines: of {', '.join(METHODS)}")
    parser.add_argument("--known", action="store_true", help="weather is known over the horizon")
    parser.add_argument("--quick", action="store_true", help="a smoke test: hardly any training")
    parser.add_argument(
        "--ablations", nargs="*", default=[], choices=("no cyclic encoding", "published set-up"),
        help="variants of AQ-Net to train as well; the published set-up takes hours without a GPU",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=7, help="draw of hidden stations, and of training")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/forecast.json"))
    a = parser.parse_args(argv)
    methods = a.methods or default_methods(a.network)
    possible = [m for m in METHODS if m not in _CTM or a.network in networks.WITH_CTM]
    if unknown := [m for m in methods if m not in possible]:
        parser.error(f"no baseline {unknown[0]!r} of {a.network}, expected some of {', '.join(possible)}")
    warnings.simplefilter("ignore", XaqWarning)
    table, said = run(a.network, methods, known=a.known, quick=a.quick, ablations=a.ablations, seed=a.seed)
    print("\n".join(f"{key}: {value}" for key, value in said.items()))
    show(table)
    a.out.parent.mkdir(parents=True, exist_ok=True)
    results = json.loads(a.out.read_text()) if a.out.exists() else {}
    name = a.network + (" known weather" if a.known else "") + (" quick" if a.quick else "")
    rows = table.reset_index().astype({"stations": str, "horizon": str, "method": str}).round(4)
    results[name] = {**said, "rows": json.loads(rows.to_json(orient="records"))}
    a.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
