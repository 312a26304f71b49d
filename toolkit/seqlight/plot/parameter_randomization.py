"""How similar attributions stay while the layers of a model are re-initialised."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from seqlight.errors import InputError, kind_of
from seqlight.plot.axes import as_axes
from seqlight.plot.checks import require_number

LINES = {
    "rank_correlation": ("rank correlation", "#255C99"),
    "magnitude_rank_correlation": ("of magnitudes", "#F7B32B"),
    "r": ("Pearson's r", "0.5"),
}


def plot_parameter_randomization(
    table: pd.DataFrame, ax: Axes | None = None, *, threshold: float | None = None
) -> Axes:
    """Draw how similar attributions are to those of the model, by the layer down to which it is re-initialised.

    Parameters
    ----------
    table : pandas.DataFrame
        The `table` of :func:`seqlight.studies.parameter_randomization`.
    ax : matplotlib.axes.Axes, optional
        The axes to draw on; pyplot's current axes if None.
    threshold : float, optional
        Draw a line at this height.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on: the model as it is at the left, with all layers re-initialised at the right.

    Raises
    ------
    InputError
        If the table lacks a column, or `threshold` is no number.

    Examples
    --------
    >>> import pandas as pd
    >>> import seqlight as sl
    >>> from matplotlib.figure import Figure
    >>> table = pd.DataFrame({"layer": ["head", "body"], "rank_correlation": [0.4, 0.1],
    ...                       "magnitude_rank_correlation": [0.7, 0.2], "r": [0.5, 0.1]})
    >>> ax = sl.plot_parameter_randomization(table, Figure().subplots())
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['none', 'head', 'body']
    """
    if not isinstance(table, pd.DataFrame):
        raise InputError(f"table is {kind_of(table)}: expected the `table` of parameter_randomization.")
    missing = [name for name in ("layer", *LINES) if name not in table]
    if missing:
        raise InputError(f"table has no column {missing[0]!r}: expected the `table` of parameter_randomization.")
    limit = None if threshold is None else require_number(threshold, "threshold", -1, 1)
    ax = as_axes(ax)
    x = range(len(table) + 1)
    for column, (name, color) in LINES.items():
        ax.plot(x, [1.0, *table[column]], color=color, marker="o", markersize=3.5, label=name)
    ax.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    if limit is not None:
        ax.axhline(limit, color="0.25", linewidth=1, linestyle=":", label=f"alike from {limit:g} on")
    # Names of modules are not mathematics.
    ax.set_xticks(x, ["none", *table["layer"].astype(str)], rotation=45, ha="right", parse_math=False)
    ax.set_xlabel("re-initialised, from the output down to")
    ax.set_ylabel("similarity of attributions")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=8)
    return ax
