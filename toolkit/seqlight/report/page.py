"""A self-contained HTML page of blocks under headings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from seqlight.files.atomic import atomic_write
from seqlight.files.folder import as_folder
from seqlight.files.paths import as_path
from seqlight.plot.logo_page import logo_script
from seqlight.report.blocks import Section
from seqlight.report.data_table import table_script


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
    >>> from seqlight.report.blocks import Section, Text
    >>> from seqlight.report.page import write_page
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
    environment.filters["marked"] = mark_code
    html = environment.from_string(template).render(
        title=title, lead=lead, sections=sections, logo_script=Markup(logo_script()), table_script=table_script()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, wait=False) as partial:
        partial.write_text(html, encoding="utf-8")
    return path


def mark_code(text: str) -> Markup:
    """Return a text as HTML: what is between backquotes in a fixed-width font, numbers in one piece with their units.

    Examples
    --------
    >>> from seqlight.report.page import mark_code
    >>> print(mark_code("`a<b>` & more"))
    <code>a&lt;b&gt;</code> &amp; more
    """
    marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    unbroken = r'<span class="whole">\g<0></span>'
    return Markup(re.sub(r"\b\d[\d.,]*(e-\d+\b| (%|ms\b|s\b|min\b|MiB\b|GiB\b))", unbroken, marked))
