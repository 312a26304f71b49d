"""The sections of the page of a run of attributions, each a function of the run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqlight.attribution.layer_arrays import ledger_names
from seqlight.plot.interactive_logo import interactive_logo
from seqlight.plot.logo_page import InteractiveLogo
from seqlight.report.blocks import Block, Callout, Logos, Numbers, Picture, Section, Terms, Text, Tone
from seqlight.report.data_table import MOST_ROWS, DataTable
from seqlight.report.distributions import attribution_profile, histograms
from seqlight.report.layer_sections import layer_section
from seqlight.report.reported_run import ReportedRun, browser_urls, describe_run, row_columns
from seqlight.report.row_statistics import RowStatistics
from seqlight.report.seqlet_sections import file_section, motif_section, seqlet_section
from seqlight.sequence.loci import Loci

# What attributions may miss, as a share of the output difference, and still be called complete; the default of
# `warning_threshold`. From LARGE_MISS on they are called wrong.
SMALL_MISS, LARGE_MISS = 1e-3, 0.05
# The relative standard error that references should reach, the default of `tolerance`.
TOLERANCE = 0.1
# Longer sequences are shown at first around their strongest part.
VIEW, ROOM = 160, 15
# The identifier before the name of a motif of JASPAR, for which bars have no room.
JASPAR_ID = r"^MA\d+\.\d+ "
MOTIF_Q_VALUE = 0.05  # seqlets that resemble their motif less have no label
LOGO_HEIGHT = 150  # in pixels
POINTER = "Point at a letter to see its numbers; drag to move, and zoom with the buttons or with Ctrl and the wheel."


def make_sections(run: ReportedRun) -> list[Section]:
    """Return all sections, in order."""
    sections = [summary_section(run)]
    if run.strongest:
        sections.append(logo_section(run))
    if ledger_names(run.results):
        sections.append(layer_section(run))
    sections += [seqlet_section(run), motif_section(run), reference_section(run), row_section(run)]
    return [*sections, file_section(run.results.path, run.page)]


def summary_section(run: ReportedRun) -> Section:
    """Return whether attributions are complete, and what was computed."""
    rows, length = len(run.results), run.results["attributions"].shape[-1]
    text, tone = _completeness(run.statistics)
    numbers = {"rows": f"{rows:,}", "positions": f"{length:,}"}
    n = run.statistics.references
    if n.any():
        low, high = int(n[n > 0].min()), int(n.max())
        numbers["references a row"] = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    if run.seqlets is not None:
        numbers["seqlets"] = f"{len(run.seqlets):,}"
    if run.files.motifs:
        numbers["motifs"] = f"{len(run.files.motifs):,}"
    blocks: list[Block] = [Callout(text, tone), Numbers(numbers)]
    blocks += [Callout(one, "bad") for one in run.files.faults]
    broken = int((~run.statistics.finite).sum())
    if broken:
        blocks.append(Callout(f"Attributions of {broken:,} rows are not finite; they are not drawn.", "bad"))
    return Section("In short", [*blocks, Terms(describe_run(run.results, run.target))])


def _completeness(statistics: RowStatistics) -> tuple[str, Tone]:
    """Return a sentence on the sums of attributions, and its tone."""
    missed = statistics.missed[np.isfinite(statistics.missed)]
    if not len(missed):
        return "Whether attributions are complete is not known: the run kept no deltas.", "plain"
    worst = float(missed.max())
    share = f"{worst:.1%}" if worst >= SMALL_MISS else f"{worst:.0e}" if worst else "nothing"
    if worst <= SMALL_MISS:
        return f"Attributions sum to the differences of outputs: at worst they miss {share} of them.", "good"
    many = int((missed > SMALL_MISS).sum())
    return (
        f"Attributions of {many:,} of {len(missed):,} rows miss more than {SMALL_MISS:.1%} of the difference of "
        f"outputs, at worst {share}: `seqlight audit` says which operation loses it.",
        "bad" if worst > LARGE_MISS else "fair",
    )


def logo_section(run: ReportedRun) -> Section:
    """Return where attribution lies, and logos of some rows."""
    blocks: list[Block] = [
        Picture(attribution_profile(run.statistics.profile), "The mean absolute attribution of each position.")
    ]
    if run.alphabet is None:
        letters = run.results["attributions"].shape[-2]
        blocks.append(Text(f"The letters of {letters} rows are not known, so no logos are drawn: give --alphabet."))
        return Section("What the model looks at", blocks)
    top = {run.anchors[row]: _logo(run, row) for row in run.strongest}
    blocks.append(Logos(top, f"The rows with the largest sums of absolute attributions. {POINTER}"))
    if run.random_rows:
        drawn = {run.anchors[row]: _logo(run, row) for row in run.random_rows}
        blocks.append(Logos(drawn, f"Of the others, {len(drawn)} drawn at random (seed {run.random_state})."))
    return Section("What the model looks at", blocks)


def _logo(run: ReportedRun, row: int) -> InteractiveLogo:
    values = np.asarray(run.results["attributions"][row])
    values = values if values.ndim == 2 else values[run.target or 0]
    loci = run.results.loci
    window = None if loci is None else Loci(*(one[row : row + 1] for one in loci))
    if window is not None and int(window.end[0] - window.start[0]) != values.shape[1]:
        window = None
    return interactive_logo(
        values,
        annotations=_annotations(run, row, values.shape[1]),
        locus=window,
        title=f"{run.label(row)}: output {run.statistics.outputs[row]:+.4g}",
        height=LOGO_HEIGHT,
        alphabet=run.alphabet or "ACGT",
        view=_view(np.abs(values.sum(axis=0))),
    )


def _view(track: NDArray[Any]) -> tuple[int, int] | None:
    """Return a window around what has the largest sum; None if the whole is not larger."""
    if len(track) <= VIEW:
        return None
    sums, core = np.cumsum(np.concatenate([[0.0], track])), VIEW - 2 * ROOM
    first = int(np.argmax(sums[core:] - sums[:-core]))
    inside = sums[first : first + core + 1] - sums[first]
    # What is strong lies in the middle of the window.
    ends = np.searchsorted(inside, [0.05 * inside[-1], 0.95 * inside[-1]])
    left = min(max(first + int(ends.sum()) // 2 - VIEW // 2, 0), len(track) - VIEW)
    return left, left + VIEW


def _annotations(run: ReportedRun, row: int, length: int) -> pd.DataFrame | None:
    """Return the seqlets of a row."""
    if run.seqlets is None:
        return None
    found = run.seqlets[run.seqlets["example_idx"] == row]
    table = found[["start", "end"]].assign(attribution=found.get("attribution", 0.0))
    if "motif" in found:
        sure = found.get("motif_q-value", pd.Series(0.0, found.index)) < MOTIF_Q_VALUE
        table["motif"] = found["motif"].fillna("").astype(str).where(sure, "").str.replace(JASPAR_ID, "", regex=True)
    # Flanks of seqlets may reach over the ends.
    return table.assign(start=table["start"].clip(0, length), end=table["end"].clip(0, length)).reset_index(drop=True)


def reference_section(run: ReportedRun) -> Section:
    """Return how well attributions are known."""
    found = run.statistics
    panels = {}
    blocks: list[Block] = []
    errors = found.errors[np.isfinite(found.errors)]
    if len(errors):
        enough = int((errors <= TOLERANCE).sum())
        blocks.append(
            Text(
                f"The standard error of attributions over references is {np.median(errors):.1%} of the attributions in "
                f"the median row, and at most {TOLERANCE:.0%} in {enough:,} of {len(errors):,} rows."
            )
        )
        panels["standard error (% of attributions)"] = 100 * found.errors
    else:
        baselines = found.baseline_errors[np.isfinite(found.baseline_errors)]
        known = (
            f" The mean output of the references of a row is known to {np.median(baselines):.1%} of the output "
            "difference in the median row."
            if len(baselines)
            else ""
        )
        blocks.append(Text(f"The run kept no standard errors of attributions.{known}"))
        if len(baselines):
            panels["standard error of the mean reference output (%)"] = 100 * found.baseline_errors
    spreads = found.spreads[np.isfinite(found.spreads)]
    if len(spreads):
        text = f"The models of the ensemble differ by {np.median(spreads):.1%} of the attributions in the median row."
        blocks.append(Text(text))
        panels["spread between models (% of attributions)"] = 100 * found.spreads
    if np.isfinite(found.missed).any():
        # Rounding is told by its magnitude.
        with np.errstate(divide="ignore"):
            panels["missed share of the output difference (log10)"] = np.log10(found.missed)
    if len(np.unique(found.references)) > 1:
        panels["references"] = found.references.astype(np.float64)
    if panels:
        blocks.append(Picture(histograms(panels), "How well the attributions of each row are known."))
    return Section("Convergence", blocks)


def row_section(run: ReportedRun) -> Section:
    """Return the distribution of outputs, and the table of all rows."""
    found, n = run.statistics, len(run.results)
    columns, loci = row_columns(run.results), run.results.loci
    if loci is not None and (loci.strand == "-").any():
        columns["strand"] = loci.strand
    columns |= {"output": found.outputs, "attribution": found.strengths, "largest at": found.peaks}
    if run.seqlets is not None:
        columns["seqlets"] = np.bincount(run.seqlets["example_idx"].astype(int), minlength=n)[:n]
    if np.isfinite(found.errors).any():
        columns["standard error (%)"] = 100 * found.errors
    if np.isfinite(found.missed).any():
        columns["missed (%)"] = 100 * found.missed
    table, which = pd.DataFrame(columns), "All rows."
    if n > MOST_ROWS:
        # A page does not hold more, so these are the ones to look at.
        table = table.sort_values("attribution", ascending=False, kind="stable", ignore_index=True)
        which = "Rows, those with the largest attributions first."
    caption = (
        f"{which} attribution: the sum of absolute attributions; largest at: the position of the largest. Click on a "
        "name to sort; type words to filter, or conditions such as output>0.5 or row=17."
    )
    links = {"row": {row: f"#{name}" for row, name in run.anchors.items()}}
    return Section(
        "All rows",
        [
            Picture(histograms({"output": found.outputs, "attribution": found.strengths}), "Rows by output."),
            DataTable(table, caption, links, browser_urls(run.assembly)),
        ],
    )
