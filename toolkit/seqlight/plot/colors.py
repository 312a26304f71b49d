"""Colours of the letters of a logo, by letter or by position, and of the rows of annotations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any, TypeAlias, cast

import matplotlib
import numpy as np
import torch
from matplotlib.colors import Colormap, Normalize, is_color_like, to_rgba, to_rgba_array
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.notebook.letter_colors import BASE_COLORS, OTHER_COLOR, RESIDUE_COLORS

Color: TypeAlias = str | tuple[float, ...]
Colors: TypeAlias = Color | Mapping[str, Color] | Sequence[Any] | NDArray[Any] | torch.Tensor


def letter_colors(
    color: Colors | None,
    alphabet: Sequence[str],
    length: int,
    cmap: str | Colormap = "viridis",
    vmin: float | None = None,
    vmax: float | None = None,
    window: slice = slice(None),
) -> NDArray[np.float64]:
    """Return the colour of each letter at each position.

    Parameters
    ----------
    color : color, dict, or one value or colour for each position; optional
        As in :func:`seqlight.plot_logo`.
    alphabet : sequence of str
        The letters.
    length : int
        The number of positions.
    cmap, vmin, vmax
        The colormap for numbers, and the numbers at its ends.
    window : slice
        The positions of interest.

    Returns
    -------
    numpy.ndarray, shape (letters, positions of `window` or 1, 4)
        Red, green, blue and opacity; the second dimension is 1 where the position does not matter.

    Raises
    ------
    InputError
        If a letter or a position has no colour.

    Examples
    --------
    >>> from seqlight.plot.colors import letter_colors
    >>> letter_colors(None, "ACGT", 30).shape
    (4, 1, 4)
    >>> letter_colors(range(30), "ACGT", 30).shape
    (4, 30, 4)
    """
    by_letter = _colors_by_letter(color, alphabet, length)
    if by_letter is not None:
        return np.array([[to_rgba(by_letter[letter])] for letter in alphabet])
    values: Any = color.detach().numpy(force=True) if isinstance(color, torch.Tensor) else color
    by_position = _colors_by_position(values, length, cmap, vmin, vmax)
    return np.broadcast_to(by_position, (len(alphabet), length, 4))[:, window]


def _colors_by_letter(color: Colors | None, alphabet: Sequence[str], length: int) -> dict[str, Any] | None:
    """Return a colour for each letter, or None if `color` has one for each position."""
    if color is None:
        is_protein = RESIDUE_COLORS.keys() <= {letter.upper() for letter in alphabet}
        known = RESIDUE_COLORS if is_protein else BASE_COLORS
        return {letter: known.get(letter.upper(), OTHER_COLOR) for letter in alphabet}
    if isinstance(color, Mapping):
        colors = dict(color)
    elif isinstance(color, str | tuple) or (is_color_like(color) and len(color) != length):
        # A list of three numbers is a single colour, unless there are three positions.
        if not isinstance(color, str) and not is_color_like(color):
            return None
        colors = dict.fromkeys(alphabet, cast("Color", color))
    else:
        return None
    missing = [letter for letter in alphabet if not is_color_like(colors.get(letter))]
    if missing:
        raise InputError(
            f"`color` names no colour for {', '.join(missing)}, but every letter needs one that Matplotlib "
            "knows: add it."
        )
    return colors


def _colors_by_position(
    values: Any, length: int, cmap: str | Colormap, vmin: float | None, vmax: float | None
) -> NDArray[np.float64]:
    if not isinstance(values, Iterable):
        raise InputError(f"`color` is {values!r}, which is neither a colour nor one for each letter or position.")
    values = values if isinstance(values, np.ndarray) else list(values)
    if len(values) != length:
        raise InputError(
            f"`color` has {len(values)} entries, but `X_attr` {length} positions: give one for each, including "
            "those outside `start` and `end`."
        )
    as_array = np.asarray(values, dtype=object if any(isinstance(one, str) for one in values) else None)
    if as_array.ndim == 1 and as_array.dtype.kind in "biuf":
        return _map_numbers(as_array.astype(np.float64), cmap, vmin, vmax)
    try:
        return np.asarray(to_rgba_array(values), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"`color` holds something that Matplotlib does not know as a colour: {error}.") from error


def _map_numbers(
    values: NDArray[np.float64], cmap: str | Colormap, vmin: float | None, vmax: float | None
) -> NDArray[np.float64]:
    if not np.isfinite(values).all():
        raise InputError("`color` holds NaN or infinity, which have no colour: repair the values.")
    low, high = (values.min() if vmin is None else vmin), (values.max() if vmax is None else vmax)
    if not (isinstance(low, Real) and isinstance(high, Real) and low <= high):
        raise InputError(
            f"`color_vmin` is {low!r} and `color_vmax` {high!r}, but two numbers, the lower one first, are needed."
        )
    scale = Normalize(float(low), float(high))
    return np.asarray(as_colormap(cmap, "color_cmap")(scale(values)), dtype=np.float64)


def as_colormap(cmap: str | Colormap, name: str) -> Colormap:
    """Return a colormap, which may be given by its name; `name` is that of the argument, for error messages."""
    if isinstance(cmap, Colormap):
        return cmap
    if cmap not in matplotlib.colormaps:
        raise InputError(f"`{name}` is {cmap!r}, but Matplotlib has no colormap of that name.")
    return matplotlib.colormaps[cmap]


def row_colors(cmap: str | Colormap | Sequence[Any] | None, n_rows: int, default: Color) -> list[Any]:
    """Return the colour of each row of annotations.

    Parameters
    ----------
    cmap : str, Colormap, sequence of colours, or None
        The colours of the first, second and further rows, repeated if there are more rows; None for `default`
        throughout.
    n_rows : int
        The number of rows.
    default : color
        The colour of all rows where `cmap` is None.

    Raises
    ------
    InputError
        If Matplotlib does not know a colour or the colormap.
    """
    if cmap is None:
        return [default] * n_rows
    if isinstance(cmap, str | Colormap):
        found = as_colormap(cmap, "annot_cmap")
        # A qualitative map lists its colours; a continuous one is sampled once for each row.
        listed = getattr(found, "colors", None) if found.N < 64 else None
        choices = list(listed) if listed is not None else [found(x) for x in np.linspace(0, 1, n_rows)]
    else:
        choices = list(cmap)
    wrong = [one for one in choices if not is_color_like(one)]
    if wrong or not choices:
        raise InputError(
            f"`annot_cmap` holds {wrong[0] if wrong else 'nothing'!r}, but colours that Matplotlib knows are needed."
        )
    return [choices[row % len(choices)] for row in range(n_rows)]


# The relative luminance of text with a contrast of 4 against white: between the 3 and the 4.5 that WCAG requires of
# large and of small text.
MAX_TEXT_LUMINANCE = 1.05 / 4 - 0.05


def readable_color(color: Any) -> tuple[float, float, float, float]:
    """Return a colour, darkened just enough for text on white.

    Examples
    --------
    >>> from seqlight.plot.colors import readable_color
    >>> readable_color("black"), tuple(round(part, 2) for part in readable_color("yellow"))
    ((0.0, 0.0, 0.0, 1.0), (0.52, 0.52, 0.0, 1.0))
    """
    red, green, blue, opacity = to_rgba(color)
    srgb = np.array([red, green, blue])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ (0.2126, 0.7152, 0.0722))
    if luminance <= MAX_TEXT_LUMINANCE:
        return red, green, blue, opacity
    linear *= MAX_TEXT_LUMINANCE / luminance
    red, green, blue = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055).tolist()
    return red, green, blue, opacity
