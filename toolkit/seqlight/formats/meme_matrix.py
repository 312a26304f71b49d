"""The matrix of a motif as it stands in a file in MEME format."""

from __future__ import annotations

import re
from typing import NamedTuple


class Row(NamedTuple):
    """The numbers of one position: where they stand, and how they were printed."""

    line: int
    words: list[str]


class Matrix:
    """A matrix that is being read."""

    def __init__(self, line: int, kind: str, width: int | None, letters: int | None) -> None:
        self.line, self.kind, self.width, self.letters = line, kind, width, letters
        self.rows: list[Row] = []

    def has_row_like(self, line: str) -> bool:
        """Return whether a line could be meant as one of its rows: as many words, and none of prose."""
        as_many = bool(self.rows) and len(line.split()) == len(self.rows[0].words)
        return as_many and not re.search("[A-Za-z]{3}", line)


def as_number(word: str) -> float | None:
    """Return the number that a word is, or None."""
    try:
        # Python reads 1_000, and digits of other scripts.
        return float(word) if word.isascii() and "_" not in word else None
    except ValueError:
        return None


def rounding_of(rows: list[Row]) -> float:
    """Return how far a sum may be off where numbers were rounded to the digits that they have; 0 for whole ones."""
    words = [word for row in rows for word in row.words]
    digits = max(len(word.partition(".")[2]) for word in words)
    if not digits or any("e" in word.lower() for word in words):
        return 0.0
    # Half a unit of the last digit each, and a hair for the sum of what cannot be written in binary.
    return len(rows[0].words) * 0.5 * 10.0**-digits * (1 + 1e-9)
