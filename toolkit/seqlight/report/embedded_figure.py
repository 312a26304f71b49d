"""A figure inside a page, as text."""

from __future__ import annotations

import base64
import io

from matplotlib.figure import Figure


def embed(figure: Figure, kind: str = "svg") -> str:
    """Return a figure as a data URI, byte for byte the same for the same figure.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    kind : str
        ``"svg"``, which is sharp at every size, or ``"png"``, which is smaller where there are many letters.
    """
    import matplotlib

    buffer = io.BytesIO()
    # A date and random ids would make each page different.
    with matplotlib.rc_context({"svg.hashsalt": "seqlight"}):
        figure.savefig(buffer, format=kind, dpi=110, metadata={"Date": None} if kind == "svg" else None)
    mime = "image/svg+xml" if kind == "svg" else "image/png"
    return f"data:{mime};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
