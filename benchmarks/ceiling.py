"""An upper bound on what better weights could gain over kriging: a linear correction fitted to each place's own record.

``python -m benchmarks.ceiling [--networks beijing12,krakow_airly_2017] [--seed 0]``

Visible stations are estimated from the others by fitted kriging, leaving one out. Then each is given what no method has at a
place without a station: its own record. A ridge regression of its errors on its neighbours' reports in one half of the record
corrects the other half, and the other way round. The errors that remain are those that no linear weights of these neighbours
at the same hour remove, even when fitted at the place itself. Neighbours at other hours may lower them further.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xaq.interpolate import leave_one_out
from xaq.interpolate.leave_one_out import LeaveOneOut
from xaq.stations import taking_part

from . import networks

_K = 16
_RIDGES = (1e-2, 1e-1, 1.0)
_LEAST_STEPS = 50


def corrected(errors: NDArray, near: NDArray, ridge: float) -> NDArray[np.float64]:
    """Return errors ``(step,)`` less their ridge regression on ``near (step, k)`` in the other half of the record; NaN stays."""
    inputs = np.column_stack([near, np.full(len(near), near.std())])
    halves = np.array_split(np.arange(len(errors)), 2)
    left = np.full(len(errors), np.nan)
    for learned, other in (halves, halves[::-1]):
        seen = learned[np.isfinite(errors[learned])]
        if len(seen) < _LEAST_STEPS:
            continue
        a, b = inputs[seen], errors[seen]
        penalty = ridge * len(seen) * near.var() * np.eye(a.shape[1])
        left[other] = errors[other] - inputs[other] @ np.linalg.solve(a.T @ a + penalty, a.T @ b)
    return left


def measure(name: str, seed: int) -> dict[str, float]:
    """Return leave-one-out MAE and RMSE of kriging and their change by each station's own record, in per cent; nothing where it is too short."""
    ds, target = networks.load(name)
    ds = ds.aq.hide(fraction=0.15, seed=seed)
    visible = taking_part.observed(ds, target).observations
    values, lon, lat = visible.values.astype(float), visible.lon, visible.lat
    covariance = leave_one_out.fit_covariance(values, lon, lat, k=_K, seed=seed)
    others = LeaveOneOut.of(lon, lat, covariance, _K)
    filled = np.nan_to_num(others.fill(values)[0])
    errors = np.where(np.isfinite(values), others.residuals(filled), np.nan)
    # Where fewer than k stations lie elsewhere, empty slots hold the station itself, with weight zero.
    near = np.where(others.complete.weights[..., None] == 0, 0.0, filled[others.neighbours]).swapaxes(1, 2)
    own = {r: np.stack([corrected(e, n, r) for e, n in zip(errors, near, strict=True)]) for r in _RIDGES}
    # The ridge with the least error: this is an upper bound, and no method's score.
    best = min(own, key=lambda r: np.nanmean(np.abs(own[r])))
    both = np.isfinite(errors) & np.isfinite(own[best])
    if not both.any():
        return {}
    (mae, rmse), (own_mae, own_rmse) = (
        (np.abs(e[both]).mean(), np.square(e[both]).mean() ** 0.5) for e in (errors, own[best])
    )
    return {
        "mae": mae,
        "rmse": rmse,
        "own_record_mae_%": 100 * (own_mae / mae - 1),
        "own_record_rmse_%": 100 * (own_rmse / rmse - 1),
    }


def main() -> None:
    """Print a row per network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=lambda text: text.split(","), help="all found by default")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = {name: measure(name, options.seed) for name in networks.found(options.networks)}
    print(pd.DataFrame(rows).T.to_string(float_format="{:.2f}".format))


if __name__ == "__main__":
    main()
