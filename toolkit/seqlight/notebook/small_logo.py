"""A small logo as an SVG picture, for notebooks: the strongest part of one sequence."""

from __future__ import annotations

import html
import json
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlight.notebook.letter_colors import BASE_COLORS, OTHER_COLOR, RESIDUE_COLORS

# The letters of a logo, by their number: DNA, and amino acids.
LETTERS = {4: "ACGT", 20: "ACDEFGHIKLMNPQRSTVWY"}
# In pixels, but for the number of positions that are shown.
WIDTH, HEIGHT, TITLE_HEIGHT, MOST_POSITIONS = 640, 60, 16, 100
# Lower letters would not be seen, and are left out.
LEAST_HEIGHT = 0.5


def small_logo(values: NDArray[Any], title: str = "") -> str:
    """Return the strongest 100 positions of a sequence as a logo.

    Parameters
    ----------
    values : numpy.ndarray, shape (letters, positions)
        Attributions of a sequence of DNA or protein.
    title : str
        What to write above.

    Returns
    -------
    str
        An SVG picture of less than 40 kB for DNA; "" where there are no letters for so many rows, no positions, or
        values that are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from seqlight.notebook.small_logo import small_logo
    >>> small_logo(np.eye(4))[:4], small_logo(np.eye(5))
    ('<svg', '')
    """
    values = np.asarray(values, dtype=np.float64)
    letters = LETTERS.get(len(values)) if values.ndim == 2 else None
    if letters is None or not values.shape[1] or not np.isfinite(values).all():
        return ""
    first, last = _strongest(np.abs(values).sum(axis=0))
    shown = values[:, first:last] / (np.abs(values[:, first:last]).max() or 1.0)
    up, down = (float(np.abs(side).sum(axis=0).max()) for side in (shown.clip(min=0), shown.clip(max=0)))
    scale = HEIGHT / ((up + down) or 1.0)
    paths = _paths(shown, letters, WIDTH / shown.shape[1], scale, TITLE_HEIGHT + up * scale)
    where = f"positions {first} to {last} of {values.shape[1]}"
    label = html.escape(f"{title}, {where}" if title else where)
    zero = f'<path d="M0 {TITLE_HEIGHT + up * scale:.1f}H{WIDTH}" stroke="#888"/>'
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT + TITLE_HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT + TITLE_HEIGHT}" '
        f'style="display:block;background:#fff;max-width:100%" role="img" aria-label="{label}">'
        f'<text x="0" y="11" font-size="11" font-family="sans-serif" fill="#222">{label}</text>{zero}{paths}</svg>'
    )


def _strongest(sizes: NDArray[np.float64]) -> tuple[int, int]:
    """Return the window with the largest sum."""
    width = min(MOST_POSITIONS, len(sizes))
    sums = np.cumsum(np.concatenate([[0.0], sizes]))
    first = int(np.argmax(sums[width:] - sums[: len(sums) - width]))
    return first, first + width


def _paths(values: NDArray[np.float64], letters: str, wide: float, scale: float, zero: float) -> str:
    """Return a path for each letter, which has all places where it stands."""
    parts: dict[str, list[str]] = {letter: [] for letter in letters}
    for position in range(values.shape[1]):
        up = down = 0.0
        # The largest letter of a position is farthest from zero.
        for row in np.argsort(np.abs(values[:, position]), kind="stable").tolist():
            height = float(values[row, position])
            if abs(height) * scale < LEAST_HEIGHT:
                continue
            bottom = up if height > 0 else down
            up, down = (up + height, down) if height > 0 else (up, down + height)
            for command, *points in outlines()[letters[row]]:
                xs = (f"{(position + x) * wide:.1f}" for x in points[::2])
                ys = (f"{zero - (bottom + height * y) * scale:.1f}" for y in points[1::2])
                parts[letters[row]].append(command + " ".join(f"{x} {y}" for x, y in zip(xs, ys, strict=True)))
    colors = BASE_COLORS if len(letters) == 4 else RESIDUE_COLORS
    return "".join(
        f'<path d="{"".join(drawn)}" fill="{colors.get(letter, OTHER_COLOR)}"/>'
        for letter, drawn in parts.items()
        if drawn
    )


@cache
def outlines() -> dict[str, list[list[Any]]]:
    """Return the outlines of letters, as :func:`seqlight.plot.glyphs.outline_commands` makes them."""
    found: dict[str, list[list[Any]]] = json.loads(
        resources.files("seqlight.notebook").joinpath("letter_outlines.json").read_text(encoding="utf-8")
    )
    return found
