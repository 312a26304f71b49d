"""Alphabets by name: DNA, RNA and protein, with the letters that stand for an unknown one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, cast

from seqlight.errors import InputError, kind_of
from seqlight.sequence.letters import known_bytes

# IUPAC's letters for one of several nucleotides, and X, with which repeats are masked.
_NUCLEOTIDES = "NRYSWKMBDHVX"
# IUPAC's letters for one of several amino acids, the two rare ones (U, O), and the end of a translation.
_AMINO_ACIDS = "XBZJUO*"


class Alphabet(NamedTuple):
    """The letters of a kind of sequence, in the order of the rows of a one-hot array.

    Attributes
    ----------
    name : str
        "DNA", "RNA", "protein", or the letters themselves.
    letters : str
        The known letters.
    unknown : str
        Letters that become columns of zeros; the first is written for such a column.
    synonyms : tuple of pairs of str
        Letters that are read as another one, and that one.
    complements : str
        The letters of the other strand, in the order of `letters`; "" where there is none.
    """

    name: str
    letters: str
    unknown: str
    synonyms: tuple[tuple[str, str], ...] = ()
    complements: str = ""

    @property
    def partners(self) -> list[int]:
        """The number of the partner of each letter on the other strand; none where there is no such strand."""
        return [self.letters.index(one) for one in self.complements]


DNA = Alphabet("DNA", "ACGT", _NUCLEOTIDES, complements="TGCA")
RNA = Alphabet("RNA", "ACGU", _NUCLEOTIDES, (("T", "U"),), complements="UGCA")
PROTEIN = Alphabet("protein", "ACDEFGHIKLMNPQRSTVWY", _AMINO_ACIDS)
NAMED: Mapping[str, Alphabet] = MappingProxyType({one.name.lower(): one for one in (DNA, RNA, PROTEIN)})
# What a number of letters stands for where nothing else is known.
USUAL: Mapping[int, Alphabet] = MappingProxyType({len(one.letters): one for one in (DNA, PROTEIN)})


def as_alphabet(given: Alphabet | str | Sequence[str]) -> Alphabet:
    """Return an alphabet.

    Parameters
    ----------
    given : Alphabet or str or sequence of str
        "DNA", "RNA", "protein", in upper or lower case, or letters in an order of one's own, such as "ACGT-". Those of
        a known alphabet in another order have its unknown letters; for others N and X are unknown, unless they are
        letters.

    Raises
    ------
    InputError
        If it is none of these, or a letter occurs twice.

    Examples
    --------
    >>> as_alphabet("rna").letters, as_alphabet("ACGT-").unknown
    ('ACGU', 'NX')
    """
    if isinstance(given, Alphabet):
        return given
    named = named_alphabet(given)
    if named is not None:
        return named
    listed = tuple(cast("Sequence[str]", given)) if isinstance(given, Sequence) else ()
    if not listed or not all(isinstance(one, str) for one in listed):
        raise InputError(f"alphabet is {kind_of(given)}: expected DNA, RNA, protein, or a string of letters.")
    known_bytes(listed, ())  # raises InputError for letters that cannot be used
    letters = "".join(listed)
    for one in NAMED.values():
        if sorted(one.letters) == sorted(letters):
            pairs = dict(zip(one.letters, one.complements, strict=False))
            name = one.name if one.letters == letters else letters
            return one._replace(name=name, letters=letters, complements="".join(pairs.get(x, "") for x in letters))
    return Alphabet(letters, letters, "".join(one for one in "NX" if one not in letters))


def named_alphabet(given: object) -> Alphabet | None:
    """Return the alphabet that a string names, in upper or lower case; None if it is none of their names."""
    return NAMED.get(given.lower()) if isinstance(given, str) else None


def replace_synonyms(sequence: str, alphabet: Alphabet) -> str:
    """Return a sequence with each letter that is read as another one replaced by that.

    Examples
    --------
    >>> replace_synonyms("ACGT", RNA)
    'ACGU'
    """
    for letter, meant in alphabet.synonyms if isinstance(sequence, str) else ():
        sequence = sequence.replace(letter, meant)
    return sequence


def byte_codes(alphabet: Alphabet, other: int = 255) -> bytes:
    """Return the code of each byte, as a table of 256: that of its letter, ``len(letters)`` if unknown, or `other`.

    Lower case is read as upper case, unless the alphabet has letters in lower case.

    Examples
    --------
    >>> codes = byte_codes(RNA)
    >>> [codes[ord(letter)] for letter in "UtN!"]
    [3, 3, 4, 255]
    """
    table = bytearray([other]) * 256
    codes = {letter: len(alphabet.letters) for letter in alphabet.unknown}
    codes |= {letter: code for code, letter in enumerate(alphabet.letters)}
    codes |= {letter: codes[meant] for letter, meant in alphabet.synonyms}
    folds = alphabet.letters == alphabet.letters.upper()
    for letter, code in codes.items():
        for byte in {letter, letter.lower()} if folds else {letter}:
            table[ord(byte)] = code
    return bytes(table)
