"""Put what a study found into its page in docs/, between two marks, so that no number is typed by hand."""

from __future__ import annotations

BEGIN, END = "<!-- numbers: written by the study -->\n", "<!-- end of numbers -->"


def written(page: str, numbers: str) -> str:
    """Return the page with `numbers` between its two marks."""
    before, rest = page.split(BEGIN)
    return before + BEGIN + numbers + END + rest.split(END)[1]
