"""The header and the chromosomes of a bigWig file, checked: where they lie, pyBigWig goes astray and ends the process.

What the fields are: Kent et al., BigWig and BigBed (Bioinformatics, 2010), supplementary tables 5 and 8 to 11.
"""

from __future__ import annotations

import os
import struct
from typing import IO

# Of the file: its first bytes, how many zoom levels follow the header, and where three parts begin.
_MAGIC, _LEVELS, _PARTS = 0x888FFC26, struct.Struct("<6xH"), struct.Struct("<8x3Q")
_HEADER, _LEVEL = 64, 24
# Of the tree of chromosomes: first bytes, most items of a node, bytes of a name and of what it leads to, items.
_TREE, _TREE_MAGIC = struct.Struct("<4IQ8x"), 0x78CA8C91
# Of a node: whether it is a leaf, how many items it has; of an item: number and size of a chromosome, or a node.
_NODE, _LEAF, _CHILD = struct.Struct("<BxH"), struct.Struct("<2I"), struct.Struct("<Q")
# No name is longer, and no tree deeper.
_NAME, _DEPTH = 1024, 32


def is_bigwig(path: str | os.PathLike[str]) -> bool:
    """Return whether a file begins as a bigWig does, is as long as it says, and names its chromosomes in order."""
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
    """Return bytes of a file, which must be there."""
    file.seek(at)
    content = file.read(size)
    if len(content) < size:
        raise struct.error("the file ends before")
    return content
