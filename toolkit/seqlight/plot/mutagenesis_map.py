"""The map of a saturation mutagenesis: what every substitution does to the output of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from seqlight.attribution.methods.mutagenesis import MutagenesisOutputs
from seqlight.errors import InputError, kind_of
from seqlight.plot.axes import TITLE_SIZE, stack_panels, title_panel
from seqlight.plot.checks import Floats, as_float_array, require_letters, require_number, window_bounds
from seqlight.plot.colors import Colors, as_colormap, letter_colors, readable_color
from seqlight.plot.coordinates import LocusLike, as_locus, show_coordinates
from seqlight.plot.logo import plot_logo
from seqlight.plot.text import LITERAL_TEXT

# All in inches.
WIDTH = 11.0
LOGO_HEIGHT, ROW_HEIGHT, BELOW = 1.3, 0.26, 0.75
PAD = 0.06
# Below this many inches for each position, letters would touch each other.
LETTER_ROOM = 0.07


def plot_mutagenesis(
    effects: MutagenesisOutputs | torch.Tensor | NDArray[Any],
    X: torch.Tensor | NDArray[Any],
    *,
    example_idx: int | None = None,
    target: int | None = None,
    start: int = 0,
    end: int | None = None,
    locus: LocusLike | None = None,
    logo: bool = True,
    cmap: str | Colormap = "RdBu_r",
    limit: float | None = None,
    color: Colors | None = None,
    title: str = "",
    alphabet: Sequence[str] = ("A", "C", "G", "T"),
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """Draw how the output changes when each letter is put at each position, and a logo of what that says.

    The map has a row for each letter and a column for each position. Its colour is the output with that letter there
    minus the output of the sequence: white where nothing changes, so also at the sequence's own letters, which are
    written into their fields. The logo above has the heights of :func:`seqlight.saturation_mutagenesis`: the output of
    the sequence minus the mean over all letters at the position.

    Parameters
    ----------
    effects : MutagenesisOutputs, or torch.Tensor or numpy.ndarray of shape (letters, positions) or with sequences first
        What ``saturation_mutagenesis(..., raw_outputs=True)`` or ``saturation_mutagenesis(..., hypothetical=True)``
        returns; or differences of outputs that you have computed, for each letter.
    X : torch.Tensor or numpy.ndarray, shape (letters, positions) or (sequences, letters, positions)
        The sequences that were mutated, one-hot.
    example_idx : int, optional
        Which of several sequences to draw.
    target : int, optional
        Which of several outputs to draw.
    start, end : int, optional
        Draw the positions ``start <= position < end`` only. Where only these were mutated, give the same numbers as to
        :func:`seqlight.saturation_mutagenesis`.
    locus : tuple, str, Loci or pandas.DataFrame, optional
        The place in the genome that the sequence was cut from, as in :func:`seqlight.plot_tracks`.
    logo : bool, optional
        Whether to draw the logo above.
    cmap : str or matplotlib.colors.Colormap, optional
        The colours, whose middle stands for no change.
    limit : float, optional
        The change at either end of the colours; by default the largest of all.
    color : color or dict, optional
        Colours of the letters, as in :func:`seqlight.plot_logo`.
    title : str, optional
        Written above.
    alphabet : sequence of str, optional
        The letters, in the order of the rows.
    figsize : tuple of float, optional
        Width and height in inches.

    Returns
    -------
    matplotlib.figure.Figure
        Made without pyplot; ``figure.axes`` holds the logo, if there is one, the map and its scale of colours.

    Raises
    ------
    InputError
        If shapes do not fit together, if the attributions are those of the letters of the sequence alone, or if several
        sequences or outputs are given and none is chosen.

    Examples
    --------
    >>> import torch
    >>> import seqlight as sl
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 3))
    >>> X = sl.random_one_hot((2, 4, 20), random_state=0)
    >>> outputs = sl.saturation_mutagenesis(model, X, raw_outputs=True)
    >>> figure = sl.plot_mutagenesis(outputs, X, example_idx=0, target=1)
    >>> [ax.get_ylabel() for ax in figure.axes]
    ['attribution', 'mutated to', 'change of the output']
    """
    require_letters(alphabet)
    sequence = _one_sequence(as_float_array(X, "X"), len(alphabet), example_idx)
    length = sequence.shape[1]
    first, last = window_bounds(start, length if end is None or end == -1 else end, length)
    genome_locus = as_locus(locus, length, example_idx)
    changes = _changes(effects, sequence, slice(first, last), example_idx, target)
    largest = require_number(limit, "limit", 0) if limit is not None else float(np.abs(changes).max())
    colors = as_colormap(cmap, "cmap")
    ratios = [LOGO_HEIGHT, ROW_HEIGHT * len(alphabet)] if logo else [ROW_HEIGHT * len(alphabet)]
    figure, axes = stack_panels(ratios, figsize, (WIDTH, sum(ratios) + BELOW), PAD)
    window = slice(first, last)
    if logo:
        _draw_logo(axes[0], -changes.mean(axis=0) * sequence[:, window], window, length, color, alphabet)
    image = _draw_map(axes[-1], changes, window, colors, largest, alphabet)
    _mark_letters(axes[-1], sequence[:, window], first, letter_colors(color, alphabet, length), alphabet)
    figure.colorbar(image, ax=axes, label="change of the output", aspect=30, pad=0.01)
    title_panel(axes[0], title, **LITERAL_TEXT)
    axes[-1].set_xlim(first, last)
    axes[-1].set_xlabel("position", fontsize=TITLE_SIZE)
    if genome_locus is not None:
        show_coordinates(axes[-1], genome_locus)
    return figure


def _one_sequence(X: Floats, n_letters: int, example_idx: int | None) -> Floats:
    """Return the one-hot sequence to draw."""
    if X.ndim not in (2, 3) or X.shape[-2] != n_letters:
        raise InputError(
            f"`X` has shape {X.shape}, but the sequences that were mutated are needed, ({n_letters}, length) or "
            f"(sequences, {n_letters}, length)."
        )
    return X if X.ndim == 2 else _select(X, example_idx, "sequences", "example_idx")


def _select(rows: Any, index: int | None, what: str, name: str) -> Any:
    """Return one of several rows, or of several outputs."""
    n = len(rows)
    if index is None and n != 1:
        raise InputError(f"there are {n} {what}, but one is drawn: choose it with `{name}`.")
    if index is not None and (isinstance(index, bool) or not isinstance(index, int | np.integer) or not 0 <= index < n):
        raise InputError(f"`{name}` is {index!r}, but there are {n} {what}, counted from 0.")
    return rows[0 if index is None else index]


def _changes(effects: Any, sequence: Floats, window: slice, example_idx: int | None, target: int | None) -> Floats:
    """Return the output with each letter at each position of the window, minus that of the sequence."""
    if isinstance(effects, MutagenesisOutputs):
        found = _output_changes(effects, example_idx, target)
    else:
        found = as_float_array(effects, "effects")
        for needed, index, what, name in (
            (4, target, "outputs", "target"),
            (3, example_idx, "sequences", "example_idx"),
        ):
            if found.ndim == needed:
                # A dimension of targets is behind that of sequences.
                found = _select(found.swapaxes(0, needed - 3), index, what, name)
    if found.ndim == 5:
        raise InputError("`effects` are those of pairs, but the map shows single mutations: leave out pairwise=True.")
    n_letters, length = sequence.shape
    width = window.stop - window.start
    if found.ndim == 2 and len(found) == n_letters and found.shape[1] not in (length, width):
        raise InputError(
            f"`effects` has shape {found.shape}, but {width} of the {length} positions of `X` are drawn: give the "
            "`start` and `end` with which saturation_mutagenesis was called, or effects of all positions."
        )
    if found.ndim != 2 or len(found) != n_letters:
        raise InputError(
            f"`effects` has shape {found.shape}, but ({n_letters}, {length}) is needed, the letters and positions of "
            "`X`, or fewer positions if only those from `start` to `end` were mutated."
        )
    found, own = found if found.shape[1] == width else found[:, window], sequence[:, window]
    if not np.isfinite(found).all():
        raise InputError("`effects` holds NaN or infinity, which have no colour: look for them in the model's output.")
    if isinstance(effects, MutagenesisOutputs):
        return found
    if found.any() and not found[own == 0].any():
        raise InputError(
            "`effects` are those of the letters of the sequence alone, but the map shows those of all letters: call "
            "saturation_mutagenesis with raw_outputs=True or hypothetical=True."
        )
    # An unknown character has no output of its own among these: the mean over all letters takes its place.
    return np.asarray(found - np.where(own.any(axis=0), (found * own).sum(axis=0), found.mean(axis=0)))


def _output_changes(effects: MutagenesisOutputs, example_idx: int | None, target: int | None) -> Floats:
    if not isinstance(effects.y0, torch.Tensor | np.ndarray):
        raise InputError(
            f"the outputs of the model are {kind_of(effects.y0)}, but one tensor is drawn: choose it with `target` of "
            "saturation_mutagenesis, such as target=Counts(head=1), or with `func`."
        )
    y0, y_hat = (as_float_array(one, "effects") for one in effects)
    y0, y_hat = (_select(one, example_idx, "sequences", "example_idx") for one in (y0, y_hat))
    changes = y_hat - y0
    if changes.ndim == 3:
        changes = _select(np.moveaxis(changes, -1, 0), target, "outputs", "target")
    if changes.ndim != 2:
        raise InputError(
            f"the outputs of the model have shape {y0.shape} for a sequence, but one number is drawn: choose it with "
            "`func` of saturation_mutagenesis."
        )
    return np.asarray(changes)


def _draw_logo(
    ax: Axes, values: Floats, window: slice, length: int, color: Colors | None, alphabet: Sequence[str]
) -> None:
    whole = np.zeros((len(values), length))
    whole[:, window] = values
    plot_logo(whole, ax, color=color, alphabet=alphabet, start=window.start, end=window.stop)
    ax.set_ylabel("attribution", fontsize=TITLE_SIZE)


def _draw_map(
    ax: Axes, changes: Floats, window: slice, colors: Colormap, limit: float, alphabet: Sequence[str]
) -> AxesImage:
    rows, limit = len(changes), limit or 1.0
    extent = (window.start, window.stop, rows, 0)
    image = ax.imshow(
        changes, cmap=colors, vmin=-limit, vmax=limit, extent=extent, aspect="auto", interpolation="nearest"
    )
    ax.set_yticks(np.arange(rows) + 0.5, list(alphabet), **LITERAL_TEXT)
    ax.tick_params(axis="y", length=0)
    ax.set_ylabel("mutated to", fontsize=TITLE_SIZE)
    return image


def _mark_letters(ax: Axes, sequence: Floats, first: int, colors: NDArray[np.float64], alphabet: Sequence[str]) -> None:
    """Write each letter of the sequence into its field, or put a dot there if there is no room for letters."""
    rows, columns = np.nonzero(sequence)
    width = ax.figure.get_figure(root=True).get_size_inches()[0]
    room = width / sequence.shape[1]
    if room < LETTER_ROOM:
        ax.scatter(first + columns + 0.5, rows + 0.5, s=1.5, color="0.35", linewidths=0, label="_letters")
        return
    style = {"fontsize": min(9.0, 72 * room), "ha": "center", "va": "center", "label": "_letter", **LITERAL_TEXT}
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        color = readable_color(colors[row, column if colors.shape[1] > 1 else 0])
        ax.text(first + column + 0.5, row + 0.5, alphabet[row], color=color, **style)
