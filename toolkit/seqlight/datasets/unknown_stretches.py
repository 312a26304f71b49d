"""Find the stretches of a genome in which no letter is known, such as the gaps of an assembly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seqlight.datasets.windows import merge_stretches
from seqlight.formats.genome import Genome

# Positions that are looked at, at a time, and those after which the file's pages are given back.
CHUNK, RELEASED = 2**22, 2**25


def unknown_stretches(genome: Genome, record: int, least: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    r"""Return where unknown stretches of a chromosome start and end, ascending.

    Only every letter at a multiple of `least` is looked at, and then those around the unknown ones, so a genome with
    few gaps is searched in a second.

    Parameters
    ----------
    genome : Genome
    record : int
        The number of the chromosome in the file.
    least : int
        The shortest stretch to find. At the ends of the chromosome shorter ones are found too: what lies off it is
        unknown, so they have no end there, but for the one of the chromosome.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "toy.fa").write_text(">chr1\nNACGNNNNTNNAN\n")
    ...     start, end = unknown_stretches(Genome(Path(folder) / "toy.fa"), 0, 3)
    ...     list(zip(start.tolist(), end.tolist()))
    [(0, 1), (4, 8), (12, 13)]
    """
    size = genome.length_of(record)
    if not size:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    blocks = -(-size // least)
    at_start = np.concatenate(
        [
            _unknown(genome, record, np.arange(first, min(first + RELEASED // least + 1, blocks)) * least, 1)[:, 0]
            for first in range(0, blocks, RELEASED // least + 1)
        ]
    )
    # A stretch of `least` letters that reaches into a block covers its first letter, or that of the next one.
    doubtful = at_start | np.append(at_start[1:], True)
    doubtful[0] = True
    numbers, parts = np.flatnonzero(doubtful), list[tuple[NDArray[np.int64], NDArray[np.int64]]]()
    step = max(1, CHUNK // least)
    for i in range(0, len(numbers), step):
        mine = numbers[i : i + step] * least
        parts.append(_stretches(mine, _unknown(genome, record, mine, least)))
    start, end = (np.concatenate(one) for one in zip(*parts, strict=True))
    start, end = merge_stretches(start, np.minimum(end, size))
    long = (end - start >= least) | (start == 0) | (end == size)
    return start[long], end[long]


def _unknown(genome: Genome, record: int, start: NDArray[np.int64], length: int) -> NDArray[np.bool_]:
    """Return which letters are unknown, shape (starts, length); those off the chromosome are."""
    rows, forward = np.full(len(start), record, np.int64), np.zeros(len(start), bool)
    X = genome.cut_rows(rows, start, forward, length)
    genome.release()
    return (~X.any(dim=1)).numpy()


def _stretches(start: NDArray[np.int64], unknown: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where unknown letters of blocks start and end, block by block."""
    n, length = unknown.shape
    padded = np.zeros((n, length + 2), np.int8)
    padded[:, 1:-1] = unknown
    change = np.diff(padded, axis=1)
    (row, first), (_, last) = np.nonzero(change == 1), np.nonzero(change == -1)
    return start[row] + first, start[row] + last
