"""The null of TF-MoDISco: a Laplace distribution around the commonest window sum."""

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


class Null(NamedTuple):
    """What window sums would be without seqlets."""

    positive: NDArray[np.float64]
    """Draws of 0 and above, ascending."""
    negative: NDArray[np.float64]
    """Draws below 0, ascending."""


def laplace_null(ranking: Ranking) -> Null:
    """Draw from the narrowest Laplace distributions that any percentile asks for.

    Parameters
    ----------
    ranking : Ranking
        All window sums, ranked.

    Returns
    -------
    Null
        `N_DRAWS` draws in all, float64, always from the same stream. Each side of the mode has a
        rate of its own: the largest of those that put a percentile of the values on that side,
        5 % to 95 %, where it is.

    Examples
    --------
    >>> import numpy as np
    >>> from seqlight.seqlets.modisco.rank_statistics import rank
    >>> null = laplace_null(rank(np.random.RandomState(0).laplace(size=1000)))
    >>> len(null.positive) + len(null.negative)
    10000
    """
    mode = commonest(ranking)
    n = len(ranking.values)
    n_left_of_mode, n_left = ranking.below([mode, np.nextafter(mode, np.inf)]).tolist()
    n_right = n - n_left_of_mode
    # Values on the right are the last in order, those on the left the first; the mode itself is both.
    percents = np.concatenate([_percentiles(n_right, PERCENTS, n - n_right), _percentiles(n_left, 100 - PERCENTS, 0)])
    quantiles = _interpolated(ranking, percents)
    distance = -np.log(1 - PERCENTS / 100.0)
    # Where a percentile is the mode itself, the rate is infinite, and all draws are the mode.
    with np.errstate(divide="ignore", over="ignore"):
        right_rate = np.max(distance / (quantiles[: len(PERCENTS)] - mode))
        left_rate = np.max(distance / np.abs(quantiles[len(PERCENTS) :] - mode))
    side, height = np.random.RandomState(SEED).uniform(size=(N_DRAWS, 2)).T
    drop = np.log(1 - height)
    draws = np.sort(np.where(side < n_right / (n_right + n_left), -drop / right_rate + mode, mode + drop / left_rate))
    return Null(draws[draws >= 0], draws[draws < 0])


def commonest(ranking: Ranking) -> float:
    """Find the mode: the middle of the fullest of 1,000 bins of what lies in the fullest of 1,000 bins.

    Parameters
    ----------
    ranking : Ranking
        Of the values.

    Returns
    -------
    float
        The mode, between the smallest value and the largest.

    Examples
    --------
    >>> import numpy as np
    >>> from seqlight.seqlets.modisco.rank_statistics import rank
    >>> round(commonest(rank(np.array([0.0, 4.0001, 4.0003, 4.0003, 9.0]))), 4)
    4.0003
    """
    low, high = ranking.extremes
    left, right = _fullest_bin(ranking.values, low, high)
    near = _between(ranking.values, left, right)
    inner_low, inner_high = (float(near.min()), float(near.max())) if len(near) else (0.0, 1.0)
    mode = sum(_fullest_bin(near, inner_low, inner_high)) / 2
    # A bin of equal values gets a second histogram one unit wide, and an empty bin one from 0 to 1, which
    # need not meet the values at all.
    return mode if low <= mode <= high else (left + right) / 2


def _fullest_bin(values: NDArray[np.float64], low: float, high: float) -> tuple[float, float]:
    """Return the edges of the first of the fullest bins; one bin of all, where bins are too narrow for floats."""
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


def _between(values: NDArray[np.float64], left: float, right: float) -> NDArray[np.float64]:
    parts: dict[int, NDArray[np.float64]] = {}

    def collect(first: int, last: int) -> None:
        for at in range(first, last, VALUES_A_BLOCK):
            block = values[at : min(at + VALUES_A_BLOCK, last)]
            parts[at] = block[(left < block) & (block < right)]

    over_rows(collect, len(values), len(values))
    return np.concatenate([parts[at] for at in sorted(parts)])


def _percentiles(n: int, percents: NDArray[np.int64], skipped: int) -> NDArray[np.float64]:
    """Return, shape (m, 2), the rank below each percentile of n numbers, and how far on to the next it is."""
    place = (n - 1) * (percents / 100)
    whole = np.floor(place)
    return np.stack([whole + skipped, place - whole], axis=1)


def _interpolated(ranking: Ranking, places: NDArray[np.float64]) -> NDArray[np.float64]:
    rank, part = places[:, 0].astype(np.int64), places[:, 1]
    near, far = ranking.at(np.stack([rank, np.minimum(rank + 1, len(ranking.values) - 1)]))
    # From the nearer end, as NumPy interpolates, so that rounding never leaves the two ends.
    found: NDArray[np.float64] = np.where(part < 0.5, near + (far - near) * part, far - (far - near) * (1 - part))
    return found
