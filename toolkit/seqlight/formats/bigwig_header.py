"""Check the header and the chromosomes of a bigWig file, for pyBigWig crashes the process where these are wrong.

The fields are those of Kent et al., BigWig and BigBed (Bioinformatics, 2010), supplementary tables 5 and 8 to 11.
"""

from __future__ import annotations

import os
import struct
from typing import IO

# The file: its magic number, the number of zoom levels that follow the header, and where three parts begin.
_MAGIC, _LEVELS, _PARTS = 0x888FFC26, struct.Struct("<6xH"), struct.Struct("<8x3Q")
_HEADER, _LEVEL = 64, 24
# The tree of chromosomes: magic number, most items of a node, bytes of a key and of a value, number of items.
_TREE, _TREE_MAGIC = struct.Struct("<4IQ8x"), 0x78CA8C91
# A node: whether it is a leaf, its number of items. An item: number and size of a chromosome, or where a node is.
_NODE, _LEAF, _CHILD = struct.Struct("<BxH"), struct.Struct("<2I"), struct.Struct("<Q")
# The longest name of a chromosome, and the deepest tree, that are accepted.
_NAME, _DEPTH = 1024, 32


def is_bigwig(path: str | os.PathLike[str]) -> bool:
    """Return whether a file begins like a bigWig, is as long as it says, and has a sound tree of chromosomes."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        header = file.read(_HEADER)
        if len(header) < _HEADER or int.from_bytes(header[:4], "little") != _MAGIC:
            return False
        first = _HEADER + _LEVELS.unpack_from(header)[0] * _LEVEL
        parts = _PARTS.unpack_from(header)
        if first > size or not all(first <= part < size for part in parts):
            return False
        try:
            return _has_chromosomes(file, parts[0])
        except (struct.error, OSError, OverflowError):
            return False


def _has_chromosomes(file: IO[bytes], at: int) -> bool:
    magic, most, name, value, items = _TREE.unpack(_read(file, at, _TREE.size))
    if magic != _TREE_MAGIC or not 0 < name <= _NAME or value != _LEAF.size:
        return False
    found: list[int] = []
    level = [at + _TREE.size]
    for _ in range(_DEPTH):
        children: list[int] = []
        for node in level:
            leaf, count = _NODE.unpack(_read(file, node, _NODE.size))
            kind = _LEAF if leaf else _CHILD
            content = _read(file, node + _NODE.size, count * (name + kind.size))
            values = [kind.unpack_from(content, i * (name + kind.size) + name) for i in range(count)]
            if leaf > 1 or count > most:
                return False
            (found if leaf else children).extend(one[0] for one in values)
            if len(found) + len(children) > items:
                return False
        if not children:
            break
        level = children
    return len(found) == items and sorted(found) == list(range(items))


def _read(file: IO[bytes], at: int, size: int) -> bytes:
    """Return `size` bytes of a file; struct.error if there are fewer."""
    file.seek(at)
    content = file.read(size)
    if len(content) < size:
        raise struct.error("the file ends before")
    return content
