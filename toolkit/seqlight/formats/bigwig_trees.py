"""The two trees of a bigWig file: one finds the number of a chromosome, one the blocks that overlap a region.

The fields are those of Kent et al., BigWig and BigBed (Bioinformatics, 2010), supplementary tables 8-11 and 14-17.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Entries of a node.
FAN_OUT = 256
_NODE = struct.Struct("<BxH")
# Magic number, entries of a node, bytes of a key and of a value, number of chromosomes.
_NAMES_HEADER, _NAMES_MAGIC = struct.Struct("<4IQ8x"), 0x78CA8C91
# Magic number, entries of a node, number of blocks, bounds of all (chromosome, start, chromosome, end), where the
# blocks end, items of a block.
_BLOCKS_HEADER, _BLOCKS_MAGIC = struct.Struct("<2IQ4IQI4x"), 0x2468ACE0

_BOUNDS = [("first_chrom", "<u4"), ("start", "<u4"), ("last_chrom", "<u4"), ("end", "<u4")]
_LEAF = np.dtype([*_BOUNDS, ("offset", "<u8"), ("size", "<u8")])
_BRANCH = np.dtype([*_BOUNDS, ("offset", "<u8")])


class Blocks(NamedTuple):
    """Compressed blocks of one chromosome each, in the order of chromosomes and positions.

    Attributes
    ----------
    chrom, start, end : numpy.ndarray, uint32, shape (blocks,)
        The number of the chromosome, and the positions that a block spans.
    size : numpy.ndarray, int64, shape (blocks,)
        Its length in bytes; each begins where the one before ends.
    """

    chrom: NDArray[np.uint32]
    start: NDArray[np.uint32]
    end: NDArray[np.uint32]
    size: NDArray[np.int64]


def name_tree(sizes: Mapping[str, int], offset: int) -> bytes:
    """Return the tree of chromosomes, as it is written at `offset`; their numbers follow the order of `sizes`."""
    names = sorted((name.encode(), number, size) for number, (name, size) in enumerate(sizes.items()))
    key = max(len(name) for name, _, _ in names) if names else 1
    entry = np.dtype([("key", f"S{key}"), ("number", "<u4"), ("size", "<u4")])
    leaves: NDArray[Any] = np.array(names, dtype=entry)
    branch = np.dtype([("key", f"S{key}"), ("offset", "<u8")])
    header = _NAMES_HEADER.pack(_NAMES_MAGIC, min(FAN_OUT, max(len(names), 1)), key, 8, len(names))
    levels = [leaves]
    while len(levels[0]) > FAN_OUT:
        above = np.zeros(-(-len(levels[0]) // FAN_OUT), branch)
        above["key"] = levels[0]["key"][::FAN_OUT]
        levels.insert(0, above)
    return header + _nodes(levels, offset + len(header))


def block_tree(blocks: Blocks, first: int, offset: int, items: int) -> bytes:
    """Return the tree of blocks, as it is written at `offset`.

    Parameters
    ----------
    blocks : Blocks
    first : int
        Where in the file the first of them is.
    offset : int
        Where the tree will be.
    items : int
        The most items in a block.
    """
    leaves = np.zeros(len(blocks.size), _LEAF)
    leaves["first_chrom"] = leaves["last_chrom"] = blocks.chrom
    leaves["start"], leaves["end"], leaves["size"] = blocks.start, blocks.end, blocks.size
    ends = first + np.cumsum(blocks.size)
    leaves["offset"] = ends - blocks.size
    levels: list[NDArray[Any]] = [leaves]
    while len(levels[0]) > FAN_OUT:
        levels.insert(0, _bounds(levels[0]))
    bounds = _bounds(levels[0])[0].item()[:4] if len(leaves) else (0, 0, 0, 0)
    header = _BLOCKS_HEADER.pack(
        _BLOCKS_MAGIC, FAN_OUT, len(leaves), *bounds, int(ends[-1]) if len(leaves) else first, items
    )
    return header + _nodes(levels, offset + len(header))


def _bounds(below: NDArray[Any]) -> NDArray[Any]:
    """Return an entry for each node of the level below: what its entries span."""
    first = np.arange(0, len(below), FAN_OUT)
    last = np.minimum(first + FAN_OUT, len(below)) - 1
    above = np.zeros(len(first), _BRANCH)
    # Blocks are in order, so the first one begins first; of those on the last chromosome the last one ends last.
    above["first_chrom"], above["start"] = below["first_chrom"][first], below["start"][first]
    above["last_chrom"], above["end"] = below["last_chrom"][last], below["end"][last]
    return above


def _nodes(levels: list[NDArray[Any]], offset: int) -> bytes:
    """Return the nodes of a tree, from the root to the leaves, with the places of those below in each."""
    parts: list[bytes] = []
    for depth, level in enumerate(levels):
        starts = range(0, max(len(level), 1), FAN_OUT)
        leaf = depth == len(levels) - 1
        offset += len(starts) * _NODE.size + level.nbytes
        if not leaf:
            below = levels[depth + 1]
            node = _NODE.size + FAN_OUT * below.dtype.itemsize
            level["offset"] = offset + np.arange(len(level)) * node
        for start in starts:
            entries = level[start : start + FAN_OUT]
            parts += [_NODE.pack(leaf, len(entries)), entries.tobytes()]
    return b"".join(parts)
