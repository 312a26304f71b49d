"""Values of a bigWig file, read by a memory map, an index in arrays, and zlib.

The format is that of Kent et al. (Bioinformatics 26, 2010, supplement): a tree of chromosomes, an R-tree of sections,
and compressed sections of steps or spans.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.reading.loops import fill_section

_MAGIC, _CHROMOSOMES, _INDEX = 0x888FFC26, 0x78CA8C91, 0x2468ACE0
_HEADER = struct.Struct("<IHHQQQHHQQIQ")
_CHROMOSOME_TREE, _INDEX_TREE, _NODE = struct.Struct("<IIIIQQ"), struct.Struct("<IIQIIIIQII"), struct.Struct("<BBH")
_BRANCH = np.dtype([("bounds", "<u4", 4), ("offset", "<u8")])
_LEAF = np.dtype([("chrom", "<u4"), ("start", "<u4"), ("last", "<u4"), ("end", "<u4"), ("at", "<u8"), ("size", "<u8")])
# Bytes of uncompressed sections that are kept, a file and process: neighbours share sections, and a read may come back.
_KEPT = 2**25


class _Sections(NamedTuple):
    """The sections of one chromosome, ascending: arrays of one length."""

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    at: NDArray[np.int64]
    size: NDArray[np.int64]


class BigWig:
    """One bigWig file; it can be pickled, and used in forked and spawned processes.

    Parameters
    ----------
    path : str or path
        Of a file, not a URL.

    Raises
    ------
    InputError
        If it is no bigWig file, or one with the bytes in another order.

    Attributes
    ----------
    sizes : dict of str to int
        Of the chromosomes that the file names.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> from seqlight import write_bigwig
    >>> loci = pd.DataFrame({"chrom": ["chr1"], "start": [10], "end": [13]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_bigwig(Path(folder) / "a.bw", np.array([[1.0, 2.0, 3.0]]), loci, {"chr1": 100})
    ...     BigWig(Path(folder) / "a.bw").read("chr1", np.array([9, 11]), 3).tolist()
    [[nan, 1.0, 2.0], [2.0, 3.0, nan]]
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._bytes: memoryview | None = None
        self._kept: dict[int, bytes] = {}
        self._kept_size = 0
        try:
            fields = _HEADER.unpack_from(self._map(), 0)
            if fields[0] != _MAGIC:
                raise InputError(f"{path} is no bigWig file, or one whose bytes are in another order.")
            chromosomes = dict(self._chromosomes(fields[3]))
            self._compressed = fields[10] > 0
            found = list(self._leaves(fields[5]))
        except (struct.error, ValueError, UnicodeDecodeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path} is no bigWig file, or only a part of one.") from None
        self.sizes = {name: size for name, (_, size) in chromosomes.items()}
        leaves = np.concatenate(found) if found else np.empty(0, _LEAF)
        leaves = leaves[np.lexsort((leaves["start"], leaves["chrom"]))]
        self._sections = {name: _of_chromosome(leaves, number) for name, (number, _) in chromosomes.items()}

    def read(self, chrom: str, start: NDArray[np.int64], length: int) -> NDArray[np.float32]:
        """Return the values in spans of one length on one chromosome.

        Parameters
        ----------
        chrom : str
            Its name; one that the file does not have gives NaN.
        start : numpy.ndarray, int64, shape (spans,)
            Of each; spans may be off either end.
        length : int
            Positions of each.

        Returns
        -------
        numpy.ndarray, float32, shape (spans, length)
            NaN where there is no value.
        """
        values = np.full((len(start), length), np.nan, np.float32)
        sections = self._sections.get(chrom)
        if sections is None:
            return values
        first = np.searchsorted(sections.end, start, side="right").tolist()
        last = np.searchsorted(sections.start, start + length, side="left").tolist()
        at, size = sections.at, sections.size
        for row in np.argsort(start, kind="stable").tolist():
            for section in range(first[row], last[row]):
                fill_section(self._section(int(at[section]), int(size[section])), int(start[row]), values[row])
        return values

    def _section(self, at: int, size: int) -> bytes:
        """Return a section, uncompressed."""
        found = self._kept.get(at)
        if found is None:
            raw = self._map()[at : at + size]
            try:
                found = zlib.decompress(raw) if self._compressed else raw.tobytes()
            except zlib.error:
                raise InputError(f"{self.path} is damaged: a section at byte {at} cannot be uncompressed.") from None
            self._kept[at] = found
            self._kept_size += len(found)
            while self._kept_size > _KEPT and len(self._kept) > 1:
                # The one that came first.
                self._kept_size -= len(self._kept.pop(next(iter(self._kept))))
        return found

    def _chromosomes(self, offset: int) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yield names, with the number and the size of each."""
        magic, _, key, _, _, _ = _CHROMOSOME_TREE.unpack_from(self._map(), offset)
        if magic != _CHROMOSOMES:
            raise ValueError("no tree of chromosomes")
        leaf = np.dtype([("name", f"S{key}"), ("number", "<u4"), ("size", "<u4")])
        branch = np.dtype([("name", f"S{key}"), ("offset", "<u8")])
        for items in self._walk(offset + _CHROMOSOME_TREE.size, leaf, branch):
            for name, number, size in items.tolist():
                yield name.decode(), (number, size)

    def _leaves(self, offset: int) -> Iterator[NDArray[Any]]:
        """Yield where sections are, an array a node."""
        if _INDEX_TREE.unpack_from(self._map(), offset)[0] != _INDEX:
            raise ValueError("no tree of sections")
        yield from self._walk(offset + _INDEX_TREE.size, _LEAF, _BRANCH)

    def _walk(self, offset: int, leaf: np.dtype[Any], branch: np.dtype[Any]) -> Iterator[NDArray[Any]]:
        """Yield the items of all leaves of a tree."""
        waiting = [offset]
        while waiting:
            at = waiting.pop()
            is_leaf, _, n = _NODE.unpack_from(self._map(), at)
            items = np.frombuffer(self._map(), leaf if is_leaf else branch, n, at + _NODE.size)
            if is_leaf:
                yield items
            else:
                waiting.extend(reversed(items["offset"].tolist()))

    def _map(self) -> memoryview:
        if self._bytes is None:
            self._bytes = memoryview(np.memmap(self.path, np.uint8, mode="r"))  # type: ignore[arg-type]
        return self._bytes

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_bytes": None, "_kept": {}, "_kept_size": 0}


def _of_chromosome(leaves: NDArray[Any], number: int) -> _Sections:
    here = leaves[np.searchsorted(leaves["chrom"], number) : np.searchsorted(leaves["chrom"], number, side="right")]
    start, end, at, size = (here[name].astype(np.int64) for name in ("start", "end", "at", "size"))
    # Sections do not overlap; should they, none is passed over.
    return _Sections(start, np.maximum.accumulate(end), at, size)
