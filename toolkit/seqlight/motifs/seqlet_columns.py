"""Columns of a table of seqlets that are read from results: places, sequences and attributions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqlight.exports.export_job import ExportJob
from seqlight.exports.row_files import spell_rows
from seqlight.exports.target_column import target_column
from seqlight.seqlets.genome_coordinates import to_genome
from seqlight.sequence.loci import Loci


def add_places(table: pd.DataFrame, job: ExportJob) -> pd.DataFrame:
    """Return a table of seqlets with the names of their rows, and their places in the genome, as far as they are known.

    Seqlets that lie before the beginning of their chromosome, where windows may begin, are left out.
    """
    results = job.results
    if results.loci is not None:
        table = _on_chromosomes(table, results.loci)
    if results.row_names is not None:
        table = table.assign(name=np.array(job.labels, dtype=object)[table["example_idx"]])
    return table if results.loci is None else to_genome(table, results.loci)


def add_texts(table: pd.DataFrame, job: ExportJob) -> pd.DataFrame:
    """Return a table of seqlets with their sequences, N for an unknown character; as it is if the run kept none."""
    if "sequences" not in job.results:
        return table
    letters = job.letters("sequences", "a table of seqlets")
    texts = [""] * len(table)
    start, end = (table[name].to_numpy() for name in ("start", "end"))
    for block, rows, mine in _by_shard(table, job.results["sequences"].blocks()):
        spelled = spell_rows(block, letters)
        for i, row in zip(mine.tolist(), rows.tolist(), strict=True):
            texts[i] = spelled[row, start[i] : end[i]].tobytes().decode("latin-1")
    return table.assign(sequence=texts)


def add_attributions(table: pd.DataFrame, job: ExportJob, target: int | None) -> pd.DataFrame:
    """Return a table of spans with what they contribute to a target, in total and for each position on average."""
    found = np.zeros(len(table))
    start, end = (table[name].to_numpy() for name in ("start", "end"))
    for block, rows, mine in _by_shard(table, target_column(job.results, "attributions", target).summed()):
        for i, row in zip(mine.tolist(), rows.tolist(), strict=True):
            found[i] = block[row, start[i] : end[i]].sum(dtype=np.float64)
    return table.assign(attribution=found, mean_attribution=found / np.maximum(end - start, 1))


def _by_shard(
    table: pd.DataFrame, blocks: Iterable[NDArray[Any]]
) -> Iterator[tuple[NDArray[Any], NDArray[np.int64], NDArray[np.intp]]]:
    """Yield each shard that has seqlets, their rows in it, and their numbers in the table."""
    example = table["example_idx"].to_numpy(dtype=np.int64)
    order = np.argsort(example, kind="stable")
    ranked = example[order]
    at = first = 0
    for block in blocks:
        last = first + len(block)
        until = int(np.searchsorted(ranked, last))
        if until > at:
            mine = order[at:until]
            yield block, ranked[at:until] - first, mine
        at, first = until, last


def _on_chromosomes(table: pd.DataFrame, loci: Loci) -> pd.DataFrame:
    example = table["example_idx"].to_numpy(dtype=np.int64)
    start, end = (table[name].to_numpy() for name in ("start", "end"))
    last = np.where(loci.strand[example] == "-", loci.end[example] - start, loci.start[example] + end)
    found: pd.DataFrame = table[last > 0].reset_index(drop=True)
    return found
