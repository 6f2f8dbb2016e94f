"""Detectors on plain arrays: suspicious values, stations at wrong places, shifted clocks.

The functions flag and change nothing. Values are ``(station, time)`` with NaN where missing. docs/audit.md has the
reasons for the thresholds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage

from ..arrays import longitudes, sphere
from ..stations.limits import row_medians

#: A run of fewer equal values is never flagged as stuck.
_LEAST_RUN = 6
#: Runs are suspicious from twice the length at which this many are expected by chance in the network.
_CHANCE = 0.01
#: A spike lies this many robust deviations, and this many times, above neighbouring hours and stations.
_SPIKE_DEVIATIONS, _SPIKE_RATIO = 10.0, 3.0
#: How many nearest stations a value is compared with, and how many of them must report.
_NEIGHBOURS, _REPORTING = 5, 3
#: The level of a station is wrong if the logarithm of its ratio to the neighbours is over so many robust deviations of it among
#: the stations, though not under or over those of these ratios, and over so many of its own in the course of the record, above
#: and below the neighbours: summits and remote places are far below in most weathers, sources are not far above.
_LEVEL_DEVIATIONS, _LEVEL_RATIOS, _LEVEL_OWN_DEVIATIONS = 5.0, (4.0, 6.0), (2.0, 4.0)
#: Fewest values that are compared, the number of parts of the record that are judged, and the fewest values in a part.
_LEVEL_LEAST, _LEVEL_PARTS, _LEVEL_PART = 48, 10, 12
#: Ratios below this count as this: zeros have no logarithm.
_LEAST_RATIO = 1e-3
#: Factor from a median absolute deviation to a standard deviation.
_TO_SD = 1.4826
#: Two series are the same if this fraction of their common values is equal, with at least so many in common; and the
#: number of steps at which candidates are sought.
_SAME_FRACTION, _SAME_LEAST, _SAME_PROBES = 0.99, 48, 96
#: A gap that splits a network is at least this wide, km, and this many times the next narrower gap.
_FAR_KM, _FAR_RATIO = 100.0, 3.0
#: Solar time, h, at which ozone and air temperature near the ground peak, and the difference that is still normal.
_PEAK_HOUR, _PEAK_TOLERANCE = 15.0, 3.0


# -- values ------------------------------------------------------------------------------------------------------------


def stuck(values: NDArray) -> NDArray[np.bool_]:
    """Flag runs of equal values that are too long to occur by chance and that other stations do not have.

    How often a value repeats depends on the concentration and on how coarsely values are rounded. A run is suspicious from
    twice the length at which 0.01 runs are expected by chance in the whole network. In the lowest quarter and the highest
    half per cent of values, a value at which a quarter of the other stations have runs at least half as long is a
    detection limit or the end of a measuring range, not a stuck sensor. This is repeated without the runs that are flagged,
    which make other runs seem common, until no more are.
    """
    return _until_none_is_left(_stuck_at_once, values)


def _until_none_is_left(flag: Callable[[NDArray], NDArray[np.bool_]], values: NDArray) -> NDArray[np.bool_]:
    """Flag values again and again, each time without those flagged before: what is left has none."""
    marked, left = np.zeros(values.shape, bool), values.copy()
    while (found := flag(left)).any():
        marked |= found
        left[found] = np.nan
    return marked


def _stuck_at_once(values: NDArray) -> NDArray[np.bool_]:
    marked = np.zeros(values.shape, bool)
    runs = _runs(values)
    if not len(runs.value):
        return marked
    low, high = np.nanquantile(values, [0.25, 0.995])
    for i in map(int, np.flatnonzero(runs.length >= runs.needed)):
        central = low < runs.value[i] < high
        if central or runs.length[i] > 2 * _common_length(runs, i, len(values)):
            marked[runs.station[i], runs.start[i] : runs.start[i] + runs.length[i]] = True
    return marked


@dataclass(frozen=True)
class _Runs:
    """Runs of six and more equal values, and the length from which a run of that concentration is suspicious."""

    station: NDArray[np.intp]
    start: NDArray[np.intp]
    length: NDArray[np.intp]
    value: NDArray
    needed: NDArray[np.float64]


def _runs(values: NDArray) -> _Runs:
    """Return the runs of equal values; the probability of repetition is estimated in ten classes of concentration."""
    starts, ends = np.isfinite(values), np.isfinite(values)
    same = values[:, 1:] == values[:, :-1]
    starts[:, 1:] &= ~same
    ends[:, :-1] &= ~same
    station, start = np.nonzero(starts)
    length = np.nonzero(ends)[1] - start + 1
    value = values[station, start]
    edges = np.unique(np.quantile(value, np.arange(0.1, 1.0, 0.1))) if len(value) else np.empty(0)
    bin_ = np.searchsorted(edges, value, side="right")
    # A long run counts as six values, so that the runs of a stuck sensor do not make repetition seem common.
    counted = np.bincount(bin_, np.minimum(length, _LEAST_RUN), minlength=1)
    repeated = counted - np.bincount(bin_, minlength=1)
    probability = (repeated + 1) / (counted + 2)
    chance = 1 + np.log(_CHANCE / (counted + 2)) / np.log(probability)
    kept = length >= _LEAST_RUN
    needed = np.maximum(_LEAST_RUN, 2 * chance[bin_[kept]])
    return _Runs(station[kept], start[kept], length[kept], value[kept], needed)


def _common_length(runs: _Runs, i: int, n_station: int) -> float:
    """Return the length that runs of the same value as run ``i`` reach at a quarter of the other stations."""
    alike = (runs.value == runs.value[i]) & (runs.station != runs.station[i])
    longest = np.zeros(n_station)
    np.maximum.at(longest, runs.station[alike], runs.length[alike])
    rank = max(1, (n_station - 1) // 4)
    return float(np.sort(longest)[-rank])


def levels(values: NDArray, lon: NDArray, lat: NDArray) -> NDArray[np.float64]:
    """Return the ratio of each station to its neighbours where its level is wrong, NaN elsewhere, ``(n_station,)``.

    At each step a value is compared with the median of the five nearest stations with values, of which three must report.
    The level is wrong if the ratio is over 4 or under 1/4, up to 6 or 1/6 where stations differ much, and steady: a street or
    a summit differs from its neighbours, too, but not in all weathers. The worst is left out before the others are judged.
    """
    ratio = np.full(len(values), np.nan)
    log_ratio, deviation = np.full(len(values), np.nan), np.full(len(values), np.nan)
    active = np.flatnonzero(np.isfinite(lon) & np.isfinite(lat) & np.isfinite(values).any(axis=1))
    compared: dict[int, list[int]] = {}
    while len(active) > _REPORTING:
        near = active[_neighbours(lon[active], lat[active], _NEIGHBOURS)].tolist()
        for station, others in zip(active.tolist(), near, strict=True):
            if compared.get(station) != others:
                compared[station] = others
                log_ratio[station], deviation[station] = _level(values[station], values[others])
        size = np.abs(log_ratio[active])
        if not np.isfinite(size).any():
            break
        limit = np.clip(_LEVEL_DEVIATIONS * _TO_SD * np.nanmedian(size), *np.log(_LEVEL_RATIOS))
        limit = np.fmax(limit, np.where(log_ratio[active] > 0, *_LEVEL_OWN_DEVIATIONS) * deviation[active])
        worst = int(np.nanargmax(size / limit))
        if size[worst] <= limit[worst]:
            break
        ratio[active[worst]] = np.exp(log_ratio[active[worst]])
        active = np.delete(active, worst)
    return ratio


def _level(values: NDArray, others: NDArray) -> tuple[float, float]:
    """Return the logarithm of the ratio of a series to others and its robust deviation; NaN where too few values are compared.

    Both are medians over parts of the record, so that a level that changes at some time is that of the longer part.
    """
    ordered, n = np.sort(others, axis=0), np.isfinite(others).sum(axis=0)
    column = np.arange(len(n))
    around = (ordered[np.maximum(n - 1, 0) // 2, column] + ordered[np.minimum(n // 2, len(others) - 1), column]) / 2
    both = np.isfinite(values) & (n >= _REPORTING) & (around > 0)
    if both.sum() < _LEVEL_LEAST:
        return np.nan, np.nan
    logs = np.log(np.maximum((values[both] / around[both]).astype(float), _LEAST_RATIO))
    parts = np.array_split(logs, min(_LEVEL_PARTS, len(logs) // _LEVEL_PART))
    medians = [np.median(part) for part in parts]
    deviations = [np.median(np.abs(part - median)) for part, median in zip(parts, medians, strict=True)]
    middle = float(np.median(medians))
    return middle if middle > np.log(_LEAST_RATIO) else -np.inf, _TO_SD * float(np.median(deviations))


def spikes(values: NDArray, lon: NDArray, lat: NDArray) -> NDArray[np.bool_]:
    """Flag single values far above the steps before and after and above the nearest stations at that step.

    A value within two steps before or after, and three of the five nearest stations with values, must report. The robust
    deviation is the median absolute difference between a value and the mean of the steps before and after, scaled to a standard
    deviation; of the station or of the network, whichever is larger. This is repeated without the values that are flagged,
    until no more are.
    """
    located = np.flatnonzero(np.isfinite(lon) & np.isfinite(lat) & np.isfinite(values).any(axis=1))
    if len(located) <= _REPORTING:
        return np.zeros(values.shape, bool)
    others = np.full((len(values), min(_NEIGHBOURS, len(located) - 1)), -1)
    others[located] = located[_neighbours(lon[located], lat[located], _NEIGHBOURS)]
    return _until_none_is_left(lambda left: _spikes_at_once(left, others), values)


def _neighbours(lon: NDArray, lat: NDArray, k: int) -> NDArray[np.intp]:
    """Return the k nearest other stations of each station, or all if there are fewer, ``(n_station, k)``."""
    near, _ = sphere.nearest(lon, lat, lon, lat, k + 1)
    # A station is among its own neighbours, though not always first where several have the same coordinates.
    return np.array([row[row != i][:k] for i, row in enumerate(near)])


def _spikes_at_once(values: NDArray, others: NDArray[np.intp]) -> NDArray[np.bool_]:
    marked = np.zeros(values.shape, bool)
    before, after = _moved(values, 1), _moved(values, -1)
    deviation = row_medians(np.abs(values - (before + after) / 2)) * _TO_SD
    deviation = np.fmax(deviation, np.nanmedian(deviation) if np.isfinite(deviation).any() else 0.0)
    # Across a gap of one step the value behind it tells the end of an episode from a spike.
    before, after = (np.where(np.isnan(m), _moved(values, 2 * s), m) for m, s in ((before, 1), (after, -1)))
    around = np.fmax(before, after)
    candidate = (values - around > _SPIKE_DEVIATIONS * deviation[:, None]) & (values > _SPIKE_RATIO * around)
    station, step = np.nonzero(candidate & (others[:, :1] >= 0))
    nearby = values[others[station], step[:, None]]
    enough = np.isfinite(nearby).sum(axis=1) >= _REPORTING
    station, step, nearby = station[enough], step[enough], nearby[enough]
    regional = np.nanmedian(nearby, axis=1) if len(nearby) else np.empty(0)
    value = values[station, step]
    high = (value - regional > _SPIKE_DEVIATIONS * deviation[station]) & (value > _SPIKE_RATIO * regional)
    marked[station[high], step[high]] = True
    return marked


def _moved(values: NDArray, steps: int) -> NDArray:
    """Return the values of so many steps before, or after if negative; NaN at the ends."""
    moved = np.full(values.shape, np.nan, values.dtype)
    if steps > 0:
        moved[:, steps:] = values[:, :-steps]
    else:
        moved[:, :steps] = values[:, -steps:]
    return moved


def identical(values: NDArray) -> list[tuple[int, int]]:
    """Return the pairs (first, copy) of stations whose series are equal where both report.

    Candidates are found at 96 steps at which most stations report, and confirmed on the whole record.
    """
    seen = np.isfinite(values)
    # Equality of nearly constant series is no evidence of a copy.
    varies = np.array([len(np.unique(row[s])) > _SAME_LEAST // 4 for row, s in zip(values, seen, strict=True)], bool)
    active = np.flatnonzero(varies & (seen.sum(axis=1) >= _SAME_LEAST))
    pairs: list[tuple[int, int]] = []
    copies: set[int] = set()
    probed = values[:, _probes(seen[active])]
    for position, first in enumerate(active[:-1]):
        if first in copies:
            continue
        later = active[position + 1 :]
        both = (np.isfinite(probed[later]) & np.isfinite(probed[first])).sum(axis=1)
        equal = (probed[later] == probed[first]).sum(axis=1)
        for copy in later[(both > 0) & (equal >= 0.9 * both)]:
            common = seen[first] & seen[copy]
            if common.sum() >= _SAME_LEAST and (values[first] == values[copy])[common].mean() >= _SAME_FRACTION:
                pairs.append((int(first), int(copy)))
                copies.add(int(copy))
    return pairs


def _probes(seen: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return steps spread over the record: in each of 96 parts, the step at which most stations report."""
    parts = np.array_split(np.arange(seen.shape[1]), min(_SAME_PROBES, seen.shape[1]))
    reporting = seen.sum(axis=0)
    return np.array([part[np.argmax(reporting[part])] for part in parts], int)


# -- places ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Places:
    """Problems of the coordinates of each station, ``(station,)`` bool each; a station has at most one."""

    unplaced: NDArray[np.bool_]
    swapped: NDArray[np.bool_]
    far: NDArray[np.bool_]


def judge_places(lon: NDArray, lat: NDArray) -> Places:
    """Return the stations without valid coordinates, with longitude and latitude swapped, and far from their network.

    A station is unplaced if a coordinate is missing or off the globe, or both are zero. It is swapped if it lies outside
    the network, and inside after an exchange of longitude and latitude. The network is the largest part of the stations
    after they are split (single linkage) at the first wide gap: over 100 km, and over three times the next narrower gap.
    """
    lon, lat = np.asarray(lon, float), np.asarray(lat, float)
    given = np.isfinite(lon) & np.isfinite(lat) & ~((np.abs(longitudes.canonical(lon)) < 0.01) & (np.abs(lat) < 0.01))
    beyond = given & ((np.abs(lat) > 90) | ~longitudes.valid(lon))
    exchangeable = given & (np.abs(lat) <= 360) & (np.abs(lon) <= 90)
    if beyond.sum() > given.sum() / 2:
        swapped = exchangeable & (np.abs(lat) > 90)
        return Places(~given | beyond & ~swapped, swapped, np.zeros(len(lon), bool))
    on_globe = given & ~beyond
    network, reach = _largest_part(lon, lat, on_globe)
    outside = given & ~network
    candidates = np.flatnonzero(outside & exchangeable)
    swapped = np.zeros(len(lon), bool)
    if network.any() and len(candidates):
        _, distance = sphere.nearest(lon[network], lat[network], lat[candidates], lon[candidates], 1)
        swapped[candidates] = distance[:, 0] <= reach
    return Places(~given | beyond & ~swapped, swapped, on_globe & ~network & ~swapped)


def _largest_part(lon: NDArray, lat: NDArray, among: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], float]:
    """Return the stations of the network, and the distance in km within which a place belongs to it."""
    index = np.flatnonzero(among)
    everything = among.copy()
    if len(index) < 3:
        return everything, _FAR_KM
    tree = linkage(sphere.unit_vectors(lon[index], lat[index]), "single")
    gaps = sphere.chord_to_km(tree[:, 2])
    for below, gap, chord in zip(gaps[:-1], gaps[1:], tree[:-1, 2], strict=True):
        if gap > max(_FAR_KM, _FAR_RATIO * below):
            part = fcluster(tree, chord * (1 + 1e-9) + 1e-12, "distance")
            sizes = np.bincount(part)
            if sizes.max() >= 3 and sizes.max() > len(index) / 2:
                everything[index] = part == sizes.argmax()
                return everything, max(_FAR_KM, below)
    return everything, max(_FAR_KM, float(gaps[-1]))


# -- clocks ------------------------------------------------------------------------------------------------------------


def peak_hours(values: NDArray, hours: NDArray) -> NDArray[np.float64]:
    """Return the hour of day at which each station's first harmonic peaks, NaN where the daily cycle is weak.

    Parameters
    ----------
    values : (n_station, n_time)
    hours : (n_station, n_time)
        Hour of day of each value.

    Returns
    -------
    (n_station,) float64
        Hours in 0 .. 24.
    """
    peaks = np.full(len(values), np.nan)
    for i, (row, hour) in enumerate(zip(values, hours, strict=True)):
        seen = np.isfinite(row)
        if seen.sum() < 48 or not (spread := row[seen].std()):
            continue
        wave = np.mean((row[seen] - row[seen].mean()) * np.exp(2j * np.pi * hour[seen] / 24))
        if 2 * abs(wave) / spread > 0.25:
            peaks[i] = np.angle(wave) * 24 / (2 * np.pi) % 24
    return peaks


def hours_late(peaks: NDArray) -> tuple[float, float]:
    """Return by how many hours peaks are later than mid-afternoon, and the fraction of stations within 2 h of that.

    The hours are in -12 .. 12, and 0 within the tolerance of 3 h.
    """
    peaks = peaks[np.isfinite(peaks)]
    if not len(peaks):
        return 0.0, 0.0
    middle = np.angle(np.exp(2j * np.pi * peaks / 24).mean()) * 24 / (2 * np.pi)
    late = float((middle - _PEAK_HOUR + 12) % 24 - 12)
    agree = float((np.abs((peaks - middle + 12) % 24 - 12) <= 2).mean())
    return (late if abs(late) > _PEAK_TOLERANCE else 0.0), agree


def lagged(a: NDArray, b: NDArray, lag: int) -> tuple[NDArray, NDArray]:
    """Return ``a`` at steps ``t + lag`` and ``b`` at steps ``t``, for all ``t`` where both exist, along the last axis."""
    n = a.shape[1]
    return a[:, max(lag, 0) : n + min(lag, 0)], b[:, max(-lag, 0) : n + min(-lag, 0)]


def correlations(a: NDArray, b: NDArray, lags: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the correlation of paired series at each lag, ``(n_pair, n_lag)``.

    At lag L, ``a`` at step ``t + L`` is compared with ``b`` at step ``t``. NaN with fewer than 24 common values.
    """
    found = np.full((len(a), len(lags)), np.nan)
    for j, lag in enumerate(lags):
        left, right = lagged(a, b, lag)
        both = np.isfinite(left) & np.isfinite(right)
        n = both.sum(axis=1)
        x, y = np.where(both, left, 0.0).astype(float), np.where(both, right, 0.0).astype(float)
        sums = x.sum(axis=1), y.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            covariance = (x * y).sum(axis=1) - sums[0] * sums[1] / n
            spread = ((x**2).sum(axis=1) - sums[0] ** 2 / n) * ((y**2).sum(axis=1) - sums[1] ** 2 / n)
            found[:, j] = np.where((n >= 24) & (spread > 0), covariance / np.sqrt(spread), np.nan)
    return found
