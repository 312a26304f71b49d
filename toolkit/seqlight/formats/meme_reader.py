"""Read motifs from files in MEME format, checking every line."""

from __future__ import annotations

import os
import re
from typing import cast

import numpy as np
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.files.text import read_text
from seqlight.formats.meme_matrix import Matrix, Row, as_number, rounding_of
from seqlight.sequence.alphabets import USUAL, named_alphabet
from seqlight.sequence.motif_frequencies import as_frequencies, find_fault

Motifs = dict[str, NDArray[np.float64]]

_FREQUENCIES, _LOG_ODDS = "letter-probability", "log-odds"
_ATTRIBUTE = re.compile(r"\b(alength|w)\s*=\s*([^\s,;]*)")
# MEME writes capitals and "="; other spellings must not be skipped.
_ALPHABET = re.compile(r"ALPHABET(\s|$)|(?i:ALPHABET)\s*[=:]")
_INLINE = re.compile(r"ALPHABET\s*(?:[=:](.*)|\s([A-Za-z]{2,}))", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?(\.?\d|nan\b|inf(inity)?\b)", re.IGNORECASE)
# MEME's own output has this behind the name of a motif.
_BEHIND_NAME = re.compile(r"\s+width\s*=\s*\d+\s+sites\s*=.*")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
# What can only follow the end of an alphabet's definition.
_BEHIND_ALPHABET = ("MEME", "MOTIF", "strands:", "Background", "letter-probability", "log-odds")


def read_meme(path: str | os.PathLike[str]) -> Motifs:
    r"""Read the motifs of a file in MEME format, plain or gzipped.

    It reads minimal files, and the text output of MEME, DREME and STREME, of any version. The alphabet is the one that
    the file declares: in an ALPHABET line, in any order of the letters, or in a definition that ends with END ALPHABET.
    Without either it is that of DNA if rows have four numbers, and that of proteins if they have 20. Counts become
    frequencies if all positions of a motif sum to the same number above one. Scores (log-odds) are skipped.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    dict of str to numpy.ndarray, float64, shape (letters, positions)
        Frequencies, named as in the MOTIF lines ("MA0139.2 CTCF"), in the order of the file. Letters are in the order
        of MEME's own programs, whatever that of the file: A to Z, then a to z, digits and other signs. That is A, C,
        G, T for DNA; A, C, G, U for RNA; and ACDEFGHIKLMNPQRSTVWY for proteins.

    Raises
    ------
    InputError
        If there is no such file, no motif in it, or a line is malformed; the message gives its number.

    Notes
    -----
    Format: the MEME Suite's documentation, "MEME Motif Format" and "Custom Alphabet Definition Format".

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from seqlight import read_meme
    >>> text = "MEME version 5\nALPHABET= TGCA\nMOTIF TA\nletter-probability matrix: w= 2\n1 0 0 0\n0 0 0 1\n"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.meme").write_text(text)
    ...     read_meme(Path(folder) / "a.meme")["TA"].tolist()
    [[0.0, 1.0], [0.0, 0.0], [0.0, 0.0], [1.0, 0.0]]
    """
    return _Reader(path).motifs()


def read_nucleotides(path: str | os.PathLike[str]) -> Motifs:
    """Read motifs as `read_meme` does; InputError unless all are of DNA or RNA."""
    reader = _Reader(path)
    found = reader.motifs()
    for name, letters in reader.letters.items():
        if letters.upper() not in ("ACGT", "ACGU"):
            raise InputError(
                f"{path}: motif {name!r} has the letters {letters}: expected four, those of DNA (ACGT) or RNA (ACGU)."
            )
    return found


class _Reader:
    """One pass over the lines of a file."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path
        self.text = read_text(path, "a file in MEME format", otherwise="latin-1")
        self.line = 0
        self.alphabet = ""
        self.defined: list[str] | None = None  # the symbols so far, inside of a definition
        self.name: str | None = None
        self.named_at = 0
        self.matrix: Matrix | None = None
        self.open_ended: Matrix | None = None  # the last matrix, if it has no w= and nothing followed it yet
        self.assumed: str | None = None  # the first motif that was read without an alphabet
        self.found: Motifs = {}
        self.letters: dict[str, str] = {}

    def motifs(self) -> Motifs:
        """Return the motifs of the file, by name."""
        for number, line in enumerate(self.text.split("\n"), start=1):
            self.line, words = number, line.split()
            if words and not words[0].startswith("#"):
                self.read(line.strip(), words)
        self.end_matrix()
        self.end_motif()
        if self.defined is not None:
            raise self.error("the definition of the alphabet goes on to the end: expected END ALPHABET")
        if not self.found:
            raise InputError(
                f"{self.path} holds no motif: expected a file in MEME format, with MOTIF lines{self.hint()}."
            )
        return self.found

    def hint(self) -> str:
        """Return what to do about a file that looks like one of a motif database, in another format."""
        if self.text.lstrip().startswith(">"):
            return "; one in JASPAR's format is read by `read_jaspar`"
        # TRANSFAC has a line with the letters above the counts.
        is_transfac = re.search(r"^P[0O]\s+A\s+C\s+G\s+T\b", self.text, re.MULTILINE)
        return "; databases that have TRANSFAC files have them in MEME format too" if is_transfac else ""

    def read(self, line: str, words: list[str]) -> None:
        if self.defined is not None:
            self.define(line, words)
        elif self.matrix is not None and _NUMBER.match(line):
            self.add_row(words)
        else:
            if self.matrix is not None and self.matrix.width is None and self.matrix.kind == _FREQUENCIES:
                self.open_ended = self.matrix
            self.end_matrix()
            if self.begin(line, words) or words[0] == "URL" or (len(words) == 1 and set(line) <= set("-*=")):
                self.open_ended = None
            elif self.open_ended is not None and (_NUMBER.match(line) or self.open_ended.has_row_like(line)):
                raise self.error(f"motif {self.name!r} has {line[:60]!r} behind or among its rows: expected rows alone")

    def begin(self, line: str, words: list[str]) -> bool:
        """Begin the section that a line heads; return whether it heads one."""
        if words[0] == "MOTIF":
            self.begin_motif(line)
        elif words[:2] == ["MEME", "version"]:
            self.begin_file()
        elif _ALPHABET.match(line):
            self.begin_alphabet(line)
        elif line.lower().startswith((_FREQUENCIES, _LOG_ODDS)):
            self.begin_matrix(line)
        else:
            return False
        return True

    def begin_file(self) -> None:
        """Forget the alphabet: a file may be several files joined, each with its own."""
        self.end_motif()
        self.alphabet, self.assumed = "", None

    def begin_alphabet(self, line: str) -> None:
        self.end_motif()
        if self.assumed is not None:
            raise self.error(f"the alphabet stands behind motif {self.assumed!r}: expected it before all motifs")
        inline = _INLINE.fullmatch(line)
        if inline is None:
            self.defined = []
            return
        letters = "".join((inline[1] or inline[2] or "").split())
        letters = letters.upper() if letters.islower() else letters
        named = named_alphabet(letters)
        self.set_alphabet(letters if named is None else named.letters)

    def define(self, line: str, words: list[str]) -> None:
        assert self.defined is not None
        if words[:2] == ["END", "ALPHABET"]:
            # The columns of matrices are in this order too, whatever that of the definition.
            self.set_alphabet("".join(sorted(self.defined, key=_rank)))
            self.defined = None
            return
        if words[0] in _BEHIND_ALPHABET:
            raise self.error(f"{line[:60]!r} stands in the definition of the alphabet: expected END ALPHABET before it")
        # Quoted names may hold any sign.
        symbols = _QUOTED.sub("", line).split("#")[0]
        if "=" in symbols[1:]:
            return  # a symbol for several others, or an alias
        for one in symbols.split("~"):
            symbol = one.split()[0] if one.split() else ""
            if len(symbol) != 1:
                raise self.error(f"the alphabet has the symbol {symbol!r}: expected a single letter, digit or sign")
            self.defined.append(symbol)

    def set_alphabet(self, letters: str) -> None:
        if not letters or len(set(letters)) < len(letters):
            raise self.error(f"the alphabet is {letters!r}: expected letters, each of them once")
        self.alphabet = letters

    def begin_motif(self, line: str) -> None:
        self.end_motif()
        name = " ".join(_BEHIND_NAME.sub("", line.removeprefix("MOTIF")).split())
        if not name:
            raise self.error("MOTIF has no name behind it: expected one")
        if name in self.found:
            raise self.error(f"a second motif is named {name!r}: give each its own name")
        self.name, self.named_at = name, self.line

    def end_motif(self) -> None:
        if self.name is not None and self.name not in self.found:
            raise self.error(
                f"motif {self.name!r} has no letter-probability matrix: give it one, or leave it out", self.named_at
            )
        self.name = None

    def begin_matrix(self, line: str) -> None:
        kind = _FREQUENCIES if line.lower().startswith(_FREQUENCIES) else _LOG_ODDS
        if self.name is None:
            raise self.error("a matrix has no name: expected a MOTIF line before it")
        if kind == _FREQUENCIES and self.name in self.found:
            raise self.error(f"motif {self.name!r} has a second matrix: expected a MOTIF line before it")
        given = dict(_ATTRIBUTE.findall(line))
        for key, value in given.items():
            if not re.fullmatch(r"0*[1-9]\d{0,8}", value, re.ASCII):
                raise self.error(f"{key}= is {value!r}: expected a whole number above 0, or nothing at all")
        width, letters = (int(given[key]) if key in given else None for key in ("w", "alength"))
        if self.alphabet and letters not in (None, len(self.alphabet)):
            raise self.error(f"alength= is {letters}, and the alphabet {self.alphabet}: expected as many letters")
        self.matrix = Matrix(self.line, kind, width, letters)

    def add_row(self, words: list[str]) -> None:
        assert self.matrix is not None
        if len(self.matrix.rows) == self.matrix.width:
            raise self.error(f"motif {self.name!r} has more rows than w= {self.matrix.width} says")
        if "#" in (signs := [word[0] for word in words]):
            words = words[: signs.index("#")]
        self.matrix.rows.append(Row(self.line, words))

    def end_matrix(self) -> None:
        matrix, self.matrix = self.matrix, None
        if matrix is None or matrix.kind == _LOG_ODDS:
            return
        if not matrix.rows or len(matrix.rows) < (matrix.width or 1):
            wanted = "at least one" if matrix.width is None else f"w= {matrix.width}"
            raise self.error(f"motif {self.name!r} has {len(matrix.rows)} rows: expected {wanted}", matrix.line)
        self.add_motif(matrix)

    def add_motif(self, matrix: Matrix) -> None:
        assert self.name is not None
        rows = matrix.rows
        n = matrix.letters or len(rows[0].words)
        # For files that do not name an alphabet MEME assumes one by the number of letters.
        letters = self.alphabet or (USUAL[n].letters if n in USUAL else "")
        if not letters:
            what = f"motif {self.name!r} has {n} letters: expected an ALPHABET line, which names them"
            raise self.error(what, rows[0].line)
        if not self.alphabet and self.assumed is None:
            self.assumed = self.name
        motif = np.array([self.numbers(row, letters) for row in rows]).T
        rounding = rounding_of(rows)
        if (wrong := find_fault(motif, rounding)) is not None:
            raise self.error(f"motif {self.name!r} {wrong.what}", rows[wrong.column].line)
        order = sorted(range(len(letters)), key=lambda i: _rank(letters[i]))
        self.found[self.name] = as_frequencies(motif, rounding)[order]
        self.letters[self.name] = "".join(letters[i] for i in order)

    def numbers(self, row: Row, letters: str) -> list[float]:
        if len(row.words) != len(letters):
            what = f"motif {self.name!r} has {len(row.words)} numbers in a row: expected {len(letters)}, for {letters}"
            raise self.error(what, row.line)
        numbers = [as_number(word) for word in row.words]
        if None in numbers:
            word = row.words[numbers.index(None)]
            raise self.error(f"motif {self.name!r} holds {word!r}: expected a number", row.line)
        return cast("list[float]", numbers)

    def error(self, what: str, line: int | None = None) -> InputError:
        return InputError(f"{self.path}, line {self.line if line is None else line}: {what}.")


def _rank(letter: str) -> tuple[bool, bool, str]:
    is_letter = letter.isascii() and letter.isalpha()
    return not is_letter, not letter.isdigit(), letter
