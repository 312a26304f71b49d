"""Rows that are windows of a genome, found by their place."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.sequence.loci import Loci
from seqlight.storage.shards import read_shard, write_shard

NAME = "loci.npz"
LOCUS = re.compile(r"([^:\s]+)(?::([\d,]+)-([\d,]+))?")


def write_loci(folder: Path, loci: Loci) -> None:
    """Write where each row comes from."""
    write_shard(
        folder / NAME,
        {
            "chrom": np.asarray(loci.chrom, dtype=np.str_),
            "start": np.asarray(loci.start, dtype=np.int64),
            "end": np.asarray(loci.end, dtype=np.int64),
            "strand": np.asarray(loci.strand, dtype=np.str_),
        },
    )


def read_loci(folder: Path) -> Loci | None:
    """Return where each row comes from, None if nothing is known of that."""
    if not (folder / NAME).exists():
        return None
    found = read_shard(folder / NAME)
    return Loci(found["chrom"], found["start"], found["end"], found["strand"])


def rows_at(loci: Loci, locus: str) -> NDArray[np.int64]:
    """Return the rows whose windows overlap a place.

    Parameters
    ----------
    loci : Loci
    locus : str
        ``"chr1:1,000-2,000"``, counted from 0 and without the end, as in BED; or a chromosome alone.

    Raises
    ------
    InputError
        If it is no place, or on a chromosome that has no rows.

    Examples
    --------
    >>> import numpy as np
    >>> from seqlight import Loci
    >>> loci = Loci(np.array(["chr1", "chr1"]), np.array([0, 50]), np.array([60, 110]), np.array(["+", "-"]))
    >>> rows_at(loci, "chr1:55-58").tolist(), rows_at(loci, "chr1:60-100").tolist()
    ([0, 1], [1])
    """
    found = LOCUS.fullmatch(locus.strip())
    if found is None:
        raise InputError(f"{locus!r} is no place in a genome: expected one like 'chr1:1000-2000', or 'chr1'.")
    chrom, start, end = found.groups()
    there = loci.chrom == chrom
    if not there.any():
        known = ", ".join(map(repr, sorted(set(loci.chrom[:1000].tolist()))[:3]))
        raise InputError(f"no row is on {chrom!r}: expected a chromosome with rows, such as {known}.")
    if start is not None:
        first, last = (int(one.replace(",", "")) for one in (start, end))
        there &= (loci.start < last) & (loci.end > first)
    return np.flatnonzero(there)
