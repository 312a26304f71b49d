"""The million window sums that TF-MoDISco looks at where there are more."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seqlight.native.library import library, pointer

MOST_KEPT = 1_000_000
SEED = 1234


def sampled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take the values that a shuffle of all of them leaves in front.

    Parameters
    ----------
    values : numpy.ndarray, shape=(n,)
        Float64.

    Returns
    -------
    numpy.ndarray, shape=(min(n, MOST_KEPT),)
        Ascending. The same values as of ``RandomState(1234).choice(values, MOST_KEPT,
        replace=False)``; all, where they are not more.

    Examples
    --------
    >>> import numpy as np
    >>> sampled(np.array([2.0, -1.0]))
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
    where = np.empty(n, dtype=np.int32)
    native.shuffle_front(pointer(where), n, kept, SEED)
    return where[:kept]
