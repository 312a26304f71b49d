"""Read motifs from the files of JASPAR, and others with a name behind ">" and rows of numbers, checking every line."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.files.text import read_text
from seqlight.formats.meme_matrix import Row, as_number, rounding_of
from seqlight.formats.meme_reader import Motifs
from seqlight.sequence.motif_frequencies import MOST_ROUNDING, TOLERANCE

_WANTED = "a file of motifs"
# A heading, or the first row of a matrix that has none.
_BEGINNING = re.compile(r">|(?:[ACGTU]\s*)?[|\[\s]*\.?\d", re.IGNORECASE)
_LETTER = re.compile(r"([ACGTU])(?=[\s|\[])", re.IGNORECASE)
_BY_LETTERS = "expected four rows, of A, C, G and T, or a row of four numbers for each position"


def read_jaspar(path: str | os.PathLike[str]) -> Motifs:
    r"""Read the motifs of a file in one of JASPAR's own formats, plain or gzipped.

    A motif is a heading, ``>MA0004.1 Arnt``, and four rows of numbers, one for each letter: with the letters in front
    and in brackets (``A [ 4 19 0 ]``), in any order, or A, C, G and T without them (raw PFM); a file with a single
    motif may have no heading. Motifs with a row of four numbers for each position are read too, as HOCOMOCO's PCM and
    HOMER's files have them.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    dict of str to numpy.ndarray, float64, shape (4, positions)
        Frequencies, with rows A, C, G and T (or U), named as in JASPAR's own MEME files ("MA0139.2 CTCF"), in the order
        of the file; by the name of the file where there is no heading. Counts are divided by their sum at each
        position, of which JASPAR has different ones in a motif.

    Raises
    ------
    InputError
        If there is no such file, no motif in it, or a line is malformed; the message gives its number.

    Notes
    -----
    Format: JASPAR's documentation, "Matrix formats"; HOCOMOCO, "Downloads"; HOMER, "Motif files".

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from seqlight import read_jaspar
    >>> text = ">MA1 TA\nA [ 0 9 ]\nC [ 0 1 ]\nG [ 0 0 ]\nT [ 8 0 ]\n"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.jaspar").write_text(text)
    ...     read_jaspar(Path(folder) / "a.jaspar")["MA1 TA"].tolist()
    [[0.0, 0.9], [0.0, 0.1], [0.0, 0.0], [1.0, 0.0]]
    """
    blocks = _read_blocks(path)
    if not blocks:
        raise InputError(f"{path} holds no motif: expected headings, such as >MA0004.1 Arnt, and rows of numbers.")
    shapes = [(len(one.rows), len(one.rows[0].words)) for one in blocks if not one.letters]
    # Of four positions, which is which is seen from the other motifs of the file.
    by_position = next((rows != 4 for rows, columns in shapes if (rows, columns) != (4, 4)), None)
    found: Motifs = {}
    for block in blocks:
        if block.name in found:
            raise _error(path, block.line, f"a second motif is named {block.name!r}: give each its own name")
        found[block.name] = _frequencies(path, block, _matrix(path, block, by_position))
    return found


def is_jaspar(path: str | os.PathLike[str]) -> bool:
    """Return whether a file begins like one that `read_jaspar` reads."""
    text = read_text(path, _WANTED, otherwise="latin-1")
    first = next((line for line in text.split("\n") if line.strip() and not line.startswith("#")), "")
    return _BEGINNING.match(first.strip()) is not None


class _Block(NamedTuple):
    """A motif: its name, the line of its heading, its rows, and their letters if they are named."""

    name: str
    line: int
    rows: list[Row]
    letters: list[str]


def _read_blocks(path: str | os.PathLike[str]) -> list[_Block]:
    blocks: list[_Block] = []
    for number, raw in enumerate(read_text(path, _WANTED, otherwise="latin-1").split("\n"), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith(">"):
            # HOMER has thresholds and statistics behind the second tab.
            name = " ".join(" ".join(line[1:].split("\t")[:2]).split())
            if not name:
                raise _error(path, number, "a motif has no name behind >: expected one")
            _require_rows(path, blocks)
            blocks.append(_Block(name, number, [], []))
            continue
        if not blocks:
            blocks.append(_Block(Path(Path(path).name.removesuffix(".gz")).stem, number, [], []))
        _add_row(path, blocks[-1], number, line)
    _require_rows(path, blocks)
    return blocks


def _require_rows(path: str | os.PathLike[str], blocks: list[_Block]) -> None:
    if blocks and not blocks[-1].rows:
        raise _error(path, blocks[-1].line, f"motif {blocks[-1].name!r} has no rows: {_BY_LETTERS}")


def _add_row(path: str | os.PathLike[str], block: _Block, number: int, line: str) -> None:
    letter = _LETTER.match(line)
    words = re.sub(r"[\[\]|]", " ", line[1:] if letter else line).split()
    wrong = next((word for word in words if as_number(word) is None), None)
    if wrong is not None or not words:
        raise _error(path, number, f"motif {block.name!r} holds {(wrong or line)[:60]!r}: expected a row of numbers")
    if block.rows and (letter is not None) != bool(block.letters):
        raise _error(
            path, number, f"motif {block.name!r} has rows with and without a letter: expected one or the other"
        )
    if block.rows and len(words) != len(block.rows[0].words):
        what = f"motif {block.name!r} has {len(words)} numbers in a row, and {len(block.rows[0].words)} in its first"
        raise _error(path, number, f"{what}: expected as many")
    if letter is not None:
        block.letters.append(letter[1].upper().replace("U", "T"))
    block.rows.append(Row(number, words))


def _matrix(path: str | os.PathLike[str], block: _Block, by_position: bool | None) -> NDArray[np.float64]:
    """Return the numbers with a row for each letter, in the order A, C, G, T."""
    numbers = np.array([[float(word) for word in row.words] for row in block.rows])
    if block.letters:
        if sorted(block.letters) != list("ACGT"):
            met = ", ".join(block.letters)
            raise _error(path, block.line, f"motif {block.name!r} has rows for {met}: expected A, C, G and T")
        return np.asarray(numbers[np.argsort(block.letters)])
    if 4 not in numbers.shape:
        n, m = numbers.shape
        raise _error(path, block.line, f"motif {block.name!r} has {n} rows of {m} numbers: {_BY_LETTERS}")
    if numbers.shape == (4, 4) and by_position is None:
        alike = [bool(np.ptp(numbers.sum(axis=axis)) <= TOLERANCE * numbers.sum() / 4) for axis in (0, 1)]
        if alike[0] == alike[1]:
            what = "has four rows of four numbers, which may stand for letters or for positions"
            raise _error(path, block.line, f"motif {block.name!r} {what}: write letters in front of them, A to T")
        by_position = alike[1]
    elif numbers.shape != (4, 4):
        by_position = len(numbers) != 4
    return np.asarray(numbers.T if by_position else numbers)


def _frequencies(path: str | os.PathLike[str], block: _Block, motif: NDArray[np.float64]) -> NDArray[np.float64]:
    name = block.name
    if not np.isfinite(motif).all():
        raise _error(path, block.line, f"motif {name!r} holds NaN or infinity: expected counts or frequencies")
    if (motif < 0).any():
        raise _error(
            path, block.line, f"motif {name!r} holds numbers below 0, as scores do: expected counts (PCM, PFM)"
        )
    sums = motif.sum(axis=0)
    low = min(max(TOLERANCE, rounding_of(block.rows)), MOST_ROUNDING)
    if (sums < 1 - low).any():
        at = int((sums < 1 - low).argmax())
        what = f"motif {name!r} sums to {sums[at]:.6g} at position {at + 1}"
        raise _error(path, block.line, f"{what}: expected counts, or frequencies, which sum to one")
    return motif if (np.abs(sums - 1) <= TOLERANCE).all() else np.asarray(motif / sums)


def _error(path: str | os.PathLike[str], line: int, what: str) -> InputError:
    return InputError(f"{path}, line {line}: {what}.")
