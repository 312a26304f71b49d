"""The pictures of the study by architecture."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from pages import BLUE, GREEN, ORANGE, PINK

# From what is right to what is wrong, readable for colour-blind readers; up to 5 % it stays pale.
MISS = LinearSegmentedColormap.from_list(
    "miss",
    [(0, "#CFE3EF"), (0.46, "#E8F1F7"), (0.7, "#FAE7CC"), (0.75, "#F6C17F"), (0.87, "#D55E00"), (1, "#7A2300")],
)
NORM = LogNorm(1e-6, 3)
DARK = 0.25
MARKS = {"wrong in silence": "●", "wrong and warned": "○", "approximate": "≈"}
COLORS = {
    "seqlight": "k",
    "tangermeme": BLUE,
    "captum-deeplift": ORANGE,
    "shap": GREEN,
    "captum-integrated-gradients": PINK,
}


def draw_matrix(cells: pd.DataFrame, results: dict[str, Any]) -> Figure:
    """Draw a tile for each implementation and model: the colour and the number are the miss, the mark the verdict."""
    panels = {state: list(dict.fromkeys(cells["architecture"][cells["state"] == state])) for state in STATES}
    # No wider than that, so that its letters can be read on a page.
    figure = Figure(figsize=(11.5, 11.5), layout="constrained")
    heights = (len(panels["untrained"]), len(panels["matrix"]))
    grid = figure.subplot_mosaic([["untrained", "trained"], ["matrix", "key"]], height_ratios=heights)
    for state, names in panels.items():
        of_state = cells[cells["state"] == state].set_index(["architecture", "implementation"])
        draw_panel(grid[state], of_state, names, results)
        grid[state].set_title(STATES[state], fontsize=12, pad=8)
    grid["key"].axis("off")
    bar = figure.colorbar(
        ScalarMappable(NORM, MISS),
        cax=grid["key"].inset_axes((0.05, 0.3, 0.9, 0.07)),
        orientation="horizontal",
        extend="both",
    )
    bar.set_label("miss, as a share of the mean output difference (float64)")
    marks = [
        Line2D([], [], ls="", marker="o", color="k", label="wrong, and silent"),
        Line2D([], [], ls="", marker="o", mfc="none", color="k", label="wrong, and warned"),
        Line2D([], [], ls="", marker="$≈$", ms=9, color="k", label="misses up to 5 %"),
    ]
    grid["key"].legend(handles=marks, loc="upper center", frameon=False, fontsize=11)
    return figure


STATES = {
    "untrained": "untrained",
    "trained": "trained on planted motifs",
    "matrix": "networks of a few lines",
}


def draw_panel(ax: Axes, cells: pd.DataFrame, names: list[str], results: dict[str, Any]) -> None:
    for y, name in enumerate(names):
        for x, implementation in enumerate(results["promise"]):
            draw_tile(ax, x, y, cells.loc[(name, implementation)])
    ax.set_yticks([y + 0.5 for y in range(len(names))], names, fontsize=9)
    labels = [short_title(results["implementations"][name]) for name in results["promise"]]
    ax.set_xticks([x + 0.5 for x in range(len(labels))], labels, fontsize=9)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.set(xlim=(0, len(labels)), ylim=(len(names), 0))
    ax.spines[:].set_visible(False)


def draw_tile(ax: Axes, x: int, y: int, cell: pd.Series[Any]) -> None:
    stopped = cell["outcome"] in ("refused", "error")
    miss = math.nan if stopped else float(cell["miss"])
    color = ("0.93" if cell["outcome"] == "refused" else "0.8") if stopped else MISS(NORM(min(max(miss, 1e-6), 3)))
    ax.add_patch(Rectangle((x + 0.03, y + 0.06), 0.94, 0.88, fc=color, ec="0.85", lw=0.4))
    text = cell["outcome"] if stopped else f"{miss:.0e}" if miss < 1e-3 else f"{miss:.2g}"
    mark = MARKS.get(cell["outcome"], "")
    style = "w" if miss > DARK else "k"
    ax.text(x + 0.5, y + 0.5, f"{text} {mark}".strip(), ha="center", va="center", fontsize=8, color=style)


def draw_numbers(cells: pd.DataFrame, results: dict[str, Any]) -> Figure:
    """Draw the miss against the correlation with ours, and the time, as a ratio to ours, against the miss."""
    figure = Figure(figsize=(13, 5.2), layout="constrained")
    likeness, times = figure.subplots(1, 2)
    ours = cells[(cells["implementation"] == "seqlight") & (cells["outcome"] == "complete")].set_index("model")
    for name in results["promise"][1:]:
        theirs = cells[(cells["implementation"] == name) & cells["model"].isin(ours.index) & (cells["status"] == "ok")]
        miss = theirs["miss"].clip(1e-16)
        silent = theirs["verdict"] == "silent"
        ratios = theirs["ms"] / ours["ms"].loc[theirs["model"]].to_numpy()
        title = short_title(results["implementations"][name]).replace("\n", " ")
        for some, face, label in ((silent, COLORS[name], title), (~silent, "none", None)):
            likeness.scatter(
                miss[some], theirs["r"][some], s=26, fc=face, ec=COLORS[name], alpha=0.75, lw=1, label=label
            )
            times.scatter(miss[some], ratios[some], s=26, fc=face, ec=COLORS[name], alpha=0.75, lw=1)
    for ax in (likeness, times):
        ax.set(xscale="log", xlabel="miss, as a share of the mean output difference")
        ax.spines[["top", "right"]].set_visible(False)
    likeness.set(ylabel="correlation with ours over positions (r)")
    likeness.legend(frameon=False, fontsize=9, title="open circles: warned", title_fontsize=9, loc="lower left")
    times.axhline(1, color="k", lw=0.8)
    times.set(yscale="log", ylabel="time of a call, as a multiple of ours")
    return figure


def short_title(title: str) -> str:
    return (
        title.replace("Captum's integrated gradients", "Captum\nIG")
        .replace("Captum's DeepLift", "Captum\nDeepLift")
        .replace("shap's DeepExplainer", "shap")
    )
