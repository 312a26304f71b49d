"""The standard error of attributions, by the number of references."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from numpy.typing import NDArray

from seqlight.attribution.contributions import hypothetical_contributions
from seqlight.attribution.explanation import Explanation
from seqlight.errors import InputError
from seqlight.plot.axes import as_axes
from seqlight.plot.checks import Floats, as_float_array, require_number
from seqlight.plot.text import add_legend, legend_label

LINE_COLORS = ("#255C99", "#D62839", "#109648", "#F7B32B", "#8A5FA8", "0.4")
EACH_COLOR = "0.75"
LEGEND_SIZE = 8
MAX_MARKERS = 25


def plot_reference_convergence(
    contributions: Explanation | torch.Tensor | NDArray[Any],
    ax: Axes | None = None,
    *,
    labels: Sequence[str] | None = None,
    example_idx: int | None = None,
    relative: bool = True,
    tolerance: float | None = None,
) -> Axes:
    """Draw the standard error of attributions against the number of references they are averaged over.

    For every number ``n`` the standard error over the first ``n`` references is drawn, as the root mean square over
    characters, together with the 1/sqrt(n) that is expected from the spread among all references. Characters that
    contribute nothing with any reference are left out.

    Parameters
    ----------
    contributions : Explanation, or tensor or array of shape (references, letters, positions) or \
(lines, references, letters, positions)
        The contribution of each character with each reference; all NaN where a reference is missing.
        An explanation must hold its multipliers and references: ``attribute(..., multipliers=True)``. It gives a
        line for each sequence or, if it has several targets, for each target of one sequence.
    ax : matplotlib.axes.Axes, optional
        The axes to draw on; pyplot's current axes if None.
    labels : sequence of str, optional
        A label for each line. Without labels several lines are drawn in grey, with one for all of them together.
    example_idx : int, optional
        The sequence of an explanation.
    relative : bool, optional
        Whether to divide the error by the root mean square attribution, as `tolerance` of
        :func:`seqlight.attribute` does.
    tolerance : float, optional
        Draw a line at this height.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on, with logarithmic scales.

    Raises
    ------
    InputError
        If multipliers or references are missing, or there are fewer than three references.

    Examples
    --------
    >>> import torch
    >>> import seqlight as sl
    >>> from matplotlib.figure import Figure
    >>> from seqlight.plot.reference_convergence import plot_reference_convergence
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 3), torch.nn.Softmax(dim=1))
    >>> X = sl.random_one_hot((2, 4, 20), random_state=0)
    >>> found = sl.attribute(model, X, multipliers=True, random_state=0)
    >>> ax = plot_reference_convergence(found, Figure().subplots(), tolerance=0.1)
    >>> ax.get_xlabel()
    'references'
    """
    lines, names = _lines(contributions, example_idx)
    if labels is not None:
        names = [str(one) for one in labels]
        if len(names) != len(lines):
            raise InputError(f"there are {len(names)} `labels` for {len(lines)} lines: give one for each.")
    tolerance = None if tolerance is None else require_number(tolerance, "tolerance", 0)
    curves = [standard_errors(line, relative) for line in lines]
    ax = as_axes(ax)
    if names or len(curves) == 1:
        names = [legend_label(one) for one in names or ["standard error"]]
        for i, (curve, name) in enumerate(zip(curves, names, strict=True)):
            _draw_curve(ax, curve, LINE_COLORS[i % len(LINE_COLORS)], name, expected=None if i else "as 1/√n")
    else:
        for i, curve in enumerate(curves):
            name = f"each of {len(curves)}"
            ax.plot(_reference_counts(curve), curve, color=EACH_COLOR, linewidth=0.8, label=f"_{name}" if i else name)
        shortest = min(map(len, curves))
        joint = np.sqrt(np.mean([curve[:shortest] ** 2 for curve in curves], axis=0))
        _draw_curve(ax, joint, LINE_COLORS[0], "root mean square", expected="as 1/√n")
    if tolerance is not None:
        ax.axhline(tolerance, color="0.25", linewidth=1, linestyle=":", label=f"tolerance {tolerance:g}")
    _format_axes(ax, max(map(len, curves)) + 1, relative, names)
    return ax


def standard_errors(contributions: Floats, relative: bool = False) -> Floats:
    """Return the root mean square standard error of the mean over 2, 3, ... references.

    Parameters
    ----------
    contributions : numpy.ndarray, shape (references, letters, positions)
        The contributions with each reference.
    relative : bool
        Whether to divide the errors by the root mean square of the mean over all references.

    Returns
    -------
    numpy.ndarray, shape (references - 1,)

    Examples
    --------
    >>> import numpy as np
    >>> from seqlight.plot.reference_convergence import standard_errors
    >>> standard_errors(np.array([1.0, 3.0, 2.0])[:, None, None]).round(3).tolist()
    [1.0, 0.577]
    """
    flat = contributions.reshape(len(contributions), -1)
    flat = flat[:, (flat != 0).any(axis=0)]
    if not flat.size:
        raise InputError("all contributions are 0, so there is no error to draw: check the target.")
    mean = flat.mean(axis=0)
    # Centred on the mean, to avoid cancellation among squares.
    centred = flat - mean
    n = np.arange(1, len(flat) + 1)[:, None]
    spread = (np.cumsum(centred**2, axis=0) - np.cumsum(centred, axis=0) ** 2 / n)[1:].clip(min=0)
    errors = np.sqrt((spread / (n[1:] - 1) / n[1:]).mean(axis=1))
    return np.asarray(errors / np.sqrt((mean**2).mean()) if relative else errors)


def _lines(given: Any, example_idx: int | None) -> tuple[list[Floats], list[str]]:
    """Return the contributions of each line, and labels if the lines are targets."""
    names: list[str] = []
    if isinstance(given, Explanation):
        values, names = _lines_of_explanation(given, example_idx)
    else:
        values = as_float_array(given, "contributions")
        values = values[None] if values.ndim == 3 else values
    if values.ndim != 4 or not len(values):
        raise InputError(
            f"`contributions` has shape {values.shape}, but (references, letters, positions) is needed, or an array "
            "of these for several lines: keep the contributions with each reference, not their mean."
        )
    lines = [line[~np.isnan(line).all(axis=(1, 2))] for line in values]
    fewest = min(map(len, lines))
    if fewest < 3:
        raise InputError(f"there are {fewest} references, but a line needs at least 3: draw more.")
    if not all(np.isfinite(line).all() for line in lines):
        raise InputError("`contributions` holds NaN or infinity inside of a reference: repair the values.")
    return lines, names


def _lines_of_explanation(given: Explanation, example_idx: int | None) -> tuple[Floats, list[str]]:
    if given.multipliers is None or given.references is None:
        raise InputError(
            "the explanation does not hold multipliers and references: call attribute(..., multipliers=True, "
            "keep_references=True)."
        )
    by_target = given.attributions.ndim == 4
    selected = slice(None) if example_idx is None else slice(example_idx, example_idx + 1)
    if not given.attributions[selected].shape[0] or (by_target and given.attributions[selected].shape[0] != 1):
        raise InputError(
            f"`example_idx` is {example_idx}, but there are {len(given)} sequences"
            f"{', and the lines are targets' if by_target else ''}: choose one."
        )
    references = given.references[selected]
    references = references.unsqueeze(1) if by_target else references
    per_reference = hypothetical_contributions(given.multipliers[selected], references)
    # Only characters that are present count. NaN stays NaN: it marks a missing reference.
    present = (given.attributions[selected] != 0).unsqueeze(-3)
    values = as_float_array(torch.where(present | per_reference.isnan(), per_reference, 0.0), "contributions")
    return (values[0], [f"target {i}" for i in range(values.shape[1])]) if by_target else (values, [])


def _draw_curve(ax: Axes, curve: Floats, color: str, name: str, expected: str | None) -> None:
    n = _reference_counts(curve)
    # The expectation meets the curve at its last point, with all references.
    line = curve[-1] * np.sqrt(n[-1] / n)
    ax.plot(n, line, color=color, linewidth=1, linestyle="--", alpha=0.7, label=expected or "_expected")
    # Many markers would merge into a thick line.
    marker = "o" if len(n) <= MAX_MARKERS else None
    ax.plot(n, curve, color=color, linewidth=1.6, marker=marker, markersize=3.5, label=name)


def _reference_counts(curve: Floats) -> Floats:
    return np.arange(2, len(curve) + 2, dtype=np.float64)


def _format_axes(ax: Axes, most: int, relative: bool, names: Sequence[str]) -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(1.9, most * 1.05)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("references")
    ax.set_ylabel("standard error" + (" / attribution" if relative else " of attribution"))
    ax.spines[["top", "right"]].set_visible(False)
    add_legend(ax, names, frameon=False, fontsize=LEGEND_SIZE, loc="best")
