"""Write a bigWig file in one pass over the genome, in memory that does not depend on the length of it.

pyBigWig needs 12 bytes a value for a chromosome, and the summaries of the whole genome, when a file is closed: 3 GB for
human chromosome 1. The fields are those of Kent et al., BigWig and BigBed (Bioinformatics, 2010).
"""

from __future__ import annotations

import contextlib
import os
import struct
import tempfile
from array import array
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from seqlight.files.atomic import atomic_write
from seqlight.formats.bigwig_pieces import (
    PIECE,
    SUMMARIES,
    SUMMARY,
    VALUES,
    ZOOMS,
    Moments,
    Piece,
    Section,
    compress_summaries,
    encode_piece,
)
from seqlight.formats.bigwig_trees import Blocks, block_tree, name_tree

_MAGIC, _VERSION = 0x888FFC26, 4
# Magic number, version, number of zoom levels; where the chromosomes, the values and their tree are; where the total
# is; the size of the largest block.
_HEADER = struct.Struct("<I2H3Q4x8xQI8x")
# Of a zoom level: positions of a bin; where the summaries and their tree are.
_ZOOM = struct.Struct("<I4x2Q")
_TOTAL = struct.Struct("<Q4d")
_BLOCK_BYTES = 24 + 4 * VALUES
# The threads that compress, and how many pieces are in memory for each; a piece takes about 40 MB meanwhile.
_THREADS, _AHEAD = 4, 2
# Summaries wait for the end of the values, in memory until they are so many bytes.
_IN_MEMORY = 2**22


@contextlib.contextmanager
def bigwig_file(path: Path, sizes: Mapping[str, int]) -> Iterator[BigWigFile]:
    """Yield a file to add values to, which gets its name when the block ends without an error.

    Parameters
    ----------
    path : pathlib.Path
        The final name; its folder must exist.
    sizes : mapping of str to int
        The length of each chromosome, in the order in which values are added.
    """
    with (
        atomic_write(path) as partial,
        partial.open("wb") as stream,
        ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool,
        contextlib.ExitStack() as stack,
    ):
        file = BigWigFile(stream, sizes, pool, stack)
        yield file
        file.finish()


class BigWigFile:
    """A bigWig file that is being written.

    Parameters
    ----------
    stream : file
        Written from its beginning.
    sizes : mapping of str to int
        The length of each chromosome.
    pool : ThreadPoolExecutor
        Compresses.
    stack : ExitStack
        Closes the files in which summaries wait.
    """

    def __init__(
        self, stream: IO[bytes], sizes: Mapping[str, int], pool: ThreadPoolExecutor, stack: contextlib.ExitStack
    ) -> None:
        self._stream, self._lengths, self._pool = stream, list(sizes.values()), pool
        self._numbers = {name: i for i, name in enumerate(sizes)}
        longest = max(sizes.values(), default=0)
        # Summaries of more than a chromosome would tell nothing.
        self._zooms = [_Zoom(width, stack, stream) for width in ZOOMS if width < longest]
        self._at, self._runs = (-1, 0), list[tuple[int, NDArray[np.float32]]]()
        self._ahead = deque[Future[Piece]]()
        self._blocks, self._total = _BlockList(), Moments(0, np.inf, -np.inf, 0.0, 0.0)
        names_at = _HEADER.size + len(self._zooms) * _ZOOM.size + _TOTAL.size
        names = name_tree(sizes, names_at)
        self._values_at = names_at + len(names)
        # What is not known yet is written in the end.
        stream.write(bytes(names_at) + names + bytes(8))

    def add(self, chrom: str, first: int, values: NDArray[np.floating[Any]]) -> None:
        """Add the values of consecutive positions, which lie behind all that were added before.

        Parameters
        ----------
        chrom : str
        first : int
            The position of the first value.
        values : numpy.ndarray, shape (positions,)
            Finite; rounded to float32.
        """
        number, rounded = self._numbers[chrom], np.asarray(values, dtype=np.float32)
        while len(rounded):
            if self._at != (number, first // PIECE):
                self._end_piece()
                self._at = number, first // PIECE
            n = PIECE - first % PIECE
            self._runs.append((first, rounded[:n]))
            first, rounded = first + n, rounded[n:]

    def finish(self) -> None:
        """Write what is still to be written: summaries, trees and header."""
        self._end_piece()
        while self._ahead:
            self._write(self._ahead.popleft().result())
        stream = self._stream
        tree_at = stream.tell()
        stream.write(block_tree(self._blocks.joined(), self._values_at + 8, tree_at, VALUES))
        zooms = b"".join(zoom.write(stream) for zoom in self._zooms)
        stream.write(struct.pack("<I", _MAGIC))
        empty = not self._total.covered
        total = _TOTAL.pack(*(Moments(0, 0.0, 0.0, 0.0, 0.0) if empty else self._total))
        total_at = _HEADER.size + len(zooms)
        stream.seek(self._values_at)
        stream.write(struct.pack("<Q", len(self._blocks)))
        stream.seek(0)
        stream.write(
            _HEADER.pack(
                _MAGIC,
                _VERSION,
                len(self._zooms),
                total_at + _TOTAL.size,
                self._values_at,
                tree_at,
                total_at,
                max(_BLOCK_BYTES, SUMMARIES * SUMMARY.itemsize),
            )
            + zooms
            + total
        )

    def _end_piece(self) -> None:
        """Let a thread encode the piece that is complete, and write those that are encoded."""
        if not self._runs:
            return
        number = self._at[0]
        self._ahead.append(self._pool.submit(encode_piece, number, self._lengths[number], self._runs))
        self._runs = []
        while len(self._ahead) > _THREADS * _AHEAD:
            self._write(self._ahead.popleft().result())

    def _write(self, piece: Piece) -> None:
        for section in piece.sections:
            self._stream.write(section.content)
        self._blocks.add(piece.chrom, piece.sections)
        mine, other = self._total, piece.total
        self._total = Moments(
            mine.covered + other.covered,
            min(mine.least, other.least),
            max(mine.largest, other.largest),
            mine.sum + other.sum,
            mine.squares + other.squares,
        )
        for zoom, records in zip(self._zooms, piece.summaries, strict=False):
            zoom.add(records)


class _BlockList:
    """Where the blocks of a part of the file are, 20 bytes for each."""

    def __init__(self) -> None:
        self._fields = array("I"), array("I"), array("I"), array("q")

    def add(self, chrom: int, sections: list[Section]) -> None:
        chroms, starts, ends, sizes = self._fields
        chroms.extend([chrom] * len(sections))
        starts.extend([one.start for one in sections])
        ends.extend([one.end for one in sections])
        sizes.extend([len(one.content) for one in sections])

    def __len__(self) -> int:
        return len(self._fields[0])

    def joined(self) -> Blocks:
        chrom, start, end, size = self._fields
        chroms, starts, ends = (np.array(one, dtype=np.uint32) for one in (chrom, start, end))
        return Blocks(chroms, starts, ends, np.array(size, dtype=np.int64))


class _Zoom:
    """The summaries of a zoom level, which wait in a file without a name until the values are written."""

    def __init__(self, width: int, stack: contextlib.ExitStack, stream: IO[bytes]) -> None:
        self._width, self._blocks = width, _BlockList()
        waiting: Any = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=os.path.dirname(stream.name))  # noqa: SIM115
        self._file = stack.enter_context(waiting)
        self._waiting, self._summaries = np.empty(0, SUMMARY), 0

    def add(self, records: NDArray[Any]) -> None:
        """Add summaries, and write those that fill a block, or are followed by another chromosome."""
        self._summaries += len(records)
        if len(self._waiting) and self._waiting["chrom"][0] != records["chrom"][0]:
            self._write(self._waiting)
            self._waiting = self._waiting[:0]
        joined = np.concatenate([self._waiting, records])
        whole = len(joined) // SUMMARIES * SUMMARIES
        for i in range(0, whole, SUMMARIES):
            self._write(joined[i : i + SUMMARIES])
        self._waiting = joined[whole:]

    def _write(self, records: NDArray[Any]) -> None:
        section = compress_summaries(records)
        self._file.write(section.content)
        self._blocks.add(int(records["chrom"][0]), [section])

    def write(self, stream: IO[bytes]) -> bytes:
        """Copy the level to the end of `stream`, and return its entry in the header."""
        if len(self._waiting):
            self._write(self._waiting)
        at = stream.tell()
        stream.write(struct.pack("<I", self._summaries))
        self._file.seek(0)
        while content := self._file.read(2**20):
            stream.write(content)
        tree_at = stream.tell()
        stream.write(block_tree(self._blocks.joined(), at + 4, tree_at, SUMMARIES))
        return _ZOOM.pack(self._width, at, tree_at)
