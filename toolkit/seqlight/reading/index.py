"""The index of a FASTA file, kept beside it in the format of samtools."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np

from seqlight.errors import InputError
from seqlight.reading.scanning import FastaIndex, of_records, scanned
from seqlight.storage.whole import whole

GZIP = b"\x1f\x8b"


def fasta_index(path: str | os.PathLike[str]) -> FastaIndex:
    """Return the index of a FASTA file, made where there is none, or an older one.

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
        If there is no such file, it is compressed, has lines of different lengths in one sequence or one name
        twice, or the index beside it is of another file.
    """
    fasta, index = Path(path), Path(f"{os.fspath(path)}.fai")
    _require_plain(fasta)
    if index.is_file() and index.stat().st_mtime >= fasta.stat().st_mtime:
        return _checked(_parsed(index), fasta, index)
    made = scanned(fasta)
    with contextlib.suppress(OSError), whole(index) as partial:
        rows = zip(*made, strict=True)
        partial.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
    return made


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


def _parsed(index: Path) -> FastaIndex:
    names: list[str] = []
    numbers: list[tuple[int, ...]] = []
    for number, line in enumerate(index.read_text(encoding="utf-8").splitlines(), start=1):
        fields = line.rstrip("\n").split("\t")
        with contextlib.suppress(ValueError):
            numbers.append(tuple(int(field) for field in fields[1:5]))
            names.append(fields[0])
        if len(numbers) < number or len(numbers[-1]) < 4:
            raise InputError(f"{index}, line {number} is {line!r}: expected a name and four numbers; delete the file.")
    if not names:
        raise InputError(f"{index} is empty: expected a line for each sequence; delete it.")
    return of_records(names, numbers)


def _checked(index: FastaIndex, fasta: Path, path: Path) -> FastaIndex:
    """Return the index, if sequences of the file begin and end where it says."""
    last = np.maximum(index.size - 1, 0)
    end = index.offset + last // index.bases * index.width + last % index.bases + (index.size > 0)
    n = fasta.stat().st_size
    good = bool((end <= n).all())
    if good:
        text = np.memmap(fasta, dtype=np.uint8, mode="r")
        before, after = text[np.minimum(index.offset, n) - 1], text[np.minimum(end, n - 1)]
        ends = np.isin(after, (10, 13)) | (end == n) | (index.size == 0)
        good = bool((before == ord("\n")).all() and ends.all())
    if not good:
        raise InputError(f"{path} is not the index of {fasta}: delete it, and it is made anew.")
    return index
