"""Write one-hot sequences as FASTA."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pandas as pd
from torch import Tensor

from seqlight.errors import InputError, kind_of
from seqlight.files.atomic import atomic_write
from seqlight.files.paths import file_to_write
from seqlight.sequence.checks import require_count, require_rank_3, require_tensor
from seqlight.sequence.loci import Loci, as_loci
from seqlight.sequence.one_hot import characters


def write_fasta(
    path: str | os.PathLike[str],
    X: Tensor | Sequence[Tensor],
    names: Sequence[str] | None = None,
    loci: Loci | pd.DataFrame | None = None,
    line: int = 80,
) -> None:
    """Write one-hot sequences as FASTA, with N for unknown characters (columns of zeros).

    Parameters
    ----------
    path : str or path
        The file to write.
    X : torch.Tensor of shape (sequences, 4, positions), or sequence of tensors of shape (4, positions)
        One-hot in the order A, C, G, T; the tensors of a list may differ in length.
    names : sequence of str, optional
        One name per sequence; 0, 1, 2 ... by default.
    loci : Loci, or pandas.DataFrame with the columns chrom, start, end and maybe strand, optional
        Where the sequences were cut from, to name them as ``bedtools getfasta -s`` does: chr1:100-150(+).
    line : int
        Characters per line.

    Raises
    ------
    InputError
        If a sequence is not one-hot, or names are missing, too many, repeated, or have white space.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from seqlight import one_hot_encode
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_fasta(Path(folder) / "sites.fa", one_hot_encode(["TGAC", "TGNC"]), names=["a", "b"])
    ...     (Path(folder) / "sites.fa").read_text().split()
    ['>a', 'TGAC', '>b', 'TGNC']
    """
    line = require_count(line, "line", least=1)
    if isinstance(X, Tensor):
        require_rank_3(X)
    elif isinstance(X, str) or not isinstance(X, Sequence):
        raise InputError(f"X is {kind_of(X)}: expected one-hot sequences; use one_hot_encode([...]) on strings.")
    for i, one in enumerate(X):
        require_tensor(one, f"X[{i}]")
    headers = _headers(len(X), names, loci)
    with atomic_write(file_to_write(path)) as partial, partial.open("w", encoding="ascii", newline="\n") as file:
        for header, one in zip(headers, X, strict=True):
            text = characters(one, allow_N=True)
            file.write(f">{header}\n")
            file.writelines(f"{text[i : i + line]}\n" for i in range(0, len(text), line))


def locus_headers(loci: Loci) -> list[str]:
    """Return what windows are called in FASTA, as ``bedtools getfasta -s`` spells them; without a strand they are "+".

    Examples
    --------
    >>> import numpy as np
    >>> locus_headers(Loci(np.array(["chr1"]), np.array([5]), np.array([9]), np.array(["-"])))
    ['chr1:5-9(-)']
    """
    strands = ("-" if strand == "-" else "+" for strand in loci.strand)
    spans = zip(loci.chrom, loci.start, loci.end, strands, strict=True)
    return [f"{chrom}:{start}-{end}({strand})" for chrom, start, end, strand in spans]


def _headers(n: int, names: Sequence[str] | None, loci: Loci | pd.DataFrame | None) -> list[str]:
    if names is not None and loci is not None:
        raise InputError("names and loci were both given, and each names the sequences: give one.")
    if loci is not None:
        places = as_loci(loci, n=n)
        for chrom in set(places.chrom.tolist()):
            if "::" in chrom:
                raise InputError(
                    f"the chromosome {chrom!r} has '::' in its name, and readers take what follows it: give names."
                )
        headers = locus_headers(places)
    else:
        headers = [str(name) for name in (range(n) if names is None else names)]
    if len(headers) != n:
        raise InputError(f"names has {len(headers)} entries for {n} sequences: expected one each.")
    for name in headers:
        if not name or name.split() != [name] or not name.isascii():
            raise InputError(f"the name {name!r} is empty, has white space or is not ASCII: readers would cut it off.")
    if len(set(headers)) != n:
        raise InputError("two sequences have the same name, by which readers look them up: give different ones.")
    return headers
