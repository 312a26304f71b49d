"""The section of a report on hidden layers: which share of the output differences goes through each module."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from seqlight.plot.ledger_bars import plot_ledger
from seqlight.report.blocks import Block, Picture, Section, Text
from seqlight.report.data_table import DataTable
from seqlight.report.reported_run import ReportedRun

MOST_BARS = 60
WIDTH, ROW, REST = 11.0, 0.21, 0.9  # in inches


def layer_section(run: ReportedRun) -> Section:
    """Return the ledger of a run, as bars and as a table."""
    table = run.results.ledger
    if "target" in table:
        table = table[table["target"] == (run.target or 0)].drop(columns="target")
    blocks: list[Block] = []
    if np.isfinite(table["share"]).all():
        n = min(len(table), MOST_BARS)
        figure = Figure(figsize=(WIDTH, REST + ROW * n), layout="constrained")
        plot_ledger(table, figure.subplots(), top=MOST_BARS)
        which = "" if n == len(table) else f" The {n} of {len(table)} rows with the largest shares."
        caption = (
            "The share of the output differences that goes through each module, in the order of the calls; lines are "
            f"standard errors over references.{which}"
        )
        blocks.append(Picture(figure, caption))
    else:
        blocks.append(Text("Outputs do not differ from those of the references, so nothing has a share."))
    blocks.append(DataTable(table, "Layers, as ledger.tsv has them. complete: everything goes through it."))
    return Section("What every layer contributes", blocks)
