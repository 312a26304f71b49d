"""Windows of a FASTA file that bgzip compressed: the blocks that hold them are unpacked, some at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seqlight.files.bgzip import BgzipText
from seqlight.formats.fasta_windows import cut_windows

# Blocks that are unpacked at a time, of 64 KiB each, unless a single window has more.
MOST_BLOCKS = 512


def cut_packed_windows(text: BgzipText, places: NDArray[np.int64], tables: NDArray[np.uint8], out: Tensor) -> int:
    """Write windows of the text of a FASTA file into `out`, as :func:`seqlight.formats.fasta_windows.cut_windows` does.

    Parameters
    ----------
    text : BgzipText
    places, tables, out
        As there.

    Returns
    -------
    int
        As there; the first in the order of the file.
    """
    length = out.shape[2]
    offset, size, bases, width, start, _ = places.T
    low, high = np.maximum(start, 0), np.minimum(start + length, size)
    on = high > low
    first = offset + low // bases * width + low % bases
    last = offset + (high - 1) // bases * width + (high - 1) % bases + 1
    out[~on] = 0
    order = np.flatnonzero(on)
    order = order[np.argsort(first[order], kind="stable")]
    counts = text.blocks(last[order] - 1) - text.blocks(first[order]) + 1
    groups = np.split(order, np.flatnonzero(np.diff(np.cumsum(counts) // MOST_BLOCKS)) + 1) if len(order) else []
    for rows in groups:
        piece, shift = text.gather(first[rows], last[rows])
        mine = places[rows]
        mine[:, 0] -= shift
        found = out.new_empty((len(rows), *out.shape[1:]))
        strange = cut_windows(piece, mine, tables, found)
        if strange >= 0:
            row, position = divmod(strange, length)
            return int(rows[row]) * length + position
        out[rows] = found
    return -1
