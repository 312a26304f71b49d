"""The sections of a report on what other commands have made of a run: seqlets, motifs and files."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from seqlight.plot.pwm_logo import plot_pwm
from seqlight.report.blocks import Block, Code, Gallery, Links, Section, Text
from seqlight.report.data_table import DataTable
from seqlight.report.folder_files import list_files
from seqlight.report.reported_run import ReportedRun

MOST_MOTIFS = 24


def seqlet_section(run: ReportedRun) -> Section:
    """Return the table of seqlets, or how to call them."""
    if run.seqlets is None:
        where = "in these results" if run.files.seqlets is None else f"for target {run.target or 0}"
        text = f"No seqlets have been called {where}. These lines call them, and make this page again:"
        # Without a target it calls those of all, in one table.
        return Section("Seqlets", [Text(text), Code(_commands(run, f"seqlets {_typed(run)}"))])
    positive = int((run.seqlets.get("attribution", pd.Series(dtype=float)) > 0).sum())
    rows = run.seqlets["example_idx"].nunique()
    text = f"{len(run.seqlets):,} seqlets in {rows:,} of {len(run.results):,} rows; {positive:,} raise the output."
    table = run.seqlets.rename(columns={"example_idx": "row"})
    links = {"row": {row: f"#{name}" for row, name in run.anchors.items()}}
    return Section("Seqlets", [Text(text), DataTable(table, f"Seqlets, as {run.files.table} has them.", links)])


def motif_section(run: ReportedRun) -> Section:
    """Return the motifs as logos and as a table, or how to find them."""
    blocks: list[Block] = []
    if run.files.motifs:
        shown = dict(list(run.files.motifs.items())[:MOST_MOTIFS])
        n = len(run.files.motifs)
        caption = f"Motifs in bits{f', the first {len(shown)} of {n}' if n > len(shown) else ''}."
        blocks.append(Gallery({name: _motif_logo(motif, run.alphabet) for name, motif in shown.items()}, caption))
    if run.files.motif_table is not None:
        blocks.append(DataTable(run.files.motif_table, "Motifs, as motifs.tsv has them."))
    if run.files.known is not None:
        blocks.append(DataTable(run.files.known, "Known motifs that seqlets resemble, as known_motifs.tsv has them."))
    if not blocks:
        text = "No motifs have been looked for in these results. These lines do that, and make this page again:"
        blocks = [Text(text), Code(_commands(run, f"motifs {_typed(run)}{run.target_option}"))]
    return Section("Motifs", blocks)


def _commands(run: ReportedRun, command: str) -> str:
    return f"seqlight {command}\nseqlight {run.command}"


def _typed(run: ReportedRun) -> str:
    """Return the folder of the results as it is typed into a shell."""
    return shlex.quote(str(run.results.path))


def _motif_logo(motif: NDArray[np.float64], alphabet: str | None) -> Figure:
    letters = alphabet if alphabet is not None and len(alphabet) == len(motif) else "ACGT"
    figure = Figure(figsize=(3.4, 1.3), layout="constrained")
    ax = figure.subplots()
    plot_pwm(motif, ax, alphabet=letters)
    ax.set(xlabel="", ylabel="")
    ax.tick_params(labelsize=7)
    return figure


def file_section(folder: Path, page: Path) -> Section:
    """Return links to the files of the folder, from where the page is."""
    links = []
    for path, what in list_files(folder, page):
        shown = path.relative_to(folder).as_posix()
        links.append((shown, quote(Path(os.path.relpath(path, page.parent)).as_posix()), what))
    return Section("Files", [Links(links)])
