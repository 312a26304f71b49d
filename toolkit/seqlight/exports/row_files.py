"""A line or a record for each row: BED and FASTA."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seqlight.errors import InputError
from seqlight.exports.export_job import ExportJob
from seqlight.files.atomic import atomic_write
from seqlight.sequence.letters import to_string

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
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        for block in job.results["sequences"].blocks():
            known = block.any(axis=1)
            for codes in np.where(known, block.argmax(axis=1), len(letters) - 1).astype(np.uint8):
                text = to_string(codes, letters[:-1], letters[-1])
                file.write(f">{next(names)}\n")
                file.writelines(f"{text[i : i + LINE]}\n" for i in range(0, len(text), LINE))
    return [path]
