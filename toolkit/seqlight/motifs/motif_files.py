"""The files of the motifs that were found: MEME, tables and BED."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from seqlight.exports.export_job import ExportJob
from seqlight.formats.meme_writer import write_meme
from seqlight.motifs.patterns import Pattern
from seqlight.motifs.seqlet_columns import add_attributions, add_places, add_texts
from seqlight.motifs.seqlet_files import write_seqlets, write_tsv

SITES = ("motif", "example_idx", "start", "end", "motif_strand")


def write_motifs(folder: Path, patterns: Sequence[Pattern], table: pd.DataFrame) -> list[Path]:
    """Write ``motifs.tsv``, the table, and ``motifs.meme``, the trimmed patterns, if there are any.

    Returns
    -------
    list of pathlib.Path
        The files. A file of motifs of an earlier call is removed if there are none now.
    """
    paths = [folder / "motifs.tsv", folder / "motifs.meme"]
    write_tsv(paths[0], table)
    if not patterns:
        paths.pop().unlink(missing_ok=True)
        return paths
    write_meme(paths[1], {one.name: one.trimmed() for one in patterns})
    return paths


def write_sites(
    folder: Path, job: ExportJob, patterns: Sequence[Pattern], first: int, target: int | None
) -> list[Path]:
    """Write the seqlets of all patterns, at the trimmed pattern: ``seqlets.tsv``, with BED and FASTA as for seqlets.

    Parameters
    ----------
    folder : path
    job : ExportJob
        The results that they were found in.
    patterns : sequence of Pattern
    first : int
        The position of a sequence at which the searched window begins.
    target : int, optional
        Which of several targets was searched.
    """
    tables = [one.sites(first).assign(motif=one.name)[list(SITES)] for one in patterns]
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(SITES), dtype=np.int64)
    return write_seqlets(folder, add_texts(add_places(add_attributions(table, job, target), job), job))
