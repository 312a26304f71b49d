r"""Names that users give, drawn character by character, never read as mathematics or TeX.

Matplotlib sets text between two dollar signs as mathematics, and fails to draw a figure whose text is not valid
mathematics: one sequence named ``$\frac$`` would cost a whole report.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.legend import Legend

# Properties of a Matplotlib text that is drawn as it is written.
LITERAL_TEXT: Final[dict[str, Any]] = {"parse_math": False, "usetex": False}


def legend_label(name: str) -> str:
    """Return the label under which a legend shows this name: Matplotlib skips labels that begin with an underscore.

    Examples
    --------
    >>> legend_label("_peak_1"), legend_label("peak_1")
    (' _peak_1', 'peak_1')
    """
    return f" {name}" if name.startswith("_") else name


def add_legend(ax: Axes, names: Collection[str], **options: Any) -> Legend:
    """Add a legend to axes and draw these labels literally; any others belong to whoever made the axes."""
    legend = ax.legend(**options)
    for text in legend.get_texts():
        if text.get_text() in names:
            text.set(**LITERAL_TEXT)
    return legend
