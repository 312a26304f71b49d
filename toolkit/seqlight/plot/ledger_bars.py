"""The ledger as bars: which share of the output difference goes through each module, in the order of the calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from seqlight.attribution.explanation import Explanation
from seqlight.errors import InputError, kind_of
from seqlight.plot.axes import TICK_SIZE, as_axes, label_axes
from seqlight.plot.text import LITERAL_TEXT
from seqlight.sequence.checks import require_count

COLUMNS = ("layer", "part", "share", "standard_error", "complete")
# What a row is, and how its bar is drawn.
KINDS: dict[str, dict[str, Any]] = {
    "everything goes through it": {"color": "0.75", "height": 0.75},
    "a module": {"color": "#255C99", "height": 0.75},
    "a branch or a head": {"color": "#F7B32B", "height": 0.5},
}
CUT, MODULE, PART = KINDS
BAND = "0.95"


def plot_ledger(
    ledger: pd.DataFrame | Explanation, ax: Axes | None = None, *, target: int | None = None, top: int | None = None
) -> Axes:
    """Draw which share of the output difference goes through each module, the first that is called above.

    A bar is grey where everything goes through its module, and its share is 1. Narrow bars are parts: the branches of a
    residual sum and the heads of attention, which lie on a band, since together they make a whole. Lines at their ends
    are standard errors over references.

    Parameters
    ----------
    ledger : pandas.DataFrame or Explanation
        :attr:`seqlight.Explanation.ledger` or :attr:`seqlight.Results.ledger`, or some of its rows; or what
        ``attribute(..., layers=True)`` returns.
    ax : matplotlib.axes.Axes, optional
        The axes to draw on; pyplot's current axes if None. A row needs about a fifth of an inch.
    target : int, optional
        Which of several targets, by its number in the column ``target``.
    top : int, optional
        Draw so many rows at most: those with the largest absolute shares, of modules that not everything goes through
        before others.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Raises
    ------
    InputError
        If it is no ledger or has no rows, a share is not finite, or one of several targets must be chosen.

    Examples
    --------
    >>> import torch
    >>> import seqlight as sl
    >>> from matplotlib.figure import Figure
    >>> body = torch.nn.Conv1d(4, 3, 5), torch.nn.ReLU(), torch.nn.AdaptiveMaxPool1d(1), torch.nn.Flatten()
    >>> model = torch.nn.Sequential(*body, torch.nn.Linear(3, 1))
    >>> found = sl.attribute(model, sl.random_one_hot((2, 4, 30), random_state=0), layers=True, random_state=0)
    >>> ax = sl.plot_ledger(found.ledger, Figure().subplots())
    >>> [label.get_text() for label in ax.get_yticklabels()], ax.get_xlabel()
    (['0', '1', '2', '3', '4'], 'share of the output difference')
    """
    table = _largest(_of_target(_as_table(ledger), target), top)
    shares, errors = (table[name].to_numpy(np.float64) for name in ("share", "standard_error"))
    if not len(table) or not np.isfinite(shares).all():
        why = "has shares that are not finite, as where outputs do not differ" if len(table) else "is empty"
        raise InputError(f"`ledger` {why}: expected rows with finite shares.")
    ax = as_axes(ax)
    y = np.arange(len(table))
    kinds = np.where(table["part"] != "", PART, np.where(table["complete"], CUT, MODULE))
    for first, last in _groups(table):
        ax.axhspan(first - 0.5, last + 0.5, color=BAND, linewidth=0, zorder=0)
    for kind, style in KINDS.items():
        ours = kinds == kind
        ax.barh(y[ours], shares[ours], **style)
    known = np.isfinite(errors) & (kinds != CUT)
    bars: dict[str, Any] = {"fmt": "none", "ecolor": "0.15", "elinewidth": 1, "capsize": 2}
    ax.errorbar(shares[known], y[known], xerr=errors[known], **bars)
    ax.axvline(0, color="0.25", linewidth=0.8)
    ax.axvline(1, color="0.25", linewidth=0.8, linestyle=":")
    ax.set_yticks(y, _labels(table), fontsize=TICK_SIZE, **LITERAL_TEXT)
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.tick_params(axis="x", labelsize=TICK_SIZE)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right"]].set_visible(False)
    label_axes(ax, "share of the output difference", "")
    shown = [Patch(color=style["color"], label=kind) for kind, style in KINDS.items() if kind in kinds]
    ax.legend(
        handles=shown, frameon=False, fontsize=TICK_SIZE, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(shown)
    )
    return ax


def _as_table(given: Any) -> pd.DataFrame:
    table = given.ledger if isinstance(given, Explanation) else given
    missing = [name for name in COLUMNS if not isinstance(table, pd.DataFrame) or name not in table]
    if missing:
        why = f"has no column {missing[0]!r}" if isinstance(table, pd.DataFrame) else f"is {kind_of(table)}"
        raise InputError(f"`ledger` {why}: expected the ledger of attribute(..., layers=True), or of a run's results.")
    return table.assign(part=table["part"].fillna(""))  # as read_csv has what is empty


def _of_target(table: pd.DataFrame, target: int | None) -> pd.DataFrame:
    there = table["target"].unique().tolist() if "target" in table else []
    if target is None and len(there) > 1:
        raise InputError(f"`ledger` is of {len(there)} targets: choose one with target=.")
    if target is None:
        return table
    if target not in there:
        known = " or ".join(map(str, there)) or "none, since it is of a single one"
        raise InputError(f"`target` is {target}: expected {known}.")
    return table[table["target"] == target]


def _largest(table: pd.DataFrame, top: int | None) -> pd.DataFrame:
    if top is None or len(table) <= require_count(top, "top", least=1):
        return table
    order = np.lexsort([-table["share"].abs(), table["complete"]])
    return table.iloc[np.sort(order[:top])]


def _groups(table: pd.DataFrame) -> list[tuple[int, int]]:
    """Return the first and the last row of each run of parts of one layer."""
    groups: list[tuple[int, int]] = []
    before = None
    for i, (layer, part) in enumerate(zip(table["layer"], table["part"], strict=True)):
        whole = (layer, part.rpartition(", ")[0]) if part else None
        if whole is not None and whole == before:
            groups[-1] = groups[-1][0], i
        elif whole is not None:
            groups.append((i, i))
        before = whole
    return groups


def _labels(table: pd.DataFrame) -> list[str]:
    pairs = zip(table["layer"].astype(str), table["part"], strict=True)
    return [f"{layer}: {part}" if layer and part else layer or part for layer, part in pairs]
