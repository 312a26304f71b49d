"""Strings to codes and back, against a dictionary."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlight.errors import InputError
from seqlight.sequence import letters

LATIN = [chr(i) for i in range(256)]


@st.composite
def strings(draw):
    known = draw(st.lists(st.sampled_from(LATIN), min_size=2, max_size=40, unique=True))
    cut = draw(st.integers(1, len(known)))
    text = "".join(draw(st.lists(st.sampled_from(known), min_size=1, max_size=60)))
    return text, known[:cut], known[cut:]


@given(strings())
def test_codes_are_indices_into_the_alphabet(case):
    text, alphabet, ignore = case
    codes = letters.to_codes(text, alphabet, ignore)
    assert codes.dtype == np.uint8
    assert codes.tolist() == [alphabet.index(x) if x in alphabet else len(alphabet) for x in text]


@given(strings())
def test_codes_spell_the_same_string(case):
    text, alphabet, ignore = case
    back = letters.to_string(letters.to_codes(text, alphabet, ignore), alphabet, unknown="?")
    assert back == "".join(x if x in alphabet else "?" for x in text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"the sequence is empty: expected at least one character\."),
        ("ACxG", r"position 2 of the sequence is 'x': expected one of ACGT \(or N, unknown\); add it to"),
        ("ACgT", r"position 2 of the sequence is 'g': .*; pass sequence\.upper\(\)\."),
        ("AC\nT", r"position 2 of the sequence is '\\n': "),
        ("ACΩT", r"position 2 of the sequence is 'Ω': expected Latin-1 characters\."),
        (b"ACGT", r"expected a string of characters but got bytes: pass a str\."),
        (None, r"expected a string of characters but got NoneType: pass a str\."),
    ],
)
def test_invalid_strings(text, message):
    with pytest.raises(InputError, match=message):
        letters.to_codes(text)


@pytest.mark.parametrize(
    ("alphabet", "ignore", "message"),
    [
        ("", "", r"the alphabet has 0 characters: expected 1 to 254\."),
        (LATIN, "", r"the alphabet has 256 characters: expected 1 to 254\."),
        ("ACGA", "N", r"a character occurs twice in alphabet .*: name each once\."),
        ("ACGT", "A", r"a character occurs twice"),
        (["A", "CG"], "", r"'CG' is in the alphabet: expected single characters of Latin-1\."),
        (["A", ""], "", r"'' is in the alphabet"),
        (["A", 1], "", r"1 is in the alphabet: expected single characters"),
        (["A", "Ω"], "", r"'Ω' is in the alphabet"),
    ],
)
def test_invalid_alphabets(alphabet, ignore, message):
    with pytest.raises(InputError, match=message):
        letters.to_codes("A", alphabet, tuple(ignore))
