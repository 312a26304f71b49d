"""Ask how much attributions depend on the references, and how many of them they need.

Usage: ``python benchmarks/study_references.py``; ``--page`` only draws what is stored.
Writes results/study_references.json, docs/studies/images/references.png and the numbers in docs/studies/references.md.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pages import BLUE, GREEN, ORANGE
from suite_tables import to_markdown, update_study

from seqlight.studies.suites.references import SUITE

MARKS = {"dinucleotide shuffle": (BLUE, "o"), "shuffle": (GREEN, "s"), "other sequences": (ORANGE, "^")}


def table(tables: dict[str, pd.DataFrame]) -> str:
    """Return the numbers as Markdown."""
    names = {
        "rank_r": "rank r",
        "sign_flips": "other sign",
        "top_overlap": "top in common",
        "motif_share": "in motifs",
        "motif_recall": "motif recall",
        "output": "output of references",
    }
    likeness = tables["likeness"].rename(columns=names)
    formats = {"r": ".3f", **dict.fromkeys(names.values(), ".2f")}
    parts = ["Likeness to attributions against dinucleotide shuffles, and what is in the motifs:\n"]
    parts.append(to_markdown(likeness, formats))
    names = {
        "chosen": "n_shuffles",
        "references_median": "references",
        "standard_error": "standard error",
        "needed_5": "for 5 %",
        "needed_1": "for 1 %",
    }
    count = tables["count"].rename(columns=names)
    percent = dict.fromkeys(("standard error", "distance", "unfinished"), ".0%")
    columns = [
        "network",
        "references_kind",
        "n_shuffles",
        "references",
        "standard error",
        "distance",
        "for 5 %",
        "for 1 %",
    ]
    count.insert(1, "references_kind", tables["count"]["references"])
    count = count.loc[:, ~count.columns.duplicated(keep="last")]
    shown = count[columns].rename(columns={"references_kind": "kind"})
    parts.append("How many references the median sequence gets, and what is left:\n")
    parts.append(to_markdown(shown, {**percent, "references": ".0f", "for 5 %": ",.0f", "for 1 %": ",.0f"}))
    return "\n".join(parts)


def draw(tables: dict[str, pd.DataFrame]) -> Figure:
    pairs = tables["pairs"]
    networks = list(dict.fromkeys(pairs["network"]))
    figure = Figure(figsize=(11, 9.5), layout="constrained")
    *heatmaps, curves = figure.subplots(2, 2).flat
    for i, (ax, network) in enumerate(zip(heatmaps, networks, strict=True)):
        draw_pairs(ax, pairs[pairs["network"] == network], network, named=i % 2 == 0)
    draw_counts(curves, tables["count"])
    return figure


def draw_pairs(ax: Axes, pairs: pd.DataFrame, title: str, named: bool) -> None:
    order = list(dict.fromkeys(pairs["references"]))
    r = pairs.pivot(index="references", columns="others", values="r").loc[order, order].to_numpy(dtype=float)
    ax.imshow(r, vmin=0, vmax=1, cmap="Blues")
    for (i, j), value in np.ndenumerate(r):
        ax.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=8, color="w" if value > 0.6 else "k")
    ax.set_xticks(range(len(order)), order, rotation=40, ha="right", fontsize=8)
    ax.set_yticks(range(len(order)), order if named else [], fontsize=8)
    ax.set_title(f"{title}: Pearson's r", fontsize=10)


def draw_counts(ax: Axes, count: pd.DataFrame) -> None:
    """Draw the standard error against the number of references, and the distance that is left, hollow."""
    networks = list(dict.fromkeys(count["network"]))
    for (network, kind), rows in count.groupby(["network", "references"], sort=False):
        color, mark = MARKS[str(kind)]
        n = np.geomspace(10, 1e5, 50)
        needed = float(rows["needed_5"].iloc[0])
        ax.plot(n, 0.05 * np.sqrt(needed / n), color=color, lw=0.8, ls=("-", "--", ":")[networks.index(network)])
        ax.plot(rows["references_median"], rows["distance"], mark, color=color, mfc="w", ms=5)
    for share in (0.05, 0.01):
        ax.axhline(share, color="0.6", lw=0.8)
        ax.annotate(f"{share:.0%}", (1e5, share), ha="right", va="bottom", color="0.4")
    ax.set(xscale="log", yscale="log", xlabel="references of each sequence", ylim=(0.003, 1))
    ax.set_title("standard error (lines) and distance (marks)", fontsize=10)
    handles = [ax.plot([], [], mark, color=color, mfc="w", label=kind)[0] for kind, (color, mark) in MARKS.items()]
    styles = ("-", "--", ":")
    handles += [ax.plot([], [], ls, color="0.3", label=name)[0] for name, ls in zip(networks, styles, strict=True)]
    ax.legend(handles=handles, frameon=False, fontsize=8)


if __name__ == "__main__":
    update_study(SUITE, ("seqlight", "torch", "numpy"), draw, table)
