"""The sample of a million window sums that TF-MoDISco uses if there are more."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seqlight.native.library import library, pointer

MOST_KEPT = 1_000_000
SEED = 1234


def sample_values(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values that a shuffle of all of them puts first, sorted.

    Parameters
    ----------
    values : numpy.ndarray, shape=(n,)
        Float64.

    Returns
    -------
    numpy.ndarray, shape=(min(n, MOST_KEPT),)
        Ascending. The values of ``RandomState(1234).choice(values, MOST_KEPT, replace=False)``; all values if there
        are no more than that.

    Examples
    --------
    >>> import numpy as np
    >>> sample_values(np.array([2.0, -1.0]))
    array([-1.,  2.])
    """
    if len(values) <= MOST_KEPT:
        return np.sort(values)
    return np.sort(values[shuffle_front(len(values), MOST_KEPT)])


def shuffle_front(n: int, kept: int) -> NDArray[np.int64] | NDArray[np.int32]:
    """Return, in any order, the first `kept` of ``RandomState(1234).permutation(n)``; 1 <= kept < n."""
    native = library()
    if native is None or n > np.iinfo(np.int32).max:
        front: NDArray[np.int64] = np.random.RandomState(SEED).permutation(n)[:kept]
        return front
    order = np.empty(n, dtype=np.int32)
    native.shuffle_front(pointer(order), n, kept, SEED)
    return order[:kept]
