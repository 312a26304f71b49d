"""What training does to each row: a function of the seed, the epoch and the row, and of nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# The constants of SplitMix64 (Steele, Lea and Flood, 2014).
_GAMMA, _FIRST, _SECOND = (np.uint64(x) for x in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def random_shifts(seed: int, epoch: NDArray[np.int64], row: NDArray[np.int64], jitter: int) -> NDArray[np.int64]:
    """Return how far each row is moved, -jitter to jitter, each as probable as the next.

    Parameters
    ----------
    seed : int
        0 or more.
    epoch, row : numpy.ndarray, int64, shape (rows,)
        Of which the result is a function.
    jitter : int
        The most.

    Returns
    -------
    numpy.ndarray, int64, shape (rows,)
    """
    high = _words(seed, 0, epoch, row) >> np.uint64(32)
    # The high half of a product spreads 32 bits evenly over few numbers.
    return (high * np.uint64(2 * jitter + 1) >> np.uint64(32)).astype(np.int64) - jitter


def random_flips(seed: int, epoch: NDArray[np.int64], row: NDArray[np.int64]) -> NDArray[Any]:
    """Return whether each row is read from the other strand, half of the time; see `random_shifts`."""
    return (_words(seed, 1, epoch, row) >> np.uint64(63)).astype(bool)


def _words(seed: int, stream: int, epoch: NDArray[np.int64], row: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return 64 random bits for each row, by a chain of mixes."""
    words = np.zeros(len(row), np.uint64)
    for value in (np.asarray(seed % 2**64, np.uint64), np.asarray(stream, np.uint64), epoch, row):
        words = _mixed(words + value.astype(np.uint64))
    return words


def _mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    words = words + _GAMMA
    words = (words ^ words >> np.uint64(30)) * _FIRST
    words = (words ^ words >> np.uint64(27)) * _SECOND
    return words ^ words >> np.uint64(31)
