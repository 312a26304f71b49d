"""The figures of a study: misses of all implementations on all models, against likeness and time, and logos."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from seqlight.plot.text import LITERAL_TEXT, legend_label
from seqlight.studies.report.judgement import Judgement, ModelJudgement
from seqlight.studies.report.phrases import as_correlation, as_power, as_seconds, as_share
from seqlight.studies.report.summaries import find_titles, group_judgements
from seqlight.studies.report.worst_sequence import plot_worst_sequence

__all__ = ["plot_likeness_and_time", "plot_misses", "plot_worst_sequence"]

GOOD_COLOR, MIDDLE_COLOR, BAD_COLOR = "#255C99", "#F4F1E8", "#D62839"
NO_COLOR = "#E4E8ED"
COLORS = ("#255C99", "#109648", "#D62839", "#8A5FA8", "#F7B32B", "#1FA3A3", "#8C5A2B", "0.4")
MARKERS = "os^vDPXh"
# Text on colours below this brightness is white.
DARK = 0.55
# Of the bar of colours, in inches.
BAR_HEIGHT = 2.2
# Models are columns up to this many, and rows beyond.
MAX_COLUMNS = 6
# Numbers are written up to this many models, or groups; beyond, a page is scrolled for colours.
MAX_WRITTEN = 60
MAX_WRITTEN_GROUPS = 250
# A miss of exactly nothing is drawn here.
FLOOR = 1e-17
WIDTH = 11.0
# On a phone letters of a figure as wide as that are too small to read. So many models are columns of a narrow one.
NARROW_WIDTH, NARROW_COLUMNS = 5.2, 2
LETTERS_ACROSS = 110
VERDICTS = {"silent": "silent", "said": "prints", "warned": "warns", "raised": "raises", "": "silent"}


def plot_misses(judgements: Sequence[ModelJudgement], groups: bool = False, width: float = WIDTH) -> Figure:
    """Draw the miss of each implementation on each model: as a colour, in numbers, and whether it says so.

    Parameters
    ----------
    judgements : sequence of ModelJudgement
    groups : bool
        Whether to draw one row for all models whose names, "group: detail", begin alike: the worst of their misses, and
        how many are complete.
    width : float
        In inches. A narrow figure of several models has colours only.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = group_judgements(judgements) if groups else {one.model: [one] for one in judgements}
    names = find_titles(judgements)
    is_narrow = width < WIDTH
    upright = len(rows) <= (NARROW_COLUMNS if is_narrow else MAX_COLUMNS)
    down, across = list(names.values()), list(rows)
    down, across = (down, across) if upright else (across, down)
    is_written = len(down) <= (MAX_WRITTEN_GROUPS if groups else MAX_WRITTEN) and (upright or not is_narrow)
    row_height = 0.3 if upright else 0.42 if is_written else 0.2 if is_narrow else 0.16
    figure = Figure(
        figsize=(width, max(2.0, (2.4 if is_narrow and not upright else 0.9) + row_height * len(down))),
        layout="constrained",
    )
    ax = figure.subplots()
    tolerance = _tolerance(judgements)
    norm = LogNorm(tolerance**2, 1, clip=True)
    for i, judged in enumerate(rows.values()):
        for j, name in enumerate(names):
            cells = [one for model in judged for one in model.cells if one.name == name]
            if cells:
                x, y = (i, j) if upright else (j, i)
                _draw_cell(ax, x, y, cells, norm, (", " if upright else "\n") if is_written else None)
                exact = judged[0].dtype
                if upright and not groups and cells[0].dtype != exact:
                    ax.texts[-1].set_text(f"{ax.texts[-1].get_text()}, in {cells[0].dtype}")
    _label(ax, down, across, 9 if is_written else 7)
    if is_narrow and not upright:
        ax.set_xticks(ax.get_xticks(), [_shorten(one, 30) for one in across], rotation=90, fontsize=8, **LITERAL_TEXT)
        ax.set_yticks(ax.get_yticks(), [_shorten(one, 26) for one in down], fontsize=8, **LITERAL_TEXT)
    _add_color_bar(figure, ax, norm, tolerance)
    return figure


def plot_likeness_and_time(judgements: Sequence[ModelJudgement], width: float = WIDTH) -> Figure:
    """Draw misses against the likeness with the first implementation, and against the time of a call.

    The two are side by side, or below one another where `width` (in inches) is small. Marks are open, and each is
    smaller than the one before, so that those in one place are seen inside one another.
    """
    is_narrow = width < WIDTH
    figure = Figure(figsize=(width, 6.6 if is_narrow else 4.0), layout="constrained")
    left, right = figure.subplots(2, 1, sharey=True) if is_narrow else figure.subplots(1, 2, sharey=True)
    names, drawn = find_titles(judgements), []
    for k, (name, title) in enumerate(names.items()):
        found = [(model, one) for model in judgements for one in model.cells if one.name == name]
        found = [(model, one) for model, one in found if one.cell["miss"] >= 0]
        if not found:
            continue
        drawn.append(legend_label(title))
        style: dict[str, Any] = {"color": COLORS[k % len(COLORS)], "marker": MARKERS[k % len(MARKERS)]}
        largest, step = (17, 2.0) if len(judgements) <= 3 else (9, 0.7)
        style |= {
            "linestyle": "none",
            "markersize": max(largest - step * k, 7 if largest > 9 else 4),
            "markeredgewidth": 1.4,
        }
        style |= {"markerfacecolor": "none", "markeredgecolor": style["color"]}
        y = [max(one.cell["miss"], FLOOR) for _, one in found]
        left.plot([one.cell["r"] for _, one in found], y, label=drawn[-1], clip_on=False, **style)
        right.plot([model.timed(name).cell["seconds"] for model, _ in found], y, clip_on=False, **style)
    tolerance = _tolerance(judgements)
    for ax in (left, right):
        ax.axhspan(FLOOR / 10, tolerance, color=GOOD_COLOR, alpha=0.07, linewidth=0, zorder=0)
        ax.spines[["top", "right"]].set_visible(False)
    left.set_yscale("log")
    left.set_ylim(FLOOR / 3, max(3.0, left.get_ylim()[1]))
    left.yaxis.set_major_locator(FixedLocator([1e-16, 1e-12, 1e-9, 1e-6, 1e-3, *([] if is_narrow else [0.1]), 1]))
    left.yaxis.set_major_formatter(FuncFormatter(lambda y, _: as_share(y)))
    left.yaxis.set_minor_locator(NullLocator())
    left.set_xlabel(f"likeness: correlation r with {next(iter(names.values()), 'the first')}", **LITERAL_TEXT)
    left.set_ylabel("miss")
    left.annotate("complete", (0.01, tolerance), xycoords=("axes fraction", "data"), va="top", fontsize=8, color="0.35")
    _scale_times(right)
    if drawn:
        handles, _ = left.get_legend_handles_labels()
        columns = 2 if is_narrow else 4
        legend = figure.legend(
            handles, drawn, loc="outside upper center", ncols=columns, frameon=False, fontsize=9, markerscale=0.55
        )
        for text in legend.get_texts():
            text.set(**LITERAL_TEXT)
    return figure


def _scale_times(ax: Axes) -> None:
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    ax.set_xlim(low / 1.3, high * 1.3)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: as_seconds(x)))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("time of a call")


def _tolerance(judgements: Sequence[ModelJudgement]) -> float:
    """Return the miss that counts as complete, most often."""
    return float(np.median([one.tolerance for model in judgements for one in model.cells] or [1e-6]))


def _draw_cell(
    ax: Axes, x: int, y: int, cells: Sequence[Judgement], norm: LogNorm, separator: str | None = None
) -> None:
    """Draw the worst miss of cells as a colour and, with a separator of its parts, as a text."""
    numbers = [one.cell["miss"] for one in cells if one.cell["miss"] >= 0 and one.standing != "no promise"]
    color = COLORMAP(norm(max(numbers))) if numbers else to_rgba(NO_COLOR)
    ax.add_patch(Rectangle((x - 0.485, y - 0.46), 0.97, 0.92, facecolor=color, linewidth=0))
    if separator is not None:
        text = separator.join(_cell_text(cells[0]) if len(cells) == 1 else _group_text(cells))
        ink = "white" if float(np.dot(color[:3], (0.3, 0.6, 0.1))) < DARK else "0.15"
        # On the left of wide cells, where it is seen on a phone, too.
        left, place = (x, "center") if "\n" in separator else (x - 0.46, "left")
        ax.text(left, y, text, ha=place, va="center", fontsize=8.5, color=ink, linespacing=1.1)


def _cell_text(one: Judgement) -> list[str]:
    if one.standing == "no promise":
        return [f"r = {as_correlation(one.cell['r'])}"]
    if one.standing == "incomplete":
        return [as_share(one.cell["miss"]), VERDICTS[one.cell["verdict"]]]
    if one.standing in ("complete", "approximate"):
        return [as_power(one.cell["miss"]) if one.standing == "complete" else as_share(one.cell["miss"])]
    return [{"not finite": "NaN", "constant": "constant output"}.get(one.standing, one.standing)]


def _group_text(cells: Sequence[Judgement]) -> list[str]:
    """Return how many cells are complete, and the worst that came of the others."""
    likeness = [one.cell["r"] for one in cells if one.standing == "no promise" and one.cell["r"] == one.cell["r"]]
    if likeness:
        return [f"r = {as_correlation(float(np.median(likeness)))}"]
    good = [f"{sum(one.standing in ('complete', 'approximate') for one in cells)} of {len(cells)}"]
    wrong = [one for one in cells if one.standing in ("incomplete", "not finite")]
    silent, refused = sum(one.is_silent for one in wrong), sum(one.standing == "refused" for one in cells)
    failed = sum(one.cell["status"] not in ("ok", "refused") for one in cells)
    for n, what in ((silent, "silent"), (len(wrong), "wrong"), (refused, "refused"), (failed, "failed")):
        if n:
            return [*good, f"{n} {what}"]
    return good


def _label(ax: Axes, down: Sequence[str], across: Sequence[str], size: float) -> None:
    # A line of a label has as many characters as there is room for.
    room = max(9, LETTERS_ACROSS // max(len(across), 1))
    ax.set_xlim(-0.5, len(across) - 0.5)
    ax.set_ylim(len(down) - 0.5, -0.5)
    ax.set_xticks(
        range(len(across)), [textwrap.fill(_shorten(one), room) for one in across], fontsize=9, **LITERAL_TEXT
    )
    ax.set_yticks(range(len(down)), [_shorten(one) for one in down], fontsize=size, **LITERAL_TEXT)
    ax.xaxis.tick_top()
    ax.tick_params(length=0, labelbottom=len(down) > 20)
    ax.spines[:].set_visible(False)


def _shorten(name: str, most: int = 44) -> str:
    return name if len(name) <= most else f"{name[: most - 3]}..."


def _add_color_bar(figure: Figure, ax: Axes, norm: LogNorm, tolerance: float) -> None:
    height = figure.get_figheight() - 0.6
    share = min(1.0, BAR_HEIGHT / height)
    bar = figure.colorbar(
        ScalarMappable(norm, COLORMAP),
        ax=ax,
        shrink=share,
        aspect=15 * height * share / BAR_HEIGHT,
        anchor=(0, 1),
        pad=0.01,
    )
    ticks = [tolerance**2, tolerance, math.sqrt(tolerance), 1]
    bar.set_ticks(ticks, labels=[as_power(tolerance**2), as_power(tolerance), as_share(ticks[2]), "100 %"], fontsize=8)
    bar.ax.minorticks_off()
    bar.set_label("miss", fontsize=8)
    bar.outline.set_visible(False)


COLORMAP = LinearSegmentedColormap.from_list("miss", [GOOD_COLOR, "#A9C1DC", MIDDLE_COLOR, "#EFA3A0", BAD_COLOR])
