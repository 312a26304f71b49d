"""Figures of distributions: histograms beside each other, and the profile of attribution along the sequences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from seqlight.plot.text import LITERAL_TEXT

COLOR = "#255C99"
BINS = 40
WIDTH = 11.0
# Numbers beyond these are drawn as multiples of a power of ten.
SMALLEST, LARGEST = 1e-100, 1e100


def histograms(panels: Mapping[str, NDArray[Any]], unit: str = "rows") -> Figure:
    """Draw the distribution of finite numbers, a panel for each name.

    Parameters
    ----------
    panels : mapping of str to numpy.ndarray
        Numbers under the label of their axis; at least one name.
    unit : str
        What is counted.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import numpy as np
    >>> from seqlight.report.distributions import histograms
    >>> [ax.get_xlabel() for ax in histograms({"output": np.arange(5.0)}).axes]
    ['output']
    """
    across = min(3, len(panels))
    down = -(-len(panels) // across)
    figure = Figure(figsize=(WIDTH, 2.3 * down), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for ax, (name, values) in zip(axes, panels.items(), strict=False):
        numbers = np.asarray(values, dtype=np.float64)
        numbers, unit_of_axis = _scaled(numbers[np.isfinite(numbers)])
        counts, edges = np.histogram(numbers, bins=BINS, range=_limits(numbers))
        ax.stairs(counts, edges, fill=True, color=COLOR)
        ax.set_xlabel(f"{name}{unit_of_axis}", **LITERAL_TEXT)
        ax.set_ylim(bottom=0)
        ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        ax.spines[["top", "right"]].set_visible(False)
    for ax in axes[::across]:
        ax.set_ylabel(unit)
    for ax in axes[len(panels) :]:
        figure.delaxes(ax)
    return figure


def _scaled(numbers: NDArray[np.float64]) -> tuple[NDArray[np.float64], str]:
    """Return numbers as multiples of a power of ten, and that power, where their differences could not be computed."""
    largest = float(np.abs(numbers).max(initial=0.0))
    if not largest or SMALLEST < largest < LARGEST:
        return numbers, ""
    exponent = int(np.floor(np.log10(largest)))
    return numbers / 10.0**exponent if exponent > -300 else np.zeros_like(numbers), f" (times 1e{exponent:+d})"


def _limits(numbers: NDArray[np.float64]) -> tuple[float, float]:
    """Return the ends of a histogram, apart even where all numbers are the same."""
    if not len(numbers):
        return 0.0, 1.0
    low, high = float(numbers.min()), float(numbers.max())
    # So many bins must fit between two numbers that can be told apart.
    room = max(abs(low), abs(high)) * 1e-9
    return (low, high) if high - low > room else (low - max(room, 0.5), high + max(room, 0.5))


def attribution_profile(profile: NDArray[np.float64]) -> Figure:
    """Draw the mean absolute attribution of each position, as from :class:`RowStatistics`."""
    figure = Figure(figsize=(WIDTH, 2.0), layout="constrained")
    ax = figure.subplots()
    # Thousands of steps would be a large picture; the mean of neighbours shows as much.
    step = -(-len(profile) // 500)
    starts = np.arange(0, len(profile), step)
    heights = np.add.reduceat(profile, starts) / np.diff(np.append(starts, len(profile)))
    ax.stairs(heights, np.append(starts, len(profile)), fill=True, color=COLOR)
    ax.set_xlim(0, len(profile))
    ax.set_ylim(bottom=0)
    ax.set_xlabel("position")
    ax.set_ylabel("mean absolute\nattribution")
    ax.spines[["top", "right"]].set_visible(False)
    return figure
