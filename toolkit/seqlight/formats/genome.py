"""Cut windows out of a genome in a FASTA file, without reading it into memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlight.errors import InputError, kind_of
from seqlight.files.source_types import File
from seqlight.formats.fasta_file import FastaFile
from seqlight.sequence.chromosomes import likely_name
from seqlight.sequence.loci import Loci, as_loci


class Genome(FastaFile):
    r"""A genome in a FASTA file, from which windows are cut in one-hot form; upper and lower case are the same.

    The file is mapped into memory, so only the requested windows are read; it may be compressed by bgzip. A genome can
    be pickled, and used in forked and spawned processes: each maps the file for itself. The file must not change
    meanwhile, which is checked before windows are cut.

    Parameters
    ----------
    path : str or path
        The FASTA file. Its index, ``<path>.fai``, is made if there is none.
    write_index : bool
        Whether a new index is also written beside the file, where the folder allows it.
    unpack : bool
        Whether a file that is compressed, by gzip or bgzip, may be unpacked into memory, in each process. Without it,
        one of gzip is refused, and of one of bgzip those blocks are unpacked that hold the windows.

    Raises
    ------
    InputError
        If the file cannot be used; see `load_fasta_index`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pandas as pd
    >>> from seqlight import characters
    >>> from seqlight.datasets import Genome
    >>> loci = pd.DataFrame({"chrom": ["chr1", "chr1"], "start": [2, 6], "end": [7, 11], "strand": ["+", "-"]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "toy.fa").write_text(">chr1\nTTGAC\ntcaNG\n")
    ...     genome = Genome(Path(folder) / "toy.fa")
    ...     characters(genome.cut(loci), allow_N=True)
    ['GACTC', 'NCNTG']
    """

    def __init__(self, path: str | os.PathLike[str], *, write_index: bool = True, unpack: bool = False) -> None:
        super().__init__(path, write_index=write_index, unpack=unpack)
        self._row = {name: i for i, name in enumerate(self._index.names)}

    def cut(self, loci: Loci | pd.DataFrame, dtype: torch.dtype = torch.int8) -> Tensor:
        """Return windows of one length.

        Parameters
        ----------
        loci : Loci, or pandas.DataFrame with the columns chrom, start, end and maybe strand
            The reverse complement is returned on "-".
        dtype : torch.dtype
            The dtype of the result.

        Returns
        -------
        torch.Tensor, shape (loci, 4, positions)
            One-hot in the order A, C, G, T. N and other ambiguous letters, and positions off the chromosome,
            are columns of zeros.

        Raises
        ------
        InputError
            If windows have different lengths, a chromosome is not in the file, a character is no nucleotide, or the
            file has changed.
        """
        places = as_loci(loci)
        if not len(places.chrom):
            raise InputError("there are no loci: expected at least one.")
        length = int(places.end[0] - places.start[0])
        places = as_loci(places, length=length)
        rows = self.rows(places.chrom)
        return self.cut_rows(rows, places.start, places.strand == "-", length, dtype)

    def rows(self, chroms: NDArray[Any]) -> NDArray[np.int64]:
        """Return the number of each chromosome in the file; raise InputError if one is not in it."""
        names, where = np.unique(chroms.astype(str), return_inverse=True)
        require_chromosomes(names.tolist(), self._row, f"the genome {self.path.name}")
        return np.array([self._row[name] for name in names.tolist()], dtype=np.int64)[where]

    def __repr__(self) -> str:
        return f"Genome({str(self.path)!r}: {len(self._row)} sequences, {int(self._index.size.sum()):,} positions)"


if TYPE_CHECKING:
    GenomeSource = Genome | File
else:
    # See seqlight.files.source_types.
    GenomeSource = File


def as_genome(source: GenomeSource) -> Genome:
    """Return a genome; raise InputError if `source` is neither one nor a path."""
    if isinstance(source, Genome):
        return source
    if isinstance(source, str | os.PathLike):
        return Genome(source)
    raise InputError(f"genome is {kind_of(source)}: expected the path of a FASTA file, or a Genome.")


def require_chromosomes(wanted: list[str], known: Any, where: str) -> None:
    """Raise InputError, with the likely spelling, if a chromosome is not among those `known` to `where`."""
    missing = [name for name in wanted if name not in known]
    if not missing:
        return
    name = missing[0]
    likely = likely_name(name, known)
    advice = "give the files of one assembly, or only its chromosomes with `chroms`"
    if likely is not None:
        advice = f"it has {likely!r}, so spell both alike"
    shown = ", ".join(map(repr, list(known)[:3])) + (" ..." if len(known) > 3 else "")
    raise InputError(f"{name!r} is not in {where} (which has {shown}): {advice}.")
