"""The sequence logo: letters as tall as their attributions, with annotations beneath."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.plot.annotation_tracks import BAR_COLOR, AnnotationArtist, AnnotationTrack
from seqlight.plot.annotations import select_annotations
from seqlight.plot.axes import as_axes, label_axes
from seqlight.plot.checks import logo_values, require_number, window_bounds, y_limits
from seqlight.plot.colors import Colors, letter_colors, row_colors
from seqlight.plot.glyphs import draw_letters, visible_heights


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

    Position ``p`` occupies the x axis from ``p`` to ``p + 1``. In each column the largest
    values are farthest from zero; letters of negative values hang upside down below it.
    Annotations have a track of their own between the logo and the x axis, measured in
    points, so limits set afterwards, for instance with ``plt.ylim``, do not move them.

    Parameters
    ----------
    X_attr : torch.Tensor or numpy.ndarray, shape=(len(alphabet), length)
        One value for each letter and position: the attributions of one example.
    ax : matplotlib.axes.Axes, optional
        The axes to draw on; pyplot's current axes if None.
    color : color, dict, or one number or color for each position; optional
        One colour for all letters; or a dict with one for each letter of the alphabet; or,
        for each position of `X_attr`, a colour (a row of three or four numbers counts as
        one) or a number that `color_cmap` turns into a colour. By default A is green, C blue,
        G orange, and T and U are red; amino acids have the colours of their chemistry, as in
        WebLogo.
    color_cmap : str or matplotlib.colors.Colormap, optional
        The colormap for numbers.
    color_vmin, color_vmax : float, optional
        The numbers at the ends of `color_cmap`; by default the smallest and the largest.
    start, end : int, optional
        Draw the positions ``start <= position < end`` only; the x axis keeps their numbers.
    annotations : pandas.DataFrame, optional
        Columns `start` and `end`, and those that the keys below name, for instance a table
        of seqlets. Rows wholly inside the window are drawn. Where `motif_strand`, or else
        `strand`, is "-", "(-)" is appended to the label.
    score_key : str, optional
        The column of scores; by default `attribution` or else `score`, where there is such a
        column. Where room is short, the highest absolute scores come first.
    label_key : str, optional
        The column of labels; by default `motif_name` or `motif`, or else the first column, if
        it holds strings.
    example_idx : int, optional
        Draw only the annotations with this `example_idx`. Needed where the table holds
        several examples.
    show_score : bool, optional
        Whether to write scores beside labels.
    n_tracks : int, optional
        The greatest number of rows of annotations.
    spacing : float, optional
        The least distance between neighbours in a row, in points.
    show_extra : bool, optional
        What to do with annotations without room for their label: if True, they are drawn as
        bars alone, and those without room for a bar are counted in a note; if False, they
        are left out.
    annot_cmap : str, Colormap or sequence of colors, optional
        The colours of the rows of annotations, for instance "Set1". By default all are dark grey.
    ylim : float or tuple of float, optional
        Limits of the y axis; a single number `y` means ``(-y, y)``. By default all letters
        fit, with a small margin.
    min_height_pct : float, optional
        Leave out letters below this fraction of the tallest one in the window. By default
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
    Axes without labels get "position" and "attribution", in a grid of axes only along its
    left and lower edges. Annotations are assigned to rows anew when the axes change size.
    Sequence logos are due to Schneider and Stephens (1990).

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
    length = values.shape[1]
    first, last = window_bounds(start, end, length)
    colors = letter_colors(color, alphabet, length, color_cmap, color_vmin, color_vmax, slice(first, last))
    heights = values[:, first:last]
    limits = y_limits(heights, ylim)
    heights = visible_heights(
        heights, None if min_height_pct is None else require_number(min_height_pct, "min_height_pct", 0, 1)
    )
    track = None
    if annotations is not None:
        shown = select_annotations(annotations, first, last, example_idx, score_key, label_key)
        for one in shown:
            one.set_text(show_score)
        n_rows = _require_rows(n_tracks)
        track = AnnotationTrack(
            shown,
            n_rows,
            colors=row_colors(annot_cmap, n_rows, BAR_COLOR),
            color_labels=annot_cmap is not None,
            spacing=require_number(spacing, "spacing", 0),
            show_extra=show_extra,
        )
    ax = as_axes(ax)
    draw_letters(ax, alphabet, heights, colors, first)
    ax.axhline(0, color="0.5", linewidth=0.5, zorder=0.5)
    ax.set_xlim(first, last)
    ax.set_ylim(*limits)
    ax.spines[["top", "right"]].set_visible(False)
    label_axes(ax, "position", "attribution")
    if track is not None:
        AnnotationArtist(ax, [track])
    return ax


def _require_rows(n_tracks: int) -> int:
    if isinstance(n_tracks, bool) or not isinstance(n_tracks, int | np.integer) or n_tracks < 1:
        raise InputError(f"`n_tracks` is {n_tracks!r}, but annotations need a whole number of rows, at least 1.")
    return int(n_tracks)
