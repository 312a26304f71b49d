"""Pages with numbers that scripts write between two marks, so that none is typed by hand; and colours of pictures."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PICTURES = DOCS / "pictures"
BEGIN, END = "<!-- numbers: written by the study -->\n", "<!-- end of numbers -->"
# Colours that colour-blind readers can tell apart, after Okabe and Ito.
BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"


def fill_section(page: str, numbers: str, begin: str = BEGIN, end: str = END) -> str:
    """Return the page with `numbers` between its two marks."""
    before, rest = page.split(begin)
    return before + begin + numbers + end + rest.split(end)[1]


def update_page(name: str, numbers: str) -> None:
    """Write `numbers` into ``docs/<name>.md``."""
    path = DOCS / f"{name}.md"
    path.write_text(fill_section(path.read_text(), numbers))
