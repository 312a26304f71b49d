"""The pictures of a report: how a model learned, and how its attributions moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray
from torch import Tensor

from seqlight.plot.logo import plot_logo
from seqlight.plot.text import LITERAL_TEXT, add_legend, legend_label
from seqlight.report.ruler import Ruler

SEQLETS_COLOR = "#255C99"
WINDOW_COLOR = "#F7B32B"
DEFAULT_RULER = Ruler()


def learning_curves(
    panels: Mapping[str, Mapping[str, Sequence[float] | Mapping[int, float]]], first: int = 1, unit: str = "epoch"
) -> Figure:
    """Draw numbers by epoch.

    Parameters
    ----------
    panels : mapping
        For each panel, by the label of its y axis, the lines by name: numbers of one epoch after the other, or by
        epoch.
    first : int
        The epoch of the first numbers; 0 if they are of the untrained model.
    unit : str
        What counts, "epoch" or "step".

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from seqlight.report.figures import learning_curves
    >>> figure = learning_curves({"loss": {"training": [0.7, 0.5], "validation": [0.7, 0.6]}})
    >>> [ax.get_ylabel() for ax in figure.axes]
    ['loss']
    """
    figure = Figure(figsize=(11, 3), layout="constrained")
    for ax, (label, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        epochs = []
        for name, line in lines.items():
            values = line if isinstance(line, Mapping) else dict(enumerate(line, start=first))
            ax.plot(list(values), list(values.values()), marker="o", markersize=3.5, label=legend_label(name))
            epochs += list(values)
        ax.set_xlabel(unit)
        ax.set_ylabel(label, **LITERAL_TEXT)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        # One epoch alone would get an axis of thousandths of an epoch.
        ax.set_xlim(min(epochs, default=first) - 0.5, max(epochs, default=first) + 0.5)
        _plain(ax)
        if len(lines) > 1:
            add_legend(ax, list(map(legend_label, lines)), frameon=False)
    return figure


def attribution_by_epoch(
    profiles: NDArray[np.float64],
    shares: Sequence[float] | None,
    window: tuple[int, int] | None,
    ruler: Ruler = DEFAULT_RULER,
    epochs: Sequence[int] | None = None,
    unit: str = "epoch",
) -> Figure:
    """Draw where positive attribution lay in each epoch, and which share of it in the window.

    Parameters
    ----------
    profiles : numpy.ndarray, shape (epochs, positions)
        The share of positive attribution at each position; rows sum to 1.
    shares : sequence of float, optional
        The share inside the window, a number for each row; needs `window`.
    window : tuple of int, optional
        ``start <= position < end``.
    ruler : Ruler
        How positions are numbered.
    epochs : sequence of int, optional
        Which epoch each row is of; 0, 1, 2 ... by default, the first before training.
    unit : str
        What counts, "epoch" or "step".

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    beside = shares is not None
    axes = figure.subplots(1, 2 if beside else 1, width_ratios=[3, 1] if beside else None, squeeze=False)[0]
    rows, positions = profiles.shape
    extent = (0, positions, rows - 0.5, -0.5)
    image = axes[0].imshow(100 * profiles, aspect="auto", cmap="Blues", extent=extent, interpolation="nearest")
    figure.colorbar(image, ax=axes[0], label="share of positive\nattribution (%)")
    axes[0].set_xlabel(ruler.label, **LITERAL_TEXT)
    ruler.write(axes[0])
    axes[0].set_ylabel(unit)
    if window is not None:
        for edge in window:
            axes[0].axvline(edge, color=WINDOW_COLOR, linewidth=1.5)
    if shares is not None:
        axes[1].plot(100 * np.asarray(shares), np.arange(rows), marker="o", markersize=3.5)
        axes[1].set_ylim(rows - 0.5, -0.5)
        axes[1].set_xlim(0, 100)
        axes[1].set_xlabel("in the window (%)")
        _plain(axes[1])
    named = dict(enumerate(range(rows) if epochs is None else epochs))
    for ax in axes:
        ax.yaxis.set_major_locator(MaxNLocator(integer=True))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda row, _: str(named.get(round(row), ""))))
    return figure


def logos(
    attributions: Tensor,
    titles: Sequence[str],
    seqlets: pd.DataFrame | None = None,
    examples: Sequence[int] | None = None,
    shaded: Sequence[Sequence[tuple[int, int]]] | None = None,
    ruler: Ruler = DEFAULT_RULER,
    limits: tuple[float, float] | None = None,
    start: int | None = None,
    end: int | None = None,
) -> Figure:
    """Draw the logos of a few sequences beneath each other, on one scale.

    Parameters
    ----------
    attributions : torch.Tensor, shape (sequences, letters, positions)
        Of the characters that are there.
    titles : sequence of str
        One for each.
    seqlets : pandas.DataFrame, optional
        Drawn beneath; `examples` gives the ``example_idx`` of each sequence.
    examples : sequence of int, optional
        One for each.
    shaded : sequence of sequences of (start, end), optional
        For each sequence, the intervals to shade.
    ruler : Ruler
        How positions are numbered.
    limits : tuple of float, optional
        Of the y axis; None to fit.
    start, end : int, optional
        Draw the positions ``start <= position < end`` only.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(11, 1.75 * len(titles) + 0.3), layout="constrained")
    low, high = limits or logo_limits(attributions[..., start:end])
    for i, ax in enumerate(figure.subplots(len(titles), squeeze=False)[:, 0]):
        plot_logo(
            attributions[i],
            ax,
            start=start,
            end=end,
            annotations=seqlets,
            example_idx=None if examples is None else examples[i],
            ylim=(low, high),
        )
        shown = ax.get_xlim()
        for left, right in shaded[i] if shaded is not None else ():
            ax.axvspan(left, right, color=WINDOW_COLOR, alpha=0.2, linewidth=0, zorder=0)
        # What is shaded may lie outside of what is shown.
        ax.set_xlim(*shown)
        ax.set_title(titles[i], fontsize=9, loc="left", **LITERAL_TEXT)
        ax.set_ylabel("attribution")
        ruler.write(ax)
    ax.set_xlabel(ruler.label, **LITERAL_TEXT)
    return figure


def logo_limits(attributions: Tensor) -> tuple[float, float]:
    """Return limits of the y axis in which all logos of (..., letters, positions) have room."""
    track = attributions.sum(dim=-2)
    low, high = min(float(track.min()), 0.0), max(float(track.max()), 0.0)
    room = 0.06 * max(high - low, 1e-12)
    return low - room, high + room


def seqlet_places(
    seqlets: pd.DataFrame,
    length: int,
    window: tuple[int, int] | None = None,
    ruler: Ruler = DEFAULT_RULER,
    known: pd.DataFrame | None = None,
) -> Figure:
    """Draw how many seqlets cover each position.

    Parameters
    ----------
    seqlets : pandas.DataFrame
        Columns start and end.
    length : int
        Positions of a sequence.
    window : tuple of int, optional
        Shaded.
    ruler : Ruler
        How positions are numbered.
    known : pandas.DataFrame, optional
        Columns start and end of what is to be found, drawn as an outline.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(11, 2.4), layout="constrained")
    ax = figure.subplots()
    edges = np.arange(length + 1)
    ax.stairs(_coverage(seqlets, length), edges, fill=True, color=SEQLETS_COLOR, label="seqlets")
    if known is not None:
        ax.stairs(_coverage(known, length), edges, color=WINDOW_COLOR, linewidth=2, label="known")
        ax.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
    if window is not None:
        ax.axvspan(*window, color=WINDOW_COLOR, alpha=0.25, linewidth=0, zorder=0)
    ax.set_xlim(0, length)
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel(ruler.label, **LITERAL_TEXT)
    ruler.write(ax)
    ax.set_ylabel("seqlets")
    _plain(ax)
    return figure


def _coverage(intervals: pd.DataFrame, length: int) -> NDArray[np.float64]:
    """Return how many intervals cover each position."""
    steps = np.zeros(length + 1)
    np.add.at(steps, np.clip(intervals["start"].to_numpy(), 0, length), 1)
    np.add.at(steps, np.clip(intervals["end"].to_numpy(), 0, length), -1)
    return np.cumsum(steps)[:-1]


def _plain(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
