"""The sections of the page of a run of predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqlight.report.blocks import Block, Callout, Numbers, Picture, Section, Terms, Text
from seqlight.report.data_table import DataTable
from seqlight.report.distributions import histograms
from seqlight.report.reported_run import browser_urls, describe_run, row_columns
from seqlight.report.seqlet_sections import file_section
from seqlight.results.results import Results

# More columns than these are not drawn, and not in the table.
MOST_COLUMNS = 9


def make_sections(results: Results, page: Path, assembly: str | None = None) -> list[Section]:
    """Return all sections, in order."""
    outputs, left_out = output_columns(results)
    rows = f"{len(results):,} rows"
    model = str(results.manifest.model.get("class", "the model")).rpartition(".")[2]
    shapes = {name: " x ".join(f"{size:,}" for size in results[name].shape[1:]) or "a number" for name in results.names}
    numbers = {"rows": f"{len(results):,}", **{f"{name}, of a row": shape for name, shape in shapes.items()}}
    summary: list[Block] = [Callout(f"What `{model}` predicts for {rows}."), Numbers(numbers)]
    broken = sum(int((~np.isfinite(values)).sum()) for values in outputs.values())
    if broken:
        summary.append(Callout(f"{broken:,} of these numbers are not finite.", "bad"))
    summary.append(Terms(describe_run(results)))
    sections = [Section("In short", summary)]
    if outputs:
        sections.append(Section("Outputs", _output_blocks(results, outputs, left_out, assembly)))
    return [*sections, file_section(results.path, page)]


def output_columns(results: Results) -> tuple[dict[str, NDArray[np.float64]], int]:
    """Return the outputs as columns of one number for each row, and how many columns were left out.

    An output with further dimensions, such as a profile, becomes its mean over all beyond the first.
    """
    columns: dict[str, NDArray[np.float64]] = {}
    left_out = 0
    for name in results.names:
        column = results[name]
        width = column.shape[1] if column.ndim > 1 else 1
        taken = min(width, MOST_COLUMNS - len(columns))
        left_out += width - taken
        if taken <= 0:
            continue
        found = np.concatenate([_means(block, taken) for block in column.blocks()])
        mean = "mean of " if column.ndim > 2 else ""
        for k in range(taken):
            columns[f"{mean}{name}" if width == 1 else f"{mean}{name} {k}"] = found[:, k]
    return columns, left_out


def _means(block: NDArray[Any], width: int) -> NDArray[np.float64]:
    """Return the first columns of some rows, each the mean over what is beyond; shape (rows, width)."""
    some = block.reshape(len(block), -1, *block.shape[2:])[:, :width]
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(some.reshape(len(block), width, -1).mean(axis=2, dtype=np.float64))


def _output_blocks(
    results: Results, outputs: dict[str, NDArray[np.float64]], left_out: int, assembly: str | None
) -> list[Block]:
    table = pd.DataFrame(row_columns(results) | outputs)
    first = next(iter(outputs))
    # The rows with the largest outputs come first; a click on a name sorts by another one.
    table = table.sort_values(first, ascending=False, kind="stable", ignore_index=True)
    caption = (
        f"All rows, those with the largest {first} first. Click on a name to sort; type words to filter, or conditions "
        "such as row=17."
    )
    blocks: list[Block] = [
        Picture(histograms(outputs), "The distribution of the outputs."),
        DataTable(table, caption, urls=browser_urls(assembly)),
    ]
    if left_out:
        blocks.append(Text(f"{left_out:,} more columns are in the results, and not in this page."))
    return blocks
