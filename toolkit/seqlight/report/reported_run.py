"""A run of attributions as a report shows it: what is known of its rows, and which of them are drawn."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from seqlight.exports.target_column import count_targets, target_suffix
from seqlight.report.folder_files import FolderFiles
from seqlight.report.row_statistics import RowStatistics
from seqlight.results.results import Results
from seqlight.sequence.loci import Loci

# What goes without saying.
USUAL = {"precision": "32-true", "inputs": 1}
BROWSER = "https://genome.ucsc.edu/cgi-bin/hgTracks?db={assembly}&position={{}}"


@dataclass(frozen=True)
class ReportedRun:
    """A run of attributions, and how to show it.

    Attributes
    ----------
    results : Results
    files : FolderFiles
        What other commands have written into its folder.
    page : pathlib.Path
        Where the page will be.
    target : int or None
        Which of several targets.
    alphabet : str or None
        The letters; None if they are not known.
    assembly : str or None
        The genome of the loci, as the UCSC Genome Browser calls it.
    top, sampled : int
        How many logos of the strongest rows, and of rows drawn at random.
    random_state : int
        The seed of the latter.
    """

    results: Results
    files: FolderFiles
    page: Path
    target: int | None = None
    alphabet: str | None = None
    assembly: str | None = None
    top: int = 6
    sampled: int = 4
    random_state: int = 0

    @cached_property
    def statistics(self) -> RowStatistics:
        """A few numbers for each row."""
        return RowStatistics.from_results(self.results, self.target)

    @cached_property
    def seqlets(self) -> pd.DataFrame | None:
        """The seqlets of the target; None if they were not called, or for other targets alone."""
        found = self.files.seqlets
        if found is None or "target" not in found:
            return found
        ours = found["target"] == (self.target or 0)
        return None if len(found) and not ours.any() else found[ours].drop(columns="target")

    @property
    def target_option(self) -> str:
        """What to type after a command that is about this one of several targets, such as " --target 1"."""
        return "" if self.target is None else f" --target {self.target}"

    @property
    def command(self) -> str:
        """What to type to make this page again, for a shell."""
        words = f"report {shlex.quote(str(self.results.path))}"
        if self.page == self.results.path / page_name(None) and not self.target:
            return words  # the first of several targets is shown without being named
        beside = self.page == self.results.path / page_name(self.target)
        return words + self.target_option + ("" if beside else f" --out {shlex.quote(str(self.page))}")

    @cached_property
    def strongest(self) -> list[int]:
        """The rows with the largest sums of absolute attributions, the strongest first."""
        strengths = np.nan_to_num(self.statistics.strengths, nan=-1.0)
        rows = np.argsort(-strengths, kind="stable")[: self.top]
        return [row for row in rows.tolist() if strengths[row] >= 0]

    @cached_property
    def random_rows(self) -> list[int]:
        """Other rows, drawn at random, in order."""
        others = np.setdiff1d(np.flatnonzero(self.statistics.finite), self.strongest)
        return sorted(np.random.RandomState(self.random_state).permutation(others)[: self.sampled].tolist())

    @property
    def anchors(self) -> dict[int, str]:
        """The rows that have a logo, and the name by which links find it."""
        rows = [*self.strongest, *self.random_rows] if self.alphabet is not None else []
        return {row: f"row-{row}" for row in rows}

    def label(self, row: int) -> str:
        """Return what to call a row: its number and, if there is one, its name or place."""
        names, loci = self.results.row_names, self.results.loci
        called = names[row] if names is not None else "" if loci is None else place(loci, row)
        return f"row {row:,}{f', {called}' if called else ''}"


def page_name(target: int | None) -> str:
    """Return the name of the page of one of several targets that was asked for; None for a page without a choice.

    Examples
    --------
    >>> page_name(None), page_name(1)
    ('report.html', 'report.target_1.html')
    """
    return f"report{target_suffix(target)}.html"


def place(loci: Loci, row: int) -> str:
    """Return a locus as a genome browser takes it."""
    return f"{loci.chrom[row]}:{loci.start[row]}-{loci.end[row]}"


def row_columns(results: Results) -> dict[str, Any]:
    """Return the columns with which a table of rows begins: their numbers and, if there are any, names and places."""
    n, names, loci = len(results), results.row_names, results.loci
    columns: dict[str, Any] = {"row": np.arange(n)}
    if names is not None:
        columns["name"] = list(names)
    if loci is not None:
        columns["locus"] = [place(loci, row) for row in range(n)]
    return columns


def describe_run(results: Results, target: int | None = None) -> dict[str, str]:
    """Return what was computed: model, method with its arguments, data and versions, as the manifest has them."""
    manifest = results.manifest
    told = [
        f"{name} = {_short(value)}"
        for name, value in manifest.method.items()
        if name != "name" and value not in (None, False, [], {}) and USUAL.get(name) != value
    ]
    terms = {"model": f"`{manifest.model.get('class', 'unknown')}`"}
    if "weights" in manifest.model:
        terms["weights"] = f"`{_short(manifest.model['weights'])}`"
    terms["method"] = f"`{manifest.method.get('name', 'unknown')}`" + (f": {', '.join(told)}" if told else "")
    targets = count_targets(results) if "attributions" in results else None
    if targets is not None:
        terms["target of this page"] = f"{target or 0} of {targets}, counted from 0"
    terms["data"] = f"{len(results):,} rows, fingerprint `{_short(manifest.data)}`"
    terms["begun with"] = ", ".join(f"{name} {number}" for name, number in manifest.versions.items())
    terms["folder"] = f"`{results.path.name}`"
    return terms


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def browser_urls(assembly: str | None) -> dict[str, str]:
    """Return where loci link to."""
    return {} if assembly is None else {"locus": BROWSER.format(assembly=quote(assembly, safe=""))}
