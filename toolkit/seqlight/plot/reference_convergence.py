"""How certain attributions become with the number of references."""

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
from seqlight.plot.checks import Floats, as_numbers, number_between
from seqlight.plot.text import add_legend, in_legend

LINE_COLORS = ("#255C99", "#D62839", "#109648", "#F7B32B", "#8A5FA8", "0.4")
EACH_COLOR = "0.75"
LEGEND_SIZE = 8
MOST_POINTS = 25


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

    For every number ``n`` the first ``n`` references are taken, and the root mean square of the standard error
    over characters is drawn, beside what 1/sqrt(n) lets expect from the spread among all references. Characters
    that contribute nothing with any reference are left out.

    Parameters
    ----------
    contributions : Explanation, or tensor or array of shape (references, letters, positions) or \
(lines, references, letters, positions)
        What each character contributes with each reference; NaN throughout where there is no such reference.
        An explanation needs its multipliers and references: ``attribute(..., multipliers=True)``. Its lines are
        its sequences, or, where it has several targets, the targets of one sequence.
    ax : matplotlib.axes.Axes, optional
        Where to draw; the current axes of pyplot if None.
    labels : sequence of str, optional
        One for each line. Without them many lines are drawn in grey, and one for all of them together.
    example_idx : int, optional
        Which sequence of an explanation.
    relative : bool, optional
        Whether the error is a share of the root mean square attribution, as `tolerance` of
        :func:`seqlight.attribute` is, or as it is.
    tolerance : float, optional
        Draw a line at this height.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on, both of their scales logarithmic.

    Raises
    ------
    InputError
        If what is needed is missing, or there are less than three references.

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
    tolerance = None if tolerance is None else number_between(tolerance, "tolerance", 0)
    curves = [standard_errors(line, relative) for line in lines]
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.gca()
    if names or len(curves) == 1:
        names = [in_legend(one) for one in names or ["standard error"]]
        for i, (curve, name) in enumerate(zip(curves, names, strict=True)):
            _draw(ax, curve, LINE_COLORS[i % len(LINE_COLORS)], name, expected=None if i else "as 1/√n")
    else:
        for i, curve in enumerate(curves):
            name = f"each of {len(curves)}"
            ax.plot(_numbers(curve), curve, color=EACH_COLOR, linewidth=0.8, label=f"_{name}" if i else name)
        shortest = min(map(len, curves))
        joint = np.sqrt(np.mean([curve[:shortest] ** 2 for curve in curves], axis=0))
        _draw(ax, joint, LINE_COLORS[0], "root mean square", expected="as 1/√n")
    if tolerance is not None:
        ax.axhline(tolerance, color="0.25", linewidth=1, linestyle=":", label=f"tolerance {tolerance:g}")
    _finish(ax, max(map(len, curves)) + 1, relative, names)
    return ax


def standard_errors(contributions: Floats, relative: bool = False) -> Floats:
    """Return the root mean square standard error of the mean over 2, 3, ... references.

    Parameters
    ----------
    contributions : numpy.ndarray, shape (references, letters, positions)
        With each reference.
    relative : bool
        Whether to divide it by the root mean square of the mean over all references.

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
        raise InputError("all contributions are 0, so that nothing has an error: check the target.")
    mean = flat.mean(axis=0)
    # Around the mean, so that squares do not cancel.
    centred = flat - mean
    n = np.arange(1, len(flat) + 1)[:, None]
    spread = (np.cumsum(centred**2, axis=0) - np.cumsum(centred, axis=0) ** 2 / n)[1:].clip(min=0)
    errors = np.sqrt((spread / (n[1:] - 1) / n[1:]).mean(axis=1))
    return np.asarray(errors / np.sqrt((mean**2).mean()) if relative else errors)


def _lines(given: Any, example_idx: int | None) -> tuple[list[Floats], list[str]]:
    """Return the contributions of each line, and names if lines are targets."""
    names: list[str] = []
    if isinstance(given, Explanation):
        values, names = _of_explanation(given, example_idx)
    else:
        values = as_numbers(given, "contributions")
        values = values[None] if values.ndim == 3 else values
    if values.ndim != 4 or not len(values):
        raise InputError(
            f"`contributions` has shape {values.shape}, but (references, letters, positions) is needed, or as many "
            "as there are lines: keep what each reference gives, instead of the mean."
        )
    lines = [line[~np.isnan(line).all(axis=(1, 2))] for line in values]
    fewest = min(map(len, lines))
    if fewest < 3:
        raise InputError(f"there are {fewest} references, but a line needs at least 3: draw more.")
    if not all(np.isfinite(line).all() for line in lines):
        raise InputError("`contributions` holds NaN or infinity inside of a reference: repair the values.")
    return lines, names


def _of_explanation(given: Explanation, example_idx: int | None) -> tuple[Floats, list[str]]:
    if given.multipliers is None or given.references is None:
        raise InputError(
            "the explanation has not kept what each reference gives: call attribute(..., multipliers=True, "
            "keep_references=True)."
        )
    by_target = given.attributions.ndim == 4
    chosen = slice(None) if example_idx is None else slice(example_idx, example_idx + 1)
    if not given.attributions[chosen].shape[0] or (by_target and given.attributions[chosen].shape[0] != 1):
        raise InputError(
            f"`example_idx` is {example_idx}, but there are {len(given)} sequences"
            f"{', and the lines are targets' if by_target else ''}: choose one."
        )
    references = given.references[chosen]
    references = references.unsqueeze(1) if by_target else references
    per_reference = hypothetical_contributions(given.multipliers[chosen], references)
    # Only of characters that are there. NaN stays NaN: there is no such reference.
    there = (given.attributions[chosen] != 0).unsqueeze(-3)
    values = as_numbers(torch.where(there | per_reference.isnan(), per_reference, 0.0), "contributions")
    return (values[0], [f"target {i}" for i in range(values.shape[1])]) if by_target else (values, [])


def _draw(ax: Axes, curve: Floats, color: str, name: str, expected: str | None) -> None:
    n = _numbers(curve)
    # Where errors and expectation meet: at all references.
    line = curve[-1] * np.sqrt(n[-1] / n)
    ax.plot(n, line, color=color, linewidth=1, linestyle="--", alpha=0.7, label=expected or "_expected")
    # Where points are many they would be a thick line.
    marker = "o" if len(n) <= MOST_POINTS else None
    ax.plot(n, curve, color=color, linewidth=1.6, marker=marker, markersize=3.5, label=name)


def _numbers(curve: Floats) -> Floats:
    return np.arange(2, len(curve) + 2, dtype=np.float64)


def _finish(ax: Axes, most: int, relative: bool, names: Sequence[str]) -> None:
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
