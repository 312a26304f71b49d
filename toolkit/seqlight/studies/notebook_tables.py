"""What a notebook shows of a study, before it is run and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seqlight.notebook.markup import html_lines, html_table

if TYPE_CHECKING:
    from seqlight.studies.results import StudyResults
    from seqlight.studies.study import Study

# Longer tables are cut.
MOST_ROWS = 30


def describe_study(study: Study) -> str:
    """Return what a study will ask, in a line; no model is made."""
    models, asked = (f"{len(some)} {what}{'s' * (len(some) != 1)}" for some, what in (
        (study.cases, "model"), (study.implementations, "implementation")))  # fmt: skip
    return f"Study of {models} by {asked} in {', '.join(study.dtypes)}: run(out) computes it"


def study_html(study: Study) -> str:
    """Return what a study will ask, as HTML."""
    rows = [[name, *_sizes(case.X.shape)] for name, case in study.cases.items()]
    names = ", ".join(one.name for one in study.implementations)
    lines = [describe_study(study), f"implementations: {names}", f"seed {study.random_state}"]
    return html_lines(lines) + _cut_table(["model", "rows", "letters x positions"], rows)


def _sizes(shape: Sequence[int]) -> list[Any]:
    return [shape[0], " x ".join(map(str, shape[1:]))]


def results_html(results: StudyResults, records: Mapping[tuple[str, str, str], Mapping[str, Any] | None]) -> str:
    """Return what became of each cell, as HTML, from its record alone: no array is read.

    Parameters
    ----------
    results : StudyResults
    records : mapping
        The record of each cell, by model, implementation and dtype; None where it was not computed yet.
    """
    done = sum(one is not None for one in records.values())
    lines = [
        f"StudyResults in {results.folder}: {done} of {len(records)} cells",
        "explain() says whom to believe, cells is the table with all numbers, page() writes a page",
    ]
    rows = [
        [*which, "not computed" if one is None else one["status"], None if one is None else one.get("seconds")]
        for which, one in records.items()
    ]
    return html_lines(lines) + _cut_table(["model", "implementation", "dtype", "status", "seconds"], rows)


def _cut_table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    left = len(rows) - MOST_ROWS
    more = f"<p>and {left} more</p>" if left > 0 else ""
    return html_table(names, rows[:MOST_ROWS]) + more
