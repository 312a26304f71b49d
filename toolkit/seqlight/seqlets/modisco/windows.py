"""Sums of attributions over windows, and the largest ones that are far enough from each other."""

from __future__ import annotations

import ctypes
from functools import partial

import numpy as np
from numpy.typing import NDArray

from seqlight.native.library import library, pointer
from seqlight.native.threads import over_rows
from seqlight.seqlets.seqlet_table import Floats

Sums = NDArray[np.float64]


def window_sums(values: Floats, window: int) -> Sums:
    """Sum each window of neighbouring positions.

    The sums are differences of a running sum that is rounded to the type of the values, as in TF-MoDISco: the order of
    nearly equal windows depends on it.

    Parameters
    ----------
    values : numpy.ndarray, shape=(n, length)
        Finite values, float32 or float64, C-contiguous.
    window : int
        How many positions, ``1 <= window <= length``.

    Returns
    -------
    numpy.ndarray, shape=(n, length + 1 - window)
        Sums of ``values[:, i : i + window]``, float64; not finite where a running sum overflows its type.

    Examples
    --------
    >>> import numpy as np
    >>> window_sums(np.array([[1.0, 2.0, 4.0, 8.0]]), 2)
    array([[ 3.,  6., 12.]])
    """
    sums = np.empty((len(values), values.shape[1] + 1 - window))
    native = library()

    def work(first: int, last: int) -> None:
        if native is not None:
            edges = first, last, values.shape[1], window
            running = np.empty(values.shape[1] + 1)
            native.window_sums(pointer(values), values.itemsize, *edges, pointer(running), pointer(sums))
            return
        for row in range(first, last):
            running = np.zeros(values.shape[1] + 1)
            with np.errstate(over="ignore", invalid="ignore"):
                running[1:] = np.cumsum(values[row])
                sums[row] = running[window:] - running[:-window]

    over_rows(work, len(values), sums.size)
    return sums


def window_peaks(sums: Sums, high: float, low: float, margin: int, exclusion: int) -> NDArray[np.int64]:
    """Call the largest windows of each row, except those too close to a larger one.

    Parameters
    ----------
    sums : numpy.ndarray, shape=(n, m)
        Float64, C-contiguous.
    high, low : float
        Only sums of at least `high` or at most `low` are called.
    margin : int
        How many windows at either end of a row are never called.
    exclusion : int
        A called window excludes those up to this many positions away.

    Returns
    -------
    numpy.ndarray, shape=(n_called, 2)
        Row and position of each: by row, then from the largest magnitude down, then from the left. The same with or
        without compiled loops, for any number of threads.

    Examples
    --------
    >>> import numpy as np
    >>> window_peaks(np.array([[0.0, 3.0, 2.0, 0.0, -4.0]]), high=2.0, low=-2.0, margin=0, exclusion=1).tolist()
    [[0, 4], [0, 1]]
    """
    native = library()
    find_peaks = _peaks_by_numpy if native is None else partial(_peaks_by_loop, native)
    parts: dict[int, NDArray[np.int64]] = {}

    def work(first: int, last: int) -> None:
        parts[first] = find_peaks(sums, (first, last), (high, low), margin, exclusion)

    over_rows(work, len(sums), sums.size)
    return np.concatenate([parts[first] for first in sorted(parts)] or [np.empty((0, 2), dtype=np.int64)])


def _peaks_by_loop(
    native: ctypes.CDLL, sums: Sums, rows: tuple[int, int], limits: tuple[float, float], margin: int, exclusion: int
) -> NDArray[np.int64]:
    most_a_row = sums.shape[1] // (exclusion + 1) + 1
    peaks = np.empty(((rows[1] - rows[0]) * most_a_row, 2), dtype=np.int64)
    n = native.window_peaks(pointer(sums), *rows, sums.shape[1], *limits, margin, exclusion, pointer(peaks))
    if n < 0:
        raise MemoryError("no memory for the working space of one row")
    return peaks[:n].copy()


def _peaks_by_numpy(
    sums: Sums, rows: tuple[int, int], limits: tuple[float, float], margin: int, exclusion: int
) -> NDArray[np.int64]:
    peaks: list[tuple[int, int]] = []
    for row in range(*rows):
        size = np.where((sums[row] >= limits[0]) | (sums[row] <= limits[1]), np.abs(sums[row]), -np.inf)
        size[:margin] = -np.inf
        size[max(0, len(size) - margin) :] = -np.inf
        while size[at := int(size.argmax())] > -np.inf:
            peaks.append((row, at))
            size[max(0, at - exclusion) : at + exclusion + 1] = -np.inf
    return np.array(peaks, dtype=np.int64).reshape(-1, 2)
