"""Letters as outlines, each stretched to fill a box of any height."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from numpy.typing import NDArray

from seqlight.plot.checks import Floats

LETTER_WIDTH = 0.94
# The commands of SVG that mean what the codes of Matplotlib's paths do.
COMMANDS = {int(Path.MOVETO): "M", int(Path.LINETO): "L", int(Path.CURVE3): "Q", int(Path.CURVE4): "C",
            int(Path.CLOSEPOLY): "Z"}  # fmt: skip


def visible_heights(values: Floats, min_height_pct: float | None) -> Floats:
    """Return the values, with those below a fraction of the largest set to 0, so that they are not drawn."""
    if not min_height_pct:
        return values
    sizes = np.abs(values)
    return np.where(sizes >= min_height_pct * sizes.max(), values, 0.0)


def letter_bottoms(heights: Floats) -> Floats:
    """Return the y at which each letter begins: the smaller letters on its side of zero are stacked beneath it.

    Parameters
    ----------
    heights : numpy.ndarray, shape (letters, positions)

    Returns
    -------
    numpy.ndarray, shape of `heights`

    Examples
    --------
    >>> import numpy as np
    >>> from seqlight.plot.glyphs import letter_bottoms
    >>> letter_bottoms(np.array([[3.0], [1.0], [-2.0]]))[:, 0].tolist()
    [1.0, 0.0, 0.0]
    """
    order = np.argsort(np.abs(heights), axis=0, kind="stable")
    ranked = np.take_along_axis(heights, order, axis=0)
    up, down = (np.cumsum(side, axis=0) - side for side in (ranked.clip(min=0), ranked.clip(max=0)))
    bottoms = np.empty_like(heights)
    np.put_along_axis(bottoms, order, np.where(ranked > 0, up, down), axis=0)
    return bottoms


@cache
def letter_outline(letter: str) -> tuple[Floats, NDArray[np.uint8]]:
    """Return the outline of a letter, stretched to fill a square of side 1: vertices and path codes."""
    # This font comes with Matplotlib, so logos look the same everywhere.
    font = FontProperties(family="DejaVu Sans", weight="bold")
    path = TextPath((0, 0), letter, size=100, prop=font, usetex=False)
    box = path.get_extents()
    vertices = (np.asarray(path.vertices) - box.min) / np.where(box.size, box.size, 1)
    return vertices, np.asarray(path.codes, dtype=np.uint8)


@cache
def outline_commands(letter: str) -> list[list[str | float]]:
    """Return the outline of a letter as commands of SVG, each with its points, in a field of width and height 1.

    Examples
    --------
    >>> from seqlight.plot.glyphs import outline_commands
    >>> outline_commands("I")[:2]
    [['M', 0.03, 1.0], ['L', 0.97, 1.0]]
    """
    vertices, codes = letter_outline(letter)
    placed = np.stack([(1 - LETTER_WIDTH) / 2 + LETTER_WIDTH * vertices[:, 0], vertices[:, 1]], axis=1)
    segments = Path(placed, codes).iter_segments(simplify=False)
    return [
        [COMMANDS[int(code)], *([] if code == Path.CLOSEPOLY else np.round(points, 3).tolist())]
        for points, code in segments
    ]


def place_outlines(vertices: Floats, at: NDArray[np.int64], height: Floats, bottom: Floats) -> Floats:
    """Return the outline of one letter at each of the positions where it stands.

    Parameters
    ----------
    vertices : numpy.ndarray, shape (vertices, 2)
        In a square of side 1.
    at, height, bottom : numpy.ndarray, shape (places,)
        For each copy its position, its height and the y at which it begins; a negative height turns it upside down.

    Returns
    -------
    numpy.ndarray, shape (places, vertices, 2)
    """
    x = at[:, None] + (1 - LETTER_WIDTH) / 2 + LETTER_WIDTH * vertices[:, 0]
    y = bottom[:, None] + height[:, None] * vertices[:, 1]
    return np.stack([x, y], axis=-1)


def draw_letters(
    ax: Axes, alphabet: Sequence[str], heights: Floats, colors: NDArray[np.float64], first: int = 0
) -> None:
    """Draw all letters, with one collection for each letter of the alphabet.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        The axes to draw on.
    alphabet : sequence of str
        The letters.
    heights : numpy.ndarray, shape (letters, positions)
        Their heights; letters of height 0 are not drawn.
    colors : numpy.ndarray, shape (letters, positions or 1, 4)
        Red, green, blue and opacity.
    first : int
        The position of the first column on the x axis.
    """
    for letter, height, bottom, color in zip(alphabet, heights, letter_bottoms(heights), colors, strict=True):
        at = np.flatnonzero(height)
        if not len(at):
            continue
        vertices, codes = letter_outline(letter)
        drawn = place_outlines(vertices, first + at, height[at], bottom[at])
        shades, shade_of = _distinct_colors(color, at)
        # One path for all letters of one colour, which keeps long logos fast.
        paths = [_join_outlines(drawn[shade_of == shade], codes) for shade in range(len(shades))]
        letters = PathCollection(paths, facecolors=shades, edgecolors="none", linewidths=0)
        letters.set_label(f"_letter {letter}")
        ax.add_collection(letters, autolim=False)


def _distinct_colors(
    color: NDArray[np.float64], at: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the distinct colours of a letter, and the index of the one at each of its positions."""
    if len(color) == 1:
        return color, np.zeros(len(at), dtype=np.int64)
    shades, shade_of = np.unique(color[at], axis=0, return_inverse=True)
    return shades, shade_of.reshape(-1)


def _join_outlines(drawn: Floats, codes: NDArray[np.uint8]) -> Path:
    return Path(drawn.reshape(-1, 2), np.tile(codes, len(drawn)))
