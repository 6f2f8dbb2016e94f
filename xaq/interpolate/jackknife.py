"""How far a choice made at few places may be wrong: the jackknife over places."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: The standard error counts once with this many places: fewer know their own error badly, and more need no caution.
FEW_PLACES = 48
#: It counts so often at most. A gain of more than this is hardly chance, with ten places and the best of ten candidates.
MOST_ERRORS = 4.0


def margin(without: NDArray, *, errors: float | None = None) -> NDArray[np.float64]:
    r"""Return what a statistic must exceed for it to be believed: its standard error, by how few the places are.

    .. math:: \min\Big(\frac{48^2}{n^2}, 4\Big) \sqrt{\frac{n - 1}{n} \sum_i (s_{-i} - \bar s)^2}

    Parameters
    ----------
    without : (..., place)
        The statistic :math:`s_{-i}` without each of the :math:`n` places (jackknife; Efron 1982, chapter 3).
    errors : float, optional
        How many standard errors, where something other than the data speaks for a choice.

    Returns
    -------
    (...)
        Infinite for a single place.
    """
    n = without.shape[-1]
    if n < 2:
        return np.full(without.shape[:-1], np.inf)
    squares = ((without - without.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1)
    if errors is None:
        errors = min((FEW_PLACES / n) ** 2, MOST_ERRORS)
    exceeded: NDArray[np.float64] = errors * np.sqrt((n - 1) / n * squares)
    return exceeded


def sums_by_place(error: NDArray, place: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the number of errors, the sum of their sizes and of their squares at each place with any, ``(3, place)``."""
    seen = np.isfinite(error)
    error, (_, which) = error[seen].astype(float), np.unique(place[seen], return_inverse=True)
    return np.stack([np.bincount(which, weight) for weight in (np.ones_like(error), np.abs(error), error**2)])


def cautious_scores(sums: NDArray[np.float64], *, errors: float | None = None) -> NDArray[np.float64]:
    """Return the score of each candidate less that of the first, plus the margin of this difference.

    ``sums (candidate, 3, place)`` are those of :func:`sums_by_place`, and ``errors`` is that of :func:`margin`.
    """
    return np.sum(scores_and_margins(sums, errors=errors), axis=0)


def scores_and_margins(
    sums: NDArray[np.float64], *, errors: float | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the score of each candidate less that of the first, and the margin of this difference, ``(candidate,)`` each.

    Parameters
    ----------
    sums : (candidate, 3, place)
        Of :func:`sums_by_place`.
    errors : float, optional
        As :func:`margin` takes it.
    """
    whole = sums.sum(axis=2, keepdims=True)
    difference = _scores(whole) - _scores(whole)[0]
    without = _scores(whole - sums)
    return difference[:, 0], margin(without - without[0], errors=errors)


def _scores(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the scores relative to the first candidate, ``(candidate, ...)``, from sums ``(candidate, 3, ...)``."""
    tiny = float(np.finfo(float).tiny)
    count = np.maximum(sums[:, 0], 1)
    mae, rmse = sums[:, 1] / count, np.sqrt(np.maximum(sums[:, 2], 0.0) / count)
    scores: NDArray[np.float64] = mae / np.maximum(mae[0], tiny) + rmse / np.maximum(rmse[0], tiny)
    return scores
