"""Merge windows that may overlap into the values of a chromosome, in order, a few windows at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from seqlight.errors import InputError

Overlaps = Literal["mean", "nearest", "error"]

Run = tuple[int, NDArray[np.floating[Any]]]


class PlacedWindows(NamedTuple):
    """Some windows of one chromosome, by ascending start.

    Attributes
    ----------
    start, low, high, row : numpy.ndarray, int64, shape (windows,)
        Where each starts, from and up to which position its values count, and its place in the user's order.
    values : numpy.ndarray, float32 or float64, shape (windows, positions)
        From the start of each window on, whatever its strand.
    """

    start: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    row: NDArray[np.int64]
    values: NDArray[Any]


class _Values(NamedTuple):
    """Values at positions, each the sum over `windows`; how far each was from the middle of its window, and its row."""

    position: NDArray[Any]
    value: NDArray[Any]
    windows: NDArray[Any]
    distance: NDArray[Any]
    row: NDArray[Any]


_NONE = _Values(*(np.zeros(0, kind) for kind in "qdqqq"))


def require_overlaps(overlaps: Any) -> Overlaps:
    """Return the rule for windows that overlap; InputError if there is no such rule."""
    if overlaps not in get_args(Overlaps):
        raise InputError(f"overlaps is {overlaps!r}: expected mean, nearest or error.")
    found: Overlaps = overlaps
    return found


def merge_windows(blocks: Iterable[PlacedWindows], overlaps: Overlaps, chrom: str) -> Iterator[Run]:
    """Yield the values of a chromosome in order, as runs without a gap: the first position, and the values.

    How the windows are divided into blocks makes no difference but for rounding in float64.

    Parameters
    ----------
    blocks : iterable of PlacedWindows
        All windows of a chromosome, by ascending start.
    overlaps : {"mean", "nearest", "error"}
        What counts where windows overlap: the mean, the value of the window whose middle is nearest (the first
        of equally near ones), or an error.
    chrom : str
        For the error.

    Raises
    ------
    InputError
        If windows overlap, and `overlaps` is "error".

    Examples
    --------
    >>> import numpy as np
    >>> start = np.array([0, 2])
    >>> windows = PlacedWindows(start, start * 0, start * 0 + 5, start, np.array([[1.0, 1, 1], [3, 3, 3]]))
    >>> [(first, run.tolist()) for first, run in merge_windows([windows], "mean", "chr1")]
    [(0, [1.0, 1.0, 2.0, 3.0, 3.0])]
    """
    waiting = _NONE
    ahead: Iterator[PlacedWindows | None] = itertools.chain((one for one in blocks if len(one.start)), [None])
    block = next(ahead)
    while block is not None:
        after = next(ahead)
        length = block.values.shape[1]
        # No later window covers a position before this one.
        done = np.iinfo(np.int64).max if after is None else int(after.start[0])
        apart = (np.diff(block.start) >= length).all() and block.start[-1] + length <= done
        if apart and not len(waiting.position):
            yield from _runs_of_windows(block)
        else:
            joined = _Values(*map(np.concatenate, zip(waiting, _flatten(block), strict=True)))
            merged = _merge(joined, overlaps, chrom)
            ready = int(np.searchsorted(merged.position, done))
            waiting = _Values(*(one[ready:] for one in merged))
            yield from _runs(merged.position[:ready], merged.value[:ready] / merged.windows[:ready])
        block = after


def _flatten(block: PlacedWindows) -> _Values:
    """Return the values of windows, those that count."""
    n, length = block.values.shape
    position = block.start[:, None] + np.arange(length)
    on = (position >= block.low[:, None]) & (position < block.high[:, None])
    # Doubled, so that the distance is a whole number for windows of even length too.
    distance = np.broadcast_to(np.abs(2 * np.arange(length) - (length - 1)), (n, length))
    row = np.broadcast_to(block.row[:, None], (n, length))
    value = block.values[on].astype(np.float64)
    return _Values(position[on], value, np.ones(len(value), np.int64), distance[on], row[on])


def _merge(at: _Values, overlaps: Overlaps, chrom: str) -> _Values:
    """Return each position once, ascending."""
    order = np.lexsort((at.row, at.distance, at.position))
    at = _Values(*(one[order] for one in at))
    first = np.flatnonzero(np.diff(at.position, prepend=np.iinfo(np.int64).min))
    if len(first) == len(at.position):
        return at
    if overlaps == "error":
        twice = at.position[1:][np.diff(at.position) == 0][0]
        raise InputError(f"windows overlap at {chrom}:{twice}: choose overlaps='mean' or 'nearest', or other windows.")
    found = _Values(*(one[first] for one in at))
    if overlaps == "nearest":
        return found
    return found._replace(value=np.add.reduceat(at.value, first), windows=np.add.reduceat(at.windows, first))


def _runs(position: NDArray[np.int64], value: NDArray[np.float64]) -> Iterator[Run]:
    """Yield the first position and the values of each stretch without a gap."""
    borders = np.flatnonzero(np.diff(position) != 1) + 1
    for places, run in zip(np.split(position, borders), np.split(value, borders), strict=True):
        if len(places):
            yield int(places[0]), run


def _runs_of_windows(block: PlacedWindows) -> Iterator[Run]:
    """Yield the runs of windows that do not overlap: those that follow each other whole are one run."""
    length = block.values.shape[1]
    low, high = np.maximum(block.start, block.low), np.minimum(block.start + length, block.high)
    whole = (low == block.start) & (high == block.start + length)
    followed = (low[1:] == high[:-1]) & whole[1:] & whole[:-1]
    borders = [0, *(np.flatnonzero(~followed) + 1).tolist(), len(low)]
    for a, b in itertools.pairwise(borders):
        values = block.values[a:b].reshape(-1)
        first = int(low[a])
        run = values[first - int(block.start[a]) : max(0, int(high[b - 1]) - int(block.start[a]))]
        if len(run):
            yield first, run
