"""The null of TF-MoDISco: a Laplace distribution around the most common window sum."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqlight.native.threads import over_rows
from seqlight.seqlets.modisco.rank_statistics import Ranking

N_BINS = 1000
PERCENTS = 5 * np.arange(1, 20)
N_DRAWS = 10_000
SEED = 1234

VALUES_A_BLOCK = 1 << 20


class NullDraws(NamedTuple):
    """Window sums as they would be without seqlets."""

    positive: NDArray[np.float64]
    """Draws of 0 and above, ascending."""
    negative: NDArray[np.float64]
    """Draws below 0, ascending."""


def laplace_null(ranking: Ranking) -> NullDraws:
    """Draw from the narrowest Laplace distribution on each side of the mode that fits a percentile of the values.

    Parameters
    ----------
    ranking : Ranking
        All window sums, ranked.

    Returns
    -------
    NullDraws
        `N_DRAWS` draws in all, float64, always from the same stream. Each side of the mode has its own rate: the
        largest of the rates that reproduce one of the percentiles, 5 % to 95 %, of the values on that side.

    Examples
    --------
    >>> import numpy as np
    >>> from seqlight.seqlets.modisco.rank_statistics import rank
    >>> null = laplace_null(rank(np.random.RandomState(0).laplace(size=1000)))
    >>> len(null.positive) + len(null.negative)
    10000
    """
    mode = find_mode(ranking)
    n = len(ranking.values)
    n_left_of_mode, n_left = ranking.below([mode, np.nextafter(mode, np.inf)]).tolist()
    n_right = n - n_left_of_mode
    # In sorted order, values on the right come last and those on the left first; the mode belongs to both sides.
    percents = np.concatenate([_percentiles(n_right, PERCENTS, n - n_right), _percentiles(n_left, 100 - PERCENTS, 0)])
    quantiles = _interpolate(ranking, percents)
    distance = -np.log(1 - PERCENTS / 100.0)
    # If a percentile equals the mode, the rate is infinite and all draws are the mode.
    with np.errstate(divide="ignore", over="ignore"):
        right_rate = np.max(distance / (quantiles[: len(PERCENTS)] - mode))
        left_rate = np.max(distance / np.abs(quantiles[len(PERCENTS) :] - mode))
    side, height = np.random.RandomState(SEED).uniform(size=(N_DRAWS, 2)).T
    drop = np.log(1 - height)
    draws = np.sort(np.where(side < n_right / (n_right + n_left), -drop / right_rate + mode, mode + drop / left_rate))
    return NullDraws(draws[draws >= 0], draws[draws < 0])


def find_mode(ranking: Ranking) -> float:
    """Find the mode: the middle of the fullest of 1,000 bins within the fullest of 1,000 bins.

    Parameters
    ----------
    ranking : Ranking
        The values, ranked.

    Returns
    -------
    float
        The mode, between the smallest value and the largest.

    Examples
    --------
    >>> import numpy as np
    >>> from seqlight.seqlets.modisco.rank_statistics import rank
    >>> round(find_mode(rank(np.array([0.0, 4.0001, 4.0003, 4.0003, 9.0]))), 4)
    4.0003
    """
    low, high = ranking.extremes
    left, right = _fullest_bin(ranking.values, low, high)
    inner = _select_between(ranking.values, left, right)
    inner_low, inner_high = (float(inner.min()), float(inner.max())) if len(inner) else (0.0, 1.0)
    mode = sum(_fullest_bin(inner, inner_low, inner_high)) / 2
    # The second histogram is one unit wide for a bin of equal values and runs from 0 to 1 for an empty bin, so it
    # may lie outside the values.
    return mode if low <= mode <= high else (left + right) / 2


def _fullest_bin(values: NDArray[np.float64], low: float, high: float) -> tuple[float, float]:
    """Return the edges of the fullest bin, the first of ties; those of all values if bins are too narrow for floats."""
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, N_BINS + 1)
    if not (np.diff(edges) > 0).all():
        return low, high
    parts: list[NDArray[np.int64]] = []

    def count(first: int, last: int) -> None:
        parts.append(np.histogram(values[first:last], bins=N_BINS, range=(low, high))[0])

    over_rows(count, len(values), len(values))
    fullest = int(np.sum(parts, axis=0).argmax()) if parts else 0
    return float(edges[fullest]), float(edges[fullest + 1])


def _select_between(values: NDArray[np.float64], left: float, right: float) -> NDArray[np.float64]:
    parts: dict[int, NDArray[np.float64]] = {}

    def collect(first: int, last: int) -> None:
        for at in range(first, last, VALUES_A_BLOCK):
            block = values[at : min(at + VALUES_A_BLOCK, last)]
            parts[at] = block[(left < block) & (block < right)]

    over_rows(collect, len(values), len(values))
    return np.concatenate([parts[at] for at in sorted(parts)])


def _percentiles(n: int, percents: NDArray[np.int64], skipped: int) -> NDArray[np.float64]:
    """Return the rank below each percentile of n numbers and the fraction of the way to the next, shape (m, 2)."""
    position = (n - 1) * (percents / 100)
    whole = np.floor(position)
    return np.stack([whole + skipped, position - whole], axis=1)


def _interpolate(ranking: Ranking, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    rank, part = positions[:, 0].astype(np.int64), positions[:, 1]
    low, high = ranking.at(np.stack([rank, np.minimum(rank + 1, len(ranking.values) - 1)]))
    # From the nearer end, like NumPy, so that rounding never leaves the interval.
    values: NDArray[np.float64] = np.where(part < 0.5, low + (high - low) * part, high - (high - low) * (1 - part))
    return values
