"""Letters as outlines that fill a box, however tall it is."""

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


def drawn_heights(values: Floats, min_height_pct: float | None) -> Floats:
    """Return the values with those below a share of the largest one set to 0, which are not drawn."""
    if not min_height_pct:
        return values
    sizes = np.abs(values)
    return np.where(sizes >= min_height_pct * sizes.max(), values, 0.0)


def bottoms(heights: Floats) -> Floats:
    """Return where each letter begins, counted from zero: the smaller ones of its side lie between.

    Parameters
    ----------
    heights : numpy.ndarray, shape (letters, positions)

    Returns
    -------
    numpy.ndarray, shape of `heights`

    Examples
    --------
    >>> import numpy as np
    >>> from seqlight.plot.glyphs import bottoms
    >>> bottoms(np.array([[3.0], [1.0], [-2.0]]))[:, 0].tolist()
    [1.0, 0.0, 0.0]
    """
    order = np.argsort(np.abs(heights), axis=0, kind="stable")
    ranked = np.take_along_axis(heights, order, axis=0)
    up, down = (np.cumsum(side, axis=0) - side for side in (ranked.clip(min=0), ranked.clip(max=0)))
    found = np.empty_like(heights)
    np.put_along_axis(found, order, np.where(ranked > 0, up, down), axis=0)
    return found


@cache
def outline(letter: str) -> tuple[Floats, NDArray[np.uint8]]:
    """Return the outline of a letter, stretched to fill a square of side 1: vertices and path codes."""
    # The font that comes with Matplotlib, so that logos are the same everywhere.
    font = FontProperties(family="DejaVu Sans", weight="bold")
    path = TextPath((0, 0), letter, size=100, prop=font, usetex=False)
    box = path.get_extents()
    vertices = (np.asarray(path.vertices) - box.min) / np.where(box.size, box.size, 1)
    return vertices, np.asarray(path.codes, dtype=np.uint8)


def placed(vertices: Floats, at: NDArray[np.int64], height: Floats, bottom: Floats) -> Floats:
    """Return a letter's vertices in each of its places.

    Parameters
    ----------
    vertices : numpy.ndarray, shape (vertices, 2)
        In a square of side 1.
    at, height, bottom : numpy.ndarray, shape (places,)
        The position, how tall, and where it begins; a negative height turns the letter over.

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
    """Draw all letters, each kind as one collection.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Where.
    alphabet : sequence of str
        The letters.
    heights : numpy.ndarray, shape (letters, positions)
        How tall they are.
    colors : numpy.ndarray, shape (letters, positions or 1, 4)
        Red, green, blue and opacity.
    first : int
        The number of the first position.
    """
    for letter, height, bottom, color in zip(alphabet, heights, bottoms(heights), colors, strict=True):
        at = np.flatnonzero(height)
        if not len(at):
            continue
        vertices, codes = outline(letter)
        drawn = placed(vertices, first + at, height[at], bottom[at])
        shades, shade_of = _shades(color, at)
        # One path for all letters of one colour: that is what makes long logos fast.
        paths = [_joined(drawn[shade_of == shade], codes) for shade in range(len(shades))]
        letters = PathCollection(paths, facecolors=shades, edgecolors="none", linewidths=0)
        letters.set_label(f"_letter {letter}")
        ax.add_collection(letters, autolim=False)


def _shades(color: NDArray[np.float64], at: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the different colours of a letter, and which of them each of its places has."""
    if len(color) == 1:
        return color, np.zeros(len(at), dtype=np.int64)
    shades, shade_of = np.unique(color[at], axis=0, return_inverse=True)
    return shades, shade_of.reshape(-1)


def _joined(drawn: Floats, codes: NDArray[np.uint8]) -> Path:
    return Path(drawn.reshape(-1, 2), np.tile(codes, len(drawn)))
