"""Attributions as a sequence logo: letters as tall as their values, seqlets in tracks beneath."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import is_color_like
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.plot.annotations import draw_annotations, in_window

# The colours of the four bases in use since the first sequence logos.
BASE_COLORS = {"A": "#109648", "C": "#255C99", "G": "#F7B32B", "T": "#D62839", "U": "#D62839"}
OTHER_COLOR = "0.4"
LETTER_WIDTH = 0.94
MARGIN = 0.04

Color = str | tuple[float, ...]


def plot_logo(
    X_attr: torch.Tensor | NDArray[Any],
    ax: Axes | None = None,
    *,
    color: Color | Mapping[str, Color] | None = None,
    start: int | None = None,
    end: int | None = None,
    annotations: pd.DataFrame | None = None,
    score_key: str | None = None,
    label_key: str | None = None,
    example_idx: int | None = None,
    show_score: bool = True,
    n_tracks: int = 4,
    ylim: float | tuple[float, float] | None = None,
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
    color : color or dict, optional
        One colour for all letters, or one for each letter of the alphabet. By default A is
        green, C blue, G orange, and T and U are red.
    start, end : int, optional
        Draw the positions ``start <= position < end`` only; the x axis keeps their numbers.
    annotations : pandas.DataFrame, optional
        Columns `start` and `end`, and whatever the keys below name, for instance a table of
        seqlets. Those wholly inside the window are drawn.
    score_key : str, optional
        Which column has the scores; `attribution` or else `score` by default, where there
        is such a column. Where room is short, the highest absolute scores are drawn first.
    label_key : str, optional
        Which column has the labels; the first column, if it holds strings, by default.
    example_idx : int, optional
        Draw only annotations whose `example_idx` is this. Needed where the table holds
        several examples.
    show_score : bool, optional
        Whether to write scores beside labels.
    n_tracks : int, optional
        How many rows of annotations there may be. One that finds no room for its label is
        drawn as a bar alone, and those that find none for the bar are counted in a note.
    ylim : float or tuple of float, optional
        Limits of the y axis; one number `y` stands for ``(-y, y)``. By default the letters
        fit, with a little room.
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
    Labels are laid out for the size that the axes have when this is called: make the figure
    first, as large as it shall be. Logos are due to Schneider and Stephens (1990).

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> ax = Figure(figsize=(10, 2)).subplots()
    >>> ax = plot_logo(np.eye(4).repeat(5, axis=1), ax, start=2, end=12)
    >>> [float(limit) for limit in ax.get_xlim()]
    [2.0, 12.0]
    """
    values = _values(X_attr, alphabet)
    first, last = _window(start, end, values.shape[1])
    colors = _colors(color, alphabet)
    shown = None
    if annotations is not None:
        if n_tracks < 1:
            raise InputError(f"`n_tracks` is {n_tracks}, but annotations need at least 1: raise it.")
        shown = in_window(annotations, first, last, example_idx, score_key, label_key)
    if ax is None:
        # Only here, so that callers with axes of their own never touch pyplot and its figures.
        import matplotlib.pyplot as plt

        ax = plt.gca()
    heights = values[:, first:last]
    bottoms = _bottoms(heights)
    for letter, height, bottom in zip(alphabet, heights, bottoms, strict=True):
        _draw_letter(ax, letter, colors[letter], height, bottom, first)
    ax.axhline(0, color="0.5", linewidth=0.5, zorder=0.5)
    ax.set_xlim(first, last)
    ax.set_ylim(*_limits(heights, ylim))
    ax.spines[["top", "right"]].set_visible(False)
    if shown is not None:
        draw_annotations(ax, shown, n_tracks, show_score)
    return ax


def _values(X_attr: torch.Tensor | NDArray[Any], alphabet: Sequence[str]) -> NDArray[np.float64]:
    given = X_attr.detach().to(torch.float64).numpy(force=True) if isinstance(X_attr, torch.Tensor) else X_attr
    values = np.asarray(given, dtype=np.float64)
    if values.ndim != 2 or len(values) != len(alphabet):
        advice = "pick one example, `X_attr[0]`" if values.ndim == 3 else "check the alphabet and the axes"
        raise InputError(
            f"`X_attr` has shape {values.shape}, but a logo needs ({len(alphabet)}, length), one row a "
            f"letter: {advice}."
        )
    if not values.shape[1]:
        raise InputError("`X_attr` has no positions, but a logo needs at least one: check how it was cut out.")
    if not np.isfinite(values).all():
        n_bad = int((~np.isfinite(values)).any(axis=0).sum())
        raise InputError(
            f"`X_attr` holds NaN or infinity at {n_bad} positions, which have no height: repair the values."
        )
    return values


def _window(start: int | None, end: int | None, length: int) -> tuple[int, int]:
    first, last = 0 if start is None else start, length if end is None else end
    if not 0 <= first < last <= length:
        raise InputError(
            f"`start` is {first} and `end` {last}, but 0 <= start < end <= {length}, the length, must hold: "
            "choose positions of `X_attr`."
        )
    return first, last


def _colors(color: Color | Mapping[str, Color] | None, alphabet: Sequence[str]) -> dict[str, Color]:
    wrong = [letter for letter in alphabet if len(letter) != 1]
    if wrong:
        raise InputError(f"`alphabet` holds {wrong[0]!r}, but letters are one character each: shorten it.")
    if color is None:
        return {letter: BASE_COLORS.get(letter.upper(), OTHER_COLOR) for letter in alphabet}
    colors = dict(color) if isinstance(color, Mapping) else dict.fromkeys(alphabet, color)
    missing = [letter for letter in alphabet if not is_color_like(colors.get(letter))]
    if missing:
        raise InputError(
            f"`color` names no colour for {', '.join(missing)}, but every letter needs one that Matplotlib "
            "knows: add it."
        )
    return colors


def _bottoms(heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where each letter begins, counted from zero: the smaller ones of its side lie between."""
    order = np.argsort(np.abs(heights), axis=0, kind="stable")
    ranked = np.take_along_axis(heights, order, axis=0)
    up, down = (np.cumsum(side, axis=0) - side for side in (ranked.clip(min=0), ranked.clip(max=0)))
    bottoms = np.empty_like(heights)
    np.put_along_axis(bottoms, order, np.where(ranked > 0, up, down), axis=0)
    return bottoms


def _limits(heights: NDArray[np.float64], ylim: float | tuple[float, float] | None) -> tuple[float, float]:
    if ylim is not None:
        low, high = (-ylim, ylim) if isinstance(ylim, int | float) else ylim
        return float(low), float(high)
    low = float(heights.clip(max=0).sum(axis=0).min())
    high = float(heights.clip(min=0).sum(axis=0).max())
    room = MARGIN * (high - low)
    if not room:
        return -1.0, 1.0
    return (low - room if low else 0.0), (high + room if high else 0.0)


@cache
def _glyph(letter: str) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Return the outline of a letter, stretched to fill a square of side 1: vertices and path codes."""
    # The font that comes with Matplotlib, so that logos are the same everywhere.
    font = FontProperties(family="DejaVu Sans", weight="bold")
    outline = TextPath((0, 0), letter, size=100, prop=font, usetex=False)
    box = outline.get_extents()
    vertices = (np.asarray(outline.vertices) - box.min) / np.where(box.size, box.size, 1)
    return vertices, np.asarray(outline.codes, dtype=np.uint8)


def _draw_letter(
    ax: Axes, letter: str, color: Color, height: NDArray[np.float64], bottom: NDArray[np.float64], first: int
) -> None:
    """Draw every occurrence of one letter as a single path, which is what makes long logos fast."""
    at = np.flatnonzero(height)
    if not len(at):
        return
    vertices, codes = _glyph(letter)
    x = first + at[:, None] + (1 - LETTER_WIDTH) / 2 + LETTER_WIDTH * vertices[:, 0]
    # A negative height flips the letter.
    y = bottom[at, None] + height[at, None] * vertices[:, 1]
    path = Path(np.stack([x, y], axis=-1).reshape(-1, 2), np.tile(codes, len(at)))
    letters = PathCollection([path], facecolors=[color], edgecolors="none", linewidths=0)
    letters.set_label(f"_letter {letter}")
    ax.add_collection(letters, autolim=False)
