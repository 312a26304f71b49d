"""Which window sums are extreme enough to be seqlets."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.seqlets.modisco.isotonic_regression import share_of_values
from seqlight.seqlets.modisco.laplace_null import laplace_null
from seqlight.seqlets.modisco.rank_statistics import Ranking, rank
from seqlight.seqlets.modisco.subsample import sample_values

# The smallest share of all windows that the null is taken to explain.
MIN_NULL_SHARE = 0.95
SMALLEST_SHARE = 1e-7
SIGN_MARGIN = 0.0001


class Thresholds(NamedTuple):
    """The thresholds for sums over one window."""

    positive: float
    """Windows with at least this sum are called; infinite if none is."""
    negative: float
    """Windows with at most this sum are called; negative infinity if none is."""
    sign: float
    """Seqlets with a larger attribution count as positive, those below its negative as negative, and TF-MoDISco sets
    aside those in between; infinite if nothing is called."""


NOTHING_PASSES = Thresholds(np.inf, -np.inf, np.inf)


def choose_thresholds(
    sums: NDArray[np.float64], target_fdr: float, passing: tuple[float, float], weakest: float
) -> Thresholds:
    """Choose the thresholds of TF-MoDISco.

    Parameters
    ----------
    sums : numpy.ndarray, shape=(n,)
        All window sums: at least one, float64, C-contiguous.
    target_fdr : float
        The share of called windows that may be draws from the null, by TF-MoDISco's own estimate.
    passing : tuple of float
        The smallest and the largest share of windows to call. Outside these limits, both thresholds become one
        quantile of the magnitudes.
    weakest : float
        The largest share of all magnitudes that may lie below the sign threshold.

    Returns
    -------
    Thresholds
        A sign that no window has is not called; nothing is called if all sums are equal.

    Raises
    ------
    InputError
        If the sums overflow their type.

    Examples
    --------
    >>> import numpy as np
    >>> sums = np.random.RandomState(0).laplace(size=1000)
    >>> found = choose_thresholds(sums, 0.2, (0.03, 0.03), 0.8)
    >>> int((sums >= found.positive).sum() + (sums <= found.negative).sum())
    30
    """
    ranking = rank(sums)
    low, high = ranking.extremes
    if not max(abs(low), abs(high)) < np.finfo(np.float64).max / 2:  # NaN fails too
        raise InputError("Sums of attributions overflow their type: divide them by a constant, which changes no call.")
    if low == high:
        return NOTHING_PASSES
    null = laplace_null(ranking)
    values = sample_values(sums)
    first_positive = int(np.searchsorted(values, 0.0))
    positive = side_threshold(values[first_positive:], null.positive, target_fdr, 1)
    negative = side_threshold(values[:first_positive], null.negative, target_fdr, -1)
    positive, negative = limit_passing_share(values, positive, negative, passing)
    return Thresholds(positive, negative, _sign_threshold(ranking.magnitudes(), positive, negative, weakest))


def side_threshold(values: NDArray[np.float64], draws: NDArray[np.float64], target_fdr: float, sign: int) -> float:
    """Return the value nearest to 0 beyond which at most `target_fdr` of the windows are draws.

    Parameters
    ----------
    values, draws : numpy.ndarray, shape=(n,) and (m,)
        Window sums of one sign, and draws from the null of that sign, ascending.
    target_fdr : float
        As in `choose_thresholds`.
    sign : int
        1 or -1.

    Returns
    -------
    float
        One of the values; the most extreme one always passes. Infinity, with the sign, if there are no values.

    Examples
    --------
    >>> import numpy as np
    >>> side_threshold(np.array([1.0, 3.0, 5.0]), np.array([0.0, 2.0, 4.0]), 0.2, 1)
    5.0
    """
    if not len(values):
        return sign * np.inf
    share = share_of_values(values, draws, increasing=sign > 0)
    part_of_null = MIN_NULL_SHARE
    if share.lowest < 1:
        odds = -1 / (1 - 1 / max(share.lowest, SMALLEST_SHARE))
        part_of_null = max(min(1.0, odds), MIN_NULL_SHARE)
    precision = 1 + part_of_null * (1 - 1 / np.maximum(share.at_values[::sign], SMALLEST_SHARE))
    passes = np.clip(precision, 0.0, 1.0) >= 1 - target_fdr
    passes[-1] = True
    return float(values[::sign][passes.argmax()])


def limit_passing_share(
    values: NDArray[np.float64], positive: float, negative: float, passing: tuple[float, float]
) -> tuple[float, float]:
    """Replace both thresholds if they call too few or too many windows.

    Parameters
    ----------
    values : numpy.ndarray, shape=(n,)
        Window sums of both signs.
    positive, negative : float
        The thresholds so far.
    passing : tuple of float
        The smallest and the largest share of windows to call.

    Returns
    -------
    tuple of float
        The thresholds, or the quantile of the magnitudes that calls the nearest allowed share, and its negative.

    Examples
    --------
    >>> import numpy as np
    >>> limit_passing_share(np.arange(-50.0, 50.0), 1.0, -1.0, (0.03, 0.2))
    (40.0, -40.0)
    """
    n_passing = np.count_nonzero(values >= positive) + np.count_nonzero(values <= negative)
    share = n_passing / len(values)
    for limit, is_broken in ((passing[0], share < passing[0]), (passing[1], share > passing[1])):
        if is_broken:
            positive = float(np.percentile(np.abs(values), 100 * (1 - limit)))
            negative = -positive
    return positive, negative


def _sign_threshold(magnitudes: Ranking, positive: float, negative: float, weakest: float) -> float:
    n = len(magnitudes.values)
    # An infinite threshold is above all magnitudes.
    limits = np.minimum(np.abs([positive, negative]), np.finfo(np.float64).max)
    below = magnitudes.below(limits).min() / n
    # Just below the laxer threshold. If that is the smallest magnitude of all, the rank is negative and counts from
    # the largest, as it does in TF-MoDISco.
    rank = int(min(below - SIGN_MARGIN, weakest) * n)
    return float(magnitudes.at([rank % n])[0])
