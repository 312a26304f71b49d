"""The file of loci: where in a genome each row of a run is from, and how rows are found by a locus."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.results.manifest import Manifest
from seqlight.results.row_file import REMEDY, read_row_file, require_run, update_row_file, write_row_file
from seqlight.results.shards import Arrays, DamagedShard
from seqlight.sequence.loci import Loci

NAME = "loci.npz"
LOCUS = re.compile(r"(\S+?)(?::(\d[\d,]*)-(\d[\d,]*))?")


def write_loci(folder: Path, loci: Loci, manifest: Manifest | None = None) -> None:
    """Write where each row is from, and which run the rows belong to."""
    write_row_file(folder / NAME, _arrays(loci), manifest)


def read_loci(folder: Path, manifest: Manifest | None = None) -> Loci | None:
    """Return where each row is from; None if there is no file of loci.

    Raises
    ------
    DamagedShard
        If the file is damaged, or belongs to another run.
    """
    path = folder / NAME
    shard = read_row_file(path)
    if shard is None:
        return None
    # All of it is needed anyway, and arrays in memory do not depend on what happens to the file.
    found = {name: np.array(one) for name, one in shard.arrays.items()}
    if found.keys() != set(Loci._fields):
        raise DamagedShard(f"{path} holds {', '.join(found) or 'nothing'}: expected {', '.join(Loci._fields)}{REMEDY}")
    if manifest is not None:
        if any(one.shape != (manifest.rows,) for one in found.values()):
            raise DamagedShard(f"{path} does not have a locus for each of {manifest.rows} rows{REMEDY}")
        require_run(path, shard.origin, manifest, older=True)
    return Loci(**found)


def update_loci(folder: Path, loci: Loci | None, manifest: Manifest) -> None:
    """Make a folder hold the loci of its run: write them where they differ, and remove those of a run without loci."""
    update_row_file(folder / NAME, None if loci is None else _arrays(loci), manifest, older=True)


def _arrays(loci: Loci) -> Arrays:
    return {
        "chrom": np.asarray(loci.chrom, dtype=np.str_),
        "start": np.asarray(loci.start, dtype=np.int64),
        "end": np.asarray(loci.end, dtype=np.int64),
        "strand": np.asarray(loci.strand, dtype=np.str_),
    }


def rows_at(loci: Loci, locus: str) -> NDArray[np.int64]:
    """Return the rows whose windows overlap a locus.

    Parameters
    ----------
    loci : Loci
        The windows of all rows.
    locus : str
        ``"chr1:1,000-2,000"``, counted from 0 with the end excluded, as in BED; or only a chromosome.

    Raises
    ------
    InputError
        If it is not a locus, or is on a chromosome that has no rows.

    Examples
    --------
    >>> import numpy as np
    >>> from seqlight import Loci
    >>> loci = Loci(np.array(["chr1", "chr1"]), np.array([0, 50]), np.array([60, 110]), np.array(["+", "-"]))
    >>> rows_at(loci, "chr1:55-58").tolist(), rows_at(loci, "chr1:60-100").tolist()
    ([0, 1], [1])
    """
    found = LOCUS.fullmatch(locus.strip())
    # The name of a chromosome may contain colons, as HLA:HLA00001 does.
    if found is not None and ":" in found[1] and not (loci.chrom == found[1]).any():
        found = None
    if found is None:
        raise InputError(f"{locus!r} is not a locus: expected one like 'chr1:1000-2000', or 'chr1'.")
    chrom, start, end = found.groups()
    there = loci.chrom == chrom
    if not there.any():
        known = ", ".join(map(repr, sorted(set(loci.chrom[:1000].tolist()))[:3]))
        raise InputError(f"no row is on {chrom!r}: expected a chromosome with rows, such as {known}.")
    if start is not None:
        first, last = (int(one.replace(",", "")) for one in (start, end))
        there &= (loci.start < last) & (loci.end > first)
    return np.flatnonzero(there)
