"""Attributions as a sequence logo: letters as tall as their values, seqlets in tracks beneath."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import FigureBase
from numpy.typing import NDArray

from seqlight.errors import InputError, a
from seqlight.plot.annotation_tracks import BAR_COLOR, Strip, Strips
from seqlight.plot.annotations import in_window
from seqlight.plot.checks import logo_values, number_between, window, y_limits
from seqlight.plot.colors import Colors, letter_colors, row_colors
from seqlight.plot.glyphs import draw_letters, drawn_heights


def plot_logo(
    X_attr: torch.Tensor | NDArray[Any],
    ax: Axes | None = None,
    *,
    color: Colors | None = None,
    color_cmap: str | Colormap = "viridis",
    color_vmin: float | None = None,
    color_vmax: float | None = None,
    start: int | None = None,
    end: int | None = None,
    annotations: pd.DataFrame | None = None,
    score_key: str | None = None,
    label_key: str | None = None,
    example_idx: int | None = None,
    show_score: bool = True,
    n_tracks: int = 4,
    spacing: float = 4.0,
    show_extra: bool = True,
    annot_cmap: str | Colormap | Sequence[Any] | None = None,
    ylim: float | tuple[float, float] | None = None,
    min_height_pct: float | None = None,
    alphabet: Sequence[str] = ("A", "C", "G", "T"),
) -> Axes:
    """Draw attributions as letters, and annotations as bars beneath them.

    Position ``p`` takes up the x axis from ``p`` to ``p + 1``. In each column the largest
    values are farthest from zero; letters of negative values hang upside down below it.
    Annotations have a strip of their own between the logo and the x axis, measured in
    points, so that limits set afterwards, for instance with ``plt.ylim``, do not touch them.

    Parameters
    ----------
    X_attr : torch.Tensor or numpy.ndarray, shape=(len(alphabet), length)
        One value for each letter and position: the attributions of one example.
    ax : matplotlib.axes.Axes, optional
        Where to draw; the current axes of pyplot if None.
    color : color, dict, or one number or color for each position; optional
        One colour for all letters; or a dict with one for each letter of the alphabet; or,
        for each position of `X_attr`, a colour (also as rows of three or four numbers), or a
        number that `color_cmap` makes a colour. By default A is green, C blue, G orange, and
        T and U are red.
    color_cmap : str or matplotlib.colors.Colormap, optional
        Which colours numbers become.
    color_vmin, color_vmax : float, optional
        The numbers at the ends of `color_cmap`; by default the least and the greatest.
    start, end : int, optional
        Draw the positions ``start <= position < end`` only; the x axis keeps their numbers.
    annotations : pandas.DataFrame, optional
        Columns `start` and `end`, and whatever the keys below name, for instance a table of
        seqlets. Those wholly inside the window are drawn. Labels of rows whose `motif_strand`,
        or else `strand`, is "-" have "(-)" behind them.
    score_key : str, optional
        Which column has the scores; `attribution` or else `score` by default, where there
        is such a column. Where room is short, the highest absolute scores are drawn first.
    label_key : str, optional
        Which column has the labels; by default `motif_name` or `motif`, or else the first
        column, if it holds strings.
    example_idx : int, optional
        Draw only annotations whose `example_idx` is this. Needed where the table holds
        several examples.
    show_score : bool, optional
        Whether to write scores beside labels.
    n_tracks : int, optional
        How many rows of annotations there may be.
    spacing : float, optional
        How many points, at least, are between neighbours in a row.
    show_extra : bool, optional
        What becomes of annotations without room for their label: if True, they are drawn as
        bars alone, and those that find no room for the bar are counted in a note; if False,
        they are left out.
    annot_cmap : str, Colormap or sequence of colors, optional
        The colours of the rows of annotations, for instance "Set1". By default all are dark grey.
    ylim : float or tuple of float, optional
        Limits of the y axis; one number `y` stands for ``(-y, y)``. By default the letters
        fit, with a little room.
    min_height_pct : float, optional
        Leave out letters below this share of the tallest one in the window. By default
        every letter is drawn.
    alphabet : sequence of str, optional
        The letters, one character each, in the order of the rows.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Raises
    ------
    InputError
        If shapes, limits, columns or colours do not fit together, or `X_attr` holds NaN or
        infinity.

    Notes
    -----
    Axes without labels get "position" and "attribution", in a grid of axes at its left and
    lower edges only. Rows of annotations are chosen anew when the axes change size. Logos
    are due to Schneider and Stephens (1990).

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> ax = Figure(figsize=(10, 2)).subplots()
    >>> ax = plot_logo(np.eye(4).repeat(5, axis=1), ax, start=2, end=12)
    >>> [float(limit) for limit in ax.get_xlim()]
    [2.0, 12.0]
    """
    values = logo_values(X_attr, alphabet)
    first, last = window(start, end, values.shape[1])
    colors = letter_colors(color, alphabet, values.shape[1], color_cmap, color_vmin, color_vmax)
    colors = colors if colors.shape[1] == 1 else colors[:, first:last]
    heights = values[:, first:last]
    limits = y_limits(heights, ylim)
    heights = drawn_heights(
        heights, None if min_height_pct is None else number_between(min_height_pct, "min_height_pct", 0, 1)
    )
    strips = []
    if annotations is not None:
        shown = in_window(annotations, first, last, example_idx, score_key, label_key)
        for one in shown:
            one.write(show_score)
        rows = row_colors(annot_cmap, _tracks(n_tracks), BAR_COLOR)
        strips = [
            Strip(shown, n_tracks, rows, annot_cmap is not None, number_between(spacing, "spacing", 0), show_extra)
        ]
    if ax is None:
        # Only here, so that callers with axes of their own never touch pyplot and its figures.
        import matplotlib.pyplot as plt

        ax = plt.gca()
    ax = _require_axes(ax)
    draw_letters(ax, alphabet, heights, colors, first)
    ax.axhline(0, color="0.5", linewidth=0.5, zorder=0.5)
    ax.set_xlim(first, last)
    ax.set_ylim(*limits)
    ax.spines[["top", "right"]].set_visible(False)
    name_axes(ax, "position", "attribution")
    if strips:
        Strips(ax, strips)
    return ax


def name_axes(ax: Axes, xlabel: str, ylabel: str) -> None:
    """Label axes that have no labels yet, in a grid those at its left and lower edges."""
    place = ax.get_subplotspec()
    if not ax.get_xlabel() and (place is None or place.is_last_row()):
        ax.set_xlabel(xlabel)
    if not ax.get_ylabel() and (place is None or place.is_first_col()):
        ax.set_ylabel(ylabel)


def _tracks(n_tracks: int) -> int:
    if isinstance(n_tracks, bool) or not isinstance(n_tracks, int | np.integer) or n_tracks < 1:
        raise InputError(f"`n_tracks` is {n_tracks!r}, but annotations need a whole number of rows, at least 1.")
    return int(n_tracks)


def _require_axes(ax: Any) -> Axes:
    if isinstance(ax, Axes):
        return ax
    remedy = "pass `figure.subplots()`" if isinstance(ax, FigureBase) else "pick one of them"
    if not isinstance(ax, FigureBase | np.ndarray):
        remedy = "leave it out for the current ones"
    raise InputError(f"`ax` is {a(ax)}, but axes of Matplotlib are needed: {remedy}.")
