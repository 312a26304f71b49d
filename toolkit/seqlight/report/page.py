"""One HTML page that needs nothing beside it: text, numbers, tables, pictures and films."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import jinja2
import pandas as pd
from matplotlib.figure import Figure

from seqlight.errors import InputError
from seqlight.files.folder import as_folder
from seqlight.files.paths import as_path


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Code:
    """Text as it stands, in a fixed-width font."""

    text: str


@dataclass(frozen=True)
class Numbers:
    """A few numbers that matter, large, each with what it is."""

    numbers: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """A table of data, with what it shows."""

    table: pd.DataFrame
    caption: str

    def html(self) -> str:
        """Return it as HTML, four significant digits."""
        html: str = self.table.to_html(index=False, border=0, float_format=lambda value: f"{value:.4g}")
        return html


@dataclass(frozen=True)
class Picture:
    """A figure, with what it shows."""

    figure: Figure
    caption: str

    def source(self) -> str:
        """Return it as a data URI."""
        return embed(self.figure)


@dataclass(frozen=True)
class Film:
    """Figures of one size, one of which shows at a time, with a slider."""

    frames: Mapping[str, Figure]
    caption: str

    def sources(self) -> dict[str, str]:
        """Return each as a data URI, under its label."""
        if not self.frames:
            raise InputError("a film has no frames: expected at least one.")
        return {label: embed(figure, "png") for label, figure in self.frames.items()}


Block = Text | Code | Numbers | Table | Picture | Film


@dataclass(frozen=True)
class Section:
    """A heading with what stands under it."""

    title: str
    blocks: Sequence[Block]


def write_page(path: str | Path, title: str, lead: str, sections: Sequence[Section]) -> Path:
    """Write the page; under its final name it is always whole.

    Parameters
    ----------
    path : str or pathlib.Path
        Of the HTML file; its folder is made.
    title, lead : str
        What it is about, in a line and in a paragraph.
    sections : sequence of Section
        In reading order.

    Returns
    -------
    pathlib.Path
        The file.

    Examples
    --------
    >>> import tempfile
    >>> from seqlight.report.page import Section, Text, write_page
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = write_page(f"{folder}/report.html", "A title", "A lead.", [Section("One", [Text("5 < 6")])])
    ...     "5 &lt; 6" in page.read_text()
    True
    """
    path = as_path(path)
    as_folder(path.parent, "the folder of path")
    template = resources.files("seqlight.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    # Everything is escaped but what is marked safe in the template: tables made by pandas.
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    html = environment.from_string(template).render(title=title, lead=lead, sections=sections)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(html, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def embed(figure: Figure, kind: str = "svg") -> str:
    """Return a figure as a data URI, the same bytes for the same figure.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What to draw.
    kind : str
        ``"svg"``, sharp at every size, or ``"png"``, smaller for many letters.
    """
    import matplotlib

    room = io.BytesIO()
    # A date and random ids would make each page another one.
    with matplotlib.rc_context({"svg.hashsalt": "seqlight"}):
        figure.savefig(room, format=kind, dpi=110, metadata={"Date": None} if kind == "svg" else None)
    mime = "image/svg+xml" if kind == "svg" else "image/png"
    return f"data:{mime};base64,{base64.b64encode(room.getvalue()).decode('ascii')}"
