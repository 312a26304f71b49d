"""A logo for the browser that zooms, and shows position, letters, attributions and seqlets under the pointer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.colors import Colormap, to_hex
from matplotlib.path import Path
from numpy.typing import NDArray

from seqlight.extras import import_extra
from seqlight.plot.annotations import Annotation, select_annotations
from seqlight.plot.checks import Floats, logo_values, window_bounds, y_limits
from seqlight.plot.colors import Colors, letter_colors
from seqlight.plot.coordinates import Locus, LocusLike, as_locus
from seqlight.plot.glyphs import letter_bottoms, letter_outline, place_outlines
from seqlight.plot.text import escape_html

SEQLET_COLOR = "#404040"
ROW_HEIGHT = 16
LOGO_HEIGHT = 260
MARGINS = {"l": 70, "r": 20, "t": 40, "b": 50}
# Curves are cut into straight pieces, fine enough for letters this many pixels tall.
OUTLINE_PIXELS = 60


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
) -> Any:
    """Draw attributions as an interactive logo, with plotly.

    Pointing at a column shows its position (with `locus` also its coordinate), letters, attributions and seqlets;
    pointing at a bar shows the annotation. ``figure.write_html("logo.html")`` makes a page.

    Parameters
    ----------
    X_attr : torch.Tensor or numpy.ndarray, shape (letters, positions)
        The attributions of one sequence.
    color, color_cmap, color_vmin, color_vmax, start, end, annotations, score_key, label_key, example_idx, ylim, \
alphabet
        As in :func:`seqlight.plot_logo`. All annotations are drawn, in as many rows as they need.
    locus : tuple, Loci or pandas.DataFrame, optional
        The place in the genome that the sequence was cut from, as in :func:`seqlight.plot_tracks`.
    title : str, optional
        Written above the logo.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    InputError
        If arguments do not fit together.
    MissingExtra
        If plotly is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from seqlight.plot.interactive_logo import interactive_logo
    >>> figure = interactive_logo(np.eye(4).repeat(5, axis=1), title="a locus")
    >>> [trace.name for trace in figure.data]
    ['A', 'C', 'G', 'T', 'columns']
    """
    go = import_extra("plotly.graph_objects", "interactive")
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
    figure = go.Figure()
    for name, shade, points in _letter_fills(alphabet, heights, colors, first):
        _add_fill(figure, go, name, shade, points, genome_locus)
    texts = [_column_text(heights[:, p - first], p, alphabet, spans, genome_locus) for p in range(first, last)]
    # Transparent columns as tall as the axes, so that there is something to point at everywhere.
    figure.add_trace(
        go.Bar(
            x=_on_axis(np.arange(first, last) + 0.5, genome_locus),
            y=np.full(last - first, high - low),
            base=low,
            width=1,
            name="columns",
            marker={"color": "rgba(0,0,0,0)", "line": {"width": 0}},
            text=texts,
            textposition="none",
            hovertemplate="%{text}<extra></extra>",
        )
    )
    if spans:
        _add_spans(figure, go, spans, genome_locus)
    _set_layout(figure, (first, last), (low, high), n_rows, title, genome_locus)
    return figure


def _assign_rows(spans: list[Annotation]) -> int:
    """Assign each span to the first row in which it overlaps no other; return the number of rows."""
    ends: list[float] = []
    for one in sorted(spans, key=lambda one: (one.start, one.end)):
        one.row = next((row for row, end in enumerate(ends) if one.start >= end + 1), len(ends))
        ends[one.row : one.row + 1] = [one.end]
    return len(ends)


@cache
def _polygon(letter: str) -> Floats:
    """Return the outline of a letter as one closed line, which enters and leaves a hole along the same cut."""
    vertices, codes = letter_outline(letter)
    closed = Path(vertices * OUTLINE_PIXELS, codes).to_polygons(closed_only=True)
    parts = [np.asarray(part, dtype=np.float64) / OUTLINE_PIXELS for part in closed]
    begin = parts[0][:1]
    return np.concatenate([piece for part in parts for piece in (part, begin)])


def _on_axis(positions: Any, locus: Locus | None) -> Any:
    """Return the numbers of positions on the x axis."""
    return positions if locus is None else locus.coordinate(positions)


def _letter_fills(
    alphabet: Sequence[str], heights: Floats, colors: Floats, first: int
) -> Iterator[tuple[str, Floats, Floats]]:
    """Yield name, colour and outlines of each filled trace: one for each letter, or one for each colour."""
    letters = []
    for letter, height, bottom in zip(alphabet, heights, letter_bottoms(heights), strict=True):
        at = np.flatnonzero(height)
        drawn = place_outlines(_polygon(letter), first + at, height[at], bottom[at])
        # One line with gaps, which keeps long logos fast.
        letters.append((at, np.concatenate([drawn, np.full((len(at), 1, 2), np.nan)], axis=1)))
    if colors.shape[1] == 1:
        for letter, color, (_, drawn) in zip(alphabet, colors[:, 0], letters, strict=True):
            yield letter, color, drawn.reshape(-1, 2)
        return
    shades, shade_of = np.unique(colors[0], axis=0, return_inverse=True)
    for i, shade in enumerate(shades):
        parts = [drawn[shade_of.reshape(-1)[at] == i].reshape(-1, 2) for at, drawn in letters]
        yield "letters", shade, np.concatenate(parts)


def _add_fill(figure: Any, go: Any, name: str, color: Floats, points: Floats, locus: Locus | None) -> None:
    figure.add_trace(
        go.Scatter(
            x=_on_axis(points[:, 0], locus),
            y=points[:, 1],
            mode="lines",
            line={"width": 0},
            fill="toself",
            fillcolor=_css_color(color),
            name=name,
            hoverinfo="skip",
        )
    )


def _css_color(color: Floats) -> str:
    """Return red, green, blue and opacity as a colour of CSS."""
    red, green, blue, opacity = color.tolist()
    if opacity == 1:
        return to_hex((red, green, blue))
    return f"rgba({red * 255:.0f},{green * 255:.0f},{blue * 255:.0f},{opacity:.3g})"


def _column_text(
    column: Floats, position: int, alphabet: Sequence[str], spans: list[Annotation], locus: Locus | None
) -> str:
    where = [f"position {position:,}"]
    if locus is not None:
        where.append(f"{escape_html(locus.chrom)}:{locus.base_coordinate(position):,}")
    order = [row for row in np.argsort(-np.abs(column)) if column[row]]
    letters = [f"<b>{escape_html(alphabet[row])}</b> {column[row]:+.4g}" for row in order] or ["no attribution"]
    here = [_span_text(one) for one in spans if one.start <= position < one.end]
    return "<br>".join([*where, *letters, *here])


def _span_text(one: Annotation) -> str:
    score = "" if one.score is None else f", {one.score:+.4g}"
    return f"{escape_html(one.label) or 'seqlet'} {one.start:,.0f} to {one.end:,.0f}{score}"


def _add_spans(figure: Any, go: Any, spans: list[Annotation], locus: Locus | None) -> None:
    figure.add_trace(
        go.Bar(
            orientation="h",
            base=[min(_on_axis(one.start, locus), _on_axis(one.end, locus)) for one in spans],
            x=[one.end - one.start for one in spans],
            y=[one.row for one in spans],
            width=0.5,
            yaxis="y2",
            name="annotations",
            marker={"color": SEQLET_COLOR, "line": {"width": 0}},
            text=[_span_text(one) for one in spans],
            textposition="none",
            hovertemplate="%{text}<extra></extra>",
        )
    )


def _set_layout(
    figure: Any, shown: tuple[int, int], limits: tuple[float, float], n_rows: int, title: str, locus: Locus | None
) -> None:
    below = n_rows * ROW_HEIGHT
    share = below / (below + LOGO_HEIGHT)
    line = {"showline": True, "linecolor": "#000", "ticks": "outside", "showgrid": False, "zeroline": False}
    # On the reverse strand coordinates fall from left to right, so the range runs backwards.
    ends = [_on_axis(end, locus) for end in shown]
    name = "position" if locus is None else escape_html(locus.axis_label)
    zero = {"type": "line", "xref": "paper", "yref": "y", "x0": 0, "x1": 1, "y0": 0, "y1": 0}
    figure.update_layout(
        height=LOGO_HEIGHT + below + MARGINS["t"] + MARGINS["b"],
        margin=MARGINS,
        # On the left, where the labels of the pointer seldom cover it.
        title={"text": escape_html(title), "font": {"size": 15}, "x": 0.01, "xanchor": "left"},
        hoverlabel={"bgcolor": "#fff", "bordercolor": "#888", "font": {"color": "#222", "size": 12}, "align": "left"},
        template="none",
        showlegend=False,
        hovermode="closest",
        barmode="overlay",
        dragmode="pan",
        xaxis={
            "range": ends,
            "title": {"text": name},
            "anchor": "y2" if n_rows else "y",
            "tickformat": ",d",
            **line,
        },
        yaxis={"range": list(limits), "title": {"text": "attribution"}, "domain": [share, 1], **line},
        shapes=[{**zero, "line": {"color": "#888", "width": 1}}],
    )
    if n_rows:
        rows = {"range": [n_rows - 0.5, -0.5], "domain": [0, share - 0.02], "visible": False, "anchor": "x"}
        figure.update_layout(yaxis2=rows)
