"""The pictures of the study by operation."""

from __future__ import annotations

import math
from collections.abc import Collection

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from operation_families import GROUPS, family, group

# The columns of tiles of each implementation, and the kinds of spellings in each.
COLUMNS = {
    "module": ("module",),
    "call": ("function", "method", "operator"),
    "in place": ("in place",),
    "subclass": ("subclass",),
    "used twice": ("reused",),
    "behind ReLU": ("behind a ReLU",),
}
# From what is right to what is wrong, readable for colour-blind readers.
MISS = LinearSegmentedColormap.from_list("miss", ["#E8F1F7", "#9CC5DF", "#F6C17F", "#D55E00", "#7A2300"])
NORM = LogNorm(1e-9, 1)
# What matters most is what a user would not notice.
WORST = ("wrong in silence", "error", "refused", "wrong and warned", "approximate", "complete")
BAR_COLORS = {
    "complete": "#9CC5DF",
    "approximate": "#D6E6F0",
    "wrong and warned": "#F6C17F",
    "wrong in silence": "#B33A00",
    "refused": "0.75",
    "error": "0.45",
}
# A picture for each of these groups of rows: all in one would be too small to read.
PICTURES = {"operations": GROUPS[:3], "operations_of_two": GROUPS[3:7], "operations_of_one": GROUPS[7:]}
# Marks on tiles with a larger miss are white.
DARK = 3e-3


def draw_operations(cells: pd.DataFrame, titles: dict[str, str], groups: Collection[str]) -> Figure:
    """Draw a row of tiles for each operation: the colour is the worst miss, the mark what a user notices."""
    rows = [one for one in list_rows(cells) if one[0] in groups]
    # Of about the width of a page, so that it is shown in its own size.
    figure = Figure(figsize=(8.2, 0.205 * len(rows) + 2.6), layout="constrained")
    ax = figure.subplots()
    draw_panel(ax, rows, find_worst(cells), titles)
    bar = figure.colorbar(
        ScalarMappable(NORM, MISS), ax=ax, location="bottom", shrink=0.7, aspect=40, pad=0.01, extend="both"
    )
    bar.set_label("largest miss of the spellings of a tile,\nas a share of the mean output difference")
    marks = [
        Line2D([], [], ls="", marker="o", ms=5, color="k", label="wrong in silence"),
        Line2D([], [], ls="", marker="o", ms=5, mfc="none", color="k", label="wrong and warned"),
        Line2D([], [], ls="", marker="_", ms=7, color="0.5", label="refused"),
        Line2D([], [], ls="", marker="x", ms=5, color="0.3", label="error"),
    ]
    figure.legend(handles=marks, loc="outside upper center", ncols=4, frameon=False, fontsize=10)
    return figure


def list_rows(cells: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the rows, each with its group; a group begins with a row of its own, whose name is empty."""
    groups: dict[str, dict[str, None]] = {one: {} for one in GROUPS}
    seen = set()
    for operation in cells["operation"].unique():
        row = family(operation)
        if row not in seen:
            seen.add(row)
            groups[group(row, operation)][row] = None
    return [(name, row) for name, found in groups.items() for row in ["", *sorted(found, key=str.lower)]]


def find_worst(cells: pd.DataFrame) -> dict[tuple[str, str, str], tuple[str, float]]:
    """Return the worst verdict and the largest miss by row, implementation and column."""
    column = {kind: name for name, kinds in COLUMNS.items() for kind in kinds}
    keys = [cells["operation"].map(family), cells["implementation"], cells["kind"].map(column)]
    found = {}
    for key, tile in cells.groupby(keys):
        verdict = next(one for one in WORST if (tile["verdict"] == one).any())
        found[key] = verdict, float(tile["miss"].max())
    return found


def draw_panel(
    ax: Axes,
    rows: list[tuple[str, str]],
    worst: dict[tuple[str, str, str], tuple[str, float]],
    titles: dict[str, str],
) -> None:
    step = len(COLUMNS) + 0.8
    for y, (name, row) in enumerate(rows):
        if not row:
            ax.text(-0.3, y + 0.75, name, ha="right", va="bottom", fontsize=9, weight="bold")
            continue
        ax.text(-0.3, y + 0.5, row, ha="right", va="center", fontsize=8.5)
        for i, implementation in enumerate(titles):
            for j, column in enumerate(COLUMNS):
                if (row, implementation, column) in worst:
                    draw_tile(ax, i * step + j, y, *worst[row, implementation, column])
    for i, title in enumerate(titles.values()):
        lines = title.replace("'s ", "'s\n").replace("integrated gradients", "IG")
        ax.text(i * step + len(COLUMNS) / 2, -4.2, lines, ha="center", va="bottom", fontsize=8.5, weight="bold")
        for j, column in enumerate(COLUMNS):
            ax.text(i * step + j + 0.5, -0.15, column, ha="center", va="bottom", rotation=90, fontsize=8)
    ax.set(xlim=(-0.1, step * len(titles)), ylim=(len(rows), -6))
    ax.axis("off")


def draw_tile(ax: Axes, x: float, y: float, verdict: str, miss: float) -> None:
    color = "white" if math.isnan(miss) else MISS(NORM(min(max(miss, 1e-9), 1)))
    ax.add_patch(Rectangle((x + 0.04, y + 0.08), 0.92, 0.84, fc=color, ec="0.85", lw=0.4))
    ink = "white" if miss > DARK else "k"
    if verdict in ("wrong in silence", "wrong and warned"):
        ax.plot(x + 0.5, y + 0.5, "o", mfc=ink if verdict == "wrong in silence" else "none", color=ink, ms=3, mew=0.7)
    if verdict in ("refused", "error"):
        marker, size = ("_", 4) if verdict == "refused" else ("x", 3)
        ax.plot(x + 0.5, y + 0.5, marker, color="0.4" if math.isnan(miss) else ink, ms=size, mew=0.8)


def draw_spellings(cells: pd.DataFrame, titles: dict[str, str]) -> Figure:
    """Draw, for each implementation and each way to write an operation, which share of cases has which verdict."""
    figure = Figure(figsize=(15, 3.4), layout="constrained")
    axes = figure.subplots(1, len(titles), sharey=True)
    kinds = list(cells["kind"].unique())
    kinds = [one for names in COLUMNS.values() for one in names if one in kinds]
    for ax, (name, title) in zip(axes, titles.items(), strict=True):
        counts = cells[cells["implementation"] == name].groupby(["kind", "verdict"]).size().unstack(fill_value=0)
        shares = counts.div(counts.sum(axis=1), axis=0).reindex(kinds)
        left = pd.Series(0.0, index=kinds)
        for verdict, color in BAR_COLORS.items():
            if verdict in shares:
                ax.barh(kinds, shares[verdict], left=left, color=color, height=0.75)
                left += shares[verdict]
        ax.set(xlim=(0, 1), title=title)
        ax.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.tick_params(length=0)
    axes[0].invert_yaxis()
    handles = [Rectangle((0, 0), 1, 1, color=color, label=name) for name, color in BAR_COLORS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    return figure
