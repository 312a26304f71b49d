"""Interactive logos as HTML: in a page of their own, several on a page, or in a notebook."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from seqlight.errors import InputError, kind_of
from seqlight.files.atomic import atomic_write
from seqlight.files.paths import file_to_write

BUTTONS = {
    "in": ("+", "zoom in"),
    "out": ("\N{MINUS SIGN}", "zoom out"),
    "left": ("←", "to the left"),
    "right": ("→", "to the right"),
    "all": ("all", "show all positions"),
}
FIGURE = """<figure class="seqlight-logo"><figcaption><span>{title}</span>{buttons}</figcaption>
<div class="seqlight-screen" tabindex="0" role="group" \
aria-label="drag to move, Ctrl and the wheel to zoom, double-click to see all; or use arrows, + and - and 0">\
<noscript>This logo is drawn by a script, and scripts are off.</noscript></div>
<div class="seqlight-tip" role="status" hidden></div>
<script type="application/json">{content}</script></figure>
"""
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ margin: 1rem auto; padding: 0 1rem; max-width: 1400px; font: 16px/1.5 system-ui, sans-serif; }}
</style></head><body>
{heading}{figures}{script}</body></html>
"""


class InteractiveLogo:
    """A logo for the browser; :func:`seqlight.interactive_logo` makes it, and a notebook shows it.

    Attributes
    ----------
    title : str
        Written above the logo.
    content : dict
        What the script draws: letters and heights as packed arrays, colours, annotations and the locus.
    """

    def __init__(self, title: str, content: Mapping[str, Any]) -> None:
        self.title, self.content = title, dict(content)

    def to_html(self, full_html: bool = True, script: bool = True) -> str:
        """Return it as HTML that loads nothing.

        Parameters
        ----------
        full_html : bool
            A page, or else only the figure, to put into one.
        script : bool
            Whether the script and the styles come with the figure; a page with several figures needs them once, and
            having them more often does no harm.
        """
        figure = self._figure() + (logo_script() if script else "")
        if not full_html:
            return figure
        return PAGE.format(title=html.escape(self.title or "logo"), heading="", figures=figure, script="")

    def write_html(self, path: str | os.PathLike[str]) -> Path:
        """Write a page with this logo, and return where it is.

        Raises
        ------
        InputError
            If there can be no file of this name.
        """
        return _write(path, self.to_html())

    def _figure(self) -> str:
        buttons = "".join(
            f'<button type="button" data-action="{action}" title="{title}" aria-label="{title}">{text}</button>'
            for action, (text, title) in BUTTONS.items()
        )
        # Names of annotations must not end the script that holds them.
        content = json.dumps(self.content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
        return FIGURE.format(title=html.escape(self.title), buttons=buttons, content=content)

    def _repr_html_(self) -> str:
        return self.to_html(full_html=False)

    def __repr__(self) -> str:
        first, last, n = self.content["start"], self.content["end"], len(self.content["annotations"])
        named = f" {self.title!r}" if self.title else ""
        return f"InteractiveLogo{named} of positions {first} to {last}, {n} annotations: write_html(path) makes a page"


def write_logos(path: str | os.PathLike[str], logos: Iterable[InteractiveLogo], title: str = "Logos") -> Path:
    """Write a page with several interactive logos, one below the other, which share one script.

    Parameters
    ----------
    path : str or path
        The HTML file.
    logos : iterable of InteractiveLogo
        What :func:`seqlight.interactive_logo` returns.
    title : str
        The heading of the page.

    Returns
    -------
    pathlib.Path
        The file that was written.

    Raises
    ------
    InputError
        If there are no logos, something else is among them, or there can be no file of this name.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import seqlight as sl
    >>> logos = [sl.interactive_logo(np.eye(4), title=f"peak {i}") for i in range(20)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = sl.write_logos(f"{folder}/logos.html", logos)
    ...     page.read_text().count("<figure")
    20
    """
    shown = list(logos) if isinstance(logos, Iterable) else [logos]
    wrong = next((one for one in shown if not isinstance(one, InteractiveLogo)), None)
    if wrong is not None or not shown:
        found = "no logos" if wrong is None else kind_of(wrong)
        raise InputError(f"`logos` holds {found}: expected what interactive_logo returns, at least one.")
    figures = "".join(one.to_html(full_html=False, script=False) for one in shown)
    name = html.escape(str(title))
    return _write(path, PAGE.format(title=name, heading=f"<h1>{name}</h1>\n", figures=figures, script=logo_script()))


@cache
def logo_script() -> str:
    """Return the styles and the script that draw all logos of a page, as HTML."""
    style, script = (
        resources.files("seqlight.plot").joinpath(f"interactive_logo.{kind}").read_text(encoding="utf-8")
        for kind in ("css", "js")
    )
    return f"<style>\n{style}</style>\n<script>\n{script}</script>\n"


def _write(path: str | os.PathLike[str], text: str) -> Path:
    final = file_to_write(path)
    with atomic_write(final) as partial:
        partial.write_text(text, encoding="utf-8")
    return final
