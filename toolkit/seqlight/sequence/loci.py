"""Where in a genome sequences were cut from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqlight.errors import InputError, a
from seqlight.sequence.checks import require_count

STRANDS = ("+", "-", ".")


class Loci(NamedTuple):
    """Places in a genome, one for each sequence: four arrays of one length.

    Any function that takes loci also takes a table with these columns, `strand` being optional.

    Attributes
    ----------
    chrom : numpy.ndarray of str
        The chromosome.
    start, end : numpy.ndarray of int64
        ``start <= position < end``, counted from 0 as in BED. A window that sticks out of its chromosome
        has a start below 0 or an end beyond its size.
    strand : numpy.ndarray of str
        "+", "." (the same), or "-" where the sequence is the reverse complement.
    """

    chrom: NDArray[Any]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    strand: NDArray[Any]


def as_loci(source: Loci | pd.DataFrame, n: int | None = None, length: int | None = None) -> Loci:
    """Return checked loci.

    Parameters
    ----------
    source : Loci, or pandas.DataFrame
        A table has the columns chrom, start and end, and may have strand; without, all are "+".
    n : int, optional
        How many there must be.
    length : int, optional
        How long each must be.

    Returns
    -------
    Loci

    Raises
    ------
    InputError
        If a column is missing, or an entry cannot be; the message names the first such row.

    Examples
    --------
    >>> import pandas as pd
    >>> peaks = pd.DataFrame({"chrom": ["chr1", "chr2"], "start": [10, 5], "end": [20, 15]})
    >>> as_loci(peaks).strand.tolist()
    ['+', '+']
    """
    loci = _of_table(source) if isinstance(source, pd.DataFrame) else _of_fields(source)
    if n is not None and len(loci.chrom) != n:
        raise InputError(f"there are {len(loci.chrom)} loci for {n} sequences: expected one each, in the same order.")
    _refuse(loci.end <= loci.start, loci, "is empty: expected start < end")
    _refuse(~np.isin(loci.strand, STRANDS), loci, f"has another strand than {', '.join(STRANDS)}")
    if length is not None:
        _refuse(
            loci.end - loci.start != length,
            loci,
            f"does not have {length} positions: give the windows that the sequences were cut from",
        )
    return loci


def as_sizes(chrom_sizes: Mapping[str, int], loci: Loci) -> NDArray[np.int64]:
    """Return the size of the chromosome of each locus.

    Parameters
    ----------
    chrom_sizes : mapping of str to int
        Of each chromosome.
    loci : Loci
        Checked.

    Returns
    -------
    numpy.ndarray, int64, shape (loci,)

    Raises
    ------
    InputError
        If a chromosome has no size, or they are no sizes.
    """
    if not isinstance(chrom_sizes, Mapping):
        raise InputError(f"chrom_sizes is {a(chrom_sizes)}: expected sizes by name, {{'chr1': 248956422, ...}}.")
    for chrom, size in chrom_sizes.items():
        require_count(size, f"the size of {chrom!r}", least=1)
    missing = sorted(set(loci.chrom.tolist()) - set(chrom_sizes))
    if missing:
        raise InputError(
            f"chrom_sizes has no {missing[0]!r}, on which there are loci: add it, or spell both alike "
            f"(chrom_sizes has {', '.join(map(repr, list(chrom_sizes)[:3]))} ...)."
        )
    return np.array([chrom_sizes[chrom] for chrom in loci.chrom.tolist()], dtype=np.int64)


def _of_table(table: pd.DataFrame) -> Loci:
    missing = [name for name in ("chrom", "start", "end") if name not in table]
    if missing:
        raise InputError(f"loci has no column {missing[0]!r}: expected chrom, start and end, and strand if you like.")
    strand = table["strand"].to_numpy(dtype=object) if "strand" in table else np.full(len(table), "+", dtype=object)
    return _of_fields(Loci(table["chrom"].to_numpy(dtype=object), *_ends(table["start"], table["end"]), strand))


def _of_fields(loci: Loci) -> Loci:
    if not isinstance(loci, Loci):
        raise InputError(f"loci is a {type(loci).__name__}: expected a table with chrom, start and end, or Loci.")
    chrom, strand = (np.asarray(one, dtype=object) for one in (loci.chrom, loci.strand))
    fields = Loci(chrom, *_ends(loci.start, loci.end), strand)
    if len({one.shape for one in fields}) > 1 or chrom.ndim != 1:
        raise InputError(f"loci has fields of shapes {[one.shape for one in fields]}: expected four of one length.")
    _refuse(np.array([not isinstance(one, str) or not one for one in chrom], dtype=bool), fields, "has no chromosome")
    return fields


def _ends(start: Any, end: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    ends = [np.asarray(one) for one in (start, end)]
    for name, one in zip(("start", "end"), ends, strict=True):
        if len(one) and not np.issubdtype(one.dtype, np.integer):
            raise InputError(f"loci has a {name} of {one.dtype}: expected whole numbers.")
    return ends[0].astype(np.int64), ends[1].astype(np.int64)


def _refuse(bad: NDArray[Any], loci: Loci, what: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        chrom, start, end, strand = (one[row] for one in loci)
        raise InputError(f"locus {row}, {chrom}:{start}-{end}({strand}), {what}.")
