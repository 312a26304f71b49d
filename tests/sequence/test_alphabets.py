from __future__ import annotations

import pytest

import seqlight as sl
from seqlight.sequence.alphabets import DNA, PROTEIN, RNA, as_alphabet, byte_codes


@pytest.mark.parametrize(("given", "found"), [("DNA", DNA), ("rna", RNA), ("Protein", PROTEIN), (RNA, RNA)])
def test_alphabets_by_name(given, found):
    assert as_alphabet(given) == found


def test_letters_in_another_order_mean_the_same():
    found = as_alphabet("TGCA")
    assert (found.letters, found.unknown, found.complements) == ("TGCA", DNA.unknown, "ACGT")
    assert as_alphabet(list("ACGT")) == DNA
    assert as_alphabet(PROTEIN.letters) == PROTEIN
    assert as_alphabet("".join(reversed(PROTEIN.letters))).unknown == PROTEIN.unknown
    assert as_alphabet("AC-").unknown == "NX"
    assert as_alphabet("NX-").unknown == ""


@pytest.mark.parametrize(
    ("given", "partners"),
    [("DNA", [3, 2, 1, 0]), ("RNA", [3, 2, 1, 0]), ("GACU", [2, 3, 0, 1]), ("protein", []), ("ACGT-", [])],
)
def test_the_partner_of_each_letter(given, partners):
    assert as_alphabet(given).partners == partners


def test_what_is_no_alphabet():
    for given, message in (
        ("AAC", "occurs twice"),
        ("", "alphabet is a str: expected DNA"),
        (4, "alphabet is an int: expected DNA, RNA, protein, or a string of letters"),
        (["AC", "G"], "expected single characters"),
    ):
        with pytest.raises(sl.InputError, match=message):
            as_alphabet(given)


@pytest.mark.parametrize("alphabet", [DNA, RNA, PROTEIN, as_alphabet("acgt"), as_alphabet("ACGT-")])
def test_each_byte_has_one_code(alphabet):
    codes = byte_codes(alphabet)
    folds = alphabet.letters.isupper()
    for byte in range(256):
        letter = chr(byte).upper() if folds and byte < 128 else chr(byte)
        letter = dict(alphabet.synonyms).get(letter, letter)
        if letter in alphabet.letters:
            assert codes[byte] == alphabet.letters.index(letter)
        else:
            assert codes[byte] == (len(alphabet.letters) if letter in alphabet.unknown else 255)
