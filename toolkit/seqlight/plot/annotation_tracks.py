"""Tracks of annotations between a logo and its x axis, laid out anew when the axes change size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import (
    Affine2D,
    Affine2DBase,
    Bbox,
    ScaledTranslation,
    Transform,
    TransformedBbox,
    blended_transform_factory,
)

from seqlight.plot.annotation_layout import FONT_SIZE, assign_rows, count_hidden
from seqlight.plot.annotations import Annotation
from seqlight.plot.colors import readable_color
from seqlight.plot.text import LITERAL_TEXT

# All in points.
BAR_HEIGHT = 3.0
TRACK_TOP = 4.0
LABEL_DROP = 1.5
LABEL_HEIGHT = 9.0
ROW_GAP = 2.0
TITLE_GAP = 6.0
BAR_COLOR = "0.25"
NOTE_COLOR = "0.5"
# Below the zorder of everything else on the axes, which is therefore drawn after the layout.
LOWEST_ZORDER = -1e6


@dataclass
class AnnotationTrack:
    """Annotations of one kind, in rows.

    Attributes
    ----------
    annotations : list of Annotation
        With their texts.
    n_rows : int
        The greatest number of rows.
    colors : sequence of colours, optional
        One for each row; dark grey by default.
    color_labels : bool
        Whether labels have the colour of their row, darkened where it is too bright to read.
    spacing : float
        The least distance between neighbours in a row, in points.
    show_extra : bool
        Whether to show annotations without room for their label, as bars or in a note.
    title : str
        Written to the left of the track.
    """

    annotations: list[Annotation]
    n_rows: int = 4
    colors: Sequence[Any] = (BAR_COLOR,)
    color_labels: bool = False
    spacing: float = 4.0
    show_extra: bool = True
    title: str = ""
    bars: list[Rectangle] = field(default_factory=list)
    labels: list[Text] = field(default_factory=list)
    note: Text | None = None
    heading: Text | None = None


class AnnotationArtist(Artist):
    """Lays tracks out below the axes, and again whenever the width or the limits of the axes have changed.

    It draws nothing itself: bars and labels are artists of the axes. With the lowest zorder it is the first to be
    asked for its extent and the first to be drawn, so it moves them in time.
    """

    def __init__(self, ax: Axes, tracks: list[AnnotationTrack]) -> None:
        super().__init__()
        self.tracks = tracks
        self.set_zorder(LOWEST_ZORDER)
        self._laid_out_for: tuple[float, ...] | None = None
        ax.add_artist(self)
        self._below = _points_below(ax)
        # Bars and labels are visible only between the ends of the x axis.
        clip = TransformedBbox(Bbox([[0, -1000], [1, 1]]), ax.transAxes)
        for track in tracks:
            self._add_artists(ax, track, clip)
        self.lay_out()

    def draw(self, renderer: RendererBase) -> None:
        """Lay the tracks out for the current size of the axes."""
        self.lay_out()

    def get_window_extent(self, renderer: RendererBase | None = None) -> Bbox:
        """Lay the tracks out, and return an empty box: bars and labels have extents of their own."""
        self.lay_out()
        return Bbox.null()

    get_tightbbox = get_window_extent

    def lay_out(self) -> None:
        """Choose the row of each annotation, and move the x axis below the last row."""
        ax = cast("Axes", self.axes)
        width = ax.get_window_extent().width * 72 / ax.figure.dpi
        limits = ax.get_xlim()
        if (width, *limits) == self._laid_out_for:
            return
        self._laid_out_for = (width, *limits)
        depth = 0.0
        for track in self.tracks:
            assign_rows(track.annotations, width, limits, track.n_rows, track.spacing)
            depth = _move_artists(track, depth, limits)
        ax.spines["bottom"].set_position(("outward", depth))

    def _add_artists(self, ax: Axes, track: AnnotationTrack, clip: TransformedBbox) -> None:
        for one in track.annotations:
            bar = Rectangle((one.start, 0), one.end - one.start, BAR_HEIGHT, transform=self._below)
            bar.set(edgecolor="none", label="_annotation bar")
            ax.add_artist(bar)
            bar.set_clip_path(None)
            bar.set_clip_box(clip)
            track.bars.append(bar)
            label = _add_text(ax, one.text, (one.start, 0), self._below, "_annotation label")
            label.set(ha="center", clip_on=True, clip_box=clip)
            track.labels.append(label)
        # Notes end at the right end of the axes, headings a gap before their left end.
        note_transform = blended_transform_factory(ax.transAxes, self._below)
        track.note = _add_text(ax, "", (1, 0), note_transform, "_annotation note")
        track.note.set(ha="right", color=NOTE_COLOR)
        if track.title:
            left_of_axes = ax.transAxes + ScaledTranslation(-TITLE_GAP / 72, 0, _inches(ax))
            heading_transform = blended_transform_factory(left_of_axes, self._below)
            track.heading = _add_text(ax, track.title, (0, 0), heading_transform, "_annotation title")
            track.heading.set(ha="right", va="center")


def _move_artists(track: AnnotationTrack, depth: float, limits: tuple[float, float]) -> float:
    """Move the bars, labels and note of a track to their rows; return how far below the axes it ends, in points."""
    if not track.show_extra:
        for one in track.annotations:
            one.row = one.row if one.labelled else None
    tops = _row_tops(track, depth)
    for one, bar, label in zip(track.annotations, track.bars, track.labels, strict=True):
        bar.set_visible(one.row is not None)
        label.set_visible(one.row is not None and one.labelled and bool(one.text))
        if one.row is None:
            continue
        color = track.colors[one.row % len(track.colors)]
        bar.set(y=-tops[one.row] - BAR_HEIGHT, facecolor=color)
        label.set(x=one.text_center, y=-tops[one.row] - BAR_HEIGHT - LABEL_DROP)
        if track.color_labels:
            label.set_color(readable_color(color))
    end = tops[-1]
    n_hidden = count_hidden(track.annotations, limits) if track.show_extra else 0
    assert track.note is not None
    track.note.set(text=f"{n_hidden} more not shown" if n_hidden else "", y=-end, visible=bool(n_hidden))
    if track.heading is not None:
        # Centred on the rows, without the gap that follows the last one.
        track.heading.set_y(-(tops[0] + end - ROW_GAP) / 2)
    return end + LABEL_HEIGHT * bool(n_hidden)


def _row_tops(track: AnnotationTrack, depth: float) -> list[float]:
    """Return how far below the axes each row begins and the last one ends, in points."""
    rows = [one.row for one in track.annotations if one.row is not None]
    tops = [depth + TRACK_TOP * bool(track.annotations or track.title)]
    # A track with a title keeps a row for it, even if the track is empty.
    for row in range(max([*rows, 0 if track.title else -1]) + 1):
        has_text = any(one.row == row and one.labelled and one.text for one in track.annotations)
        tops.append(tops[-1] + BAR_HEIGHT + ROW_GAP + (LABEL_DROP + LABEL_HEIGHT) * (has_text or row not in rows))
    return tops


def _points_below(ax: Axes) -> Transform:
    """Return the transform of positions along x, and of points above the bottom of the axes along y."""
    axes = cast("Affine2DBase", ax.transAxes)
    up = Affine2D().scale(1 / 72) + _inches(ax) + ScaledTranslation(0, 0, axes)
    return blended_transform_factory(ax.transData, up)


def _inches(ax: Axes) -> Affine2DBase:
    return cast("Affine2DBase", ax.figure.dpi_scale_trans)


def _add_text(ax: Axes, text: str, at: tuple[float, float], transform: Transform, label: str) -> Text:
    return ax.text(*at, text, transform=transform, fontsize=FONT_SIZE, va="top", label=label, **LITERAL_TEXT)
