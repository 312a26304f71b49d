"""Draw what a multiplier is, and the two passes: docs/images/multiplier.svg and docs/images/two_passes.svg.

Usage: ``python docs/principle_pictures.py``; with ``--check`` it only reports whether they are up to date.
"""

from __future__ import annotations

import math
from pathlib import Path

from generated_regions import write_files
from svg import BLUE, GREEN, INK, ORANGE, Drawing

IMAGES = Path(__file__).parent / "images"


def multiplier() -> Drawing:
    """Return the picture of a multiplier: the mean slope between reference and input, and not that at the input."""
    picture = Drawing(690, 320, "The multiplier of an operation is its mean slope on the line from reference to input")
    left, bottom, unit_x, unit_y = 60.0, 280.0, 46.0, 230.0

    def at(x: float, y: float) -> tuple[float, float]:
        return left + unit_x * (x + 5), bottom - unit_y * y

    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    x0, x1 = -2.5, 3.5
    y0, y1 = sigmoid(x0), sigmoid(x1)
    picture.arrow([at(-5, 0), at(5.2, 0)])
    picture.arrow([at(-5, 0), at(-5, 1.12)])
    picture.line([at(i / 10, sigmoid(i / 10)) for i in range(-50, 51)], INK, width=2)
    slope = y1 * (1 - y1)
    picture.line([at(x1 - 2.6, y1 - 2.6 * slope), at(x1 + 1.4, y1 + 1.4 * slope)], ORANGE, dashed=True)
    picture.line([at(x0, y0), at(x1, y1)], BLUE, width=2.5)
    for x, y, name in ((x0, y0, "reference"), (x1, y1, "input")):
        picture.line([at(x, 0), at(x, y)], INK, dashed=True, width=0.8)
        picture.dot(*at(x, y), BLUE)
        picture.text(at(x, 0)[0], bottom + 20, name)
    picture.text(*at(-4.7, 0.72), "the multiplier: mean slope,", colour=BLUE, anchor="start")
    picture.text(*at(-4.7, 0.64), "difference of y / difference of x", colour=BLUE, anchor="start")
    picture.text(*at(3.7, 0.74), "the gradient at the input:", colour=ORANGE, anchor="start")
    picture.text(*at(3.7, 0.66), "nearly 0, saturated", colour=ORANGE, anchor="start")
    picture.text(*at(-4.9, 1.04), "y", anchor="start")
    picture.text(at(5.2, 0)[0] + 12, bottom + 5, "x")
    return picture


def two_passes() -> Drawing:
    """Return the picture of the two passes forward, and the one backward."""
    picture = Drawing(
        900, 430, "Sequences go through first and are observed; references go through second and are tied to them"
    )
    columns = [(200.0, "convolution"), (400.0, "relu"), (600.0, "dense")]
    rows = [
        (40.0, BLUE, "first pass", "a sequence, once", "x", "f(x)"),
        (180.0, GREEN, "second pass", "each reference", "r", "f(r)"),
    ]
    for y, colour, name, what, start, end in rows:
        picture.text(20, y + 15, name, colour=colour, anchor="start", weight=700)
        picture.text(20, y + 35, what, colour=colour, anchor="start", size=12)
        picture.text(160, y + 28, start, colour=colour, weight=700)
        places = [172.0]
        for x, title in columns:
            picture.box(x, y, 120, 46, title, colour)
            picture.arrow([(places[-1], y + 23), (x, y + 23)], colour)
            places.append(x + 120)
        picture.arrow([(places[-1], y + 23), (765, y + 23)], colour)
        picture.text(790, y + 28, end, colour=colour, weight=700)
    picture.arrow([(460, 86), (460, 180)], BLUE, dashed=True)
    picture.text(470, 128, "observed: what went in and came out,", colour=BLUE, anchor="start", size=12)
    picture.text(470, 145, "x1 and y1, is kept for each reference", colour=BLUE, anchor="start", size=12)
    y = 310.0
    picture.text(20, y + 15, "backward", colour=ORANGE, anchor="start", weight=700)
    picture.text(20, y + 35, "of autograd", colour=ORANGE, anchor="start", size=12)
    picture.text(790, y + 28, "1", colour=ORANGE, weight=700)
    titles = ["transposed", "times (y1 - y0) / (x1 - x0)", "transposed"]
    edge = 775.0
    for (x, _), title, extra in reversed(list(zip(columns, titles, (0, 40, 0), strict=True))):
        picture.box(x - extra, y, 120 + 2 * extra, 46, title, ORANGE)
        picture.arrow([(edge, y + 23), (x + 120 + extra, y + 23)], ORANGE)
        edge = x - extra
    picture.arrow([(edge, y + 23), (172, y + 23)], ORANGE)
    picture.text(156, y + 28, "m", colour=ORANGE, weight=700)
    picture.arrow([(460, 226), (460, 310)], GREEN, dashed=True)
    picture.text(470, 272, "tied: its backward multiplies by the mean slope", colour=GREEN, anchor="start", size=12)
    picture.text(450, 395, "contributions: m (x - r), for each letter", weight=700)
    picture.text(450, 417, "they sum to f(x) - f(r), which is checked: what is missing is the delta", size=13)
    return picture


def pictures() -> dict[Path, str]:
    """Return the text of each file."""
    return {IMAGES / "multiplier.svg": str(multiplier()), IMAGES / "two_passes.svg": str(two_passes())}


if __name__ == "__main__":
    write_files(pictures(), "principle_pictures.py")
