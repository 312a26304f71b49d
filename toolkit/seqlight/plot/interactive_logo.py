"""A logo for the browser that zooms, and shows position, letters, attributions and seqlets under the pointer."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.colors import Colormap, to_hex
from numpy.typing import NDArray

from seqlight.plot.annotations import Annotation, select_annotations
from seqlight.plot.checks import Floats, logo_values, window_bounds, y_limits
from seqlight.plot.colors import Colors, letter_colors
from seqlight.plot.coordinates import Locus, LocusLike, as_locus
from seqlight.plot.glyphs import outline_commands
from seqlight.plot.logo_page import InteractiveLogo
from seqlight.sequence.checks import require_count

LOGO_HEIGHT = 220  # in pixels
# Heights within these limits are numbers of float32; others are written as multiples of a power of ten.
SMALLEST, LARGEST = 1e-30, 1e30


def interactive_logo(
    X_attr: torch.Tensor | NDArray[Any],
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
    locus: LocusLike | None = None,
    ylim: float | tuple[float, float] | None = None,
    title: str = "",
    alphabet: Sequence[str] = ("A", "C", "G", "T"),
    view: tuple[int, int] | None = None,
    height: int = LOGO_HEIGHT,
) -> InteractiveLogo:
    """Draw attributions as a logo for the browser, which can be zoomed and moved.

    Pointing at a column shows its position (with `locus` also its coordinate), letters, attributions and seqlets;
    pointing at a bar shows the annotation. ``logo.write_html("logo.html")`` makes a page,
    :func:`seqlight.write_logos` one with several logos, and a notebook shows the logo itself. The script that draws
    is part of the page, which loads nothing.

    Parameters
    ----------
    X_attr : torch.Tensor or numpy.ndarray, shape (letters, positions)
        The attributions of one sequence.
    color, color_cmap, color_vmin, color_vmax, start, end, annotations, score_key, label_key, example_idx, ylim, \
alphabet
        As in :func:`seqlight.plot_logo`. All annotations are drawn, in as many rows as they need.
    locus : tuple, str, Loci or pandas.DataFrame, optional
        The place in the genome that the sequence was cut from, as in :func:`seqlight.plot_tracks`.
    title : str, optional
        Written above the logo.
    view : tuple of int, optional
        The positions that are shown at first; by default all that are drawn.
    height : int, optional
        The height of the letters' part, in pixels.

    Returns
    -------
    InteractiveLogo

    Raises
    ------
    InputError
        If arguments do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> from seqlight.plot.interactive_logo import interactive_logo
    >>> interactive_logo(np.eye(4).repeat(5, axis=1), title="a locus")
    InteractiveLogo 'a locus' of positions 0 to 20, 0 annotations: write_html(path) makes a page
    """
    values = logo_values(X_attr, alphabet)
    length = values.shape[1]
    first, last = window_bounds(start, end, length)
    heights = values[:, first:last]
    colors = letter_colors(color, alphabet, length, color_cmap, color_vmin, color_vmax, slice(first, last))
    spans = []
    if annotations is not None:
        spans = select_annotations(annotations, first, last, example_idx, score_key, label_key)
    n_rows = _assign_rows(spans)
    genome_locus = as_locus(locus, length, example_idx)
    low, high = y_limits(heights, ylim)
    shown = (first, last) if view is None else window_bounds(*view, length)
    content = {
        "start": first,
        "end": last,
        "view": [max(shown[0], first), min(shown[1], last)],
        "low": low,
        "high": high,
        "height": require_count(height, "height", least=20),
        "alphabet": list(alphabet),
        "outlines": [outline_commands(letter) for letter in alphabet],
        **_pack_letters(heights),
        **_pack_colors(colors),
        "rows": n_rows,
        "annotations": [
            {"start": one.start, "end": one.end, "row": one.row, "label": one.label, "text": _span_text(one)}
            for one in spans
        ],
        "locus": _locus_content(genome_locus),
        "axis": "position" if genome_locus is None else genome_locus.axis_label,
        "summary": _summary(heights, alphabet, first, title),
    }
    return InteractiveLogo(title, content)


def _assign_rows(spans: list[Annotation]) -> int:
    """Assign each span to the first row in which it overlaps no other; return the number of rows."""
    ends: list[float] = []
    for one in sorted(spans, key=lambda one: (one.start, one.end)):
        one.row = next((row for row, end in enumerate(ends) if one.start >= end + 1), len(ends))
        ends[one.row : one.row + 1] = [one.end]
    return len(ends)


def _pack_letters(heights: Floats) -> dict[str, Any]:
    """Return letters and heights in layers: the first layer has the letter of each position nearest to zero.

    There are as many layers as a position has letters at most, one for attributions of the letters of a sequence.
    """
    largest = float(np.abs(heights).max())
    unit = 1.0 if SMALLEST <= largest <= LARGEST or not largest else 10.0 ** np.floor(np.log10(largest))
    order = np.argsort(np.abs(heights), axis=0, kind="stable")
    layers = max(1, int((heights != 0).sum(axis=0).max()))
    # The letters without height come first, and are left out.
    order = order[len(heights) - layers :]
    stacked = np.take_along_axis(heights, order, axis=0) / unit
    return {"letters": _base64(order.astype("u1")), "heights": _base64(stacked.astype("<f4")), "unit": float(unit)}


def _pack_colors(colors: Floats) -> dict[str, Any]:
    """Return the colours, by letter, or by position with the index of the one at each position."""
    if colors.shape[1] == 1:
        return {"colors": [_css_color(color) for color in colors[:, 0]], "shades": None}
    palette, shade_of = np.unique(colors[0], axis=0, return_inverse=True)
    return {"colors": [_css_color(color) for color in palette], "shades": _base64(shade_of.reshape(-1).astype("<u2"))}


def _base64(numbers: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(numbers).tobytes()).decode("ascii")


def _locus_content(locus: Locus | None) -> dict[str, Any] | None:
    if locus is None:
        return None
    return {"chrom": locus.chrom, "start": locus.start, "end": locus.end, "reverse": locus.reverse}


def _summary(heights: Floats, alphabet: Sequence[str], first: int, title: str) -> str:
    """Return what the logo shows, for those who do not see it."""
    row, column = np.unravel_index(int(np.abs(heights).argmax()), heights.shape)
    named = f"{title}: " if title else ""
    return (
        f"{named}logo of the attributions of positions {first} to {first + heights.shape[1]}; the largest is "
        f"{heights[row, column]:+.3g}, of {alphabet[int(row)]} at position {first + int(column)}"
    )


def _css_color(color: Floats) -> str:
    """Return red, green, blue and opacity as a colour of CSS."""
    red, green, blue, opacity = color.tolist()
    if opacity == 1:
        return to_hex((red, green, blue))
    return f"rgba({red * 255:.0f},{green * 255:.0f},{blue * 255:.0f},{opacity:.3g})"


def _span_text(one: Annotation) -> str:
    score = "" if one.score is None else f", {one.score:+.4g}"
    return f"{one.label or 'seqlet'} {one.start:,.0f} to {one.end:,.0f}{score}"
