"""Genomic intervals that sequences were cut from."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqlight.errors import InputError, kind_of
from seqlight.sequence.checks import require_count
from seqlight.sequence.chromosomes import chromosome_name, likely_name

STRANDS = ("+", "-", ".")
# The largest position: sums and differences stay far from overflowing 64 bits.
_MOST = 2**48
# How many loci are printed.
MOST_LOCI_SHOWN = 3


class Loci(NamedTuple):
    """Genomic intervals, one for each sequence: four arrays of one length.

    Any function that takes loci also takes a table with these columns, where `strand` is optional.

    Attributes
    ----------
    chrom : numpy.ndarray of str
        The chromosome.
    start, end : numpy.ndarray of int64
        ``start <= position < end``, counted from 0 as in BED. A window that extends beyond its chromosome has a
        start below 0 or an end above the chromosome's size.
    strand : numpy.ndarray of str
        "+", "." (the same), or "-" where the sequence is the reverse complement.

    Examples
    --------
    >>> import numpy as np
    >>> Loci(np.array(["chr1", "chr2"]), np.array([10, 5]), np.array([20, 15]), np.array(["+", "-"]))
    Loci of 2 sequences: chr1:10-20(+), chr2:5-15(-)
    """

    chrom: NDArray[Any]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    strand: NDArray[Any]

    def __repr__(self) -> str:
        # In full they are four arrays, of thousands of lines for a set of peaks.
        n = np.size(self.chrom)
        shown = zip(*(np.ravel(field)[:MOST_LOCI_SHOWN].tolist() for field in self), strict=False)
        places = ", ".join(f"{chrom}:{start}-{end}({strand})" for chrom, start, end, strand in shown)
        more = ", ..." if n > MOST_LOCI_SHOWN else ""
        return f"Loci of {n} sequence{'s' * (n != 1)}{': ' * bool(n)}{places}{more}"


def as_loci(source: Loci | pd.DataFrame, n: int | None = None, length: int | None = None, name: str = "loci") -> Loci:
    """Return checked loci.

    Parameters
    ----------
    source : Loci, or pandas.DataFrame
        A table has the columns chrom, start and end, and may have strand; without it, all are "+". Chromosomes that
        are numbers, as pandas reads them from files, become text: "1".
    n : int, optional
        How many loci there must be.
    length : int, optional
        How many positions each must have.
    name : str
        Their name in error messages.

    Returns
    -------
    Loci

    Raises
    ------
    InputError
        If a column is missing, or an entry is invalid; the message names the first such row.

    Examples
    --------
    >>> import pandas as pd
    >>> peaks = pd.DataFrame({"chrom": ["chr1", "chr2"], "start": [10, 5], "end": [20, 15]})
    >>> as_loci(peaks).strand.tolist()
    ['+', '+']
    """
    loci = _from_table(source, name) if isinstance(source, pd.DataFrame) else _from_fields(source)
    if n is not None and len(loci.chrom) != n:
        raise InputError(f"there are {len(loci.chrom)} loci for {n} sequences: expected one each, in the same order.")
    _raise_if_any(loci.end <= loci.start, loci, "is empty: expected start < end")
    _raise_if_any(_invalid_strands(loci.strand), loci, f"has another strand than {', '.join(STRANDS)}")
    if length is not None:
        _raise_if_any(
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
        The size of each chromosome.
    loci : Loci
        As from `as_loci`.

    Returns
    -------
    numpy.ndarray, int64, shape (loci,)

    Raises
    ------
    InputError
        If a chromosome has no size, or the sizes are invalid.
    """
    sizes = sizes_by_name(chrom_sizes)
    missing = sorted(set(loci.chrom.tolist()) - set(sizes))
    if missing:
        likely = likely_name(missing[0], sizes)
        advice = "add it" if likely is None else f"it has {likely!r}, so spell both alike"
        raise InputError(
            f"chrom_sizes has no {missing[0]!r}, on which there are loci (it has "
            f"{', '.join(map(repr, list(sizes)[:3]))} ...): {advice}."
        )
    return np.array([sizes[chrom] for chrom in loci.chrom.tolist()], dtype=np.int64)


def sizes_by_name(chrom_sizes: Mapping[str, int]) -> dict[str, int]:
    """Return checked sizes of chromosomes; names that are numbers become text.

    Raises
    ------
    InputError
        If it is not a mapping, a name is invalid, or a size is not a whole number of at least 1.

    Examples
    --------
    >>> sizes_by_name({"chr1": 248956422})
    {'chr1': 248956422}
    """
    if not isinstance(chrom_sizes, Mapping):
        raise InputError(f"chrom_sizes is {kind_of(chrom_sizes)}: expected sizes by name, {{'chr1': 248956422, ...}}.")
    sizes: dict[str, int] = {}
    for chrom, size in chrom_sizes.items():
        name = chromosome_name(chrom)
        if name is None or name in sizes:
            raise InputError(f"chrom_sizes has the name {chrom!r}, which is invalid or occurs twice: expected names.")
        sizes[name] = require_count(size, f"the size of {chrom!r}", least=1)
    return sizes


def _from_table(table: pd.DataFrame, name: str) -> Loci:
    missing = [column for column in ("chrom", "start", "end") if column not in table]
    if missing:
        raise InputError(f"{name} has no column {missing[0]!r}: expected chrom, start and end, and strand if you like.")
    if "strand" not in table and (others := [one for one in table if str(one).strip().lower() == "strand"]):
        # Otherwise minus-strand sequences would silently be read as plus-strand ones.
        raise InputError(f"loci has a column {others[0]!r}, which is not read: call it 'strand', or leave it out.")
    strand = table["strand"].to_numpy(dtype=object) if "strand" in table else np.full(len(table), "+", dtype=object)
    chrom = table["chrom"].to_numpy(dtype=object)
    return _from_fields(Loci(chrom, *_starts_and_ends(table["start"], table["end"]), strand))


def _from_fields(loci: Loci) -> Loci:
    if not isinstance(loci, Loci):
        advice = "; read a file with seqlight.read_bed" if isinstance(loci, str | Path) else ""
        raise InputError(f"loci is {kind_of(loci)}: expected a table with chrom, start and end, or Loci{advice}.")
    chrom, strand = (np.asarray(one, dtype=object) for one in (loci.chrom, loci.strand))
    fields = Loci(chrom, *_starts_and_ends(loci.start, loci.end), strand)
    if len({one.shape for one in fields}) > 1 or chrom.ndim != 1:
        raise InputError(f"loci has fields of shapes {[one.shape for one in fields]}: expected four of one length.")
    if set(map(type, chrom.tolist())) <= {str}:
        _raise_if_any(chrom == "", fields, "has no chromosome")
        return fields
    names = np.array([chromosome_name(one) for one in chrom.tolist()], dtype=object)
    _raise_if_any(np.array([one is None for one in names], dtype=bool), fields, "has no chromosome")
    return fields._replace(chrom=names)


def _starts_and_ends(start: Any, end: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return _to_coordinates(start, "start"), _to_coordinates(end, "end")


def _to_coordinates(values: Any, name: str) -> NDArray[np.int64]:
    """Return coordinates as int64, also from pandas' nullable and Arrow columns."""
    found = np.asarray(values)
    if not np.issubdtype(found.dtype, np.integer) and found.size:
        missing = np.asarray(pd.isna(found)).ravel()
        if missing.any():
            row = int(missing.argmax())
            raise InputError(f"locus {row} has no {name}, {found.flat[row]}: leave it out.")
        if found.dtype != object or not all(
            isinstance(one, Integral) and not isinstance(one, bool) for one in found.flat
        ):
            kind = found.dtype if found.dtype != object else type(found.flat[0]).__name__
            raise InputError(f"loci has a {name} of {kind}: expected whole numbers; try .astype('int64').")
    if found.size and max(int(found.max()), -int(found.min())) > _MOST:
        raise InputError(f"loci has a {name} beyond {_MOST}: expected positions, and no chromosome is as long.")
    return found.astype(np.int64)


def _invalid_strands(strand: NDArray[Any]) -> NDArray[Any]:
    """Return which entries are not a strand; missing values of pandas cannot be compared."""
    if set(map(type, strand.tolist())) <= {str}:
        return ~np.isin(strand, STRANDS)
    return np.array([not (isinstance(one, str) and one in STRANDS) for one in strand.tolist()], dtype=bool)


def _raise_if_any(bad: NDArray[Any], loci: Loci, what: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        chrom, start, end, strand = (one[row] for one in loci)
        raise InputError(f"locus {row}, {chrom}:{start}-{end}({strand}), {what}.")
