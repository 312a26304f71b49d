"""The matrix of one motif while a MEME file is read."""

from __future__ import annotations

import re
from typing import NamedTuple


class Row(NamedTuple):
    """The numbers of one position: their line, and how they were written."""

    line: int
    words: list[str]


class Matrix:
    """A matrix: the line and kind of its heading, what that says of its size, and the rows read so far."""

    def __init__(self, line: int, kind: str, width: int | None, letters: int | None) -> None:
        self.line, self.kind, self.width, self.letters = line, kind, width, letters
        self.rows: list[Row] = []

    def has_row_like(self, line: str) -> bool:
        """Return whether a line may be meant as a row: it has as many words, and is no prose."""
        has_as_many = bool(self.rows) and len(line.split()) == len(self.rows[0].words)
        return has_as_many and not re.search("[A-Za-z]{3}", line)


def as_number(word: str) -> float | None:
    """Return a word as a number, or None."""
    try:
        # Python would read 1_000, and digits of other scripts.
        return float(word) if word.isascii() and "_" not in word else None
    except ValueError:
        return None


def rounding_of(rows: list[Row]) -> float:
    """Return how far a sum may be off for numbers rounded to the digits that they have; 0 for whole numbers."""
    words = [word for row in rows for word in row.words]
    digits = max(len(word.partition(".")[2]) for word in words)
    if not digits or any("e" in word.lower() for word in words):
        return 0.0
    # Half a unit of the last digit each, and a little more for sums in binary.
    return len(rows[0].words) * 0.5 * 10.0**-digits * (1 + 1e-9)
