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

from seqlight.plot.logos import plot_logo

SEQLETS_COLOR = "#255C99"
WINDOW_COLOR = "#F7B32B"


def learning_curves(panels: Mapping[str, Mapping[str, Sequence[float]]], first: int = 1) -> Figure:
    """Draw numbers by epoch.

    Parameters
    ----------
    panels : mapping
        For each panel, by the label of its y axis, the lines by name.
    first : int
        The epoch of the first numbers; 0 if they are of the untrained model.

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
        for name, values in lines.items():
            ax.plot(np.arange(first, first + len(values)), values, marker="o", markersize=3.5, label=name)
        ax.set_xlabel("epoch")
        ax.set_ylabel(label)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        # One epoch alone would get an axis of thousandths of an epoch.
        ax.set_xlim(first - 0.5, first + max(map(len, lines.values())) - 0.5)
        _plain(ax)
        if len(lines) > 1:
            ax.legend(frameon=False)
    return figure


def attribution_by_epoch(
    profiles: NDArray[np.float64], shares: Sequence[float] | None, window: tuple[int, int] | None, zero: int = 0
) -> Figure:
    """Draw where positive attribution lay in each epoch, and which share of it in the window.

    Parameters
    ----------
    profiles : numpy.ndarray, shape (1 + epochs, positions)
        The share of positive attribution at each position; rows sum to 1. The first is before training.
    shares : sequence of float, optional
        The share inside the window, a number for each row; needs `window`.
    window : tuple of int, optional
        ``start <= position < end``.
    zero : int
        The position to call 0 on the axis.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    beside = shares is not None
    axes = figure.subplots(1, 2 if beside else 1, width_ratios=[3, 1] if beside else None, squeeze=False)[0]
    epochs, positions = profiles.shape
    extent = (-zero, positions - zero, epochs - 0.5, -0.5)
    image = axes[0].imshow(100 * profiles, aspect="auto", cmap="Blues", extent=extent, interpolation="nearest")
    figure.colorbar(image, ax=axes[0], label="share of positive\nattribution (%)")
    axes[0].set_xlabel("position" + (" from the start codon" if zero else ""))
    axes[0].set_ylabel("epoch")
    axes[0].yaxis.set_major_locator(MaxNLocator(integer=True))
    if window is not None:
        for edge in window:
            axes[0].axvline(edge - zero, color=WINDOW_COLOR, linewidth=1.5)
    if shares is not None:
        axes[1].plot(100 * np.asarray(shares), np.arange(epochs), marker="o", markersize=3.5)
        axes[1].set_ylim(epochs - 0.5, -0.5)
        axes[1].set_xlim(0, 100)
        axes[1].set_xlabel("in the window (%)")
        axes[1].yaxis.set_major_locator(MaxNLocator(integer=True))
        _plain(axes[1])
    return figure


def logos(
    attributions: Tensor,
    titles: Sequence[str],
    seqlets: pd.DataFrame | None = None,
    examples: Sequence[int] | None = None,
    shaded: Sequence[Sequence[tuple[int, int]]] | None = None,
    zero: int = 0,
    limits: tuple[float, float] | None = None,
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
    zero : int
        The position to call 0 on the axis.
    limits : tuple of float, optional
        Of the y axis; None to fit.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(11, 1.75 * len(titles) + 0.3), layout="constrained")
    low, high = limits or logo_limits(attributions)
    for i, ax in enumerate(figure.subplots(len(titles), squeeze=False)[:, 0]):
        plot_logo(
            attributions[i],
            ax,
            annotations=seqlets,
            example_idx=None if examples is None else examples[i],
            ylim=(low, high),
        )
        for start, end in shaded[i] if shaded is not None else ():
            ax.axvspan(start, end, color=WINDOW_COLOR, alpha=0.2, linewidth=0, zorder=0)
        ax.set_title(titles[i], fontsize=9, loc="left")
        ax.set_ylabel("attribution")
        ax.xaxis.set_major_formatter(
            FuncFormatter(lambda x, _: f"{x - zero:+.0f}" if zero and x != zero else f"{x - zero:.0f}")
        )
    ax.set_xlabel("position" + (" from the start codon" if zero else ""))
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
    zero: int = 0,
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
    zero : int
        The position to call 0 on the axis.
    known : pandas.DataFrame, optional
        Columns start and end of what is to be found, drawn as an outline.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(11, 2.4), layout="constrained")
    ax = figure.subplots()
    edges = np.arange(length + 1) - zero
    ax.stairs(_coverage(seqlets, length), edges, fill=True, color=SEQLETS_COLOR, label="seqlets")
    if known is not None:
        ax.stairs(_coverage(known, length), edges, color=WINDOW_COLOR, linewidth=2, label="known")
        ax.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
    if window is not None:
        ax.axvspan(window[0] - zero, window[1] - zero, color=WINDOW_COLOR, alpha=0.25, linewidth=0, zorder=0)
    ax.set_xlim(-zero, length - zero)
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("position" + (" from the start codon" if zero else ""))
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
