"""Text that bgzip has compressed, of which parts are unpacked where they are needed."""

from __future__ import annotations

import mmap
import struct
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlight.errors import InputError

# The empty last block of a file that bgzip wrote (the BGZF format, 4.1 in the specification of SAM).
LAST_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
# A block begins like a gzip file with an extra field, in which bgzip notes the size of the block.
_MAGIC = b"\x1f\x8b\x08\x04"
_HEADER, _FIELD, _TRAILER = struct.Struct("<4s6xH"), struct.Struct("<2sH"), struct.Struct("<II")
# Unpacked blocks that are kept, of 64 KiB at most.
KEPT = 256

Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]


def is_bgzip(start: bytes) -> bool:
    """Return whether a file that begins with these bytes, at least 18, was compressed by bgzip.

    Examples
    --------
    >>> import gzip
    >>> is_bgzip(LAST_BLOCK), is_bgzip(gzip.compress(b"ACGT"))
    (True, False)
    """
    return start.startswith(_MAGIC) and start[12:14] == b"BC"


class BgzipText:
    r"""The bytes of a file that bgzip compressed, read like an array; only the blocks that are read are unpacked.

    The blocks are found by their sizes, which each has in its header, so no further index is needed. It can be pickled,
    and used in forked and spawned processes.

    Parameters
    ----------
    path : path

    Raises
    ------
    InputError
        If a part of the file was not written by bgzip, or its end is missing. When it is read: if a block is damaged.

    Examples
    --------
    >>> import tempfile
    >>> block = "1f8b08040000000000ff0600424302002300b34be47274760fe102003096dade08000000"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "a.fa.gz"
    ...     _ = path.write_bytes(bytes.fromhex(block) + LAST_BLOCK)
    ...     text = BgzipText(path)
    ...     len(text), text[3:7].tobytes()
    (8, b'ACGT')
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: mmap.mmap | None = None
        self._kept: OrderedDict[int, Bytes] = OrderedDict()
        self._data, self._stops, self._ends = _find_blocks(path, self._mapped())

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, key: slice | int | Places) -> Any:
        """Return some bytes, as an array; those of a slice, which has no step, or at numbered places."""
        if isinstance(key, slice):
            first, last, _ = key.indices(len(self))
            if last <= first:
                return np.zeros(0, np.uint8)
            text, shift = self.gather(np.array([first]), np.array([last]))
            return text[first - shift[0] : last - shift[0]]
        places = np.asarray(key, np.int64)
        text, shift = self.gather(places.ravel(), places.ravel() + 1)
        return text[places.ravel() - shift].reshape(places.shape)[()]

    def gather(self, first: Places, last: Places) -> tuple[Bytes, Places]:
        """Return the text of the blocks that hold some pieces, and by how much it is shifted for each of these.

        Parameters
        ----------
        first, last : numpy.ndarray, int64, shape (pieces,)
            The bytes ``first <= i < last`` of each, at least one.

        Returns
        -------
        text : numpy.ndarray, uint8
        shift : numpy.ndarray, int64, shape (pieces,)
            Byte i of a piece is ``text[i - shift]``.
        """
        if not len(first):
            return np.zeros(0, np.uint8), np.zeros(0, np.int64)
        begin, end = self.blocks(first), self.blocks(last - 1)
        changes = np.zeros(len(self._ends) + 1, np.int64)
        np.add.at(changes, begin, 1)
        np.add.at(changes, end + 1, -1)
        numbers = np.flatnonzero(changes.cumsum())
        text = np.concatenate([self._block(k) for k in numbers.tolist()])
        at = np.concatenate([[0], np.cumsum(np.diff(self._ends)[numbers])])
        return text, self._ends[begin] - at[np.searchsorted(numbers, begin)]

    def blocks(self, places: Places) -> Places:
        """Return the number of the block that each byte is in."""
        return np.searchsorted(self._ends, places, side="right") - 1

    def release(self) -> None:
        """Give back the memory of what was unpacked."""
        self._kept.clear()

    def _block(self, k: int) -> Bytes:
        found = self._kept.get(k)
        if found is None:
            self._kept[k] = found = np.frombuffer(self._unpack(k), np.uint8)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return found

    def _unpack(self, k: int) -> bytes:
        file, start, end = self._mapped(), int(self._data[k]), int(self._stops[k]) - _TRAILER.size
        checksum, size = _TRAILER.unpack_from(file, end)
        try:
            found = zlib.decompress(file[start:end], wbits=-15, bufsize=size)
        except zlib.error:
            found = b""
        if len(found) != size or zlib.crc32(found) != checksum:
            raise InputError(f"{self.path} is a damaged bgzip file, at byte {start}: copy or download it again.")
        return found

    def _mapped(self) -> mmap.mmap:
        if self._file is None:
            with self.path.open("rb") as file:
                self._file = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return self._file

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_file": None, "_kept": OrderedDict()}


def _find_blocks(path: Path, file: mmap.mmap) -> tuple[Places, Places, Places]:
    """Return where the data of each block begin, where the block ends, and how much text there is before each."""
    data, stops, sizes = list[int](), list[int](), list[int]()
    start = 0
    while start < len(file):
        begin, stop = _find_block(path, file, start)
        if stop > len(file):
            raise InputError(f"{path} is a bgzip file without its end: copy or download it again.")
        data.append(begin)
        stops.append(stop)
        sizes.append(_TRAILER.unpack_from(file, stop - _TRAILER.size)[1])
        start = stop
    if sizes[-1]:
        raise InputError(
            f"{path} lacks the last block that bgzip writes: copy it again, or unpack it if it is complete."
        )
    # Blocks without text, such as the last one, would be found in place of others.
    full = np.flatnonzero(sizes)
    ends = np.concatenate([[0], np.cumsum(np.array(sizes, np.int64)[full])])
    return np.array(data, np.int64)[full], np.array(stops, np.int64)[full], ends


def _find_block(path: Path, file: mmap.mmap, start: int) -> tuple[int, int]:
    """Return where the data of the block begin, and where it ends, which is behind the file if that is cut short."""
    header = file[start : start + _HEADER.size]
    if len(header) == _HEADER.size:
        magic, extra = _HEADER.unpack(header)
        at, end = start + _HEADER.size, start + _HEADER.size + extra
        while magic == _MAGIC and at + _FIELD.size < min(end, len(file)):
            name, length = _FIELD.unpack_from(file, at)
            at += _FIELD.size
            if name == b"BC":
                return end, start + int.from_bytes(file[at : at + 2], "little") + 1
            at += length
    if _MAGIC.startswith(header[: len(_MAGIC)]) and len(file) - start < len(LAST_BLOCK):
        return start, len(file) + 1
    raise InputError(
        f"{path} has a part that bgzip did not write, at byte {start}: compress it anew, with bgzip alone."
    )
