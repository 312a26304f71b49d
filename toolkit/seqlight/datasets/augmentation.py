"""Random shifts and strand flips of training rows, which depend only on the seed, the epoch and the row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# The constants of SplitMix64 (Steele, Lea and Flood, 2014).
_GAMMA, _FIRST, _SECOND = (np.uint64(x) for x in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def random_shifts(seed: int, epoch: NDArray[np.int64], row: NDArray[np.int64], jitter: int) -> NDArray[np.int64]:
    """Return by how much each row is shifted: uniformly from -jitter to jitter.

    Parameters
    ----------
    seed : int
        0 or more.
    epoch, row : numpy.ndarray, int64, shape (rows,)
        The epoch and the number of each row.
    jitter : int
        The largest shift.

    Returns
    -------
    numpy.ndarray, int64, shape (rows,)
    """
    high = _words(seed, 0, epoch, row) >> np.uint64(32)
    # The high half of the product maps 32 random bits evenly onto a small range.
    return (high * np.uint64(2 * jitter + 1) >> np.uint64(32)).astype(np.int64) - jitter


def random_flips(seed: int, epoch: NDArray[np.int64], row: NDArray[np.int64]) -> NDArray[Any]:
    """Return whether each row is read from the other strand, with probability one half; see `random_shifts`."""
    return (_words(seed, 1, epoch, row) >> np.uint64(63)).astype(bool)


def _words(seed: int, stream: int, epoch: NDArray[np.int64], row: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return 64 random bits for each row: the values are mixed in one after the other."""
    words = np.zeros(len(row), np.uint64)
    for value in (np.asarray(seed % 2**64, np.uint64), np.asarray(stream, np.uint64), epoch, row):
        words = _mix(words + value.astype(np.uint64))
    return words


def _mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    words = words + _GAMMA
    words = (words ^ words >> np.uint64(30)) * _FIRST
    words = (words ^ words >> np.uint64(27)) * _SECOND
    return words ^ words >> np.uint64(31)
