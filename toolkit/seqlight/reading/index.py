"""Where each sequence of a FASTA file lies in it, byte for byte: the index that samtools and pyfaidx write."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.extras import extra
from seqlight.storage.whole import whole

GZIP = b"\x1f\x8b"


class FastaIndex(NamedTuple):
    """Where sequences lie: arrays of one length, in the order of the file.

    Attributes
    ----------
    names : tuple of str
        What stands behind ">", up to the first white space.
    size : numpy.ndarray, int64
        Characters.
    offset : numpy.ndarray, int64
        Of the first of them in the file.
    bases, width : numpy.ndarray, int64
        Characters, and bytes with the line's end, in each line but the last.
    """

    names: tuple[str, ...]
    size: NDArray[np.int64]
    offset: NDArray[np.int64]
    bases: NDArray[np.int64]
    width: NDArray[np.int64]


def fasta_index(path: str | os.PathLike[str]) -> FastaIndex:
    """Return the index of a FASTA file; pyfaidx makes it where there is none, or an older one.

    A new index is kept beside the file as ``<path>.fai``, where that can be written.

    Parameters
    ----------
    path : str or path
        Of a FASTA file that is not compressed.

    Returns
    -------
    FastaIndex

    Raises
    ------
    InputError
        If there is no such file, it is compressed, holds no sequence, has lines of different lengths in one
        sequence or one name twice, or the index beside it is of another file.
    MissingExtra
        If there is no index, and no pyfaidx to make one.
    """
    fasta, index = Path(path), Path(f"{os.fspath(path)}.fai")
    _require_plain(fasta)
    if index.is_file() and index.stat().st_mtime >= fasta.stat().st_mtime:
        return _checked(_parsed(index), fasta, index)
    try:
        with whole(index) as partial:
            _make(fasta, partial)
    except PermissionError:
        return _elsewhere(fasta)
    except OSError as error:
        if error.errno not in _NOT_WRITABLE:
            raise
        return _elsewhere(fasta)
    return _checked(_parsed(index), fasta, index)


# A read-only file system, and one that is full.
_NOT_WRITABLE = {30, 28}


def _elsewhere(fasta: Path) -> FastaIndex:
    """Return an index that is not kept."""
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "fai"
        _make(fasta, index)
        return _checked(_parsed(index), fasta, index)


def _require_plain(fasta: Path) -> None:
    if not fasta.is_file():
        raise InputError(f"there is no file {str(fasta)!r}: expected a FASTA file.")
    with fasta.open("rb") as file:
        start = file.read(2)
    if start == GZIP:
        raise InputError(
            f"{fasta} is compressed: windows are read from anywhere in it, so run `gunzip -k {fasta.name}` "
            "(for bgzip too) and give the result."
        )
    if start[:1] != b">":
        raise InputError(f"{fasta} does not begin with '>': expected a FASTA file.")


def _make(fasta: Path, index: Path) -> None:
    pyfaidx = extra("pyfaidx", "genome")
    try:
        # Building is asked for by name, so that pyfaidx never takes a file that is there for the index.
        made = pyfaidx.Faidx(str(fasta), indexname=str(index), rebuild=True)
        made.close()
    except (pyfaidx.FastaIndexingError, pyfaidx.FastaNotFoundError, ValueError) as error:
        raise InputError(
            f"{fasta} cannot be indexed: {_line(error)} Expected different names, and lines of one length."
        ) from None
    if not index.is_file():
        raise InputError(f"{fasta} holds no sequence: expected a FASTA file.")


def _line(error: Exception) -> str:
    said = " ".join(str(error).split()).rstrip(".!")
    return f"{said}."


def _parsed(index: Path) -> FastaIndex:
    names: list[str] = []
    numbers: list[list[int]] = []
    for number, line in enumerate(index.read_text(encoding="utf-8").splitlines(), start=1):
        fields = line.rstrip("\n").split("\t")
        with contextlib.suppress(ValueError):
            numbers.append([int(field) for field in fields[1:5]])
            names.append(fields[0])
        if len(numbers) < number or len(numbers[-1]) < 4:
            raise InputError(f"{index}, line {number} is {line!r}: expected a name and four numbers; delete the file.")
    if not names:
        raise InputError(f"{index} is empty: expected a line for each sequence; delete it.")
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise InputError(f"two sequences of the FASTA file are named {twice!r}: give each its own name.")
    size, offset, bases, width = np.array(numbers, dtype=np.int64).T
    return FastaIndex(tuple(names), size, offset, np.maximum(bases, 1), np.maximum(width, 1))


def _checked(index: FastaIndex, fasta: Path, path: Path) -> FastaIndex:
    """Return the index, if sequences of the file begin and end where it says."""
    last = np.maximum(index.size - 1, 0)
    end = index.offset + last // index.bases * index.width + last % index.bases + (index.size > 0)
    n = fasta.stat().st_size
    good = bool((end <= n).all())
    if good:
        text = np.memmap(fasta, dtype=np.uint8, mode="r")
        before, after = text[np.minimum(index.offset, n) - 1], text[np.minimum(end, n - 1)]
        good = bool((before == ord("\n")).all() and (np.isin(after, (10, 13)) | (end == n)).all())
    if not good:
        raise InputError(f"{path} is not the index of {fasta}: delete it, and it is made anew.")
    return index
