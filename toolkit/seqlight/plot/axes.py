"""Matplotlib axes: those that a caller gives, and panels that share an x axis, one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase

from seqlight.errors import InputError, kind_of
from seqlight.plot.checks import figure_size

TITLE_SIZE = 9
TICK_SIZE = 8
# Inches between the panels and the edges of the figure.
SIDE_PAD = 0.08


def as_axes(ax: Any) -> Axes:
    """Return the given axes, or pyplot's current axes if there are none; raise InputError for anything else."""
    if ax is None:
        # Imported only here, so that callers with their own axes never load pyplot.
        import matplotlib.pyplot as plt

        ax = plt.gca()
    if isinstance(ax, Axes):
        return ax
    remedy = "pass `figure.subplots()`" if isinstance(ax, FigureBase) else "pick one of them"
    if not isinstance(ax, FigureBase | np.ndarray):
        remedy = "leave it out for the current ones"
    raise InputError(f"`ax` is {kind_of(ax)}, but axes of Matplotlib are needed: {remedy}.")


def label_axes(ax: Axes, xlabel: str, ylabel: str) -> None:
    """Label axes that have no labels yet; within a grid of axes, only along its left and lower edges."""
    cell = ax.get_subplotspec()
    if not ax.get_xlabel() and (cell is None or cell.is_last_row()):
        ax.set_xlabel(xlabel)
    if not ax.get_ylabel() and (cell is None or cell.is_first_col()):
        ax.set_ylabel(ylabel)


def stack_panels(
    height_ratios: Sequence[float],
    figsize: tuple[float, float] | None,
    default_size: tuple[float, float],
    h_pad: float,
    sharey: bool = False,
) -> tuple[Figure, list[Axes]]:
    """Make a figure of panels, one below the other, of which only the lowest shows the shared x axis.

    Parameters
    ----------
    height_ratios : sequence of float
        The relative height of each panel.
    figsize, default_size : tuple of float
        Width and height in inches; the default applies where `figsize` is None.
    h_pad : float
        Inches above and below each panel.
    sharey : bool
        Whether the panels share their y axis too.
    """
    figure = Figure(figure_size(figsize, default_size))
    figure.set_layout_engine("constrained", w_pad=SIDE_PAD, h_pad=h_pad)
    grid = figure.subplots(len(height_ratios), sharex=True, sharey=sharey, squeeze=False, height_ratios=height_ratios)
    axes = list(grid[:, 0])
    for ax in axes:
        ax.tick_params(labelsize=TICK_SIZE)
    for ax in axes[:-1]:
        ax.spines["bottom"].set_visible(False)
        ax.tick_params(axis="x", length=0)
    return figure, axes


def title_panel(ax: Axes, title: str, **properties: Any) -> None:
    """Write the title of a panel above its left end, with these properties of Matplotlib texts."""
    ax.set_title(title, loc="left", fontsize=TITLE_SIZE, pad=3, **properties)
