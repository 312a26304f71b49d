"""The command ``seqlight report``: a page about a folder of results."""

from __future__ import annotations

import shlex
from pathlib import Path


def report_command(
    folder: Path,
    out: str | None = None,  # a path would lose the separator that tells a folder
    target: int | str | None = None,
    top: int = 6,
    sampled: int = 4,
    random_state: int = 0,
    alphabet: str | None = None,
    assembly: str | None = None,
    title: str | None = None,
) -> None:
    """Make a page of results: completeness, logos, seqlets, motifs, tables.

    Example: seqlight report attributions --assembly hg38

    Args:
        folder: Folder of results, which `seqlight attribute` or `seqlight predict` wrote.
        out: The page, or a folder (pages/) to put report.html into, or report.target_1.html with --target 1; by default
            that of the results.
        target: Which of several targets to show, counted from 0, or as it was typed at attribute; by default the first.
        top: Number of logos of the rows with the largest attributions.
        sampled: Number of logos of rows drawn at random.
        random_state: Seed of that draw.
        alphabet: DNA, RNA, protein, or the letters of the sequences in the order of their rows; by default DNA where
            there are four, and protein where there are twenty.
        assembly: Genome of the rows, such as hg38, to link them to the UCSC Genome Browser.
        title: Heading of the page.
    """
    from seqlight.cli.results_folder import open_folder
    from seqlight.exports.target_column import target_number
    from seqlight.motifs.seqlet_files import seqlet_table
    from seqlight.report.results_page import write_report

    results = open_folder(folder)
    number = target_number(results, target) if "attributions" in results else None
    page = write_report(
        results,
        out,
        target=number,
        top=top,
        sampled=sampled,
        random_state=random_state,
        alphabet=alphabet,
        assembly=assembly,
        title=title,
    )
    print(f"page: {page}")
    if "attributions" in results and not seqlet_table(folder, number or 0, results.manifest.fingerprint).exists():
        print(f"It shows seqlets too once they are called: seqlight seqlets {shlex.quote(str(folder))}")
