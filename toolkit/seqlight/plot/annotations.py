"""Annotations in tracks beneath a logo: a bar for each span, with its label below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.textpath import text_to_path
from matplotlib.transforms import (
    Affine2D,
    Affine2DBase,
    Bbox,
    ScaledTranslation,
    Transform,
    TransformedBbox,
    blended_transform_factory,
)

from seqlight.errors import InputError

# All in points.
FONT_SIZE = 7.0
BAR_HEIGHT = 3.0
STRIP_TOP = 4.0
LABEL_DROP = 1.5
LABEL_HEIGHT = 9.0
TRACK_GAP = 2.0
SIDE_GAP = 4.0
PIXEL_ROOM = 1.1
BAR_GAP = 1.0
BAR_COLOR = "0.25"
NOTE_COLOR = "0.5"

SCORE_KEYS = ("attribution", "score")


@dataclass
class Annotation:
    """One span, and where it is drawn; `left` and `right` are in points from the left of the axes."""

    start: float
    end: float
    label: str
    score: float | None
    track: int | None = None
    labelled: bool = True
    left: float = 0.0
    right: float = 0.0
    text: str = ""
    text_at: float = 0.0


def in_window(
    table: pd.DataFrame,
    first: int,
    last: int,
    example_idx: int | None,
    score_key: str | None,
    label_key: str | None,
) -> list[Annotation]:
    """Return the annotations of one example that lie wholly inside ``first <= position < last``.

    Raises
    ------
    InputError
        If a column is missing, or the table holds several examples and none is chosen.
    """
    for key in ("start", "end", score_key, label_key):
        if key is not None and key not in table.columns:
            raise InputError(
                f"`annotations` has no column {key!r}, only {', '.join(map(str, table.columns))}: rename one."
            )
    table = _of_example(table, example_idx)
    table = table[(table["start"] >= first) & (table["end"] <= last)]
    if score_key is None:
        score_key = next((key for key in SCORE_KEYS if key in table.columns), None)
    if label_key is None and len(table.columns) and pd.api.types.is_string_dtype(table.iloc[:, 0]):
        label_key = str(table.columns[0])
    labels = [""] * len(table) if label_key is None else table[label_key].astype(str).tolist()
    scores = [None] * len(table) if score_key is None else table[score_key].astype(float).tolist()
    spans = zip(table["start"].tolist(), table["end"].tolist(), labels, scores, strict=True)
    return [Annotation(*span) for span in spans]


def _of_example(table: pd.DataFrame, example_idx: int | None) -> pd.DataFrame:
    if "example_idx" not in table.columns:
        if example_idx is not None:
            raise InputError(
                "`example_idx` was given, but `annotations` has no column of that name to choose by: leave it out."
            )
        return table
    if example_idx is not None:
        return table[table["example_idx"] == example_idx]
    n_examples = table["example_idx"].nunique()
    if n_examples > 1:
        raise InputError(
            f"`annotations` holds {n_examples} examples, but a logo shows one: choose it with `example_idx`."
        )
    return table


def place(annotations: list[Annotation], width: float, limits: tuple[float, float], n_tracks: int) -> None:
    """Give each annotation a track, so that neither bars nor labels of a track overlap.

    Parameters
    ----------
    annotations : list of Annotation
        With texts; tracks, and where texts are centred, are written into them.
    width : float
        How wide the axes are, in points.
    limits : tuple of float
        Which positions are at their left and right ends.
    n_tracks : int
        How many tracks there are. If they do not hold all labels, the highest absolute scores come
        first; of the others the bars are placed where bars leave room.
    """
    scale = width / (limits[1] - limits[0])
    for one in annotations:
        half = _text_width(one.text) / 2
        middle = (one.start + one.end) / 2 - limits[0]
        # A label may not leave the axes, so it is moved inwards at the ends.
        centre = min(max(middle * scale, half), max(width - half, half))
        one.text_at = limits[0] + centre / scale
        one.left = min((one.start - limits[0]) * scale, centre - half)
        one.right = max((one.end - limits[0]) * scale, centre + half)
    in_order = sorted(annotations, key=lambda one: (one.left, one.right))
    if not _fill(in_order, n_tracks):
        _fill(sorted(in_order, key=lambda one: -abs(one.score or 0)), n_tracks)
    _fill_bars([one for one in in_order if one.track is None], in_order, n_tracks, scale)


def _fill(annotations: list[Annotation], n_tracks: int) -> bool:
    """Put each into the first track with room, in the order given; return whether all found room."""
    tracks: list[list[Annotation]] = [[] for _ in range(n_tracks)]
    for one in annotations:
        one.track = next((number for number, track in enumerate(tracks) if _has_room(track, one)), None)
        if one.track is not None:
            tracks[one.track].append(one)
    return all(one.track is not None for one in annotations)


def _has_room(track: list[Annotation], one: Annotation) -> bool:
    return all(one.left >= other.right + SIDE_GAP or other.left >= one.right + SIDE_GAP for other in track)


def _fill_bars(unplaced: list[Annotation], everyone: list[Annotation], n_tracks: int, scale: float) -> None:
    """Put bars without labels where no other bar is."""
    gap = BAR_GAP / scale
    for one in unplaced:
        one.labelled = False
        for track in range(n_tracks):
            bars = [other for other in everyone if other.track == track]
            if all(one.start >= other.end + gap or other.start >= one.end + gap for other in bars):
                one.track = track
                break


def _text_width(text: str) -> float:
    if not text:
        return 0.0
    font = FontProperties(size=FONT_SIZE)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    # On a screen letters are set on whole pixels, which can make them wider.
    return PIXEL_ROOM * float(width)


def draw_annotations(ax: Axes, annotations: list[Annotation], n_tracks: int, show_score: bool) -> None:
    """Draw annotations in a strip below the axes, and move the x axis below the strip."""
    if not annotations:
        return
    for one in annotations:
        score = f"{one.score:.3g}" if show_score and one.score is not None else ""
        one.text = " ".join(f"{one.label} {score}".split())
    width = ax.get_window_extent().width * 72 / ax.figure.dpi
    place(annotations, width, ax.get_xlim(), n_tracks)
    tops = _track_tops(annotations)
    below = _points_below(ax)
    # Seen only between the ends of the x axis, also when its limits are changed later.
    clip = TransformedBbox(Bbox([[0, -1000], [1, 1]]), ax.transAxes)
    for one in annotations:
        if one.track is not None:
            _draw(ax, one, -tops[one.track], below, clip)
    depth = tops[-1]
    n_missing = sum(one.track is None for one in annotations)
    if n_missing:
        _write_note(ax, f"{n_missing} more not shown", -depth, below)
        depth += LABEL_HEIGHT
    ax.spines["bottom"].set_position(("outward", depth))


def _track_tops(annotations: list[Annotation]) -> list[float]:
    """Return how far below the axes each track begins, and where the last one ends; in points."""
    tops = [STRIP_TOP]
    for track in range(1 + max(one.track for one in annotations if one.track is not None)):
        has_text = any(one.track == track and one.labelled and one.text for one in annotations)
        tops.append(tops[-1] + BAR_HEIGHT + TRACK_GAP + (LABEL_DROP + LABEL_HEIGHT) * has_text)
    return tops


def _points_below(ax: Axes) -> Transform:
    """Return the transform of positions along x, and of points above the bottom of the axes along y."""
    axes = cast("Affine2DBase", ax.transAxes)
    up = Affine2D().scale(1 / 72) + ax.figure.dpi_scale_trans + ScaledTranslation(0, 0, axes)
    return blended_transform_factory(ax.transData, up)


def _draw(ax: Axes, one: Annotation, top: float, below: Transform, clip: TransformedBbox) -> None:
    bar = Rectangle((one.start, top - BAR_HEIGHT), one.end - one.start, BAR_HEIGHT, transform=below)
    bar.set(facecolor=BAR_COLOR, edgecolor="none", label="_annotation bar")
    ax.add_artist(bar)
    bar.set_clip_path(None)
    bar.set_clip_box(clip)
    if one.labelled and one.text:
        text = _write(ax, one.text, (one.text_at, top - BAR_HEIGHT - LABEL_DROP), below, "_annotation label")
        text.set(ha="center", clip_on=True, clip_box=clip)


def _write_note(ax: Axes, note: str, y: float, below: Transform) -> None:
    text = _write(ax, note, (1, y), blended_transform_factory(ax.transAxes, below), "_annotation note")
    text.set(ha="right", color=NOTE_COLOR)


def _write(ax: Axes, text: str, at: tuple[float, float], transform: Transform, name: str) -> Text:
    return ax.text(*at, text, transform=transform, fontsize=FONT_SIZE, va="top", label=name, parse_math=False)
