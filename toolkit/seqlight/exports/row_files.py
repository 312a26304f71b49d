"""A line or a record for each row: BED and FASTA."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.exports.export_job import ExportJob
from seqlight.files.abandoned_files import remove_abandoned
from seqlight.files.atomic import atomic_write

LINE = 80
ADVICE = "`seqlight attribute` keeps them, in Python DeepLiftShapModule(..., hypothetical=True)"


def check_bed(job: ExportJob) -> None:
    """Raise InputError unless the rows have loci that a BED file can hold."""
    loci = job.require_loci("BED")
    for chrom in set(loci.chrom.tolist()):
        if set(chrom) & set("\t\r\n") or chrom.startswith(("#", "track", "browser")):
            raise InputError(f"the chromosome {chrom!r} would not be read back from a BED file: give it another name.")


def write_loci(job: ExportJob) -> list[Path]:
    """Write the windows of all rows in their order, as BED6; what lies before a chromosome is cut off."""
    loci, path = job.require_loci("BED"), job.out / "loci.bed"
    remove_abandoned(path)
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        lines = zip(loci.chrom, loci.start.clip(0), loci.end.clip(0), job.labels, loci.strand, strict=True)
        file.writelines(f"{chrom}\t{start}\t{end}\t{name}\t0\t{strand}\n" for chrom, start, end, name, strand in lines)
    return [path]


def check_fasta(job: ExportJob) -> None:
    """Raise InputError unless the run kept its sequences, and their letters are known."""
    job.require("sequences", "FASTA", ADVICE)
    job.letters("sequences", "FASTA")


def write_sequences(job: ExportJob) -> list[Path]:
    """Write the sequences of all rows, with N for unknown characters, or X in proteins."""
    path, letters = job.out / "sequences.fa", job.letters("sequences", "FASTA")
    labels = job.labels
    if len(set(labels)) < len(labels):  # programs look records up by their names
        labels = [f"{label}.row_{i}" for i, label in enumerate(labels)]
    names = iter(labels)
    remove_abandoned(path)
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        for block in job.results["sequences"].blocks():
            for row in spell_rows(block, letters):
                text = row.tobytes().decode("latin-1")
                file.write(f">{next(names)}\n")
                file.writelines(f"{text[i : i + LINE]}\n" for i in range(0, len(text), LINE))
    return [path]


def spell_rows(block: NDArray[Any], letters: str) -> NDArray[np.uint8]:
    """Return the characters of one-hot rows in Latin-1, a byte for each, of shape (rows, positions).

    Examples
    --------
    >>> one_hot = np.array([[[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]]])
    >>> spell_rows(one_hot, "ACGTN").tobytes()  # behind the letters the one for an unknown character
    b'ANC'
    """
    alphabet = np.frombuffer(letters.encode("latin-1"), np.uint8)
    return alphabet[np.where(block.any(axis=1), block.argmax(axis=1), len(letters) - 1)]
