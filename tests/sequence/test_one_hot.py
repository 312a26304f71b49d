"""Encoding, decoding, reverse complements and random sequences, against plain Python."""

import itertools
import random

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import seqlight as sl
from seqlight.errors import InputError

PROTEIN = "ACDEFGHIKLMNPQRSTVWY"
ALPHABETS = [("ACGT", "N"), (PROTEIN, "X"), ("ab", ""), ("z", "-."), ("ACGU", "N")]
DTYPES = [torch.int8, torch.bool, torch.int32, torch.float16, torch.bfloat16, torch.float32, torch.float64]

alphabets = st.sampled_from(ALPHABETS)


@st.composite
def texts(draw, unknown=True):
    alphabet, ignore = draw(alphabets)
    length = draw(st.integers(1, 40))
    one = st.text(alphabet + (ignore if unknown else ""), min_size=length, max_size=length)
    return draw(st.lists(one, min_size=1, max_size=5)), alphabet, ignore


def encoded(text, alphabet):
    return [[int(character == letter) for character in text] for letter in alphabet]


@settings(deadline=None)
@given(texts(), st.sampled_from(DTYPES))
def test_encoding(case, dtype):
    several, alphabet, ignore = case
    X = sl.one_hot_encode(several, alphabet, dtype, ignore)
    assert X.dtype == dtype
    assert X.to(torch.int64).tolist() == [encoded(text, alphabet) for text in several]
    assert torch.equal(sl.one_hot_encode(several[0], alphabet, dtype, ignore), X[0])


@settings(deadline=None)
@given(texts())
def test_decoding_is_the_inverse(case):
    several, alphabet, ignore = case
    X = sl.one_hot_encode(several, alphabet, ignore=ignore)
    before = X.clone()
    unknown = any(character in ignore for text in several for character in text)
    if unknown and "N" in alphabet:
        with pytest.raises(InputError, match=r"N, which is also a letter of the alphabet"):
            sl.characters(X, alphabet, allow_N=True)
    else:
        expected = ["".join("N" if x in ignore else x for x in text) for text in several]
        assert sl.characters(X, alphabet, allow_N=True) == expected
        assert sl.characters(X[0], alphabet, allow_N=True) == expected[0]
    if unknown:
        with pytest.raises(InputError, match="an unknown character"):
            sl.characters(X, alphabet)
    assert torch.equal(X, before)


def test_default_dtype_is_int8_and_names_are_accepted():
    assert sl.one_hot_encode("ACGT").dtype == torch.int8
    assert sl.one_hot_encode("ACGT", dtype="float32").dtype == torch.float32
    assert sl.random_one_hot((1, 4, 3)).dtype == torch.int8


@pytest.mark.parametrize("kind", [tuple, np.array, iter])
def test_several_strings_in_any_container(kind):
    assert sl.one_hot_encode(kind(["ACG", "TTT"])).shape == (2, 4, 3)


def test_errors_in_many_long_strings_are_located():
    several = sl.characters(sl.random_one_hot((500, 4, 700), random_state=1))
    assert sl.one_hot_encode(several).tolist() == sl.random_one_hot((500, 4, 700), random_state=1).tolist()
    several[499] = several[499][:-1] + "x"
    several[320] = several[320][:600] + "n" + several[320][601:]
    with pytest.raises(InputError, match=r"position 600 of sequence 320 is 'n'"):
        sl.one_hot_encode(several)


@pytest.mark.parametrize(
    ("sequence", "settings", "message"),
    [
        ("", {}, "the sequence is empty"),
        ([], {}, r"there is no sequence to encode: expected at least one string\."),
        (["ACG", "AC"], {}, r"the sequences have 2 to 3 characters: expected one length; pad them"),
        (["ACG", ""], {}, "the sequence is empty"),
        ("acgt", {}, r"position 0 of the sequence is 'a': .*; pass sequence\.upper\(\)"),
        ("ACGTN", {"ignore": ""}, r"position 4 of the sequence is 'N': expected one of ACGT; add it"),
        (__file__, {}, r"position 0 of the sequence is '/': .*; read the file first, such as seqlight\.FastaDataset"),
        (
            pd.DataFrame({"ACGT": ["A"]}),
            {},
            r"sequence is a DataFrame: .*; pass the column that holds them",
        ),
        (b"ACGT", {}, r"sequence is a bytes: expected a str or a list of them\."),
        (3, {}, r"sequence is an int: expected a str"),
        (["ACG", 3], {}, r"expected a string of characters but got int: pass a str\."),
        ("ACGT", {"dtype": "int9"}, r"dtype is 'int9': expected a torch\.dtype or its name"),
        ("ACGT", {"dtype": int}, r"dtype is <class 'int'>: expected a torch\.dtype"),
    ],
)
def test_invalid_strings(sequence, settings, message):
    with pytest.raises(InputError, match=message):
        sl.one_hot_encode(sequence, **settings)


@given(st.integers(1, 5), st.integers(1, 9), st.booleans())
def test_forced_characters_are_the_largest(letters, length, batch):
    generator = torch.Generator().manual_seed(letters * length)
    pwm = torch.randint(-2, 2, (3, letters, length), generator=generator).float()
    alphabet = PROTEIN[:letters]
    expected = [
        "".join(alphabet[max(range(letters), key=lambda i: (column[i], -i))] for column in zip(*one, strict=True))
        for one in pwm.tolist()
    ]
    found = sl.characters(pwm if batch else pwm[0], alphabet, force=True)
    assert found == (expected if batch else expected[0])


def test_forced_characters_of_booleans_and_of_zeros():
    X = sl.one_hot_encode("GANT", dtype=torch.bool)
    assert sl.characters(X, force=True) == "GAAT"
    assert sl.characters(X, force=True, allow_N=True) == "GANT"


def test_characters_of_another_alphabet():
    with pytest.raises(InputError, match=r"pwm has 4 letters and the alphabet 20: expected as many; pass `alphabet`"):
        sl.characters(sl.one_hot_encode("ACGT"), PROTEIN)
    with pytest.raises(InputError, match=r"pwm is a numpy\.ndarray: .*use torch\.from_numpy\(pwm\)"):
        sl.characters(np.eye(4))
    with pytest.raises(InputError, match="expected a single 1"):
        sl.characters(torch.full((4, 3), 0.25))


PAIRS = {"A": "T", "C": "G", "G": "C", "T": "A", "N": "N"}


@settings(deadline=None)
@given(st.lists(st.text("ACGTN", min_size=7, max_size=7), min_size=1, max_size=4), st.sampled_from(DTYPES))
def test_reverse_complement(several, dtype):
    expected = ["".join(PAIRS[x] for x in reversed(text)) for text in several]
    assert [sl.reverse_complement(text) for text in several] == expected
    X = sl.one_hot_encode(several, dtype=dtype)
    before = X.clone()
    other = sl.reverse_complement(X)
    assert other.dtype == dtype
    assert sl.characters(other, allow_N=True) == expected
    assert sl.characters(sl.reverse_complement(X[0]), allow_N=True) == expected[0]
    assert torch.equal(sl.reverse_complement(other), X)
    assert torch.equal(X, before)


def test_reverse_complement_in_another_alphabet():
    # A partner map that is not its own inverse shows which way it is read.
    turn = {"a": "b", "b": "c", "c": "a"}
    assert sl.reverse_complement("aabc", turn) == "acbb"
    X = sl.one_hot_encode("aabc", "abc", ignore="")
    assert sl.characters(sl.reverse_complement(X, turn), "abc") == "acbb"


@pytest.mark.parametrize(
    ("seq", "settings", "message"),
    [
        ("ACGN", {"allow_N": False}, r"position 3 of the sequence is 'N': expected one of ACGT"),
        ("acg", {}, r"pass sequence\.upper\(\)"),
        ("", {}, "empty"),
        ("ACG", {"ohe": True}, r"seq is a str but ohe=True: leave `ohe` out"),
        (torch.eye(4), {"ohe": False}, r"seq is a Tensor but ohe=False"),
        (torch.eye(4).numpy(), {}, r"seq is a numpy\.ndarray"),
        (torch.eye(3), {}, r"seq has 3 letters and complement_map 4: expected as many\."),
        (torch.zeros(4, 3), {"allow_N": False}, "an unknown character"),
        ("ACG", {"complement_map": {"A": "C", "C": "C"}}, r"expected each letter as the partner of one\."),
    ],
)
def test_invalid_reverse_complements(seq, settings, message):
    with pytest.raises(InputError, match=message):
        sl.reverse_complement(seq, **settings)


def test_random_sequences_are_the_stream_of_numpy():
    codes = np.random.RandomState(7).randint(0, 4, size=(3, 50))
    X = sl.random_one_hot((3, 4, 50), random_state=7)
    assert X.argmax(dim=1).tolist() == codes.tolist()
    probs = [[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1], [0.0, 0.5, 0.5, 0.0]]
    X = sl.random_one_hot((3, 4, 50), probs, random_state=7)
    draws = np.random.RandomState(7).random_sample((3, 50))
    expected = [np.searchsorted(np.cumsum(p), row, side="right").tolist() for p, row in zip(probs, draws, strict=True)]
    assert X.argmax(dim=1).tolist() == expected


@pytest.mark.parametrize("letters", [1, 2, 4, 5, 20, 254])
def test_random_letters_are_equally_likely(letters):
    X = sl.random_one_hot((20, letters, 2540), random_state=letters)
    assert (X.sum(dim=1) == 1).all()
    counts = X.sum(dim=(0, 2))
    assert stats.chisquare(counts.numpy()).pvalue > 1e-4 or letters == 1


@pytest.mark.parametrize(
    "probs", [[0.1, 0.2, 0.3, 0.4], [[0.25] * 4], torch.tensor([0.7, 0.1, 0.1, 0.1]), [0, 1.0, 0, 0]]
)
def test_random_letters_have_their_probabilities(probs):
    counts = sl.random_one_hot((40, 4, 1000), probs, random_state=3).sum(dim=(0, 2)).numpy()
    p = np.ravel(probs)
    assert counts[p == 0].sum() == 0
    if (p > 0).sum() > 1:
        assert stats.chisquare(counts, p / p.sum() * counts.sum()).pvalue > 1e-4


@pytest.mark.parametrize(
    ("shape", "probs", "message"),
    [
        ((1, 4), None, r"shape is \(1, 4\): expected \(sequences, letters, positions\)\."),
        (4, None, r"shape is 4: expected"),
        ((1, 4, 0), None, r"a number in shape is 0: expected 1 or more\."),
        ((1, 4, 2.5), None, r"a number in shape is 2\.5: expected a whole number\."),
        ((1, 300, 5), None, r"shape is \(1, 300, 5\), of 300 letters: expected at most 254\."),
        (
            (1, 4, 5),
            [0.5, 0.4, 0, 0],
            r"probs holds \[0\.5, 0\.4, 0\.0, 0\.0\]: .* sum to one; divide by their sum",
        ),
        ((1, 4, 5), [1.5, -0.5, 0, 0], r"probs holds \[1\.5, -0\.5, 0\.0, 0\.0\]: expected numbers of 0 or more"),
        ((1, 4, 5), [np.nan, 0.5, 0.5, 0], r"probs holds \[nan, 0\.5, 0\.5, 0\.0\]"),
        ((1, 4, 5), [np.inf, 0, 0, 0], r"probs holds \[inf"),
        ((2, 4, 5), [[0.25] * 4, [0.3] * 4], r"probs holds \[0\.3, 0\.3, 0\.3, 0\.3\]: expected"),
        ((1, 4, 5), [0.5, 0.5], r"probs has shape \(2,\): expected \(4,\), \(1, 4\) or \(1, 4\)\."),
        ((3, 4, 5), [[0.25] * 4] * 2, r"probs has shape \(2, 4\): expected \(4,\), \(1, 4\) or \(3, 4\)\."),
        ((1, 4, 5), "uniform", r"probs is no array of numbers .*: expected one number for each letter\."),
        ((1, 4, 5), [[0.5, 0.5], [1.0]], r"probs is no array of numbers"),
    ],
)
def test_invalid_shapes_and_probabilities(shape, probs, message):
    with pytest.raises(InputError, match=message) as caught:
        sl.random_one_hot(shape, probs)
    assert "\n" not in str(caught.value)


def test_global_generators_do_not_advance():
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert not torch.equal(sl.random_one_hot((1, 4, 99)), sl.random_one_hot((1, 4, 99)))
    sl.random_one_hot((1, 4, 99), [0.25] * 4)
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before


@pytest.mark.parametrize(
    ("alphabet", "text", "letters", "spelled"),
    [
        ("DNA", "ACGTRN", "ACGT", "ACGTNN"),
        ("rna", "ACGUTY", "ACGU", "ACGUUN"),
        ("protein", "MKNXB*", "ACDEFGHIKLMNPQRSTVWY", "MKNXXX"),
    ],
)
def test_alphabets_by_name(alphabet, text, letters, spelled):
    X = sl.one_hot_encode(text, alphabet=alphabet)
    assert X.shape == (len(letters), len(text))
    assert sl.characters(X, alphabet=alphabet, allow_N=True) == spelled
    assert torch.equal(sl.one_hot_encode([text, text], alphabet=alphabet)[1], X)
    with pytest.raises(sl.InputError, match=f"position {len(text)} of the sequence is '!': expected one of {letters}"):
        sl.one_hot_encode(text + "!", alphabet=alphabet)
    with pytest.raises(sl.InputError, match="expected one of"):
        sl.one_hot_encode(text, alphabet=alphabet, ignore=())


@pytest.mark.parametrize(("alphabet", "n"), [("protein", 20), ("RNA", 4)])
def test_references_of_proteins_and_rna(alphabet, n):
    X = sl.random_one_hot((3, n, 60), random_state=1)
    X[0, :, 5:9] = 0
    found = sl.dinucleotide_shuffle(X, n=2, random_state=0, allow_N=True)
    for i, k in ((0, 0), (1, 1), (2, 0)):
        before, after = (sl.characters(one, alphabet, allow_N=True) for one in (X[i], found[i, k]))
        assert before != after
        assert sorted(itertools.pairwise(before)) == sorted(itertools.pairwise(after))
