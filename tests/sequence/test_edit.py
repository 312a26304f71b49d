"""Substitutions, insertions and deletions, against the same edits of strings."""

import random

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import seqlight as sl
from one_hot_batches import DTYPES, batches, checked_result
from seqlight.errors import InputError


@st.composite
def motifs_for(draw, sequences, alphabet):
    """Draw a motif for each sequence, and how it is passed: as a string, a matrix, or a batch of one or of all."""
    kind = draw(st.sampled_from(["string", "matrix", "one", "each"]))
    width = draw(st.integers(1, 5))
    text, n = st.text(alphabet + "N", min_size=width, max_size=width), len(sequences)
    texts = draw(st.lists(text, min_size=n, max_size=n))
    if kind != "each":
        texts = texts[:1] * len(sequences)
    dtype = draw(st.sampled_from(DTYPES))
    passed = {
        "string": texts[0],
        "matrix": sl.one_hot_encode(texts[0], alphabet, dtype),
        "one": sl.one_hot_encode(texts[:1], alphabet, dtype),
        "each": sl.one_hot_encode(texts, alphabet, dtype),
    }
    return texts, passed[kind]


@settings(deadline=None)
@given(st.data())
def test_substitute(data):
    sequences, X, alphabet = data.draw(batches())
    texts, motif = data.draw(motifs_for(sequences, alphabet))
    length, width = len(sequences[0]), len(texts[0])
    assume(width <= length)
    start = data.draw(st.none() | st.integers(0, length - width))
    at = length // 2 - width // 2 if start is None else start
    assume(at >= 0 and at + width <= length)
    expected = [text[:at] + new + text[at + width :] for text, new in zip(sequences, texts, strict=True)]
    assert_spells(checked_result(lambda X: sl.substitute(X, motif, start, alphabet), X), expected, alphabet)


def assert_spells(X, expected, alphabet):
    columns = [[[int(x == letter) for x in text] for letter in alphabet] for text in expected]
    assert X.to(torch.int64).tolist() == columns


@settings(deadline=None)
@given(st.data())
def test_multisubstitute(data):
    sequences, X, alphabet = data.draw(batches())
    drawn = data.draw(st.lists(motifs_for(sequences, alphabet), min_size=1, max_size=3))
    gaps = data.draw(st.lists(st.integers(0, 3), min_size=len(drawn) - 1, max_size=len(drawn) - 1))
    spacing = gaps
    if data.draw(st.booleans()):
        spacing = data.draw(st.integers(0, 2))
        gaps = [spacing] * (len(drawn) - 1)
    length, width = len(sequences[0]), sum(len(texts[0]) for texts, _ in drawn) + sum(gaps)
    assume(width <= length)
    start = data.draw(st.none() | st.integers(0, length - width))
    at = length // 2 - width // 2 if start is None else start
    assume(at + width <= length)
    expected = []
    for row, text in enumerate(sequences):
        written, place = list(text), at
        for (texts, _), gap in zip(drawn, [*gaps, 0], strict=True):
            written[place : place + len(texts[row])] = texts[row]
            place += len(texts[row]) + gap
        expected.append("".join(written))
    motifs = [motif for _, motif in drawn]
    found = checked_result(lambda X: sl.multisubstitute(X, motifs, spacing, start, alphabet), X)
    assert_spells(found, expected, alphabet)
    for kind in (tuple, np.array, torch.tensor):
        if gaps and spacing is gaps:
            assert torch.equal(sl.multisubstitute(X, motifs, kind(gaps), start, alphabet), found)


@settings(deadline=None)
@given(st.data())
def test_insert(data):
    sequences, X, alphabet = data.draw(batches())
    texts, motif = data.draw(motifs_for(sequences, alphabet))
    start = data.draw(st.none() | st.integers(0, len(sequences[0])))
    at = len(sequences[0]) // 2 if start is None else start
    expected = [text[:at] + new + text[at:] for text, new in zip(sequences, texts, strict=True)]
    assert_spells(checked_result(lambda X: sl.insert(X, motif, start, alphabet), X), expected, alphabet)


@settings(deadline=None)
@given(st.data())
def test_delete(data):
    sequences, X, alphabet = data.draw(batches())
    length = len(sequences[0])
    assume(length > 1)
    start, end = sorted(data.draw(st.lists(st.integers(0, length), min_size=2, max_size=2, unique=True)))
    assume(end - start < length)
    expected = [text[:start] + text[end:] for text in sequences]
    assert_spells(checked_result(lambda X: sl.delete(X, start, end), X), expected, alphabet)


def test_any_memory_layout():
    X = sl.random_one_hot((3, 4, 20), random_state=0)
    scattered = X.transpose(1, 2).contiguous().transpose(1, 2)
    assert torch.equal(sl.substitute(scattered, "ACG"), sl.substitute(X, "ACG"))
    assert torch.equal(sl.insert(scattered, scattered[:, :, :5]), sl.insert(X, X[:, :, :5]))


def test_gradients_pass_through_an_edit():
    X = sl.random_one_hot((1, 4, 6), dtype=torch.float32, random_state=0).requires_grad_()
    sl.substitute(X, "AC", start=1).sum().backward()
    assert X.grad.sum(dim=1).tolist() == [[4, 0, 0, 4, 4, 4]]


def test_global_generators_do_not_advance():
    X = sl.random_one_hot((2, 4, 20))
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    sl.multisubstitute(X, ["A", "C"], 1)
    sl.delete(sl.insert(sl.substitute(X, "ACG"), "ACG"), 0, 3)
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before


X20 = sl.random_one_hot((2, 4, 20), random_state=0)


@pytest.mark.parametrize(
    ("motif", "start", "message"),
    [
        ("A" * 21, None, r"21 characters from position 0 run off the end of sequences of 20: .*choose another start"),
        ("ACG", 18, r"3 characters from position 18 run off the end"),
        ("ACG", -1, r"start is -1: expected 0 or more\."),
        ("ACG", 1.0, r"start is 1\.0: expected a whole number\."),
        ("", None, "the sequence is empty"),
        ("ACgT", None, r"position 2 of the sequence is 'g': .*pass sequence\.upper\(\)"),
        ("AC-T", None, r"position 2 of the sequence is '-'"),
        (np.eye(4), None, r"motif is a numpy\.ndarray: expected a torch\.Tensor; use torch\.from_numpy\(motif\)"),
        (None, None, r"motif is None: expected a torch\.Tensor"),
        (torch.ones(4), None, r"motif has shape \(4,\): expected three dimensions"),
        (torch.full((4, 3), 0.25), None, r"position 0 of motif holds \[0\.25"),
        (torch.full((4, 3), torch.nan), None, r"position 0 of motif holds NaN"),
        (torch.eye(3), None, r"the motif has 3 letters and X 4: expected as many\."),
        (
            torch.eye(4).expand(3, 4, 4),
            None,
            r"there are 3 motifs for 2 sequences: expected one for all",
        ),
        (torch.eye(4, device="meta"), None, r"motif is on meta and X on cpu: move one with \.to\(device\)\."),
    ],
)
def test_invalid_motifs(motif, start, message):
    for edit in (sl.substitute, sl.insert):
        if edit is sl.insert and "run off" in message:
            continue
        with pytest.raises(InputError, match=message) as caught:
            edit(X20, motif, start)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("motifs", "spacing", "start", "message"),
    [
        (["ACG", "ACG"], -1, None, r"spacing is -1: expected 0 or more\."),
        (["ACG", "ACG"], [1, 2], None, r"there are 2 spacings for 2 motifs: expected 1\."),
        (["ACG", "ACG", "A"], [1, -2], None, r"spacing is -2: expected 0 or more\."),
        (["ACG", "ACG"], 1.5, None, r"spacing is 1\.5: expected a whole number\."),
        (["ACG", "ACG"], None, None, r"spacing is None: expected a whole number\."),
        (["ACG", "ACG"], 15, None, r"21 characters from position 0 run off the end"),
        (["ACG", "ACG"], 1, 14, r"7 characters from position 14 run off the end"),
        ([], 1, None, r"motifs is an empty list: expected a list of at least one motif"),
        ("ACG", 1, None, r"motifs is a str: expected a list .*; for one motif use substitute\."),
        (torch.eye(4), 1, None, r"motifs is a Tensor: expected a list"),
        (None, 1, None, r"motifs is a NoneType: expected a list"),
        (["ACG", "AxG"], 1, None, "position 1 of the sequence is 'x'"),
    ],
)
def test_invalid_lists_of_motifs(motifs, spacing, start, message):
    with pytest.raises(InputError, match=message):
        sl.multisubstitute(X20, motifs, spacing, start)


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (0, 21, r"end is 21, off the end of sequences of 20 positions: expected at most 20\."),
        (5, 5, r"the region from 5 to 5 is empty: expected start < end\."),
        (6, 5, r"the region from 6 to 5 is empty"),
        (-1, 5, r"start is -1: expected 0 or more\."),
        (0, -1, r"end is -1: expected 0 or more\."),
        (0, 20, r"the region from 0 to 20 is the whole sequence: leave at least one position\."),
        (0, None, r"end is None: expected a whole number\."),
    ],
)
def test_invalid_regions_to_delete(start, end, message):
    with pytest.raises(InputError, match=message):
        sl.delete(X20, start, end)


@pytest.mark.parametrize("X", [X20[0], X20.numpy(), X20.float() / 2, X20 * 0 + 1, X20[:0], X20.float() * torch.nan])
def test_invalid_sequences(X):
    for edit in (
        lambda: sl.substitute(X, "A"),
        lambda: sl.multisubstitute(X, ["A", "C"], 0),
        lambda: sl.insert(X, "A"),
        lambda: sl.delete(X, 0, 1),
    ):
        with pytest.raises(InputError, match=r"X (is|has)|of X holds"):
            edit()
