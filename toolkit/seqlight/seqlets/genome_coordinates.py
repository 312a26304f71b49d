"""Seqlets in the coordinates of the genome that their examples were cut from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from seqlight.errors import InputError
from seqlight.metrics.overlap import require_intervals
from seqlight.sequence.loci import Loci, as_loci, as_sizes


def to_genome(
    seqlets: pd.DataFrame, loci: Loci | pd.DataFrame, chrom_sizes: Mapping[str, int] | None = None
) -> pd.DataFrame:
    """Add genome coordinates to a table of seqlets.

    Parameters
    ----------
    seqlets : pandas.DataFrame
        Columns example_idx, start and end, and any others, as from callers, `cut_seqlets` or `annotate_seqlets`.
    loci : Loci, or pandas.DataFrame with the columns chrom, start, end and maybe strand
        Where the examples were cut from, row i for example i; on "-" the example is the reverse complement. These
        are the windows that the model saw, not the peaks that windows were placed around.
    chrom_sizes : mapping of str to int, optional
        Sizes of chromosomes, for windows that extend beyond the end of one.

    Returns
    -------
    pandas.DataFrame
        A copy with the columns chrom, genome_start, genome_end (from 0, ``start <= position < end``, as in BED) and
        strand, on which the example reads from left to right. Positions beyond a chromosome are cut off.

    Raises
    ------
    InputError
        If an example has no locus, a seqlet extends beyond its locus, or lies entirely beyond its chromosome.

    Examples
    --------
    >>> import pandas as pd
    >>> seqlets = pd.DataFrame({"example_idx": [0, 1], "start": [2, 2], "end": [7, 7]})
    >>> loci = pd.DataFrame({"chrom": ["chr1", "chr1"], "start": [100, 100], "end": [150, 150], "strand": ["+", "-"]})
    >>> to_genome(seqlets, loci)[["genome_start", "genome_end", "strand"]]
       genome_start  genome_end strand
    0           102         107      +
    1           143         148      -
    """
    places = as_loci(loci)
    example, start, end = require_intervals(seqlets, "seqlets", n=len(places.chrom)).T
    lengths = (places.end - places.start)[example]
    if (outside := (start < 0) | (end > lengths)).any():
        row = int(np.argmax(outside))
        raise InputError(
            f"the seqlet in row {row}, {start[row]} to {end[row]}, sticks out of its locus of {lengths[row]} "
            "positions: give the windows that the model saw as loci."
        )
    reverse = places.strand[example] == "-"
    first = np.where(reverse, places.end[example] - end, places.start[example] + start)
    last = first + (end - start)
    sizes = np.iinfo(np.int64).max if chrom_sizes is None else as_sizes(chrom_sizes, places)[example]
    first, last = np.maximum(first, 0), np.minimum(last, sizes)
    if (gone := first >= last).any():
        row = int(np.argmax(gone))
        raise InputError(
            f"the seqlet in row {row} is empty or lies off {places.chrom[example[row]]} as a whole: leave it out."
        )
    strand = np.where(reverse, "-", "+")
    return seqlets.assign(chrom=places.chrom[example], genome_start=first, genome_end=last, strand=strand)
