"""How likely a window sum of a given size is not a draw from the null, by isotonic regression.

Each value counts as 1 and each draw as 0; the probability is the monotonic sequence nearest to these in weighted
least squares.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqlight.native.library import library, pointer

# Numbers closer than this count as equal, whatever their scale: a rule of scikit-learn, which TF-MoDISco uses.
SAME_WITHIN = float(np.finfo(np.float64).resolution)


class Points(NamedTuple):
    """Points to fit a curve to, by ascending x."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    weight: NDArray[np.float64]


class Share(NamedTuple):
    """The share of values among values and draws, by size."""

    lowest: float
    """At the smallest size of any value or draw."""
    at_values: NDArray[np.float64]
    """At each value; shape (n,)."""


def share_of_values(values: NDArray[np.float64], draws: NDArray[np.float64], *, increasing: bool) -> Share:
    """Fit the share of values among values and draws, where both have the same total weight.

    Parameters
    ----------
    values, draws : numpy.ndarray, shape=(n,) and (m,)
        Ascending, at least one value. Without draws the share is 1.
    increasing : bool
        Whether the share rises with the numbers, or falls.

    Returns
    -------
    Share
        The share at the end where it is lowest, and at each value.

    Examples
    --------
    >>> import numpy as np
    >>> share_of_values(np.array([1.0, 3.0, 5.0]), np.array([0.0, 2.0, 4.0]), increasing=True)
    Share(lowest=0.0, at_values=array([0.5, 0.5, 1. ]))
    """
    if not len(draws):
        return Share(1.0, np.ones(len(values)))
    # Draws come before equal values; that fixes the order of the sums.
    slots = np.searchsorted(values, draws)
    x = np.insert(values, slots, draws)
    real = np.insert(np.ones(len(values), dtype=np.uint8), slots, 0)
    points = join_equal_points(x, real, len(values) / len(draws))
    order = slice(None) if increasing else slice(None, None, -1)
    y = isotonic_fit(points.y[order], points.weight[order])[order]
    # A value that was joined with a smaller one lies between two points. Interpolation needs only the ends of each
    # level, and rounds like TF-MoDISco only with those.
    ends = np.ones(len(y), dtype=bool)
    ends[1:-1] = (y[1:-1] != y[:-2]) | (y[1:-1] != y[2:])
    return Share(float(y[0 if increasing else -1]), np.interp(values, points.x[ends], y[ends]))


def join_equal_points(x: NDArray[np.float64], real: NDArray[np.uint8], weight: float) -> Points:
    """Turn values (`real` is 1, weight 1) and draws (`real` is 0, weight `weight`) into points, joining equal ones.

    Parameters
    ----------
    x : numpy.ndarray, shape=(n,)
        Ascending. Numbers less than `SAME_WITHIN` above the first of a group belong to the group.
    real : numpy.ndarray, shape=(n,)
        1 for a value, with y = 1, and 0 for a draw, with y = 0.
    weight : float
        The weight of a draw.

    Returns
    -------
    Points
        At most n; y is the weighted mean of each group.

    Examples
    --------
    >>> import numpy as np
    >>> join_equal_points(np.array([1.0, 1.0, 2.0]), np.array([0, 1, 1], dtype=np.uint8), 3.0).y
    array([0.25, 1.  ])
    """
    native = library()
    if native is None:
        return _join_equal_points_python(x.tolist(), real.tolist(), weight)
    points = Points(*(np.empty(len(x)) for _ in range(3)))
    n = native.join_points(pointer(x), pointer(real), len(x), weight, SAME_WITHIN, *map(pointer, points))
    return Points(*(column[:n] for column in points))


def isotonic_fit(y: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the nondecreasing sequence nearest to y in weighted least squares.

    Parameters
    ----------
    y, weight : numpy.ndarray, shape=(n,)
        Numbers, and their weights above 0.

    Returns
    -------
    numpy.ndarray, shape=(n,)
        The same bits with or without the compiled loop.

    Examples
    --------
    >>> import numpy as np
    >>> isotonic_fit(np.array([3.0, 1.0, 5.0]), np.ones(3))
    array([2., 2., 5.])
    """
    native = library()
    if native is None:
        return _isotonic_fit_python(y.tolist(), weight.tolist())
    fitted, weight = np.array(y, order="C"), np.ascontiguousarray(weight)
    if native.isotonic_fit(pointer(fitted), pointer(weight), len(fitted)) < 0:
        raise MemoryError("no memory for the levels of the fit")
    return fitted


def _join_equal_points_python(x: list[float], real: list[int], weight: float) -> Points:
    rows: list[tuple[float, float, float]] = []
    at = 0
    while at < len(x):
        first, ones, total = x[at], 0.0, 0.0
        while at < len(x) and x[at] - first < SAME_WITHIN:
            total += 1.0 if real[at] else weight
            ones += real[at]
            at += 1
        rows.append((first, ones / total, total))
    return Points(*np.array(rows).T)


def _isotonic_fit_python(y: list[float], weight: list[float]) -> NDArray[np.float64]:
    means: list[float] = []
    weights: list[float] = []
    ends: list[int] = []
    at = 0
    while at < len(y):
        mean, total = y[at], weight[at]
        at += 1
        if means and means[-1] >= mean:
            # Later numbers are merged before earlier levels: the order decides the last bit.
            previous_mean, previous_weight = means.pop(), weights.pop()
            ends.pop()
            amount = total * mean + previous_weight * previous_mean
            total += previous_weight
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
