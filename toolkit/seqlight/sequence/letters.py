"""Characters as small integers, and back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from os.path import isfile

import numpy as np
from numpy.typing import NDArray

from seqlight.errors import InputError

DNA = ("A", "C", "G", "T")


def to_bytes(sequence: str) -> bytes:
    """Return one byte for each character; raise InputError if it is not a string, is empty, or is not Latin-1."""
    if not isinstance(sequence, str):
        raise InputError(f"expected a string of characters but got {type(sequence).__name__}: pass a str.")
    if not sequence:
        raise InputError("the sequence is empty: expected at least one character.")
    try:
        return sequence.encode("latin-1")
    except UnicodeEncodeError as error:
        found = sequence[error.start]
        raise InputError(f"position {error.start} of the sequence is {found!r}: expected Latin-1 characters.") from None


@lru_cache
def known_bytes(alphabet: tuple[str, ...], ignore: tuple[str, ...]) -> bytes:
    """Return the alphabet and then the characters to ignore, one byte each; raise InputError if they are unusable."""
    for letter in (*alphabet, *ignore):
        if not isinstance(letter, str) or len(letter) != 1 or ord(letter) > 255:
            raise InputError(f"{letter!r} is in the alphabet: expected single characters of Latin-1.")
    if not 0 < len(alphabet) < 255:
        raise InputError(f"the alphabet has {len(alphabet)} characters: expected 1 to 254.")
    if len({*alphabet, *ignore}) < len(alphabet) + len(ignore):
        raise InputError(f"a character occurs twice in alphabet {alphabet} and ignore {ignore}: name each once.")
    return "".join((*alphabet, *ignore)).encode("latin-1")


def to_codes(sequence: str, alphabet: Sequence[str] = DNA, ignore: Sequence[str] = ("N",)) -> NDArray[np.uint8]:
    """Return each character's index (uint8), ``len(alphabet)`` if ignored; raise InputError for any other character."""
    known = known_bytes(tuple(alphabet), tuple(ignore))
    table = bytearray([255]) * 256
    for index, letter in enumerate(known):
        table[letter] = min(index, len(alphabet))
    codes = to_bytes(sequence).translate(table)
    bad = codes.find(255)
    if bad >= 0:
        raise unknown_character(sequence, bad, alphabet, ignore)
    return np.frombuffer(codes, np.uint8)


def to_string(codes: NDArray[np.uint8], alphabet: Sequence[str] = DNA, unknown: str = "N") -> str:
    """Return the characters for `codes` (uint8, one dimension); ``len(alphabet)`` becomes `unknown`."""
    spelled = "".join((*alphabet, unknown)).encode("latin-1")
    return np.frombuffer(spelled, np.uint8)[codes].tobytes().decode("latin-1")


def unknown_character(
    sequence: str, at: int, alphabet: Sequence[str], ignore: Sequence[str], which: int | None = None
) -> InputError:
    """Return the error about the character at position `at` of the sequence, or of sequence `which` of several."""
    found = sequence[at]
    remedy = "pass sequence.upper()" if found.upper() in alphabet else "add it to `alphabet` or to `ignore`"
    if isfile(sequence):
        remedy = "read the file first, such as seqlight.FastaDataset(path)[:]"
    known = f"one of {''.join(alphabet)}" + (f" (or {''.join(ignore)}, unknown)" if ignore else "")
    place = "the sequence" if which is None else f"sequence {which}"
    return InputError(f"position {at} of {place} is {found!r}: expected {known}; {remedy}.")
