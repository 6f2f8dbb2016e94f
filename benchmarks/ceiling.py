"""What a place's own past would add to kriging: how much there is to gain from weights that know the place.

``python -m benchmarks.ceiling [--networks beijing12,krakow_airly_2017] [--seed 0]``

Visible stations are estimated from the others by tuned kriging, leaving one out. Then each is given what no method has at a
place without a station: its own past. From one half of its record, its errors are regressed on what its neighbours
report (ridge), and the other half is corrected; and the other way round. What is left is what no linear weights of these
neighbours at the same hour, fitted at the place itself, take away: a measure of what weights can gain where nothing is known
of the place. Reading neighbours at other hours may gain beside it.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xaq.interpolate import leave_one_out
from xaq.interpolate.leave_one_out import LeaveOneOut
from xaq.stations import schema

from . import networks

_K = 16
_RIDGES = (1e-2, 1e-1, 1.0)
_LEAST_STEPS = 50


def corrected(errors: NDArray, near: NDArray, ridge: float) -> NDArray[np.float64]:
    """Return errors ``(step,)`` less what a ridge regression on ``near (step, k)`` says of them, by halves of the record; NaN stays."""
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
    """Return MAE and RMSE of kriging, leaving one station out, and what each station's past changes, in per cent; nothing where it is too short."""
    ds, target = networks.load(name)
    ds = schema.conform(ds.aq.hide(fraction=0.15, seed=seed), target)
    visible = schema.observations(schema.without_silent(ds.aq.visible, target), target)
    values, lon, lat = visible.values.astype(float), visible.lon, visible.lat
    covariance = leave_one_out.fit_covariance(values, lon, lat, k=_K, seed=seed)
    others = LeaveOneOut.of(lon, lat, covariance, _K)
    filled = np.nan_to_num(others.fill(values)[0])
    errors = np.where(np.isfinite(values), others.residuals(filled), np.nan)
    # Where there are fewer than k other places, a station fills its own list, with weight zero.
    near = np.where(others.always[0][..., None] == 0, 0.0, filled[others.near]).swapaxes(1, 2)
    own = {r: np.stack([corrected(e, n, r) for e, n in zip(errors, near, strict=True)]) for r in _RIDGES}
    # The strength that serves it best: this is a ceiling, and no method's score.
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
        "own_past_mae_%": 100 * (own_mae / mae - 1),
        "own_past_rmse_%": 100 * (own_rmse / rmse - 1),
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
