"""Compare seqlet callers with each other, with sites at known places, and where there is nothing to find.

Usage: ``python benchmarks/study_seqlets.py``; ``--page`` only draws what is stored.
Writes results/study_seqlets.json, docs/studies/images/seqlets.png and the numbers in docs/studies/seqlets.md.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pages import BLUE, GREEN, ORANGE, PINK
from suite_tables import to_markdown, update_study

from seqlight.studies.suites.seqlet_callers import TANGERMEME_TFMODISCO
from seqlight.studies.suites.seqlets import SUITE

# What is drawn, by caller; callers with the same calls are drawn once.
SHOWN = {
    "recursive_seqlets": (BLUE, "recursive_seqlets and tangermeme's, p < 0.01"),
    "recursive_seqlets at a rate": (GREEN, "the same, with a control, at 10 %"),
    "tfmodisco_seqlets": (PINK, "tfmodisco_seqlets and modisco-lite"),
    TANGERMEME_TFMODISCO: (ORANGE, TANGERMEME_TFMODISCO),
}


def table(tables: dict[str, pd.DataFrame]) -> str:
    """Return the numbers as Markdown."""
    agreement = tables["agreement"]
    parts = ["Callers that promise the same, over all tracks. Processor time is ours over that of the other:\n"]
    parts.append(to_markdown(pd.DataFrame([summary(rows) for _, rows in agreement.groupby("other", sort=False)])))
    parts.append("Calls in the manner of TF-MoDISco:\n")
    parts.append(to_markdown(windows_called(agreement)))
    parts.append("Against the sites that are known:\n")
    recovery = tables["recovery"]
    recovery = recovery[recovery["caller"].isin(SHOWN)].drop(columns="error")
    parts.append(to_markdown(recovery, dict.fromkeys(("recall", "precision", "iou", "false"), ".2f")))
    parts.append("In noise without a site, where every call is false:\n")
    null = tables["null"][tables["null"]["caller"].isin(SHOWN)].drop(columns="error")
    names = {"calls": "calls in 10,000 positions", "any": "replicates with a call"}
    formats = {"calls in 10,000 positions": ".2f", "replicates with a call": ".2f"}
    parts.append(to_markdown(null.rename(columns=names), formats))
    return "\n".join(parts)


def summary(rows: pd.DataFrame) -> dict[str, object]:
    """Return how well a pair of callers agrees over all tracks."""
    same = (rows["calls"] == rows["common"]) & (rows["calls_of_other"] == rows["common"])
    times = sorted(rows["seconds"] / rows["seconds_of_other"])
    return {
        "caller": rows["caller"].iloc[0],
        "other": rows["other"].iloc[0],
        "tracks with the same calls": f"{same.sum()} of {len(same)}",
        "calls": rows["calls"].sum(),
        "calls of the other": rows["calls_of_other"].sum(),
        "in common": rows["common"].sum(),
        "processor time": f"{times[0]:.2f} to {times[-1]:.2f}",
    }


def windows_called(agreement: pd.DataFrame) -> pd.DataFrame:
    """Return how many windows each caller calls in each track."""
    rows = agreement[agreement["caller"] == "tfmodisco_seqlets"]
    called = rows.pivot(index="track", columns="other", values="calls_of_other")
    called = called[rows["other"].drop_duplicates()].loc[rows["track"].drop_duplicates()]
    called.insert(0, "tfmodisco_seqlets", rows.drop_duplicates("track").set_index("track")["calls"])
    return called.reset_index()


def draw(tables: dict[str, pd.DataFrame]) -> Figure:
    figure = Figure(figsize=(14, 6), layout="constrained")
    recall, precision, null = figure.subplots(1, 3)
    draw_bars(recall, tables["recovery"], "track", "recall", "share of the sites that is found")
    draw_bars(precision, tables["recovery"], "track", "false", "share of the calls that is on no site")
    draw_bars(null, tables["null"], "noise", "calls", "false calls in 10,000 positions of noise")
    precision.set_yticklabels([])
    handles, labels = recall.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False)
    return figure


def draw_bars(ax: Axes, rows: pd.DataFrame, group: str, column: str, label: str) -> None:
    groups = list(dict.fromkeys(rows[group]))
    for i, (caller, (color, name)) in enumerate(SHOWN.items()):
        values = rows[rows["caller"] == caller].set_index(group).loc[groups, column].astype(float)
        ax.barh(np.arange(len(groups)) + 0.2 * (i - 1.5), values, 0.18, color=color, label=name)
    ax.set_yticks(range(len(groups)), [name.replace(" (", "\n(").replace("network, ", "network,\n") for name in groups])
    ax.invert_yaxis()
    ax.set_xlabel(label)


if __name__ == "__main__":
    update_study(SUITE, ("seqlight", "tangermeme", "modisco-lite", "torch", "numpy"), draw, table)
