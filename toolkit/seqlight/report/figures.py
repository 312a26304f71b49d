"""The figures of a report: learning curves, attributions by epoch, logos and seqlets."""

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
    """Draw metrics by epoch, one panel for each label of a y axis.

    Parameters
    ----------
    panels : mapping
        For each panel, under the label of its y axis, its lines by name: the numbers of consecutive epochs, or a
        mapping from epochs to numbers.
    first : int
        The epoch of the first number; 0 for the untrained model.
    unit : str
        What the x axis counts, "epoch" or "step".

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
        # Otherwise a single epoch would get an axis of thousandths of an epoch.
        ax.set_xlim(min(epochs, default=first) - 0.5, max(epochs, default=first) + 0.5)
        _hide_frame(ax)
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
    """Draw the positive attribution at each position by epoch, and its share in a window.

    Parameters
    ----------
    profiles : numpy.ndarray, shape (epochs, positions)
        The share of positive attribution at each position; each row sums to 1.
    shares : sequence of float, optional
        The share inside the window, one number for each row; needs `window`.
    window : tuple of int, optional
        ``start <= position < end``.
    ruler : Ruler
        The numbers of positions.
    epochs : sequence of int, optional
        The epoch of each row; by default 0, 1, 2 ..., the first before training.
    unit : str
        What the y axis counts, "epoch" or "step".

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    two_panels = shares is not None
    axes = figure.subplots(1, 2 if two_panels else 1, width_ratios=[3, 1] if two_panels else None, squeeze=False)[0]
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
        _hide_frame(axes[1])
    epoch_of = dict(enumerate(range(rows) if epochs is None else epochs))
    for ax in axes:
        ax.yaxis.set_major_locator(MaxNLocator(integer=True))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda row, _: str(epoch_of.get(round(row), ""))))
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
    """Draw the logos of a few sequences one below the other, on one scale.

    Parameters
    ----------
    attributions : torch.Tensor, shape (sequences, letters, positions)
        Attributions of the characters of the sequences.
    titles : sequence of str
        A title for each logo.
    seqlets : pandas.DataFrame, optional
        Drawn beneath the logos; `examples` gives the ``example_idx`` of each sequence.
    examples : sequence of int, optional
        The ``example_idx`` of each sequence.
    shaded : sequence of sequences of (start, end), optional
        For each sequence, the intervals to shade.
    ruler : Ruler
        The numbers of positions.
    limits : tuple of float, optional
        Limits of the y axes; by default all logos fit.
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
        # Shaded intervals may lie outside of the limits.
        ax.set_xlim(*shown)
        ax.set_title(titles[i], fontsize=9, loc="left", **LITERAL_TEXT)
        ax.set_ylabel("attribution")
        ruler.write(ax)
    ax.set_xlabel(ruler.label, **LITERAL_TEXT)
    return figure


def logo_limits(attributions: Tensor) -> tuple[float, float]:
    """Return limits of the y axis that fit all logos of an array (..., letters, positions), with a margin."""
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
    """Draw the number of seqlets that cover each position.

    Parameters
    ----------
    seqlets : pandas.DataFrame
        Columns start and end.
    length : int
        The number of positions of a sequence.
    window : tuple of int, optional
        An interval to shade.
    ruler : Ruler
        The numbers of positions.
    known : pandas.DataFrame, optional
        Columns start and end of known intervals, drawn as an outline.

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
    _hide_frame(ax)
    return figure


def _coverage(intervals: pd.DataFrame, length: int) -> NDArray[np.float64]:
    """Return the number of intervals that cover each position."""
    steps = np.zeros(length + 1)
    np.add.at(steps, np.clip(intervals["start"].to_numpy(), 0, length), 1)
    np.add.at(steps, np.clip(intervals["end"].to_numpy(), 0, length), -1)
    return np.cumsum(steps)[:-1]


def _hide_frame(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
