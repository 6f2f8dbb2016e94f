"""How far a station speaks: the error of kriging at places without any station within r km, for the default ``max_distance``.

``python -m benchmarks.reach [--networks germany,beijing12] [--seed 0]``

Each visible station is estimated from the stations farther than r km, by kriging with the covariance fitted to the network and
by the mean of those stations at that time. ``ratio`` is the mean squared error of kriging over that of the mean: 1 is where
kriging stops telling more than the mean. ``kept`` is how much of the gain of leaving out the station alone is left. Both are
printed for the distances of several rules. No hidden station is read.
"""

from __future__ import annotations

import argparse
import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xaq.arrays import sphere
from xaq.interpolate import kriging, leave_one_out
from xaq.interpolate.kriging import Covariance
from xaq.interpolate.reach import covariance_reach, spacing_reach
from xaq.stations import taking_part

from . import networks

_K, _STATIONS, _STEPS = 16, 150, 500
#: Distances tried, from half the median spacing to this fraction of the network's width.
_DISTANCES, _WIDEST = 20, 0.6
#: A station is estimated where at least this fraction of the others is left.
_LEAST = 1 / 3


class Network(NamedTuple):
    """Observations ``(station, step)``, places and distances among them in km, and the fitted covariance."""

    values: NDArray[np.float64]
    lon: NDArray
    lat: NDArray
    distance: NDArray[np.float64]
    covariance: Covariance


def load(name: str, seed: int) -> Network:
    """Return the visible stations of a network at drawn steps, and the covariance fitted to their whole record."""
    ds, target = networks.load(name)
    seen = taking_part.observed(ds.aq.hide(fraction=0.15, seed=seed), target).observations
    lon, lat = seen.lon, seen.lat
    steps = leave_one_out.draw_steps(seen.values, _STEPS, seed=[seed, 1])
    distance = sphere.distance_km(lon[:, None], lat[:, None], lon, lat)
    covariance = leave_one_out.fit_covariance(seen.values, lon, lat, k=_K, seed=seed)
    return Network(seen.values[:, steps].astype(float), lon, lat, distance, covariance)


def errors_without(network: Network, station: int, radius: float) -> NDArray[np.float64] | None:
    """Return the errors ``(2, step)`` of kriging and of the mean at a station, from stations farther than ``radius`` km."""
    distance, values = network.distance, network.values
    far = np.flatnonzero(distance[station] > radius)
    if len(far) < max(3, _LEAST * len(values)):
        return None
    near = far[np.argsort(distance[station, far])[:_K]]
    missing = ~np.isfinite(values[near]).T
    steps = np.flatnonzero(np.isfinite(values[station]) & ~missing.all(axis=1))
    if not len(steps):
        return None
    patterns, which = np.unique(missing[steps], axis=0, return_inverse=True)
    shape = (len(patterns), len(near))
    among = np.broadcast_to(distance[np.ix_(near, near)], (*shape, len(near)))
    to_station = np.broadcast_to(distance[station, near], shape)
    between, to_target = (np.exp(-km / network.covariance.range_km) for km in (among, to_station))
    weights, _ = kriging.solve_ordinary(between, to_target, network.covariance.nugget, patterns)
    kriged = (weights[which] * np.nan_to_num(values[np.ix_(near, steps)].T)).sum(axis=1)
    mean = np.nanmean(values[np.ix_(far, steps)], axis=0)
    return np.stack([kriged, mean]) - values[station, steps]


def curve(network: Network, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return distances in km, and at each the squared error of kriging relative to that of the mean."""
    n, median = len(network.values), spacing_of(network, 50)
    picked = np.random.default_rng(seed).permutation(n)[:_STATIONS]
    radii = np.geomspace(0.5 * median, _WIDEST * network.distance.max(), _DISTANCES)
    found = []
    for radius in radii:
        errors = [errors_without(network, station, radius) for station in picked]
        seen = [e for e in errors if e is not None]
        if len(seen) >= 3:
            kriged, mean = np.square(np.concatenate(seen, axis=1)).mean(axis=1)
            found.append((radius, kriged / mean))
    distances, ratios = np.array(found).T
    return distances, ratios


def spacing_of(network: Network, percentile: float) -> float:
    """Return a percentile of the distance between neighbouring places, km."""
    return spacing_reach(network.lon, network.lat, percentile)


def measure(name: str, seed: int) -> dict[str, dict[str, float]]:
    """Return for each rule its distance, and the ratio and the kept gain at it."""
    network = load(name, seed)
    distances, ratios = curve(network, seed)
    spacing = spacing_of(network, 95)
    fitted = covariance_reach(network.covariance.range_km, network.lon, network.lat)
    rules = {
        "leave one out": 0.0,
        "spacing": spacing,
        "1.5 spacing": 1.5 * spacing,
        "covariance": fitted,
        "default": max(spacing, fitted),
        "3 spacing": 3.0 * spacing,
    }
    at = {rule: float(np.interp(np.log(max(km, 1e-3)), np.log(distances), ratios)) for rule, km in rules.items()}
    gain = 1.0 - at["leave one out"]
    # Beyond the largest distance tried too few stations are left.
    return {
        rule: {"km": km, **({"ratio": at[rule], "kept": (1.0 - at[rule]) / gain} if km <= distances[-1] else {})}
        for rule, km in rules.items()
    }


def main() -> None:
    """Print a row per network: the distance of each rule in km, and there the ratio and the kept gain."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=lambda text: text.split(","), help="all found by default")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in networks.found(options.networks):
        table = pd.DataFrame(measure(name, options.seed)).T
        print(f"{name}\n{table.to_string(float_format='{:.2f}'.format)}\n", flush=True)


if __name__ == "__main__":
    main()
