"""The content of a bigWig file for one piece of a chromosome: its compressed values, and summaries at every zoom level.

The fields are those of Kent et al., BigWig and BigBed (Bioinformatics, 2010), supplementary tables 13 and 19.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Positions of a piece. Bins of all zoom levels begin at multiples of their size, and the largest is a piece, so that a
# piece depends on no other one.
PIECE = 2**20
# Positions of a bin at each zoom level.
ZOOMS = tuple(2**k for k in range(6, 21, 2))
# Values of a block, and summaries of one.
VALUES, SUMMARIES = 4096, 512
# Chromosome, start, end, step, span, type (3: a number for each position), number of values.
_BLOCK = struct.Struct("<5IBxH")
_FIXED_STEP = 3
# Noise, as attributions are, is compressed by a tenth whatever the level; this one is quick for zeros too.
_LEVEL = 1

SUMMARY = np.dtype(
    [("chrom", "<u4"), ("start", "<u4"), ("end", "<u4"), ("covered", "<u4")]
    + [(name, "<f4") for name in ("least", "largest", "sum", "squares")]
)


class Section(NamedTuple):
    """A compressed block, and the positions that it spans."""

    start: int
    end: int
    content: bytes


class Moments(NamedTuple):
    """How many positions have a value, the least and largest value, their sum and sum of squares: for bins, or all."""

    covered: Any
    least: Any
    largest: Any
    sum: Any
    squares: Any


class Piece(NamedTuple):
    """What a file holds of a piece.

    Attributes
    ----------
    chrom : int
        The number of the chromosome.
    sections : list of Section
        The values.
    summaries : list of numpy.ndarray of SUMMARY
        The bins of each zoom level that have a value.
    total : Moments
        Of all values of the piece.
    """

    chrom: int
    sections: list[Section]
    summaries: list[NDArray[Any]]
    total: Moments


def encode_piece(chrom: int, size: int, runs: Sequence[tuple[int, NDArray[np.float32]]]) -> Piece:
    """Return the content of a file for a piece.

    Parameters
    ----------
    chrom : int
        The number of the chromosome.
    size : int
        The length of the chromosome.
    runs : sequence of (int, numpy.ndarray of float32)
        The first position, and values from there on: ascending, without overlap, and all in one piece.

    Examples
    --------
    >>> import numpy as np
    >>> piece = encode_piece(0, 1000, [(60, np.ones(10, np.float32)), (100, np.full(3, 2, np.float32))])
    >>> piece.summaries[0][["start", "end", "covered", "sum"]].tolist()
    [(0, 64, 4, 4.0), (64, 128, 9, 12.0)]
    """
    runs = _join_adjacent(runs)
    sections = [
        _section(chrom, first + i, values[i : i + VALUES])
        for first, values in runs
        for i in range(0, len(values), VALUES)
    ]
    bins, moments = _first_bins(runs)
    summaries = [_summary(chrom, size, bins, moments, ZOOMS[0])]
    for finer, coarser in pairwise(ZOOMS):
        bins, moments = _merge(bins // (coarser // finer), moments)
        summaries.append(_summary(chrom, size, bins, moments, coarser))
    # The largest bin is a piece.
    return Piece(chrom, sections, summaries, Moments(*(one[0].item() for one in moments)))


def compress_summaries(records: NDArray[Any]) -> Section:
    """Return summaries of one chromosome as a block."""
    return Section(int(records["start"][0]), int(records["end"][-1]), zlib.compress(records.tobytes(), _LEVEL))


def _join_adjacent(runs: Sequence[tuple[int, NDArray[np.float32]]]) -> list[tuple[int, NDArray[np.float32]]]:
    """Return the runs with those that follow each other without a gap as one, wherever they were cut."""
    firsts = np.array([first for first, _ in runs])
    ends = firsts + [len(values) for _, values in runs]
    borders = [0, *(np.flatnonzero(firsts[1:] != ends[:-1]) + 1).tolist(), len(runs)]
    return [
        (runs[a][0], runs[a][1] if b - a == 1 else np.concatenate([values for _, values in runs[a:b]]))
        for a, b in pairwise(borders)
    ]


def _section(chrom: int, first: int, values: NDArray[np.float32]) -> Section:
    end = first + len(values)
    header = _BLOCK.pack(chrom, first, end, 1, 1, _FIXED_STEP, len(values))
    return Section(first, end, zlib.compress(header + values.astype("<f4", copy=False).tobytes(), _LEVEL))


def _first_bins(runs: Sequence[tuple[int, NDArray[np.float32]]]) -> tuple[NDArray[np.int64], Moments]:
    """Return the number of each bin of the first zoom level that has values, and their moments."""
    numbers, parts = list[NDArray[np.int64]](), list[tuple[NDArray[Any], ...]]()
    for first, values in runs:
        begin, end = first // ZOOMS[0], -(-(first + len(values)) // ZOOMS[0])
        bins = np.arange(begin, end)
        borders = np.maximum(bins * ZOOMS[0] - first, 0)
        exact = values.astype(np.float64)
        numbers.append(bins)
        parts.append(
            (
                np.diff(np.append(borders, len(values))),
                np.minimum.reduceat(exact, borders),
                np.maximum.reduceat(exact, borders),
                np.add.reduceat(exact, borders),
                np.add.reduceat(exact * exact, borders),
            )
        )
    return _merge(np.concatenate(numbers), Moments(*(np.concatenate(one) for one in zip(*parts, strict=True))))


def _merge(bins: NDArray[np.int64], moments: Moments) -> tuple[NDArray[np.int64], Moments]:
    """Return each number of an ascending list once, with the moments of all that had it."""
    first = np.flatnonzero(np.diff(bins, prepend=-1))
    reductions = (np.add, np.minimum, np.maximum, np.add, np.add)
    return bins[first], Moments(*(f.reduceat(one, first) for f, one in zip(reductions, moments, strict=True)))


def _summary(chrom: int, size: int, bins: NDArray[np.int64], moments: Moments, width: int) -> NDArray[Any]:
    found = np.empty(len(bins), SUMMARY)
    found["chrom"], found["start"], found["end"] = chrom, bins * width, np.minimum((bins + 1) * width, size)
    with np.errstate(over="ignore"):  # a square may be beyond what the format can hold
        for name, one in moments._asdict().items():
            found[name] = one
    return found
