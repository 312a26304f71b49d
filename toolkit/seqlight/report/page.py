"""A self-contained HTML page of text, numbers, tables, pictures and films."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import jinja2
import pandas as pd
from matplotlib.figure import Figure

from seqlight.errors import InputError
from seqlight.files.atomic import atomic_write
from seqlight.files.folder import as_folder
from seqlight.files.paths import as_path


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Code:
    """Preformatted text in a fixed-width font."""

    text: str


@dataclass(frozen=True)
class Numbers:
    """A few important numbers in large type, each under its name."""

    numbers: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """A table of data, with a caption."""

    table: pd.DataFrame
    caption: str

    def html(self) -> str:
        """Return the table as HTML, its numbers with four significant digits."""
        html: str = self.table.to_html(index=False, border=0, float_format=lambda value: f"{value:.4g}")
        return html


@dataclass(frozen=True)
class Picture:
    """A figure, with a caption."""

    figure: Figure
    caption: str

    def source(self) -> str:
        """Return the figure as a data URI."""
        return embed(self.figure)


@dataclass(frozen=True)
class Film:
    """Figures of one size, shown one at a time by a slider."""

    frames: Mapping[str, Figure]
    caption: str

    def sources(self) -> dict[str, str]:
        """Return each figure as a data URI, by its label."""
        if not self.frames:
            raise InputError("a film has no frames: expected at least one.")
        return {label: embed(figure, "png") for label, figure in self.frames.items()}


Block = Text | Code | Numbers | Table | Picture | Film


@dataclass(frozen=True)
class Section:
    """A heading and the blocks under it."""

    title: str
    blocks: Sequence[Block]


def write_page(path: str | Path, title: str, lead: str, sections: Sequence[Section]) -> Path:
    """Write the page in one step: a file of this name is never incomplete.

    Parameters
    ----------
    path : str or pathlib.Path
        The HTML file; its folder is created if need be.
    title, lead : str
        The subject, in a line and in a paragraph.
    sections : sequence of Section
        The sections, in reading order.

    Returns
    -------
    pathlib.Path
        The file that was written.

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
    # Everything is escaped except what the template marks as safe: tables made by pandas, which escapes them itself.
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    html = environment.from_string(template).render(title=title, lead=lead, sections=sections)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, wait=False) as partial:
        partial.write_text(html, encoding="utf-8")
    return path


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
