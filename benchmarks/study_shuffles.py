"""Compare shuffles with the complete list of what they could draw.

Usage: ``python benchmarks/study_shuffles.py``; ``--page`` only draws what is stored.
Writes results/study_shuffles.json, docs/studies/images/shuffles.png and the numbers in docs/studies/shuffles.md.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pages import BLUE, GREEN, ORANGE
from suite_tables import to_markdown, update_study

from seqlight.studies.suites.shuffles import SUITE

COLORS = {"dinucleotide_shuffle": BLUE, "uniform": GREEN, "shuffle": "0.6"}


def table(tables: dict[str, pd.DataFrame]) -> str:
    """Return the numbers as Markdown."""
    paired, unpaired = tables["dinucleotide_shuffle"], tables["shuffle"]
    p_values = {"p": ".2f", "p, pairs": ".2f"}
    kept = "that keep last exits"
    rows = [
        {
            "sequence": f"`{row.sequence}`",
            "possible": row.possible,
            "by the BEST theorem": row.by_theorem,
            kept: row.reachable,
            "seqlight": number_found(paired, row.sequence, "seqlight"),
            "tangermeme": number_found(paired, row.sequence, "tangermeme"),
            "uniform": number_found(paired, row.sequence, "uniform"),
        }
        for row in paired.drop_duplicates("sequence").itertuples()
    ]
    lines = ["Distinct dinucleotide shuffles among the draws:\n", to_markdown(pd.DataFrame(rows))]
    tested = paired[paired["draws"] > 0].rename(columns={"p_reachable": "p", "p_pairs": "p, pairs"})
    shown = join_equal(tested, ["p", "p, pairs", "distance"])
    lines.append(
        "How uniform the draws are among those that a sampler can reach (p-values of chi-square), and the total"
    )
    lines.append("variation distance from uniform over all that are possible:\n")
    columns = ["sequence", "sampler", "draws", "p", "p, pairs", "distance"]
    lines.append(to_markdown(shown[columns], {**p_values, "draws": ",.0f", "distance": ".2f"}))
    lines.append("Shuffles of the letters alone:\n")
    columns = ["sequence", "sampler", "possible", "found", "draws", "p"]
    lines.append(to_markdown(unpaired.rename(columns={"p_possible": "p"})[columns], {**p_values, "draws": ",.0f"}))
    lines.append("How often a position of an E. coli window of 60 has its own letter again:\n")
    same = tables["positions"].pivot(index=["end", "place"], columns="sampler", values="same")
    ends = same[same.index.get_level_values("place") < 6].reset_index()
    ends["position"] = [f"{row.place + 1} from the {row.end}" for row in ends.itertuples()]
    lines.append(to_markdown(ends[["position", *COLORS]], dict.fromkeys(COLORS, ".2f")))
    return "\n".join(lines)


def join_equal(rows: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return one row in place of two where tangermeme's numbers are ours, as they are of equal draws."""
    ours = rows["sampler"].str.startswith("seqlight")
    peer = rows.assign(sampler=rows["sampler"].str.replace("tangermeme", "seqlight")).drop_duplicates(
        ["sequence", "draws", "sampler", *columns], keep=False
    )
    joined = ours & ~rows.index.isin(peer.index)
    named = rows.assign(
        sampler=rows["sampler"].str.replace("seqlight", "seqlight and tangermeme").where(joined, rows["sampler"])
    )
    return named[named.index.isin(peer.index) | joined]


def number_found(paired: pd.DataFrame, sequence: str, sampler: str) -> str:
    """Return how many distinct shuffles a sampler found, "an error" added where one of its two ways refuses."""
    rows = paired[(paired["sequence"] == sequence) & paired["sampler"].str.startswith(sampler)]
    found = sorted({int(one) for one in rows["found"].dropna()})
    refused = ["an error in one call"] if (rows["draws"] == 0).any() else []
    return ", ".join([*map(str, found), *refused])


def draw(tables: dict[str, pd.DataFrame]) -> Figure:
    figure = Figure(figsize=(13, 4.6), layout="constrained")
    shares, *ends = figure.subplots(1, 3, width_ratios=(1.5, 1, 1))
    draw_shares(shares, tables["dinucleotide_shuffle"])
    for ax, end in zip(ends, ("first", "last"), strict=True):
        rows = tables["positions"][tables["positions"]["end"] == end]
        for name, color in COLORS.items():
            one = rows[rows["sampler"] == name]
            ax.plot(one["place"] + 1, one["same"], "o-", ms=4, color=color, label=name)
        ax.set_xticks(range(2, 13, 2))
        ax.set(ylim=(0, 1.05), xlabel=f"position, from the {end} one", title=f"E. coli windows, {end} positions")
    ends[0].set_ylabel("share of shuffles with the letter of the sequence")
    ends[1].invert_xaxis()
    ends[0].legend(frameon=False)
    return figure


def draw_shares(ax: Axes, paired: pd.DataFrame) -> None:
    sequences = list(dict.fromkeys(paired["sequence"]))
    kinds = {"seqlight": ("seqlight, a seed each", BLUE), "tangermeme": ("tangermeme, a seed each", ORANGE)}
    kinds["uniform"] = ("uniform", GREEN)
    for i, (label, (sampler, color)) in enumerate(kinds.items()):
        rows = paired[paired["sampler"] == sampler].set_index("sequence").loc[sequences]
        share = rows["found"].astype(float) / rows["possible"]
        ax.barh(np.arange(len(sequences)) + 0.27 * (i - 1), share, 0.25, color=color, label=label)
    ax.set_yticks(range(len(sequences)), sequences, family="monospace")
    ax.invert_yaxis()
    ax.set(xlabel="share of the possible dinucleotide shuffles that is ever drawn", xlim=(0, 1))
    ax.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1))


if __name__ == "__main__":
    update_study(SUITE, ("seqlight", "tangermeme", "torch", "numpy"), draw, table)
