"""A dataset of the records of a FASTA file."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seqlight.datasets.batched_dataset import Batch, BatchedDataset
from seqlight.datasets.stored_array import StoredArray
from seqlight.errors import InputError
from seqlight.files.digests import digest
from seqlight.files.source_types import ArraySource, File
from seqlight.formats.fasta_file import FastaFile
from seqlight.sequence.alphabets import DNA, Alphabet, as_alphabet
from seqlight.sequence.checks import require_count
from seqlight.sequence.loci import Loci

# The names that `write_fasta`, bedtools getfasta (with -name: name::chr1:100-150; with -s: followed by the strand) and
# samtools faidx (with -i: followed by /rc) give to what they cut. A chromosome's name may contain colons.
_NUMBER = r"\d+|\d{1,3}(?:,\d{3})+"
_LOCUS = re.compile(
    rf"(?P<name>.*::)?(?P<chrom>.+):(?P<start>-?(?:{_NUMBER}))-(?P<end>{_NUMBER})(?:\((?P<strand>[+.-])\)|(?P<rc>/rc))?"
)
# The largest position, which leaves room for sums in 64 bits.
_LARGEST = 2**62


class FastaDataset(BatchedDataset):
    r"""The records of a FASTA file, one per row, in the order of the file.

    An item is `X`, int8 of shape (letters, length): one-hot, A, C, G, T for DNA, with zeros for N; or `(X, y)`.

    Parameters
    ----------
    path : str or path
        The file: upper and lower case are the same. It is mapped into memory; one that is compressed, by gzip or bgzip,
        is unpacked there, and so is one whose lines differ in length.
    length : int, optional
        Positions of every row: longer records are an error, shorter ones are filled with N at their end. If None,
        all records must have the same length.
    y : torch.Tensor, numpy.ndarray, or path of an npy or npz file, optional
        With a row for each record.
    alphabet : str
        "DNA", "RNA" (T is read as U), "protein", or a string of letters in the order of the rows. Letters for one of
        several, such as R or Y in DNA and B or Z in protein, are unknown: columns of zeros.
    write_index : bool
        Whether an index that is made anew is written beside the file, as ``<path>.fai``.

    Raises
    ------
    InputError
        If the file cannot be used, or lengths or numbers of rows do not match.

    Attributes
    ----------
    names : tuple of str
        The names of the records, up to the first white space.
    loci : Loci or None
        Where the records are in a genome, if all names are like those of `write_fasta` and ``bedtools getfasta``
        (chr1:100-150(+), chr1:100-150, peak1::chr1:100-150(+)), or of ``samtools faidx``, which counts from 1
        (chr1:101-150, chr1:101-150/rc), and all records are as long as their names say. For names without a strand
        the length tells which program counted.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from seqlight import characters
    >>> from seqlight.datasets import FastaDataset
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "sites.fa").write_text(">a\nTGAC\n>b\nTGNCA\n")
    ...     dataset = FastaDataset(Path(folder) / "sites.fa", length=5)
    ...     characters(dataset.batch([0, 1]), allow_N=True)
    ['TGACN', 'TGNCA']
    """

    def __init__(
        self,
        path: File,
        length: int | None = None,
        y: ArraySource | None = None,
        *,
        alphabet: str = "DNA",
        write_index: bool = True,
    ) -> None:
        self.alphabet: Alphabet = as_alphabet(alphabet)
        self._file = FastaFile(path, self.alphabet, unpack=True, write_index=write_index)
        sizes = self._file.sizes
        self.names = self.row_names = tuple(sizes)
        shortest, longest = min(sizes.values()), max(sizes.values())
        if length is None and shortest < longest:
            raise InputError(
                f"the records of {self._file.path.name} have {shortest} to {longest} positions: expected one length; "
                f"give `length`, such as {longest}, to fill up with N (--window on the command line)."
            )
        if not longest:
            raise InputError(f"the records of {self._file.path.name} are empty: expected letters below their names.")
        self.length = require_count(longest if length is None else length, "length", least=1)
        if longest > self.length:
            name = next(name for name, size in sizes.items() if size > self.length)
            raise InputError(f"the record {name!r} has {sizes[name]} positions: expected at most {self.length}.")
        self._y = None if y is None else StoredArray("y", y)
        if self._y is not None and len(self._y) != len(self.names):
            raise InputError(f"y has {len(self._y)} rows for {len(self.names)} records: expected as many.")
        self.loci = _loci(self.names, list(sizes.values()))

    def __len__(self) -> int:
        return len(self.names)

    def read(self, rows: NDArray[np.int64], epochs: NDArray[np.int64]) -> Batch:
        """Return the records."""
        zeros = np.zeros(len(rows), np.int64)
        X = self._file.cut_rows(rows, zeros, zeros, self.length)
        return X if self._y is None else (X, self._y.rows(rows))

    def fingerprint(self) -> str:
        """Return a digest of the file, y and the length; see `digest_of_file`."""
        y = None if self._y is None else self._y.content()
        more = () if self.alphabet == DNA else (self.alphabet.letters,)
        return digest(self._file.fingerprint(), self.length, y, *more)

    def unknown_letters(self) -> dict[str, int]:
        """Return how often each letter occurs that is read as unknown, without N (in proteins, X)."""
        return self._file.unknown_letters()

    def __repr__(self) -> str:
        return f"FastaDataset({len(self):,} records of {self.length} positions of {self._file.path.name})"


def _loci(names: Sequence[str], sizes: Sequence[int]) -> Loci | None:
    """Return the loci of records that are named by them; None unless all are, counted alike, and have that length."""
    matches = [one for one in map(_LOCUS.fullmatch, names) if one is not None]
    if len(matches) < len(names):
        return None
    start, end = ([int(one[field].replace(",", "")) for one in matches] for field in ("start", "end"))
    if max(map(abs, start)) > _LARGEST or max(end) > _LARGEST:
        return None
    first, last, size = (np.array(one, dtype=np.int64) for one in (start, end, sizes))
    if _counts_from_1(matches, first, last, size):
        first -= 1
    elif any(one["rc"] for one in matches):
        return None
    if not ((last - first == size) & (size > 0)).all():
        return None
    chrom = np.array([one["chrom"] for one in matches], dtype=object)
    strand = np.array(["-" if one["rc"] else one["strand"] or "+" for one in matches], dtype=object)
    return Loci(chrom, first, last, strand)


def _counts_from_1(
    matches: Sequence[re.Match[str]], start: NDArray[np.int64], end: NDArray[np.int64], size: NDArray[np.int64]
) -> bool:
    """Return whether names are those of samtools: none that only bedtools writes, and all spans counted from 1."""
    plain = not any(one["name"] or one["strand"] for one in matches)
    return plain and bool((end - start + 1 == size).all() and (start >= 1).all())
