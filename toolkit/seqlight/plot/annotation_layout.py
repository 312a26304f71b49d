"""Where annotations go: rows of bars with labels below, none over another."""

from __future__ import annotations

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from seqlight.plot.annotations import Annotation

# In points.
FONT_SIZE = 7.0
PIXEL_SHARE = 1.1
PIXEL_ROOM = 1.5
BAR_GAP = 1.0


def place(
    annotations: list[Annotation], width: float, limits: tuple[float, float], n_tracks: int, spacing: float = 4.0
) -> None:
    """Give each annotation a track, so that neither bars nor labels of a track overlap.

    Parameters
    ----------
    annotations : list of Annotation
        With texts; tracks, and where texts are centred, are written into them.
    width : float
        How wide the axes are, in points.
    limits : tuple of float
        Which positions are at their left and right ends; what lies outside gets no track.
    n_tracks : int
        How many tracks there are. If they do not hold all labels, the highest absolute scores come
        first; of the others the bars are placed where bars leave room.
    spacing : float
        Points between neighbours in a track, at least.
    """
    scale = width / (limits[1] - limits[0])
    shown = []
    for one in annotations:
        one.track, one.labelled = None, True
        # The axis may run backwards, so the ends are sorted.
        begin, stop = sorted(((one.start - limits[0]) * scale, (one.end - limits[0]) * scale))
        if stop <= 0 or begin >= width:
            continue
        half = _text_width(one.text) / 2
        # A label may not leave the axes, so it is moved inwards at the ends.
        centre = min(max((begin + stop) / 2, half), max(width - half, half))
        one.text_at = limits[0] + centre / scale
        one.left, one.right = min(begin, centre - half), max(stop, centre + half)
        shown.append(one)
    in_order = sorted(shown, key=lambda one: (one.left, one.right))
    if not _fill(in_order, n_tracks, spacing):
        _fill(sorted(in_order, key=lambda one: -abs(one.score or 0)), n_tracks, spacing)
    _fill_bars([one for one in in_order if one.track is None], in_order, n_tracks, abs(scale))


def n_missing(annotations: list[Annotation], limits: tuple[float, float]) -> int:
    """Return how many lie between the limits and found no room."""
    low, high = sorted(limits)
    return sum(one.track is None and one.end > low and one.start < high for one in annotations)


def _fill(annotations: list[Annotation], n_tracks: int, spacing: float) -> bool:
    """Put each into the first track with room, in the order given; return whether all found room."""
    tracks: list[list[Annotation]] = [[] for _ in range(n_tracks)]
    for one in annotations:
        one.track = next((row for row, track in enumerate(tracks) if _has_room(track, one, spacing)), None)
        if one.track is not None:
            tracks[one.track].append(one)
    return all(one.track is not None for one in annotations)


def _has_room(track: list[Annotation], one: Annotation, spacing: float) -> bool:
    return all(one.left >= other.right + spacing or other.left >= one.right + spacing for other in track)


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
    # On a screen letters are set on whole pixels, which can make them wider, short texts too.
    return PIXEL_SHARE * float(width) + PIXEL_ROOM
