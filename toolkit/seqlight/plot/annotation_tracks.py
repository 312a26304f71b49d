"""Strips of annotations between a logo and its x axis, which keep in order when the axes change size."""

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

from seqlight.plot.annotation_layout import FONT_SIZE, n_missing, place
from seqlight.plot.annotations import Annotation
from seqlight.plot.colors import legible
from seqlight.plot.text import AS_IT_IS

# All in points.
BAR_HEIGHT = 3.0
STRIP_TOP = 4.0
LABEL_DROP = 1.5
LABEL_HEIGHT = 9.0
TRACK_GAP = 2.0
TITLE_GAP = 6.0
BAR_COLOR = "0.25"
NOTE_COLOR = "0.5"
# Whatever is drawn on the axes is drawn after the strips have been put in order.
FIRST = -1e6


@dataclass
class Strip:
    """Annotations of one kind.

    Attributes
    ----------
    annotations : list of Annotation
        With their texts.
    n_tracks : int
        How many rows there may be.
    colors : sequence of colours, optional
        One for each row; dark grey by default.
    color_labels : bool
        Whether labels have the colour of their row, darkened where it is too bright to read.
    spacing : float
        Points between neighbours in a row, at least.
    show_extra : bool
        Whether to show those without room for their label, as bars or in a note.
    title : str
        Written to the left.
    """

    annotations: list[Annotation]
    n_tracks: int = 4
    colors: Sequence[Any] = (BAR_COLOR,)
    color_labels: bool = False
    spacing: float = 4.0
    show_extra: bool = True
    title: str = ""
    bars: list[Rectangle] = field(default_factory=list)
    labels: list[Text] = field(default_factory=list)
    note: Text | None = None
    heading: Text | None = None


class Strips(Artist):
    """Lays strips out below the axes, and once more whenever their width or their limits have changed.

    It draws nothing itself: bars and labels are artists of the axes. Being the first that is asked for its
    extent and the first to be drawn, it moves them in time.
    """

    def __init__(self, ax: Axes, strips: list[Strip]) -> None:
        super().__init__()
        self.strips = strips
        self.set_zorder(FIRST)
        self._laid_out_for: tuple[float, ...] | None = None
        ax.add_artist(self)
        self._below = _points_below(ax)
        # Seen only between the ends of the x axis.
        clip = TransformedBbox(Bbox([[0, -1000], [1, 1]]), ax.transAxes)
        for strip in strips:
            self._make(ax, strip, clip)
        self.lay_out()

    def draw(self, renderer: RendererBase) -> None:
        """Put everything in order for the size that the axes have now."""
        self.lay_out()

    def get_window_extent(self, renderer: RendererBase | None = None) -> Bbox:
        """Put everything in order, and return a box without size: the bars and labels have their own."""
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
        for strip in self.strips:
            place(strip.annotations, width, limits, strip.n_tracks, strip.spacing)
            depth = _arrange(strip, depth, limits)
        ax.spines["bottom"].set_position(("outward", depth))

    def _make(self, ax: Axes, strip: Strip, clip: TransformedBbox) -> None:
        for one in strip.annotations:
            bar = Rectangle((one.start, 0), one.end - one.start, BAR_HEIGHT, transform=self._below)
            bar.set(edgecolor="none", label="_annotation bar")
            ax.add_artist(bar)
            bar.set_clip_path(None)
            bar.set_clip_box(clip)
            strip.bars.append(bar)
            label = _write(ax, one.text, (one.start, 0), self._below, "_annotation label")
            label.set(ha="center", clip_on=True, clip_box=clip)
            strip.labels.append(label)
        # Beside the axes, in points from their left and right ends.
        for_note = blended_transform_factory(ax.transAxes, self._below)
        strip.note = _write(ax, "", (1, 0), for_note, "_annotation note")
        strip.note.set(ha="right", color=NOTE_COLOR)
        if strip.title:
            beside = ax.transAxes + ScaledTranslation(-TITLE_GAP / 72, 0, _inches(ax))
            to_left = blended_transform_factory(beside, self._below)
            strip.heading = _write(ax, strip.title, (0, 0), to_left, "_annotation title")
            strip.heading.set(ha="right", va="center")


def _arrange(strip: Strip, depth: float, limits: tuple[float, float]) -> float:
    """Move bars, labels and note of one strip to their rows; return how far down it reaches."""
    if not strip.show_extra:
        for one in strip.annotations:
            one.track = one.track if one.labelled else None
    tops = _row_tops(strip, depth)
    for one, bar, label in zip(strip.annotations, strip.bars, strip.labels, strict=True):
        bar.set_visible(one.track is not None)
        label.set_visible(one.track is not None and one.labelled and bool(one.text))
        if one.track is None:
            continue
        color = strip.colors[one.track % len(strip.colors)]
        bar.set(y=-tops[one.track] - BAR_HEIGHT, facecolor=color)
        label.set(x=one.text_at, y=-tops[one.track] - BAR_HEIGHT - LABEL_DROP)
        if strip.color_labels:
            label.set_color(legible(color))
    end = tops[-1]
    n_out = n_missing(strip.annotations, limits) if strip.show_extra else 0
    assert strip.note is not None
    strip.note.set(text=f"{n_out} more not shown" if n_out else "", y=-end, visible=bool(n_out))
    if strip.heading is not None:
        # Beside the bars and labels, which a gap follows.
        strip.heading.set_y(-(tops[0] + end - TRACK_GAP) / 2)
    return end + LABEL_HEIGHT * bool(n_out)


def _row_tops(strip: Strip, depth: float) -> list[float]:
    """Return how far below the axes each row begins, and where the last one ends; in points."""
    rows = [one.track for one in strip.annotations if one.track is not None]
    tops = [depth + STRIP_TOP * bool(strip.annotations or strip.title)]
    # A strip with a title keeps a row for it, even if it is empty.
    for row in range(max([*rows, 0 if strip.title else -1]) + 1):
        has_text = any(one.track == row and one.labelled and one.text for one in strip.annotations)
        tops.append(tops[-1] + BAR_HEIGHT + TRACK_GAP + (LABEL_DROP + LABEL_HEIGHT) * (has_text or row not in rows))
    return tops


def _points_below(ax: Axes) -> Transform:
    """Return the transform of positions along x, and of points above the bottom of the axes along y."""
    axes = cast("Affine2DBase", ax.transAxes)
    up = Affine2D().scale(1 / 72) + _inches(ax) + ScaledTranslation(0, 0, axes)
    return blended_transform_factory(ax.transData, up)


def _inches(ax: Axes) -> Affine2DBase:
    return cast("Affine2DBase", ax.figure.dpi_scale_trans)


def _write(ax: Axes, text: str, at: tuple[float, float], transform: Transform, name: str) -> Text:
    return ax.text(*at, text, transform=transform, fontsize=FONT_SIZE, va="top", label=name, **AS_IT_IS)
