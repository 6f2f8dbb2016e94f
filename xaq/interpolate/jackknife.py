"""How far a choice made at few places may be wrong: the jackknife over places."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: The standard error counts in full with this many places: fewer know their own error badly, and more need no caution.
FEW_PLACES = 30


def margin(without: NDArray) -> NDArray[np.float64]:
    r"""Return what a statistic must exceed for it to be believed: its standard error, by how few the places are.

    .. math:: \Big(\frac{30}{n}\Big)^2 \sqrt{\frac{n - 1}{n} \sum_i (s_{-i} - \bar s)^2}

    Parameters
    ----------
    without : (..., place)
        The statistic :math:`s_{-i}` without each of the :math:`n` places (jackknife; Efron 1982, chapter 3).

    Returns
    -------
    (...)
        Infinite for a single place.
    """
    n = without.shape[-1]
    if n < 2:
        return np.full(without.shape[:-1], np.inf)
    squares = ((without - without.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1)
    error: NDArray[np.float64] = (FEW_PLACES / n) ** 2 * np.sqrt((n - 1) / n * squares)
    return error


def sums_by_place(error: NDArray, place: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the number of errors, the sum of their sizes and of their squares at each place with any, ``(3, place)``."""
    seen = np.isfinite(error)
    error, (_, which) = error[seen].astype(float), np.unique(place[seen], return_inverse=True)
    return np.stack([np.bincount(which, weight) for weight in (np.ones_like(error), np.abs(error), error**2)])


def cautious_scores(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the score of each candidate less that of the first, plus the margin of this difference.

    ``sums (candidate, 3, place)`` are those of :func:`sums_by_place`.
    """
    whole = sums.sum(axis=2, keepdims=True)
    difference = _scores(whole) - _scores(whole)[0]
    without = _scores(whole - sums)
    cautious: NDArray[np.float64] = difference[:, 0] + margin(without - without[0])
    return cautious


def _scores(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the scores relative to the first candidate, ``(candidate, ...)``, from sums ``(candidate, 3, ...)``."""
    tiny = float(np.finfo(float).tiny)
    count = np.maximum(sums[:, 0], 1)
    mae, rmse = sums[:, 1] / count, np.sqrt(np.maximum(sums[:, 2], 0.0) / count)
    scores: NDArray[np.float64] = mae / np.maximum(mae[0], tiny) + rmse / np.maximum(rmse[0], tiny)
    return scores
