"""A locus in panels on one axis: predictions, the attribution logo, seqlets and known motifs."""

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
from seqlight.plot.annotation_tracks import AnnotationArtist, AnnotationTrack
from seqlight.plot.annotations import select_annotations
from seqlight.plot.axes import TITLE_SIZE, stack_panels, title_panel
from seqlight.plot.checks import Floats, as_float_array, logo_values, window_bounds
from seqlight.plot.colors import Colors
from seqlight.plot.coordinates import LocusLike, as_locus, show_coordinates
from seqlight.plot.logo import plot_logo
from seqlight.plot.text import LITERAL_TEXT

Track: TypeAlias = torch.Tensor | NDArray[Any]

# All in inches.
WIDTH = 11.0
TRACK_HEIGHT = 0.75
LOGO_HEIGHT = 1.5
ANNOTATION_HEIGHT = 0.35
BELOW = 0.6
PAD = 0.06
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
    locus: LocusLike | None = None,
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
        Predictions of the model, or measurements, along the sequence. Where there are two rows, the second is the
        reverse strand and is drawn downwards.
    seqlets, motifs : pandas.DataFrame, optional
        Tables like the annotations of :func:`seqlight.plot_logo`: columns `start` and `end`, in positions of the
        sequence. The first column of `motifs` holds the names.
    locus : tuple, str, Loci or pandas.DataFrame, optional
        The place in the genome that the sequence was cut from, ``(chrom, start, end)`` or ``(chrom, start, end,
        strand)``, in the coordinates of BED, or a text such as ``"chr1:2,850-3,150"``; or the loci of all sequences,
        from which `example_idx` selects. The axis then shows genome coordinates.
    start, end : int, optional
        Draw the positions ``start <= position < end`` only.
    prediction_window : tuple of int, optional
        The positions that the predictions cover, in bins of equal width. By default they cover the middle of the
        sequence, with one value for each position.
    example_idx : int, optional
        The example to draw, where the tables hold several.
    score_key, label_key : str, optional
        Columns of `seqlets`, as in :func:`seqlight.plot_logo`.
    shade_motifs : bool, optional
        Whether to shade known motifs across predictions and logo.
    color, ylim, alphabet : optional
        As in :func:`seqlight.plot_logo`.
    figsize : tuple of float, optional
        Width and height in inches.

    Returns
    -------
    matplotlib.figure.Figure
        Made without pyplot; ``figure.axes`` holds the predictions from the top, and the logo last.

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
    first, last = window_bounds(start, end, length)
    genome_locus = as_locus(locus, length, example_idx)
    tracks = _prediction_tracks(predictions)
    edges = {name: _bin_edges(name, track, length, prediction_window) for name, track in tracks.items()}
    annotations = _annotation_tracks(first, last, seqlets, motifs, example_idx, score_key, label_key)
    figure, axes = _make_panels(len(tracks), len(annotations), figsize)
    for ax, (name, track) in zip(axes, tracks.items(), strict=False):
        _draw_track(ax, track, edges[name], (first, last))
        title_panel(ax, name, **LITERAL_TEXT)
    logo = axes[-1]
    title_panel(logo, "attribution")
    plot_logo(values, logo, start=first, end=last, color=color, ylim=ylim, alphabet=alphabet)
    logo.set_ylabel("")
    if genome_locus is not None:
        show_coordinates(logo, genome_locus)
    logo.xaxis.label.set_fontsize(TITLE_SIZE)
    if annotations:
        if shade_motifs and motifs is not None:
            _shade_motifs(axes, annotations[-1])
        AnnotationArtist(logo, annotations)
    return figure


def _prediction_tracks(predictions: Track | Mapping[str, Track] | None) -> dict[str, Floats]:
    if predictions is None:
        return {}
    by_name = predictions if isinstance(predictions, Mapping) else {"prediction": predictions}
    return {str(name): _as_track(str(name), track) for name, track in by_name.items()}


def _as_track(name: str, given: Track) -> Floats:
    track = np.atleast_2d(as_float_array(given, name))
    if track.ndim != 2 or len(track) > 2 or not track.shape[1] or not np.isfinite(track).all():
        raise InputError(
            f"the prediction {name!r} has shape {tuple(np.shape(given))}, but (bins,) or (2, bins) of finite numbers "
            "is needed: pick one sequence and one task."
        )
    return track


def _bin_edges(name: str, track: Floats, length: int, covered: tuple[int, int] | None) -> Floats:
    """Return the edges of the bins of a prediction, as positions."""
    n_bins = track.shape[1]
    if covered is None:
        if n_bins > length:
            raise InputError(
                f"the prediction {name!r} has {n_bins} values for {length} positions: pass the positions "
                "that it covers as `prediction_window`."
            )
        covered = ((length - n_bins) // 2, (length - n_bins) // 2 + n_bins)
    try:
        first, last = map(float, covered)
    except (TypeError, ValueError):
        first = last = 0.0
    if not first < last:
        raise InputError(f"`prediction_window` is {covered!r}, but two positions, its start below its end, are needed.")
    return np.linspace(first, last, n_bins + 1)


def _annotation_tracks(
    first: int,
    last: int,
    seqlets: pd.DataFrame | None,
    motifs: pd.DataFrame | None,
    example_idx: int | None,
    score_key: str | None,
    label_key: str | None,
) -> list[AnnotationTrack]:
    tracks = []
    for title, table, color in (("seqlets", seqlets, SEQLET_COLOR), ("known motifs", motifs, MOTIF_COLOR)):
        if table is None:
            continue
        example = example_idx if "example_idx" in getattr(table, "columns", ()) else None
        keys = (score_key, label_key) if table is seqlets else (None, None)
        shown = select_annotations(table, first, last, example, *keys, name=title.removeprefix("known "))
        for one in shown:
            one.set_text(show_score=table is seqlets)
        tracks.append(AnnotationTrack(shown, colors=[color], title=title))
    return tracks


def _make_panels(n_tracks: int, n_annotations: int, figsize: tuple[float, float] | None) -> tuple[Figure, list[Axes]]:
    # Annotations are drawn below the logo, in its part of the height.
    heights = [TRACK_HEIGHT] * n_tracks + [LOGO_HEIGHT]
    default_size = (WIDTH, sum(heights) + ANNOTATION_HEIGHT * n_annotations + BELOW)
    figure, axes = stack_panels(heights, figsize, default_size, PAD)
    for ax in axes:
        ax.yaxis.set_major_locator(MaxNLocator(3))
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _draw_track(ax: Axes, track: Floats, edges: Floats, window: tuple[int, int]) -> None:
    for row, color, sign in zip(track, (FORWARD_COLOR, REVERSE_COLOR), (1, -1), strict=False):
        ax.stairs(sign * row, edges, fill=True, color=color, linewidth=0)
    visible = (edges[1:] > window[0]) & (edges[:-1] < window[1])
    rows = track[:, visible] * np.array([[1], [-1]])[: len(track)]
    low, high = (min(rows.min(initial=0), 0), max(rows.max(initial=0), 0)) if visible.any() else (0, 1)
    room = 0.05 * (high - low) or 1
    ax.set_ylim(low - room * (low < 0), high + room * (high > 0 or low == 0))
    ax.axhline(0, color="0.5", linewidth=0.5)


def _shade_motifs(axes: list[Axes], motifs: AnnotationTrack) -> None:
    for ax in axes:
        for one in motifs.annotations:
            ax.axvspan(one.start, one.end, color=MOTIF_COLOR, alpha=0.12, linewidth=0, zorder=0)
