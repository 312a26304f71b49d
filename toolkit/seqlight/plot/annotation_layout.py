"""The rows of annotations: bars with labels beneath them, arranged so that none overlap."""

from __future__ import annotations

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from seqlight.plot.annotations import Annotation

# All lengths in points.
FONT_SIZE = 7.0
BAR_GAP = 1.0
# On a screen each letter is set on whole pixels, which can widen a text: in proportion, and a short one too.
WIDTH_FACTOR = 1.1
WIDTH_MARGIN = 1.5


def assign_rows(
    annotations: list[Annotation], width: float, limits: tuple[float, float], n_rows: int, spacing: float = 4.0
) -> None:
    """Assign each annotation to a row, so that neither bars nor labels of a row overlap.

    Parameters
    ----------
    annotations : list of Annotation
        With their texts; the rows, and the positions of the texts, are written into them.
    width : float
        The width of the axes, in points.
    limits : tuple of float
        The positions at the left and right ends of the axes; annotations outside of them get no row.
    n_rows : int
        The number of rows. If there is no room for all labels, those with the highest absolute scores come first;
        the other annotations are drawn as bars alone, where bars leave room.
    spacing : float
        The least distance between neighbours in a row, in points.
    """
    scale = width / (limits[1] - limits[0])
    visible = []
    for one in annotations:
        one.row, one.labelled = None, True
        # The axis may run backwards, so the ends are sorted.
        begin, stop = sorted(((one.start - limits[0]) * scale, (one.end - limits[0]) * scale))
        if stop <= 0 or begin >= width:
            continue
        half = _text_width(one.text) / 2
        # A label that would leave the axes is moved inwards.
        center = min(max((begin + stop) / 2, half), max(width - half, half))
        one.text_center = limits[0] + center / scale
        one.left, one.right = min(begin, center - half), max(stop, center + half)
        visible.append(one)
    in_order = sorted(visible, key=lambda one: (one.left, one.right))
    if not _fill_rows(in_order, n_rows, spacing):
        _fill_rows(sorted(in_order, key=lambda one: -abs(one.score or 0)), n_rows, spacing)
    _fill_bars([one for one in in_order if one.row is None], in_order, n_rows, abs(scale))


def count_hidden(annotations: list[Annotation], limits: tuple[float, float]) -> int:
    """Return how many annotations between the limits have no row."""
    low, high = sorted(limits)
    return sum(one.row is None and one.end > low and one.start < high for one in annotations)


def _fill_rows(annotations: list[Annotation], n_rows: int, spacing: float) -> bool:
    """Put each into the first row with room, in the order given; return whether all found room."""
    rows: list[list[Annotation]] = [[] for _ in range(n_rows)]
    for one in annotations:
        one.row = next((i for i, row in enumerate(rows) if _has_room(row, one, spacing)), None)
        if one.row is not None:
            rows[one.row].append(one)
    return all(one.row is not None for one in annotations)


def _has_room(row: list[Annotation], one: Annotation, spacing: float) -> bool:
    return all(one.left >= other.right + spacing or other.left >= one.right + spacing for other in row)


def _fill_bars(unplaced: list[Annotation], everyone: list[Annotation], n_rows: int, scale: float) -> None:
    """Put bars without labels into rows where they overlap no other bar."""
    gap = BAR_GAP / scale
    for one in unplaced:
        one.labelled = False
        for row in range(n_rows):
            bars = [other for other in everyone if other.row == row]
            if all(one.start >= other.end + gap or other.start >= one.end + gap for other in bars):
                one.row = row
                break


def _text_width(text: str) -> float:
    if not text:
        return 0.0
    font = FontProperties(size=FONT_SIZE)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return WIDTH_FACTOR * float(width) + WIDTH_MARGIN
