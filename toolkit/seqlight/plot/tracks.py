"""One locus in a picture: what is predicted, what it is attributed to, seqlets and known motifs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.plot.annotation_tracks import Strip, Strips
from seqlight.plot.annotations import in_window
from seqlight.plot.checks import Floats, as_numbers, logo_values, size_in_inches, window
from seqlight.plot.colors import Colors
from seqlight.plot.coordinates import Place, as_locus, show_coordinates
from seqlight.plot.logo import plot_logo
from seqlight.plot.text import AS_IT_IS

Track: TypeAlias = torch.Tensor | NDArray[Any]

WIDTH = 11.0
TRACK_HEIGHT = 0.75
LOGO_HEIGHT = 1.5
STRIP_HEIGHT = 0.35
BELOW = 0.6
# Inches around everything.
PADS = {"w_pad": 0.08, "h_pad": 0.06}
TITLE_SIZE = 9
TICK_SIZE = 8
FORWARD_COLOR = "#255C99"
REVERSE_COLOR = "#B5543B"
SEQLET_COLOR = "0.25"
MOTIF_COLOR = "#8A5FA8"


def plot_tracks(
    X_attr: Track,
    predictions: Track | Mapping[str, Track] | None = None,
    *,
    seqlets: pd.DataFrame | None = None,
    motifs: pd.DataFrame | None = None,
    locus: Place | None = None,
    start: int | None = None,
    end: int | None = None,
    prediction_window: tuple[int, int] | None = None,
    example_idx: int | None = None,
    score_key: str | None = None,
    label_key: str | None = None,
    shade_motifs: bool = True,
    color: Colors | None = None,
    ylim: float | tuple[float, float] | None = None,
    alphabet: Sequence[str] = ("A", "C", "G", "T"),
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """Draw predictions, the attribution logo, seqlets and known motifs of a sequence on one axis.

    Parameters
    ----------
    X_attr : torch.Tensor or numpy.ndarray, shape (letters, positions)
        The attributions of one sequence.
    predictions : tensor or array of shape (bins,) or (2, bins), or mapping of those by name, optional
        What the model predicts (or what was measured) along the sequence. Of two rows the second, the reverse
        strand, is drawn downwards.
    seqlets, motifs : pandas.DataFrame, optional
        As the annotations of :func:`seqlight.plot_logo`: columns `start` and `end`, in positions of the
        sequence. Of motifs the first column has the names.
    locus : tuple, Loci or pandas.DataFrame, optional
        Where the sequence was cut from the genome, ``(chrom, start, end)`` or ``(chrom, start, end, strand)``, in
        the coordinates of BED; or the loci of all sequences, of which `example_idx` chooses. The axis then counts
        there.
    start, end : int, optional
        Draw the positions ``start <= position < end`` only.
    prediction_window : tuple of int, optional
        Which positions the predictions cover, in bins of equal width. By default they are in the middle, one
        value a position.
    example_idx : int, optional
        Which example of the tables, where they hold several.
    score_key, label_key : str, optional
        Columns of `seqlets`.
    shade_motifs : bool, optional
        Whether to shade known motifs across predictions and logo.
    color, ylim, alphabet : optional
        Of the logo, as in :func:`seqlight.plot_logo`.
    figsize : tuple of float, optional
        Width and height in inches.

    Returns
    -------
    matplotlib.figure.Figure
        Made without pyplot; ``figure.axes`` has the predictions from the top, and the logo last.

    Raises
    ------
    InputError
        If shapes, limits or columns do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from seqlight.plot.tracks import plot_tracks
    >>> motifs = pd.DataFrame({"motif_name": ["GATA1"], "start": [20], "end": [26]})
    >>> locus = ("chr8", 127735434, 127735494)
    >>> figure = plot_tracks(np.eye(4).repeat(15, axis=1), np.ones(40), motifs=motifs, locus=locus)
    >>> [ax.get_title("left") for ax in figure.axes]
    ['prediction', 'attribution']
    >>> figure.axes[-1].get_xlabel()
    'position on chr8'
    """
    values = logo_values(X_attr, alphabet)
    length = values.shape[1]
    first, last = window(start, end, length)
    place = as_locus(locus, length, example_idx)
    tracks = _named(predictions)
    edges = {name: _edges(name, track, length, prediction_window) for name, track in tracks.items()}
    strips = _strips(first, last, seqlets, motifs, example_idx, score_key, label_key)
    figure, axes = _panels(len(tracks), len(strips), figsize)
    for ax, (name, track) in zip(axes, tracks.items(), strict=False):
        _draw_track(ax, track, edges[name], (first, last))
        ax.set_title(name, loc="left", fontsize=TITLE_SIZE, pad=3, **AS_IT_IS)
    logo = axes[-1]
    logo.set_title("attribution", loc="left", fontsize=TITLE_SIZE, pad=3)
    plot_logo(values, logo, start=first, end=last, color=color, ylim=ylim, alphabet=alphabet)
    logo.set_ylabel("")
    if place is not None:
        show_coordinates(logo, place)
    logo.xaxis.label.set_fontsize(TITLE_SIZE)
    if strips:
        if shade_motifs and motifs is not None:
            _shade(axes, strips[-1])
        Strips(logo, strips)
    return figure


def _named(predictions: Track | Mapping[str, Track] | None) -> dict[str, Floats]:
    if predictions is None:
        return {}
    by_name = predictions if isinstance(predictions, Mapping) else {"prediction": predictions}
    return {str(name): _track(str(name), track) for name, track in by_name.items()}


def _track(name: str, given: Track) -> Floats:
    track = np.atleast_2d(as_numbers(given, name))
    if track.ndim != 2 or len(track) > 2 or not track.shape[1] or not np.isfinite(track).all():
        raise InputError(
            f"the prediction {name!r} has shape {tuple(np.shape(given))}, but (bins,) or (2, bins) of finite numbers "
            "is needed: pick one sequence, and one task."
        )
    return track


def _edges(name: str, track: Floats, length: int, covered: tuple[int, int] | None) -> Floats:
    """Return where the bins of a prediction begin and end."""
    n_bins = track.shape[1]
    if covered is None:
        if n_bins > length:
            raise InputError(
                f"the prediction {name!r} has {n_bins} values for {length} positions: say with `prediction_window` "
                "which it covers."
            )
        covered = ((length - n_bins) // 2, (length - n_bins) // 2 + n_bins)
    try:
        first, last = map(float, covered)
    except (TypeError, ValueError):
        first = last = 0.0
    if not first < last:
        raise InputError(f"`prediction_window` is {covered!r}, but two positions, its start below its end, are needed.")
    return np.linspace(first, last, n_bins + 1)


def _strips(
    first: int,
    last: int,
    seqlets: pd.DataFrame | None,
    motifs: pd.DataFrame | None,
    example_idx: int | None,
    score_key: str | None,
    label_key: str | None,
) -> list[Strip]:
    found = []
    for title, table, color in (("seqlets", seqlets, SEQLET_COLOR), ("known motifs", motifs, MOTIF_COLOR)):
        if table is None:
            continue
        chosen = example_idx if "example_idx" in getattr(table, "columns", ()) else None
        keys = (score_key, label_key) if table is seqlets else (None, None)
        shown = in_window(table, first, last, chosen, *keys, name=title.removeprefix("known "))
        for one in shown:
            one.write(show_score=table is seqlets)
        found.append(Strip(shown, colors=[color], title=title))
    return found


def _panels(n_tracks: int, n_strips: int, figsize: tuple[float, float] | None) -> tuple[Figure, list[Axes]]:
    # The strips hang below the logo, which therefore shares its part of the height with them.
    heights = [TRACK_HEIGHT] * n_tracks + [LOGO_HEIGHT]
    figure = Figure(size_in_inches(figsize, (WIDTH, sum(heights) + STRIP_HEIGHT * n_strips + BELOW)))
    figure.set_layout_engine("constrained", **PADS)
    axes = list(figure.subplots(n_tracks + 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0])
    for ax in axes:
        ax.tick_params(labelsize=TICK_SIZE)
        ax.yaxis.set_major_locator(MaxNLocator(3))
        ax.spines[["top", "right"]].set_visible(False)
    for ax in axes[:-1]:
        ax.spines["bottom"].set_visible(False)
        ax.tick_params(axis="x", length=0)
    return figure, axes


def _draw_track(ax: Axes, track: Floats, edges: Floats, shown: tuple[int, int]) -> None:
    for row, color, sign in zip(track, (FORWARD_COLOR, REVERSE_COLOR), (1, -1), strict=False):
        ax.stairs(sign * row, edges, fill=True, color=color, linewidth=0)
    visible = (edges[1:] > shown[0]) & (edges[:-1] < shown[1])
    rows = track[:, visible] * np.array([[1], [-1]])[: len(track)]
    low, high = (min(rows.min(initial=0), 0), max(rows.max(initial=0), 0)) if visible.any() else (0, 1)
    room = 0.05 * (high - low) or 1
    ax.set_ylim(low - room * (low < 0), high + room * (high > 0 or low == 0))
    ax.axhline(0, color="0.5", linewidth=0.5)


def _shade(axes: list[Axes], strip: Strip) -> None:
    for ax in axes:
        for one in strip.annotations:
            ax.axvspan(one.start, one.end, color=MOTIF_COLOR, alpha=0.12, linewidth=0, zorder=0)
