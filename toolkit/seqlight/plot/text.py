r"""Names that users give, drawn letter by letter: nothing in them is read as mathematics, TeX or HTML.

Matplotlib sets what stands between two dollar signs as mathematics, and cannot draw a picture where it is none:
``$\frac$`` in the name of a sequence would cost a whole report.
"""

from __future__ import annotations

import html
from collections.abc import Collection
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.legend import Legend

# Properties of a text of Matplotlib.
AS_IT_IS: Final[dict[str, Any]] = {"parse_math": False, "usetex": False}


def in_legend(name: str) -> str:
    """Return the label that shows this name in a legend, which leaves out what begins with an underscore.

    Examples
    --------
    >>> in_legend("_peak_1"), in_legend("peak_1")
    (' _peak_1', 'peak_1')
    """
    return f" {name}" if name.startswith("_") else name


def add_legend(ax: Axes, names: Collection[str], **options: Any) -> Legend:
    """Add a legend to axes, with these of its labels as they are; others may be of whoever made the axes."""
    legend = ax.legend(**options)
    for text in legend.get_texts():
        if text.get_text() in names:
            text.set(**AS_IT_IS)
    return legend


def in_browser(name: str) -> str:
    """Return a name as plotly shows it letter by letter.

    Examples
    --------
    >>> in_browser("<i> & $x$")
    '&lt;i&gt; &amp; &#36;x&#36;'
    """
    return html.escape(name, quote=False).replace("$", "&#36;")
