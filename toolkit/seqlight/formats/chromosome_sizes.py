"""The lengths of chromosomes, from a genome or from a table of them."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Mapping
from pathlib import Path

from seqlight.errors import InputError
from seqlight.files.paths import existing_file
from seqlight.files.text import read_text
from seqlight.formats.fasta_file import is_compressed
from seqlight.formats.genome import Genome
from seqlight.sequence.loci import sizes_by_name


def as_chromosome_sizes(source: Mapping[str, int] | str | os.PathLike[str]) -> dict[str, int]:
    r"""Return the length of each chromosome, in the order in which they are given.

    Parameters
    ----------
    source : mapping of str to int, str or path
        Lengths by name; or a FASTA file, plain or compressed by bgzip; or a table with a name and a length in each
        line, such as ``hg38.chrom.sizes`` or ``hg38.fa.fai``.

    Raises
    ------
    InputError
        If it is no such file, or a length is not a whole number of at least 1; the message names the line.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "toy.chrom.sizes"
    ...     _ = path.write_text("chr1\t248956422\nchrM\t16569\n")
    ...     as_chromosome_sizes(path)
    {'chr1': 248956422, 'chrM': 16569}
    """
    if isinstance(source, Mapping):
        return sizes_by_name(source)
    wanted = "the lengths of chromosomes, a table such as hg38.chrom.sizes, or the FASTA file of a genome"
    path = existing_file(source, wanted, "chrom_sizes")
    if _first_letter(path) == b">":
        if is_compressed(path) and not is_compressed(path, by_bgzip=True):
            raise InputError(f"{path} is a compressed FASTA file: give its .fai, or unpack it.")
        return Genome(path, write_index=False).sizes
    text = read_text(path, wanted, "chrom_sizes")
    sizes: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.partition("\t") if "\t" in line else line.strip().partition(" ")
        length = (rest.split() or [""])[0]
        if not (length.isascii() and length.isdigit() and int(length)):
            raise InputError(f"{path}, line {number} is {line[:60]!r}: expected a chromosome and its length.")
        if name in sizes:
            raise InputError(f"{path}, line {number}: a second chromosome is named {name!r}: give each its own name.")
        sizes[name] = int(length)
    if not sizes:
        raise InputError(f"{path} is empty: expected {wanted}.")
    return sizes


def _first_letter(path: Path) -> bytes:
    """Return the first byte of the text of a file, which may be compressed; b"" if there is none."""
    if not is_compressed(path):
        with path.open("rb") as file:
            return file.read(1)
    try:
        with gzip.open(path) as file:
            return file.read(1)
    except (EOFError, OSError, zlib.error):
        return b""  # read_text says what is wrong
