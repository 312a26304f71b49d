"""The logo of a motif: letters as tall as their information in bits, or as their probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.formats.motifs import as_motifs
from seqlight.plot.axes import as_axes, label_axes
from seqlight.plot.checks import Floats, as_float_array, require_letters
from seqlight.plot.colors import Colors, letter_colors
from seqlight.plot.glyphs import draw_letters

Scale = Literal["bits", "probability"]


def plot_pwm(
    motif: torch.Tensor | NDArray[Any] | pd.DataFrame | Any,
    ax: Axes | None = None,
    *,
    scale: Scale = "bits",
    background: Sequence[float] | NDArray[Any] | torch.Tensor | None = None,
    alphabet: Sequence[str] = ("A", "C", "G", "T"),
    color: Colors | None = None,
) -> Axes:
    """Draw a motif as a logo.

    Parameters
    ----------
    motif : torch.Tensor, numpy.ndarray, pandas.DataFrame or motif of Biopython, shape (letters, positions)
        Frequencies, or counts, of which a value of :func:`seqlight.read_meme` or :func:`seqlight.jaspar_motifs` is one.
    ax : matplotlib.axes.Axes, optional
        The axes to draw on; pyplot's current axes if None.
    scale : "bits" or "probability"
        Heights in bits: the probability of the letter times the relative entropy of the position, the sum over letters
        of ``p * log2(p / background)``. Or the probability itself.
    background : sequence of float, shape (letters,), optional
        The probability of each letter where there is no motif; by default all are alike, so that a position of DNA
        has 2 bits at most.
    alphabet : sequence of str, optional
        The letters, one character each, in the order of the rows.
    color : color or dict, optional
        As in :func:`seqlight.plot_logo`.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on. Position ``p`` occupies the x axis from ``p`` to ``p + 1``.

    Raises
    ------
    InputError
        If the motif or the background hold no probabilities, or do not fit to the alphabet.

    References
    ----------
    Schneider and Stephens (1990), Sequence logos: a new way to display consensus sequences. They subtract a correction
    for few sequences, which frequencies alone do not allow.

    Examples
    --------
    >>> import numpy as np
    >>> import seqlight as sl
    >>> from matplotlib.figure import Figure
    >>> motif = np.array([[1, 0.5, 0.25], [0, 0.5, 0.25], [0, 0, 0.25], [0, 0, 0.25]])
    >>> ax = sl.plot_pwm(motif, Figure(figsize=(3, 1.5)).subplots())
    >>> ax.get_ylabel(), float(ax.get_ylim()[1])
    ('bits', 2.0)
    """
    require_letters(alphabet)
    frequencies = as_motifs({"motif": motif})["motif"]
    if len(frequencies) != len(alphabet):
        raise InputError(
            f"`motif` has {len(frequencies)} rows, but `alphabet` {len(alphabet)} letters: give one letter for each "
            "row."
        )
    if scale not in ("bits", "probability"):
        raise InputError(f"`scale` is {scale!r}, but a logo is in 'bits' or in 'probability'.")
    chances = _background(background, len(alphabet))
    heights = frequencies if scale == "probability" else information(frequencies, chances)
    colors = letter_colors(color, alphabet, heights.shape[1])
    ax = as_axes(ax)
    draw_letters(ax, alphabet, heights, colors)
    ax.set_xlim(0, heights.shape[1])
    # The same for each motif, so that logos beside each other can be compared.
    ax.set_ylim(0, 1 if scale == "probability" else float(-np.log2(chances.min())))
    ax.spines[["top", "right"]].set_visible(False)
    label_axes(ax, "position", scale)
    return ax


def information(frequencies: Floats, background: Floats) -> Floats:
    """Return the heights of letters in bits.

    Parameters
    ----------
    frequencies : numpy.ndarray, shape (letters, positions)
    background : numpy.ndarray, shape (letters,)
        Above 0.

    Returns
    -------
    numpy.ndarray, shape (letters, positions)
        Their sum at a position is its relative entropy.

    Examples
    --------
    >>> import numpy as np
    >>> from seqlight.plot.pwm_logo import information
    >>> information(np.array([[0.5], [0.5], [0], [0]]), np.full(4, 0.25))[:, 0].tolist()
    [0.5, 0.5, 0.0, 0.0]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(frequencies > 0, frequencies * np.log2(frequencies / background[:, None]), 0.0)
    # Rounding may make the entropy of the background itself a little less than nothing.
    return np.asarray(frequencies * terms.sum(axis=0).clip(min=0))


def _background(given: Any, n_letters: int) -> Floats:
    if given is None:
        return np.full(n_letters, 1 / n_letters)
    found = as_float_array(given, "background")
    if found.shape != (n_letters,) or not (found > 0).all() or not abs(found.sum() - 1) <= 0.01:
        raise InputError(
            f"`background` is {given!r}, but a probability above 0 is needed for each of {n_letters} letters, and "
            "their sum must be 1."
        )
    return np.asarray(found / found.sum())
