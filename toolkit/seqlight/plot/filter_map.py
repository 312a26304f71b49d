"""The map of a layer: which of its filters speak for a sequence, and where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from seqlight.attribution.explanation import Explanation
from seqlight.errors import InputError
from seqlight.plot.axes import TICK_SIZE, as_axes, label_axes
from seqlight.plot.checks import Floats, as_float_array, require_number
from seqlight.plot.colors import as_colormap
from seqlight.plot.text import LITERAL_TEXT


def plot_filters(
    contributions: Explanation | torch.Tensor | NDArray[Any],
    ax: Axes | None = None,
    *,
    layer: str | None = None,
    example_idx: int | None = None,
    top: int = 10,
    names: Sequence[str] | None = None,
    cmap: str | Colormap = "RdBu_r",
    limit: float | None = None,
    channels_last: bool | None = None,
) -> Axes:
    """Draw where the filters that contribute most to the output difference of a sequence contribute it.

    The map has a row for each of the filters with the largest sums, the largest above, and a column for each position
    of the layer: red where the filter raises the output over that of the references, blue where it lowers it. The
    number at the right is the filter's sum.

    Parameters
    ----------
    contributions : Explanation, or torch.Tensor or numpy.ndarray of shape (channels, positions) or with sequences first
        What ``attribute(..., layers=[...])`` returns, of a single target, or one of its layers.
    ax : matplotlib.axes.Axes, optional
        The axes to draw on; pyplot's current axes if None.
    layer : str, optional
        Which of several layers of an explanation to draw.
    example_idx : int, optional
        Which of several sequences to draw.
    top : int, optional
        The most filters to draw.
    names : sequence of str, optional
        The names of all filters; by default their numbers.
    cmap : str or matplotlib.colors.Colormap, optional
        The colours, whose middle stands for no contribution.
    limit : float, optional
        The contribution at either end of the colours; by default the largest of those drawn.
    channels_last : bool, optional
        Whether the layer is (positions, channels), as that of an LSTM, of attention or of a LayerNorm is. By default it
        is taken for (channels, positions); in an explanation, one whose first dimension alone is as long as the
        sequence is refused.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Raises
    ------
    InputError
        If there is no such layer or sequence, if several are given and none is chosen, if a layer has no channels and
        positions, or if its positions seem to come first and `channels_last` is not given.

    Examples
    --------
    >>> import torch
    >>> import seqlight as sl
    >>> from matplotlib.figure import Figure
    >>> body = torch.nn.Conv1d(4, 16, 5), torch.nn.ReLU(), torch.nn.Flatten()
    >>> model = torch.nn.Sequential(*body, torch.nn.Linear(256, 1))
    >>> found = sl.attribute(model, sl.random_one_hot((1, 4, 20), random_state=0), layers=["1"], random_state=0)
    >>> ax = sl.plot_filters(found, Figure().subplots(), top=5)
    >>> len(ax.get_yticks()), ax.get_xlabel()
    (5, 'position in the layer')
    """
    values = _values(contributions, layer, example_idx, channels_last)
    labels = [f"filter {i}" for i in range(len(values))] if names is None else [str(one) for one in names]
    if len(labels) != len(values):
        raise InputError(f"there are {len(labels)} `names` for {len(values)} filters: give one for each.")
    if top < 1:
        raise InputError(f"`top` is {top}: expected at least one filter.")
    sums = values.sum(axis=1)
    rows = np.argsort(-np.abs(sums), kind="stable")[:top]
    drawn = values[rows]
    most = float(np.abs(drawn).max()) if limit is None else require_number(limit, "limit", 0)
    ax = as_axes(ax)
    ends: dict[str, Any] = {"vmin": -(most or 1), "vmax": most or 1}
    ax.imshow(drawn, cmap=as_colormap(cmap, "cmap"), aspect="auto", interpolation="nearest", **ends)
    ax.set_yticks(range(len(rows)), [labels[i] for i in rows], fontsize=TICK_SIZE, **LITERAL_TEXT)
    for at, i in enumerate(rows):
        place: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "va": "center", "fontsize": TICK_SIZE}
        ax.text(1.01, at, f"{sums[i]:+.2g}", **place)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.tick_params(axis="x", labelsize=TICK_SIZE)
    label_axes(ax, "position in the layer", "")
    return ax


def _values(given: Any, layer: str | None, example_idx: int | None, channels_last: bool | None) -> Floats:
    """Return the contributions of the filters of one sequence, (channels, positions)."""
    length = None
    if isinstance(given, Explanation):
        if given.attributions.ndim == 4:
            raise InputError("the explanation has several targets: choose one with of_target(k).")
        length, given = given.attributions.shape[-1], _of_layer(given, layer)
    values = as_float_array(given, "contributions")
    if values.ndim == 3:
        if example_idx is None and len(values) != 1:
            raise InputError(f"`contributions` has {len(values)} sequences: choose one with example_idx.")
        i = 0 if example_idx is None else example_idx
        if not -len(values) <= i < len(values):
            raise InputError(f"`example_idx` is {i}, but there are {len(values)} sequences: choose one of them.")
        values = values[i]
    elif length is not None:
        values = values[0]  # refused below: a layer has a number for each sequence, or for each of its features
    if values.ndim != 2 or not values.size or not np.isfinite(values).all():
        raise InputError(
            f"`contributions` has shape {values.shape}: expected finite numbers of shape (channels, positions), "
            "those of a convolution, say."
        )
    if channels_last is None and values.shape[0] == length != values.shape[1]:
        raise InputError(
            f"`contributions` has shape {values.shape}, the first as long as the sequence: expected (channels, "
            "positions); pass channels_last=True if positions come first, or False if these are channels."
        )
    return values.T if channels_last else values


def _of_layer(given: Explanation, layer: str | None) -> torch.Tensor:
    if not given.layers:
        raise InputError("the explanation has no layers: call attribute(..., layers=[...]) with the names of some.")
    if layer is None and len(given.layers) > 1:
        raise InputError(
            f"the explanation has the layers {', '.join(map(repr, given.layers))}: choose one with layer=."
        )
    name = next(iter(given.layers)) if layer is None else layer
    if name not in given.layers:
        raise InputError(f"`layer` is {name!r}: expected {' or '.join(map(repr, given.layers))}.")
    return given.layers[name]
