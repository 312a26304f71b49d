"""Write seqlets as BED, for genome browsers and bedtools."""

from __future__ import annotations

import csv
import os
from typing import Any

import numpy as np
import pandas as pd

from seqlight.errors import InputError, kind_of
from seqlight.files.atomic import atomic_write
from seqlight.files.paths import file_to_write
from seqlight.sequence.loci import as_loci

PLACE = ("chrom", "genome_start", "genome_end", "strand")


def write_bed(path: str | os.PathLike[str], seqlets: pd.DataFrame) -> None:
    """Write seqlets with genome coordinates as BED6 plus one or two columns.

    Parameters
    ----------
    path : str or path
        The file to write.
    seqlets : pandas.DataFrame
        As `to_genome` returns it: columns chrom, genome_start, genome_end, strand and attribution. A column motif
        names the features (spaces become underscores; without it they are named by their row, seqlet_0 ...),
        motif_strand is combined with the strand of the window, and p-value is written as well.

    Raises
    ------
    InputError
        If a column is missing, coordinates are invalid, or an attribution is not finite.

    Notes
    -----
    Lines are sorted by chromosome and start, as by ``sort -k1,1 -k2,2n``. The score is the magnitude of the
    attribution, scaled to whole numbers up to 1000; column 7 is the attribution, and column 8 the p-value where there
    is one.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pandas as pd
    >>> from seqlight.seqlets.genome_coordinates import to_genome
    >>> seqlets = pd.DataFrame({"example_idx": [0], "start": [2], "end": [9], "attribution": [-0.5]})
    >>> table = to_genome(seqlets, pd.DataFrame({"chrom": ["chr1"], "start": [100], "end": [150]}))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_bed(Path(folder) / "seqlets.bed", table)
    ...     (Path(folder) / "seqlets.bed").read_text().split()
    ['chr1', '102', '109', 'seqlet_0', '1000', '+', '-0.5']
    """
    if not isinstance(seqlets, pd.DataFrame):
        raise InputError(f"seqlets is {kind_of(seqlets)}: expected a table, as to_genome(seqlets, loci) returns it.")
    for name in (*PLACE, "attribution"):
        if name not in seqlets:
            advice = "add genome coordinates with to_genome(seqlets, loci)" if name in PLACE else "add it"
            raise InputError(f"seqlets has no column {name!r}: {advice}.")
    places = as_loci(seqlets[list(PLACE)].rename(columns={"genome_start": "start", "genome_end": "end"}))
    if (places.start < 0).any():
        row = int((places.start < 0).argmax())
        raise InputError(f"the seqlet in row {row} begins at {places.start[row]}: BED has no positions below 0.")
    for chrom in set(places.chrom.tolist()):
        if chrom.startswith(("#", "track", "browser")) or set(chrom) & set("\t\r\n"):
            raise InputError(f"the chromosome {chrom!r} would not be read back from a BED file: give it another name.")
    if not pd.api.types.is_numeric_dtype(seqlets["attribution"]):
        raise InputError(f"seqlets holds {seqlets['attribution'].dtype} in attribution: expected numbers.")
    size = seqlets["attribution"].abs().to_numpy(dtype=np.float64)
    if not np.isfinite(size).all():
        raise InputError(
            "seqlets has NaN or infinity in attribution, which scores the lines: repair or drop those rows."
        )
    largest = size.max(initial=0.0) or 1.0
    columns = {
        "chrom": places.chrom,
        "start": places.start,
        "end": places.end,
        "name": _names(seqlets),
        "score": np.rint(1000 * size / largest).astype(np.int64),
        "strand": _strands(seqlets),
        "attribution": seqlets["attribution"].to_numpy(),
    }
    if "p-value" in seqlets:
        columns["p-value"] = seqlets["p-value"].to_numpy()
    lines = pd.DataFrame(columns).sort_values(["chrom", "start", "end"], kind="stable")
    with atomic_write(file_to_write(path)) as partial:
        # A quote in a name is an ordinary character.
        layout: dict[str, Any] = {"sep": "\t", "quoting": csv.QUOTE_NONE, "lineterminator": "\n", "na_rep": "."}
        lines.to_csv(partial, header=False, index=False, **layout)


def _names(seqlets: pd.DataFrame) -> list[str]:
    if "motif" in seqlets:
        # Readers that split at any white space would lose a name that has some, or that is empty.
        return ["." if pd.isna(name) else "_".join(str(name).split()) or "." for name in seqlets["motif"]]
    return [f"seqlet_{i}" for i in range(len(seqlets))]


def _strands(seqlets: pd.DataFrame) -> list[str]:
    strands = seqlets["strand"].tolist()
    if "motif_strand" not in seqlets:
        return strands
    return ["+" if one == other else "-" for one, other in zip(strands, seqlets["motif_strand"], strict=True)]
