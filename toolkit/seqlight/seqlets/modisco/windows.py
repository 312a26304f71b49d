"""Sums of attributions over windows, and the largest of them that keep apart."""

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
    """Sum each window of neighbours.

    The sums are differences of a running sum that is rounded to the type of the values, as
    TF-MoDISco takes them: how equal windows are told apart depends on it.

    Parameters
    ----------
    values : numpy.ndarray, shape=(n, length)
        Finite values, float32 or float64, C-contiguous.
    window : int
        How many neighbours, ``1 <= window <= length``.

    Returns
    -------
    numpy.ndarray, shape=(n, length + 1 - window)
        Sums of ``values[:, i : i + window]``, float64; not finite where a running sum leaves the
        range of its type.

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


def window_peaks(sums: Sums, high: float, low: float, margin: int, apart: int) -> NDArray[np.int64]:
    """Call the largest windows of each row, leaving out what lies too near to a larger one.

    Parameters
    ----------
    sums : numpy.ndarray, shape=(n, m)
        Float64, C-contiguous.
    high, low : float
        Only windows of at least `high` or at most `low` are called.
    margin : int
        How many windows at either end of a row are never called.
    apart : int
        A called window rules out those up to this many places away.

    Returns
    -------
    numpy.ndarray, shape=(n_called, 2)
        Row and place of each: by row, then from the largest size down, then from the left. The same
        whether or not the loops are compiled, whatever the number of threads.

    Examples
    --------
    >>> import numpy as np
    >>> window_peaks(np.array([[0.0, 3.0, 2.0, 0.0, -4.0]]), high=2.0, low=-2.0, margin=0, apart=1).tolist()
    [[0, 4], [0, 1]]
    """
    native = library()
    called = _peaks_by_numpy if native is None else partial(_peaks_by_loop, native)
    parts: dict[int, NDArray[np.int64]] = {}

    def work(first: int, last: int) -> None:
        parts[first] = called(sums, (first, last), (high, low), margin, apart)

    over_rows(work, len(sums), sums.size)
    return np.concatenate([parts[first] for first in sorted(parts)] or [np.empty((0, 2), dtype=np.int64)])


def _peaks_by_loop(
    native: ctypes.CDLL, sums: Sums, rows: tuple[int, int], limits: tuple[float, float], margin: int, apart: int
) -> NDArray[np.int64]:
    most_a_row = sums.shape[1] // (apart + 1) + 1
    where = np.empty(((rows[1] - rows[0]) * most_a_row, 2), dtype=np.int64)
    n = native.window_peaks(pointer(sums), *rows, sums.shape[1], *limits, margin, apart, pointer(where))
    if n < 0:
        raise MemoryError("no memory for the working space of one row")
    return where[:n].copy()


def _peaks_by_numpy(
    sums: Sums, rows: tuple[int, int], limits: tuple[float, float], margin: int, apart: int
) -> NDArray[np.int64]:
    where: list[tuple[int, int]] = []
    for row in range(*rows):
        size = np.where((sums[row] >= limits[0]) | (sums[row] <= limits[1]), np.abs(sums[row]), -np.inf)
        size[:margin] = -np.inf
        size[max(0, len(size) - margin) :] = -np.inf
        while size[at := int(size.argmax())] > -np.inf:
            where.append((row, at))
            size[max(0, at - apart) : at + apart + 1] = -np.inf
    return np.array(where, dtype=np.int64).reshape(-1, 2)
