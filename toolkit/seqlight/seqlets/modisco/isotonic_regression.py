"""How likely a window sum of a given size is no draw from the null: an isotonic regression.

Each value counts as 1, each draw as 0, and the probability is the sequence, rising with the
size, that is nearest to these in weighted squares.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqlight.native.library import library, pointer

# Numbers less than this apart are one number, whatever their scale: the rule of scikit-learn, by which
# TF-MoDISco fits.
APART = float(np.finfo(np.float64).resolution)


class Points(NamedTuple):
    """What a curve is fitted to, by ascending x."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    weight: NDArray[np.float64]


class Share(NamedTuple):
    """Which part of values and draws of one size are values."""

    lowest: float
    """At the smallest size of any value or draw."""
    at_values: NDArray[np.float64]
    """At each value; shape (n,)."""


def share_of_values(values: NDArray[np.float64], draws: NDArray[np.float64], *, increasing: bool) -> Share:
    """Fit the share of values among values and draws, both weighing the same in all.

    Parameters
    ----------
    values, draws : numpy.ndarray, shape=(n,) and (m,)
        Ascending, at least one value. Without any draw the share is 1.
    increasing : bool
        Whether the share rises from the smallest number to the largest, or falls.

    Returns
    -------
    Share
        What it is at the end where it is smallest, and at each value.

    Examples
    --------
    >>> import numpy as np
    >>> share_of_values(np.array([1.0, 3.0, 5.0]), np.array([0.0, 2.0, 4.0]), increasing=True)
    Share(lowest=0.0, at_values=array([0.5, 0.5, 1. ]))
    """
    if not len(draws):
        return Share(1.0, np.ones(len(values)))
    # Draws come before equal values, which fixes the order of the sums.
    slots = np.searchsorted(values, draws)
    x = np.insert(values, slots, draws)
    real = np.insert(np.ones(len(values), dtype=np.uint8), slots, 0)
    points = joined(x, real, len(values) / len(draws))
    order = slice(None) if increasing else slice(None, None, -1)
    y = rising(points.y[order], points.weight[order])[order]
    # A value that was joined with a smaller one lies between two points. The ends of each level are enough to
    # interpolate, and are what is rounded in the reference.
    ends = np.ones(len(y), dtype=bool)
    ends[1:-1] = (y[1:-1] != y[:-2]) | (y[1:-1] != y[2:])
    return Share(float(y[0 if increasing else -1]), np.interp(values, points.x[ends], y[ends]))


def joined(x: NDArray[np.float64], real: NDArray[np.uint8], weight: float) -> Points:
    """Turn values (`real` 1, weighing 1) and draws (0, weighing `weight`) into points, equals joined.

    Parameters
    ----------
    x : numpy.ndarray, shape=(n,)
        Ascending. What lies less than `APART` right of the first of a group belongs to it.
    real : numpy.ndarray, shape=(n,)
        1 for a value, which has y = 1, and 0 for a draw, which has y = 0.
    weight : float
        What a draw weighs.

    Returns
    -------
    Points
        At most n of them; y is the weighted mean of each group.

    Examples
    --------
    >>> import numpy as np
    >>> joined(np.array([1.0, 1.0, 2.0]), np.array([0, 1, 1], dtype=np.uint8), 3.0).y
    array([0.25, 1.  ])
    """
    native = library()
    if native is None:
        return _joined_by_python(x.tolist(), real.tolist(), weight)
    points = Points(*(np.empty(len(x)) for _ in range(3)))
    n = native.join_points(pointer(x), pointer(real), len(x), weight, APART, *map(pointer, points))
    return Points(*(column[:n] for column in points))


def rising(y: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rising sequence that is nearest to y in weighted squares.

    Parameters
    ----------
    y, weight : numpy.ndarray, shape=(n,)
        Numbers, and what they weigh, above 0.

    Returns
    -------
    numpy.ndarray, shape=(n,)
        Never falling. The same bits whether or not the loop is compiled.

    Examples
    --------
    >>> import numpy as np
    >>> rising(np.array([3.0, 1.0, 5.0]), np.ones(3))
    array([2., 2., 5.])
    """
    native = library()
    if native is None:
        return _rising_by_python(y.tolist(), weight.tolist())
    fitted, weight = np.array(y, order="C"), np.ascontiguousarray(weight)
    if native.isotonic_fit(pointer(fitted), pointer(weight), len(fitted)) < 0:
        raise MemoryError("no memory for the levels of the fit")
    return fitted


def _joined_by_python(x: list[float], real: list[int], weight: float) -> Points:
    rows: list[tuple[float, float, float]] = []
    at = 0
    while at < len(x):
        first, ones, total = x[at], 0.0, 0.0
        while at < len(x) and x[at] - first < APART:
            total += 1.0 if real[at] else weight
            ones += real[at]
            at += 1
        rows.append((first, ones / total, total))
    return Points(*np.array(rows).T)


def _rising_by_python(y: list[float], weight: list[float]) -> NDArray[np.float64]:
    means: list[float] = []
    weights: list[float] = []
    ends: list[int] = []
    at = 0
    while at < len(y):
        mean, total = y[at], weight[at]
        at += 1
        if means and means[-1] >= mean:
            # What follows is looked at before what came further back: the order decides the last bit.
            behind = means.pop(), weights.pop()
            ends.pop()
            amount = total * mean + behind[1] * behind[0]
            total += behind[1]
            mean = amount / total
            while at < len(y) and mean >= y[at]:
                amount, total = amount + weight[at] * y[at], total + weight[at]
                mean, at = amount / total, at + 1
            while means and means[-1] >= mean:
                amount, total = amount + weights[-1] * means.pop(), total + weights.pop()
                mean = amount / total
                ends.pop()
        means.append(mean)
        weights.append(total)
        ends.append(at)
    return np.repeat(means, np.diff(ends, prepend=0))
